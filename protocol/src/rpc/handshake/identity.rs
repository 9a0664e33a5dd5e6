//! Who a process is, and whom a client wants to reach.
//!
//! Owns: services, roles, identities, and comparing what was expected with what was found.
//! Leaves to others: proving any of it ([`super`]).
//! Always: id 0 and cluster 0 stand for "any" and "not known", and name nobody.

use super::HandshakeError;
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClusterId, GatewayId, NodeId};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Service {
    /// Calls to the drives of a node.
    Drives = 1,
    /// Registration and heartbeats ([`super::control`]).
    Control = 2,
}

impl Service {
    /// The name, also for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drives => "drives",
            Self::Control => "control",
        }
    }
    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        match input.u8()? {
            1 => Ok(Self::Drives),
            2 => Ok(Self::Control),
            _ => Err(FormatError::Invalid { what: "service" }),
        }
    }
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// A gateway.
    Gateway = 1,
    /// A shard node.
    Node = 2,
}

impl Role {
    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        match input.u8()? {
            1 => Ok(Self::Gateway),
            2 => Ok(Self::Node),
            _ => Err(FormatError::Invalid { what: "role" }),
        }
    }
}

/// Who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// What it is.
    pub role: Role,
    /// Its cluster; `None` while it does not know (a node before its first registration).
    pub cluster: Option<ClusterId>,
    /// Its name among those of its role, see [`Identity::node`] and [`Identity::gateway`].
    pub id: u128,
}

impl Identity {
    /// A shard node.
    pub fn node(cluster: Option<ClusterId>, node: NodeId) -> Self {
        Self {
            role: Role::Node,
            cluster,
            id: node.get().into(),
        }
    }
    /// A gateway, in one of its epochs.
    pub fn gateway(cluster: Option<ClusterId>, gateway: GatewayId, gateway_epoch: u32) -> Self {
        Self {
            role: Role::Gateway,
            cluster,
            id: (u128::from(gateway.get()) << 32) | u128::from(gateway_epoch),
        }
    }
    pub(super) fn encode(&self, out: &mut Writer) {
        encode_who(self.role, self.cluster, Some(self.id), out);
    }
    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (role, cluster, id) = decode_who(input)?;
        let id = id.unwrap_or(0);
        Ok(Self { role, cluster, id })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show(self.role, self.cluster, Some(self.id), f)
    }
}

/// Whom a client wants to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What it is.
    pub role: Role,
    /// Its cluster; `None` accepts any.
    pub cluster: Option<ClusterId>,
    /// Its name; `None` accepts any that knows the secret.
    pub id: Option<u128>,
}

impl Expected {
    /// This node of this cluster and no other.
    pub fn node(cluster: ClusterId, node: NodeId) -> Self {
        Self {
            role: Role::Node,
            cluster: Some(cluster),
            id: Some(node.get().into()),
        }
    }
    /// Any gateway of the cluster, or of any cluster while it is not known.
    pub fn any_gateway(cluster: Option<ClusterId>) -> Self {
        Self {
            role: Role::Gateway,
            cluster,
            id: None,
        }
    }
    /// Whether `found` is wanted.
    ///
    /// # Errors
    /// `Identity` if it is not.
    pub fn check(&self, found: &Identity) -> Result<(), HandshakeError> {
        let same = self.role == found.role
            && self
                .cluster
                .is_none_or(|cluster| found.cluster == Some(cluster))
            && self.id.is_none_or(|id| found.id == id);
        match same {
            true => Ok(()),
            false => Err(HandshakeError::Identity {
                found: found.to_string(),
                expected: self.to_string(),
            }),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show(self.role, self.cluster, self.id, f)
    }
}

fn show(
    role: Role,
    cluster: Option<ClusterId>,
    id: Option<u128>,
    f: &mut std::fmt::Formatter<'_>,
) -> std::fmt::Result {
    f.write_str(match role {
        Role::Gateway => "gateway",
        Role::Node => "node",
    })?;
    match id {
        Some(id) => write!(f, " {id:016x}")?,
        None => f.write_str(" (any)")?,
    }
    match cluster {
        Some(cluster) => write!(f, " of cluster {cluster}"),
        None => f.write_str(" of no particular cluster"),
    }
}

/// Role, cluster and id; zero stands for "not known" and "any".
pub(super) fn encode_who(
    role: Role,
    cluster: Option<ClusterId>,
    id: Option<u128>,
    out: &mut Writer,
) {
    out.u8(role as u8);
    cluster.unwrap_or_default().encode(out);
    out.raw(&id.unwrap_or(0).to_le_bytes());
}

pub(super) type Who = (Role, Option<ClusterId>, Option<u128>);

pub(super) fn decode_who(input: &mut Reader<'_>) -> Result<Who, FormatError> {
    let role = Role::decode(input)?;
    let cluster = Some(ClusterId::decode(input)?).filter(|id| id.get() != 0);
    let id = Some(u128::from_le_bytes(input.array()?)).filter(|id| *id != 0);
    Ok((role, cluster, id))
}
