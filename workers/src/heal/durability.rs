//! How many objects can lose how much.
//!
//! Owns: the summary and its gauge.
//! Leaves to others: the heal queue, in which everything is that is not whole.
//! Always: counted from the queue and the buckets' usage when the healer looks at its queue; a
//! scrape reads a number and scans nothing.

use std::collections::BTreeMap;

use holdfast_index::rows;
use holdfast_protocol::admin::durability::{DurabilitySummary, MarginCount};

use crate::context::Context;
use crate::error::Result;

/// What the queue holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Degraded {
    /// Versions, parts and uploads, by margin.
    pub(super) by_margin: BTreeMap<u8, u64>,
    /// Versions among them, by the margin that they have when they are whole.
    pub(super) versions: BTreeMap<u8, u64>,
}

impl Context {
    /// Makes the summary of what the queue holds and what the buckets hold.
    pub(super) async fn sum_durability(&self, degraded: &Degraded) -> Result<()> {
        let mut whole: BTreeMap<u8, u64> = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), 1000).await?;
            for bucket in &page.items {
                let usage = rows::get_usage(&*self.index, bucket.id).await?;
                for part in usage.versions {
                    *whole.entry(part.geometry.parity() as u8).or_default() += part.objects;
                }
            }
            after = page.items.last().map(|bucket| bucket.name.clone());
            if !page.more || after.is_none() {
                break;
            }
        }
        let objects = whole.values().sum();
        let mut by_margin = degraded.by_margin.clone();
        let standard = self.store.map().geometry.parity() as u8;
        let most = whole.keys().last().map_or(standard, |&m| m.max(standard));
        for margin in 0..=most {
            by_margin.entry(margin).or_default();
        }
        for (margin, objects) in whole {
            let short = degraded.versions.get(&margin).copied().unwrap_or_default();
            *by_margin.entry(margin).or_default() += objects.saturating_sub(short);
        }
        let counts = by_margin.into_iter();
        let summary = DurabilitySummary {
            objects,
            by_margin: counts
                .map(|(margin, objects)| MarginCount { margin, objects })
                .collect(),
            unknown_objects: 0,
            counted_ms: self.clock().unix_ms(),
        };
        for MarginCount { margin, objects } in &summary.by_margin {
            let gauge = &self.metrics.durability;
            let gauge = gauge.with_label_values(&[&margin.to_string()]);
            gauge.set(i64::try_from(*objects).unwrap_or(i64::MAX));
        }
        self.heal_book().durability = summary;
        Ok(())
    }

    /// The summary, as counted last.
    pub(crate) fn durability(&self) -> DurabilitySummary {
        let unknown_objects = self.comparing_objects();
        DurabilitySummary {
            unknown_objects,
            ..self.heal_book().durability.clone()
        }
    }
}
