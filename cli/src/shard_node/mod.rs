//! `holdfast shard-node`: drives for gateways elsewhere.
//!
//! Owns: the order of its start and stop.
//! Leaves to others: directories ([`places`]), the gateway ([`join`]), drives (`shard-node`), RPC
//! (`seam::rpc`).
//! Always: it serves drives to who proves the cluster secret, and to nobody else.

pub mod config;
mod join;
mod monitor;
mod places;

use std::sync::Arc;

use holdfast_protocol::NodeId;
use holdfast_protocol::rpc::handshake::Identity;
use holdfast_seam::rpc::{Handler, ServerConfig, ServerLimits, serve};
use holdfast_seam::{NodeClient, RpcMetrics, World};
use holdfast_shard_node::{Drive, Node};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::http::Base;
use crate::config::{Address, ClusterSecretConfig, Group, ProcessConfig, Resolved};
use crate::error::CliError;
use crate::gateway::state::State;
use crate::gateway::{cluster_secret, listen_for_nodes, proof};
use crate::output;
use crate::process::{self, Signals};
use config::{DriveSettings, ShardNodeConfig};
use join::Member;
use monitor::Monitor;

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting.
pub async fn run(resolved: &Resolved) -> Result<(), CliError> {
    let config = ShardNodeConfig::read(resolved)?;
    let process_config = ProcessConfig::read(resolved)?;
    let secret = cluster_secret(&ClusterSecretConfig::read(resolved)?)?;
    let join = Base::parse(&config.join)?;
    let count = config.data_dir.len();
    let threads = process::io_threads(&process_config, count);
    let drive_config = DriveSettings::read(resolved)?.drive_config(threads, count);
    let world = World::real(threads);
    let listener = listen_for_nodes(&world, config.listen.as_str(), "--listen").await?;
    let monitor = Monitor::bind(config.metrics_listen.as_ref()).await?;
    let bound = listener.local_addr().map_err(|source| CliError::Listen {
        addr: config.listen.to_string(),
        flag: "--listen",
        source,
    })?;
    let listen = advertised(&config, bound.port())?;
    let (places, cluster) = places::open(&world, &config.data_dir, &drive_config).await?;
    let id = first_id(&world, &places)?;
    let node = Arc::new(Node::new(world.clone(), []));
    let (me, identity) = watch::channel(Identity::node(cluster, id));
    let metrics = RpcMetrics::new();
    let state = State::starting();
    let ready = format!("ready node={listen}{}\n", monitor.words());
    let monitor = monitor.serve(&state, &metrics)?;
    let stop = CancellationToken::new();
    let server = ServerConfig {
        secret: proof(&secret)?,
        me: identity,
        handler: Handler::Drives(Arc::clone(&node) as Arc<dyn NodeClient>),
        limits: ServerLimits::default(),
        metrics: metrics.clone(),
    };
    let shutdown = Box::pin(stop.clone().cancelled_owned());
    let server = tokio::spawn(serve(world.clone(), listener, server, shutdown));
    let opened = places.iter().filter_map(|place| place.drive.clone());
    let opened: Vec<_> = opened.collect();
    let (served, serving) = watch::channel(0);
    let member = Member {
        proof: proof(&secret)?,
        world,
        id,
        listen,
        join,
        secret,
        node: Arc::clone(&node),
        places,
        config: drive_config,
        cluster,
        me,
        metrics,
        served,
    };
    let signals = Signals::listen();
    let member = tokio::spawn(member.run());
    let announce = tokio::spawn(announce(serving, state.clone(), ready));
    let ended = signals.until_stopped(&state).await;
    state.draining();
    announce.abort();
    member.abort();
    let _ = member.await;
    stop.cancel();
    let _ = server.await;
    node.close().await;
    close_refused(&node, &opened).await;
    monitor.stop().await;
    tracing::info!("stopped");
    ended.result()
}

/// Says that drives are served: as health whenever that changes, once as a line.
async fn announce(mut serving: watch::Receiver<usize>, state: State, line: String) {
    let mut line = Some(line);
    loop {
        let served = *serving.borrow_and_update();
        match served {
            0 => state.waiting("no drive is served"),
            _ => state.ready(),
        }
        if served > 0
            && let Some(line) = line.take()
        {
            let _ = output::line(line.as_bytes());
        }
        if serving.changed().await.is_err() {
            return;
        }
    }
}

/// Drives that the gateway refused were open, but not the node's.
async fn close_refused(node: &Node, opened: &[Arc<Drive>]) {
    let served = node.drives();
    for drive in opened {
        if !served.iter().any(|other| other.id() == drive.id()) {
            drive.close().await;
        }
    }
}

fn first_id(world: &World, places: &[places::Place]) -> Result<NodeId, CliError> {
    match places.first() {
        Some(place) => places::node_id(world, &place.dir),
        None => Err(CliError::Usage(
            "--data-dir: at least one is needed".to_owned(),
        )),
    }
}

/// What gateways are told to connect to.
fn advertised(config: &ShardNodeConfig, port: u16) -> Result<String, CliError> {
    let at = |address: &Address| {
        let (host, given) = address.split();
        let port = if given == 0 { port } else { given };
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    };
    if let Some(advertise) = &config.advertise {
        return Ok(at(advertise));
    }
    match config.listen.split().0 {
        "0.0.0.0" | "::" => Err(CliError::Usage(format!(
            "--listen {} can be reached under many names: say with --advertise HOST:PORT which one \
             gateways are to use",
            config.listen
        ))),
        _ => Ok(at(&config.listen)),
    }
}
