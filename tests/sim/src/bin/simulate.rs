//! Runs seeds of the simulation.
//!
//! Goal: find a seed that breaks what the design promises, and say how to see it again.
//! Method: `simulate --seed N` runs one; `--from N --seeds M --jobs J` many, printing the failed
//! ones and totals; `--resume FILE` keeps totals and goes on from there; `--twice` runs each seed
//! twice and compares the traces; `--trace` prints the end of good traces too, `--notes` all of it
//! as it comes, `--log` the product's own log; `--known FILE` names seeds that are known to fail,
//! and why: they are printed, and one of them that passes is as wrong as another that fails;
//! `--front` has the clients speak S3 over HTTP, through hyper and the S3 library; `--planted M`
//! proves that each planted fault (of `--only NAME,NAME` if given) is found by the seed that
//! `--table FILE` has for it, or within M seeds.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_sim::exec::PRINTS_NOTES;
use holdfast_sim::plan::{FaultKind, Plan};
use holdfast_sim::planted;
use holdfast_sim::run::{Report, build, run_plan};
use tracing_subscriber::filter::LevelFilter;

/// Seeds between two notes of the totals. Then the program starts itself anew: objects that hold
/// each other keep what a seed used, and 30,000 seeds would need more memory than there is.
const CHUNK: u64 = 100;

#[derive(Clone, Debug)]
struct Flags {
    from: u64,
    seeds: u64,
    jobs: u64,
    faults: Option<usize>,
    resume: Option<String>,
    known: Option<String>,
    planted: Option<u64>,
    only: Option<String>,
    table: Option<String>,
    trace: bool,
    twice: bool,
    same_generation: bool,
    front: bool,
    until_failure: bool,
}

fn flags() -> Result<Flags, String> {
    let mut flags = Flags {
        from: 1,
        seeds: 10,
        jobs: 2,
        faults: None,
        resume: None,
        known: None,
        planted: None,
        only: None,
        table: None,
        trace: false,
        twice: false,
        same_generation: false,
        front: false,
        until_failure: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{flag} needs a value"));
        let number = |text: String| -> Result<u64, String> {
            text.parse().map_err(|_| format!("{text} is no number"))
        };
        match flag.as_str() {
            "--seed" => (flags.from, flags.seeds) = (number(value()?)?, 1),
            "--from" => flags.from = number(value()?)?,
            "--seeds" => flags.seeds = number(value()?)?,
            "--jobs" => flags.jobs = number(value()?)?,
            "--faults" => flags.faults = Some(number(value()?)? as usize),
            "--resume" => flags.resume = Some(value()?),
            "--known" => flags.known = Some(value()?),
            "--only" => flags.only = Some(value()?),
            "--table" => flags.table = Some(value()?),
            "--planted" => flags.planted = Some(number(value()?)?),
            "--trace" => flags.trace = true,
            "--notes" => PRINTS_NOTES.store(true, Ordering::Relaxed),
            "--front" => flags.front = true,
            "--same-generation" => flags.same_generation = true,
            "--until-failure" => flags.until_failure = true,
            "--twice" => flags.twice = true,
            "--log" => tracing_subscriber::fmt()
                .with_max_level(LevelFilter::DEBUG)
                .without_time()
                .with_ansi(false)
                .init(),
            other => return Err(format!("unknown flag {other}")),
        }
    }
    Ok(flags)
}

