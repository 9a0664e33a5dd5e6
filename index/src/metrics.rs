//! What an index counts.
//!
//! Owns: names, labels and buckets of the index's metrics (`docs/metrics.md`).
//! Leaves to others: serving them.
//! Always: labels come from small fixed sets; no key, bucket or user is ever one.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// Metrics of one index.
#[derive(Clone, Debug)]
pub struct IndexMetrics {
    syncs: IntCounter,
    commits: IntCounterVec,
    commit_duration: Histogram,
    group_commits: Histogram,
    rows_read: IntCounter,
    stalled: IntCounter,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Ok,
    Refused,
    Unknown,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

const COMMIT_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0,
];
const GROUP_COMMITS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

impl IndexMetrics {
    /// Metrics that `registry` serves.
    ///
    /// # Errors
    /// If one of the names is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::new()?;
        registry.register(Box::new(metrics.syncs.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.commit_duration.clone()))?;
        registry.register(Box::new(metrics.group_commits.clone()))?;
        registry.register(Box::new(metrics.rows_read.clone()))?;
        registry.register(Box::new(metrics.stalled.clone()))?;
        Ok(metrics)
    }

    fn new() -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        let metrics = Self {
            syncs: IntCounter::new(
                "holdfast_index_syncs_total",
                "Data syncs of the index's journal.",
            )?,
            commits: IntCounterVec::new(
                Opts::new(
                    "holdfast_index_commits_total",
                    "Commits, by how they ended.",
                ),
                &["outcome"],
            )?,
            commit_duration: histogram(
                "holdfast_index_commit_duration_seconds",
                "From handing a batch over until its outcome is known.",
                &COMMIT_SECONDS,
            )?,
            group_commits: histogram(
                "holdfast_index_group_commits",
                "Commits that shared one sync.",
                &GROUP_COMMITS,
            )?,
            rows_read: IntCounter::new(
                "holdfast_index_rows_read_total",
                "Rows that reads and listings returned.",
            )?,
            stalled: IntCounter::new(
                "holdfast_index_stalls_total",
                "Times the committer waited for the engine's background work.",
            )?,
        };
        for outcome in [Outcome::Ok, Outcome::Refused, Outcome::Unknown] {
            metrics.commits.with_label_values(&[outcome.label()]);
        }
        Ok(metrics)
    }

    /// Data syncs so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.get()
    }

    /// Rows read so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }

    pub(crate) fn synced(&self, commits: usize) {
        self.syncs.inc();
        self.group_commits.observe(commits as f64);
    }

    pub(crate) fn committed(&self, outcome: Outcome, took: Duration) {
        self.commits.with_label_values(&[outcome.label()]).inc();
        self.commit_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn read(&self, rows: usize) {
        self.rows_read.inc_by(rows as u64);
    }

    pub(crate) fn stalled(&self) {
        self.stalled.inc();
    }
}

impl Default for IndexMetrics {
    /// Metrics that nobody serves.
    fn default() -> Self {
        Self::new().expect("names and buckets are constants that a test registers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_register_once_under_the_prefix_of_the_index() {
        let registry = Registry::new();
        IndexMetrics::register(&registry).unwrap();
        let families = registry.gather();
        assert_eq!(families.len(), 6);
        assert!(
            families
                .iter()
                .all(|f| f.name().starts_with(concat!("holdfast", "_index_")))
        );
        assert!(IndexMetrics::register(&registry).is_err());
    }
}
