//! Where shard nodes register.
//!
//! Owns: the listener for nodes and the registry behind it, from open to closed.
//! Leaves to others: registrations ([`super::registry`]), proofs (`seam::rpc`).
//! Always: who does not prove the cluster secret is not heard.

use std::sync::Arc;

use holdfast_protocol::rpc::handshake::Identity;
use holdfast_seam::rpc::{Handler, ServerConfig, ServerLimits, serve};
use holdfast_seam::{Listener, World};
use holdfast_store::Drives;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::proof;
use super::registry::{self, Registry};
use crate::config::Secret;
use crate::data_dir::{DataDir, Stamp};
use crate::error::CliError;

/// What it takes.
pub struct Parts<'a> {
    /// The world.
    pub world: &'a World,
    /// Bound already.
    pub listener: Box<dyn Listener>,
    /// Where the stamp is kept.
    pub dir: &'a Arc<DataDir>,
    /// Who and what was laid out.
    pub stamp: &'a Stamp,
    /// Where drives are attached.
    pub drives: &'a Arc<Drives>,
    /// The cluster secret.
    pub secret: &'a Secret<String>,
    /// Where to count.
    pub metrics: &'a Metrics,
}

/// The open reception.
pub struct Reception {
    /// Who has registered.
    pub registry: Arc<Registry>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Identities are read from it as long as the server runs.
    _me: watch::Sender<Identity>,
}

impl Reception {
    /// Takes registrations.
    ///
    /// # Errors
    /// `Usage` if the secret cannot be used; `Listen`.
    pub fn open(parts: Parts<'_>) -> Result<Self, CliError> {
        let addr = parts.listener.local_addr();
        let addr = addr.map_err(|source| CliError::Listen {
            addr: "the address for nodes".to_owned(),
            flag: "--node-listen",
            source,
        })?;
        let registry = Registry::new(registry::Parts {
            world: parts.world.clone(),
            dir: Arc::clone(parts.dir),
            stamp: parts.stamp.clone(),
            drives: Arc::clone(parts.drives),
            secret: proof(parts.secret)?,
            join_secret: parts.secret.expose().clone().into_bytes(),
            node_listen: addr.to_string(),
            metrics: parts.metrics.rpc.clone(),
        });
        let (cluster, gateway) = (parts.stamp.cluster, parts.stamp.gateway);
        let (sender, me) = watch::channel(Identity::gateway(Some(cluster), gateway, 0));
        let config = ServerConfig {
            secret: proof(parts.secret)?,
            me,
            handler: Handler::Control(Arc::clone(&registry) as Arc<_>),
            limits: ServerLimits::default(),
            metrics: parts.metrics.rpc.clone(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let shutdown = Box::pin(async move { stopped.cancelled().await });
        let task = tokio::spawn(serve(parts.world.clone(), parts.listener, config, shutdown));
        Ok(Self {
            registry,
            stop,
            task,
            _me: sender,
        })
    }

    /// Takes no more, and closes all connections to nodes.
    pub async fn close(self) {
        self.stop.cancel();
        let _ = self.task.await;
        self.registry.close().await;
    }
}
