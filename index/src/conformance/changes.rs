//! Facts on what a batch does.
//!
//! Owns: atomicity, guards, usage, seen positions.
//! Leaves to others: locks, durability.
//! Always: as [`super`].

use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::row::Usage;
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{BucketId, DriveId, Geometry, LogId, Order};

use super::{BUCKET, Backend, Rng, begin, key_lock, order, row, started, within};
use crate::{
    Batch, Index, IndexError, KEY_BYTES_MAX, Locks, Result, Table, UsageDelta, VALUE_BYTES_MAX,
    keys, rows,
};

/// Data and parity shards of two storage classes.
const STANDARD: [u8; 2] = [4, 2];
const NARROW: [u8; 2] = [2, 1];

fn geometry([data, parity]: [u8; 2]) -> Geometry {
    Geometry::new(data, parity).unwrap()
}

fn versions(shards: [u8; 2], objects: i64, bytes: i64) -> UsageDelta {
    UsageDelta::Versions {
        geometry: geometry(shards),
        objects,
        bytes,
    }
}

async fn commit(index: &Arc<dyn Index>, batch: Batch) -> Result<()> {
    begin(index, Locks::none()).await.commit(batch).await
}

async fn value(index: &Arc<dyn Index>, key: &str) -> Option<Bytes> {
    let row = index.get(Table::Current, key.as_bytes()).await.unwrap();
    row.map(|row| row.value)
}

/// One refused operation refuses rows, usage and seen positions of its batch.
pub async fn a_refused_batch_changes_nothing(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut batch = Batch::new();
    batch.put(Table::Current, "stays", row(order(1, 5), "first"));
    commit(&index, batch).await.unwrap();
    let drive = DriveId::new(3);
    let position = LogPosition {
        log: LogId::new(1),
        batch: 1,
    };
    let mut batch = Batch::new();
    batch
        .put(Table::Current, "new", row(order(1, 9), "second"))
        .delete(Table::Current, "stays")
        .put(Table::Current, "stays", row(order(1, 9), "second"))
        .delete_exactly(Table::Current, "absent", order(1, 1))
        .usage(BUCKET, versions(STANDARD, 1, 1))
        .usage(BUCKET, UsageDelta::Uploads(1))
        .seen(drive, position);
    let error = commit(&index, batch).await.unwrap_err();
    assert!(matches!(error, IndexError::StaleOrder { .. }), "{error}");
    assert_eq!(value(&index, "new").await, None);
    assert_eq!(value(&index, "stays").await.unwrap(), "first");
    let usage = rows::get_usage(&*index, BUCKET).await.unwrap();
    assert_eq!(usage, Usage::default());
    assert_eq!(rows::get_seen(&*index, drive).await.unwrap(), None);
}

