//! GetBucketNotificationConfiguration, PutBucketNotificationConfiguration.

use holdfast_protocol::checksum::crc64;
use s3s::dto::{Event as EventName, EventList};
use s3s::dto::{
    FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, NotificationConfiguration,
    NotificationConfigurationFilter, PutBucketNotificationConfigurationInput,
    PutBucketNotificationConfigurationOutput, QueueConfiguration, S3KeyFilter, TopicConfiguration,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::notify::event::{date_time, test_event};
use crate::notify::{Origin, Targets};
use crate::s3::Gateway;
use crate::s3::headers::{get, now_ms};
use crate::s3::prepare::Prepared;
use crate::settings::{Notification, Settings, TargetKind, Tell};

const NO_VALIDATION: &str = "x-amz-skip-destination-validation";

pub(crate) async fn get_notification(
    gateway: &Gateway,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let mut output = GetBucketNotificationConfigurationOutput::default();
    let told = bucket.settings().notification.as_ref();
    for tell in told.map(Notification::tell).unwrap_or_default() {
        let events: EventList = tell.events.iter().cloned().map(EventName::from).collect();
        match tell.kind {
            TargetKind::Queue => {
                output
                    .queue_configurations
                    .get_or_insert_default()
                    .push(QueueConfiguration {
                        events,
                        filter: filter(tell),
                        id: Some(tell.id.clone()),
                        queue_arn: tell.arn.clone(),
                    })
            }
            TargetKind::Topic => {
                output
                    .topic_configurations
                    .get_or_insert_default()
                    .push(TopicConfiguration {
                        events,
                        filter: filter(tell),
                        id: Some(tell.id.clone()),
                        topic_arn: tell.arn.clone(),
                    })
            }
        }
    }
    Ok(S3Response::new(output))
}

pub(crate) async fn put_notification(
    gateway: &Gateway,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let prepared = Prepared::of(&request)?;
    let name = BucketName::parse(&request.input.bucket)?;
    let told = notification(&gateway.targets, request.input.notification_configuration)?;
    let unchecked = get(&prepared.headers, NO_VALIDATION)
        .is_some_and(|given| given.eq_ignore_ascii_case("true"));
    if !unchecked {
        validate(&gateway.targets, &name, &told).await?;
    }
    let edit = move |settings: &mut Settings| {
        settings.notification = (!told.tell().is_empty()).then_some(told);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput {}))
}

/// Tells each target that it is going to be told.
async fn validate(
    targets: &Targets,
    bucket: &BucketName,
    told: &Notification,
) -> Result<(), GatewayError> {
    let time = date_time(now_ms()).unwrap_or_default();
    let message = test_event(bucket.as_str(), &time, Origin::current().as_ref());
    let mut names: Vec<&str> = told
        .tell()
        .iter()
        .map(|tell| tell.target.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let Some(target) = targets.get(name) else {
            continue;
        };
        if let Err(error) = target.test(&message).await {
            tracing::info!(to = name, %error, "a target of events does not answer");
            return Err(no_destination());
        }
    }
    Ok(())
}

pub(super) fn notification(
    targets: &Targets,
    document: NotificationConfiguration,
) -> Result<Notification, GatewayError> {
    let lambdas = document.lambda_function_configurations;
    if lambdas.is_some_and(|list| !list.is_empty()) {
        return Err(GatewayError::NotImplemented {
            what: "a notification of a Lambda function".to_owned(),
        });
    }
    if document.event_bridge_configuration.is_some() {
        return Err(GatewayError::NotImplemented {
            what: "a notification of EventBridge".to_owned(),
        });
    }
    let mut tell = Vec::new();
    for one in document.queue_configurations.unwrap_or_default() {
        let kind = (TargetKind::Queue, one.queue_arn);
        tell.push(read(targets, kind, (one.id, one.events, one.filter))?);
    }
    for one in document.topic_configurations.unwrap_or_default() {
        let kind = (TargetKind::Topic, one.topic_arn);
        tell.push(read(targets, kind, (one.id, one.events, one.filter))?);
    }
    Notification::new(tell)
}

type Given = (
    Option<String>,
    EventList,
    Option<NotificationConfigurationFilter>,
);

fn read(
    targets: &Targets,
    (kind, arn): (TargetKind, String),
    (id, events, filter): Given,
) -> Result<Tell, GatewayError> {
    let Some(target) = targets.named(&arn).map(str::to_owned) else {
        return Err(no_destination());
    };
    let (mut prefix, mut suffix) = (None, None);
    let rules = filter.and_then(|filter| filter.key?.filter_rules);
    for rule in rules.unwrap_or_default() {
        let name = rule
            .name
            .as_ref()
            .map(|name| name.as_str().to_ascii_lowercase());
        let found = match name.as_deref() {
            Some("prefix") => &mut prefix,
            Some("suffix") => &mut suffix,
            _ => return refuse("filter rule name must be either prefix or suffix"),
        };
        if found.replace(rule.value.unwrap_or_default()).is_some() {
            return refuse("Cannot specify more than one prefix or suffix rule in a filter.");
        }
    }
    let events: Vec<String> = events.into_iter().map(String::from).collect();
    let (prefix, suffix) = (prefix.unwrap_or_default(), suffix.unwrap_or_default());
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let text = format!("{arn}\n{}\n{prefix}\n{suffix}", events.join(","));
        format!("{:016x}", crc64(text.as_bytes()))
    });
    Ok(Tell {
        id,
        kind,
        arn,
        target,
        events,
        prefix,
        suffix,
    })
}

fn filter(tell: &Tell) -> Option<NotificationConfigurationFilter> {
    let rule = |name: &'static str, value: &String| {
        (!value.is_empty()).then(|| FilterRule {
            name: Some(FilterRuleName::from_static(name)),
            value: Some(value.clone()),
        })
    };
    let rules: Vec<FilterRule> = [rule("Prefix", &tell.prefix), rule("Suffix", &tell.suffix)]
        .into_iter()
        .flatten()
        .collect();
    let has_rules = !rules.is_empty();
    let key = Some(S3KeyFilter {
        filter_rules: Some(rules),
    });
    has_rules.then_some(NotificationConfigurationFilter { key })
}

fn no_destination() -> GatewayError {
    GatewayError::InvalidArgument {
        name: "NotificationConfiguration",
        why: "Unable to validate the following destination configurations".to_owned(),
    }
}

fn refuse<T>(why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidArgument {
        name: "NotificationConfiguration",
        why: why.to_owned(),
    })
}
