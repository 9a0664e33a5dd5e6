//! Which drives keep which keys.
//!
//! Owns: hashing a key to its placement group, and computing the groups of a new map by weighted
//! rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker
//! 2005).
//! Leaves to others: when a map changes.
//! Always: pure; the same input gives the same groups, and adding or removing one drive moves only
//! what that drive gains or loses.

use holdfast_protocol::checksum::crc64;
use holdfast_protocol::map::GROUP_COUNT;
use holdfast_protocol::{
    BucketId, ClusterId, ClusterMap, DriveId, DriveUse, Geometry, GroupId, MapDrive, MapVersion,
};

/// Why no map can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Fewer drives than shards.
    #[error("{geometry} needs {} drives, there are {drives}", geometry.total())]
    TooFewDrives {
        /// The geometry.
        geometry: Geometry,
        /// Drives that may take data.
        drives: usize,
    },
}

/// The group of a key.
pub fn group_of(bucket: BucketId, key: &str) -> GroupId {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&bucket.get().to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    let number = mix(crc64(&bytes)) % GROUP_COUNT as u64;
    GroupId::new(number as u16)
}

/// A map over `drives` (dead ones stay in it and get no group).
///
/// A drive of twice the weight is in about twice as many groups. With no more drives than shards,
/// all groups have all drives and only their order differs.
///
/// # Errors
/// `TooFewDrives` if fewer drives are active than the geometry has shards.
pub fn compute_map(
    cluster: ClusterId,
    version: MapVersion,
    geometry: Geometry,
    drives: Vec<MapDrive>,
) -> Result<ClusterMap, PlacementError> {
    let active: Vec<u16> = (0..drives.len() as u16)
        .filter(|&index| drives[usize::from(index)].usage == DriveUse::Active)
        .collect();
    if active.len() < geometry.total() {
        return Err(PlacementError::TooFewDrives {
            geometry,
            drives: active.len(),
        });
    }
    let groups = (0..GROUP_COUNT as u16)
        .map(|group| choose(&drives, &active, geometry.total(), group))
        .collect();
    Ok(ClusterMap {
        cluster,
        version,
        geometry,
        drives,
        groups,
    })
}

/// The `count` best drives for `group`, from different nodes as far as there are enough.
fn choose(drives: &[MapDrive], active: &[u16], count: usize, group: u16) -> Vec<u16> {
    let mut ranked: Vec<(f64, u16)> = active
        .iter()
        .map(|&index| {
            let drive = &drives[usize::from(index)];
            (score(drive.id, drive.weight, group), index)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<u16> = Vec::with_capacity(count);
    let mut per_node = 1;
    while chosen.len() < count {
        for &(_, index) in &ranked {
            let node = drives[usize::from(index)].node;
            let used = chosen
                .iter()
                .filter(|&&c| drives[usize::from(c)].node == node)
                .count();
            if chosen.len() < count && used < per_node && !chosen.contains(&index) {
                chosen.push(index);
            }
        }
        per_node += 1;
    }
    chosen
}

/// Which of `spare` is to take a shard beside `planned`: the first on the node that has fewest of
/// them, so that a node takes as few shards as possible with it when it fails.
pub fn hand_off(map: &ClusterMap, spare: &[DriveId], planned: &[DriveId]) -> Option<usize> {
    let node = |id: &DriveId| map.drive(*id).map(|drive| drive.node);
    let neighbours = |id: &DriveId| {
        let planned = planned.iter();
        planned.filter(|other| node(other) == node(id)).count()
    };
    (0..spare.len()).min_by_key(|&at| neighbours(&spare[at]))
}

fn score(drive: DriveId, weight: u32, group: u16) -> f64 {
    let hash = mix(drive.get() ^ mix(u64::from(group).wrapping_add(0x9e37_79b9_7f4a_7c15)));
    // In (0, 1): the upper 53 bits, and a half so that it is never 0.
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight.max(1)) / unit.ln()
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
