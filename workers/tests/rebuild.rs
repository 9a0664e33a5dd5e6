//! What a rebuild of the index may conclude from what drives do not hold.
//!
//! Goal: nothing that was acknowledged is called lost, or swept, because a drive that was not whole
//! was asked for it.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;

use holdfast_index::MemoryIndex;
use holdfast_protocol::{DriveId, IndexId};
use holdfast_workers::{ClaimOptions, WorkersError};
use support::{Cluster, body};

fn takeover() -> ClaimOptions {
    ClaimOptions {
        takeover: true,
        ..ClaimOptions::default()
    }
}

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
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    cluster.drive(other).set_down(true);
    let refused = cluster.open(&takeover(), Some(false)).await.err();
    assert!(
        matches!(refused, Some(WorkersError::TooManyAbsent { .. })),
        "{refused:?}"
    );
    cluster.drive(other).set_down(false);
    drop(kept);
    // With the other drive back it can be rebuilt, and the mark is on the drives.
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(3)));
    let (_, claimed, report, _, _) = cluster.open(&takeover(), Some(false)).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    assert!(claimed.map.unwrap().filling().eq([new]));
    let index = Arc::clone(&cluster.index);
    cluster.index = Arc::new(index.reopen());
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
        cluster.index = Arc::new(MemoryIndex::new(IndexId::new(4 + number as u128)));
        cluster.drive(away).set_down(true);
        let (_, claimed, report, _, _) = cluster.open(&takeover(), Some(false)).await.unwrap();
        assert_eq!(claimed.map.unwrap().filling().count(), 0);
        assert!(report.doubts.is_empty(), "{report:?}");
        let row = holdfast_index::rows::get_current(&*cluster.index, support::BUCKET, "a").await;
        assert!(row.unwrap().is_some());
        cluster.drive(away).set_down(false);
    }
}
