//! Listings against their definition, and how many rows they read.
//!
//! Owns: prefixes, delimiters, markers, paging, delete markers, uploads.
//! Leaves to others: backends ([`crate::conformance`]).
//! Always: the naive definition is written without any seeking.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_protocol::IndexId;
use holdfast_protocol::row::Completed;
use holdfast_protocol::{ETag, Generation, Order};
use proptest::prelude::*;

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

async fn index_with(batch: Batch) -> MemoryIndex {
    let index = MemoryIndex::new(IndexId::new(1));
    index.start_generation(Generation::new(1)).await.unwrap();
    let transaction = index.begin(Locks::none()).await.unwrap();
    transaction.commit(batch).await.unwrap();
    index
}

/// Live keys, deleted keys, and keys of the neighbouring buckets, which must never show.
fn versions(live: &[&str], deleted: &[&str]) -> Batch {
    let mut batch = Batch::new();
    let ids = || samples::write_id(1);
    for key in live {
        batch.put_current(&samples::version(BUCKET, key, ids(), order(1)));
    }
    for key in deleted {
        batch.put_current(&samples::delete_marker(BUCKET, key, ids(), order(1)));
    }
    for other in [6, 8] {
        for key in ["", "a", "a/b", "\u{10ffff}"] {
            let bucket = BucketId::new(other);
            batch.put_current(&samples::version(bucket, key, ids(), order(1)));
        }
    }
    batch
}

fn names(listing: &Listing<ListEntry>) -> Vec<&str> {
    listing.entries.iter().map(|e| e.key.as_str()).collect()
}

/// Counts the rows that are read.
struct Counting<'a> {
    index: &'a MemoryIndex,
    rows: AtomicUsize,
}

#[async_trait::async_trait]
impl Read for &Counting<'_> {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.rows.fetch_add(1, Ordering::Relaxed);
        self.index.get(table, key).await
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        let scan = self.index.scan(table, from, to, limit).await?;
        self.rows.fetch_add(scan.rows.len(), Ordering::Relaxed);
        Ok(scan)
    }
}

#[tokio::test]
async fn listing_seeks_past_common_prefixes() {
    let mut keys: Vec<String> = Vec::new();
    for directory in ["a", "b", "c"] {
        keys.extend((0..5_000).map(|n| format!("{directory}/{n:05}")));
    }
    keys.push("d".to_owned());
    let live: Vec<&str> = keys.iter().map(String::as_str).collect();
    let index = index_with(versions(&live, &[])).await;
    let counting = Counting {
        index: &index,
        rows: AtomicUsize::new(0),
    };
    let query = ListQuery {
        bucket: BUCKET,
        delimiter: "/",
        max_keys: 1000,
        ..ListQuery::default()
    };
    let listing = list_current(&counting, query).await.unwrap();
    assert_eq!(listing.common_prefixes, ["a/", "b/", "c/"]);
    assert_eq!(names(&listing), ["d"]);
    assert!(!listing.truncated);
    let read = counting.rows.load(Ordering::Relaxed);
    assert!(read <= 3 * CHUNK_ROWS_MIN + 1, "{read} rows read");
}

#[tokio::test]
async fn a_listing_reads_little_more_than_it_shows() {
    let keys: Vec<String> = (0..5_000).map(|n| format!("{n:05}")).collect();
    let live: Vec<&str> = keys.iter().map(String::as_str).collect();
    let index = index_with(versions(&live, &[])).await;
    for (max_keys, most) in [(1, 2), (1000, 1001), (2000, 3 * 1001)] {
        let counting = Counting {
            index: &index,
            rows: AtomicUsize::new(0),
        };
        let query = ListQuery {
            bucket: BUCKET,
            max_keys,
            ..ListQuery::default()
        };
        let listing = list_current(&counting, query).await.unwrap();
        assert_eq!(listing.entries.len(), max_keys);
        assert!(listing.truncated);
        let read = counting.rows.load(Ordering::Relaxed);
        assert!(read <= most, "{read} rows read for {max_keys}");
    }
}

#[tokio::test]
async fn keys_that_are_prefixes_of_others_are_just_keys() {
    let index = index_with(versions(&["a", "a/", "a/b", "a0"], &[])).await;
    let mut query = ListQuery {
        bucket: BUCKET,
        max_keys: 1000,
        ..ListQuery::default()
    };
    let listing = list_current(&index, query).await.unwrap();
    assert_eq!(names(&listing), ["a", "a/", "a/b", "a0"]);
    query.delimiter = "/";
    let listing = list_current(&index, query).await.unwrap();
    assert_eq!(names(&listing), ["a", "a0"]);
    assert_eq!(listing.common_prefixes, ["a/"]);
    query.prefix = "a/";
    let listing = list_current(&index, query).await.unwrap();
    assert_eq!(names(&listing), ["a/", "a/b"]);
    assert!(listing.common_prefixes.is_empty());
}

