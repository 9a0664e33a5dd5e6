//! Facts about hashing bodies side by side, against `md-5` as the oracle.
use std::time::Duration;

use futures::FutureExt;
use holdfast_seam::spawn::{BoxFuture, Job};
use holdfast_seam::{RealSpawn, Task};
use md5::Digest as _;
use prometheus::Opts;
use proptest::prelude::*;

use super::*;

/// Runs jobs in the call, as the simulator does.
#[derive(Debug)]
struct Inline;

impl Spawn for Inline {
    fn task(&self, _name: &'static str, _future: BoxFuture<'static, ()>) -> Task {
        unreachable!("hashing starts no tasks")
    }
    fn blocking(&self, job: Job) {
        job();
    }
    fn thread(&self, _name: &str, _job: Job) -> Task {
        unreachable!("hashing starts no threads")
    }
}

fn lanes(kernel: Kernel) -> Arc<Md5Lanes> {
    with_spawn(kernel, Arc::new(Inline))
}

fn with_spawn(kernel: Kernel, spawn: Arc<dyn Spawn>) -> Arc<Md5Lanes> {
    let bytes = IntCounterVec::new(Opts::new("bytes", "Bytes hashed."), &["bodies"]).unwrap();
    Md5Lanes::new(kernel, spawn, bytes)
}

