//! Whether a bucket keeps the versions of its keys.

use holdfast_protocol::VersionName;
use serde::{Deserialize, Serialize};

/// Whether writes keep what they replace. Once configured it cannot be taken away, only suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", deny_unknown_fields)]
pub enum Versioning {
    /// Every write makes a version of its own.
    Enabled,
    /// Writes replace the null version; other versions stay.
    Suspended,
}

impl Versioning {
    /// What a new version is called under this setting of a bucket.
    pub fn name_of_new(setting: Option<Self>) -> VersionName {
        match setting {
            Some(Self::Enabled) => VersionName::Ordered,
            Some(Self::Suspended) | None => VersionName::Null,
        }
    }
}
