//! Signals and threads.
//!
//! Owns: SIGTERM and SIGINT, the size of the pools, starting the program anew.
//! Leaves to others: what is done on a signal.
//! Always: the second signal ends the process at once.

use std::future::Future;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::ProcessConfig;
use crate::error::CliError;
use crate::gateway::state::State;

/// Why a process ends.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Going on would not be safe.
    Failed(String),
    /// The drives are to be claimed anew, unless it is told to stop meanwhile.
    Again(Arc<AtomicBool>),
}

impl Ended {
    /// The result of the process.
    ///
    /// # Errors
    /// `Fatal`, `Again`.
    pub fn result(self) -> Result<(), CliError> {
        match self {
            Self::Stopped => Ok(()),
            Self::Failed(why) => Err(CliError::Fatal(why)),
            Self::Again(stopped) if stopped.load(Ordering::SeqCst) => Ok(()),
            Self::Again(_) => Err(CliError::Again),
        }
    }
}

/// SIGTERM and SIGINT, from the moment this is made: one that comes between two waits is kept.
#[derive(Debug)]
pub struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// Signals no longer end the process by themselves.
    pub fn listen() -> Self {
        let listen = |kind| {
            signal(kind).inspect_err(|error| {
                tracing::error!(%error, "a signal cannot be handled");
            })
        };
        Self {
            terminate: listen(SignalKind::terminate()).ok(),
            interrupt: listen(SignalKind::interrupt()).ok(),
        }
    }

    async fn next(&mut self) {
        async fn one(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }

    /// Runs `work`; `None` if a signal came first.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Waits for a signal or a failure. From then on another signal ends the process at once.
    pub async fn until_stopped(mut self, state: &State) -> Ended {
        let ended = tokio::select! {
            () = self.next() => Ended::Stopped,
            why = state.failed() => Ended::Failed(why),
            why = state.starts_again() => {
                tracing::warn!(why, "ending in order, to start again and claim the drives anew");
                Ended::Again(Arc::default())
            }
        };
        tracing::info!("stopping");
        let again = match &ended {
            Ended::Again(stopped) => Some(Arc::clone(stopped)),
            _ => None,
        };
        tokio::spawn(async move {
            if let Some(stopped) = again {
                self.next().await;
                stopped.store(true, Ordering::SeqCst);
            }
            self.next().await;
            eprintln!("holdfast: second signal: ended at once");
            exit(1);
        });
        ended
    }
}

/// Threads for files and other work that blocks, for a process with `drives` drives.
pub fn io_threads(config: &ProcessConfig, drives: usize) -> usize {
    match config.io_threads {
        // With several drives, one that stalls must leave threads to the others.
        0 if drives > 1 => (2 * drives).clamp(6, 32),
        0 => 4,
        count => count,
    }
}

/// How many of `threads` for files may read one drive at a time, of `drives` in this process: with
/// those that write it, one that stalls does not take all of them.
pub fn read_threads(threads: usize, drives: usize) -> usize {
    match drives {
        0 | 1 => threads,
        _ => (threads.saturating_sub(2) / 2).clamp(1, 8),
    }
}

/// Threads for requests.
pub fn worker_threads(config: &ProcessConfig) -> usize {
    match config.worker_threads {
        0 => available_parallelism().map_or(2, std::num::NonZero::get),
        count => count,
    }
}

/// Starts this program anew in the same process, with the same arguments. Returns only if that
/// fails.
pub fn start_again() -> std::io::Error {
    // Also when the file was replaced meanwhile.
    let mut command = Command::new("/proc/self/exe");
    let mut args = std::env::args_os();
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    command.args(args).exec()
}
