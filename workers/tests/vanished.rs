//! Drives that vanish, at once or one after the other.
//!
//! Goal: healing holds back from many that vanish at once, however long they stay away, and not
//! from what was lost before and is healed elsewhere; nobody calls an object whole whose drives do
//! not answer.
//! Method: as in `cluster.rs`; times are short.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_protocol::DriveId;
use holdfast_workers::{DriveState, WorkersConfig};
use support::{Cluster, Running, body, config};

fn impatient() -> WorkersConfig {
    WorkersConfig {
        out_after: Duration::from_millis(300),
        ..config()
    }
}

const KEYS: u8 = 20;

async fn put_some(running: &Running) {
    for number in 0..KEYS {
        let key = format!("key {number}");
        let len = if number % 2 == 0 { 90_000 } else { 300 };
        running.put(&key, &body(number, len), true).await.unwrap();
    }
    running.until_quiet().await;
}

/// Whether no row names the drive any more, and none lacks anything.
async fn is_whole_without(running: &Running, drive: DriveId) -> bool {
    for number in 0..KEYS {
        let row = running.row(&format!("key {number}")).await.unwrap();
        if row.placement.holders.contains(&drive) || row.placement.missing != 0 {
            return false;
        }
    }
    true
}

async fn until_out(running: &Running, drive: DriveId) {
    running
        .until("it is given up", || async {
            running.workers.drives()[&drive].state == DriveState::Out
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_are_lost_one_after_the_other_hold_nothing_back() {
    let mut cluster = Cluster::new("2+1", 8);
    let mut running = cluster.start_with(impatient()).await;
    put_some(&running).await;
    for number in [1, 2, 3] {
        let lost = DriveId::new(number);
        cluster.drive(lost).set_down(true);
        running
            .until(&format!("all is healed without drive {number}"), || async {
                is_whole_without(&running, lost).await
            })
            .await;
        running
            .until("nothing waits", || async {
                let status = running.workers.heal_status();
                let unknown = running.workers.durability().unknown_objects;
                let is_known = status.backlog_objects == 0 && unknown == 0;
                is_known && status.held_back.is_none()
            })
            .await;
        // A restart knows it, too.
        cluster.kill(running).await;
        running = cluster.start_with(impatient()).await;
    }
    assert_eq!(running.workers.heal_status().held_back, None);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_vanish_at_once_hold_healing_back_however_long_they_stay_away() {
    let mut cluster = Cluster::new("2+1", 8);
    let running = cluster.start_with(impatient()).await;
    put_some(&running).await;
    // Known for long to be gone: it counts neither as lost just now nor as one that is there.
    let gone = DriveId::new(8);
    cluster.drive(gone).set_down(true);
    running
        .until("all is healed elsewhere", || async {
            is_whole_without(&running, gone).await
        })
        .await;
    running
        .until("it is no news", || async {
            running.workers.durability().unknown_objects == 0
        })
        .await;
    let away = [1, 2].map(DriveId::new);
    running.workers.pause_heal(true);
    away.iter()
        .for_each(|drive| cluster.drive(*drive).set_down(true));
    running
        .until("healing holds back", || async {
            running.workers.heal_status().held_back.is_some()
        })
        .await;
    running.workers.pause_heal(false);
    for drive in away {
        until_out(&running, drive).await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let why = running.workers.heal_status().held_back.unwrap();
    assert!(why.starts_with("2 of 7 drives vanished"), "{why}");
    let plan = running.workers.heal_plan(100).await.unwrap();
    assert_eq!(plan.held_back.as_deref(), Some(why.as_str()));
    away.iter()
        .for_each(|drive| cluster.drive(*drive).set_down(false));
    running
        .until("healing goes on", || async {
            let status = running.workers.heal_status();
            status.held_back.is_none() && status.backlog_objects == 0
        })
        .await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_a_drive_that_does_not_answer_is_not_counted_as_known() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    for number in 0..KEYS {
        let key = format!("key {number}");
        running.put(&key, &body(number, 300), true).await.unwrap();
    }
    running.until_quiet().await;
    assert_eq!(running.workers.durability().unknown_objects, 0);
    let silent = DriveId::new(2);
    cluster.drive(silent).set_down(true);
    running
        .until("it is missed", || async {
            running.workers.durability().unknown_objects > 0
        })
        .await;
    assert_eq!(running.workers.heal_status().backlog_objects, 0);
    cluster.drive(silent).set_down(false);
    running
        .until("all is known again", || async {
            running.workers.durability().unknown_objects == 0
        })
        .await;
    running.workers.stop().await;
}
