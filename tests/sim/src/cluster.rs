//! Shard nodes: their processes, machines and drives.
//!
//! Owns: starting, killing and cutting the power of nodes; replacing drives.
//! Leaves to others: the gateway ([`crate::gateway`]), when ([`crate::director`]).
//! Always: a machine whose power failed runs nothing more, from that very step.

mod rot;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::rpc::handshake::{ClusterSecret, Identity};
use holdfast_protocol::{ClusterId, DriveId, DriveUse, MapDrive, NodeId};
use holdfast_seam::rpc::{Handler, ServerConfig, ServerLimits, serve};
use holdfast_seam::{RpcMetrics, World};
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, Node, NodeError};
use tokio::sync::watch;

use crate::dice::{Dice, SimRng};
use crate::disk::SimDisk;
use crate::exec::{Exec, ProcessId, SimSpawn};
use crate::net::{Host, NetConfig, SimNetwork};
use crate::plan::Plan;
pub use rot::Rot;

/// The simulated cluster's identity.
pub const CLUSTER: ClusterId = ClusterId::new(0xc1);
/// Hosts of gateways; the second is that of one that takes over, and so on in turn.
pub const GATEWAY_HOSTS: [Host; 2] = [0, 900];

/// The secret of the cluster.
pub fn secret() -> ClusterSecret {
    ClusterSecret::new(b"a secret of this cluster").expect("it is long enough")
}

/// A drive: an id on a disk.
#[derive(Debug)]
pub struct DriveSlot {
    /// Its id; another one once it was replaced.
    pub id: DriveId,
    /// Its disk.
    pub disk: SimDisk,
    /// It was never opened: an empty disk is laid out.
    pub is_new: bool,
    /// Bits of it that were flipped, and sectors that became unreadable, since it was laid out.
    pub flips: u64,
    /// What they changed was found and healed.
    pub is_mended: bool,
}

impl DriveSlot {
    /// Whether bytes of it were changed, and not healed.
    pub fn is_damaged(&self) -> bool {
        self.flips > 0 && !self.is_mended
    }
}

/// A node's machine.
#[derive(Debug)]
pub struct NodeSlot {
    /// Its id.
    pub id: NodeId,
    /// Its host.
    pub host: Host,
    /// Its drives.
    pub drives: Vec<DriveSlot>,
    /// Its process, while it runs.
    pub process: Option<ProcessId>,
    /// The power is about to be cut.
    pub is_armed: bool,
    /// Where the drives' logs ended when the process died.
    ends: BTreeMap<DriveId, LogPosition>,
    report: Report,
}

/// What a node's process says of itself.
#[derive(Clone, Debug, Default)]
pub struct NodeReport {
    /// It answers.
    pub is_serving: bool,
    /// Drives that did not open, and why.
    pub refused: Vec<(DriveId, String)>,
    /// Those that did.
    pub drives: Vec<Arc<Drive>>,
}

type Report = Arc<Mutex<NodeReport>>;

/// The nodes.
pub struct Cluster {
    /// The executor.
    pub exec: Exec,
    /// The network.
    pub network: SimNetwork,
    /// The nodes.
    pub nodes: Vec<NodeSlot>,
    /// What the plan says.
    pub plan: Plan,
    /// The host of the gateway that is to serve.
    pub gateway_host: Host,
    /// When the power of one machine fails, it fails everywhere.
    pub is_one_circuit: bool,
    /// Lost drives and their successors that the map may not know yet.
    pub replaced: Vec<(DriveId, MapDrive)>,
    dice: Dice,
    next_drive: u64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// Where a drive lies on its disk.
pub fn drive_dir() -> PathBuf {
    PathBuf::from("/drive")
}

impl Cluster {
    /// The machines of a plan, all off.
    pub fn new(exec: Exec, plan: &Plan, mut dice: Dice) -> Self {
        let network = SimNetwork::new(exec.clone(), plan.net, dice.fork());
        let mut next_drive = 1;
        let mut nodes = Vec::new();
        for number in 0..plan.nodes {
            let mut drives = Vec::new();
            for _ in 0..plan.drives_per_node {
                drives.push(DriveSlot {
                    id: DriveId::new(next_drive),
                    disk: SimDisk::new(dice.u64()),
                    is_new: true,
                    flips: 0,
                    is_mended: false,
                });
                next_drive += 1;
            }
            nodes.push(NodeSlot {
                id: NodeId::new(number as u64 + 1),
                host: number as Host + 1,
                drives,
                process: None,
                is_armed: false,
                ends: BTreeMap::new(),
                report: Report::default(),
            });
        }
        Self {
            exec,
            network,
            nodes,
            plan: plan.clone(),
            gateway_host: GATEWAY_HOSTS[0],
            is_one_circuit: false,
            replaced: Vec::new(),
            dice,
            next_drive,
        }
    }

