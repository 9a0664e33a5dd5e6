//! Bucket policies in force: what they allow and deny, for whom, by every way in.
//!
//! Method: the bucket `bkt` is Alice's; Bob and nobody ask; what is stored is looked at.

use holdfast_policy::Action;

use super::Server;
use super::isolation::{ALICE, BOB, ask, by, start};
use super::operations::{REQUESTS, with_body};
use super::post::Form;
use super::wire::Req;
use crate::auth::{Operation, Resource, Served};

const EVERYONE: &str = r#""*""#;
const BOBS: &str = r#"{"AWS": "arn:aws:iam::100000000002:root"}"#;

/// The bucket may be public.
async fn open() -> Server {
    let (server, _) = start().await;
    let delete = ask(&server, ALICE, "DELETE", "/bkt?publicAccessBlock");
    delete.await.expect(204);
    server
}

/// One statement; `rest` begins with a comma.
fn statement(effect: &str, principal: &str, action: &str, resource: &str, rest: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": {principal}, "Action": "{action}",
            "Resource": "arn:aws:s3:::{resource}"{rest}}}"#
    )
}

async fn set(server: &Server, statements: &[String]) {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        statements.join(",")
    );
    let put = Req::new("PUT", "/bkt?policy").body(text.as_bytes());
    server.send(by(ALICE, put)).await.expect(204);
    let got = ask(server, ALICE, "GET", "/bkt?policy").await.expect(200);
    assert_eq!(got.text(), text);
}

async fn allow(server: &Server, principal: &str, action: &str, resource: &str) {
    set(
        server,
        &[statement("Allow", principal, action, resource, "")],
    )
    .await;
}

async fn status(server: &Server, access: Option<&str>, request: Req) -> u16 {
    let request = match access {
        Some(access) => by(access, request),
        None => request.anonymous(),
    };
    server.send(request).await.status
}

#[tokio::test]
async fn each_operation_needs_its_own_action_and_no_other() {
    let server = open().await;
    for what in REQUESTS {
        let (operation, method, target) = *what;
        let of_many = operation.resource() == Resource::Named;
        let skipped = [Operation::PostObject, Operation::CreateBucket];
        let later = operation.served() == Served::Later;
        if operation.resource() == Resource::Service
            || of_many
            || later
            || skipped.contains(&operation)
        {
            continue;
        }
        let target = target.replace("/none", "/bkt");
        let what = (operation, method, target.as_str());
        let versioned = target.contains("versionId");
        let own = match versioned {
            false => operation.action(),
            true => operation.version_action(),
        };
        let resource = match operation.resource() {
            Resource::Object => "bkt/*",
            _ => "bkt",
        };
        let all_but = r#", "Condition": {"StringNotEquals": {"s3:authType": "x"}}"#;
        set(
            &server,
            &[
                statement("Allow", EVERYONE, "s3:*", "bkt", all_but),
                statement("Allow", EVERYONE, "s3:*", "bkt/*", all_but),
                statement("Deny", EVERYONE, own.name(), resource, ""),
            ],
        )
        .await;
        for access in [Some(BOB), None, Some(ALICE)] {
            let may_repair = access == Some(ALICE)
                && matches!(
                    own,
                    Action::GetBucketPolicy | Action::PutBucketPolicy | Action::DeleteBucketPolicy
                );
            let refused = status(&server, access, with_body(&what)).await;
            assert_eq!(
                refused == 403,
                !may_repair,
                "{what:?} by {access:?}: {refused}"
            );
        }
    }
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
}

