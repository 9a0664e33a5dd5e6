//! Facts about the free space of a drive.
//!
//! Goal: every page is free or has one owner. Method: examples, and random takes and releases
//! against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn pages(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| u64::from(extent.count)).sum()
}

#[test]
fn freed_neighbours_become_one() {
    let mut space = Space::new(1000, 0);
    let taken: Vec<_> = (0..4).map(|_| space.take(10, 10).unwrap()[0]).collect();
    assert_eq!(space.frontier(), 40);
    for i in [0, 2, 1] {
        space.release(taken[i]);
    }
    assert_eq!(space.free_extents().collect::<Vec<_>>(), [(0, 30)]);
    assert_eq!(space.take(30, 0).unwrap(), [Extent { page: 0, count: 30 }]);
}

#[test]
fn extents_never_cross_the_border_of_an_arena() {
    let mut space = Space::new(16, 0);
    let extents = space.take(40, 100).unwrap();
    assert_eq!(pages(&extents), 40);
    assert!(extents.iter().all(|e| e.page / 16 == (e.end() - 1) / 16));
    extents.into_iter().for_each(|extent| space.release(extent));
    let free: Vec<_> = space.free_extents().collect();
    assert_eq!(free, [(0, 16), (16, 16), (32, 8)]);
    assert_eq!(space.take_one(12, 0).unwrap().count, 12);
    assert_eq!(space.take_one(17, 1000), None);
}

#[test]
fn one_extent_needs_room_behind_the_border_when_it_does_not_fit_before_it() {
    for used in 0..40 {
        let mut space = Space::new(16, used);
        let needed = space.growth_for_one(6);
        assert_eq!(space.take_one(6, needed - 1), None, "{used}");
        assert!(space.take_one(6, needed).is_some(), "{used}");
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut space = Space::new(1000, 0);
    let taken = space.take(10, 10).unwrap();
    space.release(taken[0]);
    assert_eq!(space.take(21, 10), None);
    assert_eq!((space.frontier(), space.free_pages()), (10, 10));
    assert_eq!(pages(&space.take(20, 10).unwrap()), 20);
}

#[test]
fn the_gaps_between_what_is_used_are_free() {
    let used = [Extent { page: 0, count: 1 }, Extent { page: 5, count: 3 }];
    let space = Space::without(1000, 10, &used);
    assert_eq!(space.free_extents().collect::<Vec<_>>(), [(1, 4), (8, 2)]);
}

#[test]
#[should_panic(expected = "pages are freed once")]
fn freeing_twice_is_noticed() {
    let mut space = Space::new(1000, 0);
    let taken = space.take(10, 10).unwrap();
    space.release(taken[0]);
    space.release(taken[0]);
}

proptest! {
    #[test]
    fn every_page_has_one_owner(
        steps in prop::collection::vec((any::<bool>(), 1..40_u64), 1..200),
    ) {
        let mut space = Space::new(64, 0);
        let mut owners: BTreeMap<u64, ()> = BTreeMap::new();
        let mut held: Vec<Vec<Extent>> = Vec::new();
        for (take, count) in steps {
            if take {
                let growth = 300 - space.frontier().min(300);
                let room = growth + space.free_pages();
                match space.take(count, growth) {
                    None => prop_assert!(room < count),
                    Some(extents) => {
                        prop_assert_eq!(pages(&extents), count);
                        for page in extents.iter().flat_map(|e| e.page..e.end()) {
                            prop_assert!(owners.insert(page, ()).is_none());
                        }
                        held.push(extents);
                    }
                }
            } else if !held.is_empty() {
                let extents = held.remove(count as usize % held.len());
                for extent in extents {
                    (extent.page..extent.end()).for_each(|page| { owners.remove(&page); });
                    space.release(extent);
                }
            }
            prop_assert_eq!(space.free_pages() + owners.len() as u64, space.frontier());
            prop_assert!(space.frontier() <= 300);
        }
    }
}
