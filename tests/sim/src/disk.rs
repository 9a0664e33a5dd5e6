//! A disk that loses what was not synced.
//!
//! Owns: files in memory, what of them is durable, crashes and injected faults.
//! Leaves to others: deciding when what fails.
//! Always: the same seed and calls give the same disk. A crash keeps of every file any subset of
//! the sectors written since its last sync, its old or its new length, and of every directory a
//! prefix of the changes since its last sync. Directories themselves are durable once made.

mod medium;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_seam::{Disk, DiskFile, OpenMode};

use medium::{Change, Dir, Faults, Inode, Met, State, apply, strikes};

/// The unit that survives a crash or does not, in bytes.
pub const SECTOR_LEN: u64 = 512;
/// The unit in which space is taken, in bytes.
pub const BLOCK_LEN: u64 = 4096;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl SimDisk {
    /// An empty disk without limit.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dirs: BTreeMap::from([(PathBuf::from("/"), Dir::default())]),
            inodes: BTreeMap::new(),
            next_id: 1,
            life: 0,
            off: false,
            capacity: u64::MAX / 2,
            faults: Faults::default(),
            random: seed,
            changes: 0,
            syncs: 0,
            cold_reads: 3,
            misread_one_in: 0,
            met: Met::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loses what was not synced. Open files are stale afterwards, locks are gone, faults are
    /// forgotten.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// Sets how many bytes files may take together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Lets the `n`th sync from now fail (0 is the next).
    pub fn fail_sync(&self, n: u64) {
        self.state().faults.sync = Some(n);
    }

    /// Lets the `n`th write from now fail (0 is the next).
    pub fn fail_write(&self, n: u64) {
        self.state().faults.write = Some(n);
    }

    /// Switches the machine off before the `n`th change from now (0 is the next): everything fails
    /// until [`SimDisk::crash`].
    pub fn cut_power(&self, n: u64) {
        self.state().faults.power = Some(n);
    }

    /// Forgets faults that were to come, and those that came.
    pub fn spare(&self) {
        self.state().faults = Faults::default();
    }

    /// Whether a sync or write was made to fail since [`SimDisk::spare`].
    pub fn has_failed(&self) -> bool {
        self.state().faults.has_failed
    }

    /// Lets one read in `one_in` give a wrong bit, though the medium has the right one; none if 0.
    pub fn misread(&self, one_in: u64) {
        self.state().misread_one_in = one_in;
    }

    /// Reads that gave a wrong bit, so far.
    pub fn misreads(&self) -> u64 {
        self.state().met.misread
    }

    /// Syncs and writes that were made to fail, so far.
    pub fn errors(&self) -> u64 {
        self.state().met.errors
    }

    /// Writes and allocations for which there was no space, so far.
    pub fn refusals(&self) -> u64 {
        self.state().met.full
    }

    /// Whether the power has failed and [`SimDisk::crash`] is due.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Files of a directory and their lengths.
    pub fn files(&self, dir: &Path) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let names = state.dirs.get(dir).into_iter().flat_map(|dir| &dir.names);
        let file = |(name, id): (&OsString, &u64)| {
            let inode = state.inodes.get(id)?;
            Some((dir.join(name), inode.now.len() as u64))
        };
        names.filter_map(file).collect()
    }

    /// Operations that changed something, so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Syncs so far, failed ones included.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Inverts the bits of `mask` in one byte of a file, on the medium and in memory.
    ///
    /// `false` if the file has no such byte.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> bool {
        self.with(path, |inode| {
            let at = offset as usize;
            let now = inode.now.get_mut(at);
            let durable = inode.durable.get_mut(at);
            let mut changed = false;
            for byte in now.into_iter().chain(durable) {
                *byte ^= mask;
                changed = true;
            }
            changed
        })
    }

    /// Makes a sector of a file unreadable until it is written again.
    pub fn spoil(&self, path: &Path, offset: u64) -> bool {
        self.with(path, |inode| inode.unreadable.insert(offset / SECTOR_LEN))
    }

    /// Bytes of a file, if there is one.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let mut contents = None;
        self.with(path, |inode| {
            contents = Some(inode.now.clone());
            true
        });
        contents
    }

    fn with(&self, path: &Path, change: impl FnOnce(&mut Inode) -> bool) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        let id = split(path)
            .and_then(|(dir, name)| state.dirs.get(&dir).and_then(|d| d.names.get(&name)));
        let inode = id.copied().and_then(|id| state.inodes.get_mut(&id));
        inode.is_some_and(change)
    }
}

fn split(path: &Path) -> Option<(PathBuf, OsString)> {
    Some((path.parent()?.to_owned(), path.file_name()?.to_owned()))
}

