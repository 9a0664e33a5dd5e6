//! Appends: the header, who may, and what else is refused with it.

use super::Server;
use super::isolation::{ALICE, BOB, ask, by, start};
use super::wire::{Mode, Req};

const OFFSET: &str = "x-amz-write-offset-bytes";

fn append(offset: &str, body: &[u8]) -> Req {
    Req::new("PUT", "/bkt/k").header(OFFSET, offset).body(body)
}

#[tokio::test]
async fn bytes_are_added_where_the_object_ends() {
    let server = Server::with_bucket().await;
    let made = append("0", b"one").header("x-amz-meta-color", "blue");
    let made = server.send(made).await.expect(200);
    assert_eq!(made.get("x-amz-object-size"), Some("3"));
    let more = append("3", b"two").mode(Mode::ChunksTrailer);
    let more = server.send(more).await.expect(200);
    assert_eq!(more.get("x-amz-object-size"), Some("6"));
    let got = server.send(Req::new("GET", "/bkt/k")).await.expect(200);
    assert_eq!(
        (got.text().as_str(), got.get("etag")),
        ("onetwo", more.get("etag"))
    );
    assert_eq!(got.get("x-amz-meta-color"), Some("blue"));
    for offset in ["0", "5", "7"] {
        let wrong = server.send(append(offset, b"x")).await;
        wrong.refused(400, "InvalidWriteOffset");
    }
    for offset in ["-1", "+6", "6.0", "six", " ", "18446744073709551616"] {
        let wrong = server.send(append(offset, b"x")).await;
        wrong.refused(400, "InvalidArgument");
    }
    let twice = append("6", b"x").header(OFFSET, "6");
    assert_ne!(server.send(twice).await.status, 200);
    let got = server.send(Req::new("GET", "/bkt/k")).await.expect(200);
    assert_eq!(got.text(), "onetwo");
    // A plain one says nothing of a size.
    assert_eq!(server.put("k", b"new").await.get("x-amz-object-size"), None);
}

#[tokio::test]
async fn no_other_operation_takes_the_header() {
    let server = Server::with_bucket().await;
    server.put("k", b"one").await;
    let copy = Req::new("PUT", "/bkt/copy").header("x-amz-copy-source", "/bkt/k");
    for request in [
        copy,
        Req::new("GET", "/bkt/k"),
        Req::new("POST", "/bkt/k?uploads"),
        Req::new("DELETE", "/bkt/k"),
        Req::new("PUT", "/bkt/k?tagging").body(b"<Tagging><TagSet/></Tagging>"),
    ] {
        let refused = server.send(request.header(OFFSET, "3")).await;
        refused.refused(501, "NotImplemented");
    }
}

#[tokio::test]
async fn who_may_not_read_an_object_does_not_append_to_it() {
    let (server, _) = start().await;
    let policy = |actions: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
                "Principal": {{"AWS": "arn:aws:iam::100000000002:root"}}, "Action": [{actions}],
                "Resource": "arn:aws:s3:::bkt/*"}}]}}"#
        )
    };
    let before = ask(&server, ALICE, "GET", "/bkt/k").await.expect(200);
    let len = before.body.len().to_string();
    for (actions, status) in [
        (r#""s3:PutObject""#, 403),
        (r#""s3:GetObject""#, 403),
        (r#""s3:GetObject", "s3:PutObject""#, 200),
    ] {
        let put = Req::new("PUT", "/bkt?policy").body(policy(actions).as_bytes());
        server.send(by(ALICE, put)).await.expect(204);
        let tried = server.send(by(BOB, append(&len, b"more"))).await;
        assert_eq!(tried.status, status, "{actions}");
    }
}
