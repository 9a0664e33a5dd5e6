//! Operations on buckets, one file each.
//!
//! Owns: their wire forms.
//! Leaves to others: what they do ([`crate::object::Objects`]).
//! Always: a setting that does not exist yet is answered as S3 answers one that is not configured.

mod create;
mod delete;
mod head;
mod list;
mod location;
mod settings;

pub(super) use create::create;
pub(super) use delete::delete;
pub(super) use head::head;
pub(super) use list::list;
pub(super) use location::location;
pub(super) use settings::{
    Absent, acl, cors, lifecycle, object_lock, owner_grant, ownership, policy, public_access_block,
    request_payment, tagging, versioning,
};
