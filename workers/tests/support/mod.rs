//! A cluster in memory: drives, an index, and what a gateway would do.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod drive;
pub mod multipart;
pub mod replace;
pub mod unmerged;
pub mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use drive::MemoryDrive;
use futures::TryStreamExt;
use holdfast_index::{Batch, Index, Locks, MemoryIndex, Row, Table, Transaction, keys, rows};
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{
    Body, BucketId, BucketRow, ByteRange, ClusterId, ClusterMap, DriveId, DriveUse, ETag,
    GatewayId, Geometry, IndexId, Manifest, ManifestKind, MapDrive, MapVersion, Metadata, NodeId,
    Order, PurgeKind, PurgeRow, Record, TombstoneTarget, VersionName, VersionRow, WriteId,
};
use holdfast_seam::{Clock, World};
use holdfast_store::placement::{compute_map, group_of};
use holdfast_store::{
    BodyPlan, Drives, StagedBody, Store, StoreConfig, StoreError, StoreMetrics, Trouble, row_name,
};
use holdfast_workers::claim::{MAP_KIND, MAP_NAME};
use holdfast_workers::{
    ClaimOptions, Claimed, LeaseGuard, MergeReport, Merging, NextWrite, OnReclaim, Readers,
    Workers, WorkersConfig, WorkersMetrics, WorkersParts, claim,
};
use prometheus::Registry;
use tokio::sync::mpsc;
use unmerged::Opened;

pub const CLUSTER: ClusterId = ClusterId::new(0xc1);
pub const BUCKET: BucketId = BucketId::new(77);
/// Bodies above this many bytes are coded.
pub const INLINE: usize = 1000;

/// The drives, and what outlives a process.
pub struct Cluster {
    pub world: World,
    pub drives: Vec<Arc<MemoryDrive>>,
    pub index: Arc<MemoryIndex>,
    pub on_reclaim: OnReclaim,
    pub lease: LeaseGuard,
    geometry: Geometry,
    epoch: u32,
}

/// A running gateway.
pub struct Running {
    pub store: Store,
    pub index: Arc<MemoryIndex>,
    pub readers: Arc<Readers>,
    pub workers: Workers,
    pub merged: MergeReport,
    pub claimed: Claimed,
    pub next_write: NextWrite,
    pub metrics: WorkersMetrics,
}

pub fn config() -> WorkersConfig {
    WorkersConfig {
        poll_interval: Duration::from_millis(20),
        suspect_after: Duration::from_millis(60),
        down_after: Duration::from_millis(100),
        rescan_interval: Duration::from_millis(100),
        drive_deadline: Duration::from_secs(5),
        sweep_grace: Duration::from_millis(50),
        inventory_page: 7,
        compare_window: 20,
        watch_one_in: u64::MAX,
        ..WorkersConfig::default()
    }
}

impl Cluster {
    pub fn new(geometry: &str, drives: u64) -> Self {
        let drive = |number| MemoryDrive::new(DriveId::new(number), CLUSTER);
        Self {
            world: World::real(2),
            drives: (1..=drives).map(drive).collect(),
            index: Arc::new(MemoryIndex::new(IndexId::new(1))),
            on_reclaim: Arc::new(|_| {}),
            lease: LeaseGuard::unlimited(),
            geometry: Geometry::parse(geometry).unwrap(),
            epoch: 0,
        }
    }

    pub fn drive(&self, id: DriveId) -> &MemoryDrive {
        self.drives.iter().find(|drive| drive.id == id).unwrap()
    }

    pub fn attached(&self) -> Arc<Drives> {
        let drives = Arc::new(Drives::new(Arc::clone(&self.world.clock)));
        for drive in &self.drives {
            drives.attach(drive.id, Arc::clone(drive) as _);
        }
        drives
    }

    pub fn map(&self, version: u64) -> ClusterMap {
        let drives = self.drives.iter().map(|drive| MapDrive {
            id: drive.id,
            node: NodeId::new(1),
            weight: 1,
            usage: DriveUse::Active,
            is_whole: true,
        });
        let version = MapVersion::new(version);
        compute_map(CLUSTER, version, self.geometry, drives.collect()).unwrap()
    }

