//! Buckets.
//!
//! Owns: making, changing and deleting them by system records; the settings of those in use.
//! Leaves to others: what a setting is ([`crate::settings`]).
//! Always: changes hold the name alone, and a delete the bucket too, so that no write is under way
//! in it.

use std::collections::HashMap;
use std::ops::{Bound, Deref};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use holdfast_index::{Batch, Locks, Mode, Row, ScanLimit, Table, Transaction, keys, rows};
use holdfast_protocol::row::BucketRow;
use holdfast_protocol::{BucketId, Order, Record};
use holdfast_seam::planted;

use super::lifecycle::forget_progress;
use super::service::{Service, note_seen};
use crate::error::GatewayError;
use crate::names::BucketName;
use crate::settings::Settings;

/// The kind of a bucket's system record.
pub const BUCKET_KIND: &str = "bucket";
/// Buckets whose settings are kept decoded.
const KEPT_MAX: usize = 1024;

/// A change of a bucket's settings.
///
/// # Errors
/// What it says is told to the client, and nothing changes.
pub type Edit = Box<dyn FnOnce(&mut Settings) -> Result<(), GatewayError> + Send>;

/// A bucket and its settings, as last committed.
#[derive(Clone, Debug)]
pub struct Bucket {
    row: BucketRow,
    settings: Settings,
}

impl Bucket {
    /// Reads the settings of `row`.
    ///
    /// # Errors
    /// `Internal` if they cannot be read.
    pub fn new(row: BucketRow) -> Result<Self, GatewayError> {
        let settings = Settings::decode(&row.config)?;
        Ok(Self { row, settings })
    }
    /// What is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Deref for Bucket {
    type Target = BucketRow;
    fn deref(&self) -> &BucketRow {
        &self.row
    }
}

/// Buckets whose settings were decoded, by name; each is good for one order of its row.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<String, Arc<Bucket>>>);

impl Kept {
    fn get(&self, name: &str, order: Order) -> Option<Arc<Bucket>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(name).filter(|bucket| bucket.order == order);
        found.map(Arc::clone)
    }
    fn put(&self, bucket: Bucket) -> Arc<Bucket> {
        let bucket = Arc::new(bucket);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(bucket.name.clone(), Arc::clone(&bucket));
        bucket
    }
}

impl Service {
    pub(super) async fn make_bucket(
        &self,
        name: &BucketName,
        owner: &str,
        settings: Settings,
    ) -> Result<BucketRow, GatewayError> {
        let (service, name, owner) = (self.clone(), name.clone(), owner.to_owned());
        let config = settings.encode()?;
        let work = async move { service.commit_bucket(&name, owner, config).await };
        self.to_the_end("create bucket", work).await
    }

    async fn commit_bucket(
        &self,
        name: &BucketName,
        owner: String,
        config: Vec<(String, Bytes)>,
    ) -> Result<BucketRow, GatewayError> {
        let _owners = self.owners.read().await;
        self.still_there(&owner).await?;
        let locks = Locks::none().bucket_name(name.as_str(), Mode::Exclusive);
        let mut txn = self.index.begin(locks).await?;
        if let Some(found) = rows::get_bucket(&mut *txn, name.as_str()).await? {
            let owned = found.owner == owner;
            return Err(GatewayError::BucketExists {
                bucket: name.to_string(),
                owned,
            });
        }
        let world = self.store.world();
        let bucket = BucketRow {
            id: BucketId::new(world.rng.u64().max(1)),
            name: name.to_string(),
            order: txn.take_order(),
            created_ms: world.clock.unix_ms(),
            owner,
            config,
        };
        self.commit_row(txn, Batch::new(), &bucket, bucket.encode())
            .await?;
        Ok(bucket)
    }

    /// Makes a bucket's system record durable and commits its row with `batch`; an empty `value`
    /// deletes.
    async fn commit_row(
        &self,
        txn: Box<dyn Transaction>,
        mut batch: Batch,
        bucket: &BucketRow,
        value: Bytes,
    ) -> Result<(), GatewayError> {
        let at = keys::bucket(&bucket.name);
        match value.is_empty() {
            true => batch.delete(Table::Bucket, at),
            false => batch.put(Table::Bucket, at, Row::new(bucket.order, value.clone())),
        };
        let (order, name) = (bucket.order, bucket.name.as_str());
        self.put_system(&mut batch, order, BUCKET_KIND, name, value)
            .await?;
        self.commit(txn, batch).await
    }

    /// Makes a system record durable, and adds its row to `batch`; an empty `value` deletes. The
    /// name is held alone.
    pub(super) async fn put_system(
        &self,
        batch: &mut Batch,
        order: Order,
        kind: &str,
        name: &str,
        value: Bytes,
    ) -> Result<(), GatewayError> {
        let record = Record::System {
            write: self.ids.next(),
            order,
            kind: kind.to_owned(),
            name: name.to_owned(),
            value: value.clone(),
        };
        let sealed = self.store.seal_system(&record).await;
        let sealed = self.voided(record.write(), sealed, || self.store.drives().ids())?;
        batch.put(
            Table::System,
            keys::system(kind, name),
            Row::new(order, value),
        );
        note_seen(batch, &sealed.seen);
        Ok(())
    }

