//! GetBucketLogging, PutBucketLogging.

use s3s::dto::{
    self, GetBucketLoggingInput, GetBucketLoggingOutput, LoggingEnabled, PartitionDateSource,
    PartitionedPrefix, PutBucketLoggingInput, PutBucketLoggingOutput, SimplePrefix,
    TargetObjectKeyFormat,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::s3::access_log::log_key;
use crate::s3::headers::now_ms;
use crate::settings::{KeyFormat, Logging, PartitionDate, Settings};

pub(crate) async fn get_logging(
    gateway: &Gateway,
    request: S3Request<GetBucketLoggingInput>,
) -> S3Result<S3Response<GetBucketLoggingOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let logging = bucket.settings().logging.as_ref();
    Ok(S3Response::new(GetBucketLoggingOutput {
        logging_enabled: logging.map(document),
    }))
}

pub(crate) async fn put_logging(
    gateway: &Gateway,
    request: S3Request<PutBucketLoggingInput>,
) -> S3Result<S3Response<PutBucketLoggingOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let enabled = request.input.bucket_logging_status.logging_enabled;
    let logging = enabled.map(read).transpose()?;
    if let Some(logging) = &logging {
        check_target(gateway, &name, logging).await?;
    }
    let edit = move |settings: &mut Settings| {
        settings.logging = logging;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketLoggingOutput {}))
}

/// That logs can be delivered there.
async fn check_target(
    gateway: &Gateway,
    name: &BucketName,
    logging: &Logging,
) -> Result<(), GatewayError> {
    let source = gateway.objects.bucket(name).await?;
    let refuse = |why| Err(GatewayError::LogTarget { why });
    let Ok(target) = BucketName::parse(&logging.bucket) else {
        return refuse("The target bucket for logging does not exist");
    };
    let found = match gateway.objects.bucket(&target).await {
        Err(GatewayError::NoSuchBucket { .. }) => {
            return refuse("The target bucket for logging does not exist");
        }
        found => found?,
    };
    let rights = &gateway.rights;
    if rights.owner(&found.owner).id != rights.owner(&source.owner).id {
        return refuse(
            "The owner for the bucket to be logged and the target bucket must be the same.",
        );
    }
    let at = (source.as_ref(), logging);
    let key = log_key(rights, at, &gateway.region, now_ms(), 0);
    match rights.may_log(&source, &target, &key).await? {
        true => Ok(()),
        false => refuse(
            "You must let logging.s3.amazonaws.com put objects into the target bucket by its \
             policy, or give the log-delivery group WRITE and READ_ACP permissions to it",
        ),
    }
}

pub(super) fn read(enabled: LoggingEnabled) -> Result<Logging, GatewayError> {
    if enabled
        .target_grants
        .is_some_and(|grants| !grants.is_empty())
    {
        return Err(GatewayError::NotImplemented {
            what: "TargetGrants".to_owned(),
        });
    }
    let malformed = |why| Err(GatewayError::MalformedDocument { why });
    let format = enabled.target_object_key_format;
    let format = format.map(|format| (format.simple_prefix, format.partitioned_prefix));
    let format = match format {
        None => None,
        Some((Some(_), None)) => Some(KeyFormat::Simple),
        Some((None, Some(partitioned))) => {
            let date = partitioned.partition_date_source;
            Some(KeyFormat::Partitioned(
                match date.as_ref().map(|date| date.as_str()) {
                    Some(PartitionDateSource::EVENT_TIME) => PartitionDate::EventTime,
                    None | Some(PartitionDateSource::DELIVERY_TIME) => PartitionDate::DeliveryTime,
                    Some(_) => {
                        return malformed("PartitionDateSource is EventTime or DeliveryTime");
                    }
                },
            ))
        }
        Some(_) => {
            return malformed("TargetObjectKeyFormat has a SimplePrefix or a PartitionedPrefix");
        }
    };
    Logging::new(enabled.target_bucket, enabled.target_prefix, format)
}

pub(super) fn document(logging: &Logging) -> LoggingEnabled {
    LoggingEnabled {
        target_bucket: logging.bucket.clone(),
        target_grants: None,
        target_object_key_format: logging.format.map(format),
        target_prefix: logging.prefix.clone(),
    }
}

fn format(format: KeyFormat) -> TargetObjectKeyFormat {
    let date = match format {
        KeyFormat::Simple => {
            return TargetObjectKeyFormat {
                simple_prefix: Some(SimplePrefix {}),
                partitioned_prefix: None,
            };
        }
        KeyFormat::Partitioned(PartitionDate::EventTime) => PartitionDateSource::EVENT_TIME,
        KeyFormat::Partitioned(PartitionDate::DeliveryTime) => PartitionDateSource::DELIVERY_TIME,
    };
    TargetObjectKeyFormat {
        simple_prefix: None,
        partitioned_prefix: Some(PartitionedPrefix {
            partition_date_source: Some(dto::PartitionDateSource::from_static(date)),
        }),
    }
}
