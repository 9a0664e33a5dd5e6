//! One drive: a directory that keeps records and shards.
//!
//! Owns: formatting, opening, closing, and passing requests to those who answer them.
//! Leaves to others: the log ([`log`]), cells ([`stage`]), seals ([`seal`]), reads ([`read`]),
//! recovery ([`recover`]), background work ([`house`]).
//! Always: what was answered `Sealed`, `Purged` or `Claimed` survives power loss.

mod apply;
mod blocks;
mod checkpoint;
mod compact;
mod files;
mod grow;
mod house;
mod inventory;
mod lease;
mod log;
mod mark;
mod part;
mod purged;
mod read;
mod recover;
mod request;
mod seal;
mod space;
mod stage;
mod state;
mod suspend;
mod table;
mod writes;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_protocol::drive::superblock::LEN_MAX;
use holdfast_protocol::drive::{ClaimEntry, Superblock};
use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply, DriveRequest, DriveStatus};
use holdfast_protocol::{ClaimantId, ClusterId, DriveId, Generation, LogId};
use holdfast_seam::spawn::blocking;
use holdfast_seam::{DiskFile, OpenMode, Task, World};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use self::files::Files;
use self::lease::Lease;
use self::log::Log;
use self::recover::{Recovered, recover};
use self::request::{Dropped, Request};
use self::seal::{Arrived, Caller};
use self::state::Shared;
use self::suspend::write_ahead;
use self::writes::Writes;
use crate::config::{DriveConfig, FormatOptions};
use crate::error::NodeError;
use crate::metrics::DriveMetrics;

const SUPERBLOCK: &str = "superblock";
const LOCK: &str = "lock";

/// An open drive.
#[derive(Debug)]
pub struct Drive {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
    tasks: Mutex<Vec<Task>>,
}

impl Drive {
    /// Lays out a new, empty drive in `dir`, which is made if needed.
    ///
    /// # Errors
    /// `NotEmpty` if there is a drive or part of one; `Format` for lengths out of bounds; `Io`.
    pub async fn format(
        world: &World,
        dir: &Path,
        cluster: ClusterId,
        drive: DriveId,
        options: FormatOptions,
    ) -> Result<(), NodeError> {
        let superblock = Superblock {
            cluster,
            drive,
            arena_len: options.arena_len,
            chunk_len: options.chunk_len,
            created_ms: world.clock.unix_ms(),
        };
        let (job, path) = (world.clone(), dir.to_owned());
        blocking(&*world.spawn, move || format(&job, &path, superblock))
            .await
            .unwrap_or_else(|| Err(shutdown(dir)))
    }

    /// Opens the drive in `dir`, which must belong to `cluster` and, if given, be `drive`.
    ///
    /// # Errors
    /// `Missing`, `Locked`, `OtherCluster`, `OtherDrive`, `Format`, `Damaged`, `Io`, or
    /// `OutOfService` if what the log says cannot be made durable.
    pub async fn open(
        world: &World,
        config: DriveConfig,
        dir: &Path,
        cluster: ClusterId,
        drive: Option<DriveId>,
    ) -> Result<Self, NodeError> {
        let (job, path) = (world.clone(), dir.to_owned());
        let log = blocking(&*world.spawn, move || {
            open(&job, config, &path, cluster, drive)
        })
        .await
        .unwrap_or_else(|| Err(shutdown(dir)))?;
        let shared = Arc::clone(&log.shared);
        let (queue, requests) = mpsc::channel(shared.config.queue_len.max(1));
        let name = format!("log-{}", shared.superblock.drive);
        let log = world.spawn.dedicated(&name, Box::pin(log.run(requests)));
        let house = house::run(Arc::clone(&shared), queue.downgrade());
        let house = world.spawn.task("drive-house", Box::pin(house));
        Ok(Self {
            shared,
            queue,
            tasks: Mutex::new(vec![log, house]),
        })
    }

