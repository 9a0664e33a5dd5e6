//! Everything that happens without a request: heal, scrub, purge, sweep, merge.
//!
//! Owns: claiming the drives at a start, merging what they hold with the index, rebuilding and
//! checking an index, and the background work of a running gateway.
//! Leaves to others: requests (gateway), bytes of shards (store), rows and locks (index).
//! Always: every loop is a task that [`Workers`] owns and joins; nothing is dropped from a drive
//! unless the index, asked after the writer was fenced or settled, does not know it.

mod check;
pub mod claim;
mod compare;
pub mod config;
mod context;
pub mod error;
mod guard;
mod heal;
mod hung;
mod inspect;
pub mod lease;
mod map;
pub mod merge;
pub mod metrics;
mod nudge;
mod pace;
mod placed;
mod purge;
pub mod readers;
mod reclaim;
mod scrub;
mod sweep;
mod systems;
mod trash;
pub mod watch;
mod window;
pub mod workers;

pub use claim::{ClaimOptions, Claimed, claim};
pub use config::WorkersConfig;
pub use context::{NextWrite, OnFatal, OnReclaim};
pub use error::{Result, WorkersError};
pub use lease::keeper::{KeeperParts, LeaseKeeper};
pub use lease::takeover::Takeover;
pub use lease::{Lapsed, LeaseGuard};
pub use map::change_map;
pub use merge::{Doubt, MergeReport, Merging};
pub use metrics::{ScrubMetrics, WorkersMetrics};
pub use nudge::Nudge;
pub use readers::{Readers, Reading};
pub use watch::{DriveHealthEntry, DriveState};
pub use workers::{Workers, WorkersParts};
