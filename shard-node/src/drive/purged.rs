//! Which writes were purged under the generation that is obeyed.
//!
//! Owns: a set of write ids, as ranges of counters.
//! Leaves to others: when it is emptied (a newer generation is granted).
//! Always: ranges of one gateway's epoch are disjoint and do not touch.

use std::collections::BTreeMap;

use holdfast_protocol::drive::WriteRange;
use holdfast_protocol::{GatewayId, WriteId};

/// Purged writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purged {
    ranges: BTreeMap<(GatewayId, u32), BTreeMap<u64, u64>>,
}

impl Purged {
    /// Adds a write.
    pub(crate) fn insert(&mut self, write: WriteId) {
        let ranges = self
            .ranges
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

    /// Whether a write was added.
    pub(crate) fn contains(&self, write: WriteId) -> bool {
        self.ranges
            .get(&(write.gateway, write.gateway_epoch))
            .and_then(|ranges| ranges.range(..=write.counter).next_back())
            .is_some_and(|(_, last)| *last >= write.counter)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// All of it.
    pub(crate) fn to_ranges(&self) -> Vec<WriteRange> {
        self.ranges
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

    /// The inverse of [`Purged::to_ranges`].
    pub(crate) fn from_ranges(ranges: &[WriteRange]) -> Self {
        let mut purged = Self::default();
        for range in ranges {
            purged
                .ranges
                .entry((range.gateway, range.gateway_epoch))
                .or_default()
                .insert(range.first, range.last);
        }
        purged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(counter: u64) -> WriteId {
        WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 2,
            counter,
        }
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
        let copy = Purged::from_ranges(&purged.to_ranges());
        for counter in [1, 5, 6, 7, u64::MAX] {
            assert!(copy.contains(write(counter)), "{counter}");
        }
        for counter in [0, 2, 4, 8] {
            assert!(!copy.contains(write(counter)), "{counter}");
        }
    }
}
