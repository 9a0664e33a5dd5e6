//! Versions of a key, their deletions and metadata.
//!
//! Owns: which versions of each key exist, and which is current.
//! Leaves to others: parts and uploads behind a version ([`super::uploads`]).
//! Always: a key in doubt shows and purges nothing; of the writes of one version at most one
//! exists.

use std::collections::BTreeMap;

use holdfast_protocol::{BucketId, Order, TombstoneTarget, VersionName, WriteId};

use super::decide::{Deciding, Doubt, Fate, Verdict};
use super::facts::{Fact, Found};

/// The key is in doubt.
struct InDoubt;

/// What replaces and deletes each other within a key, and nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// The null version: whatever is written to it is another version.
    Null,
    /// A version of a versioned bucket: what is written to it later is the same, stored anew.
    Ordered(Order),
}

impl Slot {
    const fn new(name: VersionName, version: Order) -> Self {
        match name {
            VersionName::Null => Self::Null,
            VersionName::Ordered => Self::Ordered(version),
        }
    }

    /// Where a record belongs that is about a version; with the key.
    fn of(fact: &Fact) -> Option<((BucketId, &str), Self)> {
        let (bucket, key, slot) = match fact {
            Fact::Version {
                bucket,
                key,
                name,
                version,
                ..
            }
            | Fact::Metadata {
                bucket,
                key,
                name,
                version,
                ..
            } => (bucket, key, Self::new(*name, *version)),
            Fact::Tombstone {
                bucket,
                key,
                target,
            } => {
                let slot = match target {
                    TombstoneTarget::Null => Self::Null,
                    TombstoneTarget::Version { version, .. } => Self::Ordered(*version),
                    TombstoneTarget::Upload(_) => return None,
                };
                (bucket, key, slot)
            }
            Fact::Part { .. } | Fact::Upload { .. } | Fact::Void { .. } | Fact::System { .. } => {
                return None;
            }
        };
        Some(((*bucket, key), slot))
    }
}

/// The records of a slot, walked from the newest to the oldest.
#[derive(Default)]
struct Chain {
    /// What retires everything that is still to come.
    covering: Option<WriteId>,
    /// A metadata record says that this write was in force when it was written: nothing between the
    /// two was ever committed.
    must_be: Option<(WriteId, WriteId)>,
    /// The write that exists.
    version: Option<WriteId>,
}

impl<'a> Deciding<'a> {
    /// Decides the versions, tombstones and metadata of every key.
    pub(super) fn keys(&mut self) {
        type Slots<'a> = BTreeMap<Slot, Vec<&'a Found>>;
        let mut named: BTreeMap<(BucketId, &str), Slots<'a>> = BTreeMap::new();
        for found in self.records.found.values() {
            if !self.is_voided(found)
                && let Some((key, slot)) = found.fact.as_ref().and_then(Slot::of)
            {
                let slots = named.entry(key).or_default();
                slots.entry(slot).or_default().push(found);
            }
        }
        for ((bucket, key), mut slots) in named {
            if !self.live.contains(&bucket) {
                slots.values().for_each(|list| self.without_bucket(list));
                continue;
            }
            slots.values_mut().for_each(|list| Self::descending(list));
            if let Err(InDoubt) = self.key(&slots) {
                for list in slots.values() {
                    self.set_unvoided(list, Fate::Doubt);
                }
                let records: Vec<&Found> = slots.values().flatten().copied().collect();
                let absent = &self.records.absent;
                tracing::debug!(%bucket, key, ?records, ?absent, "key in doubt");
                let key = key.to_owned();
                self.merged.doubts.insert(Doubt::Key { bucket, key });
            }
        }
    }

    /// Clause 12: of the versions that exist the one that was made last is current.
    fn key(&mut self, slots: &BTreeMap<Slot, Vec<&'a Found>>) -> Result<(), InDoubt> {
        let mut current: Option<(Order, WriteId)> = None;
        for list in slots.values() {
            let found = self.slot(list)?;
            if let Some(Fact::Version { version, .. }) = found.and_then(|it| it.fact.as_ref())
                && current.is_none_or(|(newest, _)| newest <= *version)
            {
                current = found.map(|found| (*version, found.write));
            }
        }
        if let Some((_, current)) = current
            && let Some(Fate::Version { is_current, .. }) = self.merged.fates.get_mut(&current)
        {
            *is_current = true;
        }
        Ok(())
    }

