//! What a simulated disk is made of.
//!
//! Owns: directories, inodes, sectors, and what a crash leaves of them.
//! Leaves to others: the seam's traits and the switches for faults ([`super`]).
//! Always: `durable` changes only by a sync or a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{BLOCK_LEN, SECTOR_LEN};

/// A change of names in a directory that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Link(OsString, u64),
    Unlink(OsString),
    Rename(OsString, OsString),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub(super) names: BTreeMap<OsString, u64>,
    pub(super) durable: BTreeMap<OsString, u64>,
    pub(super) changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What reads see.
    pub(super) now: Vec<u8>,
    /// What the medium has.
    pub(super) durable: Vec<u8>,
    /// Sectors that the next sync covers.
    pub(super) dirty: BTreeSet<u64>,
    /// Sectors that a failed sync gave up: they may be on the medium or not, and no sync covers
    /// them.
    pub(super) given_up: BTreeSet<u64>,
    /// Sectors that cannot be read.
    pub(super) unreadable: BTreeSet<u64>,
    /// Blocks that take space.
    pub(super) blocks: BTreeSet<u64>,
    /// The open file that has the lock.
    pub(super) lock: Option<u64>,
}

/// When an injected fault strikes: after so many more operations of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) sync: Option<u64>,
    pub(super) write: Option<u64>,
    pub(super) power: Option<u64>,
    /// A sync or write was made to fail.
    pub(super) has_failed: bool,
}

/// What injected faults were met, so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    /// Syncs and writes that were made to fail.
    pub(super) errors: u64,
    /// Writes and allocations for which there was no space.
    pub(super) full: u64,
    /// Reads that gave a wrong bit.
    pub(super) misread: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) dirs: BTreeMap<PathBuf, Dir>,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) next_id: u64,
    /// Counts crashes: files opened before one are stale.
    pub(super) life: u64,
    pub(super) off: bool,
    pub(super) capacity: u64,
    pub(super) faults: Faults,
    pub(super) random: u64,
    /// Operations that change something, so far.
    pub(super) changes: u64,
    pub(super) syncs: u64,
    /// One read of so many is answered "not in memory" by `read_now`.
    pub(super) cold_reads: u64,
    /// One read of so many gives a wrong bit; none if 0.
    pub(super) misread_one_in: u64,
    pub(super) met: Met,
}

impl State {
    /// Counts what was refused for want of space.
    pub(super) fn refused(&mut self, done: &io::Result<()>) {
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        self.met.full += u64::from(done.as_ref().is_err_and(is_full));
    }

    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Inverts a bit of what is being read, now and then.
    pub(super) fn disturb(&mut self, buffer: &mut [u8]) {
        if self.misread_one_in == 0 || !self.random().is_multiple_of(self.misread_one_in) {
            return;
        }
        let at = self.random();
        let len = buffer.len().max(1) as u64;
        if let Some(byte) = buffer.get_mut((at / 8 % len) as usize) {
            *byte ^= 1 << (at % 8);
            self.met.misread += 1;
        }
    }

    pub(super) fn inode(&mut self, id: u64, life: u64) -> io::Result<&mut Inode> {
        if self.off || life != self.life {
            return Err(io::Error::other("the machine is off"));
        }
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        self.inodes.get_mut(&id).ok_or_else(gone)
    }

