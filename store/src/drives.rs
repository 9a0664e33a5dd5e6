//! The drives this process can call, and how they do.
//!
//! Owns: the directory from drive id to client, the call header (index, generation, map version),
//! and what calls taught about each drive: reachable, writable, how fast it reads, and whether it
//! does at all.
//! Leaves to others: polling a drive that stopped answering (workers), transport (`seam`).
//! Always: a call has a deadline; a drive that was unreachable is not asked again by the data path
//! until someone saw it answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply, DriveRequest};
use holdfast_protocol::{ClaimantId, DriveId, Generation, IndexId, MapVersion};
use holdfast_seam::{Clock, Monotonic, NodeClient};

/// Reads this many times slower than others' make a drive slow.
const SLOW_FACTOR: f64 = 4.0;
/// Faster than this no drive is slow.
const SLOW_MIN: Duration = Duration::from_millis(20);

/// One drive, as seen from here.
#[derive(Debug)]
struct Entry {
    client: Arc<dyn NodeClient>,
    reachable: AtomicBool,
    writable: AtomicBool,
    full: AtomicBool,
    /// Smoothed read latency in nanoseconds; 0 before the first read.
    read_ns: AtomicU64,
    /// When the first read was sent that was not answered, since one was.
    unread_since: Mutex<Option<Monotonic>>,
}

/// Whom the calls serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// The index.
    pub index: IndexId,
    /// The generation it was claimed under.
    pub generation: Generation,
    /// The cluster map in use.
    pub map_version: MapVersion,
    /// Who claimed it.
    pub claimant: ClaimantId,
}

/// The directory of drives.
#[derive(Debug)]
pub struct Drives {
    clock: Arc<dyn Clock>,
    entries: RwLock<HashMap<DriveId, Arc<Entry>>>,
    serving: RwLock<Serving>,
}

