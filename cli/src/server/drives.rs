//! The drives of an embedded cluster: `drives/0`, `drives/1`, …
//!
//! Owns: laying them out at the first start, laying a deleted or emptied one out anew under a new
//! id, opening them all.
//! Leaves to others: the map ([`crate::gateway::map`]), healing (workers), a drive's own files
//! (`shard-node`).
//! Always: a new id is in the stamp before it is on a drive; at most m drives are laid out anew at
//! once, and none while the index is missing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use holdfast_protocol::{ClusterId, DriveId, DriveUse, MapDrive};
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, NodeError};

use crate::data_dir::{DataDir, Phase, Replacement, Slot, Stamp};
use crate::error::{CliError, chain};

/// The drives of this process.
#[derive(Debug)]
pub struct Opened {
    /// Those that could be opened.
    pub drives: Vec<Arc<Drive>>,
    /// Lost drives and their successors, not yet in the map.
    pub replaced: Vec<(DriveId, MapDrive)>,
}

/// Lays out what has to be and opens all drives of `stamp`.
///
/// # Errors
/// `Layout` if too many are lost, or the index is; `File`, `Failed`.
pub async fn open(
    world: &World,
    dir: &DataDir,
    stamp: &mut Stamp,
    config: &DriveConfig,
    index_exists: bool,
) -> Result<Opened, CliError> {
    let lost = lost(dir, stamp)?;
    if stamp.phase == Phase::Formed && !lost.is_empty() {
        check_lost(dir, stamp, &lost, index_exists)?;
        give_up(world, dir, stamp, &lost)?;
    }
    let unfinished = stamp.phase == Phase::Forming;
    let opening = stamp.slots.iter().enumerate().map(|(number, slot)| {
        let (path, cluster) = (dir.drive(number), stamp.cluster);
        // Laying it out may have been interrupted; nothing was stored there yet.
        let may_format = unfinished || slot.replacing.is_some();
        async move {
            let opened = open_one(world, config, &path, cluster, slot.drive, may_format).await;
            (slot.drive, opened)
        }
    });
    let mut drives = Vec::new();
    for (id, opened) in join_all(opening).await {
        match opened {
            Ok(drive) => drives.push(Arc::new(drive)),
            Err(error @ (NodeError::Damaged { .. } | NodeError::OutOfService { .. })) => {
                // As good as absent: the others rebuild what it held once its directory is emptied.
                tracing::error!(
                    drive = %id,
                    error = %chain(&error),
                    "drive cannot be used; stop, empty its directory and start again to replace it"
                );
            }
            Err(error) => return Err(CliError::failed("open a drive")(error.into())),
        }
    }
    let replaced = stamp.slots.iter().filter_map(|slot| {
        let lost = slot.replacing.as_ref()?.lost;
        Some((lost, map_drive(slot)))
    });
    Ok(Opened {
        replaced: replaced.collect(),
        drives,
    })
}

/// Opens a drive; lays it out first if it is missing and `may_format`.
///
/// # Errors
/// What the drive says.
pub async fn open_one(
    world: &World,
    config: &DriveConfig,
    path: &Path,
    cluster: ClusterId,
    id: DriveId,
    may_format: bool,
) -> Result<Drive, NodeError> {
    match Drive::open(world, config.clone(), path, cluster, Some(id)).await {
        Err(NodeError::Missing { .. }) if may_format => {
            Drive::format(world, path, cluster, id, FormatOptions::default()).await?;
            tracing::info!(drive = %id, dir = %path.display(), "drive laid out");
            Drive::open(world, config.clone(), path, cluster, Some(id)).await
        }
        opened => opened,
    }
}

/// How the map names the drive of a slot.
pub fn map_drive(slot: &Slot) -> MapDrive {
    MapDrive {
        id: slot.drive,
        node: slot.node,
        weight: 1,
        usage: DriveUse::Active,
        is_whole: true,
    }
}

/// Adds the slots of a new cluster.
pub fn plan(world: &World, dir: &DataDir, stamp: &mut Stamp) {
    for number in 0..stamp.drives {
        stamp.slots.push(Slot {
            drive: DriveId::new(world.rng.u64().max(1)),
            node: stamp.node,
            listen: String::new(),
            label: dir.drive(number).display().to_string(),
            replacing: None,
            healing: false,
            given_up: false,
        });
    }
}

/// Numbers of the drives whose directory is gone or empty.
///
/// # Errors
/// `File`.
pub fn lost(dir: &DataDir, stamp: &Stamp) -> Result<Vec<usize>, CliError> {
    let mut lost = Vec::new();
    for number in 0..stamp.slots.len() {
        if is_empty(&dir.drive(number))? {
            lost.push(number);
        }
    }
    Ok(lost)
}

fn is_empty(path: &Path) -> Result<bool, CliError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(CliError::file("read directory", path)(error)),
    }
}

/// Refuses to lay out anew what could not be rebuilt.
///
/// # Errors
/// `Layout`.
pub fn check_lost(
    dir: &DataDir,
    stamp: &Stamp,
    lost: &[usize],
    index_exists: bool,
) -> Result<(), CliError> {
    // Those that were laid out anew and are not healed yet count too.
    let healing = stamp.slots.iter().enumerate();
    let healing = healing
        .filter(|(number, slot)| slot.healing && !lost.contains(number))
        .count();
    let (count, max) = (lost.len() + healing, stamp.geometry.parity());
    let names: Vec<String> = lost
        .iter()
        .map(|&number| dir.drive(number).display().to_string())
        .collect();
    let names = names.join(", ");
    if !index_exists {
        return Err(CliError::Layout(format!(
            "{names} and the index are missing: a drive is laid out anew only while there is an \
             index. Put the drives back, or run `holdfast index rebuild --data-dir {}` first",
            dir.path().display()
        )));
    }
    if count > max {
        return Err(CliError::Layout(format!(
            "{} drives are missing ({names}) and {healing} are not healed yet; with {} at most \
             {max} can be rebuilt from the others. Put back what was there",
            lost.len(),
            stamp.geometry
        )));
    }
    Ok(())
}

/// Gives the lost drives new ids, in the stamp.
///
/// # Errors
/// `File`.
pub fn give_up(
    world: &World,
    dir: &DataDir,
    stamp: &mut Stamp,
    lost: &[usize],
) -> Result<(), CliError> {
    for &number in lost {
        let slot = &mut stamp.slots[number];
        // A successor that is lost before the map knew it never held anything of its own.
        let gone = slot
            .replacing
            .take()
            .map_or(slot.drive, |replacing| replacing.lost);
        let new = DriveId::new(world.rng.u64().max(1));
        tracing::warn!(
            drive = %slot.drive,
            successor = %new,
            dir = %slot.label,
            "drive lost: laid out anew, what it held is healed from the others"
        );
        slot.drive = new;
        slot.healing = true;
        slot.replacing = Some(Replacement { lost: gone });
    }
    dir.set_stamp(stamp)
}
