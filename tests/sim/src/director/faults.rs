//! How each fault is made.
//!
//! Owns: one way to break something per kind of fault, and when it ends.
//! Leaves to others: what and when ([`crate::plan`]).
//! Always: a fault that lasts has an ending.

use std::time::Duration;

use holdfast_index::{Index, MemoryIndex};
use holdfast_protocol::DriveId;

use super::effects::Sign;
use super::{Director, Done, Ending, RESTART};
use crate::cluster::Rot;
use crate::disk::SimDisk;
use crate::gateway::{Leasing, Start};
use crate::net::Host;
use crate::plan::{Fault, FaultKind, MISREADS};

/// How long a drive is full at least.
const FULL_MIN: Duration = Duration::from_secs(5);

impl Director {
    pub(super) async fn inject(&mut self, fault: Fault) -> Done<()> {
        // What is acknowledged survives one loss at any time; the next one waits for the healing.
        if fault.kind.destroys() && self.corrupt_drive().is_none() {
            if self.has_lost {
                self.whole().await?;
            }
            self.has_lost = true;
        }
        if fault.kind.destroys() {
            let target = self.cluster().locate(fault.target);
            let (node, place) = self.corrupt_drive().unwrap_or(target);
            let drive = self.cluster().nodes[node].drives[place].id;
            self.spared(drive).await?;
        }
        self.exec.note(|| format!("fault {fault}"));
        self.effects.made(fault.kind);
        let (node, place) = self.cluster().locate(fault.target);
        let (node, place) = match fault.kind.destroys() {
            true => self.corrupt_drive().unwrap_or((node, place)),
            false => (node, place),
        };
        if self.ends_something(fault.kind, node) {
            self.effects.met(fault.kind);
        }
        match fault.kind {
            FaultKind::GatewayCrash => self.stop_gateway(fault.lasts / 10),
            FaultKind::NodeKill => {
                self.cluster().kill(node);
                self.later(fault.lasts, Ending::StartNode(node));
            }
            FaultKind::NodePower => self.cut_power(fault, node, place).await?,
            FaultKind::AllPower => self.cut_all_power(fault, node, place).await?,
            FaultKind::DriveLost => {
                let mut cluster = self.cluster();
                cluster.power_off(node);
                cluster.replace(node, place);
                drop(cluster);
                self.later(fault.lasts / 2, Ending::StartNode(node));
            }
            FaultKind::Corrupt | FaultKind::Unreadable => self.rot(fault, node, place),
            FaultKind::Full => {
                let (id, disk) = self.drive(node, place);
                let sign = Sign::Full(id, disk.clone(), disk.refusals());
                let lasts = fault.lasts + FULL_MIN;
                self.await_effect(fault.kind, lasts, sign);
                // Long enough to be met: drives write into space that they laid out before.
                disk.set_capacity(disk.used() + fault.draw % 50_000);
                self.load.feed(true);
                self.later(lasts, Ending::Roomy(node, place));
            }
            FaultKind::Eio => {
                let (_, disk) = self.drive(node, place);
                let sign = Sign::Error(disk.clone(), disk.errors());
                self.await_effect(fault.kind, fault.lasts, sign);
                match fault.draw % 2 {
                    0 => disk.fail_sync(fault.draw / 2 % 4),
                    _ => disk.fail_write(fault.draw / 2 % 8),
                }
                self.later(fault.lasts, Ending::RestartNode(node));
            }
            FaultKind::Slow | FaultKind::Partition | FaultKind::Reset => {
                self.disturb_network(fault, node);
            }
            FaultKind::IndexLost | FaultKind::IndexOld => self.lose_index(fault).await?,
            FaultKind::Takeover => self.take_over(fault).await?,
        }
        self.look_at_effects();
        Ok(())
    }

    fn drive(&self, node: usize, place: usize) -> (DriveId, SimDisk) {
        let cluster = self.cluster();
        let drive = &cluster.nodes[node].drives[place];
        (drive.id, drive.disk.clone())
    }

