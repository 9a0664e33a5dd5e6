//! How operations reach a gateway.
//!
//! Owns: one way past the front, into the gateway's own process, and what each operation's end
//! means whichever way it came.
//! Leaves to others: the way over HTTP ([`s3`]), what is asked and what it means for the history
//! ([`super`]).

mod ask;
pub(super) mod s3;
mod xml;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::error::BodyError;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    ChangeObject, CompleteUpload, CopyObject, CreateUpload, DeleteConditions, DeleteObject,
    GetObject, Incoming, ListObjects, ListVersions, NamedPart, PutObject, PutPart, RangeSpec,
    ReadConditions, VersionId, WriteConditions,
};
use holdfast_gateway::settings::Settings;
use holdfast_gateway::{BucketName, GatewayError, ObjectKey};
use holdfast_protocol::{ByteRange, Metadata};

use crate::cluster::chain;
use crate::dice::Dice;
use crate::exec::ProcessId;
use crate::gateway::Running;
use s3::S3;

/// Where tags are kept.
const TAGS: &str = "x-amz-tagging";

/// Why an operation did not succeed, as far as its client can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing was heard of it.
    Silent,
    NoSuchKey,
    NoSuchVersion,
    NoSuchBucket,
    /// What was asked for is a delete marker.
    Marker,
    /// A condition did not hold.
    NotMet,
    Conflict,
    /// An answer of 5xx.
    Failed(String),
    /// Another answer of 4xx.
    Refused(String),
}

impl From<GatewayError> for Ended {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::NoSuchKey { .. } => Self::NoSuchKey,
            GatewayError::NoSuchVersion { .. } => Self::NoSuchVersion,
            GatewayError::NoSuchBucket { .. } => Self::NoSuchBucket,
            GatewayError::DeleteMarker { .. } => Self::Marker,
            GatewayError::Precondition { .. } | GatewayError::NotModified { .. } => Self::NotMet,
            GatewayError::Conflict => Self::Conflict,
            GatewayError::Busy { .. }
            | GatewayError::Unavailable { .. }
            | GatewayError::Store(_)
            | GatewayError::Index(_)
            | GatewayError::Internal { .. } => Self::Failed(chain(&error)),
            error => Self::Refused(chain(&error)),
        }
    }
}

/// The end of an operation, as the client sees it.
pub(super) type Got<T> = Result<T, Ended>;

/// A key in a bucket.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub bucket: BucketName,
    pub key: ObjectKey,
}

/// A body to be sent.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    bytes: Bytes,
    /// Where its pieces end.
    ends: Vec<usize>,
    /// The client goes away after the last piece.
    is_cut: bool,
    says_len: bool,
}

impl Upload {
    /// A body that comes in pieces, and breaks after `cut` bytes, if given.
    pub fn new(bytes: &Bytes, dice: &mut Dice, cut: Option<usize>) -> Self {
        let (mut ends, mut at) = (Vec::new(), 0);
        let end = cut.unwrap_or(bytes.len());
        let piece_max = if dice.permille(100) { 700 } else { 200_000 };
        while at < end {
            at += (dice.within(1..piece_max) as usize).min(end - at);
            ends.push(at);
        }
        Self {
            bytes: bytes.clone(),
            ends,
            is_cut: cut.is_some(),
            says_len: dice.permille(800),
        }
    }

    fn pieces(&self) -> Vec<Bytes> {
        let mut at = 0;
        let piece = |&end: &usize| self.bytes.slice(std::mem::replace(&mut at, end)..end);
        self.ends.iter().map(piece).collect()
    }

    fn incoming(&self) -> Incoming {
        let gone = self
            .is_cut
            .then(|| Err(BodyError::Gone("the client went away".to_owned())));
        let pieces = self.pieces().into_iter().map(Ok).chain(gone);
        let pieces: Vec<Result<Bytes, BodyError>> = pieces.collect();
        Incoming {
            stream: futures::stream::iter(pieces).boxed(),
            len: self.says_len.then_some(self.bytes.len() as u64),
            checksum: None,
            claims: Box::new(|| Ok(Default::default())),
        }
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Without quotes.
    pub etag: String,
    pub version: Option<VersionId>,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// Without quotes.
    pub etag: String,
    pub tags: Option<String>,
    pub range: ByteRange,
    pub bytes: Vec<u8>,
    /// Why it ended early, if it did.
    pub cut: Option<String>,
}

/// A page of keys and their entity tags.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub entries: Vec<(String, String)>,
    /// Behind which key it goes on.
    pub next: Option<String>,
}

