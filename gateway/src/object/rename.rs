//! RenameObject: an object gets another name.
//!
//! Owns: what a rename may be about, the order of its steps, what a repeat of one does.
//! Leaves to others: reading and staging the body ([`super::copy`]), parts ([`super::reparts`]),
//! what a new version replaces ([`super::version`]), the tombstone ([`super::delete`]).
//! Always: under the locks of both keys, the new name is committed before anything says that the
//! old one is deleted: whatever fails, or ends in between, the object is under one name or under
//! both. Only the name changes: bytes, entity tag, checksum, parts, time and what is kept with the
//! object stay.

use std::sync::Arc;

use holdfast_index::rows;
use holdfast_index::{Batch, Locks, Mode, Transaction};
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Body, Manifest, ManifestKind, Metadata, Order, WriteId};
use holdfast_store::{BodyPlan, Staged, StagedBody};

use super::bucket::Bucket;
use super::complete::{close, part_refs};
use super::conditions::{check_renamed, check_target};
use super::lock::Protection;
use super::put::{PUT_LEN_MAX, plan, visible, with_body};
use super::reparts::{Anew, cut_of, has_shape};
use super::rewrite::{check_same, kind_of};
use super::service::{Service, note_seen, queue_heal};
use super::types::{DeleteConditions, DeleteObject, ReadConditions, RenameObject};
use super::version::{Present, VersionId};
use crate::error::GatewayError;
use crate::notify::{EventKind, Origin};

/// Longest object that is renamed: its bytes are written anew while the client waits.
pub const RENAME_LEN_MAX: u64 = PUT_LEN_MAX;
/// Metadata of an object that was renamed under a token: the version that it was, what was asked
/// for, and the token.
const RENAMED: &str = "@renamed";

/// A body that is written under the new name, and is nobody's yet.
struct Ready {
    /// The source as it was read.
    of: Manifest,
    body: NewBody,
}

enum NewBody {
    /// Of this write.
    Staged(WriteId, Box<Staged>),
    /// In the parts of this upload.
    Parts(WriteId),
}

/// How far a rename is that was asked for before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// It is none, or nothing is left of it.
    No,
    /// The new name is there; so is the old one, as it was.
    Half,
    /// It is done.
    Done,
}

impl Service {
    pub(super) async fn rename_object(&self, rename: RenameObject) -> Result<(), GatewayError> {
        check_names(&rename)?;
        let bucket = self.live_bucket(&rename.bucket).await?;
        check_bucket(&bucket)?;
        let service = self.clone();
        let origin = Origin::current().map(|origin| origin.by(&rename.by));
        // All of it: who goes away leaves no upload behind.
        let work = async move { service.do_rename(&bucket, &rename, origin.as_ref()).await };
        self.to_the_end("rename", work).await
    }

    async fn do_rename(
        &self,
        bucket: &Arc<Bucket>,
        rename: &RenameObject,
        origin: Option<&Origin>,
    ) -> Result<(), GatewayError> {
        let source = self.current(bucket.id, &rename.from).await?;
        let there = self.current(bucket.id, &rename.key).await?;
        let (source, there) = (source.as_ref(), there.as_ref().and_then(visible));
        let ready = match repeat(rename, source.and_then(visible), there)? {
            Repeat::Done => return Ok(()),
            Repeat::Half => None,
            Repeat::No => {
                let row = self.existing(bucket, &rename.from, None).await?;
                check_renamed(&rename.source_conditions, &row.manifest)?;
                self.check_there(bucket, rename, there).await?;
                Some(self.make_ready(bucket, rename, row).await?)
            }
        };
        let upload = ready.as_ref().and_then(Ready::upload);
        let outcome = self.commit_rename(bucket, rename, ready, origin).await;
        if let Some(upload) = upload {
            self.discard_parts(bucket, &rename.key, upload).await;
        }
        outcome
    }

    /// The conditions on what has the new name.
    async fn check_there(
        &self,
        bucket: &Bucket,
        rename: &RenameObject,
        there: Option<&Manifest>,
    ) -> Result<(), GatewayError> {
        if there.is_none() && rename.conditions.are_any() {
            self.sure(bucket.id, rename.key.as_str()).await?;
        }
        check_target(&rename.conditions, there)
    }

