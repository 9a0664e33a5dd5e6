//! `history-check FILE…`: judges histories of concurrent clients.
//!
//! Owns: reading the files, printing the verdict. Each file is a history by itself; `-` is the
//! standard input. Exit: 0 all are linearizable, 1 one is not, 2 it could not be judged.
//! Leaves to others: the judgement ([`holdfast_sim::history`]).

use std::fs::File;
use std::io::{BufReader, stdin};
use std::process::ExitCode;

use holdfast_sim::history::{HistoryError, Verdict, check, read_lines};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() || files.iter().any(|file| file.starts_with("--")) {
        eprintln!("usage: history-check FILE…");
        return ExitCode::from(2);
    }
    let mut worst = 0;
    for file in &files {
        worst = worst.max(match judge(file) {
            Ok(Verdict::Linearizable(counts)) => {
                println!("ok: {file}: {counts}");
                0
            }
            Ok(Verdict::Violation(violation)) => {
                println!("not linearizable: {file}: {violation}");
                1
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                eprint!("history-check: {file}: {error}");
                let causes = std::iter::successors(error.source(), |cause| cause.source());
                causes.for_each(|cause| eprint!(": {cause}"));
                eprintln!();
                2
            }
        });
    }
    ExitCode::from(worst)
}

fn judge(file: &str) -> Result<Verdict, HistoryError> {
    let history = match file {
        "-" => read_lines(stdin().lock())?,
        _ => read_lines(BufReader::new(
            File::open(file).map_err(HistoryError::Read)?,
        ))?,
    };
    check(&history)
}
