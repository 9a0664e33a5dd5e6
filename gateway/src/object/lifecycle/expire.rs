//! Carrying out lifecycle rules on a key or an upload.
//!
//! Owns: what is due now, under the locks and by the rules as of then, and removing it.
//! Leaves to others: when to look ([`super::run`]), how one version is removed or marked
//! ([`crate::object::delete`]) and an upload aborted ([`crate::object::upload`]).
//! Always: what goes, goes as by a client's delete: a durable record first, then one commit. What
//! is locked stays. An entry leaves the queue in the commit that finds nothing more to do, which
//! queues when to look again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use holdfast_index::due::Due;
use holdfast_index::rows;
use holdfast_index::{Batch, Locks, Mode, Table, Transaction};
use holdfast_protocol::{TombstoneTarget, UploadRow, VersionRow, WriteId};
use holdfast_store::placement::group_of;

use super::rules;
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::metrics::LifecycleMetrics;
use crate::names::{BucketName, ObjectKey};
use crate::object::bucket::Bucket;
use crate::object::put::usage_of;
use crate::object::service::{Retired, Service, note_seen, queue_purge};
use crate::object::types::{DeleteConditions, DeleteObject};
use crate::object::upload::Why;
use crate::object::version::VersionId;
use crate::settings::Lifecycle;

/// The values of the label `action`.
const CURRENT: &str = "current";
const NONCURRENT: &str = "noncurrent";
const MARKER: &str = "marker";
const UPLOAD: &str = "upload";
/// Versions that are removed by one commit at most, so that a key with very many is not gone
/// through for each few of them.
const BATCH: usize = 1024;
/// Tombstones that are made durable at once.
const AT_ONCE: usize = 32;
/// A commit of this weight takes no more versions.
const BATCH_BYTES: usize = 4 << 20;
/// Rows that are read at once.
const PAGE: usize = 1000;

/// What was carried out on a key or an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) current: u64,
    pub(super) noncurrent: u64,
    pub(super) markers: u64,
    pub(super) uploads: u64,
}

impl Done {
    pub(super) fn add(&mut self, other: Self) {
        self.current += other.current;
        self.noncurrent += other.noncurrent;
        self.markers += other.markers;
        self.uploads += other.uploads;
    }
}

/// What is to be done with a key now.
enum Step {
    /// Its current version expires.
    Current,
    /// Its current version, a delete marker, goes for good.
    Marker(VersionId),
    /// These noncurrent versions go for good, the last first.
    Noncurrent(VecDeque<VersionId>),
    /// Nothing, until then.
    Wait(Option<u64>),
}

impl Service {
    /// Does what is due on the versions of a key, and takes `popped` out of the queue.
    pub(super) async fn expire_key(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        popped: &[Bytes],
        metrics: &LifecycleMetrics,
    ) -> Result<Done, GatewayError> {
        let name = BucketName::parse(&bucket.name)?;
        let mut delete = DeleteObject {
            bucket: name,
            key: ObjectKey::parse(key)?,
            version: None,
            conditions: DeleteConditions::default(),
            bypass: false,
            by: Caller::Anonymous,
        };
        let mut done = Done::default();
        loop {
            let locks = Locks::none().key(bucket.id, key);
            let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
            match self.step(txn.as_mut(), &bucket, key).await? {
                Step::Current if bucket.has_versions() => {
                    self.mark(txn, &bucket, &delete).await?;
                    done.current += 1;
                    metrics.expired(CURRENT, 1);
                }
                Step::Current => {
                    delete.version = None;
                    self.remove(txn, &bucket, &delete, VersionId::Null).await?;
                    done.current += 1;
                    metrics.expired(CURRENT, 1);
                }
                Step::Marker(id) => {
                    delete.version = Some(id);
                    self.remove(txn, &bucket, &delete, id).await?;
                    done.markers += 1;
                    metrics.expired(MARKER, 1);
                }
                Step::Noncurrent(going) => {
                    let count = self.remove_noncurrent(txn, &bucket, key, &going).await?;
                    done.noncurrent += count;
                    metrics.expired(NONCURRENT, count);
                }
                Step::Wait(next_ms) => {
                    let due = Due::versions(bucket.id, key);
                    self.requeue(txn, popped, next_ms, &due).await?;
                    return Ok(done);
                }
            }
        }
    }

