//! Queueing what a bucket already has, when its rules are new.
//!
//! Owns: how far each bucket was gone through: a row of its own, beside the system records.
//! Leaves to others: what is queued by changes from then on ([`super::due`]).
//! Always: who changes the rules of a bucket removes that row in the same commit, so that it is
//! gone through from the start; so it is when the index was made anew. A page and how far it
//! reached are one commit, under the bucket's lock, by the rules that the page was read for.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_index::due::Due;
use holdfast_index::{Batch, Locks, Row, ScanLimit, Table, keys, rows};
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::row::{UploadRow, VersionRow};
use holdfast_protocol::{BucketId, BucketRow};
use prometheus::IntGauge;
use serde::{Deserialize, Serialize};

use super::due::{upload, versions};
use super::rules::{self, Day};
use crate::error::GatewayError;
use crate::object::bucket::Bucket;
use crate::object::classes::Classes;
use crate::object::service::Service;
use crate::settings::Lifecycle;

/// The kind of the rows; they stand for no record.
const KIND: &str = "local.lifecycle";
/// Rows that are read at once.
const PAGE: usize = 1000;
const VERSION: u32 = 1;

/// How far a bucket was gone through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    v: u32,
    /// The rules, how long a day is, and which storage classes there are.
    digest: u64,
    stage: Stage,
    /// The last row that was looked at, in hexadecimal digits.
    after: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Current,
    Noncurrent,
    Uploads,
    Done,
}

impl Stage {
    fn range(self, bucket: BucketId) -> Option<(Table, Bytes)> {
        match self {
            Self::Current => Some((Table::Current, keys::current(bucket, ""))),
            Self::Noncurrent => Some((Table::Noncurrent, keys::noncurrents_prefix(bucket, ""))),
            Self::Uploads => Some((Table::Upload, keys::uploads_prefix(bucket, b""))),
            Self::Done => None,
        }
    }
    fn next(self) -> Self {
        match self {
            Self::Current => Self::Noncurrent,
            Self::Noncurrent => Self::Uploads,
            Self::Uploads | Self::Done => Self::Done,
        }
    }
}

impl Progress {
    fn new(digest: u64) -> Self {
        Self {
            v: VERSION,
            digest,
            stage: Stage::Current,
            after: None,
        }
    }
    fn after(&self) -> Option<Vec<u8>> {
        hex::decode(self.after.as_ref()?).ok()
    }
}

fn name(bucket: BucketId) -> String {
    format!("{:016x}", bucket.get())
}

/// Has a bucket gone through from the start, if it has rules; forgets it if it has none.
pub(in crate::object) fn forget_progress(batch: &mut Batch, bucket: BucketId) {
    batch.delete(Table::System, keys::system(KIND, &name(bucket)));
}

fn digest(lifecycle: &Lifecycle, day: Day, classes: &Classes) -> Result<u64, GatewayError> {
    let text = serde_json::to_string(lifecycle).map_err(|error| GatewayError::Internal {
        what: format!("lifecycle rules have no JSON form: {error}"),
    })?;
    let classes: Vec<&str> = classes.all().map(|(name, _)| name).collect();
    let text = format!("{} {} {text}", day.ms(), classes.join(","));
    Ok(crc64(text.as_bytes()))
}

