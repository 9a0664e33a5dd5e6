//! Facts about rules: tables of what is due when.

use holdfast_protocol::{
    BucketId, ETag, GatewayId, Generation, Geometry, ManifestKind, MapVersion, Metadata, Order,
    VersionName, WriteId,
};

use super::*;
use crate::object::Retention;
use crate::settings::{
    FilterForm, LifecycleFilter, NoncurrentExpiration, NoncurrentTransition, RetentionMode,
    Transition,
};

const DAY: u64 = MS_PER_DAY;
/// Ten in the morning of day 100.
const MADE: u64 = 100 * DAY + 10 * 60 * 60 * 1000;

fn manifest(key: &str, len: u64, tags: &str, body: Body) -> Manifest {
    let mut metadata = Metadata::default();
    if !tags.is_empty() {
        metadata.set(TAGGING, tags);
    }
    let order = Order {
        generation: Generation::new(1),
        sequence: 1,
    };
    Manifest {
        kind: ManifestKind::Version(VersionName::Ordered),
        bucket: BucketId::new(1),
        key: key.to_owned(),
        write: WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter: 1,
        },
        order,
        version: order,
        map_version: MapVersion::new(1),
        created_ms: MADE,
        len,
        etag: ETag::default(),
        geometry: Geometry::new(2, 1).unwrap(),
        body,
        checksum: None,
        metadata,
    }
}

fn object(key: &str) -> Manifest {
    manifest(key, 500, "a=1&b=x%20y", Body::Empty)
}

fn marker(key: &str) -> Manifest {
    manifest(key, 0, "", Body::DeleteMarker)
}

fn rule(expiration: Expiration) -> LifecycleRule {
    LifecycleRule {
        id: format!("{expiration:?}"),
        enabled: true,
        filter: LifecycleFilter {
            prefix: Some(String::new()),
            ..LifecycleFilter::default()
        },
        expiration: Some(expiration),
        ..LifecycleRule::default()
    }
}

fn with(filter: LifecycleFilter) -> Lifecycle {
    let rule = LifecycleRule {
        filter,
        ..rule(Expiration::Days(1))
    };
    Lifecycle::new(vec![rule]).unwrap()
}

