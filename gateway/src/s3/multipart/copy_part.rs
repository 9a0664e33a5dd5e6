//! UploadPartCopy.

use s3s::dto::{CopyPartResult, UploadPartCopyInput, UploadPartCopyOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::part_number;
use crate::error::GatewayError;
use crate::object::types::{CopyPart, RangeSpec};
use crate::s3::object::{names, source};
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, etag, set_checksum, timestamp};
use crate::s3::{Gateway, headers};

pub(crate) async fn copy_part(
    gateway: &Gateway,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let from = source(&input.copy_source)?;
    let (rights, asking) = (&gateway.rights, &prepared.asking);
    let named = (&from.bucket, &from.key);
    rights
        .check_source(asking, named, from.version, &prepared.headers)
        .await?;
    let range = headers::get(&prepared.headers, "x-amz-copy-source-range");
    let source_range = range.map(|text| source_range(&text)).transpose()?;
    let source = (from.bucket.as_str(), from.key.as_str());
    let copy = CopyPart {
        source_bucket: from.bucket.clone(),
        source_key: from.key.clone(),
        source_version: from.version,
        source_range,
        source_conditions: headers::source_conditions(&prepared.headers),
        bucket,
        key,
        upload: input.upload_id,
        number: part_number(input.part_number)?,
        by: prepared.by.clone(),
    };
    let copied = match gateway.objects.copy_part(copy).await {
        Ok(copied) => copied,
        Err(failure) => return Err(rights.hide(asking, source, failure.into()).await),
    };
    let part = copied.part;
    let mut result = CopyPartResult {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified_ms)),
        ..CopyPartResult::default()
    };
    if let Some(sum) = &part.checksum {
        set_checksum!(result, sum.kind, checksum_text(sum, None));
    }
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: copied.source_version.map(|version| version.to_string()),
        ..UploadPartCopyOutput::default()
    }))
}

/// Unlike a range of GET, this one must name both ends.
fn source_range(text: &str) -> Result<RangeSpec, GatewayError> {
    match headers::parse_range(text) {
        Some(range @ RangeSpec::From { last: Some(_), .. }) => Ok(range),
        Some(RangeSpec::From { last: None, .. } | RangeSpec::Suffix(_)) | None => {
            Err(GatewayError::InvalidArgument {
                name: "x-amz-copy-source-range",
                why: "The x-amz-copy-source-range value must be of the form bytes=first-last \
                      where first and last are the zero-based offsets of the first and last bytes \
                      to copy"
                    .to_owned(),
            })
        }
    }
}
