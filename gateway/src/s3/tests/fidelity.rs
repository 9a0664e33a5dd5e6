//! Where the S3 library answers otherwise than AWS.

use super::Server;
use super::wire::{Mode, Req};

#[tokio::test]
async fn hosts_name_a_bucket_only_under_our_domains() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let at = |host: &str, target: &str| {
        let mut request = Req::new("GET", target);
        request.host = host.to_owned();
        request
    };
    for host in [
        "localhost:9000",
        "gateway",
        "gateway.svc.cluster.local:80",
        "[::1]:9000",
    ] {
        assert_eq!(
            server.send(at(host, "/bkt/k")).await.expect(200).text(),
            "x",
            "{host}"
        );
    }
    for host in ["bkt.s3.test", "bkt.s3.test:9000", "BKT.S3.Test"] {
        assert_eq!(
            server.send(at(host, "/k")).await.expect(200).text(),
            "x",
            "{host}"
        );
    }
    assert_eq!(
        server
            .send(at("s3.test:9000", "/bkt/k"))
            .await
            .expect(200)
            .text(),
        "x"
    );
    let listed = server
        .send(at("bkt.s3.test", "/?list-type=2"))
        .await
        .expect(200);
    assert_eq!(listed.elements("Key"), ["k"]);
    let presigned = at("bkt.s3.test", "/k").presigned();
    assert_eq!(server.send(presigned).await.expect(200).text(), "x");
}

#[tokio::test]
async fn errors_say_where_and_which_request() {
    let server = Server::with_bucket().await;
    let missing = server
        .send(Req::new("GET", "/bkt/a&b"))
        .await
        .refused(404, "NoSuchKey");
    assert_eq!(missing.element("Resource").as_deref(), Some("/bkt/a&amp;b"));
    let id = missing.get("x-amz-request-id").unwrap().to_owned();
    assert_eq!(missing.element("RequestId"), Some(id.clone()));
    assert_eq!(
        missing.element("HostId").as_deref(),
        missing.get("x-amz-id-2")
    );
    assert_eq!(missing.get("content-type"), Some("application/xml"));
    assert!(missing.element("Message").is_some());
    let mut wrong = Req::new("GET", "/bkt/k");
    wrong.secret = "another-secret".to_owned();
    let wrong = server
        .send(wrong)
        .await
        .refused(403, "SignatureDoesNotMatch");
    assert!(wrong.element("Message").is_some());
    let refused = server
        .send(Req::new("GET", "/bkt/k").anonymous())
        .await
        .expect(403);
    assert_eq!(refused.element("Resource").as_deref(), Some("/bkt/k"));
    let guarded = server
        .send(Req::new("GET", "/bkt/k?torrent"))
        .await
        .expect(501);
    assert!(
        guarded
            .element("RequestId")
            .is_some_and(|other| other != id)
    );
    let fine = server.send(Req::new("GET", "/bkt")).await.expect(200);
    assert!(fine.get("x-amz-request-id").is_some());
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let server = Server::with_bucket().await;
    let etag = server.put("k", b"x").await.get("etag").unwrap().to_owned();
    let cached = Req::new("GET", "/bkt/k").header("if-none-match", &etag);
    let cached = server.send(cached).await.expect(304);
    assert!(cached.body.is_empty());
    assert_eq!(cached.get("etag"), Some(etag.as_str()));
    assert!(cached.get("last-modified").is_some());
    assert_eq!(
        (cached.get("content-type"), cached.get("content-length")),
        (None, None)
    );
    let missing = server.send(Req::new("HEAD", "/bkt/none")).await.expect(404);
    assert!(missing.body.is_empty() && missing.get("content-type").is_none());
    let deleted = server
        .send(Req::new("DELETE", "/bkt/none"))
        .await
        .expect(204);
    assert!(deleted.body.is_empty());
    let mut wrong = Req::new("HEAD", "/bkt/k");
    wrong.secret = "another-secret".to_owned();
    assert!(server.send(wrong).await.expect(403).body.is_empty());
}

#[tokio::test]
async fn ranges_that_make_no_sense_are_ignored() {
    let server = Server::with_bucket().await;
    server.put("k", b"0123456789").await;
    for range in [
        "bytes=0-1,3-4",
        "bytes=4-2",
        "lines=0-1",
        "bytes=x",
        "bytes=",
        "nonsense",
        "-1",
    ] {
        let reply = server
            .send(Req::new("GET", "/bkt/k").header("range", range))
            .await;
        assert_eq!(reply.expect(200).text(), "0123456789", "{range}");
    }
    let huge = format!("bytes={}", vec!["0-0"; 2000].join(","));
    let reply = server
        .send(Req::new("GET", "/bkt/k").header("range", &huge))
        .await;
    assert_eq!(reply.expect(200).body.len(), 10);
}

