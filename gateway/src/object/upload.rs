//! CreateMultipartUpload and AbortMultipartUpload.
//!
//! Owns: opening an upload by a record of its own, and dropping it by a tombstone.
//! Leaves to others: parts ([`super::part`]), Complete ([`super::complete`]).
//! Always: parts hold the upload shared, Complete and Abort hold it alone.

use std::sync::Arc;

use holdfast_index::{Batch, Locks, Mode, Row, Table, Transaction, UsageDelta, keys, rows};
use holdfast_protocol::row::{RowName, UploadRow};
use holdfast_protocol::{
    BucketId, Manifest, ManifestKind, Metadata, ObjectChecksum, TombstoneTarget, WriteId,
};
use holdfast_store::StagedBody;
use holdfast_store::placement::group_of;

use super::abandoned::Abandoned;
use super::bucket::Bucket;
use super::lifecycle::{Changed, aborts};
use super::lock;
use super::reparts::is_hidden;
use super::service::{Retired, Service, note_seen, queue_purge};
use super::types::{CreateUpload, OpenedUpload};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};

/// Metadata that names who began an upload, if that is not the bucket's owner. The object has none.
pub(crate) const INITIATOR: &str = "@initiator";

/// What an upload is dropped for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// A client asks.
    Asked,
    /// Nobody continued it.
    Abandoned(Abandoned),
    /// A lifecycle rule says so.
    Due,
    /// What it was to write anew is written otherwise, or changed meanwhile.
    Rewrite,
}

impl Service {
    pub(super) async fn metadata_of_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Metadata, GatewayError> {
        let bucket = self.live_bucket(bucket).await?;
        let (_, row) = self.upload(bucket.id, key, upload).await?;
        Ok(row.manifest.metadata)
    }

    pub(super) async fn open_upload(
        &self,
        create: CreateUpload,
    ) -> Result<OpenedUpload, GatewayError> {
        let bucket = self.live_bucket(&create.bucket).await?;
        lock::check_new(bucket.settings(), &create.metadata)?;
        self.classes.of(&create.metadata)?;
        let service = self.clone();
        let work = async move { service.commit_upload(bucket, create).await };
        self.to_the_end("create upload", work).await
    }

    async fn commit_upload(
        &self,
        bucket: Arc<Bucket>,
        create: CreateUpload,
    ) -> Result<OpenedUpload, GatewayError> {
        let key = create.key.as_str();
        let (mut txn, bucket) = self.begin_in(&bucket, Locks::none()).await?;
        let order = txn.take_order();
        let write = self.ids.next();
        let manifest = Manifest {
            checksum: create.checksum.map(|(kind, covers)| ObjectChecksum {
                kind,
                covers,
                digest: Vec::new(),
            }),
            metadata: create.metadata,
            ..self.manifest(ManifestKind::Upload, bucket.id, key, write, order)
        };
        let sealed = self.seal_body(&manifest, StagedBody::Empty).await?;
        let row = UploadRow {
            manifest,
            placement: sealed.placement,
            completed: None,
        };
        let mut batch = Batch::new();
        self.note(&mut batch, &bucket, Changed::Opened(&row.manifest));
        let at = keys::upload(bucket.id, key, write);
        batch.put(Table::Upload, at, Row::new(order, row.encode()));
        let name = RowName::Upload {
            bucket: bucket.id,
            key: key.to_owned(),
            write,
        };
        let by_id = keys::upload_by_id(write);
        batch.put(Table::Upload, by_id, Row::new(order, name.encode()));
        batch.usage(bucket.id, UsageDelta::Uploads(1));
        note_seen(&mut batch, &sealed.seen);
        self.commit(txn, batch).await?;
        Ok(OpenedUpload {
            id: write.to_string(),
            aborts: aborts(bucket.settings().lifecycle.as_ref(), &row.manifest),
        })
    }

    /// The upload that a client names, open or completed; as last committed.
    pub(super) async fn upload(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<(WriteId, UploadRow), GatewayError> {
        let write = parse_upload(upload)?;
        let row = rows::get_upload(&*self.index, bucket, key.as_str(), write).await?;
        if row.is_none() {
            self.sure(bucket, key.as_str()).await?;
        }
        let row = row.filter(|row| !is_hidden(row));
        Ok((write, row.ok_or_else(|| no_such_upload(upload))?))
    }

    /// The upload as it is under the lock.
    pub(super) async fn upload_in(
        &self,
        txn: &mut dyn Transaction,
        bucket: BucketId,
        key: &str,
        write: WriteId,
    ) -> Result<UploadRow, GatewayError> {
        let row = rows::get_upload(txn, bucket, key, write).await?;
        if row.is_none() {
            self.sure(bucket, key).await?;
        }
        row.ok_or_else(|| no_such_upload(&write.to_string()))
    }

    pub(super) async fn drop_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<(), GatewayError> {
        let bucket = self.live_bucket(bucket).await?;
        let write = parse_upload(upload)?;
        let (service, key) = (self.clone(), key.clone());
        let work = async move {
            service
                .commit_abort(&bucket, key.as_str(), write, Why::Asked)
                .await
        };
        self.to_the_end("abort upload", work).await.map(drop)
    }

    /// Drops an open upload, if what it is dropped for holds. Returns whether it was dropped.
    pub(super) async fn commit_abort(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        upload: WriteId,
        why: Why,
    ) -> Result<bool, GatewayError> {
        let locks = Locks::none().upload(upload, Mode::Exclusive);
        let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
        let row = self.upload_in(txn.as_mut(), bucket.id, key, upload).await?;
        if row.completed.is_some() {
            return Err(no_such_upload(&upload.to_string()));
        }
        // Nobody adds a part while the upload is held alone.
        let parts = self.parts(upload).await?;
        let holds = match why {
            Why::Asked if is_hidden(&row) => return Err(no_such_upload(&upload.to_string())),
            Why::Asked | Why::Rewrite => true,
            Why::Abandoned(abandoned) => abandoned.is(&row, &parts),
            Why::Due => self.is_due(&bucket, &row),
        };
        if !holds {
            return Ok(false);
        }
        let order = txn.take_order();
        let target = TombstoneTarget::Upload(upload);
        let tombstone = self.tombstone(order, bucket.id, key, target);
        let sealed = self.seal(&tombstone, bucket.id, key).await?;
        let mut batch = Batch::new();
        self.note(&mut batch, &bucket, Changed::Closed(&row.manifest));
        let mut retired = Retired::default();
        retired.add(upload, &row.placement);
        for part in &parts {
            self.retire_part(upload, part, &mut retired, &mut batch);
        }
        let at = keys::upload(bucket.id, key, upload);
        batch.delete_exactly(Table::Upload, at, row.manifest.order);
        batch.delete(Table::Upload, keys::upload_by_id(upload));
        batch.usage(bucket.id, UsageDelta::Uploads(-1));
        let group = self.store.group(group_of(bucket.id, key));
        let guard = (tombstone.write(), &sealed.placement, group);
        queue_purge(&mut batch, order, retired, Some(guard));
        note_seen(&mut batch, &sealed.seen);
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(true)
    }
}

pub(super) fn parse_upload(upload: &str) -> Result<WriteId, GatewayError> {
    WriteId::parse(upload).map_err(|_| no_such_upload(upload))
}

pub(super) fn no_such_upload(upload: &str) -> GatewayError {
    GatewayError::NoSuchUpload {
        upload: upload.to_owned(),
    }
}
