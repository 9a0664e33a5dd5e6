//! ListObjectVersions.

use s3s::dto::{
    DeleteMarkerEntry, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion,
    ObjectVersionStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::order::Interleaved;
use super::{Encoding, filled, invalid, page_len, shown};
use crate::error::GatewayError;
use crate::names::BucketName;
use crate::object::types::{ListObjects, ListVersions, ListedVersion, VersionId, VersionPage};
use crate::s3::Gateway;
use crate::s3::acl::Owners;
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
    let after_version = behind(version_marker.as_deref(), marker.as_deref())?;
    let row = gateway.objects.bucket(&bucket).await?;
    let list = ListVersions {
        keys: ListObjects {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: marker.clone(),
            max,
        },
        after_version,
    };
    let VersionPage {
        versions,
        prefixes,
        next,
    } = match max {
        0 => VersionPage::default(),
        _ => gateway.objects.list_versions(list).await?,
    };
    let shown_as = Shown {
        encoding,
        owners: Owners::of(&gateway.rights, &row),
    };
    let order = Interleaved(versions.iter().map(|entry| entry.is_marker).collect());
    let (markers, versions): (Vec<_>, Vec<_>) =
        versions.into_iter().partition(|entry| entry.is_marker);
    let marker_entry = |entry| shown_as.marker(entry);
    let version_entry = |entry| shown_as.version(entry);
    let (next_key, next_version) = next.unzip();
    let next_version = next_version.flatten().map(|version| version.to_string());
    let mut answer = S3Response::new(ListObjectVersionsOutput {
        common_prefixes: Some(encoding.prefixes(&prefixes)),
        delete_markers: Some(markers.into_iter().map(marker_entry).collect()),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: encoding.shown(),
        is_truncated: Some(next_key.is_some()),
        key_marker: Some(encoding.apply(&marker.unwrap_or_default())),
        max_keys: shown(max),
        name: Some(bucket.to_string()),
        next_version_id_marker: next_version,
        next_key_marker: next_key.map(|next| encoding.apply(&next)),
        prefix: Some(encoding.apply(&prefix)),
        request_charged: None,
        version_id_marker: Some(version_marker.unwrap_or_default()),
        versions: Some(versions.into_iter().map(version_entry).collect()),
    });
    answer.extensions.insert(order);
    Ok(answer)
}

/// The version that a page begins behind.
fn behind(version: Option<&str>, key: Option<&str>) -> Result<Option<VersionId>, GatewayError> {
    let why = match (version.map(VersionId::parse), key) {
        (None, _) => return Ok(None),
        (Some(_), None) => "A version-id marker cannot be specified without a key marker.",
        (Some(None), Some(_)) => "Invalid version id specified",
        (Some(given), Some(_)) => return Ok(given),
    };
    Err(invalid("version-id-marker", why))
}

/// How entries go out.
struct Shown<'a> {
    encoding: Encoding,
    owners: Owners<'a>,
}

impl Shown<'_> {
    fn version(&self, entry: ListedVersion) -> ObjectVersion {
        let object = entry.object;
        ObjectVersion {
            checksum_algorithm: object
                .checksum
                .map(|(kind, _)| vec![checksum_algorithm(kind)]),
            checksum_type: object.checksum.map(|(_, covers)| checksum_type(covers)),
            e_tag: Some(etag(&object.etag)),
            is_latest: Some(entry.is_latest),
            key: Some(self.encoding.apply(&object.key)),
            last_modified: Some(timestamp(object.modified_ms)),
            owner: Some(owner(&self.owners.shown(object.owner.as_deref()))),
            restore_status: None,
            size: i64::try_from(object.len).ok(),
            storage_class: Some(ObjectVersionStorageClass::from(object.storage_class)),
            version_id: Some(entry.version.to_string()),
        }
    }

    fn marker(&self, entry: ListedVersion) -> DeleteMarkerEntry {
        DeleteMarkerEntry {
            is_latest: Some(entry.is_latest),
            key: Some(self.encoding.apply(&entry.object.key)),
            last_modified: Some(timestamp(entry.object.modified_ms)),
            owner: Some(owner(&self.owners.of_bucket)),
            version_id: Some(entry.version.to_string()),
        }
    }
}
