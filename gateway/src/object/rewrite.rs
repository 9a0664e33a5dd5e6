//! Writing a version anew in another storage class.
//!
//! Owns: a write of its own of the same version, in the class's geometry, and its commit.
//! Leaves to others: which version, when and whereto ([`super::lifecycle`]); reading and staging
//! ([`super::copy`]); versions that parts make up ([`super::reparts`]).
//! Always: it stays the same version: id, place among the key's versions, bytes, entity tag,
//! checksum, time and what is kept with it. The old write is retired by the commit that shows the
//! new one, whose records and shards are durable by then; a fault before that leaves the old one.
//! Who changed or replaced the version, or the rules, meanwhile has the last word.

use std::sync::Arc;

use holdfast_index::rows::{self, VersionPlace};
use holdfast_index::{Batch, Locks, Transaction};
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Body, ChecksumType, Geometry, Manifest, Metadata, WriteId};
use holdfast_store::{BodyPlan, Staged, StagedBody};

use super::bucket::Bucket;
use super::classes::STANDARD;
use super::lifecycle::Newer;
use super::put::{plan, with_body};
use super::service::{Retired, Service, note_seen, queue_heal, queue_purge};
use super::types::{ChangeObject, ReadConditions};
use super::version::VersionId;
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};

/// A version that is to be in another class, as it was when that was decided.
pub(super) struct Moved<'a> {
    pub bucket: &'a Arc<Bucket>,
    pub key: &'a ObjectKey,
    pub id: VersionId,
    pub write: WriteId,
    pub class: &'a str,
    /// What was newer than it, if it was noncurrent.
    pub newer: Option<&'a Newer>,
}

impl Service {
    /// Has a version in another class. Returns whether it is: not if it went, was written anew,
    /// or is no longer to move.
    ///
    /// # Errors
    /// `InvalidArgument` for a class that there is not; those of reading and writing.
    pub(super) async fn move_version(&self, moved: &Moved<'_>) -> Result<bool, GatewayError> {
        let geometry = self.classes.geometry(moved.class)?;
        let geometry = geometry.unwrap_or_else(|| self.store.map().geometry);
        let (bucket, key) = (moved.bucket.id, moved.key.as_str());
        let found = rows::get_version(&*self.index, bucket, key, moved.id.which()).await?;
        let Some((_, row)) = found.filter(|(_, row)| row.manifest.write == moved.write) else {
            return Ok(false);
        };
        match &row.manifest.body {
            Body::DeleteMarker => Ok(false),
            // What is not cut has as many copies in any class.
            Body::Empty | Body::Inline => self.rename_class(moved).await,
            Body::Coded { .. } if row.manifest.geometry == geometry => {
                self.rename_class(moved).await
            }
            Body::Coded { .. } => self.recode(moved, geometry).await,
            Body::Parts { upload, .. } => {
                let parts = self.parts(*upload).await?;
                let is_so = |part: &holdfast_protocol::PartRow| {
                    !matches!(part.manifest.body, Body::Coded { .. })
                        || part.manifest.geometry == geometry
                };
                match parts.iter().all(is_so) {
                    true => self.rename_class(moved).await,
                    false => self.recode_parts(moved, geometry, (&row, &parts)).await,
                }
            }
        }
    }

