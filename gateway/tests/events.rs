//! Goal: what a bucket has told is told: nothing is lost while a target is away, a key's events
//! come in their order, and what nobody asked to be told is not.
//!
//! Method: the gateway's operations over drives in memory; a target that can be away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::notify::{Keyed, NotifyMetrics, Origin, Queue, Target, TargetError, Targets};
use holdfast_gateway::object::types::{
    ChangeObject, CopyObject, ReadConditions, RenameObject, WriteConditions,
};
use holdfast_gateway::object::{Objects, Service};
use holdfast_gateway::settings::{Notification, Settings, TargetKind, Tell, Versioning};
use holdfast_protocol::Metadata;
use operations::requests::{delete_of, put_of};
use operations::{bucket, object_key, service};
use serde_json::Value;
use support::{Cluster, Running};

#[derive(Debug, Default)]
struct Listener {
    away: AtomicBool,
    heard: Mutex<Vec<Keyed>>,
}

#[async_trait]
impl Target for Listener {
    async fn send(&self, batch: &[Keyed]) -> Result<(), TargetError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(TargetError::Refused { status: 503 });
        }
        self.heard.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
    async fn test(&self, _: &Value) -> Result<(), TargetError> {
        Ok(())
    }
}

impl Listener {
    /// Key and name of each event.
    fn names(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let heard = self.heard.lock().unwrap();
        let heard = heard.iter();
        heard
            .map(|event| {
                let object = &event.record["s3"]["object"]["key"];
                (text(object), text(&event.record["eventName"]))
            })
            .collect()
    }
}

fn queue(listener: &Arc<Listener>, max: usize) -> Queue {
    let target = Arc::clone(listener) as Arc<dyn Target>;
    let targets = BTreeMap::from([("hook".to_owned(), target)]);
    Queue::new(
        Targets::new("eu-test-1", targets),
        max,
        NotifyMetrics::new().unwrap(),
    )
}

async fn configure(service: &Service, events: &[&str], versioning: bool) {
    let tell = Tell {
        id: "all".to_owned(),
        kind: TargetKind::Queue,
        arn: "arn:holdfast:notify:eu-test-1::hook".to_owned(),
        target: "hook".to_owned(),
        events: events.iter().map(|&text| text.to_owned()).collect(),
        prefix: "k".to_owned(),
        suffix: String::new(),
    };
    let told = Notification::new(vec![tell]).unwrap();
    let edit = move |settings: &mut Settings| {
        settings.notification = Some(told);
        settings.versioning = versioning.then_some(Versioning::Enabled);
        Ok(())
    };
    service.configure(&bucket(), Box::new(edit)).await.unwrap();
}

fn origin() -> Origin {
    Origin::new("192.0.2.7".parse().unwrap(), "REQUEST", "HOST")
}

async fn put(service: &Service, key: &str, body: &str) {
    let put = put_of(key, body.as_bytes());
    origin().within(service.put(put)).await.unwrap();
}

async fn delete(service: &Service, key: &str) {
    let delete = delete_of(key, None);
    origin().within(service.delete(delete)).await.unwrap();
}

async fn tag(service: &Service, key: &str, tags: Option<&str>) {
    let tags = tags.map(str::to_owned);
    let change = ChangeObject {
        bucket: bucket(),
        key: object_key(key),
        version: None,
        edit: Box::new(move |metadata, _, _| {
            match tags {
                Some(tags) => metadata.set("x-amz-tagging", tags),
                None => metadata.remove("x-amz-tagging"),
            }
            Ok(())
        }),
        by: Caller::Anonymous,
    };
    origin().within(service.change(change)).await.unwrap();
}

async fn copy(service: &Service, from: &str, to: &str) {
    let copy = CopyObject {
        source_bucket: bucket(),
        source_key: object_key(from),
        source_version: None,
        source_conditions: ReadConditions::default(),
        bucket: bucket(),
        key: object_key(to),
        metadata: None,
        tags: None,
        own: Metadata::default(),
        checksum: None,
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    };
    origin().within(service.copy(copy)).await.unwrap();
}

const ALL: [&str; 4] = [
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:ObjectTagging:*",
    "s3:ObjectAcl:Put",
];

