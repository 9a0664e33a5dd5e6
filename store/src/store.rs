//! The store: everything that reads and writes of one cluster share.
//!
//! Owns: configuration, the map in use, the code of each geometry, budgets and metrics.
//! Leaves to others: the operations ([`crate::writer`], [`crate::seal`], [`crate::reader`],
//! [`crate::rebuild`]).
//! Always: cheap to clone; all clones are the same store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use holdfast_ec::Code;
use holdfast_protocol::row::RowName;
use holdfast_protocol::{
    ClusterId, ClusterMap, DriveId, DriveUse, Geometry, GroupId, ManifestKind,
};
use holdfast_protocol::{Manifest, WriteId};
use holdfast_seam::World;
use tokio::sync::mpsc;

use crate::budget::Budget;
use crate::digest::kernel::Kernel;
use crate::digest::lanes::Md5Lanes;
use crate::drives::{Drives, Serving};
use crate::encode::buffer_len;
use crate::error::StoreError;
use crate::foreground::Foreground;
use crate::fresh::Fresh;
use crate::metrics::StoreMetrics;
use crate::placement;

/// What the store does when.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Bodies up to this many bytes travel in their record instead of being cut.
    pub inline_len_max: usize,
    /// Memory for stripes being written, in bytes.
    pub write_buffer_bytes: usize,
    /// Memory for stripes being read, in bytes.
    pub read_buffer_bytes: usize,
    /// Stripes that one read fetches ahead.
    pub read_ahead_stripes: usize,
    /// How long a drive may take to answer.
    pub drive_deadline: Duration,
    /// How long a write that has its quorum waits for the drives that are late.
    pub late_grace: Duration,
    /// How long a small record waits for a drive before a stand-in is asked as well.
    pub stand_in_delay: Duration,
    /// A read that takes longer than this, and than four times the drive's mean, is hedged.
    pub hedge_delay_min: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            inline_len_max: 32 << 10,
            write_buffer_bytes: 96 << 20,
            read_buffer_bytes: 128 << 20,
            read_ahead_stripes: 2,
            drive_deadline: Duration::from_secs(10),
            late_grace: Duration::from_millis(250),
            stand_in_delay: Duration::from_millis(500),
            hedge_delay_min: Duration::from_millis(100),
        }
    }
}

/// A shard or record that was found bad or missing while serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The row it belongs to.
    pub row: RowName,
    /// The drive.
    pub drive: DriveId,
}

/// Objects over shards.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub config: StoreConfig,
    pub world: World,
    pub cluster: ClusterId,
    pub drives: Arc<Drives>,
    pub writes: Arc<Budget>,
    pub reads: Arc<Budget>,
    pub md5: Arc<Md5Lanes>,
    pub metrics: StoreMetrics,
    pub foreground: Foreground,
    pub fresh: Fresh,
    map: RwLock<Arc<ClusterMap>>,
    codes: Mutex<HashMap<Geometry, Code>>,
    trouble: mpsc::Sender<Trouble>,
}

