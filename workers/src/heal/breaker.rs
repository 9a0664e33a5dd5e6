//! The circuit breaker: many drives that vanish at once are cut off, not lost.
//!
//! Owns: whether healing holds back because of drives that do not answer, and which losses are no
//! news any more.
//! Leaves to others: healing, and what a lost drive held ([`crate::compare`]).
//! Always: a drive counts as vanished until all that it held is queued to be healed elsewhere and
//! nothing was held back meanwhile; that is kept in the index, so that a restart counts alike.

use holdfast_index::{Batch, Row, Table, keys, rows};
use holdfast_protocol::DriveId;

use crate::context::Context;
use crate::error::Result;
use crate::watch::DriveState;

/// Kind of the local rows that name drives whose loss is no news; they are kept beside the system
/// records and are never sent to a drive.
const GONE_KIND: &str = "local.gone";

impl Context {
    /// When more than a fifth of the drives, and more than m, do not answer that did not go one
    /// after the other, that is a partition and not a loss.
    pub(crate) fn judge_vanished(&self) {
        let known_gone = self.heal_book().known_gone.clone();
        let living = self.living();
        let living: Vec<_> = living.difference(&known_gone).copied().collect();
        let health = self.health();
        // One that only serves no reads is not cut off.
        let answers = |drive: &DriveId| {
            let entry = health.drives.get(drive);
            entry.is_some_and(|entry| entry.serves_no_reads)
        };
        let is_gone = |drive: &&DriveId| {
            let (state, drives) = (health.state(**drive), self.store.drives());
            (state != DriveState::Up || !drives.is_reachable(**drive)) && !answers(drive)
        };
        let gone = living.iter().filter(is_gone).count();
        drop(health);
        let parity = self.store.map().geometry.parity();
        let is_partition = gone * 5 > living.len() && gone > parity;
        let why =
            is_partition.then(|| format!("{gone} of {} drives vanished: held back", living.len()));
        let shown = if is_partition { gone as i64 } else { 0 };
        self.metrics.heal_held_back.set(shown);
        let released = {
            let mut book = self.heal_book();
            let was = std::mem::replace(&mut book.held_back, why);
            match (was.is_some(), is_partition) {
                (false, true) => tracing::warn!(
                    gone,
                    drives = living.len(),
                    "healing holds back: too many drives vanished"
                ),
                (true, false) => tracing::info!(gone, "healing goes on: drives have returned"),
                _ => {}
            }
            was.is_some() && !is_partition
        };
        if released {
            self.heal.ring();
        }
    }

    /// Reads which losses are no news; to be called once, at the start.
    pub(crate) async fn load_known_gone(&self) -> Result<()> {
        for drive in self.living() {
            let name = drive.to_string();
            let row = rows::get_system(&*self.index, GONE_KIND, &name).await?;
            if row.is_some() {
                self.heal_book().known_gone.insert(drive);
            }
        }
        Ok(())
    }

    /// Drives that are out, and of which all is queued, while nothing is held back: whatever
    /// vanishes later vanishes without them.
    pub(crate) async fn accept_losses(&self) -> Result<()> {
        self.judge_vanished();
        let out: Vec<DriveId> = {
            let (health, compares) = (self.health(), self.compares());
            let is_out = |drive: &DriveId| {
                health.state(*drive) == DriveState::Out && !compares.lost.contains(drive)
            };
            self.living().into_iter().filter(is_out).collect()
        };
        for drive in out {
            if self.heal_book().holds_back_for_drives() {
                return Ok(());
            }
            if !self.heal_book().known_gone.contains(&drive) {
                let mut batch = Batch::new();
                let key = keys::system(GONE_KIND, &drive.to_string());
                batch.set(Table::System, key, Row::unordered(bytes::Bytes::new()));
                self.commit_alone(batch).await?;
                self.heal_book().known_gone.insert(drive);
                tracing::info!(%drive, "what the drive held is healed elsewhere");
            }
        }
        Ok(())
    }

    /// A drive is back: if it vanishes again, that counts.
    pub(crate) async fn forget_known_gone(&self, drive: DriveId) -> Result<()> {
        if self.heal_book().known_gone.contains(&drive) {
            let mut batch = Batch::new();
            batch.delete(Table::System, keys::system(GONE_KIND, &drive.to_string()));
            self.commit_alone(batch).await?;
            self.heal_book().known_gone.remove(&drive);
        }
        Ok(())
    }
}
