//! Goal: what nobody knows goes, and nothing else ever does.
//!
//! Method: orphans and stale voids on drives in memory; a drive that goes away and comes back is
//! compared, and its unknown writes looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_index::{Batch, Index, Locks, Row, Table, keys};
use holdfast_protocol::{GatewayId, Record, VersionRow, WriteId};
use holdfast_workers::{LeaseGuard, WorkersConfig};
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
async fn an_orphan_that_cannot_be_read_goes_as_well() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.until_quiet().await;
    let write = orphan(&running, "orphan").await.manifest.write;
    for drive in &cluster.drives {
        drive.spoil(write);
    }
    let at = holder_of(&cluster, write);
    away_and_back(&cluster, &running, at).await;
    until("the orphan goes", || {
        !cluster.drives.iter().any(|drive| drive.holds(write))
    })
    .await;
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

/// Another gateway may serve, and have shown the write: a void would take it away again when the
/// index is rebuilt.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_nothing_is_voided() {
    let mut cluster = Cluster::new("2+1", 4);
    let clock = Arc::clone(&cluster.world.clock);
    cluster.lease = LeaseGuard::limited(Arc::clone(&clock));
    let running = cluster.start().await;
    let write = running.put("failed", &[7; 300], false).await.unwrap();
    let write = write.manifest.write;
    let drives = cluster.drives.iter().map(|drive| drive.id).collect();
    running.workers.void(write, drives);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.metrics.voids.get(), 0);
    assert!(cluster.drives.iter().any(|drive| drive.holds(write)));
    cluster.lease.set(clock.boot().plus(PATIENCE));
    until("it is void", || running.metrics.voids.get() == 1).await;
    until("the write goes", || {
        !cluster.drives.iter().any(|drive| drive.holds(write))
    })
    .await;
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

/// Longer than what nobody knows may stay, several times over.
async fn much_later() {
    tokio::time::sleep(config().sweep_grace * 10).await;
}

/// Every drive is to be compared.
async fn ask_all(cluster: &Cluster, running: &Running) {
    for at in 0..cluster.drives.len() {
        away_and_back(cluster, running, at).await;
    }
    until("asked", || is_comparing(running)).await;
}

fn is_comparing(running: &Running) -> bool {
    !running.workers.heal_status().drives_comparing.is_empty()
}

/// All drives were compared since.
async fn compare_all(cluster: &Cluster, running: &Running) {
    for at in 0..cluster.drives.len() {
        away_and_back(cluster, running, at).await;
    }
    until("compared", || !is_comparing(running)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn age_is_no_reason_while_an_older_write_is_open() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.until_quiet().await;
    let mut open = running.index.begin(Locks::none()).await.unwrap();
    let _order = open.take_order();
    let write = orphan(&running, "orphan").await.manifest.write;
    ask_all(&cluster, &running).await;
    much_later().await;
    assert!(is_comparing(&running), "it waits for what is open");
    let holders = || cluster.drives.iter().filter(|drive| drive.holds(write));
    assert_eq!(holders().count(), 2, "the settled mark has not passed it");
    assert_eq!(running.metrics.unknown_writes.get(), 0);
    drop(open);
    running.index.flush().await.unwrap();
    compare_all(&cluster, &running).await;
    until("the orphan goes", || holders().count() == 0).await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_swept_during_a_merge() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.until_quiet().await;
    // Two that the merge will show.
    let small = running.put("small", &[1; 300], false).await.unwrap();
    let coded = running.put("coded", &[2; 9000], false).await.unwrap();
    cluster.kill(running).await;
    let (running, claimed) = cluster.start_unmerged(config()).await;
    ask_all(&cluster, &running).await;
    much_later().await;
    assert_eq!(running.metrics.unknown_writes.get(), 0);
    assert_eq!(running.metrics.voids.get(), 0);
    for (row, copies) in [(&small, 2), (&coded, 3)] {
        let holds =
            |drive: &&std::sync::Arc<support::drive::MemoryDrive>| drive.holds(row.manifest.write);
        assert_eq!(cluster.drives.iter().filter(holds).count(), copies);
    }
    let merged = running.merge(&claimed).await;
    assert_eq!(merged.shown, 2, "{merged:?}");
    assert_eq!(running.get("small").await.unwrap(), [1; 300]);
    assert_eq!(running.get("coded").await.unwrap(), [2; 9000]);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drive_that_is_away_holds_waits_for_its_comparison() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.until_quiet().await;
    let write = orphan(&running, "orphan").await.manifest.write;
    let at = holder_of(&cluster, write);
    let other = |drive: &std::sync::Arc<support::drive::MemoryDrive>| {
        drive.id != cluster.drives[at].id && drive.holds(write)
    };
    cluster.drives[at].set_down(true);
    until("it is seen", || {
        let drives = running.store.drives();
        !drives.is_reachable(cluster.drives[at].id)
    })
    .await;
    for there in (0..cluster.drives.len()).filter(|there| *there != at) {
        away_and_back(&cluster, &running, there).await;
    }
    until("the other copy goes", || !cluster.drives.iter().any(other)).await;
    much_later().await;
    assert!(cluster.drives[at].holds(write), "nobody has asked it yet");
    let voids = running.metrics.voids.get();
    assert!(voids > 0, "the void guards until it has answered");
    cluster.drives[at].set_down(false);
    until("its copy goes", || !cluster.drives[at].holds(write)).await;
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_version_is_not_swept_because_shards_are_missing() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let row = running.put("torn", &[3; 9000], true).await.unwrap();
    running.put("later", &[4; 300], true).await.unwrap();
    running.until_quiet().await;
    let write = row.manifest.write;
    let holders: Vec<_> = row.placement.drives().collect();
    for &drive in &holders[1..] {
        cluster.drive(drive).lose(write);
    }
    compare_all(&cluster, &running).await;
    until("it is known", || {
        running.workers.heal_status().backlog_objects == 1
    })
    .await;
    much_later().await;
    assert!(cluster.drive(holders[0]).holds(write), "one shard of two");
    assert!(running.row("torn").await.is_some());
    assert_eq!(running.metrics.unknown_writes.get(), 0);
    assert_eq!(running.metrics.voids.get(), 0);
    running.workers.stop().await;
}
