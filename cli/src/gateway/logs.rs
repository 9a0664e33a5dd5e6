//! Delivering access logs and inventory lists.
//!
//! Owns: the tasks that deliver, and their end.
//! Leaves to others: what it does (`gateway` crate).
//! Always: what was recorded before the end is delivered before the index is let go; a list that is
//! being written at the end is written again after the next start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_gateway::auth::Credentials;
use holdfast_gateway::inventory::InventoryMetrics;
use holdfast_gateway::logging::{AccessLog, AccessLogMetrics};
use holdfast_gateway::object::Objects;
use holdfast_gateway::s3::{Deliverer, Reporter};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::GatewayConfig;
use super::metrics::Metrics;

/// How long the last delivery may take.
const LAST: Duration = Duration::from_secs(10);

/// Delivers access logs and inventory lists.
#[derive(Debug)]
pub struct Logs {
    region: String,
    interval: Duration,
    len_max: usize,
    metrics: AccessLogMetrics,
    inventory: InventoryMetrics,
    running: Mutex<Option<(CancellationToken, [JoinHandle<()>; 2])>>,
}

impl Logs {
    /// Not yet delivering.
    pub fn new(config: &GatewayConfig, metrics: &Metrics) -> Self {
        Self {
            region: config.region.clone(),
            interval: config.access_log_interval,
            len_max: config.access_log_buffer_bytes.in_memory(),
            metrics: metrics.access_log.clone(),
            inventory: metrics.inventory.clone(),
            running: Mutex::default(),
        }
    }

    /// Delivers what is given to the log that is returned, and lists that are due.
    pub fn start(&self, objects: Arc<dyn Objects>, credentials: Arc<dyn Credentials>) -> AccessLog {
        let (log, entries) = AccessLog::new(self.metrics.clone());
        let bounds = (self.interval, self.len_max);
        let entries = (log.clone(), entries);
        let reporter = Reporter::new(
            Arc::clone(&objects),
            Arc::clone(&credentials),
            self.inventory.clone(),
        );
        let deliverer = Deliverer::new(objects, credentials, &self.region, entries, bounds);
        let stop = CancellationToken::new();
        let reports = tokio::spawn(reporter.run(stop.clone()));
        let logs = tokio::spawn(deliverer.run(stop.clone()));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some((stop, [logs, reports]));
        log
    }

    /// Delivers what is left. Requests must have ended.
    pub async fn stop(&self) {
        let running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.take()
        };
        let Some((stop, tasks)) = running else { return };
        stop.cancel();
        let ends = futures::future::join_all(tasks);
        if tokio::time::timeout(LAST, ends).await.is_err() {
            tracing::warn!("the last access logs were not delivered in time");
        }
    }
}
