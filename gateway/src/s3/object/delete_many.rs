//! DeleteObjects.

use futures::{StreamExt, stream};
use s3s::dto::{DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error, ObjectIdentifier};
use s3s::{S3Request, S3Response, S3Result};

use super::version;
use crate::auth::Action;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{DeleteConditions, DeleteObject, Deleted, ETagMatch};
use crate::s3::prepare::Prepared;
use crate::s3::values::from_timestamp;
use crate::s3::{Gateway, error, headers};

const KEYS_MAX: usize = 1000;
/// Deletes of one request that run at a time.
const PARALLEL: usize = 32;

pub(crate) async fn delete_many(
    gateway: &Gateway,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let bucket = BucketName::parse(&input.bucket)?;
    let count = input.delete.objects.len();
    if !(1..=KEYS_MAX).contains(&count) {
        return Err(error::malformed_xml(
            "between 1 and 1000 keys can be deleted at a time",
        ));
    }
    gateway.objects.bucket(&bucket).await?;
    let quiet = input.delete.quiet.unwrap_or(false);
    let outcomes: Vec<(ObjectIdentifier, Result<Deleted, GatewayError>)> =
        stream::iter(input.delete.objects)
            .map(|object| {
                let (bucket, prepared) = (&bucket, &prepared);
                async move {
                    let outcome = delete_one(gateway, prepared, bucket, &object).await;
                    (object, outcome)
                }
            })
            .buffered(PARALLEL)
            .collect()
            .await;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (object, outcome) in outcomes {
        match outcome {
            Ok(_) if quiet => {}
            Ok(gone) => {
                let made = gone.version.filter(|_| gone.is_marker);
                deleted.push(DeletedObject {
                    key: Some(object.key),
                    version_id: object.version_id,
                    delete_marker: gone.is_marker.then_some(true),
                    delete_marker_version_id: made.map(|version| version.to_string()),
                });
            }
            Err(failure) => {
                let (code, message) = error::code_and_message(failure);
                errors.push(Error {
                    code: Some(code),
                    key: Some(object.key),
                    message: Some(message),
                    version_id: object.version_id,
                });
            }
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    }))
}

/// What must be so of the object that goes.
pub(in crate::s3) fn conditions(object: &ObjectIdentifier) -> DeleteConditions {
    let tag = object.e_tag.as_ref().map(|tag| tag.value());
    DeleteConditions {
        if_match: tag.map(|tag| match tag {
            "*" => ETagMatch::Any,
            tag => ETagMatch::OneOf(vec![tag.to_owned()]),
        }),
        size: object.size.and_then(|size| u64::try_from(size).ok()),
        modified_ms: object.last_modified_time.as_ref().and_then(from_timestamp),
    }
}

async fn delete_one(
    gateway: &Gateway,
    prepared: &Prepared,
    bucket: &BucketName,
    object: &ObjectIdentifier,
) -> Result<Deleted, GatewayError> {
    let key = ObjectKey::parse(&object.key)?;
    let named = object.version_id.as_deref();
    let version = version(named)?;
    let action = match version {
        None => Action::DeleteObject,
        Some(_) => Action::DeleteObjectVersion,
    };
    let (rights, asking) = (&gateway.rights, &prepared.asking);
    let may = |action| rights.may_with_key(asking, action, key.as_str(), named);
    let mut allowed = may(action).await?;
    if object.e_tag.is_some() {
        let read = match version {
            None => Action::GetObject,
            Some(_) => Action::GetObjectVersion,
        };
        allowed = allowed && may(read).await?;
    }
    if !allowed {
        return Err(GatewayError::NotAllowed);
    }
    let bypass =
        headers::bypasses(&prepared.headers) && may(Action::BypassGovernanceRetention).await?;
    let delete = DeleteObject {
        bucket: bucket.clone(),
        key,
        version,
        conditions: conditions(object),
        bypass,
        by: prepared.by.clone(),
    };
    gateway.objects.delete(delete).await
}
