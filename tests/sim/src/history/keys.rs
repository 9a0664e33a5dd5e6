//! What a history means for each of its keys.
//!
//! Owns: splitting it by key: a copy is a read of one and a write of another key, a LIST a read of
//! every key that it covers; giving values their [`State`] numbers.
//! Leaves to others: whether the steps fit ([`super::linear`]).
//! Always: values that no read and no condition of a key names are one state: nothing tells them
//! apart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::linear::{Effect, Predicate, State, Step};
use super::{Action, Condition, Entry, HistoryError, Operation, Outcome, ValueId};

/// A predicate before values have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    Absent,
    Present,
    Is(ValueId),
    Not(ValueId),
    IsOrAbsent(ValueId),
    Never,
}

/// An effect before values have numbers. `Copied` writes what that key may ever have had.
#[derive(Debug, Clone)]
enum Meaning {
    Read(Wanted),
    Write(Wanted, Option<ValueId>),
    Copied(String),
}

type Meanings = BTreeMap<String, Vec<(usize, Meaning)>>;

/// The steps of one key.
#[derive(Debug)]
pub(super) struct KeySteps {
    pub key: String,
    pub steps: Vec<Step>,
}

/// Splits a history by key, keys in order.
///
/// # Errors
/// `Malformed`.
pub(super) fn split(operations: &[Operation]) -> Result<Vec<KeySteps>, HistoryError> {
    let keys = keys_of(operations);
    let mut meanings = Meanings::new();
    for (index, operation) in operations.iter().enumerate() {
        let malformed = |reason| HistoryError::Malformed { index, reason };
        if operation.end < operation.call {
            return Err(malformed("it ends before it is called"));
        }
        for (key, meaning) in meanings_of(operation, &keys).map_err(malformed)? {
            meanings.entry(key).or_default().push((index, meaning));
        }
    }
    let written = written(&meanings);
    Ok(meanings
        .into_iter()
        .map(|(key, all)| KeySteps {
            steps: steps_of(operations, &all, &written),
            key,
        })
        .collect())
}

fn keys_of(operations: &[Operation]) -> BTreeSet<&str> {
    let mut keys = BTreeSet::new();
    for operation in operations {
        match &operation.action {
            Action::Put { key, .. }
            | Action::Complete { key, .. }
            | Action::Get { key }
            | Action::Head { key }
            | Action::Delete { key, .. } => {
                keys.insert(key.as_str());
            }
            Action::Copy { from, key } => keys.extend([from.as_str(), key.as_str()]),
            Action::List { .. } => {}
        }
        if let Outcome::Listed(entries) = &operation.outcome {
            keys.extend(entries.iter().map(|entry| entry.key.as_str()));
        }
    }
    keys
}

fn meanings_of(
    operation: &Operation,
    keys: &BTreeSet<&str>,
) -> Result<Vec<(String, Meaning)>, &'static str> {
    use Outcome::{Conflict, Failed, Refused, Unknown};
    let outcome = &operation.outcome;
    if matches!(outcome, Conflict | Refused) {
        return Ok(Vec::new());
    }
    match &operation.action {
        Action::Put {
            key,
            value,
            condition,
        }
        | Action::Complete {
            key,
            value,
            condition,
        } => {
            let needs = match *condition {
                Condition::Matches(value) => Wanted::Is(value),
                Condition::Absent => Wanted::Absent,
                Condition::Present => Wanted::Present,
                Condition::Always => Wanted::Any,
            };
            write(key, *condition, needs, Some(*value), outcome)
        }
        Action::Delete { key, condition } => {
            let needs = match *condition {
                Condition::Matches(value) => Wanted::IsOrAbsent(value),
                Condition::Absent => return Err("a delete that is to find nothing"),
                Condition::Present | Condition::Always => Wanted::Any,
            };
            write(key, *condition, needs, None, outcome)
        }
        Action::Get { key } | Action::Head { key } => Ok(match outcome {
            Outcome::Found(value) => vec![(key.clone(), Meaning::Read(Wanted::Is(*value)))],
            Outcome::NotFound => vec![(key.clone(), Meaning::Read(Wanted::Absent))],
            Failed | Unknown => Vec::new(),
            _ => return Err("a read finds a value or nothing"),
        }),
        Action::Copy { from, key } => copy(from, key, outcome),
        Action::List {
            prefix,
            after,
            through,
        } => match outcome {
            Outcome::Listed(entries) => {
                let covers = |key: &str| {
                    key.starts_with(prefix)
                        && after.as_deref().is_none_or(|after| key > after)
                        && through.as_deref().is_none_or(|through| key <= through)
                };
                listed(
                    entries,
                    keys.iter().copied().filter(|key| covers(key)),
                    covers,
                )
            }
            Failed | Unknown => Ok(Vec::new()),
            _ => Err("a LIST gives entries"),
        },
    }
}

fn write(
    key: &str,
    condition: Condition,
    needs: Wanted,
    gives: Option<ValueId>,
    outcome: &Outcome,
) -> Result<Vec<(String, Meaning)>, &'static str> {
    let meaning = match outcome {
        Outcome::Ok | Outcome::Failed | Outcome::Unknown => Meaning::Write(needs, gives),
        // If-Match on nothing: S3 answers 404, others 412.
        Outcome::PreconditionFailed => Meaning::Read(match condition {
            Condition::Matches(value) => Wanted::Not(value),
            Condition::Present => Wanted::Absent,
            Condition::Absent => Wanted::Present,
            Condition::Always => Wanted::Never,
        }),
        Outcome::NotFound => Meaning::Read(match condition {
            Condition::Matches(_) | Condition::Present => Wanted::Absent,
            Condition::Absent | Condition::Always => Wanted::Never,
        }),
        _ => return Err("a write is acknowledged, refused, failed or unknown"),
    };
    Ok(vec![(key.to_owned(), meaning)])
}

