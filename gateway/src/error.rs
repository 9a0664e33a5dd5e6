//! What can go wrong with a request, in our own words.
//!
//! Owns: the one error of this crate.
//! Leaves to others: S3's codes (`s3/error.rs`, the only place that knows them).
//! Always: a variant says what was being done and to what.

use holdfast_index::IndexError;
use holdfast_policy::PolicyError;
use holdfast_protocol::ETag;
use holdfast_store::StoreError;

use crate::object::VersionId;
use crate::post::PostError;
use crate::settings::Setting;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The name breaks S3's rules.
    #[error("bucket name {name:?}: {why}")]
    InvalidBucketName {
        /// The name.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// The key is too long.
    #[error("the key has {len} bytes; at most {max} are allowed")]
    KeyTooLong {
        /// Bytes.
        len: usize,
        /// Allowed.
        max: usize,
    },
    /// A parameter has a value it must not have.
    #[error("{name}: {why}")]
    InvalidArgument {
        /// The parameter.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A document lacks something, or has something it must not have.
    #[error("{why}")]
    MalformedDocument {
        /// What is wrong.
        why: &'static str,
    },
    /// A tag breaks S3's rules.
    #[error("{why}")]
    InvalidTag {
        /// The rule.
        why: &'static str,
    },
    /// The bucket has no such setting.
    #[error("{}", setting.absent())]
    NotConfigured {
        /// The setting.
        setting: Setting,
    },
    /// The request as a whole makes no sense.
    #[error("{why}")]
    InvalidRequest {
        /// What is wrong.
        why: String,
    },
    /// No such account or key.
    #[error("there is no {what}")]
    NoSuchEntity {
        /// What was asked for.
        what: String,
    },
    /// No such bucket.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
    },
    /// The name is taken.
    #[error("bucket {bucket} exists already")]
    BucketExists {
        /// The bucket.
        bucket: String,
        /// Whether the caller owns it.
        owned: bool,
    },
    /// A bucket with objects or uploads cannot be deleted.
    #[error("bucket {bucket} is not empty")]
    BucketNotEmpty {
        /// The bucket.
        bucket: String,
    },
    /// No such object.
    #[error("no object {key:?}")]
    NoSuchKey {
        /// The key.
        key: String,
    },
    /// No such version.
    #[error("no version {version:?} of {key:?}")]
    NoSuchVersion {
        /// The key.
        key: String,
        /// The version asked for.
        version: String,
    },
    /// What was asked for is a delete marker.
    #[error("{key:?} is deleted: version {version} is a delete marker")]
    DeleteMarker {
        /// The key.
        key: String,
        /// The marker.
        version: VersionId,
        /// Whether the request named the version.
        was_named: bool,
        /// When it was made (milliseconds since 1970).
        modified_ms: u64,
    },
    /// The bucket's state does not allow it.
    #[error("{why}")]
    InvalidBucketState {
        /// What is the matter.
        why: &'static str,
    },
    /// A default retention of no length, or of one that is too long.
    #[error(
        "the default retention period must be a positive number, at most 36500 days or 100 years"
    )]
    InvalidRetentionPeriod,
    /// A delete marker has no tags and no locks.
    #[error("a delete marker has no tags and no locks")]
    MarkerHasNone,
    /// The object has no retention or legal hold of its own.
    #[error("the object {key:?} does not have an ObjectLock configuration")]
    NotLocked {
        /// The key.
        key: String,
    },
    /// A configuration of versioning that says nothing.
    #[error("the versioning configuration must have a Status, Enabled or Suspended")]
    IllegalVersioning,
    /// No such upload, or it was completed or aborted.
    #[error("no upload {upload:?}")]
    NoSuchUpload {
        /// The id the client gave.
        upload: String,
    },
    /// A condition of a write, or If-Match or If-Unmodified-Since of a read, does not hold.
    #[error("{condition} does not hold")]
    Precondition {
        /// The header.
        condition: &'static str,
    },
    /// If-None-Match or If-Modified-Since of a read say that the client has it.
    #[error("not modified")]
    NotModified {
        /// Its entity tag.
        etag: ETag,
        /// When it was made (milliseconds since 1970).
        modified_ms: u64,
    },
    /// Logs cannot be delivered there.
    #[error("{why}")]
    LogTarget {
        /// Why.
        why: &'static str,
    },
    /// A condition could not be decided because another write came between.
    #[error("a concurrent change prevents deciding the condition")]
    Conflict,
    /// A request came with the token of another one.
    #[error(
        "Parameters on this idempotent request are inconsistent with parameters used in previous \
         request(s)."
    )]
    TokenMismatch,
    /// Bytes are appended at the end only.
    #[error("the write offset {offset} is not the size of the object, which has {len} bytes")]
    InvalidWriteOffset {
        /// Where they were to be.
        offset: u64,
        /// Bytes of the object; 0 if there is none.
        len: u64,
    },
    /// No byte of the range exists.
    #[error("range not satisfiable: the object has {len} bytes")]
    InvalidRange {
        /// Bytes of the object.
        len: u64,
    },
    /// The object has no such part.
    #[error("no part {number}: the object has {count}")]
    NoSuchPart {
        /// Asked for.
        number: u32,
        /// Parts of the object.
        count: u32,
    },
    /// A part named by Complete is missing or has another entity tag or checksum.
    #[error("part {number}: {why}")]
    InvalidPart {
        /// Its number.
        number: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// Parts must be named in ascending order.
    #[error("parts are not in ascending order at part {number}")]
    InvalidPartOrder {
        /// The first number out of order.
        number: u32,
    },
    /// All parts but the last need 5 MiB.
    #[error("part {number} has {len} bytes; all but the last need at least {min}")]
    PartTooSmall {
        /// Its number.
        number: u32,
        /// Its bytes.
        len: u64,
        /// Needed.
        min: u64,
    },
    /// The body is larger than S3 allows.
    #[error("{len} bytes are more than the {max} allowed")]
    TooLarge {
        /// Bytes.
        len: u64,
        /// Allowed.
        max: u64,
    },
    /// User metadata is larger than S3 allows.
    #[error("user metadata of {len} bytes; at most {max} are allowed")]
    MetadataTooLarge {
        /// Bytes.
        len: usize,
        /// Allowed.
        max: usize,
    },
    /// Body and checksum do not fit together.
    #[error("the body does not match {what}")]
    BadDigest {
        /// The header or trailer.
        what: &'static str,
    },
    /// A checksum header cannot be read.
    #[error("{what} is not a digest")]
    InvalidDigest {
        /// The header or trailer.
        what: &'static str,
    },
    /// The body ended early or late.
    #[error("the body has {got} bytes; {expected} were announced")]
    IncompleteBody {
        /// Announced.
        expected: u64,
        /// Received.
        got: u64,
    },
    /// The body could not be read: client gone, bad chunk, bad chunk signature.
    #[error("read the body")]
    Body(#[source] BodyError),
    /// A form is refused.
    #[error(transparent)]
    Post(#[from] PostError),
    /// The document of an ACL lacks something.
    #[error("{why}")]
    MalformedAcl {
        /// What.
        why: &'static str,
    },
    /// A request that is to set an ACL has none.
    #[error("Your request was missing a required header: an ACL, or a document that is one")]
    NoAcl,
    /// An ACL in headers, and in a document.
    #[error("This request does not support content: the ACL is in the headers already")]
    UnexpectedContent,
    /// The bucket's ACL and its object ownership exclude each other.
    #[error("Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")]
    AclAgainstOwnership,
    /// A policy or an ACL is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The caller may not do this; why is not told.
    #[error("Access Denied")]
    NotAllowed,
    /// The caller may not do this.
    #[error("access denied: {why}")]
    AccessDenied {
        /// Why.
        why: String,
    },
    /// Holdfast does not do this (yet).
    #[error("{what} is not implemented")]
    NotImplemented {
        /// What.
        what: String,
    },
    /// Too much is going on; nothing was done.
    #[error("too busy: {why}")]
    Busy {
        /// What is exhausted.
        why: &'static str,
    },
    /// The gateway is starting or draining, or too few drives answer.
    #[error("unavailable: {why}")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// The drives.
    #[error("store")]
    Store(#[from] StoreError),
    /// The index.
    #[error("index")]
    Index(#[from] IndexError),
    /// What the index holds cannot be understood; a bug or a damaged index.
    #[error("internal: {what}")]
    Internal {
        /// What.
        what: String,
    },
}

/// Why a body could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// The client went away, or the transport failed.
    #[error("the client went away: {0}")]
    Gone(String),
    /// No byte for too long, or too few per second.
    #[error("the body comes too slowly")]
    TooSlow,
    /// A chunk or its signature is wrong.
    #[error("signature of the body: {0}")]
    Signature(String),
    /// The bytes are not those that `x-amz-content-sha256` names.
    #[error("the body does not match x-amz-content-sha256")]
    ContentSha256,
    /// Fewer or more bytes than were announced.
    #[error("the body has {got} bytes; {expected} were announced")]
    Length {
        /// Announced.
        expected: u64,
        /// Received, as far as it was read.
        got: u64,
    },
    /// The body is a form, and what is left of it is refused.
    #[error(transparent)]
    Form(#[from] PostError),
    /// The chunks are malformed, or a chunk is too long.
    #[error("malformed body: {0}")]
    Malformed(String),
}
