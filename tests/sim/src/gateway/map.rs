//! The cluster map of a simulated gateway.
//!
//! Owns: the first map, putting a new drive into the place of a lost one, making a map durable; as
//! the product's start does it.
//! Leaves to others: when ([`super`]).

use holdfast_index::{Batch, Index, Locks, Row, Table, keys};
use holdfast_protocol::{
    ClusterMap, DriveId, DriveUse, Geometry, MapDrive, MapVersion, Record, WriteId,
};
use holdfast_store::Store;
use holdfast_store::placement::compute_map;
use holdfast_workers::claim::{MAP_KIND, MAP_NAME};

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
        next.drives.push(successor.clone());
        for index in next.groups.iter_mut().flatten() {
            if usize::from(*index) == old {
                *index = new;
            }
        }
    }
    next.version = MapVersion::new(map.version.get() + 1);
    (next.drives != map.drives).then_some(next)
}

pub(super) async fn commit_map(
    store: &Store,
    index: &dyn Index,
    write: WriteId,
    map: ClusterMap,
) -> Result<(), String> {
    let begun = index.begin(Locks::none()).await;
    let mut txn = begun.map_err(said("change the map"))?;
    let (order, value) = (txn.take_order(), map.encode());
    store.set_map(map);
    let record = Record::System {
        write,
        order,
        kind: MAP_KIND.to_owned(),
        name: MAP_NAME.to_owned(),
        value: value.clone(),
    };
    let sealed = store.seal_system(&record).await;
    let sealed = sealed.map_err(said("change the map"))?;
    let mut batch = Batch::new();
    let at = keys::system(MAP_KIND, MAP_NAME);
    batch.put(Table::System, at, Row::new(order, value));
    for (drive, position) in sealed.seen {
        batch.seen(drive, position);
    }
    txn.commit(batch).await.map_err(said("change the map"))
}
