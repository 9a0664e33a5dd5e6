//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.

use holdfast_policy::{Policy, public};
use s3s::dto::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput,
    PutBucketPolicyOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Setting, Settings};

pub(crate) async fn get_policy(
    gateway: &Gateway,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let policy = bucket.settings().policy.as_ref();
    let policy = policy.ok_or(GatewayError::NotConfigured {
        setting: Setting::Policy,
    })?;
    Ok(S3Response::new(GetBucketPolicyOutput {
        policy: Some(policy.text().to_owned()),
    }))
}

pub(crate) async fn put_policy(
    gateway: &Gateway,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let policy = Policy::parse(&request.input.policy, name.as_str()).map_err(GatewayError::from)?;
    let edit = move |settings: &mut Settings| {
        if settings.block().refuses_policy(&policy) {
            return Err(GatewayError::NotAllowed);
        }
        settings.policy = Some(policy);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketPolicyOutput {}))
}

pub(crate) async fn delete_policy(
    gateway: &Gateway,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.policy = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput {}))
}

pub(crate) async fn policy_status(
    gateway: &Gateway,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let settings = bucket.settings();
    let acl = settings.acl.as_ref();
    let acl = acl.filter(|_| settings.ownership().acls_count());
    let is_public = public::bucket(settings.policy.as_ref(), acl);
    Ok(S3Response::new(GetBucketPolicyStatusOutput {
        policy_status: Some(PolicyStatus {
            is_public: Some(is_public),
        }),
    }))
}
