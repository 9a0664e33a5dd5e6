//! Proves that real crashes lose no acknowledged byte.
//!
//! Owns: starting real processes on file systems of their own ([`topology`], [`volume`]), breaking
//! them ([`fault`], [`damage`]), writing meanwhile ([`writer`]), and reading everything back
//! ([`audit`]) against what the log allows ([`ledger`], [`journal`]).
//! Depends on none of Holdfast's own crates: it knows S3, the commands, `/health` and one metric.
//! Always: every operation is in the synced log before its request is sent; faults stay within
//! what the cluster promises to survive, so that whatever is lost is a bug; what could not be
//! injected is reported as 0 of N.

pub mod admin;
pub mod audit;
pub mod campaign;
pub mod client;
pub mod content;
pub mod damage;
pub mod error;
pub mod fault;
pub mod flags;
pub mod journal;
pub mod ledger;
pub mod process;
pub mod report;
pub mod round;
pub mod tally;
pub mod topology;
pub mod volume;
pub mod writer;
