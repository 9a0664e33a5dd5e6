//! One list of an inventory.
//!
//! Owns: reading the bucket, writing the list's objects.
//! Leaves to others: when ([`super`]), the forms of lists ([`crate::inventory`]), whether a bucket
//! takes lists (the crate `policy`).
//! Always: written as S3 itself, which the destination's policy must let, for each object; memory
//! is bounded by the size of a file; a list counts when its checksum is there, so that one that was
//! interrupted is written again, over what it left.

use holdfast_policy::Key;
use holdfast_protocol::Metadata;

use crate::error::GatewayError;
use crate::inventory::manifest::{checksum, symlink};
use crate::inventory::{Builder, Column, File, Names, Value, columns, manifest};
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{
    ListObjects, ListVersions, ListedObject, ListedVersion, ReadConditions, VersionId,
};
use crate::object::{Bucket, Protection};
use crate::s3::gate::Rights;
use crate::s3::values::checksum_name;
use crate::settings::{IncludedVersions, Inventory, InventoryField};

/// Memory that a file takes at most before it is written, about.
const FILE_LEN_MAX: usize = 16 << 20;
/// Entries of a listing that are read at once.
const PAGE: usize = 1000;
/// The service that writes inventories.
const SERVICE: &str = "s3.amazonaws.com";

/// A list to be written.
pub(super) struct List<'a> {
    /// Who may do what.
    pub rights: &'a Rights,
    /// What its objects are called.
    pub names: Names,
    /// What it is of.
    pub bucket: &'a Bucket,
    /// The name of that.
    pub name: &'a BucketName,
    /// What is configured.
    pub inventory: &'a Inventory,
    /// When the day or week began of which it is (milliseconds since 1970).
    pub since_ms: u64,
    /// When it is begun.
    pub now_ms: u64,
}

