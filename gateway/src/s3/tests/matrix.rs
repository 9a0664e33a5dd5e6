//! The signature matrix: every way to sign × every way to send × every write, each wrong in one
//! way.

use super::wire::{Auth, Mode, Req};
use super::{SECRET, Server};

const DELETE: &[u8] = b"<Delete><Object><Key>none</Key></Object></Delete>";

/// A write of each kind; `{id}` stands for an upload.
fn writes(upload: &str) -> Vec<(Req, bool)> {
    let part = format!("/bkt/mp?partNumber=1&uploadId={upload}");
    vec![
        (Req::new("PUT", "/bkt/new").body(b"some bytes"), true),
        (Req::new("PUT", &part).body(b"some bytes"), true),
        (Req::new("PUT", "/fresh"), false),
        (
            Req::new("PUT", "/bkt/copy").header("x-amz-copy-source", "/bkt/k"),
            false,
        ),
        (Req::new("POST", "/bkt?delete").body(DELETE), false),
        (Req::new("POST", "/bkt/mp2?uploads"), false),
        (Req::new("DELETE", "/bkt/none"), false),
        (Req::new("DELETE", "/fresh"), false),
    ]
}

async fn upload(server: &Server) -> String {
    let made = server
        .send(Req::new("POST", "/bkt/mp?uploads"))
        .await
        .expect(200);
    made.element("UploadId").unwrap()
}

#[tokio::test]
async fn every_write_works_when_rightly_signed_in_every_form() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let id = upload(&server).await;
    for auth in [Auth::Header, Auth::Query] {
        for mode in Mode::ALL {
            for (mut request, streams) in writes(&id) {
                let odd = auth == Auth::Query && mode != Mode::Unsigned;
                if odd || (mode.chunked() && !streams) {
                    continue;
                }
                let what = format!("{} {} {auth:?} {mode:?}", request.method, request.path);
                (request.auth, request.mode) = (auth, mode);
                let reply = server.send(request).await;
                assert!(reply.status / 100 == 2, "{what}: {}", reply.text());
            }
        }
    }
    assert_eq!(server.memory.get_stored("new").unwrap().body, b"some bytes");
}

#[tokio::test]
async fn no_write_works_with_a_wrong_secret_or_an_unknown_key_or_none() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let id = upload(&server).await;
    for auth in [Auth::Header, Auth::Query, Auth::None] {
        for mode in Mode::ALL {
            for (wrong_key, code) in [
                (false, "SignatureDoesNotMatch"),
                (true, "InvalidAccessKeyId"),
            ] {
                for (mut request, _) in writes(&id) {
                    if auth == Auth::Query && mode != Mode::Unsigned {
                        continue;
                    }
                    (request.auth, request.mode) = (auth, mode);
                    match wrong_key {
                        true => request.access = "AKOTHER".to_owned(),
                        false => request.secret = format!("{SECRET}!"),
                    }
                    let (status, code) = match auth {
                        Auth::None if request.path == "/fresh" && request.method == "DELETE" => {
                            (404, "NoSuchBucket")
                        }
                        Auth::None => (403, "AccessDenied"),
                        Auth::Header | Auth::Query => (403, code),
                    };
                    server.send(request).await.refused(status, code);
                }
            }
        }
    }
    assert_eq!(server.memory.count(), 1);
    assert!(!server.memory.buckets.lock().unwrap().contains_key("fresh"));
    assert_eq!(server.memory.uploads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn no_read_works_without_a_signature() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/bkt"),
        ("GET", "/bkt?list-type=2"),
        ("GET", "/bkt?versions"),
        ("GET", "/bkt?uploads"),
        ("GET", "/bkt?location"),
        ("GET", "/bkt?acl"),
        ("GET", "/bkt/k"),
        ("GET", "/bkt/none"),
        ("GET", "/bkt/k?tagging"),
        ("GET", "/bkt/k?uploadId=upload-0001"),
    ] {
        let reply = server.send(Req::new(method, target).anonymous()).await;
        reply.refused(403, "AccessDenied");
        let head = server
            .send(Req::new("HEAD", "/bkt/k").anonymous())
            .await
            .expect(403);
        assert!(head.body.is_empty());
    }
    let gone = server.send(Req::new("GET", "/none/k").anonymous()).await;
    gone.refused(404, "NoSuchBucket");
}

