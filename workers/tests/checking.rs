//! Check, inspect, the durability summary and slow drives.
//!
//! Goal: what an operator is told is what is so.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::admin::inspect::InspectRequest;
use support::{Cluster, Running, body};

const DEEP: CheckRequest = CheckRequest {
    deep: true,
    heal: false,
};

fn counts(running: &Running) -> Vec<(u8, u64)> {
    let summary = running.workers.durability();
    let counts = summary.by_margin.iter();
    counts.map(|count| (count.margin, count.objects)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_check_finds_rot_where_a_plain_one_sees_none_and_hands_it_to_the_healer() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.put("b", &body(2, 100), true).await.unwrap();
    running.until_quiet().await;
    let parity = row.placement.holders[2];
    cluster.drive(parity).rot(row.manifest.write);
    let plain = running.workers.check(&|_| {}).await.unwrap();
    assert!(plain.clean && plain.objects.is_empty(), "{plain:?}");
    running.workers.pause_heal(true);
    let deep = running.workers.check_with(DEEP).await.unwrap();
    assert!(!deep.clean && deep.deep, "{deep:?}");
    let object = &deep.objects[0];
    assert_eq!(
        (object.bucket.as_str(), object.key.as_str()),
        ("bucket", "a")
    );
    assert_eq!(
        (object.state.as_str(), object.good, object.margin),
        ("degraded", 2, 0)
    );
    assert_eq!(object.drives, [parity.to_string()]);
    assert_eq!((deep.handed_to_healer, deep.counts.verified), (0, 4));
    assert_eq!(
        running.workers.heal_status().backlog_objects,
        0,
        "it is read-only"
    );
    let request = CheckRequest { heal: true, ..DEEP };
    let handed = running.workers.check_with(request).await.unwrap();
    assert_eq!(handed.handed_to_healer, 1);
    assert_eq!(running.workers.heal_status().backlog_objects, 1);
    running.workers.run_heal();
    running.until_quiet().await;
    let deep = running.workers.check_with(DEEP).await.unwrap();
    assert!(deep.clean && deep.objects.is_empty(), "{deep:?}");
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_a_tombstone_that_a_drive_forgot() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    // A drive that is away keeps the tombstone from being forgotten.
    let away = row.placement.holders[2];
    cluster.drive(away).set_down(true);
    running
        .until("it is seen to be down", || async {
            !running.store.drives().is_reachable(away)
        })
        .await;
    running.delete("a", true).await;
    let queue = holdfast_index::rows::purge_queue(&*running.index, None, 10);
    let entry = queue.await.unwrap().items.remove(0);
    let (guard, holder) = (entry.row.guard.unwrap(), entry.row.guard_holders[0]);
    // The mark moves past the deletion with the next commit.
    running.put("b", &body(2, 100), true).await.unwrap();
    cluster.drive(holder).lose(guard);
    let request = CheckRequest {
        deep: false,
        heal: true,
    };
    let report = running.workers.check_with(request).await.unwrap();
    let kinds: Vec<&str> = report.problems.iter().map(|p| p.kind.as_str()).collect();
    assert_eq!(kinds, ["guard"], "{report:?}");
    running
        .until("the tombstone is back", || async {
            cluster.drive(holder).holds(guard)
        })
        .await;
    cluster.drive(away).set_down(false);
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_tells_how_many_failures_an_object_survives_now() {
    let mut cluster = Cluster::new("2+2", 5);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 3_000_000), true).await.unwrap();
    running.put("small", &body(1, 10), true).await.unwrap();
    running.until_quiet().await;
    let request = |key: &str| InspectRequest {
        bucket: "bucket".to_owned(),
        key: key.to_owned(),
        write: None,
    };
    let whole = running
        .workers
        .inspect(&request("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((whole.survives, whole.survives_whole), (Some(2), 2));
    assert_eq!(whole.bodies[0].stripe_count, 3);
    assert_eq!(whole.bodies[0].shards.len(), 4);
    let small = running.workers.inspect(&request("small")).await.unwrap();
    assert_eq!(small.unwrap().survives, Some(2));
    let lost = row.placement.holders[3];
    running.workers.pause_heal(true);
    cluster.drive(lost).rot(row.manifest.write);
    cluster.drive(row.placement.holders[0]).set_down(true);
    let found = running
        .workers
        .inspect(&request("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.survives, Some(0));
    let states: Vec<&str> = found.bodies[0]
        .shards
        .iter()
        .map(|shard| shard.state.as_str())
        .collect();
    assert_eq!(states, ["away", "good", "good", "bad"]);
    cluster.drive(row.placement.holders[1]).set_down(true);
    let found = running
        .workers
        .inspect(&request("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.survives, None);
    assert!(
        running
            .workers
            .inspect(&request("no"))
            .await
            .unwrap()
            .is_none()
    );
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_counts_objects_by_margin() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    for number in 0..5 {
        let key = format!("key {number}");
        running
            .put(&key, &body(number, 50_000), true)
            .await
            .unwrap();
    }
    running.until_quiet().await;
    running
        .until("all are counted as whole", || async {
            counts(&running) == [(0, 0), (1, 5)]
        })
        .await;
    running.workers.pause_heal(true);
    let row = running.row("key 2").await.unwrap();
    cluster
        .drive(row.placement.holders[2])
        .rot(row.manifest.write);
    let request = CheckRequest {
        deep: true,
        heal: true,
    };
    running.workers.check_with(request).await.unwrap();
    running
        .until("one is counted apart", || async {
            counts(&running) == [(0, 1), (1, 4)]
        })
        .await;
    running.workers.run_heal();
    running
        .until("all are whole again", || async {
            counts(&running) == [(0, 0), (1, 5)]
        })
        .await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_drive_is_read_around_and_shown() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let bytes = body(1, 100_000);
    let row = running.put("a", &bytes, true).await.unwrap();
    running.until_quiet().await;
    let slow = row.placement.holders[0];
    for holder in &row.placement.holders {
        assert!(!running.store.drives().is_slow(*holder));
    }
    cluster.drive(slow).set_slow(Duration::from_secs(2));
    running
        .until("it is shown", || async {
            assert_eq!(running.get("a").await.unwrap(), bytes);
            running.store.drives().is_slow(slow)
        })
        .await;
    let factor = running.store.drives().latency_factor(slow).unwrap();
    assert!(factor >= 4.0, "{factor}");
    for holder in &row.placement.holders[1..] {
        assert!(!running.store.drives().is_slow(*holder));
    }
    running.workers.stop().await;
}
