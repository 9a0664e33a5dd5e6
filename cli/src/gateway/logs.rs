//! Delivering access logs.
//!
//! Owns: the task that delivers, and its end.
//! Leaves to others: what it does (`gateway` crate).
//! Always: what was recorded before the end is delivered before the index is let go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_gateway::auth::Credentials;
use holdfast_gateway::logging::{AccessLog, AccessLogMetrics};
use holdfast_gateway::object::Objects;
use holdfast_gateway::s3::Deliverer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::GatewayConfig;

/// How long the last delivery may take.
const LAST: Duration = Duration::from_secs(10);

/// Delivers access logs.
#[derive(Debug)]
pub struct Logs {
    region: String,
    interval: Duration,
    len_max: usize,
    metrics: AccessLogMetrics,
    running: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

impl Logs {
    /// Not yet delivering.
    pub fn new(config: &GatewayConfig, metrics: &AccessLogMetrics) -> Self {
        Self {
            region: config.region.clone(),
            interval: config.access_log_interval,
            len_max: config.access_log_buffer_bytes.in_memory(),
            metrics: metrics.clone(),
            running: Mutex::default(),
        }
    }

    /// Delivers what is given to the log that is returned.
    pub fn start(&self, objects: Arc<dyn Objects>, credentials: Arc<dyn Credentials>) -> AccessLog {
        let (log, entries) = AccessLog::new(self.metrics.clone());
        let bounds = (self.interval, self.len_max);
        let entries = (log.clone(), entries);
        let deliverer = Deliverer::new(objects, credentials, &self.region, entries, bounds);
        let stop = CancellationToken::new();
        let task = tokio::spawn(deliverer.run(stop.clone()));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some((stop, task));
        log
    }

    /// Delivers what is left. Requests must have ended.
    pub async fn stop(&self) {
        let running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.take()
        };
        let Some((stop, task)) = running else { return };
        stop.cancel();
        if tokio::time::timeout(LAST, task).await.is_err() {
            tracing::warn!("the last access logs were not delivered in time");
        }
    }
}
