//! Who leases the drive.
//!
//! Owns: granting, renewing and giving back leases, and what is assumed after the drive was opened
//! again.
//! Leaves to others: who may ask (the grant decides), counting leases of many drives (workers).
//! Always: in memory only. A drive that was opened again no longer knows what it granted, so it
//! counts as leased for the longest time it ever grants. A new claim ends no lease: it only keeps
//! it from being renewed, and who claimed waits for what is left.

use std::time::Duration;

use holdfast_protocol::drive::Grant;
use holdfast_protocol::rpc::{
    DriveError, DriveReply, DriveRequest, HOLDER_LEN_MAX, LEASE_LEN_MAX, LeaseView,
};
use holdfast_protocol::{ClaimantId, Generation};
use holdfast_seam::Monotonic;

use super::state::Shared;

/// Answers what is asked about the lease of a drive.
///
/// # Errors
/// As [`Lease::renew`]; `BadRequest` for what is not about leases.
pub(crate) fn answer(
    shared: &Shared,
    generation: Generation,
    request: DriveRequest,
) -> Result<DriveReply, DriveError> {
    let now = shared.world.clock.boot();
    let mut state = shared.state.lock();
    let grant = state.grant;
    state.lease.answer(now, grant, generation, request)
}

/// The lease of one drive. Moments are of the clock that runs during suspend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    claimant: Option<ClaimantId>,
    holder: String,
    until: Monotonic,
    renewals: u64,
}

impl Lease {
    /// That of a drive which was opened at `now` and had granted a generation before, or not.
    pub(crate) fn opened(now: Monotonic, granted: bool) -> Self {
        Self {
            until: match granted {
                true => now.plus(LEASE_LEN_MAX),
                false => now,
            },
            ..Self::default()
        }
    }

    /// Leases the drive to the claimant of `grant` until `len_ms` after `now`; 0 gives it back.
    ///
    /// # Errors
    /// `OldGeneration` if another generation, or this one to another claimant, was granted;
    /// `BadRequest` if it is too long or its name is.
    pub(crate) fn renew(
        &mut self,
        now: Monotonic,
        grant: Option<Grant>,
        generation: Generation,
        claimant: ClaimantId,
        len_ms: u32,
        holder: String,
    ) -> Result<(), DriveError> {
        let len = Duration::from_millis(len_ms.into());
        let bad = |what: &str| DriveError::BadRequest {
            what: what.to_owned(),
        };
        if len > LEASE_LEN_MAX {
            return Err(bad("the lease is longer than a drive grants"));
        }
        if holder.len() > HOLDER_LEN_MAX {
            return Err(bad("the name of the holder is too long"));
        }
        let grant = grant.ok_or_else(|| bad("no generation was granted"))?;
        if grant.generation != generation || grant.claimant != claimant {
            return Err(DriveError::OldGeneration {
                current: grant.generation,
            });
        }
        let is_another = self.claimant != Some(claimant);
        if len_ms == 0 {
            // It gives back its own only: an earlier holder's runs out.
            if !is_another {
                self.until = now;
            }
            return Ok(());
        }
        let until = now.plus(len);
        // What an earlier holder has left is waited for by who claimed, before it asks.
        self.until = match is_another {
            true => until,
            false => until.max(self.until),
        };
        self.claimant = Some(claimant);
        self.holder = holder;
        self.renewals += 1;
        Ok(())
    }

    /// Answers what is asked about it.
    ///
    /// # Errors
    /// As [`Lease::renew`]; `BadRequest` for what is not about leases.
    pub(crate) fn answer(
        &mut self,
        now: Monotonic,
        grant: Option<Grant>,
        generation: Generation,
        request: DriveRequest,
    ) -> Result<DriveReply, DriveError> {
        match request {
            DriveRequest::Lease {
                claimant,
                len_ms,
                holder,
            } => {
                self.renew(now, grant, generation, claimant, len_ms, holder)?;
                Ok(DriveReply::Done)
            }
            DriveRequest::LeaseState => Ok(DriveReply::Leased(self.view(now, grant))),
            _ => Err(DriveError::BadRequest {
                what: "not about leases".to_owned(),
            }),
        }
    }

