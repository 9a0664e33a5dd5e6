//! What a rebuild of the index may conclude from what drives do not hold, and how an index that is
//! not the right one is found out.
//!
//! Goal: nothing that was acknowledged is called lost, or swept, because a drive that was not whole
//! was asked for it; nothing deleted comes back with an old copy; drives that obey an index that
//! was given up are taken back.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_protocol::rpc::{DriveCall, DriveReply, DriveRequest};
use holdfast_protocol::{ClaimantId, DriveId, Generation, IndexId, MapVersion, WriteId};
use holdfast_seam::NodeClient;
use holdfast_workers::WorkersError;
use support::{Cluster, body, config};

/// Two copies: one on a drive that was replaced and not healed, one on a drive that is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_drive_counts_as_absent_until_it_holds_what_its_predecessor_held() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 500), true).await.unwrap();
    running.until_quiet().await;
    let [lost, other]: [DriveId; 2] = row.placement.holders.try_into().unwrap();
    running.workers.pause_heal(true);
    let new = cluster.replace(&running, lost).await;
    running
        .until("the drive was compared", || async {
            running.workers.heal_status().drives_comparing.is_empty()
        })
        .await;
    assert!(running.workers.heal_status().backlog_objects > 0);
    assert!(running.store.map().filling().eq([new]));
    running.workers.stop().await;
    let kept = Arc::clone(&running.index);
    cluster.drive(other).set_down(true);
    let refused = cluster.rebuild(2).await.err();
    assert!(
        matches!(refused, Some(WorkersError::TooManyAbsent { .. })),
        "{refused:?}"
    );
    cluster.drive(other).set_down(false);
    drop(kept);
    // With the other drive back it can be rebuilt, and the mark is on the drives.
    let (claimed, report) = cluster.rebuild(3).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    assert!(claimed.map.unwrap().filling().eq([new]));
    let running = cluster.start().await;
    running.until_quiet().await;
    assert_eq!(running.get("a").await.unwrap(), body(1, 500));
    assert_eq!(running.store.map().filling().count(), 0, "it is whole now");
    cluster.kill(running).await;
    // Now either of the two drives may be away.
    let running = cluster.start().await;
    let holders = running.row("a").await.unwrap().placement.holders;
    running.workers.stop().await;
    for (number, away) in holders.into_iter().enumerate() {
        cluster.drive(away).set_down(true);
        let (claimed, report) = cluster.rebuild(4 + number as u128).await.unwrap();
        assert_eq!(claimed.map.unwrap().filling().count(), 0);
        assert!(report.doubts.is_empty(), "{report:?}");
        let row = holdfast_index::rows::get_current(&*cluster.index, support::BUCKET, "a").await;
        assert!(row.unwrap().is_some());
        cluster.drive(away).set_down(false);
    }
}

/// Within one generation nothing but what drives were told tells an old copy from a crash.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_generation_that_is_served_brings_nothing_back() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    for (number, key) in ["kept", "deleted", "replaced"].into_iter().enumerate() {
        let body = body(number as u8, 500 + 90_000 * number);
        running.put(key, &body, true).await.unwrap();
    }
    running.until_quiet().await;
    let old = running.index.snapshot();
    running.delete("deleted", true).await;
    running.put("replaced", &body(7, 300), true).await.unwrap();
    running.put("new", &body(8, 300), true).await.unwrap();
    running.until_quiet().await;
    let generation = running.claimed.generation;
    cluster.kill(running).await;
    let current = std::mem::replace(&mut cluster.index, Arc::new(old));
    let running = cluster.start().await;
    assert!(running.claimed.is_old_copy, "{:?}", running.claimed);
    assert!(running.claimed.generation > generation);
    assert!(running.row("deleted").await.is_none(), "it stays deleted");
    assert_eq!(running.get("kept").await.unwrap(), body(0, 500));
    assert_eq!(running.get("replaced").await.unwrap(), body(7, 300));
    assert_eq!(running.get("new").await.unwrap(), body(8, 300));
    running.until_quiet().await;
    // The next start knows that it is no old copy, whatever was purged and healed.
    let row = running.put("healed", &body(9, 90_000), true).await.unwrap();
    running.until_quiet().await;
    let lost = row.placement.holders[0];
    cluster.drive(lost).rot(row.manifest.write);
    assert_eq!(running.get("healed").await.unwrap(), body(9, 90_000));
    running.delete("new", true).await;
    running.until_quiet().await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert!(!running.claimed.is_old_copy, "{:?}", running.claimed);
    running.until_quiet().await;
    running.workers.stop().await;
    drop(current);
}

/// A rebuild was given up after it had claimed a drive that the gateway did not see.
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_obeys_an_index_that_was_given_up_is_taken_back() {
    let mut cluster = Cluster::new("2+1", 4);
    let asked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&asked);
    cluster.on_reclaim = Arc::new(move |_| told.store(true, Ordering::SeqCst));
    let running = cluster.start().await;
    running.put("a", &body(1, 90_000), true).await.unwrap();
    running.until_quiet().await;
    let stray = Arc::clone(&cluster.drives[1]);
    let taken = Generation::new(running.claimed.generation.get() + 1);
    let call = DriveCall {
        drive: stray.id,
        index: IndexId::new(99),
        generation: taken,
        map_version: MapVersion::new(1),
        deadline_ms: 1000,
        request: DriveRequest::Claim {
            generation: taken,
            claimant: ClaimantId::new(99),
            takeover: true,
        },
    };
    assert_eq!(stray.call(call).await, Ok(DriveReply::Claimed));
    running
        .until("it asks to be started again", || async {
            asked.load(Ordering::SeqCst)
        })
        .await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert!(running.claimed.generation > taken);
    assert!(
        !running.claimed.is_old_copy,
        "the index is as good as before"
    );
    running
        .until("the drive obeys", || async {
            stray.generation() == running.claimed.generation
        })
        .await;
    running.until_quiet().await;
    assert_eq!(running.get("a").await.unwrap(), body(1, 90_000));
    running.workers.stop().await;
}

