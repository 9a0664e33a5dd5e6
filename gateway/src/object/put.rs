//! PutObject and everything that writes a version.
//!
//! Owns: receiving and verifying a body, and the commit of a version (steps 3 to 5 of the
//! protocol).
//! Leaves to others: shards (store), parts ([`super::part`]).
//! Always: a body that fails a check leaves nothing visible; conditions are decided under the key's
//! lock.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_index::{Batch, Locks};
use holdfast_protocol::row::{BucketRow, VersionRow};
use holdfast_protocol::{
    Body, ChecksumKind, ChecksumType, ETag, Manifest, ManifestKind, Metadata, ObjectChecksum,
    Order, Record, WriteId,
};
use holdfast_seam::planted;
use holdfast_store::digest::BodyDigests;
use holdfast_store::placement::group_of;
use holdfast_store::{BodyPlan, Sealed, Staged, StagedBody, StoreError};

use super::append::Base;
use super::bucket::Bucket;
use super::conditions::check_write;
use super::lifecycle::told;
use super::lock;
use super::service::{Service, note_seen, queue_heal};
use super::types::{BodyClaims, Incoming, PutObject, WriteConditions, WrittenObject};
use crate::error::{BodyError, GatewayError};
use crate::names::ObjectKey;
use crate::notify::{EventKind, Origin};

/// Largest object or part of one request: 5 GiB.
pub const PUT_LEN_MAX: u64 = 5 << 30;

/// A version to be committed once its body is staged.
pub(super) struct NewVersion {
    pub bucket: Arc<Bucket>,
    pub key: ObjectKey,
    pub write: WriteId,
    pub metadata: Metadata,
    pub conditions: WriteConditions,
    pub staged: Staged,
    /// What must be there, and how many bytes of it are in the body.
    pub base: (Base, u64),
    /// What is told of it, and who asked for it.
    pub happened: (EventKind, Option<Origin>),
}

impl Service {
    pub(super) async fn put_object(&self, put: PutObject) -> Result<WrittenObject, GatewayError> {
        self.put_on(put, Base::Any).await
    }

    /// The same, if what must be there is.
    pub(super) async fn put_on(
        &self,
        put: PutObject,
        base: Base,
    ) -> Result<WrittenObject, GatewayError> {
        let bucket = self.live_bucket(&put.bucket).await?;
        self.check_early(&bucket, &put.key, &put.conditions).await?;
        lock::check_new(bucket.settings(), &put.metadata)?;
        let write = self.ids.next();
        let origin = Origin::current().map(|origin| origin.by(&put.by));
        let kind = match &origin {
            Some(origin) if origin.is_form => EventKind::CreatedPost,
            _ => EventKind::CreatedPut,
        };
        let plan = BodyPlan {
            geometry: self.classes.of(&put.metadata)?,
            ..plan(&bucket, &put.key, write)
        };
        let staged = self.receive(plan, put.body).await?;
        let version = NewVersion {
            bucket,
            key: put.key,
            write,
            metadata: put.metadata,
            conditions: put.conditions,
            staged,
            base: (base, 0),
            happened: (kind, origin),
        };
        let service = self.clone();
        self.to_the_end("put", async move { service.commit_version(version).await })
            .await
    }

    /// Refuses before the body is read what will most likely be refused after.
    pub(super) async fn check_early(
        &self,
        bucket: &BucketRow,
        key: &ObjectKey,
        conditions: &WriteConditions,
    ) -> Result<(), GatewayError> {
        if !conditions.are_any() {
            return Ok(());
        }
        let current = self.current(bucket.id, key).await?;
        if current.is_none() {
            self.sure(bucket.id, key.as_str()).await?;
        }
        check_write(conditions, key.as_str(), current.as_ref().and_then(visible))
    }

