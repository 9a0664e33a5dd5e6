//! Bounds of connections, heads, bodies and time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;
use super::reply::parse;
use super::wire::{Mode, Req};
use crate::http::{Limits, Pace};

/// Reads until the server closes; what it sent.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut out = Vec::new();
    let read = stream.read_to_end(&mut out);
    let read = tokio::time::timeout(Duration::from_secs(30), read).await;
    let _ = read.expect("the server closes in time");
    out
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let limits = Limits {
        head_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let answer = read_all(&mut stream).await;
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_headers() {
    let server = Server::start().await;
    let long = Req::new("GET", "/").header("x-long", &"v".repeat(17 << 10));
    assert_eq!(server.send(long).await.status, 431);
    let mut many = Req::new("GET", "/");
    for at in 0..101 {
        many = many.header(&format!("h{at}"), "v");
    }
    assert_eq!(server.send(many).await.status, 431);
    let mut fits = Req::new("GET", "/");
    for at in 0..90 {
        fits = fits.header(&format!("h{at}"), "v");
    }
    assert_eq!(server.send(fits).await.status, 200);
}

fn impatient(idle: u64, rate_min: u64) -> Limits {
    Limits {
        body: Pace {
            idle: Duration::from_millis(idle),
            rate_min,
        },
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_body_that_pauses_too_long_is_dropped() {
    let server = Server::with(impatient(200, 0)).await;
    server.send(Req::new("PUT", "/bkt")).await.expect(200);
    let bytes = Req::new("PUT", "/bkt/k").body(&[1; 5000]).bytes();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(&bytes[..bytes.len() - 1000])
        .await
        .unwrap();
    parse(&read_all(&mut stream).await).refused(400, "RequestTimeout");
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_dropped() {
    let server = Server::with(impatient(300, 1_000_000)).await;
    server.send(Req::new("PUT", "/bkt")).await.expect(200);
    let bytes = Req::new("PUT", "/bkt/k").body(&[1; 5000]).bytes();
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = tokio::spawn(async move {
        let (head, body) = bytes.split_at(bytes.len() - 5000);
        write.write_all(head).await.unwrap();
        for byte in body {
            // Never idle for long, and never fast enough.
            tokio::time::sleep(Duration::from_millis(20)).await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let whole = tokio::time::timeout(Duration::from_secs(30), read.read_to_end(&mut answer)).await;
    let _ = whole.expect("the server closes in time");
    parse(&answer).refused(400, "RequestTimeout");
    trickle.abort();
}

#[tokio::test]
async fn a_client_that_leaves_stores_nothing() {
    let server = Server::with_bucket().await;
    for mode in Mode::ALL {
        let bytes = Req::new("PUT", "/bkt/k")
            .body(&[1; 50_000])
            .mode(mode)
            .bytes();
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&bytes[..bytes.len() - 10]).await.unwrap();
        drop(stream);
    }
    // All requests end, and none of them as an object.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while server.metric("holdfast_s3_requests_in_flight", &[]) > 0.0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn one_address_cannot_have_all_connections() {
    let limits = Limits {
        connections_per_address_max: 2,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut some = [0; 64];
        assert!(stream.read(&mut some).await.unwrap() > 0);
        held.push(stream);
    }
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    let _ = third
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert!(read_all(&mut third).await.is_empty());
    assert!(server.metric("holdfast_s3_rejected_total", &[("reason", "connections")]) >= 1.0);
    held.clear();
    // Room is made again.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        assert!(tokio::time::Instant::now() < deadline);
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(request).await;
        if !read_all(&mut stream).await.is_empty() {
            break;
        }
    }
}

#[tokio::test]
async fn a_signed_chunk_of_more_than_16_mib_is_refused_when_its_size_is_read() {
    let server = Server::with_bucket().await;
    let mut request = Req::new("PUT", "/bkt/k")
        .body(&vec![1; (16 << 20) + 1])
        .mode(Mode::Chunks);
    request.chunk = 17 << 20;
    let bytes = request.bytes();
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    // The size alone must be enough: no byte of the data is sent.
    stream.write_all(&bytes[..head + 100]).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = parse(&read_all(&mut stream).await);
    answer.refused(400, "InvalidRequest");
    let mut fits = Req::new("PUT", "/bkt/k")
        .body(&vec![1; 1 << 20])
        .mode(Mode::Chunks);
    fits.chunk = 1 << 20;
    server.send(fits).await.expect(200);
}

#[tokio::test]
async fn an_unsigned_chunk_may_be_as_large_as_the_body() {
    let server = Server::with_bucket().await;
    let body = vec![7; (16 << 20) + 1];
    let mut request = Req::new("PUT", "/bkt/k")
        .body(&body)
        .mode(Mode::UnsignedTrailer);
    request.chunk = 32 << 20;
    server.send(request).await.expect(200);
    assert_eq!(
        server.memory.get_stored("k").unwrap().body.len(),
        body.len()
    );
}

#[tokio::test]
async fn requests_cannot_be_smuggled() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let inner = Req::new("GET", "/bkt/k").bytes();
    let body = [b"0\r\n\r\n", &inner[..]].concat();
    let both = Req::new("PUT", "/bkt/smuggled")
        .late("transfer-encoding", "chunked")
        .body(&body)
        .bytes();
    let text = String::from_utf8_lossy(&both).replace("connection: close\r\n", "");
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = String::from_utf8_lossy(&read_all(&mut stream).await).into_owned();
    assert!(!answer.contains(" 200 "), "{answer}");
    // Whatever hid behind the ambiguity is not read as a request: the connection ends.
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    for line in [
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 0x5",
        "host: other",
    ] {
        let request = format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\nhello");
        let request = match line.starts_with("host") {
            true => request.replace("/health/live", "/bkt"),
            false => request,
        };
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_all(&mut stream).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.is_empty(),
            "{line}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_whose_client_waited_in_vain_for_100_continue_is_closed() {
    let server = Server::with_bucket().await;
    let keep_alive = |request: Req| {
        let text = String::from_utf8(request.bytes()).unwrap();
        text.replace("connection: close\r\n", "")
    };
    let put = |body: &[u8]| {
        Req::new("PUT", "/bkt/k")
            .late("expect", "100-continue")
            .body(body)
    };
    let mut wrong = put(b"hello");
    wrong.secret = "another-secret".to_owned();
    for (request, status) in [(put(b""), "200"), (wrong, "403")] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let text = keep_alive(request);
        let head = text.find("\r\n\r\n").unwrap() + 4;
        stream.write_all(&text.as_bytes()[..head]).await.unwrap();
        let answer = String::from_utf8(read_all(&mut stream).await).unwrap();
        assert_eq!(&answer[9..12], status);
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let text = keep_alive(put(b"hello"));
    let head = text.find("\r\n\r\n").unwrap() + 4;
    stream.write_all(&text.as_bytes()[..head]).await.unwrap();
    let mut line = [0; 25];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&text.as_bytes()[head..]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_lives() {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    server.memory.panic.store(true, Ordering::SeqCst);
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    for status in ["500", "200"] {
        let bytes = Req::new("HEAD", "/bkt/k").bytes();
        let text = String::from_utf8(bytes)
            .unwrap()
            .replace("connection: close\r\n", "");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert_eq!(&head[9..12], status);
        assert!(head.contains("x-amz-request-id"));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_is_cut_and_not_ended_well() {
    let server = Server::with_bucket().await;
    server.put("k", &[1; 100_000]).await;
    server.memory.break_reads.store(true, Ordering::SeqCst);
    let reply = server.send(Req::new("GET", "/bkt/k")).await.expect(200);
    assert!(!reply.whole);
}

#[tokio::test]
async fn health_is_told_without_a_signature_and_only_so() {
    let server = Server::start().await;
    let get = |path: &str| Req::new("GET", path).anonymous();
    assert_eq!(
        server.send(get("/health/live")).await.expect(200).text(),
        "live\n"
    );
    assert_eq!(
        server.send(get("/health/ready")).await.expect(200).text(),
        "ready\n"
    );
    let head = server
        .send(Req::new("HEAD", "/health/ready").anonymous())
        .await;
    assert!(head.expect(200).body.is_empty());
    server
        .send(Req::new("GET", "/health/live"))
        .await
        .refused(400, "InvalidBucketName");
    server
        .send(Req::new("PUT", "/health/live").anonymous())
        .await
        .refused(403, "AccessDenied");
    server.state.0.store(1, Ordering::SeqCst);
    let starting = server.send(get("/health/ready")).await.expect(503);
    assert!(starting.text().contains("two drives are missing"));
    let refused = server
        .send(Req::new("GET", "/"))
        .await
        .refused(503, "ServiceUnavailable");
    assert!(refused.get("retry-after").is_some());
    server.send(get("/health/live")).await.expect(200);
    server.state.0.store(2, Ordering::SeqCst);
    server.send(get("/health/ready")).await.expect(503);
    server
        .send(Req::new("GET", "/"))
        .await
        .refused(503, "ServiceUnavailable");
}

#[tokio::test]
async fn stopping_lets_a_running_request_finish_and_takes_no_other() {
    let server = Server::with_bucket().await;
    let bytes = Req::new("PUT", "/bkt/k").body(&[1; 5000]).bytes();
    let (first, rest) = bytes.split_at(bytes.len() - 1000);
    let mut running = TcpStream::connect(server.addr).await.unwrap();
    running.write_all(first).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while server.metric("holdfast_s3_requests_in_flight", &[]) < 1.0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    server.state.0.store(2, Ordering::SeqCst);
    server.shutdown.cancel();
    let refused = server.send(Req::new("GET", "/")).await;
    let refused = refused.refused(503, "ServiceUnavailable");
    assert_eq!(refused.get("connection"), Some("close"));
    assert!(refused.get("retry-after").is_some());
    for (path, status) in [("/health/ready", 503), ("/health/live", 200)] {
        let health = server.send(Req::new("GET", path).anonymous()).await;
        health.expect(status);
    }
    running.write_all(rest).await.unwrap();
    parse(&read_all(&mut running).await).expect(200);
    assert!(read_all(&mut idle).await.is_empty());
    let drained = tokio::time::timeout(Duration::from_secs(30), server.task).await;
    assert_eq!(drained.unwrap().unwrap().cut, 0);
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end_in_time() {
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    server.send(Req::new("PUT", "/bkt")).await.expect(200);
    let bytes = Req::new("PUT", "/bkt/k").body(&[1; 5000]).bytes();
    let mut running = TcpStream::connect(server.addr).await.unwrap();
    running
        .write_all(&bytes[..bytes.len() - 1000])
        .await
        .unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while server.metric("holdfast_s3_requests_in_flight", &[]) < 1.0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.shutdown.cancel();
    let drained = tokio::time::timeout(Duration::from_secs(30), server.task).await;
    assert_eq!(drained.unwrap().unwrap().cut, 1);
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_code() {
    let server = Server::with_bucket().await;
    server.put("k", &[1; 1000]).await;
    server.send(Req::new("GET", "/bkt/k")).await.expect(200);
    server.send(Req::new("GET", "/bkt/none")).await.expect(404);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while server.metric("holdfast_s3_requests_in_flight", &[]) > 0.0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let count = |op: &str, code: &str| {
        server.metric("holdfast_s3_requests_total", &[("op", op), ("code", code)]) as u64
    };
    assert_eq!(count("GetObject", "200"), 1);
    assert_eq!(count("GetObject", "404"), 1);
    assert_eq!(count("PutObject", "200"), 1);
    let timed = server.metric(
        "holdfast_s3_request_duration_seconds",
        &[("op", "GetObject")],
    );
    assert_eq!(timed as u64, 2);
    assert!(server.metric("holdfast_s3_received_bytes_total", &[]) >= 1000.0);
    assert!(server.metric("holdfast_s3_sent_bytes_total", &[]) >= 1000.0);
}