fn of(rules: Vec<LifecycleRule>) -> Lifecycle {
    Lifecycle::new(rules).unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

#[test]
fn days_end_at_midnight_and_short_ones_at_once() {
    let real = Day::default();
    for (from, days, at) in [
        (MADE, 1, 102 * DAY),
        (MADE, 30, 131 * DAY),
        (100 * DAY, 1, 101 * DAY),
        (100 * DAY + 1, 1, 102 * DAY),
        (101 * DAY - 1, 1, 102 * DAY),
    ] {
        assert_eq!(real.after(from, days), at, "{from} + {days}");
    }
    assert_eq!(
        Day::new(Duration::from_secs(10)).after(MADE, 3),
        MADE + 30_000
    );
    assert_eq!(Day::new(Duration::from_secs(86_400)), real);
    // No overflow.
    assert_eq!(Day::new(Duration::MAX).after(MADE, u32::MAX), u64::MAX);
    assert_eq!(real.after(u64::MAX, u32::MAX), u64::MAX);
}

#[test]
fn a_filter_is_all_that_it_says() {
    let none = LifecycleFilter::default();
    let prefix = |prefix: &str| LifecycleFilter {
        prefix: Some(prefix.to_owned()),
        ..LifecycleFilter::default()
    };
    let tags = |tags: &[(&str, &str)]| LifecycleFilter {
        form: match tags.len() {
            1 => FilterForm::Filter,
            _ => FilterForm::And,
        },
        tags: pairs(tags),
        ..LifecycleFilter::default()
    };
    let sizes = |larger, smaller| LifecycleFilter {
        form: match (larger, smaller) {
            (Some(_), Some(_)) => FilterForm::And,
            _ => FilterForm::Filter,
        },
        larger,
        smaller,
        ..LifecycleFilter::default()
    };
    for (filter, matches, of_marker) in [
        (none, true, true),
        (prefix(""), true, true),
        (prefix("logs/"), true, true),
        (prefix("log"), true, true),
        (prefix("logs/k/"), false, false),
        (prefix("Logs/"), false, false),
        (tags(&[("a", "1")]), true, false),
        (tags(&[("b", "x y")]), true, false),
        (tags(&[("b", "x%20y")]), false, false),
        (tags(&[("a", "2")]), false, false),
        (tags(&[("A", "1")]), false, false),
        (tags(&[("a", "1"), ("b", "x y")]), true, false),
        (tags(&[("a", "1"), ("c", "")]), false, false),
        (sizes(Some(499), None), true, false),
        (sizes(Some(500), None), false, false),
        (sizes(None, Some(501)), true, false),
        (sizes(None, Some(500)), false, false),
        (sizes(Some(499), Some(501)), true, false),
        (sizes(Some(500), Some(600)), false, false),
    ] {
        let lifecycle = with(filter);
        let day = Day::default();
        let due = object_due(&lifecycle, &object("logs/k"), true, day);
        assert_eq!(due.is_some(), matches, "{lifecycle:?}");
        let due = marker_due(&lifecycle, &marker("logs/k"), day);
        assert_eq!(due.is_some(), of_marker, "{lifecycle:?}, a marker");
        assert_eq!(told(Some(&lifecycle), &marker("logs/k")), None);
    }
}

#[test]
fn the_first_of_several_rules_counts_and_a_disabled_one_does_not() {
    let disabled = LifecycleRule {
        enabled: false,
        ..rule(Expiration::Days(1))
    };
    let other = LifecycleRule {
        filter: LifecycleFilter {
            prefix: Some("other/".to_owned()),
            ..LifecycleFilter::default()
        },
        id: "other".to_owned(),
        ..rule(Expiration::Days(2))
    };
    let (late, later) = (rule(Expiration::Days(5)), rule(Expiration::Days(9)));
    let lifecycle = of(vec![disabled, other, later, late]);
    let due = object_due(&lifecycle, &object("k"), true, Day::default());
    assert_eq!(due, Some(106 * DAY));
    let told = told(Some(&lifecycle), &object("k")).unwrap();
    assert_eq!((told.at_ms, told.rule.as_str()), (106 * DAY, "Days(5)"));
    assert_eq!(super::told(None, &object("k")), None);
}

#[test]
fn dates_are_for_what_was_there_and_for_what_comes_later() {
    let day = Day::default();
    for (date, due) in [
        (200 * DAY, 200 * DAY),
        (101 * DAY, 101 * DAY),
        (100 * DAY, 101 * DAY),
        (0, 101 * DAY),
    ] {
        let lifecycle = of(vec![rule(Expiration::DateMs(date))]);
        assert_eq!(object_due(&lifecycle, &object("k"), true, day), Some(due));
        assert_eq!(marker_due(&lifecycle, &marker("k"), day), Some(due));
    }
}

#[test]
fn markers_go_when_a_rule_says_so_or_when_they_are_old_enough() {
    let day = Day::default();
    for (expiration, due) in [
        (Expiration::Marker(true), Some(101 * DAY)),
        (Expiration::Marker(false), None),
        (Expiration::Days(3), Some(104 * DAY)),
    ] {
        let lifecycle = of(vec![rule(expiration)]);
        assert_eq!(marker_due(&lifecycle, &marker("k"), day), due);
    }
    let lifecycle = of(vec![rule(Expiration::Marker(true))]);
    assert_eq!(object_due(&lifecycle, &object("k"), true, day), None);
    assert_eq!(told(Some(&lifecycle), &object("k")), None);
}

/// A current version and so many noncurrent ones, all made then.
fn newer_than(made_ms: u64, count: usize) -> Newer {
    let mut newer = Newer::current(made_ms);
    (0..count).for_each(|_| newer.push(made_ms));
    newer
}

#[test]
fn a_version_goes_at_the_midnight_after_it_became_one_too_many() {
    let rules = |keep| {
        of(vec![LifecycleRule {
            expiration: None,
            noncurrent: Some(NoncurrentExpiration { days: 2, keep }),
            ..rule(Expiration::Days(1))
        }])
    };
    // Made current, and then pushed by two others, a week apart.
    let mut newer = Newer::current(MADE + 14 * DAY);
    newer.push(MADE + 7 * DAY);
    newer.push(MADE);
    let due = |keep| noncurrent_due(&rules(keep), &object("k"), &newer, Day::default());
    assert_eq!(due(None), Some(103 * DAY));
    assert_eq!(due(Some(1)), Some(108 * DAY));
    assert_eq!(due(Some(2)), Some(115 * DAY));
    assert_eq!(due(Some(3)), None);
}

#[test]
fn noncurrent_versions_go_by_days_and_beyond_a_count() {
    let day = Day::new(Duration::from_millis(10));
    let noncurrent = |days, keep| LifecycleRule {
        id: format!("{days} {keep:?}"),
        expiration: None,
        noncurrent: Some(NoncurrentExpiration { days, keep }),
        ..rule(Expiration::Days(1))
    };
    for (rules, newer, due) in [
        (vec![noncurrent(2, None)], 0, Some(1020)),
        (vec![noncurrent(2, Some(1))], 0, None),
        (vec![noncurrent(2, Some(1))], 1, Some(1020)),
        (vec![noncurrent(2, Some(3))], 2, None),
        (vec![noncurrent(2, Some(3))], 3, Some(1020)),
        (vec![noncurrent(2, Some(100))], 100, Some(1020)),
        (
            vec![noncurrent(9, None), noncurrent(2, Some(3))],
            2,
            Some(1090),
        ),
        (
            vec![noncurrent(9, None), noncurrent(2, Some(3))],
            3,
            Some(1020),
        ),
        (vec![rule(Expiration::Days(1))], 9, None),
    ] {
        let lifecycle = of(rules);
        for version in [object("k"), marker("k")] {
            let got = noncurrent_due(&lifecycle, &version, &newer_than(1000, newer), day);
            assert_eq!(got, due, "{lifecycle:?}, {newer} newer");
        }
    }
}

#[test]
fn what_is_locked_waits_and_what_is_held_stays() {
    let day = Day::new(Duration::from_millis(10));
    let rules = LifecycleRule {
        noncurrent: Some(NoncurrentExpiration {
            days: 1,
            keep: None,
        }),
        ..rule(Expiration::Days(1))
    };
    let lifecycle = of(vec![rules]);
    let retention = |until_ms| {
        Some(Retention {
            mode: RetentionMode::Governance,
            until_ms,
        })
    };
    let due = MADE + 10;
    for (retention, hold, expected) in [
        (None, None, Some(due)),
        (None, Some(false), Some(due)),
        (None, Some(true), None),
        (retention(due - 1), None, Some(due)),
        (retention(due + 7), None, Some(due + 7)),
        (retention(due + 7), Some(true), None),
    ] {
        let mut locked = object("k");
        Protection { retention, hold }.keep_in(&mut locked.metadata);
        let got = noncurrent_due(&lifecycle, &locked, &Newer::current(MADE), day);
        assert_eq!(got, expected);
        assert_eq!(object_due(&lifecycle, &locked, false, day), expected);
        // A marker in front of it removes nothing.
        assert_eq!(object_due(&lifecycle, &locked, true, day), Some(due));
    }
    let mut unreadable = object("k");
    unreadable.metadata.set("@retain", "for long");
    let newer = Newer::current(MADE);
    assert_eq!(noncurrent_due(&lifecycle, &unreadable, &newer, day), None);
}

#[test]
fn uploads_go_by_the_first_rule_for_their_key() {
    let abort = |prefix: &str, days| LifecycleRule {
        id: format!("{prefix}{days}"),
        filter: LifecycleFilter {
            prefix: Some(prefix.to_owned()),
            ..LifecycleFilter::default()
        },
        expiration: None,
        abort_days: Some(days),
        ..rule(Expiration::Days(1))
    };
    let lifecycle = of(vec![abort("", 7), abort("a/", 3), abort("b/", 1)]);
    let day = Day::default();
    assert_eq!(upload_due(&lifecycle, &object("a/k"), day), Some(104 * DAY));
    assert_eq!(upload_due(&lifecycle, &object("c"), day), Some(108 * DAY));
    let lifecycle = of(vec![rule(Expiration::Days(1))]);
    assert_eq!(upload_due(&lifecycle, &object("a/k"), day), None);
}

fn moving(days: &[(u32, &str)], filter: LifecycleFilter) -> LifecycleRule {
    let moves = days.iter().map(|(days, class)| Transition {
        at: When::Days(*days),
        class: (*class).to_owned(),
    });
    LifecycleRule {
        id: format!("{days:?}"),
        enabled: true,
        filter,
        transitions: moves.collect(),
        ..LifecycleRule::default()
    }
}

#[test]
fn of_several_moves_the_last_that_is_due_counts() {
    let sized = LifecycleFilter {
        larger: Some(0),
        ..LifecycleFilter::default()
    };
    let rules = of(vec![moving(&[(1, "A"), (7, "B"), (30, "GONE")], sized)]);
    let by = |manifest: &Manifest, now_ms: u64| {
        let moves = moves(&rules, manifest, Day::default());
        place_by(moves, manifest, now_ms, |class| class != "GONE")
    };
    let (mut manifest, own) = (object("k"), |class: &str| Some(class.to_owned()));
    assert_eq!(by(&manifest, MADE), (None, Some(102 * DAY)));
    assert_eq!(by(&manifest, 102 * DAY), (own("A"), Some(108 * DAY)));
    assert_eq!(by(&manifest, 108 * DAY), (own("B"), None));
    manifest.metadata.set(STORAGE_CLASS, "A");
    assert_eq!(by(&manifest, 102 * DAY), (None, Some(108 * DAY)));
    assert_eq!(by(&manifest, 200 * DAY), (own("B"), None));
    manifest.metadata.set(STORAGE_CLASS, "B");
    assert_eq!(by(&manifest, 200 * DAY), (None, None));
    assert_eq!(by(&marker("k"), 200 * DAY), (None, None));
}

#[test]
fn small_objects_move_only_where_a_rule_says_so() {
    let plain = || moving(&[(0, "A"), (1, "GLACIER")], LifecycleFilter::default());
    let count = |rules: &Lifecycle, len: u64| {
        let manifest = manifest("k", len, "", Body::Inline);
        moves(rules, &manifest, Day::default()).count()
    };
    let rules = of(vec![plain()]);
    assert_eq!((count(&rules, 131_071), count(&rules, 131_072)), (0, 2));
    let varying = of(vec![plain()]).varying(true);
    assert_eq!((count(&varying, 5), count(&varying, 131_072)), (1, 2));
    let mut sized = plain();
    sized.filter.larger = Some(4);
    let rules = of(vec![sized]);
    assert_eq!((count(&rules, 4), count(&rules, 5)), (0, 2));
}

#[test]
fn noncurrent_versions_move_by_days_and_count() {
    let rule = LifecycleRule {
        noncurrent_transitions: vec![NoncurrentTransition {
            days: 3,
            keep: Some(2),
            class: "A".to_owned(),
        }],
        ..rule(Expiration::Marker(true))
    };
    let rules = of(vec![rule]);
    let large = manifest("k", 1 << 20, "", Body::Inline);
    let at = |newer| {
        let newer = newer_than(MADE + DAY, newer);
        let moves = noncurrent_moves(&rules, &large, &newer, Day::default());
        moves
            .map(|(at_ms, class)| (at_ms, class.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(at(1), []);
    assert_eq!(at(2), [(105 * DAY, "A".to_owned())]);
    assert!(has_noncurrent(&rules, "k") && counts(&rules, "k"));
}