#[tokio::test]
async fn strangers_get_what_is_allowed_and_nothing_else() {
    let server = open().await;
    allow(&server, EVERYONE, "s3:GetObject", "bkt/k*").await;
    for access in [Some(BOB), None] {
        assert_eq!(
            status(&server, access, Req::new("GET", "/bkt/k")).await,
            200
        );
        assert_eq!(
            status(&server, access, Req::new("HEAD", "/bkt/k")).await,
            200
        );
        for (method, target) in [
            ("GET", "/bkt/other"),
            ("GET", "/bkt/k?versionId=null"),
            ("GET", "/bkt/k?tagging"),
            ("GET", "/bkt/k?attributes"),
            ("GET", "/bkt"),
            ("PUT", "/bkt/k"),
            ("DELETE", "/bkt/k"),
            ("GET", "/bkt?policy"),
            ("PUT", "/bkt?policy"),
        ] {
            let refused = status(&server, access, Req::new(method, target).body(b"{}")).await;
            assert_eq!(refused, 403, "{method} {target} by {access:?}");
        }
    }
    allow(&server, BOBS, "s3:GetObject", "bkt/k").await;
    assert_eq!(
        status(&server, Some(BOB), Req::new("GET", "/bkt/k")).await,
        200
    );
    assert_eq!(status(&server, None, Req::new("GET", "/bkt/k")).await, 403);
    ask(&server, ALICE, "DELETE", "/bkt?policy")
        .await
        .expect(204);
    assert_eq!(
        status(&server, Some(BOB), Req::new("GET", "/bkt/k")).await,
        403
    );
}

#[tokio::test]
async fn that_nothing_is_there_is_told_to_those_who_may_list() {
    let server = open().await;
    let gone = || Req::new("GET", "/bkt/gone");
    allow(&server, EVERYONE, "s3:GetObject", "bkt/*").await;
    for access in [Some(BOB), None] {
        assert_eq!(status(&server, access, gone()).await, 403);
    }
    let list = statement("Allow", EVERYONE, "s3:ListBucket", "bkt", "");
    let get = statement("Allow", EVERYONE, "s3:GetObject", "bkt/*", "");
    set(&server, &[list.clone(), get]).await;
    for access in [Some(BOB), None] {
        assert_eq!(status(&server, access, gone()).await, 404);
    }
    set(&server, &[list]).await;
    for access in [Some(BOB), None] {
        assert_eq!(status(&server, access, gone()).await, 404);
        let there = status(&server, access, Req::new("GET", "/bkt/k")).await;
        assert_eq!(there, 403);
        let copy = Req::new("PUT", "/bkt/copy").header("x-amz-copy-source", "/bkt/gone");
        assert_eq!(status(&server, access, copy).await, 403);
    }
    assert_eq!(status(&server, Some(ALICE), gone()).await, 404);
}

#[tokio::test]
async fn what_may_be_listed_of_a_key_decides_what_is_told_of_it() {
    let server = open().await;
    let prefix = r#", "Condition": {"StringLike": {"s3:prefix": "public/*"}}"#;
    let list = statement("Allow", EVERYONE, "s3:ListBucket", "bkt", prefix);
    set(&server, &[list]).await;
    for access in [Some(BOB), None] {
        for (target, expected) in [("/bkt/public/gone", 404), ("/bkt/gone", 403)] {
            let got = status(&server, access, Req::new("GET", target)).await;
            assert_eq!(got, expected, "{target} by {access:?}");
        }
    }
}

#[tokio::test]
async fn answers_say_of_tags_and_locks_what_may_be_asked() {
    let server = open().await;
    let tagged = Req::new("PUT", "/bkt/k").header("x-amz-tagging", "a=b");
    server.send(by(ALICE, tagged)).await.expect(200);
    for (action, shown) in [("s3:GetObject", None), ("s3:GetObject*", Some("1"))] {
        allow(&server, EVERYONE, action, "bkt/*").await;
        for method in ["GET", "HEAD"] {
            let got = server.send(Req::new(method, "/bkt/k").anonymous()).await;
            assert_eq!(got.expect(200).get("x-amz-tagging-count"), shown);
            let own = server.send(by(ALICE, Req::new(method, "/bkt/k"))).await;
            assert_eq!(own.expect(200).get("x-amz-tagging-count"), Some("1"));
        }
    }
    let target = "/bkt/k?response-content-type=text%2Fhtml";
    let chosen = server.send(Req::new("GET", target).anonymous()).await;
    chosen.refused(400, "InvalidRequest");
    let signed = server.send(by(BOB, Req::new("GET", target))).await;
    assert_eq!(signed.expect(200).get("content-type"), Some("text/html"));
}