    /// The bucket, as last committed.
    pub(super) async fn live_bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, GatewayError> {
        let at = keys::bucket(name.as_str());
        if let Some(row) = self.index.get(Table::Bucket, &at).await? {
            if let Some(kept) = self.buckets.get(name.as_str(), row.order) {
                return Ok(kept);
            }
            let row = BucketRow::decode(&row.value).map_err(|error| GatewayError::Internal {
                what: format!("the row of bucket {name}: {error}"),
            })?;
            return Ok(self.buckets.put(Bucket::new(row)?));
        }
        self.sure_of_bucket().await?;
        Err(GatewayError::NoSuchBucket {
            bucket: name.to_string(),
        })
    }

    /// Begins a change in a bucket: locks it shared, and what else `locks` names, and checks that
    /// it is still the same bucket. Returns it as it is under the lock.
    pub(super) async fn begin_in(
        &self,
        bucket: &Arc<Bucket>,
        locks: Locks,
    ) -> Result<(Box<dyn Transaction>, Arc<Bucket>), GatewayError> {
        let locks = match planted("bucket-not-held") {
            true => locks,
            false => locks.bucket(bucket.id, Mode::Shared),
        };
        let mut txn = self.index.begin(locks).await?;
        let row = same_row(&mut *txn, bucket).await?;
        let now = match row.order == bucket.order {
            true => Arc::clone(bucket),
            false => self.buckets.put(Bucket::new(row)?),
        };
        Ok((txn, now))
    }

    pub(super) async fn change_bucket(
        &self,
        name: &BucketName,
        edit: Edit,
    ) -> Result<(), GatewayError> {
        let bucket = self.live_bucket(name).await?;
        let service = self.clone();
        let work = async move { service.commit_change(&bucket, edit).await };
        self.to_the_end("change bucket", work).await
    }

    /// Holds the bucket alone: no write sees half of the change.
    async fn commit_change(&self, bucket: &BucketRow, edit: Edit) -> Result<(), GatewayError> {
        let locks = Locks::none()
            .bucket_name(bucket.name.clone(), Mode::Exclusive)
            .bucket(bucket.id, Mode::Exclusive);
        let mut txn = self.index.begin(locks).await?;
        let mut row = same_row(&mut *txn, bucket).await?;
        let before = Settings::decode(&row.config)?;
        let mut settings = before.clone();
        edit(&mut settings)?;
        if settings == before {
            return Ok(());
        }
        row.config = settings.encode()?;
        row.order = txn.take_order();
        let mut batch = Batch::new();
        let (is, was) = (&settings, &before);
        if (&is.lifecycle, is.versioning) == (&was.lifecycle, was.versioning) {
            return self.commit_row(txn, batch, &row, row.encode()).await;
        }
        forget_progress(&mut batch, row.id);
        self.commit_row(txn, batch, &row, row.encode()).await?;
        self.rules_changed();
        Ok(())
    }

    pub(super) async fn drop_bucket(&self, name: &BucketName) -> Result<(), GatewayError> {
        let bucket = self.live_bucket(name).await?;
        let service = self.clone();
        let work = async move { service.commit_drop(&bucket).await };
        self.to_the_end("delete bucket", work).await
    }

    async fn commit_drop(&self, bucket: &BucketRow) -> Result<(), GatewayError> {
        let locks = Locks::none()
            .bucket_name(bucket.name.clone(), Mode::Exclusive)
            .bucket(bucket.id, Mode::Exclusive);
        let mut txn = self.index.begin(locks).await?;
        let mut bucket = same_row(&mut *txn, bucket).await?;
        for (table, prefix) in [
            (Table::Current, keys::current(bucket.id, "")),
            (Table::Noncurrent, keys::current(bucket.id, "")),
            (Table::Upload, keys::uploads_prefix(bucket.id, b"")),
        ] {
            if holds_any(txn.as_mut(), table, &prefix).await? {
                return Err(GatewayError::BucketNotEmpty {
                    bucket: bucket.name,
                });
            }
        }
        // Nor does one go that may hold a key of which nobody knows.
        self.sure_of_all(bucket.id, "").await?;
        self.sure_of_bucket().await?;
        bucket.order = txn.take_order();
        let mut batch = Batch::new();
        forget_progress(&mut batch, bucket.id);
        self.commit_row(txn, batch, &bucket, Bytes::new()).await
    }

    pub(super) async fn all_buckets(&self) -> Result<Vec<BucketRow>, GatewayError> {
        let mut buckets: Vec<BucketRow> = Vec::new();
        loop {
            let after = buckets.last().map(|bucket| bucket.name.clone());
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), 1000).await?;
            buckets.extend(page.items);
            if !page.more {
                return Ok(buckets);
            }
        }
    }
}

/// The bucket's row under its lock, if it is still the same bucket.
async fn same_row(
    txn: &mut dyn Transaction,
    bucket: &BucketRow,
) -> Result<BucketRow, GatewayError> {
    let now = rows::get_bucket(txn, &bucket.name).await?;
    now.filter(|now| now.id == bucket.id)
        .ok_or_else(|| GatewayError::NoSuchBucket {
            bucket: bucket.name.clone(),
        })
}

async fn holds_any(
    txn: &mut dyn Transaction,
    table: Table,
    prefix: &[u8],
) -> Result<bool, GatewayError> {
    let end = keys::after_prefix(prefix);
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let scan = txn
        .scan(table, Bound::Included(prefix), to, ScanLimit::rows(1))
        .await?;
    Ok(!scan.rows.is_empty())
}
