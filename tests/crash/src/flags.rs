//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::fault::Kind;
use crate::topology::Form;

/// Crashes real processes and drives while clients write, and reads everything back.
#[derive(Debug, Clone, Parser)]
#[command(name = "holdfast-crash", version)]
pub struct Flags {
    /// The binary under test.
    #[arg(long, env = "HOLDFAST_BIN", value_name = "FILE")]
    pub binary: PathBuf,
    /// Seed of the plan; by default a random one, which is printed.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Rounds; two of three are of separate processes, unless `--form` says otherwise.
    #[arg(long, default_value_t = 9, value_name = "NUMBER")]
    pub rounds: u64,
    /// Ends after the round in which so much time has passed.
    #[arg(long, value_name = "NUMBER")]
    pub minutes: Option<u64>,
    /// Faults during the writing of a round.
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    pub faults: usize,
    /// Only these kinds of fault.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    pub kinds: Vec<Kind>,
    /// Only this form of cluster.
    #[arg(long, value_enum)]
    pub form: Option<Form>,
    /// Clients that write.
    #[arg(long, default_value_t = 4, value_name = "NUMBER")]
    pub writers: usize,
    /// Totals so far (JSON lines); each round appends its own.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Ends when the totals reach all of these: `gateway`, `shard-node`, `server` (kills),
    /// `power-cuts`, `mutations`.
    #[arg(long, value_delimiter = ',', value_name = "WHAT=NUMBER,…")]
    pub until: Vec<String>,
    /// Fails if the totals do not reach these at the end (as `--until`, and `kills`).
    #[arg(long, value_delimiter = ',', value_name = "WHAT=NUMBER,…")]
    pub at_least: Vec<String>,
    /// Also delete the index of separate processes and make it anew.
    #[arg(long)]
    pub process_rebuild: bool,
    /// Where images and logs are made; they are removed at the end.
    #[arg(long, value_name = "PATH", default_value_os_t = std::env::temp_dir())]
    pub dir: PathBuf,
    /// Keeps logs of processes and operations, also when all went well.
    #[arg(long)]
    pub keep: bool,
}
