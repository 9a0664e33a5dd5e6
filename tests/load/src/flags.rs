//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::client::{ClientSettings, Drain};
use crate::error::LoadError;
use crate::plan::{self, Load, Mix, Op, Suite};
use crate::quantity::ByteSize;
use crate::request::PayloadMode;

const EXAMPLES: &str = "\
Examples:
  A running server, its CPU, memory and data syncs counted:
    holdfast-load --endpoint http://127.0.0.1:9000 --server-pid 4711 \\
      --metrics-url http://127.0.0.1:9001/metrics --op put,get --size 4KiB,10MiB --clients 8,32
  A server started for the run in a fresh directory:
    holdfast-load --suite quick --start 'holdfast server --data-dir {dir} \\
      --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0'
  Two servers, interleaved, seven rounds, medians and ratios:
    holdfast-load --endpoint http://127.0.0.1:9000 --endpoint http://127.0.0.1:9100 \\
      --server-pid 4711 --server-pid 4712 --rounds 7 --load put:4KiB:32 --load get:4KiB:32

The first target is A, the next B: the endpoints in their order, then the started servers in theirs.
What is given per target (--name, --access-key, --secret-key, --server-pid, --metrics-url) is given
once for each target in that order, or once for all keys. Only loopback addresses are loaded.

Per 1,000 requests and per request mean HTTP requests: a multipart object is several.
A process stands for itself and its descendants. CPU time has a resolution of 10 ms.
Exit code: 0, or 1 if anything failed, a single request included, or 2 for wrong usage.";

/// Offers load to S3 servers on this machine and prints what they achieve and what it costs them.
#[derive(Debug, Clone, Parser)]
#[command(name = "holdfast-load", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Flags {
    /// S3 endpoint of a running server; repeat for A/B
    #[arg(long, value_name = "URL", help_heading = "Servers")]
    pub endpoint: Vec<String>,
    /// Command of a server to start; prints `ready s3=URL admin=URL`; {dir} is a fresh directory
    #[arg(long, value_name = "CMD", help_heading = "Servers")]
    pub start: Vec<String>,
    /// Name of the target in tables [default: A, B, …]
    #[arg(long, value_name = "NAME", help_heading = "Servers")]
    pub name: Vec<String>,
    /// Access key
    #[arg(
        long,
        env = "HOLDFAST_ACCESS_KEY",
        default_value = "holdfast-load",
        help_heading = "Servers"
    )]
    pub access_key: Vec<String>,
    /// Secret key (visible in the process list: better the environment)
    #[arg(
        long,
        env = "HOLDFAST_SECRET_KEY",
        hide_env_values = true,
        default_value = "holdfast-load-secret",
        hide_default_value = true,
        help_heading = "Servers"
    )]
    pub secret_key: Vec<String>,
    /// Processes of the server whose CPU and memory are counted, comma-separated
    #[arg(long, value_name = "PID[,PID]", help_heading = "Servers")]
    pub server_pid: Vec<String>,
    /// Prometheus metrics with sync counters, comma-separated [default of --start: ADMIN/metrics]
    #[arg(long, value_name = "URL[,URL]", help_heading = "Servers")]
    pub metrics_url: Vec<String>,
    /// Region of the signatures
    #[arg(long, default_value = "us-east-1", help_heading = "Servers")]
    pub region: String,
    /// Bucket; created when missing
    #[arg(long, default_value = "holdfast-load", help_heading = "Servers")]
    pub bucket: String,
    /// Where `{dir}` is made; a memory file system would make syncs free
    #[arg(long, value_name = "DIR", help_heading = "Servers")]
    pub work_dir: Option<PathBuf>,
    /// How long a started server may take until its ready line
    #[arg(long, default_value = "30s", value_parser = duration, help_heading = "Servers")]
    pub ready_timeout: Duration,

    /// A ready-made list of loads
    #[arg(long, help_heading = "Loads")]
    pub suite: Option<Suite>,
    /// One load, OP:SIZE:CLIENTS, as in put:4KiB:32; repeatable
    #[arg(long, value_name = "LOAD", help_heading = "Loads")]
    pub load: Vec<Load>,
    /// Operations, comma-separated [default: put,get]; each with every size and number of clients
    #[arg(long, value_delimiter = ',', help_heading = "Loads")]
    pub op: Vec<Op>,
    /// Object sizes
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "4KiB",
        help_heading = "Loads"
    )]
    pub size: Vec<ByteSize>,
    /// Numbers of clients; each is one connection with one request at a time
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "8",
        help_heading = "Loads"
    )]
    pub clients: Vec<usize>,
    /// Bytes of a ranged GET
    #[arg(long, default_value = "4KiB", help_heading = "Loads")]
    pub range_size: ByteSize,
    /// Bytes of a part (S3 wants at least 5MiB)
    #[arg(long, default_value = "8MiB", help_heading = "Loads")]
    pub part_size: ByteSize,
    /// Keys on a page of LIST
    #[arg(long, default_value_t = 1000, help_heading = "Loads")]
    pub page_keys: u64,
    /// Weights of a mixed load
    #[arg(
        long,
        default_value = "get:45,head:30,put:15,delete:10",
        help_heading = "Loads"
    )]
    pub mix: Mix,
    /// How bodies are sent
    #[arg(long, value_enum, default_value = "unsigned", help_heading = "Loads")]
    pub payload: PayloadMode,
    /// How bodies are received
    #[arg(long, value_enum, default_value = "copy", help_heading = "Loads")]
    pub drain: Drain,
    /// Part of the answers whose content is compared, 0 to 1; lengths always are
    #[arg(
        long,
        value_name = "PART",
        default_value_t = 0.02,
        help_heading = "Loads"
    )]
    pub verify: f64,

    /// Objects that GET, range, HEAD and mixed read [default: 1000, less if larger than 512MiB]
    #[arg(long, value_name = "N", help_heading = "Bounds")]
    pub objects: Option<u64>,
    /// Objects below the prefix that LIST lists
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5000,
        help_heading = "Bounds"
    )]
    pub list_keys: u64,
    /// Objects written for every DELETE load, which ends when they are gone
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5000,
        help_heading = "Bounds"
    )]
    pub delete_objects: u64,
    /// Measured time of each load
    #[arg(long, default_value = "5s", value_parser = duration, help_heading = "Bounds")]
    pub duration: Duration,
    /// Operations of each load at most; no warm-up then
    #[arg(long, value_name = "N", help_heading = "Bounds")]
    pub count: Option<u64>,
    /// Load that is not measured, before each measurement
    #[arg(long, default_value = "1s", value_parser = duration, help_heading = "Bounds")]
    pub warmup: Duration,
    /// Bytes that one load may write
    #[arg(long, default_value = "8GiB", help_heading = "Bounds")]
    pub bytes_max: ByteSize,
    /// Longest wait for the servers to become idle before each load
    #[arg(long, default_value = "10s", value_parser = duration, help_heading = "Bounds")]
    pub settle: Duration,
    /// Longest wait for a socket
    #[arg(long, default_value = "60s", value_parser = duration, help_heading = "Bounds")]
    pub timeout: Duration,
    /// Rounds; with several targets each round runs every load on every target in turn
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Bounds")]
    pub rounds: usize,

    /// Also write everything as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output and data")]
    pub json: Option<PathBuf>,
    /// Leave all objects where they are
    #[arg(long, help_heading = "Output and data")]
    pub keep: bool,
    /// The objects to be read are there: an earlier run with --keep and the same numbers wrote them
    #[arg(long, help_heading = "Output and data")]
    pub prefilled: bool,
    /// Determines bodies and choices
    #[arg(long, default_value_t = 1, help_heading = "Output and data")]
    pub seed: u64,
    /// Restart the servers' VmHWM before each load (through /proc/PID/clear_refs)
    #[arg(long, help_heading = "Output and data")]
    pub reset_peak: bool,
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

