//! Renames: the headers, who may, and what is refused with it.

use super::Server;
use super::isolation::{ALICE, BOB, ask, by, start};
use super::wire::Req;

const SOURCE: &str = "x-amz-rename-source";

fn rename(from: &str, to: &str) -> Req {
    Req::new("PUT", &format!("/bkt/{to}?renameObject")).header(SOURCE, from)
}

async fn text(server: &Server, key: &str) -> Option<String> {
    let got = server.send(Req::new("GET", &format!("/bkt/{key}"))).await;
    (got.status == 200).then(|| got.text())
}

#[tokio::test]
async fn the_source_is_a_key_with_or_without_a_slash_percent_encoded() {
    let server = Server::with_bucket().await;
    for (key, from) in [
        ("k", "k"),
        ("k", "/k"),
        ("dir/a%20b", "/dir/a%20b"),
        ("dir/a%20b", "dir%2Fa%20b"),
        ("a%2Bb", "a+b"),
        ("/k", "//k"),
        ("/k", "%2Fk"),
        ("%C3%A9", "%C3%A9"),
        ("bkt/k", "/bkt/k"),
        ("k%3FversionId=null", "k?versionId=null"),
    ] {
        server.put(key, b"bytes").await;
        let done = server.send(rename(from, "new")).await.expect(200);
        assert!(done.body.is_empty(), "{from}");
        assert_eq!(text(&server, key).await, None, "{from}");
        let now = text(&server, "new").await;
        assert_eq!(now.as_deref(), Some("bytes"), "{from}");
        assert_eq!(server.memory.count(), 1, "{from}");
    }
    let op = [("op", "RenameObject"), ("code", "200")];
    assert_eq!(server.metric("holdfast_s3_requests_total", &op), 10.0);
    let absent = server.send(rename("none", "k")).await;
    absent.refused(404, "NoSuchKey");
    for from in ["", "/", "%FF"] {
        let wrong = server.send(rename(from, "k")).await;
        wrong.refused(400, "InvalidArgument");
    }
    let long = server.send(rename(&"k".repeat(1025), "k")).await;
    long.refused(400, "KeyTooLongError");
    let none = Req::new("PUT", "/bkt/k?renameObject");
    server.send(none).await.refused(400, "InvalidArgument");
    let twice = rename("new", "k").header(SOURCE, "other");
    assert_ne!(server.send(twice).await.status, 200);
    assert_eq!(text(&server, "new").await.as_deref(), Some("bytes"));
    assert_eq!(server.memory.count(), 1);
}

#[tokio::test]
async fn what_it_does_not_apply_is_refused() {
    let server = Server::with_bucket().await;
    server.put("k", b"bytes").await;
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-meta-color", "blue"),
        ("x-amz-copy-source", "/bkt/k"),
        ("x-amz-copy-source-if-match", "*"),
        ("x-amz-source-expected-bucket-owner", "1"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-write-offset-bytes", "0"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-rename-source-version", "1"),
    ] {
        let refused = server.send(rename("k", "new").header(name, value)).await;
        refused.refused(501, "NotImplemented");
    }
    let body = server.send(rename("k", "new").body(b"x")).await;
    body.refused(400, "InvalidRequest");
    let claim = rename("k", "new").header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    server.send(claim).await.refused(400, "BadDigest");
    for token in ["", "a b", "\u{e9}", &"t".repeat(65)] {
        let wrong = rename("k", "new").header("x-amz-client-token", token);
        server.send(wrong).await.refused(400, "InvalidArgument");
    }
    // Nor is its header ignored elsewhere: an empty object would be written.
    for request in [
        Req::new("PUT", "/bkt/new").header(SOURCE, "k"),
        Req::new("PUT", "/bkt/new").header("x-amz-rename-source-if-match", "*"),
        Req::new("GET", "/bkt/k").header(SOURCE, "k"),
        Req::new("POST", "/bkt/k?uploads").header(SOURCE, "k"),
    ] {
        server.send(request).await.refused(501, "NotImplemented");
    }
    assert_eq!(text(&server, "k").await.as_deref(), Some("bytes"));
    assert_eq!(server.memory.count(), 1);
}

