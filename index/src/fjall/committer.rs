//! Makes batches durable, many under one sync.
//!
//! Owns: the thread that writes; which batches share a group; what follows from an outcome.
//! Leaves to others: what a batch means ([`crate::apply`]), the files ([`super::engine`]).
//! Always: a group takes whatever waits and waits for nothing; locks and orders of a batch are kept
//! until its outcome is known, and for ever if it is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use holdfast_protocol::{Generation, Order};
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::engine::{Engine, Identity, identity_row, settled_row};
use crate::apply::Group;
use crate::locks::Held;
use crate::metrics::Outcome;
use crate::orders::OpenOrders;
use crate::{Batch, IndexError, Result, Table};

type Reply = oneshot::Sender<Result<()>>;

/// A batch on its way, with all that must not end before its outcome is known.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) batch: Batch,
    pub(super) open: OpenOrders,
    pub(super) held: Arc<Held>,
    pub(super) reply: Reply,
    pub(super) handed_over: Instant,
}

/// Work for the committer.
#[derive(Debug)]
pub(super) enum Job {
    Commit(Commit),
    Start {
        generation: Generation,
        reply: Reply,
    },
    EndMerge {
        reply: Reply,
    },
    Flush {
        reply: Reply,
    },
}

/// What one group may hold: enough to make a sync cheap, not so much that it delays the next.
const GROUP_JOBS_MAX: usize = 1024;
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Runs until no sender is left, then lets go of the files.
pub(super) fn run(shared: &Arc<Shared>, identity: Identity, mut jobs: mpsc::Receiver<Job>) {
    let _ended = Ended(shared);
    let mut committer = Committer {
        shared,
        identity,
        stuck: Vec::new(),
    };
    while let Some(first) = jobs.blocking_recv() {
        let group = collect(first, &mut jobs);
        committer.commit(group);
    }
    committer.end();
}

fn collect(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let weight = |job: &Job| match job {
        Job::Commit(commit) => commit.batch.weight(),
        _ => 0,
    };
    let mut bytes = weight(&first);
    let mut group = vec![first];
    while group.len() < GROUP_JOBS_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += weight(&job);
        group.push(job);
    }
    group
}

struct Committer<'a> {
    shared: &'a Arc<Shared>,
    identity: Identity,
    /// Batches of unknown outcome: their locks and orders stay.
    stuck: Vec<Commit>,
}

/// A group on its way to the engine.
#[derive(Default)]
struct InFlight {
    commits: Vec<Commit>,
    others: Vec<Reply>,
    start: Option<Generation>,
    end_merge: bool,
}

