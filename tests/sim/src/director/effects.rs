//! Which faults took effect.
//!
//! Owns: looking, while a fault lasts, whether anything met it, and counting it then, once.
//! Leaves to others: making faults ([`super::faults`]).
//! Always: looking draws no numbers and changes nothing, so that no trace depends on it.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_protocol::DriveId;

use super::{Director, TICK};
use crate::cluster::Cluster;
use crate::disk::SimDisk;
use crate::net::Host;
use crate::plan::FaultKind;

/// Faults by kind.
#[derive(Clone, Debug, Default)]
pub struct Injected {
    /// Those that were made.
    pub made: BTreeMap<FaultKind, u64>,
    /// Those of them that something met: a process that ended, a write that failed, bytes that did
    /// not arrive. An old copy of the index that there was none of counts as a lost index.
    pub met: BTreeMap<FaultKind, u64>,
}

/// Faults that must have taken effect in a run.
pub const EFFECTS_MIN: u64 = 3;

impl Injected {
    /// Whether enough took effect, and a crash is among it.
    pub fn is_worthwhile(&self) -> bool {
        let count: u64 = self.met.values().sum();
        count >= EFFECTS_MIN && self.met.keys().any(|kind| kind.is_crash())
    }
}

/// What shows that a fault was met; numbers are what there was before.
#[derive(Debug)]
pub(super) enum Sign {
    /// A sync or write failed.
    Error(SimDisk, u64),
    /// There was no space for a write, or the drive says that there is none.
    Full(DriveId, SimDisk, u64),
    /// A read gave a wrong bit.
    Misread(SimDisk, u64),
    /// Stored bits flipped.
    Flip(DriveId, u64),
    /// Bytes did not get through.
    Held(Vec<(Host, Host)>, u64),
    /// Bytes took longer.
    Slowed(Host, u64),
}

impl Sign {
    fn is_there(&self, cluster: &Cluster) -> bool {
        match self {
            Self::Error(disk, before) => disk.errors() > *before,
            Self::Full(drive, disk, before) => disk.refusals() > *before || cluster.is_full(*drive),
            Self::Misread(disk, before) => disk.misreads() > *before,
            Self::Flip(drive, before) => cluster.flips(*drive) > *before,
            Self::Held(ways, before) => cluster.network.held(ways) > *before,
            Self::Slowed(host, before) => cluster.network.slowed(*host) > *before,
        }
    }
}

/// What was injected, and what is still looked for.
#[derive(Debug, Default)]
pub(super) struct Effects {
    injected: Injected,
    /// Until when for which fault.
    awaited: Vec<(u64, FaultKind, Sign)>,
}

impl Effects {
    pub(super) fn injected(&self) -> &Injected {
        &self.injected
    }

    /// A fault is made.
    pub(super) fn made(&mut self, kind: FaultKind) {
        *self.injected.made.entry(kind).or_default() += 1;
    }

    /// A fault took effect.
    pub(super) fn met(&mut self, kind: FaultKind) {
        *self.injected.met.entry(kind).or_default() += 1;
    }
}

impl Director {
    /// A fault takes effect if the sign is seen while it lasts.
    pub(super) fn await_effect(&mut self, kind: FaultKind, lasts: Duration, sign: Sign) {
        let until = self.exec.now() + (lasts + 2 * TICK).as_nanos() as u64;
        self.effects.awaited.push((until, kind, sign));
    }

    pub(super) fn look_at_effects(&mut self) {
        let now = self.exec.now();
        let awaited = std::mem::take(&mut self.effects.awaited);
        for (until, kind, sign) in awaited {
            if sign.is_there(&self.cluster()) {
                self.effects.met(kind);
            } else if now < until {
                self.effects.awaited.push((until, kind, sign));
            }
        }
    }
}
