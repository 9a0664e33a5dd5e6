//! What a gateway does about the lease of another before it serves.
//!
//! Owns: finding who leases the drives, refusing while that one renews, waiting for what is left.
//! Leaves to others: the claim itself ([`crate::claim`]).
//! Always: it is asked before the claim, so that a gateway started by mistake disturbs nobody; and
//! waited after it, because until then the other one may renew.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use holdfast_protocol::rpc::{DriveError, LEASE_LEN_MAX, LeaseView};
use holdfast_protocol::{ClaimantId, DriveId};
use holdfast_seam::Clock;
use holdfast_store::{Drives, survey};

use crate::error::{Result, WorkersError};

/// How often holders are looked at again.
const LOOK: Duration = Duration::from_millis(500);

/// How to go about the lease of another.
#[derive(Clone, Debug, Default)]
pub struct Takeover {
    /// Claimants that are known to have ended, and to have waited for all leases before theirs:
    /// earlier processes on the very same data directory.
    pub ended: Vec<ClaimantId>,
    /// The operator's word that no other gateway runs.
    pub word: bool,
}

impl Takeover {
    fn is_other(&self, view: &LeaseView) -> bool {
        // A drive that was opened again has forgotten whose lease it was; it was its claimant's.
        let holder = view.claimant.or(view.granted);
        view.left_ms > 0 && !holder.is_some_and(|holder| self.ended.contains(&holder))
    }

    /// Drives that obey a claimant that has ended.
    pub(crate) fn own(&self, views: &Views) -> usize {
        let is_own = |view: &&LeaseView| {
            view.granted
                .is_some_and(|granted| self.ended.contains(&granted))
        };
        views.values().filter(is_own).count()
    }

    /// Waits until no other gateway leases a drive, or goes on at once on the operator's word.
    ///
    /// # Errors
    /// `Held` while another gateway renews.
    pub(crate) async fn ask(
        &self,
        drives: &Drives,
        clock: &dyn Clock,
        deadline: Duration,
    ) -> Result<Views> {
        let mut before: Option<Views> = None;
        loop {
            let views = look(drives, deadline).await;
            let held: Vec<&LeaseView> = views.values().filter(|v| self.is_other(v)).collect();
            let Some(longest) = held.iter().map(|view| view.left_ms).max() else {
                return Ok(views);
            };
            if self.word {
                return Ok(views);
            }
            if let Some(before) = &before
                && let Some(holder) = renewing(before, &views)
            {
                return Err(WorkersError::Held { holder });
            }
            if before.is_none() {
                let holder = name(held.first().copied());
                tracing::warn!(
                    %holder,
                    left_ms = longest,
                    "another gateway leases the drives; waiting to see whether it still runs"
                );
                before = Some(views);
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Waits for what is left of other leases, now that drives were claimed; `before` is what they
    /// said before that.
    pub(crate) async fn wait_out(
        &self,
        drives: &Drives,
        clock: &dyn Clock,
        deadline: Duration,
        before: &Views,
        claimed: &Claims,
    ) {
        let asked = claimed
            .drives
            .iter()
            .map(|&drive| survey::lease_state(drives, drive, deadline));
        let mut left = match claimed.enough {
            true => Duration::ZERO,
            false => LEASE_LEN_MAX,
        };
        let answers = join_all(asked).await;
        for (drive, view) in claimed.drives.iter().zip(answers) {
            left = left.max(self.left(before.get(drive), view));
        }
        if left > Duration::ZERO {
            tracing::warn!(?left, "waiting for the lease of another gateway to run out");
            let start = clock.boot();
            while clock.boot().since(start) <= left {
                clock.sleep(LOOK.min(left)).await;
            }
        }
    }

    /// What of a drive's lease is to be waited for, now that the drive was claimed.
    fn left(
        &self,
        before: Option<&LeaseView>,
        now: std::result::Result<LeaseView, DriveError>,
    ) -> Duration {
        let Ok(now) = now else { return LEASE_LEN_MAX };
        let has_ended = |claimant: ClaimantId| self.ended.contains(&claimant);
        let is_own = match (now.claimant, before) {
            (Some(claimant), _) => has_ended(claimant),
            // It was opened again before the claim, and obeyed one who had waited for all earlier
            // leases. That it has no more left than it had shows that it was not opened since.
            (None, Some(before)) => {
                before.claimant.is_none()
                    && before.granted.is_some_and(has_ended)
                    && now.left_ms <= before.left_ms
            }
            (None, None) => false,
        };
        match is_own {
            true => Duration::ZERO,
            false => Duration::from_millis(now.left_ms.into()),
        }
    }
}

/// Drives that granted a claim.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) drives: Vec<DriveId>,
    /// Whether no lease can be renewed without them.
    pub(crate) enough: bool,
}

/// What drives said about their leases.
pub(crate) type Views = BTreeMap<DriveId, LeaseView>;

async fn look(drives: &Drives, deadline: Duration) -> Views {
    let asked = drives.ids().into_iter().map(|drive| async move {
        let view = survey::lease_state(drives, drive, deadline).await;
        view.ok().map(|view| (drive, view))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The holder of a lease that was renewed between two looks.
fn renewing(before: &Views, now: &Views) -> Option<String> {
    let renewed = now.iter().find(|(drive, view)| {
        before.get(drive).is_some_and(|old| {
            view.left_ms > 0 && view.claimant.is_some() && view.renewals > old.renewals
        })
    });
    renewed.map(|(_, view)| name(Some(view)))
}

fn name(view: Option<&LeaseView>) -> String {
    match view {
        Some(view) if !view.holder.is_empty() => view.holder.clone(),
        _ => "another gateway".to_owned(),
    }
}
