//! CreateBucket.

use s3s::dto::{CreateBucketInput, CreateBucketOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::prepare::Prepared;
use crate::s3::{Gateway, error, headers};
use crate::settings::{ObjectLock, Settings, Versioning};

const LOCK_ENABLED: &str = "x-amz-bucket-object-lock-enabled";
const US_EAST_1: &str = "us-east-1";

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
    let mut settings = Settings::default();
    match headers::get(&prepared.headers, LOCK_ENABLED).as_deref() {
        None | Some("false" | "False") => {}
        Some("true" | "True") => {
            settings.versioning = Some(Versioning::Enabled);
            settings.lock = Some(ObjectLock::default());
        }
        Some(_) => {
            return Err(GatewayError::InvalidArgument {
                name: LOCK_ENABLED,
                why: "it must be true or false".to_owned(),
            }
            .into());
        }
    }
    let account = &prepared.identity()?.account;
    let objects = &gateway.objects;
    let mut made = objects
        .create_bucket(&name, account.as_str(), settings)
        .await;
    if let Err(GatewayError::BucketExists { owned, .. }) = &mut made {
        // A row may name its owner as it was named before there were accounts.
        let row = objects.bucket(&name).await?;
        *owned = gateway.rights.owner(&row.owner).id == *account;
    }
    match made {
        // As S3 does in its oldest region, and there only.
        Err(GatewayError::BucketExists { owned: true, .. }) if gateway.region == US_EAST_1 => {}
        made => drop(made?),
    }
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{name}")),
    }))
}
