//! What is counted of events (`docs/metrics.md`).
//!
//! Owns: names and labels.
//! Leaves to others: serving them (`admin`).
//! Always: the label `target` is one of the operator's names, or was one.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// The metrics of events.
#[derive(Clone, Debug)]
pub struct NotifyMetrics {
    queued: IntGaugeVec,
    delivered: IntCounterVec,
    dropped: IntCounterVec,
    failures: IntCounterVec,
}

impl NotifyMetrics {
    /// Makes them, not yet registered.
    ///
    /// # Errors
    /// A name or label is invalid: a bug that every test would show.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self {
            queued: IntGaugeVec::new(
                Opts::new("holdfast_notify_queued_events", "Events that wait."),
                &["target"],
            )?,
            delivered: IntCounterVec::new(
                Opts::new(
                    "holdfast_notify_delivered_events_total",
                    "Events that a target took.",
                ),
                &["target"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "holdfast_notify_dropped_events_total",
                    "Events that nobody is told, because too many wait.",
                ),
                &["target"],
            )?,
            failures: IntCounterVec::new(
                Opts::new(
                    "holdfast_notify_failures_total",
                    "Batches of events that a target did not take; they are sent again.",
                ),
                &["target"],
            )?,
        })
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let made = Self::new()?;
        registry.register(Box::new(made.queued.clone()))?;
        registry.register(Box::new(made.delivered.clone()))?;
        registry.register(Box::new(made.dropped.clone()))?;
        registry.register(Box::new(made.failures.clone()))?;
        Ok(made)
    }

    pub(crate) fn queued(&self, target: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.queued.with_label_values(&[target]).set(count);
    }
    pub(crate) fn delivered(&self, target: &str, count: usize) {
        let counter = self.delivered.with_label_values(&[target]);
        counter.inc_by(count as u64);
    }
    pub(crate) fn dropped(&self, target: &str) {
        self.dropped.with_label_values(&[target]).inc();
    }
    pub(crate) fn failed(&self, target: &str) {
        self.failures.with_label_values(&[target]).inc();
    }
}
