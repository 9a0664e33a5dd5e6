//! The oracle for small histories: every order is tried on an object that answers for itself.
//!
//! Owns: what one key answers to one request, and the trying.
//! Always: shares no code with the checker but the types.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, Condition, Operation, Outcome, ValueId};

/// What one key has.
pub(super) type Object = Option<ValueId>;

/// What an object that has `state` answers, and what it has afterwards.
pub(super) fn answer(state: Object, action: &Action) -> (Object, Outcome) {
    let fails = |condition: &Condition| match (condition, state) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => None,
        (Condition::Absent, Some(_)) => Some(Outcome::PreconditionFailed),
        (Condition::Present | Condition::Matches(_), None) => Some(Outcome::NotFound),
        (Condition::Matches(wanted), Some(has)) if *wanted == has => None,
        (Condition::Matches(_), Some(_)) => Some(Outcome::PreconditionFailed),
    };
    match action {
        Action::Put {
            value, condition, ..
        }
        | Action::Complete {
            value, condition, ..
        } => match fails(condition) {
            Some(outcome) => (state, outcome),
            None => (Some(*value), Outcome::Ok),
        },
        Action::Delete { condition, .. } => match (fails(condition), state) {
            (Some(outcome), Some(_)) => (state, outcome),
            _ => (None, Outcome::Ok),
        },
        Action::Get { .. } | Action::Head { .. } => {
            (state, state.map_or(Outcome::NotFound, Outcome::Found))
        }
        Action::Copy { .. } | Action::List { .. } => panic!("made of reads and writes"),
    }
}

/// One thing asked of one key.
#[derive(Clone, Debug)]
struct Asked {
    call: u64,
    end: u64,
    /// Any of these; several for an unknown copy.
    actions: Vec<Action>,
    outcome: Outcome,
}

/// Whether some order of every key explains `history`.
pub(super) fn explains(history: &[Operation]) -> bool {
    let mut keys: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    let names: BTreeSet<String> = history.iter().flat_map(named).collect();
    for operation in history {
        for (key, asked) in asked_of(operation, history, &names) {
            keys.entry(key).or_default().push(asked);
        }
    }
    keys.values().all(|asked| fits(None, asked))
}

fn named(operation: &Operation) -> Vec<String> {
    match (&operation.action, &operation.outcome) {
        (Action::Copy { from, key }, _) => vec![from.clone(), key.clone()],
        (Action::List { .. }, Outcome::Listed(entries)) => {
            entries.iter().map(|entry| entry.key.clone()).collect()
        }
        (Action::List { .. }, _) => Vec::new(),
        (
            Action::Put { key, .. }
            | Action::Complete { key, .. }
            | Action::Get { key }
            | Action::Head { key }
            | Action::Delete { key, .. },
            _,
        ) => vec![key.clone()],
    }
}

fn asked_of(
    operation: &Operation,
    history: &[Operation],
    names: &BTreeSet<String>,
) -> Vec<(String, Asked)> {
    let asked = |key: &str, actions: Vec<Action>, outcome: Outcome| {
        let (call, end) = (operation.call, operation.end);
        let asked = Asked {
            call,
            end,
            actions,
            outcome,
        };
        (key.to_owned(), asked)
    };
    let get = |key: &str| {
        vec![Action::Get {
            key: key.to_owned(),
        }]
    };
    let put = |key: &str, value| Action::Put {
        key: key.to_owned(),
        value,
        condition: Condition::Always,
    };
    match (&operation.action, &operation.outcome) {
        (_, Outcome::Refused | Outcome::Conflict) => Vec::new(),
        (Action::Copy { from, key }, Outcome::Found(value)) => vec![
            asked(from, get(from), operation.outcome.clone()),
            asked(key, vec![put(key, *value)], Outcome::Ok),
        ],
        (Action::Copy { from, key }, Outcome::Failed | Outcome::Unknown) => {
            let may = |other: &&Operation| {
                let outcome = &other.outcome;
                matches!(outcome, Outcome::Ok | Outcome::Failed | Outcome::Unknown)
            };
            let values = history
                .iter()
                .filter(may)
                .filter_map(|other| match &other.action {
                    Action::Put { key, value, .. } if key == from => Some(*value),
                    _ => None,
                });
            let puts = values.map(|value| put(key, value)).collect();
            vec![asked(key, puts, operation.outcome.clone())]
        }
        (Action::Copy { from, .. }, outcome) => vec![asked(from, get(from), outcome.clone())],
        (Action::List { .. }, Outcome::Listed(entries)) => names
            .iter()
            .map(|name| {
                let entry = entries.iter().find(|entry| entry.key == *name);
                let outcome = entry.map_or(Outcome::NotFound, |entry| {
                    Outcome::Found(entry.value.expect("these LISTs look at the ETag"))
                });
                asked(name, get(name), outcome)
            })
            .collect(),
        (Action::List { .. }, _) => Vec::new(),
        (action, outcome) => {
            let key = &named(operation)[0];
            vec![asked(key, vec![action.clone()], outcome.clone())]
        }
    }
}

fn fits(state: Object, left: &[Asked]) -> bool {
    let known = left
        .iter()
        .filter(|asked| !matches!(asked.outcome, Outcome::Failed | Outcome::Unknown));
    let Some(first_end) = known.map(|asked| asked.end).min() else {
        return true;
    };
    (0..left.len()).any(|at| {
        let asked = &left[at];
        let mut rest: Vec<Asked> = [&left[..at], &left[at + 1..]].concat();
        let reads = |action: &Action| matches!(action, Action::Get { .. } | Action::Head { .. });
        if asked.outcome == Outcome::Ok && !asked.actions.iter().any(reads) {
            rest.retain(|other| other.outcome != Outcome::Failed || other.end >= asked.call);
        }
        asked.call <= first_end
            && asked.actions.iter().any(|action| {
                let (after, outcome) = answer(state, action);
                told(&asked.outcome, state, action, &outcome) && fits(after, &rest)
            })
    })
}

/// Whether a client that was told `told` may have been answered `outcome` by an object of `state`.
fn told(told: &Outcome, state: Object, action: &Action, outcome: &Outcome) -> bool {
    match (told, outcome) {
        (Outcome::Failed | Outcome::Unknown, _) => true,
        // If-Match on an absent key: 404 in S3, 412 elsewhere.
        (Outcome::PreconditionFailed, Outcome::NotFound) => true,
        (Outcome::PreconditionFailed, Outcome::Ok) => {
            let deletes = matches!(
                action,
                Action::Delete {
                    condition: Condition::Matches(_),
                    ..
                }
            );
            deletes && state.is_none()
        }
        (told, outcome) => told == outcome,
    }
}
