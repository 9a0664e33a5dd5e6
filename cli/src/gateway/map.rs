//! Making and changing the cluster map.
//!
//! Owns: the first map, putting a new drive into the place of a lost one.
//! Leaves to others: when ([`crate::server`], [`super::registry`]); computing groups
//! (`store::placement`); making a map durable (`workers::map`).
//! Always: a replaced drive's place in every group goes to its successor, which is not whole yet,
//! so that nothing else moves.

use holdfast_protocol::{ClusterMap, DriveId, DriveUse, MapDrive, MapVersion};
use holdfast_store::placement::{PlacementError, compute_map};

use crate::data_dir::Stamp;

/// The map of a new cluster.
///
/// # Errors
/// `TooFewDrives`.
pub fn first(stamp: &Stamp) -> Result<ClusterMap, PlacementError> {
    let drives = stamp.slots.iter().map(|slot| MapDrive {
        id: slot.drive,
        node: slot.node,
        weight: 1,
        usage: DriveUse::Active,
        is_whole: true,
    });
    compute_map(
        stamp.cluster,
        MapVersion::new(1),
        stamp.geometry,
        drives.collect(),
    )
}

/// The map after each `(lost, successor)`; `None` if nothing changes.
pub fn replaced(map: &ClusterMap, changes: &[(DriveId, MapDrive)]) -> Option<ClusterMap> {
    let mut next = map.clone();
    for (lost, successor) in changes {
        let Some(old) = next.drives.iter().position(|drive| drive.id == *lost) else {
            continue;
        };
        if next.drives[old].usage == DriveUse::Dead || next.drive(successor.id).is_some() {
            continue;
        }
        next.drives[old].usage = DriveUse::Dead;
        let weight = next.drives[old].weight;
        let new = next.drives.len() as u16;
        next.drives.push(MapDrive {
            weight,
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

#[cfg(test)]
mod tests {
    use holdfast_protocol::{ClusterId, Geometry, NodeId};

    use super::*;

    fn drive(id: u64, usage: DriveUse) -> MapDrive {
        MapDrive {
            id: DriveId::new(id),
            node: NodeId::new(1),
            weight: 1,
            usage,
            is_whole: true,
        }
    }

    #[test]
    fn a_successor_takes_exactly_the_places_of_the_lost_drive() {
        let drives = (1..=6).map(|id| drive(id, DriveUse::Active)).collect();
        let geometry = Geometry::new(4, 2).unwrap();
        let map = compute_map(ClusterId::new(9), MapVersion::new(1), geometry, drives).unwrap();
        let changes = [(DriveId::new(3), drive(7, DriveUse::Active))];
        let next = replaced(&map, &changes).unwrap();
        assert_eq!(next.version, MapVersion::new(2));
        assert_eq!(next.drive(DriveId::new(3)).unwrap().usage, DriveUse::Dead);
        let filling: Vec<DriveId> = next.filling().collect();
        assert_eq!(filling, [DriveId::new(7)], "it holds nothing yet");
        for (before, after) in map.groups.iter().zip(&next.groups) {
            for (&old, &new) in before.iter().zip(after) {
                let (old, new) = (
                    map.drives[usize::from(old)].id,
                    next.drives[usize::from(new)].id,
                );
                assert_eq!(new.get(), if old.get() == 3 { 7 } else { old.get() });
            }
        }
        assert_eq!(replaced(&next, &changes), None, "a change is made once");
        ClusterMap::decode(&next.encode()).unwrap();
    }
}
