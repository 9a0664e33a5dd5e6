//! Random histories of a real object, and what becomes of them when they are changed.
//!
//! Method: clients ask one after another, each request takes effect at a random moment between
//! call and end (an unknown one later too, or never), in that order. What the object answered is
//! the history. Seeds are printed by proptest.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::brute::{Object, answer, explains};
use crate::history::{
    Action, Condition, Entry, Operation, Outcome, ValueId, Verdict, check, write_line,
};

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
struct Shape {
    clients: u64,
    operations: u64,
    keys: u64,
    /// Of 100 requests, how many end unknown.
    unknown_percent: u64,
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One moment at which something happens to one key.
enum Moment {
    Whole,
    CopyRead,
    CopyWrite,
    ListRead(String),
}

fn key(number: u64) -> String {
    format!("b/{number}")
}

fn action(random: &mut Random, shape: Shape, fresh: &mut u64) -> Action {
    let at = key(random.below(shape.keys));
    let some = ValueId::new(1 + random.below((*fresh).max(1)));
    let condition = match random.below(4) {
        0 => Condition::Absent,
        1 => Condition::Matches(some),
        _ => Condition::Always,
    };
    match random.below(10) {
        0..=3 => {
            *fresh += 1;
            Action::Put {
                key: at,
                value: ValueId::new(*fresh),
                condition,
            }
        }
        4 | 5 => Action::Get { key: at },
        6 => Action::Head { key: at },
        7 => Action::Delete {
            key: at,
            condition: match condition {
                Condition::Absent => Condition::Always,
                other => other,
            },
        },
        // Out of the keys that are written into one that is only copied to.
        8 => Action::Copy {
            from: at,
            key: "b/copy".to_owned(),
        },
        _ => Action::List {
            prefix: "b/".to_owned(),
            after: None,
            through: None,
        },
    }
}

/// A history of a real object.
fn history(seed: u64, shape: Shape) -> Vec<Operation> {
    let random = &mut Random(seed);
    let mut fresh = 0;
    let mut history = Vec::new();
    let mut moments: Vec<(u64, usize, Moment)> = Vec::new();
    let mut free: Vec<u64> = (0..shape.clients).map(|_| random.below(20)).collect();
    for index in 0..shape.operations {
        let client = (0..shape.clients as usize)
            .min_by_key(|&c| free[c])
            .unwrap();
        let call = free[client];
        let action = action(random, shape, &mut fresh);
        let unknown = random.below(100) < shape.unknown_percent;
        let first = call + random.below(30);
        let second = first + random.below(30);
        let end = second + random.below(30);
        free[client] = end + random.below(10);
        let failed = unknown && random.below(2) == 0;
        let late = match unknown && !failed {
            true => random.below(200),
            false => 0,
        };
        let at = index as usize;
        match &action {
            _ if unknown && random.below(3) == 0 => {}
            Action::Copy { .. } => {
                moments.push((first + late, at, Moment::CopyRead));
                moments.push((second + late, at, Moment::CopyWrite));
            }
            Action::List { .. } => {
                let names = (0..shape.keys).map(key).chain(["b/copy".to_owned()]);
                for name in names {
                    let when = call + random.below(end - call + 1);
                    moments.push((when, at, Moment::ListRead(name)));
                }
            }
            _ => moments.push((first + late, at, Moment::Whole)),
        }
        history.push(Operation {
            client: client as u32,
            call,
            end,
            outcome: match (unknown, &action) {
                (true, _) if failed => Outcome::Failed,
                (true, _) => Outcome::Unknown,
                (false, Action::List { .. }) => Outcome::Listed(Vec::new()),
                (false, _) => Outcome::NotFound,
            },
            action,
        });
    }
    moments.sort_by_key(|(when, at, _)| (*when, *at));
    run(&mut history, moments);
    history
}

fn run(history: &mut [Operation], moments: Vec<(u64, usize, Moment)>) {
    let mut objects: BTreeMap<String, Object> = BTreeMap::new();
    let mut copied: BTreeMap<usize, Object> = BTreeMap::new();
    for (_, at, moment) in moments {
        let operation = &mut history[at];
        let unknown = matches!(operation.outcome, Outcome::Failed | Outcome::Unknown);
        let outcome = match (&moment, &operation.action) {
            (Moment::CopyRead, Action::Copy { from, .. }) => {
                copied.insert(at, objects.get(from).copied().flatten());
                continue;
            }
            (Moment::CopyWrite, Action::Copy { key, .. }) => match copied[&at] {
                None => Outcome::NotFound,
                Some(value) => {
                    objects.insert(key.clone(), Some(value));
                    Outcome::Found(value)
                }
            },
            (Moment::ListRead(name), _) => {
                if let Some(value) = objects.get(name).copied().flatten()
                    && let Outcome::Listed(entries) = &mut operation.outcome
                {
                    let (key, value) = (name.clone(), Some(value));
                    entries.push(Entry { key, value });
                }
                continue;
            }
            (
                _,
                Action::Put { key, .. }
                | Action::Complete { key, .. }
                | Action::Get { key }
                | Action::Head { key }
                | Action::Delete { key, .. },
            ) => {
                let object = objects.entry(key.clone()).or_default();
                let (after, outcome) = answer(*object, &operation.action);
                *object = after;
                outcome
            }
            _ => panic!("a moment of another action"),
        };
        if !unknown {
            operation.outcome = outcome;
        }
    }
}

/// Another outcome, or another window.
fn mutate(history: &mut [Operation], random: &mut Random) {
    let at = random.below(history.len() as u64) as usize;
    let value = ValueId::new(1 + random.below(4));
    let operation = &mut history[at];
    if random.below(3) == 0 {
        operation.call = random.below(100);
        operation.end = operation.call + random.below(60);
        return;
    }
    operation.outcome = match (&operation.action, &operation.outcome) {
        (Action::List { .. }, Outcome::Listed(entries)) => {
            let mut entries = entries.clone();
            match entries.is_empty() {
                true => entries.push(Entry {
                    key: key(0),
                    value: Some(value),
                }),
                false => entries.truncate(entries.len() - 1),
            }
            Outcome::Listed(entries)
        }
        (Action::List { .. }, other) => other.clone(),
        (Action::Get { .. } | Action::Head { .. } | Action::Copy { .. }, Outcome::Found(_)) => {
            match random.below(3) {
                0 => Outcome::NotFound,
                _ => Outcome::Found(value),
            }
        }
        (Action::Get { .. } | Action::Head { .. } | Action::Copy { .. }, _) => {
            Outcome::Found(value)
        }
        (Action::Put { condition, .. }, Outcome::Ok) if *condition != Condition::Always => {
            Outcome::PreconditionFailed
        }
        (_, Outcome::Unknown) if random.below(2) == 0 => Outcome::Failed,
        (_, Outcome::Failed) if random.below(2) == 0 => Outcome::Unknown,
        (_, Outcome::Failed | Outcome::Unknown) => Outcome::Ok,
        (_, Outcome::PreconditionFailed | Outcome::NotFound) => Outcome::Ok,
        (_, _) => Outcome::Refused,
    };
}

fn accepts(history: &[Operation]) -> bool {
    matches!(check(history).unwrap(), Verdict::Linearizable(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_a_real_object_did_is_accepted(
        seed: u64, clients in 1_u64..9, keys in 1_u64..4, unknown_percent in 0_u64..30,
    ) {
        let shape = Shape { clients, operations: 400, keys, unknown_percent };
        let history = history(seed, shape);
        let verdict = check(&history).unwrap();
        let accepted = matches!(verdict, Verdict::Linearizable(_));
        prop_assert!(accepted, "{:?}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn small_histories_are_judged_like_by_trying_every_order(
        seed: u64, clients in 1_u64..4, unknown_percent in 0_u64..40, mutations in 0_u64..3,
    ) {
        let shape = Shape { clients, operations: 6, keys: 1, unknown_percent };
        let mut history = history(seed, shape);
        let random = &mut Random(seed ^ 1);
        for _ in 0..mutations {
            mutate(&mut history, random);
        }
        let mut lines = Vec::new();
        history.iter().for_each(|operation| write_line(&mut lines, operation).unwrap());
        let lines = String::from_utf8(lines).unwrap();
        prop_assert_eq!(accepts(&history), explains(&history), "\n{}", lines);
    }
}

#[test]
fn mutations_are_rejected_often_and_what_is_shown_is_wrong_by_itself() {
    let shape = Shape {
        clients: 4,
        operations: 60,
        keys: 1,
        unknown_percent: 5,
    };
    let mut rejected = 0;
    for seed in 0..300 {
        let mut history = history(seed, shape);
        mutate(&mut history, &mut Random(seed ^ 1));
        if let Verdict::Violation(violation) = check(&history).unwrap() {
            rejected += 1;
            assert!(violation.operations.len() <= history.len());
            let again = check(&violation.operations).unwrap();
            assert!(
                matches!(again, Verdict::Violation(_)),
                "seed {seed}: {violation}"
            );
        }
    }
    assert!(rejected > 60, "only {rejected} of 300");
}

#[test]
fn long_histories_with_few_clients_are_cheap() {
    let shape = Shape {
        clients: 16,
        operations: 60_000,
        keys: 4,
        unknown_percent: 1,
    };
    let history = history(7, shape);
    assert!(accepts(&history));
}
