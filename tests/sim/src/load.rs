//! Clients: what they ask, and what they write down.
//!
//! Owns: drawing operations, running them in the gateway's process, judging bytes, the history.
//! Leaves to others: whether the history is right ([`crate::history`]).
//! Always: an operation is written down with a window that contains it, and as unknown unless its
//! answer says otherwise.

mod brief;
mod client;
mod door;
mod multipart;
mod versions;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use holdfast_gateway::{BucketName, ObjectKey};
use tokio::sync::oneshot;

use crate::book::Book;
use crate::dice::Dice;
use crate::exec::{Exec, OUTSIDE};
use crate::front;
use crate::gateway::Running;
use crate::history::{Action, Operation, Outcome};
use crate::net::{Host, SimNetwork};
use crate::plan::Plan;
use crate::values::Values;
use door::s3::{Kept, S3};
use door::{At, Door, Ended, Got};

/// The bucket that clients use.
pub const BUCKET: &str = "bucket";
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The client that reads everything in the end; it never gives up early.
const AUDITOR: u32 = 1000;
/// The host of the first client.
const CLIENT_HOST: Host = 1000;
/// S3's least part, in bytes.
const PART_LEN_MIN: usize = 5 << 20;

/// What all clients share.
#[derive(Clone, Debug)]
pub struct Load {
    /// The executor.
    pub exec: Exec,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The values.
    pub values: Values,
    network: SimNetwork,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    gateway: Mutex<Option<Arc<Running>>>,
    /// One that another took over from; some clients have not heard of that.
    old: Mutex<Option<Arc<Running>>>,
    history: Mutex<Vec<Operation>>,
    /// Of the bucket that keeps versions.
    book: Mutex<Book>,
    /// Bytes that were served and must not have been.
    wrong: Mutex<Vec<String>>,
    ticks: AtomicU64,
    begun: AtomicU64,
    acknowledged: AtomicU64,
    running: AtomicU64,
    stop: AtomicBool,
    /// The director waits for something else than operations.
    is_slow: AtomicBool,
    /// A drive is full, and somebody should notice.
    is_hungry: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bucket that clients make and delete.
const BRIEF: &str = "brief";
/// How keys in it begin.
const BRIEF_KEYS: &str = "~";

/// The bucket that keeps versions.
const KEPT: &str = "kept";
/// How keys in it begin.
const KEPT_KEYS: &str = "^";

/// What lists everything, bucket by bucket.
pub const PREFIXES: [&str; 2] = ["", BRIEF_KEYS];

/// The bucket of a key, or of keys that begin so.
fn bucket_of(key: &str) -> BucketName {
    let name = match key.chars().next() {
        Some('~') => BRIEF,
        Some('^') => KEPT,
        _ => BUCKET,
    };
    BucketName::parse(name).expect("it is a name")
}

/// The name of the bucket that keeps versions.
pub fn kept_bucket() -> BucketName {
    bucket_of(KEPT_KEYS)
}

/// The name of the bucket.
pub fn bucket() -> BucketName {
    BucketName::parse(BUCKET).expect("it is a name")
}

fn object_key(key: &str) -> ObjectKey {
    ObjectKey::parse(key).expect("it is a key")
}

fn at(key: &str) -> At {
    At {
        bucket: bucket_of(key),
        key: object_key(key),
    }
}

/// What a failed operation means for the history.
fn outcome_of(ended: &Ended) -> Outcome {
    match ended {
        Ended::Silent => Outcome::Unknown,
        Ended::NoSuchKey => Outcome::NotFound,
        Ended::NotMet => Outcome::PreconditionFailed,
        Ended::Conflict => Outcome::Conflict,
        Ended::Failed(_) => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

impl Load {
    /// Clients of a plan, not yet at work.
    pub fn new(exec: Exec, plan: &Plan, network: SimNetwork) -> Self {
        Self {
            exec,
            plan: Arc::new(plan.clone()),
            values: Values::default(),
            network,
            shared: Arc::default(),
        }
    }

    /// Sets which gateway is asked from now on.
    pub fn set_gateway(&self, gateway: Option<Arc<Running>>) {
        *lock(&self.shared.gateway) = gateway;
    }

    /// The gateway that is asked.
    pub fn gateway(&self) -> Option<Arc<Running>> {
        lock(&self.shared.gateway).clone()
    }

    /// Sets which gateway is asked by mistake.
    pub fn set_old(&self, gateway: Option<Arc<Running>>) {
        *lock(&self.shared.old) = gateway;
    }

    /// Operations begun.
    pub fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// Operations that got an answer that is none of the 5xx.
    pub fn answered(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets the clients pause longer, or no longer.
    pub fn slow_down(&self, is_slow: bool) {
        self.shared.is_slow.store(is_slow, Ordering::Relaxed);
    }

    /// Has the clients write more, or no longer.
    pub fn feed(&self, is_hungry: bool) {
        self.shared.is_hungry.store(is_hungry, Ordering::Relaxed);
    }

    /// Has the clients end.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the clients are to end.
    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Clients at work.
    pub fn running(&self) -> u64 {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// What they wrote down.
    pub fn history(&self) -> Vec<Operation> {
        lock(&self.shared.history).clone()
    }

    /// Wrong bytes that were served.
    pub fn wrong(&self) -> Vec<String> {
        lock(&self.shared.wrong).clone()
    }

    fn tick(&self) -> u64 {
        self.shared.ticks.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts all clients.
    pub fn start(&self, dice: &mut Dice) {
        for number in 0..self.plan.clients {
            self.shared.running.fetch_add(1, Ordering::Relaxed);
            let mut client = Client {
                load: self.clone(),
                dice: dice.fork(),
                number,
                kept: Kept::default(),
            };
            let work = async move {
                client.run().await;
                client.load.shared.running.fetch_sub(1, Ordering::Relaxed);
            };
            self.exec.spawn(OUTSIDE, "client", Box::pin(work));
        }
    }

    /// The keys in use.
    pub fn keys(&self) -> Vec<String> {
        let brief = (0..3).map(brief_name);
        (0..self.plan.keys).map(key_name).chain(brief).collect()
    }

    /// A client for what the director asks.
    pub fn auditor(&self, dice: Dice) -> Client {
        Client {
            load: self.clone(),
            dice,
            number: AUDITOR,
            kept: Kept::default(),
        }
    }

    fn record(&self, client: u32, call: u64, action: Action, outcome: Outcome) {
        let end = self.tick();
        self.count(!matches!(outcome, Outcome::Failed | Outcome::Unknown));
        let operation = Operation {
            client,
            call,
            end,
            action,
            outcome,
        };
        self.exec.note(|| format!("{operation:?}"));
        lock(&self.shared.history).push(operation);
    }

    fn count(&self, is_answered: bool) {
        let answered = u64::from(is_answered);
        self.shared
            .acknowledged
            .fetch_add(answered, Ordering::Relaxed);
    }

    fn served_wrong(&self, what: String) {
        self.exec.note(|| format!("WRONG {what}"));
        lock(&self.shared.wrong).push(what);
    }
}

fn key_name(number: u64) -> String {
    match number % 3 {
        0 => format!("a/{number}"),
        1 => format!("b{number}"),
        _ => format!("k/{}/{number}", number % 5),
    }
}

fn brief_name(number: u64) -> String {
    format!("{BRIEF_KEYS}{number}")
}

/// `bucket/key`.
pub fn full(key: &str) -> String {
    format!("{}/{key}", bucket_of(key))
}

/// One client.
pub struct Client {
    load: Load,
    dice: Dice,
    number: u32,
    kept: Kept,
}

impl Client {
    async fn run(&mut self) {
        while !self.load.is_over() {
            let is_slow = self.load.shared.is_slow.load(Ordering::Relaxed);
            let pause = match is_slow || self.dice.permille(50) {
                true => self.dice.within(1..200_000) * if is_slow { 20 } else { 1 },
                false => self.dice.within(1..3000),
            };
            self.load.exec.sleep(Duration::from_micros(pause)).await;
            if self.load.gateway().is_none() {
                continue;
            }
            self.load.shared.begun.fetch_add(1, Ordering::Relaxed);
            self.one().await;
        }
    }

    async fn one(&mut self) {
        if self.dice.permille(60) {
            return self.brief().await;
        }
        if self.dice.permille(120) {
            return self.kept().await;
        }
        let number = self.dice.below(self.load.plan.keys);
        let key = key_name(number);
        if self.load.plan.has_cleaners && self.dice.permille(300) {
            self.delete(&key).await;
            return;
        }
        match self.dice.below(100) {
            0..30 => self.put(&key, false).await,
            30..40 => self.put(&key, true).await,
            40..60 => self.get(&key, false).await,
            60..68 => self.get(&key, true).await,
            68..75 => self.head(&key).await,
            75..80 => self.list().await,
            80..90 => _ = self.delete(&key).await,
            90..95 => self.copy(&key).await,
            _ => self.multipart(&key).await,
        }
    }

    /// The gateway that this client takes for the one that serves.
    fn addressed(&mut self) -> Option<Arc<Running>> {
        let old = lock(&self.load.shared.old).clone();
        match old {
            Some(old) if self.number != AUDITOR && self.dice.permille(250) => Some(old),
            _ => self.load.gateway(),
        }
    }

    /// The way to that gateway.
    fn door(&mut self) -> Option<Door> {
        let running = self.addressed()?;
        if !self.load.plan.through_front {
            return Some(Door::Inside(running));
        }
        Some(Door::Front(Box::new(S3 {
            exec: self.load.exec.clone(),
            net: self.load.network.of(CLIENT_HOST + self.number as Host),
            addr: front::addr(running.host),
            dice: self.dice.fork(),
            // What it asks must be answered, and a kept connection may be closed at any moment.
            kept: match self.number {
                AUDITOR => Kept::default(),
                _ => Arc::clone(&self.kept),
            },
        })))
    }

    /// Runs `work`, in the gateway's process or outside.
    async fn ask<T, W, F>(&mut self, work: W) -> Got<T>
    where
        T: Send + 'static,
        W: FnOnce(Door) -> F,
        F: Future<Output = Got<T>> + Send + 'static,
    {
        let door = self.door().ok_or(Ended::Silent)?;
        let process = door.process();
        let (send, receive) = oneshot::channel();
        let work = work(door);
        let work = async move {
            let _ = send.send(work.await);
        };
        let task = self.load.exec.spawn(process, "request", Box::pin(work));
        let is_impatient = self.dice.permille(self.load.plan.impatient_permille);
        let patience = match is_impatient && self.number != AUDITOR {
            true => Duration::from_micros(self.dice.within(1..20_000)),
            false => PATIENCE,
        };
        match select(receive, self.load.exec.sleep(patience)).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Ended::Silent)),
            Either::Right(_) => {
                task.abort();
                Err(Ended::Silent)
            }
        }
    }
}
