//! System records on every drive.
//!
//! Owns: giving each drive the newest record of every kind and name, and finding older ones to
//! purge.
//! Leaves to others: writing new ones (gateway), reading them at a start ([`crate::claim`]).
//! Always: an older record is purged from a drive only after the drive has the newest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use holdfast_index::{ScanLimit, Table};
use holdfast_protocol::rpc::{DriveError, InventoryEntry};
use holdfast_protocol::{DriveId, Order, RecordKind, WriteId};
use holdfast_store::survey::{self, InventoryQuery};

use crate::context::Context;
use crate::error::{Result, chain};
use crate::sweep;

/// The system records that each drive holds.
type Held = BTreeMap<DriveId, Vec<InventoryEntry>>;

/// Compares the system records of these drives with the index; returns drives that could not be
/// brought to hold all of them.
pub(crate) async fn compare(ctx: &Context, drives: &[DriveId]) -> Result<BTreeSet<DriveId>> {
    let mark = ctx.index.settled().await?;
    let mut failed = BTreeSet::new();
    let mut held = Held::new();
    for drive in ctx.living() {
        match list(ctx, drive).await {
            Ok(entries) => drop(held.insert(drive, entries)),
            Err(error) if drives.contains(&drive) => {
                tracing::warn!(%drive, %error, "system records of the drive are not listed");
                failed.insert(drive);
            }
            Err(_) => {}
        }
    }
    let newest = newest(ctx).await?;
    for &drive in drives {
        let Some(entries) = held.get(&drive) else {
            continue;
        };
        let has: BTreeSet<Order> = entries
            .iter()
            .filter(|entry| !entry.damaged)
            .map(|entry| entry.order)
            .collect();
        let lacking = newest
            .iter()
            .filter(|order| **order < mark && !has.contains(order));
        for order in lacking {
            if !copy(ctx, drive, *order, &held).await {
                failed.insert(drive);
            }
        }
        let others = entries
            .iter()
            .filter(|e| e.order < mark && !newest.contains(&e.order));
        if failed.contains(&drive) {
            continue;
        }
        for entry in others {
            if let Err(error) = sweep::resolve(ctx, drive, entry).await {
                tracing::warn!(%drive, error = %chain(&error), "old system record undecided");
                failed.insert(drive);
            }
        }
    }
    Ok(failed)
}

async fn list(
    ctx: &Context,
    drive: DriveId,
) -> std::result::Result<Vec<InventoryEntry>, DriveError> {
    let mut query = InventoryQuery::from_order(Order::ZERO, ctx.config.inventory_page);
    query.kind = Some(RecordKind::System);
    let mut entries = Vec::new();
    loop {
        let deadline = ctx.config.drive_deadline;
        let page = survey::inventory(ctx.store.drives(), drive, deadline, query).await?;
        query.after = page.entries.last().map(|entry| entry.write);
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}

/// Orders of the newest records of all kinds and names; an order names one record.
async fn newest(ctx: &Context) -> Result<BTreeSet<Order>> {
    let mut orders = BTreeSet::new();
    let mut after: Option<Bytes> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let limit = ScanLimit::rows(1000);
        let scan = ctx
            .index
            .scan(Table::System, from, Bound::Unbounded, limit)
            .await?;
        let kept = scan.rows.iter().map(|(_, row)| row.order);
        // Rows of order zero are local: they stand for no record.
        orders.extend(kept.filter(|order| *order > Order::ZERO));
        after = scan.rows.last().map(|(key, _)| key.clone());
        if !scan.more || after.is_none() {
            return Ok(orders);
        }
    }
}

/// Copies the record of that order from a drive that holds it.
async fn copy(ctx: &Context, drive: DriveId, order: Order, held: &Held) -> bool {
    let holds = |entries: &Vec<InventoryEntry>| -> Option<WriteId> {
        let mut good = entries
            .iter()
            .filter(|entry| entry.order == order && !entry.damaged);
        good.next().map(|entry| entry.write)
    };
    for (source, write) in held
        .iter()
        .filter_map(|(d, entries)| Some((*d, holds(entries)?)))
    {
        let Ok(record) = ctx.store.record_from(source, write, true).await else {
            continue;
        };
        match ctx.store.seal_copy(drive, Order::ZERO, record, None).await {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!(%drive, %write, %error, "drive does not take a system record");
                return false;
            }
        }
    }
    tracing::warn!(%drive, %order, "no other drive has a good copy of a system record");
    false
}

/// How many of the newest records each of these drives lacks; drives that lack none, or do not
/// answer, are left out.
pub(crate) async fn lacking(ctx: &Context, drives: &[DriveId]) -> Result<BTreeMap<DriveId, usize>> {
    let mark = ctx.index.settled().await?;
    let newest = newest(ctx).await?;
    let mut lacking = BTreeMap::new();
    for &drive in drives {
        let Ok(entries) = list(ctx, drive).await else {
            continue;
        };
        let has: BTreeSet<Order> = entries.iter().map(|entry| entry.order).collect();
        let count = newest
            .iter()
            .filter(|order| **order < mark && !has.contains(order))
            .count();
        if count > 0 {
            lacking.insert(drive, count);
        }
    }
    Ok(lacking)
}
