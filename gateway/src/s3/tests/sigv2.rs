//! Facts about signature version 2: what is let in where the operator says so, and what is not.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};

use super::wire::Req;
use super::{ACCESS, Limits, SECRET, Server};

/// Signs as the developer guide says; `resource` is what of the target is signed.
fn signature(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

struct Old<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    /// What of the target is signed.
    resource: &'a str,
    access: &'a str,
    secret: &'a str,
    /// `x-amz-*`, in their order.
    amz: &'a [(&'a str, &'a str)],
    date: Option<String>,
    body: &'a str,
}

fn date(ago: u64) -> Option<String> {
    let then = SystemTime::now() - Duration::from_secs(ago);
    Some(httpdate::fmt_http_date(then))
}

impl Default for Old<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            host: "127.0.0.1",
            target: "/bkt/key",
            resource: "/bkt/key",
            access: ACCESS,
            secret: SECRET,
            amz: &[],
            date: date(0),
            body: "",
        }
    }
}

impl Old<'_> {
    fn bytes(&self) -> Vec<u8> {
        let date = self.date.clone().unwrap_or_default();
        let amz = |mark: &str| -> String {
            let headers = self.amz.iter();
            headers
                .map(|(name, value)| format!("{name}:{mark}{value}\n"))
                .collect()
        };
        let text = format!(
            "{}\n\ntext/plain\n{date}\n{}{}",
            self.method,
            amz(""),
            self.resource
        );
        let dated = match &self.date {
            Some(date) => format!("date: {date}\r\n"),
            None => String::new(),
        };
        format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n{dated}content-type: text/plain\r\n{}authorization: AWS \
             {}:{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
            self.method,
            self.target,
            self.host,
            amz(" ").replace('\n', "\r\n"),
            self.access,
            signature(self.secret, &text),
            self.body.len(),
            self.body,
        )
        .into_bytes()
    }
}

async fn server() -> Server {
    let server = Server::made(Limits::default(), true).await;
    server.send(Req::new("PUT", "/bkt")).await.expect(200);
    server
}

fn put(body: &str) -> Old<'_> {
    Old {
        method: "PUT",
        body,
        ..Old::default()
    }
}

#[tokio::test]
async fn requests_signed_in_the_header_are_let_in() {
    let server = server().await;
    let first = Old {
        amz: &[("x-amz-meta-a", "1"), ("x-amz-meta-b", "2")],
        ..put("first")
    };
    server.raw(&first.bytes()).await.expect(200);
    let get = server.raw(&Old::default().bytes()).await.expect(200);
    assert_eq!(get.body, b"first");
    assert_eq!(get.get("x-amz-meta-b"), Some("2"));
    let by_host = Old {
        host: "bkt.s3.test",
        target: "/key",
        ..put("second")
    };
    server.raw(&by_host.bytes()).await.expect(200);
    let tags = Old {
        target: "/bkt/key?tagging",
        resource: "/bkt/key?tagging",
        ..Old::default()
    };
    server.raw(&tags.bytes()).await.expect(200);
    let list = Old {
        target: "/bkt?prefix=k&list-type=2",
        resource: "/bkt",
        ..Old::default()
    };
    let listed = server.raw(&list.bytes()).await.expect(200);
    assert!(
        String::from_utf8(listed.body)
            .unwrap()
            .contains("<Key>key</Key>")
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_header_is_said_and_nothing_done() {
    let server = server().await;
    server.put("key", b"as it was").await;
    let unsigned = Old {
        target: "/bkt/key?tagging",
        ..put("new")
    };
    let uncovered = Old {
        target: "/bkt/key?retention",
        ..put("new")
    };
    let added = {
        let text = String::from_utf8(put("new").bytes()).unwrap();
        text.replace("content-type", "x-amz-acl: private\r\ncontent-type")
    };
    let skewed = Old {
        date: date(3600),
        ..put("new")
    };
    let undated = Old {
        date: None,
        ..put("new")
    };
    let forged = Old {
        secret: "another-secret",
        ..put("new")
    };
    let unknown = Old {
        access: "AKNOBODY",
        ..put("new")
    };
    for (bytes, status, code) in [
        (unsigned.bytes(), 403, "SignatureDoesNotMatch"),
        (uncovered.bytes(), 400, "InvalidRequest"),
        (added.into_bytes(), 403, "SignatureDoesNotMatch"),
        (skewed.bytes(), 403, "RequestTimeTooSkewed"),
        (undated.bytes(), 403, "AccessDenied"),
        (forged.bytes(), 403, "SignatureDoesNotMatch"),
        (unknown.bytes(), 403, "InvalidAccessKeyId"),
    ] {
        server.raw(&bytes).await.refused(status, code);
    }
    let malformed = Req::new("GET", "/bkt")
        .anonymous()
        .late("authorization", "AWS HAHAHA");
    server.send(malformed).await.refused(400, "InvalidArgument");
    let get = server.raw(&Old::default().bytes()).await.expect(200);
    assert_eq!(get.body, b"as it was");
}

#[tokio::test]
async fn urls_signed_by_version_2_count_until_their_end() {
    let server = server().await;
    server.put("key", b"body").await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let url = |method: &str, until: u64| {
        let signature = signature(SECRET, &format!("{method}\n\n\n{until}\n/bkt/key"));
        let signature = signature.replace('+', "%2B").replace('=', "%3D");
        format!("/bkt/key?AWSAccessKeyId={ACCESS}&Signature={signature}&Expires={until}")
    };
    let send = |method: &str, target: String| {
        let text = format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: \
             0\r\n\r\n"
        );
        let server = &server;
        async move { server.raw(text.as_bytes()).await }
    };
    let get = send("GET", url("GET", now + 60)).await.expect(200);
    assert_eq!(get.body, b"body");
    let late = send("GET", url("GET", now - 1)).await;
    late.refused(403, "AccessDenied");
    let other = send("DELETE", url("GET", now + 60)).await;
    other.refused(403, "SignatureDoesNotMatch");
    let longer = url("GET", now + 60).replace(&(now + 60).to_string(), &(now + 90).to_string());
    let longer = send("GET", longer).await;
    longer.refused(403, "SignatureDoesNotMatch");
    let half = send(
        "GET",
        format!("/bkt/key?Signature=a&AWSAccessKeyId={ACCESS}"),
    )
    .await;
    half.refused(403, "AccessDenied");
    send("DELETE", url("DELETE", now + 60)).await.expect(204);
}
