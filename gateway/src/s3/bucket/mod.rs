//! Operations on buckets, one file each.
//!
//! Owns: their wire forms.
//! Leaves to others: what they do ([`crate::object::Objects`]).
//! Always: a setting that does not exist yet is answered as S3 answers one that is not configured.

mod acl;
mod cors;
mod create;
mod delete;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod head;
mod inventory;
mod lifecycle;
mod list;
mod location;
mod logging;
mod notification;
mod object_lock;
mod ownership;
mod payment;
mod policy;
mod public_access;
mod tagging;
mod versioning;
mod website;

pub(super) use acl::{get_acl, put_acl};
pub(super) use cors::{delete_cors, get_cors, put_cors};
pub(super) use create::create;
pub(super) use delete::delete;
pub(super) use head::head;
pub(super) use inventory::{delete_inventory, get_inventory, list_inventories, put_inventory};
pub(super) use lifecycle::{delete_lifecycle, get_lifecycle, put_lifecycle};
pub(super) use list::list;
pub(super) use location::location;
pub(super) use logging::{get_logging, put_logging};
pub(super) use notification::{get_notification, put_notification};
pub(super) use object_lock::{get_object_lock, put_object_lock};
pub(super) use ownership::{delete_ownership, get_ownership, put_ownership};
pub(super) use payment::{get_request_payment, put_request_payment};
pub(super) use policy::{delete_policy, get_policy, policy_status, put_policy};
pub(super) use public_access::{delete_block, get_block, put_block};
pub(super) use tagging::{delete_tagging, get_tagging, put_tagging};
pub(super) use versioning::{get_versioning, put_versioning};
pub(super) use website::{delete_website, get_website, put_website};
