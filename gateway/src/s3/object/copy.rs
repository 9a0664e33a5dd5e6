//! CopyObject.

use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{CopyObject, VersionId};
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
    let map = &prepared.headers;
    let replace = directive(headers::get(map, "x-amz-metadata-directive"))?;
    let replace_tags = directive(headers::get(map, "x-amz-tagging-directive"))?;
    let mut given = headers::metadata(map)?;
    if replace != replace_tags && (replace_tags || given.get("x-amz-tagging").is_some()) {
        return Err(GatewayError::NotImplemented {
            what: "x-amz-tagging-directive that differs from x-amz-metadata-directive".to_owned(),
        }
        .into());
    }
    let changes = replace
        || ["x-amz-storage-class", "x-amz-website-redirect-location"]
            .iter()
            .any(|name| given.get(name).is_some());
    let same = (&from.bucket, &from.key) == (&bucket, &key);
    if same && from.version.is_none() && !changes {
        return Err(GatewayError::InvalidRequest {
            why: "This copy request is illegal because it is trying to copy an object to itself \
                  without changing the object's metadata, storage class, website redirect \
                  location or encryption attributes."
                .to_owned(),
        }
        .into());
    }
    if !replace && changes {
        // What is not replaced comes from the source; only these two are given anew.
        given = merged(gateway, &from, &given).await?;
    }
    let copy = CopyObject {
        source_bucket: from.bucket,
        source_key: from.key,
        source_version: from.version,
        source_conditions: headers::source_conditions(map),
        bucket,
        key,
        metadata: changes.then_some(given),
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

async fn merged(
    gateway: &Gateway,
    from: &CopyFrom,
    given: &holdfast_protocol::Metadata,
) -> Result<holdfast_protocol::Metadata, GatewayError> {
    let any = crate::object::types::ReadConditions::default();
    let mut metadata = gateway
        .objects
        .head(&from.bucket, &from.key, from.version, None, &any)
        .await?
        .metadata;
    for name in ["x-amz-storage-class", "x-amz-website-redirect-location"] {
        if let Some(value) = given.get(name) {
            metadata.set(name, value);
        }
    }
    Ok(metadata)
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
