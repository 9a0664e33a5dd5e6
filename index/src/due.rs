//! What lifecycle rules may act on, and when: a queue beside the rows, never sent to a drive.
//!
//! Owns: the entries of [`Table::Due`].
//! Leaves to others: rules, times and acting (gateway).
//! Always: an entry says only that a key or an upload is to be looked at: one too many does
//! nothing. Time 0 says that something changed of which the times are not known.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_protocol::codec::FormatError;
use holdfast_protocol::{BucketId, WriteId};

use crate::rows::Page;
use crate::{Batch, IndexError, Op, Read, Result, Row, Scan, ScanLimit, Table, keys};

/// The time of entries about what is to move to another storage class: later than any other, so
/// that who lets things go does not meet them.
pub const MOVE_MS: u64 = 1 << 63;

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Due {
    /// Its bucket.
    pub bucket: BucketId,
    /// Its key.
    pub key: String,
    /// The upload; `None` for all versions of the key.
    pub upload: Option<WriteId>,
}

/// An entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEntry {
    /// Its key in [`Table::Due`].
    pub stored: Bytes,
    /// When (milliseconds since 1970).
    pub due_ms: u64,
    /// What.
    pub due: Due,
}

impl Due {
    /// The versions of a key.
    pub fn versions(bucket: BucketId, key: &str) -> Self {
        Self {
            bucket,
            key: key.to_owned(),
            upload: None,
        }
    }
    /// An upload of a key.
    pub fn upload(bucket: BucketId, key: &str, upload: WriteId) -> Self {
        Self {
            upload: Some(upload),
            ..Self::versions(bucket, key)
        }
    }
    fn stored(&self, due_ms: u64) -> Bytes {
        keys::due(due_ms, self.bucket, &self.key, self.upload)
    }
}

impl Batch {
    /// Queues what is to be looked at then.
    pub fn put_due(&mut self, due_ms: u64, due: &Due) -> &mut Self {
        let row = Row::unordered(Bytes::new());
        self.set(Table::Due, due.stored(due_ms), row)
    }

    /// Takes an entry out of the queue.
    pub fn delete_due(&mut self, due_ms: u64, due: &Due) -> &mut Self {
        self.delete(Table::Due, due.stored(due_ms))
    }

    /// Queues all keys and uploads whose rows the batch changes, to be looked at at once: for
    /// changes that no rule was asked about.
    pub fn put_due_of_changes(&mut self) -> &mut Self {
        let found = |op: &Op| {
            let (Op::Put { table, key, .. } | Op::Delete { table, key, .. }) = op;
            let (bucket, key, upload) = match table {
                Table::Current => {
                    let (bucket, key) = key.split_at_checked(8)?;
                    let bucket = u64::from_be_bytes(bucket.try_into().ok()?);
                    (BucketId::new(bucket), key.to_vec(), None)
                }
                Table::Noncurrent => {
                    let (bucket, key, _) = keys::parse_noncurrent(key)?;
                    (bucket, key, None)
                }
                Table::Upload => {
                    let (bucket, key, upload) = keys::parse_upload(key)?;
                    (bucket, key, Some(upload))
                }
                _ => return None,
            };
            let key = String::from_utf8(key).ok()?;
            Some(Due {
                bucket,
                key,
                upload,
            })
        };
        let changed: Vec<Due> = self.ops.iter().filter_map(found).collect();
        for due in changed {
            self.put_due(0, &due);
        }
        self
    }
}

/// The entries up to a time, soonest first, behind the key `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list(
    mut reader: impl Read,
    up_to_ms: u64,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<DueEntry>> {
    let end = up_to_ms.min(MOVE_MS - 1) + 1;
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let to = end.to_be_bytes();
    let limit = ScanLimit::rows(limit);
    page(
        reader
            .range(Table::Due, from, Bound::Excluded(&to), limit)
            .await?,
    )
}

