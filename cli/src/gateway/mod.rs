//! `holdfast gateway`, and what `holdfast server` shares with it.
//!
//! Owns: start and stop of a gateway whose drives are on shard nodes.
//! Leaves to others: requests (`gateway` crate), registrations ([`registry`]).
//! Always: it serves once enough drives are there: all of a new cluster, a claim's quorum of an old
//! one.

pub mod config;
pub mod core;
pub mod front;
pub mod holders;
pub mod listen;
pub mod logs;
pub mod map;
pub mod metrics;
pub mod notify;
pub mod operations;
pub mod reception;
pub mod registry;
pub mod state;

use std::sync::Arc;
use std::time::Duration;

use holdfast_index::FjallIndex;
use holdfast_protocol::rpc::LEASE_LEN_MAX;
use holdfast_protocol::rpc::handshake::ClusterSecret;
use holdfast_seam::{Listener, World};
use holdfast_store::Drives;

use crate::config::{ClusterSecretConfig, Group, ProcessConfig, Resolved, Secret};
use crate::data_dir::{DataDir, Phase, Stamp, check_drives};
use crate::error::CliError;
use crate::process::{self, Signals};
use config::{GatewayConfig, NodesConfig};
use core::{Core, Leasing, Parts, open_index};
use front::Front;
use holders::Holders;
use metrics::Metrics;
use reception::Reception;
use registry::Registry;
use state::State;

/// The shortest lease.
const LEASE_LEN_MIN: Duration = Duration::from_secs(2);
/// Fewest characters of a cluster secret.
const SECRET_LEN_MIN: usize = 16;
/// How long a restart that could serve waits for the rest of its drives.
const LATECOMERS: Duration = Duration::from_secs(3);

/// The cluster secret, which must be set.
///
/// # Errors
/// `Usage`.
pub fn cluster_secret(config: &ClusterSecretConfig) -> Result<Secret<String>, CliError> {
    let secret = config
        .cluster_secret
        .as_ref()
        .map(|secret| secret.expose().trim().to_owned());
    match secret {
        Some(secret) if secret.chars().count() >= SECRET_LEN_MIN => Ok(Secret::new(secret)),
        Some(_) => Err(CliError::Usage(format!(
            "the cluster secret needs at least {SECRET_LEN_MIN} characters"
        ))),
        None => Err(CliError::Usage(format!(
            "no cluster secret: set HOLDFAST_CLUSTER_SECRET or HOLDFAST_CLUSTER_SECRET_FILE (at \
             least {SECRET_LEN_MIN} characters, the same for the gateway and all shard nodes)"
        ))),
    }
}

/// Reads the secret as the proofs need it.
///
/// # Errors
/// `Usage`.
pub fn proof(secret: &Secret<String>) -> Result<ClusterSecret, CliError> {
    ClusterSecret::new(secret.expose().as_bytes())
        .map_err(|error| CliError::Usage(error.to_string()))
}

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or made it end.
pub async fn run(resolved: &Resolved) -> Result<(), CliError> {
    let config = GatewayConfig::read(resolved)?;
    let nodes = NodesConfig::read(resolved)?;
    let process_config = ProcessConfig::read(resolved)?;
    let secret = cluster_secret(&ClusterSecretConfig::read(resolved)?)?;
    check_drives(config.geometry, config.drives)?;
    config.classes()?;
    let world = World::real(process::io_threads(&process_config, 0));
    let mut signals = Signals::listen();
    let state = State::starting();
    let metrics = Metrics::new().map_err(|e| CliError::failed("make metrics")(e.into()))?;
    let front = Front::bind(&config, &process_config, state.clone()).await?;
    let listener = listen_for_nodes(&world, nodes.node_listen.as_str(), "--node-listen").await?;
    let dir = Arc::new(DataDir::open(&config.data_dir)?);
    let keys = dir.keys(&config, &*world.rng)?;
    let master = dir.master_key(&config, &*world.rng)?;
    let stamp = stamp(&world, &dir, &config)?;
    let drives = Arc::new(Drives::new(Arc::clone(&world.clock)));
    let reception = Reception::open(reception::Parts {
        world: &world,
        listener,
        dir: &dir,
        stamp: &stamp,
        drives: &drives,
        secret: &secret,
        metrics: &metrics,
    })?;
    let registry = &reception.registry;
    let open = front.open(&config, &keys, &metrics, Some(Arc::clone(registry)))?;
    let starting = start(Starting {
        world: &world,
        dir: &dir,
        config: &config,
        registry,
        drives: &drives,
        metrics: &metrics,
        state: &state,
        holders: open.holders(&keys, master)?,
        leasing: leasing(&dir, &config, &nodes, &stamp)?,
    });
    let core = match signals.unless_stopped(starting).await {
        Some(core) => core?,
        // Nothing was acknowledged to anyone yet.
        None => return Ok(()),
    };
    open.ready(&core, None, &keys, &dir)?;
    let ended = signals.until_stopped(&state).await;
    open.stop(ended, async {
        let stopped = core.stop().await;
        reception.close().await;
        stopped
    })
    .await
}

