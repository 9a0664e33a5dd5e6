//! What the operations take and give.
//!
//! Owns: plain data, free of HTTP and of any S3 library.
//! Leaves to others: parsing it from requests.
//! Always: a body's length, checksums and signature are verified before anything is visible.

mod upload;

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use holdfast_protocol::{ByteRange, ChecksumKind, ChecksumType, ETag, Metadata, ObjectChecksum};

use crate::auth::Caller;
use crate::error::{BodyError, GatewayError};
use crate::names::{BucketName, ObjectKey};
use crate::settings::Settings;

pub use super::lifecycle::Expires;
pub use super::version::VersionId;
pub use upload::*;

/// Body bytes as they come.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;
/// Body bytes as they go; an error cuts the response.
pub type ReadStream = Pin<Box<dyn Stream<Item = Result<Bytes, GatewayError>> + Send>>;
/// Asked once, after the body's last byte, for what the client says about it (trailers are known
/// then).
pub type Claims = Box<dyn FnOnce() -> Result<BodyClaims, GatewayError> + Send>;

/// What the client claims about a body.
#[derive(Clone, Debug, Default)]
pub struct BodyClaims {
    /// Content-MD5.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-checksum-*`, by header or trailer.
    pub checksum: Option<(ChecksumKind, Vec<u8>)>,
}

/// A body that is being received.
pub struct Incoming {
    /// The decoded bytes (no `aws-chunked` framing).
    pub stream: BodyStream,
    /// Their number, if announced (`Content-Length` or `x-amz-decoded-content-length`).
    pub len: Option<u64>,
    /// The checksum to compute, store and compare: what a header or `x-amz-trailer` or
    /// `x-amz-sdk-checksum-algorithm` announces.
    pub checksum: Option<ChecksumKind>,
    /// The client's claims, to be asked after the last byte.
    pub claims: Claims,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// One entry of If-Match or If-None-Match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagMatch {
    /// `*`.
    Any,
    /// One of these (without quotes, weak prefix removed).
    OneOf(Vec<String>),
}

impl ETagMatch {
    /// Whether `etag` of an existing object matches.
    pub fn matches(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(list) => {
                let text = etag.to_string();
                list.contains(&text)
            }
        }
    }
}

/// Conditions of a read; dates in milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct ReadConditions {
    /// If-Match.
    pub if_match: Option<ETagMatch>,
    /// If-None-Match.
    pub if_none_match: Option<ETagMatch>,
    /// If-Modified-Since.
    pub if_modified_since: Option<u64>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<u64>,
}

impl ReadConditions {
    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.if_match.is_some()
            || self.if_none_match.is_some()
            || self.if_modified_since.is_some()
            || self.if_unmodified_since.is_some()
    }
}

/// Conditions of a write on what the key has now.
#[derive(Clone, Debug, Default)]
pub struct WriteConditions {
    /// If-Match: the key has an object with this entity tag.
    pub if_match: Option<ETagMatch>,
    /// If-None-Match: the key has none (`*`), or none with this entity tag.
    pub if_none_match: Option<ETagMatch>,
}

impl WriteConditions {
    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }
}

/// Conditions of a delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteConditions {
    /// If-Match.
    pub if_match: Option<ETagMatch>,
    /// `x-amz-if-match-size`.
    pub size: Option<u64>,
    /// `x-amz-if-match-last-modified-time`, in milliseconds since 1970 (compared by the second).
    pub modified_ms: Option<u64>,
}

/// PutObject.
#[derive(Debug)]
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Headers and user metadata to keep, names in lower case.
    pub metadata: Metadata,
    /// The body.
    pub body: Incoming,
    /// Conditions.
    pub conditions: WriteConditions,
    /// Who asks.
    pub by: Caller,
}

/// PutObject that adds to the end of an object.
#[derive(Debug)]
pub struct AppendObject {
    /// What is added, and to what. Its metadata is that of an object that is made, and must be what
    /// one that there is has.
    pub put: PutObject,
    /// How many bytes the object must have; nothing has none.
    pub offset: u64,
}