/// The entries about what is to move, behind the key `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_moves(
    mut reader: impl Read,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<DueEntry>> {
    let first = MOVE_MS.to_be_bytes();
    let from = after.map_or(Bound::Included(&first[..]), Bound::Excluded);
    let limit = ScanLimit::rows(limit);
    page(
        reader
            .range(Table::Due, from, Bound::Unbounded, limit)
            .await?,
    )
}

fn page(scan: Scan) -> Result<Page<DueEntry>> {
    let items = scan.rows.iter().map(|(stored, _)| entry(stored));
    Ok(Page {
        items: items.collect::<Result<_>>()?,
        more: scan.more,
    })
}

fn entry(stored: &Bytes) -> Result<DueEntry> {
    let damaged = || {
        let what = "key of an entry";
        IndexError::damaged(Table::Due, stored, FormatError::Invalid { what })
    };
    let (due_ms, bucket, key, upload) = keys::parse_due(stored).ok_or_else(damaged)?;
    let key = String::from_utf8(key).map_err(|_| damaged())?;
    let due = Due {
        bucket,
        key,
        upload,
    };
    Ok(DueEntry {
        stored: stored.clone(),
        due_ms,
        due,
    })
}

#[cfg(test)]
mod tests {
    //! Facts about the queue.
    use holdfast_protocol::{GatewayId, Generation};

    use super::*;
    use crate::{Index, Locks, MemoryIndex};

    fn upload(counter: u64) -> WriteId {
        WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        }
    }

    #[tokio::test]
    async fn entries_come_by_time_and_up_to_it() {
        let index = MemoryIndex::new(holdfast_protocol::IndexId::new(1));
        index.start_generation(Generation::new(1)).await.unwrap();
        let bucket = BucketId::new(7);
        let first = Due::versions(bucket, "z\0\u{1}");
        let second = Due::upload(bucket, "a", upload(3));
        let third = Due::versions(bucket, "a");
        let mut batch = Batch::new();
        for (due_ms, due) in [(256, &third), (5, &first), (255, &second), (256, &third)] {
            batch.put_due(due_ms, due);
        }
        let txn = index.begin(Locks::none()).await.unwrap();
        txn.commit(batch).await.unwrap();
        let listed = list(&index, 256, None, 2).await.unwrap();
        let dues: Vec<&Due> = listed.items.iter().map(|entry| &entry.due).collect();
        assert_eq!((dues, listed.more), (vec![&first, &second], true));
        let after = &listed.items[1].stored;
        let rest = list(&index, 256, Some(after), 2).await.unwrap();
        assert_eq!((rest.items.len(), rest.more), (1, false));
        assert_eq!((rest.items[0].due_ms, &rest.items[0].due), (256, &third));
        assert_eq!(list(&index, 255, None, 9).await.unwrap().items.len(), 2);
        let mut batch = Batch::new();
        batch.delete_due(5, &first).delete_due(255, &second);
        let txn = index.begin(Locks::none()).await.unwrap();
        txn.commit(batch).await.unwrap();
        assert_eq!(
            list(&index, u64::MAX, None, 9).await.unwrap().items.len(),
            1
        );
    }

    #[test]
    fn what_a_batch_changes_is_queued_once_each() {
        let bucket = BucketId::new(7);
        let order = holdfast_protocol::Order::ZERO;
        let mut batch = Batch::new();
        batch
            .delete(Table::Current, keys::current(bucket, "k"))
            .delete(Table::Noncurrent, keys::noncurrent(bucket, "k", order))
            .delete(Table::Upload, keys::upload(bucket, "u", upload(1)))
            .delete(Table::Upload, keys::upload_by_id(upload(1)))
            .delete(Table::Part, keys::part(upload(1), 1));
        let before = batch.ops.len();
        batch.put_due_of_changes();
        let mut queued: Vec<Bytes> = Vec::new();
        for op in &batch.ops[before..] {
            let Op::Put {
                table: Table::Due,
                key,
                ..
            } = op
            else {
                panic!("{op:?}");
            };
            queued.push(key.clone());
        }
        queued.dedup();
        let expected = [
            keys::due(0, bucket, "k", None),
            keys::due(0, bucket, "u", Some(upload(1))),
        ];
        assert_eq!(queued, expected);
    }
}
