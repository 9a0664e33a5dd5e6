//! Versions of a key, their deletions and metadata.
//!
//! Owns: which versions of each key exist, and which is current.
//! Leaves to others: parts and uploads behind a version ([`super::uploads`]).
//! Always: a key in doubt shows and purges nothing.

use std::collections::BTreeMap;

use holdfast_protocol::{BucketId, TombstoneTarget, VersionName, WriteId};

use super::decide::{Deciding, Doubt, Fate, Verdict};
use super::facts::{Fact, Found};

/// The key is in doubt.
struct InDoubt;

/// The null version's chain, walked from the newest record to the oldest.
#[derive(Default)]
struct Chain {
    /// What retires everything that is still to come.
    covering: Option<WriteId>,
    /// A metadata record says that this version was current when it was written: nothing between
    /// the two was ever committed.
    must_be: Option<(WriteId, WriteId)>,
    /// The version that exists.
    version: Option<WriteId>,
}

impl<'a> Deciding<'a> {
    /// Decides the versions, tombstones and metadata of every key.
    pub(super) fn keys(&mut self) {
        let mut named: BTreeMap<(BucketId, &str), Vec<&'a Found>> = BTreeMap::new();
        for found in self
            .records
            .found
            .values()
            .filter(|found| !self.is_voided(found))
        {
            let (bucket, key) = match &found.fact {
                Some(Fact::Version { bucket, key, .. } | Fact::Metadata { bucket, key, .. }) => {
                    (bucket, key)
                }
                Some(Fact::Tombstone {
                    bucket,
                    key,
                    target,
                    ..
                }) => match target {
                    TombstoneTarget::Upload(_) => continue,
                    TombstoneTarget::Null | TombstoneTarget::Version { .. } => (bucket, key),
                },
                _ => continue,
            };
            named.entry((*bucket, key)).or_default().push(found);
        }
        for ((bucket, key), mut list) in named {
            if !self.live.contains(&bucket) {
                self.without_bucket(&list);
                continue;
            }
            Self::descending(&mut list);
            if let Err(InDoubt) = self.key(&list) {
                self.set_unvoided(&list, Fate::Doubt);
                let key = key.to_owned();
                self.merged.doubts.insert(Doubt::Key { bucket, key });
            }
        }
    }

    fn key(&mut self, list: &[&'a Found]) -> Result<(), InDoubt> {
        let ordered = self.ordered(list)?;
        let null = self.null(list)?;
        let current = ordered
            .into_iter()
            .chain(null)
            .max_by_key(|found| found.order);
        if let Some(current) = current
            && let Some(Fate::Version { is_current, .. }) =
                self.merged.fates.get_mut(&current.write)
        {
            *is_current = true;
        }
        Ok(())
    }

    /// Versions of versioned buckets: each exists for itself.
    fn ordered(&mut self, list: &[&'a Found]) -> Result<Vec<&'a Found>, InDoubt> {
        let mut exist = Vec::new();
        for &found in list {
            let Some(Fact::Version {
                name: VersionName::Ordered,
                ..
            }) = found.fact
            else {
                continue;
            };
            let metadata = metadata_of(list, found.write);
            if let Some(by) = self.tombstone_of(list, found.write) {
                self.set(found, Fate::Retired { by });
                self.set_unvoided(&metadata, Fate::Retired { by });
                continue;
            }
            if !self.exists(found, !metadata.is_empty())? {
                continue;
            }
            self.show(found, &metadata);
            exist.push(found);
        }
        Ok(exist)
    }

    /// The tombstone that deletes this version, unless metadata of higher order disproves it
    /// (clause 5). Decides all tombstones of the version.
    fn tombstone_of(&mut self, list: &[&'a Found], version: WriteId) -> Option<WriteId> {
        let newest_metadata = metadata_of(list, version).first().map(|found| found.order);
        let mut deleted_by = None;
        for &found in list {
            let Some(Fact::Tombstone {
                target: TombstoneTarget::Version { write: target, .. },
                ..
            }) = found.fact
            else {
                continue;
            };
            if target != version {
                continue;
            }
            let fate = match deleted_by {
                Some(by) => Fate::Retired { by },
                None if newest_metadata > Some(found.order) => Fate::Void,
                None => {
                    deleted_by = Some(found.write);
                    Fate::Guard
                }
            };
            self.set(found, fate);
        }
        deleted_by
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

    /// Clause 8: the newest metadata counts.
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

    /// The null version: at most one exists. Clauses 3, 4, 5 and 7.
    fn null(&mut self, list: &[&'a Found]) -> Result<Option<&'a Found>, InDoubt> {
        let mut chain = Chain::default();
        for &found in list {
            match &found.fact {
                Some(Fact::Version {
                    name: VersionName::Null,
                    ..
                }) => {
                    self.null_version(list, found, &mut chain)?;
                }
                Some(Fact::Tombstone {
                    target: TombstoneTarget::Null,
                    ..
                }) => {
                    self.null_tombstone(found, &mut chain);
                }
                Some(Fact::Metadata { target, .. }) => {
                    self.null_metadata(found, *target, &mut chain)?;
                }
                // Of a version that nobody has any more: it goes on guarding.
                Some(Fact::Tombstone { .. }) if self.fate(found.write).is_none() => {
                    self.set(found, Fate::Guard);
                }
                _ => {}
            }
        }
        Ok(chain
            .version
            .and_then(|write| self.records.found.get(&write)))
    }

    fn null_version(
        &mut self,
        list: &[&'a Found],
        found: &'a Found,
        chain: &mut Chain,
    ) -> Result<(), InDoubt> {
        if self.completes.get(&found.write) == Some(&Verdict::Never) {
            return Ok(());
        }
        let deleted_by = self.tombstone_of(list, found.write);
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
        if let Some(by) = deleted_by {
            self.set(found, Fate::Retired { by });
            chain.covering = Some(by);
            return Ok(());
        }
        if !self.exists(found, is_proven)? {
            return Ok(());
        }
        self.show(found, &metadata_of(list, found.write));
        chain.covering = Some(found.write);
        chain.version = Some(found.write);
        Ok(())
    }

    fn null_tombstone(&mut self, found: &Found, chain: &mut Chain) {
        if chain.covering.is_none() && chain.must_be.is_some() {
            self.set(found, Fate::Void);
            return;
        }
        self.set(found, Fate::Guard);
        chain.covering = Some(found.write);
    }

    fn null_metadata(
        &mut self,
        found: &Found,
        target: WriteId,
        chain: &mut Chain,
    ) -> Result<(), InDoubt> {
        let version = self.records.found.get(&target);
        let name = version.and_then(|version| match version.fact {
            Some(Fact::Version { name, .. }) => Some(name),
            _ => None,
        });
        if name == Some(VersionName::Ordered) {
            // Decided with its version; that of a version that never was goes with it.
            if self.fate(found.write).is_none() {
                self.set(found, Fate::Void);
            }
            return Ok(());
        }
        if let Some(by) = chain.covering {
            if self.fate(found.write).is_none() {
                self.set(found, Fate::Retired { by });
            }
            return Ok(());
        }
        let is_there = version.is_some_and(|version| !self.is_voided(version)) && name.is_some();
        if !is_there && version.is_none() && self.records.may_be_hidden() {
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

/// Metadata records of a version, newest first.
fn metadata_of<'a>(list: &[&'a Found], version: WriteId) -> Vec<&'a Found> {
    let of_version = |found: &&&Found| match found.fact {
        Some(Fact::Metadata { target, .. }) => target == version,
        _ => false,
    };
    list.iter().filter(of_version).copied().collect()
}
