//! When the workers do what.
//!
//! Owns: their configuration, whose defaults run.
//! Leaves to others: files, environment and flags (cli).
//! Always: every queue and batch has a bound here.

use std::time::Duration;

/// When the workers do what.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// How often each drive is asked how it does.
    pub poll_interval: Duration,
    /// How long a drive may take to answer what is no bulk data.
    pub drive_deadline: Duration,
    /// A drive that has not answered for so long is suspect; when it comes back it is compared.
    pub suspect_after: Duration,
    /// A drive that has not answered for so long is down.
    pub down_after: Duration,
    /// A drive that has not answered for so long is out: what it holds is healed elsewhere, if
    /// there are spare drives.
    pub out_after: Duration,
    /// The healer and the purger look at their whole queue this often, without being told.
    pub rescan_interval: Duration,
    /// Objects that are healed at the same time.
    pub heal_concurrency: usize,
    /// Bytes that the healer may write per second; 0 means no limit.
    pub heal_bytes_per_second: u64,
    /// And while clients are served, at most; rows that cannot lose another shard do not wait.
    pub heal_busy_bytes_per_second: u64,
    /// Purge rows that are worked on together.
    pub purge_batch_rows: usize,
    /// Writes that one call purges at most.
    pub purge_call_writes: usize,
    /// Inventory entries that a comparison keeps in memory at once (about 100 bytes each).
    pub compare_window: usize,
    /// Entries that a drive is asked for at once.
    pub inventory_page: u32,
    /// How often all drives are compared with the index.
    pub compare_interval: Duration,
    /// How long a write that nobody knows lies in the trash before a second look, which must agree.
    pub sweep_grace: Duration,
    /// Every stored byte is read and checked within this time.
    pub scrub_period: Duration,
    /// New data is read and checked within this time.
    pub scrub_fresh_within: Duration,
    /// Bytes that the scrub may read per second and drive; 0 means no limit.
    pub scrub_bytes_per_second: u64,
    /// How often the place of the scrub is kept; after a crash it goes back so far.
    pub scrub_save_interval: Duration,
    /// One in so many writes is read back soon after.
    pub watch_one_in: u64,
    /// One in so many of these is decoded from parity too.
    pub watch_parity_one_in: u64,
    /// How long a write may be durable before it is read back.
    pub watch_delay: Duration,
    /// Failed writes that wait to be voided; more are left to the sweep.
    pub voids_max: usize,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            drive_deadline: Duration::from_secs(10),
            suspect_after: Duration::from_secs(15),
            down_after: Duration::from_secs(60),
            out_after: Duration::from_secs(30 * 60),
            rescan_interval: Duration::from_secs(60),
            heal_concurrency: 64,
            heal_bytes_per_second: 0,
            heal_busy_bytes_per_second: 64 << 20,
            purge_batch_rows: 256,
            purge_call_writes: 4096,
            compare_window: 120_000,
            inventory_page: 4096,
            compare_interval: Duration::from_secs(24 * 60 * 60),
            sweep_grace: Duration::from_secs(10),
            scrub_period: Duration::from_secs(14 * 24 * 60 * 60),
            scrub_fresh_within: Duration::from_secs(24 * 60 * 60),
            scrub_bytes_per_second: 128 << 20,
            scrub_save_interval: Duration::from_secs(10),
            watch_one_in: 100,
            watch_parity_one_in: 10,
            watch_delay: Duration::from_secs(2),
            voids_max: 65_536,
        }
    }
}
