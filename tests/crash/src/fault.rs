//! What breaks, and in what order.
//!
//! Owns: the kinds of fault, drawing them from a seeded deck, injecting them.
//! Leaves to others: writing meanwhile, and reading back ([`crate::round`]).
//! Always: a deck holds every kind, so none is left to chance; damage that may not have been healed
//! is on at most as many drives as may be lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::audit::{Kind as Wrong, Violation};
use crate::damage::{self, OldPage};
use crate::error::{CrashError, Result};
use crate::tally::Tally;
use crate::topology::{DRIVES, Form, LEASE, LOSSES_MAX, Topology};
use crate::volume;

/// How long a process is stopped: longer than a drive may take to answer, and than a lease lasts.
const STOP: Duration = Duration::from_millis(2700);
const _: () = assert!(STOP.as_millis() > LEASE.as_millis() + 500);
/// How long the gateway may take to see that a drive is full.
const FULL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a drive may take to come back after its bytes were changed before it counts as lost.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// SIGKILL of the gateway.
    KillGateway,
    /// SIGKILL of a shard node.
    KillNode,
    /// SIGKILL of several shard nodes.
    KillNodes,
    /// SIGKILL of every process.
    KillAll,
    /// SIGSTOP of the gateway, then SIGCONT.
    StopGateway,
    /// SIGSTOP of a shard node, then SIGCONT.
    StopNode,
    /// Power cut of a drive's file system.
    CutDrive,
    /// Power cut of several drives' file systems.
    CutDrives,
    /// Power cut of the index's file system.
    CutIndex,
    /// Power cut of every file system.
    CutAll,
    /// A drive's file system has no space left for a while.
    FullDrive,
    /// Stored bytes of drives change.
    Damage,
    /// A drive's directory is emptied and the drive replaced.
    EmptyDrive,
    /// The index is deleted and made anew from the drives.
    RebuildIndex,
}

impl Kind {
    /// As flags and totals name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillGateway => "kill-gateway",
            Self::KillNode => "kill-node",
            Self::KillNodes => "kill-nodes",
            Self::KillAll => "kill-all",
            Self::StopGateway => "stop-gateway",
            Self::StopNode => "stop-node",
            Self::CutDrive => "cut-drive",
            Self::CutDrives => "cut-drives",
            Self::CutIndex => "cut-index",
            Self::CutAll => "cut-all",
            Self::FullDrive => "full-drive",
            Self::Damage => "damage",
            Self::EmptyDrive => "empty-drive",
            Self::RebuildIndex => "rebuild-index",
        }
    }

    /// Whether it needs file systems that can be cut or filled.
    pub fn needs_mounts(self) -> bool {
        use Kind::{CutAll, CutDrive, CutDrives, CutIndex, FullDrive};
        matches!(self, CutDrive | CutDrives | CutIndex | CutAll | FullDrive)
    }

    /// Whether it is injected while nothing is written and all is whole.
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Damage | Self::EmptyDrive | Self::RebuildIndex)
    }

    /// What a form can suffer. Of the embedded form one process is all, and one file system.
    pub fn of(form: Form, process_rebuild: bool) -> Vec<Self> {
        use clap::ValueEnum as _;
        let all = Self::value_variants().iter().copied();
        all.filter(|kind| match (form, kind) {
            (Form::Cluster, Self::RebuildIndex) => process_rebuild,
            (Form::Cluster, _) => true,
            (Form::Embedded, kind) => {
                kind.is_at_rest()
                    || matches!(kind, Self::KillAll | Self::StopGateway | Self::CutAll)
            }
        })
        .collect()
    }
}

/// Kinds in random order, each before any comes again.
#[derive(Debug, Clone)]
pub struct Deck {
    kinds: Vec<Kind>,
    left: Vec<Kind>,
}

impl Deck {
    /// A deck of these kinds.
    pub fn new(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            left: Vec::new(),
        }
    }

    /// The next one; `None` if there is none at all.
    pub fn draw(&mut self, rng: &mut fastrand::Rng) -> Option<Kind> {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            rng.shuffle(&mut self.left);
        }
        self.left.pop()
    }
}

