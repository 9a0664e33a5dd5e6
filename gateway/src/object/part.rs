//! UploadPart and UploadPartCopy.
//!
//! Owns: writing a part, which waits under its upload.
//! Leaves to others: making the object ([`super::complete`]).
//! Always: a part holds its upload shared while it commits, and its number alone.

use std::sync::Arc;

use holdfast_index::{Batch, Locks, Mode, Row, Table, keys, rows};
use holdfast_protocol::row::{PartRow, UploadRow};
use holdfast_protocol::{ChecksumKind, ManifestKind, WriteId};
use holdfast_store::{BodyPlan, Staged};

use super::bucket::Bucket;
use super::put::{plan, with_body};
use super::service::{Retired, Service, note_seen, queue_heal, queue_purge};
use super::types::{CopiedPart, CopyPart, PartInfo, PutPart};
use super::upload::no_such_upload;
use crate::error::GatewayError;
use crate::names::ObjectKey;

/// A part to be committed once its body is staged.
pub(super) struct NewPart {
    pub bucket: Arc<Bucket>,
    pub key: ObjectKey,
    pub upload: WriteId,
    pub number: u16,
    pub write: WriteId,
    pub staged: Staged,
}

impl Service {
    pub(super) async fn write_part(&self, mut put: PutPart) -> Result<PartInfo, GatewayError> {
        let bucket = self.live_bucket(&put.bucket).await?;
        let (upload, row) = self.upload(bucket.id, &put.key, &put.upload).await?;
        put.body.checksum = part_checksum(&row, put.body.checksum)?;
        let write = self.ids.next();
        let plan = BodyPlan {
            geometry: self.classes.of(&row.manifest.metadata)?,
            ..plan(&bucket, &put.key, write)
        };
        let staged = self.receive(plan, put.body).await?;
        let (key, number) = (put.key, put.number);
        self.finish_part(NewPart {
            bucket,
            key,
            upload,
            number,
            write,
            staged,
        })
        .await
    }

    pub(super) async fn write_part_copy(&self, copy: CopyPart) -> Result<CopiedPart, GatewayError> {
        let bucket = self.live_bucket(&copy.bucket).await?;
        let (upload, row) = self.upload(bucket.id, &copy.key, &copy.upload).await?;
        let checksum = part_checksum(&row, None)?;
        let (from, key) = (&copy.source_bucket, &copy.source_key);
        let (version, range) = (copy.source_version, copy.source_range);
        let source = self
            .open_source(from, key, version, range, &copy.source_conditions)
            .await?;
        let source_version = source.version;
        let write = self.ids.next();
        let plan = BodyPlan {
            checksum: checksum.or(Some(ChecksumKind::Crc64Nvme)),
            geometry: self.classes.of(&row.manifest.metadata)?,
            ..plan(&bucket, &copy.key, write)
        };
        let staged = self.receive_copy(plan, source).await?;
        let (key, number) = (copy.key, copy.number);
        let part = NewPart {
            bucket,
            key,
            upload,
            number,
            write,
            staged,
        };
        Ok(CopiedPart {
            part: self.finish_part(part).await?,
            source_version,
        })
    }

    async fn finish_part(&self, part: NewPart) -> Result<PartInfo, GatewayError> {
        let service = self.clone();
        self.to_the_end("part", async move { service.commit_part(part).await })
            .await
    }

    pub(super) async fn commit_part(&self, part: NewPart) -> Result<PartInfo, GatewayError> {
        let NewPart {
            bucket,
            key,
            upload,
            number,
            write,
            staged,
        } = part;
        // The number of an upload is locked by a key that no object can have (it is too long).
        let name = format!("{upload}/{number:05}/{}", "\0".repeat(1024));
        let locks = Locks::none()
            .upload(upload, Mode::Shared)
            .key(bucket.id, name);
        let (mut txn, _) = self.begin_in(&bucket, locks).await?;
        let row = self
            .upload_in(txn.as_mut(), bucket.id, key.as_str(), upload)
            .await?;
        if row.completed.is_some() {
            return Err(no_such_upload(&upload.to_string()));
        }
        let at = keys::part(upload, number);
        let old = rows::get_part(&mut *txn, upload, number).await?;
        let kind = ManifestKind::Part { upload, number };
        let order = txn.take_order();
        let manifest = self.manifest(kind, bucket.id, key.as_str(), write, order);
        let manifest = with_body(manifest, &staged);
        let sealed = self.seal_body(&manifest, staged.body).await?;
        let row = PartRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        let mut batch = Batch::new();
        if let Some(old) = &old {
            let mut retired = Retired::default();
            self.retire_part(upload, old, &mut retired, &mut batch);
            queue_purge(&mut batch, row.manifest.order, retired, None);
        }
        batch.put(Table::Part, at, Row::new(row.manifest.order, row.encode()));
        note_seen(&mut batch, &sealed.seen);
        let heal = queue_heal(&mut batch, &row.manifest, &row.placement);
        self.commit(txn, batch).await?;
        self.notify(old.is_some(), heal);
        Ok(part_info(&row))
    }
}

/// The checksum to compute of a part: the upload's; without one, the client's.
fn part_checksum(
    upload: &UploadRow,
    given: Option<ChecksumKind>,
) -> Result<Option<ChecksumKind>, GatewayError> {
    let announced = upload
        .manifest
        .checksum
        .as_ref()
        .map(|checksum| checksum.kind);
    match (announced, given) {
        (Some(announced), Some(given)) if announced != given => Err(GatewayError::InvalidRequest {
            why: format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum \
                     Type: {}",
                checksum_name(announced),
                checksum_name(given)
            ),
        }),
        (announced, given) => Ok(announced.or(given)),
    }
}

/// How S3 spells an algorithm in messages.
fn checksum_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "crc32",
        ChecksumKind::Crc32c => "crc32c",
        ChecksumKind::Crc64Nvme => "crc64nvme",
        ChecksumKind::Sha1 => "sha1",
        ChecksumKind::Sha256 => "sha256",
    }
}

/// A part, described.
pub(super) fn part_info(row: &PartRow) -> PartInfo {
    let number = match row.manifest.kind {
        ManifestKind::Part { number, .. } => number,
        _ => 0,
    };
    PartInfo {
        number,
        len: row.manifest.len,
        etag: row.manifest.etag,
        modified_ms: row.manifest.created_ms,
        checksum: row.manifest.checksum.clone(),
    }
}
