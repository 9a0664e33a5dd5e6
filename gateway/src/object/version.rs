//! Versions: how clients name them, and what writes and deletes make of those that a key has.
//!
//! Owns: the version id; which rows a new version replaces or pushes aside, and which one follows
//! when a version goes.
//! Leaves to others: records ([`super::put`], [`super::delete`]), rows and tables (index).
//! Always: under the key's lock; a key has at most one null version; the newest version is current.

use std::fmt;

use crc_fast::{CrcAlgorithm, checksum};
use holdfast_index::rows::{self, VersionPlace, Which};
use holdfast_index::{Batch, Transaction};
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Manifest, ManifestKind, Order, VersionName};

use super::bucket::Bucket;
use super::lifecycle::Changed;
use super::service::{Retired, Service, queue_purge};
use crate::error::GatewayError;
use crate::settings::Versioning;

/// A version as clients name it: 32 hexadecimal digits (order and checksum), or `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionId {
    /// The version of a key that was written while its bucket kept none.
    Null,
    /// A version of a bucket that keeps them.
    Ordered(Order),
}

impl VersionId {
    /// Reads one; `None` if it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let bytes: [u8; 16] = hex::decode(text).ok()?.try_into().ok()?;
        let (order, sum) = bytes.split_at(Order::LEN);
        let order: [u8; Order::LEN] = order.try_into().ok()?;
        let is_ours = sum == check_sum(&order) && text == text.to_ascii_lowercase();
        is_ours.then(|| Self::Ordered(Order::from_key(order)))
    }

    /// The name of the version that a manifest describes.
    pub fn of(manifest: &Manifest) -> Self {
        match manifest.kind {
            ManifestKind::Version(VersionName::Ordered) => Self::Ordered(manifest.version),
            _ => Self::Null,
        }
    }

    pub(super) fn which(self) -> Which {
        match self {
            Self::Null => Which::Null,
            Self::Ordered(version) => Which::Id(version),
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Ordered(version) => {
                let order = version.to_key();
                write!(
                    f,
                    "{}{}",
                    hex::encode(order),
                    hex::encode(check_sum(&order))
                )
            }
        }
    }
}

/// So that a slip of the pen is not another version.
fn check_sum(order: &[u8; Order::LEN]) -> [u8; 4] {
    (checksum(CrcAlgorithm::Crc32Iscsi, order) as u32).to_be_bytes()
}

impl Bucket {
    /// What its next version is called.
    pub(super) fn name_of_new(&self) -> VersionName {
        Versioning::name_of_new(self.settings().versioning)
    }
    /// Whether its keys can have more than one version.
    pub(super) fn has_versions(&self) -> bool {
        self.settings().versioning.is_some()
    }
    /// The id of a version just written; nobody is told of one that replaces what was there.
    pub(super) fn id_of_new(&self, manifest: &Manifest) -> Option<VersionId> {
        let id = self.id_of(manifest);
        id.filter(|id| *id != VersionId::Null)
    }
    /// The id of a version, where clients are told one.
    pub(super) fn id_of(&self, manifest: &Manifest) -> Option<VersionId> {
        self.has_versions().then(|| VersionId::of(manifest))
    }
}

/// What a key has, as far as a write must know.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Its current version, which may be a delete marker.
    pub current: Option<VersionRow>,
    /// Its null version, if a write replaces that and it is not current.
    null: Option<VersionRow>,
}

fn is_null(row: &VersionRow) -> bool {
    VersionId::of(&row.manifest) == VersionId::Null
}

impl Service {
    /// What a key has, for a write in its bucket as that is now.
    pub(super) async fn present(
        &self,
        txn: &mut dyn Transaction,
        bucket: &Bucket,
        key: &str,
    ) -> Result<Present, GatewayError> {
        let current = rows::get_current(&mut *txn, bucket.id, key).await?;
        let replaces_null = bucket.has_versions() && bucket.name_of_new() == VersionName::Null;
        let mut null = None;
        if replaces_null && current.as_ref().is_some_and(|row| !is_null(row)) {
            let found = rows::get_version(&mut *txn, bucket.id, key, Which::Null).await?;
            null = found.map(|(_, row)| row);
        }
        Ok(Present { current, null })
    }

    /// Makes `new` the current version: what it replaces is retired, what it does not stays behind
    /// it; and the usage. Returns whether anything was retired.
    pub(super) async fn place(
        &self,
        batch: &mut Batch,
        bucket: &Bucket,
        present: &Present,
        new: &VersionRow,
    ) -> Result<bool, GatewayError> {
        let mut retired = Retired::default();
        let current = present.current.as_ref();
        let (replaced, pushed) = match (is_null(new), current) {
            (true, Some(row)) if is_null(row) => (current, None),
            (true, _) => (present.null.as_ref(), current),
            (false, _) => (None, current),
        };
        if let Some(old) = replaced {
            if pushed.is_some() {
                batch.delete_noncurrent(&old.manifest);
            }
            if !bucket.has_versions() {
                self.note(batch, bucket, Changed::Replaced(&old.manifest));
            }
            self.retire_version(old, &mut retired, batch).await?;
            batch.count(&old.manifest, -1);
        }
        if let Some(old) = pushed {
            batch.put_noncurrent(old);
            let change = Changed::Pushed(&old.manifest, new.manifest.created_ms);
            self.note(batch, bucket, change);
        }
        batch.put_current(new);
        self.note(batch, bucket, Changed::Current(&new.manifest));
        queue_purge(batch, new.manifest.order, retired, None);
        batch.count(&new.manifest, 1);
        Ok(replaced.is_some())
    }

    /// Takes a version out of its key, and makes the one before it current if it was that.
    pub(super) async fn take_out(
        &self,
        txn: &mut dyn Transaction,
        batch: &mut Batch,
        bucket: &Bucket,
        (place, row): &(VersionPlace, VersionRow),
    ) -> Result<(), GatewayError> {
        let manifest = &row.manifest;
        let key = manifest.key.as_str();
        batch.count(manifest, -1);
        if *place == VersionPlace::Noncurrent {
            batch.delete_noncurrent(manifest);
            self.note(batch, bucket, Changed::Noncurrent(manifest));
            return Ok(());
        }
        batch.delete_current(bucket.id, key, manifest.order);
        if !bucket.has_versions() {
            self.note(batch, bucket, Changed::Replaced(manifest));
            return Ok(());
        }
        let before = rows::list_noncurrent(&mut *txn, bucket.id, key, None, 1).await?;
        if let Some(next) = before.items.first() {
            batch.delete_noncurrent(&next.manifest);
            batch.put_current(next);
            self.note(batch, bucket, Changed::Current(&next.manifest));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Facts about version ids.
    use holdfast_protocol::Generation;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_read_as_they_are_written(generation: u32, sequence: u64) {
            let generation = Generation::new(generation);
            let id = VersionId::Ordered(Order { generation, sequence });
            let text = id.to_string();
            prop_assert_eq!(text.len(), 32);
            prop_assert_eq!(VersionId::parse(&text), Some(id));
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'0' { b'1' } else { b'0' };
                let other = String::from_utf8(other).unwrap();
                prop_assert_eq!(VersionId::parse(&other), None);
            }
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        for text in ["", "Null", "NULL", "undefined", "3/L4kqtJlcpXroDTDmJ", "00"] {
            assert_eq!(VersionId::parse(text), None, "{text:?}");
        }
        assert_eq!(VersionId::parse("null"), Some(VersionId::Null));
    }
}