impl Service {
    /// Goes through all buckets that have rules and were not gone through for them.
    pub(super) async fn backfill(&self, running: &IntGauge) -> Result<(), GatewayError> {
        let mut after: Option<String> = None;
        let mut failed = None;
        loop {
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), PAGE).await?;
            after = page.items.last().map(|bucket| bucket.name.clone());
            for bucket in page.items {
                running.set(1);
                if let Err(error) = self.backfill_bucket(bucket).await {
                    failed = Some(error);
                }
                running.set(0);
            }
            if !page.more {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    async fn backfill_bucket(&self, row: BucketRow) -> Result<(), GatewayError> {
        let bucket = Arc::new(Bucket::new(row)?);
        let Some(lifecycle) = &bucket.settings().lifecycle else {
            return Ok(());
        };
        let digest = digest(lifecycle, self.day, &self.classes)?;
        let stored = rows::get_system(&*self.index, KIND, &name(bucket.id)).await?;
        // One that cannot be read costs going through the bucket.
        let stored = stored.and_then(|row| serde_json::from_slice::<Progress>(&row.value).ok());
        let stored = stored.filter(|known| known.v == VERSION && known.digest == digest);
        let mut progress = stored.unwrap_or_else(|| Progress::new(digest));
        if progress.stage == Stage::Done {
            return Ok(());
        }
        tracing::info!(
            bucket = bucket.name,
            "lifecycle rules are new: going through the bucket"
        );
        while progress.stage != Stage::Done {
            if !self
                .backfill_page(&bucket, lifecycle, &mut progress)
                .await?
            {
                // Changed meanwhile: whoever did that has it gone through again.
                self.rules_changed();
                return Ok(());
            }
        }
        tracing::info!(bucket = bucket.name, "the bucket was gone through");
        Ok(())
    }

    /// Queues a page. Returns whether the bucket is as it was.
    async fn backfill_page(
        &self,
        bucket: &Arc<Bucket>,
        lifecycle: &Lifecycle,
        progress: &mut Progress,
    ) -> Result<bool, GatewayError> {
        let Some((table, prefix)) = progress.stage.range(bucket.id) else {
            return Ok(true);
        };
        let after = progress.after();
        let from = match &after {
            Some(after) => Bound::Excluded(after.as_slice()),
            None => Bound::Included(prefix.as_ref()),
        };
        let end = keys::after_prefix(&prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let locks = Locks::none();
        let (mut txn, now) = match self.begin_in(bucket, locks).await {
            Err(GatewayError::NoSuchBucket { .. }) => return Ok(false),
            begun => begun?,
        };
        if now.order != bucket.order {
            return Ok(false);
        }
        let scan = txn.scan(table, from, to, ScanLimit::rows(PAGE)).await?;
        let mut batch = Batch::new();
        for (stored, row) in &scan.rows {
            self.queue_row(&mut batch, bucket, lifecycle, (table, stored, row))?;
        }
        progress.after = scan.rows.last().map(|(stored, _)| hex::encode(stored));
        if !scan.more {
            (progress.stage, progress.after) = (progress.stage.next(), None);
        }
        let value = serde_json::to_vec(progress).map_err(|error| GatewayError::Internal {
            what: format!("progress has no JSON form: {error}"),
        })?;
        let at = keys::system(KIND, &name(bucket.id));
        batch.set(Table::System, at, Row::unordered(value.into()));
        self.commit(txn, batch).await?;
        Ok(true)
    }

    fn queue_row(
        &self,
        batch: &mut Batch,
        bucket: &Bucket,
        lifecycle: &Lifecycle,
        (table, stored, row): (Table, &Bytes, &Row),
    ) -> Result<(), GatewayError> {
        let damaged = |error: &dyn std::fmt::Display| GatewayError::Internal {
            what: format!("row {} of {table:?}: {error}", stored.escape_ascii()),
        };
        match table {
            Table::Current => {
                let row = VersionRow::decode(&row.value).map_err(|error| damaged(&error))?;
                let manifest = &row.manifest;
                if let Some(due_ms) = self.first_due(lifecycle, bucket, manifest) {
                    batch.put_due(due_ms, &versions(manifest));
                }
            }
            Table::Upload => {
                let row = UploadRow::decode(&row.value).map_err(|error| damaged(&error))?;
                let due = rules::upload_due(lifecycle, &row.manifest, self.day);
                if let Some(due_ms) = due.filter(|_| row.completed.is_none()) {
                    batch.put_due(due_ms, &upload(&row.manifest));
                }
            }
            // Since when a version is noncurrent, its neighbours say: the key is looked at whole.
            _ => {
                let key = keys::parse_noncurrent(stored).map(|(_, key, _)| key);
                let key = key.and_then(|key| String::from_utf8(key).ok());
                let key = key.ok_or_else(|| damaged(&"its key cannot be read"))?;
                if rules::has_noncurrent(lifecycle, &key) {
                    batch.put_due(0, &Due::versions(bucket.id, &key));
                }
            }
        }
        Ok(())
    }
}
