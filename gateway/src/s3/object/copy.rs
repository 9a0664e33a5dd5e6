//! CopyObject.

use holdfast_protocol::Metadata;
use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::auth::Action;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{CopyObject, ReadConditions, VersionId};
use crate::object::{TAGGING, is_own};
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, checksum_type, etag, expiration, set_checksum, timestamp};
use crate::s3::{Gateway, acl, claims, headers};

pub(crate) async fn copy(
    gateway: &Gateway,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let from = source(&input.copy_source)?;
    let (rights, asking) = (&gateway.rights, &prepared.asking);
    let named = (&from.bucket, &from.key);
    rights
        .check_source(asking, named, from.version, &prepared.headers)
        .await?;
    let map = &prepared.headers;
    let replace = directive(headers::get(map, "x-amz-metadata-directive"))?;
    let replace_tags = directive(headers::get(map, "x-amz-tagging-directive"))?;
    let given = headers::metadata(map, gateway.objects.classes())?;
    let (own, rest) = given.0.into_iter().partition(|(name, _)| is_own(name));
    let (mut own, mut given) = (Metadata(own), Metadata(rest));
    acl::give(rights, asking, &bucket, map, &mut own).await?;
    let tags = given.get(TAGGING).map(str::to_owned);
    given.remove(TAGGING);
    if tags.is_some() && !replace_tags {
        return Err(GatewayError::InvalidArgument {
            name: "x-amz-tagging-directive",
            why: "tags are given, but it is not REPLACE".to_owned(),
        }
        .into());
    }
    let source = (from.bucket.as_str(), from.key.as_str());
    let copy = CopyObject {
        source_bucket: from.bucket.clone(),
        source_key: from.key.clone(),
        source_version: from.version,
        source_conditions: headers::source_conditions(map),
        bucket,
        key,
        metadata: replace.then_some(given),
        tags: match replace_tags {
            true => Some(tags),
            false => kept_tags(gateway, &prepared, &from).await?,
        },
        own,
        checksum: claims::asked_kind(map)?,
        conditions: headers::write_conditions(map),
        by: prepared.by.clone(),
    };
    let copied = match gateway.objects.copy(copy).await {
        Ok(copied) => copied,
        Err(failure) => return Err(rights.hide(asking, source, failure.into()).await),
    };
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&copied.written.etag)),
        last_modified: Some(timestamp(copied.written.modified_ms)),
        ..CopyObjectResult::default()
    };
    if let Some(sum) = &copied.written.checksum {
        set_checksum!(result, sum.kind, checksum_text(sum, None));
        result.checksum_type = Some(checksum_type(sum.covers));
    }
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        version_id: copied.written.version.map(|version| version.to_string()),
        expiration: copied.written.expires.as_ref().map(expiration),
        copy_source_version_id: copied.source_version.map(|version| version.to_string()),
        ..CopyObjectOutput::default()
    }))
}

/// What a copy without tags of its own gets: the source's if the caller may read them there and
/// write them here, and else none.
///
/// # Errors
/// `NotAllowed` if the source has tags that may not go along.
async fn kept_tags(
    gateway: &Gateway,
    prepared: &Prepared,
    from: &CopyFrom,
) -> Result<Option<Option<String>>, GatewayError> {
    let (rights, asking) = (&gateway.rights, &prepared.asking);
    let read = match from.version {
        None => Action::GetObjectTagging,
        Some(_) => Action::GetObjectVersionTagging,
    };
    let named = (&from.bucket, &from.key);
    let may_read = rights.may_read(asking, named, from.version, read).await?;
    if may_read && rights.may_make(asking, Action::PutObjectTagging).await? {
        return Ok(None);
    }
    let any = ReadConditions::default();
    let (bucket, key) = named;
    let found = gateway.objects.head(bucket, key, from.version, None, &any);
    match found.await {
        Ok(info) if info.metadata.get(TAGGING).is_some() => Err(GatewayError::NotAllowed),
        // What is wrong with the source is said by the copy.
        _ => Ok(Some(None)),
    }
}

/// Whether a directive says `REPLACE`.
fn directive(value: Option<String>) -> Result<bool, GatewayError> {
    match value.as_deref() {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(GatewayError::InvalidArgument {
            name: "x-amz-metadata-directive",
            why: "it must be COPY or REPLACE".to_owned(),
        }),
    }
}

/// The source of a copy.
#[derive(Clone, Debug)]
pub(crate) struct CopyFrom {
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
    pub(crate) version: Option<VersionId>,
}

/// Reads the source of a copy.
pub(crate) fn source(source: &CopySource) -> Result<CopyFrom, GatewayError> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id,
        } => {
            let (bucket, key) = names(bucket, key)?;
            let version = version(version_id.as_deref())?;
            Ok(CopyFrom {
                bucket,
                key,
                version,
            })
        }
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(GatewayError::NotImplemented {
                what: "a copy from an access point".to_owned(),
            })
        }
    }
}
