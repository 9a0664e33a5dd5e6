//! Buckets, objects, listings and multipart uploads, without HTTP.
//!
//! Owns: what each operation means and takes ([`types`]), and how it is committed.
//! Leaves to others: wire forms, authentication and authorisation (`s3`).
//! Always: callers have authenticated and authorised before they call; no outcome is told, good or
//! bad, unless the gateway's lease held after it was known.

mod abandoned;
mod append;
mod attributes;
mod bucket;
mod change;
pub mod classes;
mod complete;
pub mod conditions;
mod copy;
mod delete;
mod doubt;
mod events;
mod get;
mod lifecycle;
mod list;
mod lock;
mod part;
mod put;
mod rename;
mod reparts;
mod rewrite;
mod service;
mod system;
pub mod types;
mod upload;
mod version;

pub use bucket::{BUCKET_KIND, Bucket, Edit};
pub use classes::Classes;
pub(crate) use copy::{TAGGING, is_own};
pub use events::Untold;
pub use lifecycle::Expires;
pub(crate) use list::storage_class;
pub(crate) use lock::{Protection, Retention, lockable};
pub use put::{PUT_LEN_MAX, checksum_header};
pub use rename::RENAME_LEN_MAX;
pub use service::{Notices, Service, WriteIds};
pub(crate) use upload::INITIATOR;
pub use version::VersionId;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_protocol::Metadata;
use holdfast_protocol::row::BucketRow;

use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::settings::Settings;
use types::{
    AppendObject, AskedParts, ChangeObject, CompleteUpload, CompletedObject, CopiedObject,
    CopiedPart, CopyObject, CopyPart, CreateUpload, DeleteObject, Deleted, GetObject, ListObjects,
    ListParts, ListUploads, ListVersions, ObjectAttributes, ObjectInfo, ObjectPage, ObjectRead,
    OpenedUpload, PartInfo, PartPage, PutObject, PutPart, ReadConditions, RenameObject, UploadPage,
    VersionPage, WrittenObject,
};

/// The operations, as the S3 layer calls them.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// Makes a bucket. A second one of the same name is `BucketExists`.
    async fn create_bucket(
        &self,
        name: &BucketName,
        owner: &str,
        settings: Settings,
    ) -> Result<BucketRow, GatewayError>;
    /// Deletes an empty bucket; `BucketNotEmpty` while it has versions or open uploads.
    async fn delete_bucket(&self, name: &BucketName) -> Result<(), GatewayError>;
    /// The bucket, or `NoSuchBucket`.
    async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, GatewayError>;
    /// Changes what is configured of a bucket.
    async fn configure(&self, name: &BucketName, edit: Edit) -> Result<(), GatewayError>;
    /// All buckets in the order of their names.
    async fn list_buckets(&self) -> Result<Vec<BucketRow>, GatewayError>;
    /// The storage classes.
    fn classes(&self) -> &Classes;

    /// Writes an object. Nothing is visible unless `Ok`; after `Ok` it is durable.
    async fn put(&self, put: PutObject) -> Result<WrittenObject, GatewayError>;
    /// Adds bytes to the end of an object, or makes one.
    async fn append(&self, append: AppendObject) -> Result<WrittenObject, GatewayError>;
    /// Describes an object; `part` as in [`GetObject`].
    async fn head(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        part: Option<u32>,
        conditions: &ReadConditions,
    ) -> Result<ObjectInfo, GatewayError>;
    /// Describes an object, and a page of its parts if they are asked for.
    async fn attributes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        parts: Option<AskedParts>,
    ) -> Result<ObjectAttributes, GatewayError>;
    /// Opens an object for reading; the stream in the answer fails rather than end early.
    async fn get(&self, get: GetObject) -> Result<ObjectRead, GatewayError>;
    /// Deletes an object or a version; one that does not exist is deleted already.
    async fn delete(&self, delete: DeleteObject) -> Result<Deleted, GatewayError>;
    /// Changes what is kept with an object or a version; returns the version's id, where versions
    /// are kept.
    async fn change(&self, change: ChangeObject) -> Result<Option<VersionId>, GatewayError>;
    /// Copies an object within the cluster (new shards; no two versions share one).
    async fn copy(&self, copy: CopyObject) -> Result<CopiedObject, GatewayError>;
    /// Gives an object another name in its bucket. For a moment, and after an error of ours, it has
    /// both.
    async fn rename(&self, rename: RenameObject) -> Result<(), GatewayError>;
    /// One page of a listing, exact.
    async fn list(&self, list: ListObjects) -> Result<ObjectPage, GatewayError>;
    /// One page of all versions and delete markers, exact.
    async fn list_versions(&self, list: ListVersions) -> Result<VersionPage, GatewayError>;

    /// Opens an upload and returns its id.
    async fn create_upload(&self, create: CreateUpload) -> Result<OpenedUpload, GatewayError>;
    /// Writes a part; a later one of the same number replaces it.
    async fn put_part(&self, put: PutPart) -> Result<PartInfo, GatewayError>;
    /// Writes a part from an existing object.
    async fn copy_part(&self, copy: CopyPart) -> Result<CopiedPart, GatewayError>;
    /// Makes the object of the named parts; repeats with the same answer for a day.
    async fn complete_upload(&self, done: CompleteUpload) -> Result<CompletedObject, GatewayError>;
    /// Drops an upload and its parts.
    async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<(), GatewayError>;
    /// What is kept with an open upload.
    async fn upload_metadata(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Metadata, GatewayError>;
    /// One page of an upload's parts.
    async fn list_parts(&self, list: ListParts) -> Result<PartPage, GatewayError>;
    /// One page of a bucket's open uploads.
    async fn list_uploads(&self, list: ListUploads) -> Result<UploadPage, GatewayError>;
}

