//! The data directory of a gateway, also of the one inside `holdfast server`.
//!
//! Owns: its names, making it (mode 0700), the lock that keeps other processes out, writing files
//! so that a crash leaves the old or the new one.
//! Leaves to others: what is in `drives/` (`shard-node`) and `index/` (`index`).
//! Always: nothing is written to a directory that holds something else.

mod credentials;
mod holders;
mod master_key;
mod stamp;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::CliError;

pub use credentials::{Keys, banner};
pub use stamp::{Phase, Replacement, Slot, Stamp, check_drives};

const DRIVES: &str = "drives";
const LOCK: &str = "lock";
const STAMP: &str = "cluster.json";
const CREDENTIALS: &str = "credentials";

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if needed and locks it.
    ///
    /// # Errors
    /// `DataDirInUse`; `Layout` if it holds something else; `File`.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(CliError::file("make directory", path))?;
        check_ours(path)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Where the index is.
    pub fn index(&self) -> PathBuf {
        self.path.join("index")
    }
    /// Where drive `number` of an embedded cluster is.
    pub fn drive(&self, number: usize) -> PathBuf {
        self.path.join(DRIVES).join(number.to_string())
    }

    /// Reads who and what was laid out here; `None` before the first start.
    ///
    /// # Errors
    /// `File`, or `Layout` if the file cannot be understood.
    pub fn stamp(&self) -> Result<Option<Stamp>, CliError> {
        let path = self.path.join(STAMP);
        match std::fs::read_to_string(&path) {
            Ok(text) => Stamp::parse(&text, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.no_stamp(),
            Err(error) => Err(CliError::file("read", &path)(error)),
        }
    }

    /// Without a stamp there must be nothing that one would speak of.
    fn no_stamp(&self) -> Result<Option<Stamp>, CliError> {
        match [self.index(), self.path.join(DRIVES)]
            .iter()
            .find(|path| path.exists())
        {
            None => Ok(None),
            Some(found) => Err(CliError::Layout(format!(
                "{} is missing, but {} is there: put it back",
                self.path.join(STAMP).display(),
                found.display()
            ))),
        }
    }

    /// Writes who and what is laid out here, durably.
    ///
    /// # Errors
    /// `File`.
    pub fn set_stamp(&self, stamp: &Stamp) -> Result<(), CliError> {
        write_durably(&self.path, STAMP, stamp.text().as_bytes())
    }
}

/// Who and what is laid out in `path`, without locking it; `None` also if that cannot be told.
pub fn peek(path: &Path) -> Option<Stamp> {
    let path = path.join(STAMP);
    let text = std::fs::read_to_string(&path).ok()?;
    Stamp::parse(&text, &path).ok()
}

/// Whether the directory is empty or one of ours.
fn check_ours(path: &Path) -> Result<(), CliError> {
    let entries = std::fs::read_dir(path).map_err(CliError::file("read directory", path))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CliError::file("read directory", path))?;
        names.push(entry.file_name());
    }
    let known = [LOCK, STAMP];
    match names.is_empty()
        || names
            .iter()
            .any(|name| known.iter().any(|known| name == known))
    {
        true => Ok(()),
        false => Err(CliError::Layout(format!(
            "{} is not empty and holds no Holdfast data: choose another directory with --data-dir",
            path.display()
        ))),
    }
}

fn lock(dir: &Path) -> Result<File, CliError> {
    let path = dir.join(LOCK);
    let failed = |error| CliError::file("lock", &path)(error);
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(CliError::DataDirInUse {
                dir: dir.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Replaces a file (mode 0600): after a crash it has the old or the new contents.
pub fn write_durably(dir: &Path, name: &str, contents: &[u8]) -> Result<(), CliError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(CliError::file("write", &path))
}

#[cfg(test)]
mod tests;