    /// Writes the body where the new name has it.
    async fn make_ready(
        &self,
        bucket: &Arc<Bucket>,
        rename: &RenameObject,
        row: VersionRow,
    ) -> Result<Ready, GatewayError> {
        let (len, max) = (row.manifest.len, RENAME_LEN_MAX);
        if len > max {
            return Err(GatewayError::TooLarge { len, max });
        }
        if matches!(row.manifest.body, Body::Parts { .. }) {
            let anew = Anew {
                bucket,
                from: (&rename.from, None, row.manifest.write),
                to: &rename.key,
                geometry: None,
            };
            let upload = self.write_anew(&anew, &row, Metadata::default()).await?;
            let upload = upload.ok_or(GatewayError::Conflict)?;
            return Ok(Ready {
                of: row.manifest,
                body: NewBody::Parts(upload),
            });
        }
        let any = ReadConditions::default();
        let source = self.open_source(&rename.bucket, &rename.from, None, None, &any);
        let source = source.await?;
        let of = source.row.manifest.clone();
        if of.write != row.manifest.write {
            return Err(GatewayError::Conflict);
        }
        let write = self.ids.next();
        let plan = plan(bucket, &rename.key, write);
        let plan = BodyPlan {
            checksum: kind_of(&of).or(plan.checksum),
            geometry: cut_of(&of),
            ..plan
        };
        let staged = self.receive_copy(plan, source).await?;
        check_same(&of, &staged)?;
        let body = NewBody::Staged(write, Box::new(staged));
        Ok(Ready { of, body })
    }

    /// Under the locks of both keys: the new name, then the end of the old one.
    async fn commit_rename(
        &self,
        bucket: &Arc<Bucket>,
        rename: &RenameObject,
        ready: Option<Ready>,
        origin: Option<&Origin>,
    ) -> Result<(), GatewayError> {
        let (from, to) = (rename.from.as_str(), rename.key.as_str());
        let mut locks = Locks::none().key(bucket.id, from).key(bucket.id, to);
        if let Some(upload) = ready.as_ref().and_then(Ready::upload) {
            locks = locks.upload(upload, Mode::Exclusive);
        }
        let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
        check_bucket(&bucket)?;
        let source = rows::get_current(&mut *txn, bucket.id, from).await?;
        let present = self.present(&mut *txn, &bucket, to).await?;
        let there = present.current.as_ref().and_then(visible);
        match repeat(rename, source.as_ref().and_then(visible), there)? {
            Repeat::Done => return Ok(()),
            Repeat::Half => {}
            Repeat::No => {
                let Some(source) = source else {
                    return Err(self.missing(bucket.id, &rename.from, None).await?);
                };
                let ready = ready.ok_or(GatewayError::Conflict)?;
                self.check_still(&bucket, rename, (&source.manifest, there), &ready)
                    .await?;
                let all = (&source.manifest, &present);
                txn = self
                    .commit_name(txn, &bucket, rename, all, ready, origin)
                    .await?;
            }
        }
        let delete = DeleteObject {
            bucket: rename.bucket.clone(),
            key: rename.from.clone(),
            version: None,
            conditions: DeleteConditions::default(),
            bypass: false,
            by: rename.by.clone(),
        };
        self.remove(txn, &bucket, &delete, VersionId::Null, origin)
            .await
            .map(drop)
    }

    /// What was decided before the locks holds under them.
    async fn check_still(
        &self,
        bucket: &Bucket,
        rename: &RenameObject,
        (source, there): (&Manifest, Option<&Manifest>),
        ready: &Ready,
    ) -> Result<(), GatewayError> {
        // It was written for the geometry of its class.
        let class = |of: &Manifest| of.metadata.get(STORAGE_CLASS).map(str::to_owned);
        if source.write != ready.of.write || class(source) != class(&ready.of) {
            return Err(GatewayError::Conflict);
        }
        check_renamed(&rename.source_conditions, source)?;
        self.check_there(bucket, rename, there).await?;
        let now_ms = self.store.world().clock.unix_ms();
        for object in [Some(source), there].into_iter().flatten() {
            Protection::of(&object.metadata)?.check_delete(now_ms, false)?;
        }
        Ok(())
    }

    /// Makes the object durable and visible under its new name, in the place of what has that.
    async fn commit_name(
        &self,
        mut txn: Box<dyn Transaction>,
        bucket: &Bucket,
        rename: &RenameObject,
        (source, present): (&Manifest, &Present),
        ready: Ready,
        origin: Option<&Origin>,
    ) -> Result<Box<dyn Transaction>, GatewayError> {
        let (key, mut batch) = (rename.key.as_str(), Batch::new());
        let order = txn.take_order();
        let kind = ManifestKind::Version(bucket.name_of_new());
        let new = |write| self.manifest(kind.clone(), bucket.id, key, write, order);
        let (manifest, body, mut upload) = match ready.body {
            NewBody::Staged(write, staged) => (with_body(new(write), &staged), staged.body, None),
            NewBody::Parts(upload) => {
                let row = self.upload_in(txn.as_mut(), bucket.id, key, upload).await?;
                let parts = part_refs(&self.parts(upload).await?);
                if !has_shape(source, &parts) || row.completed.is_some() {
                    let what = format!("upload {upload} has not the parts of what is renamed");
                    return Err(GatewayError::Internal { what });
                }
                let manifest = Manifest {
                    body: Body::Parts { upload, parts },
                    ..new(self.ids.next())
                };
                (manifest, StagedBody::Empty, Some(row))
            }
        };
        let manifest = Manifest {
            created_ms: source.created_ms,
            len: source.len,
            etag: source.etag,
            checksum: source.checksum.clone(),
            metadata: of_renamed(rename, source),
            ..manifest
        };
        let sealed = self.seal_body(&manifest, body).await?;
        let row = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        if let Some(upload) = &mut upload {
            close(&mut batch, upload, &row.manifest, 0);
        }
        let has_retired = self.place(&mut batch, bucket, present, &row).await?;
        note_seen(&mut batch, &sealed.seen);
        let heal = queue_heal(&mut batch, &row.manifest, &row.placement);
        let happened = (EventKind::CreatedCopy, &row.manifest, order);
        self.announce(&mut batch, bucket, happened, origin)?;
        let rest = self.commit_first(txn, batch).await?;
        self.notify(has_retired, heal);
        Ok(rest)
    }
}

