//! The least that shows why a key is not linearizable.
//!
//! Owns: leaving out steps while what is left is still rejected.
//! Leaves to others: rejecting ([`super::linear`]).
//! Always: what is left would be rejected for the same server. A read may be left out: it changes
//! nothing. A write may be left out when nothing that stays sees or needs the state that it leaves:
//! from any order that explains the whole, it can then be taken out.

use super::linear::{Effect, Predicate, Step, Stuck, linearize};

/// Checks made before the rest is shown as it is.
const CHECKS_MAX: usize = 3_000;
/// Steps visited by all these checks together; a long history is cut less finely.
const VISITS_MAX: usize = 20_000_000;

/// The least of `steps`, and which of them cannot be explained (its place in the answer). `stuck`
/// is the step at which the whole was rejected.
pub(super) fn shrink(steps: &[Step], stuck: usize) -> (Vec<Step>, usize) {
    let mut left = until(steps, stuck);
    let mut last = left.len();
    let mut chunk = left.len().div_ceil(2);
    let (mut checks, mut visits) = (0, 0);
    while chunk > 0 && checks < CHECKS_MAX && visits < VISITS_MAX {
        let mut from = 0;
        while from < left.len() && checks < CHECKS_MAX && visits < VISITS_MAX {
            let to = (from + chunk).min(left.len());
            let rest = without(&left, from, to);
            visits += left.len();
            checks += 1;
            match linearize(&rest) {
                Err(Stuck::At(_)) if rest.len() < left.len() => left = rest,
                _ => from = to,
            }
        }
        // Another round at the same size only if this one helped.
        if chunk > 1 || left.len() == last {
            chunk /= 2;
        }
        last = left.len();
    }
    let at = match linearize(&left) {
        Err(Stuck::At(at)) => at,
        _ => left.len().saturating_sub(1),
    };
    (left, at)
}

/// What was called before the end of `stuck`, whose outcome nobody needs when it came later.
fn until(steps: &[Step], stuck: usize) -> Vec<Step> {
    let Some(end) = steps[stuck].end else {
        return steps.to_vec();
    };
    let mut left = Vec::new();
    for step in steps.iter().filter(|step| step.call <= end) {
        let mut step = step.clone();
        if step.end.is_some_and(|other| other > end) {
            step.end = None;
        }
        // An open read says nothing.
        if step.end.is_some() || matches!(step.effect, Effect::Write { .. }) {
            left.push(step);
        }
    }
    left
}

/// `left` without the steps of `from..to` that may be left out.
fn without(left: &[Step], from: usize, to: usize) -> Vec<Step> {
    let outside = left[..from].iter().chain(&left[to..]);
    let mut wanted: Vec<Predicate> = Vec::new();
    let mut add = |step: &Step| {
        let predicate = step.effect.predicate();
        if predicate != Predicate::Any && !wanted.contains(&predicate) {
            wanted.push(predicate);
        }
    };
    outside.for_each(&mut add);
    // Writes of the range that stay because of what is outside make others stay.
    let mut stays = vec![false; to - from];
    loop {
        let mut grown = false;
        for (kept, step) in stays.iter_mut().zip(&left[from..to]) {
            let needed = match &step.effect {
                Effect::Read(_) => false,
                Effect::Write { gives, .. } => gives
                    .iter()
                    .any(|state| wanted.iter().any(|predicate| predicate.holds(*state))),
            };
            if needed && !*kept {
                *kept = true;
                grown = true;
                let predicate = step.effect.predicate();
                if predicate != Predicate::Any && !wanted.contains(&predicate) {
                    wanted.push(predicate);
                }
            }
        }
        if !grown {
            break;
        }
    }
    let inside = left[from..to].iter().zip(&stays);
    left[..from]
        .iter()
        .chain(inside.filter(|(_, kept)| **kept).map(|(step, _)| step))
        .chain(&left[to..])
        .cloned()
        .collect()
}