impl List<'_> {
    /// Writes it, unless it is there. Returns the number of its rows.
    ///
    /// # Errors
    /// `InvalidRequest` if the destination's policy does not let; those of reading and writing.
    pub async fn write(&self) -> Result<Option<u64>, GatewayError> {
        let target = BucketName::parse(&self.inventory.bucket)?;
        if self.is_there(&target).await? {
            return Ok(None);
        }
        // Before the bucket is gone through.
        let key = self.names.manifest(self.now_ms);
        self.check_may_write(&target, &key).await?;
        let columns = columns(self.inventory);
        let mut files = Vec::new();
        let mut rows = 0;
        let mut file = Builder::new(self.inventory.format, &columns);
        let mut after = After::Nothing;
        loop {
            let (page, next) = self.page(after).await?;
            for entry in page {
                let row = self.row(&columns, &entry).await?;
                file.add(row).map_err(failed)?;
                rows += 1;
            }
            let is_last = matches!(next, After::Nothing);
            if file.len() >= FILE_LEN_MAX || is_last && !file.is_empty() {
                let new = Builder::new(self.inventory.format, &columns);
                let full = std::mem::replace(&mut file, new);
                // Compressing takes its time.
                let encoded = tokio::task::spawn_blocking(|| full.finish()).await;
                let bytes = encoded.map_err(std::io::Error::other).flatten();
                let bytes = bytes.map_err(failed)?;
                let key = self.names.file(self.since_ms, files.len());
                files.push(File::new(key.clone(), &bytes));
                self.put(&target, &key, bytes).await?;
            }
            after = next;
            if is_last {
                break;
            }
        }
        let hive = symlink(self.inventory, &files);
        let key = self.names.symlink(self.since_ms);
        self.put(&target, &key, hive.into_bytes()).await?;
        let document = manifest(self.name.as_str(), self.inventory, self.now_ms, &files);
        let sum = checksum(document.as_bytes());
        let key = self.names.manifest(self.now_ms);
        self.put(&target, &key, document.into_bytes()).await?;
        let key = self.names.checksum(self.now_ms);
        self.put(&target, &key, sum.into_bytes()).await?;
        Ok(Some(rows))
    }

    /// Whether a list of this day or week is complete.
    async fn is_there(&self, target: &BucketName) -> Result<bool, GatewayError> {
        // Folders of lists begin with a digit, and sort by time before all others.
        let mut after = Some(self.names.folder(self.since_ms));
        loop {
            let list = ListObjects {
                bucket: target.clone(),
                prefix: self.names.root().to_owned(),
                delimiter: None,
                after,
                max: PAGE,
            };
            let page = self.rights.objects.list(list).await?;
            let mut keys = page.objects.iter().map(|object| object.key.as_str());
            if keys.clone().any(|key| self.names.is_checksum(key)) {
                return Ok(true);
            }
            let is_folder = |key: &str| {
                let rest = key.strip_prefix(self.names.root()).unwrap_or_default();
                rest.starts_with(|c: char| c.is_ascii_digit())
            };
            if page.next.is_none() || !keys.all(is_folder) {
                return Ok(false);
            }
            after = page.next;
        }
    }

    async fn check_may_write(&self, target: &BucketName, key: &str) -> Result<(), GatewayError> {
        // S3 sends it, and its guide has policies ask for it.
        let also = (Key::Acl, "bucket-owner-full-control");
        let to = (target, key);
        let may = self
            .rights
            .may_write_for(SERVICE, self.bucket, to, Some(also));
        match may.await? {
            true => Ok(()),
            false => Err(GatewayError::InvalidRequest {
                why: format!("the policy of bucket {target} does not let {SERVICE} put {key}"),
            }),
        }
    }

    async fn page(&self, after: After) -> Result<(Vec<Entry>, After), GatewayError> {
        let (after, after_version) = match after {
            After::Nothing => (None, None),
            After::Key(key) => (Some(key), None),
            After::Version(key, version) => (Some(key), version),
        };
        let keys = ListObjects {
            bucket: self.name.clone(),
            prefix: self.inventory.filter.clone().unwrap_or_default(),
            delimiter: None,
            after,
            max: PAGE,
        };
        match self.inventory.versions {
            IncludedVersions::Current => {
                let page = self.rights.objects.list(keys).await?;
                let next = page.next.map_or(After::Nothing, After::Key);
                let current = page.objects.into_iter().map(Entry::Current);
                Ok((current.collect(), next))
            }
            IncludedVersions::All => {
                let list = ListVersions {
                    keys,
                    after_version,
                };
                let page = self.rights.objects.list_versions(list).await?;
                let next = page.next.map_or(After::Nothing, |(key, version)| {
                    After::Version(key, version)
                });
                let versions = page.versions.into_iter().map(Entry::Version);
                Ok((versions.collect(), next))
            }
        }
    }

    async fn row(&self, columns: &[Column], entry: &Entry) -> Result<Vec<Value>, GatewayError> {
        let lock = match self.inventory.fields.iter().any(|field| field.is_of_lock()) {
            true => self.lock(entry).await?,
            false => Protection::default(),
        };
        let value = |column: &Column| match column {
            Column::Bucket => Value::Text(self.name.to_string()),
            Column::Key => Value::Key(entry.object().key.clone()),
            Column::VersionId => match entry.version() {
                Some(version @ VersionId::Ordered(_)) => Value::Text(version.to_string()),
                _ => Value::Nothing,
            },
            Column::IsLatest => Value::Flag(entry.is_latest()),
            Column::IsDeleteMarker => Value::Flag(entry.is_marker()),
            Column::Field(field) => self.field(*field, entry, &lock),
        };
        Ok(columns.iter().map(value).collect())
    }

    fn field(&self, field: InventoryField, entry: &Entry, lock: &Protection) -> Value {
        use InventoryField as F;
        let object = entry.object();
        let of_object = |value: Value| match entry.is_marker() {
            true => Value::Nothing,
            false => value,
        };
        let text = |text: &str| Value::Text(text.to_owned());
        match field {
            F::LastModifiedDate => Value::Time(object.modified_ms),
            F::ObjectOwner => {
                let stored = object.owner.as_deref().unwrap_or(&self.bucket.owner);
                Value::Text(self.rights.owner(stored).id.to_string())
            }
            F::Size => of_object(Value::Number(object.len)),
            F::StorageClass => of_object(text(&object.storage_class)),
            F::ETag => of_object(Value::Text(object.etag.to_string())),
            F::IsMultipartUploaded => of_object(Value::Flag(object.etag.parts > 0)),
            F::EncryptionStatus => of_object(text("NOT-SSE")),
            F::BucketKeyStatus => of_object(text("DISABLED")),
            F::ChecksumAlgorithm => {
                let kind = object
                    .checksum
                    .map(|(kind, _)| checksum_name(kind).to_owned());
                of_object(kind.map_or(Value::Nothing, Value::Text))
            }
            F::ObjectLockMode => match lock.retention {
                Some(retention) => text(retention.mode.name()),
                None => Value::Nothing,
            },
            F::ObjectLockRetainUntilDate => match lock.retention {
                Some(retention) => Value::Time(retention.until_ms),
                None => Value::Nothing,
            },
            F::ObjectLockLegalHoldStatus => match lock.hold {
                Some(true) => text("ON"),
                Some(false) => text("OFF"),
                None => Value::Nothing,
            },
            // Of what there is none here.
            F::ReplicationStatus | F::IntelligentTieringAccessTier => Value::Nothing,
        }
    }

    /// What protects a version; nothing if it went meanwhile.
    async fn lock(&self, entry: &Entry) -> Result<Protection, GatewayError> {
        if entry.is_marker() {
            return Ok(Protection::default());
        }
        let key = ObjectKey::parse(&entry.object().key)?;
        let any = ReadConditions::default();
        let objects = &self.rights.objects;
        let found = objects.head(self.name, &key, entry.version(), None, &any);
        match found.await {
            Ok(info) => Protection::of(&info.metadata),
            Err(
                GatewayError::NoSuchKey { .. }
                | GatewayError::NoSuchVersion { .. }
                | GatewayError::DeleteMarker { .. },
            ) => Ok(Protection::default()),
            Err(failure) => Err(failure),
        }
    }

    async fn put(&self, to: &BucketName, key: &str, bytes: Vec<u8>) -> Result<(), GatewayError> {
        self.check_may_write(to, key).await?;
        let written = self
            .rights
            .write_own((to, key), Metadata::default(), bytes.into());
        written.await
    }
}

fn failed(error: std::io::Error) -> GatewayError {
    GatewayError::Internal {
        what: format!("a file of an inventory list cannot be made: {error}"),
    }
}

/// Where a page begins.
enum After {
    Nothing,
    Key(String),
    Version(String, Option<VersionId>),
}

/// What is listed.
enum Entry {
    Current(ListedObject),
    Version(ListedVersion),
}

impl Entry {
    const fn object(&self) -> &ListedObject {
        match self {
            Self::Current(object) => object,
            Self::Version(version) => &version.object,
        }
    }
    const fn version(&self) -> Option<VersionId> {
        match self {
            Self::Current(_) => None,
            Self::Version(version) => Some(version.version),
        }
    }
    const fn is_latest(&self) -> bool {
        match self {
            Self::Current(_) => true,
            Self::Version(version) => version.is_latest,
        }
    }
    const fn is_marker(&self) -> bool {
        match self {
            Self::Current(_) => false,
            Self::Version(version) => version.is_marker,
        }
    }
}
