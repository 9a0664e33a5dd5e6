//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, DeleteBucketLifecycle.

use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleExpiration, LifecycleRule as Document, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, NoncurrentVersionTransition, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, Tag, Timestamp, Transition as TransitionDocument,
    TransitionDefaultMinimumObjectSize, TransitionStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::object::Classes;
use crate::object::classes::STANDARD;
use crate::s3::prepare::Prepared;
use crate::s3::values::{from_timestamp, timestamp};
use crate::s3::{Gateway, headers};
use crate::settings::{
    Expiration, FilterForm, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    NoncurrentTransition, Setting, Settings, Transition, When, midnight, positive_days,
};

/// The header that says which objects are too small for a transition.
const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
pub(crate) async fn get_lifecycle(
    gateway: &Gateway,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let lifecycle = bucket.settings().lifecycle.as_ref();
    let lifecycle = lifecycle.ok_or(GatewayError::NotConfigured {
        setting: Setting::Lifecycle,
    })?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(lifecycle.rules().iter().map(document).collect()),
        transition_default_minimum_object_size: Some(minimum(lifecycle.varies())),
    }))
}

pub(crate) async fn put_lifecycle(
    gateway: &Gateway,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let name = BucketName::parse(&input.bucket)?;
    let Some(configuration) = input.lifecycle_configuration else {
        return Err(malformed("there is no LifecycleConfiguration").into());
    };
    let classes = gateway.objects.classes();
    let rules = configuration.rules.iter().map(|each| rule(each, classes));
    let lifecycle = Lifecycle::new(rules.collect::<Result<_, _>>()?)?;
    let varies = varies(headers::get(&prepared.headers, MINIMUM).as_deref())?;
    let lifecycle = lifecycle.varying(varies);
    let edit = move |settings: &mut Settings| {
        settings.lifecycle = Some(lifecycle);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: Some(minimum(varies)),
    }))
}

pub(crate) async fn delete_lifecycle(
    gateway: &Gateway,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.lifecycle = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput {}))
}

/// Which objects are too small for a transition.
fn minimum(varies: bool) -> TransitionDefaultMinimumObjectSize {
    let name = match varies {
        true => TransitionDefaultMinimumObjectSize::VARIES_BY_STORAGE_CLASS,
        false => TransitionDefaultMinimumObjectSize::ALL_STORAGE_CLASSES_128K,
    };
    TransitionDefaultMinimumObjectSize::from_static(name)
}

fn varies(given: Option<&str>) -> Result<bool, GatewayError> {
    match given {
        None | Some(TransitionDefaultMinimumObjectSize::ALL_STORAGE_CLASSES_128K) => Ok(false),
        Some(TransitionDefaultMinimumObjectSize::VARIES_BY_STORAGE_CLASS) => Ok(true),
        Some(_) => Err(GatewayError::InvalidRequest {
            why: format!("{MINIMUM} is not one of S3's"),
        }),
    }
}

fn malformed(why: &'static str) -> GatewayError {
    GatewayError::MalformedDocument { why }
}

pub(super) fn rule(document: &Document, classes: &Classes) -> Result<LifecycleRule, GatewayError> {
    let enabled = match document.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("the Status of a rule is Enabled or Disabled")),
    };
    let transitions = document.transitions.iter().flatten();
    let transitions = transitions.map(|each| transition(each, classes));
    let moves = document.noncurrent_version_transitions.iter().flatten();
    let moves = moves.map(|each| noncurrent_transition(each, classes));
    let (transitions, noncurrent_transitions) = (
        transitions.collect::<Result<_, _>>()?,
        moves.collect::<Result<_, _>>()?,
    );
    let expiration = document.expiration.as_ref().map(expiration).transpose()?;
    let noncurrent = document.noncurrent_version_expiration.as_ref();
    let noncurrent = noncurrent.map(noncurrent_expiration).transpose()?;
    let abort = document.abort_incomplete_multipart_upload.as_ref();
    let abort_days = abort.map(abort_days).transpose()?;
    Ok(LifecycleRule {
        id: document.id.clone().unwrap_or_default(),
        enabled,
        filter: filter(document)?,
        expiration,
        noncurrent,
        abort_days,
        transitions,
        noncurrent_transitions,
    })
}

