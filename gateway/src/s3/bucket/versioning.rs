//! GetBucketVersioning, PutBucketVersioning.

use s3s::dto::{
    BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput, MFADelete,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Settings, Versioning};

pub(crate) async fn get_versioning(
    gateway: &Gateway,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let status = bucket.settings().versioning.map(|versioning| {
        BucketVersioningStatus::from_static(match versioning {
            Versioning::Enabled => BucketVersioningStatus::ENABLED,
            Versioning::Suspended => BucketVersioningStatus::SUSPENDED,
        })
    });
    Ok(S3Response::new(GetBucketVersioningOutput {
        status,
        ..GetBucketVersioningOutput::default()
    }))
}

pub(crate) async fn put_versioning(
    gateway: &Gateway,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let asked = request.input.versioning_configuration;
    if asked.mfa_delete.as_ref().map(MFADelete::as_str) == Some(MFADelete::ENABLED) {
        return Err(GatewayError::NotImplemented {
            what: "MfaDelete".to_owned(),
        }
        .into());
    }
    let status = asked.status.as_ref().map(BucketVersioningStatus::as_str);
    let versioning = match status {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => return Err(GatewayError::IllegalVersioning.into()),
    };
    let edit = move |settings: &mut Settings| {
        if settings.lock.is_some() && versioning != Versioning::Enabled {
            return Err(GatewayError::InvalidBucketState {
                why: "An Object Lock configuration is present on this bucket, so the versioning \
                      state cannot be changed.",
            });
        }
        settings.versioning = Some(versioning);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketVersioningOutput {}))
}
