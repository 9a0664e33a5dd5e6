//! How many objects can lose how much.
//!
//! Owns: the summary and its gauge.
//! Leaves to others: the heal queue, in which everything is that is not whole.
//! Always: counted from the queue and the buckets' usage when the healer looks at its queue; a
//! scrape reads a number and scans nothing.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_index::rows;
use holdfast_protocol::DriveId;
use holdfast_protocol::admin::durability::{DurabilitySummary, MarginCount};

use crate::context::Context;
use crate::error::Result;
use crate::watch::DriveState;

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
            degraded: degraded.by_margin.values().sum(),
            by_margin: counts
                .map(|(margin, objects)| MarginCount { margin, objects })
                .collect(),
            unknown_objects: 0,
            counted_ms: self.clock().unix_ms(),
        };
        let before = self.heal_book().durability.by_margin.clone();
        let now: BTreeSet<u8> = summary.by_margin.iter().map(|it| it.margin).collect();
        for gone in before.iter().filter(|it| !now.contains(&it.margin)) {
            let label = gone.margin.to_string();
            let _ = self.metrics.durability.remove_label_values(&[&label]);
        }
        for MarginCount { margin, objects } in &summary.by_margin {
            let gauge = &self.metrics.durability;
            let gauge = gauge.with_label_values(&[&margin.to_string()]);
            gauge.set(i64::try_from(*objects).unwrap_or(i64::MAX));
        }
        self.heal_book().durability = summary;
        Ok(())
    }

    /// About how many objects may miss something that nobody looked at yet: those of drives that
    /// wait to be compared, or do not answer and are not given up.
    pub(crate) fn unknown_objects(&self) -> u64 {
        let (not_whole, filling) = self.not_whole();
        let silent: Vec<_> = {
            let known_gone = self.heal_book().known_gone.clone();
            let health = self.health();
            let is_silent = |drive: &DriveId| {
                let is_up = health.state(*drive) == DriveState::Up;
                !(is_up && self.store.drives().is_reachable(*drive))
            };
            let others = self.living().into_iter().filter(is_silent);
            others
                .filter(|drive| !not_whole.contains(drive) && !known_gone.contains(drive))
                .collect()
        };
        self.records_of_drives(not_whole.into_iter().chain(silent)) + filling
    }

    /// The summary, as counted last.
    pub(crate) fn durability(&self) -> DurabilitySummary {
        let unknown_objects = self.unknown_objects();
        DurabilitySummary {
            unknown_objects,
            ..self.heal_book().durability.clone()
        }
    }
}
