//! Where events wait.
//!
//! Owns: keys of the queue's rows; how many wait for each target, and the bound.
//! Leaves to others: the rows (index), who commits them and goes through them ([`crate::object`]).
//! Always: one queue for each target, oldest change first; at the bound the new event is dropped,
//! counted and logged, so that a target that is away never stops writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_protocol::Order;
use tokio::sync::Notify;

use super::metrics::NotifyMetrics;
use super::target::Targets;

/// How many events wait for each target.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    targets: Targets,
    max: usize,
    metrics: NotifyMetrics,
    waiting: Mutex<HashMap<String, usize>>,
    bells: HashMap<String, Notify>,
}

impl Queue {
    /// Queues for `targets`, with at most `max` events each.
    pub fn new(targets: Targets, max: usize, metrics: NotifyMetrics) -> Self {
        let bells = targets.all();
        let bells = bells
            .map(|(name, _)| (name.to_owned(), Notify::new()))
            .collect();
        Self(Arc::new(Inner {
            targets,
            max,
            metrics,
            waiting: Mutex::default(),
            bells,
        }))
    }

    /// Who is told.
    pub fn targets(&self) -> &Targets {
        &self.0.targets
    }

    /// Where to count.
    pub fn metrics(&self) -> &NotifyMetrics {
        &self.0.metrics
    }

    /// Whether one more event may wait for a target; then it counts as waiting. The count may be
    /// off by the events of commits that failed until the queue is empty again.
    pub fn admit(&self, target: &str) -> bool {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(target.to_owned()).or_default();
        let is_admitted = *count < self.0.max;
        if is_admitted {
            *count += 1;
            self.0.metrics.queued(target, *count);
        }
        drop(waiting);
        if !is_admitted {
            self.0.metrics.dropped(target);
        }
        is_admitted
    }

    /// So many events wait for a target.
    pub fn counted(&self, target: &str, count: usize) {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.insert(target.to_owned(), count);
        self.0.metrics.queued(target, count);
    }

    /// So many events less wait for a target.
    pub fn taken(&self, target: &str, count: usize) {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = waiting.entry(target.to_owned()).or_default();
        *left = left.saturating_sub(count);
        self.0.metrics.queued(target, *left);
    }

    /// There may be something to tell.
    pub fn ring(&self) {
        self.0.bells.values().for_each(Notify::notify_one);
    }

    /// Returns when there may be something to tell a target.
    pub async fn rung(&self, target: &str) {
        match self.0.bells.get(target) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// The key of an event: the target, then the order of the change, then the place among those of the
/// same change.
pub fn key(target: &str, order: Order, place: u8) -> Bytes {
    let mut out = BytesMut::with_capacity(target.len() + 14);
    out.put_slice(&prefix(target));
    out.put_slice(&order.to_key());
    out.put_u8(place);
    out.freeze()
}

/// What all keys of a target begin with: names have no zero byte.
pub fn prefix(target: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(target.len() + 1);
    out.put_slice(target.as_bytes());
    out.put_u8(0);
    out.freeze()
}

/// The target of a row; `None` if its key is none of ours.
pub fn target_of(key: &[u8]) -> Option<String> {
    let end = key.iter().position(|&c| c == 0)?;
    String::from_utf8(key[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    //! Facts about queues.
    use super::*;

    #[test]
    fn a_queue_is_bounded_for_each_target() {
        let queue = Queue::new(Targets::default(), 2, NotifyMetrics::new().unwrap());
        assert!(queue.admit("a") && queue.admit("a") && !queue.admit("a"));
        assert!(queue.admit("b"));
        queue.taken("a", 1);
        assert!(queue.admit("a") && !queue.admit("a"));
        queue.taken("a", 100);
        queue.counted("b", 2);
        assert!(queue.admit("a") && !queue.admit("b"));
    }

    #[test]
    fn keys_sort_by_target_then_by_change() {
        let order = |sequence| Order {
            sequence,
            ..Order::ZERO
        };
        let keys = [
            key("a", order(1), 0),
            key("a", order(1), 1),
            key("a", order(256), 0),
            key("a0", order(0), 0),
            key("b", order(0), 0),
        ];
        assert!(keys.is_sorted());
        assert!(keys[2].starts_with(&prefix("a")) && !keys[3].starts_with(&prefix("a")));
        assert_eq!(target_of(&keys[3]).as_deref(), Some("a0"));
        assert_eq!(target_of(b"a"), None);
    }
}
