//! What goes wrong when, and what operators do about it.
//!
//! Owns: the order of a run; injecting the plan's faults and ending them; restarting what must be.
//! Leaves to others: drawing them ([`crate::plan`]), judging ([`crate::verdict`]).
//! Always: no bytes are destroyed on a second drive before the cluster is whole again, nor on a
//! drive without which a version cannot be read that was shown but not acknowledged.

mod brink;
mod effects;
mod faults;
mod rest;
mod takeover;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_gateway::object::Objects;
use holdfast_gateway::settings::{Settings, Versioning};
use holdfast_index::{Index, MemoryIndex};
use holdfast_protocol::{DriveId, IndexId};

use crate::cluster::{Cluster, Rot};
use crate::dice::Dice;
use crate::exec::Exec;
use crate::gateway::{Gateway, Leasing, Progress, REBUILT, Running, Start};
use crate::load::{Load, bucket, kept_bucket};
use crate::net::Host;
use crate::plan::{Fault, FaultKind, Plan};
use crate::verdict;
use brink::Shown;
pub use effects::{EFFECTS_MIN, Injected};

/// How often the director looks.
const TICK: Duration = Duration::from_millis(5);
/// How drives refuse an index that another was rebuilt for.
const GIVEN_UP: &str = "rebuild the index from the drives";
/// How often it looks at what all drives hold, in ticks.
const LOOK_TICKS: u64 = 50;
/// How long the cluster may take to be whole, once nothing is broken any more.
const HEAL_MAX: Duration = Duration::from_secs(40 * 60);
/// How long a gateway may take to serve, once nothing is broken any more.
const START_MAX: Duration = Duration::from_secs(10 * 60);
/// Faults on top of a plan at most, and operations after each.
const EXTRA_MAX: usize = 9;
const EXTRA_OPS: u64 = 60;
/// Pause of a process manager before it starts a gateway again.
const RESTART: Duration = Duration::from_millis(200);

/// How a fault ends.
#[derive(Debug)]
enum Ending {
    StartNode(usize),
    RestartNode(usize),
    Mend(Vec<(Host, Host)>),
    Fast(Host),
    Roomy(usize, usize),
    Rot(DriveId, u64, Rot),
    ReadRight(DriveId),
    StartGateway,
    AskOld,
    WakeOld,
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of invariant.
    pub what: &'static str,
    /// What was found.
    pub why: String,
}

/// A failure.
pub fn failure(what: &'static str, why: impl Into<String>) -> Failure {
    let why = why.into();
    Failure { what, why }
}

type Done<T> = std::result::Result<T, Failure>;

/// Runs a plan.
#[derive(Debug)]
pub struct Director {
    /// The nodes.
    pub cluster: Arc<Mutex<Cluster>>,
    /// The clients.
    pub load: Load,
    /// The executor.
    pub exec: Exec,
    /// The plan.
    pub plan: Plan,
    /// Randomness for what is not in the plan.
    pub dice: Dice,
    gateway: Option<Gateway>,
    /// One that another took over from, and that has not ended.
    old: Option<takeover::Old>,
    leasing: Option<Leasing>,
    /// The index while no gateway runs.
    memory: Option<MemoryIndex>,
    start: Start,
    snapshot: Option<MemoryIndex>,
    endings: Vec<(u64, Ending)>,
    effects: effects::Effects,
    /// How taking in a new drive ended.
    take_in: Arc<Mutex<Option<Result<(), String>>>>,
    taking: Option<(crate::exec::ProcessId, u64)>,
    indexes: u128,
    /// Bytes were destroyed, and the cluster was not seen whole since.
    has_lost: bool,
    shown: Shown,
    ticks: u64,
}

