//! AbortMultipartUpload.

use s3s::dto::{AbortMultipartUploadInput, AbortMultipartUploadOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::s3::Gateway;
use crate::s3::object::names;

pub(crate) async fn abort(
    gateway: &Gateway,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let objects = &gateway.objects;
    objects
        .abort_upload(&bucket, &key, &input.upload_id)
        .await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}
