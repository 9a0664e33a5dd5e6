//! The workers of a process: started together, stopped together.
//!
//! Owns: their tasks, and the handles by which others wake and ask them.
//! Leaves to others: what each does.
//! Always: after [`Workers::stop`] returned, none of them runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_index::Index;
use holdfast_protocol::admin::check::{CheckReport, CheckRequest};
use holdfast_protocol::admin::durability::DurabilitySummary;
use holdfast_protocol::admin::heal::{HealPlan, HealStatus};
use holdfast_protocol::admin::inspect::{InspectReport, InspectRequest};
use holdfast_protocol::admin::scrub::ScrubStatus;
use holdfast_protocol::{DriveId, WriteId};
use holdfast_seam::{BoxFuture, Task};
use holdfast_store::{Store, Trouble};
use tokio::sync::{Notify, mpsc};

use crate::check;
use crate::claim::Claimed;
use crate::compare::Comparer;
use crate::compare::lost::LostDrives;
use crate::config::WorkersConfig;
use crate::context::{CompareReason, Context, NextWrite, OnFatal, OnReclaim};
use crate::error::Result;
use crate::heal::{self, Healer, Troubles};
use crate::hung::HungReads;
use crate::inspect;
use crate::lease::LeaseGuard;
use crate::merge::MergeReport;
use crate::metrics::WorkersMetrics;
use crate::nudge::{Nudge, Stop};
use crate::pace::Pacer;
use crate::purge::Purger;
use crate::readers::Readers;
use crate::scrub::Scrubber;
use crate::scrub::watch::ReadBack;
use crate::sweep::Voider;
use crate::watch::{DriveHealthEntry, Watcher};

/// What the workers need.
pub struct WorkersParts {
    /// The store; its map is in use.
    pub store: Store,
    /// The index, claimed and merged.
    pub index: Arc<dyn Index>,
    /// How it was claimed.
    pub claimed: Claimed,
    /// What the merge did.
    pub merged: MergeReport,
    /// The readers of this process.
    pub readers: Arc<Readers>,
    /// Gives names to records.
    pub next_write: NextWrite,
    /// The lease under which the gateway serves.
    pub lease: LeaseGuard,
    /// What the store found bad.
    pub trouble: mpsc::Receiver<Trouble>,
    /// Told when the process must end.
    pub on_fatal: OnFatal,
    /// Told when the process must start again.
    pub on_reclaim: OnReclaim,
    /// Their numbers.
    pub metrics: WorkersMetrics,
    /// When they do what.
    pub config: WorkersConfig,
}

impl std::fmt::Debug for WorkersParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkersParts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The running workers; cheap to clone.
#[derive(Clone)]
pub struct Workers {
    ctx: Arc<Context>,
    tasks: Arc<Mutex<Vec<Task>>>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers")
            .field("store", &self.ctx.store)
            .finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts them. The gauges are right when it returns.
    ///
    /// # Errors
    /// `Index` if the queues cannot be read.
    pub async fn start(parts: WorkersParts) -> Result<Self> {
        let WorkersParts {
            store,
            index,
            claimed,
            readers,
            next_write,
            ..
        } = parts;
        let ctx = Arc::new(Context {
            store,
            index,
            config: parts.config,
            readers,
            metrics: parts.metrics,
            next_write,
            lease: parts.lease,
            on_fatal: parts.on_fatal,
            on_reclaim: parts.on_reclaim,
            reclaim: Mutex::default(),
            stop: Stop::default(),
            purge: Nudge::default(),
            purge_all: AtomicBool::new(false),
            heal: Nudge::default(),
            purging: tokio::sync::Mutex::new(()),
            heal_all: AtomicBool::new(false),
            heal_state: Mutex::default(),
            heal_turns: Mutex::default(),
            suspects: Mutex::default(),
            heal_pacer: Pacer::default(),
            scrub: Mutex::default(),
            weak_guards: Mutex::default(),
            scrub_bell: Notify::new(),
            compare: Nudge::default(),
            lost: Nudge::default(),
            void: Nudge::default(),
            health: Mutex::default(),
            compares: Mutex::default(),
            trash: Mutex::default(),
            hung: HungReads::default(),
            failed_writes: Mutex::new(parts.merged.to_void.into_iter().collect()),
        });
        ask_all(&ctx, &claimed);
        ctx.read_doubts().await?;
        ctx.load_known_gone().await?;
        ctx.count_heal_queue().await?;
        let workers = Self {
            ctx: Arc::clone(&ctx),
            tasks: Arc::default(),
        };
        workers.task("watch", Box::pin(Watcher::new(Arc::clone(&ctx)).run()));
        workers.task("purge", Box::pin(Purger::new(Arc::clone(&ctx)).run()));
        workers.task("heal", Box::pin(Healer::new(Arc::clone(&ctx)).run()));
        workers.task("compare", Box::pin(Comparer::new(Arc::clone(&ctx)).run()));
        workers.task("lost", Box::pin(LostDrives::new(Arc::clone(&ctx)).run()));
        let troubles = Troubles::new(Arc::clone(&ctx), parts.trouble);
        workers.task("trouble", Box::pin(troubles.run()));
        workers.task("scrub", Box::pin(Scrubber::new(Arc::clone(&ctx)).run()));
        if let Some(fresh) = ctx.store.sample_fresh(ctx.config.watch_one_in) {
            let read_back = ReadBack::new(Arc::clone(&ctx), fresh);
            workers.task("read_back", Box::pin(read_back.run()));
        }
        workers.task("void", Box::pin(Voider::new(Arc::clone(&ctx)).run()));
        Ok(workers)
    }