#[tokio::test]
async fn a_copy_needs_its_source_and_its_destination_and_tags_theirs() {
    let server = open().await;
    ask(&server, BOB, "PUT", "/bobs").await.expect(200);
    let copies = ["/bobs/copy", "/bobs/copy?partNumber=1&uploadId=u"];
    let copy = |target: &str, source: &str| {
        by(
            BOB,
            Req::new("PUT", target).header("x-amz-copy-source", source),
        )
    };
    allow(&server, BOBS, "s3:GetObject", "bkt/public/*").await;
    for target in copies {
        for source in ["/bkt/k", "/bkt/public%2F..%2Fk", "/bkt/k?versionId=null"] {
            server
                .send(copy(target, source))
                .await
                .refused(403, "AccessDenied");
        }
    }
    allow(&server, BOBS, "s3:GetObject", "bkt/k").await;
    server
        .send(copy(copies[0], "/bkt/k?versionId=null"))
        .await
        .refused(403, "AccessDenied");
    server.send(copy(copies[0], "/bkt/k")).await.expect(200);
    let tags = Req::new("PUT", "/bkt/k")
        .header("x-amz-tagging", "a=b")
        .body(b"as it was");
    server.send(by(ALICE, tags)).await.expect(200);
    server
        .send(copy(copies[0], "/bkt/k"))
        .await
        .refused(403, "AccessDenied");
    let without = copy(copies[0], "/bkt/k").header("x-amz-tagging-directive", "REPLACE");
    server.send(without).await.expect(200);
    let get = statement("Allow", BOBS, "s3:GetObject*", "bkt/k", "");
    set(&server, &[get]).await;
    server.send(copy(copies[0], "/bkt/k")).await.expect(200);
    let from = r#", "Condition": {"StringLike": {"s3:x-amz-copy-source": "bobs/*"}}"#;
    set(
        &server,
        &[statement("Allow", BOBS, "s3:PutObject", "bkt/*", from)],
    )
    .await;
    server.send(copy("/bkt/in", "/bobs/copy")).await.expect(403);
    let plain = copy("/bkt/in", "bobs/copy").header("x-amz-tagging-directive", "REPLACE");
    server.send(plain).await.expect(200);
    let put = status(&server, Some(BOB), Req::new("PUT", "/bkt/in")).await;
    assert_eq!(put, 403);
}

#[tokio::test]
async fn keys_are_deleted_one_by_one_as_each_is_allowed() {
    let server = open().await;
    let document = b"<Delete><Object><Key>k</Key></Object><Object><Key>own/1</Key></Object>\
        <Object><Key>own/2</Key><VersionId>null</VersionId></Object></Delete>";
    let request = || {
        let mut request = Req::new("POST", "/bkt?delete").body(document);
        request.headers.push(("content-md5".to_owned(), {
            use base64::Engine;
            use md5::Digest;
            base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(document))
        }));
        request
    };
    assert_eq!(status(&server, Some(BOB), request()).await, 403);
    allow(&server, EVERYONE, "s3:DeleteObject", "bkt/own/*").await;
    for access in [Some(BOB), None] {
        let request = match access {
            Some(access) => by(access, request()),
            None => request().anonymous(),
        };
        let reply = server.send(request).await.expect(200);
        let text = reply.text();
        assert!(text.contains("<Deleted><Key>own/1</Key>"), "{text}");
        assert_eq!(
            text.matches("<Code>AccessDenied</Code>").count(),
            2,
            "{text}"
        );
        assert!(server.memory.get_stored("k").is_some());
    }
}