fn split_or_invalid(path: &Path) -> io::Result<(PathBuf, OsString)> {
    split(path).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    handle: u64,
    life: u64,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Ok(inode) = state.inode(self.inode, self.life)
            && inode.lock == Some(self.handle)
        {
            inode.lock = None;
        }
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let inode = state.inode(self.inode, self.life)?;
        let end = offset as usize + buffer.len();
        let bytes = inode
            .now
            .get(offset as usize..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let sectors = offset / SECTOR_LEN..(end as u64).div_ceil(SECTOR_LEN);
        if inode.unreadable.range(sectors).next().is_some() {
            return Err(io::Error::other("unreadable sector"));
        }
        buffer.copy_from_slice(bytes);
        state.disturb(buffer);
        Ok(())
    }
    fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        {
            let mut state = self.disk.state();
            if state.cold_reads > 0 && state.random().is_multiple_of(state.cold_reads) {
                return Ok(None);
            }
        }
        match self.read_exact_at(buffer, offset) {
            Ok(()) => Ok(Some(buffer.len())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }
    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let bytes: Vec<u8> = slices.concat();
        if let Err(error) = state.change() {
            // The power fails in the middle: part of it reached the cache, and perhaps the medium.
            state.off = false;
            let part = state.random() as usize % (bytes.len() + 1);
            let _ = state.write(self.inode, self.life, &bytes[..part], offset);
            state.off = true;
            return Err(error);
        }
        if strikes(&mut state.faults.write) {
            state.faults.has_failed = true;
            state.met.errors += 1;
            let part = state.random() as usize % (bytes.len() + 1);
            state.write(self.inode, self.life, &bytes[..part], offset)?;
            return Err(io::Error::other("injected write error"));
        }
        let done = state.write(self.inode, self.life, &bytes, offset);
        state.refused(&done);
        done
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let done = state.allocate(self.inode, self.life, offset, len);
        state.refused(&done);
        done
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        state.syncs += 1;
        let failed = strikes(&mut state.faults.sync);
        state.faults.has_failed |= failed;
        state.met.errors += u64::from(failed);
        let inode = state.inode(self.inode, self.life)?;
        let dirty = std::mem::take(&mut inode.dirty);
        if failed {
            inode.given_up.extend(dirty);
            return Err(io::Error::other("injected sync error"));
        }
        let len = inode.now.len();
        inode.durable.resize(len, 0);
        for sector in dirty {
            let start = (sector * SECTOR_LEN) as usize;
            let end = (start + SECTOR_LEN as usize).min(len);
            if start < end {
                inode.durable[start..end].copy_from_slice(&inode.now[start..end]);
            }
        }
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        Ok(state.inode(self.inode, self.life)?.now.len() as u64)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let inode = state.inode(self.inode, self.life)?;
        inode.now.resize(len as usize, 0);
        inode.dirty.retain(|sector| sector * SECTOR_LEN < len);
        inode.blocks.retain(|block| block * BLOCK_LEN < len);
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.state();
        let inode = state.inode(self.inode, self.life)?;
        match inode.lock {
            Some(holder) => Ok(holder == self.handle),
            None => {
                inode.lock = Some(self.handle);
                Ok(true)
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let (parent, name) = split_or_invalid(path)?;
        let mut state = self.state();
        let found = state.dir(&parent)?.names.get(&name).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(id), _) => id,
            (None, OpenMode::CreateNew) => {
                state.change()?;
                let id = state.next_id;
                state.next_id += 1;
                state.inodes.insert(id, Inode::default());
                let dir = state.dir(&parent)?;
                dir.names.insert(name.clone(), id);
                dir.changes.push(Change::Link(name, id));
                id
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        let handle = state.next_id;
        state.next_id += 1;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
            handle,
            life: state.life,
        }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        for dir in path.ancestors() {
            state.dirs.entry(dir.to_owned()).or_default();
        }
        Ok(())
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.state().dir(path)?.names.keys().cloned().collect())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((parent, old), (other, new)) = (split_or_invalid(from)?, split_or_invalid(to)?);
        if parent != other {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut state = self.state();
        state.change()?;
        let dir = state.dir(&parent)?;
        if !dir.names.contains_key(&old) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = Change::Rename(old, new);
        apply(&mut dir.names, &change);
        dir.changes.push(change);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = split_or_invalid(path)?;
        let mut state = self.state();
        if !state.dir(&parent)?.names.contains_key(&name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change()?;
        let dir = state.dir(&parent)?;
        dir.names.remove(&name);
        dir.changes.push(Change::Unlink(name));
        Ok(())
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let dir = state.dir(path)?;
        dir.durable = dir.names.clone();
        dir.changes.clear();
        state.sweep_closed();
        Ok(())
    }
    fn space(&self, _path: &Path) -> io::Result<(u64, u64)> {
        let state = self.state();
        Ok((state.capacity, state.capacity.saturating_sub(state.used())))
    }
}

#[cfg(test)]
mod tests;