/// What a start works with.
struct Starting<'a> {
    world: &'a World,
    dir: &'a DataDir,
    config: &'a GatewayConfig,
    registry: &'a Arc<Registry>,
    drives: &'a Arc<Drives>,
    metrics: &'a Metrics,
    state: &'a State,
    holders: Holders,
    leasing: Leasing,
}

fn leasing(
    dir: &Arc<DataDir>,
    config: &GatewayConfig,
    nodes: &NodesConfig,
    stamp: &Stamp,
) -> Result<Leasing, CliError> {
    if !(LEASE_LEN_MIN..=LEASE_LEN_MAX).contains(&nodes.lease) {
        return Err(CliError::Usage(format!(
            "--lease {:?}: it lasts from {LEASE_LEN_MIN:?} to {LEASE_LEN_MAX:?}",
            nodes.lease
        )));
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(Leasing {
        dir: Arc::clone(dir),
        word: nodes.takeover,
        len: nodes.lease,
        holder: format!(
            "gateway {} (host {}, pid {}, s3 {}, data {})",
            stamp.gateway,
            host.trim(),
            std::process::id(),
            config.listen,
            dir.path().display()
        ),
    })
}

async fn start(starting: Starting<'_>) -> Result<Arc<Core>, CliError> {
    let Starting {
        world,
        dir,
        config,
        registry,
        drives,
        metrics,
        state,
        holders,
        leasing,
    } = starting;
    let stamp = registry.stamp();
    if stamp.phase == Phase::Formed && !FjallIndex::exists(&dir.index()) {
        return Err(CliError::Layout(format!(
            "{} is missing: while its shard nodes run, `holdfast index rebuild --data-dir {}` \
             makes it anew from the drives",
            dir.index().display(),
            dir.path().display()
        )));
    }
    let index = open_index(dir.index(), config, metrics).await?;
    registry.call_known().await;
    enough_drives(registry, &stamp, state).await;
    let stamp = registry.stamp();
    let attached = drives.ids();
    let replaced = stamp
        .slots
        .iter()
        .filter(|slot| attached.contains(&slot.drive));
    let replaced = replaced.filter_map(|slot| {
        let lost = slot.replacing.as_ref()?.lost;
        Some((lost, crate::server::drives::map_drive(slot)))
    });
    let core = Core::start(Parts {
        world: world.clone(),
        drives: Arc::clone(drives),
        index,
        replaced: replaced.collect(),
        stamp: stamp.clone(),
        holders,
        config: config.clone(),
        metrics: metrics.clone(),
        state: state.clone(),
        lease: Some(leasing),
    })
    .await?;
    let core = Arc::new(core);
    registry.serving(Arc::clone(&core))?;
    Ok(core)
}

/// Fewest drives that a claim of a cluster that is laid out can do with.
pub fn claim_quorum(stamp: &Stamp) -> usize {
    let (all, parity) = (stamp.drives, stamp.geometry.parity());
    let asked = (all / 2 + 1).min(all.saturating_sub(parity)).max(1);
    // To read anything, the claim must reach as many drives as there are data shards, too.
    (all + 1 - asked).max(stamp.geometry.data()).min(all)
}

/// Waits for all drives of a new cluster; of one that is laid out, for a claim's quorum, and a
/// moment for the rest.
async fn enough_drives(registry: &Registry, stamp: &Stamp, state: &State) {
    let all = stamp.drives;
    let needed = if stamp.phase == Phase::Forming {
        all
    } else {
        claim_quorum(stamp)
    };
    let mut count = registry.count();
    loop {
        let have = *count.borrow_and_update();
        if have >= needed {
            break;
        }
        state.waiting(format!("{have} of {needed} drives have registered"));
        tracing::info!(have, needed, "waiting for drives");
        if count.changed().await.is_err() {
            return;
        }
    }
    let rest = count.wait_for(|have| *have >= all);
    if tokio::time::timeout(LATECOMERS, rest).await.is_err() {
        tracing::warn!(drives = all, "starting although drives are missing");
    }
}

/// Listens for RPC.
///
/// # Errors
/// `Listen`.
pub async fn listen_for_nodes(
    world: &World,
    addr: &str,
    flag: &'static str,
) -> Result<Box<dyn Listener>, CliError> {
    world
        .net
        .listen(addr)
        .await
        .map_err(|source| CliError::Listen {
            addr: addr.to_owned(),
            flag,
            source,
        })
}

fn stamp(world: &World, dir: &DataDir, config: &GatewayConfig) -> Result<Stamp, CliError> {
    if let Some(stamp) = dir.stamp()? {
        stamp.check(dir.path(), false, config.geometry, config.drives)?;
        return Ok(stamp);
    }
    let stamp = Stamp::new(&*world.rng, false, config.geometry, config.drives);
    dir.set_stamp(&stamp)?;
    Ok(stamp)
}
