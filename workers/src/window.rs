//! Inventories of several drives beside the rows of the index, a range of writes at a time.
//!
//! Owns: paging through inventories in step, and paging through all rows that have a placement.
//! Leaves to others: what a difference means ([`crate::compare`], [`crate::check`]).
//! Always: memory is bounded by the configured window, however much the drives hold: the index is
//! read once for each window.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use holdfast_index::{Index, IndexError, ScanLimit, Table, keys};
use holdfast_protocol::row::RowName;
use holdfast_protocol::rpc::{DriveError, InventoryEntry};
use holdfast_protocol::{DriveId, FormatError, Order, RecordKind, UploadRow, VersionRow, WriteId};
use holdfast_seam::planted;
use holdfast_store::survey::{self, InventoryQuery};
use holdfast_store::{Store, row_name};

use crate::error::Result;

/// Rows read at once.
const SCAN_ROWS: usize = 1000;

/// One drive being listed.
struct Side {
    drive: DriveId,
    listed: VecDeque<InventoryEntry>,
    after: Option<WriteId>,
    is_done: bool,
}

/// Inventories of several drives, in step.
pub(crate) struct Windows<'a> {
    store: &'a Store,
    index: &'a dyn Index,
    deadline: Duration,
    page: u32,
    /// Entries of each side in one window.
    share: usize,
    sides: Vec<Side>,
    low: Option<WriteId>,
    is_done: bool,
    /// Drives that stopped answering, and why.
    pub(crate) failed: BTreeMap<DriveId, DriveError>,
}

/// What one drive holds of one write.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) drive: DriveId,
    pub(crate) entry: InventoryEntry,
    /// Whether a row was found that explains it.
    pub(crate) is_known: bool,
}

/// A range of writes, and what the drives hold of it.
pub(crate) struct Window {
    low: Option<WriteId>,
    high: Option<WriteId>,
    /// The settled mark before the drives were asked: writes at or above it may have changed since.
    pub(crate) mark: Order,
    pub(crate) seen: BTreeMap<WriteId, Vec<Seen>>,
}

impl<'a> Windows<'a> {
    /// Lists these drives, keeping about `entries` in memory.
    pub(crate) fn new(
        store: &'a Store,
        index: &'a dyn Index,
        deadline: Duration,
        page: u32,
        entries: usize,
        drives: &[DriveId],
    ) -> Self {
        let side = |&drive| Side {
            drive,
            listed: VecDeque::new(),
            after: None,
            is_done: false,
        };
        Self {
            store,
            index,
            deadline,
            page,
            share: (entries / drives.len().max(1)).max(page as usize),
            sides: drives.iter().map(side).collect(),
            low: None,
            is_done: false,
            failed: BTreeMap::new(),
        }
    }

    /// The next range; `None` after the last. There is one range at least, also without drives.
    ///
    /// # Errors
    /// `Index`. A drive that fails is left out from then on, see `failed`.
    pub(crate) async fn next(&mut self) -> Result<Option<Window>> {
        if self.is_done {
            return Ok(None);
        }
        let mark = self.index.settled().await?;
        for side in &mut self.sides {
            let filled = fill(self.store, side, self.share, self.page, self.deadline).await;
            if let Err(error) = filled {
                self.failed.insert(side.drive, error);
            }
        }
        self.sides
            .retain(|side| !self.failed.contains_key(&side.drive));
        let unfinished = self.sides.iter().filter(|side| !side.is_done);
        let high = unfinished
            .filter_map(|side| side.listed.back().map(|e| e.write))
            .min();
        let mut seen: BTreeMap<WriteId, Vec<Seen>> = BTreeMap::new();
        for side in &mut self.sides {
            while let Some(entry) = side.listed.front()
                && high.is_none_or(|high| entry.write <= high)
            {
                let (entry, drive) = (*entry, side.drive);
                side.listed.pop_front();
                let here = Seen {
                    drive,
                    entry,
                    is_known: false,
                };
                seen.entry(entry.write).or_default().push(here);
            }
        }
        let low = std::mem::replace(&mut self.low, high);
        self.is_done = high.is_none();
        Ok(Some(Window {
            low,
            high,
            mark,
            seen,
        }))
    }
}

async fn fill(
    store: &Store,
    side: &mut Side,
    share: usize,
    page: u32,
    deadline: Duration,
) -> std::result::Result<(), DriveError> {
    while !side.is_done && side.listed.len() < share {
        let mut query = InventoryQuery::from_order(Order::ZERO, page);
        query.after = side.after;
        let listed = survey::inventory(store.drives(), side.drive, deadline, query).await?;
        side.after = listed
            .entries
            .last()
            .map(|entry| entry.write)
            .or(side.after);
        side.listed.extend(listed.entries);
        side.is_done = !listed.more;
    }
    Ok(())
}

