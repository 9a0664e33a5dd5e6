//! The operations over store and index.
//!
//! Owns: what all operations share: write ids, row access, running a commit to its end, retiring
//! rows.
//! Leaves to others: each operation (a file of this folder each).
//! Always: a commit, once begun, runs in a task of the gateway: a client that goes away does not
//! stop it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_index::{Batch, Index, IndexError, Row, Table, Transaction, keys, rows};
use holdfast_protocol::row::{PartRow, PurgeKind, PurgeRow, VersionRow};
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{
    Body, BucketId, DriveId, ETag, GatewayId, Manifest, ManifestKind, Metadata, Order, Placement,
    Record, TombstoneTarget, WriteId,
};
use holdfast_seam::planted;
use holdfast_store::placement::group_of;
use holdfast_store::{Sealed, Store, StoreError, row_name};
use holdfast_workers::{LeaseGuard, Readers};
use tokio::sync::{OnceCell, RwLock, oneshot};

use super::bucket::Kept;
use super::classes::Classes;
use super::lifecycle::{Changes, Day, Failures};
use crate::error::GatewayError;
use crate::names::ObjectKey;
use crate::notify::Queue;

/// What the service tells the workers of this process.
pub trait Notices: Send + Sync + 'static {
    /// There is something to purge.
    fn purge(&self);
    /// There is something to heal.
    fn heal(&self);
    /// A write failed after its record was sent to some of these drives: it must be voided.
    fn void(&self, write: WriteId, drives: Vec<DriveId>);
    /// Whether a write that no row shows may be on a drive without its void: one that failed, or
    /// that an earlier process left.
    fn hides_writes(&self) -> bool;
    /// The gateway must stop: it was fenced, or its index can no longer be written.
    fn fatal(&self, why: String);
}

/// The names of this gateway's writes.
#[derive(Debug)]
pub struct WriteIds {
    gateway: GatewayId,
    gateway_epoch: u32,
    counter: AtomicU64,
}

