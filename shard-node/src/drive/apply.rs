//! What durable entries change.
//!
//! Owns: applying an entry to the state, and whether a claim or a caller is accepted.
//! Leaves to others: making entries durable ([`super::log`]).
//! Always: applying the entries of the log in order gives the same state as the drive had.

use holdfast_protocol::drive::{ClaimEntry, Entry, Grant};
use holdfast_protocol::rpc::DriveError;

use super::seal::{Caller, row};
use super::stage::drop_write;
use super::state::State;

/// Changes the state as a durable entry at `address` says.
pub(crate) fn apply_entry(state: &mut State, entry: &Entry, address: u64) {
    match entry {
        Entry::Seal(seal) => {
            state.put_row(&row(seal, address, entry.padded_len() as u32));
            state.purged.hear(seal.admitted);
        }
        Entry::Purge { order, writes } => {
            state.purged.hear(*order);
            for write in writes {
                state.drop_row(*write);
                drop_write(state, *write);
                state.purged.insert(*write);
            }
        }
        Entry::Leave(moved) => {
            for moved in moved {
                state.leave(*moved);
            }
        }
        Entry::Claim(claim) => {
            let new = state
                .grant
                .is_none_or(|grant| grant.generation < claim.generation);
            if new {
                state.grant = Some(granted(*claim));
                state.purged.clear();
            }
        }
    }
}

pub(crate) fn apply_move(state: &mut State, entry: &Entry, from: u64, to: u64) {
    if let Entry::Seal(seal) = entry
        && let Some(old) = state.table.get(seal.write)
        && old.address == from
    {
        let mut new = row(seal, to, entry.padded_len() as u32);
        new.damaged |= old.damaged;
        state.put_row(&new);
    }
}

pub(crate) fn granted(claim: ClaimEntry) -> Grant {
    Grant {
        generation: claim.generation,
        claimant: claim.claimant,
        index: claim.index,
    }
}

pub(crate) fn refusal(grant: Option<Grant>, caller: Caller) -> Option<DriveError> {
    let grant = grant?;
    if caller.generation < grant.generation {
        return Some(DriveError::OldGeneration {
            current: grant.generation,
        });
    }
    (caller.index != grant.index).then_some(DriveError::OtherIndex {
        current: grant.index,
    })
}

/// Whether a claim is granted, now or as it was before.
pub(crate) fn decide(
    grant: Option<Grant>,
    claim: ClaimEntry,
    takeover: bool,
) -> Result<(), DriveError> {
    let Some(grant) = grant.filter(|grant| *grant != granted(claim)) else {
        return Ok(());
    };
    if claim.generation <= grant.generation {
        return Err(DriveError::OldGeneration {
            current: grant.generation,
        });
    }
    if claim.index != grant.index && !takeover {
        return Err(DriveError::OtherIndex {
            current: grant.index,
        });
    }
    Ok(())
}
