//! The files of a drive, as one address space.
//!
//! Owns: the arena files `space.N`, small files that are replaced whole, the syncs, and whether the
//! drive is out of service for writes.
//! Leaves to others: what is where.
//! Always: arenas are written in whole pages only ([`holdfast_seam::DiskFile::write_pages_at`]);
//! syncs are one at a time, and after a failed write or sync nothing is written or synced
//! again: the system reports a failure once, so whoever hears it must stop everybody.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holdfast_protocol::drive::PAGE_LEN;
use holdfast_protocol::rpc::DriveError;
use holdfast_seam::disk::zero_pages;
use holdfast_seam::{Disk, DiskFile, Monotonic, OpenMode, World};
use parking_lot::{Mutex, RwLock};

use crate::metrics::DriveMetrics;

/// Longest file that is read whole, in bytes.
const WHOLE_LEN_MAX: u64 = 64 << 30;

/// The files of one drive.
#[derive(Debug)]
pub(crate) struct Files {
    world: World,
    dir: PathBuf,
    arena_len: u64,
    arenas: RwLock<BTreeMap<u64, Arc<dyn DiskFile>>>,
    sync: Mutex<()>,
    trouble: Mutex<Option<String>>,
    syncs: AtomicU64,
    metrics: DriveMetrics,
}

