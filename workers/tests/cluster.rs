//! The workers over drives in memory.
//!
//! Goal: claims, merges, purges, healing and checks do what the design says of them, with drives
//! that fail.
//! Method: a cluster of drives in memory that keep the contract of node RPC; each test fails it in
//! one way and waits for a condition, never for a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;

use holdfast_index::{Index, IndexError, Locks, MemoryIndex, rows};
use holdfast_protocol::{DriveId, GroupId, IndexId, Record, WriteId};
use holdfast_workers::{ClaimOptions, WorkersError};
use support::{Cluster, body};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_a_kill_and_another_start_show_the_same() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let (small, large) = (body(1, 500), body(2, 200_000));
    running.put("small", &small, true).await.unwrap();
    running.put("large", &large, true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(
        running.merged.shown, 0,
        "nothing came to light: {:?}",
        running.merged
    );
    assert_eq!(running.claimed.generation.get(), 2);
    assert!(!running.claimed.is_old_copy);
    assert_eq!(running.get("small").await.unwrap(), small);
    assert_eq!(running.get("large").await.unwrap(), large);
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_durable_but_not_committed_comes_to_light_at_the_next_claim() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 500), true).await.unwrap();
    running.put("a", &body(2, 300_000), false).await.unwrap();
    running.put("b", &body(3, 10), false).await.unwrap();
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(running.merged.shown, 2, "{:?}", running.merged);
    assert_eq!(running.get("a").await.unwrap(), body(2, 300_000));
    assert_eq!(running.get("b").await.unwrap(), body(3, 10));
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_knows_above_the_mark_stays_as_it_is() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("deleted", &body(1, 100), true).await.unwrap();
    running.until_quiet().await;
    // An order that stays open keeps the mark below everything that follows.
    let locks = holdfast_index::Locks::none();
    let mut open = running.index.begin(locks).await.unwrap();
    let mark = open.take_order();
    for number in 0..3 {
        running
            .put("replaced", &body(number, 90_000), true)
            .await
            .unwrap();
        running
            .put(&format!("{number}"), &body(number, 100), true)
            .await
            .unwrap();
    }
    running.delete("deleted", true).await;
    running.workers.stop().await;
    let with = running.put("unknown", &body(7, 100), false).await.unwrap();
    assert_eq!(running.index.settled().await.unwrap(), mark);
    drop(open);
    let old = dump(&running.index).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(
        (running.merged.shown, running.merged.removed),
        (1, 0),
        "{:?}",
        running.merged
    );
    let new = dump(&running.index).await;
    let of_unknown =
        |row: &&holdfast_protocol::VersionRow| row.manifest.write == with.manifest.write;
    assert_eq!(new.iter().filter(of_unknown).count(), 1);
    assert_eq!(new.len(), old.len() + 1);
    assert!(running.row("deleted").await.is_none());
    running.until_quiet().await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(dump(&running.index).await.len(), old.len() + 1);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_durable_but_not_committed_takes_effect_at_the_next_claim() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("a", &body(1, 5000), true).await.unwrap();
    running.delete("a", false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(running.merged.removed, 1, "{:?}", running.merged);
    assert!(running.row("a").await.is_none());
    running.until_quiet().await;
    let write = row.manifest.write;
    assert!(
        cluster.drives.iter().all(|drive| !drive.holds(write)),
        "and its shards are gone"
    );
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_failed_is_voided_and_purged() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    running.put("a", &body(1, 500), true).await.unwrap();
    cluster.drives[1].fail_seals(1);
    assert!(
        running.put("a", &body(2, 200_000), true).await.is_none(),
        "two of three seals"
    );
    running.until_quiet().await;
    assert_eq!(running.get("a").await.unwrap(), body(1, 500));
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(
        running.get("a").await.unwrap(),
        body(1, 500),
        "it never comes back"
    );
    running.until_quiet().await;
    running.workers.stop().await;
}

/// The gateway died between a void and its row; what it voids is older than the settled mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_void_that_comes_to_light_purges_what_it_names_wherever_that_is() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let all = || cluster.drives.iter().flat_map(|drive| drive.writes());
    let before: Vec<WriteId> = all().collect();
    running.put("orphan", &body(1, 500), false).await;
    let orphan = all().find(|write| !before.contains(write)).unwrap();
    running.put("other", &body(2, 500), true).await.unwrap();
    running.index.flush().await.unwrap();
    let drives = cluster.drives.iter().filter(|drive| drive.holds(orphan));
    let old: Vec<DriveId> = drives.map(|drive| drive.id).collect();
    assert_eq!(old.len(), 2, "the orphan's copies");
    let is_elsewhere = |group: &GroupId| {
        let drives = running.store.group(*group);
        drives[..2].iter().all(|drive| !old.contains(drive))
    };
    let group = (0..1024).map(GroupId::new).find(is_elsewhere).unwrap();
    let order = running
        .index
        .begin(Locks::none())
        .await
        .unwrap()
        .take_order();
    let record = Record::Void {
        write: WriteId {
            counter: orphan.counter + 1000,
            ..orphan
        },
        order,
        target: orphan,
    };
    running.store.seal_small(&record, group).await.unwrap();
    cluster.kill(running).await;
    let running = cluster.start().await;
    running.until_quiet().await;
    assert!(cluster.drives.iter().all(|drive| !drive.holds(orphan)));
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_equals_the_one_that_was_lost() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    for number in 0..15_u8 {
        let key = format!("key {}", number % 10);
        running
            .put(&key, &body(number, 100 + 900 * usize::from(number)), true)
            .await
            .unwrap();
    }
    running.delete("key 3", true).await;
    running.until_quiet().await;
    let old = dump(&running.index).await;
    let usage = rows::get_usage(&*running.index, support::BUCKET)
        .await
        .unwrap();
    running.workers.stop().await;
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    let refused = cluster.open(&ClaimOptions::default(), None).await.err();
    assert!(
        matches!(refused, Some(WorkersError::OtherIndex { .. })),
        "{refused:?}"
    );
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty());
    assert_eq!(dump(&cluster.index).await, old);
    assert_eq!(
        rows::get_usage(&*cluster.index, support::BUCKET)
            .await
            .unwrap(),
        usage
    );
    let running = cluster.start().await;
    running.until_quiet().await;
    assert_eq!(running.get("key 9").await.unwrap(), body(9, 100 + 900 * 9));
    running.workers.stop().await;
}

