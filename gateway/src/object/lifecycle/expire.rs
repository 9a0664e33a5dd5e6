//! Carrying out lifecycle rules on a key or an upload.
//!
//! Owns: what is due now, under the locks and by the rules as of then, and removing it.
//! Leaves to others: when to look ([`super::run`]), how one version is removed or marked
//! ([`crate::object::delete`]), many ([`super::noncurrent`]) or moved ([`super::moves`]), and an
//! upload aborted ([`crate::object::upload`]).
//! Always: what goes, goes as by a client's delete: a durable record first, then one commit. What
//! is locked stays. An entry leaves the queue in the commit that finds nothing more to do, which
//! queues when to look again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_index::due::{self, Due};
use holdfast_index::rows;
use holdfast_index::{Batch, Locks, Mode, Table, Transaction};
use holdfast_protocol::{UploadRow, VersionRow, WriteId};

use super::moves::Moving;
use super::rules;
use crate::auth::Caller;
use crate::error::GatewayError;
use crate::metrics::LifecycleMetrics;
use crate::names::{BucketName, ObjectKey};
use crate::object::bucket::Bucket;
use crate::object::service::Service;
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
    /// Entries that stay until what they are about may be tried again.
    pub(super) held: u64,
}

/// Who looks: what moves is left to others, as that may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hands {
    /// Who lets things go.
    Ending,
    /// Who moves things.
    Moving,
}

/// What the rules say of a key's noncurrent versions.
#[derive(Default)]
pub(super) struct Noncurrent {
    /// The oldest that go now.
    going: VecDeque<VersionId>,
    /// Some that move now.
    pub(super) moving: Vec<Moving>,
    /// Whether others would that failed to a short time ago.
    pub(super) is_held: bool,
    /// When the next one is due.
    next: Option<u64>,
    /// How many there are, or one.
    count: usize,
}

impl Noncurrent {
    pub(super) fn wait(&mut self, until_ms: Option<u64>) {
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
        self.held += other.held;
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
    /// What moves failed to a short time ago.
    Hold,
    /// Nothing, until then.
    Wait(Option<u64>),
}

/// Notes how moves ended. Returns whether all of them failed: then the key has its next turn in a
/// later round, also where there is no room to know of the failures.
fn is_stuck(
    done: &mut Done,
    failed: &mut Option<GatewayError>,
    (moved, error): (u64, Option<GatewayError>),
) -> bool {
    let is_stuck = moved == 0 && error.is_some();
    done.moved += moved;
    *failed = failed.take().or(error);
    is_stuck
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
        let mut failed = None;
        loop {
            let locks = Locks::none().key(bucket.id, key);
            let (mut txn, bucket) = self.begin_in(bucket, locks).await?;
            match self.step(txn.as_mut(), &bucket, key, hands).await? {
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
                    self.queue_move(txn, &bucket, key, popped, next_ms).await?;
                    metrics.moving.inc();
                    return Ok(done);
                }
                Step::Move(moving, _) => {
                    drop(txn);
                    let moved = self.move_some(&bucket, &delete.key, &moving, metrics);
                    if is_stuck(&mut done, &mut failed, moved.await) {
                        break;
                    }
                }
                Step::Hold => break,
                Step::Wait(next_ms) => {
                    let due = Due::versions(bucket.id, key);
                    let batch = Batch::new();
                    self.requeue(txn, batch, popped, next_ms, &due).await?;
                    return Ok(done);
                }
            }
        }
        done.held += popped.len() as u64;
        failed.map_or(Ok(done), Err)
    }

    /// Leaves a key to who moves things.
    async fn queue_move(
        &self,
        txn: Box<dyn Transaction>,
        bucket: &Bucket,
        key: &str,
        popped: &[Bytes],
        next_ms: Option<u64>,
    ) -> Result<(), GatewayError> {
        let due = Due::versions(bucket.id, key);
        let mut batch = Batch::new();
        batch.put_due(due::MOVE_MS, &due);
        self.requeue(txn, batch, popped, next_ms, &due).await
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
        hands: Hands,
    ) -> Result<Step, GatewayError> {
        let Some(lifecycle) = bucket.settings().lifecycle.as_ref() else {
            return Ok(Step::Wait(None));
        };
        let Some(current) = rows::get_current(&mut *txn, bucket.id, key).await? else {
            return Ok(Step::Wait(None));
        };
        let now_ms = self.store.world().clock.unix_ms();
        let mut found = self
            .noncurrent_step(txn, lifecycle, &current, (now_ms, hands))
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
        self.moved_by(&mut found, moves, (manifest, None), (now_ms, hands));
        Ok(match found.moving.is_empty() {
            true if found.is_held => Step::Hold,
            true => Step::Wait(found.next),
            false => Step::Move(found.moving, found.next),
        })
    }

    /// What is to be done with the noncurrent versions.
    async fn noncurrent_step(
        &self,
        txn: &mut dyn Transaction,
        lifecycle: &Lifecycle,
        current: &VersionRow,
        (now_ms, hands): (u64, Hands),
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
                    let version = (manifest, Some(&newer));
                    self.moved_by(&mut found, moves, version, (now_ms, hands));
                }
                newer.push(manifest.created_ms);
                found.count += 1;
            }
            if !page.more || limit < PAGE {
                return Ok(found);
            }
        }
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
