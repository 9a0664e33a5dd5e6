//! Keeps the lease.
//!
//! Owns: sending renewals to all living drives, and noticing that another gateway took over.
//! Leaves to others: what renewals are worth ([`super::LeaseBook`]), ending the process (its
//! owner).
//! Always: a drive that does not answer delays no renewal of another; at most one renewal per drive
//! is under way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use holdfast_protocol::rpc::{DriveError, HOLDER_LEN_MAX, LEASE_LEN_MAX};
use holdfast_protocol::{ClusterMap, DriveId};
use holdfast_seam::{Monotonic, Task, World};
use holdfast_store::{Drives, survey};

use super::{LeaseBook, LeaseGuard};
use crate::context::OnFatal;
use crate::nudge::Stop;

/// Renewals per length of the lease.
const RENEWALS: u32 = 4;

/// Whose lease is kept, and how.
#[derive(Clone)]
pub struct KeeperParts {
    /// The world.
    pub world: World,
    /// The drives, claimed.
    pub drives: Arc<Drives>,
    /// The map, or `None` while all attached drives are the cluster.
    pub map: Option<ClusterMap>,
    /// How long each renewal asks for; at most [`LEASE_LEN_MAX`].
    pub len: Duration,
    /// The gateway's name, for people.
    pub holder: String,
    /// Told, with the reason, when another gateway took over.
    pub on_lost: OnFatal,
}

impl std::fmt::Debug for KeeperParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeeperParts")
            .field("holder", &self.holder)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Keeps the lease until stopped; clones are the same.
#[derive(Clone, Debug)]
pub struct LeaseKeeper {
    shared: Arc<Shared>,
    task: Arc<Mutex<Option<Task>>>,
}

