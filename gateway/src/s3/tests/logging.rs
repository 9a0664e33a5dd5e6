//! Access logs: what is kept, what is recorded, and where it goes.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::reply::Reply;
use super::wire::Req;
use super::{ACCESS, SECRET, Server};
use crate::auth::{Administrator, Secret};
use crate::s3::Deliverer;

const PATTERN: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::logs/p/*",
    "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bkt"}}}]}"#;

fn status(inner: &str) -> Req {
    let text = format!("<BucketLoggingStatus>{inner}</BucketLoggingStatus>");
    Req::new("PUT", "/bkt?logging").body(text.as_bytes())
}

fn enabled(bucket: &str, rest: &str) -> Req {
    status(&format!(
        "<LoggingEnabled><TargetBucket>{bucket}</TargetBucket><TargetPrefix>p/</TargetPrefix>\
         {rest}</LoggingEnabled>"
    ))
}

async fn allow(server: &Server, policy: &str) {
    let put = Req::new("PUT", "/logs?policy").body(policy.as_bytes());
    server.send(put).await.expect(204);
}

async fn start() -> Server {
    let server = Server::with_bucket().await;
    server.send(Req::new("PUT", "/logs")).await.expect(200);
    server
}

async fn got(server: &Server) -> Reply {
    let get = Req::new("GET", "/bkt?logging");
    server.send(get).await.expect(200)
}

/// Delivers all that was recorded; the lines of each log object, by name.
async fn delivered(server: &Server) -> Vec<(String, Vec<String>)> {
    let (log, entries) = server.log.lock().unwrap().take().unwrap();
    let admin = Administrator::new(ACCESS, Secret::new(SECRET)).unwrap();
    let deliverer = Deliverer::new(
        server.memory.clone(),
        Arc::new(admin),
        "eu-test-1",
        (log, entries),
        (Duration::from_secs(300), 1 << 20),
    );
    let stop = CancellationToken::new();
    stop.cancel();
    deliverer.run(stop).await;
    let objects = server.memory.objects.lock().unwrap();
    let logs = objects.iter().filter(|((bucket, _), _)| bucket == "logs");
    logs.map(|((_, key), stored)| {
        let text = String::from_utf8(stored.body.clone()).unwrap();
        (key.clone(), text.lines().map(str::to_owned).collect())
    })
    .collect()
}

#[tokio::test]
async fn a_configuration_is_kept_until_an_empty_one_comes() {
    let server = start().await;
    assert!(!got(&server).await.text().contains("LoggingEnabled"));
    allow(&server, PATTERN).await;
    server.send(enabled("logs", "")).await.expect(200);
    let kept = got(&server).await;
    assert_eq!(kept.element("TargetBucket").as_deref(), Some("logs"));
    assert_eq!(kept.element("TargetPrefix").as_deref(), Some("p/"));
    let format = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
        </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>";
    server.send(enabled("logs", format)).await.expect(200);
    let kept = got(&server).await.element("PartitionDateSource");
    assert_eq!(kept.as_deref(), Some("EventTime"));
    server.send(status("")).await.expect(200);
    assert!(!got(&server).await.text().contains("LoggingEnabled"));
}

#[tokio::test]
async fn a_bucket_that_does_not_take_logs_is_refused() {
    let server = start().await;
    let refused = "InvalidTargetBucketForLogging";
    for target in ["logs", "none", "Not A Bucket"] {
        server.send(enabled(target, "")).await.refused(400, refused);
    }
    for (from, to) in [
        ("s3:PutObject", "s3:GetObject"),
        ("logs/p/*", "logs/q/*"),
        (":::bkt\"", ":::other\""),
        (
            "{\"Service\": \"logging.s3.amazonaws.com\"}",
            "{\"AWS\": \"arn:aws:iam::100000000002:root\"}",
        ),
    ] {
        allow(&server, &PATTERN.replace(from, to)).await;
        server.send(enabled("logs", "")).await.refused(400, refused);
    }
    allow(&server, PATTERN).await;
    let wrong = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>Never\
        </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>";
    let wrong = server.send(enabled("logs", wrong)).await;
    wrong.refused(400, "MalformedXML");
    let grants = "<TargetGrants><Grant><Permission>READ</Permission></Grant></TargetGrants>";
    let grants = server.send(enabled("logs", grants)).await;
    grants.refused(501, "NotImplemented");
    assert!(!got(&server).await.text().contains("LoggingEnabled"));
}

#[tokio::test]
async fn requests_to_the_bucket_are_recorded_and_no_others() {
    let server = start().await;
    allow(&server, PATTERN).await;
    server.put("before", b"not recorded").await;
    server.send(enabled("logs", "")).await.expect(200);
    server.put("k%20ey", b"hello").await;
    let get = Req::new("GET", "/bkt/k%20ey").header("user-agent", "a \"b\"");
    server.send(get).await.expect(200);
    let part = Req::new("GET", "/bkt/k%20ey").late("range", "bytes=0-1");
    server.send(part).await.expect(206);
    let none = Req::new("GET", "/bkt/none?versionId=null").anonymous();
    server.send(none).await.expect(403);
    server.send(Req::new("GET", "/logs")).await.expect(200);
    server.send(Req::new("GET", "/")).await.expect(200);
    server
        .send(Req::new("DELETE", "/bkt/k%20ey").presigned())
        .await
        .expect(204);
    let logs = delivered(&server).await;
    let [(key, lines)] = logs.as_slice() else {
        panic!("one log object: {logs:?}");
    };
    assert!(key.starts_with("p/20"), "{key}");
    let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let operations: Vec<&str> = fields.iter().map(|fields| fields[7]).collect();
    assert_eq!(
        operations,
        [
            "REST.PUT.OBJECT",
            "REST.GET.OBJECT",
            "REST.GET.OBJECT",
            "REST.GET.OBJECT",
            "REST.DELETE.OBJECT"
        ],
        "{lines:?}"
    );
    let put = &lines[0];
    assert!(put.contains(" bkt ["), "{put}");
    assert!(put.contains("] 127.0.0.1 "), "{put}");
    assert!(put.contains(" REST.PUT.OBJECT k%20ey \"PUT /bkt/k%20ey HTTP/1.1\" 200 - - 5 "));
    assert!(
        put.contains(" SigV4 - AuthHeader 127.0.0.1:9000 - - -"),
        "{put}"
    );
    assert!(lines[1].contains(" 200 - 5 5 "), "{}", lines[1]);
    assert!(lines[1].contains(" \"a %22b%22\" "), "{}", lines[1]);
    assert!(lines[2].contains(" 206 - 2 5 "), "{}", lines[2]);
    assert!(lines[3].contains(" 403 AccessDenied "), "{}", lines[3]);
    assert!(lines[3].contains("] 127.0.0.1 - "), "{}", lines[3]);
    assert!(lines[4].contains(" 204 - - - "), "{}", lines[4]);
    assert!(lines[4].contains(" SigV4 - QueryString "), "{}", lines[4]);
}

#[tokio::test]
async fn what_may_not_be_delivered_any_more_is_dropped() {
    let server = start().await;
    allow(&server, PATTERN).await;
    server.send(enabled("logs", "")).await.expect(200);
    server.put("k", b"hello").await;
    server
        .send(Req::new("DELETE", "/logs?policy"))
        .await
        .expect(204);
    assert!(delivered(&server).await.is_empty());
}