fn oracle(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

fn body(len: usize, seed: usize) -> Bytes {
    let byte = |at: usize| (at.wrapping_mul(0x9e37_79b9).wrapping_add(seed * 0x85eb) >> 7) as u8;
    (0..len).map(byte).collect()
}

/// Adds a piece for which there is room, and works.
fn add(stream: &Md5Stream, bytes: Bytes) {
    let room = stream.room().now_or_never().expect("there is room");
    stream.feed().add(bytes, room);
    stream.lanes.work();
}

/// Pieces of the stream that wait.
fn waiting(stream: &Md5Stream) -> usize {
    PIECES_MAX - stream.room.available_permits()
}

fn digest_now(stream: &Md5Stream) -> [u8; 16] {
    stream
        .end()
        .now_or_never()
        .expect("a stream that ended is hashed at once")
        .unwrap()
}

#[test]
fn a_lone_stream_is_hashed_at_once() {
    let lanes = lanes(Kernel::fastest());
    let stream = lanes.stream();
    let bytes = body(100_000, 1);
    add(&stream, bytes.slice(..70_001));
    assert_eq!(waiting(&stream), 0);
    add(&stream, bytes.slice(70_001..));
    assert_eq!(digest_now(&stream), oracle(&bytes));
}

#[test]
fn an_empty_stream_has_the_digest_of_nothing() {
    let lanes = lanes(Kernel::fastest());
    let stream = lanes.stream();
    assert_eq!(digest_now(&stream), oracle(b""));
}

#[test]
fn streams_wait_for_each_other_and_go_together() {
    let kernel = Kernel::fastest();
    let lanes = lanes(kernel);
    let count = kernel.lanes().min(8);
    let streams: Vec<Md5Stream> = (0..count).map(|_| lanes.stream()).collect();
    for (at, stream) in streams.iter().enumerate() {
        let before: usize = streams.iter().map(waiting).sum();
        assert_eq!(before, at, "nobody was hashed alone");
        add(stream, body(5_000, at));
    }
    assert_eq!(streams.iter().map(waiting).sum::<usize>(), 0);
    if count == 8 {
        let together = lanes.bytes.with_label_values(&["8-15"]);
        assert_eq!(together.get(), 8 * 5_000);
    }
    for (at, stream) in streams.iter().enumerate() {
        assert_eq!(digest_now(stream), oracle(&body(5_000, at)));
    }
}

#[test]
fn a_stream_that_ends_takes_the_others_along() {
    let lanes = lanes(Kernel::fastest());
    let [first, second, idle] = [(); 3].map(|()| lanes.stream());
    add(&first, body(70_000, 1));
    add(&second, body(90_000, 2));
    if Kernel::fastest().lanes() > 2 {
        assert_eq!((waiting(&first), waiting(&second)), (1, 1));
    }
    assert_eq!(digest_now(&second), oracle(&body(90_000, 2)));
    assert_eq!(waiting(&first), 0);
    drop(idle);
    assert_eq!(digest_now(&first), oracle(&body(70_000, 1)));
}

#[test]
fn a_stream_with_its_bound_waiting_does_not_wait_for_others() {
    let lanes = lanes(Kernel::fastest());
    let (busy, _idle) = (lanes.stream(), lanes.stream());
    for turn in 1..PIECES_MAX {
        add(&busy, body(1_000, turn));
    }
    assert_eq!(waiting(&busy) == 0, lanes.kernel.lanes() == 1);
    add(&busy, body(1_000, PIECES_MAX));
    assert!(waiting(&busy) < PIECES_MAX, "there is room again");
}

#[test]
fn what_waits_is_hashed_when_memory_is_short() {
    let lanes = lanes(Kernel::fastest());
    let (busy, _idle) = (lanes.stream(), lanes.stream());
    add(&busy, body(1_000, 1));
    let short = lanes.short();
    assert_eq!(waiting(&busy), 0);
    add(&busy, body(1_000, 2));
    assert_eq!(waiting(&busy), 0, "and so is what comes while it lasts");
    drop(short);
    assert_eq!(lanes.lock().short, 0);
}

#[test]
fn a_dropped_stream_lets_go_of_its_buffers_and_of_those_who_waited_for_it() {
    let lanes = lanes(Kernel::fastest());
    let (stays, goes) = (lanes.stream(), lanes.stream());
    add(&stays, body(1_000, 1));
    drop(goes);
    assert_eq!(waiting(&stays), 0);
    let _idle = lanes.stream();
    add(&stays, body(1_000, 2));
    let (room, feed) = (Arc::clone(&stays.room), stays.feed());
    let late = stays.room().now_or_never().expect("there is room");
    drop(stays);
    feed.add(body(1_000, 3), late);
    assert_eq!(room.available_permits(), PIECES_MAX);
    assert_eq!(lanes.lock().streams.len(), 1);
}

#[test]
fn a_second_thread_works_only_for_a_full_register() {
    let kernel = Kernel::fastest();
    let lanes = lanes(kernel);
    let streams: Vec<Md5Stream> = (0..kernel.lanes()).map(|_| lanes.stream()).collect();
    lanes.lock().running = 1;
    for (at, stream) in streams.iter().enumerate() {
        assert_eq!(waiting(stream), 0);
        add(stream, body(1_000, at));
        if at + 1 < streams.len() {
            assert_eq!(waiting(stream), 1);
        }
    }
    assert_eq!(streams.iter().map(waiting).sum::<usize>(), 0);
}

/// What happens to one of a few streams.
#[derive(Clone, Debug)]
enum Event {
    Add { stream: usize, len: usize },
    End { stream: usize },
    Drop { stream: usize },
    Short,
}

fn event() -> impl Strategy<Value = Event> {
    let stream = 0_usize..12;
    prop_oneof![
        12 => (stream.clone(), 0_usize..3_000)
            .prop_map(|(stream, len)| Event::Add { stream, len }),
        2 => stream.clone().prop_map(|stream| Event::End { stream }),
        1 => stream.prop_map(|stream| Event::Drop { stream }),
        1 => Just(Event::Short),
    ]
}

proptest! {
    #[test]
    fn every_stream_has_its_digest_whenever_others_start_end_and_vanish(
        events in prop::collection::vec(event(), 0..120),
    ) {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
            let lanes = lanes(kernel);
            let mut open: BTreeMap<usize, (Md5Stream, Vec<u8>)> = BTreeMap::new();
            for (turn, event) in events.iter().enumerate() {
                match *event {
                    Event::Add { stream, len } => {
                        let (stream, all) =
                            open.entry(stream).or_insert_with(|| (lanes.stream(), Vec::new()));
                        let piece = body(len, turn);
                        all.extend_from_slice(&piece);
                        add(stream, piece);
                    }
                    Event::End { stream } => {
                        if let Some((stream, all)) = open.remove(&stream) {
                            prop_assert_eq!(digest_now(&stream), oracle(&all));
                        }
                    }
                    Event::Drop { stream } => drop(open.remove(&stream)),
                    Event::Short => drop(lanes.short()),
                }
            }
            for (stream, all) in open.into_values() {
                prop_assert_eq!(digest_now(&stream), oracle(&all));
            }
            let state = lanes.lock();
            prop_assert!(state.streams.is_empty() && state.running == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bodies_on_many_threads_have_their_digests() {
    let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current(), 4));
    let lanes = with_spawn(Kernel::fastest(), spawn);
    let tasks = (0..40_usize).map(|seed| {
        let lanes = Arc::clone(&lanes);
        tokio::spawn(async move {
            let bytes = body(300_000 + 7_919 * seed, seed);
            let stream = lanes.stream();
            for piece in 0..bytes.len().div_ceil(60_000) {
                let room = stream.room().await;
                let end = bytes.len().min((piece + 1) * 60_000);
                let (feed, piece) = (stream.feed(), bytes.slice(piece * 60_000..end));
                if seed % 10 == 9 && piece.len() < 60_000 {
                    return; // This one's client is gone.
                }
                let done = tokio::task::spawn_blocking(move || {
                    feed.add(piece, room);
                    feed.work();
                });
                done.await.unwrap();
            }
            assert_eq!(stream.end().await.unwrap(), oracle(&bytes));
        })
    });
    let all = futures::future::join_all(tasks);
    let all = tokio::time::timeout(Duration::from_secs(120), all).await;
    all.expect("no body waits for ever")
        .into_iter()
        .for_each(|task| task.unwrap());
    assert!(lanes.lock().streams.is_empty());
}
