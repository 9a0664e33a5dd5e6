//! How busy clients keep the store.
//!
//! Owns: counting requests of clients under way, and how long they take of late and in the long
//! run.
//! Leaves to others: giving way to them (workers).
//! Always: work of the workers is not counted, so that they do not wait for themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_seam::{Clock, Monotonic};

/// Strained when requests of late take so many times what they take in the long run.
const STRAINED_FACTOR: u64 = 2;
/// And so much longer at least, in nanoseconds.
const STRAINED_MIN: u64 = 5_000_000;

/// Requests of clients; shared by all clones of a store.
#[derive(Debug, Default)]
pub struct Foreground {
    in_flight: AtomicU64,
    /// When the last request began or ended.
    last: AtomicU64,
    /// Nanoseconds, smoothed over about 8 requests.
    of_late: AtomicU64,
    /// Nanoseconds, smoothed over about 256 requests.
    usual: AtomicU64,
}

/// A request of a client, until dropped.
#[derive(Debug)]
pub struct Request<'a> {
    foreground: &'a Foreground,
    clock: &'a dyn Clock,
    start: Monotonic,
}

impl Foreground {
    /// A request begins.
    pub fn enter<'a>(&'a self, clock: &'a dyn Clock) -> Request<'a> {
        let start = clock.now();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.last.store(start.0, Ordering::Relaxed);
        Request {
            foreground: self,
            clock,
            start,
        }
    }

    /// Whether a request is under way, or was less than `quiet` ago.
    pub fn is_busy(&self, now: Monotonic, quiet: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        self.in_flight.load(Ordering::Relaxed) > 0
            || (last > 0 && now.since(Monotonic(last)) < quiet)
    }

    /// Whether requests take much longer than usual.
    pub fn is_strained(&self) -> bool {
        let usual = self.usual.load(Ordering::Relaxed);
        let of_late = self.of_late.load(Ordering::Relaxed);
        usual > 0 && of_late > usual * STRAINED_FACTOR + STRAINED_MIN
    }

    fn leave(&self, start: Monotonic, now: Monotonic) {
        let took = u64::try_from(now.since(start).as_nanos()).unwrap_or(u64::MAX);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.last.store(now.0.max(1), Ordering::Relaxed);
        for (mean, weight) in [(&self.of_late, 8), (&self.usual, 256)] {
            let old = mean.load(Ordering::Relaxed);
            let new = match old {
                0 => took,
                _ => old - old / weight + took / weight,
            };
            mean.store(new.max(1), Ordering::Relaxed);
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.foreground.leave(self.start, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn requests_that_take_much_longer_than_usual_are_strain() {
        let foreground = Foreground::default();
        let take = |ms: u64| {
            foreground.in_flight.fetch_add(1, Ordering::Relaxed);
            foreground.leave(Monotonic(MS), Monotonic(MS + ms * MS));
        };
        (0..300).for_each(|_| take(10));
        assert!(!foreground.is_strained());
        (0..20).for_each(|_| take(100));
        assert!(foreground.is_strained());
        (0..100).for_each(|_| take(10));
        assert!(!foreground.is_strained());
    }

    #[test]
    fn it_is_busy_while_a_request_is_under_way_and_for_a_moment_after() {
        let clock = holdfast_seam::RealClock::new();
        let foreground = Foreground::default();
        let (soon, quiet) = (clock.now(), Duration::from_secs(3600));
        assert!(!foreground.is_busy(soon, quiet), "nobody ever came");
        let request = foreground.enter(&clock);
        assert!(foreground.is_busy(clock.now(), Duration::ZERO));
        drop(request);
        assert!(foreground.is_busy(clock.now(), quiet));
        assert!(!foreground.is_busy(clock.now(), Duration::ZERO));
    }
}
