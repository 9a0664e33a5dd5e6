//! ACLs, object ownership, the public access block and requester pays, in force.
//!
//! Method: the bucket `bkt` is Alice's; Bob and nobody ask, where ACLs are off and where they are
//! on.

use super::Server;
use super::isolation::{ALICE, BOB, ask, by, start, start_with};
use super::wire::Req;
use crate::s3::BucketAcls;

const PUBLIC: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*"]}}"#;

fn id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

async fn on() -> Server {
    start_with(BucketAcls::On).await.0
}

async fn status(server: &Server, access: Option<&str>, request: Req) -> u16 {
    let request = match access {
        Some(access) => by(access, request),
        None => request.anonymous(),
    };
    server.send(request).await.status
}

async fn set(server: &Server, target: &str, acl: &str) {
    let put = Req::new("PUT", target).header("x-amz-acl", acl);
    server.send(by(ALICE, put)).await.expect(200);
}

fn get(target: &str) -> Req {
    Req::new("GET", target)
}

#[tokio::test]
async fn new_buckets_are_closed_unless_the_operator_says_otherwise() {
    let (server, _) = start().await;
    let shown = ask(&server, ALICE, "GET", "/bkt?ownershipControls").await;
    let rule = shown.expect(200).element("ObjectOwnership");
    assert_eq!(rule.as_deref(), Some("BucketOwnerEnforced"));
    let shown = ask(&server, ALICE, "GET", "/bkt?publicAccessBlock").await;
    let text = shown.expect(200).text();
    assert_eq!(text.matches(">true<").count(), 4, "{text}");
    for (target, acl) in [("/bkt?acl", "private"), ("/bkt/k?acl", "public-read")] {
        let put = by(ALICE, Req::new("PUT", target).header("x-amz-acl", acl));
        let refused = server.send(put).await;
        refused.refused(400, "AccessControlListNotSupported");
        let full = Req::new("PUT", target).header("x-amz-acl", "bucket-owner-full-control");
        server.send(by(ALICE, full)).await.expect(200);
    }
    let public = || {
        by(
            ALICE,
            Req::new("PUT", "/bkt?policy").body(PUBLIC.as_bytes()),
        )
    };
    server.send(public()).await.refused(403, "AccessDenied");
    let server = on().await;
    ask(&server, ALICE, "GET", "/bkt?ownershipControls")
        .await
        .refused(404, "OwnershipControlsNotFoundError");
    ask(&server, ALICE, "GET", "/bkt?publicAccessBlock")
        .await
        .refused(404, "NoSuchPublicAccessBlockConfiguration");
    server.send(public()).await.expect(204);
}

#[tokio::test]
async fn canned_lists_of_objects_say_who_reads_them() {
    let server = on().await;
    for (acl, bob, nobody) in [
        ("private", 403, 403),
        ("authenticated-read", 200, 403),
        ("public-read", 200, 200),
        ("bucket-owner-read", 403, 403),
    ] {
        set(&server, "/bkt/k?acl", acl).await;
        assert_eq!(
            status(&server, Some(BOB), get("/bkt/k")).await,
            bob,
            "{acl}"
        );
        assert_eq!(status(&server, None, get("/bkt/k")).await, nobody, "{acl}");
        assert_eq!(status(&server, None, Req::new("PUT", "/bkt/k")).await, 403);
        assert_eq!(status(&server, None, get("/bkt/k?acl")).await, 403, "{acl}");
        assert_eq!(status(&server, None, get("/bkt/k?tagging")).await, 403);
        let own = status(&server, Some(ALICE), get("/bkt/k")).await;
        assert_eq!(own, 200, "{acl}");
        let put = Req::new("PUT", "/bkt/new").header("x-amz-acl", acl);
        server.send(by(ALICE, put)).await.expect(200);
        let new = status(&server, None, get("/bkt/new")).await;
        assert_eq!(new, nobody, "{acl}");
    }
}

#[tokio::test]
async fn lists_of_buckets_say_who_lists_and_writes() {
    let server = on().await;
    for (acl, lists, writes) in [
        ("private", 403, 403),
        ("public-read", 200, 403),
        ("public-read-write", 200, 200),
    ] {
        set(&server, "/bkt?acl", acl).await;
        let gone = if lists == 200 { 404 } else { 403 };
        for access in [Some(BOB), None] {
            for (target, expected) in [
                ("/bkt", lists),
                ("/bkt?versions", lists),
                ("/bkt/k", 403),
                ("/bkt?acl", 403),
                ("/bkt/gone", gone),
            ] {
                let got = status(&server, access, get(target)).await;
                assert_eq!(got, expected, "{acl} {access:?} {target}");
            }
            let put = Req::new("PUT", "/bkt/theirs").body(b"x");
            let put = status(&server, access, put).await;
            assert_eq!(put, writes, "{acl} {access:?}");
        }
        ask(&server, ALICE, "DELETE", "/bkt/theirs")
            .await
            .expect(204);
    }
    set(&server, "/bkt?acl", "public-read-write").await;
    let read = Req::new("PUT", "/bkt/theirs").header("x-amz-acl", "public-read");
    let read = read.header("x-amz-tagging", "a=b").body(b"x");
    assert_eq!(status(&server, None, read).await, 200);
    assert_eq!(status(&server, None, get("/bkt/theirs")).await, 200);
    let delete = Req::new("DELETE", "/bkt/k");
    assert_eq!(status(&server, Some(BOB), delete).await, 403);
    assert!(server.memory.get_stored("k").is_some());
}

