//! One client of a load: the same operation over and over, each timed.
//!
//! Owns: choosing objects, timing, counting what failed.
//! Leaves to others: when measuring begins and ends ([`crate::cell`]).
//! Always: an operation counts if it ends while measuring, whenever it began; so a load that spans
//! the measured window is neither over- nor undercounted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::body::{Bodies, ObjectNumber};
use crate::client::{Check, Client};
use crate::failure::Failure;
use crate::flags::Flags;
use crate::keys::{Numbers, Space};
use crate::plan::{Load, OPS, Op};
use crate::stats::Histogram;

/// Pause after a failed operation, so that a broken server is not asked in a tight loop.
const FAILURE_PAUSE: Duration = Duration::from_millis(5);
/// Different kinds of failure that are told apart.
const FAILURE_KINDS_MAX: usize = 32;

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;

/// What the clients of one load and its controller share.
#[derive(Debug)]
pub struct Gate {
    phase: AtomicU8,
    tickets: AtomicU64,
    tickets_max: u64,
    requests: AtomicU64,
    written_bytes: AtomicU64,
    written_bytes_max: u64,
}

impl Gate {
    /// Lets `tickets_max` operations and `written_bytes_max` bytes through; measures nothing yet.
    pub fn new(tickets_max: u64, written_bytes_max: u64) -> Self {
        Self {
            phase: AtomicU8::new(WARMING),
            tickets: AtomicU64::new(0),
            tickets_max,
            requests: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            written_bytes_max,
        }
    }

    /// From now on operations that end are recorded.
    pub fn measure(&self) {
        self.phase.store(MEASURING, Ordering::Relaxed);
    }

    /// From now on nothing is recorded, and clients end after their current operation.
    pub fn stop(&self) {
        self.phase.store(STOPPED, Ordering::Relaxed);
    }

    /// Whether the number of operations is limited: then all of them are measured.
    pub fn is_counted(&self) -> bool {
        self.tickets_max < u64::MAX
    }

    /// HTTP requests answered so far, warm-up included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The index of the next operation, or `None` when it is time to end.
    fn ticket(&self) -> Option<u64> {
        let open = self.phase.load(Ordering::Relaxed) != STOPPED
            && self.written_bytes.load(Ordering::Relaxed) < self.written_bytes_max;
        let ticket = open.then(|| self.tickets.fetch_add(1, Ordering::Relaxed))?;
        (ticket < self.tickets_max).then_some(ticket)
    }
}

/// What one kind of operation did while measuring.
#[derive(Debug, Clone, Default)]
pub struct OpStats {
    /// Of operations that succeeded.
    pub latency: Histogram,
    /// Bytes of objects (of LIST: of pages) moved by them.
    pub bytes: u64,
    /// HTTP requests answered as part of them.
    pub requests: u64,
    /// Operations that failed.
    pub errors: u64,
}

impl OpStats {
    /// Adds another client's, or another operation's, figures.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

/// What one client, or all of them, did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By [`Op::index`]; of the operations that occurred.
    pub by_op: [Option<OpStats>; OPS.len()],
    /// How often which failure occurred while measuring.
    pub failures: BTreeMap<String, u64>,
    /// Objects that may exist now because of the load.
    pub written: Vec<ObjectNumber>,
}

impl Outcome {
    /// Adds another client's outcome.
    pub fn merge(&mut self, other: Self) {
        for (ours, theirs) in self.by_op.iter_mut().zip(other.by_op) {
            if let Some(theirs) = theirs {
                ours.get_or_insert_default().merge(&theirs);
            }
        }
        for (kind, count) in other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
        self.written.extend(other.written);
    }

    fn record(&mut self, op: Op, took: Duration, done: Result<Moved, Failure>) {
        let stats = self.by_op[op.index()].get_or_insert_default();
        match done {
            Ok(moved) => {
                stats
                    .latency
                    .record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                stats.bytes += moved.bytes;
                stats.requests += moved.requests;
            }
            Err(failure) => {
                stats.errors += 1;
                let mut kind = failure.to_string();
                if self.failures.len() >= FAILURE_KINDS_MAX && !self.failures.contains_key(&kind) {
                    "other failures".clone_into(&mut kind);
                }
                *self.failures.entry(kind).or_default() += 1;
            }
        }
    }
}

/// What a client works on; shared by all clients of a load.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// What to do.
    pub load: Load,
    /// Bodies of all objects.
    pub bodies: &'a Bodies,
    /// Numbers for new objects.
    pub numbers: &'a Numbers,
    /// Objects to be deleted, each once.
    pub victims: &'a [ObjectNumber],
    /// When to do it.
    pub gate: &'a Gate,
}

/// What a successful operation moved.
#[derive(Debug, Clone, Copy)]
struct Moved {
    bytes: u64,
    requests: u64,
}

/// A client at work.
#[derive(Debug)]
pub struct Worker<'a> {
    task: Task<'a>,
    client: Client,
    rng: fastrand::Rng,
    outcome: Outcome,
}

impl<'a> Worker<'a> {
    /// The `nth` client of the load.
    pub fn new(task: Task<'a>, client: Client, nth: usize) -> Self {
        let rng = fastrand::Rng::with_seed(task.flags.seed.wrapping_add(nth as u64));
        Self {
            task,
            client,
            rng,
            outcome: Outcome::default(),
        }
    }

