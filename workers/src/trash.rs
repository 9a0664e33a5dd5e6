//! Writes that nobody knows, between the first look and the second.
//!
//! Owns: what lies in the trash, and when its second look is due.
//! Leaves to others: the looks themselves and what follows ([`crate::sweep`]).
//! Always: nothing in the trash was touched; a write leaves it only by its second look. The trash
//! is bounded and in memory: after a restart, writes are found and looked at anew.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_protocol::rpc::InventoryEntry;
use holdfast_protocol::{DriveId, WriteId};
use holdfast_seam::Monotonic;

/// A write that the first look did not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it was found.
    pub(crate) drive: DriveId,
    /// What is there.
    pub(crate) entry: InventoryEntry,
    /// When.
    pub(crate) since: Monotonic,
}

/// The trash.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    found: BTreeMap<WriteId, Found>,
}

impl Trash {
    /// Puts a write in, unless it is there or the trash is full. Returns whether it is there now.
    pub(crate) fn put(&mut self, found: Found, max: usize) -> bool {
        if self.found.len() < max {
            self.found.entry(found.entry.write).or_insert(found);
        }
        self.found.contains_key(&found.entry.write)
    }

    /// Whether the write is there.
    pub(crate) fn contains(&self, write: WriteId) -> bool {
        self.found.contains_key(&write)
    }

    /// Takes the write out, once its fate is known or its second look failed to decide.
    pub(crate) fn remove(&mut self, write: WriteId) {
        self.found.remove(&write);
    }

    /// How many are there.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The write that has been there longest if its second look is due, else how long until the
    /// first is; `None` when there is none.
    pub(crate) fn due(
        &self,
        now: Monotonic,
        grace: Duration,
    ) -> Option<std::result::Result<Found, Duration>> {
        let oldest = self.found.values().min_by_key(|found| found.since)?;
        let age = now.since(oldest.since);
        Some(match age >= grace {
            true => Ok(*oldest),
            false => Err(grace - age),
        })
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::{GatewayId, Generation, Order, RecordKind};

    use super::*;

    fn found(counter: u64, since: u64) -> Found {
        let write = WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        };
        Found {
            drive: DriveId::new(1),
            entry: InventoryEntry {
                write,
                order: Order {
                    generation: Generation::new(1),
                    sequence: counter,
                },
                kind: RecordKind::Commit,
                shard: None,
                damaged: false,
            },
            since: Monotonic(since),
        }
    }

    #[test]
    fn the_oldest_is_due_first_and_only_after_its_grace() {
        let mut trash = Trash::default();
        let grace = Duration::from_nanos(10);
        assert_eq!(trash.due(Monotonic(99), grace), None);
        assert!(trash.put(found(1, 5), 9) && trash.put(found(2, 3), 9));
        let wait = trash.due(Monotonic(7), grace);
        assert_eq!(wait, Some(Err(Duration::from_nanos(6))));
        assert_eq!(trash.due(Monotonic(13), grace), Some(Ok(found(2, 3))));
        // Found again, it waits no longer than it does already.
        assert!(trash.put(found(2, 12), 9));
        assert_eq!(trash.due(Monotonic(13), grace), Some(Ok(found(2, 3))));
    }

    #[test]
    fn a_full_trash_takes_no_more() {
        let mut trash = Trash::default();
        assert!(trash.put(found(1, 1), 1));
        assert!(!trash.put(found(2, 1), 1));
        assert!(trash.put(found(1, 2), 1));
        trash.remove(found(1, 1).entry.write);
        assert!(trash.put(found(2, 1), 1));
    }
}
