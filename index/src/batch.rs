//! What a commit changes.
//!
//! Owns: [`Batch`] and its guards.
//! Leaves to others: applying it ([`crate::apply`], engines).
//! Always: operations apply in the order in which they were added.

use bytes::Bytes;
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{Body, BucketId, DriveId, Geometry, Manifest, ManifestKind, Order};

use crate::{Row, Table};

/// Longest key within a table, in bytes.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 32 << 20;

/// What must hold for the row that is replaced or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Any,
    /// The present row, if any, has an order below the new one's.
    Newer,
    /// There is a present row, and it has exactly this order.
    Exactly(Order),
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a row.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
        /// The row.
        row: Row,
        /// On the present row.
        guard: Guard,
    },
    /// Removes a row; an absent one is no error unless guarded.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
        /// On the present row; `Newer` means nothing here.
        guard: Guard,
    },
}

/// By how much a bucket's usage changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDelta {
    /// Versions that are not delete markers.
    Versions {
        /// In which geometry they are kept.
        geometry: Geometry,
        /// How many.
        objects: i64,
        /// Their bytes.
        bytes: i64,
    },
    /// Open uploads.
    Uploads(i64),
}

impl UsageDelta {
    /// What a row adds to (`sign` 1) or takes from (−1) its bucket: a version that is no delete
    /// marker; nothing for other rows.
    pub fn of(manifest: &Manifest, sign: i64) -> Option<Self> {
        match (&manifest.kind, &manifest.body) {
            (ManifestKind::Version(_), Body::DeleteMarker) => None,
            (ManifestKind::Version(_), _) => Some(Self::Versions {
                geometry: manifest.geometry,
                objects: sign,
                bytes: sign * i64::try_from(manifest.len).unwrap_or(i64::MAX),
            }),
            _ => None,
        }
    }

    /// Both together, if one can say it.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (
                Self::Versions {
                    geometry,
                    objects,
                    bytes,
                },
                Self::Versions {
                    geometry: of,
                    objects: more_objects,
                    bytes: more_bytes,
                },
            ) if geometry == of => Some(Self::Versions {
                geometry,
                objects: objects + more_objects,
                bytes: bytes.saturating_add(more_bytes),
            }),
            _ => None,
        }
    }
}

/// Changes that take effect together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Changes of rows, in order.
    pub ops: Vec<Op>,
    /// Changes of usage; sums never go below zero.
    pub usage: Vec<(BucketId, UsageDelta)>,
    /// How far drives' logs were seen: the highest batch of a log counts, another log replaces it.
    pub seen: Vec<(DriveId, LogPosition)>,
}

impl Batch {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row whose order is above that of the row it replaces.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, row: Row) -> &mut Self {
        self.push_put(table, key.into(), row, Guard::Newer)
    }

    /// Writes a row in place of one that has exactly the order `present` (compare-and-set).
    pub fn replace(
        &mut self,
        table: Table,
        key: impl Into<Bytes>,
        row: Row,
        present: Order,
    ) -> &mut Self {
        self.push_put(table, key.into(), row, Guard::Exactly(present))
    }

    /// Writes a row whatever is there: for queues and for rows that no order governs.
    pub fn set(&mut self, table: Table, key: impl Into<Bytes>, row: Row) -> &mut Self {
        self.push_put(table, key.into(), row, Guard::Any)
    }

    /// Removes a row whatever it is.
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) -> &mut Self {
        self.ops.push(Op::Delete {
            table,
            key: key.into(),
            guard: Guard::Any,
        });
        self
    }

    /// Removes a row that has exactly the order `present`; otherwise the whole batch is refused.
    pub fn delete_exactly(
        &mut self,
        table: Table,
        key: impl Into<Bytes>,
        present: Order,
    ) -> &mut Self {
        self.ops.push(Op::Delete {
            table,
            key: key.into(),
            guard: Guard::Exactly(present),
        });
        self
    }

    /// Changes a bucket's usage.
    pub fn usage(&mut self, bucket: BucketId, delta: UsageDelta) -> &mut Self {
        let last = self.usage.last().filter(|(of, _)| *of == bucket);
        let both = last.and_then(|(_, last)| last.and(delta));
        if both.is_some() {
            self.usage.pop();
        }
        self.usage.push((bucket, both.unwrap_or(delta)));
        self
    }

    /// Adds a row to (`sign` 1) or takes it from (−1) the usage of its bucket.
    pub fn count(&mut self, manifest: &Manifest, sign: i64) -> &mut Self {
        match UsageDelta::of(manifest, sign) {
            Some(delta) => self.usage(manifest.bucket, delta),
            None => self,
        }
    }

    /// Notes how far a drive's log was seen.
    pub fn seen(&mut self, drive: DriveId, position: LogPosition) -> &mut Self {
        self.seen.push((drive, position));
        self
    }

    /// Adds what another one changes, to be done after what is in this one.
    pub fn append(&mut self, mut other: Self) -> &mut Self {
        self.ops.append(&mut other.ops);
        self.usage.append(&mut other.usage);
        self.seen.append(&mut other.seen);
        self
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.usage.is_empty() && self.seen.is_empty()
    }

    /// About how many bytes it takes in memory and in a journal.
    pub fn weight(&self) -> usize {
        let ops: usize = self
            .ops
            .iter()
            .map(|op| match op {
                Op::Put { key, row, .. } => key.len() + row.value.len() + 64,
                Op::Delete { key, .. } => key.len() + 64,
            })
            .sum();
        ops + 96 * (self.usage.len() + self.seen.len())
    }

    fn push_put(&mut self, table: Table, key: Bytes, row: Row, guard: Guard) -> &mut Self {
        self.ops.push(Op::Put {
            table,
            key,
            row,
            guard,
        });
        self
    }
}