impl Flags {
    /// Checks what a single flag's type cannot, and returns the loads asked for.
    ///
    /// # Errors
    /// `Usage`.
    pub fn check(&self) -> Result<Vec<Load>, LoadError> {
        let loads = plan::loads(self.suite, &self.load, &self.op, &self.size, &self.clients)
            .map_err(LoadError::Usage)?;
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let needs = |op: Op| loads.iter().filter(move |load| load.op == op);
        let problem = if self.endpoint.is_empty() && self.start.is_empty() {
            "give --endpoint URL or --start CMD (see --help)"
        } else if !(3..=63).contains(&self.bucket.len()) || !self.bucket.chars().all(plain) {
            "--bucket: 3 to 63 lower-case letters, digits, - and ."
        } else if !(0.0..=1.0).contains(&self.verify) {
            "--verify: between 0 and 1"
        } else if self.rounds == 0 || self.count == Some(0) || self.objects == Some(0) {
            "--rounds, --count and --objects: at least 1"
        } else if self.duration.is_zero() || self.timeout.is_zero() {
            "--duration and --timeout: above 0"
        } else if self.page_keys == 0 || self.page_keys > 1000 || self.list_keys < self.page_keys {
            "--page-keys: 1 to 1000, and not above --list-keys"
        } else if needs(Op::Delete).count() > 0 && self.delete_objects == 0 {
            "--delete-objects: at least 1"
        } else if self.range_size.get() == 0
            || needs(Op::Range).any(|load| load.size < self.range_size)
        {
            "--range-size: at least 1B and not above the size of the objects"
        } else if self.part_size.get() == 0 {
            "--part-size: at least 1B"
        } else {
            return Ok(loads);
        };
        Err(LoadError::Usage(problem.to_owned()))
    }

    /// What all clients share.
    pub fn client_settings(&self) -> ClientSettings {
        ClientSettings {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            payload: self.payload,
            drain: self.drain,
            timeout: self.timeout,
        }
    }

    /// How many objects of `size` the reading loads read.
    pub fn read_objects(&self, size: ByteSize) -> u64 {
        self.objects
            .unwrap_or_else(|| ((512 << 20) / size.get().max(1)).clamp(8, 1000))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Flags;
    use crate::quantity::ByteSize;

    fn parse(line: &str) -> Flags {
        Flags::parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn defaults_write_and_read_small_objects() {
        let flags = parse("holdfast-load --endpoint http://127.0.0.1:1");
        let loads: Vec<String> = flags
            .check()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(loads, ["put:4KiB:8", "get:4KiB:8"]);
        assert_eq!(flags.read_objects(ByteSize::new(4096)), 1000);
        assert_eq!(flags.read_objects(ByteSize::new(64 << 20)), 8);
    }

    #[test]
    fn impossible_combinations_are_refused() {
        for rest in [
            "",
            "--endpoint u --op range --size 1KiB",
            "--endpoint u --verify 2",
            "--endpoint u --bucket UPPER",
            "--endpoint u --page-keys 1001",
            "--endpoint u --rounds 0",
            "--endpoint u --duration 0s",
        ] {
            assert!(
                parse(&format!("holdfast-load {rest}")).check().is_err(),
                "{rest}"
            );
        }
    }
}
