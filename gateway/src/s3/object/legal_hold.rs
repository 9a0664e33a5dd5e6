//! GetObjectLegalHold, PutObjectLegalHold.

use s3s::dto::{
    GetObjectLegalHoldInput, GetObjectLegalHoldOutput, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, PutObjectLegalHoldInput, PutObjectLegalHoldOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, protection, version};
use crate::error::GatewayError;
use crate::object::types::ChangeObject;
use crate::object::{Protection, lockable};
use crate::s3::Gateway;
use crate::s3::prepare::Prepared;

pub(crate) async fn get_legal_hold(
    gateway: &Gateway,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let kept = protection(gateway, &bucket, &key, version).await?;
    let hold = kept.hold.ok_or_else(|| GatewayError::NotLocked {
        key: key.to_string(),
    })?;
    let status = match hold {
        true => ObjectLockLegalHoldStatus::ON,
        false => ObjectLockLegalHoldStatus::OFF,
    };
    Ok(S3Response::new(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold {
            status: Some(ObjectLockLegalHoldStatus::from_static(status)),
        }),
    }))
}

pub(crate) async fn put_legal_hold(
    gateway: &Gateway,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let asked = input.legal_hold.and_then(|hold| hold.status);
    let hold = match asked.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        _ => {
            return Err(GatewayError::MalformedDocument {
                why: "a legal hold has a Status, ON or OFF",
            }
            .into());
        }
    };
    let change = ChangeObject {
        bucket,
        key,
        version: version(input.version_id.as_deref())?,
        edit: Box::new(move |metadata, settings, _| {
            lockable(settings)?;
            let mut kept = Protection::of(metadata)?;
            kept.hold = Some(hold);
            kept.keep_in(metadata);
            Ok(())
        }),
        by: prepared.by.clone(),
    };
    gateway.objects.change(change).await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}
