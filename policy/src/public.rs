//! Whether a policy, or a bucket, is public.
//!
//! Owns: S3's definition: a policy is public unless every statement that allows something names
//! whom it allows, or is fixed to values that a stranger cannot choose.
//! Leaves to others: what follows ([`crate::block`], `gateway`).
//! Always: in doubt public. Statements that deny do not make a policy less public.

use ipnet::IpNet;

use crate::acl::Acl;
use crate::condition::operator::{Quantifier, Test};
use crate::condition::{Arn, Condition, Values};
use crate::context::Key;
use crate::document::{Effect, Listed, Policy, Statement};
use crate::pattern::Pattern;

/// Blocks of addresses that are wider than these are as good as all.
const PREFIX_LEN_MIN_V4: u8 = 8;
const PREFIX_LEN_MIN_V6: u8 = 32;

/// Whether the policy lets in strangers.
pub fn policy(policy: &Policy) -> bool {
    policy.statements().iter().any(is_public)
}

/// Whether strangers are let in by the policy or by the bucket's ACL, where ACLs count.
pub fn bucket(of: Option<&Policy>, acl: Option<&Acl>) -> bool {
    of.is_some_and(policy) || acl.is_some_and(Acl::is_public)
}

fn is_public(statement: &Statement) -> bool {
    let everyone = match &statement.principals {
        Listed::These(list) => list.are_everyone(),
        Listed::AllBut(_) => true,
    };
    let fixed = statement.conditions.iter().any(is_fixed);
    statement.effect == Effect::Allow && everyone && !fixed
}

/// Whether the condition lets in only what is named: it has to hold of a key that is there.
fn is_fixed(condition: &Condition) -> bool {
    let operator = condition.operator;
    let skips = operator.if_exists || operator.quantifier == Quantifier::All;
    if operator.negated || skips || operator.test == Test::Missing {
        return false;
    }
    match (&condition.key, &condition.values) {
        (Key::SourceIp, Values::Networks(networks)) => networks.iter().all(is_narrow),
        // A stranger has a user id, too.
        (Key::UserId, Values::Texts(texts)) => {
            let strangers = |text: &String| text.eq_ignore_ascii_case("anonymous");
            let (_, _, written) = &condition.text;
            texts.iter().all(Pattern::is_fixed) && !written.iter().any(strangers)
        }
        (key, Values::Texts(texts)) if names_someone(key) => texts.iter().all(Pattern::is_fixed),
        (key, Values::Arns(arns)) if names_someone(key) => arns.iter().all(is_fixed_arn),
        _ => false,
    }
}

fn is_narrow(network: &IpNet) -> bool {
    match network {
        IpNet::V4(net) => net.prefix_len() >= PREFIX_LEN_MIN_V4,
        IpNet::V6(net) => net.prefix_len() >= PREFIX_LEN_MIN_V6,
    }
}

fn is_fixed_arn(arn: &Arn) -> bool {
    match arn {
        Arn::Every => false,
        Arn::Parts(parts) => parts.iter().all(Pattern::is_fixed),
    }
}

/// Keys whose values say who asks, or on whose behalf or from which network.
const fn names_someone(key: &Key) -> bool {
    matches!(
        key,
        Key::PrincipalAccount
            | Key::PrincipalArn
            | Key::PrincipalOrgId
            | Key::PrincipalOrgPaths
            | Key::SourceAccount
            | Key::SourceArn
            | Key::SourceOwner
            | Key::SourceVpc
            | Key::SourceVpce
            | Key::DataAccessPointAccount
            | Key::DataAccessPointArn
    )
}