/// A change of what is kept with a version: it gets the metadata, the bucket's settings and the
/// time (milliseconds since 1970), all as of the key's lock.
///
/// # Errors
/// What it says is told to the client, and nothing changes.
pub type MetadataEdit =
    Box<dyn FnOnce(&mut Metadata, &Settings, u64) -> Result<(), GatewayError> + Send>;

/// A change of what is kept with a version.
pub struct ChangeObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; without one, the current one.
    pub version: Option<VersionId>,
    /// The change.
    pub edit: MetadataEdit,
    /// Who asks.
    pub by: Caller,
}

/// DeleteObject.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; without one, the object.
    pub version: Option<VersionId>,
    /// Conditions.
    pub conditions: DeleteConditions,
    /// Whether governance is to be bypassed; that the caller may was checked.
    pub bypass: bool,
    /// Who asks.
    pub by: Caller,
}

/// What a write made.
#[derive(Clone, Debug)]
pub struct WrittenObject {
    /// Entity tag.
    pub etag: ETag,
    /// The checksum kept.
    pub checksum: Option<ObjectChecksum>,
    /// Bytes.
    pub len: u64,
    /// When it was made (milliseconds since 1970).
    pub modified_ms: u64,
    /// Its version id; `None` for a null version.
    pub version: Option<VersionId>,
    /// When it expires, if a lifecycle rule says so.
    pub expires: Option<Expires>,
}

/// An object, described.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Bytes of the whole object.
    pub len: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was made (milliseconds since 1970).
    pub modified_ms: u64,
    /// Headers and user metadata.
    pub metadata: Metadata,
    /// The checksum kept: of the object, or of the part when one was asked for.
    pub checksum: Option<ObjectChecksum>,
    /// Number of parts; `None` unless it was made by Complete.
    pub part_count: Option<u32>,
    /// The bytes that the part asked for covers.
    pub part_range: Option<ByteRange>,
    /// Its version id; `None` where no versions are kept.
    pub version: Option<VersionId>,
    /// When it expires, if it is current and a lifecycle rule says so.
    pub expires: Option<Expires>,
}

/// Which parts of an object are asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedParts {
    /// Those behind this number.
    pub after: u32,
    /// At most so many.
    pub max: usize,
}

/// A page of an object's parts.
#[derive(Clone, Debug)]
pub struct ObjectParts {
    /// All parts of the object.
    pub count: u32,
    /// Those of this page, by their place in the object.
    pub parts: Vec<PartInfo>,
    /// If there are more: the number of the last one here.
    pub next: Option<u32>,
}

/// An object and its parts.
#[derive(Clone, Debug)]
pub struct ObjectAttributes {
    /// The object.
    pub info: ObjectInfo,
    /// `None` unless they were asked for and it was made by Complete.
    pub parts: Option<ObjectParts>,
}

/// The bytes wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// From a byte to the end or to a last byte (inclusive).
    From {
        /// First byte.
        first: u64,
        /// Last byte, inclusive.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix(u64),
}

/// GetObject. At most one of `range` and `part` is given.
#[derive(Debug)]
pub struct GetObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; without one, the current one.
    pub version: Option<VersionId>,
    /// A range of bytes.
    pub range: Option<RangeSpec>,
    /// A part, by its number; 1 is all of an object that was not made of parts.
    pub part: Option<u32>,
    /// Conditions.
    pub conditions: ReadConditions,
}

/// An object opened for reading.
pub struct ObjectRead {
    /// Its description.
    pub info: ObjectInfo,
    /// The bytes that the stream gives.
    pub range: ByteRange,
    /// Whether the answer is partial (206).
    pub partial: bool,
    /// The bytes.
    pub stream: ReadStream,
}

impl fmt::Debug for ObjectRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectRead")
            .field("info", &self.info)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was what was to be deleted.
    pub existed: bool,
    /// The version that was deleted, or made to delete the object; `None` where none are kept.
    pub version: Option<VersionId>,
    /// Whether that is a delete marker.
    pub is_marker: bool,
}

