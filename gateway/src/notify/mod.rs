//! Telling others what happens to objects.
//!
//! Owns: events and their form ([`event`]), where they wait ([`queue`]), who is told ([`target`])
//! and how ([`webhook`]), and at which addresses ([`address`]).
//! Leaves to others: which events a bucket has told ([`crate::settings`]), committing them with
//! what they are about, and going through the queue ([`crate::object`]).
//! Always: an event is durable when its change is; it leaves the queue only when its target took
//! it; a key's events are told in the order of its changes; no address is connected to that was not
//! looked at.

pub mod address;
pub mod event;
pub mod metrics;
pub mod origin;
pub mod queue;
pub mod target;
pub mod tls;
pub mod webhook;

pub use address::Allowed;
pub use event::{Event, EventKind, Happened};
pub use metrics::NotifyMetrics;
pub use origin::Origin;
pub use queue::Queue;
pub use target::{Keyed, Target, TargetError, Targets};
pub use tls::Tls;
pub use webhook::Webhook;
