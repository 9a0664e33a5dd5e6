//! Watches the drives.
//!
//! Owns: asking every drive how it does, what state that makes it, and noticing one that came back.
//! Leaves to others: whether it serves reads ([`reads`]), comparing it ([`crate::compare`]),
//! changing the map (gateway).
//! Always: a drive that was away for longer than the suspect time, or whose log lost its end, is
//! compared before it counts as whole; one that serves no reads does not answer; one that does not
//! obey the generation served is asked to until it does, and counts as away while it obeys another
//! index.

mod reads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use holdfast_index::rows;
use holdfast_protocol::rpc::{DriveError, DriveStatus};
use holdfast_protocol::{DriveId, LogId};
use holdfast_seam::Monotonic;
use holdfast_store::survey;

use crate::config::WorkersConfig;
use crate::context::{CompareReason, Context};
use crate::error::{Result, chain};
use reads::Reads;

/// How a drive is, from how long it has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriveState {
    /// It answers.
    Up,
    /// It has not answered for a little while.
    Suspect,
    /// It has not answered for a while.
    Down,
    /// It has not answered for so long that what it holds is healed elsewhere.
    Out,
}

impl DriveState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Up, Self::Suspect, Self::Down, Self::Out];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Out => "out",
        }
    }

    fn after(config: &WorkersConfig, silent: Duration) -> Self {
        match silent {
            silent if silent >= config.out_after => Self::Out,
            silent if silent >= config.down_after => Self::Down,
            silent if silent >= config.suspect_after => Self::Suspect,
            _ => Self::Up,
        }
    }
}

/// What is known of a drive.
#[derive(Clone, Debug)]
pub struct DriveHealthEntry {
    /// How it is.
    pub state: DriveState,
    /// When it answered last, or when it was first asked.
    pub last_seen: Monotonic,
    /// What it answered last.
    pub status: Option<DriveStatus>,
    /// It answers, but serves no reads: it has not vanished.
    pub(crate) serves_no_reads: bool,
    /// The log it had when it answered last.
    log: Option<LogId>,
}

/// What is known of all drives.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriveHealthBook {
    pub(crate) drives: BTreeMap<DriveId, DriveHealthEntry>,
}

impl DriveHealthBook {
    /// How a drive is; one that was never asked is up until proven otherwise.
    pub(crate) fn state(&self, drive: DriveId) -> DriveState {
        self.drives
            .get(&drive)
            .map_or(DriveState::Up, |entry| entry.state)
    }
}

/// The worker.
pub(crate) struct Watcher {
    ctx: Arc<Context>,
    /// Drives that did not grant the generation when they were asked last.
    unfenced: Mutex<BTreeSet<DriveId>>,
    reads: Reads,
    /// Drives that answer again, of which not all is done yet.
    returned: BTreeMap<DriveId, Return>,
}

