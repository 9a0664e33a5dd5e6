//! Writing a version that parts make up anew in another storage class.
//!
//! Owns: a hidden upload, whose parts are the version's in the class's geometry, and its end.
//! Leaves to others: parts ([`super::part`]), aborting ([`super::upload`]), what stays of the
//! version ([`super::rewrite`]).
//! Always: clients do not meet the upload; if the version does not become its, it is aborted: here,
//! or, after a crash, by the next process ([`super::abandoned`]).

use holdfast_index::{Batch, Locks, Mode};
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Body, Geometry, Manifest, ManifestKind, Metadata, PartRef, WriteId};
use holdfast_store::{BodyPlan, StagedBody};

use super::complete::{close, part_refs};
use super::part::NewPart;
use super::put::plan;
use super::rewrite::{Moved, Rewrite, check_same, kind_of, same_version};
use super::service::Service;
use super::types::{CreateUpload, RangeSpec, ReadConditions};
use super::upload::{Why, parse_upload};
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::names::BucketName;

/// Metadata of an upload that is no client's: which version it writes anew.
const REWRITES: &str = "@rewrites";

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
        metadata.set(REWRITES, moved.id.to_string());
        metadata.set(STORAGE_CLASS, moved.class);
        let create = CreateUpload {
            bucket: BucketName::parse(&moved.bucket.name)?,
            key: moved.key.clone(),
            metadata,
            checksum: None,
            by: Caller::Anonymous,
        };
        let upload = parse_upload(&self.open_upload(create).await?.id)?;
        let written = async {
            match self
                .rewrite_parts(moved, geometry, upload, (row, parts))
                .await?
            {
                true => self.commit_parts(moved, upload).await,
                false => Ok(false),
            }
        };
        let written = written.await;
        if !matches!(written, Ok(true)) {
            let key = moved.key.as_str();
            match self
                .commit_abort(moved.bucket, key, upload, Why::Rewrite)
                .await
            {
                Ok(_) | Err(GatewayError::NoSuchUpload { .. }) => {}
                Err(error) => tracing::warn!(%upload, %error, "upload of a move is left behind"),
            }
        }
        written
    }

    /// Writes the parts. Returns whether the version is still the same.
    async fn rewrite_parts(
        &self,
        moved: &Moved<'_>,
        geometry: Geometry,
        upload: WriteId,
        (row, parts): (&VersionRow, &[PartRow]),
    ) -> Result<bool, GatewayError> {
        let Body::Parts { parts: named, .. } = &row.manifest.body else {
            return Ok(false);
        };
        let (name, any) = (
            BucketName::parse(&moved.bucket.name)?,
            ReadConditions::default(),
        );
        let mut first = 0;
        for reference in named {
            let mut known = parts.iter();
            let known = known.find(|part| part.manifest.write == reference.write);
            let Some(known) = known else {
                return Ok(false);
            };
            let write = self.ids.next();
            let plan = BodyPlan {
                geometry: Some(geometry),
                checksum: kind_of(&known.manifest)
                    .or(plan(moved.bucket, moved.key, write).checksum),
                ..plan(moved.bucket, moved.key, write)
            };
            let staged = match reference.len.checked_sub(1) {
                Some(last) => {
                    let last = Some(first + last);
                    let range = Some(RangeSpec::From { first, last });
                    let source = self.open_source(&name, moved.key, Some(moved.id), range, &any);
                    let source = source.await?;
                    if source.row.manifest.write != moved.write {
                        return Ok(false);
                    }
                    self.receive_copy(plan, source).await?
                }
                None => self.receive_nothing(plan).await?,
            };
            check_same(&known.manifest, &staged)?;
            let part = NewPart {
                bucket: moved.bucket.clone(),
                key: moved.key.clone(),
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
        let is_same = match &old.manifest.body {
            Body::Parts { parts: named, .. } => {
                let shape = |part: &PartRef| (part.number, part.len);
                named.iter().map(shape).eq(parts.iter().map(shape))
            }
            _ => false,
        };
        if !is_same || row.completed.is_some() {
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
