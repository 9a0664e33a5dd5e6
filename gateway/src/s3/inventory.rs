//! Inventories: writing what is configured.
//!
//! Owns: which lists are due, reading the bucket, writing the list's objects.
//! Leaves to others: the forms of lists ([`crate::inventory`]), what is configured
//! ([`crate::settings`]), whether a bucket takes lists (the crate `policy`).
//! Always: written as S3 itself, which the destination's policy must let, each time; memory is
//! bounded by the size of a file; a list counts when its checksum is there, so that one that was
//! interrupted is written again, over what it left.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use holdfast_policy::{Context, Key};
use holdfast_protocol::Metadata;
use tokio_util::sync::CancellationToken;

use super::asking::{Asking, Said};
use super::gate::Rights;
use super::headers::now_ms;
use super::values::checksum_name;
use crate::auth::{Action, Caller, Credentials, Operation};
use crate::error::GatewayError;
use crate::inventory::manifest::{checksum, symlink};
use crate::inventory::{
    Builder, Column, File, InventoryMetrics, Names, Value, columns, manifest, schedule,
};
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{
    BodyClaims, Incoming, ListObjects, ListVersions, ListedObject, ListedVersion, PutObject,
    ReadConditions, VersionId, WriteConditions,
};
use crate::object::{Bucket, Objects, Protection};
use crate::settings::{INVENTORY, IncludedVersions, Inventory, InventoryField};

/// How often it is looked for lists that are due.
const LOOK: Duration = Duration::from_secs(10);
/// How long it takes at most until a list that failed is tried again.
const AGAIN_MAX: Duration = Duration::from_secs(60 * 60);
/// Memory that a file takes at most before it is written, about.
const FILE_LEN_MAX: usize = 16 << 20;
/// Entries of a listing that are read at once.
const PAGE: usize = 1000;
/// The service that writes inventories.
const SERVICE: &str = "s3.amazonaws.com";

/// Writes lists that are due.
pub struct Reporter {
    rights: Rights,
    metrics: InventoryMetrics,
    tried: Known,
}

/// What was tried, by bucket and inventory.
type Known = HashMap<(String, String), Attempt>;

/// What was tried of an inventory; another configuration is tried anew.
#[derive(Clone, Debug)]
struct Attempt {
    of: Inventory,
    how: Tried,
}

/// What became of the last list of an inventory.
#[derive(Clone, Copy, Debug)]
enum Tried {
    /// It was there: of the day or week that began then.
    Written { since_ms: u64 },
    /// It failed, so often in a row, last at this time.
    Failed { times: u32, at_ms: u64 },
}

impl Tried {
    fn is_due(self, since_ms: u64, now_ms: u64) -> bool {
        match self {
            Self::Written { since_ms: written } => written < since_ms,
            Self::Failed { times, at_ms } => {
                let wait = LOOK.saturating_mul(1 << times.min(10)).min(AGAIN_MAX);
                now_ms.saturating_sub(at_ms) >= wait.as_millis() as u64
            }
        }
    }
}

impl Reporter {
    /// Nothing is written yet.
    pub fn new(
        objects: Arc<dyn Objects>,
        credentials: Arc<dyn Credentials>,
        metrics: InventoryMetrics,
    ) -> Self {
        Self {
            rights: Rights {
                objects,
                credentials,
            },
            metrics,
            tried: HashMap::new(),
        }
    }

