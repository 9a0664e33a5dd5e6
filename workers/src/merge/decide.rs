//! What becomes of each record.
//!
//! Owns: the fates, and the order in which the clauses are applied.
//! Leaves to others: the clauses themselves ([`super::systems`], [`super::uploads`],
//! [`super::keys`]).
//! Always: every record of the input has exactly one fate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use holdfast_protocol::{BucketId, RecordKind, WriteId};

use super::facts::{Fact, Found, Records};

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A version that exists.
    Version {
        /// The metadata record that replaces its metadata.
        metadata: Option<WriteId>,
        /// Whether it is its key's current one.
        is_current: bool,
    },
    /// A part that exists: of an open upload, or named by a version that exists.
    Part,
    /// An upload that is open, or was completed by this version, which exists.
    Upload {
        /// The version.
        completed: Option<WriteId>,
    },
    /// The metadata of a version that exists.
    Metadata,
    /// The newest system record of its kind and name.
    System,
    /// A system record that a newer one replaces.
    OldSystem,
    /// A tombstone or void that stays until what it guards against is purged everywhere.
    Guard,
    /// Deleted, covered or voided: to be purged.
    Retired {
        /// The tombstone, void, version or part that retires it.
        by: WriteId,
    },
    /// Never took effect: to be voided and purged.
    Void,
    /// Cannot be decided with the drives at hand: neither shown nor purged.
    Doubt,
}

/// What cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// A key.
    Key {
        /// Its bucket.
        bucket: BucketId,
        /// The key.
        key: String,
    },
    /// A record of which no copy can be read, so that not even its key is known.
    Write(WriteId),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { bucket, key } => write!(f, "bucket {bucket} key {key}"),
            Self::Write(write) => write!(f, "write {write}"),
        }
    }
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The fate of every record.
    pub fates: BTreeMap<WriteId, Fate>,
    /// Keys in doubt, and records whose key is not even known.
    pub doubts: BTreeSet<Doubt>,
}

/// How a Complete ends, before its key is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has all it needs.
    Stands,
    /// Parts of it cannot be read. If something covers it, they are being purged, the Complete
    /// last; else it cannot exist.
    Lacks {
        /// Whether they may have been acknowledged.
        may_be: bool,
    },
    /// It cannot have been committed.
    Never,
}

/// Decides the fate of every record.
pub fn decide(records: &Records) -> Merged {
    let forgotten = records.forgotten();
    if forgotten.is_empty() {
        return decide_found(records);
    }
    let mut rest = records.clone();
    rest.found.retain(|write, _| !forgotten.contains(write));
    let mut merged = decide_found(&rest);
    let void = |write| (write, Fate::Void);
    merged.fates.extend(forgotten.into_iter().map(void));
    merged
}

fn decide_found(records: &Records) -> Merged {
    let mut deciding = Deciding {
        records,
        merged: Merged::default(),
        voided: BTreeMap::new(),
        live: BTreeSet::new(),
        deleted: BTreeSet::new(),
        completes: BTreeMap::new(),
    };
    deciding.unreadable();
    deciding.voids();
    deciding.systems();
    let uploads = deciding.uploads();
    deciding.keys();
    deciding.finish_uploads(uploads);
    debug_assert_eq!(deciding.merged.fates.len(), records.found.len());
    deciding.merged
}

pub(super) struct Deciding<'a> {
    pub(super) records: &'a Records,
    pub(super) merged: Merged,
    /// Target of each void, and the void.
    pub(super) voided: BTreeMap<WriteId, WriteId>,
    /// Buckets that exist.
    pub(super) live: BTreeSet<BucketId>,
    /// Buckets that were deleted, and so were empty.
    pub(super) deleted: BTreeSet<BucketId>,
    /// How each Complete ends.
    pub(super) completes: BTreeMap<WriteId, Verdict>,
}

impl<'a> Deciding<'a> {
    pub(super) fn set(&mut self, found: &Found, fate: Fate) {
        self.merged.fates.insert(found.write, fate);
    }

    pub(super) fn fate(&self, write: WriteId) -> Option<Fate> {
        self.merged.fates.get(&write).copied()
    }

    pub(super) fn is_voided(&self, found: &Found) -> bool {
        self.voided.contains_key(&found.write)
    }

    /// Records of which no copy could be read.
    fn unreadable(&mut self) {
        for found in self
            .records
            .found
            .values()
            .filter(|found| found.fact.is_none())
        {
            let fate = match self.records.may_be_acknowledged(found) {
                true => {
                    self.merged.doubts.insert(Doubt::Write(found.write));
                    Fate::Doubt
                }
                false => Fate::Void,
            };
            self.set(found, fate);
        }
    }

    /// Clause 2, voided: whatever else is known of the target. Only an index that shows the target
    /// says otherwise. A void itself is never voided.
    fn voids(&mut self) {
        let records = self.records;
        for found in records.found.values() {
            let Some(Fact::Void { target }) = found.fact else {
                continue;
            };
            let victim = records.found.get(&target);
            if victim.is_some_and(|victim| victim.is_known) {
                self.set(found, Fate::Void);
                continue;
            }
            self.set(found, Fate::Guard);
            let is_void = victim.is_some_and(|victim| victim.kind == RecordKind::Void);
            if is_void {
                continue;
            }
            let by = *self.voided.entry(target).or_insert(found.write);
            if let Some(victim) = victim {
                self.set(victim, Fate::Retired { by });
            }
        }
    }

    /// Records that carry a fact, not voided, in descending order.
    pub(super) fn descending(list: &mut [&'a Found]) {
        list.sort_by(|a, b| b.order.cmp(&a.order).then(b.write.cmp(&a.write)));
    }
}
