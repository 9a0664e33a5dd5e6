//! Drives that are being filled: those that took the places of lost ones, until they hold what
//! those held, and partial ones, until they hold what they lost, and nothing that they purged.
//!
//! Owns: which of them a row or guard keeps waiting; having them compared again once all that could
//! be healed for them seems to be; the marks, in the map and on the drives.
//! Leaves to others: comparing ([`super`]), changing the map ([`crate::map`]).
//! Always: a drive is whole only after a comparison of it in which nothing was found short that it
//! may have to hold, but for what is beyond repair.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_protocol::{DriveId, LogId, VersionRow};
use holdfast_seam::Monotonic;

use super::lost::Lost;
use crate::context::{CompareReason, Context};
use crate::error::Result;
use crate::heal::HeldUp;
use crate::map;

/// Least time between two comparisons for the sake of a drive that is being filled.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// When drives that are being filled are compared.
pub(super) struct Filling {
    begun: Monotonic,
    ended: Monotonic,
}

impl Filling {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            begun: now,
            ended: now,
        }
    }

    pub(super) fn begin(&mut self, now: Monotonic) {
        self.begun = now;
    }

    pub(super) fn end(&mut self, now: Monotonic) {
        self.ended = now;
    }

    /// As long as the last comparison took: half of the time, at most, goes into comparing.
    fn pause(&self, ctx: &Context) -> Duration {
        let took = self.ended.since(self.begun);
        took.max(PAUSE_MIN.min(ctx.config.rescan_interval))
    }

    /// How long the comparer may sleep.
    pub(super) fn rest(&self, ctx: &Context) -> Duration {
        let rescan = ctx.config.rescan_interval;
        match ctx.filling().is_empty() {
            true => rescan,
            false => self.pause(ctx).min(rescan),
        }
    }

    /// Has them compared when nothing is left to heal for them. It is the comparer who asks: it is
    /// not rung, or it would never rest while such a drive is away.
    pub(super) fn ask(&self, ctx: &Context) {
        let is_due = ctx.clock().now().since(self.ended) >= self.pause(ctx);
        // Nor while something is in doubt: what is absent then must go on counting as absent.
        if is_due && !ctx.heals_for_filling() && !ctx.awaits_drives() {
            let filling = ctx.filling();
            let mut book = ctx.compares();
            for drive in filling {
                let reason = CompareReason::Routine;
                book.pending.entry(drive).or_insert(reason);
            }
        }
    }
}

/// What a comparison found that lacks shards or copies.
#[derive(Clone, Debug, Default)]
pub(super) struct Short {
    /// Rows and guards that keep every drive waiting that is being filled.
    pub(super) all: u64,
    /// Drives of which shards are missing.
    drives: BTreeSet<DriveId>,
    /// Drives that show writes which nothing explains.
    strange: BTreeSet<DriveId>,
}

impl Short {
    /// Adds a row.
    pub(super) fn add(&mut self, held: HeldUp) {
        match held {
            HeldUp::All => self.all += 1,
            HeldUp::Drives(drives) => self.drives.extend(drives),
        }
    }

    /// Adds what was found in another range.
    pub(super) fn join(&mut self, other: Self) {
        self.all += other.all;
        self.drives.extend(other.drives);
        self.strange.extend(other.strange);
    }

    /// A drive shows a write that nothing explains.
    pub(super) fn add_strange(&mut self, drive: DriveId) {
        self.strange.insert(drive);
    }

    fn holds_up(&self, drive: DriveId) -> bool {
        self.all > 0 || self.drives.contains(&drive)
    }
}

/// Drives that cannot be counted on.
pub(super) struct Gone {
    pub(super) dead: BTreeSet<DriveId>,
    /// In the places of dead ones, and not whole yet.
    filling: BTreeSet<DriveId>,
    /// Partial ones, and their logs before they were compared.
    partial: BTreeMap<DriveId, LogId>,
}

impl Gone {
    pub(super) fn of(ctx: &Context) -> Self {
        let map = ctx.store.map();
        let living: BTreeSet<DriveId> = map.living().map(|drive| drive.id).collect();
        let ids = map.drives.iter().map(|drive| drive.id);
        Self {
            dead: ids.filter(|drive| !living.contains(drive)).collect(),
            filling: map.filling().collect(),
            partial: ctx.partial(),
        }
    }

    /// Whom a row keeps waiting. `lost` is what was found missing just now.
    pub(super) fn held_up(&self, ctx: &Context, row: &VersionRow, lost: &Lost) -> HeldUp {
        let is_dead = |drive| self.dead.contains(&drive);
        let is_filling = |drive| self.filling.contains(&drive) || self.partial.contains_key(&drive);
        let held = HeldUp::of(row, lost, is_dead, is_filling);
        match !held.is_nobody() && ctx.is_beyond_repair(row.manifest.write) {
            true => HeldUp::Drives(Vec::new()),
            false => held,
        }
    }

    /// How many of these drives live.
    pub(super) fn living(&self, drives: &[DriveId]) -> usize {
        let living = drives.iter().filter(|drive| !self.dead.contains(*drive));
        living.count()
    }

    /// Drives that were compared, were being filled, and of which nothing was short are whole.
    pub(super) async fn filled(
        &self,
        ctx: &Context,
        short: &Short,
        compared: &BTreeMap<DriveId, CompareReason>,
        failed: &BTreeSet<DriveId>,
    ) -> Result<()> {
        let is_whole = |drive: &&DriveId| {
            compared.contains_key(*drive) && !failed.contains(*drive) && !short.holds_up(**drive)
        };
        if ctx.awaits_drives() {
            return Ok(());
        }
        for (&drive, &log) in &self.partial {
            if !is_whole(&&drive) || short.strange.contains(&drive) {
                continue;
            }
            match ctx.store.compared(drive, log).await {
                Ok(()) => tracing::info!(%drive, "drive that had lost entries of its log is whole"),
                // It is partial for longer, and compared again.
                Err(error) => tracing::warn!(%drive, %error, "drive not told that it is whole"),
            }
        }
        let filled: BTreeSet<DriveId> = self.filling.iter().filter(is_whole).copied().collect();
        match filled.is_empty() {
            true => Ok(()),
            false => map::fill(ctx, &filled).await,
        }
    }
}
