//! Who is told.
//!
//! Owns: what a target has to do, and the targets that the operator configured, by ARN.
//! Leaves to others: how a target is reached ([`super::webhook`]), when ([`crate::object`]).
//! Always: a batch is taken whole or not at all; only a target that said so has taken it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

/// An event on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// Events of the same key must stay in their order: bucket and key. A target with partitions
    /// puts them in the same one.
    pub key: String,
    /// The event.
    pub record: Value,
}

/// Why a target did not take a batch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TargetError {
    /// No address of it may be connected to.
    #[error("{host} is at no address that may be connected to (setting notify_allow)")]
    NotAllowed {
        /// Its host.
        host: String,
    },
    /// It could not be reached, or did not answer.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It answered that it did not take them.
    #[error("it answered {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
}

/// Somebody who is told.
#[async_trait]
pub trait Target: Debug + Send + Sync + 'static {
    /// Tells events, in this order. `Ok` means that the target has all of them for good. Events may
    /// come again after an error.
    ///
    /// # Errors
    /// Why it has not; then all of them come again.
    async fn send(&self, batch: &[Keyed]) -> Result<(), TargetError>;

    /// Tells that a bucket begins to tell events.
    ///
    /// # Errors
    /// As [`Target::send`].
    async fn test(&self, message: &Value) -> Result<(), TargetError>;
}

/// All targets.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    region: String,
    by_name: BTreeMap<String, Arc<dyn Target>>,
}

impl Targets {
    /// These, by name.
    pub fn new(region: &str, by_name: BTreeMap<String, Arc<dyn Target>>) -> Self {
        Self {
            region: region.to_owned(),
            by_name,
        }
    }
    /// The region that events are told to happen in.
    pub fn region(&self) -> &str {
        &self.region
    }
    /// Names and targets.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<dyn Target>)> {
        self.by_name
            .iter()
            .map(|(name, target)| (name.as_str(), target))
    }
    /// The target of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Target>> {
        self.by_name.get(name)
    }
    /// The ARN by which buckets' configurations name a target.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:holdfast:notify:{}::{name}", self.region)
    }
    /// The name in an ARN, if there is such a target.
    pub fn named(&self, arn: &str) -> Option<&str> {
        let name = arn.strip_prefix("arn:holdfast:notify:")?;
        let name = name
            .strip_prefix(self.region.as_str())?
            .strip_prefix("::")?;
        self.by_name
            .get_key_value(name)
            .map(|(name, _)| name.as_str())
    }
}
