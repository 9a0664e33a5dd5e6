//! The document of lifecycle rules: what is kept as it came, and what is refused and how.

use super::Server;
use super::wire::Req;

fn document(rules: &str) -> String {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
}

/// A rule with this inside, beside a filter and a status.
fn rule(inside: &str) -> String {
    format!("<Rule>{inside}<Filter></Filter><Status>Enabled</Status></Rule>")
}

#[tokio::test]
async fn rules_come_back_as_they_were_given() {
    let server = Server::with_bucket().await;
    for rules in [
        "<Rule><Expiration><Days>3</Days></Expiration><ID>a</ID><Prefix>logs/</Prefix>\
         <Status>Enabled</Status></Rule>",
        "<Rule><Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>\
         <Filter><Prefix></Prefix></Filter><ID>a &amp; b</ID><Status>Disabled</Status></Rule>",
        "<Rule><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
         </Expiration><Filter></Filter><ID>a</ID><NoncurrentVersionExpiration>\
         <NewerNoncurrentVersions>5</NewerNoncurrentVersions><NoncurrentDays>1</NoncurrentDays>\
         </NoncurrentVersionExpiration><Status>Enabled</Status></Rule>",
        "<Rule><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload><Filter><Prefix>x</Prefix></Filter><ID>a</ID>\
         <Status>Enabled</Status></Rule><Rule><Expiration><Days>3</Days></Expiration><Filter>\
         <Tag><Key>k</Key><Value></Value></Tag></Filter><ID>b</ID><Status>Enabled</Status></Rule>",
        "<Rule><Expiration><Days>3</Days></Expiration><Filter><And>\
         <ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>\
         <ObjectSizeLessThan>9000000000</ObjectSizeLessThan><Prefix>p</Prefix>\
         <Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value>w</Value></Tag>\
         </And></Filter><ID>a</ID><Status>Enabled</Status></Rule>",
    ] {
        let put = Req::new("PUT", "/bkt?lifecycle").body(document(rules).as_bytes());
        server.send(put).await.expect(200);
        let got = server.send(Req::new("GET", "/bkt?lifecycle")).await;
        let got = got.expect(200).text();
        assert!(got.contains(rules), "{rules}\n{got}");
    }
    for _ in 0..2 {
        let delete = Req::new("DELETE", "/bkt?lifecycle");
        server.send(delete).await.expect(204);
    }
    let got = server.send(Req::new("GET", "/bkt?lifecycle")).await;
    got.refused(404, "NoSuchLifecycleConfiguration");
    let put = Req::new("PUT", "/none?lifecycle").body(document(&rule(DAYS)).as_bytes());
    server.send(put).await.refused(404, "NoSuchBucket");
}

const DAYS: &str = "<Expiration><Days>3</Days></Expiration>";

fn expiration(inside: &str) -> String {
    rule(&format!("<Expiration>{inside}</Expiration>"))
}

fn transition(inside: &str) -> String {
    rule(&format!("<Transition>{inside}</Transition>"))
}

const XML: &str = "MalformedXML";
const ARGUMENT: &str = "InvalidArgument";
const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
const GLACIER: &str = "<StorageClass>GLACIER</StorageClass>";

