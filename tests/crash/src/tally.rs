//! What was injected and what was checked, added up over rounds and runs.
//!
//! Owns: the counts, and the file of JSON lines that keeps them.
//! Always: a line is written only for a round that was checked to its end.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::Violation;
use crate::error::{CrashError, Result};
use crate::topology::{Form, Role};

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rounds that were checked to their end.
    pub rounds: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Processes killed with SIGKILL, by kind of process.
    pub kills: BTreeMap<String, u64>,
    /// File systems whose power was cut.
    pub file_systems_cut: u64,
    /// Mutations of stored bytes, by kind.
    pub mutations: BTreeMap<String, u64>,
    /// Operations of writers.
    pub operations: u64,
    /// Those answered with success.
    pub acknowledged: u64,
    /// Reads of keys that were compared byte for byte.
    pub reads_checked: u64,
    /// Audits of all keys.
    pub audits: u64,
    /// Of those, with an index made anew.
    pub rebuilds_checked: u64,
    /// What went wrong.
    pub violations: u64,
    /// Rounds, also those that were not checked to their end, by the build that was tested.
    #[serde(default)]
    pub builds: BTreeMap<String, u64>,
}

/// A build of which nothing was said.
const UNKNOWN: &str = "unknown";

/// The build under test, as the scripts that start the run say (`HOLDFAST_TEST_BUILD`).
pub fn build() -> String {
    let said = std::env::var("HOLDFAST_TEST_BUILD").unwrap_or_default();
    match said.trim() {
        "" => UNKNOWN.to_owned(),
        said => said.to_owned(),
    }
}

fn add_map(to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (name, count) in from {
        *to.entry(name.clone()).or_default() += count;
    }
}

impl Tally {
    /// Of a round that begins.
    pub fn of_round() -> Self {
        Self {
            builds: BTreeMap::from([(build(), 1)]),
            ..Self::default()
        }
    }

    /// Counts a fault.
    pub fn fault(&mut self, kind: &str) {
        *self.faults.entry(kind.to_owned()).or_default() += 1;
    }

    /// Counts a killed process.
    pub fn kill(&mut self, role: Role) {
        *self.kills.entry(role.name().to_owned()).or_default() += 1;
    }

    /// Counts a mutation.
    pub fn mutation(&mut self, kind: &str) {
        *self.mutations.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        add_map(&mut self.faults, &other.faults);
        add_map(&mut self.kills, &other.kills);
        add_map(&mut self.mutations, &other.mutations);
        self.file_systems_cut += other.file_systems_cut;
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.reads_checked += other.reads_checked;
        self.audits += other.audits;
        self.rebuilds_checked += other.rebuilds_checked;
        self.violations += other.violations;
        add_map(&mut self.builds, &other.builds);
    }

    /// Power cuts: events, not file systems.
    pub fn power_cuts(&self) -> u64 {
        let cuts = self.faults.iter();
        cuts.filter(|(kind, _)| kind.starts_with("cut-"))
            .map(|(_, count)| count)
            .sum()
    }

    /// All mutations.
    pub fn mutations(&self) -> u64 {
        self.mutations.values().sum()
    }

    /// All kills.
    pub fn kills(&self) -> u64 {
        self.kills.values().sum()
    }
}

/// A line of the totals file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The seed of the run.
    pub seed: u64,
    /// The round of that run.
    pub round: u64,
    /// What ran.
    pub form: Form,
    /// What was injected and checked in it.
    pub tally: Tally,
    /// The first things that went wrong, in words.
    pub violations: Vec<String>,
}

impl Line {
    /// The line of a round.
    pub fn new(seed: u64, round: u64, form: Form, tally: Tally, wrong: &[Violation]) -> Self {
        Self {
            seed,
            round,
            form,
            tally,
            violations: wrong.iter().take(20).map(ToString::to_string).collect(),
        }
    }
}

/// Adds up the lines of a totals file; nothing if there is none.
///
/// # Errors
/// `File`, `Totals`.
pub fn read(path: &Path) -> Result<Tally> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Tally::default()),
        Err(error) => return Err(CrashError::file("read", path)(error)),
    };
    let mut total = Tally::default();
    for (index, line) in text.lines().enumerate() {
        let mut line: Line = serde_json::from_str(line).map_err(|source| CrashError::Totals {
            path: path.to_owned(),
            line: index + 1,
            source,
        })?;
        // Lines of before builds were noted.
        if line.tally.builds.is_empty() {
            line.tally.builds.insert(UNKNOWN.to_owned(), 1);
        }
        total.add(&line.tally);
    }
    Ok(total)
}

/// Appends a line to a totals file.
///
/// # Errors
/// `File`.
pub fn append(path: &Path, line: &Line) -> Result<()> {
    let failed = || CrashError::file("write", path);
    let mut text = serde_json::to_string(line).expect("tallies are plain JSON");
    text.push('\n');
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(failed())?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::{Line, Tally, append, build, read};
    use crate::topology::{Form, Role};

    #[test]
    fn totals_go_on_where_they_ended() {
        let name = format!("holdfast-crash-tally-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        assert_eq!(read(&path).unwrap(), Tally::default());
        let mut tally = Tally::of_round();
        tally.fault("cut-all");
        tally.fault("kill-all");
        tally.kill(Role::Gateway);
        tally.mutation("flip");
        for round in 0..3 {
            let line = Line::new(7, round, Form::Cluster, tally.clone(), &[]);
            append(&path, &line).unwrap();
        }
        // One of before builds were noted.
        let old = Line::new(7, 3, Form::Cluster, Tally::default(), &[]);
        let text = serde_json::to_string(&old).unwrap();
        let text = text.replace(",\"builds\":{}", "");
        assert!(!text.contains("\"builds\""), "{text}");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{before}{text}\n")).unwrap();
        let total = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(total.builds.values().sum::<u64>(), 4);
        assert!(total.builds["unknown"] >= 1 && total.builds.contains_key(&build()));
        assert_eq!(
            (total.power_cuts(), total.kills(), total.mutations()),
            (3, 3, 3)
        );
    }
}
