//! Facts about the table of what a drive holds.
//!
//! Goal: it is a sorted map in 64 bytes a row. Method: random changes against a `BTreeMap`.

use std::collections::BTreeMap;

use holdfast_protocol::GatewayId;
use proptest::prelude::*;

use super::*;

fn entry(counter: u64, extents: usize) -> TableEntry {
    TableEntry {
        write: WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        },
        order: Order {
            generation: Generation::new(5),
            sequence: counter * 3,
        },
        admitted: Order {
            generation: Generation::new(0),
            sequence: counter % 3,
        },
        kind: RecordKind::System,
        damaged: false,
        shard: (extents > 0).then_some((2, counter ^ 0xff)),
        address: counter * 128,
        len: 96,
        extents: (0..extents as u64)
            .map(|n| Extent {
                page: counter * 100 + n * 7,
                count: 3,
            })
            .collect(),
    }
}

#[test]
fn a_row_takes_64_bytes_and_ascending_writes_fill_their_leaves() {
    assert_eq!(size_of::<Row>(), 64);
    let mut table = Table::default();
    for counter in 0..10_000 {
        table.insert(&entry(counter, 0));
    }
    assert_eq!(table.leaves.len(), 10_000_usize.div_ceil(LEAF_MAX));
    let capacity: usize = table.leaves.values().map(Vec::capacity).sum();
    assert!(capacity <= 10_000 + LEAF_MAX, "{capacity}");
}

proptest! {
    #[test]
    fn it_is_a_sorted_map(
        steps in prop::collection::vec((0..4_u8, 0..700_u64, 0..3_usize), 1..1500),
    ) {
        let mut table = Table::default();
        let mut model: BTreeMap<WriteId, TableEntry> = BTreeMap::new();
        for (kind, counter, extents) in steps {
            let mut new = entry(counter, extents);
            match kind {
                0 | 1 => {
                    new.address += u64::from(kind);
                    prop_assert_eq!(table.insert(&new), model.insert(new.write, new.clone()));
                }
                2 => prop_assert_eq!(table.remove(new.write), model.remove(&new.write)),
                _ => {
                    let known = model.get_mut(&new.write);
                    let expected = known.as_ref().is_some_and(|known| !known.damaged);
                    prop_assert_eq!(table.mark_damaged(new.write), expected);
                    if let Some(known) = known {
                        known.damaged = true;
                    }
                }
            }
            prop_assert_eq!(table.get(new.write), model.get(&new.write).cloned());
        }
        prop_assert_eq!(table.len(), model.len() as u64);
        let all: Vec<_> = model.values().cloned().collect();
        prop_assert_eq!(table.after(None).collect::<Vec<_>>(), all);
        let after = entry(350, 0).write;
        let above = model.range(after..).filter(|(w, _)| **w > after);
        let above: Vec<_> = above.map(|(_, e)| e.clone()).collect();
        prop_assert_eq!(table.after(Some(after)).collect::<Vec<_>>(), above);
    }
}
