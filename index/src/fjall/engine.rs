//! Rows in fjall: opening, reading, writing.
//!
//! Owns: the files below the index's directory and what the index knows of itself in them.
//! Leaves to others: grouping and outcomes ([`super::committer`]), locks and orders.
//! Always: one process has the directory open; a group is visible only when it is durable.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use bytes::{Bytes, BytesMut};
use holdfast_protocol::codec::FormatError;
use holdfast_protocol::row::IdentityRow;
use holdfast_protocol::{Generation, IndexId, Order};

use super::FjallConfig;
use crate::apply::{Stored, stored_key};
use crate::memory::stored_range;
use crate::{Cause, IndexError, Result, Row, Scan, ScanLimit, Table};

/// All tables share one keyspace: an idle one would keep the journals of the others alive.
const KEYSPACE: &str = "rows";
const FILES: &str = "fjall";
const FILES_UNFINISHED: &str = "fjall.new";
const LOCK: &str = "lock";
const IDENTITY: &[u8] = b"identity";
const SETTLED: &[u8] = b"settled";
/// One worker may wait for a place in the queue that only another one can make.
const WORKERS: usize = 2;
/// Within one of our groups these grow by less than what is left to the engine's own limits (4 and
/// 30), at which it would wait without a deadline.
const SEALED_MEMTABLES_MAX: usize = 2;
const LEVEL_0_TABLES_MAX: usize = 24;
const POLL: Duration = Duration::from_millis(5);
const REOPENS_MAX: usize = 3;

/// What the index knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: IndexId,
    pub(super) generation: Generation,
}

/// An open index directory. Fields are dropped in this order: the lock goes last.
pub(super) struct Engine {
    rows: Keyspace,
    db: Database,
    stall_timeout: Duration,
    #[cfg(test)]
    pub(super) fault: std::sync::Mutex<Fault>,
    _lock: File,
}

/// How the next write fails, in tests.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// Nothing is written.
    BeforeWrite,
    /// All is written, but the sync is said to have failed.
    AfterWrite,
    Panic,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Whether an index was ever made in `directory`.
pub(super) fn exists(directory: &Path) -> bool {
    directory.join(FILES).exists()
}

impl Engine {
    /// Opens the index in a directory, making one if there is none.
    pub(super) fn open(config: &FjallConfig) -> Result<(Self, Identity, Order)> {
        let path = &config.path;
        let failed = |source: Cause| IndexError::Open {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(path).map_err(|e| failed(e.into()))?;
        let lock = lock(path)?;
        let files = path.join(FILES);
        if !files.exists() {
            create(config).map_err(failed)?;
        }
        let (db, rows) = open_settled(config, &files).map_err(failed)?;
        let engine = Self {
            rows,
            db,
            stall_timeout: config.stall_timeout,
            #[cfg(test)]
            fault: std::sync::Mutex::default(),
            _lock: lock,
        };
        let identity = engine
            .stored(Table::Meta, &stored_key(Table::Meta, IDENTITY))?
            .and_then(|row| decode_identity(&row))
            .ok_or_else(|| IndexError::Foreign {
                path: path.clone(),
                what: "its identity is missing".into(),
            })?;
        let settled = engine
            .stored(Table::Meta, &stored_key(Table::Meta, SETTLED))?
            .map_or(Order::ZERO, |row| row.order);
        Ok((engine, identity, settled))
    }

    /// Reads a range of a table.
    pub(super) fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        let mut scan = Scan::default();
        let Some(range) = stored_range(table, from, to) else {
            return Ok(scan);
        };
        let mut bytes = 0;
        for item in self.rows.range::<Bytes, _>(range) {
            if !scan.rows.is_empty() && (scan.rows.len() >= limit.rows || bytes >= limit.bytes) {
                scan.more = true;
                break;
            }
            let (key, value) = item.into_inner().map_err(|e| read_failed(table, e))?;
            let key = Bytes::from(key).slice(1..);
            let row = decode_row(table, &key, value.into())?;
            bytes += key.len() + row.value.len();
            scan.rows.push((key, row));
        }
        Ok(scan)
    }

    /// Writes a group, durably, under one sync.
    ///
    /// # Errors
    /// What failed, for people; whether the group is durable is unknown then.
    pub(super) fn write(
        &self,
        rows: BTreeMap<Bytes, Option<Row>>,
    ) -> std::result::Result<(), String> {
        #[cfg(test)]
        self.fail(&[Fault::BeforeWrite, Fault::Panic])?;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (key, row) in rows {
            match row {
                Some(row) => batch.insert(&self.rows, key, encode_row(&row)),
                None => batch.remove(&self.rows, key),
            }
        }
        batch.commit().map_err(|e| e.to_string())?;
        #[cfg(test)]
        self.fail(&[Fault::AfterWrite])?;
        Ok(())
    }

    #[cfg(test)]
    fn fail(&self, here: &[Fault]) -> std::result::Result<(), String> {
        let mut fault = self.fault.lock().unwrap();
        if !here.contains(&fault) {
            return Ok(());
        }
        let fault = std::mem::take(&mut *fault);
        assert_ne!(fault, Fault::Panic, "injected");
        Err("injected".into())
    }

