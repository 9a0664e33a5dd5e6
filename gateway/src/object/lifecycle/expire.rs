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
use holdfast_index::due::{self, Due};
use holdfast_index::rows;
use holdfast_index::{Batch, Locks, Mode, Table, Transaction};
use holdfast_protocol::{Manifest, TombstoneTarget, UploadRow, VersionRow, WriteId};
use holdfast_store::placement::group_of;

use super::rules;
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::metrics::LifecycleMetrics;
use crate::names::{BucketName, ObjectKey};
use crate::notify::EventKind;
use crate::object::bucket::Bucket;
use crate::object::put::usage_of;
use crate::object::rewrite::Moved;
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
const TRANSITION: &str = "transition";
/// Versions that are removed by one commit at most, so that a key with very many is not gone
/// through for each few of them.
const BATCH: usize = 1024;
/// Tombstones that are made durable at once.
const AT_ONCE: usize = 32;
/// A commit of this weight takes no more versions.
const BATCH_BYTES: usize = 4 << 20;
/// Versions that move before the key is looked at again.
const MOVES: usize = 32;
/// Rows that are read at once.
const PAGE: usize = 1000;

/// What was carried out on a key or an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) current: u64,
    pub(super) noncurrent: u64,
    pub(super) markers: u64,
    pub(super) uploads: u64,
    pub(super) moved: u64,
}

/// Who looks: what moves is left to others, as that may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hands {
    /// Who lets things go.
    Ending,
    /// Who moves things.
    Moving,
}

/// A version that is to be in another storage class.
#[derive(Clone, Debug)]
struct Moving {
    id: VersionId,
    write: WriteId,
    class: String,
}

/// What the rules say of a key's noncurrent versions.
#[derive(Default)]
struct Noncurrent {
    /// The oldest that go now.
    going: VecDeque<VersionId>,
    /// Some that move now.
    moving: Vec<Moving>,
    /// When the next one is due.
    next: Option<u64>,
    /// How many there are, or one.
    count: usize,
}

impl Noncurrent {
    fn wait(&mut self, until_ms: Option<u64>) {
        self.next = self.next.into_iter().chain(until_ms).min();
    }
}

