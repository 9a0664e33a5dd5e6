//! What is counted of access logs (`docs/metrics.md`).
//!
//! Owns: names and labels.
//! Leaves to others: serving them (`admin`).
//! Always: labels come from small closed sets.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of access logs.
#[derive(Clone, Debug)]
pub struct AccessLogMetrics {
    records: IntCounterVec,
    failures: IntCounter,
    buffered: IntGauge,
}

impl AccessLogMetrics {
    /// Makes them, not yet registered.
    ///
    /// # Errors
    /// A name or label is invalid: a bug that every test would show.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self {
            records: IntCounterVec::new(
                Opts::new(
                    "holdfast_access_log_records_total",
                    "Records of access logs by what became of them.",
                ),
                &["outcome"],
            )?,
            failures: IntCounter::new(
                "holdfast_access_log_failures_total",
                "Log objects that could not be delivered.",
            )?,
            buffered: IntGauge::new(
                "holdfast_access_log_buffered_bytes",
                "Bytes of records that wait to be delivered.",
            )?,
        })
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let made = Self::new()?;
        registry.register(Box::new(made.records.clone()))?;
        registry.register(Box::new(made.failures.clone()))?;
        registry.register(Box::new(made.buffered.clone()))?;
        Ok(made)
    }

    pub(crate) fn delivered(&self, count: u64) {
        self.records.with_label_values(&["delivered"]).inc_by(count);
    }
    pub(crate) fn dropped(&self, count: u64) {
        self.records.with_label_values(&["dropped"]).inc_by(count);
    }
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
    pub(crate) fn buffered(&self, bytes: usize) {
        self.buffered.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
