//! Writing a version that parts make up anew: in another storage class, or under another name.
//!
//! Owns: a hidden upload, whose parts are the version's, cut anew, and its end.
//! Leaves to others: parts ([`super::part`]), aborting ([`super::upload`]), what stays of the
//! version ([`super::rewrite`], [`super::rename`]).
//! Always: clients do not meet the upload; if no version becomes its, it is aborted: here,
//! or, after a crash, by the next process ([`super::abandoned`]).

use std::sync::Arc;

use holdfast_index::{Batch, Locks, Mode};
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Body, Geometry, Manifest, ManifestKind, Metadata, PartRef, WriteId};
use holdfast_store::{BodyPlan, StagedBody};

use super::bucket::Bucket;
use super::complete::{close, part_refs};
use super::part::NewPart;
use super::put::plan;
use super::rewrite::{Moved, Rewrite, check_same, kind_of, same_version};
use super::service::Service;
use super::types::{CreateUpload, RangeSpec, ReadConditions};
use super::upload::{Why, parse_upload};
use super::version::VersionId;
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};

/// Metadata of an upload that is no client's: which version it writes anew.
const REWRITES: &str = "@rewrites";

/// Parts that are to be written anew.
pub(super) struct Anew<'a> {
    pub bucket: &'a Arc<Bucket>,
    /// Whose: the key, the version and its write.
    pub from: (&'a ObjectKey, Option<VersionId>, WriteId),
    /// The key that the upload is of.
    pub to: &'a ObjectKey,
    /// What they are cut into; without it, as they are.
    pub geometry: Option<Geometry>,
}

/// Whether an upload is no client's.
pub(super) fn is_hidden(row: &UploadRow) -> bool {
    is_hidden_by(&row.manifest)
}

/// The same, by its manifest.
pub(super) fn is_hidden_by(manifest: &Manifest) -> bool {
    manifest.kind == ManifestKind::Upload && manifest.metadata.get(REWRITES).is_some()
}

impl Service {
    /// Writes the parts of a version anew, and makes them the version's.
    pub(super) async fn recode_parts(
        &self,
        moved: &Moved<'_>,
        geometry: Geometry,
        (row, parts): (&VersionRow, &[PartRow]),
    ) -> Result<bool, GatewayError> {
        let mut metadata = Metadata::default();
        metadata.set(STORAGE_CLASS, moved.class);
        let anew = Anew {
            bucket: moved.bucket,
            from: (moved.key, Some(moved.id), moved.write),
            to: moved.key,
            geometry: Some(geometry),
        };
        let Some(upload) = self.write_anew_from(&anew, (row, parts), metadata).await? else {
            return Ok(false);
        };
        let written = self.commit_parts(moved, upload).await;
        if !matches!(written, Ok(true)) {
            self.discard_parts(moved.bucket, moved.key, upload).await;
        }
        written
    }

    /// Writes the parts of a version anew, under a hidden upload, which is returned; `None` if the
    /// version changed meanwhile.
    pub(super) async fn write_anew(
        &self,
        anew: &Anew<'_>,
        row: &VersionRow,
        metadata: Metadata,
    ) -> Result<Option<WriteId>, GatewayError> {
        let Body::Parts { upload, .. } = &row.manifest.body else {
            return Ok(None);
        };
        let parts = self.parts(*upload).await?;
        self.write_anew_from(anew, (row, &parts), metadata).await
    }

    async fn write_anew_from(
        &self,
        anew: &Anew<'_>,
        (row, parts): (&VersionRow, &[PartRow]),
        mut metadata: Metadata,
    ) -> Result<Option<WriteId>, GatewayError> {
        metadata.set(REWRITES, VersionId::of(&row.manifest).to_string());
        let create = CreateUpload {
            bucket: BucketName::parse(&anew.bucket.name)?,
            key: anew.to.clone(),
            metadata,
            checksum: None,
            by: Caller::Anonymous,
        };
        let upload = parse_upload(&self.open_upload(create).await?.id)?;
        let written = self.rewrite_parts(anew, upload, (row, parts)).await;
        if !matches!(written, Ok(true)) {
            self.discard_parts(anew.bucket, anew.to, upload).await;
        }
        Ok(written?.then_some(upload))
    }

