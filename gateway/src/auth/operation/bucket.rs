//! Operations on buckets.
//!
//! Owns: the buckets' rows of the table of operations.
//! Leaves to others: what a row means ([`super`]).
//! Always: a row names the permission that S3 documents for its operation.

macro_rules! bucket_operations {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            /// PUT of a bucket.
            CreateBucket: CreateBucket on Bucket, Served;
            /// HEAD of a bucket.
            HeadBucket: ListBucket on Bucket, Served;
            /// DELETE of a bucket.
            DeleteBucket: DeleteBucket on Bucket, Served;
            /// `?location`.
            GetBucketLocation: GetBucketLocation on Bucket, Served;
            /// GET of a bucket, version 1.
            ListObjects: ListBucket on Bucket, Served;
            /// GET of a bucket with `list-type=2`.
            ListObjectsV2: ListBucket on Bucket, Served;
            /// `?versions`.
            ListObjectVersions: ListBucketVersions on Bucket, Served;
            /// `?uploads` of a bucket.
            ListMultipartUploads: ListBucketMultipartUploads on Bucket, Served;
            /// POST of a bucket with `?delete`.
            DeleteObjects: DeleteObject / DeleteObjectVersion on Named, Served;
            /// GET of `?versioning`.
            GetBucketVersioning: GetBucketVersioning on Bucket, Served;
            /// PUT of `?versioning`.
            PutBucketVersioning: PutBucketVersioning on Bucket, Served;
            /// GET of `?acl`.
            GetBucketAcl: GetBucketAcl on Bucket, Served;
            /// PUT of `?acl`.
            PutBucketAcl: PutBucketAcl on Bucket, Served;
            /// GET of `?policy`.
            GetBucketPolicy: GetBucketPolicy on Bucket, Served;
            /// PUT of `?policy`.
            PutBucketPolicy: PutBucketPolicy on Bucket, Served;
            /// DELETE of `?policy`.
            DeleteBucketPolicy: DeleteBucketPolicy on Bucket, Served;
            /// GET of `?policyStatus`.
            GetBucketPolicyStatus: GetBucketPolicyStatus on Bucket, Served;
            /// GET of `?ownershipControls`.
            GetBucketOwnershipControls: GetBucketOwnershipControls on Bucket, Served;
            /// PUT of `?ownershipControls`.
            PutBucketOwnershipControls: PutBucketOwnershipControls on Bucket, Served;
            /// DELETE of `?ownershipControls`.
            DeleteBucketOwnershipControls: PutBucketOwnershipControls on Bucket, Served;
            /// GET of `?publicAccessBlock`.
            GetPublicAccessBlock: GetBucketPublicAccessBlock on Bucket, Served;
            /// PUT of `?publicAccessBlock`.
            PutPublicAccessBlock: PutBucketPublicAccessBlock on Bucket, Served;
            /// DELETE of `?publicAccessBlock`.
            DeletePublicAccessBlock: PutBucketPublicAccessBlock on Bucket, Served;
            /// GET of `?requestPayment`.
            GetBucketRequestPayment: GetBucketRequestPayment on Bucket, Served;
            /// PUT of `?requestPayment`.
            PutBucketRequestPayment: PutBucketRequestPayment on Bucket, Served;
            /// GET of `?tagging`.
            GetBucketTagging: GetBucketTagging on Bucket, Served;
            /// PUT of `?tagging`.
            PutBucketTagging: PutBucketTagging on Bucket, Served;
            /// DELETE of `?tagging`.
            DeleteBucketTagging: PutBucketTagging on Bucket, Served;
            /// GET of `?cors`.
            GetBucketCors: GetBucketCORS on Bucket, Served;
            /// PUT of `?cors`.
            PutBucketCors: PutBucketCORS on Bucket, Served;
            /// DELETE of `?cors`.
            DeleteBucketCors: PutBucketCORS on Bucket, Served;
            /// GET of `?lifecycle`.
            GetBucketLifecycleConfiguration: GetLifecycleConfiguration on Bucket, Served;
            /// PUT of `?lifecycle`.
            PutBucketLifecycleConfiguration: PutLifecycleConfiguration on Bucket, Served;
            /// DELETE of `?lifecycle`.
            DeleteBucketLifecycle: PutLifecycleConfiguration on Bucket, Served;
            /// GET of `?object-lock`.
            GetObjectLockConfiguration: GetBucketObjectLockConfiguration on Bucket, Served;
            /// PUT of `?object-lock`.
            PutObjectLockConfiguration: PutBucketObjectLockConfiguration on Bucket, Served;
            /// GET of `?encryption`.
            GetBucketEncryption: GetEncryptionConfiguration on Bucket, Later;
            /// PUT of `?encryption`.
            PutBucketEncryption: PutEncryptionConfiguration on Bucket, Later;
            /// DELETE of `?encryption`.
            DeleteBucketEncryption: PutEncryptionConfiguration on Bucket, Later;
            /// GET of `?logging`.
            GetBucketLogging: GetBucketLogging on Bucket, Served;
            /// PUT of `?logging`.
            PutBucketLogging: PutBucketLogging on Bucket, Served;
            /// GET of `?notification`.
            GetBucketNotificationConfiguration: GetBucketNotification on Bucket, Served;
            /// PUT of `?notification`.
            PutBucketNotificationConfiguration: PutBucketNotification on Bucket, Served;
            /// GET of `?website`.
            GetBucketWebsite: GetBucketWebsite on Bucket, Served;
            /// PUT of `?website`.
            PutBucketWebsite: PutBucketWebsite on Bucket, Served;
            /// DELETE of `?website`.
            DeleteBucketWebsite: DeleteBucketWebsite on Bucket, Served;
            /// GET of `?replication`.
            GetBucketReplication: GetReplicationConfiguration on Bucket, Later;
            /// PUT of `?replication`.
            PutBucketReplication: PutReplicationConfiguration on Bucket, Later;
            /// DELETE of `?replication`.
            DeleteBucketReplication: PutReplicationConfiguration on Bucket, Later;
            /// GET of `?accelerate`.
            GetBucketAccelerateConfiguration: GetAccelerateConfiguration on Bucket, Later;
            /// PUT of `?accelerate`.
            PutBucketAccelerateConfiguration: PutAccelerateConfiguration on Bucket, Later;
            /// GET of `?analytics` with an id.
            GetBucketAnalyticsConfiguration: GetAnalyticsConfiguration on Bucket, Later;
            /// PUT of `?analytics`.
            PutBucketAnalyticsConfiguration: PutAnalyticsConfiguration on Bucket, Later;
            /// DELETE of `?analytics`.
            DeleteBucketAnalyticsConfiguration: PutAnalyticsConfiguration on Bucket, Later;
            /// GET of `?analytics` without an id.
            ListBucketAnalyticsConfigurations: GetAnalyticsConfiguration on Bucket, Later;
            /// GET of `?intelligent-tiering` with an id.
            GetBucketIntelligentTieringConfiguration:
                GetIntelligentTieringConfiguration on Bucket, Later;
            /// PUT of `?intelligent-tiering`.
            PutBucketIntelligentTieringConfiguration:
                PutIntelligentTieringConfiguration on Bucket, Later;
            /// DELETE of `?intelligent-tiering`.
            DeleteBucketIntelligentTieringConfiguration:
                PutIntelligentTieringConfiguration on Bucket, Later;
            /// GET of `?intelligent-tiering` without an id.
            ListBucketIntelligentTieringConfigurations:
                GetIntelligentTieringConfiguration on Bucket, Later;
            /// GET of `?inventory` with an id.
            GetBucketInventoryConfiguration: GetInventoryConfiguration on Bucket, Served;
            /// PUT of `?inventory`.
            PutBucketInventoryConfiguration: PutInventoryConfiguration on Bucket, Served;
            /// DELETE of `?inventory`.
            DeleteBucketInventoryConfiguration: PutInventoryConfiguration on Bucket, Served;
            /// GET of `?inventory` without an id.
            ListBucketInventoryConfigurations: GetInventoryConfiguration on Bucket, Served;
            /// GET of `?metrics` with an id.
            GetBucketMetricsConfiguration: GetMetricsConfiguration on Bucket, Later;
            /// PUT of `?metrics`.
            PutBucketMetricsConfiguration: PutMetricsConfiguration on Bucket, Later;
            /// DELETE of `?metrics`.
            DeleteBucketMetricsConfiguration: PutMetricsConfiguration on Bucket, Later;
            /// GET of `?metrics` without an id.
            ListBucketMetricsConfigurations: GetMetricsConfiguration on Bucket, Later;
            /// POST of `?metadataTable`.
            CreateBucketMetadataTableConfiguration:
                CreateBucketMetadataTableConfiguration on Bucket, Later;
            /// GET of `?metadataTable`.
            GetBucketMetadataTableConfiguration:
                GetBucketMetadataTableConfiguration on Bucket, Later;
            /// DELETE of `?metadataTable`.
            DeleteBucketMetadataTableConfiguration:
                DeleteBucketMetadataTableConfiguration on Bucket, Later;
        }
    };
}
