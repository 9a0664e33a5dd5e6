//! CopyObject and the source of UploadPartCopy.
//!
//! Owns: reading one object as the body of another.
//! Leaves to others: committing ([`super::put`], [`super::part`]).
//! Always: a copy has shards of its own.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use holdfast_protocol::manifest::{OWNER, STORAGE_CLASS};
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{ByteRange, ChecksumKind, Metadata};
use holdfast_store::{BodyPlan, Staged};

use super::append::Base;
use super::conditions::check_source;
use super::get::{narrow, read_all, resolve};
use super::lock;
use super::put::{NewVersion, PUT_LEN_MAX, body_error, plan};
use super::service::Service;
use super::types::{CopiedObject, CopyObject, RangeSpec, ReadConditions};
use super::version::VersionId;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::notify::{EventKind, Origin};

/// The header that a version's tags are kept under.
pub(crate) const TAGGING: &str = "x-amz-tagging";
/// The header that sends readers of a website elsewhere.
const REDIRECT: &str = "x-amz-website-redirect-location";

/// An object to copy from.
pub(super) struct Source {
    pub row: Arc<VersionRow>,
    pub len: u64,
    /// Its version id, where versions are kept.
    pub version: Option<VersionId>,
    pub(super) stream: BoxStream<'static, Result<Bytes, GatewayError>>,
}

/// As S3 answers a copy from a delete marker that is named.
fn no_marker_by_name(error: GatewayError) -> GatewayError {
    match error {
        GatewayError::DeleteMarker {
            was_named: true, ..
        } => GatewayError::InvalidRequest {
            why: "The source of a copy request may not specifically refer to a delete marker by \
                  version id."
                .to_owned(),
        },
        other => other,
    }
}

/// What a copy never takes from its source: a value of the request is its own.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with('@') || name == STORAGE_CLASS || name == REDIRECT
}

/// What a copy is given: what the request replaces, and else what the source has, but for what is
/// the source's own.
fn of_copy(
    source: &Metadata,
    headers: Option<Metadata>,
    tags: Option<Option<String>>,
    own: Metadata,
) -> Metadata {
    let copied = || {
        let kept = source
            .0
            .iter()
            .filter(|(name, _)| !is_own(name) && name != TAGGING);
        Metadata(kept.cloned().collect())
    };
    let mut metadata = headers.unwrap_or_else(copied);
    let tags = tags.unwrap_or_else(|| source.get(TAGGING).map(str::to_owned));
    if let Some(tags) = tags {
        metadata.set(TAGGING, tags);
    }
    for (name, value) in own.0 {
        metadata.set(&name, value);
    }
    metadata
}

impl Service {
    pub(super) async fn copy_object(&self, copy: CopyObject) -> Result<CopiedObject, GatewayError> {
        let bucket = self.live_bucket(&copy.bucket).await?;
        let same = copy.source_bucket == copy.bucket && copy.source_key == copy.key;
        let own = copy.own.0.iter().any(|(name, _)| name != OWNER);
        let changes = copy.metadata.is_some() || copy.tags.is_some() || own;
        if same && copy.source_version.is_none() && !changes {
            return Err(GatewayError::InvalidRequest {
                why:
                    "This copy request is illegal because it is trying to copy an object to itself \
                      without changing the object's metadata, storage class, website redirect \
                      location or encryption attributes."
                        .to_owned(),
            });
        }
        let source = self
            .open_source(
                &copy.source_bucket,
                &copy.source_key,
                copy.source_version,
                None,
                &copy.source_conditions,
            )
            .await?;
        self.check_early(&bucket, &copy.key, &copy.conditions)
            .await?;
        let kept = source
            .row
            .manifest
            .checksum
            .as_ref()
            .map(|checksum| checksum.kind);
        let checksum = copy.checksum.or(kept);
        let metadata = of_copy(
            &source.row.manifest.metadata,
            copy.metadata,
            copy.tags,
            copy.own,
        );
        lock::check_new(bucket.settings(), &metadata)?;
        let write = self.ids.next();
        let source_version = source.version;
        let plan = BodyPlan {
            checksum: checksum.or(Some(ChecksumKind::Crc64Nvme)),
            geometry: self.classes.of(&metadata)?,
            ..plan(&bucket, &copy.key, write)
        };
        let staged = self.receive_copy(plan, source).await?;
        let origin = Origin::current().map(|origin| origin.by(&copy.by));
        let conditions = copy.conditions;
        let version = NewVersion {
            bucket,
            key: copy.key,
            write,
            metadata,
            conditions,
            staged,
            base: (Base::Any, 0),
            happened: (EventKind::CreatedCopy, origin),
        };
        let service = self.clone();
        let work = async move { service.commit_version(version).await };
        Ok(CopiedObject {
            written: self.to_the_end("copy", work).await?,
            source_version,
        })
    }

    /// Opens an object to copy from; `range` must lie within it.
    pub(super) async fn open_source(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        range: Option<RangeSpec>,
        conditions: &ReadConditions,
    ) -> Result<Source, GatewayError> {
        let mut reader = self.readers.enter();
        let bucket = self.live_bucket(bucket).await?;
        let row = self.existing(&bucket, key, version).await;
        let row = Arc::new(row.map_err(no_marker_by_name)?);
        check_source(conditions, &row.manifest)?;
        let len = row.manifest.len;
        let beyond = |last| last >= len;
        if matches!(range, Some(RangeSpec::From { last: Some(last), .. }) if beyond(last)) {
            return Err(GatewayError::InvalidArgument {
                name: "x-amz-copy-source-range",
                why: format!("Range specified is not valid for source object of size: {len}"),
            });
        }
        let whole = ByteRange::new(0, len);
        let range = range.map_or(Ok(whole), |range| resolve(range, row.manifest.len))?;
        if range.len() > PUT_LEN_MAX {
            return Err(GatewayError::TooLarge {
                len: range.len(),
                max: PUT_LEN_MAX,
            });
        }
        let segments = self.segments(Arc::clone(&row), range).await?;
        let segments = segments.ok_or(GatewayError::Busy {
            why: "the source changes too fast",
        })?;
        narrow(&mut reader, &segments);
        let stream = read_all(self.store.clone(), segments)
            .map(move |piece| {
                let _held = &reader;
                piece
            })
            .boxed();
        Ok(Source {
            version: bucket.id_of(&row.manifest),
            row,
            len: range.len(),
            stream,
        })
    }

    /// Stages a body without bytes.
    pub(super) async fn receive_nothing(&self, plan: BodyPlan) -> Result<Staged, GatewayError> {
        let plan = BodyPlan {
            len: Some(0),
            ..plan
        };
        let nothing = futures::stream::empty::<Result<Bytes, GatewayError>>();
        self.store.receive(plan, nothing).await.map_err(body_error)
    }

    /// Stages a source as the body of `write`.
    pub(super) async fn receive_copy(
        &self,
        plan: BodyPlan,
        source: Source,
    ) -> Result<Staged, GatewayError> {
        let plan = BodyPlan {
            len: Some(source.len),
            ..plan
        };
        let staged = self
            .store
            .receive(plan, source.stream)
            .await
            .map_err(body_error)?;
        match staged.digests.len == source.len {
            true => Ok(staged),
            false => Err(GatewayError::Internal {
                what: format!("source gave {} of {} bytes", staged.digests.len, source.len),
            }),
        }
    }
}
