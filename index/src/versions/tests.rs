//! Listings of versions against their definition, also while versions move.
//!
//! Owns: order, markers, paging, versions that become noncurrent or current during a listing.
//! Leaves to others: backends ([`crate::conformance`]).
//! Always: the naive definition knows all versions and walks nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use holdfast_protocol::{BucketId, Generation, IndexId, VersionRow};
use proptest::prelude::*;

use super::*;
use crate::conformance::samples;
use crate::{Batch, Index, Locks, MemoryIndex};

const BUCKET: BucketId = BucketId::new(7);

/// The versions of each key, oldest first; `true` is a delete marker.
type Keys = BTreeMap<String, Vec<(u64, bool)>>;

fn order(sequence: u64) -> Order {
    let generation = Generation::new(1);
    Order {
        generation,
        sequence,
    }
}

fn row(bucket: BucketId, key: &str, (sequence, is_marker): (u64, bool)) -> VersionRow {
    let write = samples::write_id(sequence);
    match is_marker {
        true => samples::delete_marker(bucket, key, write, order(sequence)),
        false => samples::version(bucket, key, write, order(sequence)),
    }
}

async fn commit(index: &MemoryIndex, batch: Batch) {
    let transaction = index.begin(Locks::none()).await.unwrap();
    transaction.commit(batch).await.unwrap();
}

/// An index with these keys, and others in the neighbouring buckets.
async fn index_with(keys: &Keys) -> MemoryIndex {
    let index = MemoryIndex::new(IndexId::new(1));
    index.start_generation(Generation::new(1)).await.unwrap();
    let mut batch = Batch::new();
    for (key, versions) in keys {
        let (last, older) = versions.split_last().unwrap();
        batch.put_current(&row(BUCKET, key, *last));
        for version in older {
            batch.put_noncurrent(&row(BUCKET, key, *version));
        }
    }
    for other in [6, 8].map(BucketId::new) {
        batch.put_noncurrent(&row(other, "a", (1, false)));
        batch.put_current(&row(other, "a", (2, false)));
    }
    commit(&index, batch).await;
    index
}

/// An entry as it is compared: a common prefix has no version.
type Shown = (String, Option<(u64, bool)>);

fn shown(listing: &Listing<VersionEntry>) -> Vec<Shown> {
    let version = |entry: &VersionEntry| {
        let sequence = entry.version.version.sequence;
        (entry.key.clone(), Some((sequence, entry.is_latest)))
    };
    let mut all: Vec<Shown> = listing.entries.iter().map(version).collect();
    let prefixes = listing.common_prefixes.iter();
    all.extend(prefixes.map(|prefix| (prefix.clone(), None)));
    // Stable: versions of a key stay as they were listed.
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

/// Every entry above the marker, in order.
fn expected(keys: &Keys, query: &ListQuery<'_>, version_after: Option<Order>) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for (key, versions) in keys {
        let Some(rest) = key.strip_prefix(query.prefix) else {
            continue;
        };
        let cut = rest.split_once(query.delimiter);
        if let Some((head, _)) = cut.filter(|_| !query.delimiter.is_empty()) {
            let prefix = (format!("{}{head}{}", query.prefix, query.delimiter), None);
            let above = query.after.is_none_or(|after| prefix.0.as_str() > after);
            if above && all.last() != Some(&prefix) {
                all.push(prefix);
            }
            continue;
        }
        for (at, (sequence, _)) in versions.iter().enumerate().rev() {
            let is_shown = match query.after {
                Some(after) if after == key => {
                    version_after.is_some_and(|version| order(*sequence) < version)
                }
                after => after.is_none_or(|after| key.as_str() > after),
            };
            if is_shown {
                all.push((key.clone(), Some((*sequence, at + 1 == versions.len()))));
            }
        }
    }
    all
}

/// All pages of a listing, as a client would read them.
async fn all_pages(reader: impl Read + Copy, query: ListQuery<'_>) -> Vec<Shown> {
    let (mut all, mut after, mut version_after) = (Vec::new(), None::<String>, None);
    loop {
        let query = ListQuery {
            after: after.as_deref(),
            ..query
        };
        let page = list_versions(reader, query, version_after).await.unwrap();
        all.extend(shown(&page));
        let Some(next) = page.next else {
            return all;
        };
        let last = page.entries.last().filter(|entry| entry.key == next);
        version_after = last.map(|entry| entry.version.version);
        after = Some(next);
    }
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![Just("a"), Just("/"), Just("\0"), Just("\u{10ffff}")];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

fn keys() -> impl Strategy<Value = Keys> {
    let versions = proptest::collection::vec(any::<bool>(), 1..6);
    proptest::collection::btree_map(text(), versions, 0..12).prop_map(|keys| {
        let mut sequence = 0;
        let mut number = |is_marker| {
            sequence += 1;
            (sequence, is_marker)
        };
        let versions = |marks: Vec<bool>| marks.into_iter().map(&mut number).collect();
        let mut all = Keys::new();
        let mut versions = versions;
        for (key, marks) in keys {
            all.insert(key, versions(marks));
        }
        all
    })
}

proptest! {
    #[test]
    fn versions_are_listed_as_the_definition_says(
        keys in keys(),
        prefix in prop_oneof![Just(""), Just("a"), Just("\0")],
        delimiter in prop_oneof![Just(""), Just("/")],
        after in proptest::option::of(text()),
        version_after in proptest::option::of(0..40_u64),
        max_keys in 1..7_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let index = index_with(&keys).await;
            let version_after = version_after.map(order);
            let query = ListQuery {
                bucket: BUCKET,
                prefix,
                delimiter,
                after: after.as_deref(),
                max_keys,
            };
            let listing = list_versions(&index, query, version_after).await.unwrap();
            let all = expected(&keys, &query, version_after);
            let page = &all[..max_keys.min(all.len())];
            assert_eq!(shown(&listing), page);
            assert_eq!(listing.truncated, all.len() > max_keys);
            let from_start = ListQuery { after: None, ..query };
            assert_eq!(all_pages(&index, from_start).await, expected(&keys, &from_start, None));
        });
    }
}

