//! The admin listener: metrics, health, the admin API.
//!
//! Owns: the table of routes and who may use each ([`routes`]), who asks ([`access`], [`sigv4`]),
//! JSON errors, the OpenAPI description.
//! Leaves to others: connections (`http`), what the operations do ([`Cluster`]), JSON types
//! (`protocol`).
//! Always: nothing but health, metrics (unless they are closed), the front page and the join of a
//! node that proves the cluster secret is answered without the administrator's keys or token.

pub mod access;
mod accounts;
mod answer;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod openapi;
mod routes;
mod service;
pub(crate) mod sigv4;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::admin::heal::HealRequest;
use holdfast_protocol::admin::inspect::InspectRequest;
use prometheus::Registry;
use serde_json::Value;

use crate::GatewayError;
use crate::accounts::Accounts;
use crate::http::Health;

pub use access::Access;
pub use service::Service;

/// What the admin API does. Answers are the JSON types of `protocol::admin`.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// How much is left to heal.
    ///
    /// # Errors
    /// `Unavailable` while the gateway starts; what index and store say.
    async fn heal(&self) -> Result<Value, GatewayError>;
    /// Tries everything in the heal queue now, or says what would be done
    /// (`protocol::admin::heal::HealRequest`).
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn run_heal(&self, request: HealRequest) -> Result<Value, GatewayError>;
    /// Pauses healing, or lets it go on.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn pause_heal(&self, paused: bool) -> Result<Value, GatewayError>;
    /// How far the scrub is.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn scrub(&self) -> Result<Value, GatewayError>;
    /// Scrubs every drive now.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn start_scrub(&self) -> Result<Value, GatewayError>;
    /// Pauses the scrub, or lets it go on.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn pause_scrub(&self, paused: bool) -> Result<Value, GatewayError>;
    /// Objects by margin.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn durability(&self) -> Result<Value, GatewayError>;
    /// Compares index and drives, and lists objects that are not whole.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn check(&self, request: CheckRequest) -> Result<Value, GatewayError>;
    /// Where an object is and how much of it is good.
    ///
    /// # Errors
    /// `NoSuchKey` if there is none; as [`Cluster::heal`].
    async fn inspect(&self, request: InspectRequest) -> Result<Value, GatewayError>;
    /// Compares the index with the drives.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn check_index(&self) -> Result<Value, GatewayError>;
    /// All drives and how they do.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn drives(&self) -> Result<Value, GatewayError>;
    /// Geometry, map version, counts of drives.
    ///
    /// # Errors
    /// As [`Cluster::heal`].
    async fn cluster(&self) -> Result<Value, GatewayError>;
    /// Gives a drive up for lost.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such drive, `InvalidRequest` if it is not lost.
    async fn replace_drive(&self, drive: &str) -> Result<Value, GatewayError>;
    /// Accounts and keys.
    ///
    /// # Errors
    /// `Unavailable` while the gateway starts.
    fn accounts(&self) -> Result<Accounts, GatewayError>;
    /// Tells a node that proves the cluster secret where to register.
    ///
    /// # Errors
    /// `AccessDenied` without the proof, `InvalidRequest` if this gateway takes no nodes.
    async fn join(&self, request: Value) -> Result<Value, GatewayError>;
}

/// What the listener needs.
pub struct Parts {
    /// The operations.
    pub cluster: Arc<dyn Cluster>,
    /// Whether the process is alive and ready.
    pub health: Arc<dyn Health>,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// Who may ask.
    pub access: Access,
}
