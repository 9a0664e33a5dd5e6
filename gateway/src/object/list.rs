//! Listings: of a bucket's objects, of an upload's parts, of a bucket's uploads.
//!
//! Owns: what a page shows of each row.
//! Leaves to others: walking the index (`index::listing`), markers and tokens on the wire (`s3`).
//! Always: a page shows what was committed when it was read, each key once.

use holdfast_index::listing::{self, ListQuery};
use holdfast_index::rows;
use holdfast_index::versions::{self, VersionEntry};
use holdfast_protocol::manifest::{OWNER, STORAGE_CLASS};
use holdfast_protocol::row::ListedVersion as RowListed;
use holdfast_protocol::{Manifest, Metadata, Order, VersionName};

use super::bucket::Bucket;
use super::lifecycle::aborts;
use super::part::part_info;
use super::reparts::is_hidden;
use super::service::Service;
use super::types::{
    ListObjects, ListParts, ListUploads, ListVersions, ListedObject, ListedVersion, ObjectPage,
    PartPage, UploadInfo, UploadPage, VersionPage,
};
use super::upload::{INITIATOR, no_such_upload, parse_upload};
use super::version::VersionId;
use crate::error::GatewayError;

/// The storage class of an object that names none.
const STANDARD: &str = "STANDARD";

impl Service {
    pub(super) async fn list_objects(&self, list: ListObjects) -> Result<ObjectPage, GatewayError> {
        let bucket = self.live_bucket(&list.bucket).await?;
        self.sure_of_all(bucket.id, &list.prefix).await?;
        let page = listing::list_current(&*self.index, query(&bucket, &list)).await?;
        Ok(ObjectPage {
            objects: page
                .entries
                .into_iter()
                .map(|e| listed(e.key, e.version))
                .collect(),
            prefixes: page.common_prefixes,
            next: page.next,
        })
    }

    pub(super) async fn list_all_versions(
        &self,
        list: ListVersions,
    ) -> Result<VersionPage, GatewayError> {
        let bucket = self.live_bucket(&list.keys.bucket).await?;
        self.sure_of_all(bucket.id, &list.keys.prefix).await?;
        let after = match (list.keys.after.as_deref(), list.after_version) {
            (Some(key), Some(id)) => Some(self.place_of(&bucket, key, id).await?),
            _ => None,
        };
        let page = versions::list_versions(&*self.index, query(&bucket, &list.keys), after).await?;
        let last = page.entries.last();
        let last = last.map(|entry| (entry.key.clone(), id_of(&entry.version)));
        let next = page.next.map(|next| match last {
            Some((key, id)) if key == next => (key, Some(id)),
            _ => (next, None),
        });
        let version = |entry: VersionEntry| ListedVersion {
            version: id_of(&entry.version),
            is_latest: entry.is_latest,
            is_marker: entry.version.is_delete_marker,
            object: listed(entry.key, entry.version),
        };
        Ok(VersionPage {
            versions: page.entries.into_iter().map(version).collect(),
            prefixes: page.common_prefixes,
            next,
        })
    }

    /// Where a version stands among those of its key. If a null version went meanwhile, the key is
    /// listed anew: what was deleted is not shown twice.
    async fn place_of(
        &self,
        bucket: &Bucket,
        key: &str,
        id: VersionId,
    ) -> Result<Order, GatewayError> {
        if let VersionId::Ordered(version) = id {
            return Ok(version);
        }
        let null = rows::get_version(&*self.index, bucket.id, key, id.which()).await?;
        Ok(null.map_or(Order::MAX, |(_, row)| row.manifest.version))
    }

