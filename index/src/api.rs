//! The interface of every index.
//!
//! Owns: [`Index`], [`Transaction`] and what goes through them.
//! Leaves to others: keys ([`crate::keys`]), typed rows ([`crate::rows`]), listings
//! ([`crate::listing`]), engines.
//! Always: a batch takes effect wholly or not at all, and is durable when its commit returns `Ok`.

use std::fmt::Debug;
use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::{Generation, IndexId, Order};

use crate::{Batch, Locks, Result};

/// A name space of ordered byte keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What the index knows of itself; kept by the index alone.
    Meta = 1,
    /// Buckets by name.
    Bucket = 2,
    /// The current version of each key, delete markers included.
    Current = 3,
    /// Older versions, newest first within a key.
    Noncurrent = 4,
    /// Uploads, by key and by id.
    Upload = 5,
    /// Parts by upload and number.
    Part = 6,
    /// Rows whose shards or copies are incomplete, least margin first.
    Heal = 7,
    /// Writes to purge, oldest first.
    Purge = 8,
    /// Usage by bucket; kept through [`Batch::usage`].
    Usage = 9,
    /// The newest system record of each (kind, name).
    System = 10,
    /// How far each drive's log was seen; kept through [`Batch::seen`].
    Seen = 11,
    /// The metadata record of each version that has one.
    Metadata = 12,
    /// Which version of a key is its noncurrent null version, as the order of the row, which has
    /// no value; kept with [`Table::Noncurrent`].
    Null = 13,
    /// Keys and uploads that lifecycle rules may act on, soonest first; nothing but keys. Local:
    /// it stands for no record, and is made again from the other tables ([`crate::due`]).
    Due = 14,
    /// Events that wait to be told, by target and order. A rebuild does not bring them back.
    Event = 15,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Meta,
        Self::Bucket,
        Self::Current,
        Self::Noncurrent,
        Self::Upload,
        Self::Part,
        Self::Heal,
        Self::Purge,
        Self::Usage,
        Self::System,
        Self::Seen,
        Self::Metadata,
        Self::Null,
        Self::Due,
        Self::Event,
    ];

    /// The number that names the table in stored keys.
    pub const fn tag(self) -> u8 {
        self as u8
    }
}

/// A stored value and what orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The order of the change that the row stands for; [`Order::ZERO`] where none applies.
    pub order: Order,
    /// The value.
    pub value: Bytes,
}

impl Row {
    /// A row.
    pub fn new(order: Order, value: Bytes) -> Self {
        Self { order, value }
    }
    /// A row that no change orders.
    pub fn unordered(value: Bytes) -> Self {
        Self::new(Order::ZERO, value)
    }
}

/// When a scan stops; it returns one row at least, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// Most rows.
    pub rows: usize,
    /// Stops after the row with which keys and values reach this many bytes.
    pub bytes: usize,
}

impl ScanLimit {
    /// So many rows, within 4 MiB.
    pub const fn rows(rows: usize) -> Self {
        Self {
            rows,
            bytes: 4 << 20,
        }
    }
}

/// Rows in ascending order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Key and row.
    pub rows: Vec<(Bytes, Row)>,
    /// Whether the range holds more after the last.
    pub more: bool,
}

/// Maps names to manifests, and decides what exists.
///
/// Opened, claimed ([`Index::start_generation`]), merged with the drives ([`Index::end_merge`]),
/// used, closed. Reading is possible from the beginning, committing from the claim on.
#[async_trait]
pub trait Index: Send + Sync + Debug + 'static {
    /// Its identity: random, made with the index.
    fn id(&self) -> IndexId;

    /// The generation last started under; 0 when new.
    fn generation(&self) -> Generation;

    /// Starts a generation, durably: orders are given under it from then on, their sequence from 1.
    ///
    /// The settled mark stays where it is until [`Index::end_merge`].
    ///
    /// # Errors
    /// `OldGeneration` if it is not above the last one; `Broken`, `Unknown`, `Closed`.
    async fn start_generation(&self, generation: Generation) -> Result<()>;

    /// Says that everything at or above the settled mark was merged: from now on the mark advances.
    ///
    /// # Errors
    /// `NotStarted`; `Broken`, `Unknown`, `Closed`.
    async fn end_merge(&self) -> Result<()>;

    /// Reads one row as last committed.
    ///
    /// # Errors
    /// `Read`, `Damaged`.
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>>;

    /// Reads the rows of a range, ascending, as of one moment.
    ///
    /// # Errors
    /// `Read`, `Damaged`.
    async fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan>;

    /// Waits for the locks, in the fixed order name, bucket, upload, keys, and begins.
    ///
    /// A task must not begin while it holds another transaction: two such tasks may wait for each
    /// other for ever.
    ///
    /// # Errors
    /// `NotStarted`, `Broken`, `Closed`.
    async fn begin(&self, locks: Locks) -> Result<Box<dyn Transaction>>;

    /// The settled mark, as durably stored: below it no write was open, so every record of a lower
    /// order is either in the index or an orphan.
    ///
    /// # Errors
    /// `Read`.
    async fn settled(&self) -> Result<Order>;

    /// Whether commits can still be taken.
    ///
    /// # Errors
    /// `Broken` or `Closed`.
    async fn check(&self) -> Result<()>;

    /// Returns when all that was handed over before is durable, together with the present settled
    /// mark.
    ///
    /// # Errors
    /// `Broken`, `Unknown`, `Closed`.
    async fn flush(&self) -> Result<()>;

    /// Finishes what was handed over and lets go of the storage; what comes later is refused.
    /// Repeats do nothing.
    ///
    /// # Errors
    /// `Broken` or `Unknown` if the last of it could not be written.
    async fn close(&self) -> Result<()>;
}

/// Holds locks while its owner reads, decides and commits.
///
/// Dropped without a commit it leaves nothing behind.
#[async_trait]
pub trait Transaction: Send {
    /// As [`Index::get`].
    ///
    /// # Errors
    /// As [`Index::get`].
    async fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>>;

    /// As [`Index::scan`].
    ///
    /// # Errors
    /// As [`Index::scan`].
    async fn scan(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan>;

    /// An order above all orders given before, by anyone.
    ///
    /// It is open, and the settled mark stays at or below it, until the transaction ends.
    fn take_order(&mut self) -> Order;

    /// Commits, durably. The locks are kept until the outcome is known, also when the future is
    /// dropped; once polled, what was handed over cannot be taken back by dropping.
    ///
    /// # Errors
    /// `StaleOrder`, `TooLong`, `Damaged`, `Read`, `Broken`, `Closed`: nothing took effect.
    /// `Unknown`: it may have; the locks stay held.
    async fn commit(self: Box<Self>, batch: Batch) -> Result<()>;
    /// Commits what must be durable before the rest is done, and goes on under the same locks.
    /// Orders that were taken end with it; what follows takes others, which are above them.
    ///
    /// # Errors
    /// As [`Self::commit`].
    async fn commit_part(self: Box<Self>, batch: Batch) -> Result<Box<dyn Transaction>>;
}