impl Window {
    /// Whether a write is in the range.
    pub(crate) fn holds(&self, write: WriteId) -> bool {
        self.low.is_none_or(|low| write > low) && self.high.is_none_or(|high| write <= high)
    }

    /// What a drive holds of a write; notes that a row explains it.
    pub(crate) fn explain(&mut self, write: WriteId, drive: DriveId) -> Option<InventoryEntry> {
        let seen = self.seen.get_mut(&write)?;
        let here = seen.iter_mut().find(|seen| seen.drive == drive)?;
        here.is_known = true;
        Some(here.entry)
    }

    /// Notes that something explains all copies of a write, wherever they are.
    pub(crate) fn explain_all(&mut self, write: WriteId) {
        for seen in self.seen.get_mut(&write).into_iter().flatten() {
            seen.is_known = true;
        }
    }

    /// Copies that no row explains, of writes that were settled before the drives were asked.
    /// System records are compared for themselves.
    pub(crate) fn unexplained(&self) -> Vec<(DriveId, InventoryEntry)> {
        let mut found: Vec<(DriveId, InventoryEntry)> = self
            .seen
            .values()
            .flatten()
            .filter(|seen| {
                !seen.is_known
                    && (seen.entry.order < self.mark || planted("sweep-without-fence"))
                    && seen.entry.kind != RecordKind::System
            })
            .map(|seen| (seen.drive, seen.entry))
            .collect();
        found.sort_by_key(|(drive, entry)| (entry.write, *drive));
        found
    }
}

/// A row that has a placement.
#[derive(Clone, Debug)]
pub(crate) struct PlacedRow {
    pub(crate) name: RowName,
    /// Manifest and placement.
    pub(crate) row: VersionRow,
    /// Whether it is an upload that was completed.
    pub(crate) is_completed: bool,
    /// Whether it is a version that is not its key's current one.
    pub(crate) is_noncurrent: bool,
}

/// Pages through all rows that have a placement.
pub(crate) struct RowScan<'a> {
    index: &'a dyn Index,
    tables: VecDeque<Table>,
    after: Option<Bytes>,
}

impl<'a> RowScan<'a> {
    pub(crate) fn new(index: &'a dyn Index) -> Self {
        let tables = [
            Table::Current,
            Table::Noncurrent,
            Table::Part,
            Table::Upload,
            Table::Metadata,
        ];
        Self {
            index,
            tables: tables.into(),
            after: None,
        }
    }

    /// Goes on from a [`RowScan::cursor`]; from the beginning without one, or with a wrong one.
    pub(crate) fn go_on(&mut self, cursor: Option<&[u8]>) {
        let Some((tag, key)) = cursor.and_then(<[u8]>::split_first) else {
            return;
        };
        if let Some(at) = self.tables.iter().position(|table| table.tag() == *tag) {
            self.tables.drain(..at);
            self.after = Some(Bytes::copy_from_slice(key));
        }
    }

    /// Where it is, after the rows of the last page; `None` at an end of a table.
    pub(crate) fn cursor(&self) -> Option<Bytes> {
        let (table, after) = (self.tables.front()?, self.after.as_ref()?);
        Some([&[table.tag()], &after[..]].concat().into())
    }

    /// The next rows, and rows that cannot be decoded; `None` after the last.
    ///
    /// # Errors
    /// `Read`.
    pub(crate) async fn next(
        &mut self,
    ) -> Result<Option<Vec<std::result::Result<PlacedRow, IndexError>>>> {
        let Some(&table) = self.tables.front() else {
            return Ok(None);
        };
        let from = self
            .after
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let limit = ScanLimit::rows(SCAN_ROWS);
        let scan = self
            .index
            .scan(table, from, Bound::Unbounded, limit)
            .await?;
        let mut rows = Vec::with_capacity(scan.rows.len());
        for (key, row) in &scan.rows {
            if table == Table::Upload && keys::parse_upload(key).is_none() {
                continue;
            }
            rows.push(
                decode(table, &row.value).map_err(|source| IndexError::Damaged {
                    table,
                    key: key.escape_ascii().to_string(),
                    source,
                }),
            );
        }
        self.after = scan.rows.last().map(|(key, _)| key.clone());
        if !scan.more {
            self.tables.pop_front();
            self.after = None;
        }
        Ok(Some(rows))
    }
}

fn decode(table: Table, value: &[u8]) -> std::result::Result<PlacedRow, FormatError> {
    let (row, is_completed) = match table {
        Table::Upload => {
            let UploadRow {
                manifest,
                placement,
                completed,
            } = UploadRow::decode(value)?;
            (
                VersionRow {
                    manifest,
                    placement,
                    changed: None,
                },
                completed.is_some(),
            )
        }
        _ => (VersionRow::decode(value)?, false),
    };
    Ok(PlacedRow {
        name: row_name(&row.manifest),
        row,
        is_completed,
        is_noncurrent: table == Table::Noncurrent,
    })
}