impl Done {
    pub(super) fn add(&mut self, other: Self) {
        self.current += other.current;
        self.noncurrent += other.noncurrent;
        self.markers += other.markers;
        self.uploads += other.uploads;
        self.moved += other.moved;
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
    /// These versions move; what else there is to do is due then.
    Move(Vec<Moving>, Option<u64>),
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
        hands: Hands,
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
                    self.mark(txn, &bucket, &delete, None).await?;
                    done.current += 1;
                    metrics.expired(CURRENT, 1);
                }
                Step::Current => {
                    delete.version = None;
                    self.remove(txn, &bucket, &delete, VersionId::Null, None)
                        .await?;
                    done.current += 1;
                    metrics.expired(CURRENT, 1);
                }
                Step::Marker(id) => {
                    delete.version = Some(id);
                    self.remove(txn, &bucket, &delete, id, None).await?;
                    done.markers += 1;
                    metrics.expired(MARKER, 1);
                }
                Step::Noncurrent(going) => {
                    let count = self.remove_noncurrent(txn, &bucket, key, &going).await?;
                    done.noncurrent += count;
                    metrics.expired(NONCURRENT, count);
                }
                Step::Move(_, next_ms) if hands == Hands::Ending => {
                    let due = Due::versions(bucket.id, key);
                    let mut batch = Batch::new();
                    batch.put_due(due::MOVE_MS, &due);
                    self.requeue(txn, batch, popped, next_ms, &due).await?;
                    metrics.moving.inc();
                    return Ok(done);
                }
                Step::Move(moving, _) => {
                    drop(txn);
                    let key = &delete.key;
                    done.moved += self.move_some(&bucket, key, &moving, metrics).await?;
                }
                Step::Wait(next_ms) => {
                    let due = Due::versions(bucket.id, key);
                    let batch = Batch::new();
                    self.requeue(txn, batch, popped, next_ms, &due).await?;
                    return Ok(done);
                }
            }
        }
    }

    /// Moves versions, one after the other. Returns how many did.
    async fn move_some(
        &self,
        bucket: &Arc<Bucket>,
        key: &ObjectKey,
        moving: &[Moving],
        metrics: &LifecycleMetrics,
    ) -> Result<u64, GatewayError> {
        let mut count = 0;
        for Moving { id, write, class } in moving {
            let moved = Moved {
                bucket,
                key,
                id: *id,
                write: *write,
                class,
            };
            if self.move_version(&moved).await? {
                count += 1;
                metrics.expired(TRANSITION, 1);
            }
        }
        Ok(count)
    }

    async fn requeue(
        &self,
        txn: Box<dyn Transaction>,
        more: Batch,
        popped: &[Bytes],
        next_ms: Option<u64>,
        due: &Due,
    ) -> Result<(), GatewayError> {
        let mut batch = Batch::new();
        for stored in popped {
            batch.delete(Table::Due, stored.clone());
        }
        batch.append(more);
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
        let mut found = self
            .noncurrent_step(txn, lifecycle, &current, now_ms)
            .await?;
        if !found.going.is_empty() {
            return Ok(Step::Noncurrent(found.going));
        }
        let manifest = &current.manifest;
        let is_marker = rules::is_marker(manifest);
        let due = match is_marker && found.count > 0 {
            true => None,
            false => self.current_due(lifecycle, bucket, manifest),
        };
        match due {
            Some(due_ms) if due_ms > now_ms => found.wait(due),
            None => {}
            Some(_) if is_marker => return Ok(Step::Marker(VersionId::of(manifest))),
            Some(_) => return Ok(Step::Current),
        }
        let moves = rules::moves(lifecycle, manifest, self.day);
        self.moved_by(&mut found, moves, manifest, now_ms);
        Ok(match found.moving.is_empty() {
            true => Step::Wait(found.next),
            false => Step::Move(found.moving, found.next),
        })
    }

    /// Adds where a version is to be by now, and when it moves next.
    fn moved_by<'a>(
        &self,
        found: &mut Noncurrent,
        moves: impl Iterator<Item = (u64, &'a str)>,
        manifest: &Manifest,
        now_ms: u64,
    ) {
        let is_known = |class: &str| self.classes.geometry(class).is_ok();
        let (place, next) = rules::place_by(moves, manifest, now_ms, is_known);
        found.wait(next);
        // The others follow: the key is looked at again when these have moved.
        if let Some(class) = place.filter(|_| found.moving.len() < MOVES) {
            found.moving.push(Moving {
                id: VersionId::of(manifest),
                write: manifest.write,
                class,
            });
        }
    }

    /// What is to be done with the noncurrent versions.
    async fn noncurrent_step(
        &self,
        txn: &mut dyn Transaction,
        lifecycle: &Lifecycle,
        current: &VersionRow,
        now_ms: u64,
    ) -> Result<Noncurrent, GatewayError> {
        let (bucket, key) = (current.manifest.bucket, current.manifest.key.as_str());
        let mut found = Noncurrent::default();
        let limit = match rules::has_noncurrent(lifecycle, key) {
            true => PAGE,
            false => 1,
        };
        let mut newer = rules::Newer::current(current.manifest.created_ms);
        let mut before = None;
        loop {
            let page = rows::list_noncurrent(&mut *txn, bucket, key, before, limit).await?;
            before = page.items.last().map(|row| row.manifest.version);
            for row in page.items {
                let (manifest, day) = (&row.manifest, self.day);
                let due = rules::noncurrent_due(lifecycle, manifest, &newer, day);
                if due.is_some_and(|due_ms| due_ms <= now_ms) {
                    found.going.push_back(VersionId::of(manifest));
                    if found.going.len() > BATCH {
                        found.going.pop_front();
                    }
                } else {
                    found.wait(due);
                    let moves = rules::noncurrent_moves(lifecycle, manifest, &newer, day);
                    self.moved_by(&mut found, moves, manifest, now_ms);
                }
                newer.push(manifest.created_ms);
                found.count += 1;
            }
            if !page.more || limit < PAGE {
                return Ok(found);
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
            let happened = (EventKind::Expired, &row.manifest, *order);
            self.announce(&mut removals, bucket, happened, None)?;
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
        self.requeue(txn, Batch::new(), popped, next_ms, &due)
            .await?;
        Ok(Done {
            uploads,
            ..Done::default()
        })
    }
}