async fn owner(server: &Server, access: &str) -> Option<String> {
    let shown = ask(server, access, "GET", "/bkt/bobs?acl").await;
    shown.expect(200).element("ID")
}

fn ownership(rule: &str) -> Req {
    let document = format!(
        "<OwnershipControls><Rule><ObjectOwnership>{rule}</ObjectOwnership></Rule>\
         </OwnershipControls>"
    );
    let put = Req::new("PUT", "/bkt?ownershipControls").body(document.as_bytes());
    by(ALICE, put)
}

#[tokio::test]
async fn what_others_write_is_theirs_where_writers_own() {
    let server = on().await;
    set(&server, "/bkt?acl", "public-read-write").await;
    let put = || by(BOB, Req::new("PUT", "/bkt/bobs").body(b"bobs"));
    let full = || put().header("x-amz-acl", "bucket-owner-full-control");
    server.send(put()).await.expect(200);
    assert_eq!(owner(&server, BOB).await, Some(id(2)));
    assert_eq!(status(&server, Some(BOB), get("/bkt/bobs")).await, 200);
    for target in ["/bkt/bobs", "/bkt/bobs?acl", "/bkt/bobs?tagging"] {
        assert_eq!(status(&server, Some(ALICE), get(target)).await, 403);
    }
    let listed = ask(&server, ALICE, "GET", "/bkt").await.expect(200);
    assert_eq!(listed.elements("ID"), [id(2), id(1)]);
    server.send(full()).await.expect(200);
    assert_eq!(status(&server, Some(ALICE), get("/bkt/bobs")).await, 200);
    assert_eq!(owner(&server, ALICE).await, Some(id(2)));
    let preferred = server.send(ownership("BucketOwnerPreferred")).await;
    preferred.expect(200);
    server.send(put()).await.expect(200);
    assert_eq!(owner(&server, BOB).await, Some(id(2)));
    server.send(full()).await.expect(200);
    assert_eq!(owner(&server, ALICE).await, Some(id(1)));
    server
        .send(ownership("BucketOwnerEnforced"))
        .await
        .refused(400, "InvalidBucketAclWithObjectOwnership");
    let odd = server.send(ownership("Nobody")).await;
    odd.refused(400, "MalformedXML");
    server.send(put()).await.expect(200);
    set(&server, "/bkt?acl", "private").await;
    let enforced = server.send(ownership("BucketOwnerEnforced")).await;
    enforced.expect(200);
    assert_eq!(status(&server, Some(ALICE), get("/bkt/bobs")).await, 200);
    assert_eq!(status(&server, Some(BOB), get("/bkt/bobs")).await, 403);
    assert_eq!(owner(&server, ALICE).await, Some(id(1)));
}

#[tokio::test]
async fn uploads_are_of_those_who_began_them() {
    let server = on().await;
    set(&server, "/bkt?acl", "public-read-write").await;
    let made = ask(&server, BOB, "POST", "/bkt/big?uploads").await;
    let upload = made.expect(200).element("UploadId").unwrap();
    let target = format!("/bkt/big?uploadId={upload}");
    assert_eq!(status(&server, None, get(&target)).await, 403);
    let abort = || Req::new("DELETE", &target);
    assert_eq!(status(&server, None, abort()).await, 403);
    for access in [BOB, ALICE] {
        let parts = ask(&server, access, "GET", &target).await.expect(200);
        assert_eq!(parts.elements("ID"), [id(2), id(2)]);
    }
    let listed = ask(&server, ALICE, "GET", "/bkt?uploads").await;
    assert_eq!(listed.expect(200).elements("ID"), [id(2), id(2)]);
    assert_eq!(status(&server, Some(BOB), abort()).await, 204);
}

