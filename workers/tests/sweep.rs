//! Goal: what nobody knows goes, and nothing else ever does.
//!
//! Method: orphans and stale voids on drives in memory; a drive that goes away and comes back is
//! compared, and its unknown writes looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::{Duration, Instant};

use holdfast_index::{Batch, Index, Locks, Row, Table, keys};
use holdfast_protocol::{GatewayId, Record, VersionRow, WriteId};
use holdfast_workers::WorkersConfig;
use support::{BUCKET, CLUSTER, Cluster, Running, config};

const PATIENCE: Duration = Duration::from_secs(30);

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A drive goes away for longer than the suspect time and is compared when it is back.
async fn away_and_back(cluster: &Cluster, running: &Running, at: usize) {
    let drive = &cluster.drives[at];
    drive.set_down(true);
    until("suspect", || {
        let seen = running.workers.drives();
        seen.get(&drive.id)
            .is_some_and(|entry| entry.state != holdfast_workers::DriveState::Up)
    })
    .await;
    drive.set_down(false);
}

fn holder_of(cluster: &Cluster, write: WriteId) -> usize {
    let at = cluster.drives.iter().position(|drive| drive.holds(write));
    at.expect("some drive holds it")
}

/// Writes a version that the index never hears of; gives its row.
async fn orphan(running: &Running, key: &str) -> VersionRow {
    let row = running.put(key, &[7; 300], false).await.unwrap();
    // The order below which nothing is open passes it.
    running.put("later", &[8; 300], true).await.unwrap();
    running.index.flush().await.unwrap();
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_swept_after_the_second_look() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("kept", &[1; 300], true).await.unwrap();
    running.until_quiet().await;
    let write = orphan(&running, "orphan").await.manifest.write;
    let at = holder_of(&cluster, write);
    away_and_back(&cluster, &running, at).await;
    until("the orphan goes", || {
        !cluster.drives.iter().any(|drive| drive.holds(write))
    })
    .await;
    assert_eq!(running.metrics.spared_writes.get(), 0);
    assert!(running.metrics.voids.get() > 0, "by a void");
    assert_eq!(running.get("kept").await.unwrap(), [1; 300]);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_second_look_knows_is_spared() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster
        .start_with(WorkersConfig {
            sweep_grace: Duration::from_secs(8),
            ..config()
        })
        .await;
    running.until_quiet().await;
    let row = orphan(&running, "late").await;
    let write = row.manifest.write;
    let at = holder_of(&cluster, write);
    away_and_back(&cluster, &running, at).await;
    until("in the trash", || running.metrics.trash_writes.get() == 1).await;
    assert!(cluster.drives[at].holds(write), "nothing was touched");
    assert_eq!(running.metrics.voids.get(), 0);
    let mut batch = Batch::new();
    let bytes = Row::new(row.manifest.order, row.encode());
    batch.put(Table::Current, keys::current(BUCKET, "late"), bytes);
    let txn = running
        .index
        .begin(Locks::none().key(BUCKET, "late"))
        .await
        .unwrap();
    txn.commit(batch).await.unwrap();
    until("spared", || running.metrics.spared_writes.get() == 1).await;
    until("out of the trash", || {
        running.metrics.trash_writes.get() == 0
    })
    .await;
    assert_eq!(running.metrics.voids.get(), 0);
    assert_eq!(running.get("late").await.unwrap(), [7; 300]);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_void_of_a_write_that_is_shown_is_swept_itself() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let spare = running.put("spare", &[2; 300], true).await.unwrap();
    let shown = running.put("shown", &[1; 300], true).await.unwrap();
    running.put("later", &[3; 300], true).await.unwrap();
    running.until_quiet().await;
    // As a gateway leaves it that was fenced while it gave up a write.
    let void = Record::Void {
        write: WriteId {
            gateway: GatewayId::new(9),
            gateway_epoch: 1,
            counter: 1,
        },
        order: spare.manifest.order,
        target: shown.manifest.write,
    };
    let write = void.write();
    let encoded = void.encode(CLUSTER);
    cluster.drives[0].plant(&encoded, None);
    away_and_back(&cluster, &running, 0).await;
    until("the void goes", || !cluster.drives[0].holds(write)).await;
    running.until_quiet().await;
    assert_eq!(running.get("shown").await.unwrap(), [1; 300]);
    for drive in shown.placement.drives() {
        assert!(cluster.drive(drive).holds(shown.manifest.write));
    }
    running.workers.stop().await;
}

/// While nobody can say what became of a write, a tombstone may be all that keeps it deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_second_look_failed_counts_as_hidden_until_it_is_void() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster
        .start_with(WorkersConfig {
            sweep_grace: Duration::from_secs(1),
            ..config()
        })
        .await;
    running.until_quiet().await;
    until("compared", || !running.workers.hides_writes()).await;
    let write = orphan(&running, "orphan").await.manifest.write;
    let at = holder_of(&cluster, write);
    away_and_back(&cluster, &running, at).await;
    until("in the trash", || running.metrics.trash_writes.get() == 1).await;
    cluster.drives[at].set_down(true);
    until("looked at again", || {
        let voided = running.metrics.voids.get() > 0;
        assert!(running.workers.hides_writes(), "its drive was not asked");
        voided
    })
    .await;
    assert!(cluster.drives[at].holds(write), "purged elsewhere only");
    cluster.drives[at].set_down(false);
    until("gone everywhere", || {
        !cluster.drives.iter().any(|drive| drive.holds(write))
    })
    .await;
    until("nothing is hidden", || !running.workers.hides_writes()).await;
    running.workers.stop().await;
}