    /// Aborts a hidden upload that became no version.
    pub(super) async fn discard_parts(
        &self,
        bucket: &Arc<Bucket>,
        key: &ObjectKey,
        upload: WriteId,
    ) {
        let aborted = self.commit_abort(bucket, key.as_str(), upload, Why::Rewrite);
        match aborted.await {
            Ok(_) | Err(GatewayError::NoSuchUpload { .. }) => {}
            Err(error) => tracing::warn!(%upload, %error, "a hidden upload is left behind"),
        }
    }

    /// Writes the parts. Returns whether the version is still the same.
    async fn rewrite_parts(
        &self,
        anew: &Anew<'_>,
        upload: WriteId,
        (row, parts): (&VersionRow, &[PartRow]),
    ) -> Result<bool, GatewayError> {
        let Body::Parts { parts: named, .. } = &row.manifest.body else {
            return Ok(false);
        };
        let (name, any) = (
            BucketName::parse(&anew.bucket.name)?,
            ReadConditions::default(),
        );
        let (key, id, of) = anew.from;
        let mut first = 0;
        for reference in named {
            let mut known = parts.iter();
            let known = known.find(|part| part.manifest.write == reference.write);
            let Some(known) = known else {
                return Ok(false);
            };
            let write = self.ids.next();
            let plan = plan(anew.bucket, anew.to, write);
            let plan = BodyPlan {
                geometry: anew.geometry.or(cut_of(&known.manifest)),
                checksum: kind_of(&known.manifest).or(plan.checksum),
                ..plan
            };
            let staged = match reference.len.checked_sub(1) {
                Some(last) => {
                    let last = Some(first + last);
                    let range = Some(RangeSpec::From { first, last });
                    let source = match self.open_source(&name, key, id, range, &any).await {
                        // It is shorter by now.
                        Err(GatewayError::InvalidArgument { .. }) => return Ok(false),
                        source => source?,
                    };
                    if source.row.manifest.write != of {
                        return Ok(false);
                    }
                    self.receive_copy(plan, source).await?
                }
                None => self.receive_nothing(plan).await?,
            };
            check_same(&known.manifest, &staged)?;
            let part = NewPart {
                bucket: anew.bucket.clone(),
                key: anew.to.clone(),
                upload,
                number: reference.number,
                write,
                staged,
            };
            self.commit_part(part).await?;
            first += reference.len;
        }
        Ok(true)
    }

    /// Makes the upload the version's, in the place of the one that it had.
    async fn commit_parts(&self, moved: &Moved<'_>, upload: WriteId) -> Result<bool, GatewayError> {
        let (bucket_id, key) = (moved.bucket.id, moved.key.as_str());
        let locks = Locks::none()
            .upload(upload, Mode::Exclusive)
            .key(bucket_id, key);
        let (mut txn, bucket) = self.begin_in(moved.bucket, locks).await?;
        let mut row = self.upload_in(txn.as_mut(), bucket.id, key, upload).await?;
        let Some((place, old)) = self.still(txn.as_mut(), &bucket, moved).await? else {
            return Ok(false);
        };
        let parts = part_refs(&self.parts(upload).await?);
        if !has_shape(&old.manifest, &parts) || row.completed.is_some() {
            return Err(GatewayError::Internal {
                what: format!("upload {upload} has not the parts of what it writes anew"),
            });
        }
        let order = txn.take_order();
        let fresh = self.manifest(
            old.manifest.kind.clone(),
            bucket.id,
            key,
            self.ids.next(),
            order,
        );
        let fresh = Manifest {
            body: Body::Parts { upload, parts },
            ..fresh
        };
        let manifest = same_version(&old.manifest, fresh, moved.class);
        let mut batch = Batch::new();
        close(&mut batch, &mut row, &manifest, 0);
        let rewrite = Rewrite {
            manifest,
            body: StagedBody::Empty,
        };
        self.commit_rewrite(txn, &mut batch, (place, &old), rewrite)
            .await?;
        Ok(true)
    }
}

/// What a body is cut into, if it is cut.
pub(super) fn cut_of(manifest: &Manifest) -> Option<Geometry> {
    match manifest.body {
        Body::Coded { .. } => Some(manifest.geometry),
        _ => None,
    }
}

/// Whether these parts have the numbers and lengths of a version's.
pub(super) fn has_shape(version: &Manifest, parts: &[PartRef]) -> bool {
    let shape = |part: &PartRef| (part.number, part.len);
    match &version.body {
        Body::Parts { parts: named, .. } => named.iter().map(shape).eq(parts.iter().map(shape)),
        _ => false,
    }
}
