//! Typed rows, written and read back.
//!
//! Owns: that each typed change is found by the typed read that goes with it.
//! Leaves to others: byte forms (protocol), backends ([`crate::conformance`]).
//! Always: what is absent or damaged is tested beside what is there.

use holdfast_protocol::{Generation, IndexId, PurgeKind};

use super::*;
use crate::conformance::samples;
use crate::{Batch, Index, Locks, MemoryIndex};

const BUCKET: BucketId = BucketId::new(7);

fn order(sequence: u64) -> Order {
    Order {
        generation: Generation::new(1),
        sequence,
    }
}

async fn new_index() -> MemoryIndex {
    let index = MemoryIndex::new(IndexId::new(1));
    index.start_generation(Generation::new(1)).await.unwrap();
    index
}

async fn commit(index: &MemoryIndex, batch: Batch) -> Result<()> {
    let transaction = index.begin(Locks::none()).await.unwrap();
    transaction.commit(batch).await
}

#[tokio::test]
async fn buckets_are_found_and_listed_by_name() {
    let index = new_index().await;
    let mut batch = Batch::new();
    let all = ["alpha", "beta", "beta.1", "gamma"];
    for (number, name) in (1..).zip(all) {
        batch.put_bucket(&samples::bucket(BucketId::new(number), name, order(number)));
    }
    commit(&index, batch).await.unwrap();
    let beta = get_bucket(&index, "beta").await.unwrap().unwrap();
    assert_eq!(beta.id, BucketId::new(2));
    assert_eq!(get_bucket(&index, "bet").await.unwrap(), None);
    let page = list_buckets(&index, "beta", None, 1).await.unwrap();
    assert_eq!((page.items[0].name.as_str(), page.more), ("beta", true));
    let page = list_buckets(&index, "beta", Some("beta"), 9).await.unwrap();
    assert_eq!((page.items[0].name.as_str(), page.more), ("beta.1", false));
    let page = list_buckets(&index, "beta", Some("alpha"), 9)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 2);
    let mut batch = Batch::new();
    batch.delete_bucket("beta", order(9));
    assert!(commit(&index, batch).await.is_err(), "another order");
    let mut batch = Batch::new();
    batch.delete_bucket("beta", beta.order);
    commit(&index, batch).await.unwrap();
    assert_eq!(get_bucket(&index, "beta").await.unwrap(), None);
}

#[tokio::test]
async fn versions_are_found_in_both_places() {
    let index = new_index().await;
    let version = |n: u64| samples::version(BUCKET, "k", samples::write_id(n), order(n));
    let mut batch = Batch::new();
    batch.put_current(&version(100));
    for number in 1..100 {
        batch.put_noncurrent(&version(number));
    }
    let neighbour = samples::version(BUCKET, "k\0", samples::write_id(200), order(200));
    batch.put_noncurrent(&neighbour);
    commit(&index, batch).await.unwrap();
    let current = get_current(&index, BUCKET, "k").await.unwrap();
    assert_eq!(current, Some(version(100)));
    let old = get_noncurrent(&index, BUCKET, "k", order(3)).await.unwrap();
    assert_eq!(old, Some(version(3)));
    let find = async |n| {
        find_version(&index, BUCKET, "k", order(n), samples::write_id(n))
            .await
            .unwrap()
    };
    assert_eq!(find(100).await, Some((VersionPlace::Current, version(100))));
    assert_eq!(find(1).await, Some((VersionPlace::Noncurrent, version(1))));
    assert_eq!(find(200).await, None);
    let page = list_noncurrent(&index, BUCKET, "k", Some(order(50)), 3)
        .await
        .unwrap();
    assert_eq!(page.items, [version(49), version(48), version(47)]);
    assert!(page.more);
    let page = list_noncurrent(&index, BUCKET, "k", None, 1000)
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.more), (99, false));
    let mut batch = Batch::new();
    batch.delete_current(BUCKET, "k", order(100));
    batch.delete_noncurrent(&version(99).manifest);
    commit(&index, batch).await.unwrap();
    assert_eq!(find(100).await, None);
    assert_eq!(find(99).await, None);
}

