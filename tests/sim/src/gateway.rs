//! The gateway's process: from drives and an index to a serving gateway, and to its end.
//!
//! Owns: claim, merge, map, workers and operations, in the order of the product's start.
//! Leaves to others: nodes ([`crate::cluster`]), when ([`crate::director`]).
//! Always: what a killed gateway was doing is over; its index keeps what was durable.

mod lease;
mod map;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_gateway::metrics::abandoned_uploads;
use holdfast_gateway::object::{Notices, Service, WriteIds};
use holdfast_index::{Index, MemoryIndex};
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::rpc::handshake::{Expected, Identity, Service as RpcService};
use holdfast_protocol::{ClusterMap, DriveId, GatewayId, MapDrive, NodeId, WriteId};
use holdfast_seam::rpc::{ClientConfig, ClientLimits, RemoteNode, RpcClient};
use holdfast_seam::{NodeClient, RpcMetrics, World};
use holdfast_store::{Drives, Store, StoreConfig, StoreMetrics, Trouble, survey};
use holdfast_workers::{
    Claimed, LeaseGuard, LeaseKeeper, MergeReport, Merging, NextWrite, Readers, Workers,
    WorkersConfig, WorkersMetrics, WorkersParts, change_map,
};
use prometheus::Registry;
use tokio::sync::mpsc;

use crate::cluster::{CLUSTER, Cluster, chain, secret};
use crate::disk::SimDisk;
use crate::exec::{Exec, ProcessId};
use crate::front;
use crate::index::SimIndex;
use crate::net::Host;
use crate::plan::Plan;
pub use lease::Leasing;
use map::{first_map, replaced};

const GATEWAY: GatewayId = GatewayId::new(1);
/// How a rebuild says that it is done.
pub const REBUILT: &str = "rebuilt";
const STRIPE_BYTES: usize = 2 << 20;

/// A gateway that serves.
pub struct Running {
    /// Its process.
    pub process: ProcessId,
    /// Its machine.
    pub host: Host,
    /// The operations.
    pub service: Service,
    /// The background work.
    pub workers: Workers,
    /// The store.
    pub store: Store,
    /// The index.
    pub index: SimIndex,
    /// What the merge did.
    pub merged: MergeReport,
    ids: Arc<WriteIds>,
    lease: Option<LeaseKeeper>,
    world: World,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// How far a gateway's process is.
#[derive(Clone, Debug, Default)]
pub enum Progress {
    /// It has not come to serving yet.
    #[default]
    Starting,
    /// It serves.
    Serving(Arc<Running>),
    /// It must end, or could not start.
    Failed(String),
}

type Shared = Arc<Mutex<Progress>>;

/// A gateway's process.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its process.
    pub process: ProcessId,
    /// Its index.
    pub index: SimIndex,
    progress: Shared,
}

/// How a gateway is to be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As always.
    #[default]
    Normal,
    /// Rebuild a new index from the drives, and end.
    Rebuild,
}

/// What a start is made of.
struct Parts {
    exec: Exec,
    world: World,
    plan: Plan,
    index: SimIndex,
    remotes: Vec<(Host, NodeId, Vec<DriveId>)>,
    map_drives: Vec<MapDrive>,
    replaced: Vec<(DriveId, MapDrive)>,
    process: ProcessId,
    host: Host,
    start: Start,
    leasing: Option<Leasing>,
}

