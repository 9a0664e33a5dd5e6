//! One thread, virtual time, and the order in which tasks run.
//!
//! Owns: tasks of all simulated processes, timers, the clock, the hash of what happened.
//! Leaves to others: what the tasks do.
//! Always: which task runs next is drawn from the seed among those that are ready, whatever woke
//! them in which order; time stands still while any is. A killed process runs nothing more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use holdfast_seam::{BoxFuture, Clock, Job, Monotonic, Spawn, Task};
use tokio::sync::oneshot;

use crate::dice::Dice;

/// What a seed's wall clock shows at the start, in milliseconds since 1970.
const WALL_START_MS: u64 = 1_800_000_000_000;
/// Polls without time passing that count as running in a circle.
const CIRCLE_POLLS: u64 = 2_000_000;
/// Lines of the trace that are kept.
const TAIL_LINES: usize = 120;

/// Whether every line of the trace is printed as it comes.
pub static PRINTS_NOTES: AtomicBool = AtomicBool::new(false);

/// A simulated process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

/// The process of clients and director, which nothing kills.
pub const OUTSIDE: ProcessId = ProcessId(0);

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Nothing is ready and no timer is set.
    Deadlock,
    /// Tasks wake each other for ever while time stands still.
    Circle,
}

struct Slot {
    process: ProcessId,
    name: String,
    /// Taken out while it runs.
    future: Option<BoxFuture<'static, ()>>,
    _done: oneshot::Sender<()>,
}

struct State {
    now: u64,
    next_task: u64,
    next_timer: u64,
    next_process: u32,
    tasks: BTreeMap<u64, Slot>,
    timers: BTreeMap<(u64, u64), Waker>,
    dead: BTreeSet<ProcessId>,
    /// Processes that sleep, and what of them was woken meanwhile.
    asleep: BTreeMap<ProcessId, Vec<u64>>,
    dice: Dice,
    polls: u64,
    still: u64,
    hash: u64,
    tail: VecDeque<String>,
}

#[derive(Default)]
struct Ready(Mutex<BTreeSet<u64>>);

impl Ready {
    fn set(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    id: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.set().insert(self.id);
    }
}

/// The executor. Clones are the same one.
#[derive(Clone)]
pub struct Exec {
    state: Arc<Mutex<State>>,
    ready: Arc<Ready>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exec")
    }
}

impl Exec {
    /// An executor whose choices come from `dice`.
    pub fn new(dice: Dice) -> Self {
        let state = State {
            now: 0,
            next_task: 1,
            next_timer: 1,
            next_process: 1,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            dead: BTreeSet::new(),
            asleep: BTreeMap::new(),
            dice,
            polls: 0,
            still: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            tail: VecDeque::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            ready: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.state().now
    }

    /// Tasks polled so far.
    pub fn polls(&self) -> u64 {
        self.state().polls
    }

    /// The hash of everything that happened so far.
    pub fn hash(&self) -> u64 {
        self.state().hash
    }

    /// Adds to the trace: to its hash, and to its tail.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let line = line();
        let mut state = self.state();
        line.bytes().for_each(|byte| state.mix(u64::from(byte)));
        let at = Duration::from_nanos(state.now);
        if PRINTS_NOTES.load(Ordering::Relaxed) {
            println!("{at:>14.6?}  {line}");
        }
        if state.tail.len() == TAIL_LINES {
            state.tail.pop_front();
        }
        state.tail.push_back(format!("{at:>14.6?}  {line}"));
    }

    /// The last lines of the trace.
    pub fn tail(&self) -> Vec<String> {
        self.state().tail.iter().cloned().collect()
    }

    /// A new process.
    pub fn process(&self) -> ProcessId {
        let mut state = self.state();
        let id = ProcessId(state.next_process);
        state.next_process += 1;
        id
    }

    /// Starts a task.
    pub fn spawn(&self, process: ProcessId, name: &str, future: BoxFuture<'static, ()>) -> Task {
        let (send, done) = oneshot::channel();
        let mut state = self.state();
        if state.dead.contains(&process) {
            drop(state);
            drop(future);
            return Task::new(None, done);
        }
        let id = state.next_task;
        state.next_task += 1;
        let slot = Slot {
            process,
            name: name.to_owned(),
            future: Some(future),
            _done: send,
        };
        state.tasks.insert(id, slot);
        drop(state);
        self.ready.set().insert(id);
        let exec = self.clone();
        Task::new(Some(Box::new(move || exec.end(id))), done)
    }

    /// Ends one task.
    fn end(&self, id: u64) {
        let slot = self.state().tasks.remove(&id);
        drop(slot);
    }

    /// Ends a process: all its tasks, at once.
    pub fn kill(&self, process: ProcessId) {
        let mut state = self.state();
        state.dead.insert(process);
        state.asleep.remove(&process);
        let ids: Vec<u64> = state
            .tasks
            .iter()
            .filter(|(_, slot)| slot.process == process)
            .map(|(id, _)| *id)
            .collect();
        let slots: Vec<Slot> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        drop(state);
        drop(slots);
    }

    /// Suspends a process: until it wakes, none of its tasks runs, while time goes on.
    pub fn suspend(&self, process: ProcessId) {
        self.state().asleep.entry(process).or_default();
    }

    /// Wakes a process; what was due meanwhile is due now.
    pub fn resume(&self, process: ProcessId) {
        let due = self.state().asleep.remove(&process).unwrap_or_default();
        self.ready.set().extend(due);
    }

