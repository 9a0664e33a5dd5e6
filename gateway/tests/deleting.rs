//! Goal: what a delete was acknowledged for stays deleted, whatever the drives still hold.
//!
//! Method: the gateway's operations over drives in memory; a write that fails half way, a delete
//! after it, and an index that is made anew from the drives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use holdfast_gateway::object::Objects;
use holdfast_index::{Index, MemoryIndex, rows};
use holdfast_protocol::{IndexId, WriteId};
use holdfast_store::placement::group_of;
use holdfast_workers::ClaimOptions;
use operations::requests::delete_of;
use operations::service;
use support::{BUCKET, Cluster, Running};

/// Deletes a key as a client does; whether it existed.
async fn delete(running: &Running, key: &str) -> bool {
    let deleted = service(running).delete(delete_of(key, None)).await;
    deleted.unwrap().existed
}

/// Rebuilds the index from the drives.
async fn rebuild(cluster: &mut Cluster) {
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    let options = ClaimOptions {
        takeover: true,
        ..ClaimOptions::default()
    };
    let (_, _, report, _, _) = cluster.open(&options, Some(false)).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
}

/// A write ends in 5xx with its record on one drive, and its gateway before it could void it. The
/// next one cannot see that drive; the key is deleted, the drive comes back, the index is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_of_nothing_covers_a_write_that_failed_before_it() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("other", &[1; 300], true).await.unwrap();
    running.until_quiet().await;
    let holder = running.store.group(group_of(BUCKET, "key"))[0];
    for drive in cluster.drives.iter().filter(|drive| drive.id != holder) {
        drive.fail_seals(1_000_000);
    }
    let known = cluster.drive(holder).writes();
    assert!(running.put("key", &[7; 300], true).await.is_none(), "5xx");
    let left = cluster.drive(holder).writes();
    assert!(left.len() > known.len(), "its record is on one drive");
    running.index.flush().await.unwrap();
    cluster.kill(running).await;

    cluster.drive(holder).set_down(true);
    for drive in &cluster.drives {
        drive.fail_seals(0);
    }
    let running = cluster.start().await;
    assert!(running.get("key").await.is_none(), "nobody knows of it");
    assert!(!delete(&running, "key").await);
    cluster.kill(running).await;

    cluster.drive(holder).set_down(false);
    rebuild(&mut cluster).await;
    let shown = rows::get_current(&*cluster.index, BUCKET, "key").await;
    assert_eq!(shown.unwrap(), None, "deleted stays deleted");
    let other = rows::get_current(&*cluster.index, BUCKET, "other").await;
    assert!(other.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_of_nothing_writes_nothing_when_no_write_can_be_hidden() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.until_quiet().await;
    let compared = || async { !running.workers.hides_writes() };
    running.until("all is compared", compared).await;
    let before: Vec<Vec<WriteId>> = cluster.drives.iter().map(|drive| drive.writes()).collect();
    assert!(!delete(&running, "key").await);
    let after: Vec<Vec<WriteId>> = cluster.drives.iter().map(|drive| drive.writes()).collect();
    assert_eq!(before, after);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tombstone_of_nothing_goes_once_no_write_can_be_hidden() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("other", &[1; 300], true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    cluster.drives[3].set_down(true);
    let running = cluster.start().await;
    assert!(!delete(&running, "key").await);
    let queue = rows::purge_queue(&*running.index, None, 9).await.unwrap();
    let [waits] = queue.items.as_slice() else {
        panic!("its tombstone alone waits: {queue:?}");
    };
    let tombstone = waits.row.guard.unwrap();
    assert!(cluster.drives.iter().any(|drive| drive.holds(tombstone)));
    cluster.drives[3].set_down(false);
    running.until_quiet().await;
    assert!(!cluster.drives.iter().any(|drive| drive.holds(tombstone)));
    running.workers.stop().await;
}
