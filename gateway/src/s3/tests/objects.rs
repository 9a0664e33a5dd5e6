//! Objects: what goes in comes out.

use super::Server;
use super::wire::{Mode, Req};

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let server = Server::with_bucket().await;
    let body: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let put = Req::new("PUT", "/bkt/dir/a%20b")
        .header("content-type", "text/x-test")
        .header("cache-control", "no-store")
        .header("content-disposition", "attachment; filename=\"x\"")
        .header("content-language", "de")
        .header("expires", "not even a date")
        .header("x-amz-meta-color", "blue")
        .body(&body);
    let put = server.send(put).await.expect(200);
    let get = server
        .send(Req::new("GET", "/bkt/dir/a%20b"))
        .await
        .expect(200);
    assert_eq!(get.body, body);
    assert_eq!(get.get("etag"), put.get("etag"));
    for (name, value) in [
        ("content-type", "text/x-test"),
        ("cache-control", "no-store"),
        ("content-disposition", "attachment; filename=\"x\""),
        ("content-language", "de"),
        ("expires", "not even a date"),
        ("x-amz-meta-color", "blue"),
        ("accept-ranges", "bytes"),
        ("content-length", "100000"),
    ] {
        assert_eq!(get.get(name), Some(value), "{name}");
    }
    let head = server.send(Req::new("HEAD", "/bkt/dir/a%20b")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.get("content-length"), Some("100000"));
    assert_eq!(head.get("etag"), put.get("etag"));
    server
        .send(Req::new("DELETE", "/bkt/dir/a%20b"))
        .await
        .expect(204);
    let gone = server.send(Req::new("GET", "/bkt/dir/a%20b")).await;
    gone.refused(404, "NoSuchKey");
    server
        .send(Req::new("DELETE", "/bkt/dir/a%20b"))
        .await
        .expect(204);
}

#[tokio::test]
async fn buckets_are_made_found_listed_and_deleted() {
    let server = Server::start().await;
    let made = server.send(Req::new("PUT", "/one")).await.expect(200);
    assert_eq!(made.get("location"), Some("/one"));
    let again = server.send(Req::new("PUT", "/one")).await;
    again.refused(409, "BucketAlreadyOwnedByYou");
    let elsewhere = Req::new("PUT", "/two").body(
        b"<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint>\
          </CreateBucketConfiguration>",
    );
    let elsewhere = server.send(elsewhere).await;
    elsewhere.refused(400, "IllegalLocationConstraintException");
    let here = Req::new("PUT", "/two").body(
        b"<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
          <LocationConstraint>eu-test-1</LocationConstraint></CreateBucketConfiguration>",
    );
    server.send(here).await.expect(200);
    let head = server.send(Req::new("HEAD", "/one")).await.expect(200);
    assert_eq!(head.get("x-amz-bucket-region"), Some("eu-test-1"));
    server.send(Req::new("HEAD", "/none")).await.expect(404);
    let all = server.send(Req::new("GET", "/")).await.expect(200);
    assert_eq!(all.elements("Name"), ["one", "two"]);
    let some = server
        .send(Req::new("GET", "/?max-buckets=1"))
        .await
        .expect(200);
    assert_eq!(some.elements("Name"), ["one"]);
    let token = some.element("ContinuationToken").unwrap();
    let rest = Req::new("GET", &format!("/?continuation-token={token}"));
    assert_eq!(
        server.send(rest).await.expect(200).elements("Name"),
        ["two"]
    );
    let place = server
        .send(Req::new("GET", "/one?location"))
        .await
        .expect(200);
    assert!(place.text().contains("eu-test-1"), "{}", place.text());
    let versioning = server
        .send(Req::new("GET", "/one?versioning"))
        .await
        .expect(200);
    assert_eq!(versioning.element("Status"), None);
    server.send(Req::new("DELETE", "/one")).await.expect(204);
    server
        .send(Req::new("DELETE", "/one"))
        .await
        .refused(404, "NoSuchBucket");
    for bad in ["/ab", "/Upper", "/health", "/a_b_c"] {
        let bad = server.send(Req::new("PUT", bad)).await;
        bad.refused(400, "InvalidBucketName");
    }
}

#[tokio::test]
async fn a_bucket_with_objects_is_not_deleted() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    server
        .send(Req::new("DELETE", "/bkt"))
        .await
        .refused(409, "BucketNotEmpty");
}

