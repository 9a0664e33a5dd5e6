//! Simulated seams, models and history checker; never shipped.
//!
//! Owns: the simulated disk ([`disk`]), network ([`net`]), executor ([`exec`]) and index
//! ([`index`]); a whole cluster over them ([`cluster`]), what clients do to it ([`load`]), what
//! goes wrong ([`plan`], [`director`]), and what must hold ([`history`], [`book`],
//! [`verdict`]); the proof that planted faults are found ([`planted`]).
//! Leaves to others: real processes, disks and clients (`tests/`).
//! Always: the same seed gives the same run.

pub mod book;
pub mod cluster;
pub mod dice;
pub mod director;
pub mod disk;
pub mod exec;
pub mod front;
pub mod gateway;
pub mod history;
pub mod index;
pub mod load;
pub mod net;
pub mod plan;
pub mod planted;
pub mod run;
pub mod values;
pub mod verdict;

pub use disk::SimDisk;
