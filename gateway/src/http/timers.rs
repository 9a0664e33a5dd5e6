//! Time, as the front waits for it.
//!
//! Owns: carrying hyper's own abstraction to whatever of the front waits.
//! Leaves to others: whose time it is: tokio's, or that of a simulation.
//! Always: nothing of the front that lies behind a connection asks tokio for time.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// A timer. Clones are the same one.
#[derive(Clone)]
pub struct Timers(Arc<dyn Timer + Send + Sync>);

impl Timers {
    /// What `timer` says.
    pub fn new(timer: impl Timer + Send + Sync + 'static) -> Self {
        Self(Arc::new(timer))
    }

    /// The outcome of `work`, or `None` if that takes longer than `time`.
    pub async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        match select(pin!(work), self.sleep(time)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// tokio's.
impl Default for Timers {
    fn default() -> Self {
        Self::new(TokioTimer::new())
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timers")
    }
}

impl Timer for Timers {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.0.sleep(duration)
    }
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.sleep_until(deadline)
    }
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.0.reset(sleep, deadline);
    }
}
