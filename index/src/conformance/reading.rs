//! Facts on gets and scans.
//!
//! Owns: order, bounds and limits of what is read.
//! Leaves to others: changes, locks.
//! Always: as [`super`].

use std::ops::Bound;

use super::{Backend, row, started};
use crate::{Batch, Index, Locks, ScanLimit, Table};
use holdfast_protocol::Order;

const KEYS: [&[u8]; 9] = [
    b"",
    b"\0",
    b"\0\xff",
    b"a",
    b"a\0",
    b"a/",
    b"b",
    b"\xff",
    b"\xff\xff",
];

async fn fill(index: &dyn Index, table: Table, value: &str) {
    let mut batch = Batch::new();
    for key in KEYS.iter().rev() {
        batch.set(table, key.to_vec(), row(Order::ZERO, value));
    }
    let transaction = index.begin(Locks::none()).await.unwrap();
    transaction.commit(batch).await.unwrap();
}

async fn scan_keys(index: &dyn Index, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Vec<u8>> {
    let limit = ScanLimit::rows(100);
    let scan = index.scan(Table::Current, from, to, limit).await.unwrap();
    assert!(!scan.more);
    scan.rows.into_iter().map(|(key, _)| key.to_vec()).collect()
}

/// Rows come in the order of their bytes, and every kind of bound holds.
pub async fn scans_are_ascending_and_bounded(backend: &dyn Backend) {
    let index = started(backend).await;
    fill(&*index, Table::Current, "value").await;
    let bounds = |key| [Bound::Included(key), Bound::Excluded(key)];
    let mut all = vec![Bound::Unbounded];
    all.extend(KEYS.iter().flat_map(|key| bounds(*key)));
    for from in &all {
        for to in &all {
            let within = |key: &&&[u8]| {
                let above = match from {
                    Bound::Unbounded => true,
                    Bound::Included(from) => *key >= from,
                    Bound::Excluded(from) => *key > from,
                };
                above
                    && match to {
                        Bound::Unbounded => true,
                        Bound::Included(to) => *key <= to,
                        Bound::Excluded(to) => *key < to,
                    }
            };
            let expected: Vec<Vec<u8>> =
                KEYS.iter().filter(within).map(|key| key.to_vec()).collect();
            assert_eq!(
                scan_keys(&*index, *from, *to).await,
                expected,
                "{from:?} {to:?}"
            );
        }
    }
}

/// A scan stops at its limits, returns one row at least, and says exactly whether more follow.
pub async fn scan_limits_say_whether_there_is_more(backend: &dyn Backend) {
    let index = started(backend).await;
    fill(&*index, Table::Current, &"v".repeat(100)).await;
    let scan = async |rows, bytes| {
        let limit = ScanLimit { rows, bytes };
        let (from, to) = (Bound::Unbounded, Bound::Unbounded);
        let scan = index.scan(Table::Current, from, to, limit).await.unwrap();
        (scan.rows.len(), scan.more)
    };
    let all = KEYS.len();
    assert_eq!(scan(4, 1 << 20).await, (4, true));
    assert_eq!(scan(all - 1, 1 << 20).await, (all - 1, true));
    assert_eq!(scan(all, 1 << 20).await, (all, false));
    assert_eq!(scan(2 * all, 1 << 20).await, (all, false));
    assert_eq!(scan(2000, 1 << 20).await, (all, false));
    assert_eq!(scan(all, 1).await, (1, true));
    assert_eq!(scan(2000, 150).await, (2, true));
    assert_eq!(scan(0, 0).await, (1, true));
}

/// The same key in two tables is two rows, and a scan never leaves its table.
pub async fn tables_do_not_see_each_other(backend: &dyn Backend) {
    let index = started(backend).await;
    let tables: Vec<Table> = Table::ALL
        .into_iter()
        .filter(|table| *table != Table::Meta)
        .collect();
    for table in &tables {
        fill(&*index, *table, &format!("{table:?}")).await;
    }
    for table in &tables {
        let value = format!("{table:?}");
        let limit = ScanLimit::rows(100);
        let (from, to) = (Bound::Unbounded, Bound::Unbounded);
        let scan = index.scan(*table, from, to, limit).await.unwrap();
        assert_eq!(scan.rows.len(), KEYS.len());
        assert!(scan.rows.iter().all(|(_, row)| row.value == value));
        let one = index.get(*table, b"a/").await.unwrap().unwrap();
        assert_eq!(one.value, value);
    }
}

/// Ranges that hold nothing, or end before they begin, are empty and no error.
pub async fn empty_and_inverted_ranges_are_empty(backend: &dyn Backend) {
    let index = started(backend).await;
    let nothing: Vec<Vec<u8>> = Vec::new();
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    assert_eq!(scan_keys(&*index, from, to).await, nothing);
    fill(&*index, Table::Current, "value").await;
    for (from, to) in [
        (Bound::Included(&b"b"[..]), Bound::Included(&b"a"[..])),
        (Bound::Excluded(&b"a"[..]), Bound::Excluded(&b"a"[..])),
        (Bound::Included(&b"a"[..]), Bound::Excluded(&b"a"[..])),
        (Bound::Excluded(&b"a/"[..]), Bound::Excluded(&b"b"[..])),
    ] {
        assert_eq!(
            scan_keys(&*index, from, to).await,
            nothing,
            "{from:?} {to:?}"
        );
    }
    assert_eq!(index.get(Table::Current, b"absent").await.unwrap(), None);
}
