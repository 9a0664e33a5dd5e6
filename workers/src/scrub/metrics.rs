//! What the scrub does, in numbers.
//!
//! Owns: its gauges and counters.
//! Leaves to others: their values.
//! Always: a drive that left the map leaves its series too.

use holdfast_protocol::DriveId;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Numbers of the scrub; cheap to clone.
#[derive(Clone, Debug)]
pub struct ScrubMetrics {
    /// Bytes verified.
    pub bytes: IntCounter,
    /// Writes verified, counted once per drive.
    pub records: IntCounter,
    /// What was found bad, by kind (record, shard).
    pub errors: IntCounterVec,
    /// How much of the present pass is done; 0 while none runs.
    pub progress: GaugeVec,
    /// When the last pass was complete, in seconds since 1970; 0 before the first.
    pub last_complete: IntGaugeVec,
    /// Age of the oldest verification.
    pub oldest: IntGaugeVec,
    /// Fresh objects read back, by how (data, parity).
    pub watched: IntCounterVec,
    /// Of these, those that failed, by why (unreadable, differs).
    pub watch_failures: IntCounterVec,
}

impl ScrubMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::new()?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.progress.clone()))?;
        for gauges in [&metrics.last_complete, &metrics.oldest] {
            registry.register(Box::new(gauges.clone()))?;
        }
        for (counters, labels) in [
            (&metrics.errors, ["record", "shard"]),
            (&metrics.watched, ["data", "parity"]),
            (&metrics.watch_failures, ["unreadable", "differs"]),
        ] {
            registry.register(Box::new(counters.clone()))?;
            // Series that exist from the start can be alerted on before they first count.
            for label in labels {
                counters.with_label_values(&[label]).inc_by(0);
            }
        }
        Ok(metrics)
    }

    fn new() -> Result<Self, prometheus::Error> {
        let by = |name: &str, help: &str| Opts::new(name, help);
        Ok(Self {
            bytes: IntCounter::new("holdfast_scrub_bytes_total", "Bytes verified by the scrub.")?,
            records: IntCounter::new(
                "holdfast_scrub_records_total",
                "Writes verified by the scrub, counted once per drive.",
            )?,
            errors: IntCounterVec::new(
                by("holdfast_scrub_errors_total", "What the scrub found bad."),
                &["kind"],
            )?,
            progress: GaugeVec::new(
                by(
                    "holdfast_scrub_progress_ratio",
                    "How much of the pass is done.",
                ),
                &["drive"],
            )?,
            last_complete: IntGaugeVec::new(
                by(
                    "holdfast_scrub_last_complete_timestamp_seconds",
                    "When the last pass over the drive was complete.",
                ),
                &["drive"],
            )?,
            oldest: IntGaugeVec::new(
                by(
                    "holdfast_scrub_oldest_unscrubbed_seconds",
                    "Everything on the drive was verified so long ago at most.",
                ),
                &["drive"],
            )?,
            watched: IntCounterVec::new(
                by(
                    "holdfast_scrub_watched_objects_total",
                    "Fresh objects that were read back.",
                ),
                &["how"],
            )?,
            watch_failures: IntCounterVec::new(
                by(
                    "holdfast_scrub_watch_failures_total",
                    "Fresh objects that did not read back as they were written.",
                ),
                &["reason"],
            )?,
        })
    }

    /// Sets the gauges of a drive.
    pub(crate) fn set(&self, drive: DriveId, progress: Option<f64>, complete: u64, oldest: u64) {
        let drive = drive.to_string();
        let label = [drive.as_str()];
        let progress = progress.unwrap_or(0.0);
        self.progress.with_label_values(&label).set(progress);
        let complete = i64::try_from(complete).unwrap_or(i64::MAX);
        self.last_complete.with_label_values(&label).set(complete);
        let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
        self.oldest.with_label_values(&label).set(oldest);
    }

    /// Removes the series of a drive.
    pub(crate) fn forget(&self, drive: DriveId) {
        let drive = drive.to_string();
        // Without series there is nothing to remove.
        let _ = self.progress.remove_label_values(&[&drive]);
        let _ = self.last_complete.remove_label_values(&[&drive]);
        let _ = self.oldest.remove_label_values(&[&drive]);
    }

    /// A fresh object was read back.
    pub(crate) fn watch(&self, from_parity: bool) {
        let how = if from_parity { "parity" } else { "data" };
        self.watched.with_label_values(&[how]).inc();
    }

    /// A fresh object did not read back.
    pub(crate) fn watch_failed(&self, reason: &str) {
        self.watch_failures.with_label_values(&[reason]).inc();
    }

    /// All that was found bad.
    pub(crate) fn errors_found(&self) -> u64 {
        let kinds = ["record", "shard"];
        let counts = kinds.map(|kind| self.errors.with_label_values(&[kind]).get());
        counts.iter().sum()
    }
}
