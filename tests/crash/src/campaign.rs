//! Rounds until there are enough.
//!
//! Owns: which form runs when, ending in time, what is printed of a failure.
//! Always: everything that was started or mounted is gone when it returns, whatever happened.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::audit::Violation;
use crate::error::{CrashError, Result};
use crate::fault::Kind;
use crate::flags::Flags;
use crate::journal::Journal;
use crate::report::{self, Goals};
use crate::round::{Arena, Shape};
use crate::tally::{self, Line, Tally};
use crate::topology::{Form, Setting, Topology};
use crate::volume::{WorkDir, obstacle};

/// Rounds of one cluster before a fresh one is laid out.
const ROUNDS_PER_CLUSTER: u64 = 30;
/// Violations that are printed with their log.
const SHOWN_MAX: usize = 10;

/// What a run did.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Of this run.
    pub tally: Tally,
    /// Of this run and those before, by `--resume`.
    pub total: Tally,
    /// Why file systems could not be cut; `None` if they could.
    pub obstacle: Option<String>,
    /// Kinds that were planned, and how often at least.
    pub planned: Vec<(Kind, u64)>,
    /// What went wrong.
    pub violations: Vec<Violation>,
}

/// The plan of a run.
#[derive(Debug)]
struct Plan<'a> {
    flags: &'a Flags,
    seed: u64,
    mounts: bool,
    interrupted: Arc<AtomicBool>,
    until: Goals,
    end: Option<Instant>,
}

impl Plan<'_> {
    /// The kinds of a form that were asked for, also those that cannot be injected here.
    fn wanted(&self, form: Form) -> Vec<Kind> {
        let asked = &self.flags.kinds;
        Kind::of(form, self.flags.process_rebuild)
            .into_iter()
            .filter(|kind| asked.is_empty() || asked.contains(kind))
            .collect()
    }

    /// How often each kind occurs at least in `rounds` rounds of a form.
    fn planned(&self, form: Form, rounds: u64) -> Vec<(Kind, u64)> {
        let (at_rest, live): (Vec<Kind>, Vec<Kind>) = self
            .wanted(form)
            .into_iter()
            .partition(|kind| kind.is_at_rest());
        let draws = rounds * self.flags.faults as u64;
        let of = |kinds: Vec<Kind>, draws: u64| {
            let each = draws / (kinds.len().max(1) as u64);
            kinds.into_iter().map(move |kind| (kind, each))
        };
        of(live, draws).chain(of(at_rest, rounds)).collect()
    }
}

/// Runs all rounds.
///
/// # Errors
/// What failed that is not the store's.
pub fn run(flags: &Flags, interrupted: Arc<AtomicBool>) -> Result<Outcome> {
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("seed {seed}, build {}", tally::build());
    let mut work = WorkDir::create(&flags.dir)?;
    if flags.keep {
        work.keep();
    }
    let obstacle = obstacle(work.path());
    if let Some(why) = &obstacle {
        println!("NOTICE: no power is cut and no disk is filled here: {why}");
    }
    let total = match &flags.resume {
        Some(path) => tally::read(path)?,
        None => Tally::default(),
    };
    let minutes = flags
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let plan = Plan {
        flags,
        seed,
        mounts: obstacle.is_none(),
        interrupted,
        until: Goals::parse(&flags.until)?,
        end: minutes.map(|minutes| Instant::now() + minutes),
    };
    let mut outcome = Outcome {
        seed,
        tally: Tally::default(),
        total,
        obstacle,
        planned: Vec::new(),
        violations: Vec::new(),
    };
    let done = all_rounds(&plan, work.path(), &mut outcome);
    if done.is_err() || !outcome.violations.is_empty() {
        work.keep();
    }
    done.map(|()| outcome)
}

