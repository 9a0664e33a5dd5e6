//! What happens to the processes while clients ask.
//!
//! Owns: which fault comes when, and undoing it.
//! Always: faults come by answered operations, not by time, so a slow machine sees as many; every
//! kind comes in turn, in random order. At most one node is away because of a fault.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::RecordError;
use crate::server::{Form, LEASE_S, NODES, Server};
use crate::work::Round;

/// Longest that a killed or stopped node stays away.
const AWAY_MAX: Duration = Duration::from_secs(3);
/// How long a gateway is stopped: longer than its lease lasts.
const STOPPED: Duration = Duration::from_millis(1000 * LEASE_S + 700);
/// Answered operations after which it comes back at the latest.
const AWAY_OPERATIONS: u64 = 60;
/// How often the clients' progress is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Longest time without any answer.
const SILENCE_MAX: Duration = Duration::from_secs(240);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of the embedded server or of the gateway, and a start.
    KillGateway,
    /// SIGSTOP of the embedded server or of the gateway for longer than a lease, and SIGCONT.
    StopGateway,
    /// kill -9 of one node, and a start a little later.
    KillNode,
    /// SIGSTOP of one node, and SIGCONT a little later.
    StopNode,
    /// kill -9 of every process at once, and a start.
    KillAll,
}

impl Fault {
    /// What can happen to `form`.
    pub fn of(form: Form) -> &'static [Self] {
        match form {
            Form::Embedded => &[Self::KillGateway, Self::StopGateway],
            Form::Cluster => &[
                Self::KillGateway,
                Self::StopGateway,
                Self::KillNode,
                Self::StopNode,
                Self::KillAll,
            ],
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillGateway => "kill-gateway",
            Self::StopGateway => "stop-gateway",
            Self::KillNode => "kill-node",
            Self::StopNode => "stop-node",
            Self::KillAll => "kill-all",
        }
    }
}

/// Lets a fault happen whenever `every` (0: never) operations were answered, until the round is
/// over; returns what happened. All processes run when it returns.
///
/// # Errors
/// `Process`; `Silent` when nothing is answered any more. The round then fails for all.
pub fn during(
    server: &mut Server,
    round: &Round,
    form: Form,
    every: u64,
    random: &mut fastrand::Rng,
) -> Result<Vec<Fault>, RecordError> {
    let done = happen(server, round, form, every, random);
    if done.is_err() {
        round.failed.store(true, Ordering::Relaxed);
    }
    done
}

fn happen(
    server: &mut Server,
    round: &Round,
    form: Form,
    every: u64,
    random: &mut fastrand::Rng,
) -> Result<Vec<Fault>, RecordError> {
    let mut happened = Vec::new();
    let mut turn: Vec<Fault> = Vec::new();
    let known = || round.known.load(Ordering::Relaxed);
    let every = match every {
        0 => u64::MAX / 4,
        every => every,
    };
    let (mut next, mut last, mut moved) = (every, 0, Instant::now());
    while round.goes_on() {
        if let Some(ended) = server.ended() {
            return Err(ended);
        }
        if known() > last {
            (last, moved) = (known(), Instant::now());
        } else if moved.elapsed() > SILENCE_MAX {
            return Err(RecordError::Silent {
                round: round.number,
                done: last,
                seconds: SILENCE_MAX.as_secs(),
            });
        }
        if last < next {
            std::thread::sleep(LOOK);
            continue;
        }
        if turn.is_empty() {
            turn = Fault::of(form).to_vec();
            random.shuffle(&mut turn);
        }
        if let Some(fault) = turn.pop() {
            strike(fault, server, round, random)?;
            happened.push(fault);
        }
        next = known() + every / 2 + random.u64(..every);
        moved = Instant::now();
    }
    Ok(happened)
}

fn strike(
    fault: Fault,
    server: &mut Server,
    round: &Round,
    random: &mut fastrand::Rng,
) -> Result<(), RecordError> {
    let node = random.usize(..NODES);
    match fault {
        Fault::KillGateway => {
            server.kill_gateway();
            server.start_gateway()
        }
        Fault::StopGateway => {
            server.stop_gateway(true);
            std::thread::sleep(STOPPED);
            server.stop_gateway(false);
            Ok(())
        }
        Fault::KillAll => {
            server.kill_all();
            server.start_all()
        }
        Fault::KillNode => {
            server.kill_node(node);
            stay_away(round, random);
            server.start_node(node)
        }
        Fault::StopNode => {
            server.stop_node(node, true);
            stay_away(round, random);
            server.stop_node(node, false);
            Ok(())
        }
    }
}

/// Waits for some answers, or for some time when there are none.
fn stay_away(round: &Round, random: &mut fastrand::Rng) {
    let until = round.known.load(Ordering::Relaxed) + random.u64(1..AWAY_OPERATIONS);
    let begun = Instant::now();
    while round.known.load(Ordering::Relaxed) < until && begun.elapsed() < AWAY_MAX {
        std::thread::sleep(LOOK);
    }
}
