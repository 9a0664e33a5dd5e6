//! The drives of an embedded cluster, for a rebuild.
//!
//! Owns: opening those that can be opened.
//! Leaves to others: what is made of them ([`super`]).
//! Always: nothing is laid out anew.

use std::sync::Arc;

use holdfast_seam::NodeClient;
use holdfast_shard_node::{Drive, Node, NodeError};

use super::Job;
use crate::config::{Group, ProcessConfig};
use crate::error::{CliError, chain};
use crate::gateway::core::failed;
use crate::process;
use crate::shard_node::config::DriveSettings;

/// Opens and attaches the drives of this data directory.
///
/// # Errors
/// `Failed` if one is in use by another process.
pub async fn open(job: &Job<'_>) -> Result<Arc<Node>, CliError> {
    let (world, stamp) = (&job.world, &job.stamp);
    let drives = stamp.slots.len();
    let threads = process::io_threads(&ProcessConfig::read(job.resolved)?, drives);
    let config = DriveSettings::read(job.resolved)?.drive_config(threads, drives);
    let node = Arc::new(Node::new(world.clone(), []));
    for (number, slot) in stamp.slots.iter().enumerate() {
        // A successor that the map does not know holds nothing yet.
        if slot.replacing.is_some() {
            continue;
        }
        let (path, expected) = (job.dir.drive(number), Some(slot.drive));
        match Drive::open(world, config.clone(), &path, stamp.cluster, expected).await {
            Ok(drive) => {
                node.insert(Arc::new(drive));
                let client = Arc::clone(&node) as Arc<dyn NodeClient>;
                job.drives.attach(slot.drive, client);
            }
            Err(error @ NodeError::Locked { .. }) => return Err(failed("open a drive")(error)),
            Err(error) => {
                tracing::warn!(drive = %slot.drive, error = %chain(&error), "drive is absent");
            }
        }
    }
    Ok(node)
}