    /// Receives a body, stages it, and holds it against its length and checksums.
    pub(super) async fn receive(
        &self,
        plan: BodyPlan,
        body: Incoming,
    ) -> Result<Staged, GatewayError> {
        if let Some(len) = body.len.filter(|&len| len > PUT_LEN_MAX) {
            return Err(GatewayError::TooLarge {
                len,
                max: PUT_LEN_MAX,
            });
        }
        let plan = BodyPlan {
            len: body.len,
            checksum: body.checksum.or(plan.checksum),
            ..plan
        };
        let staged = self
            .store
            .receive(plan, body.stream)
            .await
            .map_err(body_error)?;
        let got = staged.digests.len;
        if let Some(expected) = body.len.filter(|&len| len != got) {
            return Err(GatewayError::IncompleteBody { expected, got });
        }
        if got > PUT_LEN_MAX {
            return Err(GatewayError::TooLarge {
                len: got,
                max: PUT_LEN_MAX,
            });
        }
        check_claims(&(body.claims)()?, &staged.digests)?;
        Ok(staged)
    }

    /// Steps 3 to 5: decides the conditions under the lock, makes the record durable, commits the
    /// row.
    pub(super) async fn commit_version(
        &self,
        version: NewVersion,
    ) -> Result<WrittenObject, GatewayError> {
        let NewVersion {
            bucket,
            key,
            write,
            mut metadata,
            conditions,
            staged,
            base: (base, first),
            happened: (happened, origin),
        } = version;
        let locks = match planted("key-not-held") {
            true => Locks::none(),
            false => Locks::none().key(bucket.id, key.as_str()),
        };
        let (mut txn, bucket) = self.begin_in(&bucket, locks).await?;
        let present = self.present(&mut *txn, &bucket, key.as_str()).await?;
        let old = present.current.as_ref();
        self.decidable(&conditions, old, bucket.id, key.as_str())
            .await?;
        if !planted("condition-before-lock") {
            check_write(&conditions, key.as_str(), old.and_then(visible))?;
        }
        let appended = (first, &metadata);
        if let Some(kept) = base.check(&bucket, appended, old.and_then(visible))? {
            metadata = kept;
        }
        let kind = ManifestKind::Version(bucket.name_of_new());
        let order = txn.take_order();
        let manifest = self.manifest(kind, bucket.id, key.as_str(), write, order);
        lock::settle(bucket.settings(), &mut metadata, manifest.created_ms)?;
        let manifest = Manifest {
            metadata,
            ..with_body(manifest, &staged)
        };
        if planted("purge-before-record")
            && let Some(old) = old
        {
            for drive in old.placement.drives() {
                let writes = vec![old.manifest.write];
                let _ = self.store.purge(drive, Order::ZERO, writes).await;
            }
        }
        let sealed = self.seal_body(&manifest, staged.body).await?;
        let row = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        let mut batch = Batch::new();
        let has_retired = self.place(&mut batch, &bucket, &present, &row).await?;
        note_seen(&mut batch, &sealed.seen);
        let heal = queue_heal(&mut batch, &row.manifest, &row.placement);
        let happened = (happened, &row.manifest, order);
        self.announce(&mut batch, &bucket, happened, origin.as_ref())?;
        self.commit(txn, batch).await?;
        self.notify(has_retired, heal);
        Ok(WrittenObject {
            version: bucket.id_of_new(&row.manifest),
            etag: row.manifest.etag,
            checksum: row.manifest.checksum.clone(),
            len: row.manifest.len,
            modified_ms: row.manifest.created_ms,
            expires: told(bucket.settings().lifecycle.as_ref(), &row.manifest),
        })
    }

