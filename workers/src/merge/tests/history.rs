//! Histories of one key and its uploads, with crashes at every step, against a model.
//!
//! Each operation sends its record to some drives. It is acknowledged when its quorum has it and
//! the index committed; anything less ended in 5xx, and may or may not have been voided. Retired
//! writes are purged from some drives. Then an index is rebuilt with up to m drives absent.

mod model;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use model::{Op, OpKind, World};

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        3 => Just(OpKind::PutSmall),
        3 => Just(OpKind::PutCoded),
        3 => Just(OpKind::Delete),
        3 => Just(OpKind::Create),
        4 => (1_u16..3).prop_map(OpKind::Part),
        3 => Just(OpKind::Complete),
        1 => Just(OpKind::Abort),
    ];
    // Mostly whole, so that something is acknowledged now and then.
    let taken = prop_oneof![2 => Just(0xff_u8), 1 => any::<u8>()];
    let commits = prop::bool::weighted(0.8);
    (kind, taken, commits, any::<bool>(), any::<u8>()).prop_map(
        |(kind, taken, commits, voids, purged)| Op {
            kind,
            taken,
            commits,
            voids,
            purged,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Acknowledged ⇒ there; deleted ⇒ gone; void ⇒ never; else one of the outcomes of what ended
    /// in 5xx.
    #[test]
    fn a_rebuild_shows_what_was_acknowledged(
        drives in 3_u64..6,
        ops in prop::collection::vec(op(), 1..14),
        absent in 0_u64..6,
    ) {
        let mut world = World::new(drives);
        for op in &ops {
            world.run(op);
        }
        let absent: BTreeSet<DriveId> = (1..=drives).filter(|n| *n == absent).map(d).collect();
        let (found, merged, records) = world.rebuild(&absent);
        for (write, fate) in &merged.fates {
            if *fate == Fate::Doubt {
                // Doubt must have a reason: something unreadable that may have reached its quorum.
                let is_reason = |found: &&Found| {
                    !records.is_readable(found) && records.may_be_acknowledged(found)
                };
                prop_assert!(records.found.values().any(|found| is_reason(&found)), "{write}");
            }
        }
        if merged.doubts.is_empty() {
            prop_assert!(
                world.allows(&found),
                "found {:?}, acknowledged {:?}, or {:?}\n{:?}",
                found, world.state, world.maybe, merged
            );
        }
    }

    /// With every operation acknowledged and all drives there, rebuild(index) = index.
    #[test]
    fn a_rebuild_of_a_quiet_cluster_equals_its_index(
        drives in 3_u64..6,
        ops in prop::collection::vec(op(), 1..20),
    ) {
        let mut world = World::new(drives);
        for op in &ops {
            let whole = Op { taken: 0xff, commits: true, ..op.clone() };
            world.run(&whole);
        }
        let (found, merged, _) = world.rebuild(&BTreeSet::new());
        prop_assert!(merged.doubts.is_empty());
        prop_assert_eq!(found, world.shown());
    }

    /// With whole writes, any one drive may be absent.
    #[test]
    fn any_m_drives_may_be_absent_when_writes_are_whole(
        drives in 3_u64..6,
        ops in prop::collection::vec(op(), 1..16),
        absent in 1_u64..6,
    ) {
        let mut world = World::new(drives);
        for op in &ops {
            let whole = Op { taken: 0xff, commits: true, ..op.clone() };
            world.run(&whole);
        }
        let absent: BTreeSet<DriveId> = [d(1 + absent % drives)].into();
        let (found, merged, _) = world.rebuild(&absent);
        prop_assert!(merged.doubts.is_empty(), "{:?}", merged.doubts);
        prop_assert_eq!(found, world.shown());
    }

    /// What is purged everywhere stays away when a drive forgets that it purged it; what is there
    /// stays, whatever that drive lost.
    #[test]
    fn a_drive_that_lost_log_entries_brings_nothing_back_and_takes_nothing_away(
        drives in 3_u64..6,
        ops in prop::collection::vec(op(), 1..20),
        partial in 0_u64..6,
        keeps in any::<u64>(),
    ) {
        let mut world = World::new(drives);
        for op in &ops {
            // As few copies as there may be.
            let first = u64::from(op.taken) % drives;
            let two = 1 << first | 1 << ((first + 1) % drives);
            let taken = match op.kind {
                OpKind::PutCoded | OpKind::Part(_) => 0xff,
                _ => two,
            };
            world.run(&Op { taken, commits: true, purged: 0xff, ..op.clone() });
        }
        let (found, merged, _) = world.rebuild_beside(d(1 + partial % drives), keeps);
        prop_assert!(merged.doubts.is_empty(), "{:?}", merged.doubts);
        prop_assert_eq!(found, world.shown());
    }
}