#[tokio::test]
async fn grants_are_read_from_headers_and_documents_and_shown() {
    let server = on().await;
    let grant = format!("id=\"{}\"", id(2));
    let put = Req::new("PUT", "/bkt/k?acl")
        .header("x-amz-grant-read", &grant)
        .header("x-amz-grant-write-acp", &grant);
    server.send(by(ALICE, put)).await.expect(200);
    assert_eq!(status(&server, Some(BOB), get("/bkt/k")).await, 200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 403);
    let shown = ask(&server, ALICE, "GET", "/bkt/k?acl").await.expect(200);
    assert_eq!(shown.elements("Permission"), ["READ", "WRITE_ACP"]);
    let document = |owner: &str, grantee: &str| {
        format!(
            "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner>\
             <ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
             {grantee}</Grantee><Permission>READ</Permission></Grant></AccessControlList>\
             </AccessControlPolicy>"
        )
    };
    let all = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>";
    let put = |access, text: &str| {
        let put = Req::new("PUT", "/bkt/k?acl").body(text.as_bytes());
        by(access, put)
    };
    let whole = document(&id(1), all);
    server.send(put(BOB, &whole)).await.expect(200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 200);
    // It took away the right that it was set by.
    let again = server.send(put(BOB, &whole)).await;
    again.refused(403, "AccessDenied");
    for (owner, grantee, status, code) in [
        (id(2), all, 403, "AccessDenied"),
        (id(1), "<ID>nobody</ID>", 400, "InvalidArgument"),
        (
            id(1),
            "<URI>http://x.example/</URI>",
            400,
            "InvalidArgument",
        ),
        (id(1), "<ID>a</ID><URI>b</URI>", 400, "MalformedACLError"),
        (
            id(1),
            "<EmailAddress>a@b.example</EmailAddress>",
            400,
            "UnresolvableGrantByEmailAddress",
        ),
    ] {
        let reply = server.send(put(ALICE, &document(&owner, grantee))).await;
        reply.refused(status, code);
    }
    let none = by(ALICE, Req::new("PUT", "/bkt/k?acl"));
    let none = server.send(none).await;
    none.refused(400, "MissingSecurityHeader");
    let both = put(ALICE, &whole).header("x-amz-acl", "private");
    server.send(both).await.refused(400, "UnexpectedContent");
    let mixed = Req::new("PUT", "/bkt/k?acl")
        .header("x-amz-acl", "private")
        .header("x-amz-grant-read", &grant);
    let mixed = server.send(by(ALICE, mixed)).await;
    mixed.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn the_public_access_block_refuses_and_ignores_what_is_public() {
    let server = on().await;
    set(&server, "/bkt/k?acl", "public-read").await;
    let policy = || {
        let put = Req::new("PUT", "/bkt?policy").body(PUBLIC.as_bytes());
        by(ALICE, put)
    };
    let block = |flag: &str| {
        let document = format!(
            "<PublicAccessBlockConfiguration><{flag}>true</{flag}>\
             </PublicAccessBlockConfiguration>"
        );
        let put = Req::new("PUT", "/bkt?publicAccessBlock").body(document.as_bytes());
        by(ALICE, put)
    };
    server.send(block("BlockPublicAcls")).await.expect(200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 200);
    for target in ["/bkt/k?acl", "/bkt?acl", "/bkt/new"] {
        let put = Req::new("PUT", target).header("x-amz-acl", "public-read");
        let refused = server.send(by(ALICE, put)).await;
        refused.refused(403, "AccessDenied");
    }
    server.send(block("IgnorePublicAcls")).await.expect(200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 403);
    server.send(block("BlockPublicPolicy")).await.expect(200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 200);
    server.send(policy()).await.refused(403, "AccessDenied");
    ask(&server, ALICE, "DELETE", "/bkt?publicAccessBlock")
        .await
        .expect(204);
    server.send(policy()).await.expect(204);
    set(&server, "/bkt/k?acl", "private").await;
    assert_eq!(status(&server, None, get("/bkt/k")).await, 200);
    let restricted = server.send(block("RestrictPublicBuckets")).await;
    restricted.expect(200);
    assert_eq!(status(&server, None, get("/bkt/k")).await, 403);
    assert_eq!(status(&server, Some(ALICE), get("/bkt/k")).await, 200);
}

#[tokio::test]
async fn a_bucket_is_made_with_the_list_that_is_asked_for() {
    let server = on().await;
    let make = |target: &str| by(ALICE, Req::new("PUT", target));
    let public = make("/pub").header("x-amz-acl", "public-read");
    server.send(public).await.expect(200);
    assert_eq!(status(&server, None, get("/pub")).await, 200);
    let enforced = |acl: &str| {
        make("/own")
            .header("x-amz-object-ownership", "BucketOwnerEnforced")
            .header("x-amz-acl", acl)
    };
    let refused = server.send(enforced("public-read")).await;
    refused.refused(400, "InvalidBucketAclWithObjectOwnership");
    server.send(enforced("private")).await.expect(200);
    let odd = make("/odd").header("x-amz-object-ownership", "Nobody");
    server.send(odd).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn where_the_requester_pays_he_says_so() {
    let server = on().await;
    set(&server, "/bkt/k?acl", "public-read").await;
    let document = b"<RequestPaymentConfiguration><Payer>Requester</Payer>\
        </RequestPaymentConfiguration>";
    let put = Req::new("PUT", "/bkt?requestPayment").body(document);
    server.send(by(ALICE, put)).await.expect(200);
    let pays = || get("/bkt/k").header("x-amz-request-payer", "requester");
    assert_eq!(status(&server, Some(BOB), get("/bkt/k")).await, 403);
    assert_eq!(status(&server, Some(BOB), pays()).await, 200);
    assert_eq!(status(&server, Some(ALICE), get("/bkt/k")).await, 200);
    assert_eq!(status(&server, None, pays()).await, 403);
}