#[tokio::test]
async fn dates_that_cannot_be_read_are_ignored() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    for name in ["if-modified-since", "if-unmodified-since"] {
        for date in [
            "yesterday",
            "2026-11-20",
            "",
            "Fri, 99 Nov 2026 00:00:00 GMT",
        ] {
            let reply = server
                .send(Req::new("GET", "/bkt/k").header(name, date))
                .await;
            reply.expect(200);
        }
    }
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for form in [
        old,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        let reply = server
            .send(Req::new("GET", "/bkt/k").header("if-unmodified-since", form))
            .await;
        reply.refused(412, "PreconditionFailed");
    }
    let future = "Fri, 31 Dec 2199 23:59:59 GMT";
    server
        .send(Req::new("GET", "/bkt/k").header("if-modified-since", future))
        .await
        .expect(200);
}

#[tokio::test]
async fn if_match_takes_a_list() {
    let server = Server::with_bucket().await;
    let etag = server.put("k", b"x").await.get("etag").unwrap().to_owned();
    let bare = etag.trim_matches('"').to_owned();
    for list in [
        format!("\"a\", {etag}"),
        format!("W/{etag}"),
        bare,
        "*".to_owned(),
    ] {
        let reply = server
            .send(Req::new("GET", "/bkt/k").header("if-match", &list))
            .await;
        reply.expect(200);
        let reply = server
            .send(Req::new("GET", "/bkt/k").header("if-none-match", &list))
            .await;
        reply.expect(304);
    }
    let none = Req::new("GET", "/bkt/k").header("if-match", "\"a\", \"b\"");
    server.send(none).await.refused(412, "PreconditionFailed");
    // A date does not overrule an entity tag (RFC 9110, 13.2.2).
    let both = Req::new("GET", "/bkt/k")
        .header("if-match", &etag)
        .header("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
    server.send(both).await.expect(200);
}

#[tokio::test]
async fn repeated_metadata_is_joined() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/k")
        .header("x-amz-meta-a", "1")
        .header("x-amz-meta-a", "2")
        .body(b"x");
    server.send(put).await.expect(200);
    let head = server.send(Req::new("HEAD", "/bkt/k")).await.expect(200);
    assert_eq!(head.get("x-amz-meta-a"), Some("1,2"));
}

#[tokio::test]
async fn metadata_beyond_ascii_goes_out_as_encoded_words() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/k")
        .header("x-amz-meta-a", "häus")
        .body(b"x");
    server.send(put).await.expect(200);
    assert_eq!(
        server
            .memory
            .get_stored("k")
            .unwrap()
            .metadata
            .get("x-amz-meta-a"),
        Some("häus")
    );
    let head = server.send(Req::new("HEAD", "/bkt/k")).await.expect(200);
    assert_eq!(head.get("x-amz-meta-a"), Some("=?UTF-8?B?aMOkdXM=?="));
}

#[tokio::test]
async fn user_metadata_is_bounded() {
    let server = Server::with_bucket().await;
    let put = |len: usize| {
        let value = "v".repeat(len);
        Req::new("PUT", "/bkt/k")
            .header("x-amz-meta-abc", &value)
            .body(b"x")
    };
    server.send(put(2045)).await.expect(200);
    server
        .send(put(2046))
        .await
        .refused(400, "MetadataTooLarge");
}

#[tokio::test]
async fn keys_are_bounded_in_bytes() {
    let server = Server::with_bucket().await;
    let key = |len: usize| format!("/bkt/{}", "k".repeat(len));
    server
        .send(Req::new("PUT", &key(1024)).body(b"x"))
        .await
        .expect(200);
    server
        .send(Req::new("PUT", &key(1025)).body(b"x"))
        .await
        .refused(400, "KeyTooLongError");
}

