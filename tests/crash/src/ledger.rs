//! What each key may hold, by what was asked and answered.
//!
//! Owns: the rule that says which reads are right. It is a pure function of the events.
//! Leaves to others: keeping events ([`crate::journal`]), reading the store ([`crate::audit`]).
//! Always: an operation that was answered with success is superseded only by operations that ended
//! after it began; one without an answer may have happened or not; a refused one never happened.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::content::Content;

/// Moments, counted over all writers; greater is later.
pub type Moment = u64;

/// Bucket and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// What a key holds; `None` is no object.
pub type Value = Option<Content>;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered with success: it happened.
    Acked,
    /// Answered with 5xx: it happened before the answer, or may at the next claim, or never did.
    Failed,
    /// No answer: it happened, may still, or never will.
    Unanswered,
    /// Answered with 4xx, or never sent: it did not happen.
    Refused,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A request is about to be sent.
    Begin {
        /// When.
        at: Moment,
        /// The key.
        name: Name,
        /// What the key will hold.
        value: Value,
        /// What is asked, for people.
        what: String,
    },
    /// Its answer came, or did not.
    End {
        /// When.
        at: Moment,
        /// The moment it began.
        began: Moment,
        /// The key.
        name: Name,
        /// How.
        outcome: Outcome,
        /// The answer, for people.
        says: String,
    },
    /// All processes were started anew and the key was read: what it holds is known again.
    Settled {
        /// The key.
        name: Name,
        /// What it holds.
        value: Value,
    },
}

#[derive(Debug, Clone)]
struct Operation {
    began: Moment,
    ended: Option<Moment>,
    /// `None` while it is under way.
    outcome: Option<Outcome>,
    value: Value,
}

impl Operation {
    /// The last moment at which it may have happened; `None` is any time from its begin.
    fn last(&self) -> Option<Moment> {
        match self.outcome {
            Some(Outcome::Acked | Outcome::Failed) => self.ended,
            _ => None,
        }
    }

    fn may_have_happened(&self) -> bool {
        self.outcome != Some(Outcome::Refused)
    }

    /// Whether it surely happened after everything that ended before `moment`.
    fn surely_after(&self, moment: Moment) -> bool {
        self.outcome == Some(Outcome::Acked) && self.began > moment
    }
}

#[derive(Debug, Clone, Default)]
struct Key {
    /// What it held when it was last settled.
    base: Value,
    /// Values of unanswered operations that were not there when it was settled. Rebuilding the
    /// index may bring them to light, until something newer is acknowledged (DESIGN §7, 6).
    ghosts: Vec<Value>,
    operations: Vec<Operation>,
}

impl Key {
    /// Values that a read may return which began and ended at these moments.
    fn allowed(&self, read_began: Moment, read_ended: Moment) -> Vec<Value> {
        let over = |last: Moment| {
            self.operations.iter().any(|other| {
                other.surely_after(last) && other.ended.is_some_and(|end| end < read_began)
            })
        };
        let mut allowed = Vec::new();
        if !over(0) {
            allowed.push(self.base.clone());
        }
        let candidates = self.operations.iter().filter(|operation| {
            operation.may_have_happened()
                && operation.began < read_ended
                && !operation.last().is_some_and(over)
        });
        for operation in candidates {
            if !allowed.contains(&operation.value) {
                allowed.push(operation.value.clone());
            }
        }
        allowed
    }

    fn settle(&mut self, value: Value) {
        let mut ghosts: Vec<Value> = Vec::new();
        let acked = |operation: &Operation| operation.outcome == Some(Outcome::Acked);
        if !self.operations.iter().any(acked) {
            ghosts.append(&mut self.ghosts);
        }
        for operation in &self.operations {
            let open = matches!(
                operation.outcome,
                None | Some(Outcome::Failed | Outcome::Unanswered)
            );
            let covered = operation
                .last()
                .is_some_and(|last| self.operations.iter().any(|other| other.surely_after(last)));
            if open && !covered && operation.value != value {
                ghosts.push(operation.value.clone());
            }
        }
        // What was there before is what an unanswered operation replaced or not.
        self.ghosts = ghosts;
        self.base = value;
        self.operations.clear();
    }
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    keys: BTreeMap<Name, Key>,
}

impl Ledger {
    /// Takes an event in. Events of one operation come in order; others in any.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Begin {
                at, name, value, ..
            } => {
                let key = self.keys.entry(name.clone()).or_default();
                key.operations.push(Operation {
                    began: *at,
                    ended: None,
                    outcome: None,
                    value: value.clone(),
                });
            }
            Event::End {
                at,
                began,
                name,
                outcome,
                ..
            } => {
                let key = self.keys.entry(name.clone()).or_default();
                let found = key.operations.iter_mut().find(|one| one.began == *began);
                if let Some(operation) = found {
                    operation.ended = Some(*at);
                    operation.outcome = Some(*outcome);
                }
            }
            Event::Settled { name, value } => {
                self.keys
                    .entry(name.clone())
                    .or_default()
                    .settle(value.clone());
            }
        }
    }

    /// Values that a read of `name` may return which began and ended at these moments.
    pub fn allowed(&self, name: &Name, read_began: Moment, read_ended: Moment) -> Vec<Value> {
        match self.keys.get(name) {
            Some(key) => key.allowed(read_began, read_ended),
            None => vec![None],
        }
    }

    /// Values that a read of `name` may return now that nothing is under way.
    pub fn allowed_at_rest(&self, name: &Name) -> Vec<Value> {
        self.allowed(name, Moment::MAX, Moment::MAX)
    }

    /// What rebuilding the index may bring to light beside these.
    pub fn ghosts(&self, name: &Name) -> Vec<Value> {
        self.keys
            .get(name)
            .map(|key| key.ghosts.clone())
            .unwrap_or_default()
    }

    /// What `name` holds, if there is no doubt about it.
    pub fn exact(&self, name: &Name) -> Option<Value> {
        let mut allowed = self.allowed_at_rest(name);
        match allowed.len() {
            1 => allowed.pop(),
            _ => None,
        }
    }

    /// Every key that was ever named, by bucket.
    pub fn names(&self) -> Vec<Name> {
        self.keys.keys().cloned().collect()
    }

    /// Buckets with keys.
    pub fn buckets(&self) -> BTreeSet<String> {
        self.keys.keys().map(|name| name.bucket.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