#[tokio::test]
async fn what_a_request_writes_besides_needs_its_own_actions() {
    let server = open().await;
    let put = |name: &str, value: &str| by(BOB, Req::new("PUT", "/bkt/new").header(name, value));
    let besides = [
        ("x-amz-tagging", "a=b", "s3:PutObjectTagging"),
        (
            "x-amz-object-lock-legal-hold",
            "OFF",
            "s3:PutObjectLegalHold",
        ),
        ("if-match", "\"0\"", "s3:GetObject"),
    ];
    for (name, value, action) in besides {
        allow(&server, BOBS, "s3:PutObject", "bkt/*").await;
        let reply = server.send(put(name, value)).await;
        assert_eq!(reply.status, 403, "{name}");
        let both = [
            statement("Allow", BOBS, "s3:PutObject", "bkt/*", ""),
            statement("Allow", BOBS, action, "bkt/*", ""),
        ];
        set(&server, &both).await;
        let reply = server.send(put(name, value)).await;
        assert_ne!(reply.status, 403, "{name}: {}", reply.text());
    }
}

#[tokio::test]
async fn tags_of_the_request_and_of_the_object_decide() {
    let server = open().await;
    let safe = r#", "Condition": {"StringEquals": {"s3:RequestObjectTag/security": "public"}}"#;
    let both = [
        statement("Allow", BOBS, "s3:PutObject*", "bkt/*", safe),
        statement("Allow", BOBS, "s3:PutObject", "bkt/*", safe),
    ];
    set(&server, &both).await;
    let put = |tags: &str| by(BOB, Req::new("PUT", "/bkt/t").header("x-amz-tagging", tags));
    assert_eq!(server.send(put("security=private")).await.status, 403);
    server.send(put("security=public")).await.expect(200);
    let document = |value: &str| {
        let text = format!(
            "<Tagging><TagSet><Tag><Key>security</Key><Value>{value}</Value></Tag></TagSet>\
             </Tagging>"
        );
        by(BOB, Req::new("PUT", "/bkt/t?tagging").body(text.as_bytes()))
    };
    server.send(document("public")).await.expect(200);
    server
        .send(document("private"))
        .await
        .refused(403, "AccessDenied");
    let tagged = r#", "Condition": {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}"#;
    let read = [statement(
        "Allow",
        EVERYONE,
        "s3:GetObject",
        "bkt/*",
        tagged,
    )];
    set(&server, &read).await;
    for access in [Some(BOB), None] {
        assert_eq!(
            status(&server, access, Req::new("GET", "/bkt/t")).await,
            200
        );
        assert_eq!(
            status(&server, access, Req::new("GET", "/bkt/k")).await,
            403
        );
    }
}

#[tokio::test]
async fn forms_are_held_against_the_policy_too() {
    let server = open().await;
    let form = |access| {
        let mut form = Form::new(b"new");
        form.access = access;
        form
    };
    let stored = || server.memory.get_stored("k").unwrap().body;
    allow(&server, EVERYONE, "s3:PutObject", "bkt/other").await;
    server.send(form(BOB).signed()).await.expect(403);
    server.send(Form::new(b"x").unsigned()).await.expect(403);
    assert_eq!(stored(), b"as it was");
    allow(&server, EVERYONE, "s3:PutObject", "bkt/k").await;
    server.send(form(BOB).signed()).await.expect(204);
    assert_eq!(stored(), b"new");
    server.send(Form::new(b"x").unsigned()).await.expect(204);
    assert_eq!(stored(), b"x");
    let deny = r#", "Condition": {"StringEquals": {"s3:authType": "POST"}}"#;
    let both = [
        statement("Allow", EVERYONE, "s3:PutObject", "bkt/k", ""),
        statement("Deny", EVERYONE, "s3:PutObject", "bkt/k", deny),
    ];
    set(&server, &both).await;
    server.send(form(BOB).signed()).await.expect(403);
    server.send(form(ALICE).signed()).await.expect(403);
    assert_eq!(
        status(&server, Some(BOB), Req::new("PUT", "/bkt/k")).await,
        200
    );
}