    /// The world of a process on `host`.
    pub fn world(&mut self, host: Host, process: ProcessId, disk: SimDisk) -> World {
        let exec = &self.exec;
        let spawn = SimSpawn::new(exec.clone(), process, self.dice.fork(), self.plan.job_max);
        World {
            disk: Arc::new(disk),
            net: Arc::new(self.network.of(host)),
            clock: Arc::new(exec.clone()),
            rng: Arc::new(SimRng::new(self.dice.fork())),
            spawn: Arc::new(spawn),
        }
    }

    /// Has the next gateway run on another host; returns the one of the last.
    pub fn change_gateway_host(&mut self) -> Host {
        let [one, other] = GATEWAY_HOSTS;
        let next = if self.gateway_host == one { other } else { one };
        std::mem::replace(&mut self.gateway_host, next)
    }

    /// Dice for something else.
    pub fn dice(&mut self) -> Dice {
        self.dice.fork()
    }

    /// What a node says.
    pub fn report(&self, node: usize) -> NodeReport {
        let report = &self.nodes[node].report;
        report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether all nodes run and serve all their drives.
    pub fn all_serve(&self) -> bool {
        (0..self.nodes.len()).all(|node| {
            let report = self.report(node);
            self.nodes[node].process.is_some()
                && report.is_serving
                && report.drives.len() == self.nodes[node].drives.len()
        })
    }

    /// Where a node's drives answer.
    pub fn addr(host: Host) -> String {
        format!("node:{host}")
    }

    /// Bits of a drive that were flipped; none of one that was replaced.
    pub fn flips(&self, id: DriveId) -> u64 {
        let mut drives = self.nodes.iter().flat_map(|node| &node.drives);
        let drive = drives.find(|drive| drive.id == id);
        drive.map_or(0, |drive| drive.flips)
    }

    /// Whether a drive says that it has no space left.
    pub fn is_full(&self, id: DriveId) -> bool {
        (0..self.nodes.len()).any(|node| {
            let drives = self.report(node).drives;
            let mut drives = drives.iter().filter(|drive| drive.id() == id);
            drives.any(|drive| drive.status().free_bytes == 0)
        })
    }

    /// The node and place of a drive, by number.
    pub fn locate(&self, number: u64) -> (usize, usize) {
        let per_node = self.plan.drives_per_node;
        let at = (number % self.plan.drives() as u64) as usize;
        (at / per_node, at % per_node)
    }

    /// The drive as the map names it.
    pub fn map_drive(&self, node: usize, place: usize) -> MapDrive {
        MapDrive {
            id: self.nodes[node].drives[place].id,
            node: self.nodes[node].id,
            weight: 1,
            usage: DriveUse::Active,
            is_whole: true,
        }
    }

    /// The drives of the first map.
    pub fn map_drives(&self) -> Vec<MapDrive> {
        let of = |node| (0..self.plan.drives_per_node).map(move |place| (node, place));
        let all = (0..self.nodes.len()).flat_map(of);
        all.map(|(node, place)| self.map_drive(node, place))
            .collect()
    }

    /// Starts a node that is off.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].process.is_some() {
            return;
        }
        let process = self.exec.process();
        let (host, id) = (self.nodes[node].host, self.nodes[node].id);
        self.network.revive(host);
        let disks: Vec<(DriveId, SimDisk, bool)> = self.nodes[node]
            .drives
            .iter_mut()
            .map(|drive| {
                drive.disk.spare();
                (drive.id, drive.disk.clone(), drive.is_new)
            })
            .collect();
        let worlds: Vec<(DriveId, World, bool)> = disks
            .into_iter()
            .map(|(id, disk, is_new)| (id, self.world(host, process, disk), is_new))
            .collect();
        let report = Report::default();
        let slot = &mut self.nodes[node];
        (slot.process, slot.report) = (Some(process), Arc::clone(&report));
        let config = drive_config(&self.plan);
        let work = run_node(worlds, config, host, id, report, self.plan.arena_len);
        self.exec.note(|| format!("node {id} starts"));
        self.exec.spawn(process, "node", Box::pin(work));
    }

    /// Kills a node's process. What it wrote stays in the machine's memory.
    pub fn kill(&mut self, node: usize) {
        let slot = &mut self.nodes[node];
        slot.is_armed = false;
        let report =
            std::mem::take(&mut *slot.report.lock().unwrap_or_else(PoisonError::into_inner));
        for drive in report.drives {
            slot.ends.insert(drive.id(), drive.status().end);
        }
        if let Some(process) = slot.process.take() {
            let id = slot.id;
            self.exec.note(|| format!("node {id} is killed"));
            self.exec.kill(process);
        }
    }

