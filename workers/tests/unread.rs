//! Drives that answer, but whose media do not.
//!
//! Goal: what lies on a drive that serves no reads is healed elsewhere, in bounded time; a drive
//! that is only slow, or fails only some reads, is not given up; one that recovers counts again.
//! Method: as in `cluster.rs`; reads of a drive wait until the test lets them go on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_protocol::DriveId;
use holdfast_workers::{DriveState, WorkersConfig};
use support::{Cluster, Running, body, config};

fn impatient() -> WorkersConfig {
    WorkersConfig {
        drive_deadline: Duration::from_millis(60),
        out_after: Duration::from_millis(300),
        ..config()
    }
}

fn state(running: &Running, drive: DriveId) -> DriveState {
    running.workers.drives()[&drive].state
}

/// Of what was written, some is coded, and some lies in its record.
async fn put_some(running: &Running) {
    for number in 0..8 {
        let len = if number % 2 == 0 { 90_000 } else { 100 };
        let key = format!("key {number}");
        running.put(&key, &body(number, len), true).await.unwrap();
    }
}

async fn read_all(running: &Running) {
    for number in 0..8 {
        let len = if number % 2 == 0 { 90_000 } else { 100 };
        let key = format!("key {number}");
        assert_eq!(running.get(&key).await.unwrap(), body(number, len));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_holds_that_serves_no_reads_is_healed_elsewhere() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start_with(impatient()).await;
    put_some(&running).await;
    running.until_quiet().await;
    let stuck = running.row("key 0").await.unwrap().placement.holders[0];
    cluster.drive(stuck).hold_reads(true);
    // Readers go around it, and nobody waits for its answers.
    read_all(&running).await;
    running
        .until("it is given up", || async {
            state(&running, stuck) == DriveState::Out
        })
        .await;
    let label = stuck.to_string();
    let unread = &running.metrics.unread_seconds;
    assert!(unread.with_label_values(&[&label]).get() > 0.1);
    running
        .until("all is whole without it", || async {
            for number in 0..8 {
                let row = running.row(&format!("key {number}")).await.unwrap();
                let placement = row.placement;
                if placement.holders.contains(&stuck) || placement.missing != 0 {
                    return false;
                }
            }
            true
        })
        .await;
    cluster.drive(stuck).hold_reads(false);
    running
        .until("it counts again", || async {
            state(&running, stuck) == DriveState::Up
        })
        .await;
    running.until_quiet().await;
    read_all(&running).await;
    assert!(unread.with_label_values(&[&label]).get() < f64::EPSILON);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_only_slow_is_not_given_up() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = WorkersConfig {
        drive_deadline: Duration::from_secs(5),
        ..impatient()
    };
    let running = cluster.start_with(config).await;
    put_some(&running).await;
    running.until_quiet().await;
    let slow = running.row("key 0").await.unwrap().placement.holders[0];
    // Longer than readers wait for it.
    cluster.drive(slow).set_slow(Duration::from_millis(250));
    let start = running.clock().now();
    running
        .until("it was read for long", || async {
            read_all(&running).await;
            assert_eq!(state(&running, slow), DriveState::Up);
            running.clock().now().since(start) > Duration::from_secs(2)
        })
        .await;
    assert!(running.store.drives().is_reachable(slow));
    running.workers.stop().await;
}

/// The drive answers whatever else is asked, and is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_from_a_drive_that_answers_others_is_healed_elsewhere() {
    for key in ["key 0", "key 1"] {
        let mut cluster = Cluster::new("2+1", 4);
        let running = cluster.start_with(impatient()).await;
        put_some(&running).await;
        running.until_quiet().await;
        let row = running.row(key).await.unwrap();
        let (stuck, write) = (row.placement.holders[0], row.manifest.write);
        cluster.drive(stuck).hang_reads_of(write, true);
        running.workers.start_scrub();
        running
            .until("it is healed elsewhere", || async {
                read_all(&running).await;
                assert_eq!(state(&running, stuck), DriveState::Up);
                let placement = running.row(key).await.unwrap().placement;
                !placement.holders.contains(&stuck) && placement.missing == 0
            })
            .await;
        cluster.drive(stuck).hang_reads_of(write, false);
        running.until_quiet().await;
        assert!(!cluster.drive(stuck).holds(write), "it keeps no copy");
        running.workers.stop().await;
    }
}

/// Of several stripes: each is read from other drives.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_goes_around_a_drive_that_is_slow() {
    let mut cluster = Cluster::new("2+2", 4);
    let config = WorkersConfig {
        drive_deadline: Duration::from_secs(60),
        down_after: Duration::from_secs(60),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 3_000_000), true).await.unwrap();
    running.until_quiet().await;
    let holders = row.placement.holders;
    for drive in &cluster.drives {
        drive.set_slow(Duration::from_secs(match drive.id == holders[3] {
            true => 30,
            false => 0,
        }));
    }
    running.workers.pause_heal(true);
    cluster.drive(holders[1]).lose(row.manifest.write);
    assert_eq!(running.get("a").await.unwrap(), body(1, 3_000_000));
    running.workers.pause_heal(false);
    running.until_quiet().await;
    assert!(cluster.drive(holders[1]).holds(row.manifest.write));
    running.workers.stop().await;
}