    /// Whether a process runs that the fault ends, or there is a drive that it takes away.
    fn ends_something(&self, kind: FaultKind, node: usize) -> bool {
        let runs = |node: usize| self.cluster().nodes[node].process.is_some();
        match kind {
            FaultKind::GatewayCrash => self.gateway.is_some(),
            FaultKind::NodeKill | FaultKind::NodePower => runs(node),
            FaultKind::AllPower => (0..self.plan.nodes).any(runs),
            FaultKind::DriveLost => true,
            _ => false,
        }
    }

    /// Bits flip, or sectors cannot be read, once or again and again; or bits flip where the log
    /// ends; or only on their way from the medium.
    fn rot(&mut self, fault: Fault, node: usize, place: usize) {
        let (id, disk) = self.drive(node, place);
        if fault.draw.is_multiple_of(MISREADS) {
            let sign = Sign::Misread(disk.clone(), disk.misreads());
            self.await_effect(fault.kind, fault.lasts, sign);
            let one_in = 3 + fault.draw / MISREADS % 60;
            self.cluster().misread(id, one_in);
            return self.later(fault.lasts, Ending::ReadRight(id));
        }
        let sign = Sign::Flip(id, self.cluster().flips(id));
        self.await_effect(fault.kind, fault.lasts, sign);
        if fault.draw % MISREADS == 1 {
            let count = 1 + fault.draw / MISREADS % 3;
            return self.cluster().corrupt_log(id, count);
        }
        let count = match fault.draw % 3 {
            0 => 1 + fault.draw / 3 % 200,
            1 => 1 + fault.draw / 3 % 30,
            _ => 1 + fault.draw / 3 % 4,
        };
        let how = match fault.kind {
            FaultKind::Unreadable => Rot::Spoil,
            _ => Rot::Flip,
        };
        self.cluster().corrupt(id, count, how);
        // And again, so that what is written meanwhile is hit as well.
        let bursts = match fault.draw / 1000 % 3 {
            0 => 0,
            1 => 5,
            _ => 40,
        };
        for burst in 1..=bursts {
            self.later(fault.lasts * burst / bursts, Ending::Rot(id, count, how));
        }
        if (fault.draw / 7).is_multiple_of(2) {
            self.later(fault.lasts / 10, Ending::RestartNode(node));
        }
    }

    pub(super) fn stop_gateway(&mut self, rest: Duration) {
        self.kill_gateway();
        self.later(rest, Ending::StartGateway);
    }

    /// The power fails at one of the next changes of a disk; at the latest after a while.
    async fn cut_power(&mut self, fault: Fault, node: usize, place: usize) -> Done<()> {
        {
            let mut cluster = self.cluster();
            let slot = &mut cluster.nodes[node];
            slot.is_armed = slot.process.is_some();
            slot.drives[place].disk.cut_power(fault.draw % 60);
        }
        for _ in 0..400 {
            self.tick().await?;
            if self.cluster().nodes[node].process.is_none() {
                break;
            }
        }
        self.cluster().power_off(node);
        self.later(fault.lasts, Ending::StartNode(node));
        Ok(())
    }

    /// As [`Director::cut_power`], of all machines at once; that of the gateway or not.
    async fn cut_all_power(&mut self, fault: Fault, node: usize, place: usize) -> Done<()> {
        self.cluster().is_one_circuit = true;
        self.cut_power(fault, node, place).await?;
        self.cluster().is_one_circuit = false;
        for other in (0..self.plan.nodes).filter(|other| *other != node) {
            self.cluster().power_off(other);
            self.later(fault.lasts / 3, Ending::StartNode(other));
        }
        if fault.draw.is_multiple_of(2) {
            self.stop_gateway(fault.lasts / 4);
            // After a reboot nobody knows who has ended.
            self.leasing = self.leasing.as_ref().map(Leasing::elsewhere);
        }
        Ok(())
    }

