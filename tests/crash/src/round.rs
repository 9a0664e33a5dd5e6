//! One round: write and break, start anew, read everything back; then break what is at rest and
//! read everything back again.
//!
//! Owns: the order of these, and one cluster with its log from round to round.
//! Leaves to others: faults ([`crate::fault`]), judging ([`crate::audit`]).
//! Always: an audit runs on a cluster that serves and is whole; what it finds is the base of the
//! next round.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::{self, Found, Kind as Wrong, Rule, Store, Violation};
use crate::client::{Answer, Ask, Client, Listed};
use crate::damage::{self, OldPage};
use crate::error::{CrashError, Result};
use crate::fault::{Deck, Injector, Kind};
use crate::journal::Journal;
use crate::ledger::Name;
use crate::tally::Tally;
use crate::topology::{DRIVES, Topology};
use crate::writer::{BUCKETS, Shared, Writer, found};

/// How long a read may fail on a cluster that serves.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
const READ_PAUSE: Duration = Duration::from_millis(200);
/// How long the writers are waited for between faults.
const PAUSE: Duration = Duration::from_millis(1500);
/// Times that `index check` may find something that is on its way.
const CHECKS_MAX: usize = 4;
const CHECK_PAUSE: Duration = Duration::from_secs(2);
/// Keys of a page of a listing.
const PAGE_LEN: usize = 17;

/// Reads a cluster that is up: what it cannot say now, it must be able to say soon.
struct Live {
    client: Client,
    reads: u64,
}

impl Live {
    fn new(topology: &Topology) -> Self {
        let client = Client::new(&topology.s3, &topology.credentials, READ_TIMEOUT);
        Self { client, reads: 0 }
    }

    fn until<T>(
        &mut self,
        mut ask: impl FnMut(&mut Client) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, String> {
        let end = Instant::now() + READ_TIMEOUT;
        loop {
            match ask(&mut self.client) {
                Err(_) if Instant::now() < end => std::thread::sleep(READ_PAUSE),
                done => return done,
            }
        }
    }

    fn of_key(&mut self, method: &'static str, name: &Name) -> std::result::Result<Answer, String> {
        self.until(|client| {
            let answer = client.of_key(method, name, None, &[]);
            let answer = answer.map_err(|failure| failure.to_string())?;
            match (answer.status, method) {
                (404, "HEAD") => Ok(answer),
                _ if found(&answer).is_some() => Ok(answer),
                _ => Err(answer.says()),
            }
        })
    }
}

impl Store for Live {
    fn get(&mut self, name: &Name) -> std::result::Result<Found, String> {
        self.reads += 1;
        let answer = self.of_key("GET", name)?;
        found(&answer).ok_or_else(|| answer.says())
    }

    fn head(&mut self, name: &Name) -> std::result::Result<Option<(u64, String)>, String> {
        let answer = self.of_key("HEAD", name)?;
        let meta = answer.content_length.zip(answer.etag);
        Ok(meta.filter(|_| answer.status == 200))
    }

    fn list(&mut self, bucket: &str) -> std::result::Result<Vec<Listed>, String> {
        self.until(|client| client.list(bucket, PAGE_LEN))
    }
}

/// How rounds are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Clients that write.
    pub writers: usize,
    /// Faults while they do.
    pub faults: usize,
}

/// A cluster from round to round.
#[derive(Debug)]
pub struct Arena {
    /// The cluster.
    pub topology: Topology,
    /// All that was asked of it.
    pub journal: Arc<Journal>,
    rng: fastrand::Rng,
    live: Deck,
    at_rest: Deck,
    tainted: BTreeSet<usize>,
    has_truncated: bool,
    old_pages: Vec<Vec<OldPage>>,
}

impl Arena {
    /// An arena on a fresh cluster that suffers `kinds`.
    ///
    /// # Errors
    /// `Command` if the buckets cannot be made.
    pub fn new(topology: Topology, journal: Journal, kinds: &[Kind], seed: u64) -> Result<Self> {
        let mut live = Live::new(&topology);
        for bucket in BUCKETS {
            let path = format!("/{bucket}");
            let made = live.until(|client| {
                let ask = Ask {
                    method: "PUT",
                    path: &path,
                    query: "",
                    header: None,
                    body: &[],
                };
                match client.ask(ask) {
                    Ok(answer) if answer.is_success() || answer.status == 409 => Ok(()),
                    Ok(answer) => Err(answer.says()),
                    Err(failure) => Err(failure.to_string()),
                }
            });
            made.map_err(|reason| CrashError::Command {
                command: format!("create bucket {bucket}"),
                reason,
            })?;
        }
        let (at_rest, live) = kinds.iter().partition(|kind| kind.is_at_rest());
        Ok(Self {
            topology,
            journal: Arc::new(journal),
            rng: fastrand::Rng::with_seed(seed),
            live: Deck::new(live),
            at_rest: Deck::new(at_rest),
            tainted: BTreeSet::new(),
            has_truncated: false,
            old_pages: vec![Vec::new(); DRIVES],
        })
    }

