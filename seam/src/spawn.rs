//! Tasks and threads.
//!
//! Owns: starting asynchronous tasks, blocking work on a bounded pool, and long-lived threads.
//! Leaves to others: what they do; each task has an owner that joins or aborts it.
//! Always: blocking work runs on `io_threads` threads at most and in order of arrival, and so does
//! computing on a thread per core.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pool::Pool;
use tokio::sync::oneshot;

mod pool;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Blocking work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Ends a task at its next suspension.
pub type Abort = Box<dyn Fn() + Send + Sync>;

/// A running task. Dropping it leaves the task running; [`Task::abort`] ends it.
pub struct Task {
    abort: Option<Abort>,
    done: oneshot::Receiver<()>,
}

impl Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Task {
    /// A task whose end is told by `done` (sent or dropped), and that `abort`, if given, ends.
    pub fn new(abort: Option<Abort>, done: oneshot::Receiver<()>) -> Self {
        Self { abort, done }
    }
    /// Ends the task at its next suspension.
    pub fn abort(&self) {
        if let Some(abort) = &self.abort {
            abort();
        }
    }
}

impl Future for Task {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.done).poll(cx).map(|_| ())
    }
}

/// Starting tasks and threads.
pub trait Spawn: Send + Sync + Debug {
    /// Runs `future` as a task.
    fn task(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;
    /// Runs `job` on the pool for blocking work. The job reports its result itself.
    fn blocking(&self, job: Job);
    /// Runs `job`, which computes and waits for nothing, on the pool for that: it is not behind
    /// jobs that wait for files. The job reports its result itself. Simulated forms have one pool.
    fn computing(&self, job: Job) {
        self.blocking(job);
    }
    /// Runs `job` on a thread of its own (simulated forms may run it as a task). Complete when it
    /// ends.
    fn thread(&self, name: &str, job: Job) -> Task;
    /// Runs `future`, which may block between its suspensions, away from other tasks: on a thread
    /// of its own where there are threads. Complete when it ends. Simulated forms may leave it to
    /// [`Spawn::task`].
    fn dedicated(&self, name: &str, future: BoxFuture<'static, ()>) -> Task {
        let _ = name;
        self.task("dedicated", future)
    }
}

/// Runs `work` on the pool for blocking work of `spawn` and waits for its result.
///
/// `None` if the pool dropped the work (shutdown) or it panicked.
pub async fn blocking<T: Send + 'static>(
    spawn: &dyn Spawn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (job, receive) = reporting(work);
    spawn.blocking(job);
    receive.await.ok()
}

/// Runs `work` on the pool for computing of `spawn` and waits for its result.
///
/// `None` if the pool dropped the work (shutdown) or it panicked.
pub async fn computing<T: Send + 'static>(
    spawn: &dyn Spawn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (job, receive) = reporting(work);
    spawn.computing(job);
    receive.await.ok()
}

fn reporting<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Job, oneshot::Receiver<T>) {
    let (send, receive) = oneshot::channel();
    let job = Box::new(move || {
        let _ = send.send(work());
    });
    (job, receive)
}

/// tokio's tasks, a pool of threads for blocking work, and one for computing.
#[derive(Debug)]
pub struct RealSpawn {
    handle: tokio::runtime::Handle,
    files: Pool,
    computing: Pool,
}

impl RealSpawn {
    /// Uses `handle` for tasks; starts `io_threads` (at least one) threads for blocking work and
    /// one per core for computing, so that neither waits behind the other.
    ///
    /// The queues of jobs are bounded by what their users admit (permits of gateway and node), not
    /// here.
    pub fn new(handle: tokio::runtime::Handle, io_threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            handle,
            files: Pool::new("io", io_threads.max(1)),
            computing: Pool::new("cpu", cores),
        }
    }
}

impl Spawn for RealSpawn {
    fn task(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let (send, done) = oneshot::channel();
        let handle = self.handle.spawn(async move {
            future.await;
            let _ = send.send(());
        });
        let handle = handle.abort_handle();
        Task::new(Some(Box::new(move || handle.abort())), done)
    }
    fn blocking(&self, job: Job) {
        self.files.push(job);
    }
    fn computing(&self, job: Job) {
        self.computing.push(job);
    }
    fn thread(&self, name: &str, job: Job) -> Task {
        let (send, done) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                job();
                let _ = send.send(());
            })
            .expect("the system starts a thread");
        Task::new(None, done)
    }
    fn dedicated(&self, name: &str, future: BoxFuture<'static, ()>) -> Task {
        let handle = self.handle.clone();
        self.thread(name, Box::new(move || handle.block_on(future)))
    }
}
