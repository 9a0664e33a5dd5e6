//! The operations and who may do them.
//!
//! Owns: the closed list of operations and the decision for each.
//! Leaves to others: finding the operation of a request (`http::route`), policies (later).
//! Always: an operation without a rule does not compile; one without a name here is denied.

use super::Principal;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a request asks for, by S3's own names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }
        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// S3's name: also the value of the label `op`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
            /// The operation of that name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    /// GET of the service.
    ListBuckets,
    /// PUT of a bucket.
    CreateBucket,
    /// HEAD of a bucket.
    HeadBucket,
    /// DELETE of a bucket.
    DeleteBucket,
    /// `?location`.
    GetBucketLocation,
    /// `?versioning`.
    GetBucketVersioning,
    /// `?acl` of a bucket.
    GetBucketAcl,
    /// `?policy`.
    GetBucketPolicy,
    /// `?lifecycle`.
    GetBucketLifecycleConfiguration,
    /// `?cors`.
    GetBucketCors,
    /// `?tagging` of a bucket.
    GetBucketTagging,
    /// `?requestPayment`.
    GetBucketRequestPayment,
    /// `?ownershipControls`.
    GetBucketOwnershipControls,
    /// `?publicAccessBlock`.
    GetPublicAccessBlock,
    /// `?object-lock`.
    GetObjectLockConfiguration,
    /// GET of a bucket, version 1.
    ListObjects,
    /// GET of a bucket with `list-type=2`.
    ListObjectsV2,
    /// `?versions`.
    ListObjectVersions,
    /// `?uploads` of a bucket.
    ListMultipartUploads,
    /// PUT of an object.
    PutObject,
    /// GET of an object.
    GetObject,
    /// HEAD of an object.
    HeadObject,
    /// DELETE of an object.
    DeleteObject,
    /// POST of a bucket with `?delete`.
    DeleteObjects,
    /// PUT of an object with a source.
    CopyObject,
    /// `?acl` of an object.
    GetObjectAcl,
    /// `?tagging` of an object.
    GetObjectTagging,
    /// POST of an object with `?uploads`.
    CreateMultipartUpload,
    /// PUT of a part.
    UploadPart,
    /// PUT of a part with a source.
    UploadPartCopy,
    /// POST of an upload.
    CompleteMultipartUpload,
    /// DELETE of an upload.
    AbortMultipartUpload,
    /// GET of an upload.
    ListParts,
}

/// Who may do an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Anyone whose signature was verified; today that is the administrator.
    Authenticated,
}

/// The table. A new operation has to be decided here before anything compiles.
const fn rule(operation: Operation) -> Rule {
    use Operation as O;
    match operation {
        O::ListBuckets
        | O::CreateBucket
        | O::HeadBucket
        | O::DeleteBucket
        | O::GetBucketLocation
        | O::GetBucketVersioning
        | O::GetBucketAcl
        | O::GetBucketPolicy
        | O::GetBucketLifecycleConfiguration
        | O::GetBucketCors
        | O::GetBucketTagging
        | O::GetBucketRequestPayment
        | O::GetBucketOwnershipControls
        | O::GetPublicAccessBlock
        | O::GetObjectLockConfiguration => Rule::Authenticated,
        O::ListObjects
        | O::ListObjectsV2
        | O::ListObjectVersions
        | O::ListMultipartUploads
        | O::ListParts => Rule::Authenticated,
        O::GetObject | O::HeadObject | O::GetObjectAcl | O::GetObjectTagging => Rule::Authenticated,
        O::PutObject | O::CopyObject | O::DeleteObject | O::DeleteObjects => Rule::Authenticated,
        O::CreateMultipartUpload
        | O::UploadPart
        | O::UploadPartCopy
        | O::CompleteMultipartUpload
        | O::AbortMultipartUpload => Rule::Authenticated,
    }
}

/// The outcome of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse.
    Deny,
}

/// Decides whether `who` (nobody, if the request was not signed) may do `operation`.
pub const fn decide(operation: Operation, who: Option<&Principal>) -> Decision {
    match (rule(operation), who) {
        (Rule::Authenticated, Some(_)) => Decision::Allow,
        (Rule::Authenticated, None) => Decision::Deny,
    }
}
