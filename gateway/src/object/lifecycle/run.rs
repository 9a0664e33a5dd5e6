//! Looking when it is time.
//!
//! Owns: rounds over the queue, and the watch that makes them.
//! Leaves to others: acting ([`super::expire`]).
//! Always: a round goes through all that is due, also when some of it fails: that stays queued for
//! the next round. Nothing is done without the gateway's lease.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use holdfast_index::due::{self, Due, DueEntry};
use holdfast_index::{Batch, Locks, Table, rows};
use holdfast_protocol::BucketId;

use super::expire::Done;
use super::rules::Day;
use crate::error::GatewayError;
use crate::metrics::LifecycleMetrics;
use crate::names::BucketName;
use crate::object::bucket::Bucket;
use crate::object::service::Service;

/// Entries that are read at once.
const PAGE: usize = 1000;
/// Keys that are worked on at once.
const AT_ONCE: usize = 16;
/// How often it is looked, the soonest and the latest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whether rules may have changed since all buckets were gone through; at first they may.
#[derive(Debug)]
pub(in crate::object) struct Changes {
    made: AtomicU64,
    seen: AtomicU64,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            made: AtomicU64::new(1),
            seen: AtomicU64::new(0),
        }
    }
}

impl Service {
    /// The same, with days of this length for lifecycle rules.
    #[must_use]
    pub fn with_lifecycle_day(mut self, day: Duration) -> Self {
        self.day = Day::new(day);
        self
    }

    /// Carries out lifecycle rules for as long as it is polled.
    pub async fn watch_lifecycle(self, metrics: LifecycleMetrics) {
        let pause = Duration::from_millis(self.day.ms() / 50).clamp(PAUSE_MIN, PAUSE_MAX);
        let backfills = async {
            loop {
                if let Err(error) = self.backfill_lifecycle(&metrics).await {
                    tracing::warn!(%error, "buckets with new lifecycle rules: trying again later");
                }
                self.store.world().clock.sleep(pause).await;
            }
        };
        let rounds = async {
            loop {
                self.store.world().clock.sleep(pause).await;
                if let Err(error) = self.expire(&metrics).await {
                    tracing::warn!(%error, "lifecycle rules not carried out, trying again later");
                }
            }
        };
        futures::future::join(backfills, rounds).await;
    }

    /// Somebody changed the rules of a bucket.
    pub(in crate::object) fn rules_changed(&self) {
        self.rules.made.fetch_add(1, Ordering::SeqCst);
    }

    /// Queues what buckets have whose rules are new, if any may be.
    ///
    /// # Errors
    /// `Index`, `Unavailable`: what is left is done by the next call.
    pub async fn backfill_lifecycle(&self, metrics: &LifecycleMetrics) -> Result<(), GatewayError> {
        let changes = self.rules.made.load(Ordering::SeqCst);
        if self.rules.seen.load(Ordering::SeqCst) == changes {
            return Ok(());
        }
        self.told(Ok(()))?;
        self.backfill(&metrics.backfills).await?;
        self.rules.seen.store(changes, Ordering::SeqCst);
        Ok(())
    }

    /// Carries out what is due.
    ///
    /// # Errors
    /// `Index`, `Unavailable`. What fails for one key is logged, counted and left to the next call.
    pub async fn expire(&self, metrics: &LifecycleMetrics) -> Result<(), GatewayError> {
        self.told(Ok(()))?;
        let now_ms = self.store.world().clock.unix_ms();
        let mut buckets = HashMap::new();
        let mut after: Option<Bytes> = None;
        let (mut sum, mut left) = (Done::default(), 0);
        loop {
            let page = due::list(&*self.index, now_ms, after.as_deref(), PAGE).await?;
            after = page.items.last().map(|entry| entry.stored.clone());
            if page.items.is_empty() {
                break;
            }
            metrics.backlog.set(left + page.items.len() as i64);
            let is_known = |entry: &DueEntry| buckets.contains_key(&entry.due.bucket);
            if !page.items.iter().all(is_known) {
                // Read after the entries: a bucket that is not among them is gone.
                buckets = self.names_of_buckets().await?;
            }
            let outcomes = self.expire_page(&buckets, page.items, metrics).await;
            for (done, failed) in outcomes {
                sum.add(done);
                left += failed;
            }
            if !page.more {
                break;
            }
        }
        metrics.backlog.set(left);
        if sum != Done::default() {
            tracing::info!(
                current = sum.current,
                noncurrent = sum.noncurrent,
                markers = sum.markers,
                uploads = sum.uploads,
                "lifecycle rules carried out"
            );
        }
        Ok(())
    }