impl Watcher {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            unfenced: Mutex::default(),
            reads: Reads::default(),
            returned: BTreeMap::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.ctx.stop.clone();
        loop {
            match stop.unless(self.poll()).await {
                None => return,
                Some(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "drives could not be watched");
                }
                Some(Ok(())) => {}
            }
            let rest = self.ctx.clock().sleep(self.ctx.config.poll_interval);
            if stop.unless(rest).await.is_none() {
                return;
            }
        }
    }

    /// Asks every drive once.
    async fn poll(&mut self) -> Result<()> {
        let config = &self.ctx.config;
        let deadline = config.drive_deadline.min(config.poll_interval * 5);
        let answers = survey::status_of_all(self.ctx.store.drives(), deadline).await;
        let watcher = &*self;
        let fenced = answers.into_iter().map(|(drive, answer)| async move {
            let (answer, is_fenced) = watcher.fence(drive, answer, deadline).await;
            let answer = watcher.serves(drive, answer, deadline).await;
            (drive, (answer, is_fenced))
        });
        let answers = join_all(fenced).await;
        let mut returned = std::mem::take(&mut self.returned);
        {
            let now = self.ctx.clock().now();
            let mut book = self.ctx.health();
            for (drive, (answer, is_fenced)) in answers {
                self.note(&mut book, now, drive, answer, is_fenced, &mut returned);
            }
            let living = self.ctx.living();
            for drive in &living {
                let (drives, metrics) = (self.ctx.store.drives(), &self.ctx.metrics);
                let label = [drive.to_string()];
                let factor = drives.latency_factor(*drive).unwrap_or(1.0);
                metrics.latency_factor.with_label_values(&label).set(factor);
                let unread = drives.unread_for(*drive).unwrap_or_default().as_secs_f64();
                metrics.unread_seconds.with_label_values(&label).set(unread);
            }
            for state in DriveState::ALL {
                let count = living
                    .iter()
                    .filter(|drive| book.state(**drive) == state)
                    .count();
                let gauge = &self.ctx.metrics.drives;
                gauge.with_label_values(&[state.as_str()]).set(count as i64);
            }
        }
        let partial = self.ctx.partial().len();
        self.ctx.metrics.partial.set(partial as i64);
        let unknown = i64::try_from(self.ctx.unknown_objects()).unwrap_or(i64::MAX);
        self.ctx.metrics.durability_unknown.set(unknown);
        // Before anything that returned has the healer look again.
        self.ctx.judge_vanished();
        // What fails is done with the next poll.
        self.returned = returned;
        while let Some((&drive, back)) = self.returned.first_key_value() {
            self.returned(drive, back).await?;
            self.returned.remove(&drive);
        }
        self.ctx.judge_claim();
        Ok(())
    }

    /// Has a drive that was absent from the claim, or could not grant it then, obey the generation
    /// served, and the index: a quorum of its cluster does. One that obeys another index serves
    /// nothing until it grants this one: it did not answer.
    ///
    /// Returns the drive's answer, and whether it obeys since just now.
    async fn fence(&self, drive: DriveId, answer: Answer, deadline: Duration) -> (Answer, bool) {
        let serving = self.ctx.store.drives().serving();
        let Ok(status) = &answer else {
            return (answer, false);
        };
        let is_ours = status.cluster == self.ctx.store.cluster();
        if !is_ours || status.generation >= serving.generation {
            self.unfenced().remove(&drive);
            return (answer, false);
        }
        let (drives, claimant) = (self.ctx.store.drives(), serving.claimant);
        let generation = serving.generation;
        match survey::claim(drives, drive, deadline, generation, claimant, true).await {
            Ok(()) => {
                self.unfenced().remove(&drive);
                tracing::info!(%drive, %generation, "drive obeys the generation now");
                (answer, true)
            }
            Err(error) => {
                if self.unfenced().insert(drive) {
                    tracing::warn!(%drive, %error, "drive does not grant the generation");
                }
                match status.index.is_some_and(|index| index != serving.index) {
                    true => (Err(error), false),
                    false => (answer, false),
                }
            }
        }
    }

    /// A drive that serves no reads does not answer, as far as others are concerned.
    async fn serves(&self, drive: DriveId, answer: Answer, deadline: Duration) -> Answer {
        match answer {
            Err(_) => self.reads.is_silent(&self.ctx, drive),
            Ok(_) if self.reads.are_served(&self.ctx, drive, deadline).await => {}
            Ok(_) => return Err(no_reads()),
        }
        answer
    }

    fn unfenced(&self) -> std::sync::MutexGuard<'_, BTreeSet<DriveId>> {
        self.unfenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so when a drive obeys a rebuild that was given up: it had claimed it while this gateway
    /// did not see it.
    fn note_stray(&self, drive: DriveId, status: &DriveStatus) {
        let serving = self.ctx.store.drives().serving();
        let is_ours = status.cluster == self.ctx.store.cluster();
        if is_ours
            && status.generation >= serving.generation
            && let Some(index) = status.index.filter(|index| *index != serving.index)
        {
            let (theirs, ours) = (status.generation, serving.generation);
            let what = "drive obeys an index that was given up";
            tracing::warn!(%drive, %index, %theirs, %ours, "{what}");
        }
    }

    fn note(
        &self,
        book: &mut DriveHealthBook,
        now: Monotonic,
        drive: DriveId,
        answer: Answer,
        is_fenced: bool,
        returned: &mut BTreeMap<DriveId, Return>,
    ) {
        let entry = book.drives.entry(drive).or_insert(DriveHealthEntry {
            state: DriveState::Up,
            last_seen: now,
            status: None,
            serves_no_reads: false,
            log: None,
        });
        let was_reachable = self.ctx.store.drives().is_reachable(drive);
        entry.serves_no_reads = answer == Err(no_reads());
        match answer {
            Ok(status) => {
                self.ctx.store.drives().note(drive, true, status.writable);
                let lost_log = entry.log.is_some_and(|log| log != status.end.log);
                let is_first = entry.status.is_none();
                let was_up = entry.state == DriveState::Up && !lost_log;
                let found = entry.status.as_ref().map_or(0, |before| before.found);
                let found_damage = status.found > 0 && status.found != found;
                if is_first || !was_reachable || !was_up || is_fenced || found_damage {
                    tracing::info!(%drive, was = entry.state.as_str(), "drive answers");
                    // What it took from older callers came after it was compared, perhaps.
                    let before = returned.get(&drive).is_some_and(|before| before.was_away);
                    let back = Return {
                        status: status.clone(),
                        was_away: before || !was_up || is_fenced || found_damage,
                    };
                    returned.insert(drive, back);
                }
                entry.log = Some(status.end.log);
                entry.status = Some(status);
                entry.last_seen = now;
                entry.state = DriveState::Up;
            }
            Err(error) => {
                self.ctx.store.drives().note(drive, false, false);
                let state = DriveState::after(&self.ctx.config, now.since(entry.last_seen));
                if state != entry.state || was_reachable {
                    let state = state.as_str();
                    tracing::warn!(%drive, state, %error, "drive does not answer");
                }
                if state == DriveState::Out && entry.state != DriveState::Out {
                    self.ctx.ask_lost(drive);
                }
                entry.state = state;
            }
        }
    }

    /// A drive answers again: what waited for it goes on, and it is compared unless it was away
    /// only for a moment and has its whole log.
    async fn returned(&self, drive: DriveId, back: &Return) -> Result<()> {
        self.note_stray(drive, &back.status);
        let seen = rows::get_seen(&*self.ctx.index, drive).await?;
        let end = back.status.end;
        let lost = seen.is_some_and(|seen| end.log != seen.log || end.batch < seen.batch);
        // Also one that came back while no gateway ran: should it be lost again, all that it holds
        // is looked for again. Not one that was given up: that is looked for in any case.
        if self.ctx.living().contains(&drive) {
            self.ctx.forget_lost(drive).await?;
        }
        if lost || back.status.partial || back.was_away {
            self.ctx.ask_compare(drive, CompareReason::NotWhole);
        }
        // Gone again before this could be done.
        if self.ctx.health().state(drive) == DriveState::Out {
            self.ctx.ask_lost(drive);
        }
        self.ctx.compare.ring();
        self.ctx.purge_everything();
        // Rows wait for the drive that they name; this one may be the successor of that.
        self.ctx.heal_everything();
        Ok(())
    }
}

/// What is said in the place of a drive that answers, but serves no reads.
fn no_reads() -> DriveError {
    DriveError::Io {
        what: "no read is served".to_owned(),
    }
}

/// What a drive said when it was asked how it does.
type Answer = std::result::Result<DriveStatus, DriveError>;

/// A drive that answers again.
struct Return {
    status: DriveStatus,
    /// For longer than the suspect time, or its log is another one, or it obeyed an older claim, or
    /// found damage by itself.
    was_away: bool,
}
