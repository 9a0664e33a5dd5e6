//! The cluster map of a simulated gateway.
//!
//! Owns: the first map, putting a new drive into the place of a lost one; as the product's start
//! does it.
//! Leaves to others: when ([`super`]).

use holdfast_protocol::{ClusterMap, DriveId, DriveUse, Geometry, MapDrive, MapVersion};
use holdfast_store::placement::compute_map;

use super::{Parts, said};
use crate::cluster::CLUSTER;

pub(super) fn first_map(parts: &Parts) -> Result<ClusterMap, String> {
    let (data, parity) = parts.plan.geometry;
    let geometry = Geometry::new(data, parity).map_err(said("geometry"))?;
    let drives = parts.map_drives.clone();
    compute_map(CLUSTER, MapVersion::new(1), geometry, drives).map_err(said("first map"))
}

/// The map after each `(lost, successor)`; as the product's start makes it.
pub(super) fn replaced(map: &ClusterMap, changes: &[(DriveId, MapDrive)]) -> Option<ClusterMap> {
    let mut next = map.clone();
    for (lost, successor) in changes {
        let Some(old) = next.drives.iter().position(|drive| drive.id == *lost) else {
            continue;
        };
        if next.drives[old].usage == DriveUse::Dead || next.drive(successor.id).is_some() {
            continue;
        }
        next.drives[old].usage = DriveUse::Dead;
        let new = next.drives.len() as u16;
        next.drives.push(MapDrive {
            is_whole: false,
            ..successor.clone()
        });
        for index in next.groups.iter_mut().flatten() {
            if usize::from(*index) == old {
                *index = new;
            }
        }
    }
    next.version = MapVersion::new(map.version.get() + 1);
    (next.drives != map.drives).then_some(next)
}
