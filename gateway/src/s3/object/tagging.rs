//! GetObjectTagging, and what tags may be.

use s3s::dto::{GetObjectTaggingInput, GetObjectTaggingOutput, Tag};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::object::types::ReadConditions;
use crate::s3::Gateway;

pub(crate) async fn tagging(
    gateway: &Gateway,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let any = ReadConditions::default();
    let info = gateway.objects.head(&bucket, &key, version, None, &any);
    let info = info.await?;
    let stored = info.metadata.get("x-amz-tagging").unwrap_or_default();
    let tag = |(key, value)| Tag {
        key: Some(key),
        value: Some(value),
    };
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: tags(stored)?.into_iter().map(tag).collect(),
        version_id: info.version.map(|version| version.to_string()),
    }))
}

/// Reads `x-amz-tagging`: at most ten different keys of 1 to 128 characters, values of at most 256.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn tags(text: &str) -> Result<Vec<(String, String)>, GatewayError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let fit = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        let new = !tags.iter().any(|(known, _)| *known == key);
        if !fit || !new || tags.len() == 10 {
            return Err(GatewayError::InvalidArgument {
                name: "x-amz-tagging",
                why: "at most 10 different keys of 1 to 128 characters, with values of at most \
                      256, are allowed"
                    .to_owned(),
            });
        }
        tags.push((key.into_owned(), value.into_owned()));
    }
    Ok(tags)
}
