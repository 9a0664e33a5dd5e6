//! Watches the drives' directories of a running embedded cluster.
//!
//! Owns: noticing one that was deleted or emptied, and laying it out anew under a new id.
//! Leaves to others: what may be laid out anew ([`super::drives`]), healing (workers).
//! Always: the same rules as at a start: at most m at once, a new id is in the stamp before it is
//! on a drive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_protocol::DriveId;
use holdfast_seam::{NodeClient, World};
use holdfast_shard_node::{Drive, DriveConfig, Node};

use super::drives::{self, map_drive};
use crate::data_dir::{DataDir, Slot, Stamp};
use crate::error::{CliError, chain};
use crate::gateway::core::Core;

/// How often directories are looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// How long calls that are under way may keep a lost drive open.
const CLOSE_ATTEMPTS: usize = 50;
const CLOSE_PAUSE: Duration = Duration::from_millis(100);

/// The watcher.
pub struct Keeper {
    world: World,
    dir: DataDir,
    stamp: Mutex<Stamp>,
    node: Arc<Node>,
    core: Arc<Core>,
    config: DriveConfig,
}

impl Keeper {
    /// Watches the drives that `stamp` names; their map is in use.
    pub fn new(
        world: World,
        dir: DataDir,
        stamp: Stamp,
        node: Arc<Node>,
        core: Arc<Core>,
        config: DriveConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            world,
            dir,
            stamp: Mutex::new(stamp),
            node,
            core,
            config,
        })
    }

    fn stamp(&self) -> MutexGuard<'_, Stamp> {
        self.stamp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of the drives, as they are now.
    pub fn slots(&self) -> Vec<Slot> {
        self.stamp().slots.clone()
    }

    /// The gateway.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The data directory.
    pub fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// Watches, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut last = String::new();
        loop {
            self.world.clock.sleep(PAUSE).await;
            let done = self.look().await;
            let why = done.err().map(|error| chain(&error)).unwrap_or_default();
            if why != last && !why.is_empty() {
                tracing::error!(error = %why, "lost drives are not laid out anew");
            }
            last = why;
        }
    }

    async fn look(&self) -> Result<(), CliError> {
        let stamp = self.stamp().clone();
        let lost = drives::lost(&self.dir, &stamp)?;
        let unfinished = stamp.slots.iter().any(|slot| slot.replacing.is_some());
        if lost.is_empty() && !unfinished {
            return self.note_healed(&stamp);
        }
        let mut next = stamp.clone();
        if !lost.is_empty() {
            drives::check_lost(&self.dir, &stamp, &lost, true)?;
            drives::give_up(&self.world, &self.dir, &mut next, &lost)?;
            *self.stamp() = next.clone();
            for &number in &lost {
                self.close(stamp.slots[number].drive).await;
            }
        }
        self.replace(&next).await
    }

    /// Forgets that drives were healing once nothing is left to heal.
    fn note_healed(&self, stamp: &Stamp) -> Result<(), CliError> {
        if !stamp.slots.iter().any(|slot| slot.healing) {
            return Ok(());
        }
        let status = self.core.workers.heal_status();
        if status.backlog_objects > 0 || !status.drives_comparing.is_empty() {
            return Ok(());
        }
        let mut stamp = self.stamp();
        stamp.slots.iter_mut().for_each(|slot| slot.healing = false);
        self.dir.set_stamp(&stamp)
    }

    /// Stops serving a drive whose files are gone, without writing any new ones.
    async fn close(&self, drive: DriveId) {
        self.core.store.drives().note(drive, false, false);
        let Some(mut open) = self.node.remove(drive) else {
            return;
        };
        for _ in 0..CLOSE_ATTEMPTS {
            match Arc::try_unwrap(open) {
                Ok(alone) => return alone.abandon().await,
                Err(shared) => open = shared,
            }
            self.world.clock.sleep(CLOSE_PAUSE).await;
        }
        tracing::warn!(%drive, "calls keep a lost drive open");
    }

    /// Opens what was laid out anew and gives it its place in the map.
    async fn replace(&self, stamp: &Stamp) -> Result<(), CliError> {
        let mut changes = Vec::new();
        for (number, slot) in stamp.slots.iter().enumerate() {
            let Some(replacing) = &slot.replacing else {
                continue;
            };
            if !self
                .node
                .drives()
                .iter()
                .any(|drive| drive.id() == slot.drive)
            {
                let path = self.dir.drive(number);
                let (cluster, id) = (stamp.cluster, slot.drive);
                let opened =
                    drives::open_one(&self.world, &self.config, &path, cluster, id, true).await;
                let drive: Drive =
                    opened.map_err(|error| CliError::failed("open a drive")(error.into()))?;
                self.node.insert(Arc::new(drive));
                let client = Arc::clone(&self.node) as Arc<dyn NodeClient>;
                self.core.store.drives().attach(id, client);
            }
            changes.push((replacing.lost, map_drive(slot)));
        }
        let new: Vec<DriveId> = changes.iter().map(|(_, drive)| drive.id).collect();
        self.core.take_in(&new, &changes).await?;
        let mut stamp = self.stamp();
        stamp
            .slots
            .iter_mut()
            .for_each(|slot| slot.replacing = None);
        self.dir.set_stamp(&stamp)
    }
}