    fn next_write(&mut self) -> NextWrite {
        self.epoch += 1;
        let (gateway_epoch, counter) = (self.epoch, AtomicU64::new(1));
        Arc::new(move || WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch,
            counter: counter.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn store(&self, drives: Arc<Drives>, map: ClusterMap) -> (Store, mpsc::Receiver<Trouble>) {
        let (send, trouble) = mpsc::channel(100);
        let config = StoreConfig {
            inline_len_max: INLINE,
            late_grace: Duration::from_millis(20),
            ..StoreConfig::default()
        };
        let metrics = StoreMetrics::register(&Registry::new()).unwrap();
        let store = Store::new(config, self.world.clone(), drives, map, metrics, send);
        (store, trouble)
    }

    /// Claims and merges; without starting workers.
    pub async fn open(
        &mut self,
        options: &ClaimOptions,
        rebuild: Option<bool>,
    ) -> Result<Opened, holdfast_workers::WorkersError> {
        let drives = self.attached();
        let claimed = claim(&drives, &self.world, &*self.index, options).await?;
        let map = claimed.map.clone().unwrap_or_else(|| self.map(1));
        let (store, trouble) = self.store(drives, map);
        let next_write = self.next_write();
        let deadline = Duration::from_secs(5);
        let merging = Merging {
            store: &store,
            index: &*self.index,
            next_write: &next_write,
            deadline,
        };
        let merged = match rebuild {
            None => merging.claimed(&claimed).await?,
            Some(force) => merging.all(&claimed, force).await?,
        };
        Ok((store, claimed, merged, next_write, trouble))
    }

    /// Starts a gateway; the first start makes the map and a bucket.
    pub async fn start(&mut self) -> Running {
        self.start_with(config()).await
    }

    pub async fn start_with(&mut self, config: WorkersConfig) -> Running {
        let (store, claimed, merged, next_write, trouble) =
            self.open(&ClaimOptions::default(), None).await.unwrap();
        let (readers, is_first) = (Arc::new(Readers::default()), claimed.map.is_none());
        let index: Arc<MemoryIndex> = Arc::clone(&self.index);
        if is_first {
            let value = store.map().encode();
            system(&store, &index, &next_write, MAP_KIND, MAP_NAME, |_| value).await;
        }
        let metrics = WorkersMetrics::register(&Registry::new()).unwrap();
        let workers = Workers::start(WorkersParts {
            store: store.clone(),
            index: Arc::clone(&index) as _,
            claimed: claimed.clone(),
            merged: merged.clone(),
            readers: Arc::clone(&readers),
            next_write: Arc::clone(&next_write),
            lease: self.lease.clone(),
            trouble,
            on_fatal: Arc::new(|why| panic!("fatal: {why}")),
            on_reclaim: Arc::clone(&self.on_reclaim),
            metrics: metrics.clone(),
            config,
        })
        .await
        .unwrap();
        let running = Running {
            store,
            index,
            readers,
            workers,
            merged,
            claimed,
            next_write,
            metrics,
        };
        if is_first {
            running.make_bucket().await;
        }
        running
    }

    /// Ends a gateway, as kill −9 does but for its tasks.
    pub async fn kill(&mut self, running: Running) {
        running.workers.stop().await;
        self.index = Arc::new(running.index.reopen());
    }
}

async fn system(
    store: &Store,
    index: &MemoryIndex,
    next_write: &NextWrite,
    kind: &str,
    name: &str,
    value: impl FnOnce(Order) -> Bytes,
) -> Order {
    let mut txn = index.begin(Locks::none()).await.unwrap();
    let order = txn.take_order();
    let value = value(order);
    let record = Record::System {
        write: next_write(),
        order,
        kind: kind.to_owned(),
        name: name.to_owned(),
        value: value.clone(),
    };
    let sealed = store.seal_system(&record).await.unwrap();
    let mut batch = Batch::new();
    batch.put_system(kind, name, Row::new(order, value.clone()));
    if kind == "bucket" {
        batch.put(Table::Bucket, keys::bucket(name), Row::new(order, value));
    }
    for (drive, position) in sealed.seen {
        batch.seen(drive, position);
    }
    txn.commit(batch).await.unwrap();
    order
}

impl Running {
    async fn make_bucket(&self) {
        let bucket = |order| {
            BucketRow {
                id: BUCKET,
                name: "bucket".to_owned(),
                order,
                created_ms: 0,
                owner: "me".to_owned(),
                config: Vec::new(),
            }
            .encode()
        };
        system(
            &self.store,
            &self.index,
            &self.next_write,
            "bucket",
            "bucket",
            bucket,
        )
        .await;
    }

    pub fn manifest(&self, key: &str, order: Order, len: u64, body: Body) -> Manifest {
        Manifest {
            kind: ManifestKind::Version(VersionName::Null),
            bucket: BUCKET,
            key: key.to_owned(),
            write: (self.next_write)(),
            order,
            version: order,
            map_version: self.store.map().version,
            created_ms: 1,
            len,
            etag: ETag::default(),
            geometry: self.store.map().geometry,
            body,
            checksum: None,
            metadata: Metadata::default(),
        }
    }

    /// Writes an object; `commit` false stops before the index, as a crash would.
    pub async fn put(&self, key: &str, bytes: &[u8], commit: bool) -> Option<VersionRow> {
        self.put_as(key, bytes, commit, |_| {}).await
    }

    /// As [`Running::put`], with what `say` makes of the manifest.
    pub async fn put_as(
        &self,
        key: &str,
        bytes: &[u8],
        commit: bool,
        say: impl FnOnce(&mut Manifest),
    ) -> Option<VersionRow> {
        let write = (self.next_write)();
        let group = group_of(BUCKET, key);
        let plan = BodyPlan {
            write,
            group,
            len: Some(bytes.len() as u64),
            checksum: None,
            geometry: None,
        };
        let body = Bytes::copy_from_slice(bytes);
        let source = futures::stream::iter([Ok::<_, std::io::Error>(body)]);
        let staged = self.store.receive(plan, source).await.unwrap();
        let mut txn = self
            .index
            .begin(Locks::none().key(BUCKET, key))
            .await
            .unwrap();
        let order = txn.take_order();
        let mut manifest = self.manifest(key, order, bytes.len() as u64, Body::Empty);
        manifest.write = write;
        say(&mut manifest);
        let sealed = match staged.body {
            StagedBody::Empty => unreachable!("tests write bytes"),
            StagedBody::Inline(body) => {
                manifest.body = Body::Inline;
                let record = Record::Commit {
                    manifest: manifest.clone(),
                    body,
                };
                self.store.seal_small(&record, group).await
            }
            StagedBody::Coded(coded) => {
                let (drives, digests) = (coded.drives.clone(), coded.digests.clone());
                manifest.body = Body::Coded { drives, digests };
                self.store.seal_coded(&manifest, coded).await
            }
        };
        let Ok(sealed) = sealed else {
            self.workers.void(write, self.store.drives().ids());
            return None;
        };
        let row = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        if commit {
            self.commit(txn, &row, sealed.seen).await;
        }
        Some(row)
    }

    /// Makes a version current, in place of what is there.
    async fn commit(
        &self,
        txn: Box<dyn Transaction>,
        row: &VersionRow,
        seen: Vec<(DriveId, LogPosition)>,
    ) {
        let (mut batch, order) = (Batch::new(), row.manifest.order);
        let old = self.row(&row.manifest.key).await;
        batch.put_current(row);
        if let Some(old) = &old {
            batch.count(&old.manifest, -1);
            let purge = PurgeRow {
                kind: PurgeKind::Gone,
                writes: vec![old.manifest.write],
                guard: None,
                waiting: old.placement.drives().collect(),
                guard_holders: Vec::new(),
            };
            batch.put_purge(order, old.manifest.write, &purge);
        }
        batch.count(&row.manifest, 1);
        for (drive, position) in seen {
            batch.seen(drive, position);
        }
        if row.placement.missing != 0 {
            batch.put_heal(0, &row_name(&row.manifest), &row.manifest);
        }
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
        self.workers.wake_heal();
    }

    /// Deletes an object; `commit` false stops before the index.
    pub async fn delete(&self, key: &str, commit: bool) {
        let mut txn = self
            .index
            .begin(Locks::none().key(BUCKET, key))
            .await
            .unwrap();
        let old = rows::get_current(&*self.index, BUCKET, key)
            .await
            .unwrap()
            .unwrap();
        let order = txn.take_order();
        let tombstone = Record::Tombstone {
            write: (self.next_write)(),
            order,
            bucket: BUCKET,
            key: key.to_owned(),
            target: TombstoneTarget::Null,
        };
        let group = group_of(BUCKET, key);
        let sealed = self.store.seal_small(&tombstone, group).await.unwrap();
        if !commit {
            return;
        }
        let mut batch = Batch::new();
        batch.delete_current(BUCKET, key, old.manifest.order);
        batch.count(&old.manifest, -1);
        let mut waiting: Vec<DriveId> = old.placement.drives().collect();
        waiting.extend(self.store.group(group));
        waiting.sort_unstable();
        waiting.dedup();
        let purge = PurgeRow {
            kind: PurgeKind::Gone,
            writes: vec![old.manifest.write],
            guard: Some(tombstone.write()),
            waiting,
            guard_holders: sealed.placement.drives().collect(),
        };
        batch.put_purge(order, old.manifest.write, &purge);
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
    }

    pub async fn row(&self, key: &str) -> Option<VersionRow> {
        rows::get_current(&*self.index, BUCKET, key).await.unwrap()
    }

    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let row = Arc::new(self.row(key).await?);
        Some(self.read(row).await.unwrap())
    }

    /// Whether it can be read to its end.
    pub async fn is_readable(&self, key: &str) -> bool {
        let row = Arc::new(self.row(key).await.unwrap());
        self.read(row).await.is_ok()
    }

    async fn read(&self, row: Arc<VersionRow>) -> Result<Vec<u8>, StoreError> {
        let range = ByteRange::new(0, row.manifest.len);
        let pieces: Vec<Bytes> = self.store.read(row, range).try_collect().await?;
        Ok(pieces.concat())
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.store.world().clock
    }

    /// Waits until `is_so`, for at most a minute.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut is_so: impl FnMut() -> F) {
        let start = self.clock().now();
        while !is_so().await {
            let waited = self.clock().now().since(start);
            assert!(
                waited < Duration::from_secs(60),
                "waited in vain until {what}"
            );
            self.clock().sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing is left to heal or to purge, and all drives were compared.
    pub async fn until_quiet(&self) {
        self.until("all is whole", || async { self.is_quiet().await })
            .await;
    }

    async fn is_quiet(&self) -> bool {
        let status = self.workers.heal_status();
        let purges = rows::purge_queue(&*self.index, None, 1).await.unwrap();
        let report = self.workers.check(&|_| {}).await.unwrap();
        status.backlog_objects == 0
            && purges.items.is_empty()
            && report.clean
            && report.counts.healing + report.counts.purging == 0
    }
}

/// Bytes that tell where they are from.
pub fn body(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}
