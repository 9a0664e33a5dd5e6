//! Goal: what lifecycle rules could not do leaves nothing behind that a later start would act on,
//! keeps nothing else waiting, and is tried again, less and less often. What changed while it was
//! prepared has the last word.
//!
//! Method: the gateway's operations over drives in memory with a calendar of the test's own; seals
//! that fail, reads that wait, an index that is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use gateway::{DAY, Gateway};
use holdfast_gateway::object::types::VersionId;
use holdfast_gateway::settings::{
    FilterForm, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    NoncurrentTransition, Transition, Versioning, When,
};
use holdfast_index::rows::{self, Which};
use holdfast_index::{Batch, Index, Locks, Row, Table, keys};
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{BucketId, BucketRow};
use holdfast_store::placement::group_of;

/// So long is the first pause after a move that failed, in days of 24 hours.
const PAUSE: u64 = 30_000;

fn rule() -> LifecycleRule {
    LifecycleRule {
        id: "rule".to_owned(),
        enabled: true,
        filter: LifecycleFilter {
            form: FilterForm::Filter,
            smaller: Some(1 << 40),
            ..LifecycleFilter::default()
        },
        ..LifecycleRule::default()
    }
}

fn moves(class: &str) -> LifecycleRule {
    LifecycleRule {
        transitions: vec![Transition {
            at: When::Days(1),
            class: class.to_owned(),
        }],
        noncurrent_transitions: vec![NoncurrentTransition {
            days: 1,
            keep: None,
            class: class.to_owned(),
        }],
        ..rule()
    }
}

async fn has_rule(gateway: &Gateway, rule: LifecycleRule) {
    let rules = Lifecycle::new(vec![rule]).unwrap();
    gateway.rules(Some(rules)).await;
}

async fn versioned() -> Gateway {
    let gateway = Gateway::start(DAY).await;
    gateway
        .set(|settings| settings.versioning = Some(Versioning::Enabled))
        .await;
    gateway
}

async fn row(gateway: &Gateway, key: &str, version: VersionId) -> VersionRow {
    let which = match version {
        VersionId::Null => Which::Null,
        VersionId::Ordered(order) => Which::Id(order),
    };
    let index = &*gateway.cluster.index;
    let found = rows::get_version(index, support::BUCKET, key, which).await;
    found.unwrap().unwrap().1
}

/// Key, version and class of all there are.
async fn listed(gateway: &Gateway) -> Vec<(String, VersionId, String)> {
    let versions = gateway.versions().await.into_iter();
    let versions = versions.map(|entry| {
        let object = entry.object;
        (object.key, entry.version, object.storage_class)
    });
    versions.collect()
}

