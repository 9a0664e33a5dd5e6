//! PutObject with `x-amz-write-offset-bytes`: bytes added to the end of an object.
//!
//! Owns: what an append may be about, and the body it makes: what there is, and then what comes.
//! Leaves to others: reading the one ([`super::copy`]), the commit ([`super::put`]).
//! Always: an append is an overwrite: the object is written anew, whole, under a write of its own,
//! and a reader, a crash or a rebuild sees it as it was or with all that was added. It is committed
//! only if the object is still the write that was read; what is kept with it stays as it is.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use holdfast_protocol::manifest::{OWNER, STORAGE_CLASS};
use holdfast_protocol::{ChecksumKind, Manifest, Metadata, WriteId};
use holdfast_store::digest::{BodyDigests, Digests};
use holdfast_store::{BodyPlan, Staged};

use super::bucket::Bucket;
use super::copy::Source;
use super::list::storage_class;
use super::put::{NewVersion, body_error, check_claims, plan};
use super::rewrite::kind_of;
use super::service::Service;
use super::types::{AppendObject, Incoming, PutObject, ReadConditions, WrittenObject};
use crate::error::GatewayError;
use crate::notify::{EventKind, Origin};

/// Longest object that an append may make: as it is written anew each time, long ones are better
/// uploaded in parts.
pub const APPEND_LEN_MAX: u64 = 1 << 30;

/// What must be there when a version is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Anything.
    Any,
    /// No object: bytes are appended to nothing.
    Nothing,
    /// This write, to which bytes were added.
    Write(WriteId),
}

impl Base {
    /// Holds it against what the key has under its lock; so many bytes are from there, with that
    /// metadata. Returns what is kept with what was appended to: it may have got other tags
    /// meanwhile.
    ///
    /// # Errors
    /// `InvalidWriteOffset` if the object has another length by now; `Conflict` if it is another
    /// one all the same; as [`check_bucket`].
    pub(super) fn check(
        self,
        bucket: &Bucket,
        (first, read): (u64, &Metadata),
        old: Option<&Manifest>,
    ) -> Result<Option<Metadata>, GatewayError> {
        let base = match self {
            Self::Any => return Ok(None),
            Self::Nothing => None,
            Self::Write(write) => Some(write),
        };
        check_bucket(bucket)?;
        let len = old.map_or(0, |old| old.len);
        // It was staged for the geometry of its class.
        let class = |kept: &Metadata| kept.get(STORAGE_CLASS).map(str::to_owned);
        let is_moved = old.is_some_and(|old| class(&old.metadata) != class(read));
        match old.map(|old| old.write) == base {
            true if base.is_some() && is_moved => Err(GatewayError::Conflict),
            true => Ok(old.map(|old| old.metadata.clone())),
            false if first != len => Err(GatewayError::InvalidWriteOffset { offset: first, len }),
            false => Err(GatewayError::Conflict),
        }
    }
}

impl Service {
    pub(super) async fn append_object(
        &self,
        append: AppendObject,
    ) -> Result<WrittenObject, GatewayError> {
        let AppendObject { put, offset } = append;
        let bucket = self.live_bucket(&put.bucket).await?;
        check_bucket(&bucket)?;
        self.check_early(&bucket, &put.key, &put.conditions).await?;
        let any = ReadConditions::default();
        let source = self.open_source(&put.bucket, &put.key, None, None, &any);
        let source = match source.await {
            Ok(source) => source,
            Err(GatewayError::NoSuchKey { .. }) if offset == 0 => {
                // Only what says its length: nothing is held to the bound that was not received.
                check_len(put.body.len.unwrap_or_default())?;
                return self.put_on(put, Base::Nothing).await;
            }
            Err(GatewayError::NoSuchKey { .. }) => {
                return Err(GatewayError::InvalidWriteOffset { offset, len: 0 });
            }
            Err(error) => return Err(error),
        };
        let old = source.row.manifest.clone();
        if offset != old.len {
            let len = old.len;
            return Err(GatewayError::InvalidWriteOffset { offset, len });
        }
        check_kept(&put.metadata, &old.metadata)?;
        let write = self.ids.next();
        let plan = BodyPlan {
            checksum: kind_of(&old).or(Some(ChecksumKind::Crc64Nvme)),
            geometry: self.classes.of(&old.metadata)?,
            ..plan(&bucket, &put.key, write)
        };
        let PutObject {
            key,
            body,
            conditions,
            by,
            ..
        } = put;
        let staged = self.receive_both(plan, source, body).await?;
        let origin = Origin::current().map(|origin| origin.by(&by));
        let version = NewVersion {
            bucket,
            key,
            write,
            metadata: old.metadata,
            conditions,
            staged,
            base: (Base::Write(old.write), offset),
            happened: (EventKind::CreatedPut, origin),
        };
        let service = self.clone();
        let work = async move { service.commit_version(version).await };
        self.to_the_end("append", work).await
    }

