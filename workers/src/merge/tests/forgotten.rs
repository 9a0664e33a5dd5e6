//! What drives that are gone, or that lost part of their log, make of a record.

use super::*;

#[test]
fn what_a_dead_drive_held_was_brought_to_others_when_nobody_is_absent() {
    // A write that failed with a shard on each drive; two of them were replaced since, and their
    // successors hold all that was acknowledged.
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0]).dead(&[2, 3]);
    assert_eq!((case.fate(2), case.fate(3)), (SHOWN, Fate::Void));
    let case = case.absent(&[4]);
    assert_eq!(
        (case.fate(2), case.fate(3)),
        (Fate::Doubt, Fate::Doubt),
        "a successor is not whole, or somebody is away"
    );
}

#[test]
fn a_drive_that_is_being_filled_holds_all_that_was_planned_for_itself() {
    // A shard on drive 1, none on drive 3, which took another's place before; drive 2 is gone.
    let case = Case::new().coded(3, &[0]).dead(&[2]);
    assert_eq!(case.clone().filling(&[3]).fate(3), Fate::Void);
    assert_eq!(case.clone().absent(&[3]).fate(3), Fate::Doubt);
    let both = Case::new().coded(3, &[0]).dead(&[2, 3]);
    assert_eq!(
        both.filling(&[4]).fate(3),
        Fate::Doubt,
        "it lacks what they held"
    );
}

#[test]
fn a_part_that_failed_before_drives_were_replaced_leaves_its_upload_alone() {
    let case = Case::new().upload(2).part(3, 2, 1, &[0]).dead(&[2, 3]);
    let open = Fate::Upload { completed: None };
    assert_eq!((case.fate(2), case.fate(3)), (open, Fate::Void));
    assert!(case.decide().doubts.is_empty());
}

#[test]
fn what_only_a_drive_shows_that_lost_log_entries_was_purged() {
    let case = Case::new().small(2, &[3]).partial(&[3]);
    assert_eq!(case.fate(2), Fate::Void);
    assert_eq!(
        Case::new().small(2, &[1, 3]).partial(&[3]).fate(2),
        SHOWN,
        "another drive has it, too"
    );
    assert_eq!(
        case.clone().absent(&[3, 4]).fate(2),
        SHOWN,
        "another copy may be on a drive that is absent"
    );
    assert_eq!(
        Case::new().small(2, &[3, 4]).partial(&[3, 4]).fate(2),
        SHOWN,
        "as many drives lost entries as there are copies"
    );
    assert_eq!(case.known(2).claim().fate(2), SHOWN, "the index knows it");
}

#[test]
fn what_was_purged_neither_covers_nor_proves_anything() {
    let metadata = |case: Case| {
        let mut case = case.metadata(3, 2);
        let found = case.0.found.get_mut(&w(3)).unwrap();
        found.copies = Case::plain(&[3]);
        case
    };
    let case = metadata(Case::new().small(2, &[3])).partial(&[3]);
    assert_eq!((case.fate(2), case.fate(3)), (Fate::Void, Fate::Void));
    assert!(case.decide().doubts.is_empty());
    let case = Case::new().small(2, &[1, 2]).small(3, &[3]).partial(&[3]);
    assert_eq!((case.fate(2), case.fate(3)), (SHOWN, Fate::Void));
    let case = Case::new().small(2, &[3]).delete(4).partial(&[3]);
    assert_eq!(
        (case.fate(2), case.fate(4)),
        (Fate::Void, Fate::Guard),
        "its tombstone is left alone"
    );
}

#[test]
fn a_shard_that_had_moved_and_was_purged_is_no_reason_for_doubt() {
    let moved = Kept {
        drive: d(9),
        shard: Some((0, 11)),
        is_damaged: false,
    };
    let body = Case::coded_body();
    let case = Case::new().version(2, VersionName::Null, body, vec![moved]);
    assert_eq!(case.fate(2), Fate::Doubt);
    assert_eq!(case.partial(&[9]).fate(2), Fate::Void);
}
