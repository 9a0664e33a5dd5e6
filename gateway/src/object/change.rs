//! Changing what is kept with a version: tags, retention, legal hold.
//!
//! Owns: the metadata record of a version and its commit.
//! Leaves to others: what may be changed to what (the edit), bodies, which do not move.
//! Always: under the key's lock; the version's bytes, entity tag and time stay as they are; the
//! record is durable before the row shows the change, and the one before it goes after.

use std::sync::Arc;

use holdfast_index::rows::{self, VersionPlace, Which};
use holdfast_index::{Batch, Locks, Transaction};
use holdfast_protocol::{Manifest, ManifestKind, Metadata, MetadataRow, VersionName, VersionRow};
use holdfast_store::StagedBody;

use super::bucket::Bucket;
use super::copy::TAGGING;
use super::lifecycle::Changed;
use super::put::visible;
use super::rewrite::Moved;
use super::service::{Retired, Service, note_seen, queue_purge};
use super::types::ChangeObject;
use super::version::VersionId;
use crate::error::GatewayError;
use crate::notify::{EventKind, Origin};

/// The metadata that keeps a version's ACL.
const ACL: &str = "@acl";

impl Service {
    /// Returns the id of the version that was changed, where versions are kept.
    pub(super) async fn change_object(
        &self,
        change: ChangeObject,
    ) -> Result<Option<VersionId>, GatewayError> {
        let bucket = self.live_bucket(&change.bucket).await?;
        let service = self.clone();
        let origin = Origin::current().map(|origin| origin.by(&change.by));
        let work = async move { service.commit_metadata(&bucket, change, None, origin).await };
        self.to_the_end("change metadata", work).await
    }

    /// Changes a version; with `only`, if it is still to move so.
    pub(super) async fn commit_metadata(
        &self,
        bucket: &Arc<Bucket>,
        change: ChangeObject,
        only: Option<&Moved<'_>>,
        origin: Option<Origin>,
    ) -> Result<Option<VersionId>, GatewayError> {
        let key = change.key.as_str();
        let locks = Locks::none().key(bucket.id, key);
        let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
        let which = change.version.map_or(Which::Current, VersionId::which);
        let found = match only {
            Some(moved) => self.still(txn.as_mut(), &bucket, moved).await?,
            None => rows::get_version(&mut *txn, bucket.id, key, which).await?,
        };
        let Some((place, mut row)) = found else {
            return Err(self.missing(bucket.id, &change.key, change.version).await?);
        };
        let id = bucket.id_of(&row.manifest);
        if visible(&row).is_none() {
            return Err(GatewayError::MarkerHasNone);
        }
        let now_ms = self.store.world().clock.unix_ms();
        let mut metadata = row.manifest.metadata.clone();
        (change.edit)(&mut metadata, bucket.settings(), now_ms)?;
        if metadata == row.manifest.metadata {
            return Ok(id);
        }
        let name = name_of(&row.manifest)?;
        let target = row.manifest.write;
        let order = txn.take_order();
        let kind = ManifestKind::Metadata { name, target };
        let manifest = Manifest {
            version: row.manifest.version,
            metadata: metadata.clone(),
            ..self.manifest(kind, bucket.id, key, self.ids.next(), order)
        };
        let sealed = self.seal_body(&manifest, StagedBody::Empty).await?;
        let changed = MetadataRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        let mut batch = Batch::new();
        let retired = metadata_before(txn.as_mut(), &row).await?;
        let kind = kind_of(&row.manifest.metadata, &metadata);
        row.manifest.metadata = metadata;
        row.changed = Some(order);
        let present = row.manifest.order;
        match place {
            VersionPlace::Current => batch.replace_current(&row, present),
            VersionPlace::Noncurrent => batch.replace_noncurrent(&row, present),
        };
        self.note(&mut batch, &bucket, changed_at(place, &row.manifest));
        batch.put_metadata(&changed);
        queue_purge(&mut batch, order, retired, None);
        note_seen(&mut batch, &sealed.seen);
        if let Some(kind) = kind {
            let happened = (kind, &row.manifest, order);
            self.announce(&mut batch, &bucket, happened, origin.as_ref())?;
        }
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(id)
    }
}

/// The metadata record that a change of a version replaces.
async fn metadata_before(
    txn: &mut dyn Transaction,
    row: &VersionRow,
) -> Result<Retired, GatewayError> {
    let mut retired = Retired::default();
    if row.changed.is_some() {
        let manifest = &row.manifest;
        let (bucket, key) = (manifest.bucket, manifest.key.as_str());
        let before = rows::get_metadata(txn, bucket, key, manifest.version).await?;
        if let Some(before) = before {
            retired.add(before.manifest.write, &before.placement);
        }
    }
    Ok(retired)
}

fn changed_at(place: VersionPlace, manifest: &Manifest) -> Changed<'_> {
    match place {
        VersionPlace::Current => Changed::Current(manifest),
        VersionPlace::Noncurrent => Changed::Noncurrent(manifest),
    }
}

fn name_of(manifest: &Manifest) -> Result<VersionName, GatewayError> {
    match manifest.kind {
        ManifestKind::Version(name) => Ok(name),
        _ => Err(GatewayError::Internal {
            what: format!("the row of {:?} is no version", manifest.key),
        }),
    }
}

/// What is told of a change; nothing of locks, as in S3.
fn kind_of(before: &Metadata, after: &Metadata) -> Option<EventKind> {
    let differs = |name: &str| before.get(name) != after.get(name);
    match after.get(TAGGING) {
        Some(_) if differs(TAGGING) => Some(EventKind::TaggingPut),
        None if differs(TAGGING) => Some(EventKind::TaggingDelete),
        _ if differs(ACL) => Some(EventKind::AclPut),
        _ => None,
    }
}