    /// Runs a round; what went wrong is in the list. It ends at the first thing that stands in its
    /// way.
    ///
    /// # Errors
    /// What failed that is not the store's.
    pub fn round(&mut self, shape: Shape, tally: &mut Tally) -> Result<Vec<Violation>> {
        let mut violations = Vec::new();
        let done = self.steps(shape, tally, &mut violations);
        tally.violations += violations.len() as u64;
        match done {
            Err(CrashError::Deadline {
                what,
                seconds,
                seen,
            }) => {
                let what = format!("{what}: not within {seconds} s: {seen}");
                violations.push(Violation::whole(Wrong::Process, what));
                tally.violations += 1;
            }
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(violations)
    }

    fn steps(
        &mut self,
        shape: Shape,
        tally: &mut Tally,
        violations: &mut Vec<Violation>,
    ) -> Result<()> {
        self.write_and_break(shape, tally, violations)?;
        self.injector(tally, violations, &|| {}).restart()?;
        self.topology.wait_healed()?;
        self.audit(Rule::Strict, tally, violations)?;
        if !violations.is_empty() {
            return Ok(());
        }
        self.remember()?;
        if let Some(kind) = self.at_rest.draw(&mut self.rng) {
            println!("  {}", kind.name());
            self.injector(tally, violations, &|| {}).inject(kind)?;
            let rule = match kind {
                Kind::RebuildIndex => Rule::AfterRebuild,
                _ => Rule::Strict,
            };
            self.audit(rule, tally, violations)?;
            self.topology.wait_healed()?;
            tally.rebuilds_checked += u64::from(kind == Kind::RebuildIndex);
        }
        tally.rounds += 1;
        Ok(())
    }

    fn injector<'a>(
        &'a mut self,
        tally: &'a mut Tally,
        violations: &'a mut Vec<Violation>,
        pause: &'a dyn Fn(),
    ) -> Injector<'a> {
        Injector {
            topology: &mut self.topology,
            rng: &mut self.rng,
            tally,
            pause,
            tainted: &mut self.tainted,
            has_truncated: &mut self.has_truncated,
            old_pages: &self.old_pages,
            violations,
        }
    }

    /// Pages as they are now, to be restored in a later round.
    fn remember(&mut self) -> Result<()> {
        for drive in 0..DRIVES {
            let dir = self.topology.drive_dir(drive);
            if self.rng.bool() || self.old_pages[drive].is_empty() {
                self.old_pages[drive] = damage::remember(&dir, &mut self.rng)?;
            }
        }
        Ok(())
    }

    fn write_and_break(
        &mut self,
        shape: Shape,
        tally: &mut Tally,
        violations: &mut Vec<Violation>,
    ) -> Result<()> {
        let journal = Arc::clone(&self.journal);
        let shared = Shared {
            journal: &journal,
            endpoint: self.topology.s3.clone(),
            credentials: self.topology.credentials.clone(),
            stop: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            reads_checked: AtomicU64::new(0),
            violations: Mutex::new(Vec::new()),
        };
        let seed = self.rng.u64(..);
        let done = std::thread::scope(|scope| {
            let shared = &shared;
            let writers: Vec<_> = (0..shape.writers)
                .map(|number| scope.spawn(move || Writer::new(shared, number, seed).run()))
                .collect();
            let broken = self.break_meanwhile(shape.faults, shared, tally, violations);
            shared.stop.store(true, Ordering::Relaxed);
            let mut written = Ok(());
            for writer in writers {
                written = written.and(writer.join().expect("writers do not panic"));
            }
            broken.and(written)
        });
        tally.operations += shared.operations.load(Ordering::Relaxed);
        tally.acknowledged += shared.acknowledged.load(Ordering::Relaxed);
        tally.reads_checked += shared.reads_checked.load(Ordering::Relaxed);
        let found = shared
            .violations
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        violations.extend(found);
        done
    }

    fn break_meanwhile(
        &mut self,
        faults: usize,
        shared: &Shared<'_>,
        tally: &mut Tally,
        violations: &mut Vec<Violation>,
    ) -> Result<()> {
        let rng = RefCell::new(self.rng.fork());
        let pause = || {
            let more = rng.borrow_mut().u64(3..25);
            let goal = shared.acknowledged.load(Ordering::Relaxed) + more;
            let end = Instant::now() + PAUSE;
            while shared.acknowledged.load(Ordering::Relaxed) < goal && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        for _ in 0..faults {
            pause();
            let Some(kind) = self.live.draw(&mut self.rng) else {
                return Ok(());
            };
            println!("  {}", kind.name());
            violations.extend(self.topology.unexpected_ends());
            self.injector(tally, violations, &pause).inject(kind)?;
            // Now and then the next one comes while this start is under way.
            if self.rng.u8(..4) > 0 {
                self.topology.wait_ready()?;
            }
        }
        // Everything in order again before the writers end: none waits for a process that is gone.
        self.topology.start_missing()?;
        self.topology.wait_ready()?;
        pause();
        violations.extend(self.topology.unexpected_ends());
        Ok(())
    }

    fn audit(
        &mut self,
        rule: Rule,
        tally: &mut Tally,
        violations: &mut Vec<Violation>,
    ) -> Result<()> {
        let mut live = Live::new(&self.topology);
        let ledger = self.journal.ask(Clone::clone);
        let report = audit::audit(&mut live, &ledger, rule);
        tally.audits += 1;
        tally.reads_checked += live.reads;
        violations.extend(report.violations);
        self.journal.settle(report.found)?;
        self.topology.wait_healed()?;
        let mut checked = self.topology.admin.index_check();
        for _ in 1..CHECKS_MAX {
            if checked.is_ok() {
                break;
            }
            std::thread::sleep(CHECK_PAUSE);
            checked = self.topology.admin.index_check();
        }
        if let Err(what) = checked {
            let what = format!("index check: {what}");
            violations.push(Violation::whole(Wrong::Check, what));
        }
        Ok(())
    }
}
