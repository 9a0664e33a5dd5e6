//! Settings of buckets that clients ask for and that are not configurable yet.
//!
//! Each answers what S3 answers when nothing is configured, for a bucket that exists.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::s3::values::owner;
use crate::settings::Setting;

async fn absent<T>(gateway: &Gateway, bucket: &str, setting: Setting) -> S3Result<S3Response<T>> {
    let name = BucketName::parse(bucket)?;
    gateway.objects.bucket(&name).await?;
    Err(GatewayError::NotConfigured { setting }.into())
}

macro_rules! absent {
    ($($verb:ident: $input:ident => $output:ident = $what:ident;)*) => {
        $(
            pub(crate) async fn $verb(
                gateway: &Gateway,
                request: S3Request<$input>,
            ) -> S3Result<S3Response<$output>> {
                absent(gateway, &request.input.bucket, Setting::$what).await
            }
        )*
    };
}

absent! {
    lifecycle: GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput
        = Lifecycle;
    ownership: GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput = Ownership;
    public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput
        = PublicAccessBlock;
}

pub(crate) async fn acl(
    gateway: &Gateway,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let row = gateway.objects.bucket(&name).await?;
    let shown = gateway.rights.owner(&row.owner);
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(vec![owner_grant(&shown)]),
        owner: Some(owner(&shown)),
    }))
}

/// The only grant there is: everything to the owner.
pub(crate) fn owner_grant(owner: &crate::auth::Owner) -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: Some(owner.name.clone()),
            email_address: None,
            id: Some(owner.id.to_string()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
