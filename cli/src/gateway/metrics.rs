//! The registry that `/metrics` shows.
//!
//! Owns: which collectors are in it; the version of the binary.
//! Leaves to others: the metrics themselves (`metrics.rs` of each crate).
//! Always: one registry per process.

use holdfast_gateway::inventory::InventoryMetrics;
use holdfast_gateway::logging::AccessLogMetrics;
use holdfast_gateway::metrics::{AccountMetrics, LifecycleMetrics, S3Metrics, abandoned_uploads};
use holdfast_gateway::notify::NotifyMetrics;
use holdfast_index::IndexMetrics;
use holdfast_seam::RpcMetrics;
use holdfast_store::StoreMetrics;
use holdfast_workers::WorkersMetrics;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};

/// Where the parts of a gateway count.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// All of them.
    pub registry: Registry,
    /// S3.
    pub s3: S3Metrics,
    /// Access logs.
    pub access_log: AccessLogMetrics,
    /// Accounts.
    pub accounts: AccountMetrics,
    /// Uploads aborted because nobody continued them.
    pub abandoned_uploads: IntCounter,
    /// Events.
    pub notify: NotifyMetrics,
    /// The index.
    pub index: IndexMetrics,
    /// The store.
    pub store: StoreMetrics,
    /// Inventories.
    pub inventory: InventoryMetrics,
    /// Lifecycle rules.
    pub lifecycle: LifecycleMetrics,
    /// The workers.
    pub workers: WorkersMetrics,
    /// Node RPC.
    pub rpc: RpcMetrics,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// A name is registered twice: a bug that every start would show.
    pub fn new() -> prometheus::Result<Self> {
        let registry = registry()?;
        let s3 = S3Metrics::new()?;
        s3.register(&registry)?;
        let rpc = RpcMetrics::new();
        rpc.register(&registry)?;
        holdfast_shard_node::metrics::register(&registry)?;
        Ok(Self {
            access_log: AccessLogMetrics::register(&registry)?,
            accounts: AccountMetrics::register(&registry)?,
            abandoned_uploads: abandoned_uploads(&registry)?,
            notify: NotifyMetrics::register(&registry)?,
            index: IndexMetrics::register(&registry)?,
            inventory: InventoryMetrics::register(&registry)?,
            lifecycle: LifecycleMetrics::register(&registry)?,
            store: StoreMetrics::register(&registry)?,
            workers: WorkersMetrics::register(&registry)?,
            s3,
            rpc,
            registry,
        })
    }
}

/// A registry with what every process shows of itself.
///
/// # Errors
/// As [`Metrics::new`].
pub fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = IntGaugeVec::new(
        Opts::new(
            "holdfast_build_info",
            "Always 1; the label names the version.",
        ),
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}
