//! Holds the rows of a version against each other.
//!
//! Owns: that a version and its metadata record know each other, and that a noncurrent null version
//! is found.
//! Leaves to others: whether drives have what the rows say ([`super::objects`]).
//! Always: what does not fit is looked at again with its key held before it is said.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_index::{Index, Locks, Mode, ScanLimit, Table, keys, rows};
use holdfast_protocol::row::RowName;
use holdfast_protocol::{BucketId, ManifestKind, Order, VersionName};

use super::Check;
use crate::error::Result;
use crate::window::PlacedRow;

/// Pointers to null versions that are read together.
const POINTERS: usize = 512;

impl Check<'_> {
    /// Looks at what belongs to a row, if anything does.
    pub(super) async fn related(&mut self, placed: &PlacedRow) -> Result<()> {
        let (row, manifest) = (&placed.row, &placed.row.manifest);
        let is_null = manifest.kind == ManifestKind::Version(VersionName::Null);
        let has_more = match placed.name {
            RowName::Version { .. } => row.changed.is_some() || is_null && placed.is_noncurrent,
            RowName::Metadata { .. } => true,
            RowName::Part { .. } | RowName::Upload { .. } => false,
        };
        match has_more {
            true => {
                self.version(manifest.bucket, &manifest.key, manifest.version)
                    .await
            }
            false => Ok(()),
        }
    }

    /// Looks at everything that says which noncurrent version is a null version.
    pub(super) async fn pointers(&mut self) -> Result<()> {
        let mut from: Bound<Bytes> = Bound::Unbounded;
        loop {
            let index = &*self.ctx.index;
            let bound = from.as_ref().map(Bytes::as_ref);
            let limit = ScanLimit::rows(POINTERS);
            let scan = index.scan(Table::Null, bound, Bound::Unbounded, limit);
            let scan = scan.await?;
            for (stored, row) in &scan.rows {
                let named = keys::parse_null(stored);
                let named =
                    named.and_then(|(bucket, key)| Some((bucket, String::from_utf8(key).ok()?)));
                match named {
                    Some((bucket, key)) => self.version(bucket, &key, row.order).await?,
                    None => {
                        let what = format!("null version under {}", stored.escape_ascii());
                        self.problem("row", None, None, what);
                    }
                }
            }
            match scan.rows.last() {
                Some((last, _)) if scan.more => from = Bound::Excluded(last.clone()),
                _ => return Ok(()),
            }
        }
    }

    async fn version(&mut self, bucket: BucketId, key: &str, version: Order) -> Result<()> {
        let index = &*self.ctx.index;
        if flaw(index, bucket, key, version).await?.is_none() {
            return Ok(());
        }
        let locks = Locks::none().bucket(bucket, Mode::Shared).key(bucket, key);
        let held = self.ctx.begin(locks).await?;
        let flaw = flaw(index, bucket, key, version).await?;
        drop(held);
        if let Some(what) = flaw {
            let what = format!("version {version}: {what}");
            self.problem("row", Some((bucket, key)), None, what);
        }
        Ok(())
    }
}

/// What does not fit among the rows of a version.
async fn flaw(
    index: &dyn Index,
    bucket: BucketId,
    key: &str,
    version: Order,
) -> Result<Option<&'static str>> {
    let is_it = |row: &holdfast_protocol::VersionRow| row.manifest.version == version;
    let current = rows::get_current(index, bucket, key).await?.filter(is_it);
    let noncurrent = rows::get_noncurrent(index, bucket, key, version).await?;
    let metadata = rows::get_metadata(index, bucket, key, version).await?;
    let pointer = rows::get_null(index, bucket, key).await? == Some(version);
    let is_null = noncurrent
        .as_ref()
        .is_some_and(|row| row.manifest.kind == ManifestKind::Version(VersionName::Null));
    if pointer != is_null {
        return Ok(Some(match pointer {
            true => "it is said to be the noncurrent null version, and is not",
            false => "it is a noncurrent null version that nothing finds",
        }));
    }
    if current.is_some() && noncurrent.is_some() {
        return Ok(Some("it is current and noncurrent"));
    }
    let Some(row) = current.or(noncurrent) else {
        return Ok(metadata.map(|_| "there is metadata of it, and no row"));
    };
    let Some(metadata) = metadata else {
        return Ok(row.changed.map(|_| "its metadata record has no row"));
    };
    let target = match metadata.manifest.kind {
        ManifestKind::Metadata { target, .. } => Some(target),
        _ => None,
    };
    let fits = row.changed == Some(metadata.manifest.order)
        && metadata.manifest.metadata == row.manifest.metadata
        && target == Some(row.manifest.write);
    Ok((!fits).then_some("its metadata is not that of its metadata record"))
}