impl Director {
    /// Directs `cluster` and `load` by `plan`.
    pub fn new(
        cluster: Arc<Mutex<Cluster>>,
        load: Load,
        exec: Exec,
        plan: Plan,
        dice: Dice,
    ) -> Self {
        Self {
            leasing: plan.lease.map(Leasing::new),
            cluster,
            load,
            exec,
            plan,
            dice,
            gateway: None,
            old: None,
            memory: Some(MemoryIndex::new(IndexId::new(1))),
            start: Start::Normal,
            snapshot: None,
            endings: Vec::new(),
            effects: effects::Effects::default(),
            take_in: Arc::default(),
            taking: None,
            indexes: 1,
            has_lost: false,
            shown: Shown::default(),
            ticks: 0,
        }
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Faults that were made, and those of them that took effect.
    pub fn injected(&self) -> &Injected {
        self.effects.injected()
    }

    /// Starts everything, does what the plan says, and brings the cluster to rest.
    ///
    /// # Errors
    /// What did not hold on the way.
    pub async fn run(&mut self) -> Done<()> {
        for node in 0..self.plan.nodes {
            self.cluster().start(node);
        }
        self.start_gateway();
        let running = self.serving().await?;
        let keeps = Settings {
            versioning: Some(Versioning::Enabled),
            ..Settings::default()
        };
        for (name, settings) in [(bucket(), Settings::default()), (kept_bucket(), keeps)] {
            let made = running.service.create_bucket(&name, "owner", settings);
            let made = made.await;
            made.map_err(|error| failure("start", format!("make the bucket {name}: {error}")))?;
        }
        let mut dice = self.dice.fork();
        self.load.start(&mut dice);
        for fault in self.plan.faults.clone() {
            self.load.slow_down(false);
            while self.load.begun() < fault.after_ops {
                self.tick().await?;
            }
            self.inject(fault).await?;
        }
        self.load.slow_down(false);
        while self.load.begun() < self.plan.ops {
            self.tick().await?;
        }
        self.make_worthwhile().await?;
        self.load.stop();
        while self.load.running() > 0 {
            self.tick().await?;
        }
        // A rebuild must equal its index; from the next start on nothing changes it any more.
        self.cluster().plan.upload_age = Duration::ZERO;
        self.end_all().await?;
        if self.corrupt_drive().is_some() {
            self.calm().await?;
            verdict::read_in_time(self).await?;
        }
        self.heal_rot().await?;
        self.replace_corrupt().await?;
        self.whole().await
    }

    /// Crashes on top of a plan of which too little took effect.
    async fn make_worthwhile(&mut self) -> Done<()> {
        let kinds = [
            FaultKind::AllPower,
            FaultKind::GatewayCrash,
            FaultKind::NodeKill,
        ];
        let is_judged = self.plan.faults.len() as u64 >= EFFECTS_MIN;
        for kind in kinds.into_iter().cycle().take(EXTRA_MAX) {
            if !is_judged || self.injected().is_worthwhile() {
                break;
            }
            let fault = Fault {
                after_ops: self.load.begun(),
                kind,
                target: self.dice.u64(),
                lasts: Duration::from_millis(self.dice.within(1..5000)),
                draw: self.dice.u64(),
            };
            self.inject(fault).await?;
            let begun = self.load.begun() + EXTRA_OPS;
            while self.load.begun() < begun {
                self.tick().await?;
            }
        }
        Ok(())
    }

    /// A little time, and what has to be looked after.
    pub async fn tick(&mut self) -> Done<()> {
        self.exec.sleep(TICK).await;
        self.look_at_effects();
        self.look_after_gateway();
        self.shown.look().await?;
        self.look_after_old();
        self.look_after_drives()?;
        let now = self.exec.now();
        while let Some(at) = self.endings.iter().position(|(at, _)| *at <= now) {
            let (_, ending) = self.endings.swap_remove(at);
            match ending {
                Ending::Rot(drive, ..) if self.is_last(drive).await? => {}
                ending => self.end(ending),
            }
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(LOOK_TICKS)
            && let Some(running) = self.load.gateway()
        {
            verdict::nothing_is_wrong(&self.cluster, &running.index.snapshot()).await?;
        }
        if self.dice.permille(2)
            && let Some(running) = self.load.gateway()
        {
            self.snapshot = Some(running.index.snapshot());
        }
        Ok(())
    }

    fn start_gateway(&mut self) {
        if self.gateway.is_some() {
            return;
        }
        if let Some(memory) = self.memory.take() {
            let leasing = self.leasing.clone();
            let gateway = Gateway::start(&mut self.cluster(), memory, self.start, leasing);
            self.gateway = Some(gateway);
        }
    }

    /// Kills the gateway. Its index keeps what was durable.
    pub fn kill_gateway(&mut self) {
        let has_served = self.load.gateway().is_some();
        self.load.set_gateway(None);
        if let Some(gateway) = self.gateway.take() {
            self.exec
                .note(|| format!("gateway {} is killed", gateway.process.0));
            self.exec.kill(gateway.process);
            let left = gateway.index.crash(&mut self.dice);
            if has_served {
                self.shown.end(left.snapshot());
            }
            self.memory = Some(left);
        }
    }

    fn look_after_gateway(&mut self) {
        let Some(gateway) = &self.gateway else { return };
        match gateway.progress() {
            Progress::Starting => {}
            Progress::Serving(running) => {
                if self.load.gateway().is_none() {
                    self.shown.begin(running.index.snapshot());
                    self.load.set_gateway(Some(running));
                }
            }
            Progress::Failed(why) => {
                // An old copy of an index that was given up since: an operator does as it says.
                let is_given_up = gateway.index.id() < IndexId::new(self.indexes)
                    && why.contains(GIVEN_UP)
                    && self.start == Start::Normal;
                self.prefer_new();
                self.kill_gateway();
                if is_given_up {
                    self.exec.note(|| "an index that was given up".to_owned());
                    self.start = Start::Rebuild;
                }
                if self.start == Start::Rebuild && why == REBUILT {
                    self.start = Start::Normal;
                } else if self.start == Start::Rebuild {
                    self.memory = Some(self.new_index());
                }
                self.later(RESTART, Ending::StartGateway);
            }
        }
    }

    fn new_index(&mut self) -> MemoryIndex {
        self.indexes += 1;
        MemoryIndex::new(IndexId::new(self.indexes))
    }

    /// Drives that did not open, and those that the map does not know yet.
    fn look_after_drives(&mut self) -> Done<()> {
        let cluster = Arc::clone(&self.cluster);
        let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
        for node in 0..self.plan.nodes {
            let report = cluster.report(node);
            for drive in &report.drives {
                let slot = cluster.nodes[node].drives.iter_mut();
                slot.filter(|slot| slot.id == drive.id())
                    .for_each(|slot| slot.is_new = false);
            }
            let Some((drive, why)) = report.refused.first() else {
                continue;
            };
            if !report.is_serving {
                continue;
            }
            let drives = &cluster.nodes[node].drives;
            let place = drives.iter().position(|slot| slot.id == *drive);
            match place {
                Some(place) if drives[place].flips > 0 => {
                    self.exec
                        .note(|| format!("drive {drive} cannot be used: {why}"));
                    cluster.kill(node);
                    cluster.replace(node, place);
                    cluster.start(node);
                }
                // It was made to fail while it opened, and says so: it is started again.
                Some(place) if drives[place].disk.has_failed() => {
                    self.exec
                        .note(|| format!("drive {drive} did not open: {why}"));
                    cluster.kill(node);
                    cluster.start(node);
                }
                // There was no space to lay it out.
                Some(place) if drives[place].is_new && drives[place].disk.refusals() > 0 => {
                    self.exec
                        .note(|| format!("drive {drive} was not laid out: {why}"));
                    cluster.kill(node);
                    self.later(RESTART, Ending::StartNode(node));
                }
                _ => return Err(failure("drive", format!("{drive} does not open: {why}"))),
            }
        }
        if let Some(why) = cluster.shortened_log() {
            return Err(failure("log", why));
        }
        drop(cluster);
        self.take_in();
        Ok(())
    }

    /// Puts successors of lost drives into the map of a running gateway.
    fn take_in(&mut self) {
        let Some(running) = self.load.gateway() else {
            return;
        };
        let now = self.exec.now();
        let is_over = self
            .take_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(outcome) = is_over {
            self.exec
                .note(|| format!("new drive taken in: {outcome:?}"));
            self.taking = None;
        }
        if let Some((process, since)) = self.taking
            && process == running.process
            && now < since + 60_000_000_000
        {
            return;
        }
        let map = running.store.map();
        let (remote, changes) = {
            let cluster = self.cluster();
            let unknown = cluster.replaced.iter().find(|(_, successor)| {
                let is_there = |node: &crate::cluster::NodeSlot| {
                    node.drives.iter().any(|drive| drive.id == successor.id)
                };
                map.drive(successor.id).is_none() && cluster.nodes.iter().any(is_there)
            });
            let Some((_, successor)) = unknown else {
                return;
            };
            let node = cluster.nodes.iter().find(|node| node.id == successor.node);
            let Some(host) = node.map(|node| node.host) else {
                return;
            };
            let remote = (host, successor.node, successor.id);
            (remote, cluster.replaced.clone())
        };
        self.taking = Some((running.process, now));
        let (plan, told) = (self.plan.clone(), Arc::clone(&self.take_in));
        let process = running.process;
        let work = async move {
            let outcome = running.take_in(&plan, remote, &changes).await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        };
        self.exec.spawn(process, "take-in", Box::pin(work));
    }

    fn later(&mut self, after: Duration, ending: Ending) {
        let at = self.exec.now() + after.as_nanos() as u64;
        self.endings.push((at, ending));
    }

    fn end(&mut self, ending: Ending) {
        self.exec.note(|| format!("ends: {ending:?}"));
        match ending {
            Ending::StartNode(node) => self.cluster().start(node),
            Ending::RestartNode(node) => {
                self.cluster().kill(node);
                self.cluster().start(node);
            }
            Ending::Mend(links) => {
                for (from, to) in links {
                    self.cluster().network.set_cut(from, to, false);
                }
            }
            Ending::Fast(host) => self.cluster().network.set_slow(host, 1),
            Ending::Roomy(node, place) => {
                let disk = self.cluster().nodes[node].drives[place].disk.clone();
                disk.set_capacity(u64::MAX / 2);
                self.load.feed(false);
            }
            Ending::Rot(drive, count, how) => self.cluster().corrupt(drive, count, how),
            Ending::ReadRight(drive) => self.cluster().misread(drive, 0),
            Ending::StartGateway => self.start_gateway(),
            Ending::AskOld => self.ask_old(),
            Ending::WakeOld => self.wake_old(),
        }
    }

    /// Ends all faults now.
    async fn end_all(&mut self) -> Done<()> {
        while let Some((_, ending)) = self.endings.pop() {
            match ending {
                Ending::Rot(drive, ..) if self.is_last(drive).await? => {}
                ending => self.end(ending),
            }
            self.tick().await?;
        }
        self.end_old();
        for node in 0..self.plan.nodes {
            let mut cluster = self.cluster();
            cluster.nodes[node].is_armed = false;
            cluster.nodes[node]
                .drives
                .iter()
                .for_each(|drive| drive.disk.spare());
            cluster.start(node);
        }
        Ok(())
    }

    /// Waits for a gateway that serves.
    ///
    /// # Errors
    /// `start` if none does in time.
    pub async fn serving(&mut self) -> Done<Arc<Running>> {
        let deadline = self.exec.now() + START_MAX.as_nanos() as u64;
        loop {
            self.tick().await?;
            if let Some(running) = self.load.gateway() {
                return Ok(running);
            }
            if self.exec.now() > deadline {
                return Err(failure("start", "no gateway serves in time"));
            }
        }
    }
}