    /// Ends everything, so that nothing keeps itself alive.
    pub fn shut_down(&self) {
        let mut state = self.state();
        let tasks = std::mem::take(&mut state.tasks);
        for process in 0..state.next_process {
            state.dead.insert(ProcessId(process));
        }
        drop(state);
        drop(tasks);
        let timers = std::mem::take(&mut self.state().timers);
        drop(timers);
    }

    /// Whether the process was killed.
    pub fn is_dead(&self, process: ProcessId) -> bool {
        self.state().dead.contains(&process)
    }

    /// Names of the tasks of a process, for the reader of a failure.
    pub fn tasks_of(&self, process: ProcessId) -> Vec<String> {
        let state = self.state();
        let of = state.tasks.values().filter(|slot| slot.process == process);
        of.map(|slot| slot.name.clone()).collect()
    }

    /// Runs one task, or lets time pass to the next timer.
    ///
    /// # Errors
    /// When nothing can happen any more.
    pub fn step(&self) -> Result<(), Stall> {
        match self.choose() {
            Some(id) => {
                self.poll(id);
                let mut state = self.state();
                state.still += 1;
                match state.still > CIRCLE_POLLS {
                    true => Err(Stall::Circle),
                    false => Ok(()),
                }
            }
            None => self.pass(),
        }
    }

    fn choose(&self) -> Option<u64> {
        let mut ready = self.ready.set();
        let count = ready.len() as u64;
        let at = match count {
            0 => return None,
            1 => 0,
            count => self.state().dice.below(count),
        };
        let id = *ready.iter().nth(at as usize)?;
        ready.remove(&id);
        Some(id)
    }

    fn poll(&self, id: u64) {
        let mut future = {
            let mut state = self.state();
            let state = &mut *state;
            let now = state.now;
            let Some(slot) = state.tasks.get_mut(&id) else {
                return;
            };
            if let Some(due) = state.asleep.get_mut(&slot.process) {
                due.push(id);
                return;
            }
            let Some(future) = slot.future.take() else {
                return;
            };
            state.polls += 1;
            state.mix(id);
            state.mix(now);
            future
        };
        let ready = Arc::clone(&self.ready);
        let waker = Waker::from(Arc::new(TaskWaker { id, ready }));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = self.state();
        let ended = match polled {
            Poll::Ready(()) => state.tasks.remove(&id),
            Poll::Pending => {
                if let Some(slot) = state.tasks.get_mut(&id) {
                    slot.future = Some(future);
                    return;
                }
                // Killed while it ran.
                None
            }
        };
        drop(state);
        drop(ended);
    }

    fn pass(&self) -> Result<(), Stall> {
        let mut state = self.state();
        let Some((&(at, _), _)) = state.timers.first_key_value() else {
            return Err(Stall::Deadlock);
        };
        state.now = state.now.max(at);
        state.still = 0;
        let mut due = Vec::new();
        while let Some(entry) = state.timers.first_entry()
            && entry.key().0 <= at
        {
            due.push(entry.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn set_timer(&self, at: u64, old: Option<(u64, u64)>, waker: Waker) -> (u64, u64) {
        let mut state = self.state();
        let key = old.unwrap_or_else(|| {
            state.next_timer += 1;
            (at, state.next_timer)
        });
        let replaced = state.timers.insert(key, waker);
        drop(state);
        drop(replaced);
        key
    }

    /// Completes at a moment.
    pub fn until(&self, at: u64) -> Sleep {
        Sleep {
            exec: self.clone(),
            at,
            key: None,
        }
    }

    /// Completes after a time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.until(self.now().saturating_add(nanos))
    }
}

impl State {
    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }
}

/// A wait for a moment.
pub struct Sleep {
    exec: Exec,
    at: u64,
    key: Option<(u64, u64)>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep({})", self.at)
    }
}

impl Sleep {
    /// The moment.
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.exec.now() >= self.at {
            return Poll::Ready(());
        }
        let key = self.exec.set_timer(self.at, self.key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.exec.state().timers.remove(&key);
            drop(waker);
        }
    }
}

impl Clock for Exec {
    fn now(&self) -> Monotonic {
        Monotonic(Self::now(self))
    }
    fn unix_ms(&self) -> u64 {
        WALL_START_MS + Self::now(self) / 1_000_000
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Self::sleep(self, duration))
    }
}

/// Tasks and blocking work of one process.
#[derive(Debug)]
pub struct SimSpawn {
    exec: Exec,
    process: ProcessId,
    dice: Mutex<Dice>,
    /// How long blocking work takes at most, in nanoseconds.
    job_ns_max: u64,
}

impl SimSpawn {
    /// Spawns into `process`; a blocking job takes up to `job_max`.
    pub fn new(exec: Exec, process: ProcessId, dice: Dice, job_max: Duration) -> Self {
        Self {
            exec,
            process,
            dice: Mutex::new(dice),
            job_ns_max: u64::try_from(job_max.as_nanos()).unwrap_or(u64::MAX).max(2),
        }
    }

    fn job(&self, name: &str, job: Job) -> Task {
        let pause = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            let max = match dice.permille(20) {
                true => self.job_ns_max * 10,
                false => self.job_ns_max,
            };
            dice.within(1..max)
        };
        let sleep = self.exec.sleep(Duration::from_nanos(pause));
        let work = async move {
            sleep.await;
            job();
        };
        self.exec.spawn(self.process, name, Box::pin(work))
    }
}

impl Spawn for SimSpawn {
    fn task(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        self.exec.spawn(self.process, name, future)
    }
    fn blocking(&self, job: Job) {
        drop(self.job("blocking", job));
    }
    fn thread(&self, name: &str, job: Job) -> Task {
        self.job(name, job)
    }
}
