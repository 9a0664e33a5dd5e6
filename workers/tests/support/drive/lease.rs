//! Leases of a drive in memory.

use std::time::{Duration, Instant};

use holdfast_protocol::Generation;
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest, LeaseView};

use super::{MemoryDrive, State};

impl MemoryDrive {
    pub(super) fn lease(
        state: &mut State,
        generation: Generation,
        request: DriveRequest,
    ) -> Result<DriveReply, DriveError> {
        let DriveRequest::Lease {
            claimant,
            len_ms,
            holder,
        } = request
        else {
            unreachable!("answered before")
        };
        let (current, granted, _) = state.granted.expect("claimed before it is leased");
        if current != generation || granted != claimant {
            return Err(DriveError::OldGeneration { current });
        }
        let until = Instant::now() + Duration::from_millis(len_ms.into());
        state.lease = (len_ms > 0).then_some((claimant, holder, until));
        state.renewals += 1;
        Ok(DriveReply::Done)
    }

    pub(super) fn lease_view(state: &State) -> LeaseView {
        let mut view = LeaseView {
            granted: state.granted.map(|granted| granted.1),
            renewals: state.renewals,
            ..LeaseView::default()
        };
        if let Some((claimant, holder, until)) = &state.lease {
            let left = until.saturating_duration_since(Instant::now());
            if left > Duration::ZERO {
                view.left_ms = left.as_millis() as u32 + 1;
                view.claimant = Some(*claimant);
                view.holder.clone_from(holder);
            }
        }
        view
    }
}