impl Gateway {
    /// Starts a process over `memory`.
    pub fn start(
        cluster: &mut Cluster,
        memory: MemoryIndex,
        start: Start,
        leasing: Option<Leasing>,
    ) -> Self {
        let exec = cluster.exec.clone();
        let process = exec.process();
        let disk = SimDisk::new(0);
        let world = cluster.world(cluster.gateway_host, process, disk);
        let sync = cluster.plan.index_sync_max;
        let index = SimIndex::start(&exec, process, memory, cluster.dice(), sync);
        let remotes = cluster.nodes.iter().map(|node| {
            let drives = node.drives.iter().map(|drive| drive.id);
            (node.host, node.id, drives.collect())
        });
        let parts = Parts {
            exec: exec.clone(),
            world,
            plan: cluster.plan.clone(),
            index: index.clone(),
            remotes: remotes.collect(),
            map_drives: cluster.map_drives(),
            replaced: cluster.replaced.clone(),
            process,
            host: cluster.gateway_host,
            start,
            leasing,
        };
        exec.note(|| format!("gateway {} starts: {start:?}", process.0));
        let progress = Shared::default();
        let told = Arc::clone(&progress);
        let work = async move {
            let exec = parts.exec.clone();
            let outcome = match run(parts, Arc::clone(&told)).await {
                Ok(running) => Progress::Serving(Arc::new(running)),
                Err(why) => Progress::Failed(why),
            };
            exec.note(|| format!("gateway {}: {}", process.0, outcome.describe()));
            let mut progress = told.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(&*progress, Progress::Failed(_)) {
                *progress = outcome;
            }
        };
        exec.spawn(process, "gateway", Box::pin(work));
        Self {
            process,
            index,
            progress,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Progress {
    fn describe(&self) -> String {
        match self {
            Self::Starting => "starting".to_owned(),
            Self::Serving(running) => {
                let MergeReport {
                    records,
                    shown,
                    removed,
                    retired,
                    voided,
                    ..
                } = &running.merged;
                format!(
                    "serves (merged {records}: {shown} shown, {removed} removed, {retired} \
                     retired, {voided} voided, {:?})",
                    running.merged.doubts
                )
            }
            Self::Failed(why) => format!("failed: {why}"),
        }
    }
}

fn said<E: std::error::Error>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{doing}: {}", chain(&error))
}

/// Clients of all nodes.
fn attach(parts: &Parts, drives: &Drives) {
    for (host, node, ids) in &parts.remotes {
        let remote = Remote {
            world: &parts.world,
            host: *host,
            node: *node,
        };
        let client = remote.client();
        for id in ids {
            drives.attach(*id, Arc::clone(&client));
        }
    }
}

fn store_config(plan: &Plan) -> StoreConfig {
    StoreConfig {
        inline_len_max: plan.inline_len_max,
        write_buffer_bytes: plan.buffers * STRIPE_BYTES,
        read_buffer_bytes: plan.buffers * STRIPE_BYTES,
        drive_deadline: plan.drive_deadline,
        late_grace: Duration::from_millis(50),
        stand_in_delay: Duration::from_millis(100),
        hedge_delay_min: Duration::from_millis(20),
        ..StoreConfig::default()
    }
}

fn workers_config(plan: &Plan) -> WorkersConfig {
    WorkersConfig {
        poll_interval: Duration::from_millis(500),
        drive_deadline: plan.drive_deadline.max(Duration::from_secs(1)),
        suspect_after: Duration::from_secs(3),
        down_after: Duration::from_secs(10),
        out_after: Duration::from_secs(45),
        rescan_interval: Duration::from_secs(10),
        compare_window: plan.compare_window,
        inventory_page: 64,
        compare_interval: plan.compare_interval,
        sweep_grace: plan.sweep_grace,
        ..WorkersConfig::default()
    }
}

fn metrics<T, E: fmt::Debug>(register: impl FnOnce(&Registry) -> Result<T, E>) -> T {
    register(&Registry::new()).expect("a new registry has no such names")
}

async fn run(parts: Parts, told: Shared) -> Result<Running, String> {
    let drives = Arc::new(Drives::new(Arc::clone(&parts.world.clock)));
    attach(&parts, &drives);
    let deadline = parts.plan.drive_deadline.max(Duration::from_secs(1));
    let fatal = fatal(&parts.exec, parts.process, told);
    let (mut claimed, lease) = lease::claimed(&parts, &drives, deadline, &fatal).await?;
    let ids = Arc::new(WriteIds::new(GATEWAY, claimed.generation.get()));
    let first = match claimed.map {
        Some(_) => None,
        None => Some(first_map(&parts)?),
    };
    let map = claimed.map.clone().or_else(|| first.clone());
    let map = map.ok_or("no map")?;
    let (trouble, troubles) = mpsc::channel(64);
    let store = Store::new(
        store_config(&parts.plan),
        parts.world.clone(),
        drives,
        map,
        metrics(StoreMetrics::register),
        trouble,
    );
    let names = Arc::clone(&ids);
    let next_write: NextWrite = Arc::new(move || -> WriteId { names.next() });
    let merging = Merging {
        store: &store,
        index: &parts.index,
        next_write: &next_write,
        deadline,
    };
    let merged = match parts.start {
        Start::Normal => merging.claimed(&claimed).await,
        Start::Rebuild => merging.all(&claimed, false).await,
    };
    let merged = merged.map_err(said("merge"))?;
    if parts.start == Start::Rebuild {
        parts.index.flush().await.map_err(said("flush"))?;
        return Err(REBUILT.to_owned());
    }
    let next = |map: &ClusterMap| first.or_else(|| replaced(map, &parts.replaced));
    let changed = change_map(&store, &parts.index, &next_write, next).await;
    changed.map_err(said("change the map"))?;
    if let Some(lease) = &lease {
        lease.map_changed(&store.map());
    }
    for (_, successor) in &parts.replaced {
        claimed.granted.remove(&successor.id);
    }
    let begun = Begun {
        store,
        ids,
        claimed,
        merged,
        next_write,
        troubles,
        lease,
    };
    serve(parts, begun, fatal).await
}

/// A start that has come as far as the map.
struct Begun {
    store: Store,
    ids: Arc<WriteIds>,
    claimed: Claimed,
    merged: MergeReport,
    next_write: NextWrite,
    troubles: mpsc::Receiver<Trouble>,
    lease: Option<LeaseKeeper>,
}

async fn serve(parts: Parts, begun: Begun, fatal: Fatal) -> Result<Running, String> {
    let Begun {
        store,
        ids,
        claimed,
        merged,
        next_write,
        troubles,
        lease,
    } = begun;
    let readers = Arc::new(Readers::default());
    let (on_fatal, on_reclaim) = (Arc::clone(&fatal), Arc::clone(&fatal));
    let guard = lease
        .as_ref()
        .map_or_else(LeaseGuard::unlimited, LeaseKeeper::guard);
    let workers = Workers::start(WorkersParts {
        store: store.clone(),
        index: Arc::new(parts.index.clone()),
        claimed,
        merged: merged.clone(),
        readers: Arc::clone(&readers),
        next_write,
        lease: guard.clone(),
        trouble: troubles,
        on_fatal: Arc::new(move |why| on_fatal(why)),
        on_reclaim: Arc::new(move |why| on_reclaim(why)),
        metrics: metrics(WorkersMetrics::register),
        config: workers_config(&parts.plan),
    })
    .await
    .map_err(said("workers"))?;
    let notices = Arc::new(Told {
        workers: workers.clone(),
        fatal,
    });
    let index: Arc<dyn Index> = Arc::new(parts.index.clone());
    let service = Service::new(store.clone(), index, readers, Arc::clone(&ids), notices);
    let service = service.under(guard);
    let age = parts.plan.upload_age;
    if !age.is_zero() {
        let aborted = metrics(abandoned_uploads);
        let watch = service.clone().watch_uploads(age, aborted);
        parts.exec.spawn(parts.process, "uploads", Box::pin(watch));
    }
    if parts.plan.through_front {
        let world = parts.world.clone();
        front::start(
            &parts.exec,
            parts.process,
            world,
            parts.host,
            service.clone(),
        );
    }
    Ok(Running {
        process: parts.process,
        host: parts.host,
        service,
        workers,
        store,
        index: parts.index,
        merged,
        ids,
        lease,
        world: parts.world,
    })
}

type Fatal = Arc<dyn Fn(String) + Send + Sync>;

fn fatal(exec: &Exec, process: ProcessId, told: Shared) -> Fatal {
    let exec = exec.clone();
    Arc::new(move |why: String| {
        exec.note(|| format!("gateway {} must end: {why}", process.0));
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Progress::Failed(why);
    })
}

/// What the operations tell.
struct Told {
    workers: Workers,
    fatal: Fatal,
}

impl Notices for Told {
    fn purge(&self) {
        self.workers.wake_purge();
    }
    fn heal(&self) {
        self.workers.wake_heal();
    }
    fn void(&self, write: WriteId, drives: Vec<DriveId>) {
        self.workers.void(write, drives);
    }
    fn hides_writes(&self) -> bool {
        self.workers.hides_writes()
    }
    fn fatal(&self, why: String) {
        (self.fatal)(why);
    }
}

impl Running {
    /// Takes in drives that came after the claim, and puts the successors among them into the
    /// places of the lost ones.
    ///
    /// # Errors
    /// Why it could not be done; it may be tried again.
    pub async fn take_in(
        &self,
        plan: &Plan,
        remote: (Host, NodeId, DriveId),
        changes: &[(DriveId, MapDrive)],
    ) -> Result<(), String> {
        let (host, node, drive) = remote;
        let drives = self.store.drives();
        let parts = Remote {
            world: &self.world,
            host,
            node,
        };
        drives.attach(drive, parts.client());
        let serving = drives.serving();
        let (generation, claimant) = (serving.generation, serving.claimant);
        let deadline = plan.drive_deadline.max(Duration::from_secs(1));
        match survey::claim(drives, drive, deadline, generation, claimant, false).await {
            // It granted this very number before, and the answer was lost.
            Err(DriveError::OldGeneration { current }) if current == generation => {}
            granted => granted.map_err(said("claim the new drive"))?,
        }
        let ids = Arc::clone(&self.ids);
        let next_write: NextWrite = Arc::new(move || -> WriteId { ids.next() });
        let next = |map: &ClusterMap| replaced(map, changes);
        let changed = change_map(&self.store, &self.index, &next_write, next).await;
        if changed.map_err(said("change the map"))? {
            changes.iter().for_each(|(lost, _)| drives.detach(*lost));
            self.workers.map_changed();
            if let Some(lease) = &self.lease {
                lease.map_changed(&self.store.map());
            }
        }
        Ok(())
    }
}

struct Remote<'a> {
    world: &'a World,
    host: Host,
    node: NodeId,
}

impl Remote<'_> {
    fn client(&self) -> Arc<dyn NodeClient> {
        let config = ClientConfig {
            addr: Cluster::addr(self.host),
            service: RpcService::Drives,
            secret: secret(),
            me: Identity::gateway(Some(CLUSTER), GATEWAY, 0),
            expected: Expected::node(CLUSTER, self.node),
            limits: ClientLimits {
                connect_timeout: Duration::from_secs(1),
                keepalive: Duration::from_secs(1),
                dead_after: Duration::from_secs(4),
                ..ClientLimits::default()
            },
            metrics: RpcMetrics::new(),
        };
        Arc::new(RemoteNode::new(RpcClient::new(self.world.clone(), config)))
    }
}
