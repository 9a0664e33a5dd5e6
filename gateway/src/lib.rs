//! The gateway: names, permissions and the commit protocol.
//!
//! Owns: S3 (`s3`), forms of browsers (`post`), the admin API (`admin`), and what they stand on:
//! accounts ([`accounts`]), events ([`notify`]), lists of what there is ([`inventory`]), buckets,
//! objects, listings and multipart uploads, committed as `docs/ARCHITECTURE.md` says ([`object`]).
//! Leaves to others: shards (`store`), rows (`index`), background work (`workers`).
//! Always: a refused request never wrote a record; what the index shows is durable on drives.

pub mod accounts;
pub mod admin;
pub mod auth;
pub mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http;
pub mod inventory;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod notify;
pub mod object;
pub mod post;
pub mod s3;
pub mod settings;

pub use error::GatewayError;
pub use names::{BucketName, ObjectKey};