    fn disturb_network(&mut self, fault: Fault, node: usize) {
        let gateway = self.cluster().gateway_host;
        let host = self.cluster().nodes[node].host;
        let hosts: Vec<Host> = match fault.draw % 4 {
            0 => self.cluster().nodes.iter().map(|node| node.host).collect(),
            _ => vec![host],
        };
        match fault.kind {
            FaultKind::Slow => {
                let sign = Sign::Slowed(host, self.cluster().network.slowed(host));
                self.await_effect(fault.kind, fault.lasts, sign);
                let factor = 3 + fault.draw % 300;
                self.cluster().network.set_slow(host, factor);
                self.later(fault.lasts, Ending::Fast(host));
            }
            FaultKind::Partition => {
                let is_mixed = hosts.len() > 1 && (fault.draw / 12).is_multiple_of(2);
                let links = hosts.iter().enumerate().flat_map(|(at, &host)| {
                    let way = match is_mixed {
                        true => ((fault.draw / 24) >> (2 * at)) % 3,
                        false => fault.draw / 4 % 3,
                    };
                    let there = (way != 1).then_some((gateway, host));
                    let back = (way != 2).then_some((host, gateway));
                    there.into_iter().chain(back)
                });
                let links: Vec<(Host, Host)> = links.collect();
                let sign = Sign::Held(links.clone(), self.cluster().network.held(&links));
                self.await_effect(fault.kind, fault.lasts, sign);
                for &(from, to) in &links {
                    self.cluster().network.set_cut(from, to, true);
                }
                self.later(fault.lasts, Ending::Mend(links));
            }
            _ => {
                let mut broken = 0;
                for host in hosts {
                    broken += self.cluster().network.reset(gateway, host);
                }
                if broken > 0 {
                    self.effects.met(fault.kind);
                }
            }
        }
    }

    /// The index is gone, or an old copy is put into its place.
    async fn lose_index(&mut self, fault: Fault) -> Done<()> {
        // Spared: a lost index before all that a lost drive held is healed.
        let is_sudden = fault.kind == FaultKind::IndexLost && fault.draw.is_multiple_of(2);
        if !is_sudden {
            self.calm().await?;
        }
        if fault.kind == FaultKind::IndexOld && !self.plan.old_copy_of_same_generation {
            self.outlive_snapshot().await?;
        }
        let has_outage = is_sudden && (fault.draw / 2).is_multiple_of(2);
        if has_outage {
            self.mended().await?;
            self.load.slow_down(false);
            let begun = self.load.begun() + fault.draw / 4 % self.plan.keys;
            while self.load.begun() < begun {
                self.tick().await?;
            }
        }
        self.kill_gateway();
        if has_outage {
            self.lose_all_power();
        }
        match (fault.kind, self.snapshot.take()) {
            (FaultKind::IndexOld, Some(old)) => {
                self.exec
                    .note(|| "an old copy of the index is restored".to_owned());
                self.memory = Some(old);
                self.effects.met(FaultKind::IndexOld);
            }
            _ => {
                // Without a copy the index is lost.
                self.effects.met(FaultKind::IndexLost);
                self.memory = Some(self.new_index());
                self.start = Start::Rebuild;
            }
        }
        self.snapshot = None;
        self.later(fault.lasts / 20, Ending::StartGateway);
        // Drives that were told nothing since cannot tell it from a crash: what is unreadable then
        // counts as never acknowledged. So the drives stay until it was merged.
        match fault.kind == FaultKind::IndexOld && self.plan.old_copy_of_same_generation {
            true => self.serving().await.map(drop),
            false => Ok(()),
        }
    }

    /// Waits, while clients do little, until the network is mended and what failed was tried again.
    async fn mended(&mut self) -> Done<()> {
        self.load.slow_down(true);
        let is_cut = |endings: &[(u64, Ending)]| {
            endings
                .iter()
                .any(|(_, ending)| matches!(ending, Ending::Mend(_)))
        };
        while is_cut(&self.endings) {
            self.tick().await?;
        }
        for _ in 0..400 {
            self.tick().await?;
        }
        Ok(())
    }

    /// All machines lose their power, and have it again; those that were down start, too.
    fn lose_all_power(&mut self) {
        for node in 0..self.plan.nodes {
            let mut cluster = self.cluster();
            cluster.power_off(node);
            cluster.start(node);
        }
    }

    /// Another generation than that of the old copy must have been claimed since: within one
    /// generation nothing tells an old copy from a crash.
    async fn outlive_snapshot(&mut self) -> Done<()> {
        let now = self.gateway.as_ref().map(|it| it.index.generation());
        let then = self.snapshot.as_ref().map(MemoryIndex::generation);
        if now.is_some() && now == then {
            let kept = self.snapshot.take();
            self.stop_gateway(RESTART);
            self.calm().await?;
            self.snapshot = kept;
        }
        Ok(())
    }
}