#[tokio::test]
async fn a_transaction_reads_the_same_rows() {
    let index = new_index().await;
    let row = samples::version(BUCKET, "k", samples::write_id(1), order(1));
    let mut batch = Batch::new();
    batch.put_current(&row);
    commit(&index, batch).await.unwrap();
    let mut transaction = index.begin(Locks::none().key(BUCKET, "k")).await.unwrap();
    let present = get_current(&mut *transaction, BUCKET, "k").await.unwrap();
    assert_eq!(present, Some(row.clone()));
    let mut moved = row.clone();
    moved.placement.missing = 1;
    let mut batch = Batch::new();
    batch.replace_current(&moved, row.manifest.order);
    transaction.commit(batch).await.unwrap();
    let present = get_current(&index, BUCKET, "k").await.unwrap();
    assert_eq!(present, Some(moved));
}

#[tokio::test]
async fn uploads_are_found_by_id_until_they_are_deleted() {
    let index = new_index().await;
    let upload = samples::upload(BUCKET, "k", samples::write_id(5), order(5));
    let id = upload.manifest.write;
    let mut batch = Batch::new();
    batch.put_upload(&upload);
    for number in [1, 300, 10_000] {
        let write = samples::write_id(u64::from(number));
        batch.put_part(&samples::part(&upload, number, write, order(6)));
    }
    commit(&index, batch).await.unwrap();
    assert_eq!(find_upload(&index, id).await.unwrap(), Some(upload.clone()));
    let found = get_upload(&index, BUCKET, "k", id).await.unwrap();
    assert_eq!(found, Some(upload.clone()));
    assert_eq!(
        find_upload(&index, samples::write_id(6)).await.unwrap(),
        None
    );
    let page = list_parts(&index, id, Some(1), 1).await.unwrap();
    assert_eq!((page.items[0].0, page.more), (300, true));
    let page = list_parts(&index, id, Some(300), 10).await.unwrap();
    assert_eq!((page.items[0].0, page.more), (10_000, false));
    let part = get_part(&index, id, 300).await.unwrap().unwrap();
    assert_eq!(part.manifest.write, samples::write_id(300));
    let mut batch = Batch::new();
    batch.delete_upload(&upload.manifest);
    batch.delete_part(id, 300, order(6));
    commit(&index, batch).await.unwrap();
    assert_eq!(find_upload(&index, id).await.unwrap(), None);
    assert_eq!(get_upload(&index, BUCKET, "k", id).await.unwrap(), None);
    assert_eq!(get_part(&index, id, 300).await.unwrap(), None);
}

#[tokio::test]
async fn the_heal_queue_has_the_least_margin_first_and_the_purge_queue_the_oldest() {
    let index = new_index().await;
    let name = |n: u64| RowName::Version {
        bucket: BUCKET,
        key: "k".to_owned(),
        version: order(n),
        write: samples::write_id(n),
    };
    let purge = |n: u64| PurgeRow {
        kind: PurgeKind::Gone,
        writes: vec![samples::write_id(n)],
        guard: None,
        waiting: vec![DriveId::new(1)],
        guard_holders: Vec::new(),
    };
    let mut batch = Batch::new();
    for (margin, n) in [(1, 1), (0, 2), (1, 3)] {
        let manifest = samples::manifest(BUCKET, "k", samples::write_id(n), order(n));
        batch.put_heal(margin, &name(n), &manifest);
    }
    for n in [7, 5, 6] {
        batch.put_purge(order(n), samples::write_id(n), &purge(n));
    }
    commit(&index, batch).await.unwrap();
    let first = heal_queue(&index, None, 1).await.unwrap();
    assert_eq!((first.items[0].margin, first.more), (0, true));
    assert_eq!(first.items[0].name, name(2));
    assert_eq!(first.items[0].order, order(2));
    assert_eq!(first.items[0].geometry.to_string(), "4+2");
    let rest = heal_queue(&index, Some(&first.items[0].key), 9)
        .await
        .unwrap();
    assert_eq!(rest.items.len(), 2);
    let oldest = purge_queue(&index, None, 9).await.unwrap();
    let orders: Vec<Order> = oldest.items.iter().map(|entry| entry.order).collect();
    assert_eq!(orders, [order(5), order(6), order(7)]);
    assert_eq!(oldest.items[0].row, purge(5));
    let mut batch = Batch::new();
    batch.delete_heal(0, samples::write_id(2));
    batch.delete_purge(order(5), samples::write_id(5));
    commit(&index, batch).await.unwrap();
    let least = heal_queue(&index, None, 1).await.unwrap();
    assert_eq!(least.items[0].margin, 1);
    let oldest = purge_queue(&index, None, 1).await.unwrap();
    assert_eq!(oldest.items[0].order, order(6));
}

