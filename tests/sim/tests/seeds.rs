//! The simulation as a test.
//!
//! Goal: a seed is the same run every time; and a few of them are clean.
//! Method: a few whole seeds; hundreds of them run in `tests/run --only sim`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use holdfast_sim::plan::{FaultKind, Plan};
use holdfast_sim::run::{Report, run, run_plan};

#[test]
fn the_same_seed_gives_the_same_trace() {
    // 2, 17, 20, 30 and 47 were not, while something drew numbers that the seed did not give.
    for seed in [2, 12, 17, 20, 30, 31, 47] {
        let (first, second) = (run(seed), run(seed));
        assert!(first.failure.is_none(), "{first}");
        assert_eq!(first.tail, second.tail, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    assert_ne!(run(12).trace, run(13).trace);
}

/// Seeds as they are drawn now. 4 did not end: a pass of the healer began anew for ever, for a row
/// that waits for a drive while others of its group are usable. In 5, 6 and 12 another gateway
/// takes over. In 85 a new drive had granted the generation before it was taken in. In 124 a
/// gateway that slept through a takeover voided a write that the other had shown. In 810 a drive
/// forgot a purge with part of its log, and an old copy of the index was rebuilt. In 1976 a merge
/// showed an upload whose only copy its drive called damaged, and nobody healed from it. In 148 a
/// drive started on a full file system, and stayed out of service when there was space again.
#[test]
fn seeds_are_clean() {
    for seed in [4, 5, 6, 12, 81, 85, 124, 148, 350, 810, 1976] {
        let report = run(seed);
        assert!(report.failure.is_none(), "{report}");
    }
}

fn through_the_front(seed: u64) -> Report {
    run_plan(Plan {
        through_front: true,
        ..Plan::new(seed)
    })
}

#[test]
fn the_same_seed_gives_the_same_trace_through_the_s3_front() {
    for seed in [3, 8, 12, 17, 50] {
        let (first, second) = (through_the_front(seed), through_the_front(seed));
        assert!(first.failure.is_none(), "{first}");
        assert_eq!(first.tail, second.tail, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_ne!(first.trace, run(seed).trace, "seed {seed}");
    }
}

#[test]
fn a_plan_has_enough_of_everything() {
    let crashes = [
        FaultKind::GatewayCrash,
        FaultKind::NodeKill,
        FaultKind::NodePower,
        FaultKind::AllPower,
    ];
    for seed in 0..1000 {
        let plan = Plan::new(seed);
        assert!(plan.ops >= 2000 && plan.drives() >= 6 && plan.faults.len() >= 3);
        assert!(
            plan.faults
                .iter()
                .any(|fault| crashes.contains(&fault.kind))
        );
    }
}
