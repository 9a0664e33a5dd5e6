//! The judgement of a whole history.
//!
//! Owns: checking key after key, and saying what is wrong with the worst one.
//! Always: of several wrong keys the one is shown whose least proof is the shortest.

use std::fmt;

use super::keys::{KeySteps, split};
use super::linear::{STEPS_MAX, Stuck, linearize};
use super::shrink::shrink;
use super::{HistoryError, Operation};

/// What a history is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every key has an order that explains all of its operations.
    Linearizable(Counts),
    /// Some key has none.
    Violation(Box<Violation>),
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations of the history.
    pub operations: usize,
    /// Keys.
    pub keys: usize,
    /// Operations as the keys see them: a LIST counts once for every key that it covers.
    pub steps: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operations,
            keys,
            steps,
        } = self;
        write!(f, "{operations} operations, {keys} keys, {steps} steps")
    }
}

/// A key that no order explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which key.
    pub key: String,
    /// Operations that no order explains, by their calls; leaving out more would make them fit, as
    /// far as was tried.
    pub operations: Vec<Operation>,
    /// The one of them at whose end no order was left.
    pub stuck: usize,
    /// How many keys are wrong.
    pub keys_wrong: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "key {} is not linearizable ({} wrong in all); of its operations these suffice:",
            self.key, self.keys_wrong
        )?;
        for (at, operation) in self.operations.iter().enumerate() {
            let mark = match at == self.stuck {
                true => "->",
                false => "  ",
            };
            let line = serde_json::to_string(operation).map_err(|_| fmt::Error)?;
            writeln!(f, "{mark} {line}")?;
        }
        write!(f, "no order explains the marked one")
    }
}

/// Judges a history.
///
/// # Errors
/// `Malformed`, `TooHard`. A violation is no error.
pub fn check(operations: &[Operation]) -> Result<Verdict, HistoryError> {
    let keys = split(operations)?;
    let counts = Counts {
        operations: operations.len(),
        keys: keys.len(),
        steps: keys.iter().map(|key| key.steps.len()).sum(),
    };
    let mut wrong: Vec<(&KeySteps, usize)> = Vec::new();
    for key in &keys {
        match linearize(&key.steps) {
            Ok(()) => {}
            Err(Stuck::At(at)) => wrong.push((key, at)),
            Err(Stuck::TooHard) => {
                return Err(HistoryError::TooHard {
                    key: key.key.clone(),
                    steps_max: STEPS_MAX,
                });
            }
        }
    }
    let keys_wrong = wrong.len();
    let shortest = wrong
        .into_iter()
        .map(|(key, at)| violation(operations, key, at, keys_wrong))
        .min_by_key(|violation| violation.operations.len());
    Ok(match shortest {
        None => Verdict::Linearizable(counts),
        Some(violation) => Verdict::Violation(Box::new(violation)),
    })
}

fn violation(all: &[Operation], key: &KeySteps, at: usize, keys_wrong: usize) -> Violation {
    let (steps, stuck) = shrink(&key.steps, at);
    let stuck = steps[stuck].index;
    let mut indices: Vec<usize> = steps.iter().map(|step| step.index).collect();
    indices.sort_by_key(|&index| (all[index].call, index));
    indices.dedup();
    Violation {
        key: key.key.clone(),
        stuck: indices
            .iter()
            .position(|&index| index == stuck)
            .unwrap_or(0),
        operations: indices
            .into_iter()
            .map(|index| all[index].clone())
            .collect(),
        keys_wrong,
    }
}