impl Files {
    /// Opens the arenas that exist in `dir`.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn open(
        world: World,
        dir: &Path,
        arena_len: u64,
        metrics: DriveMetrics,
    ) -> io::Result<Self> {
        let mut arenas = BTreeMap::new();
        for name in world.disk.list(dir)? {
            let number = name.to_str().and_then(|n| n.strip_prefix("space."));
            if let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) {
                let file = world.disk.open(&dir.join(&name), OpenMode::ReadWrite)?;
                arenas.insert(number, file);
            }
        }
        Ok(Self {
            world,
            dir: dir.to_owned(),
            arena_len,
            arenas: RwLock::new(arenas),
            sync: Mutex::new(()),
            trouble: Mutex::new(None),
            syncs: AtomicU64::new(0),
            metrics,
        })
    }

    /// Why the drive is out of service for writes, if it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Takes the drive out of service for writes.
    pub(crate) fn fail(&self, why: String) {
        let mut trouble = self.trouble.lock();
        if trouble.is_none() {
            let dir = self.dir.display();
            tracing::error!(%dir, error = %why, "drive out of service for writes");
            *trouble = Some(why);
        }
    }

    /// Answers `OutOfService` if the drive is.
    pub(crate) fn check(&self) -> Result<(), DriveError> {
        match self.trouble() {
            Some(why) => Err(DriveError::OutOfService { why }),
            None => Ok(()),
        }
    }

    /// Data syncs so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// The number of the arena at `address`.
    pub(crate) fn arena_of(&self, address: u64) -> u64 {
        address / self.arena_len
    }

    /// End of the files in the address space, in bytes: of the last arena that has any. A file that
    /// was cut within a page counts with all of it: what is written goes on behind.
    pub(crate) fn end(&self) -> io::Result<u64> {
        match self.arenas.read().last_key_value() {
            Some((number, file)) => {
                let len = file.len()?.next_multiple_of(PAGE_LEN);
                Ok(number * self.arena_len + len.min(self.arena_len))
            }
            None => Ok(0),
        }
    }

    /// Bytes available on the file system.
    pub(crate) fn available(&self) -> u64 {
        self.world.disk.space(&self.dir).map_or(0, |space| space.1)
    }

    /// Gives the bytes from `address` blocks on the file system; what was never written there reads
    /// as zeros, or as damage.
    ///
    /// # Errors
    /// `Full` if the file system is; otherwise as [`Files::write`].
    pub(crate) fn allocate(&self, mut address: u64, mut len: u64) -> Result<(), DriveError> {
        self.check()?;
        while len > 0 {
            let offset = address % self.arena_len;
            let part = len.min(self.arena_len - offset);
            let allocated = self
                .arena(address)
                .and_then(|file| file.allocate(offset, part));
            match allocated {
                Ok(()) => {}
                Err(error) if is_full(&error) => {
                    self.metrics.error("full");
                    return Err(DriveError::Full);
                }
                Err(error) => {
                    self.metrics.error("write");
                    self.fail(format!("allocate at {address}: {error}"));
                    return self.check();
                }
            }
            address += part;
            len -= part;
        }
        Ok(())
    }

    /// Writes `slices` at `address`, the start of a page, within one arena; the rest of the last
    /// page becomes zeros.
    ///
    /// # Errors
    /// `Full` if the file system is; otherwise the drive goes out of service, and `OutOfService`.
    pub(crate) fn write(&self, address: u64, slices: &[&[u8]]) -> Result<(), DriveError> {
        self.check()?;
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        let rest = len.next_multiple_of(PAGE_LEN as usize) - len;
        let padded: Vec<&[u8]>;
        let pages = if rest == 0 {
            slices
        } else {
            padded = slices.iter().copied().chain([zero_pages(rest)]).collect();
            &padded
        };
        let written = self
            .arena(address)
            .and_then(|file| file.write_pages_at(pages, address % self.arena_len));
        match written {
            Ok(()) => {
                self.metrics.written.inc_by(len as u64);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                self.metrics.error("full");
                Err(DriveError::Full)
            }
            Err(error) => {
                self.metrics.error("write");
                self.fail(format!("write at {address}: {error}"));
                self.check()
            }
        }
    }

    /// Makes what was written to the given arenas durable.
    ///
    /// # Errors
    /// `OutOfService`, now or since an earlier failure.
    pub(crate) fn sync(&self, arenas: impl IntoIterator<Item = u64>) -> Result<(), DriveError> {
        let _one = self.sync.lock();
        for number in arenas {
            self.check()?;
            let start = self.world.clock.now();
            let synced = self
                .arena(number * self.arena_len)
                .and_then(|f| f.sync_data());
            self.synced(start);
            if let Err(error) = synced {
                self.metrics.error("sync");
                self.fail(format!("sync of space.{number}: {error}"));
            }
        }
        self.check()
    }

    /// Fills `buffer` from `address`, within one arena.
    ///
    /// # Errors
    /// Those of the system; `UnexpectedEof` if nothing was ever written there.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let Some(file) = self.existing(address) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let read = file.read_exact_at(buffer, address % self.arena_len);
        if read.is_ok() {
            self.metrics.read.inc_by(buffer.len() as u64);
        }
        read
    }

    /// Fills `buffer` from `address` if that needs no waiting; `false` if it does.
    pub(crate) fn read_now(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(file) = self.existing(address) else {
            return false;
        };
        let read = file.read_now(buffer, address % self.arena_len);
        let whole = matches!(read, Ok(Some(len)) if len == buffer.len());
        if whole {
            self.metrics.read.inc_by(buffer.len() as u64);
        }
        whole
    }

    /// Reads a small file whole.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
        let file = disk.open(path, OpenMode::Read)?;
        let len = file.len()?;
        if len > WHOLE_LEN_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut buffer = vec![0; len as usize];
        file.read_exact_at(&mut buffer, 0)?;
        Ok(buffer.into())
    }

    /// Replaces a file, durably: the old or the new contents survive, whole.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = dir.join(format!("{name}.new"));
        match disk.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(&new, OpenMode::CreateNew)?;
        file.write_all_at(&[bytes], 0)?;
        file.sync_data()?;
        disk.rename(&new, &dir.join(name))?;
        disk.sync_dir(dir)
    }

    fn synced(&self, start: Monotonic) {
        let took = self.world.clock.now().since(start);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.metrics.syncs.inc();
        self.metrics.sync_seconds.observe(took.as_secs_f64());
    }

    fn existing(&self, address: u64) -> Option<Arc<dyn DiskFile>> {
        self.arenas.read().get(&self.arena_of(address)).cloned()
    }

    /// The arena at `address`, made if there is none.
    fn arena(&self, address: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.existing(address) {
            return Ok(file);
        }
        let mut arenas = self.arenas.write();
        let number = self.arena_of(address);
        if let Some(file) = arenas.get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = self.dir.join(format!("space.{number}"));
        let file = match self.world.disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.world.disk.open(&path, OpenMode::ReadWrite)?
            }
            opened => opened?,
        };
        self.world.disk.sync_dir(&self.dir)?;
        arenas.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

/// Whether an error means that the file system has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
