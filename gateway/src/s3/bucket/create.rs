//! CreateBucket.

use holdfast_policy::{On, Ownership, OwnershipControls, PublicAccessBlock};
use http::HeaderMap;
use s3s::dto::{CreateBucketInput, CreateBucketOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::prepare::Prepared;
use crate::s3::{BucketAcls, Gateway, acl, error, headers};
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
    access(gateway, &prepared.headers, account.as_str(), &mut settings)?;
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

/// Who will get into the bucket: ownership, what is blocked, the ACL.
fn access(
    gateway: &Gateway,
    map: &HeaderMap,
    owner: &str,
    settings: &mut Settings,
) -> Result<(), GatewayError> {
    let asked = headers::get(map, "x-amz-object-ownership");
    let asked = asked.map(|name| Ownership::parse(&name)).transpose()?;
    let (rule, block) = match gateway.bucket_acls {
        BucketAcls::Off => (Some(Ownership::default()), Some(PublicAccessBlock::ALL)),
        BucketAcls::On => (None, None),
    };
    settings.ownership = asked.or(rule).map(|rule| OwnershipControls { rule });
    settings.block = block;
    let Some(wanted) = acl::wanted(&gateway.rights, map)? else {
        return Ok(());
    };
    let list = wanted.acl(On::Bucket, owner, owner)?;
    if !settings.ownership().fits(&list, owner) {
        return Err(GatewayError::AclAgainstOwnership);
    }
    if settings.block().refuses_acl(&list) {
        return Err(GatewayError::NotAllowed);
    }
    settings.acl = Some(list);
    Ok(())
}
