//! CreateBucket.

use s3s::dto::{CreateBucketInput, CreateBucketOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::names::BucketName;
use crate::s3::prepare::Prepared;
use crate::s3::{Gateway, error};

pub(crate) async fn create(
    gateway: &Gateway,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let prepared = Prepared::of(&request)?;
    let name = BucketName::parse(&request.input.bucket)?;
    let location = request
        .input
        .create_bucket_configuration
        .and_then(|configuration| configuration.location_constraint);
    // A bucket cannot be anywhere else, so a client that asks for that is mistaken about this
    // endpoint.
    if let Some(location) = location.as_ref().map(|location| location.as_str())
        && !location.is_empty()
        && location != gateway.region
    {
        return Err(error::wrong_location(location));
    }
    let owner = prepared.account()?.as_str();
    gateway.objects.create_bucket(&name, owner).await?;
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{name}")),
    }))
}