#[async_trait]
impl Objects for Service {
    async fn create_bucket(
        &self,
        name: &BucketName,
        owner: &str,
        settings: Settings,
    ) -> Result<BucketRow, GatewayError> {
        self.told(self.make_bucket(name, owner, settings).await)
    }
    async fn delete_bucket(&self, name: &BucketName) -> Result<(), GatewayError> {
        self.told(self.drop_bucket(name).await)
    }
    async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, GatewayError> {
        self.told(self.live_bucket(name).await)
    }
    async fn configure(&self, name: &BucketName, edit: Edit) -> Result<(), GatewayError> {
        self.told(self.change_bucket(name, edit).await)
    }
    async fn list_buckets(&self) -> Result<Vec<BucketRow>, GatewayError> {
        self.told(self.all_buckets().await)
    }
    fn classes(&self) -> &Classes {
        &self.classes
    }
    async fn put(&self, put: PutObject) -> Result<WrittenObject, GatewayError> {
        self.told(self.put_object(put).await)
    }
    async fn append(&self, append: AppendObject) -> Result<WrittenObject, GatewayError> {
        self.told(self.append_object(append).await)
    }
    async fn head(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        part: Option<u32>,
        conditions: &ReadConditions,
    ) -> Result<ObjectInfo, GatewayError> {
        let info = self.head_object(bucket, key, version, part, conditions);
        self.told(info.await)
    }
    async fn attributes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        parts: Option<AskedParts>,
    ) -> Result<ObjectAttributes, GatewayError> {
        self.told(self.object_attributes(bucket, key, version, parts).await)
    }
    async fn get(&self, get: GetObject) -> Result<ObjectRead, GatewayError> {
        self.told(self.get_object(get).await)
    }
    async fn delete(&self, delete: DeleteObject) -> Result<Deleted, GatewayError> {
        self.told(self.delete_object(delete).await)
    }
    async fn change(&self, change: ChangeObject) -> Result<Option<VersionId>, GatewayError> {
        self.told(self.change_object(change).await)
    }
    async fn rename(&self, rename: RenameObject) -> Result<(), GatewayError> {
        self.told(self.rename_object(rename).await)
    }
    async fn copy(&self, copy: CopyObject) -> Result<CopiedObject, GatewayError> {
        self.told(self.copy_object(copy).await)
    }
    async fn list(&self, list: ListObjects) -> Result<ObjectPage, GatewayError> {
        self.told(self.list_objects(list).await)
    }
    async fn list_versions(&self, list: ListVersions) -> Result<VersionPage, GatewayError> {
        self.told(self.list_all_versions(list).await)
    }
    async fn create_upload(&self, create: CreateUpload) -> Result<OpenedUpload, GatewayError> {
        self.told(self.open_upload(create).await)
    }
    async fn put_part(&self, put: PutPart) -> Result<PartInfo, GatewayError> {
        self.told(self.write_part(put).await)
    }
    async fn copy_part(&self, copy: CopyPart) -> Result<CopiedPart, GatewayError> {
        self.told(self.write_part_copy(copy).await)
    }
    async fn complete_upload(&self, done: CompleteUpload) -> Result<CompletedObject, GatewayError> {
        self.told(self.complete(done).await)
    }
    async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<(), GatewayError> {
        self.told(self.drop_upload(bucket, key, upload).await)
    }
    async fn upload_metadata(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Metadata, GatewayError> {
        self.told(self.metadata_of_upload(bucket, key, upload).await)
    }
    async fn list_parts(&self, list: ListParts) -> Result<PartPage, GatewayError> {
        self.told(self.list_upload_parts(list).await)
    }
    async fn list_uploads(&self, list: ListUploads) -> Result<UploadPage, GatewayError> {
        self.told(self.list_open_uploads(list).await)
    }
}