    /// At most one write of a slot exists. Clauses 3, 4, 5, 7, 10 and 11.
    fn slot(&mut self, list: &[&'a Found]) -> Result<Option<&'a Found>, InDoubt> {
        let mut chain = Chain::default();
        for &found in list {
            match &found.fact {
                Some(Fact::Version { .. }) => self.version(list, found, &mut chain)?,
                Some(Fact::Tombstone { .. }) => self.tombstone(found, &mut chain),
                Some(Fact::Metadata { target, .. }) => {
                    self.metadata(list, found, *target, &mut chain)?;
                }
                _ => {}
            }
        }
        Ok(chain
            .version
            .and_then(|write| self.records.found.get(&write)))
    }

    fn version(
        &mut self,
        list: &[&'a Found],
        found: &'a Found,
        chain: &mut Chain,
    ) -> Result<(), InDoubt> {
        if self.completes.get(&found.write) == Some(&Verdict::Never) {
            return Ok(());
        }
        if let Some(by) = chain.covering {
            self.set(found, Fate::Retired { by });
            return Ok(());
        }
        let is_proven = match chain.must_be {
            Some((version, _)) if version != found.write => {
                self.set(found, Fate::Void);
                return Ok(());
            }
            must_be => must_be.is_some(),
        };
        if !self.exists(found, is_proven)? {
            return Ok(());
        }
        self.show(found, &metadata_of(list, found.write));
        chain.covering = Some(found.write);
        chain.version = Some(found.write);
        Ok(())
    }

    /// Whether a version that nothing deletes exists (clauses 2, 6 and 7). One that cannot is
    /// voided.
    fn exists(&mut self, found: &Found, is_proven: bool) -> Result<bool, InDoubt> {
        let is_there = match self.completes.get(&found.write) {
            Some(Verdict::Lacks { may_be: true }) => return Err(InDoubt),
            Some(Verdict::Lacks { may_be: false } | Verdict::Never) => false,
            Some(Verdict::Stands) | None => self.records.is_readable(found),
        };
        if is_there {
            return Ok(true);
        }
        let is_complete = self.completes.contains_key(&found.write);
        if is_proven || (!is_complete && self.records.may_be_acknowledged(found)) {
            return Err(InDoubt);
        }
        self.set(found, Fate::Void);
        Ok(false)
    }

    /// Clauses 8 and 11: of what was said of this write, the newest counts.
    fn show(&mut self, found: &Found, metadata: &[&Found]) {
        let newest = metadata.first().map(|found| found.write);
        self.set(
            found,
            Fate::Version {
                metadata: newest,
                is_current: false,
            },
        );
        for found in metadata {
            let fate = match newest {
                Some(by) if by != found.write => Fate::Retired { by },
                _ => Fate::Metadata,
            };
            self.set(found, fate);
        }
    }

    fn tombstone(&mut self, found: &Found, chain: &mut Chain) {
        if chain.covering.is_none() && chain.must_be.is_some() {
            self.set(found, Fate::Void);
            return;
        }
        self.set(found, Fate::Guard);
        chain.covering = Some(found.write);
    }

    fn metadata(
        &mut self,
        list: &[&'a Found],
        found: &Found,
        target: WriteId,
        chain: &mut Chain,
    ) -> Result<(), InDoubt> {
        if let Some(by) = chain.covering {
            if self.fate(found.write).is_none() {
                self.set(found, Fate::Retired { by });
            }
            return Ok(());
        }
        let is_version = |other: &&Found| {
            other.write == target && matches!(other.fact, Some(Fact::Version { .. }))
        };
        let is_there = list.iter().any(is_version);
        if !is_there && !self.records.found.contains_key(&target) && self.records.may_be_hidden() {
            return Err(InDoubt);
        }
        match chain.must_be {
            None if is_there => chain.must_be = Some((target, found.write)),
            Some((version, by)) if version == target => {
                self.set(found, Fate::Retired { by });
                return Ok(());
            }
            _ => {}
        }
        // Replaced when its version is shown.
        self.set(found, Fate::Void);
        Ok(())
    }
}

/// Metadata records of a write of a version, newest first.
fn metadata_of<'a>(list: &[&'a Found], write: WriteId) -> Vec<&'a Found> {
    let of_write = |found: &&&Found| match found.fact {
        Some(Fact::Metadata { target, .. }) => target == write,
        _ => false,
    };
    list.iter().filter(of_write).copied().collect()
}