    /// For each key or upload: what was done, and how many of its entries are left.
    async fn expire_page(
        &self,
        buckets: &HashMap<BucketId, String>,
        entries: Vec<DueEntry>,
        metrics: &LifecycleMetrics,
    ) -> Vec<(Done, i64)> {
        let mut popped: BTreeMap<(BucketId, String), Vec<DueEntry>> = BTreeMap::new();
        for entry in entries {
            let at = (entry.due.bucket, entry.due.key.clone());
            popped.entry(at).or_default().push(entry);
        }
        let work = popped.into_values().map(|entries| async move {
            let Some(first) = entries.first().map(|entry| entry.due.clone()) else {
                return (Done::default(), 0);
            };
            let (count, service) = (entries.len() as i64, self.clone());
            let bucket = buckets.get(&first.bucket).cloned();
            let metrics_of_key = metrics.clone();
            let work = async move {
                service
                    .expire_entries(bucket, entries, &metrics_of_key)
                    .await
            };
            match self.to_the_end("lifecycle", work).await {
                Ok(done) => (done, 0),
                Err(error) => {
                    metrics.failures.inc();
                    let bucket = first.bucket;
                    tracing::warn!(%bucket, key = first.key, %error, "not expired yet");
                    (Done::default(), count)
                }
            }
        });
        stream::iter(work).buffer_unordered(AT_ONCE).collect().await
    }

    /// Works on the entries of one key.
    async fn expire_entries(
        &self,
        bucket: Option<String>,
        entries: Vec<DueEntry>,
        metrics: &LifecycleMetrics,
    ) -> Result<Done, GatewayError> {
        let bucket = match bucket.and_then(|name| BucketName::parse(&name).ok()) {
            Some(name) => self.live_bucket(&name).await,
            None => Err(GatewayError::NoSuchBucket {
                bucket: String::new(),
            }),
        };
        let bucket = match bucket {
            // It is gone, whatever has its name now.
            Ok(bucket) if entries.iter().any(|entry| entry.due.bucket != bucket.id) => None,
            Err(GatewayError::NoSuchBucket { .. }) => None,
            bucket => Some(bucket?),
        };
        let Some(bucket) = bucket else {
            self.forget(&entries).await?;
            return Ok(Done::default());
        };
        match self.expire_in(&bucket, &entries, metrics).await {
            Err(GatewayError::NoSuchBucket { .. }) => {
                self.forget(&entries).await?;
                Ok(Done::default())
            }
            done => done,
        }
    }

    async fn expire_in(
        &self,
        bucket: &Arc<Bucket>,
        entries: &[DueEntry],
        metrics: &LifecycleMetrics,
    ) -> Result<Done, GatewayError> {
        let mut groups: HashMap<&Due, Vec<Bytes>> = HashMap::new();
        for entry in entries {
            let group = groups.entry(&entry.due).or_default();
            group.push(entry.stored.clone());
        }
        let mut sum = Done::default();
        for (due, popped) in groups {
            let done = match due.upload {
                None => self.expire_key(bucket, &due.key, &popped, metrics).await?,
                Some(upload) => {
                    let key = due.key.as_str();
                    self.expire_upload(bucket, key, upload, &popped, metrics)
                        .await?
                }
            };
            sum.add(done);
        }
        Ok(sum)
    }

    /// Their bucket is gone.
    async fn forget(&self, entries: &[DueEntry]) -> Result<(), GatewayError> {
        let txn = self.index.begin(Locks::none()).await?;
        let mut batch = Batch::new();
        for entry in entries {
            batch.delete(Table::Due, entry.stored.clone());
        }
        self.commit(txn, batch).await
    }

    async fn names_of_buckets(&self) -> Result<HashMap<BucketId, String>, GatewayError> {
        let (mut names, mut after) = (HashMap::new(), None::<String>);
        loop {
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), PAGE).await?;
            after = page.items.last().map(|bucket| bucket.name.clone());
            names.extend(
                page.items
                    .into_iter()
                    .map(|bucket| (bucket.id, bucket.name)),
            );
            if !page.more {
                return Ok(names);
            }
        }
    }
}
