//! One client: operations on its own keys, on shared ones, and reads between them.
//!
//! Owns: what is asked next, what an answer means.
//! Leaves to others: what a read may return ([`crate::ledger`]).
//! Always: a key of its own is left alone after an operation without an answer, until all processes
//! were started anew: such an operation may still happen.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_load::endpoint::Endpoint;
use holdfast_load::failure::Failure;
use holdfast_load::sign::Credentials;

use crate::audit::{Found, Kind, Violation, judge, words};
use crate::client::{Answer, Ask, Client};
use crate::content::{Content, PART_LEN};
use crate::error::Result;
use crate::journal::Journal;
use crate::ledger::{Name, Outcome, Value};

/// Longest wait for the socket. No stop is as long, so nothing may take this long.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Pause after a refused connection, so that a dead server is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(20);
/// Keys of one writer.
const KEYS: usize = 24;
/// Keys that all writers share.
const SHARED_KEYS: usize = 4;

/// The buckets.
pub const BUCKETS: [&str; 2] = ["crash-one", "crash-two"];

/// What all writers of a round share.
#[derive(Debug)]
pub struct Shared<'a> {
    /// The log.
    pub journal: &'a Journal,
    /// Where S3 is.
    pub endpoint: Endpoint,
    /// Whose keys.
    pub credentials: Credentials,
    /// Set to end the writers after their current operation.
    pub stop: AtomicBool,
    /// Operations that were to change something.
    pub operations: AtomicU64,
    /// Those that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Reads that were compared.
    pub reads_checked: AtomicU64,
    /// What went wrong.
    pub violations: Mutex<Vec<Violation>>,
}

impl Shared<'_> {
    fn wrong(&self, violation: Violation) {
        let mut violations = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        violations.push(violation);
    }
}

/// How a request is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Success; a refusal has no reason.
    Success,
    /// 412: the condition is false.
    Refusal,
    /// Either.
    Any,
}

/// A writer.
#[derive(Debug)]
pub struct Writer<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    rng: fastrand::Rng,
    client: Client,
    /// Own keys with an operation that got no answer.
    frozen: BTreeSet<Name>,
    /// Uploads that were given up.
    abandoned: Vec<(Name, String)>,
}

fn classify(done: &std::result::Result<Answer, Failure>) -> (Outcome, String) {
    match done {
        Err(failure @ Failure::Connect(_)) => (Outcome::Refused, failure.to_string()),
        Err(failure) => (Outcome::Unanswered, failure.to_string()),
        Ok(answer) => {
            let outcome = match answer.status {
                _ if answer.is_success() => Outcome::Acked,
                400..500 => Outcome::Refused,
                _ => Outcome::Failed,
            };
            (outcome, answer.says())
        }
    }
}

