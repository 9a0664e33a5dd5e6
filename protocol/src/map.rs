//! The cluster map: which drives there are and which of them keep which placement group.
//!
//! Owns: its fields and byte form (`HFMP`, `docs/formats/map.md`); it is the value of the system
//! record (`map`, `cluster`).
//! Leaves to others: computing groups (`store::placement`) and deciding changes (workers,
//! operators).
//! Always: every group names as many different drives as the geometry has shards.

use bytes::Bytes;

use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClusterId, DriveId, MapVersion, NodeId};
use crate::layout::Geometry;

/// First bytes of a map.
pub const MAGIC: [u8; 4] = *b"HFMP";
/// Newest version this release writes.
pub const VERSION: u8 = 1;
/// Number of placement groups of every cluster.
pub const GROUP_COUNT: usize = 1024;
const DRIVES_MAX: usize = 16 << 10;
/// Set in the byte of a drive's use.
const NOT_WHOLE: u8 = 0x80;

/// What a drive may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveUse {
    /// Holds data and takes more.
    Active,
    /// Holds data and takes no more.
    Draining,
    /// Removed for good: refused for ever.
    Dead,
}

/// A drive of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDrive {
    /// The drive.
    pub id: DriveId,
    /// The node that serves it.
    pub node: NodeId,
    /// Relative share of the data, from capacity and the owner's configured share; 1 is one GiB.
    pub weight: u32,
    /// What it may be used for.
    pub usage: DriveUse,
    /// Whether everything that it has to hold was brought to it since it was put into the place of
    /// a lost drive. One that is not whole counts as absent when an index is rebuilt.
    pub is_whole: bool,
}

/// The cluster map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMap {
    /// The cluster.
    pub cluster: ClusterId,
    /// Raised by one at every change.
    pub version: MapVersion,
    /// How new writes are coded.
    pub geometry: Geometry,
    /// All drives, dead ones included.
    pub drives: Vec<MapDrive>,
    /// Per group: the drives in shard order, as indexes into `drives`.
    pub groups: Vec<Vec<u16>>,
}

impl ClusterMap {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::format(MAGIC, VERSION, 64 + self.groups.len() * 16);
        self.cluster.encode(&mut out);
        self.version.encode(&mut out);
        self.geometry.encode(&mut out);
        out.u32(self.drives.len() as u32);
        for drive in &self.drives {
            drive.id.encode(&mut out);
            drive.node.encode(&mut out);
            out.u32(drive.weight);
            let usage = match drive.usage {
                DriveUse::Active => 1,
                DriveUse::Draining => 2,
                DriveUse::Dead => 3,
            };
            out.u8(if drive.is_whole {
                usage
            } else {
                usage | NOT_WHOLE
            });
        }
        for index in self.groups.iter().flatten() {
            out.u16(*index);
        }
        out.finish()
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong; `Invalid` also when a group
    /// names a drive twice or one that is not in the map.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, mut input) = Reader::format(bytes, MAGIC, VERSION, "cluster map")?;
        let cluster = ClusterId::decode(&mut input)?;
        let version = MapVersion::decode(&mut input)?;
        let geometry = Geometry::decode(&mut input)?;
        let count = input.count("drives", DRIVES_MAX)?;
        let drives = (0..count)
            .map(|_| decode_drive(&mut input))
            .collect::<Result<Vec<_>, FormatError>>()?;
        let groups = (0..GROUP_COUNT)
            .map(|_| decode_group(&mut input, geometry, count))
            .collect::<Result<_, _>>()?;
        input.end()?;
        Ok(Self {
            cluster,
            version,
            geometry,
            drives,
            groups,
        })
    }

    /// The drive with this id.
    pub fn drive(&self, id: DriveId) -> Option<&MapDrive> {
        self.drives.iter().find(|drive| drive.id == id)
    }

    /// Drives that are not dead.
    pub fn living(&self) -> impl Iterator<Item = &MapDrive> {
        self.drives
            .iter()
            .filter(|drive| drive.usage != DriveUse::Dead)
    }

    /// Living drives that are not whole yet.
    pub fn filling(&self) -> impl Iterator<Item = DriveId> {
        self.living()
            .filter(|drive| !drive.is_whole)
            .map(|drive| drive.id)
    }

    /// Number of drives to ask for the newest system record: min(majority of N, N − m), N being the
    /// living drives.
    pub fn ask_count(&self) -> usize {
        let n = self.living().count();
        (n / 2 + 1)
            .min(n.saturating_sub(self.geometry.parity()))
            .max(1)
    }

    /// Number of drives that must hold a system record: N − a + 1.
    pub fn system_quorum(&self) -> usize {
        self.living().count() + 1 - self.ask_count()
    }
}

fn decode_drive(input: &mut Reader<'_>) -> Result<MapDrive, FormatError> {
    let (id, node) = (DriveId::decode(input)?, NodeId::decode(input)?);
    let (weight, usage) = (input.u32()?, input.u8()?);
    Ok(MapDrive {
        id,
        node,
        weight,
        usage: match usage & !NOT_WHOLE {
            1 => DriveUse::Active,
            2 => DriveUse::Draining,
            3 => DriveUse::Dead,
            _ => return Err(FormatError::Invalid { what: "drive use" }),
        },
        is_whole: usage & NOT_WHOLE == 0,
    })
}

fn decode_group(
    input: &mut Reader<'_>,
    geometry: Geometry,
    drives: usize,
) -> Result<Vec<u16>, FormatError> {
    let mut group = Vec::with_capacity(geometry.total());
    for _ in 0..geometry.total() {
        let index = input.u16()?;
        if usize::from(index) >= drives || group.contains(&index) {
            return Err(FormatError::Invalid {
                what: "placement group",
            });
        }
        group.push(index);
    }
    Ok(group)
}
