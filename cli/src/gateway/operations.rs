//! What the admin API of a gateway does.
//!
//! Owns: answers made of the map, the workers' knowledge and the registry.
//! Leaves to others: HTTP and rights (`gateway::admin`), JSON types (`protocol::admin`).
//! Always: `Unavailable` until the gateway serves.

use std::sync::{Arc, OnceLock};

use crate::admin::Cluster;
use async_trait::async_trait;
use holdfast_gateway::GatewayError;
use holdfast_gateway::accounts::Accounts;
use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::admin::cluster::{ClusterView, DriveView, DrivesView, ReplaceView};
use holdfast_protocol::admin::heal::HealRequest;
use holdfast_protocol::admin::inspect::InspectRequest;
use holdfast_protocol::admin::join::JoinRequest;
use holdfast_protocol::{DriveId, DriveUse, MapDrive};
use holdfast_workers::{DriveHealthEntry, DriveState, WorkersError};
use serde::Serialize;
use serde_json::Value;

use super::core::Core;
use super::registry::Registry;
use crate::data_dir::Slot;
use crate::error::{CliError, chain};

/// Tells where drives are.
pub type Slots = Arc<dyn Fn() -> Vec<Slot> + Send + Sync>;

/// Rows that a dry run of healing looks at, without a limit, and at most.
const PLAN_ROWS: usize = 1000;
const PLAN_ROWS_MAX: usize = 100_000;

/// The operations.
pub struct Operations {
    core: OnceLock<Arc<Core>>,
    /// Places of drives that are in this process.
    slots: OnceLock<Slots>,
    registry: Option<Arc<Registry>>,
}

impl Operations {
    /// Without a gateway that serves yet; `registry` where nodes are separate processes.
    pub fn new(registry: Option<Arc<Registry>>) -> Arc<Self> {
        Arc::new(Self {
            core: OnceLock::new(),
            slots: OnceLock::new(),
            registry,
        })
    }

    /// The gateway serves; `slots` tells the places of its own drives.
    pub fn set(&self, core: Arc<Core>, slots: Option<Slots>) {
        // Set once, by the one start of the process.
        if let Some(slots) = slots {
            let _ = self.slots.set(slots);
        }
        let _ = self.core.set(core);
    }

    fn core(&self) -> Result<&Core, GatewayError> {
        self.core
            .get()
            .map(Arc::as_ref)
            .ok_or_else(|| GatewayError::Unavailable {
                why: "the gateway is starting".to_owned(),
            })
    }

    fn view(&self, core: &Core, drive: &MapDrive, health: Option<&DriveHealthEntry>) -> DriveView {
        let slot = self.slot(drive.id);
        let status = health.and_then(|health| health.status.as_ref());
        let now = core.store.world().clock.now();
        let last_seen = health.map(|health| now.since(health.last_seen).as_millis());
        DriveView {
            drive: drive.id.to_string(),
            node: drive.node.to_string(),
            listen: slot
                .as_ref()
                .map(|slot| slot.listen.clone())
                .unwrap_or_default(),
            directory: slot
                .as_ref()
                .map(|slot| slot.label.clone())
                .unwrap_or_default(),
            usage: match drive.usage {
                DriveUse::Active => "active",
                DriveUse::Draining => "draining",
                DriveUse::Dead => "dead",
            }
            .to_owned(),
            state: match (drive.usage, health) {
                (DriveUse::Dead, _) => DriveState::Out,
                (_, Some(health)) => health.state,
                (_, None) => DriveState::Down,
            }
            .as_str()
            .to_owned(),
            comparing: core.workers.not_whole().contains(&drive.id),
            last_seen_ms: status.and(last_seen).and_then(|ms| u64::try_from(ms).ok()),
            writable: core.store.drives().is_writable(drive.id),
            trouble: status.and_then(|status| status.trouble.clone()),
            used_bytes: status.map_or(0, |status| status.used_bytes),
            free_bytes: status.map_or(0, |status| status.free_bytes),
            latency_factor: core.store.drives().latency_factor(drive.id),
            slow: core.store.drives().is_slow(drive.id),
            replaceable: slot.is_some_and(|slot| slot.given_up),
        }
    }

    fn slots(&self) -> Vec<Slot> {
        match (&self.registry, self.slots.get()) {
            (Some(registry), _) => registry.stamp().slots,
            (None, Some(slots)) => slots(),
            (None, None) => Vec::new(),
        }
    }

    fn slot(&self, drive: DriveId) -> Option<Slot> {
        self.slots().into_iter().find(|slot| slot.drive == drive)
    }
}

fn json<T: Serialize>(value: &T) -> Result<Value, GatewayError> {
    serde_json::to_value(value).map_err(|error| GatewayError::Internal {
        what: format!("encode an answer: {error}"),
    })
}

fn of_workers(error: WorkersError) -> GatewayError {
    match error {
        WorkersError::Index(error) => GatewayError::Index(error),
        WorkersError::Store(error) => GatewayError::Store(error),
        error @ (WorkersError::TooFewDrives { .. } | WorkersError::ShuttingDown) => {
            GatewayError::Unavailable { why: chain(&error) }
        }
        error => GatewayError::Internal {
            what: chain(&error),
        },
    }
}

