//! Settings of buckets that clients ask for and that are not configurable yet.
//!
//! Each answers what S3 answers when nothing is configured, for a bucket that exists.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use crate::names::BucketName;
use crate::s3::values::owner;
use crate::s3::{Gateway, error};

/// A setting that is not configured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Absent {
    Policy,
    Lifecycle,
    Cors,
    Tagging,
    Ownership,
    PublicAccessBlock,
    ObjectLock,
}

async fn absent<T>(gateway: &Gateway, bucket: &str, what: Absent) -> S3Result<S3Response<T>> {
    let name = BucketName::parse(bucket)?;
    gateway.objects.bucket(&name).await?;
    Err(error::not_configured(what))
}

macro_rules! absent {
    ($($verb:ident: $input:ident => $output:ident = $what:ident;)*) => {
        $(
            pub(crate) async fn $verb(
                gateway: &Gateway,
                request: S3Request<$input>,
            ) -> S3Result<S3Response<$output>> {
                absent(gateway, &request.input.bucket, Absent::$what).await
            }
        )*
    };
}

absent! {
    policy: GetBucketPolicyInput => GetBucketPolicyOutput = Policy;
    lifecycle: GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput
        = Lifecycle;
    cors: GetBucketCorsInput => GetBucketCorsOutput = Cors;
    tagging: GetBucketTaggingInput => GetBucketTaggingOutput = Tagging;
    ownership: GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput = Ownership;
    public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput
        = PublicAccessBlock;
    object_lock: GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput = ObjectLock;
}

pub(crate) async fn versioning(
    gateway: &Gateway,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.bucket(&name).await?;
    // Never enabled: no status.
    Ok(S3Response::new(GetBucketVersioningOutput::default()))
}

pub(crate) async fn request_payment(
    gateway: &Gateway,
    request: S3Request<GetBucketRequestPaymentInput>,
) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.bucket(&name).await?;
    Ok(S3Response::new(GetBucketRequestPaymentOutput {
        payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
    }))
}

pub(crate) async fn acl(
    gateway: &Gateway,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let row = gateway.objects.bucket(&name).await?;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(vec![owner_grant(&row.owner)]),
        owner: Some(owner(&row.owner)),
    }))
}

/// The only grant there is: everything to the owner.
pub(crate) fn owner_grant(access_key: &str) -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: Some(access_key.to_owned()),
            email_address: None,
            id: Some(access_key.to_owned()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
