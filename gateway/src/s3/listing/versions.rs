//! ListObjectVersions: where nothing was ever versioned, each object is its null version.

use s3s::dto::{
    ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{Encoding, filled, invalid, page_len, shown};
use crate::names::BucketName;
use crate::object::types::{ListObjects, ListedObject, ObjectPage};
use crate::s3::Gateway;
use crate::s3::values::{checksum_algorithm, checksum_type, etag, owner, timestamp};

pub(crate) async fn versions(
    gateway: &Gateway,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let bucket = BucketName::parse(&input.bucket)?;
    let max = page_len("max-keys", input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = filled(input.delimiter);
    let marker = filled(input.key_marker);
    let version_marker = filled(input.version_id_marker);
    if version_marker.is_some() && marker.is_none() {
        return Err(invalid(
            "version-id-marker",
            "A version-id marker cannot be specified without a key marker.",
        )
        .into());
    }
    let row = gateway.objects.bucket(&bucket).await?;
    let list = ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: marker.clone(),
        max,
    };
    let ObjectPage {
        objects,
        prefixes,
        next,
    } = match max {
        0 => ObjectPage::default(),
        _ => gateway.objects.list(list).await?,
    };
    let version = |object: ListedObject| ObjectVersion {
        checksum_algorithm: object
            .checksum
            .map(|(kind, _)| vec![checksum_algorithm(kind)]),
        checksum_type: object.checksum.map(|(_, covers)| checksum_type(covers)),
        e_tag: Some(etag(&object.etag)),
        is_latest: Some(true),
        key: Some(encoding.apply(&object.key)),
        last_modified: Some(timestamp(object.modified_ms)),
        owner: Some(owner(&row.owner)),
        restore_status: None,
        size: i64::try_from(object.len).ok(),
        storage_class: Some(ObjectVersionStorageClass::from(object.storage_class)),
        version_id: Some("null".to_owned()),
    };
    Ok(S3Response::new(ListObjectVersionsOutput {
        common_prefixes: Some(encoding.prefixes(&prefixes)),
        delete_markers: None,
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: encoding.shown(),
        is_truncated: Some(next.is_some()),
        key_marker: Some(encoding.apply(&marker.unwrap_or_default())),
        max_keys: shown(max),
        name: Some(bucket.to_string()),
        next_version_id_marker: next.as_ref().map(|_| "null".to_owned()),
        next_key_marker: next.map(|next| encoding.apply(&next)),
        prefix: Some(encoding.apply(&prefix)),
        request_charged: None,
        version_id_marker: Some(version_marker.unwrap_or_default()),
        versions: Some(objects.into_iter().map(version).collect()),
    }))
}