#[tokio::test]
async fn a_marker_inside_a_common_prefix_hides_it() {
    let index = index_with(versions(&["a/1", "a/2", "a/3", "b/1"], &[])).await;
    let shown = async |after| {
        let query = ListQuery {
            bucket: BUCKET,
            delimiter: "/",
            after: Some(after),
            max_keys: 1000,
            ..ListQuery::default()
        };
        list_current(&index, query).await.unwrap().common_prefixes
    };
    assert_eq!(shown("a").await, ["a/", "b/"]);
    assert_eq!(shown("a/").await, ["b/"]);
    assert_eq!(shown("a/2").await, ["b/"]);
    assert_eq!(shown("b/").await, [""; 0]);
}

#[tokio::test]
async fn delete_markers_are_neither_shown_nor_counted() {
    let deleted = ["a/1", "a/2", "b", "z1", "z2"];
    let index = index_with(versions(&["a/3", "c"], &deleted)).await;
    let query = ListQuery {
        bucket: BUCKET,
        delimiter: "/",
        max_keys: 2,
        ..ListQuery::default()
    };
    let listing = list_current(&index, query).await.unwrap();
    assert_eq!(listing.common_prefixes, ["a/"]);
    assert_eq!(names(&listing), ["c"]);
    assert!(!listing.truncated, "only delete markers follow");
    assert_eq!(listing.next, None);
    let only_deleted = ListQuery {
        prefix: "z",
        ..query
    };
    let listing = list_current(&index, only_deleted).await.unwrap();
    assert_eq!(listing, Listing::empty());
}

#[tokio::test]
async fn no_keys_are_wanted_and_none_are_shown() {
    let index = index_with(versions(&["a"], &[])).await;
    let query = ListQuery {
        bucket: BUCKET,
        ..ListQuery::default()
    };
    assert_eq!(list_current(&index, query).await.unwrap(), Listing::empty());
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("b"),
        Just("/"),
        Just("é"),
        Just("\0"),
        Just("\u{10ffff}")
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn delimiter() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("/"),
        Just("//"),
        Just("a"),
        Just("é"),
        Just("/a")
    ]
}

/// Every entry above the marker, in order: a key, or what it is rolled up into.
fn expected(live: &BTreeSet<String>, query: &ListQuery<'_>) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for key in live {
        let Some(rest) = key.strip_prefix(query.prefix) else {
            continue;
        };
        let cut = match query.delimiter {
            "" => None,
            delimiter => rest.split_once(delimiter),
        };
        let entry = match cut {
            Some((head, _)) => (format!("{}{head}{}", query.prefix, query.delimiter), true),
            None => (key.clone(), false),
        };
        let above = query.after.is_none_or(|after| entry.0.as_str() > after);
        if above && all.last() != Some(&entry) {
            all.push(entry);
        }
    }
    all
}

proptest! {
    #[test]
    fn listings_show_what_the_definition_says(
        live in proptest::collection::btree_set(text(), 0..40),
        deleted in proptest::collection::btree_set(text(), 0..10),
        prefix in text(),
        delimiter in delimiter(),
        after in proptest::option::of(text()),
        max_keys in 0..12_usize,
    ) {
        let live: BTreeSet<String> = live.difference(&deleted).cloned().collect();
        let query = ListQuery {
            bucket: BUCKET,
            prefix: &prefix[..prefix.len().min(if prefix.is_char_boundary(2) { 2 } else { 0 })],
            delimiter,
            after: after.as_deref(),
            max_keys,
        };
        let shown: Vec<&str> = live.iter().map(String::as_str).collect();
        let hidden: Vec<&str> = deleted.iter().map(String::as_str).collect();
        let all = expected(&live, &query);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let index = index_with(versions(&shown, &hidden)).await;
            let listing = list_current(&index, query).await.unwrap();
            prop_assert_eq!(listing.truncated, all.len() > max_keys && max_keys > 0);
            let page: Vec<_> = all.iter().take(max_keys).cloned().collect();
            prop_assert_eq!(&merged(&listing), &page);
            let last = page.last().map(|(name, _)| name.clone());
            prop_assert_eq!(listing.next, last.filter(|_| listing.truncated));
            // Page by page, everything is shown once.
            let (mut after, mut paged) = (after.clone(), Vec::new());
            loop {
                let query = ListQuery { after: after.as_deref(), ..query };
                let listing = list_current(&index, query).await.unwrap();
                paged.extend(merged(&listing));
                let Some(next) = listing.next else { break };
                after = Some(next);
            }
            if max_keys > 0 {
                prop_assert_eq!(paged, all);
            }
            Ok(())
        })?;
    }
}

