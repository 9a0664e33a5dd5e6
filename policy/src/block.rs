//! The public access block of a bucket.
//!
//! Owns: the four flags, and what each refuses.
//! Leaves to others: what "public" is ([`crate::public`], [`crate::acl`]); the order in which
//! things are decided ([`crate::evaluate`]).
//! Always: two flags refuse changes and two narrow what is in force; none changes what is stored.

use serde::{Deserialize, Serialize};

use crate::acl::Acl;
use crate::document::Policy;
use crate::public;
use crate::stored::lasting;

/// The flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicAccessBlock {
    /// Requests that set a public ACL are refused.
    pub block_public_acls: bool,
    /// Public ACLs grant nothing to anyone.
    pub ignore_public_acls: bool,
    /// Requests that set a public policy are refused.
    pub block_public_policy: bool,
    /// While the policy is public, only the bucket owner's account and services are served.
    pub restrict_public_buckets: bool,
}

lasting!(PublicAccessBlock, "a public access block");

impl PublicAccessBlock {
    /// All four flags: S3's default for new buckets.
    pub const ALL: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// Whether a request that would set `acl` is refused.
    pub fn refuses_acl(&self, acl: &Acl) -> bool {
        self.block_public_acls && acl.is_public()
    }

    /// Whether a request that would set `policy` is refused.
    pub fn refuses_policy(&self, policy: &Policy) -> bool {
        self.block_public_policy && public::policy(policy)
    }

    /// Whether `acl`, which is in force, grants nothing.
    pub fn ignores(&self, acl: &Acl) -> bool {
        self.ignore_public_acls && acl.is_public()
    }

    /// Whether only the bucket owner's account and services are served.
    pub fn restricts(&self, policy: Option<&Policy>) -> bool {
        self.restrict_public_buckets && policy.is_some_and(public::policy)
    }
}
