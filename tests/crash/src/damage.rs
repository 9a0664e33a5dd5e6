//! Changes stored bytes behind a drive's back, as dying media and careless restores do.
//!
//! Owns: where and how bytes are changed.
//! Leaves to others: which drives, and that no process has them open ([`crate::fault`]).
//! Always: pages that hold something are preferred; changes are synced.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::{CrashError, Result};
use crate::volume::page;

/// The unit that is zeroed, swapped and restored.
const PAGE: usize = 4096;
/// Pages of a drive that are remembered, to be restored later.
const REMEMBERED: usize = 64;

/// How bytes are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// One bit.
    Flip,
    /// One page, to zeros.
    Zero,
    /// Two pages, with each other.
    Swap,
    /// A page, to what it was in an earlier round.
    RestoreOld,
    /// A file, cut short.
    Truncate,
}

impl Mutation {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Flip,
        Self::Zero,
        Self::Swap,
        Self::RestoreOld,
        Self::Truncate,
    ];

    /// As totals name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Zero => "zero",
            Self::Swap => "swap",
            Self::RestoreOld => "restore-old",
            Self::Truncate => "truncate",
        }
    }
}

/// A page as it was.
#[derive(Debug, Clone)]
pub struct OldPage {
    file: PathBuf,
    at: u64,
    bytes: Vec<u8>,
}

/// A file of a drive and the pages of it that are not all zeros.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    file: File,
    pages: Vec<u64>,
}

fn targets(dir: &Path, prefix: &str) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(dir).map_err(CrashError::file("read", dir))? {
        let entry = entry.map_err(CrashError::file("read", dir))?;
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(CrashError::file("open", &path))?;
        let pages = used_pages(&file, &path)?;
        targets.push(Target { path, file, pages });
    }
    targets.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(targets)
}

fn used_pages(file: &File, path: &Path) -> Result<Vec<u64>> {
    let (mut at, mut pages) = (0, Vec::new());
    let mut window = vec![0; 256 * PAGE];
    loop {
        let count = file
            .read_at(&mut window, at)
            .map_err(CrashError::file("read", path))?;
        if count == 0 {
            return Ok(pages);
        }
        for (index, page) in window[..count].chunks(PAGE).enumerate() {
            if page.iter().any(|&byte| byte != 0) {
                pages.push(at + (index * PAGE) as u64);
            }
        }
        at += count as u64;
    }
}

/// Remembers some pages of a drive's data.
///
/// # Errors
/// `File`.
pub fn remember(dir: &Path, rng: &mut fastrand::Rng) -> Result<Vec<OldPage>> {
    let mut old = Vec::new();
    for target in targets(dir, "space.")? {
        for _ in 0..REMEMBERED {
            let Some(at) = rng.choice(&target.pages).copied() else {
                break;
            };
            if let Some(bytes) = page(&target.file, at, PAGE) {
                let file = target.path.clone();
                old.push(OldPage { file, at, bytes });
            }
        }
    }
    Ok(old)
}

/// Changes a drive's files `count` times, the last time by cutting one short if `truncates` (else
/// now and then); returns how, and where. What was so before is no change.
///
/// # Errors
/// `File`.
pub fn mutate(
    dir: &Path,
    count: usize,
    truncates: bool,
    old: &[OldPage],
    rng: &mut fastrand::Rng,
) -> Result<Vec<(Mutation, String)>> {
    let data = targets(dir, "space.")?;
    let small: Vec<Target> = ["checkpoint", "superblock"]
        .iter()
        .map(|prefix| targets(dir, prefix))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let mut done = Vec::new();
    // What a file system lost of its end, at most once and behind the others.
    let truncates = rng.u8(..4) == 0 || truncates;
    // One of the two copies of the checkpoint, or the superblock.
    let small_file = rng.choice(0..small.len().max(1)).unwrap_or(0);
    for number in 0..count {
        let last = number + 1 == count;
        let roll = rng.u8(..100);
        let target = match small.get(small_file) {
            Some(target) if roll < 3 => target,
            _ => match rng.choice(&data) {
                Some(target) => target,
                None => break,
            },
        };
        let mutation = match roll {
            0..45 => Mutation::Flip,
            45..65 => Mutation::Zero,
            65..82 => Mutation::Swap,
            _ => Mutation::RestoreOld,
        };
        let mutation = if last && truncates {
            Mutation::Truncate
        } else {
            mutation
        };
        let changed =
            change(target, mutation, old, rng).map_err(CrashError::file("change", &target.path))?;
        if let Some(place) = changed {
            done.push((mutation, format!("{}: {place}", target.path.display())));
        }
    }
    for target in data.iter().chain(&small) {
        target
            .file
            .sync_all()
            .map_err(CrashError::file("sync", &target.path))?;
    }
    Ok(done)
}

