//! Facts about placement.
use std::collections::HashSet;

use holdfast_protocol::NodeId;

use super::*;

fn drives(count: u64, per_node: u64) -> Vec<MapDrive> {
    (0..count)
        .map(|n| MapDrive {
            id: DriveId::new(mix(n + 1)),
            node: NodeId::new(n / per_node),
            weight: 100,
            usage: DriveUse::Active,
            is_whole: true,
        })
        .collect()
}

fn map(drives: Vec<MapDrive>) -> ClusterMap {
    let geometry = Geometry::new(4, 2).unwrap();
    compute_map(ClusterId::new(1), MapVersion::new(1), geometry, drives).unwrap()
}

#[test]
fn every_group_names_different_drives_and_the_map_round_trips() {
    let map = map(drives(9, 1));
    for group in &map.groups {
        assert_eq!(group.iter().collect::<HashSet<_>>().len(), 6);
    }
    assert_eq!(ClusterMap::decode(&map.encode()).unwrap(), map);
}

#[test]
fn nodes_share_a_group_only_when_there_are_too_few_of_them() {
    for group in &map(drives(12, 2)).groups {
        let nodes: HashSet<u16> = group.iter().map(|index| index / 2).collect();
        assert_eq!(nodes.len(), 6);
    }
    for group in &map(drives(6, 6)).groups {
        assert_eq!(group.len(), 6);
    }
}

#[test]
fn adding_a_drive_moves_only_what_it_gains() {
    let before = map(drives(12, 1));
    let after = map(drives(13, 1));
    let mut moved = 0;
    for (old, new) in before.groups.iter().zip(&after.groups) {
        let gained: Vec<_> = new.iter().filter(|d| !old.contains(d)).collect();
        assert!(gained.iter().all(|&&d| d == 12), "only the new drive gains");
        moved += gained.len();
    }
    let fair = GROUP_COUNT * 6 / 13;
    assert!(moved.abs_diff(fair) < fair / 5, "{moved} of about {fair}");
}

#[test]
fn weights_are_followed() {
    let mut all = drives(20, 1);
    all[0].weight = 200;
    let map = map(all);
    let count = |d: u16| map.groups.iter().filter(|g| g.contains(&d)).count() as f64;
    let others = (1..20).map(count).sum::<f64>() / 19.0;
    assert!(
        (1.6..2.2).contains(&(count(0) / others)),
        "{} to {others}",
        count(0)
    );
}

#[test]
fn too_few_drives_are_refused() {
    let geometry = Geometry::new(4, 2).unwrap();
    let mut all = drives(6, 1);
    all[3].usage = DriveUse::Draining;
    let error = compute_map(ClusterId::new(1), MapVersion::new(1), geometry, all).unwrap_err();
    assert_eq!(
        error,
        PlacementError::TooFewDrives {
            geometry,
            drives: 5
        }
    );
}

#[test]
fn keys_spread_over_the_groups() {
    let mut counts = vec![0_u32; GROUP_COUNT];
    for n in 0..GROUP_COUNT * 100 {
        counts[usize::from(group_of(BucketId::new(7), &format!("key-{n}")).get())] += 1;
    }
    assert!(counts.iter().all(|c| (50..170).contains(c)));
}

#[test]
fn a_hand_off_goes_to_the_node_with_the_fewest_shards() {
    let map = map(drives(12, 4));
    let ids: Vec<DriveId> = map.drives.iter().map(|drive| drive.id).collect();
    // Two on the first node, one on the second, none on the third.
    let planned = [ids[0], ids[1], ids[4]];
    let hand_off = |spare: &[DriveId]| hand_off(&map, spare, &planned).map(|at| spare[at]);
    assert_eq!(hand_off(&[ids[2], ids[5], ids[8], ids[9]]), Some(ids[8]));
    assert_eq!(hand_off(&[ids[2], ids[5], ids[6]]), Some(ids[5]));
    assert_eq!(hand_off(&[ids[2], ids[3]]), Some(ids[2]));
    assert_eq!(hand_off(&[]), None);
}
