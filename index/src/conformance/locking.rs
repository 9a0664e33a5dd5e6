//! Facts on locks.
//!
//! Owns: exclusion, sharing, fairness, release.
//! Leaves to others: what is committed under them.
//! Always: as [`super`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_like::poll_times;
use holdfast_protocol::{BucketId, GatewayId, WriteId};
use tokio::task::JoinSet;

use super::{BUCKET, Backend, Rng, begin, key_lock, row, started, within, write};
use crate::{Batch, Locks, Mode, Table};

/// Polls by hand, for futures that are to be dropped half way.
pub(crate) mod futures_like {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    /// Polls at most `times`, letting others run between; `None` if it was not ready.
    pub(crate) async fn poll_times<T>(
        future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>,
        times: usize,
    ) -> Option<T> {
        for _ in 0..times {
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            if let Poll::Ready(value) = polled {
                return Some(value);
            }
            tokio::task::yield_now().await;
        }
        None
    }
}

/// Read, let others run, write: nothing is lost under an exclusive lock.
pub async fn exclusive_locks_exclude(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            for _ in 0..25 {
                let mut transaction = begin(&index, key_lock("counter")).await;
                let before = transaction.get(Table::Current, b"counter").await.unwrap();
                let count = before.map_or(0, |row| row.value.len());
                tokio::task::yield_now().await;
                let order = transaction.take_order();
                let mut batch = Batch::new();
                let value = "x".repeat(count + 1);
                batch.put(Table::Current, "counter", row(order, &value));
                transaction.commit(batch).await.unwrap();
            }
        });
    }
    within("counting", tasks.join_all()).await;
    let row = index.get(Table::Current, b"counter").await.unwrap();
    assert_eq!(row.unwrap().value.len(), 16 * 25);
}

/// Who shares a lock does not wait; an exclusive one comes after.
pub async fn shared_locks_are_shared(backend: &dyn Backend) {
    let index = started(backend).await;
    let shared = || Locks::none().bucket(BUCKET, Mode::Shared);
    let first = begin(&index, shared()).await;
    let second = begin(&index, shared().key(BUCKET, "k")).await;
    let other_key = begin(&index, key_lock("other")).await;
    let other_bucket = Locks::none().bucket(BucketId::new(8), Mode::Exclusive);
    drop(begin(&index, other_bucket).await);
    let exclusive = Locks::none().bucket(BUCKET, Mode::Exclusive);
    let mut waiting = index.begin(exclusive);
    assert!(
        poll_times(&mut waiting, 20).await.is_none(),
        "exclusive while shared"
    );
    drop((first, second));
    assert!(
        poll_times(&mut waiting, 20).await.is_none(),
        "exclusive while shared once"
    );
    drop(other_key);
    drop(within("exclusive", waiting).await.unwrap());
}

/// Who holds what, to find two who must not.
#[derive(Default)]
struct Holders(Mutex<HashMap<String, (u64, u64)>>);

impl Holders {
    fn enter(&self, name: &str, mode: Mode) {
        let mut all = self.0.lock().unwrap();
        let (shared, exclusive) = all.entry(name.to_owned()).or_default();
        match mode {
            Mode::Shared => *shared += 1,
            Mode::Exclusive => *exclusive += 1,
        }
        let alone = *exclusive == 0 || (*exclusive == 1 && *shared == 0);
        assert!(alone, "{name}: {shared} shared and {exclusive} exclusive");
    }
    fn leave(&self, name: &str, mode: Mode) {
        let mut all = self.0.lock().unwrap();
        let (shared, exclusive) = all.get_mut(name).unwrap();
        match mode {
            Mode::Shared => *shared -= 1,
            Mode::Exclusive => *exclusive -= 1,
        }
    }
}

fn random_locks(rng: &mut Rng) -> (Locks, Vec<(String, Mode)>) {
    let (mut locks, mut names) = (Locks::none(), Vec::new());
    let mode = |rng: &mut Rng| match rng.below(3) {
        0 => Mode::Exclusive,
        _ => Mode::Shared,
    };
    if rng.below(2) == 0 {
        let (name, mode) = (format!("name {}", rng.below(2)), mode(rng));
        locks = locks.bucket_name(name.clone(), mode);
        names.push((name, mode));
    }
    if rng.below(2) == 0 {
        let (bucket, mode) = (rng.below(2), mode(rng));
        locks = locks.bucket(BucketId::new(bucket), mode);
        names.push((format!("bucket {bucket}"), mode));
    }
    if rng.below(2) == 0 {
        let (counter, mode) = (rng.below(2), mode(rng));
        let upload = WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        };
        locks = locks.upload(upload, mode);
        names.push((format!("upload {counter}"), mode));
    }
    for _ in 0..rng.below(3) {
        let (bucket, key) = (rng.below(2), format!("{}", rng.below(2)));
        let name = (format!("key {bucket} {key}"), Mode::Exclusive);
        if !names.contains(&name) {
            names.push(name);
        }
        locks = locks.key(BucketId::new(bucket), key);
    }
    (locks, names)
}

