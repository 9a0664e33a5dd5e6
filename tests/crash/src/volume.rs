//! File systems that can be cut off: images on loop devices.
//!
//! Owns: making, mounting, cutting, filling and removing them.
//! Leaves to others: when ([`crate::fault`]).
//! Always: dropped means unmounted and removed; what an earlier supervisor left behind when it was
//! killed is removed by the next one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{CrashError, Result};

/// Bytes of an image; it is sparse, and mkfs refuses ones below 300 MiB.
const IMAGE_LEN: u64 = 400 << 20;
/// Bytes of an image that holds all drives.
const LARGE_IMAGE_LEN: u64 = 2 << 30;
/// How long processes that were killed may keep a file system busy.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(30);
/// What directories of supervisors are called; the process id follows.
const PREFIX: &str = "holdfast-crash-";
/// The file that fills a file system.
const BALLAST: &str = "ballast";

/// Runs a program that must succeed; returns what it printed.
///
/// # Errors
/// `Command`.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let fail = |reason: String| CrashError::Command {
        command: format!("{program} {}", args.join(" ")),
        reason,
    };
    let done = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| fail(error.to_string()))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let says = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(fail(format!("{}: {says}", done.status)))
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("the work directory was checked to be text")
}

/// Why file systems cannot be mounted and cut here; `None` if they can.
pub fn obstacle(dir: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let probe = || -> Result<()> {
        let mut volume = Volume::mounted(&dir.join("probe"), false)?;
        volume.cut()?;
        volume.remount()
    };
    probe()
        .err()
        .map(|error| format!("needs XFS on loop devices: {error}"))
}

/// The supervisor's directory; goes with it.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    keep: bool,
}

impl WorkDir {
    /// A fresh directory below `parent`; what dead supervisors left there is removed.
    ///
    /// # Errors
    /// `File`, `Usage` if the path is not text.
    pub fn create(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).map_err(CrashError::file("create", parent))?;
        let parent = parent
            .canonicalize()
            .map_err(CrashError::file("find", parent))?;
        if parent
            .to_str()
            .is_none_or(|text| text.contains(char::is_whitespace))
        {
            let what = format!("{} must be text without spaces", parent.display());
            return Err(CrashError::Usage(what));
        }
        remove_leftovers(&parent);
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).map_err(CrashError::file("create", &path))?;
        Ok(Self { path, keep: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves logs where they are for people, without the images.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        unmount_below(&self.path);
        if self.keep {
            eprintln!("logs are kept in {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("could not remove {}: {error}", self.path.display());
        }
    }
}

fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(pid) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let is_dead = pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        // What was kept on purpose has no images any more.
        if is_dead && unmount_below(&entry.path()) > 0 {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Unmounts everything below `path`, lazily; returns how much that was.
fn unmount_below(path: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|mount| Path::new(mount).starts_with(path))
        .collect();
    for mount in &below {
        if let Err(error) = run("umount", &["-l", mount]) {
            eprintln!("{error}");
        }
    }
    below.len()
}

/// A directory that is, where that is possible, a file system of its own.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
    image: Option<PathBuf>,
    is_cut: bool,
}

impl Volume {
    /// A plain directory.
    ///
    /// # Errors
    /// `File`.
    pub fn plain(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(CrashError::file("create", path))?;
        Ok(Self {
            path: path.to_owned(),
            image: None,
            is_cut: false,
        })
    }

    /// A new XFS at `path`, on an image beside it.
    ///
    /// # Errors
    /// `File`, `Command`.
    pub fn mounted(path: &Path, is_large: bool) -> Result<Self> {
        let mut volume = Self::plain(path)?;
        let image = path.with_extension("img");
        let file = fs::File::create(&image).map_err(CrashError::file("create", &image))?;
        let len = match is_large {
            true => LARGE_IMAGE_LEN,
            false => IMAGE_LEN,
        };
        file.set_len(len)
            .map_err(CrashError::file("create", &image))?;
        volume.image = Some(image.clone());
        run("mkfs.xfs", &["-q", "-f", text(&image)])?;
        volume.mount()?;
        Ok(volume)
    }

    fn mount(&self) -> Result<()> {
        match &self.image {
            None => Ok(()),
            Some(image) => run("mount", &["-o", "loop", text(image), text(&self.path)]).map(|_| ()),
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its power was cut and is not back.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Cuts its power: whatever was not synced is gone, every access fails from now on.
    ///
    /// # Errors
    /// `Command`.
    pub fn cut(&mut self) -> Result<()> {
        if !self.is_cut {
            run("xfs_io", &["-x", "-c", "shutdown", text(&self.path)])?;
            self.is_cut = true;
        }
        Ok(())
    }

    /// Mounts it anew after its power was cut. Whoever used it must be gone.
    ///
    /// # Errors
    /// `Command`.
    pub fn remount(&mut self) -> Result<()> {
        let end = Instant::now() + UNMOUNT_TIMEOUT;
        // Never lazily: two mounts of one image would destroy it.
        while let Err(error) = run("umount", &[text(&self.path)]) {
            if Instant::now() > end {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.mount()?;
        self.is_cut = false;
        Ok(())
    }

    /// Takes all its space.
    ///
    /// # Errors
    /// `File` for anything but a full disk.
    pub fn fill(&self) -> Result<()> {
        let path = self.path.join(BALLAST);
        let failed = || CrashError::file("fill", &path);
        let mut file = fs::File::create(&path).map_err(failed())?;
        let mut piece_len = 4 << 20;
        while piece_len >= 4096 {
            let piece = vec![0x5a; piece_len];
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece_len /= 4,
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// `File`.
    pub fn free(&self) -> Result<()> {
        let path = self.path.join(BALLAST);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CrashError::file("remove", &path)(error));
            }
            _ => {}
        }
        // Or the next power cut brings the ballast back.
        fs::File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(CrashError::file("sync", &self.path))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Some(image) = &self.image {
            if run("umount", &[text(&self.path)]).is_err() {
                let _ = run("umount", &["-l", text(&self.path)]);
            }
            let _ = fs::remove_file(image);
        }
    }
}

/// Removes everything inside a directory.
///
/// # Errors
/// `File`.
pub fn empty(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(CrashError::file("read", dir))? {
        let entry = entry.map_err(CrashError::file("read", dir))?;
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = match is_dir {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(CrashError::file("remove", &path))?;
    }
    Ok(())
}

/// Reads the page at `at`; `None` if the file ends before its end.
pub fn page(file: &fs::File, at: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}