#[tokio::test]
async fn conditions_and_a_presigned_source_count() {
    let server = Server::with_bucket().await;
    let etag = server
        .put("k", b"bytes")
        .await
        .get("etag")
        .map(str::to_owned);
    let etag = etag.unwrap();
    let source = |name: &str| format!("{SOURCE}-{name}");
    for (name, value) in [
        (source("if-match"), "\"0\""),
        (source("if-none-match"), etag.as_str()),
        (source("if-none-match"), "*"),
        (
            source("if-unmodified-since"),
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ),
        ("if-match".to_owned(), "*"),
    ] {
        let refused = server.send(rename("k", "new").header(&name, value)).await;
        refused.refused(412, "PreconditionFailed");
    }
    let mut presigned = Req::new("PUT", "/bkt/new?renameObject");
    let source = ("x-amz-rename-source".to_owned(), "k".to_owned());
    presigned.query.push(source);
    let tag = etag.trim_matches('"').to_owned();
    let if_match = ("x-amz-rename-source-if-match".to_owned(), tag);
    presigned.query.push(if_match);
    server.send(presigned.presigned()).await.expect(200);
    assert_eq!(text(&server, "new").await.as_deref(), Some("bytes"));
    server.put("k", b"other").await;
    let fresh = rename("k", "new").header("if-none-match", "*");
    server.send(fresh).await.refused(412, "PreconditionFailed");
    let owner = rename("k", "new").header("x-amz-expected-bucket-owner", "999999999999");
    server.send(owner).await.refused(403, "AccessDenied");
    let token = rename("k", "new").header("x-amz-client-token", &"~".repeat(64));
    server.send(token).await.expect(200);
}

fn policy(statements: &[(&str, &str, &str)]) -> Req {
    let statement = |(effect, actions, key): &(&str, &str, &str)| {
        format!(
            r#"{{"Effect": "{effect}", "Principal": {{"AWS": "arn:aws:iam::100000000002:root"}},
                "Action": [{actions}], "Resource": "arn:aws:s3:::bkt/{key}"}}"#
        )
    };
    let all: Vec<String> = statements.iter().map(statement).collect();
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        all.join(", ")
    );
    by(ALICE, Req::new("PUT", "/bkt?policy").body(text.as_bytes()))
}

#[tokio::test]
async fn it_needs_the_rights_to_read_and_delete_the_one_name_and_to_write_the_other() {
    let (server, _) = start().await;
    let (get, delete, put) = (
        r#""s3:GetObject""#,
        r#""s3:DeleteObject""#,
        r#""s3:PutObject""#,
    );
    let all = r#""s3:GetObject", "s3:DeleteObject", "s3:PutObject""#;
    for (statements, allowed) in [
        (vec![("Allow", get, "k"), ("Allow", delete, "k")], false),
        (vec![("Allow", get, "k"), ("Allow", put, "new")], false),
        (vec![("Allow", delete, "k"), ("Allow", put, "new")], false),
        (vec![("Allow", all, "new")], false),
        (vec![("Allow", all, "k")], false),
        (vec![("Allow", all, "*"), ("Deny", get, "k")], false),
        (vec![("Allow", all, "*"), ("Deny", delete, "k")], false),
        (vec![("Allow", all, "*"), ("Deny", put, "new")], false),
        (vec![("Allow", all, "*"), ("Deny", all, "other")], true),
        (
            vec![
                ("Allow", get, "k"),
                ("Allow", delete, "k"),
                ("Allow", put, "new"),
            ],
            true,
        ),
    ] {
        let again = Req::new("PUT", "/bkt/k").body(b"as it was");
        server.send(by(ALICE, again)).await.expect(200);
        server.send(policy(&statements)).await.expect(204);
        let tried = server.send(by(BOB, rename("k", "new"))).await;
        match allowed {
            true => assert_eq!(tried.status, 200, "{statements:?}: {}", tried.text()),
            false => drop(tried.refused(403, "AccessDenied")),
        }
        let left = ask(&server, ALICE, "GET", "/bkt/k").await;
        assert_eq!(left.status == 404, allowed, "{statements:?}");
    }
    // What is not there is told to those who may list; what the new name has, to who may read it.
    let (some, none) = ([("Allow", all, "*")], rename("none", "new"));
    server.send(policy(&some)).await.expect(204);
    server
        .send(by(BOB, none))
        .await
        .refused(403, "AccessDenied");
    let write = [
        ("Allow", get, "k"),
        ("Allow", delete, "k"),
        ("Allow", put, "new"),
    ];
    server.send(policy(&write)).await.expect(204);
    let again = Req::new("PUT", "/bkt/k").body(b"as it was");
    server.send(by(ALICE, again)).await.expect(200);
    for (name, value) in [
        ("if-match", "*"),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let curious = by(BOB, rename("k", "new").header(name, value));
        server.send(curious).await.refused(403, "AccessDenied");
    }
    let fresh = by(BOB, rename("k", "new").header("if-none-match", "*"));
    server.send(fresh).await.refused(412, "PreconditionFailed");
}
