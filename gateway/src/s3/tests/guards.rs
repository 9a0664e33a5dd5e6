//! Each guard in front of the S3 library, by the attack it stops.

use super::Server;
use super::wire::{Mode, Req};

#[tokio::test]
async fn an_unsigned_header_cannot_change_the_operation() {
    let server = Server::with_bucket().await;
    server.put("private", b"not yours").await;
    for (name, value) in [
        ("x-amz-copy-source", "/bkt/private"),
        ("x-amz-meta-evil", "1"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-acl", "private"),
    ] {
        let presigned = Req::new("PUT", "/bkt/k").presigned().late(name, value);
        server.send(presigned).await.refused(403, "AccessDenied");
        if name != "x-amz-date" {
            let header = Req::new("PUT", "/bkt/k").late(name, value);
            server.send(header).await.refused(403, "AccessDenied");
        }
    }
    assert_eq!(server.memory.count(), 1);
    assert!(
        server.metric(
            "holdfast_s3_rejected_total",
            &[("reason", "unsigned_header")]
        ) > 0.0
    );
}

#[tokio::test]
async fn headers_that_only_describe_the_transfer_may_be_unsigned() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/k")
        .late("x-amz-sdk-checksum-algorithm", "CRC32")
        .body(b"x");
    let put = server.send(put).await.expect(200);
    assert!(put.get("x-amz-checksum-crc32").is_some());
}