/// A row is replaced only by a higher order, or by who knows its order exactly.
pub async fn stale_orders_are_refused(backend: &dyn Backend) {
    let index = started(backend).await;
    let attempt = async |change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        change(&mut batch);
        match commit(&index, batch).await {
            Ok(()) => true,
            Err(IndexError::StaleOrder { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let table = Table::Current;
    let put = |order: Order| {
        move |batch: &mut Batch| {
            batch.put(table, "k", row(order, "v"));
        }
    };
    let replace = |order: Order, present: Order| {
        move |batch: &mut Batch| {
            batch.replace(table, "k", row(order, "v"), present);
        }
    };
    let delete = |present: Order| {
        move |batch: &mut Batch| {
            batch.delete_exactly(table, "k", present);
        }
    };
    assert!(
        !attempt(&replace(order(1, 2), order(1, 1))).await,
        "replaces an absent row"
    );
    assert!(
        !attempt(&delete(order(1, 1))).await,
        "deletes an absent row"
    );
    assert!(attempt(&put(order(1, 2))).await);
    assert!(!attempt(&put(order(1, 2))).await, "equal order");
    assert!(!attempt(&put(order(1, 1))).await, "lower sequence");
    assert!(!attempt(&put(order(0, 9))).await, "lower generation");
    assert!(attempt(&put(order(1, 3))).await);
    assert!(attempt(&put(order(2, 1))).await, "higher generation");
    assert!(!attempt(&replace(order(2, 5), order(2, 2))).await);
    assert!(
        attempt(&replace(order(2, 1), order(2, 1))).await,
        "changes in place"
    );
    assert!(!attempt(&delete(order(2, 9))).await);
    assert!(attempt(&delete(order(2, 1))).await);
    assert!(
        attempt(&put(order(1, 1))).await,
        "nothing is left to compare with"
    );
    assert!(
        attempt(&|batch| {
            batch.set(table, "k", row(Order::ZERO, "v"));
        })
        .await
    );
}

/// Guards of a batch see the operations before them, of the same batch and of others.
pub async fn guards_see_earlier_operations(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut batch = Batch::new();
    batch
        .put(Table::Current, "k", row(order(1, 1), "one"))
        .replace(Table::Current, "k", row(order(1, 2), "two"), order(1, 1))
        .delete_exactly(Table::Current, "k", order(1, 2))
        .put(Table::Current, "k", row(order(1, 1), "three"));
    commit(&index, batch).await.unwrap();
    assert_eq!(value(&index, "k").await.unwrap(), "three");
    // Many at once, so that they share groups: exactly one may win each order.
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..64_u64 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            let mut batch = Batch::new();
            let value = format!("{writer}");
            let sequence = 2 + writer % 8;
            batch.put(Table::Current, "race", row(order(1, sequence), &value));
            batch.usage(BUCKET, versions(STANDARD, 1, 0));
            (sequence, commit(&index, batch).await.is_ok())
        });
    }
    let won: Vec<u64> = within("race", tasks.join_all())
        .await
        .into_iter()
        .filter_map(|(sequence, won)| won.then_some(sequence))
        .collect();
    let present = index.get(Table::Current, b"race").await.unwrap().unwrap();
    let highest = won.iter().max().copied().unwrap();
    assert_eq!(present.order, order(1, highest));
    let mut distinct = won.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), won.len(), "an order won twice: {won:?}");
    let usage = rows::get_usage(&*index, BUCKET).await.unwrap();
    assert_eq!(usage.objects(), won.len() as u64);
}

/// What a bucket holds is forgotten with the last of it: a bucket that is gone leaves no row.
pub async fn usage_of_nothing_has_no_row(backend: &dyn Backend) {
    let index = started(backend).await;
    let change = |sign: i64| {
        let mut batch = Batch::new();
        batch.usage(BUCKET, versions(STANDARD, sign, 9 * sign));
        batch
    };
    commit(&index, change(1)).await.unwrap();
    let at = keys::usage(BUCKET);
    assert!(index.get(Table::Usage, &at).await.unwrap().is_some());
    commit(&index, change(-1)).await.unwrap();
    let index = backend.reopen(index).await;
    assert!(index.get(Table::Usage, &at).await.unwrap().is_none());
    let usage = rows::get_usage(&*index, BUCKET).await.unwrap();
    assert_eq!(usage, Default::default());
}

/// The sums of usage are those of the batches that were committed.
pub async fn usage_is_exact_under_concurrency(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let index = Arc::clone(&index);
        tasks.spawn(async move { change_usage(&index, task).await });
    }
    let mut expected = [[0_i64; 5]; 2];
    for sums in within("usage", tasks.join_all()).await {
        for (expected, sum) in expected.iter_mut().flatten().zip(sums.iter().flatten()) {
            *expected += sum;
        }
    }
    let index = backend.reopen(index).await;
    for (bucket, expected) in [1, 2].into_iter().zip(expected) {
        let usage = rows::get_usage(&*index, BucketId::new(bucket))
            .await
            .unwrap();
        let mut found = vec![usage.uploads as i64];
        for geometry in [NARROW, STANDARD].map(geometry) {
            let part = usage.versions.iter().find(|part| part.geometry == geometry);
            let [objects, bytes] = part.map_or([0; 2], |part| [part.objects, part.bytes]);
            found.extend([objects as i64, bytes as i64]);
        }
        assert_eq!(found, expected);
        let geometries = usage.versions.iter().map(|part| part.geometry);
        assert!(geometries.eq([NARROW, STANDARD].map(geometry)));
    }
}