/// What many seeds gave together.
#[derive(Clone, Debug, Default)]
struct Totals {
    seeds: u64,
    operations: u64,
    answered: u64,
    /// Faults that were made, and those that took effect, by kind.
    made: BTreeMap<String, u64>,
    met: BTreeMap<String, u64>,
    failed: Vec<u64>,
    /// Seeds by the build that ran them.
    builds: BTreeMap<String, u64>,
    /// Time taken by earlier processes of the same run.
    seconds: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.operations += report.ops;
        self.answered += report.answered;
        *self.builds.entry(build()).or_default() += 1;
        for (of, to) in [
            (&report.injected.made, &mut self.made),
            (&report.injected.met, &mut self.met),
        ] {
            for (kind, count) in of {
                *to.entry(kind.to_string()).or_default() += count;
            }
        }
        if report.failure.is_some() {
            self.failed.push(report.plan.seed);
        }
    }

    /// As text: `name number` a line, a failed seed a line.
    fn write(&self, next: u64) -> String {
        let mut text = format!(
            "next {next}\nseeds {}\noperations {}\nanswered {}\nseconds {}\n",
            self.seeds, self.operations, self.answered, self.seconds
        );
        for (kind, count) in &self.made {
            text += &format!("made:{kind} {count}\n");
        }
        for (kind, count) in &self.met {
            text += &format!("fault:{kind} {count}\n");
        }
        for seed in &self.failed {
            text += &format!("failed {seed}\n");
        }
        for (build, seeds) in &self.builds {
            text += &format!("build:{build} {seeds}\n");
        }
        text
    }

    /// From text: the totals, and the next seed.
    fn read(text: &str) -> (Self, Option<u64>) {
        let (mut totals, mut next) = (Self::default(), None);
        for (name, number) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match name {
                "next" => next = Some(number),
                "seeds" => totals.seeds = number,
                "operations" => totals.operations = number,
                "answered" => totals.answered = number,
                "seconds" => totals.seconds = number,
                "failed" => totals.failed.push(number),
                other => {
                    if let Some(kind) = other.strip_prefix("fault:") {
                        totals.met.insert(kind.to_owned(), number);
                    }
                    if let Some(kind) = other.strip_prefix("made:") {
                        totals.made.insert(kind.to_owned(), number);
                    }
                    if let Some(build) = other.strip_prefix("build:") {
                        totals.builds.insert(build.to_owned(), number);
                    }
                }
            }
        }
        // Files of before builds were noted.
        let noted: u64 = totals.builds.values().sum();
        if noted < totals.seeds {
            *totals.builds.entry("unknown".to_owned()).or_default() += totals.seeds - noted;
        }
        (totals, next)
    }

    fn print(&self, from: u64, start: Instant) {
        for kind in FaultKind::ALL {
            let name = kind.to_string();
            let of = |counts: &BTreeMap<String, u64>| counts.get(&name).copied().unwrap_or(0);
            let (met, made) = (of(&self.met), of(&self.made));
            println!("fault {name:14} {met:6} took effect of {made:6} made");
        }
        let bound = match self.failed.len() {
            0 => format!(
                "; a seed fails with p < {:.1e} (95 %)",
                3.0 / self.seeds as f64
            ),
            _ => String::new(),
        };
        println!(
            "{} seeds from {from} in {:.0?}: {} operations, {} answered, {} failed {:?}{bound}",
            self.seeds,
            start.elapsed() + Duration::from_secs(self.seconds),
            self.operations,
            self.answered,
            self.failed.len(),
            self.failed
        );
        let builds = self.builds.iter();
        let builds = builds.map(|(build, seeds)| format!("{build} ({seeds} seeds)"));
        let builds: Vec<String> = builds.collect();
        println!("by {} builds: {}", builds.len(), builds.join(", "));
    }
}

fn one(flags: &Flags, seed: u64) -> Report {
    let mut plan = Plan::new(seed);
    if let Some(faults) = flags.faults {
        plan.faults.truncate(faults);
    }
    plan.old_copy_of_same_generation |= flags.same_generation;
    plan.through_front = flags.front;
    let mut report = run_plan(plan.clone());
    if flags.twice {
        let again = run_plan(plan);
        if again.trace != report.trace {
            let pairs = report.tail.iter().zip(&again.tail);
            let differ = pairs.filter(|(a, b)| a != b).take(3);
            let why: Vec<String> = differ.map(|(a, b)| format!("\n- {a}\n+ {b}")).collect();
            let why = format!("another trace the second time{}", why.concat());
            report.failure = Some(holdfast_sim::director::failure("trace", why));
        }
    }
    report
}

/// Seeds from which on every kind that was made must have taken effect.
const JUDGED_FROM: u64 = 20;

/// Whether each kind of fault that was made took effect at least once; says which did not.
fn are_all_met(totals: &Totals) -> bool {
    let is_unmet = |kind: &&String| !totals.met.contains_key(*kind);
    let unmet: Vec<&String> = totals.made.keys().filter(is_unmet).collect();
    for kind in &unmet {
        println!("fault {kind} was made and never took effect");
    }
    unmet.is_empty() || totals.seeds < JUDGED_FROM
}

