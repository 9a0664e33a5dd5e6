//! DeleteBucket.

use s3s::dto::{DeleteBucketInput, DeleteBucketOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::names::BucketName;
use crate::s3::Gateway;

pub(crate) async fn delete(
    gateway: &Gateway,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.delete_bucket(&name).await?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}
