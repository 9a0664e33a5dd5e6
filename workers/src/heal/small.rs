//! Heals small rows: copies from copies.
//!
//! Owns: keeping m + 1 copies of versions, parts and uploads that travel in their record.
//! Leaves to others: guards and system records ([`crate::compare`]).
//! Always: a new holder enters the row before the record is sent to it; a holder leaves it only
//! when another has taken its place.

use std::collections::BTreeSet;

use holdfast_protocol::{DriveId, DriveUse, Placement};
use holdfast_store::placement::{group_of, hand_off};

use super::inspect::Health;
use super::{Outcome, Queued};
use crate::context::Context;
use crate::error::Result;
use crate::placed::{self, Change, Placed};

/// How often other targets are chosen after some refused.
const CHOICES_MAX: usize = 4;

/// One attempt at a small row.
pub(super) async fn heal(ctx: &Context, queued: &Queued, placed: Placed) -> Result<Outcome> {
    let health = ctx.copy_health(&placed).await;
    ctx.judge_row(&placed, &health);
    let lacking = lacking(&placed, &health);
    let (mut made, mut bytes) = (Vec::new(), 0);
    let (mut tried, mut refused) = (BTreeSet::new(), false);
    for _ in 0..CHOICES_MAX {
        let targets = choose(ctx, &placed, &health, &tried, lacking - made.len());
        if targets.is_empty() {
            break;
        }
        let Some(admitted) = ctx.announce(&placed, &targets).await? else {
            return Ok(Outcome::Gone);
        };
        let record = ctx.store.read_record(&placed.row, true).await?;
        for drive in targets {
            tried.insert(drive);
            ctx.heal_budget(record.len() as u64, placed.margin()).await;
            let sealed = ctx.store.seal_copy(drive, admitted, record.clone(), None);
            let read_back = match sealed.await {
                Ok(()) => {
                    let write = placed.manifest().write;
                    ctx.store.record_from(drive, write, true).await.map(drop)
                }
                Err(error) => Err(error),
            };
            match read_back {
                Ok(()) => {
                    bytes += record.len() as u64;
                    made.push(drive);
                }
                Err(error) => {
                    refused = true;
                    tracing::debug!(%drive, %error, "drive did not take a copy");
                }
            }
        }
    }
    Ok(match settle(ctx, queued, &placed, &health, &made).await? {
        None => Outcome::Gone,
        Some(0) => Outcome::Whole { bytes },
        Some(_) => Outcome::Waits {
            drives: awaited(ctx, &placed, &health),
            refused,
            bytes,
        },
    })
}

/// Copies to be made: those that are bad, and what is short of m + 1.
pub(super) fn lacking(placed: &Placed, health: &[Health]) -> usize {
    let kept = health
        .iter()
        .filter(|health| matches!(health, Health::Good | Health::Away));
    placed
        .manifest()
        .geometry
        .copies()
        .saturating_sub(kept.count())
}

/// Drives for new copies: those that have bad ones; then the one on the node with the fewest
/// copies, of the group first, or a spare one.
pub(super) fn choose(
    ctx: &Context,
    placed: &Placed,
    health: &[Health],
    tried: &BTreeSet<DriveId>,
    lacking: usize,
) -> Vec<DriveId> {
    if lacking == 0 || !health.contains(&Health::Good) {
        return Vec::new();
    }
    let holders = &placed.row.placement.holders;
    let bad = holders
        .iter()
        .zip(health)
        .filter(|(_, health)| **health == Health::Bad);
    let is_usable =
        |drive: &DriveId| ctx.store.drives().is_writable(*drive) && !tried.contains(drive);
    let bad = bad.map(|(drive, _)| *drive).filter(is_usable);
    let mut targets: Vec<DriveId> = bad.take(lacking).collect();
    let kept = holders
        .iter()
        .zip(health)
        .filter(|(_, health)| matches!(health, Health::Good | Health::Away));
    let mut planned: Vec<DriveId> = kept.map(|(drive, _)| *drive).collect();
    planned.extend(&targets);
    let mut others = others(ctx, placed);
    others.retain(|drive| is_usable(drive) && !holders.contains(drive));
    let map = ctx.store.map();
    while targets.len() < lacking
        && let Some(at) = hand_off(&map, &others, &planned)
    {
        let drive = others.remove(at);
        planned.push(drive);
        targets.push(drive);
    }
    targets
}