    /// As told to others.
    pub(crate) fn view(&self, now: Monotonic, grant: Option<Grant>) -> LeaseView {
        let left = self.until.since(now);
        // Rounded up: who waits for it must not wait too short.
        let left_ms = u32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        LeaseView {
            granted: grant.map(|grant| grant.claimant),
            claimant: self.claimant.filter(|_| left_ms > 0),
            holder: match left_ms {
                0 => String::new(),
                _ => self.holder.clone(),
            },
            left_ms,
            renewals: self.renewals,
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::IndexId;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }
    fn granted(generation: u32, claimant: u128) -> Option<Grant> {
        Some(Grant {
            generation: Generation::new(generation),
            claimant: ClaimantId::new(claimant),
            index: IndexId::new(1),
        })
    }
    fn renew(
        lease: &mut Lease,
        now: Monotonic,
        grant: Option<Grant>,
        as_whom: (u32, u128),
        len_ms: u32,
    ) -> Result<(), DriveError> {
        let (generation, claimant) = (Generation::new(as_whom.0), ClaimantId::new(as_whom.1));
        let name = format!("gateway {}", as_whom.1);
        lease.renew(now, grant, generation, claimant, len_ms, name)
    }

    #[test]
    fn only_the_claimant_of_the_last_grant_renews() {
        let mut lease = Lease::opened(at(0), false);
        assert!(renew(&mut lease, at(0), None, (1, 7), 10).is_err());
        renew(&mut lease, at(0), granted(1, 7), (1, 7), 10_000).unwrap();
        for stranger in [(1, 8), (0, 7), (2, 7)] {
            let refused = renew(&mut lease, at(1), granted(1, 7), stranger, 10_000);
            assert!(
                matches!(refused, Err(DriveError::OldGeneration { .. })),
                "{refused:?}"
            );
        }
        let view = lease.view(at(4_000), granted(1, 7));
        assert_eq!(view.left_ms, 6_000);
        assert_eq!(view.holder, "gateway 7");
    }

    #[test]
    fn a_claim_ends_no_lease() {
        let mut lease = Lease::opened(at(0), false);
        renew(&mut lease, at(0), granted(1, 7), (1, 7), 10_000).unwrap();
        // Another one claims; the first may be serving for as long as it was promised.
        let view = lease.view(at(1_000), granted(2, 8));
        assert_eq!(
            (view.granted, view.left_ms),
            (Some(ClaimantId::new(8)), 9_000)
        );
        assert_eq!(view.claimant, Some(ClaimantId::new(7)));
        assert!(renew(&mut lease, at(1_000), granted(2, 8), (1, 7), 10_000).is_err());
    }

    #[test]
    fn a_drive_that_was_opened_again_counts_as_leased_for_the_longest_time() {
        let lease = Lease::opened(at(5), true);
        let longest = u32::try_from(LEASE_LEN_MAX.as_millis()).unwrap();
        let view = lease.view(at(5), granted(1, 7));
        assert_eq!((view.left_ms, view.claimant), (longest, None));
        let later = at(5 + u64::from(longest));
        assert_eq!(lease.view(later, granted(1, 7)).left_ms, 0);
        assert_eq!(Lease::opened(at(5), false).view(at(5), None).left_ms, 0);
    }

    #[test]
    fn a_lease_is_given_back_by_its_holder_only() {
        let mut lease = Lease::opened(at(0), false);
        renew(&mut lease, at(0), granted(1, 7), (1, 7), 10_000).unwrap();
        // The next claimant gives back what it does not have.
        renew(&mut lease, at(1), granted(2, 8), (2, 8), 0).unwrap();
        assert_eq!(lease.view(at(1), granted(2, 8)).left_ms, 9_999);
        renew(&mut lease, at(2), granted(1, 7), (1, 7), 0).unwrap();
        assert_eq!(lease.view(at(2), granted(1, 7)).left_ms, 0);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let mut lease = Lease::opened(at(0), false);
        let longest = u32::try_from(LEASE_LEN_MAX.as_millis()).unwrap();
        assert!(renew(&mut lease, at(0), granted(1, 7), (1, 7), longest + 1).is_err());
        assert_eq!(lease.view(at(0), granted(1, 7)).left_ms, 0);
    }
}
