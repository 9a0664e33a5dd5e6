//! Drives that took the places of lost ones, and what cannot be healed.
//!
//! Goal: a drive counts as whole as soon as nothing is left that it has to hold and could get, and
//! not before; what is beyond repair, or concerns other drives, does not keep it waiting.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_protocol::DriveId;
use holdfast_workers::{DriveState, WorkersConfig};
use support::{Cluster, body, config};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_repair_keeps_no_new_drive_from_being_whole() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = WorkersConfig {
        out_after: Duration::from_millis(300),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let lost = running.put("lost", &body(1, 100_000), true).await.unwrap();
    for number in 2..8 {
        let key = format!("key {number}");
        let len = if number % 2 == 0 { 90_000 } else { 100 };
        running.put(&key, &body(number, len), true).await.unwrap();
    }
    running.until_quiet().await;
    let write = lost.manifest.write;
    cluster.drive(lost.placement.holders[1]).lose(write);
    let new = cluster.replace(&running, lost.placement.holders[0]).await;
    running
        .until("the new drive is whole", || async {
            running.store.map().filling().count() == 0
        })
        .await;
    assert!(!cluster.drive(new).holds(write));
    let status = running.workers.heal_status();
    assert_eq!(status.backlog_objects, 1, "it is still shown: {status:?}");
    let report = running.workers.check(&|_| {}).await.unwrap();
    let kinds: Vec<&str> = { report.problems.iter() }
        .map(|problem| problem.kind.as_str())
        .collect();
    assert_eq!(kinds, ["lost"], "{report:?}");
    for number in 2..8 {
        let key = format!("key {number}");
        let len = if number % 2 == 0 { 90_000 } else { 100 };
        assert_eq!(running.get(&key).await.unwrap(), body(number, len));
        let placement = running.row(&key).await.unwrap().placement;
        assert_eq!(placement.missing, 0, "{key}");
    }
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_another_drive_keeps_no_new_drive_from_being_whole() {
    let mut cluster = Cluster::new("2+2", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let (away, lost) = (cluster.drives[0].id, cluster.drives[1].id);
    cluster.drive(away).set_down(true);
    running
        .until("the drive is seen to be down", || async {
            !running.store.drives().is_reachable(away)
        })
        .await;
    let row = running.put("b", &body(2, 100_000), true).await.unwrap();
    let new = cluster.replace(&running, lost).await;
    running
        .until("the new drive is whole", || async {
            running.store.map().filling().count() == 0
        })
        .await;
    assert!(cluster.drive(new).holds(row.manifest.write));
    let placement = running.row("b").await.unwrap().placement;
    assert_eq!(placement.missing.count_ones(), 1, "{placement:?}");
    cluster.drive(away).set_down(false);
    running.until_quiet().await;
    running.workers.stop().await;
}

/// The row cannot be healed as it is, but the drive that is away may come back with its shard.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_drive_may_still_get_keeps_it_from_being_whole() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = WorkersConfig {
        out_after: Duration::from_millis(300),
        compare_interval: Duration::from_millis(50),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let away = row.placement.holders[1];
    cluster.drive(away).set_down(true);
    let new = cluster.replace(&running, row.placement.holders[0]).await;
    running
        .until("the drive that is away is out", || async {
            let drives = running.workers.drives();
            drives[&away].state == DriveState::Out
        })
        .await;
    let began = running.metrics.compared_rows.get();
    running
        .until(
            "the others were compared since, again and again",
            || async { running.metrics.compared_rows.get() > began + 20 },
        )
        .await;
    assert!(running.store.map().filling().eq([new]));
    cluster.drive(away).set_down(false);
    running.until_quiet().await;
    assert!(cluster.drive(new).holds(row.manifest.write));
    assert_eq!(running.store.map().filling().count(), 0);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_lost_log_entries_is_partial_until_all_of_it_is_healed() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = WorkersConfig {
        compare_interval: Duration::from_millis(50),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let small = running.put("small", &body(1, 500), true).await.unwrap();
    let coded = running.put("coded", &body(2, 90_000), true).await.unwrap();
    running.until_quiet().await;
    let holders = &small.placement.holders;
    let both = |drive: &&DriveId| coded.placement.holders.contains(drive);
    let lost = *holders.iter().find(both).unwrap();
    running.workers.pause_heal(true);
    for row in [&small, &coded] {
        cluster.drive(lost).lose(row.manifest.write);
    }
    cluster.drive(lost).lose_log(&[]);
    let compared = || running.metrics.compared_rows.get();
    running
        .until("what it lacks is queued", || async {
            running.workers.heal_status().backlog_objects > 0
        })
        .await;
    let began = compared();
    running
        .until("it was compared since", || async {
            compared() > began + 20
        })
        .await;
    assert!(cluster.drive(lost).is_partial(), "nothing was healed");
    running.workers.pause_heal(false);
    running
        .until("it is whole", || async {
            !cluster.drive(lost).is_partial()
        })
        .await;
    running.until_quiet().await;
    for key in ["small", "coded"] {
        assert_eq!(
            running.row(key).await.unwrap().placement.missing,
            0,
            "{key}"
        );
    }
    running.workers.stop().await;
}
