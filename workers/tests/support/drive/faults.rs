//! How a drive in memory is made to fail.

use std::time::Duration;

use holdfast_protocol::rpc::{DriveError, DriveRequest};

use super::{MemoryDrive, State};

impl MemoryDrive {
    /// It does not answer, or does again.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }
    /// Its medium cannot be read, or can again.
    pub fn set_unreadable(&self, is_unreadable: bool) {
        self.state().is_unreadable = is_unreadable;
    }
    /// It grants no claim and takes nothing, as after a sync that failed, or does again.
    pub fn set_out_of_service(&self, is_so: bool) {
        self.state().is_out_of_service = is_so;
    }
    /// Reads of blocks take so long.
    pub fn set_slow(&self, slow: Duration) {
        self.state().slow = slow;
    }
    /// So many seals are refused.
    pub fn fail_seals(&self, count: u32) {
        self.state().seals_to_fail = count;
    }
    /// Inventories are not answered until they may be.
    pub fn hold_lists(&self, is_held: bool) {
        self.state().lists_nothing = is_held;
    }
    pub(super) async fn listing(&self) {
        while self.state().lists_nothing {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn readable(state: &State, request: &DriveRequest) -> Result<(), DriveError> {
        let reads = matches!(
            request,
            DriveRequest::Read { .. }
                | DriveRequest::ReadRecord { .. }
                | DriveRequest::Verify { .. }
        );
        match state.is_unreadable && reads {
            true => Err(DriveError::Io {
                what: "made to be unreadable".to_owned(),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn in_service(state: &State, request: &DriveRequest) -> Result<(), DriveError> {
        let writes = matches!(
            request,
            DriveRequest::Claim { .. }
                | DriveRequest::Stage { .. }
                | DriveRequest::Seal { .. }
                | DriveRequest::Purge { .. }
                | DriveRequest::Leave { .. }
        );
        match state.is_out_of_service && writes {
            true => Err(DriveError::OutOfService {
                why: "made to be".to_owned(),
            }),
            false => Ok(()),
        }
    }
}
