//! Changing the cluster map.
//!
//! Owns: one change at a time, durable on a system quorum before the index has it; and saying of a
//! drive that took the place of a lost one that it is whole.
//! Leaves to others: what else changes (gateway); computing groups (`store::placement`).
//! Always: a drive is marked whole only after a comparison found every row and every guard with all
//! its copies and shards on drives that live: until then a rebuild counts it as absent.

use std::collections::BTreeSet;

use holdfast_index::{Batch, Index, Locks, Mode, Row};
use holdfast_protocol::{ClusterMap, DriveId, MapVersion, Record};
use holdfast_store::Store;

use crate::claim::{MAP_KIND, MAP_NAME};
use crate::context::{Context, NextWrite};
use crate::error::Result;

/// Held while the map is changed; no bucket has such a name.
const LOCK: &str = "map/cluster";

/// Replaces the map by what `edit` makes of it, if it makes something of it, and says whether it
/// did.
///
/// # Errors
/// What drives and index say; the new map is in use on the drives or not, and the next start finds
/// out.
pub async fn change_map(
    store: &Store,
    index: &dyn Index,
    next_write: &NextWrite,
    edit: impl FnOnce(&ClusterMap) -> Option<ClusterMap> + Send,
) -> Result<bool> {
    let lock = Locks::none().bucket_name(LOCK, Mode::Exclusive);
    let mut txn = index.begin(lock).await?;
    let Some(map) = edit(&store.map()) else {
        return Ok(false);
    };
    let (order, value, version) = (txn.take_order(), map.encode(), map.version);
    // New drives are to have it, too, and those that are dead now are not.
    store.set_map(map);
    let record = Record::System {
        write: next_write(),
        order,
        kind: MAP_KIND.to_owned(),
        name: MAP_NAME.to_owned(),
        value: value.clone(),
    };
    let sealed = store.seal_system(&record).await?;
    let mut batch = Batch::new();
    batch.put_system(MAP_KIND, MAP_NAME, Row::new(order, value));
    for (drive, position) in sealed.seen {
        batch.seen(drive, position);
    }
    txn.commit(batch).await?;
    tracing::info!(map_version = %version, "cluster map in use");
    Ok(true)
}

/// Says in the map that these drives are whole.
pub(crate) async fn fill(ctx: &Context, drives: &BTreeSet<DriveId>) -> Result<()> {
    let edit = |map: &ClusterMap| {
        let mut next = map.clone();
        let of = |drive: &DriveId| drives.contains(drive);
        let filled = next.drives.iter_mut().filter(|drive| of(&drive.id));
        filled.for_each(|drive| drive.is_whole = true);
        next.version = MapVersion::new(map.version.get() + 1);
        (next.drives != map.drives).then_some(next)
    };
    if change_map(&ctx.store, &*ctx.index, &ctx.next_write, edit).await? {
        tracing::info!(?drives, "drives hold what their predecessors held");
    }
    Ok(())
}