#[tokio::test]
async fn system_records_are_listed_by_kind_and_only_newer_ones_replace() {
    let index = new_index().await;
    let mut batch = Batch::new();
    let value = |n: u64| Row::new(order(n), Bytes::from(format!("value {n}")));
    batch
        .put_system("user", "b", value(2))
        .put_system("user", "a", value(1))
        .put_system("user2", "c", value(3));
    commit(&index, batch).await.unwrap();
    let found = get_system(&index, "user", "b").await.unwrap();
    assert_eq!(found, Some(value(2)));
    let page = list_system(&index, "user", None, 9).await.unwrap();
    let users = [("a".to_owned(), value(1)), ("b".to_owned(), value(2))];
    assert_eq!(page.items, users);
    let page = list_system(&index, "user", Some("a"), 9).await.unwrap();
    assert_eq!(page.items, users[1..]);
    let mut batch = Batch::new();
    batch.put_system("user", "b", value(1));
    assert!(commit(&index, batch).await.is_err(), "an older record");
}

#[tokio::test]
async fn a_damaged_row_is_named() {
    let index = new_index().await;
    let mut batch = Batch::new();
    let row = samples::version(BUCKET, "k", samples::write_id(1), order(1));
    let mut bytes = row.encode().to_vec();
    bytes[30] ^= 1;
    let key = keys::current(BUCKET, "k");
    batch.set(Table::Current, key, Row::new(order(1), bytes.into()));
    commit(&index, batch).await.unwrap();
    let error = get_current(&index, BUCKET, "k").await.unwrap_err();
    let IndexError::Damaged { table, key, source } = error else {
        panic!("{error}");
    };
    assert_eq!(table, Table::Current);
    assert!(key.ends_with('k'), "{key}");
    assert!(matches!(source, FormatError::Checksum { .. }), "{source}");
}

fn null_version(n: u64) -> VersionRow {
    samples::version(BUCKET, "k", samples::write_id(n), order(n))
}

fn ordered_version(n: u64) -> VersionRow {
    let mut row = null_version(n);
    row.manifest.kind = ManifestKind::Version(VersionName::Ordered);
    row
}

#[tokio::test]
async fn versions_are_found_by_the_name_that_clients_know() {
    let index = new_index().await;
    let get = async |which| {
        let found = get_version(&index, BUCKET, "k", which).await.unwrap();
        found.map(|(place, row)| (place, row.manifest.order))
    };
    for which in [Which::Current, Which::Null, Which::Id(order(1))] {
        assert_eq!(get(which).await, None);
    }
    let mut batch = Batch::new();
    batch.put_current(&null_version(1));
    commit(&index, batch).await.unwrap();
    let current = Some((VersionPlace::Current, order(1)));
    assert_eq!(get(Which::Current).await, current);
    assert_eq!(get(Which::Null).await, current);
    assert_eq!(get(Which::Id(order(1))).await, None, "it has no id");
    let mut batch = Batch::new();
    batch.delete_current(BUCKET, "k", order(1));
    batch.put_noncurrent(&null_version(1));
    batch.put_noncurrent(&ordered_version(2));
    batch.put_current(&ordered_version(3));
    commit(&index, batch).await.unwrap();
    assert_eq!(
        get(Which::Current).await,
        Some((VersionPlace::Current, order(3)))
    );
    assert_eq!(
        get(Which::Id(order(3))).await,
        Some((VersionPlace::Current, order(3)))
    );
    assert_eq!(
        get(Which::Id(order(2))).await,
        Some((VersionPlace::Noncurrent, order(2)))
    );
    assert_eq!(
        get(Which::Null).await,
        Some((VersionPlace::Noncurrent, order(1)))
    );
    assert_eq!(get(Which::Id(order(1))).await, None, "it has no id");
    let found = get_null(&index, BUCKET, "k").await.unwrap();
    assert_eq!(found, Some(order(1)));
    let mut batch = Batch::new();
    batch.delete_noncurrent(&ordered_version(2).manifest);
    batch.delete_noncurrent(&null_version(1).manifest);
    commit(&index, batch).await.unwrap();
    assert_eq!(get_null(&index, BUCKET, "k").await.unwrap(), None);
    assert_eq!(get(Which::Null).await, None);
}