fn copy(from: &str, key: &str, outcome: &Outcome) -> Result<Vec<(String, Meaning)>, &'static str> {
    let read = |wanted| (from.to_owned(), Meaning::Read(wanted));
    Ok(match outcome {
        // Onto itself: the value stays, whatever it is.
        Outcome::Found(value) if from == key => vec![read(Wanted::Is(*value))],
        Outcome::Failed | Outcome::Unknown if from == key => Vec::new(),
        Outcome::Found(value) => vec![
            read(Wanted::Is(*value)),
            (key.to_owned(), Meaning::Write(Wanted::Any, Some(*value))),
        ],
        Outcome::NotFound => vec![read(Wanted::Absent)],
        Outcome::Failed | Outcome::Unknown => {
            vec![(key.to_owned(), Meaning::Copied(from.to_owned()))]
        }
        _ => return Err("a copy finds a value or nothing, or failed, or is unknown"),
    })
}

fn listed<'a>(
    entries: &[Entry],
    covered: impl Iterator<Item = &'a str>,
    covers: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Meaning)>, &'static str> {
    let mut shown: HashMap<&str, Wanted> = HashMap::new();
    for entry in entries {
        let wanted = entry.value.map_or(Wanted::Present, Wanted::Is);
        // Twice, or outside of what was asked for: nothing explains it.
        let wanted = match covers(&entry.key) && !shown.contains_key(entry.key.as_str()) {
            true => wanted,
            false => Wanted::Never,
        };
        shown.insert(&entry.key, wanted);
    }
    let mut all: Vec<(String, Meaning)> = covered
        .filter(|key| !shown.contains_key(key))
        .map(|key| (key.to_owned(), Meaning::Read(Wanted::Absent)))
        .collect();
    all.extend(
        shown
            .into_iter()
            .map(|(key, wanted)| (key.to_owned(), Meaning::Read(wanted))),
    );
    Ok(all)
}

/// The values that each key may ever have had.
fn written(meanings: &Meanings) -> HashMap<String, BTreeSet<ValueId>> {
    let mut written: HashMap<String, BTreeSet<ValueId>> = HashMap::new();
    let mut copies: HashSet<(&str, &str)> = HashSet::new();
    for (key, all) in meanings {
        for (_, meaning) in all {
            match meaning {
                Meaning::Write(_, Some(value)) => {
                    written.entry(key.clone()).or_default().insert(*value);
                }
                Meaning::Copied(from) => {
                    copies.insert((from, key));
                }
                Meaning::Read(_) | Meaning::Write(_, None) => {}
            }
        }
    }
    // Copies of copies: until nothing is new.
    loop {
        let mut grown = false;
        for &(from, key) in &copies {
            let values = written.get(from).cloned().unwrap_or_default();
            let known = written.entry(key.to_owned()).or_default();
            let before = known.len();
            known.extend(values);
            grown |= known.len() > before;
        }
        if !grown {
            return written;
        }
    }
}

fn steps_of(
    operations: &[Operation],
    all: &[(usize, Meaning)],
    written: &HashMap<String, BTreeSet<ValueId>>,
) -> Vec<Step> {
    let mut named: HashMap<ValueId, State> = HashMap::new();
    for (_, meaning) in all {
        if let Meaning::Read(wanted) | Meaning::Write(wanted, _) = meaning
            && let Wanted::Is(value) | Wanted::Not(value) | Wanted::IsOrAbsent(value) = wanted
        {
            let next =
                u32::try_from(named.len() + 2).expect("a history has fewer than 2^32 values");
            named.entry(*value).or_insert(State(next));
        }
    }
    let state = |value: &ValueId| named.get(value).copied().unwrap_or(State::UNNAMED);
    let predicate = |wanted: &Wanted| match wanted {
        Wanted::Any => Predicate::Any,
        Wanted::Absent => Predicate::Absent,
        Wanted::Present => Predicate::Present,
        Wanted::Is(value) => Predicate::Is(state(value)),
        Wanted::Not(value) => Predicate::Not(state(value)),
        Wanted::IsOrAbsent(value) => Predicate::IsOrAbsent(state(value)),
        Wanted::Never => Predicate::Never,
    };
    all.iter()
        .map(|(index, meaning)| {
            let operation = &operations[*index];
            let effect = match meaning {
                Meaning::Read(wanted) => Effect::Read(predicate(wanted)),
                Meaning::Write(wanted, gives) => Effect::Write {
                    needs: predicate(wanted),
                    gives: vec![gives.as_ref().map_or(State::ABSENT, state)],
                },
                Meaning::Copied(from) => Effect::Write {
                    needs: Predicate::Any,
                    gives: match written.get(from) {
                        Some(values) => {
                            let states: BTreeSet<State> = values.iter().map(state).collect();
                            states.into_iter().collect()
                        }
                        None => Vec::new(),
                    },
                },
            };
            let is_open = matches!(operation.outcome, Outcome::Failed | Outcome::Unknown);
            Step {
                index: *index,
                call: operation.call,
                end: (!is_open).then_some(operation.end),
                failed: (operation.outcome == Outcome::Failed).then_some(operation.end),
                effect,
            }
        })
        .collect()
}
