//! The lease under which a gateway serves.
//!
//! Owns: how long it may serve, counted from the renewals that drives granted ([`LeaseBook`]), and
//! the check before every answer ([`LeaseGuard`]).
//! Leaves to others: sending renewals ([`keeper`]), waiting before a takeover ([`takeover`]), what
//! a drive grants (`shard-node`).
//! Always: pure. A renewal counts from before it was sent, on a clock that runs during suspend, and
//! ends a tenth earlier here than on the drive, so that clocks may run that differently. Who takes
//! over has stopped N − a + 1 drives from renewing, so that fewer than a are left.

pub mod keeper;
pub mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_protocol::DriveId;
use holdfast_seam::{Clock, Monotonic};

/// What drives granted. Moments are of [`Clock::boot`].
#[derive(Clone, Debug)]
pub struct LeaseBook {
    len: Duration,
    sent: BTreeMap<DriveId, Monotonic>,
    refused: BTreeMap<DriveId, Monotonic>,
}

impl LeaseBook {
    /// Nothing is granted yet; each renewal asks for `len`.
    pub fn new(len: Duration) -> Self {
        Self {
            len,
            sent: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// How long one renewal counts here.
    pub fn counts(&self) -> Duration {
        self.len - self.len / 10
    }

    /// A drive granted the renewal that was sent at `sent`. Answers may come in any order.
    pub fn renewed(&mut self, drive: DriveId, sent: Monotonic) {
        let last = self.sent.entry(drive).or_insert(sent);
        *last = (*last).max(sent);
        if self.refused.get(&drive).is_some_and(|at| *at < sent) {
            self.refused.remove(&drive);
        }
    }

    /// A drive answered the renewal that was sent at `sent` that it obeys another claimant.
    pub fn refused(&mut self, drive: DriveId, sent: Monotonic) {
        let last = self.refused.entry(drive).or_insert(sent);
        *last = (*last).max(sent);
    }

    /// Until when `needed` of the drives in `living` granted; the start of time if they never did.
    pub fn until(&self, living: &[DriveId], needed: usize) -> Monotonic {
        let mut sent: Vec<Monotonic> = living
            .iter()
            .filter_map(|drive| self.sent.get(drive).copied())
            .collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        let last = needed.max(1).checked_sub(1).and_then(|at| sent.get(at));
        last.map_or(Monotonic::default(), |sent| sent.plus(self.counts()))
    }

    /// Whether so many drives obey another claimant that the lease can never be renewed.
    pub fn is_lost(&self, living: &[DriveId], needed: usize) -> bool {
        let obeying = living
            .iter()
            .filter(|drive| !self.refused.contains_key(drive));
        obeying.count() < needed
    }
}

/// The lease has run out: nothing may be answered but that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's lease on the drives has run out")]
pub struct Lapsed;

/// Says whether the gateway may answer; clones are the same.
///
/// # Examples
/// ```
/// use holdfast_workers::LeaseGuard;
/// // The lock on an embedded cluster's data directory is its lease.
/// assert!(LeaseGuard::unlimited().check().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    limited: Option<Arc<Limited>>,
}

#[derive(Debug)]
struct Limited {
    clock: Arc<dyn Clock>,
    until: AtomicU64,
}

impl LeaseGuard {
    /// One that never runs out.
    pub fn unlimited() -> Self {
        Self { limited: None }
    }

    /// One that has run out until it is extended.
    pub fn limited(clock: Arc<dyn Clock>) -> Self {
        let until = AtomicU64::new(0);
        Self {
            limited: Some(Arc::new(Limited { clock, until })),
        }
    }

    /// Sets until when answers may be given.
    pub fn set(&self, until: Monotonic) {
        if let Some(limited) = &self.limited {
            limited.until.store(until.0, Ordering::Release);
        }
    }

    /// Whether an answer may be given now. To be asked after everything that the answer depends on
    /// was read or committed.
    ///
    /// # Errors
    /// `Lapsed`.
    pub fn check(&self) -> Result<(), Lapsed> {
        let Some(limited) = &self.limited else {
            return Ok(());
        };
        let until = limited.until.load(Ordering::Acquire);
        match limited.clock.boot().0 < until {
            true => Ok(()),
            false => Err(Lapsed),
        }
    }
}

#[cfg(test)]
mod tests;