fn transition(
    document: &TransitionDocument,
    classes: &Classes,
) -> Result<Transition, GatewayError> {
    let at = match (document.days, &document.date) {
        (Some(days), None) => When::Days(moving_days("Days", days)?),
        (None, Some(date)) => When::DateMs(midnight(exact(date))?),
        _ => return Err(malformed("a transition has Days or a Date")),
    };
    let class = document.storage_class.as_ref().map(|class| class.as_str());
    Ok(Transition {
        at,
        class: class_of(class, classes)?,
    })
}

fn noncurrent_transition(
    document: &NoncurrentVersionTransition,
    classes: &Classes,
) -> Result<NoncurrentTransition, GatewayError> {
    let Some(days) = document.noncurrent_days else {
        return Err(malformed(
            "a NoncurrentVersionTransition has NoncurrentDays",
        ));
    };
    let action = "NoncurrentVersionTransition";
    let keep = document.newer_noncurrent_versions;
    let keep = keep.map(|keep| positive_days("NewerNoncurrentVersions", action, keep));
    let class = document.storage_class.as_ref().map(|class| class.as_str());
    Ok(NoncurrentTransition {
        days: moving_days("NoncurrentDays", days)?,
        keep: keep.transpose()?,
        class: class_of(class, classes)?,
    })
}

/// Other than what ends, what moves may do so on the day it was made.
fn moving_days(name: &'static str, days: i32) -> Result<u32, GatewayError> {
    u32::try_from(days).map_err(|_| GatewayError::InvalidArgument {
        name,
        why: format!("'{name}' in a Transition action must be nonnegative"),
    })
}

/// A class that objects can move to: as in S3 that is never `STANDARD`.
fn class_of(class: Option<&str>, classes: &Classes) -> Result<String, GatewayError> {
    let known = class.filter(|class| *class != STANDARD && classes.geometry(class).is_ok());
    let unknown = "the StorageClass of a transition is none that is configured here";
    known.map(str::to_owned).ok_or(malformed(unknown))
}

/// Milliseconds since 1970 of a date with whole seconds.
fn exact(date: &Timestamp) -> Option<u64> {
    from_timestamp(date).filter(|ms| timestamp(*ms) == *date)
}

fn expiration(document: &LifecycleExpiration) -> Result<Expiration, GatewayError> {
    match (
        document.days,
        &document.date,
        document.expired_object_delete_marker,
    ) {
        (Some(days), None, None) => positive_days("Days", "Expiration", days).map(Expiration::Days),
        (None, Some(date), None) => midnight(exact(date)).map(Expiration::DateMs),
        (None, None, Some(is_set)) => Ok(Expiration::Marker(is_set)),
        _ => Err(malformed(
            "an Expiration has Days, a Date or ExpiredObjectDeleteMarker",
        )),
    }
}

fn noncurrent_expiration(
    document: &NoncurrentVersionExpiration,
) -> Result<NoncurrentExpiration, GatewayError> {
    let action = "NoncurrentVersionExpiration";
    let Some(days) = document.noncurrent_days else {
        return Err(malformed(
            "a NoncurrentVersionExpiration has NoncurrentDays",
        ));
    };
    let days = positive_days("NoncurrentDays", action, days)?;
    let keep = document.newer_noncurrent_versions;
    let keep = keep.map(|keep| positive_days("NewerNoncurrentVersions", action, keep));
    Ok(NoncurrentExpiration {
        days,
        keep: keep.transpose()?,
    })
}

fn abort_days(document: &AbortIncompleteMultipartUpload) -> Result<u32, GatewayError> {
    let Some(days) = document.days_after_initiation else {
        let why = "an AbortIncompleteMultipartUpload has DaysAfterInitiation";
        return Err(malformed(why));
    };
    positive_days(
        "DaysAfterInitiation",
        "AbortIncompleteMultipartUpload",
        days,
    )
}

fn filter(document: &Document) -> Result<LifecycleFilter, GatewayError> {
    let Some(filter) = &document.filter else {
        return Ok(LifecycleFilter {
            form: FilterForm::Prefix,
            prefix: document.prefix.clone(),
            ..LifecycleFilter::default()
        });
    };
    if document.prefix.is_some() {
        return Err(malformed("a rule has a Filter or a Prefix, not both"));
    }
    let outer = LifecycleFilter {
        form: FilterForm::Filter,
        prefix: filter.prefix.clone(),
        tags: filter.tag.iter().map(pair).collect::<Result<_, _>>()?,
        larger: size(filter.object_size_greater_than)?,
        smaller: size(filter.object_size_less_than)?,
    };
    let Some(and) = &filter.and else {
        return Ok(outer);
    };
    if outer != LifecycleFilter::default() {
        return Err(malformed("a Filter has And or one condition, not both"));
    }
    let tags = and.tags.iter().flatten().map(pair);
    Ok(LifecycleFilter {
        form: FilterForm::And,
        prefix: and.prefix.clone(),
        tags: tags.collect::<Result<_, _>>()?,
        larger: size(and.object_size_greater_than)?,
        smaller: size(and.object_size_less_than)?,
    })
}

