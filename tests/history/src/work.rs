//! One round: clients that ask for the same few keys until enough was answered.
//!
//! Owns: what is asked, and how often.
//! Leaves to others: requests ([`crate::client`]), faults ([`crate::faults`]).
//! Always: every round has keys of its own, and ends with a read of each and a LIST after all
//! faults are over, so that a write that was lost on the way is missed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::client::{BUCKET, Client};
use crate::error::RecordError;
use crate::record::{Condition, Outcome, Recorder};
use crate::values::Values;

/// Keys of a round. Copies go from the first half to the second.
const KEYS: usize = 6;
/// Least length of a part that is not the last.
const PART_LEN: u64 = 5 << 20;
/// A Complete of unknown outcome is asked again this often.
const COMPLETES_MAX: usize = 3;
/// Pause of a client whom nobody answers, or who learns nothing from the answer.
const PAUSE: Duration = Duration::from_millis(20);

/// What the clients and the faults of a round share.
#[derive(Debug)]
pub struct Round {
    /// Its number, and what its keys begin with.
    pub number: u64,
    /// Operations of known outcome to be recorded.
    pub target: u64,
    /// Operations of known outcome so far.
    pub known: AtomicU64,
    /// Something went wrong: everybody ends.
    pub failed: AtomicBool,
    /// The ETag last seen at each key, and its value.
    seen: Mutex<Vec<Option<(String, u64)>>>,
}

/// What one client did.
pub type Done = Result<Recorder, RecordError>;

impl Round {
    /// A round with nothing done.
    pub fn new(number: u64, target: u64) -> Self {
        Self {
            number,
            target,
            known: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            seen: Mutex::new(vec![None; KEYS]),
        }
    }

    /// Whether the clients go on.
    pub fn goes_on(&self) -> bool {
        self.known.load(Ordering::Relaxed) < self.target && !self.failed.load(Ordering::Relaxed)
    }

    fn prefix(&self) -> String {
        format!("r{}/", self.number)
    }

    fn key(&self, nth: usize) -> String {
        format!("r{}/k{nth}", self.number)
    }

    fn see(&self, nth: usize, etag: Option<String>, outcome: &Outcome) {
        if let (Some(etag), Outcome::Found(value)) = (etag, outcome) {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner)[nth] = Some((etag, *value));
        }
    }

    fn seen(&self, nth: usize) -> Option<(String, u64)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)[nth].clone()
    }
}

/// One client of a round.
pub struct Worker<'a> {
    /// Its connection.
    pub client: Client<'a>,
    /// All bodies.
    pub values: &'a Values,
    /// What it shares.
    pub round: &'a Round,
    /// What it did.
    pub recorder: Recorder,
    /// Its choices.
    pub random: fastrand::Rng,
}