#[tokio::test]
async fn what_the_request_says_of_itself_decides() {
    let server = open().await;
    let if_ = |condition: &str| {
        let rest = format!(r#", "Condition": {condition}"#);
        [
            statement("Allow", EVERYONE, "s3:GetObject", "bkt/*", &rest),
            statement("Allow", EVERYONE, "s3:ListBucket", "bkt", &rest),
        ]
    };
    let get = || Req::new("GET", "/bkt/k");
    let cases: [(&str, Req, Req); 6] = [
        (
            r#"{"StringLike": {"aws:Referer": "http://www.example/*"}}"#,
            get().header("referer", "http://www.example/a"),
            get().header("referer", "http://evil.example/a"),
        ),
        (
            r#"{"StringEquals": {"s3:prefix": "a/"}}"#,
            Req::new("GET", "/bkt?prefix=a%2F"),
            Req::new("GET", "/bkt?prefix=b%2F"),
        ),
        (
            r#"{"NumericLessThanEquals": {"s3:max-keys": "10"}}"#,
            Req::new("GET", "/bkt?max-keys=10"),
            Req::new("GET", "/bkt"),
        ),
        (
            r#"{"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}"#,
            get(),
            Req::new("GET", "/bkt/k?tagging").header("x-forwarded-for", "127.0.0.1"),
        ),
        (
            r#"{"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}"#,
            get().presigned(),
            get(),
        ),
        (
            r#"{"Bool": {"aws:SecureTransport": "false"},
                "StringEquals": {"aws:RequestedRegion": "eu-test-1"}}"#,
            get(),
            Req::new("DELETE", "/bkt/k"),
        ),
    ];
    for (condition, fine, other) in cases {
        set(&server, &if_(condition)).await;
        assert_eq!(status(&server, Some(BOB), fine).await, 200, "{condition}");
        assert_eq!(status(&server, Some(BOB), other).await, 403, "{condition}");
    }
    set(
        &server,
        &if_(r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#),
    )
    .await;
    let forwarded = get().header("x-forwarded-for", "10.0.0.1");
    assert_eq!(status(&server, Some(BOB), forwarded).await, 403);
    set(
        &server,
        &if_(r#"{"NumericLessThan": {"s3:signatureAge": 600000}}"#),
    )
    .await;
    assert_eq!(status(&server, Some(BOB), get()).await, 200);
    assert_eq!(status(&server, None, get()).await, 403);
}

#[tokio::test]
async fn a_policy_that_cannot_be_understood_is_refused_and_changes_nothing() {
    let server = open().await;
    allow(&server, EVERYONE, "s3:GetObject", "bkt/k").await;
    for text in [
        "",
        "{}",
        "<Policy/>",
        r#"{"Version": "2012-10-17", "Statement": []}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::other/*"}}"#,
    ] {
        let put = Req::new("PUT", "/bkt?policy").body(text.as_bytes());
        let reply = server.send(by(ALICE, put)).await;
        assert_eq!(reply.status, 400, "{text}: {}", reply.text());
    }
    assert_eq!(status(&server, None, Req::new("GET", "/bkt/k")).await, 200);
    let shown = ask(&server, ALICE, "GET", "/bkt?policyStatus").await;
    assert_eq!(shown.element("IsPublic").as_deref(), Some("true"));
    ask(&server, ALICE, "DELETE", "/bkt?policy")
        .await
        .expect(204);
    ask(&server, ALICE, "GET", "/bkt?policy")
        .await
        .refused(404, "NoSuchBucketPolicy");
    let shown = ask(&server, ALICE, "GET", "/bkt?policyStatus").await;
    assert_eq!(shown.element("IsPublic").as_deref(), Some("false"));
}
