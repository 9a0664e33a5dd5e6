//! Signals and threads.
//!
//! Owns: SIGTERM and SIGINT, the size of the pools.
//! Leaves to others: what is done on a signal.
//! Always: the second signal ends the process at once.

use std::future::Future;
use std::process::exit;
use std::thread::available_parallelism;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::ProcessConfig;
use crate::error::CliError;
use crate::gateway::state::State;

/// Why a process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Going on would not be safe.
    Failed(String),
}

impl Ended {
    /// The result of the process.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn result(self) -> Result<(), CliError> {
        match self {
            Self::Stopped => Ok(()),
            Self::Failed(why) => Err(CliError::Fatal(why)),
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
        };
        tracing::info!("stopping");
        tokio::spawn(async move {
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
        0 => (2 * drives).clamp(4, 32),
        count => count,
    }
}

/// Threads for requests.
pub fn worker_threads(config: &ProcessConfig) -> usize {
    match config.worker_threads {
        0 => available_parallelism().map_or(2, std::num::NonZero::get),
        count => count,
    }
}
