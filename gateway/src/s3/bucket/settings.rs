//! Settings of buckets that clients ask for and that are not configurable yet.
//!
//! Each answers what S3 answers when nothing is configured, for a bucket that exists.

use s3s::dto::{GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::Setting;

pub(crate) async fn lifecycle(
    gateway: &Gateway,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    gateway.objects.bucket(&name).await?;
    Err(GatewayError::NotConfigured {
        setting: Setting::Lifecycle,
    }
    .into())
}
