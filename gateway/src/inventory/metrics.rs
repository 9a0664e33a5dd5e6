//! What is counted of inventories (`docs/metrics.md`).
//!
//! Owns: names and labels.
//! Leaves to others: serving them (`admin`).
//! Always: labels come from small closed sets.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The metrics of inventories.
#[derive(Clone, Debug)]
pub struct InventoryMetrics {
    lists: IntCounterVec,
    rows: IntCounter,
}

impl InventoryMetrics {
    /// Makes them, not yet registered.
    ///
    /// # Errors
    /// A name or label is invalid: a bug that every test would show.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self {
            lists: IntCounterVec::new(
                Opts::new(
                    "holdfast_inventory_lists_total",
                    "Attempts to write an inventory list by what became of them.",
                ),
                &["outcome"],
            )?,
            rows: IntCounter::new(
                "holdfast_inventory_rows_total",
                "Rows of inventory lists that were written.",
            )?,
        })
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let made = Self::new()?;
        registry.register(Box::new(made.lists.clone()))?;
        registry.register(Box::new(made.rows.clone()))?;
        Ok(made)
    }

    pub(crate) fn written(&self, rows: u64) {
        self.lists.with_label_values(&["written"]).inc();
        self.rows.inc_by(rows);
    }
    pub(crate) fn failed(&self) {
        self.lists.with_label_values(&["failed"]).inc();
    }
}
