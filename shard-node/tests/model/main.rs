//! Goal: a drive never loses what it acknowledged, never brings back what was purged, and accounts
//! for every page, whatever fails in between.
//! Method: random operations on a drive over a simulated disk and on a model; crashes that lose any
//! subset of unsynced sectors, power cuts in the middle of an operation, failed syncs and writes, a
//! full disk, flipped bytes. proptest shrinks what fails. `PROPTEST_CASES` sets how many sequences
//! are tried.

#![allow(clippy::unwrap_used, clippy::panic)]

mod run;
#[path = "../support/mod.rs"]
mod support;

use proptest::prelude::*;
use run::Run;
use support::world;

pub(crate) const WRITES: u64 = 12;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put(u64),
    Burst(Vec<u64>),
    Stage(u64),
    Discard(u64),
    Purge(Vec<u64>),
    Leave(Vec<u64>, u64),
    Bring(u64),
    Claim,
    Verify(u64),
    Idle,
    Churn,
    Close,
    Crash,
    CrashInOpen(u64),
    CutPower(u64),
    FailSync(u64),
    FailWrite(u64),
    Fill(u64),
    Unfill,
    Flip(u64, u8),
}

fn ops(faults: bool, flips: bool) -> impl Strategy<Value = Vec<Op>> {
    let w = 0..WRITES;
    let ws = prop::collection::vec(0..WRITES, 1..5);
    let mut all = vec![
        (12, w.clone().prop_map(Op::Put).boxed()),
        (4, ws.clone().prop_map(Op::Burst).boxed()),
        (4, w.clone().prop_map(Op::Stage).boxed()),
        (1, w.clone().prop_map(Op::Discard).boxed()),
        (5, ws.clone().prop_map(Op::Purge).boxed()),
        (
            5,
            (ws, prop_oneof![Just(0), 0..6_u64])
                .prop_map(|(ws, late)| Op::Leave(ws, late))
                .boxed(),
        ),
        (7, w.clone().prop_map(Op::Bring).boxed()),
        (2, Just(Op::Claim).boxed()),
        (1, w.prop_map(Op::Verify).boxed()),
        (2, Just(Op::Idle).boxed()),
        (3, Just(Op::Churn).boxed()),
        (2, Just(Op::Close).boxed()),
        (4, Just(Op::Crash).boxed()),
    ];
    if faults {
        all.extend([
            (2, (0..40_u64).prop_map(Op::CrashInOpen).boxed()),
            (4, (0..12_u64).prop_map(Op::CutPower).boxed()),
            (2, (0..6_u64).prop_map(Op::FailSync).boxed()),
            (2, (0..6_u64).prop_map(Op::FailWrite).boxed()),
            (3, (0..40_u64).prop_map(Op::Fill).boxed()),
            (3, Just(Op::Unfill).boxed()),
        ]);
    }
    if flips {
        let flip = (any::<u64>(), 1..=255_u8).prop_map(|(at, mask)| Op::Flip(at, mask));
        all.push((3, flip.boxed()));
    }
    let op = prop::strategy::Union::new_weighted(all);
    prop::collection::vec(op, 1..60)
}

fn run_all(seed: u64, ops: Vec<Op>) {
    world::run(async move {
        let mut run = Run::new(seed).await;
        for op in ops {
            run.step(op).await;
            run.check().await;
        }
        run.restart(true).await;
        run.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
    ))]

    #[test]
    fn crashes_lose_nothing_acknowledged(seed in any::<u64>(), ops in ops(false, false)) {
        run_all(seed, ops);
    }

    #[test]
    fn faults_lose_nothing_acknowledged(seed in any::<u64>(), ops in ops(true, false)) {
        run_all(seed, ops);
    }

    #[test]
    fn damage_is_never_silent(seed in any::<u64>(), ops in ops(false, true)) {
        run_all(seed, ops);
    }
}
