//! GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock.

use holdfast_policy::PublicAccessBlock;
use s3s::dto::{
    DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, PublicAccessBlockConfiguration, PutPublicAccessBlockInput,
    PutPublicAccessBlockOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Setting, Settings};

pub(crate) async fn get_block(
    gateway: &Gateway,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let block = bucket.settings().block.ok_or(GatewayError::NotConfigured {
        setting: Setting::PublicAccessBlock,
    })?;
    Ok(S3Response::new(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            block_public_policy: Some(block.block_public_policy),
            ignore_public_acls: Some(block.ignore_public_acls),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        }),
    }))
}

pub(crate) async fn put_block(
    gateway: &Gateway,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let asked = request.input.public_access_block_configuration;
    let flag = |given: Option<bool>| given.unwrap_or(false);
    let block = PublicAccessBlock {
        block_public_acls: flag(asked.block_public_acls),
        ignore_public_acls: flag(asked.ignore_public_acls),
        block_public_policy: flag(asked.block_public_policy),
        restrict_public_buckets: flag(asked.restrict_public_buckets),
    };
    set(gateway, &name, Some(block)).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput {}))
}

pub(crate) async fn delete_block(
    gateway: &Gateway,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    set(gateway, &name, None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput {}))
}

async fn set(
    gateway: &Gateway,
    name: &BucketName,
    block: Option<PublicAccessBlock>,
) -> Result<(), GatewayError> {
    let edit = move |settings: &mut Settings| {
        settings.block = block;
        Ok(())
    };
    gateway.objects.configure(name, Box::new(edit)).await
}