/// Rules that are refused, and how.
type Refused = Vec<(String, &'static str)>;

fn of_expirations() -> Refused {
    let status =
        |status: &str| format!("<Rule>{DAYS}<Filter></Filter><Status>{status}</Status></Rule>");
    vec![
        (String::new(), XML),
        (rule(DAYS).repeat(1001), XML),
        (status("enabled"), XML),
        (status(""), XML),
        (format!("<Rule>{DAYS}<Filter></Filter></Rule>"), XML),
        (format!("<Rule>{DAYS}<Status>Enabled</Status></Rule>"), XML),
        (rule(&format!("{DAYS}<Prefix>a</Prefix>")), XML),
        (rule(&format!("{DAYS}<Unheard>a</Unheard>")), XML),
        (rule(""), "InvalidRequest"),
        (expiration(""), XML),
        (expiration("<Days>x</Days>"), XML),
        (expiration("<Days>0</Days>"), ARGUMENT),
        (expiration("<Days>-1</Days>"), ARGUMENT),
        (expiration("<Days>99999999999</Days>"), XML),
        (expiration("<Date>2030-01-01T00:00:01Z</Date>"), ARGUMENT),
        (expiration("<Date>2030-01-01T00:00:00.5Z</Date>"), ARGUMENT),
        (expiration("<Date>2030-01-01T12:00:00Z</Date>"), ARGUMENT),
        (expiration("<Date>soon</Date>"), XML),
        (
            expiration("<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>"),
            XML,
        ),
        (
            expiration("<Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"),
            XML,
        ),
    ]
}

fn of_others() -> Refused {
    vec![
        (
            rule(
                "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1\
                  </NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            ),
            XML,
        ),
        (
            rule(
                "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays>\
                  </NoncurrentVersionExpiration>",
            ),
            ARGUMENT,
        ),
        (
            rule(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0\
                  </DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            ),
            ARGUMENT,
        ),
        (rule(&format!("<ID>a</ID>{DAYS}")).repeat(2), ARGUMENT),
        (
            rule(&format!("<ID>{}</ID>{DAYS}", "x".repeat(256))),
            ARGUMENT,
        ),
    ]
}

fn of_transitions() -> Refused {
    vec![
        (
            transition(&format!(
                "<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>{GLACIER}"
            )),
            XML,
        ),
        (transition(GLACIER), XML),
        (
            transition("<Days>1</Days><StorageClass>ICE</StorageClass>"),
            XML,
        ),
        (transition("<Days>1</Days>"), XML),
        (
            transition("<Days>1</Days><StorageClass>STANDARD</StorageClass>"),
            XML,
        ),
        (transition(&format!("<Days>-1</Days>{GLACIER}")), ARGUMENT),
        (
            transition(&format!("<Date>2030-01-01T10:00:00Z</Date>{GLACIER}")),
            ARGUMENT,
        ),
    ]
}

#[tokio::test]
async fn what_s3_refuses_is_refused_and_changes_nothing() {
    let server = Server::with_bucket().await;
    let kept = document(&rule(&format!("<ID>kept</ID>{DAYS}")));
    let put = Req::new("PUT", "/bkt?lifecycle").body(kept.as_bytes());
    server.send(put).await.expect(200);
    let refused = [of_expirations(), of_others(), of_transitions()];
    for (rules, code) in refused.into_iter().flatten() {
        let put = Req::new("PUT", "/bkt?lifecycle").body(document(&rules).as_bytes());
        let reply = server.send(put).await;
        assert_eq!(reply.status, 400, "{rules}: {}", reply.text());
        assert_eq!(reply.element("Code").unwrap(), code, "{rules}");
    }
    let put = Req::new("PUT", "/bkt?lifecycle")
        .header(MINIMUM, "none")
        .body(document(&rule(DAYS)).as_bytes());
    server.send(put).await.refused(400, "InvalidRequest");
    let got = server.send(Req::new("GET", "/bkt?lifecycle")).await;
    assert!(got.expect(200).text().contains("<ID>kept</ID>"));
}

#[tokio::test]
async fn transitions_are_kept_as_they_were_given() {
    let server = Server::with_bucket().await;
    let moves = format!("<Transition><Days>0</Days>{GLACIER}</Transition>");
    let more = "<Transition><Days>9</Days><StorageClass>COLD</StorageClass></Transition>";
    let dated = format!("<Transition><Date>2030-01-01T00:00:00.000Z</Date>{GLACIER}</Transition>");
    let noncurrent = format!(
        "<NoncurrentVersionTransition><NewerNoncurrentVersions>3</NewerNoncurrentVersions>\
         <NoncurrentDays>1</NoncurrentDays>{GLACIER}</NoncurrentVersionTransition>"
    );
    for minimum in ["varies_by_storage_class", "all_storage_classes_128K"] {
        for rules in [
            rule(&moves),
            rule(&(moves.clone() + more)),
            rule(&dated),
            rule(&noncurrent),
            rule(&(moves.clone() + &noncurrent)),
        ] {
            let put = Req::new("PUT", "/bkt?lifecycle")
                .header(MINIMUM, minimum)
                .body(document(&rules).as_bytes());
            let reply = server.send(put).await;
            assert_eq!(reply.expect(200).get(MINIMUM), Some(minimum));
            let got = server
                .send(Req::new("GET", "/bkt?lifecycle"))
                .await
                .expect(200);
            assert_eq!(got.get(MINIMUM), Some(minimum));
            let text = got.text();
            let known = [&moves[..], more, &dated];
            for each in known.iter().filter(|each| rules.contains(**each)) {
                let days = each
                    .replace("<Transition>", "")
                    .replace("</Transition>", "");
                assert!(text.contains(&days), "{text}");
            }
            let is_noncurrent = rules.contains("<NoncurrentVersionTransition>");
            assert_eq!(
                text.contains("<NewerNoncurrentVersions>3<"),
                is_noncurrent,
                "{text}"
            );
        }
    }
}
