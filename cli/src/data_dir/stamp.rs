//! Who and what was laid out in a data directory: the file `cluster.json`.
//!
//! Owns: its form; comparing it with what is configured.
//! Leaves to others: the cluster map, which is the truth about drives
//! ([`holdfast_protocol::ClusterMap`]).
//! Always: a number is written here before it is used anywhere, so that a crash never gives it
//! twice.

use std::path::Path;

use holdfast_protocol::{ClusterId, DriveId, GatewayId, Geometry, NodeId};
use holdfast_seam::Rng;
use serde::{Deserialize, Serialize};

use crate::error::CliError;

const FORMAT: u32 = 1;

/// How far laying out has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Drives are being formatted; nothing was stored yet.
    Forming,
    /// The cluster map is on the drives.
    Formed,
}

/// A place for a drive: a directory of an embedded cluster, or one of a shard node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The drive's id.
    #[serde(with = "drive_text")]
    pub drive: DriveId,
    /// The node that serves it.
    #[serde(with = "node_text")]
    pub node: NodeId,
    /// Where the node listens; empty in an embedded cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listen: String,
    /// The directory.
    pub label: String,
    /// The lost drive whose place this one takes, until the map says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacing: Option<Replacement>,
    /// Whether the drive still lacks what its predecessor held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub healing: bool,
    /// Whether an operator gave the drive up: an empty directory may take its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

/// A drive that was lost and given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The lost drive.
    #[serde(with = "drive_text")]
    pub lost: DriveId,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    format: u32,
    /// The cluster.
    #[serde(with = "cluster_text")]
    pub cluster: ClusterId,
    /// This gateway.
    #[serde(with = "gateway_text")]
    pub gateway: GatewayId,
    /// The node that the drives of an embedded cluster belong to.
    #[serde(with = "node_text")]
    pub node: NodeId,
    /// Whether the drives are in this data directory.
    pub embedded: bool,
    /// Data and parity shards.
    #[serde(with = "geometry_text")]
    pub geometry: Geometry,
    /// How many drives the cluster was laid out for.
    pub drives: usize,
    /// How far laying out has come.
    pub phase: Phase,
    /// The places of drives, in the order they were given.
    pub slots: Vec<Slot>,
}

macro_rules! text_form {
    ($module:ident, $type:ty, $parse:expr) => {
        mod $module {
            use super::*;
            pub fn serialize<S: serde::Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.collect_str(value)
            }
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
text_form!(cluster_text, ClusterId, ClusterId::parse);
text_form!(drive_text, DriveId, DriveId::parse);
text_form!(gateway_text, GatewayId, GatewayId::parse);
text_form!(node_text, NodeId, NodeId::parse);
text_form!(geometry_text, Geometry, Geometry::parse);

impl Stamp {
    /// A new cluster without drives.
    pub fn new(rng: &dyn Rng, embedded: bool, geometry: Geometry, drives: usize) -> Self {
        Self {
            format: FORMAT,
            cluster: ClusterId::new(rng.u128()),
            gateway: GatewayId::new(rng.u64() as u32),
            node: NodeId::new(rng.u64()),
            embedded,
            geometry,
            drives,
            phase: Phase::Forming,
            slots: Vec::new(),
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// `Layout`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, CliError> {
        let stamp: Self = serde_json::from_str(text)
            .map_err(|error| CliError::Layout(format!("{}: {error}", path.display())))?;
        match stamp.format == FORMAT {
            true => Ok(stamp),
            false => Err(CliError::Layout(format!(
                "{} has format {}; this release reads {FORMAT}",
                path.display(),
                stamp.format
            ))),
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("ids, numbers and texts always have a JSON form") + "\n"
    }

    /// Refuses another form, geometry or number of drives than was laid out.
    ///
    /// # Errors
    /// `Usage`, saying what to do.
    pub fn check(
        &self,
        dir: &Path,
        embedded: bool,
        geometry: Geometry,
        drives: usize,
    ) -> Result<(), CliError> {
        let dir = dir.display();
        if self.embedded != embedded {
            let was = if self.embedded { "server" } else { "gateway" };
            return Err(CliError::Usage(format!(
                "{dir} was laid out by `holdfast {was}`: start that, or choose another directory \
                 with --data-dir"
            )));
        }
        let refuse = |flag: &str, was: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Err(CliError::Usage(format!(
                "{dir} was laid out with {flag} {was}, not {now}: start it with {flag} {was}, or \
                 lay out another one with --data-dir"
            )))
        };
        if self.geometry != geometry {
            return refuse("--geometry", &self.geometry, &geometry);
        }
        if self.drives != drives {
            return refuse("--drives", &self.drives, &drives);
        }
        Ok(())
    }
}

/// Refuses a number of drives that the geometry does not allow.
///
/// # Errors
/// `Usage`.
pub fn check_drives(geometry: Geometry, drives: usize) -> Result<(), CliError> {
    const MAX: usize = 1024;
    if drives < geometry.total() {
        return Err(CliError::Usage(format!(
            "--geometry {geometry} needs at least {} drives, --drives says {drives}",
            geometry.total()
        )));
    }
    match drives <= MAX {
        true => Ok(()),
        false => Err(CliError::Usage(format!("--drives {drives}: at most {MAX}"))),
    }
}