    pub(super) async fn list_upload_parts(
        &self,
        list: ListParts,
    ) -> Result<PartPage, GatewayError> {
        let bucket = self.live_bucket(&list.bucket).await?;
        let (upload, row) = self.upload(bucket.id, &list.key, &list.upload).await?;
        if row.completed.is_some() {
            return Err(no_such_upload(&list.upload));
        }
        let after = u16::try_from(list.after).unwrap_or(u16::MAX);
        let page = rows::list_parts(&*self.index, upload, Some(after), list.max.max(1)).await?;
        let mut parts: Vec<_> = page.items.iter().map(|(_, part)| part_info(part)).collect();
        parts.truncate(list.max);
        let more = page.more || parts.len() < page.items.len();
        Ok(PartPage {
            next: parts
                .last()
                .filter(|_| more)
                .map(|part| u32::from(part.number)),
            parts,
            checksum: announced(&row.manifest),
            storage_class: storage_class(&row.manifest.metadata),
            aborts: aborts(bucket.settings().lifecycle.as_ref(), &row.manifest),
            owner: named(&row.manifest.metadata, OWNER),
            initiator: named(&row.manifest.metadata, INITIATOR),
        })
    }

    pub(super) async fn list_open_uploads(
        &self,
        list: ListUploads,
    ) -> Result<UploadPage, GatewayError> {
        let bucket = self.live_bucket(&list.keys.bucket).await?;
        let after_upload = list
            .after_upload
            .as_deref()
            .filter(|id| !id.is_empty())
            .map(parse_upload);
        self.sure_of_all(bucket.id, &list.keys.prefix).await?;
        let page = listing::list_uploads(
            &*self.index,
            query(&bucket, &list.keys),
            after_upload.transpose()?,
            |row| !is_hidden(row),
        )
        .await?;
        let last = page.entries.last();
        let last = last.map(|entry| (entry.key.clone(), entry.upload.to_string()));
        let entries = page.entries.into_iter();
        let uploads: Vec<UploadInfo> = entries
            .map(|entry| UploadInfo {
                key: entry.key,
                upload: entry.upload.to_string(),
                initiated_ms: entry.row.manifest.created_ms,
                storage_class: storage_class(&entry.row.manifest.metadata),
                checksum: announced(&entry.row.manifest),
                owner: named(&entry.row.manifest.metadata, OWNER),
                initiator: named(&entry.row.manifest.metadata, INITIATOR),
            })
            .collect();
        let next = page.next.map(|key| {
            let last = last.filter(|(last, _)| *last == key);
            (key, last.map(|(_, upload)| upload).unwrap_or_default())
        });
        Ok(UploadPage {
            uploads,
            prefixes: page.common_prefixes,
            next,
        })
    }
}

/// What is looked for in the index.
fn query<'a>(bucket: &Bucket, list: &'a ListObjects) -> ListQuery<'a> {
    ListQuery {
        bucket: bucket.id,
        prefix: &list.prefix,
        delimiter: list.delimiter.as_deref().unwrap_or_default(),
        after: list.after.as_deref(),
        max_keys: list.max,
    }
}

fn id_of(version: &RowListed) -> VersionId {
    match version.name {
        VersionName::Null => VersionId::Null,
        VersionName::Ordered => VersionId::Ordered(version.version),
    }
}

fn listed(key: String, version: RowListed) -> ListedObject {
    ListedObject {
        key,
        len: version.len,
        etag: version.etag,
        modified_ms: version.created_ms,
        storage_class: version.storage_class.unwrap_or_else(|| STANDARD.to_owned()),
        checksum: version.checksum,
        owner: version.owner,
    }
}

fn named(metadata: &Metadata, name: &str) -> Option<String> {
    metadata.get(name).map(str::to_owned)
}

fn announced(
    manifest: &Manifest,
) -> Option<(
    holdfast_protocol::ChecksumKind,
    holdfast_protocol::ChecksumType,
)> {
    manifest
        .checksum
        .as_ref()
        .map(|checksum| (checksum.kind, checksum.covers))
}

/// The storage class of what has this metadata.
pub(crate) fn storage_class(metadata: &Metadata) -> String {
    metadata.get(STORAGE_CLASS).unwrap_or(STANDARD).to_owned()
}
