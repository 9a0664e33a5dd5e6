//! GetObjectRetention, PutObjectRetention.

use s3s::dto::{
    GetObjectRetentionInput, GetObjectRetentionOutput, ObjectLockRetention,
    ObjectLockRetentionMode, PutObjectRetentionInput, PutObjectRetentionOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{bypasses, names, protection, version};
use crate::error::GatewayError;
use crate::object::types::ChangeObject;
use crate::object::{Protection, Retention, lockable};
use crate::s3::prepare::Prepared;
use crate::s3::values::{exact_ms, exact_timestamp};
use crate::s3::{Gateway, headers};
use crate::settings::RetentionMode;

pub(crate) async fn get_retention(
    gateway: &Gateway,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let kept = protection(gateway, &bucket, &key, version).await?;
    let retention = kept.retention.ok_or_else(|| GatewayError::NotLocked {
        key: key.to_string(),
    })?;
    Ok(S3Response::new(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(retention.mode.name())),
            retain_until_date: Some(exact_timestamp(retention.until_ms)),
        }),
    }))
}

pub(crate) async fn put_retention(
    gateway: &Gateway,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let asked = input.retention.ok_or(MALFORMED)?;
    let bypass = bypasses(gateway, &prepared).await?;
    let change = ChangeObject {
        bucket,
        key,
        version: version(input.version_id.as_deref())?,
        edit: Box::new(move |metadata, settings, now_ms| {
            lockable(settings)?;
            let new = asked_for(&asked, now_ms)?;
            let mut kept = Protection::of(metadata)?;
            kept.check_retention(new, now_ms, bypass)?;
            kept.retention = new;
            kept.keep_in(metadata);
            Ok(())
        }),
        by: prepared.by.clone(),
    };
    gateway.objects.change(change).await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

const MALFORMED: GatewayError = GatewayError::MalformedDocument {
    why: "a retention has a Mode, GOVERNANCE or COMPLIANCE, and a RetainUntilDate",
};

/// An empty retention takes away what there is.
fn asked_for(asked: &ObjectLockRetention, now_ms: u64) -> Result<Option<Retention>, GatewayError> {
    let (Some(mode), Some(until)) = (&asked.mode, &asked.retain_until_date) else {
        return match (&asked.mode, &asked.retain_until_date) {
            (None, None) => Ok(None),
            _ => Err(MALFORMED),
        };
    };
    let mode = RetentionMode::parse(mode.as_str()).ok_or(MALFORMED)?;
    let until_ms = exact_ms(until).ok_or(MALFORMED)?;
    headers::future(Retention { mode, until_ms }, now_ms).map(Some)
}
