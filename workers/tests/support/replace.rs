//! What takes the place of what was lost: a new drive, a rebuilt index.

use std::sync::Arc;

use holdfast_index::MemoryIndex;
use holdfast_protocol::{ClusterMap, DriveId, DriveUse, IndexId, MapDrive, MapVersion};
use holdfast_store::survey;
use holdfast_workers::{ClaimOptions, Claimed, MergeReport, WorkersError, change_map};

use super::drive::MemoryDrive;
use super::{CLUSTER, Cluster, Running};

/// The map with `new` in the place of `lost`.
fn replaced(map: &ClusterMap, lost: DriveId, new: DriveId) -> ClusterMap {
    let mut next = map.clone();
    let old = map
        .drives
        .iter()
        .position(|drive| drive.id == lost)
        .unwrap();
    next.drives[old].usage = DriveUse::Dead;
    let at = next.drives.len() as u16;
    next.drives.push(MapDrive {
        id: new,
        usage: DriveUse::Active,
        is_whole: false,
        ..next.drives[old].clone()
    });
    let places = next.groups.iter_mut().flatten();
    places
        .filter(|place| usize::from(**place) == old)
        .for_each(|place| *place = at);
    next.version = MapVersion::new(map.version.get() + 1);
    next
}

impl Cluster {
    /// Puts a new index of that id in place of what there is, and fills it from the drives, as a
    /// takeover; a gateway can be started on it then.
    pub async fn rebuild(&mut self, id: u128) -> Result<(Claimed, MergeReport), WorkersError> {
        self.rebuild_with(id, false).await
    }

    /// As [`Cluster::rebuild`]; also with too many drives away.
    pub async fn rebuild_with(
        &mut self,
        id: u128,
        force: bool,
    ) -> Result<(Claimed, MergeReport), WorkersError> {
        self.index = Arc::new(MemoryIndex::new(IndexId::new(id)));
        let options = ClaimOptions {
            takeover: true,
            ..ClaimOptions::default()
        };
        let (_, claimed, merged, ..) = self.open(&options, Some(force)).await?;
        self.index = Arc::new(self.index.reopen());
        Ok((claimed, merged))
    }

    /// A drive is gone; an empty one under a new id takes its place.
    pub async fn replace(&mut self, running: &Running, lost: DriveId) -> DriveId {
        let new = DriveId::new(lost.get() + 100);
        let at = self
            .drives
            .iter()
            .position(|drive| drive.id == lost)
            .unwrap();
        self.drives[at].set_down(true);
        self.drives[at] = MemoryDrive::new(new, CLUSTER);
        let (store, drive) = (&running.store, Arc::clone(&self.drives[at]));
        store.drives().attach(new, drive as _);
        let serving = store.drives().serving();
        let (generation, claimant) = (serving.generation, serving.claimant);
        let deadline = super::config().drive_deadline;
        survey::claim(store.drives(), new, deadline, generation, claimant, false)
            .await
            .unwrap();
        let next = |map: &ClusterMap| Some(replaced(map, lost, new));
        change_map(store, &*running.index, &running.next_write, next)
            .await
            .unwrap();
        store.drives().detach(lost);
        running.workers.map_changed();
        new
    }
}