/// What a fault is injected into, and counted in.
pub struct Injector<'a> {
    /// The cluster.
    pub topology: &'a mut Topology,
    /// Draws whom it hits.
    pub rng: &'a mut fastrand::Rng,
    /// Counts.
    pub tally: &'a mut Tally,
    /// Lets the writers get on.
    pub pause: &'a dyn Fn(),
    /// Drives whose bytes were changed and that were not replaced since.
    pub tainted: &'a mut BTreeSet<usize>,
    /// Whether a file of a drive of this cluster was cut short.
    pub has_truncated: &'a mut bool,
    /// Pages of earlier rounds, by drive.
    pub old_pages: &'a [Vec<OldPage>],
    /// What went wrong.
    pub violations: &'a mut Vec<Violation>,
}

impl std::fmt::Debug for Injector<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injector")
            .field("tainted", &self.tainted)
            .finish_non_exhaustive()
    }
}

impl Injector<'_> {
    /// Injects a fault, and undoes what an operator would undo. It counts if something met it: a
    /// process that ran, a file system that was in use, a drive that saw that it is full.
    ///
    /// # Errors
    /// What failed.
    pub fn inject(&mut self, kind: Kind) -> Result<()> {
        let all: Vec<usize> = self.topology.all().collect();
        let mut nodes: Vec<usize> = self.topology.nodes().collect();
        self.rng.shuffle(&mut nodes);
        let several = self.rng.usize(2..=nodes.len().max(2)).min(nodes.len());
        let is_met = match kind {
            Kind::KillGateway => self.kill(&[0]),
            Kind::KillNode => self.kill(&nodes[..1]),
            Kind::KillNodes => self.kill(&nodes[..several]),
            Kind::KillAll => self.kill(&all),
            Kind::StopGateway => self.stop(0),
            Kind::StopNode => self.stop(nodes[0]),
            Kind::CutDrive => self.cut(&nodes[..1], false),
            Kind::CutDrives => self.cut(&nodes[..several], false),
            Kind::CutIndex => self.cut(&[0], false),
            Kind::CutAll => self.cut(&all, true),
            Kind::FullDrive => self.fill(nodes[0]),
            Kind::Damage => self.damage(),
            Kind::EmptyDrive => self.empty_drives(),
            Kind::RebuildIndex => self.rebuild_index(),
        }?;
        if is_met {
            self.tally.fault(kind.name());
        }
        Ok(())
    }

    /// Ends everything as it comes, and starts it anew.
    ///
    /// # Errors
    /// What failed.
    pub fn restart(&mut self) -> Result<()> {
        if self.rng.bool() {
            self.topology.terminate()?;
        } else {
            let all: Vec<usize> = self.topology.all().collect();
            if self.strike(&all)? > 0 {
                self.tally.fault(Kind::KillAll.name());
            }
        }
        self.topology.start_missing()?;
        self.topology.wait_ready()
    }

    /// Kills; returns how many of them ran.
    fn strike(&mut self, members: &[usize]) -> Result<usize> {
        let mut killed = 0;
        for &member in members {
            if let Some(process) = self.topology.process(member)
                && process.ended().is_none()
            {
                let role = self.topology.role(member);
                self.tally.kill(role);
                killed += 1;
            }
        }
        self.topology.kill(members)?;
        Ok(killed)
    }

    fn kill(&mut self, members: &[usize]) -> Result<bool> {
        let killed = self.strike(members)?;
        if self.rng.bool() {
            (self.pause)();
        }
        self.topology.start_missing()?;
        Ok(killed > 0)
    }

    fn stop(&mut self, member: usize) -> Result<bool> {
        let Some(process) = self.topology.process(member) else {
            return Ok(false);
        };
        process.stop();
        std::thread::sleep(STOP);
        let runs = process.ended().is_none();
        process.go_on();
        Ok(runs)
    }

    /// Cuts file systems one after the other; or, of all, at one moment: nobody runs meanwhile.
    fn cut(&mut self, members: &[usize], may_freeze: bool) -> Result<bool> {
        if may_freeze && self.rng.bool() {
            for &member in members {
                if let Some(process) = self.topology.process(member) {
                    process.stop();
                }
            }
        }
        let mut is_met = false;
        for &member in members {
            let process = self.topology.process(member);
            is_met |= process.is_some_and(|process| process.ended().is_none());
            let volume = self.topology.volume(member);
            let is_new = !volume.is_cut();
            volume.cut()?;
            self.tally.file_systems_cut += u64::from(is_new);
        }
        if !may_freeze && self.rng.bool() {
            (self.pause)();
        }
        // A machine without power runs nothing; a gateway whose index is gone ended by itself.
        self.topology.kill(members)?;
        self.topology.start_missing()?;
        Ok(is_met)
    }

    fn fill(&mut self, member: usize) -> Result<bool> {
        self.topology.volume(member).fill()?;
        (self.pause)();
        (self.pause)();
        let dir = self.topology.drive_dir(member.saturating_sub(1));
        let end = Instant::now() + FULL_TIMEOUT;
        let mut is_seen = self.is_full(&dir);
        while !is_seen && Instant::now() < end {
            (self.pause)();
            is_seen = self.is_full(&dir);
        }
        self.topology.volume(member).free()?;
        Ok(is_seen)
    }

    /// Whether the cluster shows that the drive takes nothing more.
    fn is_full(&self, dir: &Path) -> bool {
        let drives = self.topology.admin.drives().unwrap_or_default();
        let mut drives = drives.iter().filter(|line| at(&line.directory, dir));
        drives.any(|line| line.usage != "dead" && !line.writable)
    }

    /// Up to [`LOSSES_MAX`] drives that may be damaged or lost beside those that are tainted.
    fn victims(&mut self) -> Vec<usize> {
        let mut drives: Vec<usize> = (0..DRIVES).collect();
        self.rng.shuffle(&mut drives);
        let mut union = self.tainted.clone();
        let mut victims = Vec::new();
        for drive in drives {
            union.insert(drive);
            if union.len() > LOSSES_MAX {
                union.remove(&drive);
            } else {
                victims.push(drive);
            }
        }
        victims.truncate(self.rng.usize(1..=LOSSES_MAX));
        victims
    }

    fn damage(&mut self) -> Result<bool> {
        let victims = self.victims();
        self.topology.terminate()?;
        let (mut changes, mut is_met) = (String::new(), false);
        for &drive in &victims {
            let dir = self.topology.drive_dir(drive);
            let (count, old) = (self.rng.usize(40..90), &self.old_pages[drive]);
            // The first of a cluster is cut short for certain, the others now and then.
            let truncates = !std::mem::replace(self.has_truncated, true);
            for (mutation, place) in damage::mutate(&dir, count, truncates, old, self.rng)? {
                is_met = true;
                self.tally.mutation(mutation.name());
                changes.push_str(&format!("{} {place}\n", mutation.name()));
            }
            self.tainted.insert(drive);
        }
        self.topology.note(&changes)?;
        self.topology.start_missing()?;
        // Whose own books are damaged in all copies may say so; it is replaced as a lost one is.
        let mut returned = BTreeSet::new();
        let waited = {
            let admin = self.topology.admin.clone();
            let mut dirs = Vec::new();
            for &drive in &victims {
                dirs.push((drive, self.topology.drive_dir(drive)));
            }
            let wanted = victims.len();
            let returned = &mut returned;
            self.topology
                .wait("damaged drives to return", RETURN_TIMEOUT, || {
                    admin.ready()?;
                    let lines = admin.drives().map_err(|error| error.to_string())?;
                    for (drive, dir) in &dirs {
                        let mut lines = lines.iter();
                        if lines.any(|line| at(&line.directory, dir) && line.state == "up") {
                            returned.insert(*drive);
                        }
                    }
                    match returned.len() == wanted {
                        true => Ok(()),
                        false => Err(format!("back: {returned:?}")),
                    }
                })
        };
        if let Err(error) = waited {
            println!("    {error}");
            let lost: Vec<usize> = victims
                .into_iter()
                .filter(|drive| !returned.contains(drive))
                .collect();
            self.replace(&lost)?;
        }
        Ok(is_met)
    }

    fn empty_drives(&mut self) -> Result<bool> {
        let victims = self.victims();
        self.replace(&victims)?;
        Ok(!victims.is_empty())
    }

    /// Empties drives and has them laid out anew; what they held is healed.
    fn replace(&mut self, drives: &[usize]) -> Result<()> {
        match self.topology.form {
            Form::Embedded => {
                self.topology.terminate()?;
                for &drive in drives {
                    volume::empty(&self.topology.drive_dir(drive))?;
                }
                self.topology.start_missing()?;
            }
            Form::Cluster => {
                for &drive in drives {
                    self.topology.kill(&[drive + 1])?;
                    let dir = self.topology.drive_dir(drive);
                    volume::empty(&dir)?;
                    self.replace_by_command(&dir)?;
                    self.topology.start_missing()?;
                }
            }
        }
        self.topology.wait_ready()?;
        self.topology.wait_healed()?;
        for drive in drives {
            self.tainted.remove(drive);
        }
        Ok(())
    }

    /// `holdfast drive replace`, which refuses while the drive is thought to answer.
    fn replace_by_command(&mut self, dir: &Path) -> Result<()> {
        let admin = self.topology.admin.clone();
        let drives = admin.drives()?;
        let lines = drives.iter().filter(|line| line.usage != "dead");
        let Some(line) = lines.rev().find(|line| at(&line.directory, dir)) else {
            let what = format!("no drive is shown in {}", dir.display());
            self.violations.push(Violation::whole(Wrong::Check, what));
            return Ok(());
        };
        self.topology
            .wait("a drive that may be replaced", RETURN_TIMEOUT, || {
                let done = admin.command(&["drive", "replace", &line.drive]);
                match done.map_err(|error| error.to_string())? {
                    (0, _, _) => Ok(()),
                    (code, out, err) => Err(format!("exit {code}: {out} {err}")),
                }
            })
    }

    fn rebuild_index(&mut self) -> Result<bool> {
        // Shard nodes go on: the command takes the place of their gateway.
        self.topology.terminate_one(0)?;
        let index = self.topology.data_dir().join("index");
        std::fs::remove_dir_all(&index).map_err(CrashError::file("remove", &index))?;
        let args = self.topology.rebuild_args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = self.topology.admin.command(&args)?;
        if code != 0 {
            let what = format!("index rebuild: exit {code}: {out} {err}");
            self.violations.push(Violation::whole(Wrong::Check, what));
        }
        self.topology.start_missing()?;
        self.topology.wait_ready()?;
        Ok(code == 0)
    }
}

/// Whether a drive's directory, as the cluster shows it, is this one.
fn at(shown: &str, dir: &Path) -> bool {
    Path::new(shown) == dir
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Deck, Kind};
    use crate::topology::Form;

    #[test]
    fn a_deck_deals_every_kind_before_any_comes_again() {
        let kinds = Kind::of(Form::Cluster, false);
        let mut deck = Deck::new(kinds.clone());
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..3 {
            let drawn: BTreeSet<Kind> = (0..kinds.len())
                .filter_map(|_| deck.draw(&mut rng))
                .collect();
            assert_eq!(drawn.len(), kinds.len());
        }
    }

    #[test]
    fn the_same_seed_deals_the_same() {
        let deal = |seed| -> Vec<Option<Kind>> {
            let mut deck = Deck::new(Kind::of(Form::Cluster, false));
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..40).map(|_| deck.draw(&mut rng)).collect()
        };
        assert_eq!(deal(5), deal(5));
        assert_ne!(deal(5), deal(6));
    }
}