impl Committer<'_> {
    fn commit(&mut self, jobs: Vec<Job>) {
        if let Some(reason) = self.shared.broken.borrow().clone() {
            return refuse_all(jobs, &reason);
        }
        let engine = self
            .shared
            .engine
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let engine = engine
            .as_ref()
            .expect("only the committer closes, at its end");
        match engine.wait_for_room() {
            Ok(true) => self.shared.metrics.stalled(),
            Ok(false) => {}
            Err(reason) => {
                let reason = self.break_down(&reason);
                return refuse_all(jobs, &reason);
            }
        }
        self.commit_group(engine, jobs);
    }

    fn commit_group(&mut self, engine: &Engine, jobs: Vec<Job>) {
        let mut group = Group::new(engine);
        let mut flying = InFlight::default();
        for job in jobs {
            self.add(&mut group, &mut flying, job);
        }
        if flying.end_merge {
            self.shared.orders.end_merge();
        }
        let settled = self
            .shared
            .orders
            .mark(flying.commits.iter().map(|c| &c.open));
        let identity = Identity {
            generation: flying.start.unwrap_or(self.identity.generation),
            ..self.identity
        };
        if identity != self.identity {
            let (key, row) = identity_row(identity);
            group.stage(Table::Meta, key, row);
        }
        if *self.shared.settled() != settled {
            let (key, row) = settled_row(settled);
            group.stage(Table::Meta, key, row);
        }
        let rows = group.into_rows();
        let outcome = match rows.is_empty() {
            true => Ok(()),
            false => self.write(engine, rows, flying.commits.len()),
        };
        match outcome {
            Ok(()) => self.succeed(flying, identity, settled),
            Err(reason) => self.fail(flying, &reason),
        }
    }

    fn add(&self, group: &mut Group<'_, Engine>, flying: &mut InFlight, job: Job) {
        match job {
            Job::Commit(commit) => match group.add(&commit.batch) {
                Ok(()) => flying.commits.push(commit),
                Err(error) => self.finish(commit, Err(error)),
            },
            Job::Start { generation, reply } => {
                let last = flying.start.unwrap_or(self.identity.generation);
                if generation > last {
                    flying.start = Some(generation);
                    flying.others.push(reply);
                } else {
                    let given = generation;
                    answer(reply, Err(IndexError::OldGeneration { last, given }));
                }
            }
            Job::EndMerge { reply } => {
                flying.end_merge = true;
                flying.others.push(reply);
            }
            Job::Flush { reply } => flying.others.push(reply),
        }
    }

    fn write(
        &self,
        engine: &Engine,
        rows: std::collections::BTreeMap<bytes::Bytes, Option<crate::Row>>,
        commits: usize,
    ) -> std::result::Result<(), String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| engine.write(rows)))
            .unwrap_or_else(|_| Err("the engine panicked".into()));
        self.shared.metrics.synced(commits);
        outcome
    }

    fn succeed(&mut self, flying: InFlight, identity: Identity, settled: Order) {
        self.identity = identity;
        *self.shared.settled() = settled;
        if let Some(generation) = flying.start {
            let stored = &self.shared.generation;
            stored.store(generation.get(), Ordering::Release);
            self.shared.orders.start(generation, settled);
        }
        for commit in flying.commits {
            self.finish(commit, Ok(()));
        }
        for reply in flying.others {
            answer(reply, Ok(()));
        }
    }

    fn fail(&mut self, flying: InFlight, reason: &str) {
        let reason = self.break_down(reason);
        let unknown = || {
            Err(IndexError::Unknown {
                reason: Arc::clone(&reason),
            })
        };
        for mut commit in flying.commits {
            let metrics = &self.shared.metrics;
            metrics.committed(Outcome::Unknown, commit.handed_over.elapsed());
            let (unused, _) = oneshot::channel();
            answer(std::mem::replace(&mut commit.reply, unused), unknown());
            self.stuck.push(commit);
        }
        for reply in flying.others {
            answer(reply, unknown());
        }
    }

    /// Ends a batch whose outcome is known: first its orders, then its locks, then the wait for it.
    fn finish(&self, commit: Commit, result: Result<()>) {
        let outcome = match result {
            Ok(()) => Outcome::Ok,
            Err(_) => Outcome::Refused,
        };
        let took = commit.handed_over.elapsed();
        self.shared.metrics.committed(outcome, took);
        drop(commit.open);
        drop(commit.held);
        answer(commit.reply, result);
    }

    fn break_down(&self, reason: &str) -> Arc<str> {
        tracing::error!(
            error = reason,
            "index write failed, no more commits are taken"
        );
        let reason: Arc<str> = reason.into();
        self.shared.broken.send_replace(Some(Arc::clone(&reason)));
        reason
    }

    /// Stores the last settled mark and closes the files.
    fn end(mut self) {
        self.commit(Vec::new());
        let engine = {
            let mut engine = self.shared.engine.write();
            let engine = engine.as_mut();
            engine.map_or_else(|poisoned| poisoned.get_mut().take(), |engine| engine.take())
        };
        drop(engine);
        std::mem::forget(std::mem::take(&mut self.stuck));
    }
}

/// Tells those who wait for the end, also when it is a panic.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the committer panicked".into();
            self.0.broken.send_replace(Some(reason));
        }
        self.0.ended.send_replace(true);
    }
}

fn refuse_all(jobs: Vec<Job>, reason: &Arc<str>) {
    for job in jobs {
        let broken = Err(IndexError::Broken {
            reason: Arc::clone(reason),
        });
        match job {
            Job::Commit(commit) => answer(commit.reply, broken),
            Job::Start { reply, .. } | Job::EndMerge { reply } | Job::Flush { reply } => {
                answer(reply, broken);
            }
        }
    }
}

/// Whoever waited may have gone; that changes nothing.
fn answer(reply: Reply, result: Result<()>) {
    let _ = reply.send(result);
}
