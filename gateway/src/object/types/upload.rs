//! What the operations on uploads take and give.

use holdfast_protocol::{ChecksumKind, ChecksumType, ETag, Metadata, ObjectChecksum};

use super::{
    Expires, Incoming, ListObjects, RangeSpec, ReadConditions, VersionId, WriteConditions,
};
use crate::auth::Caller;
use crate::names::{BucketName, ObjectKey};

/// CreateMultipartUpload.
#[derive(Debug)]
pub struct CreateUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Headers and user metadata of the object to be.
    pub metadata: Metadata,
    /// `x-amz-checksum-algorithm` and `x-amz-checksum-type`.
    pub checksum: Option<(ChecksumKind, ChecksumType)>,
    /// Who asks.
    pub by: Caller,
}

/// UploadPart.
#[derive(Debug)]
pub struct PutPart {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload's id, as the client gave it.
    pub upload: String,
    /// 1 to 10,000.
    pub number: u16,
    /// The body.
    pub body: Incoming,
    /// Who asks.
    pub by: Caller,
}

/// UploadPartCopy.
#[derive(Debug)]
pub struct CopyPart {
    /// Bucket to copy from.
    pub source_bucket: BucketName,
    /// Key to copy from.
    pub source_key: ObjectKey,
    /// Version to copy from; without one, the current one.
    pub source_version: Option<VersionId>,
    /// The bytes to copy (`x-amz-copy-source-range`, both ends given); all when `None`.
    pub source_range: Option<RangeSpec>,
    /// `x-amz-copy-source-if-*`; a failing one is `Precondition`.
    pub source_conditions: ReadConditions,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload's id, as the client gave it.
    pub upload: String,
    /// 1 to 10,000.
    pub number: u16,
    /// Who asks.
    pub by: Caller,
}

/// A part.
#[derive(Clone, Debug)]
pub struct PartInfo {
    /// Its number.
    pub number: u16,
    /// Bytes.
    pub len: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was made (milliseconds since 1970).
    pub modified_ms: u64,
    /// The checksum kept.
    pub checksum: Option<ObjectChecksum>,
}

/// A part as Complete names it.
#[derive(Clone, Debug)]
pub struct NamedPart {
    /// Its number.
    pub number: u32,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its checksum, if given.
    pub checksum: Option<(ChecksumKind, Vec<u8>)>,
}

/// CompleteMultipartUpload.
#[derive(Debug)]
pub struct CompleteUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload's id, as the client gave it.
    pub upload: String,
    /// The parts, as named.
    pub parts: Vec<NamedPart>,
    /// The checksum of the whole object, if given.
    pub checksum: Option<(ChecksumKind, Vec<u8>)>,
    /// `x-amz-checksum-type`, if given; must agree with the upload's.
    pub checksum_type: Option<ChecksumType>,
    /// `x-amz-mp-object-size`, if given.
    pub len: Option<u64>,
    /// Conditions.
    pub conditions: WriteConditions,
    /// Who asks.
    pub by: Caller,
}

/// What Complete made.
#[derive(Clone, Debug)]
pub struct CompletedObject {
    /// Entity tag.
    pub etag: ETag,
    /// The checksum kept.
    pub checksum: Option<ObjectChecksum>,
    /// Its version id; `None` where no versions are kept.
    pub version: Option<VersionId>,
    /// When it expires, if a lifecycle rule says so; a repeated answer does not tell.
    pub expires: Option<Expires>,
}

/// A part that was copied.
#[derive(Clone, Debug)]
pub struct CopiedPart {
    /// The part.
    pub part: PartInfo,
    /// The version that was copied; `None` where none are kept.
    pub source_version: Option<VersionId>,
}

/// ListParts.
#[derive(Clone, Debug)]
pub struct ListParts {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload's id, as the client gave it.
    pub upload: String,
    /// Only parts above this number.
    pub after: u32,
    /// At most so many.
    pub max: usize,
}

/// An upload that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedUpload {
    /// Its id.
    pub id: String,
    /// When it is aborted, if a lifecycle rule says so.
    pub aborts: Option<Expires>,
}

/// A page of parts.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// In ascending number.
    pub parts: Vec<PartInfo>,
    /// If there is more: the last number of this page.
    pub next: Option<u32>,
    /// The upload's checksum algorithm and type.
    pub checksum: Option<(ChecksumKind, ChecksumType)>,
    /// The storage class of the object to be.
    pub storage_class: String,
    /// The owner of the object to be, if that is not the bucket's.
    pub owner: Option<String>,
    /// Who began it, if that is not the bucket's owner.
    pub initiator: Option<String>,
    /// When the upload is aborted, if a lifecycle rule says so.
    pub aborts: Option<Expires>,
}

/// ListMultipartUploads.
#[derive(Clone, Debug)]
pub struct ListUploads {
    /// Of which keys; each upload counts as an entry.
    pub keys: ListObjects,
    /// Goes on within the key `keys.after`, behind this upload.
    pub after_upload: Option<String>,
}

/// An open upload.
#[derive(Clone, Debug)]
pub struct UploadInfo {
    /// The key.
    pub key: String,
    /// Its id.
    pub upload: String,
    /// When it was opened (milliseconds since 1970).
    pub initiated_ms: u64,
    /// The storage class of the object to be.
    pub storage_class: String,
    /// The checksum algorithm and type.
    pub checksum: Option<(ChecksumKind, ChecksumType)>,
    /// The owner of the object to be, if that is not the bucket's.
    pub owner: Option<String>,
    /// Who began it, if that is not the bucket's owner.
    pub initiator: Option<String>,
}

/// A page of uploads.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// By key, then by time of opening.
    pub uploads: Vec<UploadInfo>,
    /// In order.
    pub prefixes: Vec<String>,
    /// If there is more: key and upload id of the last entry.
    pub next: Option<(String, String)>,
}