/// A version in a list.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub key: String,
    pub id: String,
    /// Of a delete marker there is none.
    pub etag: Option<String>,
    pub is_latest: bool,
}

/// A page of versions.
#[derive(Clone, Debug, Default)]
pub(super) struct VersionPage {
    pub versions: Vec<Version>,
    /// Behind which key and version it goes on.
    pub next: Option<(String, Option<VersionId>)>,
}

/// The way to a gateway.
pub(super) enum Door {
    /// Past the front, in the gateway's process.
    Inside(Arc<Running>),
    /// Over HTTP, from outside.
    Front(Box<S3>),
}

fn from_tags(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}

impl Door {
    /// The process in which an operation runs that is asked this way.
    pub fn process(&self) -> ProcessId {
        match self {
            Self::Inside(running) => running.process,
            Self::Front(_) => crate::exec::OUTSIDE,
        }
    }

    pub async fn put(self, at: At, body: Upload, conditions: WriteConditions) -> Got<Made> {
        match self {
            Self::Front(mut s3) => s3.put(at, &body, &conditions).await,
            Self::Inside(running) => {
                let put = PutObject {
                    bucket: at.bucket,
                    key: at.key,
                    metadata: Metadata::default(),
                    body: body.incoming(),
                    conditions,
                    by: Caller::Anonymous,
                };
                let written = running.service.put(put).await?;
                Ok(Made {
                    etag: written.etag.to_string(),
                    version: written.version,
                })
            }
        }
    }

