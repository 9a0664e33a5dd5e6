//! The log of all operations, on disk before the request is sent and after the answer came.
//!
//! Owns: moments, the file, and the ledger that follows from it.
//! Always: an event is synced to the file before the caller goes on; the ledger is what replaying
//! the file gives.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{CrashError, Result};
use crate::ledger::{Event, Ledger, Moment, Name, Outcome, Value};

#[derive(Debug)]
struct State {
    ledger: Ledger,
    now: Moment,
}

/// The log and what follows from it; shared by all writers.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
}

impl Journal {
    /// A new log at `path`.
    ///
    /// # Errors
    /// `File`.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(CrashError::file("create", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            state: Mutex::new(State {
                ledger: Ledger::default(),
                now: 0,
            }),
        })
    }

    /// Reads a log back: what the ledger must be.
    ///
    /// # Errors
    /// `File`, `Totals` for a line that is none of ours.
    pub fn replay(path: &Path) -> Result<Ledger> {
        let text = std::fs::read_to_string(path).map_err(CrashError::file("read", path))?;
        let mut ledger = Ledger::default();
        for (index, line) in text.lines().enumerate() {
            let event = serde_json::from_str(line).map_err(|source| CrashError::Totals {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
            ledger.apply(&event);
        }
        Ok(ledger)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends events under one sync.
    fn keep(&self, events: &[Event], state: MutexGuard<'_, State>) -> Result<()> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event).expect("events are plain JSON");
            lines.push(b'\n');
        }
        let done = (&self.file).write_all(&lines);
        drop(state);
        done.and_then(|()| self.file.sync_data())
            .map_err(CrashError::file("write", &self.path))
    }

    /// Notes that a request is about to be sent; returns the moment it began.
    ///
    /// # Errors
    /// `File`: then the request must not be sent.
    pub fn begin(&self, name: &Name, value: &Value, what: &str) -> Result<Moment> {
        let mut state = self.state();
        state.now += 1;
        let at = state.now;
        let event = Event::Begin {
            at,
            name: name.clone(),
            value: value.clone(),
            what: what.to_owned(),
        };
        state.ledger.apply(&event);
        self.keep(&[event], state)?;
        Ok(at)
    }

    /// Notes how the operation ended that `began` then.
    ///
    /// # Errors
    /// `File`.
    pub fn end(&self, began: Moment, name: &Name, outcome: Outcome, says: &str) -> Result<()> {
        let mut state = self.state();
        state.now += 1;
        let event = Event::End {
            at: state.now,
            began,
            name: name.clone(),
            outcome,
            says: says.to_owned(),
        };
        state.ledger.apply(&event);
        self.keep(&[event], state)
    }

    /// Notes what keys hold after everything was started anew.
    ///
    /// # Errors
    /// `File`.
    pub fn settle(&self, found: Vec<(Name, Value)>) -> Result<()> {
        let mut state = self.state();
        let events: Vec<Event> = found
            .into_iter()
            .map(|(name, value)| Event::Settled { name, value })
            .collect();
        events.iter().for_each(|event| state.ledger.apply(event));
        self.keep(&events, state)
    }

    /// A moment after all events so far.
    pub fn tick(&self) -> Moment {
        let mut state = self.state();
        state.now += 1;
        state.now
    }

    /// Asks the ledger.
    pub fn ask<T>(&self, question: impl FnOnce(&Ledger) -> T) -> T {
        question(&self.state().ledger)
    }

    /// The lines that name a key, for reports: at most `max`, the last ones.
    pub fn lines_of(&self, name: &Name, max: usize) -> Vec<String> {
        let Ok(text) = std::fs::read_to_string(&self.path) else {
            return Vec::new();
        };
        let (bucket, key) = (
            format!("\"bucket\":\"{}\"", name.bucket),
            format!("\"key\":\"{}\"", name.key),
        );
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| line.contains(&bucket) && line.contains(&key))
            .map(str::to_owned)
            .collect();
        lines.split_off(lines.len().saturating_sub(max))
    }
}