    /// Writes what is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let work = async {
            loop {
                look.tick().await;
                self.turn(now_ms()).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Writes what is due at `now_ms` (milliseconds since 1970).
    pub async fn turn(&mut self, now_ms: u64) {
        let rows = match self.rights.objects.list_buckets().await {
            Ok(rows) => rows,
            Err(failure) => {
                tracing::debug!(error = %failure, "buckets cannot be listed for inventories");
                return;
            }
        };
        // Most buckets have none, and are not looked up.
        let names: Vec<BucketName> = rows
            .into_iter()
            .filter(|row| row.config.iter().any(|(name, _)| name == INVENTORY))
            .filter_map(|row| BucketName::parse(&row.name).ok())
            .collect();
        let mut known = HashMap::new();
        for name in names {
            self.turn_of(&name, now_ms, &mut known).await;
        }
        self.tried = known;
    }

    /// Writes what is due of a bucket, one list after the other.
    async fn turn_of(&self, name: &BucketName, now_ms: u64, known: &mut Known) {
        let begun = Instant::now();
        let mut after: Option<String> = None;
        loop {
            // Anew for each list: one may take hours, and meanwhile another be taken away.
            let bucket = match self.rights.objects.bucket(name).await {
                Ok(bucket) => bucket,
                Err(failure) => {
                    tracing::debug!(bucket = %name, error = %failure, "no inventories are written");
                    return;
                }
            };
            let all = bucket.settings().inventory.as_ref();
            let rest = all.map_or(&[][..], |all| all.after(after.as_deref()));
            let Some(inventory) = rest.first() else {
                return;
            };
            if inventory.enabled {
                let at = (name.to_string(), inventory.id.clone());
                let now_ms = now_ms + begun.elapsed().as_millis() as u64;
                let tried = self.tried.get(&at).filter(|tried| tried.of == *inventory);
                let tried = tried.map(|tried| tried.how);
                let how = self
                    .look_at((name, &bucket), inventory, tried, now_ms)
                    .await;
                let of = inventory.clone();
                known.insert(at, Attempt { of, how });
            }
            after = Some(inventory.id.clone());
        }
    }

    /// Writes a list if it is due. Returns what there is to be known of it next time.
    async fn look_at(
        &self,
        (name, bucket): (&BucketName, &Bucket),
        inventory: &Inventory,
        tried: Option<Tried>,
        now_ms: u64,
    ) -> Tried {
        let since_ms = schedule::since(inventory.frequency, now_ms);
        if let Some(tried) = tried.filter(|tried| !tried.is_due(since_ms, now_ms)) {
            return tried;
        }
        let times = match tried {
            Some(Tried::Failed { times, .. }) => times + 1,
            _ => 0,
        };
        let id = &inventory.id;
        let list = List {
            rights: &self.rights,
            names: Names::new(name.as_str(), inventory),
            bucket,
            name,
            inventory,
            since_ms,
            now_ms,
        };
        match list.write().await {
            Ok(None) => Tried::Written { since_ms },
            Ok(Some(rows)) => {
                self.metrics.written(rows);
                tracing::info!(bucket = %name, id, rows, "an inventory list was written");
                Tried::Written { since_ms }
            }
            Err(failure) => {
                self.metrics.failed();
                let to = &inventory.bucket;
                tracing::warn!(
                    bucket = %name, id, %to, error = %failure,
                    "an inventory list could not be written; it is tried again"
                );
                let at_ms = now_ms;
                Tried::Failed { times, at_ms }
            }
        }
    }
}

/// A list to be written.
struct List<'a> {
    rights: &'a Rights,
    names: Names,
    bucket: &'a Bucket,
    name: &'a BucketName,
    inventory: &'a Inventory,
    since_ms: u64,
    now_ms: u64,
}

impl List<'_> {
    /// Writes it, unless it is there. Returns the number of its rows.
    async fn write(&self) -> Result<Option<u64>, GatewayError> {
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
        let mut context = Context::of(holdfast_policy::Caller::Service(SERVICE));
        context.set_time((now_ms() / 1000).cast_signed());
        context.set(Key::SourceArn, format!("arn:aws:s3:::{}", self.name));
        let owner = self.rights.owner(&self.bucket.owner);
        context.set(Key::SourceAccount, &owner.number);
        // S3 sends it, and its guide has policies ask for it.
        context.set(Key::Acl, "bucket-owner-full-control");
        let asking = Asking {
            operation: Operation::PutObject,
            bucket: Some(target.to_string()),
            key: Some(key.to_owned()),
            version: None,
            upload: None,
            pays: false,
            by: Caller::Anonymous,
            account: None,
            service: Some(SERVICE),
            said: Said::known(context),
            more: Vec::new(),
        };
        match self.rights.may(&asking, Action::PutObject).await? {
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
        let bytes = Bytes::from(bytes);
        let put = PutObject {
            bucket: to.clone(),
            key: ObjectKey::parse(key)?,
            metadata: Metadata::default(),
            body: Incoming {
                len: Some(bytes.len() as u64),
                stream: Box::pin(stream::iter([Ok(bytes)])),
                checksum: None,
                claims: Box::new(|| Ok(BodyClaims::default())),
            },
            conditions: WriteConditions::default(),
            by: Caller::Anonymous,
        };
        self.rights.objects.put(put).await.map(|_| ())
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
