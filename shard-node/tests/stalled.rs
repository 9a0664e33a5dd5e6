//! Goal: a drive whose file system stalls keeps no other drive of its node waiting.
//! Method: two drives on the machine's file system and few threads; writes of pages to one of them,
//! or reads of it, wait until the test lets them go on.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_protocol::rpc::DriveReply;
use holdfast_seam::{Disk, DiskFile, OpenMode, RealDisk, World};
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions};
use parking_lot::{Condvar, Mutex};
use support::*;

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Reads,
    Writes,
}

/// Whether reads, or writes of pages, wait.
#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<Option<Waits>>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, shut: Option<Waits>) {
        *self.shut.lock() = shut;
        self.changed.notify_all();
    }
    fn is_shut(&self, waits: Waits) -> bool {
        *self.shut.lock() == Some(waits)
    }
    fn pass(&self, waits: Waits) {
        let mut shut = self.shut.lock();
        while *shut == Some(waits) {
            self.changed.wait(&mut shut);
        }
    }
}

/// The machine's file systems; what lies under `stalling` waits at the gate.
#[derive(Debug)]
struct Stalling {
    under: PathBuf,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct StallingFile(Arc<dyn DiskFile>, Arc<Gate>);

impl DiskFile for StallingFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.pass(Waits::Reads);
        self.0.read_exact_at(buffer, offset)
    }
    fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if self.1.is_shut(Waits::Reads) {
            return Ok(None);
        }
        self.0.read_now(buffer, offset)
    }
    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        self.0.write_all_at(slices, offset)
    }
    fn write_pages_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        self.1.pass(Waits::Writes);
        self.0.write_pages_at(slices, offset)
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(offset, len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

impl Disk for Stalling {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.open(path, mode)?;
        Ok(match path.starts_with(&self.under) {
            true => Arc::new(StallingFile(file, Arc::clone(&self.gate))),
            false => file,
        })
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
    fn space(&self, path: &Path) -> io::Result<(u64, u64)> {
        RealDisk.space(path)
    }
}

async fn fresh(world: &World, dir: &Path) -> Drive {
    let config = DriveConfig {
        reserve_bytes: 1 << 20,
        // Nothing is written that the test does not ask for.
        prewrite_bytes: 0,
        read_threads: 2,
        ..DriveConfig::default()
    };
    let options = FormatOptions::default();
    Drive::format(world, dir, CLUSTER, DRIVE, options)
        .await
        .unwrap();
    let drive = Drive::open(world, config, dir, CLUSTER, Some(DRIVE))
        .await
        .unwrap();
    claim(&drive, 1, 9).await.unwrap();
    drive
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_stalls_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (slow_dir, other_dir) = (dir.path().join("slow"), dir.path().join("other"));
    let gate = Arc::new(Gate::default());
    let disk = Stalling {
        under: slow_dir.clone(),
        gate: Arc::clone(&gate),
    };
    let world = World {
        disk: Arc::new(disk),
        ..World::real(4)
    };
    let slow = Arc::new(fresh(&world, &slow_dir).await);
    let other = fresh(&world, &other_dir).await;
    gate.set(Some(Waits::Writes));
    // More cells than the node has threads, each of a shard of its own.
    let staging: Vec<_> = (1..=12)
        .map(|number| {
            let slow = Arc::clone(&slow);
            let shard = Shard::new(write_id(number), 1, &[262_144, 262_144]);
            tokio::spawn(async move { put(&slow, &shard).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let shard = Shard::new(write_id(100), 1, &[262_144, 262_144, 100_032]);
    let beside = tokio::time::timeout(Duration::from_secs(30), async {
        put(&other, &shard).await.unwrap();
        assert_eq!(read_all(&other, &shard).await.unwrap(), shard.bytes());
    })
    .await;
    let finished = staging.iter().filter(|put| put.is_finished()).count();
    gate.set(None);
    beside.expect("the other drive is served meanwhile");
    assert_eq!(finished, 0, "the gate was shut");
    for put in staging {
        let reply = put.await.unwrap().unwrap();
        assert!(matches!(reply, DriveReply::Sealed { .. }), "{reply:?}");
    }
    for number in 1..=12 {
        let shard = Shard::new(write_id(number), 1, &[262_144, 262_144]);
        assert_eq!(read_all(&slow, &shard).await.unwrap(), shard.bytes());
    }
    slow.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_reads_stall_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (slow_dir, other_dir) = (dir.path().join("slow"), dir.path().join("other"));
    let gate = Arc::new(Gate::default());
    let disk = Stalling {
        under: slow_dir.clone(),
        gate: Arc::clone(&gate),
    };
    let world = World {
        disk: Arc::new(disk),
        ..World::real(4)
    };
    let slow = Arc::new(fresh(&world, &slow_dir).await);
    let other = fresh(&world, &other_dir).await;
    let shard = |number| Shard::new(write_id(number), 1, &[262_144, 262_144]);
    for number in 1..=12 {
        put(&slow, &shard(number)).await.unwrap();
    }
    gate.set(Some(Waits::Reads));
    // More than the node has threads; whoever asked for every third gives up.
    let reading: Vec<_> = (1..=12)
        .map(|number| {
            let slow = Arc::clone(&slow);
            let patience = Duration::from_millis(if number % 3 == 0 { 50 } else { 60_000 });
            let read = async move { read_all(&slow, &shard(number)).await };
            tokio::spawn(tokio::time::timeout(patience, read))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let beside = tokio::time::timeout(Duration::from_secs(30), async {
        let shard = Shard::new(write_id(100), 1, &[262_144, 262_144, 100_032]);
        put(&other, &shard).await.unwrap();
        assert_eq!(read_all(&other, &shard).await.unwrap(), shard.bytes());
    })
    .await;
    gate.set(None);
    beside.expect("the other drive is served meanwhile");
    for (number, read) in (1..).zip(reading) {
        match read.await.unwrap() {
            Ok(bytes) => assert_eq!(bytes.unwrap(), shard(number).bytes()),
            Err(_) => assert_eq!(number % 3, 0),
        }
    }
    for number in 1..=12 {
        assert_eq!(
            read_all(&slow, &shard(number)).await.unwrap(),
            shard(number).bytes()
        );
    }
    slow.close().await;
    other.close().await;
}
