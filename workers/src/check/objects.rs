//! Looks at one object, or one guard, again, before anything is said of it.
//!
//! Owns: what is really missing of it, and in which words that is reported.
//! Leaves to others: finding what seems to differ ([`super`]).
//! Always: a drive that does not answer is no proof of a loss.

use bytes::Bytes;
use holdfast_index::rows::PurgeEntry;
use holdfast_index::{Table, keys};
use holdfast_protocol::admin::check::CheckObject;
use holdfast_protocol::row::RowName;
use holdfast_protocol::rpc::DriveError;
use holdfast_store::Trouble;

use super::{Check, PROBLEMS_MAX};
use crate::context::Context;
use crate::error::Result;
use crate::guard::needed;
use crate::heal::Health;
use crate::inspect::count;
use crate::pace::Limits;
use crate::placed::{self, Placed};

/// How fast a deep check reads, in bytes per second.
const LIMITS: Limits = Limits {
    quiet: 0,
    busy: 64 << 20,
    floor: 4 << 20,
};

/// How often a row is looked at that changes while its drives are asked.
const LOOKS_MAX: usize = 4;

impl Check<'_> {
    /// Asks the drives of a row again, now; in a deep check they read what they hold of it.
    pub(super) async fn look_again(&mut self, name: &RowName) -> Result<()> {
        let Some((placed, health)) = self.steady_health(name).await? else {
            return Ok(());
        };
        let (good, away) = (count(&health, Health::Good), count(&health, Health::Away));
        let manifest = placed.manifest();
        let needed = match placed.is_coded() {
            true => manifest.geometry.data() as u8,
            false => 1,
        };
        if usize::from(good) == health.len() && placed.row.placement.missing == 0 {
            return Ok(());
        }
        let is_queued = self.ctx.is_queued(&placed).await?;
        let state = match (good + away < needed, is_queued) {
            (true, _) => "lost",
            (false, true) => "queued",
            (false, false) => "degraded",
        };
        self.list(&placed, &health, state, good.saturating_sub(needed));
        let of = Some((manifest.bucket, manifest.key.as_str()));
        match state {
            "lost" => {
                let what = format!("{name:?}: {good} of {needed} shards or copies are left");
                self.problem("lost", of, None, what);
            }
            "queued" => self.counts.healing += 1,
            _ => {}
        }
        for (at, drive) in bad(&placed, &health) {
            let row = name.clone();
            self.troubles.push(Trouble { row, drive });
            if state == "degraded" {
                let what = format!("{name:?}: shard or copy {at} is bad and not queued");
                self.problem("missing", of, Some(drive), what);
            }
        }
        Ok(())
    }

    /// What is left of a row that was the same before and after its drives were asked; `None` when
    /// it is gone, or never stays the same: then there is nothing to say of it now.
    async fn steady_health(&mut self, name: &RowName) -> Result<Option<(Placed, Vec<Health>)>> {
        let mut before = placed::find(&*self.ctx.index, name).await?;
        for _ in 0..LOOKS_MAX {
            let Some(placed) = before else { break };
            let health = self.health(&placed).await;
            let after = placed::find(&*self.ctx.index, name).await?;
            let is_same = |after: &Placed| after.row.placement == placed.row.placement;
            if after.as_ref().is_some_and(is_same) {
                return Ok(Some((placed, health)));
            }
            before = after;
        }
        Ok(None)
    }

    async fn health(&mut self, placed: &Placed) -> Vec<Health> {
        let health = match (placed.is_coded(), self.request.deep) {
            (true, false) => self.ctx.shard_presence(placed).await,
            (true, true) => {
                let manifest = placed.manifest();
                let all = manifest.geometry.total() as u64 * manifest.len;
                let bytes = all / manifest.geometry.data() as u64;
                self.pacer.take(self.ctx, bytes, LIMITS).await;
                self.ctx.shards_verified(placed).await
            }
            (false, _) => self.ctx.copy_health(placed).await,
        };
        if self.request.deep {
            self.counts.verified += u64::from(count(&health, Health::Good));
        }
        health
    }

    fn list(&mut self, placed: &Placed, health: &[Health], state: &str, margin: u8) {
        if self.objects.len() >= PROBLEMS_MAX {
            return;
        }
        let manifest = placed.manifest();
        let holders = placed.row.placement.holders.iter().zip(health);
        let bad = holders.filter(|(_, health)| **health != Health::Good);
        let bucket = self.names.get(&manifest.bucket).cloned();
        self.objects.push(CheckObject {
            kind: placed::kind(&placed.name).to_owned(),
            bucket: bucket.unwrap_or_else(|| manifest.bucket.to_string()),
            key: manifest.key.clone(),
            write: manifest.write.to_string(),
            state: state.to_owned(),
            good: count(health, Health::Good),
            total: match placed.is_coded() {
                true => manifest.geometry.total() as u8,
                false => manifest.geometry.copies() as u8,
            },
            margin,
            drives: bad.map(|(drive, _)| drive.to_string()).collect(),
        });
    }

    /// Asks holders of guards again that seem to lack their copies.
    pub(super) async fn guards(&mut self, weak: Vec<PurgeEntry>) -> Result<()> {
        for entry in weak {
            // It may have been forgotten since, or given to others.
            let _turn = self.ctx.purging.lock().await;
            let (Some(guard), Some(row)) = (entry.row.guard, needed(self.ctx, &entry).await?)
            else {
                continue;
            };
            for drive in row.guard_holders {
                let kept = self.ctx.store.record_from(drive, guard, true).await;
                if matches!(
                    kept,
                    Err(DriveError::NotFound | DriveError::Purged | DriveError::Damaged { .. })
                ) {
                    self.to_compare.insert(drive);
                    let what = format!("tombstone or void {guard} is not there");
                    self.problem("guard", None, Some(drive), what);
                }
            }
        }
        Ok(())
    }
}

fn bad(placed: &Placed, health: &[Health]) -> Vec<(usize, holdfast_protocol::DriveId)> {
    let holders = placed.row.placement.holders.iter().copied().enumerate();
    let bad = holders.filter(|(at, _)| health.get(*at) == Some(&Health::Bad));
    bad.collect()
}

impl Context {
    /// Whether a row is in the heal queue.
    pub(crate) async fn is_queued(&self, placed: &Placed) -> Result<bool> {
        Ok(!self.queued_as(placed).await?.is_empty())
    }

    /// The entries of a row in the heal queue, one for each margin that it was queued under.
    pub(crate) async fn queued_as(&self, placed: &Placed) -> Result<Vec<Bytes>> {
        let manifest = placed.manifest();
        let mut queued = Vec::new();
        for margin in 0..=manifest.geometry.parity() as u8 {
            let key = keys::heal(margin, manifest.write);
            if self.index.get(Table::Heal, &key).await?.is_some() {
                queued.push(key);
            }
        }
        Ok(queued)
    }
}