    /// Makes the record durable with the body that belongs to it.
    pub(super) async fn seal_body(
        &self,
        manifest: &Manifest,
        body: StagedBody,
    ) -> Result<Sealed, GatewayError> {
        let commit = |body| Record::Commit {
            manifest: manifest.clone(),
            body,
        };
        let (bucket, key) = (manifest.bucket, manifest.key.as_str());
        let sealed = match body {
            StagedBody::Empty => self.seal(&commit(Bytes::new()), bucket, key).await,
            StagedBody::Inline(bytes) => self.seal(&commit(bytes), bucket, key).await,
            StagedBody::Coded(coded) => {
                let drives = coded.drives.clone();
                let sealed = self.store.seal_coded(manifest, coded).await;
                self.voided(manifest.write, sealed, || drives)
            }
        };
        Ok(sealed?)
    }
}

/// What is known of a body in the cluster's geometry of which nothing else is known.
pub(super) fn plan(bucket: &BucketRow, key: &ObjectKey, write: WriteId) -> BodyPlan {
    BodyPlan {
        write,
        group: group_of(bucket.id, key.as_str()),
        len: None,
        checksum: Some(ChecksumKind::Crc64Nvme),
        geometry: None,
    }
}

/// The manifest of a write whose body is `staged`. What is not cut has as many copies in any class.
pub(super) fn with_body(manifest: Manifest, staged: &Staged) -> Manifest {
    let geometry = match &staged.body {
        StagedBody::Coded(coded) => coded.layout.geometry(),
        StagedBody::Empty | StagedBody::Inline(_) => manifest.geometry,
    };
    Manifest {
        geometry,
        len: staged.digests.len,
        etag: ETag {
            md5: staged.digests.md5,
            parts: 0,
        },
        body: body_kind(&staged.body),
        checksum: full_object_checksum(staged),
        ..manifest
    }
}

/// How a staged body is described in its manifest.
fn body_kind(body: &StagedBody) -> Body {
    match body {
        StagedBody::Empty => Body::Empty,
        StagedBody::Inline(_) => Body::Inline,
        StagedBody::Coded(coded) => Body::Coded {
            drives: coded.drives.clone(),
            digests: coded.digests.clone(),
        },
    }
}

/// The object, unless it is a delete marker.
pub(super) fn visible(row: &VersionRow) -> Option<&Manifest> {
    match row.manifest.body {
        Body::DeleteMarker => None,
        _ => Some(&row.manifest),
    }
}

/// The checksum of a body written in one piece.
fn full_object_checksum(staged: &Staged) -> Option<ObjectChecksum> {
    let (kind, digest) = staged.digests.checksum.clone()?;
    Some(ObjectChecksum {
        kind,
        covers: ChecksumType::FullObject,
        digest,
    })
}

/// Holds what was received against what the client says of it.
///
/// # Errors
/// `BadDigest`.
pub(super) fn check_claims(
    claims: &BodyClaims,
    received: &BodyDigests,
) -> Result<(), GatewayError> {
    if claims.md5.is_some_and(|md5| md5 != received.md5) {
        return Err(GatewayError::BadDigest {
            what: "Content-MD5",
        });
    }
    let Some((kind, digest)) = &claims.checksum else {
        return Ok(());
    };
    match &received.checksum {
        Some((computed, ours)) if computed == kind && ours == digest => Ok(()),
        _ => Err(GatewayError::BadDigest {
            what: checksum_header(*kind),
        }),
    }
}

/// The header that carries a checksum.
pub fn checksum_header(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "x-amz-checksum-crc32",
        ChecksumKind::Crc32c => "x-amz-checksum-crc32c",
        ChecksumKind::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumKind::Sha1 => "x-amz-checksum-sha1",
        ChecksumKind::Sha256 => "x-amz-checksum-sha256",
    }
}

/// Brings back the client's error from inside the store's.
pub(super) fn body_error(error: StoreError) -> GatewayError {
    match error {
        StoreError::Body(source) => match source.downcast::<BodyError>() {
            Ok(body) => GatewayError::Body(*body),
            Err(source) => match source.downcast::<GatewayError>() {
                Ok(read) => *read,
                Err(source) => GatewayError::Internal {
                    what: source.to_string(),
                },
            },
        },
        other => GatewayError::Store(other),
    }
}
