//! Goal: a storage class is a geometry. What is written in a class, or moved to one by a rule, is
//! cut so; what moves stays the same version, byte for byte; and whatever ends in the middle of a
//! move, nothing is lost, on a rebuilt index either.
//!
//! Method: the gateway's operations over drives in memory with a calendar of the test's own; writes
//! that fail, gateways that are killed at random times, an index that is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use gateway::{DAY, Gateway, HOUR};
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    GetObject, ObjectInfo, PutObject, ReadConditions, VersionId,
};
use holdfast_gateway::settings::{
    FilterForm, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentTransition, Transition,
    Versioning, When,
};
use holdfast_index::rows::{self, Which};
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Body, Metadata};
use operations::requests::{put_in_parts, put_of};
use operations::{bucket, object_key};
use support::body;

const PART: usize = 5 << 20;

fn in_class(class: Option<&str>) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.set("x-amz-meta-color", "blue");
    if let Some(class) = class {
        metadata.set(STORAGE_CLASS, class);
    }
    metadata
}

/// What a version is to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    key: String,
    version: Option<VersionId>,
    info: (String, u64, u64, Option<u32>),
    color: Option<String>,
    checksum: Option<Vec<u8>>,
    parts: Vec<Vec<u8>>,
}

struct Client<'a>(&'a Gateway);

impl Client<'_> {
    async fn put(&self, key: &str, class: Option<&str>, bytes: &[u8]) {
        let put = PutObject {
            metadata: in_class(class),
            ..put_of(key, bytes)
        };
        self.0.service.put(put).await.unwrap();
    }

    /// Uploads in two parts.
    async fn put_parts(&self, key: &str, class: Option<&str>, seed: u8) {
        let parts = [(1, PART), (7, 70_000)].map(|(number, len)| (number, body(seed, len)));
        let object = (key, in_class(class));
        put_in_parts(&self.0.service, object, None, &parts).await;
    }

    async fn row(&self, key: &str, version: Option<VersionId>) -> VersionRow {
        let which = match version {
            None => Which::Current,
            Some(VersionId::Null) => Which::Null,
            Some(VersionId::Ordered(order)) => Which::Id(order),
        };
        let index = &*self.0.cluster.index;
        let found = rows::get_version(index, support::BUCKET, key, which).await;
        found.unwrap().unwrap().1
    }

    /// The geometries of what a version is cut into.
    async fn cuts(&self, key: &str, version: Option<VersionId>) -> Vec<String> {
        let row = self.row(key, version).await;
        let Body::Parts { upload, .. } = &row.manifest.body else {
            assert_eq!(
                row.placement.holders.len() >= row.manifest.geometry.total(),
                matches!(row.manifest.body, Body::Coded { .. }),
                "{key}"
            );
            return vec![row.manifest.geometry.to_string()];
        };
        let parts = rows::list_parts(&*self.0.cluster.index, *upload, None, 100).await;
        let parts = parts.unwrap().items.into_iter();
        parts
            .map(|(_, part)| part.manifest.geometry.to_string())
            .collect()
    }

    async fn read(
        &self,
        key: &str,
        version: Option<VersionId>,
        part: Option<u32>,
    ) -> (ObjectInfo, Vec<u8>) {
        let get = GetObject {
            bucket: bucket(),
            key: object_key(key),
            version,
            range: None,
            part,
            conditions: ReadConditions::default(),
        };
        let read = self.0.service.get(get).await.unwrap();
        let pieces: Vec<Bytes> = read.stream.try_collect().await.unwrap();
        (read.info, pieces.concat())
    }

    /// All versions, as clients see them, and the class of each.
    async fn look(&self) -> (Vec<Seen>, Vec<String>) {
        let (mut seen, mut classes) = (Vec::new(), Vec::new());
        for entry in self.0.versions().await {
            let (key, version) = (entry.object.key.as_str(), Some(entry.version));
            if entry.is_marker {
                continue;
            }
            let (info, bytes) = self.read(key, version, None).await;
            let mut parts = vec![bytes];
            for number in [1, 2] {
                if info.part_count.is_some() {
                    parts.push(self.read(key, version, Some(number)).await.1);
                }
            }
            seen.push(Seen {
                key: key.to_owned(),
                version: Some(entry.version),
                info: (
                    info.etag.to_string(),
                    info.len,
                    info.modified_ms,
                    info.part_count,
                ),
                color: info.metadata.get("x-amz-meta-color").map(str::to_owned),
                checksum: info.checksum.map(|sum| sum.digest),
                parts,
            });
            classes.push(entry.object.storage_class.clone());
        }
        (seen, classes)
    }
}