    /// Changes the class and no byte.
    async fn rename_class(&self, moved: &Moved<'_>) -> Result<bool, GatewayError> {
        let class = moved.class.to_owned();
        let change = ChangeObject {
            bucket: BucketName::parse(&moved.bucket.name)?,
            key: moved.key.clone(),
            version: Some(moved.id),
            edit: Box::new(move |metadata, _, _| {
                set_class(metadata, &class);
                Ok(())
            }),
            by: Caller::Anonymous,
        };
        let changed = self.commit_metadata(moved.bucket, change, Some(moved), None);
        match changed.await {
            Ok(_) => Ok(true),
            Err(
                GatewayError::NoSuchKey { .. }
                | GatewayError::NoSuchVersion { .. }
                | GatewayError::MarkerHasNone,
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the body and stages it in another geometry.
    async fn recode(&self, moved: &Moved<'_>, geometry: Geometry) -> Result<bool, GatewayError> {
        let name = BucketName::parse(&moved.bucket.name)?;
        let (id, any) = (Some(moved.id), ReadConditions::default());
        let source = self.open_source(&name, moved.key, id, None, &any).await?;
        let old = source.row.manifest.clone();
        if old.write != moved.write {
            return Ok(false);
        }
        let write = self.ids.next();
        let plan = BodyPlan {
            geometry: Some(geometry),
            checksum: kind_of(&old).or(plan(moved.bucket, moved.key, write).checksum),
            ..plan(moved.bucket, moved.key, write)
        };
        let staged = self.receive_copy(plan, source).await?;
        check_same(&old, &staged)?;
        let locks = Locks::none().key(moved.bucket.id, moved.key.as_str());
        let (mut txn, bucket) = self.begin_in(moved.bucket, locks).await?;
        let Some((place, row)) = self.still(txn.as_mut(), &bucket, moved).await? else {
            return Ok(false);
        };
        let order = txn.take_order();
        let (kind, key) = (&row.manifest.kind, moved.key.as_str());
        let fresh = self.manifest(kind.clone(), bucket.id, key, write, order);
        let manifest = same_version(&row.manifest, with_body(fresh, &staged), moved.class);
        let mut batch = Batch::new();
        let rewrite = Rewrite {
            manifest,
            body: staged.body,
        };
        self.commit_rewrite(txn, &mut batch, (place, &row), rewrite)
            .await?;
        Ok(true)
    }

    /// The version under its key's lock, if it is the one that was to move and still is to.
    pub(super) async fn still(
        &self,
        txn: &mut dyn Transaction,
        bucket: &Bucket,
        moved: &Moved<'_>,
    ) -> Result<Option<(VersionPlace, VersionRow)>, GatewayError> {
        let key = moved.key.as_str();
        let found = rows::get_version(&mut *txn, bucket.id, key, moved.id.which()).await?;
        Ok(found.filter(|(place, row)| self.still_moves(bucket, moved, *place, &row.manifest)))
    }

    /// Makes the new write durable, shows it in the place of the old one, and retires that, with
    /// what `batch` has.
    pub(super) async fn commit_rewrite(
        &self,
        txn: Box<dyn Transaction>,
        batch: &mut Batch,
        (place, old): (VersionPlace, &VersionRow),
        rewrite: Rewrite,
    ) -> Result<(), GatewayError> {
        let Rewrite { manifest, body } = rewrite;
        let sealed = self.seal_body(&manifest, body).await?;
        let new = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        match place {
            VersionPlace::Current => batch.put_current(&new),
            VersionPlace::Noncurrent => batch.replace_noncurrent(&new, old.manifest.order),
        };
        batch.count(&old.manifest, -1).count(&new.manifest, 1);
        let mut retired = Retired::default();
        self.retire_version(old, &mut retired, batch).await?;
        queue_purge(batch, new.manifest.order, retired, None);
        note_seen(batch, &sealed.seen);
        let heal = queue_heal(batch, &new.manifest, &new.placement);
        self.commit(txn, std::mem::take(batch)).await?;
        self.notify(true, heal);
        Ok(())
    }
}

/// A write of a version that there is, to be committed.
pub(super) struct Rewrite {
    pub manifest: Manifest,
    pub body: StagedBody,
}

/// A new write of a version: what it says of the version is as it was, but for the class.
pub(super) fn same_version(old: &Manifest, new: Manifest, class: &str) -> Manifest {
    let mut metadata = old.metadata.clone();
    set_class(&mut metadata, class);
    Manifest {
        version: old.version,
        created_ms: old.created_ms,
        len: old.len,
        etag: old.etag,
        checksum: old.checksum.clone(),
        metadata,
        ..new
    }
}

fn set_class(metadata: &mut Metadata, class: &str) {
    match class {
        STANDARD => metadata.remove(STORAGE_CLASS),
        class => metadata.set(STORAGE_CLASS, class),
    }
}

/// The checksum that a body has.
pub(super) fn kind_of(manifest: &Manifest) -> Option<holdfast_protocol::ChecksumKind> {
    manifest.checksum.as_ref().map(|sum| sum.kind)
}

/// What was read must be what was written once.
pub(super) fn check_same(old: &Manifest, staged: &Staged) -> Result<(), GatewayError> {
    let sum = old.checksum.as_ref();
    let sum = sum.filter(|sum| sum.covers == ChecksumType::FullObject);
    let is_sum = match (sum, &staged.digests.checksum) {
        (Some(old), Some((kind, digest))) if old.kind == *kind => old.digest == *digest,
        _ => true,
    };
    match is_sum && staged.digests.md5 == old.etag.md5 && staged.digests.len == old.len {
        true => Ok(()),
        false => Err(GatewayError::Internal {
            what: format!("write {} does not read as it was written", old.write),
        }),
    }
}
