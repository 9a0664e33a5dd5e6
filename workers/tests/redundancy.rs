//! What healing promises beyond mending: marks, plans, guards, pauses.
//!
//! Goal: what is missing is noted where a restart finds it, a plan is what is done, a guard keeps
//! its number of copies.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_index::{Batch, Index, Locks, rows};
use holdfast_protocol::{DriveId, MapDrive, NodeId};
use holdfast_store::placement::compute_map;
use holdfast_store::row_name;
use support::{Cluster, body, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_notes_in_the_row_what_is_missing_and_a_restart_knows_it() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = holdfast_workers::WorkersConfig {
        compare_interval: Duration::from_millis(100),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    let small = running.put("b", &body(2, 100), true).await.unwrap();
    running.until_quiet().await;
    running.workers.pause_heal(true);
    let lost = row.placement.holders[1];
    cluster.drive(lost).lose(row.manifest.write);
    let lost_copy = small.placement.holders[0];
    cluster.drive(lost_copy).lose(small.manifest.write);
    running
        .until("the rows say so", || async {
            let (coded, small) = (running.row("a").await.unwrap(), running.row("b").await);
            coded.placement.missing == 0b10 && small.unwrap().placement.missing == 1
        })
        .await;
    let queued = rows::heal_queue(&*running.index, None, 10).await.unwrap();
    let margins: Vec<u8> = queued.items.iter().map(|entry| entry.margin).collect();
    assert_eq!(margins, [0, 0]);
    assert_eq!(running.get("a").await.unwrap(), body(1, 100_000));
    let status = running.workers.heal_status();
    assert!(status.paused && status.eta_seconds.is_none(), "{status:?}");
    // The queue outlives the process, the pause does not.
    cluster.kill(running).await;
    let running = cluster.start().await;
    running.until_quiet().await;
    assert!(cluster.drive(lost).holds(row.manifest.write));
    assert_eq!(running.row("a").await.unwrap().placement.missing, 0);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_what_the_real_run_does() {
    let mut cluster = Cluster::new("2+1", 5);
    let running = cluster.start().await;
    let mut expected = BTreeMap::new();
    for number in 0..8 {
        let key = format!("key {number}");
        let len = if number % 2 == 0 { 90_000 } else { 100 };
        let row = running.put(&key, &body(number, len), true).await.unwrap();
        expected.insert(row.manifest.write.to_string(), (key, row));
    }
    running.until_quiet().await;
    running.workers.pause_heal(true);
    let gone = cluster.drives[1].id;
    cluster.drive(gone).empty();
    let on_gone = expected
        .values()
        .filter(|(_, row)| row.placement.holders.contains(&gone))
        .count();
    assert!(on_gone > 0);
    running
        .until("the loss is queued", || async {
            let plan = running.workers.heal_plan(100).await.unwrap();
            plan.items.len() == on_gone && running.workers.heal_status().drives_comparing.is_empty()
        })
        .await;
    let plan = running.workers.heal_plan(100).await.unwrap();
    assert!(!plan.more);
    assert_eq!(plan.held_back.as_deref(), Some("healing is paused"));
    running.workers.pause_heal(false);
    running.until_quiet().await;
    for item in plan.items {
        let (key, before) = &expected[&item.write];
        let why = item.waits_for.as_deref();
        assert_eq!((&item.key, why), (key, Some("healing is paused")));
        let after = running.row(key).await.unwrap().placement;
        let parse = |drive: &String| DriveId::parse(drive).unwrap();
        for (shard, target) in item.shards.iter().zip(&item.targets) {
            assert_eq!(after.holders[usize::from(*shard)], parse(target), "{key}");
        }
        for target in &item.targets {
            assert!(after.holders.contains(&parse(target)), "{key}");
            assert!(cluster.drive(parse(target)).holds(before.manifest.write));
        }
    }
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_gets_a_new_holder_when_one_of_its_drives_is_out() {
    let mut cluster = Cluster::new("2+1", 5);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    // A drive that is away keeps the tombstone from being forgotten.
    let away = row.placement.holders[2];
    cluster.drive(away).set_down(true);
    running.delete("a", true).await;
    let entry = || async {
        let queue = rows::purge_queue(&*running.index, None, 10).await.unwrap();
        queue
            .items
            .into_iter()
            .find(|entry| entry.row.guard.is_some())
    };
    let (guard, holders) = {
        let entry = entry().await.unwrap();
        (entry.row.guard.unwrap(), entry.row.guard_holders)
    };
    let lost = *holders.iter().find(|drive| **drive != away).unwrap();
    cluster.drive(lost).set_down(true);
    running
        .until("others hold it", || async {
            let living = cluster
                .drives
                .iter()
                .filter(|drive| ![away, lost].contains(&drive.id));
            living.filter(|drive| drive.holds(guard)).count() >= 2
        })
        .await;
    assert!(entry().await.unwrap().row.guard_holders.contains(&lost));
    cluster.drive(lost).set_down(false);
    cluster.drive(away).set_down(false);
    running.until_quiet().await;
    assert!(cluster.drives.iter().all(|drive| !drive.holds(guard)));
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_that_waits_for_a_drive_has_no_measured_end() {
    let mut cluster = Cluster::new("2+2", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    cluster.drive(row.placement.holders[0]).set_down(true);
    let down = row.placement.holders[0];
    running
        .until("it is seen to be down", || async {
            !running.store.drives().is_reachable(down)
        })
        .await;
    running.put("b", &body(2, 100_000), true).await.unwrap();
    running
        .until("it waits", || async {
            let status = running.workers.heal_status();
            status.backlog_objects > 0 && status.waiting_objects > 0
        })
        .await;
    assert_eq!(running.workers.heal_status().eta_seconds, None);
    cluster.drive(down).set_down(false);
    running.until_quiet().await;
    assert_eq!(running.workers.heal_status().eta_seconds, Some(0));
    running.workers.stop().await;
}

/// A drive outside its group was not compared since the start: nothing waits for the tombstone, but
/// it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_only_waits_for_a_comparison_gets_new_holders_too() {
    let mut cluster = Cluster::new("2+1", 5);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    let holders = &row.placement.holders;
    let outside = |drive: &DriveId| !holders.contains(drive);
    let away = cluster.drives.iter().map(|drive| drive.id).find(outside);
    let away = away.unwrap();
    cluster.drive(away).set_down(true);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    running.delete("a", true).await;
    let entry = || async {
        let queue = rows::purge_queue(&*running.index, None, 10).await.unwrap();
        let mut guarded = queue.items.into_iter();
        guarded.find(|entry| entry.row.guard.is_some()).unwrap().row
    };
    running
        .until("nothing waits for it", || async {
            entry().await.waiting.is_empty()
        })
        .await;
    let (guard, lost) = (entry().await.guard.unwrap(), entry().await.guard_holders[0]);
    cluster.drive(lost).set_down(true);
    running
        .until("another one holds it", || async {
            let others = cluster.drives.iter().filter(|drive| drive.id != lost);
            others.filter(|drive| drive.holds(guard)).count() >= 2
        })
        .await;
    cluster.drive(lost).set_down(false);
    cluster.drive(away).set_down(false);
    running.until_quiet().await;
    assert!(cluster.drives.iter().all(|drive| !drive.holds(guard)));
    running.workers.stop().await;
}

/// A comparison that hangs on one drive does not keep from healing what another one held.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_drive_held_is_queued_while_a_comparison_runs() {
    let mut cluster = Cluster::new("2+1", 5);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        compare_interval: Duration::from_millis(50),
        ..config()
    };
    let running = cluster.start_with(config.clone()).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    let small = running.put("b", &body(2, 100), true).await.unwrap();
    running.until_quiet().await;
    let hanging = row.placement.holders[0];
    cluster.drive(hanging).hold_lists(true);
    let lost = row.placement.holders[1];
    cluster.drive(lost).set_down(true);
    running
        .until("it is healed elsewhere", || async {
            let row = running.row("a").await.unwrap();
            row.placement.missing == 0 && !row.placement.holders.contains(&lost)
        })
        .await;
    assert_eq!(running.get("b").await.unwrap(), body(2, 100));
    // It is remembered that this was done: the next start does not look for it again.
    running
        .until("all of it was queued", || async {
            let comparing = running.workers.heal_status().drives_comparing;
            !comparing.contains(&lost.to_string())
        })
        .await;
    cluster.drive(hanging).hold_lists(false);
    cluster.drive(lost).set_down(false);
    running.until_quiet().await;
    let holds = |drive: &DriveId| cluster.drive(*drive).holds(small.manifest.write);
    let holders = running.row("b").await.unwrap().placement.holders;
    assert!(holders.iter().all(holds));
    running.workers.stop().await;
}

/// A target took a shard and could not read it back: it does not keep it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_its_target_did_not_read_back_is_purged_once_the_row_is_whole() {
    let mut cluster = Cluster::new("2+1", 5);
    let config = holdfast_workers::WorkersConfig {
        // Those that cannot be read are not given up for that: what they took is to leave them.
        down_after: Duration::from_secs(60),
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let holders = row.placement.holders.clone();
    let spare = |drive: &&std::sync::Arc<support::drive::MemoryDrive>| !holders.contains(&drive.id);
    let write = row.manifest.write;
    let spares: Vec<_> = cluster.drives.iter().filter(spare).collect();
    // Both cannot be read: whichever is tried first takes the shard and does not give it back.
    spares.iter().for_each(|drive| drive.set_unreadable(true));
    cluster.drive(holders[1]).set_down(true);
    running
        .until("both were tried", || async {
            spares.iter().all(|drive| drive.holds(write))
        })
        .await;
    spares[0].set_unreadable(false);
    running
        .until("only one of them keeps it", || async {
            running.workers.run_heal();
            spares.iter().filter(|drive| drive.holds(write)).count() == 1
        })
        .await;
    let row = running.row("a").await.unwrap();
    assert_eq!(
        (row.placement.missing, row.placement.touched),
        (0, Vec::new())
    );
    assert_eq!(running.get("a").await.unwrap(), body(1, 100_000));
    cluster.drive(holders[1]).set_down(false);
    running.until_quiet().await;
    running.workers.stop().await;
}

/// It came back, and was forgotten as lost, while no gateway ran.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_holds_is_looked_for_whenever_it_is_lost() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config.clone()).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let lost = row.placement.holders[1];
    cluster.drive(lost).set_down(true);
    let is_healed = |row: holdfast_protocol::VersionRow| {
        row.placement.missing == 0 && !row.placement.holders.contains(&lost)
    };
    running
        .until("it is healed elsewhere", || async {
            is_healed(running.row("a").await.unwrap())
        })
        .await;
    running
        .until("all of it was queued", || async {
            let comparing = running.workers.heal_status().drives_comparing;
            !comparing.contains(&lost.to_string())
        })
        .await;
    cluster.kill(running).await;
    cluster.drive(lost).set_down(false);
    let running = cluster.start_with(config).await;
    running.until_quiet().await;
    // A version with a shard there.
    let mut key = String::new();
    for number in 0..50 {
        key = format!("key {number}");
        let row = running.put(&key, &body(2, 100_000), true).await.unwrap();
        if row.placement.holders.contains(&lost) {
            break;
        }
    }
    running.until_quiet().await;
    cluster.drive(lost).set_down(true);
    running
        .until("that is healed elsewhere, too", || async {
            is_healed(running.row(&key).await.unwrap())
        })
        .await;
    assert_eq!(running.get(&key).await.unwrap(), body(2, 100_000));
    cluster.drive(lost).set_down(false);
    running.until_quiet().await;
    running.workers.stop().await;
}

/// A row is above the settled mark while an order below its own is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_misses_no_row_that_an_open_order_holds_back() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    running.until_quiet().await;
    let locks = holdfast_index::Locks::none();
    let mut open = holdfast_index::Index::begin(&*running.index, locks)
        .await
        .unwrap();
    open.take_order();
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    let write = row.manifest.write;
    let lost = cluster.drive(row.placement.holders[0]);
    lost.empty();
    running
        .until("the loss is seen", || async {
            running.workers.heal_status().backlog_objects > 0
        })
        .await;
    // While the order is open, the drive does not count as whole.
    for _ in 0..50 {
        assert!(running.workers.heal_status().backlog_objects > 0);
        running.clock().sleep(Duration::from_millis(5)).await;
    }
    drop(open);
    running.until_quiet().await;
    assert!(lost.holds(write));
    running.workers.stop().await;
}

