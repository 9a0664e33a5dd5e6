//! What is held, listed.
//!
//! Owns: inventories.
//! Leaves to others: what they are compared with.
//! Always: the lock is held for a bounded number of rows.

use holdfast_protocol::rpc::{DriveReply, InventoryEntry};
use holdfast_protocol::{Order, RecordKind, WriteId};

use super::Drive;
use super::state::Shared;

/// Entries of one inventory at most.
const INVENTORY_MAX: u32 = 10_000;
/// Rows looked at in one go.
const INVENTORY_STEP: usize = 16 << 10;

impl Drive {
    /// What is held, up to 10,000 entries in ascending write id; for tests that look at all drives
    /// at one moment.
    pub fn held(&self) -> Vec<InventoryEntry> {
        match inventory(&self.shared, None, Order::ZERO, None, INVENTORY_MAX) {
            DriveReply::Inventory { entries, .. } => entries,
            _ => Vec::new(),
        }
    }
}

/// Lists what is held.
pub(crate) fn inventory(
    shared: &Shared,
    after: Option<WriteId>,
    min_order: Order,
    kind: Option<RecordKind>,
    limit: u32,
) -> DriveReply {
    let limit = limit.clamp(1, INVENTORY_MAX) as usize;
    let mut entries = Vec::new();
    let mut after = after;
    loop {
        let state = shared.state.lock();
        let mut seen = 0;
        for row in state.table.after(after).take(INVENTORY_STEP) {
            if entries.len() == limit {
                return DriveReply::Inventory {
                    entries,
                    more: true,
                };
            }
            seen += 1;
            after = Some(row.write);
            if row.order >= min_order && kind.is_none_or(|kind| kind == row.kind) {
                entries.push(InventoryEntry {
                    write: row.write,
                    order: row.order,
                    kind: row.kind,
                    shard: row.shard,
                    damaged: row.damaged,
                });
            }
        }
        if seen < INVENTORY_STEP {
            return DriveReply::Inventory {
                entries,
                more: false,
            };
        }
    }
}