/// Changes the index before the n-th scan of a table.
struct Moving<'a> {
    index: &'a MemoryIndex,
    table: Table,
    changes: Mutex<Vec<(usize, Batch)>>,
    scans: Mutex<usize>,
}

#[async_trait::async_trait]
impl Read for &Moving<'_> {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.index.get(table, key).await
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        if table == self.table {
            let number = {
                let mut scans = self.scans.lock().unwrap();
                *scans += 1;
                *scans
            };
            let due = {
                let mut changes = self.changes.lock().unwrap();
                changes
                    .iter()
                    .position(|(at, _)| *at == number)
                    .map(|at| changes.remove(at).1)
            };
            if let Some(batch) = due {
                commit(self.index, batch).await;
            }
        }
        self.index.scan(table, from, to, limit).await
    }
}

fn pushed(key: &str, old: (u64, bool), new: (u64, bool)) -> Batch {
    let mut batch = Batch::new();
    batch.put_noncurrent(&row(BUCKET, key, old));
    batch.put_current(&row(BUCKET, key, new));
    batch
}

fn taken_back(key: &str, new: (u64, bool), old: (u64, bool)) -> Batch {
    let mut batch = Batch::new();
    batch.delete_current(BUCKET, key, order(new.0));
    batch.delete_noncurrent(&row(BUCKET, key, old).manifest);
    batch.put_current(&row(BUCKET, key, old));
    batch
}

#[tokio::test]
async fn what_moves_between_the_tables_is_shown_once() {
    let key = "b".to_owned();
    let all = ListQuery {
        bucket: BUCKET,
        max_keys: 100,
        ..ListQuery::default()
    };
    let other = |key: &str, at| (key.to_owned(), vec![(at, false)]);
    for (before, change, after) in [
        // A new version while version 2 is read as current.
        (vec![2], pushed(&key, (2, false), (9, false)), vec![9, 2]),
        // The current version goes, and version 2 becomes current.
        (
            vec![2, 5],
            taken_back(&key, (5, false), (2, false)),
            vec![2],
        ),
    ] {
        for (table, scan) in [(Table::Noncurrent, 1), (Table::Current, 2)] {
            let versions = before.iter().map(|at| (*at, false)).collect();
            let keys = Keys::from([other("a", 1), (key.clone(), versions), other("c", 3)]);
            let index = index_with(&keys).await;
            let moving = Moving {
                index: &index,
                table,
                changes: Mutex::new(vec![(scan, change.clone())]),
                scans: Mutex::new(0),
            };
            let listing = list_versions(&moving, all, None).await.unwrap();
            let listed: Vec<u64> = shown(&listing)
                .into_iter()
                .filter(|(listed, _)| *listed == key)
                .filter_map(|(_, version)| Some(version?.0))
                .collect();
            assert_eq!(listed, after, "moved before scan {scan} of {table:?}");
            assert_eq!(listing.entries.len(), after.len() + 2);
        }
    }
}

#[tokio::test]
async fn a_version_that_came_and_went_meanwhile_is_not_shown_twice() {
    let keys = Keys::from([("a".to_owned(), vec![(1, false), (2, false)])]);
    let index = index_with(&keys).await;
    let moving = Moving {
        index: &index,
        table: Table::Noncurrent,
        changes: Mutex::new(vec![(1, pushed("a", (2, false), (9, false)))]),
        scans: Mutex::new(0),
    };
    let back = Moving {
        index: &index,
        table: Table::Current,
        changes: Mutex::new(vec![(2, taken_back("a", (9, false), (2, false)))]),
        scans: Mutex::new(0),
    };
    let both = Both(&moving, &back);
    let query = ListQuery {
        bucket: BUCKET,
        max_keys: 100,
        ..ListQuery::default()
    };
    let listing = list_versions(&both, query, None).await.unwrap();
    let expected = [
        ("a".to_owned(), Some((2, true))),
        ("a".to_owned(), Some((1, false))),
    ];
    assert_eq!(shown(&listing), expected);
}

/// Two that change the same index, each before scans of its own table.
struct Both<'a>(&'a Moving<'a>, &'a Moving<'a>);

#[async_trait::async_trait]
impl Read for &Both<'_> {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.0.index.get(table, key).await
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        let mut changes = match table == self.0.table {
            true => self.0,
            false => self.1,
        };
        (&mut changes).range(table, from, to, limit).await
    }
}