    /// Connects, so that the first operation does not pay for it. A failure shows again there.
    pub fn connect(&mut self) {
        let _ = self.client.connect();
    }

    /// Works until the gate closes.
    pub fn run(mut self) -> Outcome {
        while let Some(ticket) = self.task.gate.ticket() {
            let op = self.choose();
            let begun = Instant::now();
            let done = self.perform(op, ticket);
            let took = begun.elapsed();
            let failed = done.is_err();
            if self.task.gate.phase.load(Ordering::Relaxed) == MEASURING {
                self.outcome.record(op, took, done);
            }
            if failed {
                std::thread::sleep(FAILURE_PAUSE);
            }
        }
        self.outcome
    }

    fn choose(&mut self) -> Op {
        if self.task.load.op != Op::Mixed {
            return self.task.load.op;
        }
        let op = self
            .task
            .flags
            .mix
            .at(self.rng.u32(..self.task.flags.mix.total()));
        // Only what this client has written is deleted; while there is none, some is written.
        if op == Op::Delete && self.outcome.written.is_empty() {
            Op::Put
        } else {
            op
        }
    }

    fn perform(&mut self, op: Op, ticket: u64) -> Result<Moved, Failure> {
        let size = self.task.load.size;
        let bytes = match op {
            Op::Put => self.put().map(|()| size.get()),
            Op::Multipart => return self.multipart(),
            Op::Get | Op::Range | Op::Head => self.read(op),
            Op::List => self.list(),
            Op::Delete => self.delete(ticket).map(|()| 0),
            Op::Mixed => Err(Failure::Malformed("a mix is made of other operations")),
        }?;
        self.task.gate.requests.fetch_add(1, Ordering::Relaxed);
        Ok(Moved { bytes, requests: 1 })
    }

    fn check(&mut self) -> Check {
        if self.rng.f64() < self.task.flags.verify {
            Check::Content
        } else {
            Check::Length
        }
    }

    /// A new object, remembered before it is sent: a failed PUT may have taken effect.
    fn new_object(&mut self) -> ObjectNumber {
        let number = self.task.numbers.fresh();
        self.outcome.written.push(number);
        self.task
            .gate
            .written_bytes
            .fetch_add(self.task.load.size.get(), Ordering::Relaxed);
        number
    }

    fn put(&mut self) -> Result<(), Failure> {
        let (number, size) = (self.new_object(), self.task.load.size);
        let body = self.task.bodies.body(number, size.get());
        self.client.put(&Space::Written.key(size, number), &body)
    }

    fn multipart(&mut self) -> Result<Moved, Failure> {
        let (number, size) = (self.new_object(), self.task.load.size);
        let body = self.task.bodies.body(number, size.get());
        let key = Space::Written.key(size, number);
        let mut requests = 0;
        let gate = self.task.gate;
        self.client
            .put_multipart(&key, &body, self.task.flags.part_size.get(), &mut || {
                requests += 1;
                gate.requests.fetch_add(1, Ordering::Relaxed);
            })?;
        Ok(Moved {
            bytes: size.get(),
            requests,
        })
    }

    fn read(&mut self, op: Op) -> Result<u64, Failure> {
        let size = self.task.load.size;
        let index = self.rng.u64(..self.task.flags.read_objects(size));
        let number = Space::Read.prepared(index);
        let key = Space::Read.key(size, number);
        let body = self.task.bodies.body(number, size.get());
        match op {
            Op::Head => self.client.head(&key, size.get()).map(|()| 0),
            Op::Range => {
                let len = self.task.flags.range_size.get();
                let from = self.rng.u64(..=size.get().saturating_sub(len));
                let check = self.check();
                self.client
                    .get_range(&key, &body, (from, from + len), check)
                    .map(|()| len)
            }
            _ => {
                let check = self.check();
                self.client.get(&key, &body, check).map(|()| size.get())
            }
        }
    }

    fn list(&mut self) -> Result<u64, Failure> {
        let (size, page_keys) = (self.task.load.size, self.task.flags.page_keys);
        let index = self.rng.u64(..=self.task.flags.list_keys - page_keys);
        let prefix = Space::Listed.prefix(size);
        // Behind the key before the page's first; behind the prefix itself for the first page.
        let after = match index.checked_sub(1) {
            Some(before) => Space::Listed.key(size, Space::Listed.prepared(before)),
            None => prefix.clone(),
        };
        let check = self.check();
        let expected = usize::try_from(page_keys).unwrap_or(usize::MAX);
        self.client.list(&prefix, &after, expected, check)
    }

    fn delete(&mut self, ticket: u64) -> Result<(), Failure> {
        let number = if self.task.load.op == Op::Delete {
            usize::try_from(ticket)
                .ok()
                .and_then(|nth| self.task.victims.get(nth))
                .copied()
        } else {
            self.outcome.written.pop()
        };
        let number = number.ok_or(Failure::Malformed("nothing left to delete"))?;
        let done = self
            .client
            .delete(&Space::Written.key(self.task.load.size, number));
        if done.is_err() {
            self.outcome.written.push(number);
        }
        done
    }
}
