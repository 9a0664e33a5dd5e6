//! Healing, purging and checking over drives in memory.
//!
//! Goal: what is lost is found and made whole, what is retired goes, and a check says what is so.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_index::rows;
use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::{DriveId, PurgeKind};
use support::{Cluster, body, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_was_absent_from_the_claim_is_fenced_and_compared_when_it_comes() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    cluster.drives[3].set_down(true);
    let running = cluster.start().await;
    running.put("b", &body(2, 100_000), true).await.unwrap();
    assert!(
        running.workers.heal_status().backlog_objects > 0,
        "it may miss something"
    );
    cluster.drives[3].set_down(false);
    running.until_quiet().await;
    assert_eq!(cluster.drives[3].generation(), running.claimed.generation);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_and_deleted_objects_leave_their_drives_and_their_guards_too() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    for round in 0..3 {
        running.put("a", &body(round, 100_000), true).await.unwrap();
        running.put("b", &body(round, 100), true).await.unwrap();
    }
    running.until_quiet().await;
    running.delete("a", true).await;
    running.delete("b", true).await;
    running.until_quiet().await;
    for drive in &cluster.drives {
        assert_eq!(
            drive.writes().len(),
            2,
            "only the system records: {:?}",
            drive.writes()
        );
    }
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_waits_for_readers_and_for_drives_that_are_down() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let old = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let reading = running.readers.enter();
    cluster.drives[2].set_down(true);
    let down = cluster.drives[2].id;
    running
        .until("the drive is seen to be down", || async {
            !running.store.drives().is_reachable(down)
        })
        .await;
    running.put("a", &body(2, 100), true).await.unwrap();
    let write = old.manifest.write;
    assert!(cluster.drives[0].holds(write) && cluster.drives[1].holds(write));
    drop(reading);
    running
        .until("the others purged it", || async {
            !cluster.drives[0].holds(write) && !cluster.drives[1].holds(write)
        })
        .await;
    assert!(
        !rows::purge_queue(&*running.index, None, 1)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    cluster.drives[2].set_down(false);
    running.until_quiet().await;
    assert!(!cluster.drives[2].holds(write));
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_whose_acknowledgement_was_lost_goes_with_the_others() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    cluster.drives[2].set_down(true);
    let down = cluster.drives[2].id;
    running
        .until("the drive is seen to be down", || async {
            !running.store.drives().is_reachable(down)
        })
        .await;
    running.delete("a", true).await;
    let queue = rows::purge_queue(&*running.index, None, 1).await.unwrap();
    let row = &queue.items[0].row;
    let (guard, holder) = (row.guard.unwrap(), row.guard_holders[0]);
    assert!(!row.guard_holders.contains(&down));
    let record = running.store.record_from(holder, guard, true).await;
    cluster.drives[2].plant(&record.unwrap(), None);
    cluster.kill(running).await;
    cluster.drives[2].set_down(false);
    let running = cluster.start().await;
    running.until_quiet().await;
    assert!(!cluster.drives[2].holds(guard));
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_drive_is_healed_and_then_another_may_go() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let key = |number: u64| format!("key {number}");
    for number in 0..20 {
        running
            .put(
                &key(number),
                &body(number as u8, 40 + 4000 * number as usize),
                true,
            )
            .await;
    }
    running.until_quiet().await;
    for lost in [0, 2, 1] {
        cluster.drives[lost].empty();
        running
            .until("the loss is seen", || async {
                running.workers.heal_status().backlog_objects > 0
                    || cluster.drives[lost].writes().len() >= 20
            })
            .await;
        running.until_quiet().await;
        for number in 0..20 {
            let found = running.get(&key(number)).await.unwrap();
            assert_eq!(
                found,
                body(number as u8, 40 + 4000 * number as usize),
                "{number}"
            );
        }
    }
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_rots_is_found_by_a_read_and_healed() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let bytes = body(9, 300_000);
    let row = running.put("a", &bytes, true).await.unwrap();
    running.until_quiet().await;
    let first = row.placement.holders[0];
    cluster.drive(first).rot(row.manifest.write);
    assert_eq!(
        running.get("a").await.unwrap(),
        bytes,
        "decoded from the others"
    );
    running
        .until("it is healed", || async {
            running.workers.heal_status().healed_objects == 1
        })
        .await;
    running.until_quiet().await;
    // Now another one may go.
    cluster.drive(row.placement.holders[1]).set_down(true);
    assert_eq!(running.get("a").await.unwrap(), bytes);
    running.workers.stop().await;
}

/// A power cut of the drives' shelf while the gateway runs: their files cannot be read for a while.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_no_drive_could_read_for_a_while_are_found_again() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("small", &body(1, 100), true).await.unwrap();
    running.put("large", &body(2, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let unreadable = |is_so: bool| {
        let drives = cluster.drives.iter();
        drives.for_each(|drive| drive.set_unreadable(is_so));
    };
    unreadable(true);
    assert!(!running.is_readable("small").await);
    assert!(!running.is_readable("large").await);
    running
        .until("the healer looked at it", || async {
            running.row("small").await.unwrap().placement.missing == 2
        })
        .await;
    let row = running.row("small").await.unwrap();
    assert_eq!(row.placement.holders.len(), 2, "{:?}", row.placement);
    unreadable(false);
    running.until_quiet().await;
    assert_eq!(running.get("small").await, Some(body(1, 100)));
    assert_eq!(running.get("large").await, Some(body(2, 100_000)));
    let row = running.row("small").await.unwrap();
    assert_eq!(row.placement.missing, 0, "{:?}", row.placement);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_forgot_a_write_in_silence_is_found_by_the_comparison_after_a_start() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let coded = running.put("a", &body(1, 100_000), true).await.unwrap();
    let small = running.put("b", &body(2, 100), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    cluster
        .drive(coded.placement.holders[1])
        .lose(coded.manifest.write);
    cluster
        .drive(small.placement.holders[0])
        .lose(small.manifest.write);
    let running = cluster.start().await;
    running.until_quiet().await;
    let holds = |drive: DriveId, write| cluster.drive(drive).holds(write);
    assert!(holds(coded.placement.holders[1], coded.manifest.write));
    let copies = cluster
        .drives
        .iter()
        .filter(|drive| drive.holds(small.manifest.write))
        .count();
    assert_eq!(copies, 2);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_out_is_healed_onto_a_spare_one() {
    let mut cluster = Cluster::new("2+1", 5);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let gone = row.placement.holders[1];
    cluster.drive(gone).set_down(true);
    running
        .until("the row names another drive", || async {
            let row = running.row("a").await.unwrap();
            !row.placement.holders.contains(&gone) && row.placement.missing == 0
        })
        .await;
    let moved = running.row("a").await.unwrap().placement.holders[1];
    assert!(cluster.drive(moved).holds(row.manifest.write));
    cluster.drive(gone).set_down(false);
    running.until_quiet().await;
    assert!(
        !cluster.drive(gone).holds(row.manifest.write),
        "the old place was purged"
    );
    assert_eq!(running.get("a").await.unwrap(), body(1, 100_000));
    running.workers.stop().await;
}

/// Takes a drive away until its shard lives elsewhere; returns where.
async fn move_shard_from(cluster: &Cluster, running: &support::Running, gone: DriveId) -> DriveId {
    let before = running.row("a").await.unwrap().placement.holders;
    let shard = before.iter().position(|holder| *holder == gone).unwrap();
    cluster.drive(gone).set_down(true);
    running
        .until("the row names another drive", || async {
            let row = running.row("a").await.unwrap();
            !row.placement.holders.contains(&gone) && row.placement.missing == 0
        })
        .await;
    running.row("a").await.unwrap().placement.holders[shard]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_returns_to_a_drive_that_it_left() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let (first, write) = (row.placement.holders[1], row.manifest.write);
    let second = move_shard_from(&cluster, &running, first).await;
    cluster.drive(first).set_down(false);
    running.until_quiet().await;
    assert!(!cluster.drive(first).holds(write), "it was purged");
    assert_eq!(move_shard_from(&cluster, &running, second).await, first);
    assert!(cluster.drive(first).holds(write));
    cluster.drive(second).set_down(false);
    running.until_quiet().await;
    assert!(cluster.drive(first).holds(write) && !cluster.drive(second).holds(write));
    assert_eq!(running.get("a").await.unwrap(), body(1, 100_000));
    running.delete("a", true).await;
    running.until_quiet().await;
    assert!(cluster.drives.iter().all(|drive| !drive.holds(write)));
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_comes_after_the_shard_has_returned_does_nothing() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let (first, write) = (row.placement.holders[1], row.manifest.write);
    let reading = running.readers.enter();
    let second = move_shard_from(&cluster, &running, first).await;
    cluster.drive(first).set_down(false);
    assert_eq!(move_shard_from(&cluster, &running, second).await, first);
    let queue = rows::purge_queue(&*running.index, None, 8).await.unwrap();
    let waits = |drive| {
        let mut rows = queue.items.iter().map(|entry| &entry.row);
        rows.any(|row| row.kind == PurgeKind::Moved && row.waiting.contains(&drive))
    };
    assert!(
        waits(first) && waits(second),
        "both moves wait for the reader"
    );
    drop(reading);
    cluster.drive(second).set_down(false);
    running.until_quiet().await;
    assert!(cluster.drive(first).holds(write) && !cluster.drive(second).holds(write));
    assert_eq!(running.row("a").await.unwrap().placement.missing, 0);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong_and_nothing_else() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    running.workers.pause_heal(true);
    cluster
        .drive(row.placement.holders[0])
        .lose(row.manifest.write);
    let report = running.workers.check(&|_| {}).await.unwrap();
    assert!(!report.clean && report.complete, "{report:?}");
    assert_eq!(report.problems[0].kind, "missing");
    cluster
        .drive(row.placement.holders[1])
        .lose(row.manifest.write);
    let report = running.workers.check(&|_| {}).await.unwrap();
    assert_eq!(report.problems[0].kind, "lost");
    assert_eq!(report.problems[0].key.as_deref(), Some("a"));
    running.workers.stop().await;
}

/// The last good copy goes while the healer makes another from it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_of_a_row_while_it_is_healed_is_looked_at_after_that() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 500), true).await.unwrap();
    running.until_quiet().await;
    let [first, second]: [DriveId; 2] = row.placement.holders.try_into().unwrap();
    let is_comparing = |drive: DriveId| {
        let comparing = running.workers.heal_status().drives_comparing;
        comparing.contains(&drive.to_string())
    };
    cluster.drive(first).hold_writes(true);
    cluster.drive(first).lose(row.manifest.write);
    let request = CheckRequest {
        deep: false,
        heal: true,
    };
    running.workers.check_with(request).await.unwrap();
    running
        .until("a copy is under way", || async {
            cluster.drive(first).held_writes() > 0
        })
        .await;
    cluster.drive(second).hold_lists(true);
    cluster.drive(second).empty();
    running
        .until("the other loss is seen", || async { is_comparing(second) })
        .await;
    cluster.drive(second).hold_lists(false);
    running
        .until("it is noted", || async { !is_comparing(second) })
        .await;
    cluster.drive(first).hold_writes(false);
    running.until_quiet().await;
    let holders = running.row("a").await.unwrap().placement.holders;
    assert_eq!(holders.len(), 2);
    for drive in holders {
        assert!(cluster.drive(drive).holds(row.manifest.write), "{drive}");
    }
    running.workers.stop().await;
}

/// More than are healed at the same time; one is deleted while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_waited_for_its_turn_is_healed_as_it_is_then() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = holdfast_workers::WorkersConfig {
        drive_deadline: Duration::from_secs(60),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let mut rows = Vec::new();
    for number in 0..9 {
        let key = format!("key {number}");
        let row = running.put(&key, &body(number, (1 << 20) + 1), true).await;
        rows.push((key, row.unwrap().manifest.write));
    }
    running.until_quiet().await;
    running.workers.pause_heal(true);
    let (lost, other) = (&cluster.drives[0], &cluster.drives[1]);
    lost.empty();
    running
        .until("all are queued", || async {
            let status = running.workers.heal_status();
            status.backlog_objects == 9 && status.drives_comparing.is_empty()
        })
        .await;
    lost.hold_writes(true);
    other.forget_asked();
    running.workers.pause_heal(false);
    let waiting = || rows.iter().filter(|(_, write)| !other.was_asked(*write));
    running
        .until("one waits for the others", || async {
            waiting().count() == 1 && lost.held_writes() >= 8
        })
        .await;
    let (key, write) = waiting().next().unwrap();
    running.delete(key, true).await;
    running
        .until("it is purged", || async {
            !cluster.drives.iter().any(|drive| drive.holds(*write))
        })
        .await;
    lost.hold_writes(false);
    running.until_quiet().await;
    assert!(!other.was_asked(*write), "there is nothing to ask for");
    running.workers.stop().await;
}

/// As when it moves what is alive out of old chunks of its log, and cannot read it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_finds_damaged_by_itself_is_healed() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 500), true).await.unwrap();
    running.until_quiet().await;
    let (write, drive) = (row.manifest.write, row.placement.holders[0]);
    cluster.drive(drive).find_damage(write);
    running
        .until("good copies are there again", || async {
            let row = running.row("a").await.unwrap();
            let holders = &row.placement.holders;
            let is_good = |drive: &DriveId| !cluster.drive(*drive).is_damaged(write);
            row.placement.missing == 0 && holders.iter().all(is_good)
        })
        .await;
    running.until_quiet().await;
    running.workers.stop().await;
}
