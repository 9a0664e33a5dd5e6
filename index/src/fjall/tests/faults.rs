//! Directories that cannot be opened, writes that fail, groups.
//!
//! Owns: what follows when the engine fails. Leaves to others: what holds when it does not.
//! Always: faults are injected where the engine writes, before, after and by a panic.

use holdfast_protocol::BucketId;

use super::super::engine::Fault;
use super::*;
use crate::Mode;
use crate::conformance::locking::futures_like::poll_times;
use crate::conformance::{key_lock, order, row, within};

fn inject(index: &FjallIndex, fault: Fault) {
    let engine = index.shared.engine.read().unwrap();
    *engine.as_ref().unwrap().fault.lock().unwrap() = fault;
}

async fn started(path: &Path) -> FjallIndex {
    let index = open(path);
    let next = Generation::new(index.generation().get() + 1);
    index.start_generation(next).await.unwrap();
    index.end_merge().await.unwrap();
    index
}

async fn commit(index: &FjallIndex, key: &str) -> Result<Order> {
    let mut transaction = index.begin(key_lock(key)).await?;
    let order = transaction.take_order();
    let mut batch = Batch::new();
    batch.put(Table::Current, key.to_owned(), row(order, "value"));
    transaction.commit(batch).await?;
    Ok(order)
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let second = FjallIndex::open(&config(directory.path()), IndexMetrics::default());
    let error = second.unwrap_err();
    assert!(matches!(error, IndexError::InUse { .. }), "{error}");
    let name = directory.path().display().to_string();
    assert!(error.to_string().contains(&name), "{error}");
    first.close().await.unwrap();
    drop(open(directory.path()));
}

#[tokio::test]
async fn creation_that_did_not_finish_is_done_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(!FjallIndex::exists(path));
    std::fs::create_dir(path.join("fjall.new")).unwrap();
    std::fs::write(path.join("fjall.new/0.jnl"), b"half a journal").unwrap();
    let index = open(path);
    assert!(FjallIndex::exists(path));
    assert!(!path.join("fjall.new").exists());
    let id = index.id();
    index.close().await.unwrap();
    let index = open(path);
    assert_eq!(index.id(), id);
}

#[tokio::test]
async fn a_directory_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fjall");
    std::fs::write(&file, b"not a directory").unwrap();
    let error = FjallIndex::open(&config(directory.path()), IndexMetrics::default()).unwrap_err();
    assert!(matches!(error, IndexError::Open { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"not a directory");
}

/// Commits `before`, then `during` under the fault; gives the error of the second.
async fn broken(path: &Path, fault: Fault) -> (FjallIndex, IndexError) {
    let index = started(path).await;
    commit(&index, "before").await.unwrap();
    inject(&index, fault);
    let error = commit(&index, "during").await.unwrap_err();
    (index, error)
}

#[tokio::test]
async fn a_failed_write_breaks_the_index_until_it_is_opened_again() {
    for (fault, present) in [
        (Fault::BeforeWrite, false),
        (Fault::AfterWrite, true),
        (Fault::Panic, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (index, error) = broken(directory.path(), fault).await;
        assert!(
            matches!(error, IndexError::Unknown { .. }),
            "{fault:?}: {error}"
        );
        within("broken", index.broken()).await;
        let error = commit(&index, "after").await.unwrap_err();
        assert!(matches!(error, IndexError::Broken { .. }), "{error}");
        assert!(matches!(
            index.check().await,
            Err(IndexError::Broken { .. })
        ));
        assert!(matches!(
            index.flush().await,
            Err(IndexError::Broken { .. })
        ));
        assert!(matches!(
            index.close().await,
            Err(IndexError::Broken { .. })
        ));
        drop(index);
        let index = started(directory.path()).await;
        let found = async |key: &str| index.get(Table::Current, key.as_bytes()).await.unwrap();
        assert!(found("before").await.is_some());
        assert_eq!(found("during").await.is_some(), present, "{fault:?}");
        assert_eq!(found("after").await, None);
    }
}

#[tokio::test]
async fn the_locks_of_an_unknown_outcome_stay_held_and_who_waits_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let index = started(directory.path()).await;
    let mut transaction = index.begin(key_lock("k")).await.unwrap();
    let order = transaction.take_order();
    let waiting = index.begin(key_lock("k"));
    inject(&index, Fault::BeforeWrite);
    let mut batch = Batch::new();
    batch.put(Table::Current, "k", row(order, "value"));
    let (outcome, waited) = tokio::join!(transaction.commit(batch), waiting);
    assert!(matches!(outcome, Err(IndexError::Unknown { .. })));
    let error = within("wait", async { waited.err() }).await.unwrap();
    assert!(matches!(error, IndexError::Broken { .. }), "{error}");
    let bucket = Locks::none().bucket(BucketId::new(7), Mode::Exclusive);
    let held = index.shared.locks.acquire(bucket);
    let timeout = tokio::time::timeout(Duration::from_millis(50), held).await;
    assert!(
        timeout.is_err(),
        "the lock of an unknown outcome was released"
    );
}

#[tokio::test]
async fn a_refused_batch_does_not_harm_those_that_share_its_group() {
    let directory = tempfile::tempdir().unwrap();
    let index = Arc::new(started(directory.path()).await);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            let mut transaction = index.begin(Locks::none()).await.unwrap();
            let given = transaction.take_order();
            let mut batch = Batch::new();
            batch.put(Table::Current, format!("{task}"), row(given, "value"));
            if task % 2 == 0 {
                batch.delete_exactly(Table::Current, "absent", order(1, 1));
            }
            let outcome = transaction.commit(batch).await;
            assert_eq!(outcome.is_err(), task % 2 == 0);
        });
    }
    within("commits", tasks.join_all()).await;
    for task in 0..64 {
        let key = format!("{task}");
        let found = index.get(Table::Current, key.as_bytes()).await.unwrap();
        assert_eq!(found.is_some(), task % 2 == 1);
    }
}

#[tokio::test]
async fn commits_that_wait_together_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = IndexMetrics::default();
    let index = FjallIndex::open(&config(directory.path()), metrics.clone()).unwrap();
    index.start_generation(Generation::new(1)).await.unwrap();
    let before = metrics.syncs();
    // While the engine is locked the committer cannot begin, so these wait together.
    let shared = Arc::clone(&index.shared);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let mut engine = shared.engine.write().unwrap();
        locked.send(engine.as_mut().is_some()).unwrap();
        released.recv().unwrap();
    });
    assert!(is_locked.recv().unwrap());
    let mut commits = Vec::new();
    for task in 0..100 {
        let transaction = index.begin(Locks::none()).await.unwrap();
        let mut batch = Batch::new();
        let key = format!("{task}");
        batch.set(Table::Current, key, row(Order::ZERO, "value"));
        let mut commit = transaction.commit(batch);
        assert!(poll_times(&mut commit, 1).await.is_none());
        commits.push(commit);
    }
    release.send(()).unwrap();
    holder.join().unwrap();
    for commit in commits {
        within("commit", commit).await.unwrap();
    }
    let syncs = metrics.syncs() - before;
    assert!(
        syncs <= 2,
        "{syncs} syncs for 100 commits that waited together"
    );
    index.flush().await.unwrap();
    let idle = metrics.syncs();
    index.flush().await.unwrap();
    assert_eq!(metrics.syncs(), idle, "a flush of nothing synced");
}
