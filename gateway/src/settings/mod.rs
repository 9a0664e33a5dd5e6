//! What is configured of a bucket.
//!
//! Owns: the settings in our own types, their checks, and their lasting form: one JSON document
//! each, with a version, under a name in the bucket's row (`docs/formats/row.md`).
//! Leaves to others: S3's documents (`s3`), committing a change ([`crate::object`]), what a setting
//! does.
//! Always: a setting that cannot be read is an error, never "not configured"; what is stored was
//! checked.

mod cors;
mod inventory;
mod lifecycle;
mod lock;
mod logging;
mod notification;
mod payment;
mod tags;
mod versioning;
mod website;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use holdfast_policy::{Acl, Ownership, OwnershipControls, Policy, PublicAccessBlock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::GatewayError;

pub use cors::{Cors, CorsMethod, CorsRule};
pub use inventory::{
    Frequency, IncludedVersions, Inventories, Inventory, InventoryField, InventoryFormat,
};
pub use lifecycle::{
    Expiration, FilterForm, KEEP_MAX, Lifecycle, LifecycleFilter, LifecycleRule,
    NoncurrentExpiration, NoncurrentTransition, Transition, When, midnight, positive_days,
};
pub use lock::{DefaultRetention, ObjectLock, Period, RetentionMode};
pub use logging::{KeyFormat, Logging, PartitionDate};
pub use notification::{Notification, TargetKind, Tell};
pub use payment::Payer;
pub use tags::Tags;
pub use versioning::Versioning;
pub use website::{Elsewhere, NewKey, Pages, Protocol, Redirect, RoutingRule, Website};

/// Most bytes of a setting, and of all of a bucket: its row is the value of a record, too.
const SETTING_LEN_MAX: usize = 1 << 20;
const SETTINGS_LEN_MAX: usize = 4 << 20;
/// The version of all settings that are written.
const VERSION: u64 = 1;

/// All settings of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `?cors`.
    pub cors: Option<Cors>,
    /// `?tagging`.
    pub tags: Option<Tags>,
    /// `?requestPayment`.
    pub payer: Option<Payer>,
    /// `?versioning`.
    pub versioning: Option<Versioning>,
    /// `?object-lock`; only with versioning enabled.
    pub lock: Option<ObjectLock>,
    /// `?policy`.
    pub policy: Option<Policy>,
    /// `?ownershipControls`.
    pub ownership: Option<OwnershipControls>,
    /// `?publicAccessBlock`.
    pub block: Option<PublicAccessBlock>,
    /// `?acl`.
    pub acl: Option<Acl>,
    /// `?lifecycle`.
    pub lifecycle: Option<Lifecycle>,
    /// `?website`.
    pub website: Option<Website>,
    /// `?notification`.
    pub notification: Option<Notification>,
    /// `?logging`.
    pub logging: Option<Logging>,
    /// `?inventory`.
    pub inventory: Option<Inventories>,
}

/// A setting that S3 calls absent when it is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Setting {
    Policy,
    Lifecycle,
    Cors,
    Tagging,
    Ownership,
    PublicAccessBlock,
    ObjectLock,
    Website,
    Inventory,
}

impl Setting {
    /// What is said when it is not configured.
    pub const fn absent(self) -> &'static str {
        match self {
            Self::Policy => "The bucket policy does not exist",
            Self::Lifecycle => "The lifecycle configuration does not exist",
            Self::Cors => "The CORS configuration does not exist",
            Self::Tagging => "The TagSet does not exist",
            Self::Ownership => "The bucket ownership controls were not found",
            Self::PublicAccessBlock => "The public access block configuration was not found",
            Self::ObjectLock => "Object Lock configuration does not exist for this bucket",
            Self::Website => "The specified bucket does not have a website configuration",
            Self::Inventory => "The specified configuration does not exist.",
        }
    }
}

/// The names in a bucket's row.
const CORS: &str = "cors";
const TAGS: &str = "tagging";
const PAYER: &str = "requestPayment";
const VERSIONING: &str = "versioning";
const LOCK: &str = "objectLock";
const POLICY: &str = "policy";
const OWNERSHIP: &str = "ownershipControls";
const BLOCK: &str = "publicAccessBlock";
const ACL: &str = "acl";
const LIFECYCLE: &str = "lifecycle";
const WEBSITE: &str = "website";
const NOTIFICATION: &str = "notification";
const LOGGING: &str = "logging";
pub(crate) const INVENTORY: &str = "inventory";

impl Settings {
    /// Who owns what others write, and whether ACLs count. As in S3, a bucket of which that was
    /// never said, or no longer is, has ACLs.
    pub fn ownership(&self) -> Ownership {
        self.ownership
            .map_or(Ownership::ObjectWriter, |controls| controls.rule)
    }