    fn task(&self, worker: &'static str, future: BoxFuture<'static, ()>) {
        let span = tracing::info_span!("work", worker);
        let future = tracing::Instrument::instrument(future, span);
        let task = self.ctx.store.world().spawn.task(worker, Box::pin(future));
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(task);
    }

    /// Ends them all, and waits for it.
    pub async fn stop(&self) {
        self.ctx.stop.stop();
        let tasks: Vec<Task> = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.drain(..).collect()
        };
        for task in tasks {
            task.await;
        }
    }

    /// There is something to purge.
    pub fn wake_purge(&self) {
        self.ctx.purge.ring();
    }

    /// There is something to heal.
    pub fn wake_heal(&self) {
        self.ctx.heal.ring();
    }

    /// A write failed after its record was sent, perhaps, to some of `drives` (all of them that a
    /// byte was sent to): it is voided in the background, and purged. To be called before the key's
    /// lock is released, so that no deletion of the key is forgotten before the write is gone.
    pub fn void(&self, write: WriteId, drives: Vec<DriveId>) {
        let mut failed = self.ctx.failed_writes();
        if failed.len() < self.ctx.config.voids_max {
            failed.insert(write, drives);
            drop(failed);
        } else {
            drop(failed);
            tracing::error!(%write, "too many failed writes wait for their voids");
            self.ctx.ask_compare_all();
        }
        self.ctx.void.ring();
    }

    /// Whether a write that no row shows may be on a drive without its void: then a deletion is not
    /// done without a tombstone. One that was handed to [`Workers::void`] counts until its void is
    /// durable.
    pub fn hides_writes(&self) -> bool {
        !self.ctx.guards_may_go()
    }

    /// Compares the index with all drives that answer, both ways; `progress` is told how many rows
    /// were read.
    ///
    /// # Errors
    /// `Index`.
    pub async fn check(&self, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<CheckReport> {
        check::check(&self.ctx, CheckRequest::default(), progress).await
    }

    /// As [`Workers::check`]; `request` says whether everything is read and verified, and whether
    /// findings are handed to the healer.
    ///
    /// # Errors
    /// `Index`.
    pub async fn check_with(&self, request: CheckRequest) -> Result<CheckReport> {
        check::check(&self.ctx, request, &|_rows| {}).await
    }

    /// Where an object is and how much of it is good; `None` if there is none.
    ///
    /// # Errors
    /// `Index`.
    pub async fn inspect(&self, request: &InspectRequest) -> Result<Option<InspectReport>> {
        inspect::inspect(&self.ctx, request).await
    }

    /// Drives that may miss something: they wait to be compared, or are being filled.
    pub fn not_whole(&self) -> BTreeSet<DriveId> {
        let (mut drives, _) = self.ctx.not_whole();
        drives.extend(self.ctx.filling());
        drives
    }

    /// How many objects can lose how much, as counted last.
    pub fn durability(&self) -> DurabilitySummary {
        self.ctx.durability()
    }

    /// Has everything in the heal queue tried now, whatever it waits for, and healing resumed if it
    /// was paused.
    pub fn run_heal(&self) {
        self.ctx.pause_heal(false);
        self.ctx.heal_everything();
    }

    /// How far healing is.
    pub fn heal_status(&self) -> HealStatus {
        self.ctx.heal_status(self.ctx.clock().now())
    }

    /// What healing would do now, for the first `limit` rows of its queue.
    ///
    /// # Errors
    /// `Index`.
    pub async fn heal_plan(&self, limit: usize) -> Result<HealPlan> {
        heal::plan(&self.ctx, limit).await
    }

    /// Pauses healing, or lets it go on.
    pub fn pause_heal(&self, paused: bool) {
        self.ctx.pause_heal(paused);
    }

    /// How far the scrub is.
    pub fn scrub_status(&self) -> ScrubStatus {
        self.ctx.scrub_status()
    }

    /// Pauses the scrub, or lets it go on.
    pub fn pause_scrub(&self, paused: bool) {
        self.ctx.pause_scrub(paused);
    }

    /// Has every drive scrubbed from now on, as fast as allowed; what is under way goes on faster.
    /// Resumes the scrub if it was paused.
    pub fn start_scrub(&self) {
        self.ctx.start_scrub();
    }

    /// The map was changed: what waited for a drive may find another, and dead drives are looked
    /// for.
    pub fn map_changed(&self) {
        for drive in self.ctx.dead() {
            self.ctx.ask_lost(drive);
        }
        let living = self.ctx.living();
        let swept = self.ctx.compares().swept.clone();
        for drive in living.into_iter().filter(|drive| !swept.contains(drive)) {
            self.ctx.ask_compare(drive, CompareReason::NotWhole);
        }
        self.ctx.purge_everything();
        self.ctx.heal_everything();
    }

    /// How each drive is.
    pub fn drives(&self) -> BTreeMap<DriveId, DriveHealthEntry> {
        self.ctx.health().drives.clone()
    }
}

/// Has all drives compared, and what dead ones held looked for.
fn ask_all(ctx: &Context, claimed: &Claimed) {
    let filling: BTreeSet<DriveId> = ctx.store.map().filling().collect();
    for drive in ctx.living() {
        let is_whole = claimed.granted.contains(&drive)
            && !claimed.lost_logs.contains(&drive)
            && !claimed.blank.contains(&drive)
            && !filling.contains(&drive);
        let reason = match is_whole {
            true => CompareReason::Routine,
            false => CompareReason::NotWhole,
        };
        ctx.ask_compare(drive, reason);
    }
    for drive in ctx.dead() {
        ctx.ask_lost(drive);
    }
}
