//! The data directories of a shard node.
//!
//! Owns: finding out what is in each, formatting when told to, the node's own id.
//! Leaves to others: who may format ([`super::join`] asks the gateway), a drive's files
//! (`shard-node`).
//! Always: a directory that holds anything else is never formatted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_protocol::rpc::control::{DriveHealth, DriveReport};
use holdfast_protocol::{ClusterId, DriveId, NodeId};
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, NodeError};

use crate::error::{CliError, chain};

/// The file that keeps the node's id, in its first data directory.
const NODE_FILE: &str = "node";
/// What may lie in a directory that counts as empty: our own files, and what file systems put
/// there.
const NOTHING: [&str; 4] = ["node", "node.new", "lock", "lost+found"];
/// Files of a drive whose formatting was interrupted begin so.
const UNFINISHED: &str = "checkpoint";

/// One data directory.
#[derive(Debug)]
pub struct Place {
    /// Where.
    pub dir: PathBuf,
    /// The drive in it, open.
    pub drive: Option<Arc<Drive>>,
    /// Why there is none that can be used.
    pub error: Option<String>,
}

impl Place {
    /// What the gateway is told.
    pub fn report(&self) -> DriveReport {
        let status = self.drive.as_ref().map(|drive| drive.status());
        DriveReport {
            drive: self.drive.as_ref().map(|drive| drive.id()),
            label: self.dir.display().to_string(),
            used_bytes: status.as_ref().map_or(0, |status| status.used_bytes),
            free_bytes: status.as_ref().map_or(0, |status| status.free_bytes),
            error: self.error.clone(),
        }
    }

    /// How its drive does.
    pub fn health(&self) -> Option<DriveHealth> {
        let status = self.drive.as_ref()?.status();
        Some(DriveHealth {
            drive: status.drive,
            used_bytes: status.used_bytes,
            free_bytes: status.free_bytes,
            writable: status.writable,
            trouble: status.trouble,
        })
    }
}

/// Opens what is in each directory, and gives the cluster that the drives belong to.
///
/// # Errors
/// `Layout` if they belong to different clusters; `Failed` if one is in use by another process.
pub async fn open(
    world: &World,
    dirs: &[PathBuf],
    config: &DriveConfig,
) -> Result<(Vec<Place>, Option<ClusterId>), CliError> {
    let mut places = Vec::new();
    let mut cluster: Option<ClusterId> = None;
    for dir in dirs {
        world
            .disk
            .create_dir_all(dir)
            .map_err(CliError::file("make directory", dir))?;
        let dir = dir.canonicalize().map_err(CliError::file("find", dir))?;
        if places.iter().any(|place: &Place| place.dir == dir) {
            return Err(CliError::Usage(format!(
                "--data-dir {} is given twice",
                dir.display()
            )));
        }
        let (place, found) = open_one(world, dir, config).await?;
        match (cluster, found) {
            (Some(one), Some(other)) if one != other => {
                return Err(CliError::Layout(format!(
                    "{} belongs to cluster {other}, the others to {one}",
                    place.dir.display()
                )));
            }
            (None, found) => cluster = found,
            _ => {}
        }
        places.push(place);
    }
    Ok((places, cluster))
}

async fn open_one(
    world: &World,
    dir: PathBuf,
    config: &DriveConfig,
) -> Result<(Place, Option<ClusterId>), CliError> {
    // No cluster has this id: the refusal names the one that the drive belongs to.
    let nobody = ClusterId::new(0);
    let asked = Drive::open(world, config.clone(), &dir, nobody, None).await;
    let (cluster, opened) = match asked {
        Err(NodeError::OtherCluster { found, .. }) => {
            let opened = Drive::open(world, config.clone(), &dir, found, None).await;
            (Some(found), opened)
        }
        other => (None, other),
    };
    let mut place = Place {
        dir,
        drive: None,
        error: None,
    };
    match opened {
        Ok(drive) => place.drive = Some(Arc::new(drive)),
        Err(NodeError::Missing { .. }) => place.error = in_the_way(&place.dir)?,
        Err(error @ NodeError::Locked { .. }) => {
            return Err(CliError::failed("open a drive")(error.into()));
        }
        Err(error) => {
            tracing::error!(dir = %place.dir.display(), error = %chain(&error), "drive unusable");
            place.error = Some(chain(&error));
        }
    }
    Ok((place, cluster))
}

/// What keeps a directory without a drive from being formatted.
fn in_the_way(dir: &Path) -> Result<Option<String>, CliError> {
    let entries = std::fs::read_dir(dir).map_err(CliError::file("read directory", dir))?;
    for entry in entries {
        let name = entry
            .map_err(CliError::file("read directory", dir))?
            .file_name();
        let name = name.to_string_lossy();
        if !NOTHING.contains(&&*name) && !name.starts_with(UNFINISHED) {
            return Ok(Some(format!(
                "{} is not empty and holds no drive",
                dir.display()
            )));
        }
    }
    Ok(None)
}

/// Formats a directory as the gateway says, and opens the drive.
///
/// # Errors
/// `Failed`.
pub async fn format(
    world: &World,
    place: &mut Place,
    config: &DriveConfig,
    cluster: ClusterId,
    drive: DriveId,
) -> Result<(), CliError> {
    let failed = |error: NodeError| CliError::failed("lay out a drive")(error.into());
    let options = FormatOptions::default();
    Drive::format(world, &place.dir, cluster, drive, options)
        .await
        .map_err(failed)?;
    let opened = Drive::open(world, config.clone(), &place.dir, cluster, Some(drive)).await;
    place.drive = Some(Arc::new(opened.map_err(failed)?));
    tracing::info!(%drive, dir = %place.dir.display(), "drive laid out");
    Ok(())
}

/// The node's id, made at its first start.
///
/// # Errors
/// `File`.
pub fn node_id(world: &World, first: &Path) -> Result<NodeId, CliError> {
    let path = first.join(NODE_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => NodeId::parse(text.trim())
            .map_err(|_| CliError::Layout(format!("{} is damaged: remove it", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let node = NodeId::new(world.rng.u64().max(1));
            crate::data_dir::write_durably(first, NODE_FILE, format!("{node}\n").as_bytes())?;
            Ok(node)
        }
        Err(error) => Err(CliError::file("read", &path)(error)),
    }
}
