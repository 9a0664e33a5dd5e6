//! The drives of one process, behind one trait.
//!
//! Owns: finding the drive of a call, and its deadline.
//! Leaves to others: sockets (`server`), what drives do ([`crate::drive`]).
//! Always: a call for a drive that is not here is answered `NoSuchDrive`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_protocol::DriveId;
use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply, DriveRequest};
use holdfast_seam::{NodeClient, World};
use parking_lot::RwLock;

use crate::drive::Drive;

/// The drives of one process; also the in-process form of [`NodeClient`].
#[derive(Debug)]
pub struct Node {
    world: World,
    drives: RwLock<BTreeMap<DriveId, Arc<Drive>>>,
}

impl Node {
    /// A node that serves `drives`.
    pub fn new(world: World, drives: impl IntoIterator<Item = Arc<Drive>>) -> Self {
        let drives = drives.into_iter().map(|drive| (drive.id(), drive));
        Self {
            world,
            drives: RwLock::new(drives.collect()),
        }
    }

    /// The drives served now.
    pub fn drives(&self) -> Vec<Arc<Drive>> {
        self.drives.read().values().cloned().collect()
    }

    /// Serves one more drive; returns the one that had its id.
    pub fn insert(&self, drive: Arc<Drive>) -> Option<Arc<Drive>> {
        self.drives.write().insert(drive.id(), drive)
    }

    /// Serves a drive no longer; the caller closes it.
    pub fn remove(&self, drive: DriveId) -> Option<Arc<Drive>> {
        self.drives.write().remove(&drive)
    }

    /// Closes all drives.
    pub async fn close(&self) {
        for drive in self.drives() {
            drive.close().await;
        }
    }

    /// Passes a call to its drive and waits for the answer, however long that takes.
    ///
    /// # Errors
    /// What the drive says; `NoSuchDrive`.
    pub async fn serve(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let drive = self.drives.read().get(&call.drive).cloned();
        match drive {
            Some(drive) => drive.call(call).await,
            None => Err(DriveError::NoSuchDrive),
        }
    }
}

#[async_trait]
impl NodeClient for Node {
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let deadline = Duration::from_millis(call.deadline_ms.into());
        if matches!(call.request, DriveRequest::Status) {
            return self.serve(call).await;
        }
        tokio::select! {
            biased;
            answer = self.serve(call) => answer,
            () = self.world.clock.sleep(deadline) => Err(DriveError::TimedOut),
        }
    }
}
