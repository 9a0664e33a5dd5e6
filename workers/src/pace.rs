//! How fast background work may go.
//!
//! Owns: token budgets, and giving way to clients.
//! Leaves to others: how busy clients are ([`holdfast_store::Foreground`]), what is done with the
//! bytes.
//! Always: work goes on at no less than its floor, so that clients cannot starve it for ever.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_seam::Monotonic;

use crate::context::Context;

/// After so long without a request of a client, work goes at its full rate.
const QUIET: Duration = Duration::from_secs(1);
/// How often the share is judged.
const JUDGED: Duration = Duration::from_millis(100);
/// Waits are this long at most, so that a change of the load shows soon.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Shares are sixteenths.
const SHARE_MAX: u32 = 16;

/// How fast a kind of work may go, in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// While clients are quiet; 0 means no limit.
    pub(crate) quiet: u64,
    /// While clients are served, at most; 0 means that work does not give way.
    pub(crate) busy: u64,
    /// Never slower than this, however clients fare.
    pub(crate) floor: u64,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing.
    Quiet,
    /// They are served as usual.
    Busy,
    /// They wait much longer than usual.
    Strained,
}

/// The budget of one kind of work.
#[derive(Debug)]
pub(crate) struct Pacer {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next bytes may go.
    next: Monotonic,
    /// Of the rate while busy: halved under strain, grows back step by step.
    share: u32,
    judged: Monotonic,
}

impl Default for Pacer {
    fn default() -> Self {
        let state = State {
            next: Monotonic::default(),
            share: SHARE_MAX,
            judged: Monotonic::default(),
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl State {
    /// Bytes per second now; `None` for no limit.
    fn rate(&mut self, load: Load, limits: Limits, now: Monotonic) -> Option<u64> {
        if now.since(self.judged) >= JUDGED {
            self.judged = now;
            self.share = match load {
                Load::Strained => (self.share / 2).max(1),
                Load::Quiet | Load::Busy => (self.share + 1).min(SHARE_MAX),
            };
        }
        let rate = match load {
            Load::Quiet => limits.quiet,
            Load::Busy | Load::Strained if limits.busy == 0 => limits.quiet,
            Load::Busy | Load::Strained => {
                (limits.busy / u64::from(SHARE_MAX) * u64::from(self.share)).max(1)
            }
        };
        (rate > 0).then(|| rate.max(limits.floor))
    }

    /// Books `bytes`; returns how long they have to wait.
    fn book(&mut self, bytes: u64, rate: Option<u64>, now: Monotonic) -> Duration {
        let Some(rate) = rate else {
            return Duration::ZERO;
        };
        let start = self.next.max(now);
        self.next = start.plus(Duration::from_secs_f64(bytes as f64 / rate as f64));
        start.since(now)
    }
}

impl Pacer {
    /// Waits until `bytes` more may go.
    pub(crate) async fn take(&self, ctx: &Context, bytes: u64, limits: Limits) {
        let mut wait = {
            let now = ctx.clock().now();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let rate = state.rate(ctx.load(), limits, now);
            state.book(bytes, rate, now)
        };
        while !wait.is_zero() {
            let step = wait.min(WAIT_MAX);
            ctx.clock().sleep(step).await;
            wait -= step;
            let unlimited = limits.quiet == 0 && ctx.load() == Load::Quiet;
            if unlimited {
                return;
            }
        }
    }
}

impl Context {
    /// What clients do now.
    pub(crate) fn load(&self) -> Load {
        let foreground = self.store.foreground();
        match foreground.is_busy(self.clock().now(), QUIET) {
            false => Load::Quiet,
            true if foreground.is_strained() => Load::Strained,
            true => Load::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        quiet: 0,
        busy: 1600,
        floor: 150,
    };

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }

    fn state() -> State {
        State {
            next: at(0),
            share: SHARE_MAX,
            judged: at(0),
        }
    }

    #[test]
    fn work_gives_way_to_clients_step_by_step_and_never_below_its_floor() {
        let mut state = state();
        assert_eq!(state.rate(Load::Quiet, LIMITS, at(100)), None);
        assert_eq!(state.rate(Load::Busy, LIMITS, at(200)), Some(1600));
        assert_eq!(state.rate(Load::Strained, LIMITS, at(300)), Some(800));
        assert_eq!(state.rate(Load::Strained, LIMITS, at(350)), Some(800));
        assert_eq!(state.rate(Load::Strained, LIMITS, at(400)), Some(400));
        for step in 5..9 {
            state.rate(Load::Strained, LIMITS, at(step * 100));
        }
        assert_eq!(state.rate(Load::Strained, LIMITS, at(900)), Some(150));
        for step in 10..40 {
            state.rate(Load::Busy, LIMITS, at(step * 100));
        }
        assert_eq!(state.rate(Load::Busy, LIMITS, at(4100)), Some(1600));
    }

    #[test]
    fn bytes_wait_for_those_before_them() {
        let mut state = state();
        assert_eq!(state.book(1000, Some(1000), at(5000)), Duration::ZERO);
        let wait = state.book(500, Some(1000), at(5000));
        assert_eq!(wait, Duration::from_secs(1));
        let wait = state.book(1, Some(1000), at(5500));
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(state.book(1 << 40, None, at(5500)), Duration::ZERO);
    }
}
