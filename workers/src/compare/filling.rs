//! Drives that took the places of lost ones, until they hold what those held.
//!
//! Owns: whether a row or guard still lacks what is gone; having such drives compared again once
//! everything seems healed; the mark in the map.
//! Leaves to others: comparing ([`super`]), changing the map ([`crate::map`]).
//! Always: a drive is whole only after a comparison of it in which nothing was found short.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_protocol::{ClusterMap, DriveId, VersionRow};
use holdfast_seam::Monotonic;

use super::lost::Lost;
use crate::context::{CompareReason, Context};
use crate::error::Result;
use crate::{map, placed};

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
        match ctx.store.map().filling().next() {
            Some(_) => self.pause(ctx).min(rescan),
            None => rescan,
        }
    }

    /// Has them compared when nothing is left to heal. It is the comparer who asks: it is not rung,
    /// or it would never rest while such a drive is away.
    pub(super) fn ask(&self, ctx: &Context) {
        let is_due = ctx.clock().now().since(self.ended) >= self.pause(ctx);
        // Nor while something is in doubt: what is absent then must go on counting as absent.
        if is_due && !ctx.heals() && !ctx.awaits_drives() {
            let map = ctx.store.map();
            let mut book = ctx.compares();
            for drive in map.filling() {
                let reason = CompareReason::Routine;
                book.pending.entry(drive).or_insert(reason);
            }
        }
    }
}

/// Drives that cannot be counted on.
pub(super) struct Gone {
    pub(super) dead: BTreeSet<DriveId>,
    /// In the places of dead ones, and not whole yet.
    filling: BTreeSet<DriveId>,
}

impl Gone {
    pub(super) fn of(map: &ClusterMap) -> Self {
        let living: BTreeSet<DriveId> = map.living().map(|drive| drive.id).collect();
        let ids = map.drives.iter().map(|drive| drive.id);
        Self {
            dead: ids.filter(|drive| !living.contains(drive)).collect(),
            filling: map.filling().collect(),
        }
    }

    /// Whether a row lacks what drives that are gone may have held. `lost` is what was found
    /// missing just now.
    pub(super) fn is_short(&self, row: &VersionRow, lost: &Lost) -> bool {
        let (manifest, placement) = (&row.manifest, &row.placement);
        if placement
            .holders
            .iter()
            .any(|drive| self.dead.contains(drive))
        {
            return true;
        }
        if !placed::is_coded(manifest) {
            // Nobody knows any more on which drive a copy was.
            return placement.missing != 0 || !lost.is_empty();
        }
        let mut shards = placement.holders.iter().enumerate();
        shards.any(|(at, drive)| {
            let is_missing = placement.missing & (1 << at) != 0 || lost.contains(&(at, *drive));
            is_missing && self.filling.contains(drive)
        })
    }

    /// How many of these drives live.
    pub(super) fn living(&self, drives: &[DriveId]) -> usize {
        let living = drives.iter().filter(|drive| !self.dead.contains(*drive));
        living.count()
    }

    /// Nothing was short: drives that were compared and were being filled are whole.
    pub(super) async fn filled(
        &self,
        ctx: &Context,
        compared: &BTreeMap<DriveId, CompareReason>,
        failed: &BTreeSet<DriveId>,
    ) -> Result<()> {
        let is_whole = |drive: &&DriveId| compared.contains_key(*drive) && !failed.contains(*drive);
        let filled: BTreeSet<DriveId> = self.filling.iter().filter(is_whole).copied().collect();
        match filled.is_empty() || ctx.awaits_drives() {
            true => Ok(()),
            false => map::fill(ctx, &filled).await,
        }
    }
}