/// Returns where something was changed; `None` if there was nothing to change.
fn change(
    target: &Target,
    mutation: Mutation,
    old: &[OldPage],
    rng: &mut fastrand::Rng,
) -> std::io::Result<Option<String>> {
    let file = &target.file;
    let Some(at) = rng.choice(&target.pages).copied() else {
        return Ok(None);
    };
    match mutation {
        Mutation::Flip => {
            let mut bytes = vec![0; PAGE];
            let count = file.read_at(&mut bytes, at)?;
            let Some(place) = rng.choice(0..count) else {
                return Ok(None);
            };
            let byte = [bytes[place] ^ (1 << rng.u8(..8))];
            file.write_all_at(&byte, at + place as u64)?;
            Ok(Some(format!("bit of byte {}", at + place as u64)))
        }
        Mutation::Zero => {
            let len = (file.metadata()?.len().saturating_sub(at)).min(PAGE as u64);
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, at)?;
            if bytes.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            file.write_all_at(&vec![0; len as usize], at)?;
            Ok(Some(format!("{len} bytes at {at}")))
        }
        Mutation::Swap => {
            let other = rng.choice(&target.pages).copied().unwrap_or(at);
            match (page(file, at, PAGE), page(file, other, PAGE)) {
                (Some(one), Some(two)) if one != two => {
                    file.write_all_at(&two, at)?;
                    file.write_all_at(&one, other)?;
                    Ok(Some(format!("pages at {at} and {other}")))
                }
                _ => Ok(None),
            }
        }
        Mutation::RestoreOld => {
            let same = old.iter().filter(|page| page.file == target.path);
            let changed: Vec<&OldPage> = same
                .filter(|old| page(file, old.at, PAGE).is_some_and(|now| now != old.bytes))
                .collect();
            let Some(page) = rng.choice(&changed) else {
                return Ok(None);
            };
            file.write_all_at(&page.bytes, page.at)?;
            Ok(Some(format!("page at {}", page.at)))
        }
        Mutation::Truncate => {
            let len = at + rng.u64(..PAGE as u64);
            if len >= file.metadata()?.len() {
                return Ok(None);
            }
            file.set_len(len)?;
            Ok(Some(format!("behind {at}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutation, change, mutate, remember, targets};

    #[test]
    fn what_was_so_before_is_no_change() {
        let dir = std::env::temp_dir().join(format!("holdfast-crash-same-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let space = dir.join("space.0");
        std::fs::write(&space, vec![7; 5000]).unwrap();
        let mut rng = fastrand::Rng::with_seed(5);
        let old = remember(&dir, &mut rng).unwrap();
        let mut target = targets(&dir, "space.").unwrap().remove(0);
        target.pages.truncate(1);
        let mut done = |mutation| change(&target, mutation, &old, &mut rng).unwrap().is_some();
        assert!(!done(Mutation::RestoreOld), "nothing was written since");
        assert!(done(Mutation::Zero));
        assert!(!done(Mutation::Zero), "it was zeros already");
        assert!(!done(Mutation::Swap), "there is one page");
        assert!(done(Mutation::RestoreOld));
        assert!(done(Mutation::Truncate));
        std::fs::write(&space, vec![7; 1]).unwrap();
        let lens: Vec<bool> = (0..20).map(|_| done(Mutation::Truncate)).collect();
        assert!(lens.iter().filter(|done| **done).count() <= 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_drive_is_cut_short_for_certain_when_that_is_asked_for() {
        let dir = std::env::temp_dir().join(format!("holdfast-crash-cut-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for seed in 0..20 {
            std::fs::write(dir.join("space.0"), vec![7; 400_000]).unwrap();
            let mut rng = fastrand::Rng::with_seed(seed);
            let done = mutate(&dir, 8, true, &[], &mut rng).unwrap();
            let cut = done.iter().filter(|(how, _)| *how == Mutation::Truncate);
            assert_eq!(cut.count(), 1, "{done:?}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn every_kind_of_mutation_changes_stored_bytes() {
        let dir =
            std::env::temp_dir().join(format!("holdfast-crash-mutate-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let space = dir.join("space.0");
        let mut rng = fastrand::Rng::with_seed(3);
        let fill =
            |rng: &mut fastrand::Rng| -> Vec<u8> { (0..400_000).map(|_| rng.u8(..)).collect() };
        std::fs::write(&space, fill(&mut rng)).unwrap();
        let old = remember(&dir, &mut rng).unwrap();
        let mut seen = Vec::new();
        for _ in 0..40 {
            let before = fill(&mut rng);
            std::fs::write(&space, &before).unwrap();
            let done = mutate(&dir, 8, false, &old, &mut rng).unwrap();
            assert_ne!(std::fs::read(&space).unwrap(), before);
            seen.extend(done.into_iter().map(|(mutation, _)| mutation));
        }
        std::fs::remove_dir_all(&dir).unwrap();
        for mutation in Mutation::ALL {
            assert!(seen.contains(&mutation), "{mutation:?}");
        }
    }
}
