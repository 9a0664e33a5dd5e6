//! `holdfast-history`: records what concurrent clients see of a server whose processes are killed
//! and stopped, and has every round checked.
//!
//! Goal: per key linearizable, conditional writes included, and LIST exact, through kill -9 and
//! SIGSTOP. Method: a few clients on six keys a round; every operation is recorded with its
//! outcome as JSON lines; the checker (`history-check`) judges each round's file.
//! Depends on none of Holdfast's crates: it knows S3, the command line and signals.

mod client;
mod error;
mod faults;
mod record;
mod server;
mod values;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use holdfast_load::endpoint::Endpoint;
use holdfast_load::sign::Credentials;

use client::Client;
use error::RecordError;
use faults::Fault;
use record::Recorder;
use server::{Form, Server};
use values::Values;
use work::{Round, Worker};

/// Longest wait for the reads at the end of a round.
const LOOK_AGAIN: Duration = Duration::from_secs(120);

/// Records histories of concurrent clients and has them checked.
#[derive(Debug, Parser)]
struct Flags {
    /// The binary `holdfast`.
    #[arg(long)]
    server: PathBuf,
    /// The binary `history-check`.
    #[arg(long)]
    checker: PathBuf,
    /// What is started.
    #[arg(long)]
    form: Form,
    /// Where data, logs and histories go; histories that are right are removed.
    #[arg(long)]
    dir: PathBuf,
    /// Operations of known outcome to be recorded and checked.
    #[arg(long, default_value_t = 25_000)]
    operations: u64,
    /// Operations of one round; each round has keys of its own.
    #[arg(long, default_value_t = 2_500)]
    round: u64,
    /// Concurrent clients.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// A fault about every so many answered operations; 0: none.
    #[arg(long, default_value_t = 500)]
    fault_every: u64,
    /// Of all choices (not of what threads and processes make of them); random when not given.
    #[arg(long)]
    seed: Option<u64>,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Totals {
    rounds: u64,
    known: u64,
    unknown: u64,
    faults: BTreeMap<&'static str, u64>,
    counts: BTreeMap<String, u64>,
}

impl Totals {
    fn add(&mut self, round: &[Recorder]) {
        self.rounds += 1;
        for recorder in round {
            self.known += recorder.known;
            self.unknown += recorder.unknown;
            for (name, count) in &recorder.counts {
                *self.counts.entry(name.clone()).or_default() += count;
            }
        }
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..));
    let build = std::env::var("HOLDFAST_TEST_BUILD").unwrap_or_else(|_| "unknown".to_owned());
    println!("form {:?}, seed {seed}, build {build}", flags.form);
    let mut totals = Totals::default();
    let done = record(&flags, seed, &mut totals);
    let counts: Vec<String> = totals
        .counts
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    println!("{}", counts.join(", "));
    let faults: Vec<String> = totals
        .faults
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    println!(
        "{} operations checked in {} rounds, {} of unknown outcome beside them; faults: {}",
        totals.known,
        totals.rounds,
        totals.unknown,
        match faults.is_empty() {
            true => "none".to_owned(),
            false => faults.join(", "),
        }
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            eprint!("holdfast-history: seed {seed}, build {build}: {error}");
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            causes.for_each(|cause| eprint!(": {cause}"));
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn record(flags: &Flags, seed: u64, totals: &mut Totals) -> Result<(), RecordError> {
    if flags.clients == 0 || flags.round == 0 {
        return Err(RecordError::Usage(
            "no clients or empty rounds record nothing",
        ));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let values = Values::new(seed);
    let credentials = Credentials::new("AKHISTORY0000000", "secret-of-the-recorder");
    let data = flags.dir.join("server");
    let mut server = Server::start(flags.form, &flags.server, &data, &credentials)?;
    let endpoint = Endpoint::parse(&server.s3_url)
        .map_err(|_| RecordError::Usage("the server's address is not one"))?;
    Client::new(&endpoint, &credentials, &values).create_bucket()?;
    let begun = Instant::now();
    while totals.known < flags.operations {
        let round = Round::new(
            totals.rounds,
            flags.round.min(flags.operations - totals.known),
        );
        let mut worker = |client: u32| Worker {
            client: Client::new(&endpoint, &credentials, &values),
            values: &values,
            round: &round,
            recorder: Recorder::new(client, begun),
            random: fastrand::Rng::with_seed(random.u64(..)),
        };
        let workers: Vec<Worker<'_>> = (0..flags.clients).map(&mut worker).collect();
        let last = worker(flags.clients);
        let mut of_faults = fastrand::Rng::with_seed(random.u64(..));
        let (mut all, happened) = std::thread::scope(|scope| {
            let clients: Vec<_> = workers
                .into_iter()
                .map(|worker| scope.spawn(|| worker.run()))
                .collect();
            let every = flags.fault_every;
            let happened = faults::during(&mut server, &round, flags.form, every, &mut of_faults);
            let joined = clients.into_iter().map(|client| {
                let panicked = Err(RecordError::Usage("a client panicked"));
                client.join().unwrap_or(panicked)
            });
            (joined.collect::<Vec<work::Done>>(), happened)
        });
        for fault in happened? {
            *totals.faults.entry(fault.name()).or_default() += 1;
        }
        all.push(last.look_again(LOOK_AGAIN));
        let all: Vec<Recorder> = all.into_iter().collect::<Result<_, _>>()?;
        judge(flags, totals.rounds, &all)?;
        totals.add(&all);
    }
    for fault in Fault::of(flags.form) {
        if flags.fault_every > 0 && !totals.faults.contains_key(fault.name()) {
            return Err(RecordError::NoFault(fault.name()));
        }
    }
    drop(server);
    std::fs::remove_dir_all(&data).map_err(|source| RecordError::File { path: data, source })
}

/// Writes the round's history and has it checked; one that is right is removed.
fn judge(flags: &Flags, round: u64, all: &[Recorder]) -> Result<(), RecordError> {
    let path = flags.dir.join(format!("round-{round}.jsonl"));
    let lines: Vec<&[u8]> = all.iter().map(|recorder| &recorder.lines[..]).collect();
    let file = |source| RecordError::File {
        path: path.clone(),
        source,
    };
    std::fs::write(&path, lines.concat()).map_err(file)?;
    match run_checker(&flags.checker, &path)? {
        true => std::fs::remove_file(&path).map_err(file),
        false => Err(RecordError::Rejected(path)),
    }
}

fn run_checker(checker: &Path, path: &Path) -> Result<bool, RecordError> {
    let failed = |reason: String| RecordError::Checker {
        path: checker.to_owned(),
        reason,
    };
    let status = Command::new(checker)
        .arg(path)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(failed(status.to_string())),
    }
}
