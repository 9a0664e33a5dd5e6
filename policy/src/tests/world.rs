//! A bucket, an object and a request, to ask questions about.
//!
//! Owns: facts that differ from the plain ones only where a test says so.
//! Leaves to others: what is expected (the tests).
//! Always: the bucket is the owner's, and ACLs count unless a test turns them off.

use super::{OWNER, policy};
use crate::{
    Account, Acl, Action, Ask, BucketFacts, Caller, Context, ObjectFacts, On, Ownership, Policy,
    PublicAccessBlock, Resource, evaluate,
};

pub(super) const OPEN: &str = "Allow";
pub(super) const CLOSED: &str = "Deny";

/// A bucket of the owner's with ACLs in force.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) policy: Option<Policy>,
    pub(super) bucket_acl: Option<Acl>,
    pub(super) enforced: bool,
    pub(super) block: PublicAccessBlock,
    /// Owner and ACL of the object.
    pub(super) object: Option<(&'static str, Option<Acl>)>,
    pub(super) context: Context,
}

impl World {
    pub(super) fn with_policy(statements: &str) -> Self {
        Self {
            policy: Some(policy(statements)),
            ..Self::default()
        }
    }
    pub(super) fn bucket(&self) -> BucketFacts<'_> {
        BucketFacts {
            owner: OWNER,
            policy: self.policy.as_ref(),
            acl: self.bucket_acl.as_ref(),
            ownership: match self.enforced {
                true => Ownership::BucketOwnerEnforced,
                false => Ownership::ObjectWriter,
            },
            block: self.block,
        }
    }
    /// The reason, as logs have it, and whether it allows.
    pub(super) fn ask(&self, caller: Caller<'_>, action: Action) -> (bool, String) {
        let object = self.object.as_ref().map(|(owner, acl)| ObjectFacts {
            owner,
            acl: acl.as_ref(),
        });
        let (bucket, key) = ("b", "k");
        let verdict = evaluate(&Ask {
            caller,
            action,
            resource: match action.on() {
                On::Service => Resource::Service,
                On::Bucket => Resource::Bucket(bucket),
                On::Object => Resource::Object { bucket, key },
            },
            bucket: Some(self.bucket()),
            object,
            is_new: false,
            context: &self.context,
        });
        (verdict.allowed, verdict.why.to_string())
    }
    pub(super) fn allows(&self, caller: &Account, action: Action) -> bool {
        self.ask(Caller::Account(caller), action).0
    }
}

pub(super) fn why(allowed: bool, why: &str) -> (bool, String) {
    (allowed, why.to_owned())
}