#[async_trait]
impl Cluster for Operations {
    async fn heal(&self) -> Result<Value, GatewayError> {
        let mut status = self.core()?.workers.heal_status();
        // A lost drive whose successor is not in the map yet: nothing of it is queued, all of it is
        // missing.
        let slots = self
            .slots()
            .into_iter()
            .filter(|slot| slot.replacing.is_some());
        for slot in slots {
            status.backlog_objects = status.backlog_objects.max(1);
            status.drives_comparing.push(slot.drive.to_string());
        }
        json(&status)
    }

    async fn run_heal(&self, request: HealRequest) -> Result<Value, GatewayError> {
        let workers = &self.core()?.workers;
        if request.dry_run {
            let limit = request.limit.unwrap_or(PLAN_ROWS).clamp(1, PLAN_ROWS_MAX);
            return json(&workers.heal_plan(limit).await.map_err(of_workers)?);
        }
        workers.run_heal();
        json(&workers.heal_status())
    }

    async fn pause_heal(&self, paused: bool) -> Result<Value, GatewayError> {
        let workers = &self.core()?.workers;
        workers.pause_heal(paused);
        json(&workers.heal_status())
    }

    async fn scrub(&self) -> Result<Value, GatewayError> {
        json(&self.core()?.workers.scrub_status())
    }

    async fn start_scrub(&self) -> Result<Value, GatewayError> {
        let workers = &self.core()?.workers;
        workers.start_scrub();
        json(&workers.scrub_status())
    }

    async fn pause_scrub(&self, paused: bool) -> Result<Value, GatewayError> {
        let workers = &self.core()?.workers;
        workers.pause_scrub(paused);
        json(&workers.scrub_status())
    }

    async fn durability(&self) -> Result<Value, GatewayError> {
        json(&self.core()?.workers.durability())
    }

    async fn check(&self, request: CheckRequest) -> Result<Value, GatewayError> {
        let checked = self.core()?.workers.check_with(request).await;
        json(&checked.map_err(of_workers)?)
    }

    async fn inspect(&self, request: InspectRequest) -> Result<Value, GatewayError> {
        let found = self.core()?.workers.inspect(&request).await;
        match found.map_err(of_workers)? {
            Some(report) => json(&report),
            None => Err(GatewayError::NoSuchKey { key: request.key }),
        }
    }

    async fn check_index(&self) -> Result<Value, GatewayError> {
        let checked = self.core()?.workers.check(&|_rows| {}).await;
        json(&checked.map_err(of_workers)?)
    }

    async fn drives(&self) -> Result<Value, GatewayError> {
        let core = self.core()?;
        let health = core.workers.drives();
        let map = core.store.map();
        let views = map
            .drives
            .iter()
            .map(|drive| self.view(core, drive, health.get(&drive.id)));
        json(&DrivesView {
            drives: views.collect(),
        })
    }

    async fn cluster(&self) -> Result<Value, GatewayError> {
        let core = self.core()?;
        let map = core.store.map();
        let up = map
            .living()
            .filter(|drive| core.store.drives().is_reachable(drive.id));
        json(&ClusterView {
            cluster: map.cluster.to_string(),
            geometry: map.geometry.to_string(),
            map_version: map.version.get(),
            drives: map.living().count(),
            drives_up: up.count(),
            write_quorum: map.geometry.write_quorum(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: core.store.drives().serving().generation.get(),
        })
    }

    async fn replace_drive(&self, drive: &str) -> Result<Value, GatewayError> {
        self.core()?;
        let id = DriveId::parse(drive).map_err(|_| GatewayError::InvalidArgument {
            name: "drive",
            why: format!("{drive:?} is not an id"),
        })?;
        let Some(registry) = &self.registry else {
            return Err(GatewayError::InvalidRequest {
                why:
                    "drives of an embedded cluster are replaced by emptying their directory while \
                      it is stopped"
                        .to_owned(),
            });
        };
        let label = registry.give_up(id).map_err(|error| match error {
            CliError::Usage(why) => GatewayError::InvalidRequest { why },
            other => GatewayError::Internal {
                what: chain(&other),
            },
        })?;
        json(&ReplaceView {
            drive: id.to_string(),
            next: format!(
                "start its node with {label} empty (it registers again by itself if it runs); the \
                 drive gets a new id and heals"
            ),
        })
    }

    fn accounts(&self) -> Result<Accounts, GatewayError> {
        Ok(self.core()?.accounts.clone())
    }

    async fn join(&self, request: Value) -> Result<Value, GatewayError> {
        let Some(registry) = &self.registry else {
            return Err(GatewayError::InvalidRequest {
                why: "this is an embedded cluster: it takes no shard nodes".to_owned(),
            });
        };
        let request: JoinRequest =
            serde_json::from_value(request).map_err(|error| GatewayError::InvalidArgument {
                name: "body",
                why: error.to_string(),
            })?;
        request
            .check(registry.join_secret(), registry.now_ms())
            .map_err(|error| GatewayError::AccessDenied {
                why: error.to_string(),
            })?;
        json(&request.answer(registry.join_secret(), registry.node_listen().to_owned()))
    }
}
