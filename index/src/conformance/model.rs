//! Random steps on a backend and on a sorted map.
//!
//! Owns: the steps, the model, the comparison.
//! Leaves to others: concurrency.
//! Always: as [`super`]; both are asked the same and must answer the same.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::{Generation, Order};

use super::{Backend, Rng, begin, order, started};
use crate::{Batch, Guard, Index, IndexError, Locks, Op, Row, ScanLimit, Table};

type Map = BTreeMap<(Table, Bytes), Row>;

const TABLES: [Table; 3] = [Table::Current, Table::Noncurrent, Table::Purge];
const SEEDS: u64 = 6;
const STEPS: usize = 300;

fn random_key(rng: &mut Rng) -> Bytes {
    const BYTES: [u8; 4] = [0x00, b'a', b'/', 0xff];
    let len = rng.below(4);
    (0..len).map(|_| BYTES[rng.below(4) as usize]).collect()
}

fn random_order(rng: &mut Rng) -> Order {
    order(rng.below(2) as u32, rng.below(6))
}

fn random_op(rng: &mut Rng) -> Op {
    let table = TABLES[rng.below(3) as usize];
    let key = random_key(rng);
    let guard = match rng.below(3) {
        0 => Guard::Any,
        1 => Guard::Newer,
        _ => Guard::Exactly(random_order(rng)),
    };
    match rng.below(3) {
        0 => Op::Delete { table, key, guard },
        _ => {
            let value = Bytes::from(vec![b'v'; rng.below(300) as usize]);
            let row = Row::new(random_order(rng), value);
            Op::Put {
                table,
                key,
                row,
                guard,
            }
        }
    }
}

/// What the batch makes of the map; `None` if it is refused.
fn apply(map: &Map, ops: &[Op]) -> Option<Map> {
    let mut map = map.clone();
    for op in ops {
        let (place, row, guard) = match op {
            Op::Put {
                table,
                key,
                row,
                guard,
            } => ((*table, key.clone()), Some(row), guard),
            Op::Delete { table, key, guard } => ((*table, key.clone()), None, guard),
        };
        let present = map.get(&place).map(|row| row.order);
        let holds = match (guard, row) {
            (Guard::Exactly(expected), _) => present == Some(*expected),
            (Guard::Newer, Some(row)) => present.is_none_or(|present| present < row.order),
            _ => true,
        };
        if !holds {
            return None;
        }
        match row {
            Some(row) => map.insert(place, row.clone()),
            None => map.remove(&place),
        };
    }
    Some(map)
}

async fn change(index: &Arc<dyn Index>, map: &mut Map, rng: &mut Rng) {
    let mut batch = Batch::new();
    batch.ops = (0..=rng.below(4)).map(|_| random_op(rng)).collect();
    let expected = apply(map, &batch.ops);
    let transaction = begin(index, Locks::none()).await;
    match transaction.commit(batch).await {
        Ok(()) => *map = expected.expect("the model refuses this batch"),
        Err(IndexError::StaleOrder { .. }) => assert!(expected.is_none(), "refused"),
        Err(error) => panic!("{error}"),
    }
}

fn random_bound(rng: &mut Rng) -> Bound<Bytes> {
    match rng.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(random_key(rng)),
        _ => Bound::Excluded(random_key(rng)),
    }
}

fn inside(key: &Bytes, from: &Bound<Bytes>, to: &Bound<Bytes>) -> bool {
    let above = match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    };
    above
        && match to {
            Bound::Unbounded => true,
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
        }
}

async fn read(index: &Arc<dyn Index>, map: &Map, rng: &mut Rng) {
    let table = TABLES[rng.below(3) as usize];
    let key = random_key(rng);
    let found = index.get(table, &key).await.unwrap();
    assert_eq!(found.as_ref(), map.get(&(table, key)));
    let (from, to) = (random_bound(rng), random_bound(rng));
    let rows = 1 + rng.below(80) as usize;
    let bounds = (
        from.as_ref().map(Bytes::as_ref),
        to.as_ref().map(Bytes::as_ref),
    );
    let limit = ScanLimit::rows(rows);
    let scan = index.scan(table, bounds.0, bounds.1, limit).await.unwrap();
    let mut expected: Vec<(Bytes, Row)> = map
        .iter()
        .filter(|((t, key), _)| *t == table && inside(key, &from, &to))
        .map(|((_, key), row)| (key.clone(), row.clone()))
        .collect();
    let more = expected.len() > rows;
    expected.truncate(rows);
    assert_eq!((scan.rows, scan.more), (expected, more), "{from:?} {to:?}");
}

/// Batches, reads, scans and restarts give what a sorted map gives.
pub async fn random_steps_match_a_sorted_map(backend: &dyn Backend) {
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let mut index = started(backend).await;
        let mut map = Map::new();
        for _ in 0..STEPS {
            match rng.below(100) {
                0 => {
                    let next = Generation::new(index.generation().get() + 1);
                    index = backend.reopen(index).await;
                    index.start_generation(next).await.unwrap();
                    index.end_merge().await.unwrap();
                }
                1..=50 => change(&index, &mut map, &mut rng).await,
                _ => read(&index, &map, &mut rng).await,
            }
        }
    }
}
