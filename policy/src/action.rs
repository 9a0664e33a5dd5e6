//! What may be allowed or denied: S3's actions, by their names in policies.
//!
//! Owns: the closed list, what each is done to, whose right it is; sets of actions by patterns.
//! Leaves to others: which operation needs which (`gateway`).
//! Always: the names are those of AWS, so that policies written for S3 mean the same here.

use std::fmt;

use crate::error::PolicyError;
use crate::glob::Glob;

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// The account: no bucket is named.
    Service,
    /// A bucket.
    Bucket,
    /// A key in a bucket.
    Object,
}

/// Whose right an action on a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The bucket's owner gives it, whoever owns the object: writing, deleting, locking.
    Bucket,
    /// The object's owner gives it: what is in the object, its tags, its ACL.
    Object,
}

macro_rules! actions {
    ($($on:ident { $($name:ident)* })*) => {
        /// An action of S3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is S3's own name")]
        pub enum Action {
            $($($name,)*)*
        }
        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];
            /// Its name in a policy.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => concat!("s3:", stringify!($name)),)*)*
                }
            }
            /// What it is done to.
            pub const fn on(self) -> On {
                match self {
                    $($(Self::$name => On::$on,)*)*
                }
            }
        }
    };
}

actions! {
    Service {
        GetAccountPublicAccessBlock
        ListAllMyBuckets
        PutAccountPublicAccessBlock
    }
    Bucket {
        AllowVendedLogDeliveryForResource
        CreateBucket
        CreateBucketMetadataTableConfiguration
        DeleteBucket
        DeleteBucketMetadataTableConfiguration
        DeleteBucketPolicy
        DeleteBucketWebsite
        GetAccelerateConfiguration
        GetAnalyticsConfiguration
        GetBucketAbac
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
        GetReplicationConfiguration
        ListBucket
        ListBucketMultipartUploads
        ListBucketVersions
        ListTagsForResource
        PutAccelerateConfiguration
        PutAnalyticsConfiguration
        PutBucketAbac
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
        PutReplicationConfiguration
        TagResource
        UntagResource
        UpdateBucketMetadataAnnotationTableConfiguration
        UpdateBucketMetadataInventoryTableConfiguration
        UpdateBucketMetadataJournalTableConfiguration
    }
    Object {
        AbortMultipartUpload
        BypassGovernanceRetention
        DeleteObject
        DeleteObjectAnnotation
        DeleteObjectTagging
        DeleteObjectVersion
        DeleteObjectVersionAnnotation
        DeleteObjectVersionTagging
        GetObject
        GetObjectAcl
        GetObjectAnnotation
        GetObjectAttributes
        GetObjectLegalHold
        GetObjectRetention
        GetObjectTagging
        GetObjectTorrent
        GetObjectVersion
        GetObjectVersionAcl
        GetObjectVersionAnnotation
        GetObjectVersionAnnotationForReplication
        GetObjectVersionAttributes
        GetObjectVersionForReplication
        GetObjectVersionTagging
        GetObjectVersionTorrent
        InitiateReplication
        ListMultipartUploadParts
        ListObjectAnnotations
        ListObjectVersionAnnotations
        ObjectOwnerOverrideToBucketOwner
        PutObject
        PutObjectAcl
        PutObjectAnnotation
        PutObjectLegalHold
        PutObjectRetention
        PutObjectTagging
        PutObjectVersionAcl
        PutObjectVersionAnnotation
        PutObjectVersionTagging
        ReplicateDelete
        ReplicateObject
        ReplicateObjectAnnotation
        ReplicateTags
        RestoreObject
        UpdateObjectEncryption
    }
}

impl Action {
    /// The action of this name, however its letters are written.
    pub fn from_name(name: &str) -> Option<Self> {
        let same = |action: &&Self| action.name().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(same).copied()
    }

    /// Whose right it is. Of an action on a bucket or the service: the bucket's owner's.
    pub const fn side(self) -> Side {
        match self {
            Self::DeleteObjectAnnotation
            | Self::DeleteObjectTagging
            | Self::DeleteObjectVersionAnnotation
            | Self::DeleteObjectVersionTagging
            | Self::GetObject
            | Self::GetObjectAcl
            | Self::GetObjectAnnotation
            | Self::GetObjectAttributes
            | Self::GetObjectTagging
            | Self::GetObjectTorrent
            | Self::GetObjectVersion
            | Self::GetObjectVersionAcl
            | Self::GetObjectVersionAnnotation
            | Self::GetObjectVersionAnnotationForReplication
            | Self::GetObjectVersionAttributes
            | Self::GetObjectVersionForReplication
            | Self::GetObjectVersionTagging
            | Self::GetObjectVersionTorrent
            | Self::ListObjectAnnotations
            | Self::ListObjectVersionAnnotations
            | Self::PutObjectAcl
            | Self::PutObjectAnnotation
            | Self::PutObjectTagging
            | Self::PutObjectVersionAcl
            | Self::PutObjectVersionAnnotation
            | Self::PutObjectVersionTagging
            | Self::UpdateObjectEncryption => Side::Object,
            _ => Side::Bucket,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u128);

const _: () = assert!(Action::ALL.len() <= 128, "a set has a bit for each");

impl Actions {
    /// Those whose names `pattern` matches, whatever the case of its letters.
    ///
    /// # Errors
    /// `Malformed` if there are none: the name of no action of S3, or of another service.
    pub fn matching(pattern: &str) -> Result<Self, PolicyError> {
        let glob = Glob::parse(&pattern.to_ascii_lowercase());
        let mut set = Self::default();
        for action in Action::ALL {
            if glob.matches(&action.name().to_ascii_lowercase()) {
                set.insert(*action);
            }
        }
        // A pattern over services (`*:GetObject`) is not one of IAM's, but for `*` itself.
        let of_s3 = pattern == "*" || pattern.to_ascii_lowercase().starts_with("s3:");
        match of_s3 && set != Self::default() {
            true => Ok(set),
            false => Err(PolicyError::malformed(format!(
                "Policy has invalid action: {pattern:?}"
            ))),
        }
    }
    /// Adds one.
    pub fn insert(&mut self, action: Action) {
        self.0 |= 1 << action as u32;
    }
    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Whether it is in the set.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }
    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.iter().copied();
        all.filter(move |action| self.contains(*action))
    }
}
