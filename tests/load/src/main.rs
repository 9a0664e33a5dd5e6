//! The binary `holdfast-load`: flags in, table and JSON out. All else is in the library.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use serde::Serialize;

use holdfast_load::body::Bodies;
use holdfast_load::cell::Run;
use holdfast_load::error::LoadError;
use holdfast_load::flags::Flags;
use holdfast_load::keys::Numbers;
use holdfast_load::report::{self, Cell, Comparison};
use holdfast_load::target::{Target, targets};
use holdfast_load::{procfs, run, table};

/// The document behind `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    command: Vec<String>,
    finished_at: String,
    targets: &'a [TargetFigures],
    cells: &'a [Cell],
    comparisons: &'a [Comparison],
}

/// What is known of a target beside its loads.
#[derive(Debug, Clone, Serialize)]
struct TargetFigures {
    name: String,
    url: String,
    ready_after_ms: Option<f64>,
    idle_mib: Option<f64>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match execute(&flags) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(errors) => {
            eprintln!("{errors} operations failed");
            ExitCode::from(1)
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            eprintln!("holdfast-load: {text}");
            let usage = matches!(error, LoadError::Usage(_) | LoadError::Endpoint { .. });
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Runs what the flags ask for; returns how many operations failed.
fn execute(flags: &Flags) -> Result<u64, LoadError> {
    let loads = flags.check()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|source| {
            LoadError::Runtime {
                what: "signal handlers",
                source,
            }
        })?;
    }
    let targets = targets(flags, &interrupted)?;
    let figures: Vec<TargetFigures> = targets.iter().map(figures_of).collect();
    figures.iter().for_each(show_target);
    let bodies = Bodies::new(flags.seed);
    let numbers = Numbers::new();
    let whole = Run {
        flags,
        bodies: &bodies,
        numbers: &numbers,
        interrupted: &interrupted,
    };

    let count = loads.len() * targets.len() * flags.rounds;
    let mut cells: Vec<Cell> = Vec::new();
    let done = run::run(&whole, &targets, &loads, &mut |cell| {
        show_progress(&cell, cells.len() + 1, count);
        cells.push(cell);
    });
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let mut comparisons = Vec::new();
    if flags.rounds > 1 || names.len() > 1 {
        comparisons = report::compare(&cells, &names);
        println!("{}", table::comparisons(&comparisons, &names));
    }
    if flags.rounds == 1 && !cells.is_empty() {
        println!("{}", table::cells(&cells));
    }
    if let Some(path) = &flags.json {
        write_json(path, &figures, &cells, &comparisons)?;
    }
    done?;
    Ok(cells.iter().map(|cell| cell.all.errors).sum())
}

fn figures_of(target: &Target) -> TargetFigures {
    let server = target.server.as_ref();
    let known = !target.pids.is_empty();
    let idle = server.map_or_else(
        || procfs::memory(&procfs::tree(&target.pids)),
        |server| server.idle_memory,
    );
    TargetFigures {
        name: target.name.clone(),
        url: target.endpoint.url().to_owned(),
        ready_after_ms: server.map(|server| server.ready_after.as_secs_f64() * 1e3),
        idle_mib: known.then(|| idle.resident_bytes as f64 / f64::from(1 << 20)),
    }
}

fn show_target(target: &TargetFigures) {
    let ready = target
        .ready_after_ms
        .map(|ms| format!(", ready after {ms:.0} ms"));
    let idle = target
        .idle_mib
        .map(|mib| format!(", {mib:.0} MiB resident before the load"));
    let (ready, idle) = (ready.unwrap_or_default(), idle.unwrap_or_default());
    println!("{}: {}{ready}{idle}", target.name, target.url);
}

fn show_progress(cell: &Cell, nth: usize, count: usize) {
    let (target, load, all) = (&cell.target, &cell.load, &cell.all);
    eprintln!(
        "[{nth}/{count}] round {} {target} {load}: {:.0} obj/s, {:.1} MiB/s, p99 {:.2} ms, \
         {} errors",
        cell.round + 1,
        all.per_s,
        all.mib_per_s,
        all.latency.p99_ms,
        all.errors,
    );
    for (failure, times) in &cell.failures {
        eprintln!("    {times} times: {failure}");
    }
}

fn write_json(
    path: &Path,
    targets: &[TargetFigures],
    cells: &[Cell],
    comparisons: &[Comparison],
) -> Result<(), LoadError> {
    let document = Document {
        command: command_line(),
        finished_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        targets,
        cells,
        comparisons,
    };
    let write = || -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        std::fs::write(path, text)
    };
    write().map_err(|source| LoadError::File {
        path: path.to_owned(),
        source,
    })
}

/// Our arguments, without the secret.
fn command_line() -> Vec<String> {
    let mut words = Vec::new();
    let mut hide = false;
    for word in std::env::args() {
        words.push(match word.split_once('=') {
            _ if hide => "[redacted]".to_owned(),
            Some(("--secret-key", _)) => "--secret-key=[redacted]".to_owned(),
            _ => word.clone(),
        });
        hide = word == "--secret-key";
    }
    words
}