#[tokio::test]
async fn every_change_is_told_in_order_also_after_the_target_was_away() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let listener = Arc::new(Listener::default());
    let service = service(&running).telling(queue(&listener, 100));
    put(&service, "k0", "before").await;
    configure(&service, &ALL, false).await;
    listener.away.store(true, Ordering::SeqCst);
    put(&service, "k 1", "one").await;
    assert!(service.tell("hook").await.is_err());
    copy(&service, "k 1", "k2").await;
    tag(&service, "k2", Some("a=b")).await;
    tag(&service, "k2", None).await;
    put(&service, "other", "not told").await;
    delete(&service, "k 1").await;
    delete(&service, "k 1").await;
    assert!(service.tell("hook").await.is_err());
    assert!(listener.names().is_empty());
    listener.away.store(false, Ordering::SeqCst);
    assert!(service.tell("hook").await.unwrap());
    assert!(!service.tell("hook").await.unwrap());
    let expected = [
        ("k+1", "ObjectCreated:Put"),
        ("k2", "ObjectCreated:Copy"),
        ("k2", "ObjectTagging:Put"),
        ("k2", "ObjectTagging:Delete"),
        ("k+1", "ObjectRemoved:Delete"),
    ];
    let expected = expected.map(|(key, name)| (key.to_owned(), name.to_owned()));
    assert_eq!(listener.names(), expected);
    let heard = listener.heard.lock().unwrap();
    let sequencer = |event: &Keyed| event.record["s3"]["object"]["sequencer"].to_string();
    let sequencers: Vec<String> = heard.iter().map(sequencer).collect();
    assert!(sequencers.is_sorted(), "{sequencers:?}");
    let first = &heard[0].record;
    assert_eq!(first["requestParameters"]["sourceIPAddress"], "192.0.2.7");
    assert_eq!(first["responseElements"]["x-amz-request-id"], "REQUEST");
    assert_eq!(first["s3"]["object"]["size"], 3);
    assert_eq!(
        first["s3"]["object"]["eTag"],
        "f97c5d29941bfb1b2fdab0874906ab82"
    );
    assert_eq!(first["s3"]["bucket"]["name"], "bucket");
    assert_eq!(first["s3"]["configurationId"], "all");
    assert_eq!(first["awsRegion"], "eu-test-1");
    assert_eq!(heard[0].key, "bucket/k 1");
}

#[tokio::test]
async fn a_rename_is_told_of_both_names_in_their_order() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let listener = Arc::new(Listener::default());
    let service = service(&running).telling(queue(&listener, 100));
    put(&service, "k1", "one").await;
    configure(&service, &ALL, false).await;
    let rename = RenameObject {
        bucket: bucket(),
        from: object_key("k1"),
        key: object_key("k2"),
        source_conditions: ReadConditions::default(),
        conditions: ReadConditions::default(),
        token: None,
        by: Caller::Anonymous,
    };
    let renaming = service.rename(rename.clone());
    origin().within(renaming).await.unwrap();
    // One that is refused is told to nobody.
    let refused = origin().within(service.rename(rename)).await;
    assert!(refused.is_err());
    assert!(service.tell("hook").await.unwrap());
    let expected = [("k2", "ObjectCreated:Copy"), ("k1", "ObjectRemoved:Delete")];
    let expected = expected.map(|(key, name)| (key.to_owned(), name.to_owned()));
    assert_eq!(listener.names(), expected);
    running.workers.stop().await;
}

#[tokio::test]
async fn delete_markers_and_versions_are_told_with_their_ids() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let listener = Arc::new(Listener::default());
    let service = service(&running).telling(queue(&listener, 100));
    configure(&service, &ALL, true).await;
    put(&service, "k", "one").await;
    delete(&service, "k").await;
    assert!(service.tell("hook").await.unwrap());
    let names: Vec<String> = listener.names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated"]
    );
    let heard = listener.heard.lock().unwrap();
    let version = |event: &Keyed| event.record["s3"]["object"]["versionId"].to_string();
    assert_ne!(version(&heard[0]), version(&heard[1]));
    assert!(heard.iter().all(|event| version(event).len() == 34));
}

#[tokio::test]
async fn a_full_queue_drops_what_is_new_and_stops_no_write() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let listener = Arc::new(Listener::default());
    let service = service(&running).telling(queue(&listener, 2));
    configure(&service, &ALL, false).await;
    for key in ["k1", "k2", "k3"] {
        put(&service, key, "x").await;
    }
    assert!(service.tell("hook").await.unwrap());
    let keys = |listener: &Listener| {
        let names = listener.names();
        names.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&listener), ["k1", "k2"]);
    put(&service, "k4", "x").await;
    assert!(service.tell("hook").await.unwrap());
    assert_eq!(keys(&listener), ["k1", "k2", "k4"]);
}

#[tokio::test]
async fn the_queue_of_a_target_that_is_gone_is_bounded_across_starts() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let listener = Arc::new(Listener::default());
    let service_of = |running: &Running, queue: Queue| service(running).telling(queue);
    let first = service_of(&running, queue(&listener, 3));
    configure(&first, &ALL, false).await;
    put(&first, "k0", "x").await;
    let mut running = running;
    for start in 1..4 {
        // Nobody is configured any more.
        let none = Targets::new("eu-test-1", BTreeMap::new());
        let queue = Queue::new(none, 3, NotifyMetrics::new().unwrap());
        let service = service_of(&running, queue);
        service.count_orphans().await.unwrap();
        for at in 0..5 {
            put(&service, &format!("k{start}-{at}"), "x").await;
        }
        cluster.kill(running).await;
        running = cluster.start().await;
    }
    // It is configured again, and told of the oldest.
    let again = service_of(&running, queue(&listener, 3));
    again.count_orphans().await.unwrap();
    assert!(again.tell("hook").await.unwrap());
    let names = listener.names().into_iter().map(|(key, _)| key);
    assert_eq!(names.collect::<Vec<_>>(), ["k0", "k1-0", "k1-1"]);
    running.workers.stop().await;
}