#[tokio::test]
async fn settings_that_do_not_exist_are_answered_as_not_configured() {
    let server = Server::with_bucket().await;
    for (query, status, code) in [
        ("policy", 404, "NoSuchBucketPolicy"),
        ("lifecycle", 404, "NoSuchLifecycleConfiguration"),
        ("cors", 404, "NoSuchCORSConfiguration"),
        ("tagging", 404, "NoSuchTagSet"),
        ("object-lock", 404, "ObjectLockConfigurationNotFoundError"),
        ("replication", 501, "NotImplemented"),
    ] {
        let reply = server.send(Req::new("GET", &format!("/bkt?{query}"))).await;
        reply.refused(status, code);
        if status == 404 {
            let none = server
                .send(Req::new("GET", &format!("/none?{query}")))
                .await;
            none.refused(404, "NoSuchBucket");
        }
    }
    let acl = server.send(Req::new("GET", "/bkt?acl")).await.expect(200);
    assert!(acl.text().contains("FULL_CONTROL"));
    let payer = server
        .send(Req::new("GET", "/bkt?requestPayment"))
        .await
        .expect(200);
    assert_eq!(payer.element("Payer").as_deref(), Some("BucketOwner"));
}

#[tokio::test]
async fn ranges_give_the_bytes_they_name() {
    let server = Server::with_bucket().await;
    server.put("k", b"0123456789").await;
    for (range, status, body, header) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=8-", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        (
            "bytes=5-99999999999999999999999",
            206,
            "56789",
            Some("bytes 5-9/10"),
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let reply = server
                .send(Req::new(method, "/bkt/k").header("range", range))
                .await;
            let reply = reply.expect(status);
            assert_eq!(reply.get("content-range"), header, "{range}");
            assert_eq!(
                reply.get("content-length"),
                Some(body.len().to_string().as_str())
            );
            if method == "GET" {
                assert_eq!(reply.text(), body);
            }
        }
    }
    let beyond = server
        .send(Req::new("GET", "/bkt/k").header("range", "bytes=10-"))
        .await;
    let beyond = beyond.refused(416, "InvalidRange");
    assert_eq!(beyond.get("content-range"), Some("bytes */10"));
    assert_eq!(beyond.get("content-type"), Some("application/xml"));
    assert!(beyond.element("RequestId").is_some());
}

#[tokio::test]
async fn answers_can_be_dressed_by_the_request() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let target = "/bkt/k?response-cache-control=no-cache&response-content-type=text%2Fx";
    for method in ["GET", "HEAD"] {
        let reply = server.send(Req::new(method, target)).await.expect(200);
        assert_eq!(reply.get("cache-control"), Some("no-cache"));
        assert_eq!(reply.get("content-type"), Some("text/x"));
    }
    // A line break would begin a header of the attacker's.
    let split = "/bkt/k?response-content-type=a%0D%0Ax-evil%3A%201";
    let split = server.send(Req::new("GET", split)).await.expect(400);
    assert_eq!(split.get("x-evil"), None);
}

