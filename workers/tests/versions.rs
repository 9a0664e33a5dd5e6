//! Versions of a key and their metadata through claims, rebuilds, purges and lost drives.
//!
//! Goal: what a bucket with versions shows, and what was said of its versions later, comes through
//! a crash at each step, and a rebuilt index equals the one that was lost.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;

use holdfast_index::{Index, MemoryIndex, ScanLimit, Table, rows};
use holdfast_protocol::{IndexId, VersionRow, WriteId};
use holdfast_workers::ClaimOptions;
use support::{BUCKET, Cluster, Running};

/// Everything that a client could see, copies in a fixed order.
async fn dump(index: &MemoryIndex) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        Table::Current,
        Table::Noncurrent,
        Table::Metadata,
        Table::Null,
        Table::Usage,
    ] {
        let ends = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let limit = ScanLimit::rows(1000);
        let scan = index.scan(table, ends.0, ends.1, limit).await.unwrap();
        for (key, row) in scan.rows {
            let value = match table {
                Table::Null | Table::Usage => row.value,
                _ => {
                    let mut version = VersionRow::decode(&row.value).unwrap();
                    version.placement.holders.sort_unstable();
                    version.encode()
                }
            };
            all.push(format!("{table:?} {key:?} {:?} {value:?}", row.order));
        }
    }
    all
}

/// Stops the cluster and rebuilds its index; both are shown.
async fn rebuilt(cluster: &mut Cluster, running: Running) -> (Vec<String>, Vec<String>) {
    running.until_quiet().await;
    let old = dump(&running.index).await;
    running.workers.stop().await;
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    let options = ClaimOptions {
        takeover: true,
        ..ClaimOptions::default()
    };
    cluster.open(&options, Some(false)).await.unwrap();
    (old, dump(&cluster.index).await)
}

fn tag(row: &VersionRow) -> Option<&str> {
    row.manifest.metadata.get("x-amz-tagging")
}

fn copies(cluster: &Cluster, write: WriteId) -> usize {
    let drives = cluster.drives.iter();
    drives.filter(|drive| drive.holds(write)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilt_versions_equal_those_that_were_lost() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let null = running.put("k", &[1; 100], true).await.unwrap();
    let first = running.put_version("k", &[2; 200], true).await;
    let second = running.put_version("k", &[3; 300], true).await;
    let gone = running.put_version("k", &[4; 400], true).await;
    running.change_metadata(&null, "a=1", true).await;
    running.change_metadata(&first, "b=1", true).await;
    running.change_metadata(&first, "b=2", true).await;
    running.change_metadata(&gone, "c=1", true).await;
    running.delete_version(&gone, true).await;
    let again = running.rewrite(&first, &[2; 200], true).await;
    assert_eq!(
        tag(&again),
        Some("b=2"),
        "what it had when it was stored anew"
    );
    let current = running.row("k").await.unwrap();
    assert_eq!(current.manifest.write, second.manifest.write);
    let version = rows::get_null(&*running.index, BUCKET, "k").await.unwrap();
    assert_eq!(version, Some(null.manifest.version));
    running.until_quiet().await;
    let report = running.workers.check(&|_| {}).await.unwrap();
    assert!(report.clean, "{:?}", report.problems);
    let (old, new) = rebuilt(&mut cluster, running).await;
    assert_eq!(old, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_was_durable_comes_to_light_at_the_next_claim() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let old = running.put_version("k", &[1; 100], true).await;
    let known = running.change_metadata(&old, "a=1", true).await;
    let new = running.put_version("k", &[2; 100], true).await;
    running.put("other", &[3; 100], true).await.unwrap();
    running.until_quiet().await;
    let of_old = running.change_metadata(&old, "a=2", false).await;
    let of_new = running.change_metadata(&new, "b=1", false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(running.merged.shown, 2, "{:?}", running.merged);
    let row = running.row("k").await.unwrap();
    assert_eq!(
        (tag(&row), row.changed),
        (Some("b=1"), Some(of_new.manifest.order))
    );
    assert_eq!(row.manifest.write, new.manifest.write);
    assert_eq!(row.manifest.created_ms, new.manifest.created_ms);
    let found = running.metadata(&old).await.unwrap();
    assert_eq!(found.manifest, of_old.manifest);
    running.until_quiet().await;
    assert_eq!(copies(&cluster, known.manifest.write), 0, "it was replaced");
    let (old, new) = rebuilt(&mut cluster, running).await;
    assert_eq!(old, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_comes_to_light_makes_an_older_version_current() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let old = running.put_version("k", &[1; 100], true).await;
    let new = running.put_version("k", &[2; 100], true).await;
    let metadata = running.change_metadata(&new, "a=1", true).await;
    running.delete_version(&new, false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    let row = running.row("k").await.unwrap();
    assert_eq!(row.manifest.write, old.manifest.write);
    assert_eq!(running.metadata(&new).await, None);
    let usage = rows::get_usage(&*running.index, BUCKET).await.unwrap();
    assert_eq!((usage.objects(), usage.bytes()), (1, 100));
    running.until_quiet().await;
    for write in [new.manifest.write, metadata.manifest.write] {
        assert_eq!(copies(&cluster, write), 0, "it goes with the version");
    }
    let (old, new) = rebuilt(&mut cluster, running).await;
    assert_eq!(old, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_stored_anew_comes_to_light_in_its_place() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let old = running.put_version("k", &[1; 100], true).await;
    let metadata = running.change_metadata(&old, "a=1", true).await;
    let new = running.put_version("k", &[2; 100], true).await;
    let again = running.rewrite(&old, &[1; 100], false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    let row = running.row("k").await.unwrap();
    assert_eq!(row.manifest.write, new.manifest.write, "it is no newer");
    let version = old.manifest.version;
    let row = rows::get_noncurrent(&*running.index, BUCKET, "k", version).await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.manifest, again.manifest);
    assert_eq!((tag(&row), row.changed), (Some("a=1"), None));
    assert_eq!(running.metadata(&old).await, None);
    running.until_quiet().await;
    assert_eq!(copies(&cluster, metadata.manifest.write), 0);
    let (old, new) = rebuilt(&mut cluster, running).await;
    assert_eq!(old, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_metadata_record_are_made_again() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("k", &[1; 100], true).await.unwrap();
    let metadata = running.change_metadata(&row, "a=1", true).await;
    running.until_quiet().await;
    let write = metadata.manifest.write;
    let holders = metadata.placement.holders;
    assert_eq!(copies(&cluster, write), 2);
    cluster.kill(running).await;
    cluster.drive(holders[0]).lose(write);
    let running = cluster.start().await;
    running
        .until("the copy is made again", || async {
            copies(&cluster, write) == 2
        })
        .await;
    running.until_quiet().await;
    let row = running.row("k").await.unwrap();
    assert_eq!(tag(&row), Some("a=1"));
    running.workers.stop().await;
}
