//! Signs of life of a connection.
//!
//! Owns: counting what is read and written, and noticing when nothing is.
//! Leaves to others: what to do then.
//! Always: costs the data path one addition per system call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// What a connection moved so far.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    heard: AtomicU64,
    wrote: AtomicU64,
    writing: AtomicBool,
}

impl Pulse {
    pub fn heard(&self, bytes: usize) {
        self.heard.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    pub fn wrote(&self, bytes: usize) {
        self.wrote.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    /// Whether a write is under way.
    pub fn writing(&self, now: bool) {
        self.writing.store(now, Ordering::Relaxed);
    }
    fn read(&self) -> (u64, u64, bool) {
        (
            self.heard.load(Ordering::Relaxed),
            self.wrote.load(Ordering::Relaxed),
            self.writing.load(Ordering::Relaxed),
        )
    }

    /// Calls `quiet` after each `keepalive` in which nothing was heard; returns why the peer is
    /// taken for dead once nothing was heard, or a write did not move, for `dead_after`.
    pub async fn watch(
        &self,
        clock: &dyn Clock,
        keepalive: Duration,
        dead_after: Duration,
        quiet: impl Fn(),
    ) -> String {
        let (mut heard, mut wrote, _) = self.read();
        let (mut heard_at, mut wrote_at) = (clock.now(), clock.now());
        loop {
            clock.sleep(keepalive).await;
            let now = clock.now();
            let (heard_now, wrote_now, writing) = self.read();
            if heard_now != heard {
                (heard, heard_at) = (heard_now, now);
            } else if now.since(heard_at) >= dead_after {
                return format!("nothing heard for {dead_after:?}");
            } else {
                quiet();
            }
            if wrote_now != wrote || !writing {
                (wrote, wrote_at) = (wrote_now, now);
            } else if now.since(wrote_at) >= dead_after {
                return format!("the peer took nothing for {dead_after:?}");
            }
        }
    }
}
