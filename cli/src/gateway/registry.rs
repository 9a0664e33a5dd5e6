//! Shard nodes of a gateway: who they are, which directory is which drive.
//!
//! Owns: answering registrations and heartbeats, giving drives their ids, clients of nodes, giving
//! drives up.
//! Leaves to others: decisions about one directory ([`assign`]), proofs (`seam::rpc`), the map
//! ([`super::core`]).
//! Always: an id is durable in the stamp before a node is told to format with it; a drive is
//! attached only when its node serves it.

pub mod assign;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use holdfast_protocol::rpc::control::{Assignment, ControlCall, ControlReply, DriveReport};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Expected, Identity, Role, Service};
use holdfast_protocol::rpc::{DriveCall, DriveRequest};
use holdfast_protocol::{DriveId, Generation, IndexId, MapVersion, NodeId};
use holdfast_seam::rpc::{ClientConfig, ClientLimits, ControlHandler, RemoteNode, RpcClient};
use holdfast_seam::{NodeClient, RpcMetrics, World};
use holdfast_store::Drives;
use tokio::sync::watch;

use super::core::Core;
use crate::data_dir::{DataDir, Phase, Stamp};
use crate::error::{CliError, chain};
use crate::server::drives::map_drive;

/// How long a node may take to answer where it was last.
const KNOWN_DEADLINE_MS: u32 = 5000;

/// A node that registered since the start.
#[derive(Debug)]
struct Known {
    listen: String,
    client: Arc<RemoteNode>,
}

#[derive(Debug)]
struct Book {
    stamp: Stamp,
    nodes: HashMap<NodeId, Known>,
    attached: BTreeSet<DriveId>,
}

/// What the registry works with.
pub struct Parts {
    /// The world.
    pub world: World,
    /// Where the stamp is kept.
    pub dir: Arc<DataDir>,
    /// Who and what was laid out.
    pub stamp: Stamp,
    /// The directory of drives.
    pub drives: Arc<Drives>,
    /// Proves both ends.
    pub secret: ClusterSecret,
    /// The same, for [`holdfast_protocol::admin::join`].
    pub join_secret: Vec<u8>,
    /// Where nodes register, as they are told.
    pub node_listen: String,
    /// Where to count.
    pub metrics: RpcMetrics,
}

