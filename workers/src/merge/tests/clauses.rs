//! Each clause, and what it must not do.

use super::*;

#[test]
fn a_readable_version_exists() {
    assert_eq!(
        Case::new().small(2, &[3]).fate(2),
        SHOWN,
        "one copy is enough"
    );
    assert_eq!(
        Case::new().coded(2, &[0, 2]).fate(2),
        SHOWN,
        "k shards are enough"
    );
    assert_eq!(
        Case::new().coded(2, &[1]).fate(2),
        Fate::Void,
        "one shard of two is not"
    );
}

#[test]
fn a_shard_that_is_damaged_or_another_one_does_not_count() {
    let mut case = Case::new().coded(2, &[0, 1]);
    let found = case.0.found.get_mut(&w(2)).unwrap();
    let bad = Kept {
        drive: d(2),
        shard: Some((1, 99)),
        is_damaged: false,
    };
    found.copies = [Case::shards(&[0])[0], bad].into();
    assert_eq!(case.fate(2), Fate::Void);
    let damaged = Kept {
        drive: d(2),
        shard: Some((1, 12)),
        is_damaged: true,
    };
    case.0.found.get_mut(&w(2)).unwrap().copies = [Case::shards(&[0])[0], damaged].into();
    assert_eq!(case.fate(2), Fate::Void);
}

#[test]
fn a_void_hides_its_target_and_guards() {
    let case = Case::new().small(2, &[1]).small(3, &[2]).void(4, 3);
    assert_eq!(case.fate(3), by(4));
    assert_eq!(case.fate(4), Fate::Guard);
    assert_eq!(case.fate(2), SHOWN, "what is void covers nothing");
    assert_eq!(
        case.known(3).claim().fate(3),
        SHOWN,
        "but the index decides"
    );
}

#[test]
fn a_version_that_exists_covers_lower_orders() {
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0, 1, 2]);
    assert_eq!((case.fate(2), case.fate(3)), (by(3), SHOWN));
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0]);
    assert_eq!(
        (case.fate(2), case.fate(3)),
        (SHOWN, Fate::Void),
        "one that does not, does not"
    );
}

#[test]
fn a_tombstone_covers_every_lower_order_also_what_was_never_shown() {
    let case = Case::new()
        .small(2, &[1, 2])
        .small(3, &[2])
        .delete(4)
        .small(5, &[1]);
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (by(4), by(4), Fate::Guard)
    );
    assert_eq!(case.fate(5), SHOWN);
}

#[test]
fn a_tombstone_is_disproved_by_metadata_of_higher_order() {
    let case = Case::new().small(2, &[1, 2]).delete(3).metadata(4, 2);
    let shown = Fate::Version {
        metadata: Some(w(4)),
        is_current: true,
    };
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (shown, Fate::Void, Fate::Metadata)
    );
    let case = Case::new().small(2, &[1, 2]).metadata(3, 2).delete(4);
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (by(4), by(4), Fate::Guard)
    );
}

#[test]
fn metadata_proves_that_what_lies_between_was_never_committed() {
    let case = Case::new()
        .small(2, &[1, 2])
        .small(3, &[1])
        .metadata(4, 2)
        .metadata(5, 2);
    assert_eq!(
        case.fate(2),
        Fate::Version {
            metadata: Some(w(5)),
            is_current: true
        }
    );
    assert_eq!((case.fate(3), case.fate(4)), (Fate::Void, by(5)));
}

#[test]
fn versions_of_a_versioned_bucket_stand_for_themselves() {
    let case = Case::new()
        .ordered(2, &[1])
        .ordered(3, &[1])
        .ordered(4, &[2]);
    let old = Fate::Version {
        metadata: None,
        is_current: false,
    };
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (old, old, SHOWN)
    );
    let case = case.delete_version(5, 3);
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (old, by(5), SHOWN)
    );
    let case = case.metadata_of(6, 3, (VersionName::Ordered, 3));
    let kept = Fate::Version {
        metadata: Some(w(6)),
        is_current: false,
    };
    assert_eq!((case.fate(3), case.fate(5)), (kept, Fate::Void));
}

/// A small write of the version that was made at `of`.
fn rewritten(case: Case, at: u64, of: (VersionName, u64)) -> Case {
    case.rewrite(at, of, BodyFact::Small, Case::plain(&[1, 2]))
}

