//! One run: a drive, its disk, and what the model knows.
//!
//! Owns: doing an operation on both, and comparing them.
//! Leaves to others: which operations ([`super`]).
//! Always: an answer that the model does not allow ends the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest, LogPosition};
use holdfast_protocol::*;
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions};
use holdfast_sim::SimDisk;

use crate::support::*;
use crate::{Op, WRITES};

mod check;
mod moves;

use moves::purge_of;

const DIR: &str = "/drive";

/// What is known of a write.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Acknowledged, there.
    sealed: Option<LogPosition>,
    /// A seal failed: it may be there after the next start.
    maybe_sealed: bool,
    /// Acknowledged as purged under this generation.
    purged: Option<LogPosition>,
    /// A purge or leave failed: it may have taken effect.
    maybe_purged: bool,
    /// The highest order with which it left under this generation, acknowledged; 0 for none.
    left: u64,
    left_at: LogPosition,
    /// With which order it was admitted: at least, and at most.
    admitted: (u64, u64),
    /// The highest order of those that failed.
    maybe_admitted: u64,
}

pub(crate) struct Run {
    disk: SimDisk,
    world: World,
    drive: Option<Drive>,
    known: BTreeMap<u64, Known>,
    staged: BTreeMap<u64, usize>,
    generation: u32,
    /// A fault was injected since the last start: requests may fail.
    faulty: bool,
    /// The disk has a limit.
    limited: bool,
    /// Bytes were flipped at some time.
    flipped: bool,
    /// A churn may have left something.
    leftovers: bool,
    /// End of the log at the last start.
    opened_at: LogPosition,
    /// Orders given to moves so far.
    moves: u64,
}

fn config() -> DriveConfig {
    DriveConfig {
        reserve_bytes: 0,
        prewrite_bytes: 128 << 10,
        checkpoint_log_bytes: 96 << 10,
        staged_max: 64,
        ..DriveConfig::default()
    }
}

/// The shard of a write, if it has one.
fn shard_of(write: u64) -> Option<Shard> {
    let lens: &[usize] = match write % 6 {
        2 => &[8192, 8192, 64],
        3 => &[70_016, 5_056],
        4 => &[300_032],
        _ => return None,
    };
    Some(Shard::new(write_id(write + 1), (write % 3) as u8, lens))
}

fn admitted_at(sequence: u64) -> Order {
    match sequence {
        0 => Order::ZERO,
        sequence => order(sequence),
    }
}

fn record_of(write: u64) -> EncodedRecord {
    let id = write_id(write + 1);
    match shard_of(write) {
        Some(shard) => coded_record(id, 2 * shard.len()),
        None if write.is_multiple_of(6) => inline_record(id, 100),
        None if write % 6 == 1 => inline_record(id, 9_000),
        None => tombstone(id),
    }
}

