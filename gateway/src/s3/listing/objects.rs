//! ListObjects, versions 1 and 2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{Encoding, filled, invalid, page_len, shown};
use crate::error::GatewayError;
use crate::names::BucketName;
use crate::object::types::{ListObjects, ListedObject, ObjectPage};
use crate::s3::Gateway;
use crate::s3::acl::Owners;
use crate::s3::values::{checksum_algorithm, checksum_type, etag, owner, timestamp};

pub(crate) async fn v1(
    gateway: &Gateway,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let bucket = BucketName::parse(&input.bucket)?;
    let max = page_len("max-keys", input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = filled(input.delimiter);
    let marker = input.marker.unwrap_or_default();
    let list = ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: filled(Some(marker.clone())),
        max,
    };
    let listed = page(gateway, list).await?;
    let owners = Some(&listed.owners);
    let ObjectPage {
        objects,
        prefixes,
        next,
    } = listed.page;
    // Without a delimiter a client continues after the last key, and S3 does not say it twice.
    let next_marker = next.as_deref().filter(|_| delimiter.is_some());
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(bucket.to_string()),
        // As clients read it: those that have names encoded by themselves decode all but this.
        prefix: Some(prefix),
        marker: Some(encoding.apply(&marker)),
        max_keys: shown(max),
        is_truncated: Some(next.is_some()),
        next_marker: next_marker.map(|next| encoding.apply(next)),
        contents: Some(contents(objects, encoding, owners)),
        common_prefixes: Some(encoding.prefixes(&prefixes)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: encoding.shown(),
        request_charged: None,
    }))
}

pub(crate) async fn v2(
    gateway: &Gateway,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let bucket = BucketName::parse(&input.bucket)?;
    let max = page_len("max-keys", input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = filled(input.delimiter);
    let continued = match input.continuation_token.as_deref() {
        None | Some("") => None,
        Some(token) => Some(position(token)?),
    };
    let list = ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: continued.or_else(|| filled(input.start_after.clone())),
        max,
    };
    let listed = page(gateway, list).await?;
    let owners = Some(&listed.owners).filter(|_| input.fetch_owner == Some(true));
    let ObjectPage {
        objects,
        prefixes,
        next,
    } = listed.page;
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(bucket.to_string()),
        prefix: Some(encoding.apply(&prefix)),
        max_keys: shown(max),
        key_count: shown(objects.len() + prefixes.len()),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        contents: Some(contents(objects, encoding, owners)),
        common_prefixes: Some(encoding.prefixes(&prefixes)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: encoding.shown(),
        start_after: input.start_after.map(|start| encoding.apply(&start)),
        request_charged: None,
    }))
}

/// A page and whose things on it are.
struct Listed<'a> {
    page: ObjectPage,
    owners: Owners<'a>,
}

async fn page(gateway: &Gateway, list: ListObjects) -> Result<Listed<'_>, GatewayError> {
    let bucket = gateway.objects.bucket(&list.bucket).await?;
    let owners = Owners::of(&gateway.rights, &bucket);
    let page = match list.max {
        0 => ObjectPage::default(),
        _ => gateway.objects.list(list).await?,
    };
    Ok(Listed { page, owners })
}

fn position(token: &str) -> Result<String, GatewayError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.is_empty()).ok_or_else(|| {
        invalid(
            "continuation-token",
            "The continuation token provided is incorrect",
        )
    })
}

fn contents(
    objects: Vec<ListedObject>,
    encoding: Encoding,
    owners: Option<&Owners<'_>>,
) -> Vec<Object> {
    let object = |object: ListedObject| Object {
        checksum_algorithm: object
            .checksum
            .map(|(kind, _)| vec![checksum_algorithm(kind)]),
        checksum_type: object.checksum.map(|(_, covers)| checksum_type(covers)),
        e_tag: Some(etag(&object.etag)),
        key: Some(encoding.apply(&object.key)),
        last_modified: Some(timestamp(object.modified_ms)),
        owner: owners.map(|owners| owner(&owners.shown(object.owner.as_deref()))),
        restore_status: None,
        size: i64::try_from(object.len).ok(),
        storage_class: Some(ObjectStorageClass::from(object.storage_class)),
    };
    objects.into_iter().map(object).collect()
}