fn all_rounds(plan: &Plan<'_>, dir: &Path, outcome: &mut Outcome) -> Result<()> {
    let mut planned = std::collections::BTreeMap::new();
    let (mut left, mut clusters) = (plan.flags.rounds, 0);
    while left > 0 && outcome.violations.is_empty() && !is_over(plan, outcome) {
        let block = left.min(ROUNDS_PER_CLUSTER);
        left -= block;
        let embedded = block / 3;
        let forms = match plan.flags.form {
            Some(form) => vec![(form, block)],
            None => vec![
                (Form::Cluster, block - embedded),
                (Form::Embedded, embedded),
            ],
        };
        for (form, rounds) in forms {
            if rounds == 0 || !outcome.violations.is_empty() {
                continue;
            }
            clusters += 1;
            let dir = dir.join(format!("cluster-{clusters}"));
            std::fs::create_dir(&dir).map_err(CrashError::file("create", &dir))?;
            let done = rounds_of(plan, form, rounds, &dir, clusters, outcome)?;
            for (kind, count) in plan.planned(form, done) {
                *planned.entry(kind).or_insert(0) += count;
            }
        }
    }
    // A plan in which a kind never comes up is none.
    let planned = planned.into_iter();
    outcome.planned = planned.map(|(kind, count)| (kind, count.max(1))).collect();
    Ok(())
}

fn is_over(plan: &Plan<'_>, outcome: &Outcome) -> bool {
    plan.end.is_some_and(|end| Instant::now() > end)
        || (!plan.until.is_empty() && plan.until.missing(&outcome.total).is_empty())
}

/// Runs rounds of one cluster; returns how many it was.
fn rounds_of(
    plan: &Plan<'_>,
    form: Form,
    rounds: u64,
    dir: &Path,
    cluster: u64,
    outcome: &mut Outcome,
) -> Result<u64> {
    let setting = Setting {
        form,
        binary: &plan.flags.binary,
        dir,
        mounts: plan.mounts,
    };
    let kinds: Vec<Kind> = plan
        .wanted(form)
        .into_iter()
        .filter(|kind| plan.mounts || !kind.needs_mounts())
        .collect();
    let topology = Topology::create(setting, Arc::clone(&plan.interrupted))?;
    let journal = Journal::create(&dir.join("operations.jsonl"))?;
    let seed = plan.seed.wrapping_add(cluster << 48);
    let mut arena = Arena::new(topology, journal, &kinds, seed)?;
    let shape = Shape {
        writers: plan.flags.writers,
        faults: plan.flags.faults,
    };
    for number in 1..=rounds {
        if plan.interrupted.load(Ordering::Relaxed) {
            return Err(CrashError::Interrupted);
        }
        let (mut tally, begun) = (Tally::of_round(), Instant::now());
        println!("round {number} of {form:?} {cluster} (seed {})", plan.seed);
        let violations = arena.round(shape, &mut tally)?;
        println!(
            "  {} operations, {} acknowledged, {} reads checked, {} violations, {:.1} s",
            tally.operations,
            tally.acknowledged,
            tally.reads_checked,
            violations.len(),
            begun.elapsed().as_secs_f64()
        );
        if let Some(path) = &plan.flags.resume {
            let line = Line::new(plan.seed, number, form, tally.clone(), &violations);
            tally::append(path, &line)?;
        }
        outcome.tally.add(&tally);
        outcome.total.add(&tally);
        show(&arena, &violations);
        outcome.violations.extend(violations);
        if !outcome.violations.is_empty() || is_over(plan, outcome) {
            return Ok(number);
        }
    }
    Ok(rounds)
}

/// Prints what went wrong, with what the logs say of it.
fn show(arena: &Arena, violations: &[Violation]) {
    for violation in violations.iter().take(SHOWN_MAX) {
        println!("VIOLATION {violation}");
        let name = violation.name.as_deref().and_then(report::name_of);
        for line in name.map_or_else(Vec::new, |name| arena.journal.lines_of(&name, 12)) {
            println!("    {line}");
        }
    }
    if violations.len() > SHOWN_MAX {
        println!("and {} more", violations.len() - SHOWN_MAX);
    }
    if !violations.is_empty() {
        println!("{}", arena.topology.log_tails(15));
    }
}
