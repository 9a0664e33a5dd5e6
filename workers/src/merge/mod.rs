//! The merge: what exists, from what drives hold.
//!
//! Owns: one pure function over sets of records ([`decide`]), used by every claim (records at or
//! above the settled mark, beside what the index shows) and by rebuilding an index (all records,
//! and no index).
//! Leaves to others: asking drives ([`gather`]) and changing the index ([`apply`]).
//! Always: every record has exactly one [`Fate`]; the outcome does not depend on the order of the
//! input.
//!
//! The clauses, as the design fixes them, and where each is:
//!
//! 1. Union by write id: [`Records::add`].
//! 2. A version exists if its commit record is readable and is not voided, deleted or covered:
//!    `keys`.
//! 3. Only a version that exists covers lower orders of an unversioned key: `keys`.
//! 4. A tombstone of an unversioned key covers every lower order of it, also writes never shown:
//!    `keys`.
//! 5. A deletion is disproved by a record of higher order that depends on what it deletes: metadata
//!    of the version (`keys`), Complete or a part of the upload (`uploads`), anything in the bucket
//!    (`systems`). Likewise a part of higher order disproves a Complete: the upload was still open.
//! 6. A Complete exists only with all its parts and no Abort of higher order: `uploads`.
//! 7. An unreadable higher order that may have reached its quorum puts the key in doubt: nothing of
//!    it is shown or purged; if it cannot have, it is voided: [`Records::may_be_acknowledged`].
//! 8. Metadata by highest order: `keys`.
//! 9. Where shards are is learnt from inventories: [`Records::placement`].
//! 10. A write of a version covers lower orders of the same version once it exists, as one of the
//!     null version does; a tombstone of a version covers every lower order of it: `keys`.
//! 11. Metadata is that of the write which it names; a later write of the version brings its own:
//!     `keys`.
//! 12. Of the versions of a key that exist, the one that was made last is current, whenever it was
//!     stored anew: `keys`.
//! 13. Metadata that comes to light beside an index changes the row of its version: `run`.
//! 14. What only drives show that lost entries of their log, although enough others answered, was
//!     purged: it is voided ([`Records::partial`]).
//! 15. What fewer drives hold than acknowledge a write can be used only if its body can be read,
//!     too: `closer`.

mod apply;
mod closer;
mod copies;
mod decide;
mod doubts;
mod facts;
mod gather;
mod keys;
mod run;
mod systems;
mod uploads;

pub use apply::MergeReport;
pub use decide::{Doubt, Fate, Merged, decide};
pub use facts::{BUCKET_KIND, BodyFact, Fact, Found, Kept, Records};
pub(crate) use gather::check_absent;
pub use run::Merging;

#[cfg(test)]
mod tests;