/// The registry.
pub struct Registry {
    parts: Parts,
    book: Mutex<Book>,
    count: watch::Sender<usize>,
    core: OnceLock<Arc<Core>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("book", &self.book)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry without nodes.
    pub fn new(parts: Parts) -> Arc<Self> {
        let book = Book {
            stamp: parts.stamp.clone(),
            nodes: HashMap::new(),
            attached: BTreeSet::new(),
        };
        Arc::new(Self {
            parts,
            book: Mutex::new(book),
            count: watch::Sender::new(0),
            core: OnceLock::new(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who and what is laid out now.
    pub fn stamp(&self) -> Stamp {
        self.book().stamp.clone()
    }
    /// The secret that joining nodes prove.
    pub fn join_secret(&self) -> &[u8] {
        &self.parts.join_secret
    }
    /// Where nodes register.
    pub fn node_listen(&self) -> &str {
        &self.parts.node_listen
    }
    /// Our clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.parts.world.clock.unix_ms()
    }

    /// How many drives are attached, now and from now on.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// The cluster is laid out and served by `core`.
    ///
    /// # Errors
    /// `File` if that cannot be noted.
    pub fn serving(&self, core: Arc<Core>) -> Result<(), CliError> {
        let mut book = self.book();
        book.stamp.phase = Phase::Formed;
        self.parts.dir.set_stamp(&book.stamp)?;
        drop(book);
        // Set once, by the one start of the process.
        let _ = self.core.set(core);
        Ok(())
    }

    /// Gives a drive up. Returns its directory.
    ///
    /// # Errors
    /// `Usage` if there is no such drive, or it answers; `File`.
    pub fn give_up(&self, drive: DriveId) -> Result<String, CliError> {
        let mut book = self.book();
        if book.stamp.phase == Phase::Forming {
            return Err(CliError::Usage(
                "the cluster is not laid out yet".to_owned(),
            ));
        }
        let is_up = self.parts.drives.is_reachable(drive);
        let Some(slot) = book.stamp.slots.iter_mut().find(|slot| slot.drive == drive) else {
            return Err(CliError::Usage(format!("there is no drive {drive}")));
        };
        if is_up {
            return Err(CliError::Usage(format!(
                "drive {drive} answers: it is not lost. Stop its node first"
            )));
        }
        slot.given_up = true;
        let label = slot.label.clone();
        self.parts.dir.set_stamp(&book.stamp)?;
        tracing::warn!(%drive, dir = %label, "drive given up by the administrator");
        Ok(label)
    }

    /// Closes all connections to nodes.
    pub async fn close(&self) {
        let nodes: Vec<Known> = self.book().nodes.drain().map(|(_, known)| known).collect();
        for known in nodes {
            known.client.close().await;
        }
    }

    fn register(
        &self,
        node: NodeId,
        listen: &str,
        reports: &[DriveReport],
    ) -> Result<Registered, CliError> {
        let mut book = self.book();
        let before = book.stamp.clone();
        let rng = &*self.parts.world.rng;
        let assigned = assign::all(&mut book.stamp, node, listen, reports, rng);
        if book.stamp != before
            && let Err(error) = self.parts.dir.set_stamp(&book.stamp)
        {
            book.stamp = before;
            return Err(error);
        }
        let kept: Vec<DriveId> = reports
            .iter()
            .zip(&assigned)
            .filter(|(report, assignment)| {
                **assignment == Assignment::Keep && report.error.is_none()
            })
            .filter_map(|(report, _)| report.drive)
            .collect();
        let cluster = book.stamp.cluster;
        let reply = ControlReply::Registered {
            cluster,
            drives: assigned,
        };
        let moved = book
            .nodes
            .get(&node)
            .is_some_and(|known| known.listen != listen);
        let new: Vec<DriveId> = kept
            .iter()
            .copied()
            .filter(|drive| moved || !book.attached.contains(drive))
            .collect();
        if !kept.is_empty() && (moved || !book.nodes.contains_key(&node)) {
            let client = Arc::new(self.client(node, listen, &book.stamp));
            let listen = listen.to_owned();
            book.nodes.insert(node, Known { listen, client });
        }
        if let Some(known) = book.nodes.get(&node) {
            for &drive in &new {
                self.parts
                    .drives
                    .attach(drive, Arc::clone(&known.client) as Arc<dyn NodeClient>);
            }
        }
        book.attached.extend(&new);
        self.count.send_replace(book.attached.len());
        Ok(Registered { reply, new })
    }

    /// Calls the nodes where they were last, without waiting for them to register: they may belong
    /// to a gateway that has ended, or runs (and the claim finds out which).
    pub async fn call_known(&self) {
        let stamp = self.stamp();
        if stamp.phase == Phase::Forming {
            return;
        }
        let known: BTreeSet<(NodeId, String)> = stamp
            .slots
            .iter()
            .filter(|slot| !slot.given_up && !slot.listen.is_empty())
            .map(|slot| (slot.node, slot.listen.clone()))
            .collect();
        let called = known
            .iter()
            .map(|(node, listen)| self.call_one(&stamp, *node, listen));
        futures::future::join_all(called).await;
    }

    async fn call_one(&self, stamp: &Stamp, node: NodeId, listen: &str) {
        let client = Arc::new(self.client(node, listen, stamp));
        let slots = stamp.slots.iter().filter(|slot| slot.node == node);
        let mut answering = Vec::new();
        for slot in slots.filter(|slot| !slot.given_up && slot.replacing.is_none()) {
            let call = DriveCall {
                drive: slot.drive,
                index: IndexId::default(),
                generation: Generation::default(),
                map_version: MapVersion::default(),
                deadline_ms: KNOWN_DEADLINE_MS,
                request: DriveRequest::Status,
            };
            match client.call(call).await {
                Ok(_) => answering.push(slot.drive),
                Err(error) => {
                    tracing::debug!(%node, %listen, %error, "node is not where it was");
                }
            }
        }
        let mut book = self.book();
        if answering.is_empty() || book.nodes.contains_key(&node) {
            return;
        }
        for &drive in &answering {
            let client = Arc::clone(&client) as Arc<dyn NodeClient>;
            self.parts.drives.attach(drive, client);
        }
        tracing::info!(%node, %listen, drives = answering.len(), "node found where it was");
        book.attached.extend(&answering);
        let listen = listen.to_owned();
        book.nodes.insert(node, Known { listen, client });
        self.count.send_replace(book.attached.len());
    }

    fn client(&self, node: NodeId, listen: &str, stamp: &Stamp) -> RemoteNode {
        RemoteNode::new(RpcClient::new(
            self.parts.world.clone(),
            ClientConfig {
                addr: listen.to_owned(),
                service: Service::Drives,
                secret: self.parts.secret.clone(),
                me: Identity::gateway(Some(stamp.cluster), stamp.gateway, 0),
                expected: Expected::node(stamp.cluster, node),
                limits: ClientLimits::default(),
                metrics: self.parts.metrics.clone(),
            },
        ))
    }

    /// A running gateway takes in drives that came, successors of lost ones into their places.
    async fn take_in(&self, core: &Core, new: &[DriveId]) -> Result<(), CliError> {
        let stamp = self.stamp();
        let changes: Vec<_> = stamp
            .slots
            .iter()
            .filter(|slot| new.contains(&slot.drive))
            .filter_map(|slot| Some((slot.replacing.as_ref()?.lost, map_drive(slot))))
            .collect();
        if new.is_empty() && changes.is_empty() {
            return Ok(());
        }
        core.take_in(new, &changes).await?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut book = self.book();
        for (lost, successor) in &changes {
            book.attached.remove(lost);
            let slots = book.stamp.slots.iter_mut();
            slots
                .filter(|slot| slot.drive == successor.id)
                .for_each(|slot| slot.replacing = None);
        }
        self.parts.dir.set_stamp(&book.stamp)
    }
}

struct Registered {
    reply: ControlReply,
    new: Vec<DriveId>,
}

fn refused(why: impl Into<String>) -> ControlReply {
    ControlReply::Refused { why: why.into() }
}

#[async_trait]
impl ControlHandler for Registry {
    async fn control(&self, peer: Identity, call: ControlCall) -> ControlReply {
        let (ControlCall::Register { node, .. } | ControlCall::Heartbeat { node, .. }) = &call;
        if peer.role != Role::Node || peer.id != u128::from(node.get()) {
            return refused("a node may speak for itself only");
        }
        let (node, listen, cluster, reports) = match call {
            ControlCall::Register {
                node,
                listen,
                cluster,
                drives,
            } => (node, listen, cluster, drives),
            ControlCall::Heartbeat { node, .. } => {
                return ControlReply::HeartbeatAck {
                    register_again: !self.book().nodes.contains_key(&node),
                };
            }
        };
        let ours = self.book().stamp.cluster;
        if let Some(other) = cluster.filter(|cluster| *cluster != ours) {
            return refused(format!(
                "its drives belong to cluster {other}, this is {ours}"
            ));
        }
        let Registered { reply, new } = match self.register(node, &listen, &reports) {
            Ok(registered) => registered,
            Err(error) => {
                tracing::error!(%node, error = %chain(&error), "registration failed");
                return refused("the gateway cannot write its data directory");
            }
        };
        if !new.is_empty() {
            tracing::info!(%node, %listen, drives = new.len(), "shard node registered");
        }
        if let Some(core) = self.core.get()
            && let Err(error) = self.take_in(core, &new).await
        {
            tracing::error!(%node, error = %chain(&error), "new drives are not in the map yet");
        }
        reply
    }
}