    /// The drive's id.
    pub fn id(&self) -> DriveId {
        self.shared.superblock.drive
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Answers one request. The caller minds the deadline.
    ///
    /// # Errors
    /// As [`DriveRequest`] says.
    pub async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let shared = &self.shared;
        let caller = Caller {
            generation: call.generation,
            index: call.index,
        };
        match &call.request {
            DriveRequest::Status | DriveRequest::Claim { .. } | DriveRequest::LeaseState => {}
            _ => shared.state.lock().admit(call.generation, call.index)?,
        }
        match call.request {
            DriveRequest::Stage {
                write,
                shard,
                len_hint,
                admitted,
                cell,
            } => stage::stage(shared, write, shard, len_hint, admitted, cell).await,
            DriveRequest::Seal {
                admitted,
                record,
                shard,
            } => {
                let arrived = Arrived {
                    admitted,
                    record,
                    shard,
                };
                seal::seal(shared, &self.queue, caller, arrived).await
            }
            DriveRequest::Discard { write } => {
                stage::discard(shared, write);
                Ok(DriveReply::Done)
            }
            DriveRequest::Read {
                write,
                shard,
                spans,
            } => blocks::blocks(shared, write, shard, &spans).await,
            DriveRequest::ReadRecord { write, with_body } => {
                let kept = read::record(shared, write, with_body).await?;
                Ok(DriveReply::Record {
                    record: kept.record,
                    shard: kept.shard,
                })
            }
            DriveRequest::Purge { order, writes } => {
                self.purge(Dropped::Gone(order, writes), caller).await
            }
            DriveRequest::Leave { moved } => self.purge(Dropped::Moved(moved), caller).await,
            DriveRequest::Inventory {
                after,
                min_order,
                kind,
                limit,
            } => Ok(inventory::inventory(shared, after, min_order, kind, limit)),
            DriveRequest::Claim {
                generation,
                claimant,
                takeover,
            } => self.claim(caller, generation, claimant, takeover).await,
            DriveRequest::Status => Ok(DriveReply::Status(self.status())),
            DriveRequest::Verify { write, shard } => blocks::verify(shared, write, shard).await,
            DriveRequest::Compared { log } => Ok(self.compared(log)),
            about @ (DriveRequest::Lease { .. } | DriveRequest::LeaseState) => {
                lease::answer(shared, caller.generation, about)
            }
        }
    }

    /// What the drive is and how it does.
    pub fn status(&self) -> DriveStatus {
        let shared = &self.shared;
        let trouble = shared.files.trouble();
        let state = shared.state.lock();
        let trouble = trouble.or_else(|| state.suspended.clone());
        let free_bytes = state.free_bytes(shared);
        DriveStatus {
            cluster: shared.superblock.cluster,
            drive: shared.superblock.drive,
            generation: state.grant.map(|g| g.generation).unwrap_or_default(),
            index: state.grant.map(|grant| grant.index),
            end: state.end,
            writable: trouble.is_none() && free_bytes > 0 && !state.closing,
            trouble,
            used_bytes: state.used_bytes(),
            free_bytes,
            records: state.table.len(),
            syncs: shared.files.syncs(),
            told: state.purged.told(),
            partial: state.partial,
            found: state.found,
        }
    }

    /// It was compared whole since its log has been this one. The next checkpoint keeps it; until
    /// then a crash makes it partial again, which costs a comparison.
    fn compared(&self, log: LogId) -> DriveReply {
        let mut state = self.shared.state.lock();
        if state.end.log == log && state.partial {
            state.partial = false;
            let dir = self.shared.dir.display();
            tracing::info!(%dir, "what the drive had lost of its log was compared and healed");
        }
        DriveReply::Done
    }

    /// Finishes what is waiting, writes a checkpoint and lets go of the directory.
    pub async fn close(&self) {
        self.shared.state.lock().closing = true;
        self.shared.house.notify_one();
        let (reply, done) = oneshot::channel();
        if self.queue.send(Request::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
        self.join().await;
        self.shared.metrics.forget();
        self.shared.lock.lock().take();
    }

    /// Lets go of the directory at once, as a crash would: no checkpoint, staged shards are
    /// forgotten.
    pub async fn abandon(self) {
        let Self {
            shared,
            queue,
            tasks,
        } = self;
        shared.state.lock().closing = true;
        shared.house.notify_one();
        drop(queue);
        let tasks = std::mem::take(&mut *tasks.lock());
        for task in tasks {
            task.await;
        }
        shared.metrics.forget();
        shared.lock.lock().take();
    }

    /// Checks that every page is accounted for exactly once, while nothing is under way.
    ///
    /// # Errors
    /// What does not add up.
    pub fn audit(&self) -> Result<(), String> {
        self.shared.state.lock().audit(&self.shared)
    }

    async fn join(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.await;
        }
    }

    async fn claim(
        &self,
        caller: Caller,
        generation: Generation,
        claimant: ClaimantId,
        takeover: bool,
    ) -> Result<DriveReply, DriveError> {
        if caller.generation != generation {
            return Err(DriveError::BadRequest {
                what: "generation claimed is not the call's".to_owned(),
            });
        }
        let claim = ClaimEntry {
            generation,
            claimant,
            index: caller.index,
        };
        self.ask(|reply| Request::Claim {
            claim,
            takeover,
            reply,
        })
        .await
    }

    async fn ask(
        &self,
        request: impl FnOnce(request::Reply) -> Request,
    ) -> Result<DriveReply, DriveError> {
        let closed = || DriveError::OutOfService {
            why: "closing".to_owned(),
        };
        let (reply, receive) = oneshot::channel();
        let sent = self.queue.send(request(reply)).await;
        sent.map_err(|_| closed())?;
        receive.await.map_err(|_| closed())?
    }
}

fn shutdown(dir: &Path) -> NodeError {
    NodeError::Io {
        doing: "shutting down",
        dir: dir.to_owned(),
        source: io::ErrorKind::Interrupted.into(),
    }
}

