//! Lifecycle rules: what goes by itself, and when.
//!
//! Owns: the times that rules give ([`rules`]), the queue's entries ([`due`]), going through a
//! bucket whose rules changed ([`backfill`]), looking when it is time ([`run`]) and acting
//! ([`expire`], [`noncurrent`], [`moves`]).
//! Leaves to others: the configuration ([`crate::settings`]), the queue's rows (index).
//! Always: the work is in proportion to what expires: only a change of rules, or the loss of the
//! queue, has a bucket gone through, once. Every decision is taken again under the key's lock.

mod backfill;
mod due;
mod expire;
mod moves;
mod noncurrent;
mod rules;
mod run;

pub(super) use backfill::forget_progress;
pub(super) use due::Changed;
pub(super) use moves::Failures;
pub use rules::Expires;
pub(super) use rules::Newer;
pub(crate) use rules::{Day, aborts, told};
pub(super) use run::Changes;