impl WriteIds {
    /// Names for one gateway in one epoch; each epoch is used by one process only.
    pub fn new(gateway: GatewayId, gateway_epoch: u32) -> Self {
        Self {
            gateway,
            gateway_epoch,
            counter: AtomicU64::new(0),
        }
    }
    /// Whose names these are, and of which epoch.
    pub(super) fn own(&self) -> (GatewayId, u32) {
        (self.gateway, self.gateway_epoch)
    }
    /// A name that was never used before.
    pub fn next(&self) -> WriteId {
        WriteId {
            gateway: self.gateway,
            gateway_epoch: self.gateway_epoch,
            counter: self.counter.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

/// The operations; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) index: Arc<dyn Index>,
    pub(super) readers: Arc<Readers>,
    pub(super) ids: Arc<WriteIds>,
    pub(super) notices: Arc<dyn Notices>,
    lease: LeaseGuard,
    /// Whether a rebuild left anything in doubt; only a start changes that.
    pub(super) doubts: Arc<OnceCell<bool>>,
    pub(super) buckets: Arc<Kept>,
    /// Held alone while accounts change.
    pub(super) owners: Arc<RwLock<()>>,
    /// How long a day of lifecycle rules is.
    pub(super) day: Day,
    pub(super) rules: Arc<Changes>,
    /// Moves between storage classes that failed.
    pub(super) failures: Arc<Failures>,
    pub(super) classes: Arc<Classes>,
    /// Where events wait; none are made without it.
    pub(super) events: Option<Queue>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A version or part that stops being visible.
#[derive(Debug, Default)]
pub(super) struct Retired {
    writes: Vec<WriteId>,
    drives: BTreeSet<DriveId>,
}

impl Retired {
    pub(super) fn add(&mut self, write: WriteId, placement: &Placement) {
        self.writes.push(write);
        self.drives.extend(placement.drives());
    }
}

impl Service {
    /// The operations over `store` and `index`, which was claimed and merged.
    pub fn new(
        store: Store,
        index: Arc<dyn Index>,
        readers: Arc<Readers>,
        ids: Arc<WriteIds>,
        notices: Arc<dyn Notices>,
    ) -> Self {
        Self {
            store,
            index,
            readers,
            ids,
            notices,
            lease: LeaseGuard::unlimited(),
            doubts: Arc::default(),
            buckets: Arc::default(),
            owners: Arc::default(),
            day: Day::default(),
            rules: Arc::default(),
            failures: Arc::default(),
            classes: Arc::default(),
            events: None,
        }
    }

    /// The same, with these storage classes.
    #[must_use]
    pub fn with_classes(mut self, classes: Classes) -> Self {
        self.classes = Arc::new(classes);
        self
    }

    /// The same, serving under a lease.
    #[must_use]
    pub fn under(mut self, lease: LeaseGuard) -> Self {
        self.lease = lease;
        self
    }

    /// The same, telling what buckets have told.
    #[must_use]
    pub fn telling(mut self, events: Queue) -> Self {
        self.events = Some(events);
        self
    }

    /// The outcome of an operation, if it may still be told: what it read or committed counts only
    /// when the lease held after that. A write whose lease ran out may have taken effect, and ends
    /// in 5xx, whatever became of it.
    pub(crate) fn told<T>(&self, outcome: Result<T, GatewayError>) -> Result<T, GatewayError> {
        match self.lease.check() {
            Ok(()) => outcome,
            Err(_) if planted("lease-unchecked") => outcome,
            Err(lapsed) => Err(GatewayError::Unavailable {
                why: lapsed.to_string(),
            }),
        }
    }

    /// Runs `work` to its end, also when the caller is dropped.
    pub(crate) async fn to_the_end<T, F>(
        &self,
        name: &'static str,
        work: F,
    ) -> Result<T, GatewayError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, GatewayError>> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let span = tracing::Span::current();
        let task = async move {
            let _ = send.send(work.await);
        };
        let task = tracing::Instrument::instrument(task, span);
        self.store.world().spawn.task(name, Box::pin(task));
        receive.await.unwrap_or_else(|_| {
            Err(GatewayError::Unavailable {
                why: "shutting down".to_owned(),
            })
        })
    }

    /// The manifest of a new write, without a body; who writes it adds what it has.
    pub(super) fn manifest(
        &self,
        kind: ManifestKind,
        bucket: BucketId,
        key: &str,
        write: WriteId,
        order: Order,
    ) -> Manifest {
        let map = self.store.map();
        let version = match kind {
            ManifestKind::Version(_) => order,
            _ => Order::ZERO,
        };
        Manifest {
            kind,
            bucket,
            key: key.to_owned(),
            write,
            order,
            version,
            map_version: map.version,
            created_ms: self.store.world().clock.unix_ms(),
            len: 0,
            etag: ETag::default(),
            geometry: map.geometry,
            body: Body::Empty,
            checksum: None,
            metadata: Metadata::default(),
        }
    }

    /// The current version of a key, delete markers included.
    pub(super) async fn current(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
    ) -> Result<Option<VersionRow>, GatewayError> {
        Ok(rows::get_current(&*self.index, bucket, key.as_str()).await?)
    }

    /// All parts of an upload, in ascending number.
    pub(super) async fn parts(&self, upload: WriteId) -> Result<Vec<PartRow>, GatewayError> {
        let mut parts = Vec::new();
        let mut after = None;
        loop {
            let page = rows::list_parts(&*self.index, upload, after, 1000).await?;
            after = page.items.last().map(|(number, _)| *number);
            parts.extend(page.items.into_iter().map(|(_, part)| part));
            if !page.more {
                return Ok(parts);
            }
        }
    }

    /// Makes a record small enough for its drives durable; a failure that may have left copies is
    /// voided.
    pub(super) async fn seal(&self, record: &Record, bucket: BucketId, key: &str) -> Sealing {
        let group = group_of(bucket, key);
        let sealed = self.store.seal_small(record, group).await;
        self.voided(record.write(), sealed, || self.store.group(group))
    }

    /// Hands a write that failed half way to the workers.
    pub(super) fn voided(
        &self,
        write: WriteId,
        sealed: Sealing,
        drives: impl FnOnce() -> Vec<DriveId>,
    ) -> Sealing {
        match &sealed {
            Err(StoreError::WriteQuorum { sent: true, .. }) => self.notices.void(write, drives()),
            Err(error @ StoreError::Fenced { .. }) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                self.notices
                    .fatal(format!("{error}: {}", cause.unwrap_or_default()));
            }
            _ => {}
        }
        sealed
    }

    /// Commits; an index that can no longer be written stops the gateway.
    pub(super) async fn commit(
        &self,
        txn: Box<dyn Transaction>,
        batch: Batch,
    ) -> Result<(), GatewayError> {
        self.committed(txn.commit(batch).await)
    }

    /// The same of what must be durable first; the rest is done under the same locks.
    pub(super) async fn commit_first(
        &self,
        txn: Box<dyn Transaction>,
        batch: Batch,
    ) -> Result<Box<dyn Transaction>, GatewayError> {
        self.committed(txn.commit_part(batch).await)
    }

    fn committed<T>(&self, outcome: Result<T, IndexError>) -> Result<T, GatewayError> {
        if let Err(error @ (IndexError::Broken { .. } | IndexError::Unknown { .. })) = &outcome {
            self.notices.fatal(error.to_string());
        }
        Ok(outcome?)
    }

    /// Adds what a version stands for: its own write, its metadata record and, when made by
    /// Complete, upload and parts, whose rows go with it.
    pub(super) async fn retire_version(
        &self,
        row: &VersionRow,
        retired: &mut Retired,
        batch: &mut Batch,
    ) -> Result<(), GatewayError> {
        retired.add(row.manifest.write, &row.placement);
        drop_heal(&row.manifest, &row.placement, batch);
        let (bucket, key) = (row.manifest.bucket, &row.manifest.key);
        if row.changed.is_some() {
            let version = row.manifest.version;
            let changed = rows::get_metadata(&*self.index, bucket, key, version).await?;
            if let Some(changed) = changed {
                retired.add(changed.manifest.write, &changed.placement);
                batch.delete_metadata(&changed.manifest);
            }
        }
        let Body::Parts { upload, .. } = &row.manifest.body else {
            return Ok(());
        };
        for part in self.parts(*upload).await? {
            self.retire_part(*upload, &part, retired, batch);
        }
        if let Some(found) = rows::get_upload(&*self.index, bucket, key, *upload).await? {
            retired.add(*upload, &found.placement);
            batch.delete(Table::Upload, keys::upload(bucket, key, *upload));
            batch.delete(Table::Upload, keys::upload_by_id(*upload));
        }
        Ok(())
    }

    pub(super) fn retire_part(
        &self,
        upload: WriteId,
        part: &PartRow,
        retired: &mut Retired,
        batch: &mut Batch,
    ) {
        retired.add(part.manifest.write, &part.placement);
        drop_heal(&part.manifest, &part.placement, batch);
        if let holdfast_protocol::ManifestKind::Part { number, .. } = part.manifest.kind {
            batch.delete(Table::Part, keys::part(upload, number));
        }
    }

    /// A tombstone's record for a key.
    pub(super) fn tombstone(
        &self,
        order: Order,
        bucket: BucketId,
        key: &str,
        target: TombstoneTarget,
    ) -> Record {
        Record::Tombstone {
            write: self.ids.next(),
            order,
            bucket,
            key: key.to_owned(),
            target,
        }
    }

    /// Tells the workers what a batch left them to do.
    pub(super) fn notify(&self, purge: bool, heal: bool) {
        if let Some(events) = &self.events {
            events.ring();
        }
        if purge {
            self.notices.purge();
        }
        if heal {
            self.notices.heal();
        }
    }
}

/// The outcome of making a record durable.
pub(super) type Sealing = Result<Sealed, StoreError>;

/// Queues what was retired; `guard` is the tombstone and the drives that hold it. A tombstone may
/// stand alone: what it covers was never shown.
pub(super) fn queue_purge(
    batch: &mut Batch,
    order: Order,
    retired: Retired,
    guard: Option<(WriteId, &Placement, Vec<DriveId>)>,
) {
    let tombstone = guard.as_ref().map(|(write, ..)| *write);
    let Some(name) = retired.writes.first().copied().or(tombstone) else {
        return;
    };
    let mut waiting = retired.drives;
    let (mut guard_write, mut guard_holders) = (None, Vec::new());
    if let Some((write, placement, group)) = guard {
        waiting.extend(placement.drives());
        waiting.extend(group);
        guard_write = Some(write);
        guard_holders = placement.drives().collect();
    }
    let row = PurgeRow {
        kind: PurgeKind::Gone,
        writes: retired.writes,
        guard: guard_write,
        waiting: waiting.into_iter().collect(),
        guard_holders,
    };
    batch.set(
        Table::Purge,
        keys::purge(order, name),
        Row::new(order, row.encode()),
    );
}

/// Queues a row whose shards are not all durable. Returns whether it did.
pub(super) fn queue_heal(batch: &mut Batch, manifest: &Manifest, placement: &Placement) -> bool {
    let Some(margin) = heal_margin(manifest, placement) else {
        return false;
    };
    batch.put_heal(margin, &row_name(manifest), manifest);
    true
}

fn drop_heal(manifest: &Manifest, placement: &Placement, batch: &mut Batch) {
    if let Some(margin) = heal_margin(manifest, placement) {
        batch.delete_heal(margin, manifest.write);
    }
}

/// Good shards beyond k, of a coded body that misses some; `None` when nothing is missing.
fn heal_margin(manifest: &Manifest, placement: &Placement) -> Option<u8> {
    if placement.missing == 0 || !matches!(manifest.body, Body::Coded { .. }) {
        return None;
    }
    let missing = placement.missing.count_ones() as usize;
    Some(manifest.geometry.parity().saturating_sub(missing) as u8)
}

/// Notes where the drives' logs end.
pub(super) fn note_seen(batch: &mut Batch, seen: &[(DriveId, LogPosition)]) {
    for &(drive, position) in seen {
        batch.seen(drive, position);
    }
}
