//! When a process must claim the drives anew.
//!
//! Owns: noticing that a drive obeys an index that was given up, under the generation served or a
//! higher one; and that a drive is back for want of which a rebuild left something in doubt.
//! Leaves to others: ending in order and starting again (cli), the claim ([`crate::claim`]).
//! Always: it is asked for once, not soon after a start, and only while so few drives are away that
//! the index could be rebuilt.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use holdfast_index::doubt;
use holdfast_protocol::DriveId;
use holdfast_protocol::rpc::DriveStatus;
use holdfast_seam::Monotonic;

use crate::context::Context;
use crate::error::Result;
use crate::merge::check_absent;

/// What is known about claiming anew.
#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    begun: Option<Monotonic>,
    /// Absent when the index was rebuilt; they could tell what is in doubt.
    awaited: BTreeSet<DriveId>,
    is_asked: bool,
}

impl Context {
    fn reclaim(&self) -> std::sync::MutexGuard<'_, Reclaim> {
        self.reclaim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what a rebuild left.
    pub(crate) async fn read_doubts(&self) -> Result<()> {
        let awaited = doubt::drives(&*self.index).await?;
        if !awaited.is_empty() {
            tracing::warn!(
                ?awaited,
                "drives could tell what the last rebuild left in doubt"
            );
        }
        let mut reclaim = self.reclaim();
        (reclaim.begun, reclaim.awaited) = (Some(self.clock().now()), awaited);
        Ok(())
    }

    /// Whether writes that nobody knows may have been acknowledged: drives were absent when the
    /// index was rebuilt, and what they hold was not taken in.
    pub(crate) fn awaits_drives(&self) -> bool {
        !self.reclaim().awaited.is_empty()
    }

    /// Asks for another claim if there is a reason.
    pub(crate) fn judge_claim(&self) {
        let (begun, awaited, is_asked) = {
            let reclaim = self.reclaim();
            (reclaim.begun, reclaim.awaited.clone(), reclaim.is_asked)
        };
        let age = begun.map(|begun| self.clock().now().since(begun));
        if is_asked || age.is_none_or(|age| age < self.config.down_after) {
            return;
        }
        let map = self.store.map();
        let living = self.living();
        let (mut strays, mut there) = (BTreeSet::new(), BTreeSet::new());
        {
            let health = self.health();
            let drives = self.store.drives();
            let answers = health
                .drives
                .iter()
                .filter(|(drive, _)| living.contains(*drive) && drives.is_reachable(**drive));
            for (drive, entry) in answers {
                match &entry.status {
                    Some(status) if self.is_stray(status) => drop(strays.insert(*drive)),
                    Some(status) if self.obeys(status) => drop(there.insert(*drive)),
                    _ => {}
                }
            }
        }
        let is_back = |drive: &&DriveId| there.contains(*drive) || !living.contains(*drive);
        let back: BTreeSet<DriveId> = awaited.iter().filter(is_back).copied().collect();
        if strays.is_empty() && back.is_empty() {
            return;
        }
        let absent = living.difference(&there).copied();
        let absent: BTreeSet<DriveId> = absent.chain(self.filling()).collect();
        if check_absent(&map, &absent).is_err() {
            return;
        }
        self.reclaim().is_asked = true;
        let why = match strays.is_empty() {
            true => format!("drives can tell what is in doubt: {back:?}"),
            false => format!("drives obey an index that was given up: {strays:?}"),
        };
        (self.on_reclaim)(why);
    }

    /// Only a claim of a higher generation gets it back.
    fn is_stray(&self, status: &DriveStatus) -> bool {
        let serving = self.store.drives().serving();
        let is_other = status.index.is_some_and(|index| index != serving.index);
        status.cluster == self.store.cluster()
            && is_other
            && status.generation >= serving.generation
    }

    fn obeys(&self, status: &DriveStatus) -> bool {
        let serving = self.store.drives().serving();
        status.index == Some(serving.index) && status.generation == serving.generation
    }
}
