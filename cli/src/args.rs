//! The command line.
//!
//! Owns: commands and their flags.
//! Leaves to others: what they do; settings as flags ([`crate::config::flags`]).
//! Always: `-o` works before and after the verb; no command means `server`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::Role;
use crate::config::flags::{Client, Flags, Gateway, Server, ShardNode};
use crate::output::Format;

/// An S3-compatible object store over erasure-coded shards.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    disable_help_subcommand = true,
    after_help = "Without a command, `server` runs: a gateway and six drives under \
                  ./holdfast-data.\n\
                  Exit codes: 0 ok, 1 failed, 2 usage, 3 degraded, 4 not reachable, 5 denied."
)]
pub struct Cli {
    /// How results are written.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// A configuration file (TOML) [HOLDFAST_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run an embedded cluster: a gateway and its drives in one process (the default).
    Server(Flags<Server>),
    /// Run a gateway; its drives are on shard nodes.
    Gateway(Flags<Gateway>),
    /// Run a shard node: one drive per data directory.
    ShardNode(Flags<ShardNode>),
    /// Check or rebuild the index.
    #[command(subcommand)]
    Index(Index),
    /// See what heals, and steer it.
    #[command(subcommand)]
    Heal(Heal),
    /// See how far the scrub is, and steer it.
    #[command(subcommand)]
    Scrub(Scrub),
    /// Check that everything acknowledged is there, whole and nowhere else: index against drives,
    /// both ways. Exit code 1 if something is lost, 3 if something is not whole.
    Check(Check),
    /// Show where an object is, and how many failures it survives now; exit code 3 if fewer than
    /// when whole.
    Inspect(Inspect),
    /// Count objects by how many more shards or copies they can lose; exit code 3 while some can
    /// lose fewer than when whole.
    Durability(Flags<Client>),
    /// See and replace drives.
    #[command(subcommand)]
    Drive(Drive),
    /// See the cluster.
    #[command(subcommand)]
    Cluster(Cluster),
    /// See, make and delete accounts.
    #[command(subcommand)]
    Account(Account),
    /// See, make, stop and delete the access keys of accounts.
    #[command(subcommand)]
    Key(Key),
    /// See the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print the version.
    Version,
}

/// Check or rebuild the index.
#[derive(Clone, Debug, Subcommand)]
pub enum Index {
    /// Compare the index of a running cluster with its drives.
    Check(Flags<Client>),
    /// Make the index of a stopped gateway or embedded cluster anew from its drives. Shard nodes
    /// must run: the command listens where they look for their gateway.
    Rebuild(Rebuild),
}

/// Flags of `index rebuild`.
#[derive(Clone, Debug, Args)]
pub struct Rebuild {
    /// The data directory of the gateway or embedded cluster, which must be stopped.
    #[arg(long, value_name = "PATH", default_value = "./holdfast-data")]
    pub data_dir: PathBuf,
    /// Go on although too many drives are missing, and name the keys in doubt.
    #[arg(long)]
    pub force: bool,
    /// Where the gateway's admin API is, by which its shard nodes find it; not for an embedded
    /// cluster [HOLDFAST_ADMIN_LISTEN].
    #[arg(long, value_name = "HOST:PORT")]
    pub admin_listen: Option<String>,
    /// Where its shard nodes register; not for an embedded cluster [HOLDFAST_NODE_LISTEN].
    #[arg(long, value_name = "HOST:PORT")]
    pub node_listen: Option<String>,
    /// How long to wait for shard nodes.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub wait: Duration,
}

/// See what heals, and steer it.
#[derive(Clone, Debug, Subcommand)]
pub enum Heal {
    /// How much is left to heal; exit code 3 while there is any.
    Status(Flags<Client>),
    /// Try everything in the queue now, whatever it waits for.
    Run(HealRun),
    /// Pause healing until it is resumed or the gateway restarts.
    Pause(Flags<Client>),
    /// Let healing go on.
    Resume(Flags<Client>),
}

