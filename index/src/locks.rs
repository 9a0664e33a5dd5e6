//! The locks of transactions, for engines within one process.
//!
//! Owns: [`Locks`] (what to lock), the lock table and its fairness.
//! Leaves to others: the locks of engines shared by processes.
//! Always: locks are taken in the order name, bucket, upload, keys, of the first three at most one
//! each, and keys in ascending order, so two transactions never wait for each other; each lock
//! serves its waiters first come, first served.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_protocol::{BucketId, WriteId};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Whether others may hold the same lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With others that share.
    Shared,
    /// Alone.
    Exclusive,
}

/// What a transaction locks.
///
/// # Examples
/// ```
/// use holdfast_index::{Locks, Mode};
/// use holdfast_protocol::BucketId;
/// let bucket = BucketId::new(7);
/// let put = Locks::none().bucket(bucket, Mode::Shared).key(bucket, "a/b");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    bucket_name: Option<(String, Mode)>,
    bucket: Option<(BucketId, Mode)>,
    upload: Option<(WriteId, Mode)>,
    keys: BTreeSet<(BucketId, String)>,
}

impl Locks {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }
    /// Also a bucket's name, whether a bucket of that name exists or not.
    pub fn bucket_name(mut self, name: impl Into<String>, mode: Mode) -> Self {
        self.bucket_name = Some((name.into(), mode));
        self
    }
    /// Also a bucket.
    pub fn bucket(mut self, bucket: BucketId, mode: Mode) -> Self {
        self.bucket = Some((bucket, mode));
        self
    }
    /// Also an upload.
    pub fn upload(mut self, upload: WriteId, mode: Mode) -> Self {
        self.upload = Some((upload, mode));
        self
    }
    /// Also a key, alone; besides others.
    pub fn key(mut self, bucket: BucketId, key: impl Into<String>) -> Self {
        self.keys.insert((bucket, key.into()));
        self
    }

    /// In the fixed order.
    fn in_order(self) -> impl Iterator<Item = (Name, Mode)> {
        let name = self.bucket_name.map(|(n, m)| (Name::OfBucket(n), m));
        let bucket = self.bucket.map(|(b, m)| (Name::Bucket(b), m));
        let upload = self.upload.map(|(u, m)| (Name::Upload(u), m));
        let keys = self.keys.into_iter();
        let keys = keys.map(|(b, k)| (Name::Key(b, k), Mode::Exclusive));
        [name, bucket, upload].into_iter().flatten().chain(keys)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    OfBucket(String),
    Bucket(BucketId),
    Upload(WriteId),
    Key(BucketId, String),
}

const SEGMENTS: usize = 16;
type Segment = HashMap<Name, Arc<RwLock<()>>>;

/// All locks that someone holds or waits for.
#[derive(Debug)]
pub(crate) struct LockTable {
    segments: [Mutex<Segment>; SEGMENTS],
    hasher: RandomState,
}

impl LockTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            segments: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// Waits for all of `locks`. Dropping the future releases what it has.
    pub(crate) async fn acquire(self: &Arc<Self>, locks: Locks) -> Held {
        let mut held = Held(Vec::new());
        for (name, mode) in locks.in_order() {
            let entry = Entry::enter(self, name);
            let lock = entry.lock();
            let guard = match mode {
                Mode::Shared => ModeGuard::Shared(lock.read_owned().await),
                Mode::Exclusive => ModeGuard::Exclusive(lock.write_owned().await),
            };
            held.0.push(HeldLock {
                _guard: guard,
                _entry: entry,
            });
        }
        held
    }

    fn segment(&self, name: &Name) -> MutexGuard<'_, Segment> {
        let index = self.hasher.hash_one(name) as usize % SEGMENTS;
        self.segments[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks that someone holds or waits for.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.segments
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }
}

/// Someone who holds or waits for a lock; the last one removes it from the table.
#[derive(Debug)]
struct Entry {
    table: Arc<LockTable>,
    name: Name,
    lock: Option<Arc<RwLock<()>>>,
}

impl Entry {
    fn enter(table: &Arc<LockTable>, name: Name) -> Self {
        let lock = Arc::clone(table.segment(&name).entry(name.clone()).or_default());
        Self {
            table: Arc::clone(table),
            name,
            lock: Some(lock),
        }
    }
    fn lock(&self) -> Arc<RwLock<()>> {
        Arc::clone(self.lock.as_ref().expect("taken only by drop"))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut segment = self.table.segment(&self.name);
        self.lock = None;
        // New references are only made under the segment's mutex, or by someone who is in already.
        let unused = segment
            .get(&self.name)
            .is_some_and(|lock| Arc::strong_count(lock) == 1);
        if unused {
            segment.remove(&self.name);
        }
    }
}

#[derive(Debug)]
enum ModeGuard {
    Shared(#[expect(dead_code, reason = "held for its drop")] OwnedRwLockReadGuard<()>),
    Exclusive(#[expect(dead_code, reason = "held for its drop")] OwnedRwLockWriteGuard<()>),
}

/// Fields are dropped in this order: first the lock is released, then the entry leaves the table.
#[derive(Debug)]
struct HeldLock {
    _guard: ModeGuard,
    _entry: Entry,
}

/// Locks that are held; released when dropped, last taken first.
#[derive(Debug)]
pub(crate) struct Held(Vec<HeldLock>);

impl Drop for Held {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_table_forgets_locks_that_nobody_wants() {
        let table = LockTable::new();
        let bucket = BucketId::new(1);
        let key = move || {
            Locks::none()
                .bucket(bucket, Mode::Shared)
                .key(bucket, "key")
        };
        let first = table.acquire(key()).await;
        let waiting = tokio::spawn({
            let table = Arc::clone(&table);
            async move { table.acquire(key()).await }
        });
        let given_up = tokio::spawn({
            let table = Arc::clone(&table);
            async move { table.acquire(key()).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(table.len(), 2);
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        drop(first);
        let second = waiting.await.unwrap();
        assert_eq!(table.len(), 2);
        drop(second);
        assert_eq!(table.len(), 0);
    }
}