impl Drives {
    /// An empty directory.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            entries: RwLock::default(),
            serving: RwLock::default(),
        }
    }

    /// Adds a drive, or gives it a new client; it counts as reachable and writable.
    pub fn attach(&self, drive: DriveId, client: Arc<dyn NodeClient>) {
        let entry = Entry {
            client,
            reachable: AtomicBool::new(true),
            writable: AtomicBool::new(true),
            full: AtomicBool::new(false),
            read_ns: AtomicU64::new(0),
            unread_since: Mutex::default(),
        };
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(drive, Arc::new(entry));
    }

    /// Removes a drive.
    pub fn detach(&self, drive: DriveId) {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&drive);
    }

    /// Sets whom calls serve from now on.
    pub fn serve(&self, serving: Serving) {
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = serving;
    }

    /// Whom calls serve.
    pub fn serving(&self) -> Serving {
        *self.serving.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All attached drives, in ascending id.
    pub fn ids(&self) -> Vec<DriveId> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<DriveId> = entries.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    fn entry(&self, drive: DriveId) -> Option<Arc<Entry>> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&drive)
            .cloned()
    }

    /// Whether the drive is attached and answered last.
    pub fn is_reachable(&self, drive: DriveId) -> bool {
        self.entry(drive)
            .is_some_and(|entry| entry.reachable.load(Ordering::Relaxed))
    }

    /// Whether the drive is reachable and takes new shards.
    pub fn is_writable(&self, drive: DriveId) -> bool {
        self.entry(drive).is_some_and(|entry| {
            entry.reachable.load(Ordering::Relaxed) && entry.writable.load(Ordering::Relaxed)
        })
    }

    /// Whether the drive said last that it is full.
    pub fn is_full(&self, drive: DriveId) -> bool {
        self.entry(drive)
            .is_some_and(|entry| entry.full.load(Ordering::Relaxed))
    }

    /// What a poll has seen.
    pub fn note(&self, drive: DriveId, reachable: bool, writable: bool) {
        if let Some(entry) = self.entry(drive) {
            entry.reachable.store(reachable, Ordering::Relaxed);
            entry.writable.store(writable, Ordering::Relaxed);
            if writable {
                entry.full.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Smoothed time of a read from this drive; `None` before the first.
    pub fn read_latency(&self, drive: DriveId) -> Option<Duration> {
        let nanos = self.entry(drive)?.read_ns.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// How many times longer reads of this drive take than the median of the others; `None` before
    /// reads of it and of two others.
    pub fn latency_factor(&self, drive: DriveId) -> Option<f64> {
        let own = self.read_latency(drive)?;
        let others = self.ids().into_iter().filter(|other| *other != drive);
        let mut others: Vec<Duration> = others.filter_map(|id| self.read_latency(id)).collect();
        others.sort_unstable();
        if others.len() < 2 {
            return None;
        }
        let median = others[others.len() / 2];
        Some(own.as_secs_f64() / median.as_secs_f64().max(f64::MIN_POSITIVE))
    }

    /// Whether reads of this drive take much longer than those of others: readers hedge around it.
    pub fn is_slow(&self, drive: DriveId) -> bool {
        let own = self.read_latency(drive).unwrap_or_default();
        let factor = self.latency_factor(drive).unwrap_or_default();
        own >= SLOW_MIN && factor >= SLOW_FACTOR
    }

    /// For how long reads of this drive have been sent and given up, or failed, and none was
    /// served; `None` if the last one was, or none was sent.
    pub fn unread_for(&self, drive: DriveId) -> Option<Duration> {
        let since = (*self.entry(drive)?.unread_since())?;
        Some(self.clock.now().since(since))
    }

    /// Nothing is known any more of whether this drive serves reads.
    pub fn forget_unread(&self, drive: DriveId) {
        if let Some(entry) = self.entry(drive) {
            *entry.unread_since() = None;
        }
    }

    /// Calls a drive and learns from the outcome.
    ///
    /// # Errors
    /// What the drive says; `NoSuchDrive` if it is not attached.
    pub async fn call(
        &self,
        drive: DriveId,
        deadline: Duration,
        request: DriveRequest,
    ) -> Result<DriveReply, DriveError> {
        let entry = self.entry(drive).ok_or(DriveError::NoSuchDrive)?;
        let Serving {
            index,
            generation,
            map_version,
            claimant: _,
        } = self.serving();
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let is_timed = matches!(request, DriveRequest::Read { .. });
        let is_read = is_timed
            || matches!(
                request,
                DriveRequest::ReadRecord { .. } | DriveRequest::Verify { .. }
            );
        let mut timing = Timing {
            entry: &entry,
            clock: &*self.clock,
            start: self.clock.now(),
            is_open: is_timed,
            is_read,
        };
        let call = DriveCall {
            drive,
            index,
            generation,
            map_version,
            deadline_ms,
            request,
        };
        let outcome = tokio::select! {
        biased;
                   outcome = entry.client.call(call) => outcome,
                   () = self.clock.sleep(deadline) => Err(DriveError::TimedOut),
               };
        timing.heard(&outcome);
        match &outcome {
            Ok(_) => timing.done(),
            // How long it would have taken is not known: at least so long.
            Err(DriveError::TimedOut) => {}
            Err(DriveError::Unreachable { .. } | DriveError::NoSuchDrive) => {
                timing.is_open = false;
                entry.reachable.store(false, Ordering::Relaxed);
            }
            Err(error @ (DriveError::OutOfService { .. } | DriveError::Full)) => {
                timing.is_open = false;
                entry.writable.store(false, Ordering::Relaxed);
                entry
                    .full
                    .store(*error == DriveError::Full, Ordering::Relaxed);
            }
            _ => timing.is_open = false,
        }
        outcome
    }
}

/// Learns how long a read takes, also of one that nobody waits for any longer: a reader that goes
/// around a slow drive drops its call.
struct Timing<'a> {
    entry: &'a Entry,
    clock: &'a dyn Clock,
    start: Monotonic,
    is_open: bool,
    /// Of a read: it is not known yet whether it is served.
    is_read: bool,
}

impl Timing<'_> {
    /// Notes whether a read was served, if the answer says so: what the drive knows without reading
    /// its medium, and what became of the call, do not.
    fn heard(&mut self, outcome: &Result<DriveReply, DriveError>) {
        if !std::mem::take(&mut self.is_read) {
            return;
        }
        match outcome {
            // What is bad may be so because it could not be read.
            Ok(DriveReply::Verified { bad, .. }) if !bad.is_empty() => {}
            Ok(_) | Err(DriveError::Damaged { .. }) => *self.entry.unread_since() = None,
            Err(DriveError::TimedOut | DriveError::Io { .. }) => self.entry.unread(self.start),
            Err(_) => {}
        }
    }

    fn done(&mut self) {
        if self.is_open {
            self.is_open = false;
            self.entry.learn(self.clock.now().since(self.start));
        }
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let so_far = self.clock.now().since(self.start);
        let mean = self.entry.read_ns.load(Ordering::Relaxed);
        if self.is_open && so_far.as_nanos() > u128::from(mean) {
            self.entry.learn(so_far);
        }
        // One that was given up at once says nothing.
        if self.is_read && so_far >= SLOW_MIN {
            self.entry.unread(self.start);
        }
    }
}

impl Entry {
    fn unread_since(&self) -> MutexGuard<'_, Option<Monotonic>> {
        let since = self.unread_since.lock();
        since.unwrap_or_else(PoisonError::into_inner)
    }

    fn unread(&self, start: Monotonic) {
        self.unread_since().get_or_insert(start);
    }

    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let old = self.read_ns.load(Ordering::Relaxed);
        let new = if old == 0 {
            took
        } else {
            old - old / 8 + took / 8
        };
        self.read_ns.store(new.max(1), Ordering::Relaxed);
    }
}
