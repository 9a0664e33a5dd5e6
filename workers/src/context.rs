//! What all workers of a process share.
//!
//! Owns: handles to store, index and readers; which drives were compared since the start; failed
//! writes that are not yet void; committing and what a broken index means.
//! Leaves to others: each worker's own state.
//! Always: cheap to share; no lock is held across a suspension.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_index::{Batch, Index, IndexError, Locks, Transaction};
use holdfast_protocol::{DriveId, DriveUse, LogId, WriteId};
use holdfast_seam::Clock;
use holdfast_store::Store;
use tokio::sync::Notify;

use crate::config::WorkersConfig;
use crate::error::Result;
use crate::heal::{HealBook, HealTurns};
use crate::hung::HungReads;
use crate::lease::LeaseGuard;
use crate::metrics::WorkersMetrics;
use crate::nudge::{Nudge, Stop};
use crate::pace::Pacer;
use crate::readers::Readers;
use crate::reclaim::Reclaim;
use crate::scrub::ScrubBook;
use crate::trash::Trash;
use crate::watch::DriveHealthBook;

/// Gives names to the workers' own records; never the same twice.
pub type NextWrite = Arc<dyn Fn() -> WriteId + Send + Sync>;
/// Told, with the reason, when the process must end because its index can no longer be written.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;
/// Told, with the reason, when the process must end in order and start again, so that the drives
/// are claimed anew.
pub type OnReclaim = Arc<dyn Fn(String) + Send + Sync>;

/// Why a drive is to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompareReason {
    /// Nothing points to a loss: it is only looked at.
    Routine,
    /// It came back, is new, or lost its log: until compared it may miss anything.
    NotWhole,
}

/// Drives to be compared, and those that were.
#[derive(Debug, Default)]
pub(crate) struct CompareBook {
    pub(crate) pending: BTreeMap<DriveId, CompareReason>,
    /// Taken out of `pending` by the comparison that runs now.
    pub(crate) running: BTreeMap<DriveId, CompareReason>,
    /// Compared since the start, and since they were last away: whatever an earlier process left
    /// there is queued for purge, or lies in the trash.
    pub(crate) swept: BTreeSet<DriveId>,
    /// Dead or out: what they held is not all queued yet.
    pub(crate) lost: BTreeSet<DriveId>,
}

/// What all workers share.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) config: WorkersConfig,
    pub(crate) readers: Arc<Readers>,
    pub(crate) metrics: WorkersMetrics,
    pub(crate) next_write: NextWrite,
    /// Without it nothing is decided about writes that another gateway may have shown.
    pub(crate) lease: LeaseGuard,
    pub(crate) on_fatal: OnFatal,
    pub(crate) on_reclaim: OnReclaim,
    pub(crate) reclaim: Mutex<Reclaim>,
    pub(crate) stop: Stop,
    pub(crate) purge: Nudge,
    /// The purger is to look at its whole queue again.
    pub(crate) purge_all: AtomicBool,
    /// Held from when entries of the queue are read until it says what drives answered that were
    /// asked to purge: meanwhile a guard may be gone from drives that its entry still names.
    /// Whoever changes an entry holds it, too.
    pub(crate) purging: tokio::sync::Mutex<()>,
    pub(crate) heal: Nudge,
    /// The healer is to try everything again, whatever it waits for.
    pub(crate) heal_all: AtomicBool,
    pub(crate) heal_state: Mutex<HealBook>,
    pub(crate) heal_turns: Mutex<HealTurns>,
    /// Drives whose shards of a write are to be read from their media, because a read failed.
    pub(crate) suspects: Mutex<BTreeMap<WriteId, BTreeSet<DriveId>>>,
    /// Reads that are never answered.
    pub(crate) hung: HungReads,
    pub(crate) heal_pacer: Pacer,
    pub(crate) scrub: Mutex<ScrubBook>,
    /// The scrub is to look again at what it was told.
    pub(crate) scrub_bell: Notify,
    /// Guards, and their holders that do not take a copy.
    pub(crate) weak_guards: Mutex<BTreeMap<WriteId, BTreeSet<DriveId>>>,
    pub(crate) compare: Nudge,
    /// A drive is lost.
    pub(crate) lost: Nudge,
    pub(crate) void: Nudge,
    pub(crate) health: Mutex<DriveHealthBook>,
    pub(crate) compares: Mutex<CompareBook>,
    /// Writes that nobody knows, waiting for a second look.
    pub(crate) trash: Mutex<Trash>,
    /// Failed writes, and the drives that may hold bytes of them.
    pub(crate) failed_writes: Mutex<BTreeMap<WriteId, Vec<DriveId>>>,
}

