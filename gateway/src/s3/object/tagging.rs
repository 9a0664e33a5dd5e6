//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging, and what tags may be.

use form_urlencoded::Serializer;
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::object::TAGGING;
use crate::object::types::{ChangeObject, ReadConditions, VersionId};
use crate::s3::Gateway;
use crate::s3::prepare::Prepared;
use crate::settings::Tags;

pub(crate) async fn get_tagging(
    gateway: &Gateway,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let any = ReadConditions::default();
    let info = gateway.objects.head(&bucket, &key, version, None, &any);
    let info = info.await?;
    let stored = info.metadata.get(TAGGING).unwrap_or_default();
    let tag = |(key, value): &(String, String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    let mut tag_set: Vec<Tag> = tags(stored)?.pairs().iter().map(tag).collect();
    tag_set.sort_by(|left, right| left.key.cmp(&right.key));
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set,
        version_id: info.version.map(|version| version.to_string()),
    }))
}

pub(crate) async fn put_tagging(
    gateway: &Gateway,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let pairs = request.input.tagging.tag_set.iter().map(|tag| {
        let missing = GatewayError::MalformedDocument {
            why: "a tag has a Key and a Value",
        };
        tag.key.clone().zip(tag.value.clone()).ok_or(missing)
    });
    let tags = Tags::of_object(pairs.collect::<Result<_, GatewayError>>()?)?;
    let text = Serializer::new(String::new())
        .extend_pairs(tags.pairs())
        .finish();
    let prepared = Prepared::of(&request)?;
    let input = &request.input;
    let named = (&input.bucket, &input.key, input.version_id.as_deref());
    let changed = change(gateway, &prepared, named, text).await?;
    Ok(S3Response::new(PutObjectTaggingOutput {
        version_id: changed.map(|version| version.to_string()),
    }))
}

pub(crate) async fn delete_tagging(
    gateway: &Gateway,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = &request.input;
    let named = (&input.bucket, &input.key, input.version_id.as_deref());
    let changed = change(gateway, &prepared, named, String::new()).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput {
        version_id: changed.map(|version| version.to_string()),
    }))
}

/// Gives an object other tags; an empty text takes them away.
async fn change(
    gateway: &Gateway,
    prepared: &Prepared,
    (bucket, key, given): (&String, &String, Option<&str>),
    text: String,
) -> Result<Option<VersionId>, GatewayError> {
    let (bucket, key) = names(bucket, key)?;
    let change = ChangeObject {
        bucket,
        key,
        version: version(given)?,
        edit: Box::new(move |metadata, _, _| {
            match text.is_empty() {
                true => metadata.remove(TAGGING),
                false => metadata.set(TAGGING, text),
            }
            Ok(())
        }),
        by: prepared.by.clone(),
    };
    gateway.objects.change(change).await
}

/// Reads `x-amz-tagging`.
///
/// # Errors
/// `InvalidTag`.
pub(crate) fn tags(text: &str) -> Result<Tags, GatewayError> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    Tags::of_object(pairs.into_owned().collect())
}