/// Tasks that take locks at random, some of which give up waiting, all come to their end.
pub async fn random_lock_sets_never_deadlock(backend: &dyn Backend) {
    let index = started(backend).await;
    let holders = Arc::new(Holders::default());
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (index, holders) = (Arc::clone(&index), Arc::clone(&holders));
        tasks.spawn(async move {
            let mut rng = Rng::new(task);
            for _ in 0..60 {
                let (locks, names) = random_locks(&mut rng);
                let mut waiting = index.begin(locks);
                let transaction = match rng.below(4) {
                    0 => poll_times(&mut waiting, 1 + rng.below(3) as usize).await,
                    _ => Some(waiting.await),
                };
                let Some(transaction) = transaction else {
                    continue;
                };
                let transaction = transaction.unwrap();
                names
                    .iter()
                    .for_each(|(name, mode)| holders.enter(name, *mode));
                for _ in 0..rng.below(4) {
                    tokio::task::yield_now().await;
                }
                names
                    .iter()
                    .for_each(|(name, mode)| holders.leave(name, *mode));
                match rng.below(4) {
                    0 => transaction.commit(Batch::new()).await.unwrap(),
                    _ => drop(transaction),
                }
            }
        });
    }
    within("random locks", tasks.join_all()).await;
}

/// An exclusive lock is granted although there is always someone who shares it.
pub async fn writers_are_not_starved(backend: &dyn Backend) {
    let index = started(backend).await;
    let (done, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let (index, done, reads) = (Arc::clone(&index), Arc::clone(&done), Arc::clone(&reads));
        readers.spawn(async move {
            while !done.load(Ordering::Acquire) {
                let shared = Locks::none().bucket(BUCKET, Mode::Shared);
                let transaction = begin(&index, shared).await;
                reads.fetch_add(1, Ordering::AcqRel);
                tokio::task::yield_now().await;
                drop(transaction);
            }
        });
    }
    for _ in 0..20 {
        let exclusive = Locks::none().bucket(BUCKET, Mode::Exclusive);
        drop(begin(&index, exclusive).await);
    }
    let before = reads.load(Ordering::Acquire);
    let more = async {
        while reads.load(Ordering::Acquire) == before {
            tokio::task::yield_now().await;
        }
    };
    within("readers go on", more).await;
    done.store(true, Ordering::Release);
    within("readers", readers.join_all()).await;
}

/// Giving up a wait gives up the locks already taken, and the place in the queue.
pub async fn a_dropped_wait_leaves_no_lock(backend: &dyn Backend) {
    let index = started(backend).await;
    let holder = begin(&index, key_lock("k")).await;
    for _ in 0..10 {
        let both = Locks::none()
            .bucket_name("name", Mode::Exclusive)
            .bucket(BUCKET, Mode::Shared)
            .key(BUCKET, "k");
        let mut waiting = index.begin(both);
        assert!(poll_times(&mut waiting, 3).await.is_none());
        drop(waiting);
        let name = Locks::none().bucket_name("name", Mode::Exclusive);
        drop(begin(&index, name).await);
    }
    drop(holder);
    let all = Locks::none().bucket(BUCKET, Mode::Exclusive);
    drop(begin(&index, all).await);
}

/// A transaction that is dropped has changed nothing and released its locks.
pub async fn a_dropped_transaction_leaves_nothing(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut dropped = begin(&index, key_lock("k")).await;
    let early = dropped.take_order();
    let mut batch = Batch::new();
    batch.put(Table::Current, "k", row(early, "never"));
    // A commit that was never polled was never begun.
    drop(dropped.commit(batch));
    assert_eq!(index.get(Table::Current, b"k").await.unwrap(), None);
    let late = write(&index, "k", "value").await;
    assert!(late > early);
}

/// Both keys of a transaction are held, whichever was named first.
pub async fn two_keys_are_held(backend: &dyn Backend) {
    let index = started(backend).await;
    for (first, second) in [("a", "b"), ("b", "a"), ("a", "a")] {
        let both = begin(&index, key_lock(first).key(BUCKET, second)).await;
        let waits: Vec<_> = [first, second]
            .map(|key| index.begin(key_lock(key)))
            .into_iter()
            .collect();
        for mut waiting in waits {
            let early = poll_times(&mut waiting, 20).await;
            assert!(early.is_none(), "{first} and {second}");
        }
        drop(both);
        drop(begin(&index, key_lock(second).key(BUCKET, first)).await);
    }
}

/// A part of a transaction is durable and seen, and the locks go on; so do its orders, above.
pub async fn locks_are_kept_after_a_part(backend: &dyn Backend) {
    let index = started(backend).await;
    let mut transaction = begin(&index, key_lock("k").key(BUCKET, "l")).await;
    let early = transaction.take_order();
    let mut batch = Batch::new();
    batch.put(Table::Current, "k", row(early, "first"));
    let mut rest = within("part", transaction.commit_part(batch))
        .await
        .unwrap();
    let found = index.get(Table::Current, b"k").await.unwrap();
    assert_eq!(found, Some(row(early, "first")));
    let mut waiting = index.begin(key_lock("l"));
    assert!(poll_times(&mut waiting, 20).await.is_none());
    assert!(index.settled().await.unwrap() > early);
    let late = rest.take_order();
    assert!(late > early);
    let other = write(&index, "other", "value").await;
    assert!(other > late && index.settled().await.unwrap() <= late);
    let mut batch = Batch::new();
    batch.put(Table::Current, "l", row(late, "second"));
    within("rest", rest.commit(batch)).await.unwrap();
    drop(within("released", waiting).await.unwrap());
    let found = index.get(Table::Current, b"l").await.unwrap();
    assert_eq!(found, Some(row(late, "second")));

    // A part that is refused ends the transaction.
    let transaction = begin(&index, key_lock("k")).await;
    let mut batch = Batch::new();
    batch.delete_exactly(Table::Current, "k", late);
    assert!(transaction.commit_part(batch).await.is_err());
    drop(begin(&index, key_lock("k")).await);
}
