//! What is known of a bucket and of what is in it, as the decision needs it.
//!
//! Owns: the settings and metadata that say whose something is, and who may get at it.
//! Leaves to others: looking them up ([`super::gate`]), what follows (the crate `policy`).
//! Always: pure; what names no owner is the bucket's owner's.

use holdfast_policy::{Acl, BucketFacts, ObjectFacts};
use holdfast_protocol::Metadata;
use holdfast_protocol::manifest::OWNER;

use super::asking::Asking;
use crate::auth::Owner;
use crate::object::{Bucket, INITIATOR};
use crate::settings::Payer;

/// Whose something is that was stored with this metadata.
pub(super) fn whose<'a>(
    metadata: &'a Metadata,
    of_bucket: &'a str,
    acl: Option<&'a Acl>,
) -> ObjectFacts<'a> {
    let owner = metadata.get(INITIATOR).or(metadata.get(OWNER));
    ObjectFacts {
        owner: owner.unwrap_or(of_bucket),
        acl,
    }
}

/// Where the bucket's owner does not pay, others have to say that they do; without a key nobody
/// can.
pub(super) fn pays_or_need_not(asking: &Asking, bucket: &Bucket, owner: &str) -> bool {
    let account = asking.account.as_ref();
    let is_free = account.is_some_and(|who| who.is_admin || who.canonical_id == owner);
    match bucket.settings().payer {
        Some(Payer::Requester) => is_free || account.is_some() && asking.pays,
        Some(Payer::BucketOwner) | None => true,
    }
}

/// What is known of a bucket.
pub(super) fn facts<'a>(bucket: &'a Bucket, owner: &'a Owner) -> BucketFacts<'a> {
    let settings = bucket.settings();
    BucketFacts {
        owner: owner.id.as_str(),
        policy: settings.policy.as_ref(),
        acl: settings.acl.as_ref(),
        ownership: settings.ownership(),
        block: settings.block(),
    }
}