    /// Waits until background work left room for another group; says whether it had to wait.
    ///
    /// # Errors
    /// What failed, for people: nothing was written, but nothing can be any more.
    pub(super) fn wait_for_room(&self) -> std::result::Result<bool, String> {
        let full = || {
            self.rows.sealed_memtable_count() > SEALED_MEMTABLES_MAX
                || self.rows.l0_table_count() > LEVEL_0_TABLES_MAX
        };
        if !full() {
            return Ok(false);
        }
        let deadline = Instant::now() + self.stall_timeout;
        while full() {
            // Fails when a background thread has failed.
            self.db
                .persist(PersistMode::Buffer)
                .map_err(|e| e.to_string())?;
            if Instant::now() > deadline {
                return Err(format!(
                    "flush and compaction made no room within {:?}",
                    self.stall_timeout
                ));
            }
            std::thread::sleep(POLL);
        }
        Ok(true)
    }
}

impl Stored for Engine {
    fn stored(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        match self.rows.get(key).map_err(|e| read_failed(table, e))? {
            None => Ok(None),
            Some(value) => decode_row(table, &key[1..], value.into()).map(Some),
        }
    }
}

/// The row whose value is the identity, and whose order has the generation.
pub(super) fn identity_row(identity: Identity) -> (&'static [u8], Row) {
    let order = Order {
        generation: identity.generation,
        sequence: 0,
    };
    let id = IdentityRow { id: identity.id };
    (IDENTITY, Row::new(order, id.encode()))
}

/// The row whose order is the settled mark.
pub(super) fn settled_row(settled: Order) -> (&'static [u8], Row) {
    (SETTLED, Row::new(settled, Bytes::new()))
}

fn decode_identity(row: &Row) -> Option<Identity> {
    Some(Identity {
        id: IdentityRow::decode(&row.value).ok()?.id,
        generation: row.order.generation,
    })
}

fn encode_row(row: &Row) -> Bytes {
    let mut out = BytesMut::with_capacity(Order::LEN + row.value.len());
    out.extend_from_slice(&row.order.to_key());
    out.extend_from_slice(&row.value);
    out.freeze()
}

fn decode_row(table: Table, key: &[u8], mut value: Bytes) -> Result<Row> {
    let Some(order) = value.first_chunk::<{ Order::LEN }>() else {
        let (needed, left) = (Order::LEN, value.len());
        return Err(IndexError::damaged(
            table,
            key,
            FormatError::Truncated { needed, left },
        ));
    };
    let order = Order::from_key(*order);
    Ok(Row {
        order,
        value: value.split_off(Order::LEN),
    })
}

fn read_failed(table: Table, error: ::fjall::Error) -> IndexError {
    IndexError::Read {
        table,
        source: error.into(),
    }
}

fn lock(path: &Path) -> Result<File> {
    let failed = |source: std::io::Error| IndexError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IndexError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Makes the files under another name first, so that a crash never leaves half of them under the
/// real one.
fn create(config: &FjallConfig) -> std::result::Result<(), Cause> {
    let unfinished = config.path.join(FILES_UNFINISHED);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut id = [0_u8; 16];
    getrandom::fill(&mut id)?;
    let identity = Identity {
        id: IndexId::new(u128::from_le_bytes(id)),
        generation: Generation::new(0),
    };
    let (db, rows) = open_files(config, &unfinished)?;
    let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
    for (key, row) in [identity_row(identity), settled_row(Order::ZERO)] {
        batch.insert(&rows, stored_key(Table::Meta, key), encode_row(&row));
    }
    batch.commit()?;
    drop((rows, db));
    fs::rename(&unfinished, config.path.join(FILES))?;
    File::open(&config.path)?.sync_all()?;
    Ok(())
}

/// Opens, and waits until memtables recovered from the journals are flushed; some releases of the
/// engine forget to, and remember when opened again.
fn open_settled(
    config: &FjallConfig,
    files: &Path,
) -> std::result::Result<(Database, Keyspace), Cause> {
    let mut reopened = 0;
    loop {
        let (db, rows) = open_files(config, files)?;
        let deadline = Instant::now() + config.stall_timeout;
        while rows.sealed_memtable_count() > 0 && Instant::now() < deadline {
            db.persist(PersistMode::Buffer)?;
            std::thread::sleep(POLL);
        }
        if rows.sealed_memtable_count() == 0 {
            return Ok((db, rows));
        }
        reopened += 1;
        if reopened > REOPENS_MAX {
            return Err("memtables recovered from the journal are not flushed".into());
        }
        tracing::warn!(
            reopened,
            "recovered memtables are not flushed, opening the index again"
        );
    }
}

fn open_files(
    config: &FjallConfig,
    files: &Path,
) -> std::result::Result<(Database, Keyspace), Cause> {
    let db = Database::builder(files)
        .cache_size(config.cache_bytes)
        .worker_threads(WORKERS)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .max_cached_files(Some(config.open_files_max.max(OPEN_FILES_MIN)))
        .open()?;
    let memtable_bytes = config.memtable_bytes;
    let rows = db.keyspace(KEYSPACE, || {
        KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
    })?;
    Ok((db, rows))
}

/// Beyond it the engine flushes to let go of its oldest journal.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;
/// The engine refuses fewer.
const OPEN_FILES_MIN: usize = 10;