/// Seeds that are known to fail, with the reason: `SEED REASON` a line, `#` before what is for
/// people only.
fn read_known(file: &str) -> Result<BTreeMap<u64, String>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let seed = |line: &str| {
        let (seed, why) = line.split_once(' ')?;
        Some((seed.parse().ok()?, why.trim().to_owned()))
    };
    lines
        .map(|line| seed(line).ok_or_else(|| format!("{file}: not `SEED REASON`: {line}")))
        .collect()
}

/// Whether exactly the seeds failed that are known to; says which did not.
fn is_as_known(failed: &[u64], known: &BTreeMap<u64, String>, from: u64, end: u64) -> bool {
    let mut is_so = true;
    for seed in failed.iter().filter(|seed| !known.contains_key(seed)) {
        println!("seed {seed} fails and is not known to");
        is_so = false;
    }
    for (seed, why) in known.range(from..end) {
        match failed.contains(seed) {
            true => println!("seed {seed} is known to fail: {why}"),
            false => {
                println!("seed {seed} passes but is listed as failing: {why}");
                is_so = false;
            }
        }
    }
    is_so
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the seeds of a range.
fn many(flags: &Flags, from: u64, end: u64, totals: &Mutex<Totals>) {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let began = Instant::now();
            let report = one(flags, seed);
            lock(totals).add(&report);
            let has_failed = report.failure.is_some();
            if flags.until_failure && has_failed {
                stop.store(true, Ordering::Relaxed);
            }
            if flags.trace && !has_failed {
                report.tail.iter().for_each(|line| println!("  {line}"));
            }
            if has_failed || flags.seeds < 20 {
                println!("{report}, {:.1?}\n", began.elapsed());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..flags.jobs.clamp(1, end.saturating_sub(from).max(1)) {
            scope.spawn(work);
        }
    });
}

/// Whether every planted fault is found.
fn prove(flags: &Flags, max: u64) -> ExitCode {
    let table = flags.table.as_deref().map(Path::new);
    let table = table.map_or(Ok(planted::Table::new()), planted::read_table);
    match table.map(|table| planted::prove(&table, flags.only.as_deref(), max, flags.jobs)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("simulate: {why}");
            ExitCode::from(2)
        }
    }
}

/// Where a run keeps its totals while it starts itself anew, if the caller named no file.
fn own_file() -> PathBuf {
    std::env::temp_dir().join(format!("simulate-{}.txt", std::process::id()))
}

/// Goes on in a new process of the same id; returns only if that cannot be started.
fn start_anew(resume: Option<&str>) -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    if resume.is_none() {
        command.arg("--resume").arg(own_file());
    }
    command.exec()
}

fn main() -> ExitCode {
    let mut flags = match flags() {
        Ok(flags) => flags,
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::from(2);
        }
    };
    if let Some(max) = flags.planted {
        if !cfg!(feature = "planted-bugs") {
            eprintln!("simulate: built without the feature planted-bugs");
            return ExitCode::from(2);
        }
        return prove(&flags, max);
    }
    let known = flags
        .known
        .as_deref()
        .map_or(Ok(BTreeMap::new()), read_known);
    let known = match known {
        Ok(known) => known,
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let (from, end) = (flags.from, flags.from + flags.seeds);
    let mut totals = Totals::default();
    if let Some(file) = &flags.resume
        && let Ok(text) = std::fs::read_to_string(file)
    {
        let (kept, next) = Totals::read(&text);
        (totals, flags.from) = (kept, next.unwrap_or(from));
    }
    let totals = Mutex::new(totals);
    if flags.from < end {
        let to = (flags.from + CHUNK).min(end);
        many(&flags, flags.from, to, &totals);
        let is_over = to == end || (flags.until_failure && !lock(&totals).failed.is_empty());
        if !is_over || flags.resume.is_some() {
            let file = flags.resume.as_ref().map_or_else(own_file, PathBuf::from);
            let mut so_far = lock(&totals).clone();
            so_far.seconds += start.elapsed().as_secs();
            if let Err(error) = std::fs::write(&file, so_far.write(to)) {
                eprintln!("simulate: {}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
        if !is_over {
            let error = start_anew(flags.resume.as_deref());
            eprintln!("simulate: not started anew: {error}");
            return ExitCode::FAILURE;
        }
    }
    // Only a file of this run's own.
    let _ = std::fs::remove_file(own_file());
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.print(from, start);
    let is_met = are_all_met(&totals);
    match is_as_known(&totals.failed, &known, from, end) && is_met {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
