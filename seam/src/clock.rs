//! Time.
//!
//! Owns: a monotonic clock for deadlines, one that also runs while the machine is suspended for
//! leases, a wall clock for people, and sleeping.
//! Leaves to others: ordering data (the index does; clocks never do).
//! Always: [`Monotonic`] never goes back; moments of the two monotonic clocks are never compared
//! with each other.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::spawn::BoxFuture;

/// A moment, in nanoseconds since some start; only differences mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
    /// The moment `duration` after `self`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// Time.
pub trait Clock: Send + Sync + Debug {
    /// The monotonic clock.
    fn now(&self) -> Monotonic;
    /// A monotonic clock that also runs while the machine is suspended, for leases. A world that is
    /// never suspended has one clock.
    fn boot(&self) -> Monotonic {
        self.now()
    }
    /// The wall clock, in milliseconds since 1970.
    fn unix_ms(&self) -> u64;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks and tokio's timer.
#[derive(Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Monotonic {
        Monotonic::default().plus(self.start.elapsed())
    }
    #[cfg(target_os = "linux")]
    fn boot(&self) -> Monotonic {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Monotonic(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
