//! Settings that every process has.
//!
//! Owns: logs, threads, the cluster secret.
//! Leaves to others: doing it ([`crate::logging`], `main`).
//! Always: defaults run.

use std::time::Duration;

use super::{LogFormat, Secret, settings};

settings! {
    /// Every process.
    pub struct ProcessConfig {
        /// Which log lines are written: a level (error, warn, info, debug, trace), or levels by
        /// module, for instance `info,holdfast_store=debug`.
        log: String = "info",
        /// How log lines look. `auto` is text on a terminal and JSON elsewhere. Logs go to stderr.
        log_format: LogFormat = "auto",
        /// Threads for requests; 0 takes one per processor.
        worker_threads: usize = "0",
        /// Threads for files and other work that blocks; 0 takes two per drive of this process, at
        /// least four, or six with several drives, and at most 32. Of several drives each is read
        /// by less than half of them at a time, so that one that stalls leaves some to others.
        io_threads: usize = "0",
        /// How long requests that are under way may take to finish after SIGTERM or SIGINT.
        shutdown_timeout: Duration = "30s",
    }
}

settings! {
    /// What the processes of a cluster share.
    pub struct ClusterSecretConfig {
        /// Proves to each other that a gateway and a shard node belong together: at least 16
        /// characters, the same in all processes of the cluster. There is no default.
        cluster_secret: Option<Secret<String>> = "",
    }
}