/// A whole row that was queued is read, all of it: that is to be done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_queued_under_several_margins_has_one_turn() {
    let mut cluster = Cluster::new("2+2", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    running.workers.pause_heal(true);
    let mut batch = Batch::new();
    for margin in 0..=2 {
        batch.put_heal(margin, &row_name(&row.manifest), &row.manifest);
    }
    let txn = running.index.begin(Locks::none()).await.unwrap();
    txn.commit(batch).await.unwrap();
    let verified = || -> u64 { cluster.drives.iter().map(|drive| drive.verified()).sum() };
    let before = verified();
    running.workers.run_heal();
    running
        .until("nothing is queued", || async {
            let queue = rows::heal_queue(&*running.index, None, 10).await.unwrap();
            queue.items.is_empty()
        })
        .await;
    running.until_quiet().await;
    assert_eq!(verified() - before, 4, "each shard once");
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_node_gets_two_shards_of_a_write_while_another_has_none() {
    let mut cluster = Cluster::new("2+1", 8);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let map = running.store.map();
    let drives = map.drives.iter().map(|drive| MapDrive {
        node: NodeId::new(drive.id.get() % 4),
        ..drive.clone()
    });
    let spread = compute_map(map.cluster, map.version, map.geometry, drives.collect());
    running.store.set_map(spread.unwrap());
    let keys: Vec<String> = (0..24).map(|n| format!("key-{n}")).collect();
    for key in &keys {
        running.put(key, &body(1, 50_000), true).await.unwrap();
    }
    running.until_quiet().await;
    let gone = running.row("key-0").await.unwrap().placement.holders[1];
    cluster.drive(gone).set_down(true);
    let mut moved = 0;
    for key in &keys {
        let before = running.row(key).await.unwrap().placement.holders;
        running
            .until("no row names the drive", || async {
                let row = running.row(key).await.unwrap();
                !row.placement.holders.contains(&gone) && row.placement.missing == 0
            })
            .await;
        let after = running.row(key).await.unwrap().placement.holders;
        let nodes: BTreeSet<u64> = after.iter().map(|drive| drive.get() % 4).collect();
        assert_eq!(nodes.len(), 3, "{key} is on {after:?}");
        moved += usize::from(before.contains(&gone));
    }
    assert!(moved > 0);
    running.workers.stop().await;
}