/// A sync of its medium failed, so that it could not be claimed; its process is started again so
/// soon that it is not seen to be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_could_not_grant_a_rebuild_is_away_until_it_can() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    running.workers.stop().await;
    cluster.drives[3].set_out_of_service(true);
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    let running = cluster.start().await;
    let id = cluster.drives[3].id;
    running
        .until("it counts as away", || async {
            !running.store.drives().is_reachable(id)
        })
        .await;
    running.put("b", &body(2, 100_000), true).await.unwrap();
    assert!(running.workers.heal_status().backlog_objects > 0);
    cluster.drives[3].set_out_of_service(false);
    running.until_quiet().await;
    assert_eq!(cluster.drives[3].generation(), running.claimed.generation);
    assert_eq!(running.get("a").await.unwrap(), body(1, 100_000));
    running.workers.stop().await;
}

/// As above, but the index is the one that it obeys: it goes on serving what it holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_could_not_grant_a_claim_serves_and_is_asked_again() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    let before = cluster.drives[3].generation();
    cluster.drives[3].set_out_of_service(true);
    let running = cluster.start().await;
    let id = cluster.drives[3].id;
    running
        .until("it was asked how it does", || async {
            let drives = running.workers.drives();
            drives.get(&id).is_some_and(|entry| entry.status.is_some())
        })
        .await;
    assert!(running.store.drives().is_reachable(id));
    assert_eq!(cluster.drives[3].generation(), before);
    cluster.drives[3].set_out_of_service(false);
    running
        .until("it obeys", || async {
            cluster.drives[3].generation() == running.claimed.generation
        })
        .await;
    running.until_quiet().await;
    running.workers.stop().await;
}

/// A shard on a spare drive is in no row after a rebuild that the drive missed, and no deletion
/// waits for that drive.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_missed_being_deleted_goes_from_it_before_the_tombstone_goes() {
    let mut cluster = Cluster::new("2+1", 4);
    let config = holdfast_workers::WorkersConfig {
        out_after: Duration::from_millis(150),
        ..config()
    };
    let running = cluster.start_with(config.clone()).await;
    let row = running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    let (write, first) = (row.manifest.write, row.placement.holders[0]);
    let spare = cluster.drives.iter().map(|drive| drive.id);
    let spare = { spare }
        .find(|drive| !row.placement.holders.contains(drive))
        .unwrap();
    cluster.drive(first).set_down(true);
    running
        .until("it is healed onto the spare drive", || async {
            let placement = running.row("a").await.unwrap().placement;
            placement.missing == 0 && placement.holders.contains(&spare)
        })
        .await;
    cluster.drive(first).set_down(false);
    running.until_quiet().await;
    running.workers.stop().await;
    cluster.drive(spare).set_down(true);
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    let running = cluster.start_with(config).await;
    running
        .until("it is whole without the spare drive", || async {
            let placement = running.row("a").await.unwrap().placement;
            placement.missing == 0 && !placement.drives().any(|drive| drive == spare)
        })
        .await;
    let written = || -> BTreeSet<WriteId> {
        let writes = cluster.drives.iter().flat_map(|drive| drive.writes());
        writes.collect()
    };
    let before = written();
    running.delete("a", true).await;
    let guard = *written().difference(&before).next().unwrap();
    running
        .until("it is purged elsewhere", || async {
            let mut holders = cluster.drives.iter().filter(|drive| drive.holds(write));
            holders.all(|drive| drive.id == spare)
        })
        .await;
    assert!(cluster.drive(spare).holds(write));
    cluster.drive(spare).set_down(false);
    running
        .until("the tombstone is gone", || async {
            !cluster.drives.iter().any(|drive| drive.holds(guard))
        })
        .await;
    assert!(
        !cluster.drive(spare).holds(write),
        "nothing guards it any more"
    );
    running.until_quiet().await;
    running.workers.stop().await;
}

/// Only the drive itself knows that it forgot: no index is left that saw its log.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_forgot_that_it_had_purged_is_not_shown_by_a_rebuild() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("gone", &body(1, 500), true).await.unwrap();
    running.put("kept", &body(2, 500), true).await.unwrap();
    running.until_quiet().await;
    let (write, drive) = (row.manifest.write, row.placement.holders[0]);
    let forgotten = cluster.drive(drive).record_of(write);
    running.delete("gone", true).await;
    running.until_quiet().await;
    running.workers.stop().await;
    cluster.drive(drive).lose_log(&[forgotten]);
    let (claimed, report) = cluster.rebuild(2).await.unwrap();
    assert_eq!(claimed.lost_logs, BTreeSet::from([drive]));
    assert!(report.doubts.is_empty(), "{report:?}");
    let gone = holdfast_index::rows::get_current(&*cluster.index, support::BUCKET, "gone").await;
    assert!(gone.unwrap().is_none());
    let running = cluster.start().await;
    running
        .until("the drive is whole", || async {
            !cluster.drive(drive).is_partial()
        })
        .await;
    assert!(!cluster.drive(drive).holds(write));
    assert_eq!(running.get("kept").await.unwrap(), body(2, 500));
    running.until_quiet().await;
    running.workers.stop().await;
}
