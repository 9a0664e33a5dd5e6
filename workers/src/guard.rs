//! Copies of guards: the tombstones and voids that the purge queue still needs.
//!
//! Owns: bringing a guard back to its number of copies, on the drives that hold it or on others.
//! Leaves to others: when a guard may go ([`crate::purge`]), finding copies that are gone
//! ([`crate::compare`]).
//! Always: a new holder is in the guard's entry, durably, before the copy is sent to it; new
//! holders are of the guard's group while it has any, because a rebuild counts absent drives by
//! group.

use std::collections::BTreeSet;

use holdfast_index::rows::PurgeEntry;
use holdfast_index::{Batch, Table};
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{DriveId, EncodedRecord, GroupId, Order, PurgeRow, Record, WriteId};
use holdfast_store::placement::group_of;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::watch::DriveState;

/// Guards remembered at most whose holders do not take their copy; others are found again.
const WEAK_MAX: usize = 100_000;

/// A good copy of a guard, from one of these drives.
async fn read(ctx: &Context, guard: WriteId, holders: &[DriveId]) -> Option<EncodedRecord> {
    for &drive in holders {
        if let Ok(record) = ctx.store.record_from(drive, guard, true).await {
            return Some(record);
        }
    }
    None
}

/// Whether the guard of an entry stays: something waits for it, or may come to light that it
/// covers. If not it is on its way out: its copies go before its entry does.
fn stays(ctx: &Context, row: &PurgeRow) -> bool {
    !row.waiting.is_empty() || !ctx.guards_may_go()
}

/// The entry of a guard as it is now, if the guard stays.
///
/// To be asked with [`Context::purging`] held.
pub(crate) async fn needed(ctx: &Context, entry: &PurgeEntry) -> Result<Option<PurgeRow>> {
    let row = ctx.index.get(Table::Purge, &entry.key).await?;
    let row = row.and_then(|row| PurgeRow::decode(&row.value).ok());
    Ok(row.filter(|row| row.guard == entry.row.guard && stays(ctx, row)))
}

/// Brings a guard back to its holders that lack it. Holders that do not take it are noted, so that
/// the purger finds others.
pub(crate) async fn restore(ctx: &Context, entry: &PurgeEntry) -> Result<()> {
    let _turn = ctx.purging.lock().await;
    let (Some(guard), Some(row)) = (entry.row.guard, needed(ctx, entry).await?) else {
        return Ok(());
    };
    let holders = &row.guard_holders;
    let Some(record) = read(ctx, guard, holders).await else {
        tracing::warn!(%guard, "no copy of a tombstone or void can be read");
        return Ok(());
    };
    for &drive in holders {
        if let Err(error) = copy(ctx, drive, guard, &record).await {
            tracing::debug!(%drive, %guard, error = %chain(&error), "guard not copied");
            let mut weak = ctx.weak_guards();
            if weak.len() < WEAK_MAX {
                weak.entry(guard).or_default().insert(drive);
            }
        }
    }
    if ctx.weak_guards().contains_key(&guard) {
        ctx.purge_everything();
    }
    Ok(())
}

async fn copy(
    ctx: &Context,
    drive: DriveId,
    guard: WriteId,
    record: &EncodedRecord,
) -> std::result::Result<(), DriveError> {
    match ctx.store.record_from(drive, guard, true).await {
        Ok(_) => Ok(()),
        Err(_) => {
            let record = record.clone();
            ctx.store.seal_copy(drive, Order::ZERO, record, None).await
        }
    }
}

/// Gives guards new holders in place of those that are dead, out, or do not take their copy.
///
/// Entries get their new holders; they were committed with them.
pub(crate) async fn replenish(ctx: &Context, entries: &mut [PurgeEntry]) -> Result<()> {
    let mut batch = Batch::new();
    let mut copies: Vec<(DriveId, WriteId, EncodedRecord)> = Vec::new();
    for entry in entries {
        let Some(guard) = entry.row.guard.filter(|_| stays(ctx, &entry.row)) else {
            continue;
        };
        let weak = ctx.weak_guards().get(&guard).cloned().unwrap_or_default();
        let lacking = lacking(ctx, &entry.row.guard_holders, &weak);
        if lacking == 0 {
            continue;
        }
        let Some(record) = read(ctx, guard, &entry.row.guard_holders).await else {
            continue;
        };
        let chosen = choose(ctx, &record, &entry.row.guard_holders, lacking);
        if chosen.is_empty() {
            continue;
        }
        entry.row.guard_holders.extend(&chosen);
        batch.put_purge(entry.order, entry.write, &entry.row);
        copies.extend(chosen.iter().map(|drive| (*drive, guard, record.clone())));
        tracing::info!(%guard, ?chosen, "tombstone or void gets new holders");
    }
    ctx.commit_alone(batch).await?;
    for (drive, guard, record) in copies {
        match ctx.store.seal_copy(drive, Order::ZERO, record, None).await {
            Ok(()) => drop(ctx.weak_guards().remove(&guard)),
            // It stays a holder; the next comparison of the drive finds the copy missing.
            Err(error) => tracing::warn!(%drive, %guard, %error, "guard not copied"),
        }
    }
    Ok(())
}

/// Copies that are short of m + 1 on drives that will come back.
fn lacking(ctx: &Context, holders: &[DriveId], weak: &BTreeSet<DriveId>) -> usize {
    let health = ctx.health();
    let counts =
        |drive: &&DriveId| !weak.contains(*drive) && health.state(**drive) != DriveState::Out;
    let kept = holders.iter().filter(counts).count();
    drop(health);
    ctx.store.map().geometry.copies().saturating_sub(kept)
}

fn choose(
    ctx: &Context,
    record: &EncodedRecord,
    holders: &[DriveId],
    lacking: usize,
) -> Vec<DriveId> {
    let group = match Record::decode(record) {
        Ok(Record::Tombstone { bucket, key, .. }) => group_of(bucket, &key),
        Ok(Record::Void { target, .. }) => void_group(target),
        _ => return Vec::new(),
    };
    let drives = ctx.store.drives();
    // A full drive takes records that free space.
    let takes = |drive: &DriveId| {
        drives.is_reachable(*drive) && (drives.is_writable(*drive) || drives.is_full(*drive))
    };
    let own = ctx.store.group(group);
    let others = ctx
        .living()
        .into_iter()
        .filter(|drive| !own.contains(drive));
    let candidates = own.iter().copied().chain(others);
    candidates
        .filter(|drive| !holders.contains(drive) && takes(drive))
        .take(lacking)
        .collect()
}

/// The group of the void of a write. Any does: at most m drives of each are absent when an index is
/// rebuilt.
pub(crate) fn void_group(target: WriteId) -> GroupId {
    GroupId::new((target.counter % 1024) as u16)
}