    pub async fn get(
        self,
        at: At,
        version: Option<VersionId>,
        range: Option<RangeSpec>,
    ) -> Got<Fetched> {
        let running = match self {
            Self::Front(mut s3) => return s3.get(at, version, range).await,
            Self::Inside(running) => running,
        };
        let get = GetObject {
            bucket: at.bucket,
            key: at.key,
            version,
            range,
            part: None,
            conditions: ReadConditions::default(),
        };
        let mut read = running.service.get(get).await?;
        let (mut bytes, mut cut) = (Vec::new(), None);
        while let Some(piece) = read.stream.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => cut = Some(chain(&error)),
            }
        }
        Ok(Fetched {
            etag: read.info.etag.to_string(),
            tags: read.info.metadata.get(TAGS).map(str::to_owned),
            range: read.range,
            bytes,
            cut,
        })
    }

    /// Gives the entity tag.
    pub async fn head(self, at: At) -> Got<String> {
        match self {
            Self::Front(mut s3) => s3.head(at).await,
            Self::Inside(running) => {
                let any = ReadConditions::default();
                let head = running.service.head(&at.bucket, &at.key, None, None, &any);
                Ok(head.await?.etag.to_string())
            }
        }
    }

    pub async fn list(self, list: ListObjects) -> Got<Page> {
        match self {
            Self::Front(mut s3) => s3.list(&list).await,
            Self::Inside(running) => {
                let page = running.service.list(list).await?;
                let entries = page.objects.into_iter();
                Ok(Page {
                    entries: entries.map(|it| (it.key, it.etag.to_string())).collect(),
                    next: page.next,
                })
            }
        }
    }

    /// Gives the version that was deleted, or made.
    pub async fn delete(self, at: At, version: Option<VersionId>) -> Got<Option<VersionId>> {
        match self {
            Self::Front(mut s3) => s3.delete(at, version).await,
            Self::Inside(running) => {
                let delete = DeleteObject {
                    bucket: at.bucket,
                    key: at.key,
                    version,
                    conditions: DeleteConditions::default(),
                    bypass: false,
                    by: Caller::Anonymous,
                };
                Ok(running.service.delete(delete).await?.version)
            }
        }
    }

    /// Gives the entity tag.
    pub async fn copy(self, from: At, to: At) -> Got<String> {
        match self {
            Self::Front(mut s3) => s3.copy(&from, to).await,
            Self::Inside(running) => {
                let copy = CopyObject {
                    source_bucket: from.bucket,
                    source_key: from.key,
                    source_version: None,
                    source_conditions: ReadConditions::default(),
                    bucket: to.bucket,
                    key: to.key,
                    metadata: None,
                    tags: None,
                    own: Metadata::default(),
                    checksum: None,
                    conditions: WriteConditions::default(),
                    by: Caller::Anonymous,
                };
                Ok(running.service.copy(copy).await?.written.etag.to_string())
            }
        }
    }

    /// Gives the upload's id.
    pub async fn create_upload(self, at: At) -> Got<String> {
        match self {
            Self::Front(mut s3) => s3.create_upload(at).await,
            Self::Inside(running) => {
                let create = CreateUpload {
                    bucket: at.bucket,
                    key: at.key,
                    metadata: Metadata::default(),
                    checksum: None,
                    by: Caller::Anonymous,
                };
                Ok(running.service.create_upload(create).await?.id)
            }
        }
    }

    pub async fn put_part(self, at: At, upload: String, number: u16, body: Upload) -> Got<()> {
        match self {
            Self::Front(mut s3) => s3.put_part(at, &upload, number, &body).await,
            Self::Inside(running) => {
                let put = PutPart {
                    bucket: at.bucket,
                    key: at.key,
                    upload,
                    number,
                    body: body.incoming(),
                    by: Caller::Anonymous,
                };
                Ok(running.service.put_part(put).await.map(drop)?)
            }
        }
    }

    pub async fn abort(self, at: At, upload: String) -> Got<()> {
        match self {
            Self::Front(mut s3) => s3.abort(at, &upload).await,
            Self::Inside(running) => {
                let service = &running.service;
                Ok(service.abort_upload(&at.bucket, &at.key, &upload).await?)
            }
        }
    }

    /// Completes an upload of parts 1, 2 … with these entity tags; gives the object's.
    pub async fn complete(self, at: At, upload: String, parts: Vec<String>) -> Got<String> {
        let running = match self {
            Self::Front(mut s3) => return s3.complete(at, &upload, &parts).await,
            Self::Inside(running) => running,
        };
        let named = parts.into_iter().enumerate().map(|(part, etag)| NamedPart {
            number: part as u32 + 1,
            etag,
            checksum: None,
        });
        let done = CompleteUpload {
            bucket: at.bucket,
            key: at.key,
            upload,
            parts: named.collect(),
            checksum: None,
            checksum_type: None,
            len: None,
            conditions: WriteConditions::default(),
            by: Caller::Anonymous,
        };
        let completed = running.service.complete_upload(done).await?;
        Ok(completed.etag.to_string())
    }

    pub async fn make_bucket(self, name: BucketName) -> Got<()> {
        match self {
            Self::Front(mut s3) => s3.make_bucket(&name).await,
            Self::Inside(running) => {
                let service = &running.service;
                let made = service.create_bucket(&name, "owner", Settings::default());
                Ok(made.await.map(drop)?)
            }
        }
    }

    pub async fn drop_bucket(self, name: BucketName) -> Got<()> {
        match self {
            Self::Front(mut s3) => s3.drop_bucket(&name).await,
            Self::Inside(running) => Ok(running.service.delete_bucket(&name).await?),
        }
    }

    /// Gives a version one tag, `name=value`.
    pub async fn tag(self, at: At, version: Option<VersionId>, tag: String) -> Got<()> {
        match self {
            Self::Front(mut s3) => s3.tag(at, version, &tag).await,
            Self::Inside(running) => {
                let change = ChangeObject {
                    bucket: at.bucket,
                    key: at.key,
                    version,
                    edit: Box::new(move |metadata, _, _| {
                        metadata.set(TAGS, tag);
                        Ok(())
                    }),
                    by: Caller::Anonymous,
                };
                Ok(running.service.change(change).await.map(drop)?)
            }
        }
    }

    pub async fn versions(self, list: ListVersions) -> Got<VersionPage> {
        let running = match self {
            Self::Front(mut s3) => return s3.versions(&list).await,
            Self::Inside(running) => running,
        };
        let page = running.service.list_versions(list).await?;
        let versions = page.versions.into_iter().map(|version| Version {
            etag: (!version.is_marker).then(|| version.object.etag.to_string()),
            key: version.object.key,
            id: version.version.to_string(),
            is_latest: version.is_latest,
        });
        Ok(VersionPage {
            versions: versions.collect(),
            next: page.next,
        })
    }
}
