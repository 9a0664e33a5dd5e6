//! A pool of threads.
//!
//! Owns: the queue of jobs, and the threads that take them.
//! Leaves to others: how many jobs wait.
//! Always: jobs start in order of arrival; a job that panics ends alone; the threads end when the
//! pool is dropped and its queue is empty.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Job;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Threads, and the jobs that wait for them.
pub(super) struct Pool {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts `threads` threads called `name-0`, `name-1`, …
    pub(super) fn new(name: &'static str, threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || while run_one(&shared) {})
                .expect("the system starts a thread");
        }
        Self { name, shared }
    }

    /// Adds a job, and wakes a thread if one waits.
    pub(super) fn push(&self, job: Job) {
        self.shared.queue.lock().jobs.push_back(job);
        self.shared.changed.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.queue.lock().jobs.len();
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("waiting", &waiting)
            .finish()
    }
}

/// Waits for a job and runs it; `false` if there will be none.
fn run_one(shared: &Shared) -> bool {
    let mut queue = shared.queue.lock();
    let job = loop {
        if let Some(job) = queue.jobs.pop_front() {
            break job;
        }
        if queue.closed {
            return false;
        }
        shared.changed.wait(&mut queue);
    };
    drop(queue);
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a job of the pool panicked");
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_start_in_order_and_a_panic_ends_only_its_own() {
        let pool = Pool::new("test", 1);
        let (send, receive) = mpsc::channel();
        for number in 0..10 {
            let send = send.clone();
            pool.push(Box::new(move || {
                assert!(number != 4, "on purpose");
                send.send(number).unwrap();
            }));
        }
        drop(send);
        let order: Vec<i32> = receive.iter().collect();
        assert_eq!(order, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn what_waits_when_the_pool_is_dropped_still_runs() {
        let pool = Pool::new("test", 2);
        let (send, receive) = mpsc::channel();
        for number in 0..100 {
            let send = send.clone();
            pool.push(Box::new(move || send.send(number).unwrap()));
        }
        drop((pool, send));
        assert_eq!(receive.iter().count(), 100);
    }
}
