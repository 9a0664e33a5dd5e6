//! Goal: nothing is purged under a reader, whatever the order of their steps.
//!
//! Method: readers and a writer over the real `Readers`, under random schedules (`shuttle`). Each
//! call on it is one step, so a switch between calls is every switch that threads can make. A
//! failing schedule prints itself and can be replayed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use holdfast_protocol::{GatewayId, WriteId};
use holdfast_workers::Readers;
use shuttle::{rand::Rng as _, thread};

const SCHEDULES: usize = 2_000;
const READERS: usize = 3;
const VERSIONS: u64 = 4;

fn write(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(1),
        gateway_epoch: 1,
        counter,
    }
}

/// One key: the write that its row names, and the writes whose shards are still there.
#[derive(Debug)]
struct Key {
    row: u64,
    shards: BTreeSet<u64>,
}

/// What the purge does wrong, if anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purge {
    Right,
    /// The number is drawn before the retiring commit.
    DrawnEarly,
}

fn read(readers: &Arc<Readers>, key: &Mutex<Key>) {
    let mut reading = readers.enter();
    thread::yield_now();
    let seen = key.lock().unwrap().row;
    thread::yield_now();
    if shuttle::rand::thread_rng().gen_bool(0.5) {
        reading.narrow([write(seen)]);
    }
    for _ in 0..2 {
        thread::yield_now();
        let whole = key.lock().unwrap().shards.contains(&seen);
        assert!(whole, "write {seen} was purged under its reader");
    }
}

fn overwrite(readers: &Arc<Readers>, key: &Mutex<Key>, purge: Purge) {
    for next in 1..VERSIONS {
        let early = readers.ticket();
        thread::yield_now();
        let retired = {
            let mut key = key.lock().unwrap();
            key.shards.insert(next);
            std::mem::replace(&mut key.row, next)
        };
        thread::yield_now();
        let ticket = match purge {
            Purge::Right => readers.ticket(),
            Purge::DrawnEarly => early,
        };
        while readers.blocks(ticket, &[write(retired)]) {
            thread::yield_now();
        }
        thread::yield_now();
        key.lock().unwrap().shards.remove(&retired);
    }
}

fn model(purge: Purge) {
    let readers = Arc::new(Readers::default());
    let key = Arc::new(Mutex::new(Key {
        row: 0,
        shards: BTreeSet::from([0]),
    }));
    let mut threads = Vec::new();
    for _ in 0..READERS {
        let (readers, key) = (Arc::clone(&readers), Arc::clone(&key));
        threads.push(thread::spawn(move || {
            read(&readers, &key);
            read(&readers, &key);
        }));
    }
    overwrite(&readers, &key, purge);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert!(
        !readers.blocks(readers.ticket(), &[write(0)]),
        "a reader that left still blocks"
    );
}

#[test]
fn nothing_is_purged_under_a_reader() {
    shuttle::check_random(|| model(Purge::Right), SCHEDULES);
}

#[test]
#[should_panic(expected = "was purged under its reader")]
fn a_number_drawn_before_the_commit_is_found_out() {
    shuttle::check_random(|| model(Purge::DrawnEarly), SCHEDULES);
}
