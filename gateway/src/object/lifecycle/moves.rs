//! Which versions move to another storage class, and when again if that fails.
//!
//! Owns: what is to move now; how long what failed is left alone.
//! Leaves to others: moving one ([`crate::object::rewrite`]), the times of rules
//! ([`super::rules`]).
//! Always: one that cannot be moved keeps no other waiting, of its key or of others. What is known
//! of failures is in memory, and bounded: a start tries all again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_index::rows::VersionPlace;
use holdfast_protocol::{Manifest, WriteId};

use super::expire::{Hands, Noncurrent};
use super::rules::{self, Newer};
use crate::error::GatewayError;
use crate::metrics::LifecycleMetrics;
use crate::names::ObjectKey;
use crate::object::bucket::Bucket;
use crate::object::rewrite::Moved;
use crate::object::service::Service;
use crate::object::version::VersionId;

/// The value of the label `action`.
const TRANSITION: &str = "transition";
/// Versions that move before the key is looked at again.
const MOVES: usize = 32;
/// The longest pause, in first pauses.
const PAUSES_MAX: u64 = 128;
/// Versions of which it is known that they failed; more are tried in each round.
const KNOWN_MAX: usize = 10_000;

/// A version that is to be in another storage class.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    id: VersionId,
    write: WriteId,
    class: String,
    /// What was newer than it, if it is noncurrent.
    newer: Option<Newer>,
}

/// Moves that failed.
#[derive(Debug, Default)]
pub(in crate::object) struct Failures(Mutex<HashMap<WriteId, Failed>>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    /// How often, one after the other.
    count: u32,
    since_ms: u64,
    pause_ms: u64,
}

impl Failed {
    /// A clock that went back ends it.
    fn waits(&self, now_ms: u64) -> bool {
        now_ms
            .checked_sub(self.since_ms)
            .is_some_and(|passed_ms| passed_ms < self.pause_ms)
    }
}

impl Failures {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<WriteId, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn waits(&self, write: WriteId, now_ms: u64) -> bool {
        let known = self.known();
        known.get(&write).is_some_and(|failed| failed.waits(now_ms))
    }
    fn forget(&self, write: WriteId) {
        self.known().remove(&write);
    }
    /// It is left alone for twice as long as the last time.
    fn add(&self, write: WriteId, now_ms: u64, first_ms: u64) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX && !known.contains_key(&write) {
            known.retain(|_, failed| failed.waits(now_ms));
            if known.len() >= KNOWN_MAX {
                return;
            }
        }
        let count = known.get(&write).map_or(0, |failed| failed.count);
        let pauses = 1_u64.checked_shl(count).unwrap_or(PAUSES_MAX);
        let failed = Failed {
            count: count.saturating_add(1),
            since_ms: now_ms,
            pause_ms: first_ms.saturating_mul(pauses.min(PAUSES_MAX)),
        };
        known.insert(write, failed);
    }
}

impl Service {
    /// Adds where a version is to be by now, and when it moves next.
    pub(super) fn moved_by<'a>(
        &self,
        found: &mut Noncurrent,
        moves: impl Iterator<Item = (u64, &'a str)>,
        (manifest, newer): (&Manifest, Option<&Newer>),
        (now_ms, hands): (u64, Hands),
    ) {
        let (place, next) = self.class_by(moves, manifest, now_ms);
        found.wait(next);
        let Some(class) = place else {
            return;
        };
        let write = manifest.write;
        if hands == Hands::Moving && self.failures.waits(write, now_ms) {
            found.is_held = true;
        } else if found.moving.len() < MOVES {
            // The others follow: the key is looked at again when these have moved.
            found.moving.push(Moving {
                id: VersionId::of(manifest),
                write,
                class,
                newer: newer.cloned(),
            });
        }
    }