    /// Cuts a node's power: what its disks had not synced may be lost.
    pub fn power_off(&mut self, node: usize) {
        let slot = &mut self.nodes[node];
        let id = slot.id;
        self.network.silence(slot.host);
        self.exec.note(|| format!("node {id} has no power"));
        self.kill(node);
        for drive in &self.nodes[node].drives {
            drive.disk.crash();
        }
    }

    /// Switches machines off whose power was to fail and has failed. To be called after each step.
    pub fn check_power(&mut self) {
        for node in 0..self.nodes.len() {
            let slot = &self.nodes[node];
            if slot.is_armed && slot.drives.iter().any(|drive| drive.disk.is_off()) {
                self.power_off(node);
                if std::mem::take(&mut self.is_one_circuit) {
                    (0..self.nodes.len()).for_each(|node| self.power_off(node));
                }
            }
        }
    }

    /// A drive that opened must have its whole log, or say that it lost it; whatever happened to
    /// its process. Returns one that does neither.
    pub fn shortened_log(&self) -> Option<String> {
        let nodes = 0..self.nodes.len();
        let opened = nodes.flat_map(|node| {
            let drives = self.report(node).drives;
            drives.into_iter().map(move |drive| (node, drive))
        });
        opened.into_iter().find_map(|(node, drive)| {
            let (id, end) = (drive.id(), drive.status().end);
            let was = self.nodes[node].ends.get(&id)?;
            // Damage of the last batches looks as if they had been torn.
            let slot = self.nodes[node].drives.iter().find(|slot| slot.id == id)?;
            let wrong = slot.flips + slot.disk.misreads();
            let is_short = was.log == end.log && end.batch + wrong < was.batch;
            is_short.then(|| format!("drive {id}: the log ended at {was:?}, now at {end:?}"))
        })
    }

    /// Puts an empty drive under a new id into a place; the node must be off.
    pub fn replace(&mut self, node: usize, place: usize) {
        let lost = self.nodes[node].drives[place].id;
        let id = DriveId::new(self.next_drive);
        self.next_drive += 1;
        self.nodes[node].drives[place] = DriveSlot {
            id,
            disk: SimDisk::new(self.dice.u64()),
            is_new: true,
            flips: 0,
            is_mended: false,
        };
        let successor = self.map_drive(node, place);
        self.replaced.push((lost, successor));
        self.exec
            .note(|| format!("drive {lost} is lost, {id} takes its place"));
    }
}

fn drive_config(plan: &Plan) -> DriveConfig {
    DriveConfig {
        reserve_bytes: 256 << 10,
        prewrite_bytes: 256 << 10,
        staged_idle: Duration::from_secs(60),
        staged_max: plan.staged_max,
        queue_len: plan.queue_len,
        checkpoint_log_bytes: 256 << 10,
        ..DriveConfig::default()
    }
}

async fn open_drive(
    world: &World,
    config: &DriveConfig,
    id: DriveId,
    may_format: bool,
    arena_len: u64,
) -> Result<Drive, NodeError> {
    let dir = drive_dir();
    match Drive::open(world, config.clone(), &dir, CLUSTER, Some(id)).await {
        Err(NodeError::Missing { .. }) if may_format => {
            let options = FormatOptions {
                arena_len,
                chunk_len: 64 << 10,
            };
            Drive::format(world, &dir, CLUSTER, id, options).await?;
            Drive::open(world, config.clone(), &dir, CLUSTER, Some(id)).await
        }
        opened => opened,
    }
}

async fn run_node(
    worlds: Vec<(DriveId, World, bool)>,
    config: DriveConfig,
    host: Host,
    id: NodeId,
    report: Report,
    arena_len: u64,
) {
    let Some((_, world, _)) = worlds.first().cloned() else {
        return;
    };
    for (drive, world, may_format) in &worlds {
        let opened = open_drive(world, &config, *drive, *may_format, arena_len).await;
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(drive) => report.drives.push(Arc::new(drive)),
            Err(error) => report.refused.push((*drive, chain(&error))),
        }
    }
    let drives = {
        let report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.drives.clone()
    };
    let node = Node::new(world.clone(), drives);
    let Ok(listener) = world.net.listen(&Cluster::addr(host)).await else {
        return;
    };
    let config = ServerConfig {
        secret: secret(),
        me: watch::channel(Identity::node(Some(CLUSTER), id)).1,
        handler: Handler::Drives(Arc::new(node)),
        limits: ServerLimits::default(),
        metrics: RpcMetrics::new(),
    };
    report
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_serving = true;
    serve(world, listener, config, Box::pin(std::future::pending())).await;
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The network of an ordinary seed, for tests.
pub fn quiet_net() -> NetConfig {
    NetConfig {
        delay_min: Duration::from_micros(20),
        delay_max: Duration::from_micros(200),
        late_permille: 0,
        one_byte_permille: 0,
        window: 256 << 10,
    }
}