fn merged(listing: &Listing<ListEntry>) -> Vec<(String, bool)> {
    let keys = listing.entries.iter().map(|e| (e.key.clone(), false));
    let prefixes = listing.common_prefixes.iter().map(|p| (p.clone(), true));
    let mut all: Vec<_> = keys.chain(prefixes).collect();
    all.sort();
    all
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_id_and_continue_within_a_key() {
    let mut batch = Batch::new();
    let mut counter = 0;
    for key in ["a", "a", "a", "b/1", "b/2", "c\0", "c"] {
        counter += 1;
        let write = samples::write_id(counter);
        batch.put_upload(&samples::upload(BUCKET, key, write, order(counter)));
    }
    let mut done = samples::upload(BUCKET, "a", samples::write_id(9), order(9));
    done.completed = Some(Completed {
        write: samples::write_id(10),
        order: order(10),
        etag: ETag::default(),
        checksum: None,
        request_digest: 0,
        at_ms: 0,
    });
    batch.put_upload(&done);
    let other = BucketId::new(8);
    batch.put_upload(&samples::upload(
        other,
        "a",
        samples::write_id(11),
        order(11),
    ));
    let index = index_with(batch).await;
    let (mut after, mut upload_after, mut shown) = (None::<String>, None, Vec::new());
    loop {
        let query = ListQuery {
            bucket: BUCKET,
            delimiter: "/",
            after: after.as_deref(),
            max_keys: 2,
            ..ListQuery::default()
        };
        let listing = list_uploads(&index, query, upload_after, |_| true).await;
        let listing = listing.unwrap();
        shown.extend(
            listing
                .entries
                .iter()
                .map(|e| (e.key.clone(), e.upload.counter)),
        );
        shown.extend(listing.common_prefixes.iter().map(|p| (p.clone(), 0)));
        let Some(next) = listing.next else { break };
        let last = listing.entries.last().filter(|e| e.key == next);
        upload_after = last.map(|e| e.upload);
        after = Some(next);
    }
    let expected = [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b/", 0),
        ("c", 7),
        ("c\0", 6),
    ];
    let expected: Vec<_> = expected.map(|(key, id)| (key.to_owned(), id)).into();
    assert_eq!(shown, expected);
    // Without an upload id, the whole key is behind the marker.
    let query = ListQuery {
        bucket: BUCKET,
        after: Some("a"),
        max_keys: 1,
        ..ListQuery::default()
    };
    let listing = list_uploads(&index, query, None, |_| true).await.unwrap();
    assert_eq!(listing.entries[0].key, "b/1");
    assert!(listing.truncated);
}

#[tokio::test]
async fn pages_of_uploads_are_full_without_those_that_are_not_shown() {
    let mut batch = Batch::new();
    for (key, counter) in [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b/1", 4),
        ("b/2", 5),
        ("c", 7),
        ("d", 8),
    ] {
        let write = samples::write_id(counter);
        batch.put_upload(&samples::upload(BUCKET, key, write, order(counter)));
    }
    let index = index_with(batch).await;
    // They are in no prefix and no marker either.
    let query = ListQuery {
        bucket: BUCKET,
        delimiter: "/",
        max_keys: 2,
        ..ListQuery::default()
    };
    let is_shown = |row: &UploadRow| ![1, 3, 4, 5].contains(&row.manifest.write.counter);
    let listing = list_uploads(&index, query, None, is_shown).await.unwrap();
    let shown = listing.entries.iter().map(|e| e.upload.counter);
    assert_eq!(shown.collect::<Vec<_>>(), [2, 7]);
    assert!(listing.common_prefixes.is_empty());
    assert_eq!(listing.next.as_deref(), Some("c"));
}

#[tokio::test]
async fn a_damaged_row_fails_the_listing() {
    let mut batch = versions(&["a"], &[]);
    let damaged = Row::unordered(Bytes::from_static(b"damaged"));
    batch.set(Table::Current, keys::current(BUCKET, "b"), damaged);
    let index = index_with(batch).await;
    let query = ListQuery {
        bucket: BUCKET,
        max_keys: 10,
        ..ListQuery::default()
    };
    let error = list_current(&index, query).await.unwrap_err();
    assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
}
