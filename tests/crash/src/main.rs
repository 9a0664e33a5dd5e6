//! The binary `holdfast-crash`: flags in, verdict out. All else is in the library.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use holdfast_crash::error::CrashError;
use holdfast_crash::flags::Flags;
use holdfast_crash::{campaign, report};

fn main() -> ExitCode {
    let flags = Flags::parse();
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupted)) {
            eprintln!("holdfast-crash: cannot catch signal {signal}: {error}");
        }
    }
    let done = campaign::run(&flags, interrupted)
        .and_then(|outcome| report::print(&outcome, &flags.at_least));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("holdfast-crash: {}", chain(&error));
            ExitCode::from(if matches!(error, CrashError::Usage(_)) {
                2
            } else {
                1
            })
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
