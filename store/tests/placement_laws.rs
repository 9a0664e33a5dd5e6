//! Goal: laws of placement that hold for any drives.
//! Method: random drives (ids, nodes, weights, uses) and geometries; whole maps are compared group
//! by group, by the drives' ids.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use holdfast_protocol::{
    ClusterId, ClusterMap, DriveId, DriveUse, Geometry, MapDrive, MapVersion, NodeId,
};
use holdfast_store::placement::compute_map;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

const GEOMETRIES: [(u8, u8); 6] = [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (8, 4)];

#[derive(Clone, Debug)]
struct World {
    geometry: Geometry,
    drives: Vec<MapDrive>,
}

type Group = BTreeSet<DriveId>;

/// At least as many active drives as shards, on one node up to as many as there are drives.
fn worlds() -> impl Strategy<Value = World> {
    let sizes = (select(&GEOMETRIES[..]), 0_usize..12, 1_u64..20);
    sizes.prop_flat_map(|((data, parity), more, nodes)| {
        let shards = usize::from(data + parity);
        let count = shards + more;
        let id = prop_oneof![any::<u64>(), 0..1000_u64];
        let weight = prop_oneof![Just(100_u32), 0..1000_u32];
        let rest = vec((0..nodes, weight, 0_u8..6), count);
        (btree_set(id, count), rest).prop_map(move |(ids, rest)| {
            let drive = |(at, (id, (node, weight, usage)))| MapDrive {
                id: DriveId::new(id),
                node: NodeId::new(node),
                weight,
                usage: match usage {
                    0 if at >= shards => DriveUse::Draining,
                    1 if at >= shards => DriveUse::Dead,
                    _ => DriveUse::Active,
                },
                is_whole: true,
            };
            World {
                geometry: Geometry::new(data, parity).unwrap(),
                drives: ids.into_iter().zip(rest).enumerate().map(drive).collect(),
            }
        })
    })
}

impl World {
    fn map(&self) -> ClusterMap {
        let (cluster, version) = (ClusterId::new(1), MapVersion::new(1));
        compute_map(cluster, version, self.geometry, self.drives.clone()).unwrap()
    }

    /// Each group's drives, in their order.
    fn ordered(&self) -> Vec<Vec<DriveId>> {
        let map = self.map();
        let ids = |group: &Vec<u16>| {
            let ids = group.iter().map(|&at| map.drives[usize::from(at)].id);
            ids.collect()
        };
        map.groups.iter().map(ids).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let groups = self.ordered().into_iter();
        groups.map(|group| group.into_iter().collect()).collect()
    }

    fn active(&self) -> impl Iterator<Item = &MapDrive> {
        let drives = self.drives.iter();
        drives.filter(|drive| drive.usage == DriveUse::Active)
    }
}

/// Holds groups with and without a drive against each other: with it, each group is what it was
/// without it, or it has this drive in the place of one other.
fn differ_by(drive: DriveId, with: &[Group], without: &[Group]) -> Result<(), TestCaseError> {
    for (with, without) in with.iter().zip(without) {
        match with.contains(&drive) {
            false => prop_assert_eq!(with, without, "a group without the drive moved"),
            true => {
                let gained: Vec<_> = with.difference(without).collect();
                prop_assert_eq!(gained, vec![&drive], "{:?} from {:?}", with, without);
                prop_assert_eq!(without.difference(with).count(), 1);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_group_is_of_different_active_drives_on_as_many_nodes_as_there_are(world in worlds()) {
        let mut on_node: BTreeMap<NodeId, usize> = BTreeMap::new();
        for drive in world.active() {
            *on_node.entry(drive.node).or_default() += 1;
        }
        let node_of: BTreeMap<DriveId, NodeId> =
            world.active().map(|drive| (drive.id, drive.node)).collect();
        for group in world.ordered() {
            prop_assert_eq!(group.len(), world.geometry.total());
            let drives: Group = group.iter().copied().collect();
            prop_assert_eq!(drives.len(), group.len(), "a drive twice: {:?}", group);
            let mut taken: BTreeMap<NodeId, usize> = BTreeMap::new();
            for drive in &group {
                let node = node_of.get(drive);
                prop_assert!(node.is_some(), "{:?} takes no data", drive);
                *taken.entry(*node.unwrap()).or_default() += 1;
            }
            prop_assert_eq!(taken.len(), on_node.len().min(group.len()), "{:?}", taken);
            // A node gives another drive only when all others have given as many as they have.
            let most = taken.values().copied().max().unwrap_or_default();
            for (node, has) in &on_node {
                let gave = taken.get(node).copied().unwrap_or_default();
                let is_level = gave + 1 >= most || gave == *has;
                prop_assert!(is_level, "{:?} gave {} of {}: {:?}", node, gave, has, taken);
            }
        }
    }

    #[test]
    fn the_order_in_which_drives_are_given_does_not_matter(
        (world, shuffled) in worlds().prop_flat_map(|world| {
            let drives = Just(world.drives.clone()).prop_shuffle();
            (Just(world), drives)
        })
    ) {
        let other = World { drives: shuffled, ..world.clone() };
        prop_assert_eq!(world.ordered(), other.ordered());
    }

    #[test]
    fn a_drive_that_comes_or_goes_moves_only_what_it_must(
        world in worlds(),
        (id, node, weight) in (any::<u64>(), 0..20_u64, 1..1000_u32),
        leaves in select(&[DriveUse::Draining, DriveUse::Dead][..]),
    ) {
        let id = DriveId::new(id);
        prop_assume!(world.drives.iter().all(|drive| drive.id != id));
        let new = MapDrive {
            id,
            node: NodeId::new(node),
            weight,
            usage: DriveUse::Active,
            is_whole: true,
        };
        let mut with = world.clone();
        with.drives.push(new.clone());
        let (before, after) = (world.groups(), with.groups());
        differ_by(id, &after, &before)?;
        // One that is emptied or lost leaves the groups as they would be without it.
        let mut left = world.clone();
        left.drives.push(MapDrive { usage: leaves, ..new });
        prop_assert_eq!(left.groups(), before);
    }

    #[test]
    fn a_drive_of_more_weight_keeps_its_groups_and_only_it_gains(
        world in worlds(),
        (which, more) in (any::<prop::sample::Index>(), 1..1000_u32),
    ) {
        let at = which.index(world.drives.len());
        let mut heavier = world.clone();
        heavier.drives[at].weight += more;
        let drive = world.drives[at].id;
        for (before, after) in world.groups().iter().zip(&heavier.groups()) {
            prop_assert!(!before.contains(&drive) || after.contains(&drive));
            let mut gained = after.difference(before);
            prop_assert!(gained.all(|gained| *gained == drive));
        }
    }
}