fn pair(tag: &Tag) -> Result<(String, String), GatewayError> {
    // Without a value it is about tags without one.
    match &tag.key {
        Some(key) => Ok((key.clone(), tag.value.clone().unwrap_or_default())),
        None => Err(malformed("a Tag has a Key")),
    }
}

fn size(bytes: Option<i64>) -> Result<Option<u64>, GatewayError> {
    let bytes = bytes.map(u64::try_from).transpose();
    bytes.map_err(|_| GatewayError::InvalidRequest {
        why: "A size must not be negative".to_owned(),
    })
}

pub(super) fn document(rule: &LifecycleRule) -> Document {
    let days = |days: u32| i32::try_from(days).ok();
    let status = match rule.enabled {
        true => ExpirationStatus::ENABLED,
        false => ExpirationStatus::DISABLED,
    };
    let old = rule.filter.form == FilterForm::Prefix;
    Document {
        abort_incomplete_multipart_upload: rule.abort_days.map(|count| {
            AbortIncompleteMultipartUpload {
                days_after_initiation: days(count),
            }
        }),
        expiration: rule.expiration.map(|expiration| match expiration {
            Expiration::Days(count) => LifecycleExpiration {
                days: days(count),
                ..LifecycleExpiration::default()
            },
            Expiration::DateMs(ms) => LifecycleExpiration {
                date: Some(timestamp(ms)),
                ..LifecycleExpiration::default()
            },
            Expiration::Marker(is_set) => LifecycleExpiration {
                expired_object_delete_marker: Some(is_set),
                ..LifecycleExpiration::default()
            },
        }),
        filter: (!old).then(|| filter_document(&rule.filter)),
        id: Some(rule.id.clone()),
        noncurrent_version_expiration: rule.noncurrent.map(|noncurrent| {
            NoncurrentVersionExpiration {
                newer_noncurrent_versions: noncurrent.keep.and_then(days),
                noncurrent_days: days(noncurrent.days),
            }
        }),
        noncurrent_version_transitions: listed(rule.noncurrent_transitions.iter().map(|moves| {
            NoncurrentVersionTransition {
                newer_noncurrent_versions: moves.keep.and_then(days),
                noncurrent_days: days(moves.days),
                storage_class: Some(TransitionStorageClass::from(moves.class.clone())),
            }
        })),
        prefix: rule.filter.prefix.clone().filter(|_| old),
        status: ExpirationStatus::from_static(status),
        transitions: listed(rule.transitions.iter().map(|moves| TransitionDocument {
            date: match moves.at {
                When::DateMs(ms) => Some(timestamp(ms)),
                When::Days(_) => None,
            },
            days: match moves.at {
                When::Days(count) => days(count),
                When::DateMs(_) => None,
            },
            storage_class: Some(TransitionStorageClass::from(moves.class.clone())),
        })),
    }
}

/// `None` if there is nothing.
fn listed<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then_some(all)
}

fn filter_document(filter: &LifecycleFilter) -> LifecycleRuleFilter {
    let bytes = |size: Option<u64>| size.and_then(|size| i64::try_from(size).ok());
    let (larger, smaller) = (bytes(filter.larger), bytes(filter.smaller));
    let mut tags = filter.tags.iter().map(|(key, value)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    let prefix = filter.prefix.clone();
    if filter.form != FilterForm::And {
        return LifecycleRuleFilter {
            object_size_greater_than: larger,
            object_size_less_than: smaller,
            prefix,
            tag: tags.next(),
            ..LifecycleRuleFilter::default()
        };
    }
    let tags: Vec<Tag> = tags.collect();
    LifecycleRuleFilter {
        and: Some(LifecycleRuleAndOperator {
            object_size_greater_than: larger,
            object_size_less_than: smaller,
            prefix,
            tags: (!tags.is_empty()).then_some(tags),
        }),
        ..LifecycleRuleFilter::default()
    }
}
