//! What state the process is in.
//!
//! Owns: starting, serving, draining; why it must end.
//! Leaves to others: acting on it (listeners, `main`).
//! Always: once draining or failed it never serves again; the first reason is kept.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use holdfast_gateway::http::{Health, Readiness};
use holdfast_store::Store;
use holdfast_workers::LeaseGuard;
use tokio::sync::watch;

/// The state of a gateway's process; clones are the same.
#[derive(Clone, Debug)]
pub struct State {
    readiness: Arc<Mutex<Readiness>>,
    fatal: watch::Sender<Option<String>>,
    again: watch::Sender<Option<String>>,
    store: Arc<OnceLock<Store>>,
    lease: Arc<OnceLock<LeaseGuard>>,
}

impl State {
    /// Starting.
    pub fn starting() -> Self {
        let readiness = Readiness::NotReady("starting".to_owned());
        Self {
            readiness: Arc::new(Mutex::new(readiness)),
            fatal: watch::Sender::new(None),
            again: watch::Sender::new(None),
            store: Arc::default(),
            lease: Arc::default(),
        }
    }

    fn set(&self, next: Readiness) {
        let mut readiness = self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *readiness != Readiness::Draining {
            *readiness = next;
        }
    }

    /// Not serving yet, and why.
    pub fn waiting(&self, why: impl Into<String>) {
        self.set(Readiness::NotReady(why.into()));
    }
    /// Serving.
    pub fn ready(&self) {
        self.set(Readiness::Ready);
    }
    /// Serving; from now on ready only while enough of the store's drives answer for the smallest
    /// write.
    pub fn serving(&self, store: Store) {
        let _ = self.store.set(store);
        self.ready();
    }
    /// Ready only while the lease holds, which may be for ever.
    pub fn under(&self, lease: LeaseGuard) {
        // Set once, by the one start of the process.
        let _ = self.lease.set(lease);
    }
    /// Why nothing may be answered, if so.
    fn lapsed(&self) -> Option<String> {
        let lapsed = self.lease.get()?.check().err()?;
        Some(lapsed.to_string())
    }
    /// Why not even the smallest write can be taken, if so.
    fn too_few_drives(&self) -> Option<String> {
        let store = self.store.get()?;
        let map = store.map();
        let reachable = map
            .living()
            .filter(|drive| store.drives().is_reachable(drive.id))
            .count();
        let needed = map.geometry.copies();
        (reachable < needed).then(|| format!("{reachable} drives answer, {needed} are needed"))
    }
    /// Finishing what is under way.
    pub fn draining(&self) {
        self.set(Readiness::Draining);
    }
    /// The process must end: going on would not be safe.
    pub fn fail(&self, why: String) {
        self.set(Readiness::NotReady(why.clone()));
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            if first {
                tracing::error!(error = %why, "the process must end");
                *fatal = Some(why);
            }
            first
        });
    }
    /// The process must end in order and start again.
    pub fn again(&self, why: String) {
        self.again.send_replace(Some(why));
    }
    /// Waits until the process must start again; gives the reason.
    pub async fn starts_again(&self) -> String {
        let mut again = self.again.subscribe();
        let reason = again.wait_for(Option::is_some).await;
        // The sender lives in `self`, so waiting cannot fail.
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }
    /// Waits until the process must end; gives the reason.
    pub async fn failed(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        let reason = fatal.wait_for(Option::is_some).await;
        // The sender lives in `self`, so waiting cannot fail.
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }
}

impl Health for State {
    fn live(&self) -> bool {
        self.fatal.borrow().is_none()
    }
    fn serving(&self) -> Readiness {
        self.readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    fn readiness(&self) -> Readiness {
        let readiness = Health::serving(self);
        match readiness {
            Readiness::Ready => self
                .lapsed()
                .or_else(|| self.too_few_drives())
                .map_or(readiness, Readiness::NotReady),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_gateway::http::{Health, Readiness};

    use super::State;

    #[test]
    fn draining_is_final() {
        let state = State::starting();
        state.ready();
        assert_eq!(state.readiness(), Readiness::Ready);
        state.draining();
        state.ready();
        assert_eq!(state.readiness(), Readiness::Draining);
    }

    #[tokio::test]
    async fn the_first_failure_is_kept() {
        let state = State::starting();
        state.ready();
        state.fail("first".to_owned());
        state.fail("second".to_owned());
        assert_eq!(state.failed().await, "first");
        assert!(!state.live());
        assert_ne!(state.readiness(), Readiness::Ready);
    }
}