impl Run {
    pub(crate) async fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let world = world::world(Arc::new(disk.clone()), seed);
        let options = FormatOptions {
            arena_len: 1 << 20,
            chunk_len: 64 << 10,
        };
        Drive::format(&world, Path::new(DIR), CLUSTER, DRIVE, options)
            .await
            .unwrap();
        let mut run = Self {
            disk,
            world,
            drive: None,
            known: (0..WRITES).map(|w| (w, Known::default())).collect(),
            staged: BTreeMap::new(),
            generation: 1,
            faulty: false,
            limited: false,
            flipped: false,
            leftovers: false,
            opened_at: LogPosition::default(),
            moves: 0,
        };
        run.open().await;
        claim(run.drive(), 1, 1).await.unwrap();
        run
    }

    fn drive(&self) -> &Drive {
        self.drive.as_ref().unwrap()
    }

    async fn ask(&self, request: DriveRequest) -> Result<DriveReply, DriveError> {
        self.drive().call(call(self.generation, request)).await
    }

    async fn try_open(&mut self) -> bool {
        let opened = Drive::open(&self.world, config(), Path::new(DIR), CLUSTER, None).await;
        match opened {
            Ok(drive) => {
                self.drive = Some(drive);
                true
            }
            Err(error) => {
                assert!(self.faulty || self.limited, "{error:?}");
                false
            }
        }
    }

    async fn open(&mut self) {
        self.faulty = false;
        if !self.try_open().await {
            self.disk.set_capacity(u64::MAX / 2);
            self.limited = false;
            assert!(self.try_open().await);
        }
        self.staged.clear();
        let status = self.drive().status();
        self.opened_at = status.end;
        assert!(!status.partial || self.flipped, "a crash loses nothing");
        if status.generation > Generation::new(self.generation) {
            self.granted(status.generation.get());
        }
        if status.trouble.is_some() {
            assert!(self.limited, "{:?}", status.trouble);
            self.faulty = true;
        }
        self.resolve().await;
    }

    fn granted(&mut self, generation: u32) {
        self.generation = generation;
        for known in self.known.values_mut() {
            known.purged = None;
            known.maybe_purged = false;
            known.left = 0;
        }
    }

    /// After a start, what was in doubt is what it is.
    async fn resolve(&mut self) {
        let held: Vec<_> = inventory_of(self).await;
        for write in 0..WRITES {
            let there = held.contains(&write_id(write + 1));
            let opened_at = self.opened_at;
            let noticed = |position: LogPosition| {
                position.log != opened_at.log || position.batch > opened_at.batch
            };
            let flipped = self.flipped;
            let known = self.known.get_mut(&write).unwrap();
            match (known.sealed, there) {
                (Some(_), true) | (None, false) => {}
                (Some(position), false) => {
                    let lost = flipped && noticed(position);
                    assert!(known.maybe_purged || lost, "write {write} is gone");
                    known.sealed = None;
                }
                (None, true) => {
                    let noticed = known.purged.map_or(noticed(known.left_at), noticed);
                    let lost = flipped && noticed;
                    assert!(known.maybe_sealed || lost, "write {write} is back");
                    assert!(
                        known.purged.is_none() || lost,
                        "purged write {write} is back"
                    );
                    assert!(known.left < known.maybe_admitted.max(1) || lost);
                    known.sealed = Some(opened_at);
                    known.purged = None;
                    known.admitted = (0, known.maybe_admitted);
                }
            }
            known.admitted.1 = known.admitted.1.max(known.maybe_admitted);
            (known.maybe_sealed, known.maybe_admitted) = (false, 0);
        }
    }

    pub(crate) async fn restart(&mut self, crash: bool) {
        let drive = self.drive.take().unwrap();
        if crash {
            drive.abandon().await;
            self.disk.crash();
        } else {
            drive.close().await;
            drop(drive);
            if self.faulty {
                self.disk.crash();
            }
        }
        self.open().await;
    }

    async fn put(&self, write: u64, admitted: u64) -> Result<DriveReply, DriveError> {
        let admitted = admitted_at(admitted);
        let record = record_of(write);
        let Some(shard) = shard_of(write) else {
            let request = DriveRequest::Seal {
                admitted,
                record,
                shard: None,
            };
            return self.ask(request).await;
        };
        let (last, cells) = shard.cells.split_last().unwrap();
        let staged = self.staged.get(&write).copied().unwrap_or(0);
        for cell in cells.iter().skip(staged) {
            self.stage(&shard, admitted, cell.clone()).await?;
        }
        let last = (staged < shard.cells.len()).then(|| last.clone());
        let shard = Some(shard.seal(last));
        let request = DriveRequest::Seal {
            admitted,
            record,
            shard,
        };
        self.ask(request).await
    }

    async fn stage(
        &self,
        shard: &Shard,
        admitted: Order,
        cell: rpc::Cell,
    ) -> Result<DriveReply, DriveError> {
        let request = DriveRequest::Stage {
            write: shard.write,
            shard: shard.index,
            len_hint: (cell.stripe == 0 && shard.write.counter.is_multiple_of(2))
                .then(|| shard.len()),
            admitted,
            cell,
        };
        self.ask(request).await
    }

    /// Takes an answer to a put into the model.
    fn was_put(&mut self, write: u64, admitted: u64, answer: Result<DriveReply, DriveError>) {
        let may_fail = self.faulty || self.limited;
        let may_flip = self.flipped;
        self.staged.remove(&write);
        let known = self.known.get_mut(&write).unwrap();
        match answer {
            Ok(DriveReply::Sealed { position }) => {
                assert!(
                    known.purged.is_none() || may_flip,
                    "purged write {write} was sealed"
                );
                assert!(
                    known.left < admitted.max(1) || may_flip,
                    "{write} is elsewhere"
                );
                known.admitted = match known.sealed {
                    Some(_) if admitted == 0 => known.admitted,
                    _ => (admitted, admitted.max(known.maybe_admitted)),
                };
                known.sealed = Some(position);
            }
            Err(DriveError::Purged) => {
                let expected = known.purged.is_some() || known.maybe_purged;
                let left = known.left > 0 && admitted <= known.left;
                assert!(expected || left || may_flip, "{write}");
            }
            Err(DriveError::BadRequest { .. }) if may_fail => {}
            Err(DriveError::Full | DriveError::OutOfService { .. }) if may_fail => {
                let taken = known.purged.is_none() && known.left < admitted.max(1);
                known.maybe_sealed |= known.sealed.is_none() && taken;
                known.maybe_admitted = known.maybe_admitted.max(admitted);
            }
            Err(DriveError::Io { .. }) if may_fail => {}
            other => panic!("put of {write}: {other:?}"),
        }
    }

    pub(crate) async fn step(&mut self, op: Op) {
        match op {
            Op::Put(write) => {
                let answer = self.put(write, 0).await;
                self.was_put(write, 0, answer);
                self.drop_leftovers(write).await;
            }
            Op::Burst(mut writes) => {
                writes.sort_unstable();
                writes.dedup();
                let puts = writes.iter().map(|write| self.put(*write, 0));
                let answers = futures::future::join_all(puts).await;
                for (write, answer) in writes.into_iter().zip(answers) {
                    self.was_put(write, 0, answer);
                    self.drop_leftovers(write).await;
                }
            }
            Op::Stage(write) => self.stage_next(write).await,
            Op::Discard(write) => self.discard(write).await,
            Op::Purge(writes) => self.purge(writes).await,
            Op::Leave(writes, late) => self.leave(writes, late).await,
            Op::Bring(write) => self.bring(write).await,
            Op::Claim => self.claim().await,
            Op::Verify(write) => self.verify(write).await,
            Op::Idle => tokio::time::sleep(Duration::from_secs(3)).await,
            Op::Churn => self.churn().await,
            Op::Close => self.restart(false).await,
            Op::Crash => self.restart(true).await,
            Op::CrashInOpen(n) => {
                self.drive.take().unwrap().abandon().await;
                self.disk.crash();
                self.disk.cut_power(n);
                self.faulty = true;
                if self.try_open().await {
                    self.drive.take().unwrap().abandon().await;
                }
                self.disk.crash();
                self.open().await;
            }
            Op::CutPower(n) => {
                self.disk.cut_power(n);
                self.faulty = true;
            }
            Op::FailSync(n) => {
                self.disk.fail_sync(n);
                self.faulty = true;
            }
            Op::FailWrite(n) => {
                self.disk.fail_write(n);
                self.faulty = true;
            }
            Op::Fill(pages) => {
                self.disk.set_capacity(self.disk.used() + pages * 4096);
                self.limited = true;
            }
            Op::Unfill => {
                self.disk.set_capacity(u64::MAX / 2);
                // What failed for want of space may have left doubt, but no more failures.
                self.limited = false;
            }
            Op::Flip(at, mask) => self.flip(at, mask),
        }
    }

    async fn stage_next(&mut self, write: u64) {
        let Some(shard) = shard_of(write) else { return };
        let next = self.staged.get(&write).copied().unwrap_or(0);
        let Some(cell) = shard.cells.get(next) else {
            return;
        };
        match self.stage(&shard, Order::ZERO, cell.clone()).await {
            Ok(DriveReply::Done) => {
                let known = self.known[&write];
                assert!((known.purged.is_none() && known.left == 0) || self.flipped);
                self.staged.insert(write, next + 1);
            }
            Err(DriveError::Purged) => {
                let known = self.known[&write];
                let expected = known.purged.is_some() || known.maybe_purged || known.left > 0;
                assert!(expected || self.flipped);
            }
            other => {
                assert!(self.faulty || self.limited, "stage {write}: {other:?}");
                self.discard(write).await;
            }
        }
    }

    async fn discard(&mut self, write: u64) {
        let write_id = write_id(write + 1);
        let done = self.ask(DriveRequest::Discard { write: write_id }).await;
        assert_eq!(done, Ok(DriveReply::Done));
        self.staged.remove(&write);
    }

    /// A put that failed may leave staged cells behind.
    async fn drop_leftovers(&mut self, write: u64) {
        if !self.staged.contains_key(&write) {
            self.discard(write).await;
        }
    }

    async fn claim(&mut self) {
        let next = self.generation + 1;
        match claim(self.drive(), next, 7).await {
            Ok(reply) => {
                assert_eq!(reply, DriveReply::Claimed);
                let old = self.drive().call(call(next - 1, purge_of(vec![])));
                assert!(matches!(old.await, Err(DriveError::OldGeneration { .. })));
                self.granted(next);
            }
            Err(error) => assert!(self.faulty || self.limited, "{error:?}"),
        }
    }

    /// Fills more than a chunk of the log and purges it: chunks die, are emptied and used again.
    async fn churn(&mut self) {
        let ids = 1000..1024_u64;
        for n in ids.clone() {
            let record = inline_record(write_id(n), 3500);
            let request = DriveRequest::Seal {
                admitted: Order::ZERO,
                record,
                shard: None,
            };
            if let Err(error) = self.ask(request).await {
                let may_fail = self.faulty || self.limited || self.flipped;
                assert!(may_fail || error == DriveError::Purged, "{error:?}");
            }
        }
        let writes = ids.map(write_id).collect();
        let purged = self.ask(purge_of(writes)).await;
        self.leftovers |= purged.is_err();
        assert!(purged.is_ok() || self.faulty || self.limited);
        self.claim().await;
    }

    async fn verify(&mut self, write: u64) {
        let Some(shard) = shard_of(write) else { return };
        let request = DriveRequest::Verify {
            write: shard.write,
            shard: shard.index,
        };
        match self.ask(request).await {
            Ok(DriveReply::Verified { bad, blocks }) => {
                let sums: usize = shard.cells.iter().map(|cell| cell.checksums.len()).sum();
                assert_eq!(blocks, sums as u64);
                assert!(bad.is_empty() || self.flipped || self.faulty, "{bad:?}");
            }
            Err(DriveError::NotFound) => assert!(self.known[&write].sealed.is_none()),
            other => assert!(self.flipped || self.faulty, "{other:?}"),
        }
    }

    fn flip(&mut self, at: u64, mask: u8) {
        let names = ["space.0", "space.1", "space.2", "checkpoint"];
        let path = PathBuf::from(DIR).join(names[(at % 4) as usize]);
        if let Some(bytes) = self.disk.contents(&path).filter(|bytes| !bytes.is_empty()) {
            // Bytes in use are mostly in the first part.
            let at = (at >> 8) % bytes.len() as u64;
            self.flipped |= self.disk.flip(&path, at, mask);
        }
    }
}

async fn inventory_of(run: &Run) -> Vec<WriteId> {
    let request = DriveRequest::Inventory {
        after: None,
        min_order: Order::ZERO,
        kind: None,
        limit: 1000,
    };
    match run.ask(request).await {
        Ok(DriveReply::Inventory { entries, .. }) => entries.iter().map(|e| e.write).collect(),
        other => panic!("{other:?}"),
    }
}