    /// Stages what there is and what comes as one body; holds what comes against its claims.
    async fn receive_both(
        &self,
        plan: BodyPlan,
        source: Source,
        body: Incoming,
    ) -> Result<Staged, GatewayError> {
        let first = source.len;
        check_len(body.len.map_or(first, |len| first.saturating_add(len)))?;
        let tally = Arc::new(Mutex::new(Digests::new(body.checksum)));
        let counted = Arc::clone(&tally);
        let added = body.stream.map(move |piece| {
            let piece: Bytes = piece.map_err(GatewayError::Body)?;
            let mut tally = counted.lock().unwrap_or_else(PoisonError::into_inner);
            tally.update(&piece);
            Ok::<_, GatewayError>(piece)
        });
        let plan = BodyPlan {
            len: body.len.map(|len| first + len),
            ..plan
        };
        let both = source.stream.chain(added);
        let staged = self.store.receive(plan, both).await.map_err(body_error)?;
        let tally = std::mem::replace(
            &mut *tally.lock().unwrap_or_else(PoisonError::into_inner),
            Digests::without_md5(None),
        );
        let added: BodyDigests = tally.finish();
        if let Some(expected) = body.len.filter(|&len| len != added.len) {
            let got = added.len;
            return Err(GatewayError::IncompleteBody { expected, got });
        }
        if staged.digests.len != first + added.len {
            return Err(GatewayError::Internal {
                what: format!("{} of {first} bytes were read", staged.digests.len),
            });
        }
        check_len(staged.digests.len)?;
        check_claims(&(body.claims)()?, &added)?;
        Ok(staged)
    }
}

/// That a bucket has appends: where versions are kept each would be one more of the whole object.
///
/// # Errors
/// `NotImplemented`.
fn check_bucket(bucket: &Bucket) -> Result<(), GatewayError> {
    match bucket.has_versions() {
        false => Ok(()),
        true => Err(GatewayError::NotImplemented {
            what: "an append (x-amz-write-offset-bytes) in a bucket that keeps versions".to_owned(),
        }),
    }
}

fn check_len(len: u64) -> Result<(), GatewayError> {
    match len <= APPEND_LEN_MAX {
        true => Ok(()),
        false => Err(GatewayError::TooLarge {
            len,
            max: APPEND_LEN_MAX,
        }),
    }
}

/// That a request says nothing of the object that is not so already: an append changes none of it,
/// and ignores none of it.
fn check_kept(given: &Metadata, kept: &Metadata) -> Result<(), GatewayError> {
    for (name, value) in &given.0 {
        let is_so = match name.as_str() {
            // Whoever appends, the object stays its owner's.
            OWNER => true,
            STORAGE_CLASS => storage_class(kept) == *value,
            name => kept.get(name) == Some(value.as_str()),
        };
        if !is_so {
            let what = match name.as_str() {
                "@acl" => "its ACL",
                name => name,
            };
            return Err(GatewayError::InvalidRequest {
                why: format!(
                    "An append leaves what is kept with the object as it is: {what} cannot be set \
                     by it."
                ),
            });
        }
    }
    Ok(())
}