    async fn requeue(
        &self,
        txn: Box<dyn Transaction>,
        popped: &[Bytes],
        next_ms: Option<u64>,
        due: &Due,
    ) -> Result<(), GatewayError> {
        let mut batch = Batch::new();
        for stored in popped {
            batch.delete(Table::Due, stored.clone());
        }
        if let Some(next_ms) = next_ms {
            batch.put_due(next_ms, due);
        }
        self.commit(txn, batch).await
    }

    /// What is due now of a key, the oldest first: a version that goes may be what others are
    /// measured from that are older.
    async fn step(
        &self,
        txn: &mut dyn Transaction,
        bucket: &Bucket,
        key: &str,
    ) -> Result<Step, GatewayError> {
        let Some(lifecycle) = bucket.settings().lifecycle.as_ref() else {
            return Ok(Step::Wait(None));
        };
        let Some(current) = rows::get_current(&mut *txn, bucket.id, key).await? else {
            return Ok(Step::Wait(None));
        };
        let now_ms = self.store.world().clock.unix_ms();
        let (going, next, is_alone) = self
            .noncurrent_step(txn, lifecycle, &current, now_ms)
            .await?;
        if !going.is_empty() {
            return Ok(Step::Noncurrent(going));
        }
        let manifest = &current.manifest;
        let is_marker = rules::is_marker(manifest);
        let due = match is_marker && !is_alone {
            true => None,
            false => self.current_due(lifecycle, bucket, manifest),
        };
        Ok(match due {
            Some(due_ms) if due_ms > now_ms => {
                Step::Wait(Some(next.map_or(due_ms, |next| due_ms.min(next))))
            }
            None => Step::Wait(next),
            Some(_) if is_marker => Step::Marker(VersionId::of(manifest)),
            Some(_) => Step::Current,
        })
    }

    /// The oldest noncurrent versions that are due, when the next one is, and whether there are
    /// none at all.
    async fn noncurrent_step(
        &self,
        txn: &mut dyn Transaction,
        lifecycle: &Lifecycle,
        current: &VersionRow,
        now_ms: u64,
    ) -> Result<(VecDeque<VersionId>, Option<u64>, bool), GatewayError> {
        let (bucket, key) = (current.manifest.bucket, current.manifest.key.as_str());
        let (mut going, mut next) = (VecDeque::new(), None::<u64>);
        let limit = match rules::has_noncurrent(lifecycle, key) {
            true => PAGE,
            false => 1,
        };
        let (mut newer, mut since_ms) = (0, current.manifest.created_ms);
        let mut before = None;
        loop {
            let page = rows::list_noncurrent(&mut *txn, bucket, key, before, limit).await?;
            before = page.items.last().map(|row| row.manifest.version);
            for row in page.items {
                let manifest = &row.manifest;
                let due = rules::noncurrent_due(lifecycle, manifest, since_ms, newer, self.day);
                (newer, since_ms) = (newer + 1, manifest.created_ms);
                match due {
                    None => {}
                    Some(due_ms) if due_ms > now_ms => {
                        next = Some(next.map_or(due_ms, |next| next.min(due_ms)));
                    }
                    Some(_) => {
                        going.push_back(VersionId::of(manifest));
                        if going.len() > BATCH {
                            going.pop_front();
                        }
                    }
                }
            }
            if !page.more || limit < PAGE {
                return Ok((going, next, newer == 0));
            }
        }
    }

