//! Rows that are being healed, and what is found wrong with them meanwhile.
//!
//! Owns: which writes are being healed, and whether something was found since they were looked at;
//! queueing those once more.
//! Leaves to others: finding out what is really wrong ([`super::inspect`]).
//! Always: a row has one turn at a time; what is found of a row while it is being healed is looked
//! at after that, although the healer takes the row off its queue as it saw it.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use holdfast_index::Batch;
use holdfast_index::rows::HealEntry;
use holdfast_protocol::WriteId;

use crate::context::Context;
use crate::error::Result;
use crate::placed;

/// What is being healed now, and whether something was found of it since.
#[derive(Debug, Default)]
pub(crate) struct HealTurns {
    rows: BTreeMap<WriteId, bool>,
}

impl Context {
    fn heal_turns(&self) -> MutexGuard<'_, HealTurns> {
        let turns = self.heal_turns.lock();
        turns.unwrap_or_else(PoisonError::into_inner)
    }

    /// A row is about to be looked at.
    pub(super) fn begin_turn(&self, write: WriteId) {
        self.heal_turns().rows.insert(write, false);
    }

    /// An attempt at a row has ended. Queues the row once more if something was found meanwhile,
    /// and returns whether it did.
    pub(super) async fn end_turn(&self, entry: &HealEntry) -> Result<bool> {
        let write = entry.name.write();
        let is_found_again = self.heal_turns().rows.remove(&write);
        if !is_found_again.unwrap_or_default() {
            return Ok(false);
        }
        let Some(placed) = placed::find(&*self.index, &entry.name).await? else {
            return Ok(false);
        };
        let mut batch = Batch::new();
        let margin = placed.margin().saturating_sub(1);
        batch.put_heal(margin, &entry.name, placed.manifest());
        self.heal_rows(1);
        self.commit_alone(batch).await?;
        self.heal.ring();
        Ok(true)
    }

    /// Something was found wrong with a row. To be called before its entry in the queue is
    /// committed: one that is healed just now takes that off the queue with what it knew of.
    pub(crate) fn found_wrong(&self, write: WriteId) {
        if let Some(is_found_again) = self.heal_turns().rows.get_mut(&write) {
            *is_found_again = true;
        }
    }
}
