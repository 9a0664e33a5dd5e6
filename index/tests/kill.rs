//! Kills a process in the middle of its commits, again and again, and reads everything back.
//!
//! Goal: what a commit acknowledged survives kill -9 at any moment, each batch whole. Method: this
//! binary starts itself as a child that commits from many tasks and says on its standard output
//! what was acknowledged; the parent kills it after a random number of lines, opens the index and
//! compares. It has no test harness, so that the child is no test of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed fact is a panic"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use holdfast_index::{
    Batch, FjallConfig, FjallIndex, Index, IndexMetrics, Locks, Mode, Row, Table, UsageDelta, rows,
};
use holdfast_protocol::{BucketId, Generation, Geometry};

const DIRECTORY: &str = "HOLDFAST_TEST_INDEX_KILL";
const BUCKET: BucketId = BucketId::new(7);
const ROUNDS: u64 = 8;
const WRITERS: u64 = 16;

/// Small, so that flushes and compactions take part.
fn open(path: &Path) -> FjallIndex {
    let config = FjallConfig {
        memtable_bytes: 64 << 10,
        cache_bytes: 1 << 20,
        ..FjallConfig::new(path)
    };
    FjallIndex::open(&config, IndexMetrics::default()).unwrap()
}

/// One writer: value and order of one row rise together, with one more old row and one more object.
async fn write_for_ever(index: Arc<FjallIndex>, writer: u64) {
    loop {
        let key = format!("{writer:04}");
        let locks = Locks::none()
            .bucket(BUCKET, Mode::Shared)
            .key(BUCKET, &*key);
        let mut transaction = index.begin(locks).await.unwrap();
        let before = transaction
            .get(Table::Current, key.as_bytes())
            .await
            .unwrap();
        let count = before.map_or(0, |row| count_of(&row));
        let order = transaction.take_order();
        let value = Bytes::from(format!("{:020}{}", count + 1, "x".repeat(300)));
        let mut batch = Batch::new();
        batch
            .put(Table::Current, key.clone(), Row::new(order, value.clone()))
            .put(
                Table::Noncurrent,
                format!("{key} {count:020}"),
                Row::new(order, value.clone()),
            )
            .usage(
                BUCKET,
                UsageDelta::Versions {
                    geometry: Geometry::new(4, 2).unwrap(),
                    objects: 1,
                    bytes: 0,
                },
            );
        transaction.commit(batch).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {writer} {}", count + 1).unwrap();
        out.flush().unwrap();
    }
}

fn count_of(row: &Row) -> u64 {
    std::str::from_utf8(&row.value[..20])
        .unwrap()
        .parse()
        .unwrap()
}

/// Ends only by a kill.
async fn child(directory: &Path) {
    {
        let index = Arc::new(open(directory));
        let next = Generation::new(index.generation().get() + 1);
        index.start_generation(next).await.unwrap();
        index.end_merge().await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_for_ever(Arc::clone(&index), writer));
        }
        writers.join_all().await;
    }
}

/// Runs the child until it has acknowledged so many commits, kills it, and notes what it said.
fn run_and_kill(directory: &Path, commits: u64, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = 0;
    // What it said before it died is read to the end.
    for line in lines {
        let line = line.unwrap();
        let Some(said) = line.strip_prefix("acknowledged ") else {
            continue;
        };
        // The kill may cut the last line.
        let Some((writer, count)) = said.split_once(' ') else {
            break;
        };
        let (Ok(writer), Ok(count)) = (writer.parse(), count.parse::<u64>()) else {
            break;
        };
        let last = acknowledged.entry(writer).or_insert(0);
        *last = count.max(*last);
        heard += 1;
        if heard == commits {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        heard >= commits,
        "the child ended by itself after {heard} commits"
    );
}

async fn check(directory: &Path, acknowledged: &BTreeMap<u64, u64>) -> u32 {
    let index = open(directory);
    let mut objects = 0;
    for writer in 0..WRITERS {
        let key = format!("{writer:04}");
        let current = index.get(Table::Current, key.as_bytes()).await.unwrap();
        let count = current.as_ref().map_or(0, count_of);
        let said = acknowledged.get(&writer).copied().unwrap_or(0);
        assert!(
            count >= said,
            "writer {writer}: {count} is left of {said} acknowledged"
        );
        // One at most was on its way.
        for old in 0..count {
            let key = format!("{key} {old:020}");
            let found = index.get(Table::Noncurrent, key.as_bytes()).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{key} is missing"));
            assert_eq!(count_of(&found), old + 1);
            let newest = current.as_ref().map(|row| row.order);
            assert!(Some(found.order) <= newest);
        }
        let beyond = format!("{key} {count:020}");
        let found = index
            .get(Table::Noncurrent, beyond.as_bytes())
            .await
            .unwrap();
        assert_eq!(found, None, "half of a batch");
        objects += count;
    }
    let usage = rows::get_usage(&index, BUCKET).await.unwrap();
    assert_eq!(usage.objects(), objects);
    let generation = index.generation();
    assert!(index.settled().await.unwrap().generation <= generation);
    index.close().await.unwrap();
    generation.get()
}

/// From a fixed seed, so that a failure can be repeated as far as kills can.
fn commits_of(round: u64) -> u64 {
    1 + round * round * 7_919 % 601
}

async fn a_killed_process_keeps_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 1..=ROUNDS {
        run_and_kill(directory.path(), commits_of(round), &mut acknowledged);
        let generation = check(directory.path(), &acknowledged).await;
        assert_eq!(u64::from(generation), round);
    }
    let commits: u64 = acknowledged.values().sum();
    println!("a_killed_process_keeps_what_it_acknowledged: {ROUNDS} kills, {commits} commits, ok");
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match std::env::var_os(DIRECTORY) {
        Some(directory) => runtime.block_on(child(Path::new(&directory))),
        None => runtime.block_on(a_killed_process_keeps_what_it_acknowledged()),
    }
}
