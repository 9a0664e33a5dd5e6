//! What the workers do, in numbers.
//!
//! Owns: their gauges and counters; `docs/metrics.md` lists them.
//! Leaves to others: serving them.
//! Always: labels come from small fixed sets.

use prometheus::{GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

pub use crate::scrub::ScrubMetrics;

/// Numbers of the workers; cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkersMetrics {
    /// Objects, parts and uploads that miss shards or copies, and those of drives being compared.
    pub heal_backlog: IntGauge,
    /// Objects being healed.
    pub heal_active: IntGauge,
    /// Rows healed.
    pub healed_objects: IntCounter,
    /// Bytes written by healing.
    pub healed_bytes: IntCounter,
    /// Attempts that failed; they are made again.
    pub heal_failures: IntCounter,
    /// Drives that vanished at once, while healing holds back because of them.
    pub heal_held_back: IntGauge,
    /// Shards and copies that rows in the heal queue miss, as last looked at.
    pub missing_shards: IntGauge,
    /// Entries of the purge queue.
    pub purge_backlog: IntGauge,
    /// Writes purged, counted once per drive.
    pub purged_writes: IntCounter,
    /// Purge calls that drives did not answer.
    pub purge_failures: IntCounter,
    /// Void records written.
    pub voids: IntCounter,
    /// Writes found on drives that the index does not know.
    pub unknown_writes: IntCounter,
    /// Writes that lie in the trash until their second look.
    pub trash_writes: IntGauge,
    /// Writes that a second look knew after all.
    pub spared_writes: IntCounter,
    /// Drives by state.
    pub drives: IntGaugeVec,
    /// Drives that wait to be compared with the index, or are being compared.
    pub drives_comparing: IntGauge,
    /// Rows compared with drives.
    pub compared_rows: IntCounter,
    /// Objects by margin.
    pub durability: IntGaugeVec,
    /// Objects that may miss something nobody looked at yet.
    pub durability_unknown: IntGauge,
    /// Reads of a drive, as a multiple of its peers'.
    pub latency_factor: GaugeVec,
    /// For how long no read of a drive was served that was asked for.
    pub unread_seconds: GaugeVec,
    /// Drives that lost entries of their log, and were not compared whole since.
    pub partial: IntGauge,
    /// The scrub.
    pub scrub: ScrubMetrics,
}

impl WorkersMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// Those of the registry (a name registered twice).
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::new(ScrubMetrics::register(registry)?)?;
        for gauge in [
            &metrics.heal_backlog,
            &metrics.heal_active,
            &metrics.missing_shards,
            &metrics.heal_held_back,
            &metrics.purge_backlog,
            &metrics.drives_comparing,
            &metrics.trash_writes,
        ] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for counter in [
            &metrics.healed_objects,
            &metrics.healed_bytes,
            &metrics.heal_failures,
            &metrics.purged_writes,
            &metrics.purge_failures,
            &metrics.voids,
            &metrics.unknown_writes,
            &metrics.spared_writes,
            &metrics.compared_rows,
        ] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.drives.clone()))?;
        registry.register(Box::new(metrics.durability.clone()))?;
        registry.register(Box::new(metrics.durability_unknown.clone()))?;
        registry.register(Box::new(metrics.latency_factor.clone()))?;
        registry.register(Box::new(metrics.unread_seconds.clone()))?;
        registry.register(Box::new(metrics.partial.clone()))?;
        Ok(metrics)
    }

    fn new(scrub: ScrubMetrics) -> Result<Self, prometheus::Error> {
        let (drives, durability) = by_kind()?;
        let (latency_factor, unread_seconds) = by_drive()?;
        Ok(Self {
            scrub,
            heal_backlog: IntGauge::new(
                "holdfast_heal_backlog_objects",
                "Objects that miss shards or copies, and those of drives being compared.",
            )?,
            heal_active: IntGauge::new("holdfast_heal_active_objects", "Objects being healed.")?,
            healed_objects: IntCounter::new("holdfast_heal_objects_total", "Objects healed.")?,
            healed_bytes: IntCounter::new(
                "holdfast_heal_bytes_total",
                "Bytes written by healing.",
            )?,
            heal_failures: IntCounter::new(
                "holdfast_heal_failures_total",
                "Attempts to heal that failed; they are made again.",
            )?,
            heal_held_back: held_back()?,
            missing_shards: IntGauge::new(
                "holdfast_heal_missing_shards",
                "Shards and copies that are known to be missing.",
            )?,
            purge_backlog: IntGauge::new(
                "holdfast_purge_backlog_entries",
                "Entries of the purge queue.",
            )?,
            purged_writes: IntCounter::new(
                "holdfast_purge_writes_total",
                "Writes purged, counted once per drive.",
            )?,
            purge_failures: IntCounter::new(
                "holdfast_purge_failures_total",
                "Purge calls that a drive did not do.",
            )?,
            voids: IntCounter::new("holdfast_sweep_voids_total", "Void records written.")?,
            unknown_writes: IntCounter::new(
                "holdfast_sweep_unknown_writes_total",
                "Writes found on drives that the index does not know.",
            )?,
            trash_writes: IntGauge::new(
                "holdfast_sweep_trash_writes",
                "Writes that nobody knows, waiting for a second look.",
            )?,
            spared_writes: IntCounter::new(
                "holdfast_sweep_spared_writes_total",
                "Writes that were not swept because a second look knew them.",
            )?,
            drives,
            durability,
            durability_unknown: unknown()?,
            latency_factor,
            unread_seconds,
            partial: IntGauge::new(
                "holdfast_drives_partial",
                "Drives that lost entries of their log, and were not compared whole since.",
            )?,
            drives_comparing: IntGauge::new(
                "holdfast_compare_pending_drives",
                "Drives that wait to be compared with the index.",
            )?,
            compared_rows: IntCounter::new(
                "holdfast_compare_rows_total",
                "Rows of the index compared with what drives hold.",
            )?,
        })
    }
}

fn held_back() -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(
        "holdfast_heal_held_back_drives",
        "Drives that vanished at once, while healing holds back because of them.",
    )
}

fn unknown() -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(
        "holdfast_durability_unknown_objects",
        "Objects, about, of drives that wait to be compared or do not answer.",
    )
}

/// Drives by state, objects by margin.
fn by_kind() -> Result<(IntGaugeVec, IntGaugeVec), prometheus::Error> {
    let drives = Opts::new("holdfast_cluster_drives", "Drives of the map by state.");
    let durability = Opts::new(
        "holdfast_durability_objects",
        "Objects by how many more shards or copies they can lose.",
    );
    Ok((
        IntGaugeVec::new(drives, &["state"])?,
        IntGaugeVec::new(durability, &["margin"])?,
    ))
}

/// How each drive reads: how slow, and for how long not at all.
fn by_drive() -> Result<(GaugeVec, GaugeVec), prometheus::Error> {
    let latency_factor = Opts::new(
        "holdfast_drive_latency_factor",
        "Time of reads of the drive, as a multiple of the median of its peers'.",
    );
    let unread_seconds = Opts::new(
        "holdfast_drive_unread_seconds",
        "For how long no read of the drive was served that was asked for; 0 while they are.",
    );
    Ok((
        GaugeVec::new(latency_factor, &["drive"])?,
        GaugeVec::new(unread_seconds, &["drive"])?,
    ))
}
