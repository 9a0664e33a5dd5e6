//! Turns a group of batches into rows to write.
//!
//! Owns: stored keys and values, guards, and the sums of usage and seen positions within a group.
//! Leaves to others: storing the outcome (engines).
//! Always: a refused batch leaves nothing in the group; a later batch sees the earlier ones of its
//! group.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_protocol::row::{SeenRow, Usage};
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{BucketId, DriveId, Order};

use crate::batch::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{Batch, Guard, IndexError, Op, Result, Row, Table, UsageDelta, keys};

/// What an engine holds already.
pub(crate) trait Stored {
    /// The row of a stored key.
    fn stored(&self, table: Table, key: &[u8]) -> Result<Option<Row>>;
    /// The order of the row of a stored key.
    fn stored_order(&self, table: Table, key: &[u8]) -> Result<Option<Order>> {
        Ok(self.stored(table, key)?.map(|row| row.order))
    }
}

/// The key of a row in an engine that keeps all tables in one.
pub(crate) fn stored_key(table: Table, key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + key.len());
    out.put_u8(table.tag());
    out.put_slice(key);
    out.freeze()
}

/// Batches that are written together.
#[derive(Debug)]
pub(crate) struct Group<'a, S> {
    stored: &'a S,
    /// By stored key; `None` deletes.
    staged: BTreeMap<Bytes, Option<Row>>,
}

/// What a batch replaced in the group, last first.
type Undo = Vec<(Bytes, Option<Option<Row>>)>;

impl<'a, S: Stored> Group<'a, S> {
    pub(crate) fn new(stored: &'a S) -> Self {
        Self {
            stored,
            staged: BTreeMap::new(),
        }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// `StaleOrder`, `TooLong`, `Reserved`, `Damaged`, `Read`; the group is unchanged.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<()> {
        let mut undo = Undo::new();
        let outcome = self.add_all(batch, &mut undo);
        if outcome.is_err() {
            for (key, before) in undo.into_iter().rev() {
                match before {
                    Some(row) => self.staged.insert(key, row),
                    None => self.staged.remove(&key),
                };
            }
        }
        outcome
    }

    /// Writes a row beside the batches.
    pub(crate) fn stage(&mut self, table: Table, key: &[u8], row: Row) {
        self.staged.insert(stored_key(table, key), Some(row));
    }

    /// What to write, by stored key; `None` deletes.
    pub(crate) fn into_rows(self) -> BTreeMap<Bytes, Option<Row>> {
        self.staged
    }

    fn add_all(&mut self, batch: &Batch, undo: &mut Undo) -> Result<()> {
        for op in &batch.ops {
            let (table, key, row, guard) = match op {
                Op::Put {
                    table,
                    key,
                    row,
                    guard,
                } => (*table, key, Some(row), *guard),
                Op::Delete { table, key, guard } => (*table, key, None, *guard),
            };
            check_bounds(table, key, row)?;
            let stored_key = stored_key(table, key);
            self.check_guard(table, &stored_key, row, guard)?;
            self.write(stored_key, row.cloned(), undo);
        }
        for (bucket, delta) in &batch.usage {
            self.add_usage(*bucket, *delta, undo)?;
        }
        for (drive, position) in &batch.seen {
            self.add_seen(*drive, *position, undo)?;
        }
        Ok(())
    }

    fn write(&mut self, key: Bytes, row: Option<Row>, undo: &mut Undo) {
        let before = self.staged.insert(key.clone(), row);
        undo.push((key, before));
    }

    fn check_guard(&self, table: Table, key: &[u8], row: Option<&Row>, guard: Guard) -> Result<()> {
        if guard == Guard::Any || (guard == Guard::Newer && row.is_none()) {
            return Ok(());
        }
        let present = match self.staged.get(key) {
            Some(staged) => staged.as_ref().map(|row| row.order),
            None => self.stored.stored_order(table, key)?,
        };
        let (holds, given) = match (guard, row) {
            (Guard::Exactly(expected), _) => (present == Some(expected), expected),
            (_, Some(row)) => (present.is_none_or(|p| p < row.order), row.order),
            (_, None) => return Ok(()),
        };
        match holds {
            true => Ok(()),
            false => Err(IndexError::StaleOrder {
                table,
                key: key[1..].escape_ascii().to_string(),
                present,
                given,
            }),
        }
    }

    fn present(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.stored.stored(table, key),
        }
    }

    fn add_usage(&mut self, bucket: BucketId, delta: UsageDelta, undo: &mut Undo) -> Result<()> {
        let key = stored_key(Table::Usage, &keys::usage(bucket));
        let mut usage = match self.present(Table::Usage, &key)? {
            None => Usage::default(),
            Some(row) => Usage::decode(&row.value)
                .map_err(|e| IndexError::damaged(Table::Usage, &key[1..], e))?,
        };
        let sum = |what: &'static str, have: u64, change: i64| {
            have.checked_add_signed(change).unwrap_or_else(|| {
                tracing::error!(%bucket, what, have, change, "usage out of range, kept at bound");
                have.saturating_add_signed(change)
            })
        };
        match delta {
            UsageDelta::Versions {
                geometry,
                objects,
                bytes,
            } => usage.change(geometry, |have_objects, have_bytes| {
                *have_objects = sum("objects", *have_objects, objects);
                *have_bytes = sum("bytes", *have_bytes, bytes);
            }),
            UsageDelta::Uploads(uploads) => usage.uploads = sum("uploads", usage.uploads, uploads),
        }
        // What holds nothing has no row, so that buckets that are gone leave none.
        let row = (usage != Usage::default()).then(|| Row::unordered(usage.encode()));
        self.write(key, row, undo);
        Ok(())
    }

    fn add_seen(&mut self, drive: DriveId, position: LogPosition, undo: &mut Undo) -> Result<()> {
        let key = stored_key(Table::Seen, &keys::seen(drive));
        let present = match self.present(Table::Seen, &key)? {
            None => None,
            Some(row) => Some(
                SeenRow::decode(&row.value)
                    .map_err(|e| IndexError::damaged(Table::Seen, &key[1..], e))?
                    .end,
            ),
        };
        let behind = present.is_some_and(|p| p.log == position.log && p.batch >= position.batch);
        if !behind {
            let seen = SeenRow { end: position };
            self.write(key, Some(Row::unordered(seen.encode())), undo);
        }
        Ok(())
    }
}

fn check_bounds(table: Table, key: &[u8], row: Option<&Row>) -> Result<()> {
    if table == Table::Meta {
        return Err(IndexError::Reserved { table });
    }
    let too_long = |what, len, max| Err(IndexError::TooLong { what, len, max });
    if key.len() > KEY_BYTES_MAX {
        return too_long("key", key.len(), KEY_BYTES_MAX);
    }
    match row.map_or(0, |row| row.value.len()) {
        len if len > VALUE_BYTES_MAX => too_long("value", len, VALUE_BYTES_MAX),
        _ => Ok(()),
    }
}
