//! Facts on orders, generations and the settled mark.
//!
//! Owns: what claim and merge rely on.
//! Leaves to others: claiming and merging.
//! Always: as [`super`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use holdfast_protocol::{Generation, Order};
use tokio::task::JoinSet;

use super::{Backend, Rng, begin, key_lock, order, row, started, within, write};
use crate::{Batch, IndexError, Locks, Table};

/// An order is above every order given before it was taken.
pub async fn orders_rise_over_all_transactions(backend: &dyn Backend) {
    let index = started(backend).await;
    let highest = Arc::new(Mutex::new(Order::ZERO));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (index, highest) = (Arc::clone(&index), Arc::clone(&highest));
        tasks.spawn(async move {
            let mut taken = Vec::new();
            for round in 0..50 {
                let locks = key_lock(&format!("{task}"));
                let mut transaction = begin(&index, locks).await;
                let before = *highest.lock().unwrap();
                for _ in 0..=round % 3 {
                    let order = transaction.take_order();
                    assert!(order > before, "{order} after {before}");
                    let mut highest = highest.lock().unwrap();
                    *highest = order.max(*highest);
                    taken.push(order);
                }
            }
            taken
        });
    }
    let all = within("orders", tasks.join_all()).await.concat();
    let distinct: BTreeSet<Order> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "an order was given twice");
    let generation = Generation::new(1);
    assert!(all.iter().all(|order| order.generation == generation));
    assert!(distinct.first().unwrap().sequence >= 1);
}

/// Only a higher generation is started, and it is remembered.
pub async fn generations_only_rise(backend: &dyn Backend) {
    let index = backend.create().await;
    assert_eq!(index.generation(), Generation::new(0));
    index.start_generation(Generation::new(3)).await.unwrap();
    assert_eq!(index.generation(), Generation::new(3));
    let mut transaction = begin(&index, key_lock("k")).await;
    let first = transaction.take_order();
    assert_eq!(first.generation, Generation::new(3));
    drop(transaction);
    for old in [0, 2, 3] {
        let error = index
            .start_generation(Generation::new(old))
            .await
            .unwrap_err();
        assert!(matches!(error, IndexError::OldGeneration { .. }), "{error}");
    }
    let index = backend.reopen(index).await;
    assert_eq!(index.generation(), Generation::new(3));
    let error = index
        .start_generation(Generation::new(3))
        .await
        .unwrap_err();
    assert!(matches!(error, IndexError::OldGeneration { .. }), "{error}");
    index.start_generation(Generation::new(4)).await.unwrap();
    let mut transaction = begin(&index, key_lock("k")).await;
    let next = transaction.take_order();
    assert!(next > first);
    assert_eq!(next.generation, Generation::new(4));
}

/// Each opening needs a claim of its own; reading needs none.
pub async fn nothing_is_committed_before_a_generation(backend: &dyn Backend) {
    let index = backend.create().await;
    let refused = index.begin(Locks::none()).await.err().unwrap();
    assert!(matches!(refused, IndexError::NotStarted), "{refused}");
    let refused = index.end_merge().await.unwrap_err();
    assert!(matches!(refused, IndexError::NotStarted), "{refused}");
    assert_eq!(index.settled().await.unwrap(), Order::ZERO);
    index.start_generation(Generation::new(1)).await.unwrap();
    write(&index, "k", "value").await;
    let index = backend.reopen(index).await;
    let refused = index.begin(Locks::none()).await.err().unwrap();
    assert!(matches!(refused, IndexError::NotStarted), "{refused}");
    let row = index.get(Table::Current, b"k").await.unwrap();
    assert_eq!(row.unwrap().value, "value");
}

/// The mark passes an order only after its transaction has ended.
pub async fn the_settled_mark_stays_below_open_orders(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut open = begin(&index, key_lock("open")).await;
    let first = open.take_order();
    let second = open.take_order();
    let other = write(&index, "other", "value").await;
    assert!(index.settled().await.unwrap() <= first);
    index.flush().await.unwrap();
    assert!(index.settled().await.unwrap() <= first);
    let mut batch = Batch::new();
    batch.put(Table::Current, "open", row(second, "value"));
    open.commit(batch).await.unwrap();
    index.flush().await.unwrap();
    let settled = index.settled().await.unwrap();
    assert!(settled > other, "{settled} and {other}");
    let mut dropped = begin(&index, key_lock("dropped")).await;
    let given_up = dropped.take_order();
    index.flush().await.unwrap();
    assert!(index.settled().await.unwrap() <= given_up);
    drop(dropped);
    index.flush().await.unwrap();
    let settled = index.settled().await.unwrap();
    assert!(settled > given_up);
    let index = backend.reopen(index).await;
    assert_eq!(index.settled().await.unwrap(), settled);
}

/// A claim that dies before its merge has ended is merged again from the same mark.
pub async fn the_settled_mark_waits_for_the_end_of_the_merge(backend: &dyn Backend) {
    let index = started(backend).await;
    write(&index, "k", "value").await;
    index.flush().await.unwrap();
    let before = index.settled().await.unwrap();
    let index = backend.reopen(index).await;
    index.start_generation(Generation::new(2)).await.unwrap();
    assert_eq!(index.settled().await.unwrap(), before);
    let mut batch = Batch::new();
    batch.put(Table::Current, "merged", row(order(1, 900), "value"));
    let transaction = begin(&index, Locks::none()).await;
    transaction.commit(batch).await.unwrap();
    write(&index, "k", "other").await;
    index.flush().await.unwrap();
    assert_eq!(index.settled().await.unwrap(), before);
    let index = backend.reopen(index).await;
    assert_eq!(index.settled().await.unwrap(), before);
    index.start_generation(Generation::new(3)).await.unwrap();
    index.end_merge().await.unwrap();
    let order = write(&index, "k", "third").await;
    index.flush().await.unwrap();
    assert!(index.settled().await.unwrap() > order);
}

/// Whoever looks at the mark while others write never sees it above an order that is open, nor
/// fall.
pub async fn the_settled_mark_is_right_under_concurrency(backend: &dyn Backend) {
    let index = started(backend).await;
    let open = Arc::new(Mutex::new(BTreeSet::new()));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (index, open) = (Arc::clone(&index), Arc::clone(&open));
        tasks.spawn(async move {
            let mut rng = Rng::new(task);
            for _ in 0..50 {
                let key = format!("{}", rng.below(4));
                let mut transaction = begin(&index, key_lock(&key)).await;
                let order = {
                    let mut open = open.lock().unwrap();
                    let order = transaction.take_order();
                    open.insert(order);
                    order
                };
                for _ in 0..rng.below(4) {
                    tokio::task::yield_now().await;
                }
                let mut batch = Batch::new();
                batch.put(Table::Current, key, row(order, "value"));
                open.lock().unwrap().remove(&order);
                match rng.below(4) {
                    0 => drop(transaction),
                    _ => transaction.commit(batch).await.unwrap(),
                }
            }
        });
    }
    let mut last = Order::ZERO;
    while !tasks.is_empty() {
        let before = open.lock().unwrap().clone();
        let settled = index.settled().await.unwrap();
        let after = open.lock().unwrap().clone();
        // Open at both times, so open between.
        if let Some(lowest) = before.intersection(&after).next() {
            assert!(
                settled <= *lowest,
                "{settled} above {lowest}, which is open"
            );
        }
        assert!(settled >= last, "fell from {last} to {settled}");
        last = settled;
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    index.flush().await.unwrap();
    assert!(index.settled().await.unwrap().sequence > 400);
}
