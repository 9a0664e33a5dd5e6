//! `holdfast server`: a gateway and its drives in one process.
//!
//! Owns: the order of its start and stop.
//! Leaves to others: the gateway ([`crate::gateway`]), the drives ([`drives`]).
//! Always: one process per data directory; its lock is the lease.

pub mod drives;
mod keeper;

use std::sync::Arc;

use holdfast_index::FjallIndex;
use holdfast_seam::{NodeClient, World};
use holdfast_shard_node::{DriveConfig, Node};
use holdfast_store::Drives;

use crate::config::{Group, ProcessConfig, Resolved};
use crate::data_dir::{DataDir, Phase, Stamp, check_drives};
use crate::error::CliError;
use crate::gateway::config::GatewayConfig;
use crate::gateway::core::{Core, Parts, open_index};
use crate::gateway::front::Front;
use crate::gateway::holders::Holders;
use crate::gateway::metrics::Metrics;
use crate::gateway::operations::Slots;
use crate::gateway::state::State;
use crate::process::{self, Signals};
use crate::shard_node::config::DriveSettings;
use keeper::Keeper;

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or made it end.
pub async fn run(resolved: &Resolved) -> Result<(), CliError> {
    let config = GatewayConfig::read(resolved)?;
    let process_config = ProcessConfig::read(resolved)?;
    check_drives(config.geometry, config.drives)?;
    config.classes()?;
    let threads = process::io_threads(&process_config, config.drives);
    let drive_config = DriveSettings::read(resolved)?.drive_config(threads, config.drives);
    let world = World::real(threads);
    let mut signals = Signals::listen();
    let state = State::starting();
    let metrics = Metrics::new().map_err(|e| CliError::failed("make metrics")(e.into()))?;
    let front = Front::bind(&config, &process_config, state.clone()).await?;
    let dir = DataDir::open(&config.data_dir)?;
    let keys = dir.keys(&config, &*world.rng)?;
    let front = front.open(&config, &keys, &metrics, None)?;
    let holders = front.holders(&keys, dir.master_key(&config, &*world.rng)?)?;
    let starting = start(
        &world,
        dir,
        &config,
        &drive_config,
        &metrics,
        &state,
        holders,
    );
    let (keeper, node) = match signals.unless_stopped(starting).await {
        Some(started) => started?,
        // Nothing was acknowledged to anyone yet: what was begun is found again by the next start.
        None => return Ok(()),
    };
    let for_slots = Arc::clone(&keeper);
    let slots: Slots = Arc::new(move || for_slots.slots());
    front.ready(keeper.core(), Some(slots), &keys, keeper.dir())?;
    let keeping = tokio::spawn(Arc::clone(&keeper).run());
    let ended = signals.until_stopped(&state).await;
    front
        .stop(ended, async {
            keeping.abort();
            let _ = keeping.await;
            let stopped = keeper.core().stop().await;
            node.close().await;
            stopped
        })
        .await
}

async fn start(
    world: &World,
    dir: DataDir,
    config: &GatewayConfig,
    drive_config: &DriveConfig,
    metrics: &Metrics,
    state: &State,
    holders: Holders,
) -> Result<(Arc<Keeper>, Arc<Node>), CliError> {
    let mut stamp = stamp(world, &dir, config)?;
    let index_exists = FjallIndex::exists(&dir.index());
    if stamp.phase == Phase::Formed && !index_exists {
        return Err(CliError::Layout(format!(
            "{} is missing: run `holdfast index rebuild --data-dir {}` to make it anew from the \
             drives",
            dir.index().display(),
            dir.path().display()
        )));
    }
    // A new index takes dozens of syncs, and so do new drives: together they take half the time.
    let opening = drives::open(world, &dir, &mut stamp, drive_config, index_exists);
    let (opened, index) = tokio::try_join!(opening, open_index(dir.index(), config, metrics))?;
    let node = Arc::new(Node::new(world.clone(), opened.drives.iter().cloned()));
    let directory = Arc::new(Drives::new(Arc::clone(&world.clock)));
    for drive in &opened.drives {
        directory.attach(drive.id(), Arc::clone(&node) as Arc<dyn NodeClient>);
    }
    let core = Core::start(Parts {
        world: world.clone(),
        drives: directory,
        index,
        stamp: stamp.clone(),
        replaced: opened.replaced,
        holders,
        config: config.clone(),
        metrics: metrics.clone(),
        state: state.clone(),
        lease: None,
    })
    .await?;
    stamp.phase = Phase::Formed;
    stamp
        .slots
        .iter_mut()
        .for_each(|slot| slot.replacing = None);
    dir.set_stamp(&stamp)?;
    let (world, drive_config, core) = (world.clone(), drive_config.clone(), Arc::new(core));
    let keeper = Keeper::new(world, dir, stamp, Arc::clone(&node), core, drive_config);
    Ok((keeper, node))
}

/// Who and what is laid out, or will be.
fn stamp(world: &World, dir: &DataDir, config: &GatewayConfig) -> Result<Stamp, CliError> {
    if let Some(stamp) = dir.stamp()? {
        stamp.check(dir.path(), true, config.geometry, config.drives)?;
        return Ok(stamp);
    }
    let mut stamp = Stamp::new(&*world.rng, true, config.geometry, config.drives);
    drives::plan(world, dir, &mut stamp);
    dir.set_stamp(&stamp)?;
    Ok(stamp)
}
