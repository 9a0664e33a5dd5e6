//! Bringing a cluster to rest.
//!
//! Owns: waiting until everything serves and is whole, and what an operator does on the way.
//! Leaves to others: faults ([`super`]), judging ([`crate::verdict`]).
//! Always: it ends, with rest or with a failure.

use std::sync::Arc;

use holdfast_index::{MemoryIndex, doubt};
use holdfast_protocol::admin::scrub::DriveScrub;
use holdfast_seam::Clock;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Director, Done, Ending, HEAL_MAX, RESTART, START_MAX, failure};
use crate::cluster::{DriveSlot, chain};
use crate::dice::Dice;
use crate::gateway::{Running, Start};

impl Director {
    /// Waits until nothing that was injected lasts and all processes serve.
    pub(super) async fn calm(&mut self) -> Done<()> {
        let deadline = self.exec.now() + START_MAX.as_nanos() as u64;
        self.load.slow_down(true);
        loop {
            self.tick().await?;
            let all = self.endings.is_empty() && self.cluster().all_serve();
            if all && self.load.gateway().is_some() {
                return Ok(());
            }
            if self.exec.now() > deadline {
                return Err(failure("start", "not everything serves in time"));
            }
        }
    }

    /// Waits until the cluster is whole: every drive up and compared, nothing to heal or purge, and
    /// the check finds nothing.
    ///
    /// # Errors
    /// `heal` if it is not in time.
    pub async fn whole(&mut self) -> Done<()> {
        self.calm().await?;
        let deadline = self.exec.now() + HEAL_MAX.as_nanos() as u64;
        let mut last;
        loop {
            for _ in 0..40 {
                self.tick().await?;
            }
            last = match self.load.gateway() {
                Some(running) => match self.unfinished(running).await {
                    None => return Ok(()),
                    Some(why) => why,
                },
                None => "no gateway serves".to_owned(),
            };
            if self.exec.now() > deadline {
                return Err(failure("heal", format!("not whole in time: {last}")));
            }
        }
    }

    /// What keeps the cluster from being whole.
    async fn unfinished(&mut self, running: Arc<Running>) -> Option<String> {
        let (sender, mut answer) = oneshot::channel();
        let process = running.process;
        let is_idle = self.load.running() == 0;
        let work = async move {
            let _ = sender.send(not_whole(&running, is_idle).await);
        };
        self.exec.spawn(process, "check", Box::pin(work));
        loop {
            match answer.try_recv() {
                Ok(found) => return found,
                Err(TryRecvError::Empty) => {
                    if let Err(failed) = self.tick().await {
                        return Some(failed.why);
                    }
                }
                Err(_) => return Some("the gateway ended".to_owned()),
            }
        }
    }

    /// Has every second plan heal a drive whose bytes were changed where it is: the damage of its
    /// log is found when it is opened anew, that of shards by the scrub.
    ///
    /// # Errors
    /// `heal` if that is not done in time.
    pub(super) async fn heal_rot(&mut self) -> Done<()> {
        let is_healed = Dice::new(self.plan.seed ^ 0x5c2b_0008).permille(500);
        let Some((node, place)) = self.corrupt_drive().filter(|_| is_healed) else {
            return Ok(());
        };
        let drive = self.cluster().nodes[node].drives[place].id;
        self.cluster().misread(drive, 0);
        self.cluster().kill(node);
        self.cluster().start(node);
        self.calm().await?;
        let since = self.exec.unix_ms();
        let deadline = self.exec.now() + HEAL_MAX.as_nanos() as u64;
        loop {
            // One that does not open is replaced at once.
            if self.corrupt_drive() != Some((node, place)) {
                return Ok(());
            }
            let running = self.serving().await?;
            let status = running.workers.scrub_status();
            let is_verified = |it: &DriveScrub| {
                it.drive == drive.to_string()
                    && it.last_started_ms.is_some_and(|started| started >= since)
            };
            if status.drives.iter().any(is_verified) {
                break;
            }
            running.workers.start_scrub();
            for _ in 0..100 {
                self.tick().await?;
            }
            if self.exec.now() > deadline {
                return Err(failure(
                    "heal",
                    format!("drive {drive} is not scrubbed in time"),
                ));
            }
        }
        self.whole().await?;
        self.exec
            .note(|| format!("drive {drive} was healed where it is"));
        self.cluster().nodes[node].drives[place].is_mended = true;
        Ok(())
    }

    /// Replaces drives whose bytes were changed, and that were not healed.
    pub(super) async fn replace_corrupt(&mut self) -> Done<()> {
        loop {
            let found = self.corrupt_drive();
            let Some((node, place)) = found else {
                return Ok(());
            };
            let drive = self.cluster().nodes[node].drives[place].id;
            self.spared(drive).await?;
            self.cluster().kill(node);
            self.cluster().replace(node, place);
            self.cluster().start(node);
            self.whole().await?;
        }
    }

    pub(super) fn corrupt_drive(&self) -> Option<(usize, usize)> {
        let cluster = self.cluster();
        cluster.nodes.iter().enumerate().find_map(|(node, slot)| {
            let place = slot.drives.iter().position(DriveSlot::is_damaged)?;
            Some((node, place))
        })
    }

    /// Kills the gateway and starts another one; with everything up, nothing may be in doubt.
    ///
    /// # Errors
    /// `doubt`, `start`.
    pub async fn restart_gateway(&mut self) -> Done<Arc<Running>> {
        self.stop_gateway(RESTART);
        let running = self.serving().await?;
        match running.merged.doubts.is_empty() {
            true => Ok(running),
            false => Err(failure("doubt", format!("{:?}", running.merged.doubts))),
        }
    }

    /// Stops the gateway and rebuilds a new index beside the old one. Gives both.
    ///
    /// # Errors
    /// `start`.
    pub async fn rebuild_beside(&mut self) -> Done<(MemoryIndex, Arc<Running>)> {
        self.kill_gateway();
        let old = self.memory.take();
        let old = old.ok_or_else(|| failure("start", "no index was left"))?;
        self.memory = Some(self.new_index());
        self.start = Start::Rebuild;
        self.later(RESTART, Ending::StartGateway);
        let running = self.serving().await?;
        Ok((old, running))
    }
}

async fn not_whole(running: &Running, is_idle: bool) -> Option<String> {
    let status = running.workers.heal_status();
    if status.backlog_objects > 0 || !status.drives_comparing.is_empty() {
        let rows = running.workers.heal_plan(4).await;
        return Some(format!("{status:?}; first in the queue: {rows:?}"));
    }
    match doubt::exists(&running.index).await {
        Ok(false) => {}
        doubts => return Some(format!("keys in doubt: {doubts:?}")),
    }
    let report = match running.workers.check(&|_| ()).await {
        Ok(report) => report,
        Err(error) => return Some(chain(&error)),
    };
    let is_quiet = !is_idle || (report.counts.purging == 0 && report.counts.healing == 0);
    match report.clean && report.complete && is_quiet {
        true => None,
        false => Some(format!("{report:?}")),
    }
}