#[tokio::test]
async fn a_copy_takes_or_replaces_metadata() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/src%2Bx")
        .header("x-amz-meta-a", "1")
        .body(b"data");
    server.send(put).await.expect(200);
    let copy = Req::new("PUT", "/bkt/dst").header("x-amz-copy-source", "/bkt/src%2Bx");
    let copy = server.send(copy).await.expect(200);
    assert!(copy.element("ETag").is_some());
    let stored = server.memory.get_stored("dst").unwrap();
    assert_eq!(
        (stored.body.as_slice(), stored.metadata.get("x-amz-meta-a")),
        (&b"data"[..], Some("1"))
    );
    let replace = Req::new("PUT", "/bkt/dst")
        .header("x-amz-copy-source", "bkt/dst")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-b", "2");
    server.send(replace).await.expect(200);
    let stored = server.memory.get_stored("dst").unwrap();
    assert_eq!(stored.metadata.get("x-amz-meta-a"), None);
    assert_eq!(stored.metadata.get("x-amz-meta-b"), Some("2"));
    let onto_itself = Req::new("PUT", "/bkt/dst").header("x-amz-copy-source", "bkt/dst");
    server
        .send(onto_itself)
        .await
        .refused(400, "InvalidRequest");
    let stale = Req::new("PUT", "/bkt/dst")
        .header("x-amz-copy-source", "bkt/src%2Bx")
        .header("x-amz-copy-source-if-match", "\"0123\"");
    server.send(stale).await.refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let server = Server::with_bucket().await;
    server.put("a", b"x").await;
    server.put("b%26c", b"x").await;
    let body =
        b"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key></Object>\
        <Object><Key>b&amp;c</Key></Object><Object><Key>none</Key></Object>\
        <Object><Key>v</Key><VersionId>17</VersionId></Object></Delete>";
    let reply = server
        .send(Req::new("POST", "/bkt?delete").body(body))
        .await
        .expect(200);
    assert_eq!(reply.elements("Deleted").len(), 3, "{}", reply.text());
    assert_eq!(reply.element("Code").as_deref(), Some("InvalidArgument"));
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn writes_and_deletes_keep_their_conditions() {
    let server = Server::with_bucket().await;
    let fresh = || {
        Req::new("PUT", "/bkt/k")
            .header("if-none-match", "*")
            .body(b"1")
    };
    server.send(fresh()).await.expect(200);
    server
        .send(fresh())
        .await
        .refused(412, "PreconditionFailed");
    let etag = server.put("k", b"2").await.get("etag").unwrap().to_owned();
    let matching = |tag: &str| Req::new("PUT", "/bkt/k").header("if-match", tag).body(b"3");
    server
        .send(matching("\"beef\""))
        .await
        .refused(412, "PreconditionFailed");
    server.send(matching(&etag)).await.expect(200);
    let delete = |name: &str, value: &str| Req::new("DELETE", "/bkt/k").header(name, value);
    server
        .send(delete("if-match", &etag))
        .await
        .refused(412, "PreconditionFailed");
    server
        .send(delete("x-amz-if-match-size", "7"))
        .await
        .refused(412, "PreconditionFailed");
    server
        .send(delete("x-amz-if-match-size", "x"))
        .await
        .refused(400, "InvalidArgument");
    server
        .send(delete("x-amz-if-match-size", "1"))
        .await
        .expect(204);
}

#[tokio::test]
async fn checksums_are_kept_and_shown_when_asked_for() {
    let server = Server::with_bucket().await;
    for (at, name) in super::super::values::CHECKSUM_HEADERS
        .into_iter()
        .enumerate()
    {
        let kind = holdfast_protocol::ChecksumKind::ALL[at];
        let sum = super::super::claims::compute(kind, b"hello");
        use base64::Engine;
        let sum = base64::engine::general_purpose::STANDARD.encode(sum);
        let put = Req::new("PUT", "/bkt/k").header(name, &sum).body(b"hello");
        let put = server.send(put).await.expect(200);
        assert_eq!(put.get(name), Some(sum.as_str()));
        assert_eq!(put.get("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let plain = server.send(Req::new("GET", "/bkt/k")).await.expect(200);
        assert_eq!(plain.get(name), None);
        let asked = Req::new("GET", "/bkt/k").header("x-amz-checksum-mode", "ENABLED");
        let asked = server.send(asked).await.expect(200);
        assert_eq!(asked.get(name), Some(sum.as_str()));
        let wrong = Req::new("PUT", "/bkt/k").header(name, &sum).body(b"hellO");
        server.send(wrong).await.refused(400, "BadDigest");
        let none = Req::new("PUT", "/bkt/k")
            .header(name, "AAA=")
            .body(b"hello");
        server.send(none).await.refused(400, "InvalidRequest");
        let trailer = |value: &str| {
            let mut request = Req::new("PUT", "/bkt/t")
                .mode(Mode::UnsignedTrailer)
                .body(b"hello");
            request.trailer = Some((name.to_owned(), value.to_owned()));
            request
        };
        let put = server.send(trailer(&sum)).await.expect(200);
        assert_eq!(put.get(name), Some(sum.as_str()));
        let other = super::super::claims::compute(kind, b"hellO");
        let other = base64::engine::general_purpose::STANDARD.encode(other);
        server.send(trailer(&other)).await.refused(400, "BadDigest");
    }
}

#[tokio::test]
async fn tags_of_an_object_can_be_read_back() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/k")
        .header("x-amz-tagging", "a=1&b=x%20y")
        .body(b"x");
    server.send(put).await.expect(200);
    let get = server.send(Req::new("GET", "/bkt/k")).await.expect(200);
    assert_eq!(get.get("x-amz-tagging-count"), Some("2"));
    assert_eq!(get.get("x-amz-tagging"), None);
    let tags = server
        .send(Req::new("GET", "/bkt/k?tagging"))
        .await
        .expect(200);
    assert_eq!(tags.elements("Value"), ["1", "x y"]);
    let acl = server.send(Req::new("GET", "/bkt/k?acl")).await.expect(200);
    assert!(acl.text().contains("FULL_CONTROL"));
}