fn moves(days: u32, class: &str) -> LifecycleRule {
    let filter = LifecycleFilter {
        form: FilterForm::Filter,
        smaller: Some(1 << 40),
        ..LifecycleFilter::default()
    };
    LifecycleRule {
        id: class.to_owned(),
        enabled: true,
        filter,
        transitions: vec![Transition {
            at: When::Days(days),
            class: class.to_owned(),
        }],
        noncurrent_transitions: vec![NoncurrentTransition {
            days,
            keep: None,
            class: class.to_owned(),
        }],
        ..LifecycleRule::default()
    }
}

async fn has_rule(gateway: &Gateway, rule: LifecycleRule) {
    let rules = Lifecycle::new(vec![rule]).unwrap();
    gateway.rules(Some(rules)).await;
}

/// Lets go what is due, then moves.
async fn round(gateway: &Gateway) {
    gateway.round().await;
    let moved = gateway.service.move_due(&gateway.metrics).await;
    moved.unwrap();
}

/// A version of each kind: cut, not cut, of parts; noncurrent, with changed metadata.
async fn fill(gateway: &Gateway) {
    let client = Client(gateway);
    client.put("null", None, &body(1, 40_000)).await;
    let versioned = |settings: &mut holdfast_gateway::settings::Settings| {
        settings.versioning = Some(Versioning::Enabled);
    };
    gateway.set(versioned).await;
    for seed in 2..4 {
        client.put("twice", None, &body(seed, 30_000)).await;
        gateway.calendar.pass(1000);
    }
    client.put("null", None, &body(4, 20_000)).await;
    client.put("small", None, &body(5, 20)).await;
    client.put("empty", None, &[]).await;
    client.put_parts("parts", None, 6).await;
    client.put("tagged", None, &body(7, 25_000)).await;
    let (info, _) = client.read("tagged", None, None).await;
    let tags = "a=b".to_owned();
    gateway
        .change("tagged", info.version.unwrap(), "x-amz-tagging", tags)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_in_a_class_is_cut_so_and_survives_what_its_parity_says() {
    let gateway = Gateway::start(DAY).await;
    let client = Client(&gateway);
    client.put("standard", None, &body(1, 50_000)).await;
    client.put("narrow", Some("NARROW"), &body(2, 50_000)).await;
    client.put("small", Some("NARROW"), &body(3, 50)).await;
    client.put_parts("parts", Some("NARROW"), 4).await;
    assert_eq!(client.cuts("standard", None).await, ["2+1"]);
    assert_eq!(client.cuts("narrow", None).await, ["1+1"]);
    assert_eq!(client.cuts("parts", None).await, ["1+1", "1+1"]);
    // What is not cut has as many copies in any class.
    let small = client.row("small", None).await;
    assert_eq!(small.placement.holders.len(), 2);
    let none = PutObject {
        metadata: in_class(Some("GLACIER")),
        ..put_of("none", b"x")
    };
    assert!(gateway.service.put(none).await.is_err());
    let before = client.look().await;
    assert_eq!(before.1, ["NARROW", "NARROW", "NARROW", "STANDARD"]);
    for drive in &gateway.cluster.drives {
        drive.set_unreadable(true);
        assert_eq!(client.look().await, before, "without drive {}", drive.id);
        drive.set_unreadable(false);
    }
    // One that is lost is healed, in the class's own geometry.
    let lost = client.row("narrow", None).await;
    let drive = lost.placement.holders[0];
    gateway.cluster.drive(drive).lose(lost.manifest.write);
    client.read("narrow", None, None).await;
    let running = gateway.running.as_ref().unwrap();
    running
        .until("healed", || async {
            let row = client.row("narrow", None).await;
            let holders = row.placement.holders.iter();
            let mut held = holders.map(|id| gateway.cluster.drive(*id).holds(row.manifest.write));
            row.placement.missing == 0 && held.all(|is| is)
        })
        .await;
    assert_eq!(client.look().await, before);
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_stays_the_same_version_and_its_old_shards_go() {
    let mut gateway = Gateway::start(DAY).await;
    fill(&gateway).await;
    let (before, classes) = Client(&gateway).look().await;
    assert!(
        classes.iter().all(|class| class == "STANDARD"),
        "{classes:?}"
    );
    has_rule(&gateway, moves(2, "NARROW")).await;
    gateway.calendar.pass(DAY);
    round(&gateway).await;
    assert_eq!(Client(&gateway).look().await.1, classes);
    gateway.calendar.pass(2 * DAY);
    round(&gateway).await;
    let (after, classes) = Client(&gateway).look().await;
    assert_eq!(after, before);
    assert!(classes.iter().all(|class| class == "NARROW"), "{classes:?}");
    // Where only the class changed, the key is looked at once more.
    gateway.round().await;
    assert_eq!(gateway.queued().await, 0);
    for seen in &after {
        let cuts = Client(&gateway).cuts(&seen.key, seen.version).await;
        let is_cut = seen.info.1 > 1000;
        let expected = if is_cut { "1+1" } else { "2+1" };
        assert!(
            cuts.iter().all(|cut| cut == expected),
            "{}: {cuts:?}",
            seen.key
        );
    }
    // Nothing is left of the old writes, nor of what clients must not see.
    assert!(gateway.uploads().await.is_empty());
    gateway.running.as_ref().unwrap().until_quiet().await;
    let rows: usize = gateway
        .cluster
        .drives
        .iter()
        .map(|drive| drive.writes().len())
        .sum();
    round(&gateway).await;
    gateway.rebuild().await;
    let again = Client(&gateway).look().await;
    assert_eq!(again, (before.clone(), classes));
    gateway.running.as_ref().unwrap().until_quiet().await;
    let now: usize = gateway
        .cluster
        .drives
        .iter()
        .map(|drive| drive.writes().len())
        .sum();
    assert!(now <= rows + 8, "{now} writes, {rows} before");
    // And on: to a class of the same geometry no byte moves.
    has_rule(&gateway, moves(4, "SAME")).await;
    gateway.calendar.pass(2 * DAY);
    round(&gateway).await;
    let (after, classes) = Client(&gateway).look().await;
    assert_eq!(after, before);
    assert!(classes.iter().all(|class| class == "SAME"), "{classes:?}");
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_fails_leaves_the_old_write_and_is_made_later() {
    let gateway = Gateway::start(DAY).await;
    fill(&gateway).await;
    let client = Client(&gateway);
    let (before, standard) = client.look().await;
    has_rule(&gateway, moves(1, "NARROW")).await;
    gateway.calendar.pass(2 * DAY);
    gateway.round().await;
    for count in 1..12 {
        for drive in &gateway.cluster.drives {
            drive.fail_seals(count % 4);
        }
        // Some of it may fail, and is counted and left for a while.
        gateway.calendar.pass(2 * HOUR);
        gateway.service.move_due(&gateway.metrics).await.unwrap();
        assert_eq!(client.look().await.0, before, "after fault {count}");
    }
    for drive in &gateway.cluster.drives {
        drive.fail_seals(0);
    }
    gateway.calendar.pass(2 * HOUR);
    gateway.service.move_due(&gateway.metrics).await.unwrap();
    let (after, classes) = client.look().await;
    assert_eq!(after, before);
    assert_eq!(standard.len(), classes.len());
    assert!(classes.iter().all(|class| class == "NARROW"), "{classes:?}");
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_move_loses_nothing() {
    for seed in 0..24_u64 {
        let mut gateway = Gateway::start(DAY).await;
        fill(&gateway).await;
        let (before, _) = Client(&gateway).look().await;
        has_rule(&gateway, moves(1, "NARROW")).await;
        gateway.calendar.pass(2 * DAY);
        gateway.round().await;
        for kill in 0..3 {
            let (service, metrics) = (gateway.service.clone(), gateway.metrics.clone());
            let moving = tokio::spawn(async move { service.move_due(&metrics).await });
            let wait = seed.wrapping_mul(0x9e37_79b9).wrapping_add(kill * 7919) % 9_000;
            tokio::time::sleep(Duration::from_micros(wait)).await;
            gateway.restart().await;
            moving.abort();
            let _ = moving.await;
            let (now, _) = Client(&gateway).look().await;
            assert_eq!(now, before, "seed {seed}, kill {kill}");
        }
        if seed % 2 == 0 {
            gateway.rebuild().await;
            let (now, _) = Client(&gateway).look().await;
            assert_eq!(now, before, "seed {seed}, rebuilt");
        }
        round(&gateway).await;
        let (now, classes) = Client(&gateway).look().await;
        assert_eq!(now, before, "seed {seed}, at the end");
        assert!(
            classes.iter().all(|class| class == "NARROW"),
            "{seed}: {classes:?}"
        );
        // What a kill left of an upload of no client is aborted by the next process.
        let aborted = prometheus::IntCounter::new("aborted", "aborted").unwrap();
        let age = Duration::MAX;
        gateway
            .service
            .abort_abandoned(age, &aborted)
            .await
            .unwrap();
        let uploads = rows::get_usage(&*gateway.cluster.index, support::BUCKET)
            .await
            .unwrap();
        assert_eq!(uploads.uploads, 0, "seed {seed}");
        gateway.running.unwrap().workers.stop().await;
    }
}
