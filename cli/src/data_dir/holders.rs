//! Claimants that served from this very directory: the file `holders.json`.
//!
//! Owns: remembering them, and knowing a copy of the directory from the directory.
//! Leaves to others: what a lease is (`workers::lease`).
//! Always: who is named here has ended. They all held the lock that this process holds: on the same
//! inode, since the machine was started. A copy has another inode, so it inherits nothing; after a
//! reboot, too, leases are waited out.

use std::os::unix::fs::MetadataExt;

use holdfast_protocol::ClaimantId;
use serde::{Deserialize, Serialize};

use super::{DataDir, write_durably};
use crate::error::CliError;

const HOLDERS: &str = "holders.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// More are forgotten, oldest first: their leases have long run out.
const KEPT: usize = 16;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Holders {
    /// Device and inode of the lock, and the machine's boot.
    place: String,
    claimants: Vec<String>,
}

impl DataDir {
    /// Earlier claimants that have certainly ended.
    pub fn ended(&self) -> Vec<ClaimantId> {
        let Some(place) = self.place() else {
            return Vec::new();
        };
        let text = std::fs::read_to_string(self.path().join(HOLDERS)).unwrap_or_default();
        let holders: Holders = serde_json::from_str(&text).unwrap_or_default();
        match holders.place == place {
            true => holders
                .claimants
                .iter()
                .filter_map(|claimant| ClaimantId::parse(claimant).ok())
                .collect(),
            false => Vec::new(),
        }
    }

    /// Remembers who serves from now on. To be called when no earlier lease is left, and before
    /// the first is taken.
    ///
    /// # Errors
    /// `File`.
    pub fn note_claimant(&self, claimant: ClaimantId) -> Result<(), CliError> {
        let Some(place) = self.place() else {
            return Ok(());
        };
        let mut claimants: Vec<String> = self.ended().iter().map(ToString::to_string).collect();
        claimants.push(claimant.to_string());
        let from = claimants.len().saturating_sub(KEPT);
        let claimants = claimants.split_off(from);
        let text = serde_json::to_string_pretty(&Holders { place, claimants });
        let text = text.expect("texts always have a JSON form") + "\n";
        write_durably(self.path(), HOLDERS, text.as_bytes())
    }

    /// What no copy of this directory shares with it; `None` where that cannot be told.
    fn place(&self) -> Option<String> {
        let boot = std::fs::read_to_string(BOOT_ID).ok()?;
        let lock = self._lock.metadata().ok()?;
        Some(format!("{}:{}:{}", lock.dev(), lock.ino(), boot.trim()))
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::ClaimantId;

    use super::{DataDir, HOLDERS};

    #[test]
    fn a_restart_knows_its_predecessors_and_a_copy_does_not() {
        let temp = tempfile::tempdir().unwrap();
        let (original, copy) = (temp.path().join("a"), temp.path().join("b"));
        let dir = DataDir::open(&original).unwrap();
        assert_eq!(dir.ended(), []);
        for number in 1..=20 {
            dir.note_claimant(ClaimantId::new(number)).unwrap();
        }
        drop(dir);
        let dir = DataDir::open(&original).unwrap();
        let kept: Vec<ClaimantId> = (5..=20).map(ClaimantId::new).collect();
        assert_eq!(dir.ended(), kept);
        let twin = DataDir::open(&copy).unwrap();
        std::fs::copy(original.join(HOLDERS), copy.join(HOLDERS)).unwrap();
        assert_eq!(twin.ended(), []);
    }
}
