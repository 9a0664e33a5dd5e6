//! One load on one server, measured.
//!
//! Owns: the window in which operations count, and the readings at its ends: CPU of the server and
//! of ourselves, memory, sync counters.
//! Always: CPU and operations are counted over the same window; syncs and requests over the window
//! between the two scrapes, which lies around it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::body::{Bodies, ObjectNumber};
use crate::client::Client;
use crate::error::LoadError;
use crate::flags::Flags;
use crate::keys::Numbers;
use crate::metrics::Syncs;
use crate::plan::{Load, Op};
use crate::procfs::{self, CpuSeconds, Memory};
use crate::target::Target;
use crate::worker::{Gate, Outcome, Task, Worker};

/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Stack of a client's thread in bytes.
const STACK_BYTES: usize = 256 << 10;
/// A server that uses less than this part of a core is idle.
const IDLE_CORES: f64 = 0.05;

/// What a run has in common for all its loads.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// Bodies of all objects.
    pub bodies: &'a Bodies,
    /// Numbers for new objects.
    pub numbers: &'a Numbers,
    /// Set when the run should end early.
    pub interrupted: &'a AtomicBool,
}

/// What was seen of the server's processes.
#[derive(Debug, Clone, Copy)]
pub struct ServerUse {
    /// CPU seconds in the window.
    pub cpu_seconds: f64,
    /// Mean of the sampled resident memory, bytes.
    pub resident_mean_bytes: u64,
    /// Largest sample, bytes.
    pub resident_max_bytes: u64,
    /// VmHWM at the end, bytes.
    pub peak_bytes: u64,
}

/// Syncs over the requests between the two scrapes.
#[derive(Debug, Clone, Copy)]
pub struct SyncUse {
    /// Of drives, per HTTP request.
    pub drive_per_request: f64,
    /// Of the index, per HTTP request.
    pub index_per_request: f64,
}

/// One load's result.
#[derive(Debug)]
pub struct Measured {
    /// Length of the window.
    pub seconds: f64,
    /// What the clients did in it.
    pub outcome: Outcome,
    /// The server's processes, if known.
    pub server: Option<ServerUse>,
    /// Syncs, if there are metrics and requests.
    pub syncs: Option<SyncUse>,
    /// Our own CPU seconds in the window.
    pub own_cpu_seconds: f64,
}

/// A reading at one end of the window.
struct Reading {
    syncs: Option<Syncs>,
    requests: u64,
    cpu: CpuSeconds,
    own_cpu: f64,
    at: Instant,
}

/// Runs `load` on `target` and measures it. `victims` are the objects that a DELETE load deletes.
///
/// # Errors
/// `Process`, `Setup` (metrics), `Runtime` (threads), `Interrupted`. Failed requests are no errors.
pub fn measure(
    run: &Run<'_>,
    target: &Target,
    load: Load,
    victims: &[ObjectNumber],
) -> Result<Measured, LoadError> {
    let flags = run.flags;
    let tickets_max = match load.op {
        Op::Delete => victims.len() as u64,
        _ => u64::MAX,
    };
    let tickets_max = tickets_max.min(flags.count.unwrap_or(u64::MAX));
    let gate = Gate::new(tickets_max, flags.bytes_max.get());
    let task = Task {
        flags,
        load,
        bodies: run.bodies,
        numbers: run.numbers,
        victims,
        gate: &gate,
    };
    settle(&target.pids, flags.settle, run.interrupted)?;
    if flags.reset_peak {
        procfs::reset_peak(&procfs::tree(&target.pids));
    }
    // Held until all clients are connected and the first reading is taken.
    let start = RwLock::new(());
    let closed = start.write().unwrap_or_else(PoisonError::into_inner);
    let (alive, all_ended) = channel::<()>();
    std::thread::scope(|scope| {
        let mut handles = Vec::new();
        for nth in 0..load.clients {
            let settings = flags.client_settings();
            let client = Client::new(&target.endpoint, &target.credentials, &settings);
            let worker = Worker::new(task, client, nth);
            match spawn(scope, worker, &start, alive.clone()) {
                Ok(handle) => handles.push(handle),
                Err(source) => {
                    // Dropping `closed` on the way out lets those go that were started.
                    gate.stop();
                    return Err(LoadError::Runtime {
                        what: "clients",
                        source,
                    });
                }
            }
        }
        drop(alive);
        for _ in 0..load.clients {
            let _ = all_ended.recv();
        }
        let window = window(run, target, &gate, closed, &all_ended);
        gate.stop();
        let mut outcome = Outcome::default();
        for handle in handles {
            let ended = handle.join().map_err(|_| LoadError::Runtime {
                what: "clients",
                source: io::Error::other("a client thread panicked"),
            });
            outcome.merge(ended?);
        }
        let mut measured = window?;
        measured.outcome = outcome;
        if run.interrupted.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        Ok(measured)
    })
}

