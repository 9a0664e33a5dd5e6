//! Files.
//!
//! Owns: the few operations that a drive needs, all blocking (callers run them on the pool or on a
//! thread of their own), except [`DiskFile::read_now`].
//! Leaves to others: layout, caching, retries.
//! Always: nothing is durable before `sync_data` (contents, length) and `sync_dir` (names). A file
//! is written either as pages or not, never both.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

pub use pages::{PAGE_LEN, PageBuffer, zero_pages};

mod pages;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing, for reading only.
    Read,
    /// Existing, for reading and writing.
    ReadWrite,
    /// New (mode 0600), for reading and writing; an existing one is an error.
    CreateNew,
}

/// An open file. All methods may be called from several threads.
pub trait DiskFile: Send + Sync + Debug {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Reads at most `buffer.len()` bytes without blocking, if they are in memory.
    ///
    /// Returns how many; `None` if that cannot be done without waiting for the medium.
    ///
    /// # Errors
    /// Those of the system.
    fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>>;
    /// Writes all slices one after the other, from `offset`.
    ///
    /// # Errors
    /// Those of the system; part may have been written.
    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Writes whole pages: `offset` and the length of all slices together are multiples of
    /// [`PAGE_LEN`]. Where the system can, they go past the page cache; from slices that begin and
    /// end at pages of memory without a copy. What is read afterwards is what was written.
    ///
    /// # Errors
    /// `InvalidInput` if they are not whole pages, with nothing written; those of the system, with
    /// part perhaps written.
    fn write_pages_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        pages::check(slices, offset)?;
        self.write_all_at(slices, offset)
    }
    /// Gives a range blocks on the medium, extending the file if needed; contents stay. Where the
    /// file system cannot do that, nothing happens.
    ///
    /// # Errors
    /// Those of the system; `StorageFull` if it has no room, with part perhaps allocated.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes contents and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Those of the system. What the failed sync covered must be taken for lost.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// Those of the system.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Takes the exclusive lock, held until the file is dropped. `false` if another process has it.
    ///
    /// # Errors
    /// Those of the system.
    fn try_lock(&self) -> io::Result<bool>;
}

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory (mode 0700) and those above it; existing ones are fine.
    ///
    /// # Errors
    /// Those of the system.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, in no particular order.
    ///
    /// # Errors
    /// Those of the system; `NotFound` if there is no such directory.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes of the file system at `path`: (all, available to this process).
    ///
    /// # Errors
    /// Those of the system.
    fn space(&self, path: &Path) -> io::Result<(u64, u64)>;
}

/// The machine's file systems.
#[derive(Debug)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile {
    file: File,
    pages: pages::Pages,
}

/// Writes all slices, in as few calls as the system allows.
fn write_all(file: &File, slices: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = slices.iter().map(|s| IoSlice::new(s)).collect();
    let mut rest = &mut slices[..];
    while rest.iter().any(|slice| !slice.is_empty()) {
        let batch = rest.len().min(1024);
        let written = rustix::io::pwritev(file, &rest[..batch], offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

impl DiskFile for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
    fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
    fn write_all_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        write_all(&self.file, slices, offset)
    }
    fn write_pages_at(&self, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        self.pages.write(&self.file, slices, offset)
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            allocated => Ok(allocated?),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile {
            file: options.open(path)?,
            pages: pages::Pages::new(path),
        }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
    fn space(&self, path: &Path) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(path)?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }
}

#[cfg(test)]
mod tests;
