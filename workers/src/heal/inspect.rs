//! What is really there.
//!
//! Owns: asking the holders of a row for its shards or copies.
//! Leaves to others: mending them.
//! Always: a holder that does not answer is away, not wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_protocol::{Body, DriveId, DriveUse, WriteId};
use holdfast_store::survey;

use crate::context::Context;
use crate::placed::Placed;
use crate::watch::DriveState;

/// How a shard or copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// There, and as recorded.
    Good,
    /// Its drive answers, and it is missing or wrong.
    Bad,
    /// Its drive does not answer, but may come back.
    Away,
    /// Its drive will not come back, as far as one can tell.
    Lost,
}

/// Slowest reading of a medium that is waited for, in bytes per second.
const VERIFY_RATE: u64 = 4 << 20;

impl Context {
    /// Whether a drive is on the dead list, not of this cluster, or out.
    fn is_lost(&self, drive: DriveId) -> bool {
        let map = self.store.map();
        let is_dead = map
            .drive(drive)
            .is_none_or(|drive| drive.usage == DriveUse::Dead);
        is_dead || self.health().state(drive) == DriveState::Out
    }

    /// The health of every shard of a coded row. Shards on drives that are suspected, or all of
    /// them when nothing else explains why the row is queued, are read from their media.
    pub(crate) async fn shard_health(
        &self,
        placed: &Placed,
        suspects: &BTreeSet<DriveId>,
    ) -> Vec<Health> {
        let Body::Coded { digests, .. } = &placed.manifest().body else {
            return Vec::new();
        };
        let write = placed.manifest().write;
        let holders = placed.row.placement.holders.iter().zip(digests).enumerate();
        let mut health = self.shard_presence(placed).await;
        let is_unexplained = placed.row.placement.missing == 0
            && health.iter().all(|health| *health == Health::Good);
        let len = placed.manifest().len / placed.manifest().geometry.data() as u64;
        let deep = holders.filter(|(shard, (drive, _))| {
            let is_suspect = is_unexplained || suspects.contains(drive);
            is_suspect && health[*shard] == Health::Good
        });
        let verified = deep.map(|(shard, (&drive, _))| async move {
            (
                shard,
                self.verify_shard(drive, write, shard as u8, len).await,
            )
        });
        for (shard, found) in join_all(verified).await {
            health[shard] = found;
        }
        health
    }

    /// As [`Context::shard_health`], without reading any medium.
    pub(crate) async fn shard_presence(&self, placed: &Placed) -> Vec<Health> {
        let Body::Coded { digests, .. } = &placed.manifest().body else {
            return Vec::new();
        };
        let write = placed.manifest().write;
        let holders = placed.row.placement.holders.iter().zip(digests).enumerate();
        let asked = holders
            .map(|(shard, (&drive, &digest))| self.ask_shard(drive, write, (shard as u8, digest)));
        join_all(asked).await
    }

    async fn ask_shard(&self, drive: DriveId, write: WriteId, expected: (u8, u64)) -> Health {
        if self.is_lost(drive) {
            return Health::Lost;
        }
        let (drives, cluster) = (self.store.drives(), self.store.cluster());
        let deadline = self.config.drive_deadline;
        match survey::read_record(drives, cluster, drive, deadline, write, false).await {
            Ok(kept) if kept.shard == Some(expected) => Health::Good,
            Ok(_) => Health::Bad,
            Err(error) => self.of_error(write, drive, &error),
        }
    }

    /// Reads a shard of `len` bytes from its medium.
    pub(crate) async fn verify_shard(
        &self,
        drive: DriveId,
        write: WriteId,
        shard: u8,
        len: u64,
    ) -> Health {
        let request = DriveRequest::Verify { write, shard };
        let deadline = self.config.drive_deadline + Duration::from_secs(len / VERIFY_RATE);
        match self.store.drives().call(drive, deadline, request).await {
            Ok(DriveReply::Verified { bad, .. }) if bad.is_empty() => {
                self.note_read(write, drive, None);
                Health::Good
            }
            Ok(_) => Health::Bad,
            Err(error) => self.of_error(write, drive, &error),
        }
    }

    /// The health of every copy of a small row.
    pub(crate) async fn copy_health(&self, placed: &Placed) -> Vec<Health> {
        let write = placed.manifest().write;
        let asked = placed
            .row
            .placement
            .holders
            .iter()
            .map(|&drive| async move {
                if self.is_lost(drive) {
                    return Health::Lost;
                }
                let (drives, cluster) = (self.store.drives(), self.store.cluster());
                let deadline = self.config.drive_deadline;
                match survey::read_record(drives, cluster, drive, deadline, write, true).await {
                    Ok(_) => {
                        self.note_read(write, drive, None);
                        Health::Good
                    }
                    Err(error) => self.of_error(write, drive, &error),
                }
            });
        join_all(asked).await
    }

    /// What is read from a drive that answers, and has hung for long, is not waited for.
    fn of_error(&self, write: WriteId, drive: DriveId, error: &DriveError) -> Health {
        let is_hung = self.note_read(write, drive, Some(error));
        match error {
            DriveError::NotFound
            | DriveError::Purged
            | DriveError::Damaged { .. }
            | DriveError::Io { .. } => Health::Bad,
            _ if is_hung => Health::Lost,
            _ => Health::Away,
        }
    }
}