#[test]
fn a_later_write_of_a_version_takes_the_place_of_the_first() {
    let of = (VersionName::Ordered, 2);
    let case = Case::new().ordered(2, &[1]).ordered(3, &[1]);
    let case = rewritten(case, 4, of);
    let stored_anew = Fate::Version {
        metadata: None,
        is_current: false,
    };
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (by(4), SHOWN, stored_anew),
        "and is no newer than it"
    );
    let case = case.delete_version(5, 2);
    assert_eq!((case.fate(2), case.fate(4)), (by(5), by(5)));
    assert_eq!(case.fate(3), SHOWN);
    let first_only = Case::new().ordered(2, &[1]).delete_version(5, 2);
    assert_eq!(first_only.fate(2), by(5), "also what was never seen again");
}

#[test]
fn a_later_write_of_a_version_brings_its_own_metadata() {
    let of = (VersionName::Ordered, 2);
    let case = Case::new().ordered(2, &[1]).metadata_of(3, 2, of);
    let case = rewritten(case, 4, of);
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (by(4), by(4), SHOWN)
    );
    let case = case.metadata_of(5, 4, of);
    let changed = Fate::Version {
        metadata: Some(w(5)),
        is_current: true,
    };
    assert_eq!((case.fate(4), case.fate(5)), (changed, Fate::Metadata));
    let case = Case::new().ordered(2, &[1]);
    let case = rewritten(case, 3, of).metadata_of(4, 2, of);
    assert_eq!(case.fate(3), Fate::Void, "the first was there at 4");
    assert_eq!(case.fate(4), Fate::Metadata);
}

#[test]
fn the_null_version_and_others_have_no_say_about_each_other() {
    let case = Case::new().small(2, &[1]).ordered(3, &[1]).delete(4);
    assert_eq!((case.fate(2), case.fate(3)), (by(4), SHOWN));
    let case = Case::new().ordered(2, &[1]).small(3, &[1]).small(4, &[1]);
    let old = Fate::Version {
        metadata: None,
        is_current: false,
    };
    assert_eq!(
        (case.fate(2), case.fate(3), case.fate(4)),
        (old, by(4), SHOWN)
    );
    let case = case.ordered(5, &[1]);
    assert_eq!((case.fate(4), case.fate(5)), (old, SHOWN));
}

#[test]
fn an_unreadable_order_that_may_have_reached_its_quorum_puts_the_key_in_doubt() {
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0]).absent(&[2, 3]);
    assert_eq!((case.fate(2), case.fate(3)), (Fate::Doubt, Fate::Doubt));
    assert_eq!(case.decide().doubts.len(), 1);
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0]).absent(&[3, 4]);
    assert_eq!(
        (case.fate(2), case.fate(3)),
        (Fate::Doubt, Fate::Doubt),
        "a shard may have been moved to drive 4"
    );
    let case = Case::new().small(2, &[1, 2]).coded(3, &[0]).absent(&[4]);
    assert_eq!((case.fate(2), case.fate(3)), (SHOWN, Fate::Void));
    let case = Case::new()
        .small(2, &[1, 2])
        .coded(3, &[0])
        .absent(&[2, 3])
        .claim();
    assert_eq!(
        (case.fate(2), case.fate(3)),
        (SHOWN, Fate::Void),
        "an index would know it"
    );
}

#[test]
fn a_write_whose_moved_shard_is_away_and_another_one_bad_is_in_doubt() {
    // The shard of drive 2 was moved to drive 5, which is absent; that of drive 3 is bad.
    let mut copies = Case::shards(&[0, 2]);
    copies[1].is_damaged = true;
    let case = Case::new().version(3, VersionName::Null, Case::coded_body(), copies);
    assert_eq!(case.clone().absent(&[5]).fate(3), Fate::Doubt);
    assert_eq!(case.fate(3), Fate::Void, "nobody is absent");
}

#[test]
fn a_shard_that_has_moved_was_committed() {
    let moved = Kept {
        drive: d(9),
        shard: Some((0, 11)),
        is_damaged: false,
    };
    let body = Case::coded_body();
    let case = Case::new().version(2, VersionName::Null, body, vec![moved]);
    assert_eq!(case.fate(2), Fate::Doubt);
}