impl Context {
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.store.world().clock
    }

    pub(crate) fn compares(&self) -> MutexGuard<'_, CompareBook> {
        self.compares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trash(&self) -> MutexGuard<'_, Trash> {
        self.trash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the sweep has found the write before, and is at it.
    pub(crate) fn is_being_swept(&self, write: WriteId) -> bool {
        self.failed_writes().contains_key(&write) || self.trash().contains(write)
    }

    pub(crate) fn failed_writes(&self) -> MutexGuard<'_, BTreeMap<WriteId, Vec<DriveId>>> {
        self.failed_writes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, DriveHealthBook> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the purger look at its whole queue again.
    pub(crate) fn purge_everything(&self) {
        self.purge_all.store(true, Ordering::SeqCst);
        self.purge.ring();
    }

    /// Has the healer try everything again.
    pub(crate) fn heal_everything(&self) {
        self.heal_all.store(true, Ordering::SeqCst);
        self.heal.ring();
    }

    pub(crate) fn suspects(&self) -> MutexGuard<'_, BTreeMap<WriteId, BTreeSet<DriveId>>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn weak_guards(&self) -> MutexGuard<'_, BTreeMap<WriteId, BTreeSet<DriveId>>> {
        let guards = self.weak_guards.lock();
        guards.unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives of the map that are not dead.
    pub(crate) fn living(&self) -> BTreeSet<DriveId> {
        self.store.map().living().map(|drive| drive.id).collect()
    }

    /// Drives of the map that do not hold all that they should: successors of lost ones, and
    /// partial ones.
    pub(crate) fn filling(&self) -> BTreeSet<DriveId> {
        let filling: BTreeSet<DriveId> = self.store.map().filling().collect();
        filling
            .into_iter()
            .chain(self.partial().into_keys())
            .collect()
    }

    /// Drives that lost entries of their log and were not compared whole since, by what they
    /// answered last; with their logs.
    pub(crate) fn partial(&self) -> BTreeMap<DriveId, LogId> {
        let living = self.living();
        let health = self.health();
        let said = health.drives.iter().filter_map(|(drive, entry)| {
            let status = entry.status.as_ref().filter(|status| status.partial)?;
            Some((*drive, status.end.log))
        });
        said.filter(|(drive, _)| living.contains(drive)).collect()
    }

    /// Drives on the dead list.
    pub(crate) fn dead(&self) -> BTreeSet<DriveId> {
        let map = self.store.map();
        let dead = map
            .drives
            .iter()
            .filter(|drive| drive.usage == DriveUse::Dead);
        dead.map(|drive| drive.id).collect()
    }

    /// Asks for a drive to be compared. A later reason counts, but for a routine look. A drive that
    /// was replaced while it was being asked is not waited for.
    pub(crate) fn ask_compare(&self, drive: DriveId, reason: CompareReason) {
        if !self.living().contains(&drive) {
            return;
        }
        {
            let mut book = self.compares();
            match reason {
                CompareReason::Routine => drop(book.pending.entry(drive).or_insert(reason)),
                CompareReason::NotWhole => {
                    book.pending.insert(drive, reason);
                    book.swept.remove(&drive);
                }
            }
        }
        self.compare.ring();
    }

    /// Has all living drives compared, because what was found on one of them could not be decided:
    /// until that is done, nothing is known of what they hold beside their rows.
    pub(crate) fn ask_compare_all(&self) {
        let living = self.living();
        {
            let mut book = self.compares();
            book.swept.clear();
            for drive in living {
                book.pending.entry(drive).or_insert(CompareReason::Routine);
            }
        }
        self.compare.ring();
    }

    /// Whether nothing that an earlier process or a failed write left can come back: every living
    /// drive was compared since the start, and since it was last away, no failed write waits for
    /// its void, and no drive is awaited that could tell what a rebuild left in doubt.
    pub(crate) fn guards_may_go(&self) -> bool {
        if self.awaits_drives() {
            return false;
        }
        let living = self.living();
        // At one moment: a write that moves from one of these to the next is in one of them.
        let (compares, failed, trash) = (self.compares(), self.failed_writes(), self.trash());
        living.is_subset(&compares.swept) && failed.is_empty() && trash.len() == 0
    }

    /// Begins a transaction that needs no lock.
    pub(crate) async fn begin(&self, locks: Locks) -> Result<Box<dyn Transaction>> {
        Ok(self
            .index
            .begin(locks)
            .await
            .inspect_err(|error| self.judge(error))?)
    }

    /// Commits, and says so to the owner of the process when the index is broken.
    pub(crate) async fn commit(&self, txn: Box<dyn Transaction>, batch: Batch) -> Result<()> {
        Ok(txn
            .commit(batch)
            .await
            .inspect_err(|error| self.judge(error))?)
    }

    /// Commits what needs no lock.
    pub(crate) async fn commit_alone(&self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let txn = self.begin(Locks::none()).await?;
        self.commit(txn, batch).await
    }

    fn judge(&self, error: &IndexError) {
        if matches!(
            error,
            IndexError::Broken { .. } | IndexError::Unknown { .. }
        ) {
            (self.on_fatal)(format!("index: {error}"));
        }
    }
}