/// CopyObject.
#[derive(Debug)]
pub struct CopyObject {
    /// Bucket to copy from.
    pub source_bucket: BucketName,
    /// Key to copy from.
    pub source_key: ObjectKey,
    /// Version to copy from; without one, the current one.
    pub source_version: Option<VersionId>,
    /// `x-amz-copy-source-if-*`; a failing one is `Precondition`.
    pub source_conditions: ReadConditions,
    /// Bucket to copy to.
    pub bucket: BucketName,
    /// Key to copy to.
    pub key: ObjectKey,
    /// New headers and user metadata (`REPLACE`); `None` keeps the source's (`COPY`).
    pub metadata: Option<Metadata>,
    /// New tags (`REPLACE`), if any; `None` keeps the source's (`COPY`).
    pub tags: Option<Option<String>>,
    /// What never comes from the source: storage class, redirect, locks.
    pub own: Metadata,
    /// `x-amz-checksum-algorithm`, if given.
    pub checksum: Option<ChecksumKind>,
    /// Conditions on the destination.
    pub conditions: WriteConditions,
    /// Who asks.
    pub by: Caller,
}

/// RenameObject.
#[derive(Clone, Debug)]
pub struct RenameObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key that the object has.
    pub from: ObjectKey,
    /// The key that it is to have.
    pub key: ObjectKey,
    /// Conditions on the object; a failing one is `Precondition`.
    pub source_conditions: ReadConditions,
    /// Conditions on what has the new key now; a failing one is `Precondition`.
    pub conditions: ReadConditions,
    /// Names the request, so that a repeat of it does nothing more.
    pub token: Option<String>,
    /// Who asks.
    pub by: Caller,
}

/// What a copy made.
#[derive(Clone, Debug)]
pub struct CopiedObject {
    /// The new object.
    pub written: WrittenObject,
    /// The version that was copied; `None` where none are kept.
    pub source_version: Option<VersionId>,
}

/// ListObjects, both versions.
#[derive(Clone, Debug)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys are rolled up at its first occurrence after the prefix.
    pub delimiter: Option<String>,
    /// Only what sorts after this: marker, start-after, or the continuation (which is the last
    /// entry or common prefix of the page before).
    pub after: Option<String>,
    /// At most so many keys and common prefixes together.
    pub max: usize,
}

/// An entry of a listing.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Bytes.
    pub len: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was made (milliseconds since 1970).
    pub modified_ms: u64,
    /// Storage class.
    pub storage_class: String,
    /// Kind and type of the checksum kept.
    pub checksum: Option<(ChecksumKind, ChecksumType)>,
    /// Its owner, if that is not the bucket's.
    pub owner: Option<String>,
}

/// What to list of versions.
#[derive(Clone, Debug)]
pub struct ListVersions {
    /// Of which keys; each version counts as an entry.
    pub keys: ListObjects,
    /// Goes on within the key `keys.after`, behind this version.
    pub after_version: Option<VersionId>,
}

/// A version in a listing.
#[derive(Clone, Debug)]
pub struct ListedVersion {
    /// What is listed of an object; a delete marker is empty.
    pub object: ListedObject,
    /// The version.
    pub version: VersionId,
    /// Whether it is current.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

/// A page of a listing of versions.
#[derive(Clone, Debug, Default)]
pub struct VersionPage {
    /// By key, then newest first.
    pub versions: Vec<ListedVersion>,
    /// In order; keys and prefixes interleave by order.
    pub prefixes: Vec<String>,
    /// If there is more: the last key or prefix of this page, and the version if it is a key.
    pub next: Option<(String, Option<VersionId>)>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ObjectPage {
    /// In key order.
    pub objects: Vec<ListedObject>,
    /// In order; keys and prefixes interleave by order.
    pub prefixes: Vec<String>,
    /// If there is more: the last key or prefix of this page.
    pub next: Option<String>,
}