async fn change_usage(index: &Arc<dyn Index>, task: u64) -> [[i64; 5]; 2] {
    let mut rng = Rng::new(task);
    let mut sums = [[0; 5]; 2];
    for round in 0..40 {
        let bucket = rng.below(2);
        // Never below what this task has added itself.
        let sum: &mut [i64; 5] = &mut sums[bucket as usize];
        let mut change = |slot: usize, most: u64| {
            let delta = rng.below(most) as i64 - (rng.below(2) as i64 * sum[slot]);
            (slot, delta)
        };
        let most = [3, 3, 1 << 40, 3, 1 << 40];
        let deltas: Vec<_> = (0..5).map(|slot| change(slot, most[slot])).collect();
        let mut batch = Batch::new();
        batch.set(Table::Heal, format!("{task}"), row(Order::ZERO, "x"));
        let refused = round % 5 == 4;
        if refused {
            batch.delete_exactly(Table::Heal, "never there", order(1, 1));
        }
        let bucket = BucketId::new(bucket + 1);
        batch
            .usage(bucket, versions(STANDARD, deltas[3].1, deltas[4].1))
            .usage(bucket, versions(NARROW, deltas[1].1, deltas[2].1))
            .usage(bucket, UsageDelta::Uploads(deltas[0].1));
        assert_eq!(commit(index, batch).await.is_err(), refused);
        if !refused {
            deltas.iter().for_each(|(slot, delta)| sum[*slot] += delta);
        }
    }
    sums
}

/// Within a log the highest batch counts; another log replaces it.
pub async fn seen_positions_only_advance_within_a_log(backend: &dyn Backend) {
    let index = started(backend).await;
    let drive = DriveId::new(9);
    let at = |log, batch| LogPosition {
        log: LogId::new(log),
        batch,
    };
    for (given, expected) in [
        (at(5, 10), at(5, 10)),
        (at(5, 9), at(5, 10)),
        (at(5, 11), at(5, 11)),
        (at(2, 1), at(2, 1)),
    ] {
        let mut batch = Batch::new();
        batch.seen(drive, given);
        commit(&index, batch).await.unwrap();
        let seen = rows::get_seen(&*index, drive).await.unwrap();
        assert_eq!(seen, Some(expected));
    }
}

/// Keys and values have bounds, and nobody writes what the index keeps of itself.
pub async fn oversize_and_reserved_rows_are_refused(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut batch = Batch::new();
    let key = vec![b'k'; KEY_BYTES_MAX + 1];
    batch.set(Table::Current, key, row(Order::ZERO, "v"));
    let error = commit(&index, batch).await.unwrap_err();
    assert!(
        matches!(error, IndexError::TooLong { what: "key", .. }),
        "{error}"
    );
    let mut batch = Batch::new();
    let mut long = row(Order::ZERO, "");
    long.value = vec![0; VALUE_BYTES_MAX + 1].into();
    batch.set(Table::Current, "k", long);
    let error = commit(&index, batch).await.unwrap_err();
    assert!(
        matches!(error, IndexError::TooLong { what: "value", .. }),
        "{error}"
    );
    let mut batch = Batch::new();
    batch.set(Table::Meta, "settled", row(order(9, 9), ""));
    let error = commit(&index, batch).await.unwrap_err();
    assert!(matches!(error, IndexError::Reserved { .. }), "{error}");
    let mut batch = Batch::new();
    let key = vec![b'k'; KEY_BYTES_MAX];
    batch.set(Table::Current, key, row(Order::ZERO, "v"));
    commit(&index, batch).await.unwrap();
    let transaction = begin(&index, key_lock("k")).await;
    transaction.commit(Batch::new()).await.unwrap();
}
