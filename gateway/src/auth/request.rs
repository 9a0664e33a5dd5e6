//! The decision: may this caller do that?
//!
//! Owns: [`evaluate`], the only place that allows anything.
//! Leaves to others: finding the facts (`s3`), what an operation needs ([`super::operation`]).
//! Always: pure; what nothing allows is denied; the reason never reaches the client.

use super::{AccountId, Action, Caller, Resource};

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// What has to be allowed.
    pub action: Action,
    /// On what.
    pub resource: Resource,
    /// Who owns the bucket, where there is one and it was looked up.
    pub owner: Option<&'a AccountId>,
}

/// Why a question was answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Everything is allowed to an administrator.
    Administrator,
    /// Everything in a bucket is allowed to its owner.
    Owner,
    /// Every account has its buckets and may make more.
    OwnAccount,
    /// Nothing allows it.
    NothingAllows,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub why: Why,
}

/// Answers `ask`.
pub fn evaluate(ask: &Ask<'_>) -> Verdict {
    let why = why(ask);
    let allowed = match why {
        Why::Administrator | Why::Owner | Why::OwnAccount => true,
        Why::NothingAllows => false,
    };
    Verdict { allowed, why }
}

fn why(ask: &Ask<'_>) -> Why {
    let Some(identity) = ask.caller.identity() else {
        return Why::NothingAllows;
    };
    if identity.is_admin {
        return Why::Administrator;
    }
    match ask.resource {
        Resource::Service => Why::OwnAccount,
        Resource::Bucket if ask.action == Action::CreateBucket => Why::OwnAccount,
        Resource::Bucket | Resource::Object | Resource::Named
            if ask.owner == Some(&identity.account) =>
        {
            Why::Owner
        }
        Resource::Bucket | Resource::Object | Resource::Named => Why::NothingAllows,
    }
}
