//! Which generation a claim takes.
//!
//! Owns: the number, and what about it says that everything is to be merged.
//! Leaves to others: asking for it ([`super`]).
//! Always: it is above what the index and the drives that obey it know; in a new epoch when the
//! index is to be rebuilt from the drives.

use std::collections::BTreeSet;

use holdfast_index::{Index, doubt};
use holdfast_protocol::{ClusterMap, DriveId, Generation, Order};

use super::Granted;
use crate::error::Result;
use crate::merge::check_absent;

/// An old copy takes a generation with a new upper half, and so remembers through crashes, until
/// its merge has ended, that everything is to be merged.
const EPOCH_BITS: u32 = 16;

pub(super) fn epoch(generation: Generation) -> u32 {
    generation.get() >> EPOCH_BITS
}

/// The number to claim next, and how it is called in the log. `strays` is the highest that drives
/// know which obey an index that was given up.
pub(super) async fn next(
    index: &dyn Index,
    map: Option<&ClusterMap>,
    statuses: &Granted,
    strays: Generation,
) -> Result<Generation> {
    let highest = statuses.values().map(|status| status.generation).max();
    let (ours, highest) = (index.generation(), highest.unwrap_or_default());
    let is_old = highest > ours || is_behind(statuses, index.settled().await?);
    // Drives that answer now can tell what an earlier rebuild could not know.
    let decides = can_rebuild(map, statuses) && can_decide(index, map, statuses).await?;
    let top = highest.max(ours);
    if is_old || decides {
        return Ok(new_epoch(top.max(strays)));
    }
    let after = Generation::new(top.max(strays).get() + 1);
    match (strays > ours, epoch(after) > epoch(ours)) {
        (false, _) => Ok(Generation::new(ours.get() + 1)),
        (true, false) => Ok(after),
        // Above them only by rebuilding; without enough drives they are left alone.
        (true, true) if can_rebuild(map, statuses) => Ok(new_epoch(strays)),
        (true, true) => Ok(Generation::new(ours.get() + 1)),
    }
}

fn new_epoch(above: Generation) -> Generation {
    Generation::new((epoch(above) + 1) << EPOCH_BITS)
}

/// Whether drives were told of a change that an index with this mark does not know: it is an old
/// copy, even of the generation that they obey. No drive is told before the order is settled.
fn is_behind(statuses: &Granted, settled: Order) -> bool {
    let told = statuses.values().map(|status| status.told).max();
    told.is_some_and(|told| told > Order::ZERO && told >= settled)
}

/// Whether few enough drives are absent, or not whole.
fn can_rebuild(map: Option<&ClusterMap>, statuses: &Granted) -> bool {
    let Some(map) = map else { return false };
    let living = map.living().map(|drive| drive.id);
    let is_whole = |drive: &DriveId| statuses.get(drive).is_some_and(|status| !status.partial);
    let absent = living.filter(|drive| !is_whole(drive));
    let absent: BTreeSet<DriveId> = absent.chain(map.filling()).collect();
    check_absent(map, &absent).is_ok()
}

/// Whether a rebuild left something in doubt for want of a drive that answers now, or will never.
async fn can_decide(
    index: &dyn Index,
    map: Option<&ClusterMap>,
    statuses: &Granted,
) -> Result<bool> {
    let awaited = doubt::drives(index).await?;
    let living: BTreeSet<DriveId> = map
        .into_iter()
        .flat_map(|map| map.living().map(|drive| drive.id))
        .collect();
    let is_back = |drive: &DriveId| statuses.contains_key(drive) || !living.contains(drive);
    Ok(awaited.iter().any(is_back))
}
