//! Rows that cannot be healed, and whether what cannot be healed holds up a drive.
//!
//! Owns: which rows are beyond repair; whether a row in the queue still keeps a drive that is being
//! filled from being whole.
//! Leaves to others: trying all the same ([`super`]), calling a drive whole ([`crate::compare`]).
//! Always: a row is beyond repair only when every attempt of `out_after` found too little of it
//! that can be read, or that lies on a drive which is not dead and may come back.

use holdfast_index::rows::HealEntry;
use holdfast_protocol::{DriveId, VersionRow, WriteId};

use super::inspect::Health;
use crate::context::Context;
use crate::error::Result;
use crate::placed::{self, Placed};

/// Rows remembered at most; of others it is not known that they are beyond repair.
const ROWS_MAX: usize = 100_000;

/// Whom a row keeps waiting that lacks shards or copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeldUp {
    /// Every drive that is being filled.
    All,
    /// These of them.
    Drives(Vec<DriveId>),
}

impl HeldUp {
    /// What a row lacks that drives which are gone may have held, beside what it says itself:
    /// `lost` is what was found missing just now.
    pub(crate) fn of(
        row: &VersionRow,
        lost: &[(usize, DriveId)],
        is_dead: impl Fn(DriveId) -> bool,
        is_filling: impl Fn(DriveId) -> bool,
    ) -> Self {
        let (manifest, placement) = (&row.manifest, &row.placement);
        if placement.holders.iter().any(|drive| is_dead(*drive)) {
            return Self::All;
        }
        if !placed::is_coded(manifest) {
            // Nobody knows any more on which drive a copy was.
            return match placement.missing != 0 || !lost.is_empty() {
                true => Self::All,
                false => Self::Drives(Vec::new()),
            };
        }
        let shards = placement.holders.iter().copied().enumerate();
        let is_short = |(at, drive): &(usize, DriveId)| {
            let is_missing = placement.missing & (1 << at) != 0 || lost.contains(&(*at, *drive));
            is_missing && is_filling(*drive)
        };
        Self::Drives(shards.filter(is_short).map(|(_, drive)| drive).collect())
    }

    /// Whether it is nobody.
    pub(crate) fn is_nobody(&self) -> bool {
        *self == Self::Drives(Vec::new())
    }
}

impl Context {
    /// Whether a row was found to be beyond repair for so long that nobody waits for it.
    pub(crate) fn is_beyond_repair(&self, write: WriteId) -> bool {
        let since = self.heal_book().beyond.get(&write).copied();
        let now = self.clock().now();
        since.is_some_and(|since| now.since(since) >= self.config.out_after)
    }

    /// Whether a row seems to be beyond repair, as of the last attempt.
    pub(super) fn seems_beyond_repair(&self, write: WriteId) -> bool {
        self.heal_book().beyond.contains_key(&write)
    }

    /// An attempt at a row found its shards or copies like this.
    pub(super) fn judge_row(&self, placed: &Placed, health: &[Health]) {
        let dead = self.dead();
        let living = self.living();
        let may_be_read = |(health, drive): (&Health, &DriveId)| match health {
            Health::Good | Health::Away => true,
            Health::Bad => false,
            Health::Lost => !dead.contains(drive) && living.contains(drive),
        };
        let holders = health.iter().zip(&placed.row.placement.holders);
        let left = holders.filter(|(health, drive)| may_be_read((health, drive)));
        let needed = match placed.is_coded() {
            true => placed.manifest().geometry.data(),
            false => 1,
        };
        let (write, now) = (placed.manifest().write, self.clock().now());
        let is_beyond = left.count() < needed;
        let mut book = self.heal_book();
        if !is_beyond {
            book.beyond.remove(&write);
        } else if book.beyond.len() < ROWS_MAX {
            book.beyond.entry(write).or_insert(now);
        }
    }

    /// A row is whole, or gone.
    pub(super) fn forget_beyond(&self, write: WriteId) {
        self.heal_book().beyond.remove(&write);
    }

    /// Whether a row of the queue, as it is now, keeps no drive that is being filled from being
    /// whole: it lacks nothing of it, or it is beyond repair.
    pub(super) async fn holds_up_nobody(&self, entry: &HealEntry) -> Result<bool> {
        if self.is_beyond_repair(entry.name.write()) {
            return Ok(true);
        }
        let Some(placed) = placed::find(&*self.index, &entry.name).await? else {
            return Ok(true);
        };
        let dead = self.dead();
        let filling = self.filling();
        let is_filling = |drive| filling.contains(&drive);
        let held = HeldUp::of(&placed.row, &[], |drive| dead.contains(&drive), is_filling);
        Ok(held.is_nobody())
    }

    /// Whether anything waits to be healed that may keep a drive which is being filled from being
    /// whole.
    pub(crate) fn heals_for_filling(&self) -> bool {
        let book = self.heal_book();
        u64::try_from(book.rows).unwrap_or_default() > book.apart
    }
}