    /// Counts an operation that changes something; the power may fail before it.
    pub(super) fn change(&mut self) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the machine is off"));
        }
        self.changes += 1;
        if strikes(&mut self.faults.power) {
            self.off = true;
            return Err(io::Error::other("the power has failed"));
        }
        Ok(())
    }

    pub(super) fn used(&self) -> u64 {
        let blocks = self.inodes.values().map(|inode| inode.blocks.len() as u64);
        blocks.sum::<u64>() * BLOCK_LEN
    }

    pub(super) fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        if self.off {
            return Err(io::Error::other("the machine is off"));
        }
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        self.dirs.get_mut(path).ok_or_else(missing)
    }

    pub(super) fn write(
        &mut self,
        id: u64,
        life: u64,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<()> {
        let room = self.capacity.saturating_sub(self.used()) / BLOCK_LEN;
        let inode = self.inode(id, life)?;
        let mut room = room;
        let mut start = offset as usize;
        for (number, part) in parts(offset, bytes) {
            let block = number * SECTOR_LEN / BLOCK_LEN;
            if !inode.blocks.contains(&block) {
                room = room.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
                inode.blocks.insert(block);
            }
            let end = start + part.len();
            if inode.now.len() < end {
                inode.now.resize(end, 0);
            }
            if let Some(target) = inode.now.get_mut(start..end) {
                target.copy_from_slice(part);
            }
            start = end;
            inode.dirty.insert(number);
            inode.given_up.remove(&number);
            inode.unreadable.remove(&number);
        }
        Ok(())
    }

    /// Gives a range blocks; the length follows, and is as little durable as any other.
    pub(super) fn allocate(&mut self, id: u64, life: u64, offset: u64, len: u64) -> io::Result<()> {
        let room = self.capacity.saturating_sub(self.used()) / BLOCK_LEN;
        let inode = self.inode(id, life)?;
        let blocks = offset / BLOCK_LEN..(offset + len).div_ceil(BLOCK_LEN);
        let new: Vec<u64> = blocks.filter(|b| !inode.blocks.contains(b)).collect();
        if new.len() as u64 > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.blocks.extend(new);
        let end = (offset + len) as usize;
        if inode.now.len() < end {
            inode.now.resize(end, 0);
        }
        Ok(())
    }

    pub(super) fn crash(&mut self) {
        self.off = false;
        self.life += 1;
        self.faults = Faults::default();
        let paths: Vec<PathBuf> = self.dirs.keys().cloned().collect();
        for path in paths {
            let random = self.random();
            if let Some(dir) = self.dirs.get_mut(&path) {
                let kept = random as usize % (dir.changes.len() + 1);
                let mut names = std::mem::take(&mut dir.durable);
                for change in dir.changes.drain(..).take(kept) {
                    apply(&mut names, &change);
                }
                dir.durable.clone_from(&names);
                dir.names = names;
            }
        }
        let ids: Vec<u64> = self.inodes.keys().copied().collect();
        for id in ids {
            self.crash_inode(id);
        }
        self.sweep();
    }

    pub(super) fn crash_inode(&mut self, id: u64) {
        let Some(mut inode) = self.inodes.remove(&id) else {
            return;
        };
        let longer = self.random().is_multiple_of(2);
        let len = if longer {
            inode.now.len()
        } else {
            inode.durable.len()
        };
        let mut bytes = std::mem::take(&mut inode.durable);
        bytes.resize(len, 0);
        let unsynced: BTreeSet<u64> = inode.dirty.union(&inode.given_up).copied().collect();
        // One crash in four keeps nothing, one in four all: the ends are where bugs hide.
        let mode = self.random() % 4;
        for sector in unsynced {
            let survives = match mode {
                0 => false,
                1 => true,
                _ => self.random().is_multiple_of(2),
            };
            let start = (sector * SECTOR_LEN) as usize;
            let end = (start + SECTOR_LEN as usize).min(len).min(inode.now.len());
            if survives && start < end {
                bytes[start..end].copy_from_slice(&inode.now[start..end]);
            }
        }
        inode.now.clone_from(&bytes);
        inode.durable = bytes;
        inode.dirty.clear();
        inode.given_up.clear();
        inode.lock = None;
        self.inodes.insert(id, inode);
    }

    /// Forgets files that no directory names any more.
    pub(super) fn sweep(&mut self) {
        let dirs = self.dirs.values();
        let named: BTreeSet<u64> = dirs
            .flat_map(|dir| dir.names.values().chain(dir.durable.values()))
            .copied()
            .collect();
        self.inodes.retain(|id, _| named.contains(id));
    }
}

pub(super) fn apply(names: &mut BTreeMap<OsString, u64>, change: &Change) {
    match change {
        Change::Link(name, id) => {
            names.insert(name.clone(), *id);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
        Change::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

/// Counts down; whether it is now.
pub(super) fn strikes(countdown: &mut Option<u64>) -> bool {
    match countdown {
        Some(0) => {
            *countdown = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

/// `bytes` at `offset`, cut at sectors: (sector, bytes).
pub(super) fn parts(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut rest = bytes;
    let mut at = offset;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let len = (SECTOR_LEN - at % SECTOR_LEN).min(rest.len() as u64);
        let (head, tail) = rest.split_at(len as usize);
        parts.push((at / SECTOR_LEN, head));
        at += len;
        rest = tail;
    }
    parts
}

impl State {
    /// Gives back the space of files that no directory names, durably.
    pub(super) fn sweep_closed(&mut self) {
        let dirs = self.dirs.values();
        let named: BTreeSet<u64> = dirs
            .flat_map(|dir| dir.names.values().chain(dir.durable.values()))
            .copied()
            .collect();
        for (id, inode) in &mut self.inodes {
            if !named.contains(id) {
                inode.blocks.clear();
            }
        }
    }
}
