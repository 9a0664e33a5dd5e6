//! What every backend of [`crate::Index`] must do, as one suite.
//!
//! Owns: the facts, each a function that panics when it does not hold, and the macro that makes
//! tests of them. Leaves to others: making and reopening indexes ([`Backend`]), kills of real
//! processes.
//! Always: waits end at a deadline, so a deadlock is a failure; random sequences print their seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed fact is a panic; this is never part of a service"
)]

pub mod changes;
pub mod durability;
pub mod locking;
pub mod model;
pub mod ordering;
pub mod reading;
pub mod samples;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::{BucketId, Generation, Order};

use crate::{Batch, Index, Locks, Mode, Row, Table, Transaction};

/// Makes indexes for the suite.
#[async_trait]
pub trait Backend: Send + Sync {
    /// An index that nobody used before.
    async fn create(&self) -> Arc<dyn Index>;

    /// Ends the index and opens what a restart finds. Transactions of the old handle may still
    /// exist.
    async fn reopen(&self, index: Arc<dyn Index>) -> Arc<dyn Index>;
}

/// Makes one test of each fact, for the backend that the expression gives.
///
/// The crate that uses it needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_tests {
    ($backend:expr) => {
        $crate::conformance_tests!(@facts $backend;
            reading: scans_are_ascending_and_bounded, scan_limits_say_whether_there_is_more,
                tables_do_not_see_each_other, empty_and_inverted_ranges_are_empty;
            changes: a_refused_batch_changes_nothing, stale_orders_are_refused,
                guards_see_earlier_operations, usage_is_exact_under_concurrency,
                usage_of_nothing_has_no_row,
                seen_positions_only_advance_within_a_log, oversize_and_reserved_rows_are_refused;
            locking: exclusive_locks_exclude, shared_locks_are_shared,
                random_lock_sets_never_deadlock, writers_are_not_starved,
                a_dropped_wait_leaves_no_lock, a_dropped_transaction_leaves_nothing,
                two_keys_are_held, locks_are_kept_after_a_part;
            ordering: orders_rise_over_all_transactions, generations_only_rise,
                nothing_is_committed_before_a_generation, the_settled_mark_stays_below_open_orders,
                the_settled_mark_waits_for_the_end_of_the_merge,
                the_settled_mark_is_right_under_concurrency;
            durability: what_was_committed_survives_a_restart, a_closed_index_refuses,
                a_dropped_commit_is_whole_or_absent, dropped_commits_keep_their_locks;
            model: random_steps_match_a_sorted_map;
        );
    };
    (@facts $backend:expr; $($module:ident: $($fact:ident),+ $(,)?;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                $crate::conformance::$module::$fact(&$backend).await;
            }
        )+)+
    };
}

/// No fact takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for what must come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// A new index that takes commits.
pub(crate) async fn started(backend: &dyn Backend) -> Arc<dyn Index> {
    let index = backend.create().await;
    index.start_generation(Generation::new(1)).await.unwrap();
    index.end_merge().await.unwrap();
    index
}

pub(crate) const BUCKET: BucketId = BucketId::new(7);

pub(crate) fn key_lock(key: &str) -> Locks {
    Locks::none().bucket(BUCKET, Mode::Shared).key(BUCKET, key)
}

pub(crate) async fn begin(index: &Arc<dyn Index>, locks: Locks) -> Box<dyn Transaction> {
    within("begin", index.begin(locks)).await.unwrap()
}

pub(crate) fn order(generation: u32, sequence: u64) -> Order {
    Order {
        generation: Generation::new(generation),
        sequence,
    }
}

pub(crate) fn row(order: Order, value: &str) -> Row {
    Row::new(order, Bytes::copy_from_slice(value.as_bytes()))
}

/// Writes a row of [`Table::Current`] under an order of its own.
pub(crate) async fn write(index: &Arc<dyn Index>, key: &str, value: &str) -> Order {
    let mut transaction = begin(index, key_lock(key)).await;
    let order = transaction.take_order();
    let mut batch = Batch::new();
    batch.put(Table::Current, key.to_owned(), row(order, value));
    transaction.commit(batch).await.unwrap();
    order
}

/// The SplitMix64 generator (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Prints its seed, for a failure to be repeated.
    pub(crate) fn new(seed: u64) -> Self {
        eprintln!("seed {seed}");
        Self(seed)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
