//! How a drive is called, in process or over a network.
//!
//! Owns: the trait.
//! Leaves to others: its forms: `shard-node` (in process) and [`crate::rpc`] (framed).
//! Always: cancelling the future may leave the request running; its effect is then unknown.

use std::fmt::Debug;

use async_trait::async_trait;
use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply};

/// Calls drives of one node.
#[async_trait]
pub trait NodeClient: Send + Sync + Debug {
    /// Asks a drive and waits for its answer, at most `call.deadline_ms`.
    ///
    /// # Errors
    /// What the drive says; `TimedOut` or `Unreachable` when it says nothing.
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError>;
}
