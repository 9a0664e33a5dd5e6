//! Configuration: default < file < `HOLDFAST_*` environment < flag.
//!
//! Owns: what a setting is, which role has which, and the errors.
//! Leaves to others: the settings (`config.rs` of each role), sources ([`layers`]), text forms
//! ([`value`]), the page in `docs/` ([`page`]).
//! Always: each setting is written once, as a documented field; key, variable, flag and
//! documentation follow from it.

pub mod flags;
pub mod layers;
#[cfg(test)]
mod page;
mod process;
pub mod value;

use std::io;
use std::path::PathBuf;

use crate::client::config::ClientConfig;
use crate::gateway::config::{GatewayConfig, NodesConfig};
use crate::shard_node::config::{DriveSettings, ShardNodeConfig};

pub use layers::{Layers, Origin, Resolved};
pub use process::{ClusterSecretConfig, ProcessConfig};
pub use value::{Address, Kind, LogFormat, Secret, Size, Switch};

/// What all variables begin with.
pub const PREFIX: &str = "HOLDFAST_";

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the file.
    pub key: &'static str,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
    /// The text that stands for its default; empty if there is none.
    pub default: &'static str,
    /// What it is.
    pub kind: Kind,
}

impl Setting {
    /// `--listen` for `listen`.
    pub fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }
    /// Whether there is a flag: a secret has none, because arguments can be seen by everyone.
    pub const fn has_flag(&self) -> bool {
        !self.kind.secret
    }
}

/// `HOLDFAST_LISTEN` for `listen`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}

/// Settings that belong together.
pub trait Group: Sized {
    /// What they are for, in lines.
    const DOC: &'static [&'static str];
    /// The settings.
    const SETTINGS: &'static [Setting];
    /// Reads them.
    ///
    /// # Errors
    /// `Value`.
    fn read(resolved: &Resolved) -> Result<Self, ConfigError>;
}

/// Defines a [`Group`]: a documented struct whose fields have a default as text.
macro_rules! settings {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty = $default:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type,)*
        }
        impl $crate::config::Group for $name {
            const DOC: &'static [&'static str] = &[$($doc),*];
            const SETTINGS: &'static [$crate::config::Setting] = &[$($crate::config::Setting {
                key: stringify!($field),
                doc: &[$($field_doc),*],
                default: $default,
                kind: <$type as $crate::config::value::Value>::KIND,
            }),*];
            fn read(
                resolved: &$crate::config::Resolved,
            ) -> Result<Self, $crate::config::ConfigError> {
                Ok(Self {
                    $($field: resolved.get(stringify!($field))?,)*
                })
            }
        }
    };
}
pub(crate) use settings;

/// Which process, and so which settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// `holdfast server`: a gateway and its drives in one process.
    Server,
    /// `holdfast gateway`.
    Gateway,
    /// `holdfast shard-node`.
    ShardNode,
    /// A command that speaks to a running cluster.
    Client,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Server, Self::Gateway, Self::ShardNode, Self::Client];

    /// The command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Gateway => "gateway",
            Self::ShardNode => "shard-node",
            Self::Client => "client",
        }
    }

    /// Its groups of settings, each with the lines that say what it is for.
    pub const fn groups(self) -> &'static [(&'static [&'static str], &'static [Setting])] {
        const GATEWAY: (&[&str], &[Setting]) = (GatewayConfig::DOC, GatewayConfig::SETTINGS);
        const NODES: (&[&str], &[Setting]) = (NodesConfig::DOC, NodesConfig::SETTINGS);
        const NODE: (&[&str], &[Setting]) = (ShardNodeConfig::DOC, ShardNodeConfig::SETTINGS);
        const DRIVE: (&[&str], &[Setting]) = (DriveSettings::DOC, DriveSettings::SETTINGS);
        const SECRET: (&[&str], &[Setting]) =
            (ClusterSecretConfig::DOC, ClusterSecretConfig::SETTINGS);
        const PROCESS: (&[&str], &[Setting]) = (ProcessConfig::DOC, ProcessConfig::SETTINGS);
        const CLIENT: (&[&str], &[Setting]) = (ClientConfig::DOC, ClientConfig::SETTINGS);
        match self {
            Self::Server => &[GATEWAY, DRIVE, PROCESS],
            Self::Gateway => &[GATEWAY, NODES, SECRET, PROCESS],
            Self::ShardNode => &[NODE, DRIVE, SECRET, PROCESS],
            Self::Client => &[CLIENT],
        }
    }

    /// Its settings.
    pub fn settings(self) -> impl Iterator<Item = &'static Setting> {
        self.groups()
            .iter()
            .flat_map(|(_, settings)| settings.iter())
    }
}

/// The settings of all roles (a key may come several times).
pub fn every_setting() -> impl Iterator<Item = &'static Setting> {
    Role::ALL.into_iter().flat_map(Role::settings)
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => String::new(),
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key of the file that nobody knows.
    #[error("{}: unknown key {key}{}", path.display(), hint(nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A key of the file that another role has.
    #[error("{}: {key} is not a setting of `holdfast {}`", path.display(), role.name())]
    OtherRole {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The role that was started.
        role: Role,
    },
    /// A variable that nobody knows.
    #[error("unknown variable {name}{}", hint(nearest))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A secret by value and by file.
    #[error("{name} and {file} are both set: keep one")]
    Both {
        /// The variable.
        name: String,
        /// The variable of the file.
        file: String,
    },
    /// A variable whose bytes are no text.
    #[error("{name} is not valid UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// A file could not be read.
    #[error("read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A value of the file is neither text, number, truth nor a list of these.
    #[error("{}: {key} must be text, a number, true or false, or a list of these", path.display())]
    Shape {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// A value cannot be used.
    #[error("{key} (from {origin}): {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Who gave it.
        origin: Origin,
        /// What is wrong.
        why: String,
    },
    /// A setting that the role does not have was asked for.
    #[error("the role has no setting {key}")]
    NoSetting {
        /// The setting.
        key: &'static str,
    },
}

#[cfg(test)]
mod tests;
