//! Writes that failed, and of which what is left cannot be read.
//!
//! Goal: neither a claim nor a rebuild shows such a write in place of what was acknowledged before
//! it; nor a part whose body is gone, so that it could be completed.
//! Method: as in `cluster.rs`; a write that failed is one that lost a copy or shard without trace.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_index::{Batch, Index, Locks, MemoryIndex, rows};
use holdfast_protocol::{DriveId, IndexId, VersionRow};
use holdfast_store::row_name;
use holdfast_workers::ClaimOptions;
use support::{BUCKET, Cluster, body};

const OLD: usize = 700;
const SMALL: usize = 500;
const CODED: usize = 90_000;

/// An object that was acknowledged, and a newer write of it that reached one drive less than it
/// needs. Gives both, and the drive that the second did not reach.
async fn overwritten(cluster: &mut Cluster, len: usize) -> (VersionRow, VersionRow, DriveId) {
    let running = cluster.start().await;
    let old = running.put("a", &body(1, OLD), true).await.unwrap();
    running.until_quiet().await;
    let new = running.put("a", &body(2, len), false).await.unwrap();
    let unreached = *new.placement.holders.last().unwrap();
    cluster.drive(unreached).lose(new.manifest.write);
    running.workers.stop().await;
    (old, new, unreached)
}

async fn current(index: &MemoryIndex) -> VersionRow {
    let row = rows::get_current(index, BUCKET, "a").await.unwrap();
    row.expect("something of the key is shown")
}

/// Serves the rebuilt index and reads the key.
async fn reads(cluster: &mut Cluster, expected: &[u8]) {
    let running = cluster.start().await;
    running.until_quiet().await;
    assert_eq!(running.get("a").await.unwrap(), expected);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_that_rotted_takes_no_acknowledged_one_s_place() {
    for len in [SMALL, CODED] {
        for is_rebuilt in [false, true] {
            let mut cluster = Cluster::new("2+1", 4);
            let (old, new, _) = overwritten(&mut cluster, len).await;
            let left = new.placement.holders[0];
            cluster.drive(left).rot(new.manifest.write);
            match is_rebuilt {
                true => {
                    let (_, report) = cluster.rebuild(2).await.unwrap();
                    assert!(report.doubts.is_empty(), "{report:?}");
                }
                // It is found beside the index by the next claim.
                false => {
                    cluster.index = Arc::new(cluster.index.reopen());
                    let options = ClaimOptions::default();
                    cluster.open(&options, None).await.unwrap();
                    cluster.index = Arc::new(cluster.index.reopen());
                }
            }
            let shown = current(&cluster.index).await.manifest.write;
            assert_eq!(shown, old.manifest.write, "{len} bytes, {is_rebuilt}");
            reads(&mut cluster, &body(1, OLD)).await;
        }
    }
}

/// The same write, and nothing wrong with what is left of it: it may be shown, and is healed.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_that_can_be_read_comes_to_light_and_is_healed() {
    for len in [SMALL, CODED] {
        let mut cluster = Cluster::new("2+1", 4);
        let (_, new, _) = overwritten(&mut cluster, len).await;
        let (_, report) = cluster.rebuild(2).await.unwrap();
        assert!(report.doubts.is_empty(), "{report:?}");
        let shown = current(&cluster.index).await;
        assert_eq!(shown.manifest.write, new.manifest.write);
        reads(&mut cluster, &body(2, len)).await;
    }
}

/// While a drive is away that may hold the rest, nobody knows; once it is back it is clear.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_drive_away_the_key_is_in_doubt_and_nothing_of_it_is_purged() {
    for len in [SMALL, CODED] {
        let mut cluster = Cluster::new("2+1", 4);
        let (old, new, unreached) = overwritten(&mut cluster, len).await;
        let left = new.placement.holders[0];
        cluster.drive(left).rot(new.manifest.write);
        cluster.drive(unreached).set_down(true);
        let (_, report) = cluster.rebuild(2).await.unwrap();
        assert_eq!(report.doubts.len(), 1, "{len} bytes: {report:?}");
        cluster.drive(unreached).set_down(false);
        let (_, report) = cluster.rebuild(3).await.unwrap();
        assert!(report.doubts.is_empty(), "{len} bytes: {report:?}");
        let shown = current(&cluster.index).await.manifest.write;
        assert_eq!(shown, old.manifest.write);
        reads(&mut cluster, &body(1, OLD)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_failed_and_rotted_does_not_come_to_light() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let upload = running.create_upload("a", true).await;
    let part = running.put_part(&upload, 1, &body(3, CODED), false).await;
    let write = part.manifest.write;
    let holders = &part.placement.holders;
    cluster.drive(holders[2]).lose(write);
    cluster.drive(holders[0]).rot(write);
    running.workers.stop().await;
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(9)));
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    let shown = rows::get_part(&*cluster.index, upload.manifest.write, 1).await;
    assert_eq!(shown.unwrap(), None);
}

/// What a rebuild makes of a write whose shards moved: one that nobody has is with the drive for
/// which it was planned, which holds another one by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_named_for_two_shards_keeps_the_one_that_it_has() {
    let mut cluster = Cluster::new("2+2", 6);
    let running = cluster.start().await;
    let mut row = running.put("a", &body(1, CODED), true).await.unwrap();
    running.until_quiet().await;
    let before = row.clone();
    let lost = row.placement.holders[1];
    cluster.drive(lost).lose(row.manifest.write);
    row.placement.holders[1] = row.placement.holders[0];
    row.placement.missing = 1 << 1;
    let mut batch = Batch::new();
    batch.replace_current(&row, row.manifest.order).put_heal(
        1,
        &row_name(&row.manifest),
        &row.manifest,
    );
    let txn = running.index.begin(Locks::none()).await.unwrap();
    txn.commit(batch).await.unwrap();
    running.workers.run_heal();
    running
        .until("all is whole", || async {
            let placement = running.row("a").await.unwrap().placement;
            let drives: BTreeSet<DriveId> = placement.holders.iter().copied().collect();
            placement.missing == 0 && drives.len() == 4
        })
        .await;
    running.until_quiet().await;
    let after = running.row("a").await.unwrap().placement;
    assert_eq!(after.holders[0], before.placement.holders[0]);
    let report = running.workers.check(&|_| {}).await.unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(running.get("a").await.unwrap(), body(1, CODED));
    running.workers.stop().await;
}