    /// Removes noncurrent versions for good, the last first, by one commit. Returns how many: it
    /// ends early where the commit gets too large or a drive fails.
    async fn remove_noncurrent(
        &self,
        mut txn: Box<dyn Transaction>,
        bucket: &Bucket,
        key: &str,
        going: &VecDeque<VersionId>,
    ) -> Result<u64, GatewayError> {
        let going: Vec<VersionId> = going.iter().rev().copied().collect();
        let (mut batch, mut count) = (Batch::new(), 0);
        for some in going.chunks(AT_ONCE) {
            let removed = self.add_removals(&mut *txn, &mut batch, bucket, key, some);
            match removed.await {
                Ok(()) => count += some.len() as u64,
                // What is durable already takes effect; the next look meets the fault again.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
            if batch.weight() > BATCH_BYTES {
                break;
            }
        }
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(count)
    }

    /// Makes the tombstones of noncurrent versions durable, and adds their removal to `batch`, to
    /// which nothing is added if one of them fails.
    async fn add_removals(
        &self,
        txn: &mut dyn Transaction,
        batch: &mut Batch,
        bucket: &Bucket,
        key: &str,
        going: &[VersionId],
    ) -> Result<(), GatewayError> {
        let (mut rows, mut tombstones) = (Vec::new(), Vec::new());
        for id in going {
            let found = rows::get_version(&mut *txn, bucket.id, key, id.which()).await?;
            let (_, row) = found.ok_or_else(|| GatewayError::Internal {
                what: format!("version {id} was listed and is not there"),
            })?;
            let target = match *id {
                VersionId::Null => TombstoneTarget::Null,
                VersionId::Ordered(version) => TombstoneTarget::Version {
                    version,
                    write: row.manifest.write,
                },
            };
            let order = txn.take_order();
            tombstones.push((order, self.tombstone(order, bucket.id, key, target)));
            rows.push(row);
        }
        let sealing = tombstones.iter();
        let sealing = sealing.map(|(_, tombstone)| self.seal(tombstone, bucket.id, key));
        let sealed = try_join_all(sealing).await?;
        let group = self.store.group(group_of(bucket.id, key));
        let mut removals = Batch::new();
        for ((row, (order, tombstone)), sealed) in rows.iter().zip(&tombstones).zip(sealed) {
            let mut retired = Retired::default();
            removals.delete_noncurrent(&row.manifest);
            removals.usage(bucket.id, usage_of(&row.manifest, -1));
            self.retire_version(row, &mut retired, &mut removals)
                .await?;
            let guard = (tombstone.write(), &sealed.placement, group.clone());
            queue_purge(&mut removals, *order, retired, Some(guard));
            note_seen(&mut removals, &sealed.seen);
        }
        batch.append(removals);
        Ok(())
    }

    /// Whether an open upload is due now.
    pub(in crate::object) fn is_due(&self, bucket: &Bucket, row: &UploadRow) -> bool {
        let lifecycle = bucket.settings().lifecycle.as_ref();
        let due = lifecycle.and_then(|rules| rules::upload_due(rules, &row.manifest, self.day));
        due.is_some_and(|due_ms| due_ms <= self.store.world().clock.unix_ms())
    }

    /// Aborts an upload if that is due, and takes `popped` out of the queue.
    pub(super) async fn expire_upload(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        write: WriteId,
        popped: &[Bytes],
        metrics: &LifecycleMetrics,
    ) -> Result<Done, GatewayError> {
        let aborted = self.commit_abort(bucket, key, write, Why::Due).await;
        let uploads = match aborted {
            Ok(true) => 1,
            Ok(false) | Err(GatewayError::NoSuchUpload { .. }) => 0,
            Err(error) => return Err(error),
        };
        metrics.expired(UPLOAD, uploads);
        let locks = Locks::none().upload(write, Mode::Exclusive);
        let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
        let row = rows::get_upload(txn.as_mut(), bucket.id, key, write).await?;
        let open = row.filter(|row| row.completed.is_none());
        let next_ms = match (&bucket.settings().lifecycle, open) {
            (Some(lifecycle), Some(row)) => rules::upload_due(lifecycle, &row.manifest, self.day),
            _ => None,
        };
        let due = Due::upload(bucket.id, key, write);
        self.requeue(txn, popped, next_ms, &due).await?;
        Ok(Done {
            uploads,
            ..Done::default()
        })
    }
}
