//! Load harness for any S3 endpoint on this machine.
//!
//! Owns: offering load ([`worker`]), measuring it ([`cell`]), printing what it cost ([`report`]).
//! Depends on none of Holdfast's crates: it knows S3, `/proc` and two metric names, so it measures
//! other servers in the same way.
//! Always: the harness is cheap and its own CPU is shown. One thread per client over a blocking
//! socket, requests written and signed by hand, bodies from one pool (`tests/load/README.md`).

pub mod body;
pub mod cell;
pub mod client;
pub mod endpoint;
pub mod error;
pub mod failure;
pub mod flags;
pub mod http;
pub mod keys;
pub mod metrics;
pub mod plan;
pub mod prepare;
pub mod procfs;
pub mod quantity;
pub mod report;
pub mod request;
pub mod run;
pub mod server;
pub mod sign;
pub mod stats;
pub mod table;
pub mod target;
pub mod worker;
