//! What is printed at the end: kinds, totals, the verdict.
//!
//! Always: what could not be injected is `0 of N` and skipped; what was planned and never occurred
//! is a failure.

use crate::campaign::Outcome;
use crate::damage::Mutation;
use crate::error::{CrashError, Result};
use crate::ledger::Name;
use crate::tally::{self, Tally};

/// The key of a violation, as it is printed.
pub fn name_of(text: &str) -> Option<Name> {
    let (bucket, key) = text.split_once('/')?;
    Some(Name {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    })
}

/// Totals to be reached.
#[derive(Debug, Clone, Default)]
pub struct Goals {
    goals: Vec<(String, u64)>,
}

impl Goals {
    /// Parses `WHAT=NUMBER`.
    ///
    /// # Errors
    /// `Usage`.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut goals = Vec::new();
        for text in texts {
            let parsed = text
                .split_once('=')
                .and_then(|(what, number)| Some((what.to_owned(), number.parse().ok()?)))
                .filter(|(what, _)| of(&Tally::default(), what).is_some());
            let wrong = || CrashError::Usage(format!("{text:?} is no goal: see --help"));
            goals.push(parsed.ok_or_else(wrong)?);
        }
        Ok(Self { goals })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.goals.is_empty()
    }

    /// Those that are not reached: what, how much there is, how much there should be.
    pub fn missing(&self, tally: &Tally) -> Vec<(String, u64, u64)> {
        let goals = self.goals.iter();
        goals
            .filter_map(|(what, wanted)| {
                let have = of(tally, what)?;
                (have < *wanted).then(|| (what.clone(), have, *wanted))
            })
            .collect()
    }
}

fn of(tally: &Tally, what: &str) -> Option<u64> {
    match what {
        "gateway" | "shard-node" | "server" => {
            Some(tally.kills.get(what).copied().unwrap_or_default())
        }
        "kills" => Some(tally.kills()),
        "power-cuts" => Some(tally.power_cuts()),
        "mutations" => Some(tally.mutations()),
        _ => None,
    }
}

/// Mutations after which each kind of them must have occurred.
const MUTATIONS_ENOUGH: u64 = 200;

/// Prints the end of a run; returns whether nothing failed.
///
/// # Errors
/// `Usage` of `--at-least`.
pub fn print(outcome: &Outcome, at_least: &[String]) -> Result<bool> {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut verdict = |good: Option<bool>, what: String| {
        let (word, count) = match good {
            Some(true) => ("ok", &mut passed),
            Some(false) => ("FAILED", &mut failed),
            None => ("skipped", &mut skipped),
        };
        *count += 1;
        println!("{word:<8}{what}");
    };
    println!();
    for (kind, planned) in &outcome.planned {
        let name = kind.name();
        let count = outcome.tally.faults.get(name).copied().unwrap_or_default();
        match &outcome.obstacle {
            Some(why) if kind.needs_mounts() && count == 0 => {
                verdict(None, format!("{name}: 0 of {planned}: {why}"));
            }
            // A plan too short for every kind says so by `of 0`.
            _ => verdict(
                Some(count >= *planned),
                format!("{name}: {count} of {planned}"),
            ),
        }
    }
    for mutation in Mutation::ALL {
        let (name, all) = (mutation.name(), outcome.tally.mutations());
        let count = outcome.tally.mutations.get(name).copied();
        let count = count.unwrap_or_default();
        if all >= MUTATIONS_ENOUGH || count > 0 {
            verdict(
                Some(count > 0),
                format!("{name}: {count} of {all} mutations"),
            );
        }
    }
    for (what, have, wanted) in Goals::parse(at_least)?.missing(&outcome.total) {
        let is_power = what == "power-cuts" && outcome.obstacle.is_some();
        verdict(
            (!is_power).then_some(false),
            format!("{what}: {have} of {wanted}"),
        );
    }
    let count = outcome.violations.len();
    verdict(
        Some(count == 0),
        format!(
            "{count} violations in {} reads of {} audits, {} of them with an index made anew",
            outcome.tally.reads_checked, outcome.tally.audits, outcome.tally.rebuilds_checked
        ),
    );
    println!("\nthis run: {}", totals(&outcome.tally));
    if outcome.total != outcome.tally {
        println!("with those before: {}", totals(&outcome.total));
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("seed {}, build {}", outcome.seed, tally::build());
    println!("test result: {word}. {passed} passed; {failed} failed; {skipped} ignored");
    Ok(failed == 0)
}

fn totals(tally: &Tally) -> String {
    format!(
        "{} rounds (begun, by build: {:?}), {} operations ({} acknowledged), {} kills {:?}, {} \
         power cuts of {} file systems, {} mutations {:?}",
        tally.rounds,
        tally.builds,
        tally.operations,
        tally.acknowledged,
        tally.kills(),
        tally.kills,
        tally.power_cuts(),
        tally.file_systems_cut,
        tally.mutations(),
        tally.mutations
    )
}

#[cfg(test)]
mod tests {
    use super::{Goals, print};
    use crate::campaign::Outcome;
    use crate::damage::Mutation;
    use crate::fault::Kind;
    use crate::tally::Tally;

    fn outcome(obstacle: Option<&str>, count: u64) -> Outcome {
        let mut tally = Tally::default();
        (0..count).for_each(|_| tally.fault("cut-all"));
        Outcome {
            seed: 1,
            total: tally.clone(),
            tally,
            obstacle: obstacle.map(str::to_owned),
            planned: vec![(Kind::CutAll, 3)],
            violations: Vec::new(),
        }
    }

    #[test]
    fn a_planned_kind_that_never_occurred_fails_the_run() {
        assert!(print(&outcome(None, 3), &[]).unwrap());
        assert!(!print(&outcome(None, 0), &[]).unwrap());
        assert!(!print(&outcome(None, 2), &["power-cuts=3".to_owned()]).unwrap());
    }

    #[test]
    fn what_cannot_be_injected_here_is_skipped_and_nothing_else_is() {
        assert!(print(&outcome(Some("needs root"), 0), &[]).unwrap());
        assert!(!print(&outcome(Some("needs root"), 0), &["kills=1".to_owned()]).unwrap());
    }

    #[test]
    fn a_kind_of_mutation_that_never_occurred_among_many_fails_the_run() {
        let of = |kinds: &[Mutation], each: u64| {
            let mut outcome = outcome(None, 3);
            for kind in kinds {
                (0..each).for_each(|_| outcome.tally.mutation(kind.name()));
            }
            print(&outcome, &[]).unwrap()
        };
        assert!(of(&Mutation::ALL, 40));
        assert!(!of(&Mutation::ALL[..4], 50));
        assert!(of(&Mutation::ALL[..4], 10), "too few to say so");
    }

    #[test]
    fn goals_that_nobody_knows_are_refused() {
        assert!(Goals::parse(&["kills=5".to_owned()]).is_ok());
        for text in ["kils=5", "kills", "kills=x"] {
            assert!(Goals::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
