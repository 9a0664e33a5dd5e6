//! Making and changing the cluster map.
//!
//! Owns: the first map, putting a new drive into the place of a lost one, making a map durable.
//! Leaves to others: when ([`crate::server`], [`super::registry`]); computing groups
//! (`store::placement`).
//! Always: a replaced drive's place in every group goes to its successor, so that nothing else
//! moves; a map is durable on a system quorum before the index has it.

use holdfast_index::{Batch, Index, IndexError, Locks, Row, Table, keys};
use holdfast_protocol::{ClusterMap, DriveId, DriveUse, MapDrive, MapVersion, Record, WriteId};
use holdfast_store::placement::{PlacementError, compute_map};
use holdfast_store::{Store, StoreError};
use holdfast_workers::claim::{MAP_KIND, MAP_NAME};

use crate::data_dir::Stamp;

/// Why a map could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The index.
    #[error("index")]
    Index(#[from] IndexError),
    /// The drives.
    #[error("drives")]
    Store(#[from] StoreError),
}

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

/// Makes `map` durable and uses it.
///
/// # Errors
/// What drives and index say; the map is in use on the drives or not, and the next start finds out.
pub async fn commit(
    store: &Store,
    index: &dyn Index,
    write: WriteId,
    map: ClusterMap,
) -> Result<(), MapError> {
    let mut txn = index.begin(Locks::none()).await?;
    let (order, value) = (txn.take_order(), map.encode());
    let version = map.version;
    store.set_map(map);
    let record = Record::System {
        write,
        order,
        kind: MAP_KIND.to_owned(),
        name: MAP_NAME.to_owned(),
        value: value.clone(),
    };
    let sealed = store.seal_system(&record).await?;
    let mut batch = Batch::new();
    batch.put(
        Table::System,
        keys::system(MAP_KIND, MAP_NAME),
        Row::new(order, value),
    );
    for (drive, position) in sealed.seen {
        batch.seen(drive, position);
    }
    txn.commit(batch).await?;
    tracing::info!(map_version = %version, "cluster map in use");
    Ok(())
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