/// Starts a client's thread: it connects, says so over `alive`, waits for `start` to be free and
/// works. That it has ended is seen by `alive` being gone.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut worker: Worker<'scope>,
    start: &'scope RwLock<()>,
    alive: Sender<()>,
) -> io::Result<ScopedJoinHandle<'scope, Outcome>> {
    Builder::new()
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, move || {
            worker.connect();
            let _ = alive.send(());
            drop(start.read());
            let outcome = worker.run();
            drop(alive);
            outcome
        })
}

/// Opens the gate, waits, and reads everything at both ends of the window.
fn window(
    run: &Run<'_>,
    target: &Target,
    gate: &Gate,
    closed: RwLockWriteGuard<'_, ()>,
    all_ended: &Receiver<()>,
) -> Result<Measured, LoadError> {
    let timeout = run.flags.timeout;
    let first = if gate.is_counted() {
        let first = Reading::at_begin(target, gate, timeout);
        gate.measure();
        drop(closed);
        first?
    } else {
        drop(closed);
        wait(all_ended, run.flags.warmup, run.interrupted, &mut || {});
        let first = Reading::at_begin(target, gate, timeout)?;
        gate.measure();
        first
    };
    let processes = procfs::tree(&target.pids);
    let mut samples: Vec<Memory> = Vec::new();
    wait(all_ended, run.flags.duration, run.interrupted, &mut || {
        if !processes.is_empty() {
            samples.push(procfs::memory(&processes));
        }
    });
    gate.stop();
    let last = Reading::at_end(target, gate, timeout)?;
    let requests = (last.requests - first.requests) as f64;
    let syncs = first.syncs.zip(last.syncs).filter(|_| requests > 0.0);
    if !processes.is_empty() {
        samples.push(procfs::memory(&procfs::tree(&target.pids)));
    }
    Ok(Measured {
        seconds: (last.at - first.at).as_secs_f64(),
        outcome: Outcome::default(),
        server: server_use(procfs::cpu_between(&first.cpu, &last.cpu), &samples),
        syncs: syncs.map(|(before, after)| SyncUse {
            drive_per_request: (after.drive - before.drive) / requests,
            index_per_request: (after.index - before.index) / requests,
        }),
        own_cpu_seconds: last.own_cpu - first.own_cpu,
    })
}

impl Reading {
    /// Slow things first, so that the CPU readings are taken where the window begins.
    fn at_begin(target: &Target, gate: &Gate, timeout: Duration) -> Result<Self, LoadError> {
        let syncs = Syncs::scrape(&target.metrics, timeout)?;
        let requests = gate.requests();
        let cpu = procfs::cpu_seconds(&target.pids)?;
        let (own_cpu, at) = (procfs::own_cpu_seconds(), Instant::now());
        Ok(Self {
            syncs,
            requests,
            cpu,
            own_cpu,
            at,
        })
    }

    /// Slow things last.
    fn at_end(target: &Target, gate: &Gate, timeout: Duration) -> Result<Self, LoadError> {
        let (own_cpu, at) = (procfs::own_cpu_seconds(), Instant::now());
        let cpu = procfs::cpu_seconds(&target.pids)?;
        let syncs = Syncs::scrape(&target.metrics, timeout)?;
        let requests = gate.requests();
        Ok(Self {
            syncs,
            requests,
            cpu,
            own_cpu,
            at,
        })
    }
}

/// `None` without samples: no process is known.
fn server_use(cpu_seconds: f64, samples: &[Memory]) -> Option<ServerUse> {
    let last = samples.last()?;
    let sum: u64 = samples.iter().map(|sample| sample.resident_bytes).sum();
    Some(ServerUse {
        cpu_seconds,
        resident_mean_bytes: sum / samples.len() as u64,
        resident_max_bytes: samples.iter().map(|sample| sample.resident_bytes).max()?,
        peak_bytes: last.peak_bytes,
    })
}

/// Waits until all clients have ended, `longest` is over or the run is interrupted.
fn wait(
    all_ended: &Receiver<()>,
    longest: Duration,
    interrupted: &AtomicBool,
    each: &mut dyn FnMut(),
) {
    let deadline = Instant::now() + longest;
    while !interrupted.load(Ordering::Relaxed) {
        let left = deadline.saturating_duration_since(Instant::now());
        match all_ended.recv_timeout(left.min(SAMPLE_EVERY)) {
            Err(RecvTimeoutError::Timeout) if left > SAMPLE_EVERY => each(),
            _ => return,
        }
    }
}

/// Waits until the processes use hardly any CPU (what the load before left behind is done), at most
/// `longest`.
fn settle(pids: &[i32], longest: Duration, interrupted: &AtomicBool) -> Result<(), LoadError> {
    let deadline = Instant::now() + longest;
    let pause = 2 * SAMPLE_EVERY;
    let mut before = procfs::cpu_seconds(pids)?;
    while !pids.is_empty() && Instant::now() + pause < deadline {
        if interrupted.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        std::thread::sleep(pause);
        let now = procfs::cpu_seconds(pids)?;
        if procfs::cpu_between(&before, &now) < IDLE_CORES * pause.as_secs_f64() {
            break;
        }
        before = now;
    }
    Ok(())
}