#[tokio::test]
async fn conditions_are_not_looked_at_before_the_signature() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    for key in ["k", "none"] {
        let mut request = Req::new("GET", &format!("/bkt/{key}")).header("if-match", "\"0\"");
        request.secret = "another-secret".to_owned();
        server
            .send(request)
            .await
            .refused(403, "SignatureDoesNotMatch");
    }
}

/// Each flips, drops or swaps something of the framed body.
type Change = (&'static str, fn(Vec<u8>) -> Vec<u8>);

fn flip_last_data(mut body: Vec<u8>) -> Vec<u8> {
    let at = body.iter().rposition(|&c| c == b'Z').unwrap();
    body[at] = b'Y';
    body
}

fn flip_first_data(mut body: Vec<u8>) -> Vec<u8> {
    let at = body.iter().position(|&c| c == b'Z').unwrap();
    body[at] = b'Y';
    body
}

#[tokio::test]
async fn a_flipped_byte_is_found_in_every_signed_form() {
    let changes: [Change; 2] = [("last", flip_last_data), ("first", flip_first_data)];
    let server = Server::with_bucket().await;
    let id = upload(&server).await;
    let body = vec![b'Z'; 20_000];
    for mode in [
        Mode::Single,
        Mode::Chunks,
        Mode::ChunksTrailer,
        Mode::UnsignedTrailer,
    ] {
        for (name, change) in changes {
            for target in [
                "/bkt/k".to_owned(),
                format!("/bkt/mp?partNumber=1&uploadId={id}"),
            ] {
                let request = Req::new("PUT", &target)
                    .body(&body)
                    .mode(mode)
                    .tamper(change);
                let reply = server.send(request).await;
                let code = match mode {
                    Mode::Single => "XAmzContentSHA256Mismatch",
                    Mode::UnsignedTrailer => "BadDigest",
                    _ => "SignatureDoesNotMatch",
                };
                assert_eq!(
                    reply.element("Code").as_deref(),
                    Some(code),
                    "{mode:?} {name}"
                );
            }
        }
    }
    assert_eq!(server.memory.count(), 0);
    let parts = Req::new("GET", &format!("/bkt/mp?uploadId={id}"));
    assert_eq!(
        server.send(parts).await.expect(200).elements("Part").len(),
        0
    );
}

#[tokio::test]
async fn a_flipped_byte_of_a_document_is_found() {
    let server = Server::with_bucket().await;
    server.put("none", b"x").await;
    let flip = |body: Vec<u8>| {
        let text = String::from_utf8(body).unwrap();
        text.replace("none", "nonf").into_bytes()
    };
    let request = Req::new("POST", "/bkt?delete").body(DELETE).tamper(flip);
    server
        .send(request)
        .await
        .refused(400, "XAmzContentSHA256Mismatch");
    assert_eq!(server.memory.count(), 1);
}

/// The chunks of a framed body of chunks of equal length.
fn swap_chunks(body: Vec<u8>) -> Vec<u8> {
    let head = body.iter().position(|&c| c == b'\n').unwrap() + 1;
    let each = head + 8192 + 2;
    let mut out = body.clone();
    out[..each].copy_from_slice(&body[each..2 * each]);
    out[each..2 * each].copy_from_slice(&body[..each]);
    out
}

fn drop_chunk(body: Vec<u8>) -> Vec<u8> {
    let head = body.iter().position(|&c| c == b'\n').unwrap() + 1;
    body[head + 8192 + 2..].to_vec()
}

fn repeat_chunk(body: Vec<u8>) -> Vec<u8> {
    let head = body.iter().position(|&c| c == b'\n').unwrap() + 1;
    [&body[..head + 8192 + 2], &body].concat()
}

/// Ends after all data but before the last, empty chunk.
fn drop_end(body: Vec<u8>) -> Vec<u8> {
    let at = body.windows(3).rposition(|w| w == b"\r\n0").unwrap();
    body[..at + 2].to_vec()
}

fn drop_trailer(body: Vec<u8>) -> Vec<u8> {
    let at = body
        .windows(14)
        .rposition(|w| w == b"x-amz-checksum")
        .unwrap();
    [&body[..at], b"\r\n"].concat()
}

fn more_after_end(body: Vec<u8>) -> Vec<u8> {
    [&body[..], b"5\r\nhello\r\n0\r\n\r\n"].concat()
}

#[tokio::test]
async fn chunks_cannot_be_swapped_dropped_repeated_or_cut_off() {
    let changes: [Change; 6] = [
        ("swap", swap_chunks),
        ("drop", drop_chunk),
        ("repeat", repeat_chunk),
        ("end", drop_end),
        ("trailer", drop_trailer),
        ("more", more_after_end),
    ];
    let server = Server::with_bucket().await;
    let body: Vec<u8> = (0..20_000_u32).map(|i| (i / 80) as u8).collect();
    for mode in [Mode::Chunks, Mode::ChunksTrailer, Mode::UnsignedTrailer] {
        for (name, change) in changes {
            if name == "trailer" && mode == Mode::Chunks {
                continue;
            }
            let request = Req::new("PUT", "/bkt/k")
                .body(&body)
                .mode(mode)
                .tamper(change);
            let reply = server.send(request).await;
            let refused = matches!(reply.status, 400 | 403);
            assert!(
                refused,
                "{mode:?} {name}: {} {}",
                reply.status,
                reply.text()
            );
            assert_eq!(server.memory.count(), 0, "{mode:?} {name}");
        }
    }
}

#[tokio::test]
async fn the_decoded_length_must_be_right() {
    let server = Server::with_bucket().await;
    for mode in [Mode::Chunks, Mode::ChunksTrailer, Mode::UnsignedTrailer] {
        for len in ["19999", "20001", "0", "-1", "x"] {
            let request = Req::new("PUT", "/bkt/k").body(&[7; 20_000]).mode(mode);
            let bytes = request.bytes();
            let text = String::from_utf8_lossy(&bytes[..1500]).into_owned();
            assert!(text.contains("content-length: 20000"), "{text}");
            // The header need not be signed, so it can be changed on the way.
            let mut request = Req::new("PUT", "/bkt/k").body(&[7; 20_000]).mode(mode);
            request.signed = Some(|names| {
                let keep = |name: &String| name != "x-amz-decoded-content-length";
                names.into_iter().filter(keep).collect()
            });
            let bytes = request.bytes();
            let at = bytes.windows(5).position(|w| w == b"20000").unwrap();
            let changed = [&bytes[..at], len.as_bytes(), &bytes[at + 5..]].concat();
            server.raw(&changed).await.expect(400);
        }
    }
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn time_is_bounded_both_ways() {
    let server = Server::with_bucket().await;
    for skew in [-16 * 60, 16 * 60] {
        let mut request = Req::new("PUT", "/bkt/k").body(b"x");
        request.skew = skew;
        server
            .send(request)
            .await
            .refused(403, "RequestTimeTooSkewed");
    }
    for skew in [-14 * 60, 14 * 60] {
        let mut request = Req::new("PUT", "/bkt/k").body(b"x");
        request.skew = skew;
        server.send(request).await.expect(200);
    }
    let mut expired = Req::new("GET", "/bkt/k").presigned();
    (expired.skew, expired.expires) = (-61, "60".to_owned());
    server.send(expired).await.refused(403, "AccessDenied");
    let mut ahead = Req::new("GET", "/bkt/k").presigned();
    ahead.skew = 16 * 60;
    server
        .send(ahead)
        .await
        .refused(403, "RequestTimeTooSkewed");
    for expires in [
        "0",
        "-1",
        "604801",
        "99999999999999999999",
        "",
        "1e3",
        "+60",
    ] {
        let mut request = Req::new("GET", "/bkt/k").presigned();
        request.expires = expires.to_owned();
        let reply = server.send(request).await;
        reply.refused(400, "AuthorizationQueryParametersError");
    }
    let mut week = Req::new("GET", "/bkt/k").presigned();
    week.expires = "604800".to_owned();
    server.send(week).await.expect(200);
}

#[tokio::test]
async fn a_date_that_differs_from_its_scope_is_refused() {
    let server = Server::with_bucket().await;
    let bytes = Req::new("GET", "/bkt").bytes();
    let text = String::from_utf8(bytes).unwrap();
    let at = text.find("Credential=AKTEST/").unwrap() + "Credential=AKTEST/".len();
    let other = format!("{}20000101{}", &text[..at], &text[at + 8..]);
    server
        .raw(other.as_bytes())
        .await
        .refused(403, "SignatureDoesNotMatch");
}