impl Ready {
    fn upload(&self) -> Option<WriteId> {
        match self.body {
            NewBody::Staged(..) => None,
            NewBody::Parts(upload) => Some(upload),
        }
    }
}

/// That a bucket has renames: where versions are kept, the old name would stay as one.
///
/// # Errors
/// `NotImplemented`.
fn check_bucket(bucket: &Bucket) -> Result<(), GatewayError> {
    match bucket.has_versions() {
        false => Ok(()),
        true => Err(GatewayError::NotImplemented {
            what: "a rename in a bucket that keeps versions".to_owned(),
        }),
    }
}

fn check_names(rename: &RenameObject) -> Result<(), GatewayError> {
    let (from, to) = (rename.from.as_str(), rename.key.as_str());
    let why = match from == to {
        true => "The source and the destination of a rename must be different keys.",
        // As in S3, where such a key is a folder's.
        false if from.ends_with('/') || to.ends_with('/') => {
            "An object whose key ends with a slash is not renamed, and no object to such a key."
        }
        false => return Ok(()),
    };
    Err(GatewayError::InvalidRequest {
        why: why.to_owned(),
    })
}

/// What is kept with an object under its new name.
fn of_renamed(rename: &RenameObject, source: &Manifest) -> Metadata {
    let mut metadata = source.metadata.clone();
    metadata.remove(RENAMED);
    if let Some(token) = &rename.token {
        let made = Made {
            from: source.version,
            asked: asked(rename),
            token,
        };
        metadata.set(RENAMED, made.text());
    }
    metadata
}

/// The rename that an object has its name from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made<'a> {
    /// The version that it was.
    from: Order,
    /// All that was asked for, as [`asked`].
    asked: u64,
    token: &'a str,
}

impl<'a> Made<'a> {
    fn text(&self) -> String {
        let from = hex::encode(self.from.to_key());
        format!("{from} {:016x} {}", self.asked, self.token)
    }

    fn of(object: &'a Manifest) -> Option<Self> {
        let mut fields = object.metadata.get(RENAMED)?.splitn(3, ' ');
        let (from, asked, token) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            from: Order::from_key(hex::decode(from).ok()?.try_into().ok()?),
            asked: u64::from_str_radix(asked, 16).ok()?,
            token,
        })
    }
}

/// What tells one request under a token from another to the same key.
fn asked(rename: &RenameObject) -> u64 {
    let conditions = (&rename.source_conditions, &rename.conditions);
    crc64(format!("{:?} {conditions:?}", rename.from.as_str()).as_bytes())
}

/// Whether the request was answered, or begun, before.
///
/// # Errors
/// `TokenMismatch` if another one came with its token.
fn repeat(
    rename: &RenameObject,
    source: Option<&Manifest>,
    there: Option<&Manifest>,
) -> Result<Repeat, GatewayError> {
    let Some(token) = &rename.token else {
        return Ok(Repeat::No);
    };
    let by_token = |object| Made::of(object).filter(|made| made.token == token);
    if source.and_then(by_token).is_some() {
        return Err(GatewayError::TokenMismatch);
    }
    let (Some(made), Some(there)) = (there.and_then(by_token), there) else {
        return Ok(Repeat::No);
    };
    if made.asked != asked(rename) {
        return Err(GatewayError::TokenMismatch);
    }
    let Some(source) = source.filter(|source| source.version == made.from) else {
        return Ok(Repeat::Done);
    };
    // What was changed since then goes along.
    let kept = |object: &Manifest| {
        let mut kept = object.metadata.clone();
        kept.remove(RENAMED);
        kept
    };
    match kept(source) == kept(there) {
        true => Ok(Repeat::Half),
        false => Ok(Repeat::No),
    }
}