#[tokio::test]
async fn a_header_said_to_be_signed_must_be_there() {
    let server = Server::with_bucket().await;
    // The library leaves the missing one out of what it signs itself.
    let missing = String::from_utf8(Req::new("GET", "/bkt").bytes()).unwrap();
    let missing = missing.replace("SignedHeaders=", "SignedHeaders=a-none;");
    let reply = server.raw(missing.as_bytes()).await;
    reply.refused(403, "SignatureDoesNotMatch");
    let mut hostless = Req::new("GET", "/bkt");
    hostless.signed = Some(|names| names.into_iter().filter(|name| name != "host").collect());
    server.send(hostless).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn signature_version_2_is_refused_in_every_form() {
    let server = Server::with_bucket().await;
    let header = Req::new("GET", "/bkt")
        .anonymous()
        .late("authorization", "AWS AKTEST:c2lnbmF0dXJl")
        .late("date", "Fri, 20 Nov 2026 17:00:00 GMT");
    server.send(header).await.refused(400, "InvalidRequest");
    let query = "/bkt?AWSAccessKeyId=AKTEST&Expires=4000000000&Signature=c2ln";
    server
        .send(Req::new("GET", query).anonymous())
        .await
        .refused(400, "InvalidRequest");
    let only = "/bkt?Signature=c2ln";
    server
        .send(Req::new("GET", only).anonymous())
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn malformed_claims_have_codes_of_their_own() {
    let server = Server::with_bucket().await;
    for (value, code) in [
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
            "AuthorizationHeaderMalformed",
        ),
        ("AWS4-HMAC-SHA256 x", "AuthorizationHeaderMalformed"),
        ("Bearer token", "InvalidArgument"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
    ] {
        let request = Req::new("GET", "/bkt")
            .anonymous()
            .late("authorization", value);
        server.send(request).await.refused(400, code);
    }
    for query in [
        "X-Amz-Signature=00",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=x",
    ] {
        let request = Req::new("GET", &format!("/bkt?{query}")).anonymous();
        server
            .send(request)
            .await
            .refused(400, "AuthorizationQueryParametersError");
    }
    let both = Req::new("GET", "/bkt")
        .presigned()
        .late("authorization", "AWS4-HMAC-SHA256 x");
    server.send(both).await.refused(400, "InvalidArgument");
    let mut undated = Req::new("GET", "/bkt");
    undated.signed = None;
    let text = String::from_utf8(undated.bytes()).unwrap();
    let lines: Vec<&str> = text
        .split("\r\n")
        .filter(|l| !l.starts_with("x-amz-date"))
        .collect();
    server
        .raw(lines.join("\r\n").as_bytes())
        .await
        .refused(403, "AccessDenied");
    let payload = Req::new("GET", "/bkt")
        .anonymous()
        .late("x-amz-content-sha256", "abc");
    server.send(payload).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn the_region_of_the_scope_must_be_ours() {
    let server = Server::with_bucket().await;
    let mut header = Req::new("GET", "/bkt");
    header.region = "us-east-1".to_owned();
    let reply = server
        .send(header)
        .await
        .refused(400, "AuthorizationHeaderMalformed");
    assert_eq!(reply.element("Region").as_deref(), Some("eu-test-1"));
    let mut query = Req::new("GET", "/bkt").presigned();
    query.region = "us-east-1".to_owned();
    server
        .send(query)
        .await
        .refused(400, "AuthorizationQueryParametersError");
}

#[tokio::test]
async fn session_tokens_are_refused_wherever_they_are() {
    let server = Server::with_bucket().await;
    let header = Req::new("GET", "/bkt").header("x-amz-security-token", "t");
    server.send(header).await.refused(400, "InvalidToken");
    for name in ["X-Amz-Security-Token", "x-amz-security-token"] {
        let query = Req::new("GET", &format!("/bkt?{name}=t")).presigned();
        server.send(query).await.refused(400, "InvalidToken");
    }
}

#[tokio::test]
async fn no_unknown_subresource_falls_through() {
    let server = Server::with_bucket().await;
    server.put("k", b"as it was").await;
    for (method, target) in [
        ("PUT", "/bkt/k?renameobject"),
        ("PUT", "/bkt/k?renameObject&versionId=null"),
        ("PUT", "/bkt/k?encryption"),
        ("PUT", "/bkt/k?uploadId=u"),
        ("PUT", "/bkt/k?partNumber=1"),
        ("DELETE", "/bkt?metadataConfiguration"),
        ("DELETE", "/bkt/k?annotation=1"),
        ("PUT", "/bkt?abac"),
        ("GET", "/bkt/k?torrent"),
        ("GET", "/bkt?session"),
        ("GET", "/bkt?location&acl"),
        ("GET", "/?x-id=x&events"),
        ("HEAD", "/bkt?acl"),
        ("POST", "/bkt/k?select&select-type=2"),
        ("POST", "/bkt/k?restore"),
        ("POST", "/bkt/k"),
        ("POST", "/bkt?form"),
        ("POST", "/bkt?metadataTable"),
    ] {
        let reply = server.send(Req::new(method, target).body(b"<x/>")).await;
        assert_eq!(reply.status, 501, "{method} {target}: {}", reply.text());
        let presigned = server.send(Req::new(method, target).presigned()).await;
        assert_eq!(presigned.status, 501, "{method} {target}, presigned");
    }
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    // The library would take this for another operation than the one that was authorised.
    let other = server
        .send(Req::new("GET", "/?x-id=ListDirectoryBuckets"))
        .await
        .expect(200);
    assert!(other.text().contains("ListAllMyBucketsResult"));
}

#[tokio::test]
async fn a_parameter_given_twice_is_refused() {
    let server = Server::with_bucket().await;
    let twice = "/bkt?list-type=2&list-type=1";
    server
        .send(Req::new("GET", twice))
        .await
        .refused(400, "InvalidArgument");
    let bad = "/bkt?list-type=3";
    server
        .send(Req::new("GET", bad))
        .await
        .refused(400, "InvalidArgument");
}

#[tokio::test]
async fn hidden_forms_and_other_methods_are_refused() {
    let server = Server::with_bucket().await;
    let hidden = Req::new("POST", "/bkt?delete")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(b"--b--\r\n");
    server.send(hidden).await.refused(501, "NotImplemented");
    for method in ["PATCH", "TRACE", "CONNECT", "PROPFIND"] {
        if method == "CONNECT" {
            continue;
        }
        server
            .send(Req::new(method, "/bkt/k"))
            .await
            .refused(405, "MethodNotAllowed");
    }
    let preflight = Req::new("OPTIONS", "/bkt/k")
        .anonymous()
        .late("origin", "https://a.test")
        .late("access-control-request-method", "GET");
    let preflight = server.send(preflight).await.refused(403, "AccessForbidden");
    assert_eq!(preflight.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_would_be_a_lie_to_accept_is_refused() {
    let server = Server::with_bucket().await;
    for (name, value, status, code) in [
        (
            "x-amz-server-side-encryption",
            "AES256",
            501,
            "NotImplemented",
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256",
            501,
            "NotImplemented",
        ),
        (
            "x-amz-object-lock-mode",
            "COMPLIANCE",
            400,
            "InvalidArgument",
        ),
        ("x-amz-object-lock-legal-hold", "on", 400, "InvalidArgument"),
        (
            "x-amz-acl",
            "public-read",
            400,
            "AccessControlListNotSupported",
        ),
        ("x-amz-acl", "private", 400, "AccessControlListNotSupported"),
        (
            "x-amz-grant-read",
            "id=x",
            400,
            "AccessControlListNotSupported",
        ),
        (
            "x-amz-expected-bucket-owner",
            "somebody",
            403,
            "AccessDenied",
        ),
        ("x-amz-storage-class", "PAPER", 400, "InvalidStorageClass"),
        ("x-amz-checksum-sha512", "AAAA", 501, "NotImplemented"),
    ] {
        let put = Req::new("PUT", "/bkt/k").header(name, value).body(b"x");
        server.send(put).await.refused(status, code);
    }
    assert_eq!(server.memory.count(), 0);
    let own = Req::new("PUT", "/bkt/k")
        .header("x-amz-acl", "bucket-owner-full-control")
        .header("x-amz-expected-bucket-owner", super::ACCESS)
        .body(b"x");
    server.send(own).await.expect(200);
}

#[tokio::test]
async fn the_checksum_of_a_document_is_compared() {
    let server = Server::with_bucket().await;
    server.put("a", b"x").await;
    let body = b"<Delete><Object><Key>a</Key></Object></Delete>";
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "short", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "no", "InvalidRequest"),
    ] {
        let request = Req::new("POST", "/bkt?delete")
            .header(name, value)
            .body(body);
        server.send(request).await.refused(400, code);
    }
    assert_eq!(server.memory.count(), 1);
    for mode in [Mode::UnsignedTrailer, Mode::ChunksTrailer] {
        let mut request = Req::new("POST", "/bkt?delete").mode(mode).body(body);
        let trailer = ("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned());
        request.trailer = Some(trailer);
        server.send(request).await.refused(400, "BadDigest");
        assert_eq!(server.memory.count(), 1);
    }
    let unsized_document = |mut request: Req| {
        request.transfer_chunked = true;
        request
    };
    let request = unsized_document(Req::new("POST", "/bkt?delete").body(body));
    server.send(request).await.expect(200);
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn the_md5_of_an_object_is_handed_to_the_domain() {
    let server = Server::with_bucket().await;
    let put = |md5: &str| {
        Req::new("PUT", "/bkt/k")
            .header("content-md5", md5)
            .body(b"hello")
    };
    server
        .send(put("XUFAKrxLKna5cZ2REBfFkg=="))
        .await
        .expect(200);
    server
        .send(put("XUFAKrxLKna5cZ2REBfFkA=="))
        .await
        .refused(400, "BadDigest");
    server
        .send(put("XUFAKrxLKna5cZ2REBfF"))
        .await
        .refused(400, "InvalidDigest");
    let two = Req::new("PUT", "/bkt/k")
        .header("x-amz-checksum-crc32", "NhCmhg==")
        .header("x-amz-checksum-crc32c", "mnG7TA==")
        .body(b"hello");
    server.send(two).await.refused(400, "InvalidRequest");
    let other = Req::new("PUT", "/bkt/k")
        .header("x-amz-checksum-crc32", "NhCmhg==")
        .header("x-amz-sdk-checksum-algorithm", "SHA1")
        .body(b"hello");
    server.send(other).await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn documents_are_bounded_in_size_depth_and_elements() {
    let server = Server::with_bucket().await;
    let big = vec![b' '; (2 << 20) + 1];
    let request = Req::new("POST", "/bkt?delete").body(&big);
    server.send(request).await.refused(400, "EntityTooLarge");
    let mut request = Req::new("POST", "/bkt?delete").body(&big);
    request.transfer_chunked = true;
    server
        .send(request)
        .await
        .refused(400, "MaxMessageLengthExceeded");
    let deep = "<a>".repeat(100_000);
    let many = format!("<Delete>{}</Delete>", "<a/>".repeat(100_001));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><Delete>&a;</Delete>".to_owned();
    for document in [
        deep,
        many,
        bomb,
        "<Delete".to_owned(),
        "<Delete></Wrong>".to_owned(),
    ] {
        let request = Req::new("POST", "/bkt?delete").body(document.as_bytes());
        server.send(request).await.refused(400, "MalformedXML");
    }
    let keys = "<Object><Key>k</Key></Object>".repeat(1001);
    let request =
        Req::new("POST", "/bkt?delete").body(format!("<Delete>{keys}</Delete>").as_bytes());
    server.send(request).await.refused(400, "MalformedXML");
}

#[tokio::test]
async fn the_content_encoding_of_the_transfer_is_not_kept() {
    let server = Server::with_bucket().await;
    let plain = Req::new("PUT", "/bkt/k")
        .mode(Mode::UnsignedTrailer)
        .body(b"x");
    server.send(plain).await.expect(200);
    let kept = server.memory.get_stored("k").unwrap();
    assert_eq!(kept.metadata.get("content-encoding"), None);
    let zipped = Req::new("PUT", "/bkt/k")
        .mode(Mode::Chunks)
        .header("content-encoding", "gzip")
        .body(b"x");
    server.send(zipped).await.expect(200);
    let kept = server.memory.get_stored("k").unwrap();
    assert_eq!(kept.metadata.get("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn keys_are_never_paths() {
    let server = Server::with_bucket().await;
    for key in [
        "../../etc/passwd",
        "..",
        "a/../../b",
        "%2e%2e/x",
        "a//b",
        "/abs",
    ] {
        let wire = super::wire::encode(key).replace("%2F", "/");
        let reply = server
            .send(Req::new("PUT", &format!("/bkt/{wire}")).body(b"x"))
            .await;
        reply.expect(200);
        assert!(server.memory.get_stored(key).is_some(), "{key}");
    }
    let copy = Req::new("PUT", "/bkt/c").header("x-amz-copy-source", "/../bkt/..");
    let status = server.send(copy).await.status;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test]
async fn forwarded_addresses_and_internal_headers_mean_nothing() {
    let server = Server::with_bucket().await;
    for (name, value) in [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "other.s3.test"),
        ("x-holdfast-principal", "admin"),
    ] {
        let reply = server
            .send(Req::new("GET", "/bkt").anonymous().late(name, value))
            .await;
        reply.refused(403, "AccessDenied");
    }
}
