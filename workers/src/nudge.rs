//! Waking a worker.
//!
//! Owns: a bell that rings at once, is never lost, and otherwise rings after a while by itself.
//! Leaves to others: what the worker does when it wakes.
//! Always: a ring while the worker works wakes it again afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_seam::Clock;
use tokio::sync::Notify;

/// A bell; clones ring the same one.
#[derive(Clone, Debug, Default)]
pub struct Nudge {
    bell: Arc<Notify>,
}

impl Nudge {
    /// Rings.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for a ring, at most `duration`. Returns whether it rang.
    pub(crate) async fn wait(&self, clock: &dyn Clock, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.bell.notified() => true,
            () = clock.sleep(duration) => false,
        }
    }
}

/// Says to all workers that they must end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<StopShared>,
}

#[derive(Debug, Default)]
struct StopShared {
    stopped: AtomicBool,
    bell: Notify,
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.bell.notify_waiters();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    /// Completes once stopped.
    pub(crate) async fn stopped(&self) {
        loop {
            let bell = self.shared.bell.notified();
            tokio::pin!(bell);
            bell.as_mut().enable();
            if self.is_stopped() {
                return;
            }
            bell.await;
        }
    }

    /// What `work` gives, or `None` once stopped.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            done = work => Some(done),
        }
    }
}
