//! Heals coded rows: shards from other shards.
//!
//! Owns: choosing targets, the steps of a move, and the row afterwards.
//! Leaves to others: decoding and sealing (store).
//! Always: a target that is no holder enters the row before the first byte; a drive that is no
//! longer a holder is purged after the row says so.

use std::collections::BTreeSet;

use futures::future::join_all;
use holdfast_protocol::{DriveId, DriveUse, Order, Placement, ShardLayout};
use holdfast_seam::planted;
use holdfast_store::StoreError;
use holdfast_store::placement::{group_of, hand_off};
use holdfast_store::rebuild::Target;

use super::inspect::Health;
use super::{Outcome, Queued};
use crate::context::Context;
use crate::error::Result;
use crate::placed::{self, Change, Placed};

/// How often other targets are chosen after some refused.
const CHOICES_MAX: usize = 4;

/// One attempt at a coded row.
pub(super) async fn heal(
    ctx: &Context,
    queued: &Queued,
    placed: Placed,
    suspects: &BTreeSet<DriveId>,
) -> Result<Outcome> {
    let health = ctx.shard_health(&placed, suspects).await;
    ctx.judge_row(&placed, &health);
    let mut work = Work {
        ctx,
        queued,
        found: placed.row.placement.clone(),
        placed,
        health,
        refused: BTreeSet::new(),
        made: BTreeSet::new(),
        bytes: 0,
    };
    for _ in 0..CHOICES_MAX {
        let targets = work.targets();
        if targets.is_empty() {
            break;
        }
        let drives: Vec<DriveId> = targets.iter().map(|target| target.drive).collect();
        let Some(admitted) = ctx.announce(&work.placed, &drives).await? else {
            return Ok(Outcome::Gone);
        };
        match work.rebuild(&targets, admitted).await {
            Ok(()) => {}
            Err(StoreError::WriteQuorum { .. }) => work.one_by_one(&targets, admitted).await?,
            Err(error) => return Err(error.into()),
        }
    }
    work.settle().await
}

struct Work<'a> {
    ctx: &'a Context,
    queued: &'a Queued,
    /// Where the shards were when their drives were asked.
    found: Placement,
    /// The row, its holders as they are to be.
    placed: Placed,
    /// By shard.
    health: Vec<Health>,
    /// Drives that did not take a shard in this attempt.
    refused: BTreeSet<DriveId>,
    /// Shards that were made in this attempt.
    made: BTreeSet<usize>,
    bytes: u64,
}

impl Work<'_> {
    fn bits(&self) -> u64 {
        let bad = self
            .health
            .iter()
            .enumerate()
            .filter(|(_, health)| **health != Health::Good);
        bad.fold(0, |bits, (shard, _)| bits | 1 << shard)
    }

    /// Where each shard goes that can be made now.
    fn targets(&self) -> Vec<Target> {
        choose(self.ctx, &self.placed, &self.health, &self.refused)
    }

    async fn rebuild(
        &mut self,
        targets: &[Target],
        admitted: Order,
    ) -> std::result::Result<(), StoreError> {
        let mut row = self.placed.row.clone();
        row.placement.missing = self.bits();
        let layout = ShardLayout::new(row.manifest.geometry, row.manifest.len);
        self.ctx
            .heal_budget(
                layout.shard_len() * targets.len() as u64,
                placed::margin(&row.manifest, &row.placement),
            )
            .await;
        self.bytes += self.ctx.store.rebuild(&row, targets, admitted).await?;
        let write = row.manifest.write;
        let len = layout.shard_len();
        let ctx = self.ctx;
        let read_back = targets.iter().map(|target| {
            let Target { shard, drive } = *target;
            ctx.verify_shard(drive, write, shard, len)
        });
        let read_back = join_all(read_back).await;
        for (target, found) in targets.iter().zip(read_back) {
            let shard = usize::from(target.shard);
            match found {
                Health::Good => {
                    self.health[shard] = Health::Good;
                    self.made.insert(shard);
                    self.placed.row.placement.holders[shard] = target.drive;
                }
                _ => {
                    let drive = target.drive;
                    tracing::warn!(%drive, %write, "healed shard does not read back");
                    self.refused.insert(target.drive);
                }
            }
        }
        Ok(())
    }

    /// After several targets together failed: each for itself, so that one bad drive does not keep
    /// the others from being mended.
    async fn one_by_one(&mut self, targets: &[Target], admitted: Order) -> Result<()> {
        for target in targets {
            let refused = match targets.len() {
                1 => true,
                _ => match self.rebuild(&[*target], admitted).await {
                    Ok(()) => false,
                    Err(StoreError::WriteQuorum { .. }) => true,
                    Err(error) => return Err(error.into()),
                },
            };
            if refused {
                self.refused.insert(target.drive);
            }
        }
        Ok(())
    }

    /// Brings a row's placement up to what this attempt did and found out. Returns the drives that
    /// hold their shard no longer, but for dead ones.
    ///
    /// The row may have changed since its drives were asked: of a shard only counts what was found
    /// out while it is still where it was, and that it was made here.
    fn take_in(&self, placement: &mut Placement, dead: &BTreeSet<DriveId>) -> Vec<DriveId> {
        let (wanted, before) = (&self.placed.row.placement.holders, placement.missing);
        let named: Vec<DriveId> = placement.drives().collect();
        let mut leave = Vec::new();
        placement.missing = 0;
        for (shard, holder) in placement.holders.iter_mut().enumerate() {
            let bit = 1 << shard;
            let (old, new) = (self.found.holders.get(shard), wanted.get(shard));
            // A target that the row names no longer was told to drop what it got.
            let is_good = self.health.get(shard) == Some(&Health::Good)
                && new.is_none_or(|new| named.contains(new));
            let is_noted = before & bit != 0;
            let is_missing = match (old, new) {
                (Some(old), Some(&new)) if new != *old && is_good => {
                    if new != *holder && !dead.contains(holder) {
                        leave.push(*holder);
                    }
                    *holder = new;
                    false
                }
                (Some(old), _) if old == holder => {
                    let is_new = is_noted && self.found.missing & bit == 0;
                    !is_good || (is_new && !self.made.contains(&shard))
                }
                _ => is_noted,
            };
            if is_missing || dead.contains(holder) {
                placement.missing |= bit;
            }
        }
        leave
    }

    /// Writes the row as it is now, and takes it out of the queue or back in with its new margin.
    async fn settle(self) -> Result<Outcome> {
        let write = self.placed.manifest().write;
        if planted("heal-forgotten") {
            return self.queued.leave(self.ctx).await;
        }
        let mut bits = 0;
        let name = self.placed.name.clone();
        let manifest = self.placed.manifest().clone();
        let dead = self.ctx.dead();
        let edit = |placement: &mut Placement| {
            let (mut change, before) = (Change::default(), placement.clone());
            change.leave = self.take_in(placement, &dead);
            bits = placement.missing;
            let holders = placement.holders.clone();
            placement.touched.retain(|drive| !holders.contains(drive));
            if bits == 0 {
                // Nobody needs what a target kept that did not read back.
                change.leave.append(&mut placement.touched);
                change.leave.retain(|drive| !dead.contains(drive));
            }
            change.leave.retain(|drive| !holders.contains(drive));
            let margin = placed::margin(&manifest, placement);
            if bits != 0 && *placement == before && self.queued.is_only(margin, write) {
                return None;
            }
            self.queued.delete(&mut change.batch);
            if bits != 0 {
                change.batch.put_heal(margin, &name, &manifest);
            }
            Some(change)
        };
        if self.ctx.change(&self.placed, edit).await?.is_none() {
            return self.queued.leave(self.ctx).await;
        }
        let refused = !self.refused.is_empty();
        if bits == 0 {
            return Ok(Outcome::Whole { bytes: self.bytes });
        }
        let holders = self.placed.row.placement.holders.iter().zip(&self.health);
        let drives = holders.filter(|(_, health)| **health != Health::Good);
        Ok(Outcome::Waits {
            drives: drives.map(|(drive, _)| *drive).collect(),
            refused,
            bytes: self.bytes,
        })
    }
}

