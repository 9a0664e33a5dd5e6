//! GetBucketLocation.

use s3s::dto::{BucketLocationConstraint, GetBucketLocationInput, GetBucketLocationOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::names::BucketName;
use crate::s3::Gateway;

pub(crate) async fn location(
    gateway: &Gateway,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.bucket(&name).await?;
    // For us-east-1 S3 answers with nothing.
    let region = (gateway.region != "us-east-1").then(|| gateway.region.clone());
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: region.map(BucketLocationConstraint::from),
    }))
}