impl Store {
    /// A store over `drives`, placing new writes by `map`. What is found bad is sent to `trouble`
    /// (dropped when that is full: scrub and inventory find it again).
    pub fn new(
        config: StoreConfig,
        world: World,
        drives: Arc<Drives>,
        map: ClusterMap,
        metrics: StoreMetrics,
        trouble: mpsc::Sender<Trouble>,
    ) -> Self {
        let stripe = buffer_len(map.geometry);
        let idle = config.write_buffer_bytes / stripe.max(1) / 4;
        let writes = Budget::new(config.write_buffer_bytes.max(2 * stripe), idle);
        let reads = Budget::new(config.read_buffer_bytes.max(2 * stripe), 0);
        let md5 = Md5Lanes::new(
            Kernel::fastest(),
            Arc::clone(&world.spawn),
            metrics.md5_bytes.clone(),
        );
        drives.serve(Serving {
            map_version: map.version,
            ..drives.serving()
        });
        let shared = Shared {
            cluster: map.cluster,
            map: RwLock::new(Arc::new(map)),
            codes: Mutex::default(),
            config,
            world,
            drives,
            writes,
            reads,
            md5,
            metrics,
            foreground: Foreground::default(),
            fresh: Fresh::default(),
            trouble,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        self.shared.cluster
    }
    /// The world it runs in.
    pub fn world(&self) -> &World {
        &self.shared.world
    }
    /// The configuration.
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }
    /// The drives.
    pub fn drives(&self) -> &Arc<Drives> {
        &self.shared.drives
    }
    /// How busy clients keep it.
    pub fn foreground(&self) -> &Foreground {
        &self.shared.foreground
    }
    /// The map in use.
    pub fn map(&self) -> Arc<ClusterMap> {
        Arc::clone(
            &self
                .shared
                .map
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
    /// Places new writes by `map` from now on.
    pub fn set_map(&self, map: ClusterMap) {
        let drives = &self.shared.drives;
        drives.serve(Serving {
            map_version: map.version,
            ..drives.serving()
        });
        *self
            .shared
            .map
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }
    /// The drives of a group in shard order, by the map in use.
    pub fn group(&self, group: GroupId) -> Vec<DriveId> {
        let map = self.map();
        let indexes = &map.groups[usize::from(group.get()) % map.groups.len()];
        indexes
            .iter()
            .map(|&index| map.drives[usize::from(index)].id)
            .collect()
    }
    /// Where each shard of a coded write to `group` goes: its own drive, or a substitute when that
    /// is out of service and one is to be had, on the node with the fewest shards of the write. A
    /// geometry with fewer shards than the map's takes the first drives of the group; where nodes
    /// do not matter, its substitutes are the others of the group. So few are hand-offs outside the
    /// group that, of the write quorum, at least m + 1 records (m of the map) lie inside it (4+2:
    /// at most two).
    pub fn plan(&self, group: GroupId, geometry: Geometry) -> Vec<DriveId> {
        let map = self.map();
        let group = self.group(group);
        let is_writable = |id: &DriveId| self.shared.drives.is_writable(*id);
        let (own, others) = group.split_at(geometry.total().min(group.len()));
        let mut inside: Vec<DriveId> = others.iter().copied().filter(is_writable).collect();
        let mut outside: Vec<DriveId> = map
            .drives
            .iter()
            .filter(|d| d.usage == DriveUse::Active && !group.contains(&d.id))
            .map(|d| d.id)
            .filter(is_writable)
            .collect();
        let mut left = geometry
            .write_quorum()
            .saturating_sub(map.geometry.copies());
        let mut planned: Vec<DriveId> = own.iter().copied().filter(is_writable).collect();
        let mut substitute = || {
            let outside_now = if left > 0 { outside.as_slice() } else { &[] };
            let spare = [inside.as_slice(), outside_now].concat();
            let at = placement::hand_off(&map, &spare, &planned)?;
            if at < inside.len() {
                inside.remove(at);
            } else {
                outside.remove(at - inside.len());
                left -= 1;
            }
            planned.push(spare[at]);
            Some(spare[at])
        };
        own.iter()
            .map(|&drive| match is_writable(&drive) {
                true => drive,
                false => substitute().unwrap_or(drive),
            })
            .collect()
    }
    /// The code of a geometry.
    pub(crate) fn code(&self, geometry: Geometry) -> Result<Code, StoreError> {
        let mut codes = self
            .shared
            .codes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = codes.get(&geometry) {
            return Ok(code.clone());
        }
        let own = holdfast_ec::Geometry::new(geometry.data() as u8, geometry.parity() as u8)
            .map_err(|error| StoreError::Code {
                what: error.to_string(),
            })?;
        let code = Code::new(own);
        codes.insert(geometry, code.clone());
        Ok(code)
    }
    /// Tells the healer.
    pub(crate) fn trouble(&self, manifest: &Manifest, drive: DriveId) {
        let row = row_name(manifest);
        if self
            .shared
            .trouble
            .try_send(Trouble { row, drive })
            .is_err()
        {
            tracing::debug!(%drive, "trouble not queued: the queue is full");
        }
    }
    /// Drops what was staged for a write, on these drives, in the background.
    pub(crate) fn discard(&self, write: WriteId, drives: Vec<DriveId>) {
        let store = self.clone();
        let discard = async move {
            let calls = drives.into_iter().map(|drive| {
                let request = holdfast_protocol::rpc::DriveRequest::Discard { write };
                store
                    .shared
                    .drives
                    .call(drive, store.shared.config.drive_deadline, request)
            });
            futures::future::join_all(calls).await;
        };
        self.shared.world.spawn.task("discard", Box::pin(discard));
    }
}

/// The name of the row that a manifest's version, part or upload has in the index.
pub fn row_name(manifest: &Manifest) -> RowName {
    let write = manifest.write;
    match manifest.kind {
        ManifestKind::Version(_) => RowName::Version {
            bucket: manifest.bucket,
            key: manifest.key.clone(),
            version: manifest.version,
            write,
        },
        ManifestKind::Metadata { .. } => RowName::Metadata {
            bucket: manifest.bucket,
            key: manifest.key.clone(),
            version: manifest.version,
            write,
        },
        ManifestKind::Part { upload, number } => RowName::Part {
            upload,
            number,
            write,
        },
        ManifestKind::Upload => RowName::Upload {
            bucket: manifest.bucket,
            key: manifest.key.clone(),
            write,
        },
    }
}