/// Names the directory in an error of the system.
fn failed(doing: &'static str, dir: &Path) -> impl FnOnce(io::Error) -> NodeError {
    let dir: PathBuf = dir.to_owned();
    move |source| NodeError::Io { doing, dir, source }
}

fn format(world: &World, dir: &Path, superblock: Superblock) -> Result<(), NodeError> {
    let disk = &*world.disk;
    superblock.check().map_err(|source| NodeError::Format {
        file: dir.join(SUPERBLOCK),
        source,
    })?;
    disk.create_dir_all(dir).map_err(failed("make", dir))?;
    let names = disk.list(dir).map_err(failed("list", dir))?;
    let taken = |name: &str| name == SUPERBLOCK || name.starts_with("space.");
    if names.iter().filter_map(|name| name.to_str()).any(taken) {
        return Err(NodeError::NotEmpty {
            dir: dir.to_owned(),
        });
    }
    let _lock = take_lock(world, dir)?;
    let bytes = checkpoint::first(world, superblock).encode();
    for name in checkpoint::NAMES {
        Files::replace(disk, dir, name, &bytes).map_err(failed("write a checkpoint", dir))?;
    }
    Files::replace(disk, dir, SUPERBLOCK, &superblock.encode())
        .map_err(failed("write the superblock", dir))?;
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(failed("sync", parent))?;
    }
    Ok(())
}

fn take_lock(world: &World, dir: &Path) -> Result<Arc<dyn DiskFile>, NodeError> {
    let path = dir.join(LOCK);
    let file = match world.disk.open(&path, OpenMode::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            world.disk.open(&path, OpenMode::CreateNew)
        }
        opened => opened,
    };
    let file = file.map_err(failed("open the lock", dir))?;
    if file.try_lock().map_err(failed("lock", dir))? {
        return Ok(file);
    }
    Err(NodeError::Locked {
        dir: dir.to_owned(),
    })
}

fn read_superblock(
    world: &World,
    dir: &Path,
    cluster: ClusterId,
    drive: Option<DriveId>,
) -> Result<Superblock, NodeError> {
    let file = dir.join(SUPERBLOCK);
    let bytes = match Files::read_whole(&*world.disk, &file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NodeError::Missing {
                dir: dir.to_owned(),
            });
        }
        read => read.map_err(failed("read the superblock", dir))?,
    };
    let bytes = bytes.slice(..bytes.len().min(LEN_MAX));
    let found = Superblock::decode(&bytes).map_err(|source| NodeError::Format { file, source })?;
    if found.cluster != cluster {
        return Err(NodeError::OtherCluster {
            dir: dir.to_owned(),
            found: found.cluster,
            expected: cluster,
        });
    }
    match drive.filter(|expected| *expected != found.drive) {
        Some(expected) => Err(NodeError::OtherDrive {
            dir: dir.to_owned(),
            found: found.drive,
            expected,
        }),
        None => Ok(found),
    }
}

fn open(
    world: &World,
    config: DriveConfig,
    dir: &Path,
    cluster: ClusterId,
    drive: Option<DriveId>,
) -> Result<Log, NodeError> {
    let superblock = read_superblock(world, dir, cluster, drive)?;
    let lock = take_lock(world, dir)?;
    let found = checkpoint::read(&*world.disk, dir);
    let found = found.map_err(|source| NodeError::Damaged {
        dir: dir.to_owned(),
        source,
    })?;
    if found.cluster != superblock.cluster || found.drive != superblock.drive {
        return Err(NodeError::Damaged {
            dir: dir.to_owned(),
            source: None,
        });
    }
    let metrics = DriveMetrics::new(superblock.drive);
    let files = Files::open(world.clone(), dir, superblock.arena_len, metrics.clone());
    let files = files.map_err(failed("open the arenas", dir))?;
    let new_log = LogId::new(world.rng.u64());
    let recovered = recover(&files, superblock, found, new_log);
    let Recovered {
        mut state,
        tail,
        replayed,
        must_checkpoint,
    } = recovered.map_err(|error| NodeError::OutOfService {
        dir: dir.to_owned(),
        why: error.to_string(),
    })?;
    state.lease = Lease::opened(world.clock.boot(), state.grant.is_some());
    let reading = Arc::new(Semaphore::new(config.read_threads.max(1)));
    let shared = Arc::new(Shared {
        world: world.clone(),
        config,
        superblock,
        dir: dir.to_owned(),
        files,
        metrics,
        state: Mutex::new(state),
        reading,
        growing: Mutex::new(()),
        writes: Writes::default(),
        progress: Notify::new(),
        house: Notify::new(),
        lock: Mutex::new(Some(lock)),
    });
    write_ahead(&shared, &tail);
    let mut log = Log::new(Arc::clone(&shared), tail);
    log.since_checkpoint = replayed;
    if must_checkpoint {
        log.begin();
    }
    shared.publish(&shared.state.lock());
    Ok(log)
}
