//! One seed, from beginning to end.
//!
//! Owns: making the world of a seed, stepping it, and what is said of it in the end.
//! Leaves to others: everything in between.
//! Always: a seed that fails says how to run it again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::director::{Director, EFFECTS_MIN, Failure, Injected, failure};
use crate::exec::{Exec, OUTSIDE};
use crate::load::Load;
use crate::plan::Plan;
use crate::verdict;

/// Virtual time after which a run is given up.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a seed gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plan.
    pub plan: Plan,
    /// The hash of everything that happened.
    pub trace: u64,
    /// What did not hold.
    pub failure: Option<Failure>,
    /// Operations begun.
    pub ops: u64,
    /// Operations written down with an answer.
    pub answered: u64,
    /// Faults that were made, and those that took effect.
    pub injected: Injected,
    /// The end of the trace.
    pub tail: Vec<String>,
    /// Virtual time.
    pub time: Duration,
    /// Steps of the executor.
    pub polls: u64,
}

/// The build that runs, as the scripts that start it say (`HOLDFAST_TEST_BUILD`), in one word.
pub fn build() -> String {
    let said = std::env::var("HOLDFAST_TEST_BUILD").unwrap_or_default();
    match said.split_whitespace().collect::<Vec<_>>().join("_") {
        said if said.is_empty() => "unknown".to_owned(),
        said => said,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        if let Some(Failure { what, why }) = &self.failure {
            self.tail
                .iter()
                .try_for_each(|line| writeln!(f, "  {line}"))?;
            writeln!(f, "FAILED ({what}): {why}")?;
            let seed = self.plan.seed;
            writeln!(f, "build: {}", build())?;
            writeln!(
                f,
                "again: cargo run -p holdfast-sim --bin simulate -- --seed {seed}{}",
                if self.plan.through_front {
                    " --front"
                } else {
                    ""
                }
            )?;
        }
        write!(
            f,
            "seed {}: trace {:016x}, {} operations ({} answered), {:.1?} virtual, {} steps",
            self.plan.seed, self.trace, self.ops, self.answered, self.time, self.polls
        )
    }
}

/// Runs a seed.
pub fn run(seed: u64) -> Report {
    run_plan(Plan::new(seed))
}

/// Runs a plan.
pub fn run_plan(plan: Plan) -> Report {
    let mut dice = Dice::new(plan.seed);
    let exec = Exec::new(dice.fork());
    let cluster = Cluster::new(exec.clone(), &plan, dice.fork());
    let network = cluster.network.clone();
    let cluster = Arc::new(Mutex::new(cluster));
    let load = Load::new(exec.clone(), &plan, network);
    let director = Director::new(
        Arc::clone(&cluster),
        load.clone(),
        exec.clone(),
        plan.clone(),
        dice.fork(),
    );
    let ended: Ended = Arc::default();
    let told = Arc::clone(&ended);
    exec.spawn(OUTSIDE, "director", Box::pin(direct(director, told)));
    let stepped = catch_unwind(AssertUnwindSafe(|| step(&exec, &cluster, &ended)));
    let (outcome, injected) = match stepped {
        Ok(done) => done,
        Err(panic) => (Err(failure("panic", said(&*panic))), Injected::default()),
    };
    let mut report = Report {
        trace: exec.hash(),
        failure: outcome.err(),
        ops: load.begun(),
        answered: load.answered(),
        injected,
        tail: exec.tail(),
        time: Duration::from_nanos(exec.now()),
        polls: exec.polls(),
        plan,
    };
    if report.failure.is_none() {
        report.failure = missed(&report);
    }
    exec.shut_down();
    report
}

type Outcome = (Result<(), Failure>, Injected);
type Ended = Arc<Mutex<Option<Outcome>>>;

async fn direct(mut director: Director, told: Ended) {
    let mut outcome = director.run().await;
    if outcome.is_ok() {
        outcome = verdict::judge(&mut director).await;
    }
    let injected = director.injected().clone();
    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some((outcome, injected));
}

fn step(exec: &Exec, cluster: &Mutex<Cluster>, ended: &Ended) -> Outcome {
    let time_max = TIME_MAX.as_nanos() as u64;
    loop {
        if let Err(stall) = exec.step() {
            return (
                Err(failure("stall", format!("{stall:?}"))),
                Injected::default(),
            );
        }
        cluster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .check_power();
        if let Some(done) = ended.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return done;
        }
        if exec.now() > time_max {
            return (
                Err(failure("stall", "a day has passed")),
                Injected::default(),
            );
        }
    }
}

/// A planned kind that was never made, too few faults that took effect, or no crash among them make
/// the seed worthless.
fn missed(report: &Report) -> Option<Failure> {
    let Injected { made, met } = &report.injected;
    let planned = report.plan.faults.iter().map(|fault| fault.kind);
    if let Some(kind) = planned.into_iter().find(|kind| !made.contains_key(kind)) {
        return Some(failure("plan", format!("{kind} never happened")));
    }
    let is_judged = report.plan.faults.len() as u64 >= EFFECTS_MIN;
    (is_judged && !report.injected.is_worthwhile())
        .then(|| failure("plan", format!("what took effect is too little: {met:?}")))
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
