//! Facts on restarts, and on futures that are dropped.
//!
//! Owns: what is there after an end, whole or not at all.
//! Leaves to others: kills of real processes, power loss.
//! Always: as [`super`].

use std::sync::Arc;

use holdfast_protocol::{Geometry, Order};
use tokio::task::JoinSet;

use super::locking::futures_like::poll_times;
use super::{BUCKET, Backend, Rng, begin, key_lock, row, started, within, write};
use crate::{Batch, Index, IndexError, Locks, Table, UsageDelta, rows};

/// Identity, generation and every committed row are there; what was only begun is not.
pub async fn what_was_committed_survives_a_restart(backend: &dyn Backend) {
    let index = started(backend).await;
    let other = backend.create().await;
    assert_ne!(index.id(), other.id());
    let (id, generation) = (index.id(), index.generation());
    let mut written = Vec::new();
    for number in 0..50 {
        let key = format!("key {number}");
        let order = write(&index, &key, &key).await;
        written.push((key, order));
    }
    let mut open = begin(&index, key_lock("open")).await;
    let open_order = open.take_order();
    let settled = index.settled().await.unwrap();
    let index = backend.reopen(index).await;
    assert_eq!((index.id(), index.generation()), (id, generation));
    for (key, order) in &written {
        let found = index.get(Table::Current, key.as_bytes()).await.unwrap();
        assert_eq!(found, Some(row(*order, key)));
    }
    let found = index.settled().await.unwrap();
    assert!(settled <= found && found <= open_order);
    let mut batch = Batch::new();
    batch.put(Table::Current, "open", row(open_order, "never"));
    let error = open.commit(batch).await.unwrap_err();
    assert!(matches!(error, IndexError::Closed), "{error}");
    assert_eq!(index.get(Table::Current, b"open").await.unwrap(), None);
    assert_eq!(other.get(Table::Current, b"key 1").await.unwrap(), None);
}

/// After it was closed nothing is read or written, and closing again is no error.
pub async fn a_closed_index_refuses(backend: &dyn Backend) {
    let index = started(backend).await;
    write(&index, "k", "value").await;
    index.check().await.unwrap();
    index.close().await.unwrap();
    index.close().await.unwrap();
    let closed = |error: IndexError| assert!(matches!(error, IndexError::Closed), "{error}");
    closed(index.begin(Locks::none()).await.err().unwrap());
    closed(index.get(Table::Current, b"k").await.unwrap_err());
    closed(index.check().await.unwrap_err());
    closed(index.flush().await.unwrap_err());
    let index = backend.reopen(index).await;
    let found = index.get(Table::Current, b"k").await.unwrap();
    assert_eq!(found.unwrap().value, "value");
}

async fn objects(index: &Arc<dyn Index>) -> u64 {
    rows::get_usage(&**index, BUCKET).await.unwrap().objects()
}

/// A batch of two rows and a count.
fn pair(task: u64, round: u64, order: Order) -> Batch {
    let mut batch = Batch::new();
    let value = format!("{round}");
    batch
        .put(Table::Current, format!("{task} a"), row(order, &value))
        .put(
            Table::Noncurrent,
            format!("{task} b {round:08}"),
            row(order, &value),
        )
        .usage(
            BUCKET,
            UsageDelta::Versions {
                geometry: Geometry::new(4, 2).unwrap(),
                objects: 1,
                bytes: 0,
            },
        );
    batch
}

/// Dropped after any number of polls, a commit took effect wholly or not at all, and exactly once.
pub async fn a_dropped_commit_is_whole_or_absent(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            let mut rng = Rng::new(task);
            for round in 0..60 {
                let mut transaction = begin(&index, key_lock(&format!("{task}"))).await;
                let order = transaction.take_order();
                let mut commit = transaction.commit(pair(task, round, order));
                let polls = rng.below(4) as usize;
                if let Some(result) = poll_times(&mut commit, polls).await {
                    result.unwrap();
                }
            }
        });
    }
    within("dropped commits", tasks.join_all()).await;
    // Everything handed over before is settled once this lock is granted and this flush returns.
    for task in 0..8 {
        drop(begin(&index, key_lock(&format!("{task}"))).await);
    }
    index.flush().await.unwrap();
    let index = backend.reopen(index).await;
    let mut committed = 0;
    for task in 0..8_u64 {
        let mut last = None;
        for round in 0..60 {
            let key = format!("{task} b {round:08}");
            let found = index.get(Table::Noncurrent, key.as_bytes()).await.unwrap();
            if let Some(row) = found {
                committed += 1;
                last = Some(row);
            }
        }
        let current = format!("{task} a");
        let current = index.get(Table::Current, current.as_bytes()).await.unwrap();
        assert_eq!(current, last);
    }
    assert_eq!(objects(&index).await, committed);
}

/// Whoever gets the lock after a commit was dropped sees its outcome, and no later change of it.
pub async fn dropped_commits_keep_their_locks(backend: &dyn Backend) {
    let index = started(backend).await;
    for round in 0..100_u64 {
        let mut transaction = begin(&index, key_lock("k")).await;
        let order = transaction.take_order();
        let mut commit = transaction.commit(pair(0, round, order));
        let done = poll_times(&mut commit, 1).await;
        drop(commit);
        let mut next = begin(&index, key_lock("k")).await;
        let seen = next.get(Table::Current, b"0 a").await.unwrap();
        if done.is_some() {
            assert_eq!(seen.as_ref().map(|row| row.order), Some(order));
        }
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        assert_eq!(next.get(Table::Current, b"0 a").await.unwrap(), seen);
    }
}
