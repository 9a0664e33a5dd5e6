//! The one policy evaluator of Holdfast: may this caller do that?
//!
//! Owns: S3's actions ([`action`]), bucket policies ([`document`]) with their conditions, access
//! control lists ([`acl`]), object ownership ([`ownership`]), the public access block ([`block`]),
//! what "public" is ([`public`]), and the decision ([`evaluate()`]).
//! Leaves to others: signatures, finding the facts, S3's documents and codes (`gateway`).
//! Always: pure: no I/O, no clock, no types of a server. What is not understood is refused when it
//! is stored; what nothing allows is denied. `docs/policies.md` says what is supported.

pub mod acl;
pub mod action;
pub mod block;
mod caller;
mod condition;
mod context;
mod dates;
pub mod document;
mod error;
mod evaluate;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod glob;
mod json;
pub mod ownership;
mod pattern;
mod principal;
pub mod public;
mod stored;
#[cfg(test)]
mod tests;

pub use acl::canned::Canned;
pub use acl::header::Wanted;
pub use acl::{Accounts, Acl, Grant, Grantee, Group, Named, Permission};
pub use action::{Action, On, Side};
pub use block::PublicAccessBlock;
pub use caller::{Account, Caller, LOGGING_SERVICE};
pub use context::{Context, Key};
pub use document::{Decided, Effect, Needs, Policy};
pub use error::PolicyError;
pub use evaluate::{Ask, BucketFacts, ObjectFacts, Resource, Verdict, Why, evaluate};
pub use ownership::{Ownership, OwnershipControls};
