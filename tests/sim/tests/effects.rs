//! Which faults count.
//!
//! Goal: a fault counts when something met it, and not because it was made.
//! Method: plans of a few faults, some of which nothing can meet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use holdfast_sim::plan::{Fault, FaultKind, Plan};
use holdfast_sim::run::{Report, run_plan};

fn fault(after_ops: u64, kind: FaultKind, lasts: Duration, draw: u64) -> Fault {
    Fault {
        after_ops,
        kind,
        target: 0,
        lasts,
        draw,
    }
}

/// Runs a seed without surprises with these faults.
fn with(faults: &[Fault]) -> Report {
    let mut plan = Plan::new(13);
    plan.ops = 400;
    plan.lease = None;
    plan.faults = faults.to_vec();
    run_plan(plan)
}

fn counts(report: &Report, kind: FaultKind) -> (u64, u64) {
    let of = |counts: &std::collections::BTreeMap<FaultKind, u64>| {
        counts.get(&kind).copied().unwrap_or_default()
    };
    (of(&report.injected.made), of(&report.injected.met))
}

#[test]
fn what_nothing_met_does_not_count() {
    let (short, long) = (Duration::from_nanos(1), Duration::from_secs(3));
    let report = with(&[
        // No copy of the index was taken yet.
        fault(0, FaultKind::IndexOld, long, 0),
        fault(50, FaultKind::NodeKill, long, 0),
        // It does not run; nor does it write, and its streams are broken.
        fault(50, FaultKind::NodeKill, long, 0),
        fault(50, FaultKind::NodePower, short, 0),
        fault(50, FaultKind::Eio, short, 1),
        fault(50, FaultKind::Full, short, 999_999),
        fault(300, FaultKind::GatewayCrash, long, 0),
        fault(300, FaultKind::GatewayCrash, long, 0),
    ]);
    assert!(report.failure.is_none(), "{report}");
    assert_eq!(counts(&report, FaultKind::IndexOld), (1, 0));
    assert_eq!(counts(&report, FaultKind::IndexLost), (0, 1));
    assert_eq!(counts(&report, FaultKind::NodeKill), (2, 1));
    assert_eq!(counts(&report, FaultKind::NodePower), (1, 0));
    assert_eq!(counts(&report, FaultKind::Eio), (1, 0));
    assert_eq!(counts(&report, FaultKind::Full), (1, 0));
    assert_eq!(counts(&report, FaultKind::GatewayCrash), (2, 1));
}

#[test]
fn what_was_met_counts_once() {
    let long = Duration::from_secs(20);
    let report = with(&[
        fault(20, FaultKind::Partition, long, 1),
        fault(80, FaultKind::Slow, long, 5),
        fault(120, FaultKind::Reset, long, 1),
        fault(160, FaultKind::Eio, long, 1),
        fault(200, FaultKind::Full, long, 0),
        // Bits that flip.
        fault(240, FaultKind::Corrupt, long, 3),
        fault(320, FaultKind::NodeKill, long, 0),
    ]);
    assert!(report.failure.is_none(), "{report}");
    for kind in [
        FaultKind::Partition,
        FaultKind::Slow,
        FaultKind::Reset,
        FaultKind::Eio,
        FaultKind::Full,
        FaultKind::Corrupt,
        FaultKind::NodeKill,
    ] {
        assert_eq!(counts(&report, kind), (1, 1), "{kind}");
    }
}

#[test]
fn crashes_are_added_to_a_plan_in_which_none_took_effect() {
    let long = Duration::from_secs(1);
    let report = with(&[
        fault(20, FaultKind::Reset, long, 1),
        fault(80, FaultKind::Reset, long, 1),
        fault(120, FaultKind::Reset, long, 1),
    ]);
    assert!(report.failure.is_none(), "{report}");
    let met = &report.injected.met;
    assert!(met.keys().any(|kind| kind.is_crash()), "{met:?}");
    assert!(met.values().sum::<u64>() >= 3, "{met:?}");
}
