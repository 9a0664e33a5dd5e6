//! HeadBucket.

use http::{HeaderMap, HeaderValue};
use s3s::dto::{HeadBucketInput, HeadBucketOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::names::BucketName;
use crate::s3::Gateway;

pub(crate) async fn head(
    gateway: &Gateway,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.bucket(&name).await?;
    let mut headers = HeaderMap::new();
    if let Ok(region) = HeaderValue::from_str(&gateway.region) {
        headers.insert("x-amz-bucket-region", region);
    }
    Ok(S3Response::with_headers(
        HeadBucketOutput::default(),
        headers,
    ))
}