#[test]
fn a_record_of_which_nothing_can_be_read_is_named_or_voided() {
    let case = Case::new().unreadable(2, RecordKind::Commit, &[1, 2]);
    assert_eq!(case.fate(2), Fate::Doubt);
    assert_eq!(case.decide().doubts, [Doubt::Write(w(2))].into());
    assert_eq!(
        Case::new().unreadable(2, RecordKind::Commit, &[1]).fate(2),
        Fate::Void
    );
}

#[test]
fn a_complete_exists_only_with_all_its_parts() {
    let upload = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0, 1])
        .part(4, 2, 2, &[0, 1, 2]);
    let case = upload.clone().complete(5, 2, &[(1, 3), (2, 4)]);
    assert_eq!(case.fate(5), SHOWN);
    assert_eq!(
        case.fate(2),
        Fate::Upload {
            completed: Some(w(5))
        }
    );
    assert_eq!((case.fate(3), case.fate(4)), (Fate::Part, Fate::Part));
    let case = upload.complete(5, 2, &[(1, 3), (2, 99)]);
    assert_eq!(case.fate(5), Fate::Void, "one part is nowhere");
    assert_eq!(
        case.fate(2),
        Fate::Upload { completed: None },
        "so the upload is still open"
    );
    assert_eq!((case.fate(3), case.fate(4)), (Fate::Part, Fate::Part));
}

#[test]
fn parts_that_complete_does_not_name_are_retired() {
    let case = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0, 1])
        .part(4, 2, 1, &[0, 1]);
    let open = case.clone();
    assert_eq!(
        (open.fate(3), open.fate(4)),
        (by(4), Fate::Part),
        "the newest of a number"
    );
    let done = case.complete(5, 2, &[(1, 3)]);
    assert_eq!(
        (done.fate(3), done.fate(4)),
        (Fate::Part, by(5)),
        "Complete says which"
    );
}

#[test]
fn abort_and_complete_exclude_each_other_by_order() {
    let upload = Case::new().upload(2).part(3, 2, 1, &[0, 1]);
    let case = upload.clone().complete(4, 2, &[(1, 3)]).abort(5, 2);
    assert_eq!((case.fate(4), case.fate(5)), (Fate::Void, Fate::Guard));
    assert_eq!((case.fate(2), case.fate(3)), (by(5), by(5)));
    let case = upload.clone().abort(4, 2).complete(5, 2, &[(1, 3)]);
    assert_eq!((case.fate(4), case.fate(5)), (Fate::Void, SHOWN));
    let case = upload.abort(4, 2).part(5, 2, 2, &[0, 1]);
    assert_eq!(
        (case.fate(4), case.fate(5)),
        (Fate::Void, Fate::Part),
        "a part disproves it too"
    );
}

#[test]
fn a_part_of_higher_order_disproves_a_complete() {
    let case = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0, 1])
        .complete(4, 2, &[(1, 3)]);
    let case = case.part(5, 2, 2, &[0, 1, 2]);
    assert_eq!((case.fate(4), case.fate(5)), (Fate::Void, Fate::Part));
    assert_eq!(case.fate(2), Fate::Upload { completed: None });
}

#[test]
fn deleting_a_completed_version_retires_upload_and_parts() {
    let case = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0, 1])
        .complete(4, 2, &[(1, 3)])
        .delete(5);
    for at in [2, 3, 4] {
        assert_eq!(case.fate(at), by(5), "{at}");
    }
    let case = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0, 1])
        .complete(4, 2, &[(1, 3)]);
    let case = case.small(5, &[1, 2]);
    for at in [2, 3, 4] {
        assert_eq!(case.fate(at), by(5), "{at}");
    }
}

#[test]
fn a_completed_version_that_is_being_purged_keeps_its_upload_retired() {
    let case = Case::new()
        .upload(2)
        .part(3, 2, 1, &[0])
        .complete(4, 2, &[(1, 3)]);
    assert_eq!(case.fate(4), Fate::Void, "uncovered, it lacks a part");
    let case = case.small(5, &[1, 2]);
    for at in [2, 3, 4] {
        assert_eq!(case.fate(at), by(5), "{at}");
    }
}