    fn class_by<'a>(
        &self,
        moves: impl Iterator<Item = (u64, &'a str)>,
        manifest: &Manifest,
        now_ms: u64,
    ) -> (Option<String>, Option<u64>) {
        let is_known = |class: &str| self.classes.geometry(class).is_ok();
        rules::place_by(moves, manifest, now_ms, is_known)
    }

    /// Moves versions, one after the other. Returns how many did, and why not all that failed.
    pub(super) async fn move_some(
        &self,
        bucket: &Arc<Bucket>,
        key: &ObjectKey,
        moving: &[Moving],
        metrics: &LifecycleMetrics,
    ) -> (u64, Option<GatewayError>) {
        let (mut count, mut failed) = (0, None);
        for each in moving {
            let moved = Moved {
                bucket,
                key,
                id: each.id,
                write: each.write,
                class: &each.class,
                newer: each.newer.as_ref(),
            };
            match self.move_version(&moved).await {
                Ok(is_moved) => {
                    self.failures.forget(each.write);
                    count += u64::from(is_moved);
                    metrics.expired(TRANSITION, is_moved.into());
                }
                Err(error) => {
                    let now_ms = self.store.world().clock.unix_ms();
                    let first_ms = self.day.pause().as_millis() as u64;
                    self.failures.add(each.write, now_ms, first_ms);
                    failed = failed.or(Some(error));
                }
            }
        }
        (count, failed)
    }

    /// Whether a version is still to move, by the rules of its bucket as of the lock under which
    /// its row was read. What is newer than a noncurrent one counts as when that was decided.
    pub(in crate::object) fn still_moves(
        &self,
        bucket: &Bucket,
        moved: &Moved<'_>,
        place: VersionPlace,
        manifest: &Manifest,
    ) -> bool {
        let Some(lifecycle) = bucket.settings().lifecycle.as_ref() else {
            return false;
        };
        let (now_ms, day) = (self.store.world().clock.unix_ms(), self.day);
        let class = match (place, moved.newer) {
            (VersionPlace::Current, _) => {
                let moves = rules::moves(lifecycle, manifest, day);
                self.class_by(moves, manifest, now_ms).0
            }
            (VersionPlace::Noncurrent, Some(newer)) => {
                let moves = rules::noncurrent_moves(lifecycle, manifest, newer, day);
                self.class_by(moves, manifest, now_ms).0
            }
            // It was current when that was decided.
            (VersionPlace::Noncurrent, None) => None,
        };
        manifest.write == moved.write && class.as_deref() == Some(moved.class)
    }
}

#[cfg(test)]
mod tests {
    //! Facts about waiting after a failure.
    use holdfast_protocol::GatewayId;

    use super::*;

    fn write(counter: u64) -> WriteId {
        WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_end_with_a_success() {
        let failures = Failures::default();
        let mut now_ms = 1_000_000;
        for pauses in [1, 2, 4, 8, 16, 32, 64, 128, 128, 128] {
            failures.add(write(1), now_ms, 10);
            assert!(
                failures.waits(write(1), now_ms + pauses * 10 - 1),
                "{pauses}"
            );
            assert!(!failures.waits(write(1), now_ms + pauses * 10), "{pauses}");
            now_ms += pauses * 10;
        }
        assert!(!failures.waits(write(2), now_ms));
        failures.forget(write(1));
        failures.add(write(1), now_ms, 10);
        assert!(!failures.waits(write(1), now_ms + 10));
        // Nor does a clock that goes back hold it for long.
        assert!(!failures.waits(write(1), now_ms - 1));
    }

    #[test]
    fn what_is_known_is_bounded_and_what_is_over_makes_room() {
        let failures = Failures::default();
        for counter in 0..20_000 {
            failures.add(write(counter), 0, 10);
        }
        assert_eq!(failures.known().len(), KNOWN_MAX);
        assert!(failures.waits(write(1), 5));
        failures.add(write(20_000), 10, 10);
        assert!(failures.waits(write(20_000), 15));
        assert_eq!(failures.known().len(), 1);
    }
}
