//! CopyObject.

use holdfast_protocol::Metadata;
use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{CopyObject, VersionId};
use crate::object::{TAGGING, is_own};
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, checksum_type, etag, set_checksum, timestamp};
use crate::s3::{Gateway, claims, headers};

pub(crate) async fn copy(
    gateway: &Gateway,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let from = source(&input.copy_source)?;
    let source =
        gateway
            .rights
            .check_source(&prepared.by, &from.bucket, from.version, &prepared.headers);
    source.await?;
    let map = &prepared.headers;
    let replace = directive(headers::get(map, "x-amz-metadata-directive"))?;
    let replace_tags = directive(headers::get(map, "x-amz-tagging-directive"))?;
    let given = headers::metadata(map)?;
    let (own, rest) = given.0.into_iter().partition(|(name, _)| is_own(name));
    let (own, mut given) = (Metadata(own), Metadata(rest));
    let tags = given.get(TAGGING).map(str::to_owned);
    given.remove(TAGGING);
    if tags.is_some() && !replace_tags {
        return Err(GatewayError::InvalidArgument {
            name: "x-amz-tagging-directive",
            why: "tags are given, but it is not REPLACE".to_owned(),
        }
        .into());
    }
    let copy = CopyObject {
        source_bucket: from.bucket,
        source_key: from.key,
        source_version: from.version,
        source_conditions: headers::source_conditions(map),
        bucket,
        key,
        metadata: replace.then_some(given),
        tags: replace_tags.then_some(tags),
        own,
        checksum: claims::asked_kind(map)?,
        conditions: headers::write_conditions(map),
        by: prepared.by.clone(),
    };
    let copied = gateway.objects.copy(copy).await?;
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
        copy_source_version_id: copied.source_version.map(|version| version.to_string()),
        ..CopyObjectOutput::default()
    }))
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
