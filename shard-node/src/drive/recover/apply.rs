//! What an entry of the log changes in what is being recovered.
//!
//! Owns: the same effects as [`super::super::apply`], before there is a state.
//! Leaves to others: which entries count.
//! Always: entries are applied in the order of the log.

use holdfast_protocol::drive::Entry;

use super::Replay;
use crate::drive::apply::granted;
use crate::drive::seal::row;

impl Replay<'_> {
    pub(super) fn apply(&mut self, entry: &Entry, address: u64, damaged: bool) {
        match entry {
            Entry::Seal(seal) => {
                let mut row = row(seal, address, entry.padded_len() as u32);
                row.damaged |= damaged;
                self.table.insert(&row);
                self.purged.hear(seal.admitted);
            }
            Entry::Purge { order, writes } => {
                self.purged.hear(*order);
                for write in writes {
                    self.table.remove(*write);
                    self.purged.insert(*write);
                }
            }
            Entry::Leave(moved) => {
                for moved in moved {
                    if self.table.left(*moved) {
                        self.table.remove(moved.write);
                    }
                    self.purged.leave(*moved);
                }
            }
            Entry::Claim(claim) => {
                let grant = granted(*claim);
                if self
                    .grant
                    .is_none_or(|old| old.generation < grant.generation)
                {
                    self.grant = Some(grant);
                    self.purged.clear();
                }
            }
        }
    }
}
