//! How a drive in memory is made to fail.

use std::time::Duration;

use super::MemoryDrive;

impl MemoryDrive {
    /// It does not answer, or does again.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }
    /// Its medium cannot be read, or can again.
    pub fn set_unreadable(&self, is_unreadable: bool) {
        self.state().is_unreadable = is_unreadable;
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
}
