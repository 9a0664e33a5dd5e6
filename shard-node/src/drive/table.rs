//! What a drive holds, by write id.
//!
//! Owns: one [`Row`] of 64 bytes per write, in ascending order, in leaves of up to [`LEAF_MAX`];
//! beside them, about 50 bytes for each write that was brought by the healer.
//! Leaves to others: what rows mean, and the space they own.
//! Always: no leaf is empty; writes that arrive in ascending order fill their leaves.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use holdfast_protocol::drive::{Extent, TableEntry};
use holdfast_protocol::{Generation, MovedWrite, Order, RecordKind, WriteId};

/// Rows of a leaf at most.
const LEAF_MAX: usize = 256;
const DAMAGED: u8 = 1;
const SHARD: u8 = 2;
const PAGE_BITS: u32 = 40;
/// Stands for extents kept beside the table.
const MANY: u64 = u64::MAX;

/// One write, packed.
#[derive(Clone, Copy, Debug)]
struct Row {
    write: WriteId,
    sequence: u64,
    digest: u64,
    address: u64,
    extent: u64,
    generation: u32,
    len: u32,
    kind: RecordKind,
    shard: u8,
    flags: u8,
}

/// What a drive holds.
#[derive(Debug, Default)]
pub(crate) struct Table {
    leaves: BTreeMap<WriteId, Vec<Row>>,
    many: HashMap<WriteId, Box<[Extent]>>,
    /// Of writes that did not come from their writer.
    admitted: HashMap<WriteId, Order>,
    count: u64,
}

impl Table {
    /// Writes held.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// What is held of `write`.
    pub(crate) fn get(&self, write: WriteId) -> Option<TableEntry> {
        let (_, leaf) = self.leaves.range(..=write).next_back()?;
        let slot = leaf.binary_search_by_key(&write, |row| row.write).ok()?;
        leaf.get(slot).map(|row| self.unpack(row))
    }

    /// With which order `write` was admitted, if it is held.
    pub(crate) fn admitted(&self, write: WriteId) -> Order {
        self.admitted.get(&write).copied().unwrap_or_default()
    }

    /// Whether what is held of a write was admitted before the write left.
    pub(crate) fn left(&self, moved: MovedWrite) -> bool {
        self.admitted(moved.write) < moved.order
    }

    /// Keeps `entry` and returns what it replaces.
    pub(crate) fn insert(&mut self, entry: &TableEntry) -> Option<TableEntry> {
        let old = self.remove(entry.write);
        let row = self.pack(entry);
        let first = self
            .leaves
            .range(..=entry.write)
            .next_back()
            .or_else(|| self.leaves.range(entry.write..).next())
            .map(|(first, _)| *first);
        self.count += 1;
        let Some(first) = first else {
            self.leaves.insert(entry.write, vec![row]);
            return old;
        };
        let mut leaf = self.leaves.remove(&first).unwrap_or_default();
        let slot = leaf.partition_point(|row| row.write < entry.write);
        if leaf.len() < LEAF_MAX {
            leaf.insert(slot, row);
        } else if slot == LEAF_MAX {
            self.leaves.insert(entry.write, vec![row]);
        } else {
            let mut upper = leaf.split_off(LEAF_MAX / 2);
            match slot.checked_sub(LEAF_MAX / 2) {
                Some(slot) => upper.insert(slot, row),
                None => leaf.insert(slot, row),
            }
            self.put_leaf(upper);
        }
        self.put_leaf(leaf);
        old
    }

    /// Drops `write` and returns what was held of it.
    pub(crate) fn remove(&mut self, write: WriteId) -> Option<TableEntry> {
        let (first, leaf) = self.leaves.range_mut(..=write).next_back()?;
        let first = *first;
        let slot = leaf.binary_search_by_key(&write, |row| row.write).ok()?;
        let row = leaf.remove(slot);
        if leaf.capacity() > 2 * leaf.len().max(8) {
            leaf.shrink_to_fit();
        }
        if slot == 0 {
            let leaf = self.leaves.remove(&first).unwrap_or_default();
            self.put_leaf(leaf);
        }
        let entry = self.unpack(&row);
        self.many.remove(&write);
        self.admitted.remove(&write);
        self.count -= 1;
        Some(entry)
    }

    /// Marks `write` as damaged. `false` if it is not held or was marked before.
    pub(crate) fn mark_damaged(&mut self, write: WriteId) -> bool {
        let Some(row) = self.row_mut(write) else {
            return false;
        };
        let new = row.flags & DAMAGED == 0;
        row.flags |= DAMAGED;
        new
    }

    /// Marks `write` as sound again.
    pub(crate) fn mark_sound(&mut self, write: WriteId) {
        if let Some(row) = self.row_mut(write) {
            row.flags &= !DAMAGED;
        }
    }

    fn row_mut(&mut self, write: WriteId) -> Option<&mut Row> {
        let (_, leaf) = self.leaves.range_mut(..=write).next_back()?;
        let slot = leaf.binary_search_by_key(&write, |row| row.write).ok()?;
        leaf.get_mut(slot)
    }

    /// What is held above `after`, in ascending order.
    pub(crate) fn after(&self, after: Option<WriteId>) -> impl Iterator<Item = TableEntry> {
        let start = after.and_then(|write| {
            let leaf = self.leaves.range(..=write).next_back();
            leaf.map(|(first, _)| *first)
        });
        let from = start.map_or(Bound::Unbounded, Bound::Included);
        self.leaves
            .range((from, Bound::Unbounded))
            .flat_map(|(_, leaf)| leaf)
            .skip_while(move |row| after.is_some_and(|after| row.write <= after))
            .map(|row| self.unpack(row))
    }

    fn put_leaf(&mut self, leaf: Vec<Row>) {
        if let Some(row) = leaf.first() {
            self.leaves.insert(row.write, leaf);
        }
    }

    fn pack(&mut self, entry: &TableEntry) -> Row {
        let extent = match entry.extents.as_slice() {
            [] => 0,
            [one] => one.page | u64::from(one.count) << PAGE_BITS,
            many => {
                self.many.insert(entry.write, many.into());
                MANY
            }
        };
        if entry.admitted > Order::ZERO {
            self.admitted.insert(entry.write, entry.admitted);
        }
        let (shard, digest) = entry.shard.unwrap_or((0, 0));
        let damaged = if entry.damaged { DAMAGED } else { 0 };
        let has_shard = if entry.shard.is_some() { SHARD } else { 0 };
        Row {
            write: entry.write,
            sequence: entry.order.sequence,
            digest,
            address: entry.address,
            extent,
            generation: entry.order.generation.get(),
            len: entry.len,
            kind: entry.kind,
            shard,
            flags: damaged | has_shard,
        }
    }

    fn unpack(&self, row: &Row) -> TableEntry {
        let extents = match row.extent {
            0 => Vec::new(),
            MANY => self
                .many
                .get(&row.write)
                .map(|m| m.to_vec())
                .unwrap_or_default(),
            one => vec![Extent {
                page: one & ((1 << PAGE_BITS) - 1),
                count: (one >> PAGE_BITS) as u32,
            }],
        };
        TableEntry {
            write: row.write,
            order: Order {
                generation: Generation::new(row.generation),
                sequence: row.sequence,
            },
            admitted: self.admitted(row.write),
            kind: row.kind,
            damaged: row.flags & DAMAGED != 0,
            shard: (row.flags & SHARD != 0).then_some((row.shard, row.digest)),
            address: row.address,
            len: row.len,
            extents,
        }
    }
}

#[cfg(test)]
mod tests;