#[tokio::test]
async fn a_trailer_mode_without_announced_trailer_is_accepted() {
    let server = Server::with_bucket().await;
    let request = Req::new("PUT", "/bkt/k")
        .mode(Mode::UnsignedTrailer)
        .body(b"hello")
        .tamper(|b| {
            let at = b.windows(6).position(|w| w == b"x-amz-").unwrap();
            [&b[..at], b"\r\n"].concat()
        });
    // The header is signed by the client of these tests; a client that leaves it out signs without.
    let text = request.bytes();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("x-amz-trailer: "));
    let mut bare = Req::new("PUT", "/bkt/k")
        .mode(Mode::UnsignedTrailer)
        .body(b"hello");
    bare.signed = Some(|names| names.into_iter().filter(|n| n != "x-amz-trailer").collect());
    let bare = bare.tamper(|b| {
        let at = b.windows(6).position(|w| w == b"x-amz-").unwrap();
        [&b[..at], b"\r\n"].concat()
    });
    let text = String::from_utf8(bare.bytes()).unwrap();
    let lines: Vec<&str> = text
        .split("\r\n")
        .filter(|l| !l.starts_with("x-amz-trailer: "))
        .collect();
    server.raw(lines.join("\r\n").as_bytes()).await.expect(200);
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"hello");
}

#[tokio::test]
async fn a_checksum_in_an_unannounced_trailer_is_not_ignored() {
    let server = Server::with_bucket().await;
    let mut bare = Req::new("PUT", "/bkt/k")
        .mode(Mode::UnsignedTrailer)
        .body(b"hello");
    bare.signed = Some(|names| names.into_iter().filter(|n| n != "x-amz-trailer").collect());
    let text = String::from_utf8(bare.bytes()).unwrap();
    let lines: Vec<&str> = text
        .split("\r\n")
        .filter(|l| !l.starts_with("x-amz-trailer: "))
        .collect();
    server
        .raw(lines.join("\r\n").as_bytes())
        .await
        .refused(400, "InvalidRequest");
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn presigned_urls_carry_headers_in_their_query() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    // As the JavaScript SDK presigns by default: the checksum is that of an empty body.
    let put = "/bkt/p?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32\
               &x-id=PutObject";
    let put = Req::new("PUT", put).presigned().body(b"not empty");
    server.send(put).await.expect(200);
    let meta = Req::new("PUT", "/bkt/m?x-amz-meta-a=1")
        .presigned()
        .body(b"x");
    server.send(meta).await.expect(200);
    let stored = server.memory.get_stored("m").unwrap();
    assert_eq!(stored.metadata.get("x-amz-meta-a"), Some("1"));
    let copy = "/bkt/c?x-amz-copy-source=%2Fbkt%2Fk";
    server
        .send(Req::new("PUT", copy).presigned())
        .await
        .expect(200);
    assert_eq!(server.memory.get_stored("c").unwrap().body, b"x");
    let mode = "/bkt/k?x-amz-checksum-mode=ENABLED&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD";
    server
        .send(Req::new("GET", mode).presigned())
        .await
        .expect(200);
}

#[tokio::test]
async fn the_length_handed_to_the_domain_is_the_decoded_one() {
    let server = Server::with_bucket().await;
    for mode in Mode::ALL {
        server
            .send(Req::new("PUT", "/bkt/k").mode(mode).body(&[1; 10_000]))
            .await
            .expect(200);
        assert_eq!(
            *server.memory.last_len.lock().unwrap(),
            Some(Some(10_000)),
            "{mode:?}"
        );
    }
}

/// Counts what the S3 library says, and what of it would be logged.
#[derive(Default)]
struct Listener {
    leaked: std::sync::atomic::AtomicUsize,
    passed: std::sync::atomic::AtomicUsize,
}

struct Text(String);
impl tracing::field::Visit for Text {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        let _ = write!(self.0, "{value:?} ");
    }
}

struct Shared(std::sync::Arc<Listener>);
impl tracing::Subscriber for Shared {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let secret = text.0.contains("hunter2") || text.0.contains("Signature=");
        if secret {
            let count = match super::super::loggable(event.metadata()) {
                true => &self.0.passed,
                false => &self.0.leaked,
            };
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn nothing_that_is_logged_has_bodies_or_signatures() {
    let listener = std::sync::Arc::new(Listener::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(Shared(listener.clone()), || {
        runtime.block_on(async {
            let server = Server::with_bucket().await;
            let body = b"<Delete><Password>hunter2</Password>";
            let request = Req::new("POST", "/bkt?delete").body(body);
            server.send(request).await.refused(400, "MalformedXML");
            let mut wrong = Req::new("PUT", "/bkt/k").body(b"hunter2");
            wrong.secret = "another-secret".to_owned();
            server.send(wrong).await.expect(403);
        });
    });
    let read =
        |count: &std::sync::atomic::AtomicUsize| count.load(std::sync::atomic::Ordering::SeqCst);
    assert!(
        read(&listener.leaked) > 0,
        "the library no longer logs secrets: drop the filter"
    );
    assert_eq!(read(&listener.passed), 0);
}