#[tokio::test]
async fn a_version_that_is_stored_anew_keeps_its_place_and_its_name() {
    let index = new_index().await;
    let mut batch = Batch::new();
    for number in 1..4 {
        batch.put_noncurrent(&ordered_version(number));
    }
    batch.put_current(&ordered_version(4));
    commit(&index, batch).await.unwrap();
    let mut again = ordered_version(2);
    again.manifest.write = samples::write_id(9);
    again.manifest.order = order(9);
    let mut batch = Batch::new();
    batch.replace_noncurrent(&again, order(2));
    commit(&index, batch).await.unwrap();
    let page = list_noncurrent(&index, BUCKET, "k", None, 9).await.unwrap();
    let listed: Vec<Order> = page.items.iter().map(|row| row.manifest.version).collect();
    assert_eq!(listed, [order(3), order(2), order(1)]);
    let found = get_version(&index, BUCKET, "k", Which::Id(order(2))).await;
    assert_eq!(
        found.unwrap(),
        Some((VersionPlace::Noncurrent, again.clone()))
    );
    let find = async |write| {
        find_version(&index, BUCKET, "k", order(2), samples::write_id(write))
            .await
            .unwrap()
    };
    assert_eq!(find(9).await, Some((VersionPlace::Noncurrent, again)));
    assert_eq!(find(2).await, None, "the first write of it is gone");
}

#[tokio::test]
async fn a_version_has_one_metadata_record_the_newest() {
    let index = new_index().await;
    let metadata = |n: u64| {
        let mut row = null_version(n);
        row.manifest.kind = ManifestKind::Metadata {
            name: VersionName::Ordered,
            target: samples::write_id(1),
        };
        row.manifest.version = order(1);
        row
    };
    let get = async || get_metadata(&index, BUCKET, "k", order(1)).await.unwrap();
    assert_eq!(get().await, None);
    for number in [5, 7] {
        let mut batch = Batch::new();
        batch.put_metadata(&metadata(number));
        commit(&index, batch).await.unwrap();
        assert_eq!(get().await, Some(metadata(number)));
    }
    let mut batch = Batch::new();
    batch.put_metadata(&metadata(6));
    assert!(
        commit(&index, batch).await.is_err(),
        "older than what is there"
    );
    let mut batch = Batch::new();
    batch.delete_metadata(&metadata(5).manifest);
    assert!(commit(&index, batch).await.is_err(), "another one is there");
    let mut batch = Batch::new();
    batch.delete_metadata(&metadata(7).manifest);
    commit(&index, batch).await.unwrap();
    assert_eq!(get().await, None);
}

/// Deletes the current version after the first read, as somebody else would.
struct Promoting<'a> {
    index: &'a MemoryIndex,
    is_done: bool,
}

#[async_trait::async_trait]
impl Read for Promoting<'_> {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        let found = self.index.get(table, key).await;
        if !std::mem::replace(&mut self.is_done, true) {
            let mut batch = Batch::new();
            batch.delete_current(BUCKET, "k", order(2));
            batch.delete_noncurrent(&null_version(1).manifest);
            batch.put_current(&null_version(1));
            commit(self.index, batch).await.unwrap();
        }
        found
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<crate::Scan> {
        self.index.scan(table, from, to, limit).await
    }
}

#[tokio::test]
async fn a_version_is_found_that_becomes_current_between_two_reads() {
    for by_write in [true, false] {
        let index = new_index().await;
        let mut batch = Batch::new();
        batch.put_noncurrent(&null_version(1));
        batch.put_current(&ordered_version(2));
        commit(&index, batch).await.unwrap();
        let reader = Promoting {
            index: &index,
            is_done: false,
        };
        let found = match by_write {
            true => find_version(reader, BUCKET, "k", order(1), samples::write_id(1)).await,
            false => get_version(reader, BUCKET, "k", Which::Null).await,
        };
        let expected = Some((VersionPlace::Current, null_version(1)));
        assert_eq!(found.unwrap(), expected);
    }
}
