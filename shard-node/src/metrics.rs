//! Counters and gauges of the drives of a process.
//!
//! Owns: the metrics `holdfast_drive_*`, as listed in `docs/metrics.md`.
//! Leaves to others: serving them.
//! Always: the label `drive` is the drive's id.

use std::sync::LazyLock;

use holdfast_protocol::DriveId;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

struct All {
    syncs: IntCounterVec,
    sync_seconds: HistogramVec,
    batch_entries: HistogramVec,
    written: IntCounterVec,
    read: IntCounterVec,
    errors: IntCounterVec,
    checksum_failures: IntCounterVec,
    used: IntGaugeVec,
    free: IntGaugeVec,
    records: IntGaugeVec,
    staged: IntGaugeVec,
    log: IntGaugeVec,
}

static ALL: LazyLock<All> = LazyLock::new(|| All {
    syncs: counter("holdfast_drive_syncs_total", "Data syncs.", &["drive"]),
    sync_seconds: histogram(
        "holdfast_drive_sync_duration_seconds",
        "How long a data sync took.",
        prometheus::exponential_buckets(50e-6, 2.0, 18).unwrap_or_default(),
    ),
    batch_entries: histogram(
        "holdfast_drive_batch_entries",
        "Entries made durable by one group commit.",
        prometheus::exponential_buckets(1.0, 2.0, 11).unwrap_or_default(),
    ),
    written: counter(
        "holdfast_drive_written_bytes_total",
        "Bytes written: shards, log, pre-writing.",
        &["drive"],
    ),
    read: counter(
        "holdfast_drive_read_bytes_total",
        "Bytes read, from memory or medium.",
        &["drive"],
    ),
    errors: counter(
        "holdfast_drive_errors_total",
        "Failures of the medium, by what failed.",
        &["drive", "reason"],
    ),
    checksum_failures: counter(
        "holdfast_drive_checksum_failures_total",
        "Checksums that did not match, by where.",
        &["drive", "reason"],
    ),
    used: gauge(
        "holdfast_drive_used_bytes",
        "Bytes of sealed and staged shards and of records.",
    ),
    free: gauge(
        "holdfast_drive_free_bytes",
        "Bytes that new shards may still take.",
    ),
    records: gauge("holdfast_drive_records", "Sealed writes held."),
    staged: gauge(
        "holdfast_drive_staged_shards",
        "Shards received but not sealed.",
    ),
    log: gauge("holdfast_drive_log_bytes", "Bytes of the log's chunks."),
});

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect("name and labels are valid")
}

fn gauge(name: &str, help: &str) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), &["drive"]).expect("name and labels are valid")
}

fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets);
    HistogramVec::new(opts, &["drive"]).expect("name and labels are valid")
}

/// Adds the metrics of all drives of this process to `registry`.
///
/// # Errors
/// Those of the registry: a name is taken.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let all = &*ALL;
    let counters = [
        &all.syncs,
        &all.written,
        &all.read,
        &all.errors,
        &all.checksum_failures,
    ];
    let gauges = [&all.used, &all.free, &all.records, &all.staged, &all.log];
    let histograms = [&all.sync_seconds, &all.batch_entries];
    let mut collectors: Vec<Box<dyn Collector>> = Vec::new();
    collectors.extend(counters.map(|c| Box::new(c.clone()) as Box<dyn Collector>));
    collectors.extend(gauges.map(|c| Box::new(c.clone()) as Box<dyn Collector>));
    collectors.extend(histograms.map(|c| Box::new(c.clone()) as Box<dyn Collector>));
    collectors
        .into_iter()
        .try_for_each(|collector| registry.register(collector))
}

/// The metrics of one drive.
#[derive(Clone, Debug)]
pub(crate) struct DriveMetrics {
    drive: String,
    pub(crate) syncs: IntCounter,
    pub(crate) sync_seconds: Histogram,
    pub(crate) batch_entries: Histogram,
    pub(crate) written: IntCounter,
    pub(crate) read: IntCounter,
    pub(crate) used: IntGauge,
    pub(crate) free: IntGauge,
    pub(crate) records: IntGauge,
    pub(crate) staged: IntGauge,
    pub(crate) log: IntGauge,
}

impl DriveMetrics {
    /// Those of `drive`.
    pub(crate) fn new(drive: DriveId) -> Self {
        let drive = drive.to_string();
        let label = &[drive.as_str()];
        Self {
            syncs: ALL.syncs.with_label_values(label),
            sync_seconds: ALL.sync_seconds.with_label_values(label),
            batch_entries: ALL.batch_entries.with_label_values(label),
            written: ALL.written.with_label_values(label),
            read: ALL.read.with_label_values(label),
            used: ALL.used.with_label_values(label),
            free: ALL.free.with_label_values(label),
            records: ALL.records.with_label_values(label),
            staged: ALL.staged.with_label_values(label),
            log: ALL.log.with_label_values(label),
            drive,
        }
    }

    /// Counts a failure of the medium.
    pub(crate) fn error(&self, reason: &str) {
        ALL.errors.with_label_values(&[&self.drive, reason]).inc();
    }

    /// Counts checksums that did not match.
    pub(crate) fn checksum_failure(&self, reason: &str) {
        let labels = [self.drive.as_str(), reason];
        ALL.checksum_failures.with_label_values(&labels).inc();
    }

    /// Takes the drive's series away: a drive that is closed counts nothing any more.
    pub(crate) fn forget(&self) {
        let label = [self.drive.as_str()];
        let all = &*ALL;
        for counter in [&all.syncs, &all.written, &all.read] {
            let _ = counter.remove_label_values(&label);
        }
        for gauge in [&all.used, &all.free, &all.records, &all.staged, &all.log] {
            let _ = gauge.remove_label_values(&label);
        }
        for histogram in [&all.sync_seconds, &all.batch_entries] {
            let _ = histogram.remove_label_values(&label);
        }
        for counter in [&all.errors, &all.checksum_failures] {
            for reason in reasons(counter, &self.drive) {
                let _ = counter.remove_label_values(&[&self.drive, &reason]);
            }
        }
    }
}

/// The values of `reason` that a counter has for a drive.
fn reasons(counter: &IntCounterVec, drive: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    for family in counter.collect() {
        for metric in family.get_metric() {
            let value = |name: &str| {
                let pair = metric.get_label().iter().find(|pair| pair.name() == name);
                pair.map(|pair| pair.value().to_owned())
            };
            if value("drive").as_deref() == Some(drive) {
                reasons.extend(value("reason"));
            }
        }
    }
    reasons
}
