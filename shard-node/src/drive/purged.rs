//! Which writes are refused under the generation that is obeyed.
//!
//! Owns: a set of write ids that are gone, as ranges of counters; of those that moved away, the
//! order with which each left last; and the highest order of which the drive was told by other
//! means than a record.
//! Leaves to others: when it is emptied (a newer generation is granted).
//! Always: ranges of one gateway's epoch are disjoint and do not touch; the order of a moved write
//! never falls; a write that is gone is not noted as moved.

use std::collections::BTreeMap;

use holdfast_protocol::drive::WriteRange;
use holdfast_protocol::{GatewayId, MovedWrite, Order, WriteId};

/// Purged writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purged {
    gone: BTreeMap<(GatewayId, u32), BTreeMap<u64, u64>>,
    moved: BTreeMap<WriteId, Order>,
    /// The highest order heard of; a newer generation does not change it.
    told: Order,
}

impl Purged {
    /// Adds a write that is gone for good.
    pub(crate) fn insert(&mut self, write: WriteId) {
        self.moved.remove(&write);
        let ranges = self
            .gone
            .entry((write.gateway, write.gateway_epoch))
            .or_default();
        let (mut first, mut last) = (write.counter, write.counter);
        if let Some((start, end)) = ranges.range(..=first).next_back().map(|(s, e)| (*s, *e)) {
            if end >= first {
                return;
            }
            if end + 1 == first {
                first = start;
            }
        }
        if let Some(after) = last.checked_add(1)
            && let Some(end) = ranges.remove(&after)
        {
            last = end;
        }
        ranges.insert(first, last);
    }

    /// Notes the order of a purge, of a move away or of an admission.
    pub(crate) fn hear(&mut self, order: Order) {
        self.told = self.told.max(order);
    }

    /// The highest of these.
    pub(crate) fn told(&self) -> Order {
        self.told
    }

    /// Adds a write that lives elsewhere.
    pub(crate) fn leave(&mut self, moved: MovedWrite) {
        self.hear(moved.order);
        if !self.is_gone(moved.write) {
            let order = self.moved.entry(moved.write).or_default();
            *order = moved.order.max(*order);
        }
    }

    /// Whether what was admitted with that order is refused.
    pub(crate) fn refuses(&self, write: WriteId, admitted: Order) -> bool {
        let left = self.moved.get(&write);
        left.is_some_and(|left| admitted <= *left) || self.is_gone(write)
    }

    fn is_gone(&self, write: WriteId) -> bool {
        self.gone
            .get(&(write.gateway, write.gateway_epoch))
            .and_then(|ranges| ranges.range(..=write.counter).next_back())
            .is_some_and(|(_, last)| *last >= write.counter)
    }

    /// Forgets what was refused.
    pub(crate) fn clear(&mut self) {
        self.gone.clear();
        self.moved.clear();
    }

    /// What is gone.
    pub(crate) fn to_ranges(&self) -> Vec<WriteRange> {
        self.gone
            .iter()
            .flat_map(|((gateway, gateway_epoch), ranges)| {
                ranges.iter().map(|(first, last)| WriteRange {
                    gateway: *gateway,
                    gateway_epoch: *gateway_epoch,
                    first: *first,
                    last: *last,
                })
            })
            .collect()
    }

    /// What moved away.
    pub(crate) fn to_moved(&self) -> Vec<MovedWrite> {
        let moved = self.moved.iter();
        moved
            .map(|(&write, &order)| MovedWrite { write, order })
            .collect()
    }

    /// The inverse of [`Purged::to_ranges`] and [`Purged::to_moved`].
    pub(crate) fn from_parts(ranges: &[WriteRange], moved: &[MovedWrite], told: Order) -> Self {
        let mut purged = Self {
            told,
            ..Self::default()
        };
        for range in ranges {
            purged
                .gone
                .entry((range.gateway, range.gateway_epoch))
                .or_default()
                .insert(range.first, range.last);
        }
        moved.iter().for_each(|moved| purged.leave(*moved));
        purged
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::Generation;

    use super::*;

    fn write(counter: u64) -> WriteId {
        WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 2,
            counter,
        }
    }

    fn order(sequence: u64) -> Order {
        Order {
            generation: Generation::new(1),
            sequence,
        }
    }

    fn copy(purged: &Purged) -> Purged {
        Purged::from_parts(&purged.to_ranges(), &purged.to_moved(), purged.told())
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut purged = Purged::default();
        for counter in [5, 7, 6, 5, 1, u64::MAX] {
            purged.insert(write(counter));
        }
        let ranges: Vec<_> = purged
            .to_ranges()
            .iter()
            .map(|r| (r.first, r.last))
            .collect();
        assert_eq!(ranges, [(1, 1), (5, 7), (u64::MAX, u64::MAX)]);
        let copy = copy(&purged);
        for counter in [1, 5, 6, 7, u64::MAX] {
            assert!(copy.refuses(write(counter), order(u64::MAX)), "{counter}");
        }
        for counter in [0, 2, 4, 8] {
            assert!(!copy.refuses(write(counter), Order::ZERO), "{counter}");
        }
    }

    #[test]
    fn a_moved_write_is_refused_up_to_its_highest_order_and_a_gone_one_always() {
        let mut purged = Purged::default();
        for sequence in [4, 7, 5] {
            purged.leave(MovedWrite {
                write: write(1),
                order: order(sequence),
            });
        }
        for purged in [purged.clone(), copy(&purged)] {
            assert!(purged.refuses(write(1), Order::ZERO));
            assert!(purged.refuses(write(1), order(7)));
            assert!(!purged.refuses(write(1), order(8)));
            assert!(!purged.refuses(write(2), Order::ZERO));
        }
        purged.insert(write(1));
        purged.leave(MovedWrite {
            write: write(1),
            order: order(8),
        });
        assert!(purged.refuses(write(1), order(9)));
        assert!(purged.to_moved().is_empty());
        purged.hear(order(6));
        purged.clear();
        assert!(!purged.refuses(write(1), Order::ZERO));
        assert_eq!(copy(&purged).told(), order(8), "kept under all generations");
    }
}