    /// What is refused and ignored because it is public.
    pub fn block(&self) -> PublicAccessBlock {
        self.block.unwrap_or_default()
    }

    /// Reads them from a bucket's row.
    ///
    /// # Errors
    /// `Internal` for a name, a version or a form that this program does not know.
    pub fn decode(config: &[(String, Bytes)]) -> Result<Self, GatewayError> {
        let mut settings = Self::default();
        for (name, value) in config {
            match name.as_str() {
                CORS => settings.cors = Some(read(name, value)?),
                TAGS => settings.tags = Some(read(name, value)?),
                PAYER => settings.payer = Some(read(name, value)?),
                VERSIONING => settings.versioning = Some(read(name, value)?),
                LOCK => settings.lock = Some(read(name, value)?),
                POLICY => settings.policy = Some(read(name, value)?),
                OWNERSHIP => settings.ownership = Some(read(name, value)?),
                BLOCK => settings.block = Some(read(name, value)?),
                ACL => settings.acl = Some(read(name, value)?),
                LIFECYCLE => settings.lifecycle = Some(read(name, value)?),
                WEBSITE => settings.website = Some(read(name, value)?),
                NOTIFICATION => settings.notification = Some(read(name, value)?),
                LOGGING => settings.logging = Some(read(name, value)?),
                INVENTORY => settings.inventory = Some(read(name, value)?),
                _ => return Err(unreadable(name, "its name is not known")),
            }
        }
        Ok(settings)
    }

    /// Their form in a bucket's row.
    ///
    /// # Errors
    /// `TooLarge`: what is stored must be readable; `Internal` if a setting has no JSON form; none
    /// is so.
    pub fn encode(&self) -> Result<Vec<(String, Bytes)>, GatewayError> {
        let mut config = Vec::new();
        write(&mut config, CORS, self.cors.as_ref())?;
        write(&mut config, TAGS, self.tags.as_ref())?;
        write(&mut config, PAYER, self.payer.as_ref())?;
        write(&mut config, VERSIONING, self.versioning.as_ref())?;
        write(&mut config, LOCK, self.lock.as_ref())?;
        write(&mut config, POLICY, self.policy.as_ref())?;
        write(&mut config, OWNERSHIP, self.ownership.as_ref())?;
        write(&mut config, BLOCK, self.block.as_ref())?;
        write(&mut config, ACL, self.acl.as_ref())?;
        write(&mut config, LIFECYCLE, self.lifecycle.as_ref())?;
        write(&mut config, WEBSITE, self.website.as_ref())?;
        write(&mut config, NOTIFICATION, self.notification.as_ref())?;
        write(&mut config, LOGGING, self.logging.as_ref())?;
        write(&mut config, INVENTORY, self.inventory.as_ref())?;
        let len = config.iter().map(|(_, value)| value.len()).sum();
        bounded(len, SETTINGS_LEN_MAX)?;
        Ok(config)
    }
}

fn read<T: DeserializeOwned>(name: &str, value: &[u8]) -> Result<T, GatewayError> {
    let mut document: Value =
        serde_json::from_slice(value).map_err(|error| unreadable(name, &error.to_string()))?;
    let fields = document.as_object_mut();
    let version = fields.and_then(|fields| fields.remove("v"));
    if version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
        return Err(unreadable(name, "its version is not known"));
    }
    serde_json::from_value(document).map_err(|error| unreadable(name, &error.to_string()))
}

fn write<T: Serialize>(
    config: &mut Vec<(String, Bytes)>,
    name: &str,
    setting: Option<&T>,
) -> Result<(), GatewayError> {
    let Some(setting) = setting else {
        return Ok(());
    };
    let mut document =
        serde_json::to_value(setting).map_err(|error| unreadable(name, &error.to_string()))?;
    let fields = document.as_object_mut();
    let fields = fields.ok_or_else(|| unreadable(name, "it is not an object"))?;
    fields.insert("v".to_owned(), json!(VERSION));
    let document = Bytes::from(document.to_string());
    bounded(document.len(), SETTING_LEN_MAX)?;
    config.push((name.to_owned(), document));
    Ok(())
}

fn bounded(len: usize, max: usize) -> Result<(), GatewayError> {
    match len <= max {
        true => Ok(()),
        false => Err(GatewayError::TooLarge {
            len: len as u64,
            max: max as u64,
        }),
    }
}

fn unreadable(name: &str, why: &str) -> GatewayError {
    GatewayError::Internal {
        what: format!("the bucket's setting {name:?} cannot be read: {why}"),
    }
}