/// Where each shard goes that can be made now: its own drive; else one on the node with the fewest
/// shards of the write, and of those the one that the map wants for it, another of the group, or a
/// spare one. No drive gets two shards of a write.
pub(super) fn choose(
    ctx: &Context,
    placed: &Placed,
    health: &[Health],
    refused: &BTreeSet<DriveId>,
) -> Vec<Target> {
    let manifest = placed.manifest();
    let good = health
        .iter()
        .filter(|health| **health == Health::Good)
        .count();
    if good < manifest.geometry.data() {
        return Vec::new();
    }
    let holders = &placed.row.placement.holders;
    let group = ctx.store.group(group_of(manifest.bucket, &manifest.key));
    let map = ctx.store.map();
    let is_active = |drive: &DriveId| {
        map.drive(*drive)
            .is_some_and(|drive| drive.usage == DriveUse::Active)
    };
    let mut spare: Vec<DriveId> = map.drives.iter().map(|drive| drive.id).collect();
    spare.retain(|drive| !group.contains(drive) && is_active(drive));
    // Drives that hold, or may still hold, a shard of the write.
    let mut used: BTreeSet<DriveId> = holders
        .iter()
        .zip(health)
        .filter(|(_, health)| **health != Health::Lost)
        .map(|(drive, _)| *drive)
        .collect();
    let is_usable = |drive: &DriveId| {
        ctx.store.drives().is_writable(*drive) && !refused.contains(drive) && is_active(drive)
    };
    let mut targets = Vec::new();
    let all = health;
    for (shard, health) in all.iter().enumerate() {
        let own = match health {
            Health::Good | Health::Away => continue,
            Health::Bad => Some(holders[shard]).filter(|drive| is_usable(drive)),
            Health::Lost => None,
        };
        let own = own.filter(|drive| !has_other(holders, all, shard, *drive));
        let from = manifest.write.counter as usize % spare.len().max(1);
        let others = group[shard..]
            .iter()
            .chain(&group[..shard])
            .chain(&spare[from.min(spare.len())..])
            .chain(&spare[..from.min(spare.len())]);
        // One that is lost may be back by now: it keeps its shard then.
        let is_other = |drive: &DriveId| {
            let mut held = holders.iter().enumerate();
            held.any(|(at, holder)| holder == drive && at != shard)
        };
        let is_free = |drive: &DriveId| !used.contains(drive) && !is_other(drive);
        let others = others.filter(|drive| is_usable(drive) && is_free(drive));
        let others: Vec<DriveId> = others.copied().collect();
        let planned: Vec<DriveId> = used.iter().copied().collect();
        let other = || hand_off(&map, &others, &planned).map(|at| others[at]);
        if let Some(drive) = own.or_else(other) {
            used.insert(drive);
            targets.push(Target {
                shard: shard as u8,
                drive,
            });
        }
    }
    targets
}

/// Whether a drive has another shard of the write than this one, or gets one first. After a rebuild
/// a shard that nobody has is with the drive for which it was planned, which may have got another
/// one since.
fn has_other(holders: &[DriveId], health: &[Health], shard: usize, drive: DriveId) -> bool {
    let mut held = holders.iter().zip(health).enumerate();
    held.any(|(at, (holder, health))| {
        at != shard && *holder == drive && (*health != Health::Bad || at < shard)
    })
}
