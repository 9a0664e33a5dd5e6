//! The bucket's part of the table of what is served.
//!
//! Owns: one row per operation that is done.
//! Leaves to others: the verbs.
//! Always: a row's operation is `Served` in `auth::operation`.

macro_rules! bucket_verbs {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            create_bucket: CreateBucketInput => CreateBucketOutput = buckets::create;
            head_bucket: HeadBucketInput => HeadBucketOutput = buckets::head;
            delete_bucket: DeleteBucketInput => DeleteBucketOutput = buckets::delete;
            get_bucket_location:
                GetBucketLocationInput => GetBucketLocationOutput
                = buckets::location;
            get_bucket_versioning:
                GetBucketVersioningInput => GetBucketVersioningOutput
                = buckets::get_versioning;
            put_bucket_versioning:
                PutBucketVersioningInput => PutBucketVersioningOutput
                = buckets::put_versioning;
            get_bucket_acl: GetBucketAclInput => GetBucketAclOutput = buckets::get_acl;
            put_bucket_acl: PutBucketAclInput => PutBucketAclOutput = buckets::put_acl;
            get_bucket_request_payment:
                GetBucketRequestPaymentInput => GetBucketRequestPaymentOutput
                = buckets::get_request_payment;
            put_bucket_request_payment:
                PutBucketRequestPaymentInput => PutBucketRequestPaymentOutput
                = buckets::put_request_payment;
            get_bucket_policy: GetBucketPolicyInput => GetBucketPolicyOutput = buckets::get_policy;
            put_bucket_policy: PutBucketPolicyInput => PutBucketPolicyOutput = buckets::put_policy;
            delete_bucket_policy: DeleteBucketPolicyInput => DeleteBucketPolicyOutput
                = buckets::delete_policy;
            get_bucket_policy_status:
                GetBucketPolicyStatusInput => GetBucketPolicyStatusOutput
                = buckets::policy_status;
            get_bucket_lifecycle_configuration:
                GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput
                = buckets::get_lifecycle;
            put_bucket_lifecycle_configuration:
                PutBucketLifecycleConfigurationInput => PutBucketLifecycleConfigurationOutput
                = buckets::put_lifecycle;
            delete_bucket_lifecycle: DeleteBucketLifecycleInput => DeleteBucketLifecycleOutput
                = buckets::delete_lifecycle;
            get_bucket_cors: GetBucketCorsInput => GetBucketCorsOutput = buckets::get_cors;
            put_bucket_cors: PutBucketCorsInput => PutBucketCorsOutput = buckets::put_cors;
            delete_bucket_cors: DeleteBucketCorsInput => DeleteBucketCorsOutput
                = buckets::delete_cors;
            get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput
                = buckets::get_tagging;
            put_bucket_tagging: PutBucketTaggingInput => PutBucketTaggingOutput
                = buckets::put_tagging;
            delete_bucket_tagging: DeleteBucketTaggingInput => DeleteBucketTaggingOutput
                = buckets::delete_tagging;
            get_bucket_ownership_controls:
                GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput
                = buckets::get_ownership;
            put_bucket_ownership_controls:
                PutBucketOwnershipControlsInput => PutBucketOwnershipControlsOutput
                = buckets::put_ownership;
            delete_bucket_ownership_controls:
                DeleteBucketOwnershipControlsInput => DeleteBucketOwnershipControlsOutput
                = buckets::delete_ownership;
            get_public_access_block:
                GetPublicAccessBlockInput => GetPublicAccessBlockOutput
                = buckets::get_block;
            put_public_access_block:
                PutPublicAccessBlockInput => PutPublicAccessBlockOutput
                = buckets::put_block;
            delete_public_access_block:
                DeletePublicAccessBlockInput => DeletePublicAccessBlockOutput
                = buckets::delete_block;
            get_object_lock_configuration:
                GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput
                = buckets::get_object_lock;
            put_object_lock_configuration:
                PutObjectLockConfigurationInput => PutObjectLockConfigurationOutput
                = buckets::put_object_lock;
            get_bucket_inventory_configuration:
                GetBucketInventoryConfigurationInput => GetBucketInventoryConfigurationOutput
                = buckets::get_inventory;
            put_bucket_inventory_configuration:
                PutBucketInventoryConfigurationInput => PutBucketInventoryConfigurationOutput
                = buckets::put_inventory;
            delete_bucket_inventory_configuration:
                DeleteBucketInventoryConfigurationInput => DeleteBucketInventoryConfigurationOutput
                = buckets::delete_inventory;
            list_bucket_inventory_configurations:
                ListBucketInventoryConfigurationsInput => ListBucketInventoryConfigurationsOutput
                = buckets::list_inventories;
            get_bucket_website: GetBucketWebsiteInput => GetBucketWebsiteOutput
                = buckets::get_website;
            put_bucket_website: PutBucketWebsiteInput => PutBucketWebsiteOutput
                = buckets::put_website;
            delete_bucket_website: DeleteBucketWebsiteInput => DeleteBucketWebsiteOutput
                = buckets::delete_website;
            get_bucket_notification_configuration:
                GetBucketNotificationConfigurationInput
                => GetBucketNotificationConfigurationOutput
                = buckets::get_notification;
            put_bucket_notification_configuration:
                PutBucketNotificationConfigurationInput
                => PutBucketNotificationConfigurationOutput
                = buckets::put_notification;
            get_bucket_logging: GetBucketLoggingInput => GetBucketLoggingOutput
                = buckets::get_logging;
            put_bucket_logging: PutBucketLoggingInput => PutBucketLoggingOutput
                = buckets::put_logging;
            list_objects: ListObjectsInput => ListObjectsOutput = listing::v1;
            list_objects_v2: ListObjectsV2Input => ListObjectsV2Output = listing::v2;
            list_object_versions:
                ListObjectVersionsInput => ListObjectVersionsOutput
                = listing::versions;
            delete_objects: DeleteObjectsInput => DeleteObjectsOutput = objects::delete_many;
            list_multipart_uploads:
                ListMultipartUploadsInput => ListMultipartUploadsOutput
                = listing::uploads;
        }
    };
}
