//! What buckets have told: what is kept, what is refused, and who is asked first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::Server;
use super::reply::Reply;
use super::wire::Req;
use crate::notify::{Keyed, Target, TargetError, Targets};

/// What the targets of this process were asked, for all tests.
static ASKED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Hook {
    is_there: bool,
}

#[async_trait]
impl Target for Hook {
    async fn send(&self, _: &[Keyed]) -> Result<(), TargetError> {
        Ok(())
    }
    async fn test(&self, message: &Value) -> Result<(), TargetError> {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(message.clone());
        match self.is_there {
            true => Ok(()),
            false => Err(TargetError::Refused { status: 500 }),
        }
    }
}

/// The targets of the tests: `hook`, and `away` that does not answer.
pub(super) fn targets() -> Targets {
    let hook = |is_there| Arc::new(Hook { is_there }) as Arc<dyn Target>;
    let by_name = [("hook", hook(true)), ("away", hook(false))];
    let by_name = by_name.map(|(name, target)| (name.to_owned(), target));
    Targets::new("eu-test-1", BTreeMap::from(by_name))
}

fn queue(target: &str, event: &str, rest: &str) -> String {
    format!(
        "<QueueConfiguration><Queue>arn:holdfast:notify:eu-test-1::{target}</Queue>\
         <Event>{event}</Event>{rest}</QueueConfiguration>"
    )
}

fn rule(name: &str, value: &str) -> String {
    format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
}

fn put(inner: &str) -> Req {
    let text = format!("<NotificationConfiguration>{inner}</NotificationConfiguration>");
    Req::new("PUT", "/bkt?notification").body(text.as_bytes())
}

async fn got(server: &Server) -> Reply {
    let get = Req::new("GET", "/bkt?notification");
    server.send(get).await.expect(200)
}

#[tokio::test]
async fn a_configuration_is_kept_until_an_empty_one_comes() {
    let server = Server::with_bucket().await;
    assert!(!got(&server).await.text().contains("Queue"));
    let rules = rule("prefix", "a/") + &rule("Suffix", ".jpg");
    let filter = format!("<Filter><S3Key>{rules}</S3Key></Filter><Id>one</Id>");
    let topic = queue("hook", "s3:ObjectRemoved:*", "");
    let topic = topic.replace("QueueConfiguration", "TopicConfiguration");
    let topic = topic.replace("Queue>", "Topic>");
    let both = queue("hook", "s3:ObjectCreated:*", &filter) + &topic;
    server.send(put(&both)).await.expect(200);
    let kept = got(&server).await;
    for (name, expected) in [
        ("Queue", "arn:holdfast:notify:eu-test-1::hook"),
        ("Topic", "arn:holdfast:notify:eu-test-1::hook"),
        ("Id", "one"),
    ] {
        let found = kept.elements(name);
        assert!(found.iter().any(|text| text == expected), "{}", kept.text());
    }
    assert_eq!(kept.elements("Value"), ["a/", ".jpg"]);
    assert_eq!(kept.elements("Event").len(), 2);
    server.send(put("")).await.expect(200);
    assert!(!got(&server).await.text().contains("Queue"));
    let asked = ASKED.lock().unwrap();
    let asked = asked.iter().find(|message| message["Bucket"] == "bkt");
    assert_eq!(asked.unwrap()["Event"], "s3:TestEvent");
}

#[tokio::test]
async fn configurations_that_break_the_rules_are_refused() {
    let server = Server::with_bucket().await;
    let created = "s3:ObjectCreated:*";
    let filter = |rules: String| format!("<Filter><S3Key>{rules}</S3Key></Filter>");
    for inner in [
        queue("none", created, ""),
        queue("away", created, ""),
        queue("hook", created, "").replace("eu-test-1", "eu-test-2"),
        queue("hook", "s3:ObjectCreated:Get", ""),
        queue("hook", created, &filter(rule("middle", "x"))),
        queue(
            "hook",
            created,
            &filter(rule("prefix", "x") + &rule("Prefix", "y")),
        ),
        queue("hook", created, "<Id>i</Id>") + &queue("hook", "s3:ObjectCreated:Put", ""),
        queue("hook", created, "<Id>i</Id>") + &queue("hook", "s3:ObjectTagging:*", "<Id>i</Id>"),
    ] {
        let refused = server.send(put(&inner)).await;
        refused.refused(400, "InvalidArgument");
    }
    let lambda = queue("hook", created, "");
    let lambda = lambda.replace("QueueConfiguration", "CloudFunctionConfiguration");
    let lambda = lambda.replace("Queue>", "CloudFunction>");
    for inner in [
        lambda,
        "<EventBridgeConfiguration></EventBridgeConfiguration>".to_owned(),
        queue("hook", "s3:Replication:*", ""),
    ] {
        let refused = server.send(put(&inner)).await;
        refused.refused(501, "NotImplemented");
    }
    assert!(!got(&server).await.text().contains("Queue"));
    let unchecked = put(&queue("away", created, ""));
    let unchecked = unchecked.header("x-amz-skip-destination-validation", "true");
    server.send(unchecked).await.expect(200);
    assert!(got(&server).await.text().contains("::away"));
}
