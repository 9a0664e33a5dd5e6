//! GetBucketTagging, PutBucketTagging, DeleteBucketTagging.

use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, GetBucketTaggingInput,
    GetBucketTaggingOutput, PutBucketTaggingInput, PutBucketTaggingOutput, Tag,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Setting, Settings, Tags};

pub(crate) async fn get_tagging(
    gateway: &Gateway,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let tags = bucket.settings().tags.as_ref();
    let tags = tags.ok_or(GatewayError::NotConfigured {
        setting: Setting::Tagging,
    })?;
    Ok(S3Response::new(GetBucketTaggingOutput {
        tag_set: document(tags),
    }))
}

pub(super) fn document(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): &(String, String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.pairs().iter().map(tag).collect()
}

pub(super) fn read(document: Vec<Tag>) -> Result<Tags, GatewayError> {
    let pair = |tag: Tag| {
        let missing = GatewayError::MalformedDocument {
            why: "a tag has a Key and a Value",
        };
        tag.key.zip(tag.value).ok_or(missing)
    };
    let pairs = document.into_iter().map(pair);
    Tags::new(pairs.collect::<Result<_, GatewayError>>()?)
}

pub(crate) async fn put_tagging(
    gateway: &Gateway,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let tags = read(request.input.tagging.tag_set)?;
    let edit = move |settings: &mut Settings| {
        settings.tags = (!tags.pairs().is_empty()).then_some(tags);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketTaggingOutput {}))
}

pub(crate) async fn delete_tagging(
    gateway: &Gateway,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.tags = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput {}))
}