/// The rows of all versions, copies in a fixed order.
async fn dump(index: &MemoryIndex) -> Vec<holdfast_protocol::VersionRow> {
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let limit = holdfast_index::ScanLimit::rows(10_000);
    let scan = index
        .scan(holdfast_index::Table::Current, all.0, all.1, limit)
        .await
        .unwrap();
    let decode = |(_, row): &(bytes::Bytes, holdfast_index::Row)| {
        let mut row = holdfast_protocol::VersionRow::decode(&row.value).unwrap();
        if !matches!(row.manifest.body, holdfast_protocol::Body::Coded { .. }) {
            row.placement.holders.sort_unstable();
        }
        row
    };
    scan.rows.iter().map(decode).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_refuses_when_more_than_m_drives_are_absent() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100_000), true).await.unwrap();
    running.until_quiet().await;
    running.workers.stop().await;
    cluster.drives[0].set_down(true);
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty(), "m may be absent: {report:?}");
    cluster.drives[1].set_down(true);
    let refused = cluster.rebuild(3).await.err();
    assert!(
        matches!(refused, Some(WorkersError::TooManyAbsent { .. })),
        "{refused:?}"
    );
    assert!(cluster.rebuild_with(4, true).await.is_ok(), "unless forced");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_index_is_rebuilt_from_the_drives() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("kept", &body(1, 500), true).await.unwrap();
    running.put("deleted", &body(2, 500), true).await.unwrap();
    running.until_quiet().await;
    let old = copy_of(&running.index).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    running.delete("deleted", true).await;
    running.put("new", &body(3, 5000), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    cluster.index = Arc::new(old);
    let running = cluster.start().await;
    assert!(running.claimed.is_old_copy);
    assert!(
        running.row("deleted").await.is_none(),
        "deleted stays deleted"
    );
    assert_eq!(running.get("kept").await.unwrap(), body(1, 500));
    assert_eq!(running.get("new").await.unwrap(), body(3, 5000));
    running.until_quiet().await;
    running.workers.stop().await;
}

/// An index of the same identity with the same rows, under its own generation.
async fn copy_of(index: &MemoryIndex) -> MemoryIndex {
    let copy = MemoryIndex::new(index.id());
    copy.start_generation(index.generation()).await.unwrap();
    copy.end_merge().await.unwrap();
    for table in holdfast_index::Table::ALL {
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let limit = holdfast_index::ScanLimit::rows(10_000);
        let scan = index.scan(table, all.0, all.1, limit).await.unwrap();
        let mut batch = holdfast_index::Batch::new();
        for (key, row) in scan.rows {
            batch.set(table, key, row);
        }
        let txn = copy.begin(holdfast_index::Locks::none()).await.unwrap();
        match txn.commit(batch).await {
            Ok(()) | Err(IndexError::Reserved { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    copy.flush().await.unwrap();
    copy.reopen()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_needs_a_system_quorum_and_refuses_foreign_drives() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("a", &body(1, 100), true).await.unwrap();
    running.until_quiet().await;
    cluster.kill(running).await;
    for drive in &cluster.drives[..3] {
        drive.set_down(true);
    }
    let refused = cluster.open(&ClaimOptions::default(), None).await.err();
    assert!(
        matches!(refused, Some(WorkersError::TooFewDrives { .. })),
        "{refused:?}"
    );
    cluster
        .drives
        .iter()
        .for_each(|drive| drive.set_down(false));
    let foreign = ClaimOptions {
        cluster: Some(holdfast_protocol::ClusterId::new(5)),
        ..ClaimOptions::default()
    };
    let index = Arc::clone(&cluster.index);
    cluster.index = Arc::new(index.reopen());
    let refused = cluster.open(&foreign, None).await.err();
    assert!(
        matches!(refused, Some(WorkersError::ForeignDrive { .. })),
        "{refused:?}"
    );
    let index = Arc::clone(&cluster.index);
    cluster.index = Arc::new(index.reopen());
    let running = cluster.start().await;
    assert_eq!(running.get("a").await.unwrap(), body(1, 100));
    running.workers.stop().await;
}
