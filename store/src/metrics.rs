//! Metrics of the store.
//!
//! Owns: its counters and histograms.
//! Leaves to others: serving them.
//! Always: labels come from small fixed sets.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

/// Counters of the store; cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Writes that did not reach their quorum, by kind (coded, small, system).
    pub quorum_failures: IntCounterVec,
    /// Reads of a shard or record that failed, by reason.
    pub read_errors: IntCounterVec,
    /// Blocks and records that failed their checksum.
    pub checksum_failures: IntCounter,
    /// Stripes that were read by decoding.
    pub degraded_reads: IntCounter,
    /// Reads that asked further shards because one was slow.
    pub hedged_reads: IntCounter,
    /// Writes acknowledged with a shard missing.
    pub late_shards: IntCounter,
    /// Bytes of large bodies hashed for their ETag, by how many bodies were hashed together.
    pub md5_bytes: IntCounterVec,
    /// Time of store operations, by operation (stage, read; coded, small, system until durable).
    pub seconds: HistogramVec,
}

impl StoreMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// Those of the registry (a name registered twice).
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let buckets = prometheus::exponential_buckets(0.000_1, 2.5, 14)?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "holdfast_store_duration_seconds",
                "Time of store operations.",
            )
            .buckets(buckets),
            &["op"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let metrics = Self {
            quorum_failures: counters(
                "holdfast_store_quorum_failures_total",
                "Writes that did not reach their quorum.",
                "kind",
            )?,
            read_errors: counters(
                "holdfast_store_shard_read_errors_total",
                "Reads of shards and records that failed.",
                "reason",
            )?,
            checksum_failures: counter(
                "holdfast_store_checksum_failures_total",
                "Blocks and records that failed their checksum.",
            )?,
            degraded_reads: counter(
                "holdfast_store_degraded_reads_total",
                "Stripes that were read by decoding.",
            )?,
            hedged_reads: counter(
                "holdfast_store_hedged_reads_total",
                "Reads that asked further shards because one was slow.",
            )?,
            late_shards: counter(
                "holdfast_store_late_shards_total",
                "Shards missing when their write was acknowledged.",
            )?,
            md5_bytes: counters(
                "holdfast_store_md5_bytes_total",
                "Bytes of large bodies hashed for their ETag.",
                "bodies",
            )?,
            seconds,
        };
        // Series that exist from the start can be summed and alerted on before they first count.
        for kind in ["coded", "small", "system"] {
            metrics.quorum_failures.with_label_values(&[kind]).inc_by(0);
        }
        for bodies in ["1", "2-3", "4-7", "8-15", "16-32"] {
            metrics.md5_bytes.with_label_values(&[bodies]).inc_by(0);
        }
        for reason in ["missing", "damaged", "slow", "unreachable", "refused"] {
            metrics.read_errors.with_label_values(&[reason]).inc_by(0);
        }
        Ok(metrics)
    }
}
