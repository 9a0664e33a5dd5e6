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
use holdfast_index::{Batch, Locks, Table, Transaction, rows};
use holdfast_protocol::BucketId;
use prometheus::IntGauge;

use super::expire::{Done, Hands};
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
/// Keys of which versions move at once.
const MOVES_AT_ONCE: usize = 2;

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
        let pause = self.day.pause();
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
        let moves = async {
            loop {
                self.store.world().clock.sleep(pause).await;
                if let Err(error) = self.move_due(&metrics).await {
                    tracing::warn!(%error, "nothing moved between classes, trying again later");
                }
            }
        };
        futures::future::join3(backfills, rounds, moves).await;
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

    /// Lets go what is due, and queues what is to move.
    ///
    /// # Errors
    /// `Index`, `Unavailable`. What fails for one key is logged, counted and left to the next call.
    pub async fn expire(&self, metrics: &LifecycleMetrics) -> Result<(), GatewayError> {
        self.carry_out(Hands::Ending, &metrics.backlog, metrics)
            .await
    }

    /// Moves what is queued for that to other storage classes.
    ///
    /// # Errors
    /// As [`Self::expire`].
    pub async fn move_due(&self, metrics: &LifecycleMetrics) -> Result<(), GatewayError> {
        self.carry_out(Hands::Moving, &metrics.moving, metrics)
            .await
    }

    async fn carry_out(
        &self,
        hands: Hands,
        backlog: &IntGauge,
        metrics: &LifecycleMetrics,
    ) -> Result<(), GatewayError> {
        self.told(Ok(()))?;
        let now_ms = self.store.world().clock.unix_ms();
        let mut buckets = HashMap::new();
        let mut after: Option<Bytes> = None;
        let (mut sum, mut left, mut failed) = (Done::default(), 0, None);
        loop {
            let page = match hands {
                Hands::Ending => due::list(&*self.index, now_ms, after.as_deref(), PAGE).await?,
                Hands::Moving => due::list_moves(&*self.index, after.as_deref(), PAGE).await?,
            };
            after = page.items.last().map(|entry| entry.stored.clone());
            if page.items.is_empty() {
                break;
            }
            backlog.set(left + page.items.len() as i64);
            let is_known = |entry: &DueEntry| buckets.contains_key(&entry.due.bucket);
            if !page.items.iter().all(is_known) {
                // Read after the entries: a bucket that is not among them is gone.
                buckets = self.names_of_buckets().await?;
            }
            let outcomes = self
                .expire_page(&buckets, page.items, hands, metrics)
                .await?;
            for outcome in outcomes {
                match outcome {
                    Ok(done) => {
                        left += done.held as i64;
                        sum.add(done);
                    }
                    Err((count, error)) => {
                        left += count;
                        failed = failed.or(Some(error));
                    }
                }
            }
            if !page.more {
                break;
            }
        }
        backlog.set(left);
        if let Some(error) = failed {
            // One line for all: where one drive is missing, it may be a million keys.
            tracing::warn!(entries = left, %error, "not expired yet, the first for this reason");
        }
        sum.held = 0;
        if sum != Done::default() {
            tracing::info!(
                current = sum.current,
                noncurrent = sum.noncurrent,
                markers = sum.markers,
                uploads = sum.uploads,
                moved = sum.moved,
                "lifecycle rules carried out"
            );
        }
        Ok(())
    }

    /// For each key: what was done, or how many of its entries are left and why.
    async fn expire_page(
        &self,
        buckets: &HashMap<BucketId, String>,
        entries: Vec<DueEntry>,
        hands: Hands,
        metrics: &LifecycleMetrics,
    ) -> Result<Vec<Result<Done, (i64, GatewayError)>>, GatewayError> {
        let mut by_bucket: HashMap<BucketId, Vec<DueEntry>> = HashMap::new();
        for entry in entries {
            let of_bucket = by_bucket.entry(entry.due.bucket).or_default();
            of_bucket.push(entry);
        }
        let mut popped: BTreeMap<(BucketId, String), Vec<DueEntry>> = BTreeMap::new();
        let mut living = HashMap::new();
        let mut outcomes = Vec::new();
        for (id, entries) in by_bucket {
            let name = buckets.get(&id);
            let bucket = match self.with_rules(id, name, &entries).await {
                Ok(Some(bucket)) => bucket,
                Ok(None) => continue,
                // The others do not wait for one bucket that cannot be read.
                Err(error) => {
                    metrics.failures.inc();
                    outcomes.push(Err((entries.len() as i64, error)));
                    continue;
                }
            };
            living.insert(id, bucket);
            for entry in entries {
                let at = (id, entry.due.key.clone());
                popped.entry(at).or_default().push(entry);
            }
        }
        let work = popped.into_iter().filter_map(|((id, _), entries)| {
            let bucket = Arc::clone(living.get(&id)?);
            Some(self.expire_apart(bucket, entries, hands, metrics))
        });
        let work = stream::iter(work).buffer_unordered(match hands {
            Hands::Ending => AT_ONCE,
            Hands::Moving => MOVES_AT_ONCE,
        });
        outcomes.extend(work.collect::<Vec<_>>().await);
        Ok(outcomes)
    }

    /// The bucket of these entries; they are forgotten if it is gone or has no rules any more.
    async fn with_rules(
        &self,
        id: BucketId,
        name: Option<&String>,
        entries: &[DueEntry],
    ) -> Result<Option<Arc<Bucket>>, GatewayError> {
        let bucket = match name.and_then(|name| BucketName::parse(name).ok()) {
            Some(name) => self.live_bucket(&name).await,
            None => Err(GatewayError::NoSuchBucket {
                bucket: String::new(),
            }),
        };
        let bucket = match bucket {
            // It is gone, whatever has its name now.
            Ok(bucket) if bucket.id != id => None,
            Err(GatewayError::NoSuchBucket { .. }) => None,
            bucket => Some(bucket?),
        };
        let Some(bucket) = bucket else {
            let txn = self.index.begin(Locks::none()).await?;
            self.forget(txn, entries).await?;
            return Ok(None);
        };
        if bucket.settings().lifecycle.is_some() {
            return Ok(Some(bucket));
        }
        // Who gives it rules waits for this, and then has all of it queued.
        let (txn, bucket) = match self.begin_in(&bucket, Locks::none()).await {
            Err(GatewayError::NoSuchBucket { .. }) => return Ok(None),
            begun => begun?,
        };
        if bucket.settings().lifecycle.is_some() {
            return Ok(Some(bucket));
        }
        self.forget(txn, entries).await?;
        Ok(None)
    }

    /// Works on the entries of one key in a task of its own.
    async fn expire_apart(
        &self,
        bucket: Arc<Bucket>,
        entries: Vec<DueEntry>,
        hands: Hands,
        metrics: &LifecycleMetrics,
    ) -> Result<Done, (i64, GatewayError)> {
        let (service, metrics_of_key) = (self.clone(), metrics.clone());
        let (count, id) = (entries.len() as i64, bucket.id);
        let work = async move {
            service
                .expire_entries(&bucket, entries, hands, &metrics_of_key)
                .await
        };
        let outcome = self.to_the_end("lifecycle", work).await;
        outcome.map_err(|error| {
            metrics.failures.inc();
            tracing::debug!(bucket = %id, %error, "a key is not expired yet");
            (count, error)
        })
    }

    /// Works on the entries of one key.
    async fn expire_entries(
        &self,
        bucket: &Arc<Bucket>,
        entries: Vec<DueEntry>,
        hands: Hands,
        metrics: &LifecycleMetrics,
    ) -> Result<Done, GatewayError> {
        match self.expire_in(bucket, &entries, hands, metrics).await {
            Err(GatewayError::NoSuchBucket { .. }) => {
                let txn = self.index.begin(Locks::none()).await?;
                self.forget(txn, &entries).await?;
                Ok(Done::default())
            }
            done => done,
        }
    }

    async fn expire_in(
        &self,
        bucket: &Arc<Bucket>,
        entries: &[DueEntry],
        hands: Hands,
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
                None => {
                    self.expire_key(bucket, &due.key, &popped, hands, metrics)
                        .await?
                }
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

    /// Takes entries out of the queue.
    async fn forget(
        &self,
        txn: Box<dyn Transaction>,
        entries: &[DueEntry],
    ) -> Result<(), GatewayError> {
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
