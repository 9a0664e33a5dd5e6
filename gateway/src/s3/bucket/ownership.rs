//! GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls.

use holdfast_policy::{Ownership, OwnershipControls};
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, ObjectOwnership,
    OwnershipControls as Document, OwnershipControlsRule, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Setting, Settings};

pub(crate) async fn get_ownership(
    gateway: &Gateway,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let controls = bucket.settings().ownership;
    let controls = controls.ok_or(GatewayError::NotConfigured {
        setting: Setting::Ownership,
    })?;
    let rule = OwnershipControlsRule {
        object_ownership: ObjectOwnership::from_static(controls.rule.name()),
    };
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(Document { rules: vec![rule] }),
    }))
}

pub(crate) async fn put_ownership(
    gateway: &Gateway,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let malformed = GatewayError::MalformedDocument {
        why: "there must be one Rule, with an ObjectOwnership",
    };
    let rules = request.input.ownership_controls.rules;
    let [asked] = rules.as_slice() else {
        return Err(malformed.into());
    };
    let rule = Ownership::parse(asked.object_ownership.as_str()).map_err(|_| malformed)?;
    let row = gateway.objects.bucket(&name).await?;
    let owner = gateway.rights.owner(&row.owner).id;
    let edit = move |settings: &mut Settings| {
        let acl = settings.acl.as_ref();
        if !acl.is_none_or(|acl| rule.fits(acl, owner.as_str())) {
            return Err(GatewayError::AclAgainstOwnership);
        }
        settings.ownership = Some(OwnershipControls { rule });
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput {}))
}

pub(crate) async fn delete_ownership(
    gateway: &Gateway,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.ownership = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput {}))
}