impl Worker<'_> {
    /// Asks until the round is over.
    ///
    /// # Errors
    /// `Answer`; the round then fails for all.
    pub fn run(mut self) -> Done {
        while self.round.goes_on() {
            let (before, unknown) = (self.recorder.known, self.recorder.unknown);
            match self.step() {
                // A server that is not ready answers at once, and says nothing.
                Ok(true) if self.recorder.unknown == unknown => {}
                Ok(_) => std::thread::sleep(PAUSE),
                Err(error) => {
                    self.round.failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            let more = self.recorder.known - before;
            self.round.known.fetch_add(more, Ordering::Relaxed);
        }
        Ok(self.recorder)
    }

    /// Reads every key and lists them, until each has an answer.
    ///
    /// # Errors
    /// `Answer`; `Silent` when nobody answers.
    pub fn look_again(mut self, longest: Duration) -> Done {
        let deadline = Instant::now() + longest;
        for nth in 0..=KEYS {
            let before = self.recorder.known;
            while self.recorder.known == before {
                match nth {
                    KEYS => self.list(None, 1000)?,
                    _ => self.get(nth)?,
                };
                if self.recorder.known == before {
                    std::thread::sleep(PAUSE);
                    if Instant::now() > deadline {
                        return Err(RecordError::Silent {
                            round: self.round.number,
                            done: self.round.known.load(Ordering::Relaxed),
                            seconds: longest.as_secs(),
                        });
                    }
                }
            }
        }
        Ok(self.recorder)
    }

    /// One operation; false when it was not even sent.
    fn step(&mut self) -> Result<bool, RecordError> {
        let nth = self.random.usize(..KEYS);
        match self.random.u8(..100) {
            0..=33 => self.get(nth),
            34..=45 => self.head(nth),
            46..=68 => self.put(nth),
            69..=76 => self.delete(nth),
            77..=82 => {
                let from = self.random.usize(..KEYS / 2);
                self.copy(from, KEYS / 2 + nth % (KEYS / 2))
            }
            83..=88 => self.complete(nth % (KEYS / 2)),
            89..=94 => self.list(None, 1000),
            _ => {
                let after = self.random.bool().then_some(nth);
                let max_keys = self.random.u64(1..4);
                self.list(after, max_keys)
            }
        }
    }

    fn record(&mut self, call: u64, action: Json, outcome: &Outcome) -> bool {
        self.recorder.record(call, action, outcome);
        *outcome != Outcome::NotSent
    }

    fn get(&mut self, nth: usize) -> Result<bool, RecordError> {
        let key = self.round.key(nth);
        let call = self.recorder.now();
        let (outcome, etag) = self.client.get(&key)?;
        self.round.see(nth, etag, &outcome);
        Ok(self.record(call, json!({"do": "get", "key": full(&key)}), &outcome))
    }

    fn head(&mut self, nth: usize) -> Result<bool, RecordError> {
        let key = self.round.key(nth);
        let call = self.recorder.now();
        let (outcome, etag) = self.client.head(&key)?;
        self.round.see(nth, etag, &outcome);
        Ok(self.record(call, json!({"do": "head", "key": full(&key)}), &outcome))
    }

    fn condition(&mut self, nth: usize) -> Condition {
        match (self.random.u8(..10), self.round.seen(nth)) {
            (0..=2, _) => Condition::Absent,
            (3..=5, Some((etag, value))) => Condition::Matches { etag, value },
            _ => Condition::Always,
        }
    }

    fn put(&mut self, nth: usize) -> Result<bool, RecordError> {
        let key = self.round.key(nth);
        let condition = self.condition(nth);
        let len = match self.random.u8(..100) {
            0 => self.random.u64(1 << 20..3 << 20),
            1..=8 => self.random.u64(33 << 10..300 << 10),
            _ => self.random.u64(16..3000),
        };
        let value = self.values.make(len, None);
        let action = json!({"do": "put", "key": full(&key), "value": value.number});
        let call = self.recorder.now();
        let outcome = self.client.put(&key, &value, &condition)?;
        if outcome == Outcome::Ok {
            let etag = Some(format!("\"{}\"", value.etag));
            self.round.see(nth, etag, &Outcome::Found(value.number));
        }
        Ok(self.record(call, condition.added_to(action), &outcome))
    }

    fn delete(&mut self, nth: usize) -> Result<bool, RecordError> {
        let key = self.round.key(nth);
        let condition = match self.condition(nth) {
            Condition::Absent => Condition::Always,
            other => other,
        };
        let action = json!({"do": "delete", "key": full(&key)});
        let call = self.recorder.now();
        let outcome = self.client.delete(&key, &condition)?;
        Ok(self.record(call, condition.added_to(action), &outcome))
    }

    fn copy(&mut self, from: usize, nth: usize) -> Result<bool, RecordError> {
        let (from, key) = (self.round.key(from), self.round.key(nth));
        let action = json!({"do": "copy", "from": full(&from), "key": full(&key)});
        let call = self.recorder.now();
        let outcome = self.client.copy(&from, &key)?;
        Ok(self.record(call, action, &outcome))
    }

    /// An upload in parts. A Complete without answer is repeated; together they are one operation.
    fn complete(&mut self, nth: usize) -> Result<bool, RecordError> {
        let key = self.round.key(nth);
        let condition = match self.condition(nth) {
            Condition::Matches { .. } => Condition::Always,
            other => other,
        };
        let len = match self.random.u8(..40) {
            0 => PART_LEN + self.random.u64(16..100_000),
            1..=4 => self.random.u64(33 << 10..300 << 10),
            _ => self.random.u64(16..3000),
        };
        let value = self.values.make(len, Some(PART_LEN));
        let Some(upload) = self.client.upload(&key, &value, PART_LEN)? else {
            return Ok(false);
        };
        let action = json!({"do": "complete", "key": full(&key), "value": value.number});
        let call = self.recorder.now();
        let mut outcome = Outcome::NotSent;
        for _ in 0..COMPLETES_MAX {
            let again = self.client.complete(&key, &upload, &value, &condition)?;
            outcome = match (outcome, again) {
                (Outcome::NotSent, first) => first,
                (_, Outcome::Ok) => Outcome::Ok,
                // What the first one did is not told by a refusal of the second.
                _ => Outcome::Unknown,
            };
            if outcome != Outcome::Unknown && outcome != Outcome::NotSent {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Ok(self.record(call, condition.added_to(action), &outcome))
    }

    fn list(&mut self, after: Option<usize>, max_keys: u64) -> Result<bool, RecordError> {
        let prefix = self.round.prefix();
        let after = after.map(|nth| self.round.key(nth));
        let call = self.recorder.now();
        let page = self.client.list(&prefix, after.as_deref(), max_keys)?;
        let mut action = json!({"do": "list", "prefix": full(&prefix)});
        if let Some(after) = after {
            action["after"] = json!(full(&after));
        }
        if let Some(through) = page.through {
            action["through"] = json!(through);
        }
        Ok(self.record(call, action, &page.outcome))
    }
}

fn full(key: &str) -> String {
    format!("{BUCKET}/{key}")
}