#[test]
fn delete_bucket_is_disproved_by_anything_in_it_of_higher_order() {
    let case = Case::new().small(2, &[1, 2]).system(3, "b", None, &[1, 2]);
    assert_eq!(
        (case.fate(1), case.fate(2), case.fate(3)),
        (Fate::OldSystem, Fate::Void, Fate::System)
    );
    let case = Case::new().system(2, "b", None, &[1, 2]).small(3, &[1, 2]);
    assert_eq!(
        (case.fate(1), case.fate(2), case.fate(3)),
        (Fate::System, Fate::Void, SHOWN)
    );
    let case = case.void(4, 3);
    assert_eq!(
        case.fate(2),
        Fate::Void,
        "whoever wrote it saw the bucket, void or not"
    );
}

#[test]
fn what_an_index_shows_in_a_bucket_that_was_deleted_goes() {
    // An old copy of the index shows what was deleted before its bucket was.
    let case = Case::new().small(2, &[1, 2]).known(1).known(2);
    let case = case.delete(3).system(4, "b", None, &[1, 2]);
    assert_eq!((case.fate(2), case.fate(4)), (Fate::Void, Fate::System));
    // As long as nothing says that it was deleted the row stays.
    let mut case = Case::new().small(2, &[1, 2]).known(2);
    case.0.found.remove(&w(1));
    assert_eq!(case.fate(2), Fate::Doubt);
}

#[test]
fn a_bucket_made_again_is_another_one() {
    let other = Some(BucketId::new(8));
    let case = Case::new()
        .small(2, &[1, 2])
        .system(3, "b", None, &[1])
        .system(4, "b", other, &[1]);
    assert_eq!((case.fate(2), case.fate(4)), (Fate::Void, Fate::System));
}

#[test]
fn placement_is_where_the_shards_are_not_where_they_were_planned() {
    let mut copies = Case::shards(&[0, 2]);
    copies.push(Kept {
        drive: d(8),
        shard: Some((1, 12)),
        is_damaged: false,
    });
    copies.push(Kept {
        drive: d(9),
        shard: Some((1, 12)),
        is_damaged: false,
    });
    let case = Case::new().version(2, VersionName::Null, Case::coded_body(), copies);
    let placement = case.0.placement(&case.0.found[&w(2)]);
    assert_eq!(placement.holders, [d(1), d(8), d(3)]);
    assert_eq!(placement.missing, 0);
    assert_eq!(placement.touched, [d(2), d(9)]);
    let case = Case::new().coded(2, &[0, 2]);
    let placement = case.0.placement(&case.0.found[&w(2)]);
    assert_eq!(
        (placement.holders, placement.missing),
        (vec![d(1), d(2), d(3)], 0b010)
    );
    let case = Case::new().small(2, &[3]);
    let placement = case.0.placement(&case.0.found[&w(2)]);
    assert_eq!((placement.holders, placement.missing), (vec![d(3)], 1));
}

#[test]
fn a_copy_that_its_drive_calls_damaged_and_that_was_read_is_healed_from() {
    let copy = |drive, is_damaged| Kept {
        drive: d(drive),
        shard: None,
        is_damaged,
    };
    let of = |copies| {
        let case = Case::new().version(2, VersionName::Null, BodyFact::Small, copies);
        case.0.placement(&case.0.found[&w(2)])
    };
    let only = of(vec![copy(3, true)]);
    assert_eq!(only.holders, [d(3)], "the healer looks nowhere else");
    assert_eq!((only.missing, only.touched), (2, vec![]));
    let beside = of(vec![copy(1, false), copy(2, false), copy(3, true)]);
    assert_eq!(beside.holders, [d(1), d(2)]);
    assert_eq!((beside.missing, beside.touched), (0, vec![d(3)]));
}

#[test]
fn what_the_index_shows_exists_and_covers() {
    let case = Case::new().known(1).small(2, &[1]).coded(3, &[]).claim();
    let mut case = case;
    let (bucket, key) = (BUCKET, "k".to_owned());
    let body = Case::coded_body();
    let fact = Fact::Version {
        bucket,
        key,
        name: VersionName::Null,
        version: o(3),
        geometry: geometry(),
        body,
    };
    case.0.know(w(3), o(3), RecordKind::Commit, fact);
    assert_eq!((case.fate(2), case.fate(3)), (by(3), SHOWN));
    let case = case.small(4, &[2]);
    assert_eq!(
        (case.fate(3), case.fate(4)),
        (by(4), SHOWN),
        "a higher order came to light"
    );
    let case = case.delete(5);
    assert_eq!((case.fate(3), case.fate(4)), (by(5), by(5)));
}
