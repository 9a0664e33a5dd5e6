//! GetObjectLockConfiguration, PutObjectLockConfiguration.

use s3s::dto::{
    DefaultRetention as DefaultDocument, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, ObjectLockConfiguration, ObjectLockEnabled,
    ObjectLockRetentionMode, ObjectLockRule, PutObjectLockConfigurationInput,
    PutObjectLockConfigurationOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{
    DefaultRetention, ObjectLock, Period, RetentionMode, Setting, Settings, Versioning,
};

pub(crate) async fn get_object_lock(
    gateway: &Gateway,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let lock = bucket.settings().lock.ok_or(GatewayError::NotConfigured {
        setting: Setting::ObjectLock,
    })?;
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(document(lock)),
    }))
}

pub(super) fn document(lock: ObjectLock) -> ObjectLockConfiguration {
    let rule = lock.default.map(|default| {
        let (days, years) = match default.period {
            Period::Days(days) => (i32::try_from(days).ok(), None),
            Period::Years(years) => (None, i32::try_from(years).ok()),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(default.mode.name()));
        ObjectLockRule {
            default_retention: Some(DefaultDocument { days, mode, years }),
        }
    });
    ObjectLockConfiguration {
        object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
        rule,
    }
}

pub(crate) async fn put_object_lock(
    gateway: &Gateway,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let lock = read(request.input.object_lock_configuration)?;
    let edit = move |settings: &mut Settings| {
        if settings.versioning != Some(Versioning::Enabled) {
            return Err(GatewayError::InvalidBucketState {
                why: "Versioning must be 'Enabled' on the bucket to apply a Object Lock \
                      configuration",
            });
        }
        settings.lock = Some(lock);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

pub(super) fn read(document: Option<ObjectLockConfiguration>) -> Result<ObjectLock, GatewayError> {
    let malformed = |why| Err(GatewayError::MalformedDocument { why });
    let Some(document) = document else {
        return malformed("there is no ObjectLockConfiguration");
    };
    let enabled = document.object_lock_enabled.as_ref();
    if enabled.map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return malformed("ObjectLockEnabled must be Enabled");
    }
    let Some(rule) = document.rule else {
        return Ok(ObjectLock::default());
    };
    let Some(default) = rule.default_retention else {
        return malformed("a Rule has a DefaultRetention");
    };
    let mode = default.mode.as_ref().map(ObjectLockRetentionMode::as_str);
    let Some(mode) = mode.and_then(RetentionMode::parse) else {
        return malformed("the Mode of a retention is GOVERNANCE or COMPLIANCE");
    };
    let period = Period::new(default.days.map(i64::from), default.years.map(i64::from))?;
    Ok(ObjectLock {
        default: Some(DefaultRetention { mode, period }),
    })
}
