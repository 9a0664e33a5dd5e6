//! Drives that answer, but serve no reads.
//!
//! Owns: reading something of a drive of which reads were given up or failed for a while; which
//! drives count as not answering because of that, and until when.
//! Leaves to others: going around a slow drive (store), what it means that a drive does not answer
//! ([`super`]).
//! Always: a drive counts as such only when it answered for `down_after` and served no read, not
//! even one that was sent for that purpose alone, and until it has served all of these for
//! `suspect_after`: one that is slow, or serves some, is not given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_protocol::rpc::{BlockSpan, DriveRequest, InventoryEntry};
use holdfast_protocol::{DriveId, Order, WriteId};
use holdfast_seam::Monotonic;
use holdfast_store::survey::{self, InventoryQuery};

use crate::context::Context;

/// A drive of which reads were not served.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    /// It counts as not answering.
    is_given_up: bool,
    /// Since when it serves reads again.
    served_since: Option<Monotonic>,
    /// What was read last, so that not the same is read again and again.
    after: Option<WriteId>,
}

/// Drives that are under observation.
#[derive(Debug, Default)]
pub(super) struct Reads {
    trials: Mutex<BTreeMap<DriveId, Trial>>,
}

impl Reads {
    fn trials(&self) -> MutexGuard<'_, BTreeMap<DriveId, Trial>> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It does not answer at all: for how long it served no reads is counted anew when it does.
    pub(super) fn is_silent(&self, ctx: &Context, drive: DriveId) {
        ctx.store.drives().forget_unread(drive);
        if let Some(trial) = self.trials().get_mut(&drive) {
            trial.served_since = None;
        }
    }

    /// Whether a drive that answers serves reads, as far as is known.
    pub(super) async fn are_served(
        &self,
        ctx: &Context,
        drive: DriveId,
        deadline: Duration,
    ) -> bool {
        let (drives, config) = (ctx.store.drives(), &ctx.config);
        let unread = drives.unread_for(drive).unwrap_or_default();
        let known = self.trials().get(&drive).copied();
        if known.is_none() && (unread < config.suspect_after || unread.is_zero()) {
            return true;
        }
        let mut trial = known.unwrap_or_default();
        trial.after = probe(ctx, drive, deadline, trial.after).await;
        let unread = drives.unread_for(drive);
        let now = ctx.clock().now();
        let is_over = match unread {
            None if trial.is_given_up => {
                let since = *trial.served_since.get_or_insert(now);
                now.since(since) >= config.suspect_after
            }
            None => true,
            Some(unread) => {
                trial.served_since = None;
                if !trial.is_given_up && unread >= config.down_after {
                    trial.is_given_up = true;
                    let seconds = unread.as_secs_f64();
                    tracing::warn!(%drive, seconds, "drive answers, but serves no reads");
                }
                false
            }
        };
        let mut trials = self.trials();
        if !is_over {
            trials.insert(drive, trial);
            return !trial.is_given_up;
        }
        trials.remove(&drive);
        if trial.is_given_up {
            tracing::info!(%drive, "drive serves reads again");
        }
        true
    }
}

/// Has a drive read something small that it holds; the store notes how that ends. Returns what it
/// was.
async fn probe(
    ctx: &Context,
    drive: DriveId,
    deadline: Duration,
    after: Option<WriteId>,
) -> Option<WriteId> {
    let drives = ctx.store.drives();
    let query = InventoryQuery {
        after,
        ..InventoryQuery::from_order(Order::ZERO, 1)
    };
    let Ok(page) = survey::inventory(drives, drive, deadline, query).await else {
        return after;
    };
    let Some(&InventoryEntry { write, shard, .. }) = page.entries.first() else {
        if after.is_none() {
            // There is nothing to serve.
            drives.forget_unread(drive);
        }
        return None;
    };
    let request = match shard {
        Some((shard, _)) => DriveRequest::Read {
            write,
            shard,
            spans: vec![BlockSpan {
                stripe: 0,
                first_block: 0,
                block_count: 1,
            }],
        },
        None => DriveRequest::ReadRecord {
            write,
            with_body: true,
        },
    };
    // Drives::call notes whether it was served.
    let _ = drives.call(drive, deadline, request).await;
    Some(write)
}