/// Flags of `heal run`.
#[derive(Clone, Debug, Args)]
pub struct HealRun {
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Rows that a dry run looks at, at most.
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub limit: usize,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// See how far the scrub is, and steer it.
#[derive(Clone, Debug, Subcommand)]
pub enum Scrub {
    /// Passes, their progress, and the age of the oldest verification, by drive.
    Status(Flags<Client>),
    /// Scrub every drive now.
    Start(Flags<Client>),
    /// Pause the scrub until it is resumed or the gateway restarts.
    Pause(Flags<Client>),
    /// Let the scrub go on.
    Resume(Flags<Client>),
}

/// Flags of `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Read every shard and record from the drives and verify its checksums.
    #[arg(long)]
    pub deep: bool,
    /// Hand what is found to the healer.
    #[arg(long)]
    pub heal: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// Flags of `inspect`.
#[derive(Clone, Debug, Args)]
pub struct Inspect {
    /// The object: `s3://bucket/key`.
    #[arg(value_name = "URL")]
    pub object: String,
    /// The write of a version that is not the current one, as `check` names it.
    #[arg(long, value_name = "WRITE")]
    pub write: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// See and replace drives.
#[derive(Clone, Debug, Subcommand)]
pub enum Drive {
    /// All drives and how they do.
    List(Flags<Client>),
    /// Give a drive up for lost: its id is dead for ever, and its node may format the empty
    /// directory under a new id, which then heals by itself.
    Replace(Replace),
}

/// Flags of `drive replace`.
#[derive(Clone, Debug, Args)]
pub struct Replace {
    /// The drive, as `drive list` names it.
    #[arg(value_name = "ID")]
    pub drive: String,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// See the cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum Cluster {
    /// Geometry, map version, drives; exit code 3 while a drive is missing.
    Status(Flags<Client>),
    /// Whether requests are served, on both listeners; needs no keys. Exit code 3 while not.
    Ready(Flags<Client>),
}

/// See, make and delete accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum Account {
    /// All accounts.
    List(Flags<Client>),
    /// An account and its keys.
    Show(OneAccount),
    /// Make an account. It has no keys yet: see `key create`.
    Create(NewAccount),
    /// Delete an account and its keys. Refused while it owns buckets.
    Delete(OneAccount),
}

/// Flags of commands about one account.
#[derive(Clone, Debug, Args)]
pub struct OneAccount {
    /// The account's name, number or canonical id.
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// Flags of `account create`.
#[derive(Clone, Debug, Args)]
pub struct NewAccount {
    /// Its name: 1 to 64 letters, digits, dots, hyphens and underscores.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Whether everything is allowed to it, in all accounts and in the admin API.
    #[arg(long)]
    pub admin: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// See, make, stop and delete the access keys of accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum Key {
    /// The keys of all accounts, or of one.
    List(Keys),
    /// Make a key; its secret is shown this once.
    Create(NewKey),
    /// Let requests be signed with a key.
    Enable(OneKey),
    /// Refuse requests that are signed with a key, from now on.
    Disable(OneKey),
    /// Delete a key.
    Delete(OneKey),
}

/// Flags of `key list`.
#[derive(Clone, Debug, Args)]
pub struct Keys {
    /// The account's name, number or canonical id.
    #[arg(value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// Flags of `key create`.
#[derive(Clone, Debug, Args)]
pub struct NewKey {
    /// The account's name, number or canonical id.
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// The access key, if it is not to be made up: 3 to 128 letters, digits, dots, hyphens and
    /// underscores.
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// A file with the secret, if it is not to be made up: 8 to 128 printable characters; - is the
    /// standard input.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// Flags of commands about one key.
#[derive(Clone, Debug, Args)]
pub struct OneKey {
    /// The access key.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Whom to ask.
    #[command(flatten)]
    pub client: Flags<Client>,
}

/// See the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum Config {
    /// What is in force and where it is from; secrets are not shown.
    Show(Show),
}

/// Flags of `config show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// Whose settings.
    #[arg(long, value_enum, default_value_t = Role::Server)]
    pub role: Role,
}