struct Shared {
    parts: KeeperParts,
    book: Mutex<LeaseBook>,
    members: Mutex<Members>,
    guard: LeaseGuard,
    stop: Stop,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// The drives that count.
#[derive(Clone, Debug)]
struct Members {
    living: Vec<DriveId>,
    needed: usize,
}

impl Members {
    fn of(map: &ClusterMap) -> Self {
        Self {
            living: map.living().map(|drive| drive.id).collect(),
            needed: map.ask_count(),
        }
    }
}

impl LeaseKeeper {
    /// Starts renewing. The guard says no until enough drives granted.
    pub fn start(mut parts: KeeperParts) -> Self {
        parts.len = parts.len.min(LEASE_LEN_MAX);
        let end = parts.holder.floor_char_boundary(HOLDER_LEN_MAX);
        parts.holder.truncate(end);
        let members = match &parts.map {
            Some(map) => Members::of(map),
            None => {
                let living = parts.drives.ids();
                let needed = living.len() / 2 + 1;
                Members { living, needed }
            }
        };
        let shared = Arc::new(Shared {
            book: Mutex::new(LeaseBook::new(parts.len)),
            members: Mutex::new(members),
            guard: LeaseGuard::limited(Arc::clone(&parts.world.clock)),
            stop: Stop::default(),
            parts,
        });
        let spawn = Arc::clone(&shared.parts.world.spawn);
        let task = spawn.task("lease", Box::pin(Arc::clone(&shared).run()));
        Self {
            shared,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// The check before every answer.
    pub fn guard(&self) -> LeaseGuard {
        self.shared.guard.clone()
    }

    /// The map was made or changed.
    pub fn map_changed(&self, map: &ClusterMap) {
        *self.shared.members() = Members::of(map);
        self.shared.publish();
    }

    /// Waits until enough drives granted the lease; `false` if they did not within `patience`.
    pub async fn held(&self, patience: Duration) -> bool {
        let clock = &self.shared.parts.world.clock;
        let start = clock.now();
        while self.shared.guard.check().is_err() {
            if clock.now().since(start) >= patience {
                return false;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// As [`LeaseKeeper::held`] for as long as it takes, but `false` when after some `patience` one
    /// of the drives `absent` answers: one that did not grant the claim grants no lease either, and
    /// only another claim makes it. `told` is called whenever patience ended.
    pub async fn held_unless_back(
        &self,
        absent: &BTreeSet<DriveId>,
        patience: Duration,
        told: impl Fn(),
    ) -> bool {
        let drives = &self.shared.parts.drives;
        loop {
            if self.held(patience).await {
                return true;
            }
            told();
            let asked = absent
                .iter()
                .map(|&drive| survey::lease_state(drives, drive, patience));
            if join_all(asked).await.iter().any(Result::is_ok) {
                return false;
            }
        }
    }

    /// Ends renewing, and gives the lease back, so that the next gateway need not wait for it. To
    /// be called when nothing is answered any more.
    pub async fn stop(&self) {
        let shared = &self.shared;
        shared.stop.stop();
        let task = {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.take()
        };
        if let Some(task) = task {
            task.await;
        }
        shared.guard.set(Monotonic::default());
        let members = shared.members().clone();
        let given = members.living.iter().map(|&drive| {
            let deadline = shared.deadline();
            let holder = String::new();
            survey::lease(
                &shared.parts.drives,
                drive,
                deadline,
                Duration::ZERO,
                holder,
            )
        });
        join_all(given).await;
    }
}

impl Shared {
    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, LeaseBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deadline(&self) -> Duration {
        self.parts.len / 2
    }

    fn publish(&self) {
        let Members { living, needed } = self.members().clone();
        let until = self.book().until(&living, needed);
        self.guard.set(until);
    }

    async fn renew(&self, drive: DriveId) -> (DriveId, Monotonic, Result<(), DriveError>) {
        let sent = self.parts.world.clock.boot();
        let (len, holder) = (self.parts.len, self.parts.holder.clone());
        let answer = survey::lease(&self.parts.drives, drive, self.deadline(), len, holder).await;
        (drive, sent, answer)
    }

    async fn run(self: Arc<Self>) {
        let stop = self.stop.clone();
        let mut under_way = FuturesUnordered::new();
        let mut busy: BTreeSet<DriveId> = BTreeSet::new();
        loop {
            let living = self.members().living.clone();
            for drive in living {
                if busy.insert(drive) {
                    under_way.push(self.renew(drive));
                }
            }
            let mut pause = self.parts.world.clock.sleep(self.parts.len / RENEWALS);
            loop {
                let answer = async {
                    match under_way.is_empty() {
                        true => std::future::pending().await,
                        false => under_way.next().await,
                    }
                };
                let event = stop.unless(async {
                    tokio::select! {
                        biased;
                        answer = answer => answer,
                        () = &mut pause => None,
                    }
                });
                match event.await {
                    None => return,
                    Some(None) => break,
                    Some(Some((drive, sent, answer))) => {
                        busy.remove(&drive);
                        self.note(drive, sent, answer).await;
                    }
                }
            }
        }
    }

    async fn note(&self, drive: DriveId, sent: Monotonic, answer: Result<(), DriveError>) {
        match answer {
            Ok(()) => {
                self.book().renewed(drive, sent);
                self.publish();
            }
            Err(
                error @ (DriveError::OldGeneration { current: _ }
                | DriveError::OtherIndex { current: _ }),
            ) => {
                tracing::warn!(%drive, %error, "drive refuses to renew the lease");
                // A drive that has not granted our generation yet names an older one.
                if let DriveError::OldGeneration { current } = error
                    && current < self.parts.drives.serving().generation
                {
                    return;
                }
                self.book().refused(drive, sent);
                let Members { living, needed } = self.members().clone();
                if self.book().is_lost(&living, needed) {
                    self.lost(drive).await;
                }
            }
            Err(error) => tracing::debug!(%drive, %error, "lease not renewed"),
        }
    }

    async fn lost(&self, drive: DriveId) {
        self.guard.set(Monotonic::default());
        let state = survey::lease_state(&self.parts.drives, drive, self.deadline()).await;
        let by = match state {
            Ok(view) if !view.holder.is_empty() && view.holder != self.parts.holder => view.holder,
            _ => "another gateway".to_owned(),
        };
        (self.parts.on_lost)(format!("the lease on the drives was taken over by {by}"));
    }
}