impl<'a> Writer<'a> {
    /// The writer with this number; its choices follow from `seed`.
    pub fn new(shared: &'a Shared<'a>, number: usize, seed: u64) -> Self {
        let mixed = seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            shared,
            number,
            rng: fastrand::Rng::with_seed(mixed),
            client: Client::new(&shared.endpoint, &shared.credentials, TIMEOUT),
            frozen: BTreeSet::new(),
            abandoned: Vec::new(),
        }
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// Of the log only.
    pub fn run(mut self) -> Result<()> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.step()?;
            if let Some((name, upload)) = self.abandoned.pop() {
                let path = format!("/{}/{}", name.bucket, name.key);
                let query = format!("uploadId={upload}");
                // What is answered does not matter: nothing of an upload is visible.
                let _ = self.client.ask(Ask {
                    method: "DELETE",
                    path: &path,
                    query: &query,
                    header: None,
                    body: &[],
                });
            }
        }
        Ok(())
    }

    fn own_key(&mut self) -> Name {
        let key = self.rng.usize(..KEYS);
        Name {
            bucket: BUCKETS[key % BUCKETS.len()].to_owned(),
            key: format!("own-{}/{key:02}", self.number),
        }
    }

    fn content(&mut self) -> Content {
        let len = match self.rng.u8(..100) {
            0..5 => 0,
            5..55 => self.rng.u64(1..32_000),
            55..70 => self.rng.u64(32_000..70_000),
            70..90 => self.rng.u64(70_000..1_200_000),
            _ => self.rng.u64(1_200_000..3_500_000),
        };
        Content {
            seed: self.rng.u64(..),
            len,
            in_parts: false,
        }
    }

    fn step(&mut self) -> Result<()> {
        if self.rng.u8(..100) < 12 {
            return self.shared_step();
        }
        let name = self.own_key();
        if self.frozen.contains(&name) {
            std::thread::sleep(Duration::from_millis(1));
            return Ok(());
        }
        let exact = self.shared.journal.ask(|ledger| ledger.exact(&name));
        match self.rng.u8(..100) {
            0..40 => self.put(&name, None, Expect::Success),
            40..43 => self.upload(&name),
            43..52 => self.copy(&name),
            52..60 => self.put_if_match(&name, exact),
            60..66 => self.put_if_absent(&name, exact),
            66..80 => self.delete(&name),
            _ => self.read(&name),
        }
    }

    fn shared_step(&mut self) -> Result<()> {
        let key = self.rng.usize(..SHARED_KEYS);
        let name = Name {
            bucket: BUCKETS[0].to_owned(),
            key: format!("shared/{key}"),
        };
        match self.rng.u8(..10) {
            0..5 => self.put(&name, None, Expect::Success),
            5 => self.put(&name, Some(("if-none-match", "*")), Expect::Any),
            6 => self.delete(&name),
            _ => self.read(&name),
        }
    }

    /// Sends a request that changes a key, logged before and after.
    fn change(
        &mut self,
        name: &Name,
        value: &Value,
        expect: Expect,
        what: &str,
        send: impl FnOnce(&mut Client) -> std::result::Result<Answer, Failure>,
    ) -> Result<Outcome> {
        let began = self.shared.journal.begin(name, value, what)?;
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let done = send(&mut self.client);
        let (outcome, says) = classify(&done);
        self.shared.journal.end(began, name, outcome, &says)?;
        let wrong = match (outcome, expect) {
            (Outcome::Acked, Expect::Refusal) => true,
            // A request that took as long as the socket waits was not answered at all.
            (Outcome::Unanswered, _) => started.elapsed() >= TIMEOUT,
            (Outcome::Refused, Expect::Success) => done.is_ok(),
            _ => false,
        };
        if wrong {
            let took = started.elapsed().as_millis();
            let what = format!(
                "{what} of {}, moment {began}: {says} after {took} ms",
                words(value)
            );
            self.shared.wrong(Violation::of(Kind::Answer, name, what));
        }
        if outcome == Outcome::Acked {
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            let etag = done.ok().and_then(|answer| answer.etag);
            self.check_etag(name, value, etag);
        }
        if outcome == Outcome::Unanswered && !name.key.starts_with("shared/") {
            self.frozen.insert(name.clone());
        }
        if outcome != Outcome::Acked {
            std::thread::sleep(PAUSE);
        }
        Ok(outcome)
    }

    /// An ETag in an answer must be that of the content.
    fn check_etag(&self, name: &Name, value: &Value, etag: Option<String>) {
        let (Some(content), Some(etag)) = (value, etag) else {
            return;
        };
        let right = content.etag(&content.bytes());
        if etag != right {
            let what = format!("answered with ETag {etag}, right: {right}");
            self.shared
                .wrong(Violation::of(Kind::WrongMetadata, name, what));
        }
    }

    fn put(&mut self, name: &Name, header: Option<(&str, &str)>, expect: Expect) -> Result<()> {
        let content = self.content();
        let bytes = content.bytes();
        let what = header.map_or("put", |(condition, _)| condition);
        self.change(name, &Some(content), expect, what, |client| {
            client.of_key("PUT", name, header, &bytes)
        })
        .map(|_| ())
    }

    fn put_if_match(&mut self, name: &Name, exact: Option<Value>) -> Result<()> {
        let Some(Some(now)) = exact else {
            return self.put(name, None, Expect::Success);
        };
        let right = self.rng.bool();
        let etag = match right {
            true => now.etag(&now.bytes()),
            false => "00000000000000000000000000000000".to_owned(),
        };
        let expect = if right {
            Expect::Success
        } else {
            Expect::Refusal
        };
        self.put(name, Some(("if-match", &format!("\"{etag}\""))), expect)
    }

    fn put_if_absent(&mut self, name: &Name, exact: Option<Value>) -> Result<()> {
        let expect = match exact {
            Some(None) => Expect::Success,
            Some(Some(_)) => Expect::Refusal,
            None => Expect::Any,
        };
        self.put(name, Some(("if-none-match", "*")), expect)
    }

    fn delete(&mut self, name: &Name) -> Result<()> {
        self.change(name, &None, Expect::Success, "delete", |client| {
            client.of_key("DELETE", name, None, &[])
        })
        .map(|_| ())
    }

    fn copy(&mut self, name: &Name) -> Result<()> {
        let from = self.own_key();
        let exact = self.shared.journal.ask(|ledger| ledger.exact(&from));
        // A copy of an object made of parts is made in one: its ETag is another.
        let source = exact.flatten().filter(|content| !content.in_parts);
        let Some(content) = source.filter(|_| from != *name && !self.frozen.contains(&from)) else {
            return self.put(name, None, Expect::Success);
        };
        let header = format!("/{}/{}", from.bucket, from.key);
        self.change(name, &Some(content), Expect::Success, "copy", |client| {
            client.of_key("PUT", name, Some(("x-amz-copy-source", &header)), &[])
        })
        .map(|_| ())
    }

    /// The key changes with the last request only; only that one is logged.
    fn upload(&mut self, name: &Name) -> Result<()> {
        let content = Content {
            seed: self.rng.u64(..),
            len: PART_LEN + self.rng.u64(1..400_000),
            in_parts: true,
        };
        let (upload, document) = match self.client.upload(name, &content.bytes()) {
            Ok(made) => made,
            Err(_) => {
                std::thread::sleep(PAUSE);
                return Ok(());
            }
        };
        let path = format!("/{}/{}", name.bucket, name.key);
        let query = format!("uploadId={upload}");
        let value = Some(content);
        let outcome = self.change(name, &value, Expect::Success, "complete", |client| {
            client.ask(Ask {
                method: "POST",
                path: &path,
                query: &query,
                header: None,
                body: document.as_bytes(),
            })
        })?;
        if outcome == Outcome::Refused {
            self.abandoned.push((name.clone(), upload));
        }
        Ok(())
    }

    fn read(&mut self, name: &Name) -> Result<()> {
        let began = self.shared.journal.tick();
        let done = self.client.of_key("GET", name, None, &[]);
        let ended = self.shared.journal.tick();
        let Some(found) = done.ok().and_then(|answer| found(&answer)) else {
            // Not available just now; nothing wrong was said.
            std::thread::sleep(PAUSE);
            return Ok(());
        };
        let allowed = self
            .shared
            .journal
            .ask(|ledger| ledger.allowed(name, began, ended));
        self.shared.reads_checked.fetch_add(1, Ordering::Relaxed);
        if let Err(mut violation) = judge(name, &found, &allowed) {
            violation.what = format!("{} (read from moment {began} to {ended})", violation.what);
            self.shared.wrong(violation);
        }
        Ok(())
    }
}

/// What an answer to GET says of the key; `None` if nothing.
pub fn found(answer: &Answer) -> Option<Found> {
    match answer.status {
        200 => Some(Found::Object {
            bytes: answer.body.clone(),
            etag: answer.etag.clone().unwrap_or_default(),
            content_length: answer.content_length,
        }),
        404 if answer.code() == Some("NoSuchKey") => Some(Found::Absent),
        _ => None,
    }
}