/// Drives without which nothing can be done now: those that have a copy, while none can be read,
/// or those that would take one.
fn awaited(ctx: &Context, placed: &Placed, health: &[Health]) -> Vec<DriveId> {
    if health.contains(&Health::Good) {
        let mut others = others(ctx, placed);
        others.retain(|drive| !ctx.store.drives().is_writable(*drive));
        return others;
    }
    // What could not be read today may be readable tomorrow.
    placed.row.placement.holders.clone()
}

/// Drives that may take a copy, those of the group first.
fn others(ctx: &Context, placed: &Placed) -> Vec<DriveId> {
    let manifest = placed.manifest();
    let map = ctx.store.map();
    let mut others = ctx.store.group(group_of(manifest.bucket, &manifest.key));
    let active = map.drives.iter();
    let active = active.filter(|drive| drive.usage == DriveUse::Active);
    let mut spare: Vec<DriveId> = active
        .map(|drive| drive.id)
        .filter(|drive| !others.contains(drive))
        .collect();
    let from = manifest.write.counter as usize % spare.len().max(1);
    spare.rotate_left(from);
    others.extend(spare);
    others
}

/// Writes the row as it is now, and takes it out of the queue or back in with its new margin.
/// Returns how many copies are short; `None` if the row is gone.
async fn settle(
    ctx: &Context,
    queued: &Queued,
    placed: &Placed,
    health: &[Health],
    made: &[DriveId],
) -> Result<Option<u64>> {
    let write = placed.manifest().write;
    let manifest = placed.manifest().clone();
    let old = placed.row.placement.holders.clone();
    let dead = ctx.dead();
    let mut left = 0;
    let edit = |placement: &mut Placement| {
        let (mut change, before) = (Change::default(), placement.clone());
        let is_named = |drive: &DriveId| before.drives().any(|named| named == *drive);
        let made: Vec<DriveId> = made.iter().copied().filter(is_named).collect();
        let is_kept = |drive: &DriveId| {
            let at = old.iter().position(|holder| holder == drive);
            at.is_none_or(|at| matches!(health[at], Health::Good | Health::Away))
        };
        let doubtful: Vec<DriveId> = placement
            .holders
            .iter()
            .copied()
            .filter(|drive| !is_kept(drive) && !made.contains(drive))
            .collect();
        placement
            .holders
            .retain(|drive| is_kept(drive) || made.contains(drive));
        for &drive in &made {
            if !placement.holders.contains(&drive) {
                placement.holders.push(drive);
            }
        }
        let copies = manifest.geometry.copies();
        placement.missing = copies.saturating_sub(placement.holders.len()) as u64;
        // A bad copy stays where it is until another took its place: what could not be read today
        // may be readable tomorrow, and nobody looks for copies on drives that are no holders.
        let (stay, lost) = doubtful.split_at(doubtful.len().min(placement.missing as usize));
        placement.holders.extend(stay);
        // One that was replaced may still be there: a purge must reach it.
        placement.touched.extend(lost);
        let holders = placement.holders.clone();
        placement.touched.retain(|drive| !holders.contains(drive));
        placement.touched.sort_unstable();
        placement.touched.dedup();
        left = placement.missing;
        if left == 0 {
            let touched = std::mem::take(&mut placement.touched).into_iter();
            change.leave = touched.filter(|drive| !dead.contains(drive)).collect();
        }
        let margin = placed::margin(&manifest, placement);
        if left != 0 && *placement == before && queued.is_only(margin, write) {
            return None;
        }
        queued.delete(&mut change.batch);
        if left != 0 {
            change.batch.put_heal(margin, &placed.name, &manifest);
        }
        Some(change)
    };
    if ctx.change(placed, edit).await?.is_none() {
        queued.leave(ctx).await?;
        return Ok(None);
    }
    Ok(Some(left))
}
