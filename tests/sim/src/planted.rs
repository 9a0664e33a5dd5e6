//! Proves that the seeds find faults that were planted.
//!
//! Owns: running this program once more with each planted fault, from the seed on that is known to
//! find it, and the report.
//! Leaves to others: the faults (`holdfast_seam::planted`), seeds ([`crate::run`]), which do not
//! know of them.
//! Always: a fault is found only by a seed that fails with it and does not fail without it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_seam::planted::PLANTED;

/// The variable that names a planted fault.
const PLANTED_ENV: &str = "HOLDFAST_PLANTED";

/// A planted fault that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Catch {
    /// Counted from 1, the first that finds it: so many seeds it takes.
    seed: u64,
    /// What the seed failed with.
    what: String,
}

/// What is known of planted faults.
pub type Table = BTreeMap<String, Known>;

/// What is known of a planted fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The first seed that finds it.
    Seed(u64),
    /// No seed does, which is a defect of the suites; and why that is.
    Open(String),
}

/// What is known: `NAME SEED WHAT` a line, `NAME - REASON` for what is not found; `#` before what
/// is for people only.
///
/// # Errors
/// What cannot be read or understood.
pub fn read_table(file: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let known = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        PLANTED.iter().find(|(known, _)| *known == name)?;
        let (seed, why) = rest.trim_start().split_once(' ')?;
        let known = match seed {
            "-" => Known::Open(why.trim().to_owned()),
            seed => Known::Seed(seed.parse().ok()?),
        };
        Some((name.to_owned(), known))
    };
    lines
        .map(|line| known(line).ok_or_else(|| format!("{}: not a fault: {line}", file.display())))
        .collect()
}

/// Runs this program for every planted fault (of `only`, if given), first with the seed of the
/// table, then with the seeds from 1 to `max`; prints a report. Returns whether all were found but
/// those that are known not to be.
pub fn prove(table: &Table, only: Option<&str>, max: u64, jobs: u64) -> bool {
    let wanted = |name: &str| only.is_none_or(|only| only.split(',').any(|one| one == name));
    let faults: Vec<_> = PLANTED.iter().filter(|(name, _)| wanted(name)).collect();
    let (next, found, missed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        while let Some((name, what)) = faults.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let known = table.get(*name);
            if let Some(Known::Open(why)) = known {
                println!("{name:22}     - NOT FOUND, as is known: {why}");
                continue;
            }
            let expected = known.and_then(|known| match known {
                Known::Seed(seed) => Some(*seed),
                Known::Open(_) => None,
            });
            match hunt(name, expected, max) {
                Some(Catch { seed, what: how }) => {
                    found.fetch_add(1, Ordering::Relaxed);
                    let note = match expected {
                        Some(known) if known != seed => format!(" (no longer by {known})"),
                        _ => String::new(),
                    };
                    println!("{name:22} {seed:5} {how:8} {what}{note}");
                }
                None => {
                    missed.fetch_add(1, Ordering::Relaxed);
                    println!("{name:22}     - NOT FOUND in {max} seeds: {what}");
                }
            }
        }
    };
    println!(
        "{:22} {:>5} {:8} what it breaks",
        "planted fault", "seeds", "found as"
    );
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let (found, missed) = (found.into_inner(), missed.into_inner());
    let open = faults.len() as u64 - found - missed;
    println!("{found} planted faults found, {missed} not found, {open} known not to be");
    missed == 0
}

/// Looks for a seed that fails with the fault and not without.
fn hunt(name: &str, expected: Option<u64>, max: u64) -> Option<Catch> {
    if let Some(seed) = expected
        && let Some(found) = first_failure(Some(name), seed, 1)
        && first_failure(None, seed, 1).is_none()
    {
        return Some(found);
    }
    let mut from = 1;
    while from <= max {
        let found = first_failure(Some(name), from, max + 1 - from)?;
        if first_failure(None, found.seed, 1).is_none() {
            return Some(found);
        }
        from = found.seed + 1;
    }
    None
}

/// The first of some seeds that fails with a planted fault or with none, and how.
fn first_failure(planted: Option<&str>, from: u64, seeds: u64) -> Option<Catch> {
    let output = again(planted, from, seeds).ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let what = lines.find_map(|line| line.strip_prefix("FAILED ("))?;
    let seed = lines.find_map(|line| line.strip_prefix("again: "))?;
    Some(Catch {
        seed: seed.rsplit(' ').next()?.parse().ok()?,
        what: what.split(')').next()?.to_owned(),
    })
}

fn again(planted: Option<&str>, from: u64, seeds: u64) -> io::Result<Output> {
    let mut child = Command::new(std::env::current_exe()?);
    child.env_remove(PLANTED_ENV);
    if let Some(name) = planted {
        child.env(PLANTED_ENV, name);
    }
    child.args(["--until-failure", "--jobs", "1"]);
    child.args(["--from", &from.to_string(), "--seeds", &seeds.to_string()]);
    child.output()
}
