//! The `holdfast` binary: embedded cluster, gateway, shard node, and commands that speak to them.
//!
//! Owns: command line, configuration, logs, start-up, shutdown, exit codes.
//! Leaves to others: everything that happens in between.
//! Always: an error is one line on stderr that says what to do where something can be done.

mod args;
mod client;
mod commands;
mod config;
mod data_dir;
mod error;
mod gateway;
mod logging;
mod output;
mod process;
mod rebuild;
mod server;
mod shard_node;

use std::process::ExitCode;

use clap::Parser;
use holdfast_gateway::admin;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::CliError::Again) => {
            eprintln!("holdfast: cannot start again: {}", process::start_again());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("holdfast: {}", error::chain(&error));
            error.exit_code()
        }
    }
}
