//! What may be allowed or denied: S3's actions, by their names in policies.
//!
//! Owns: the closed list.
//! Leaves to others: which operation needs which ([`super::operation`]).
//! Always: the names are those of AWS, so that policies written for S3 mean the same here.

macro_rules! actions {
    ($($name:ident)*) => {
        /// An action of S3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is S3's own name")]
        pub enum Action {
            $($name,)*
        }
        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its name in a policy.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("s3:", stringify!($name)),)*
                }
            }
        }
    };
}

actions! {
    AbortMultipartUpload
    CreateBucket
    CreateBucketMetadataTableConfiguration
    DeleteBucket
    DeleteBucketMetadataTableConfiguration
    DeleteBucketPolicy
    DeleteBucketWebsite
    DeleteObject
    DeleteObjectTagging
    DeleteObjectVersion
    DeleteObjectVersionTagging
    GetAccelerateConfiguration
    GetAnalyticsConfiguration
    GetBucketAcl
    GetBucketCORS
    GetBucketLocation
    GetBucketLogging
    GetBucketMetadataTableConfiguration
    GetBucketNotification
    GetBucketObjectLockConfiguration
    GetBucketOwnershipControls
    GetBucketPolicy
    GetBucketPolicyStatus
    GetBucketPublicAccessBlock
    GetBucketRequestPayment
    GetBucketTagging
    GetBucketVersioning
    GetBucketWebsite
    GetEncryptionConfiguration
    GetIntelligentTieringConfiguration
    GetInventoryConfiguration
    GetLifecycleConfiguration
    GetMetricsConfiguration
    GetObject
    GetObjectAcl
    GetObjectAttributes
    GetObjectLegalHold
    GetObjectRetention
    GetObjectTagging
    GetObjectTorrent
    GetObjectVersion
    GetObjectVersionAcl
    GetObjectVersionAttributes
    GetObjectVersionTagging
    GetObjectVersionTorrent
    GetReplicationConfiguration
    ListAllMyBuckets
    ListBucket
    ListBucketMultipartUploads
    ListBucketVersions
    ListMultipartUploadParts
    PutAccelerateConfiguration
    PutAnalyticsConfiguration
    PutBucketAcl
    PutBucketCORS
    PutBucketLogging
    PutBucketNotification
    PutBucketObjectLockConfiguration
    PutBucketOwnershipControls
    PutBucketPolicy
    PutBucketPublicAccessBlock
    PutBucketRequestPayment
    PutBucketTagging
    PutBucketVersioning
    PutBucketWebsite
    PutEncryptionConfiguration
    PutIntelligentTieringConfiguration
    PutInventoryConfiguration
    PutLifecycleConfiguration
    PutMetricsConfiguration
    PutObject
    PutObjectAcl
    PutObjectLegalHold
    PutObjectRetention
    PutObjectTagging
    PutObjectVersionAcl
    PutObjectVersionTagging
    PutReplicationConfiguration
    RestoreObject
}
