//! Cells on their way to the file system.
//!
//! Owns: the queue of a drive's cells, and the few threads that write them: who finds others at
//! work leaves its cell to them, so that a busy drive costs no thread's waking for each cell.
//! Leaves to others: places ([`super::stage`]), writing ([`super::part`]).
//! Always: cells are written in order of arrival, by at most [`WRITERS`] threads of a drive; a
//! queue that is not empty has a writer; reads and other drives are not kept waiting by a long
//! queue. Who asked for a write is told its end after the drive's state knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_protocol::WriteId;
use holdfast_protocol::rpc::DriveError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::part::{self, Part};
use super::stage::ended;
use super::state::Shared;

/// Threads that write a drive's cells at a time: one writes while the other's request is on its
/// way.
const WRITERS: usize = 2;
/// Cells that a thread writes before it lets others have their turn.
const TURN: usize = 4;

/// The cells of one drive that wait, and who writes them.
#[derive(Debug, Default)]
pub(crate) struct Writes(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    writers: usize,
}

#[derive(Debug)]
struct Job {
    part: Part,
    write: WriteId,
    shard: u8,
    written: oneshot::Sender<Result<(), DriveError>>,
}

/// A thread that writes. If it is unwound, another may take its place.
struct Writer {
    shared: Arc<Shared>,
    over: bool,
}

impl Writes {
    /// Adds a cell; whether a thread has to be started for it.
    fn add(&self, job: Job) -> bool {
        let mut queue = self.0.lock();
        queue.waiting.push_back(job);
        let wanted = queue.writers < WRITERS;
        queue.writers += usize::from(wanted);
        wanted
    }
}

impl Writer {
    /// Writes cells until none waits, or until it is the turn of what waits for the same threads.
    fn work(mut self) {
        for _ in 0..TURN {
            let Some(job) = self.next() else { return };
            let written = part::write(&self.shared.files, [&job.part]);
            let error = written.as_ref().err();
            ended(&self.shared, job.write, job.shard, error);
            // Nobody is there if whoever asked was dropped meanwhile.
            let _ = job.written.send(written);
        }
        let spawn = Arc::clone(&self.shared.world.spawn);
        spawn.blocking(Box::new(move || self.work()));
    }

    /// The next cell; `None` if there is none, and the thread no longer counts.
    fn next(&mut self) -> Option<Job> {
        let mut queue = self.shared.writes.0.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.writers -= 1;
            self.over = true;
        }
        next
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.over {
            self.shared.writes.0.lock().writers -= 1;
        }
    }
}

/// Writes part of a shard that was admitted, and notes its end.
///
/// # Errors
/// `Io`, `OutOfService`: as [`part::write`].
pub(crate) async fn write(
    shared: &Arc<Shared>,
    write: WriteId,
    shard: u8,
    part: Part,
) -> Result<(), DriveError> {
    let (written, receive) = oneshot::channel();
    let job = Job {
        part,
        write,
        shard,
        written,
    };
    if shared.writes.add(job) {
        let writer = Writer {
            shared: Arc::clone(shared),
            over: false,
        };
        shared.world.spawn.blocking(Box::new(move || writer.work()));
    }
    receive.await.unwrap_or_else(|_| {
        Err(DriveError::Io {
            what: "shutting down".to_owned(),
        })
    })
}