async fn failures(gateway: &Gateway) -> u64 {
    gateway.service.move_due(&gateway.metrics).await.unwrap();
    gateway.failures()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_that_fails_leaves_none_of_those_beside_it_to_a_later_start() {
    let mut partly = 0;
    for seals in 1..=12 {
        let mut gateway = versioned().await;
        for _ in 0..20 {
            gateway.put("k", 500).await;
        }
        let goes = LifecycleRule {
            noncurrent: Some(NoncurrentExpiration {
                days: 1,
                keep: None,
            }),
            ..rule()
        };
        has_rule(&gateway, goes).await;
        gateway.calendar.pass(3 * DAY);
        // The first of them fail on every drive, the others do not; no other drive stands in.
        let store = &gateway.running.as_ref().unwrap().store;
        let group = store.group(group_of(support::BUCKET, "k"));
        for drive in &gateway.cluster.drives {
            let stands_in = !group.contains(&drive.id);
            drive.fail_seals(if stands_in { 1_000_000 } else { seals * 2 });
        }
        gateway.round().await;
        let left = listed(&gateway).await;
        partly += usize::from(gateway.failures() > 0);
        for drive in &gateway.cluster.drives {
            drive.fail_seals(0);
        }
        // What failed is voided by then, if not yet swept from each drive.
        let quiet = gateway.running.as_ref().unwrap().until_quiet();
        let _ = tokio::time::timeout(Duration::from_secs(3), quiet).await;
        // No rule any more: what a start finds on the drives is all that could go.
        gateway.rules(None).await;
        gateway.restart().await;
        assert_eq!(listed(&gateway).await, left, "{seals} seals");
        gateway.rebuild().await;
        assert_eq!(listed(&gateway).await, left, "{seals} seals, rebuilt");
        gateway.running.unwrap().workers.stop().await;
    }
    assert!(partly > 0, "no round ended early");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_be_moved_keeps_none_waiting_and_is_tried_less_and_less() {
    let gateway = versioned().await;
    for _ in 0..5 {
        gateway.put("k", 30_000).await;
        gateway.calendar.pass(1000);
    }
    gateway.put("other", 30_000).await;
    // The newest but the current cannot be read.
    let bad = listed(&gateway).await[1].1;
    let lost = row(&gateway, "k", bad).await;
    for drive in &gateway.cluster.drives {
        drive.lose(lost.manifest.write);
    }
    has_rule(&gateway, moves("NARROW")).await;
    gateway.calendar.pass(3 * DAY);
    gateway.round().await;
    assert_eq!(failures(&gateway).await, 1);
    for (key, version, class) in listed(&gateway).await {
        let expected = if version == bad { "STANDARD" } else { "NARROW" };
        assert_eq!(class, expected, "{key} {version}");
    }
    let mut count = 1;
    for pauses in [1, 2, 4, 8] {
        gateway.calendar.pass(PAUSE * pauses - 1);
        for _ in 0..3 {
            assert_eq!(
                failures(&gateway).await,
                count,
                "{pauses} pauses, too early"
            );
        }
        gateway.calendar.pass(1);
        count += 1;
        assert_eq!(failures(&gateway).await, count, "after {pauses} pauses");
    }
    // It is known that it waits.
    assert!(gateway.queued().await > 0);
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_change_while_a_version_is_read_have_the_last_word() {
    for inline in [false, true] {
        let gateway = versioned().await;
        gateway.put("k", 30_000).await;
        gateway.put("k", 30_000).await;
        has_rule(&gateway, moves("NARROW")).await;
        gateway.calendar.pass(3 * DAY);
        gateway.round().await;
        for drive in &gateway.cluster.drives {
            drive.hold_reads(true);
        }
        let (service, metrics) = (gateway.service.clone(), gateway.metrics.clone());
        let moving = tokio::spawn(async move { service.move_due(&metrics).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        match inline {
            true => gateway.rules(None).await,
            false => has_rule(&gateway, moves("SAME")).await,
        }
        for drive in &gateway.cluster.drives {
            drive.hold_reads(false);
        }
        moving.await.unwrap().unwrap();
        let expected = if inline { "STANDARD" } else { "SAME" };
        let running = gateway.running.as_ref().unwrap();
        for (key, version, class) in listed(&gateway).await {
            assert_eq!(class, expected, "{key} {version}");
            // Not once was it in the class that the old rule named.
            let row = row(&gateway, &key, version).await;
            assert_eq!(row.manifest.geometry.to_string(), "2+1", "{key} {version}");
        }
        running.until_quiet().await;
        gateway.running.unwrap().workers.stop().await;
    }
}

/// Puts a bucket there of which the settings cannot be read.
async fn unreadable_bucket(gateway: &Gateway) -> BucketId {
    let index = &gateway.cluster.index;
    let name = operations::bucket();
    let at = keys::bucket(name.as_str());
    let found = index.get(Table::Bucket, &at).await.unwrap().unwrap();
    let mut other = BucketRow::decode(&found.value).unwrap();
    other.name = "abc".to_owned();
    other.id = BucketId::new(1);
    other.config = vec![("lifecycle".to_owned(), Bytes::from_static(b"?"))];
    let txn = index.begin(Locks::none()).await.unwrap();
    let mut batch = Batch::new();
    let row = Row::new(other.order, other.encode());
    batch.set(Table::Bucket, keys::bucket(&other.name), row);
    let due = holdfast_index::due::Due::versions(other.id, "k");
    batch.put_due(0, &due);
    batch.put_due(holdfast_index::due::MOVE_MS, &due);
    txn.commit(batch).await.unwrap();
    other.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_read_keeps_no_other_waiting() {
    let gateway = versioned().await;
    gateway.put("k", 30_000).await;
    has_rule(&gateway, moves("NARROW")).await;
    gateway
        .service
        .backfill_lifecycle(&gateway.metrics)
        .await
        .unwrap();
    unreadable_bucket(&gateway).await;
    gateway.calendar.pass(3 * DAY);
    gateway.service.expire(&gateway.metrics).await.unwrap();
    assert_eq!(failures(&gateway).await, 2);
    assert_eq!(listed(&gateway).await[0].2, "NARROW");
    // What is left is what is about that bucket.
    gateway.service.expire(&gateway.metrics).await.unwrap();
    assert_eq!(gateway.queued().await, 2);
    gateway.open_upload("k").await;
    gateway.calendar.pass(10 * DAY);
    let aborted = prometheus::IntCounter::new("aborted", "aborted").unwrap();
    let age = Duration::from_secs(24 * 3600);
    let outcome = gateway.service.abort_abandoned(age, &aborted).await;
    assert!(outcome.is_err(), "the bucket is told of");
    assert_eq!(aborted.get(), 1);
    gateway.running.unwrap().workers.stop().await;
}
