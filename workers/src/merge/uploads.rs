//! Uploads: open, completed or aborted.
//!
//! Owns: how an upload ended, which Complete stands, and which parts exist.
//! Leaves to others: whether the version that a Complete made is still there ([`super::keys`]).
//! Always: at most one Complete of an upload stands.

use std::collections::BTreeMap;

use holdfast_protocol::{BucketId, Order, RecordKind, TombstoneTarget, WriteId};

use super::decide::{Deciding, Doubt, Fate, Verdict};
use super::facts::{BodyFact, Fact, Found};

/// All records of one upload.
#[derive(Default)]
pub(super) struct UploadRecords<'a> {
    upload: Option<&'a Found>,
    parts: Vec<&'a Found>,
    completes: Vec<&'a Found>,
    aborts: Vec<&'a Found>,
    bucket: Option<BucketId>,
    end: End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Completed(WriteId),
    Aborted(WriteId),
}

impl<'a> Deciding<'a> {
    /// Groups the records of uploads, and decides how each ended.
    pub(super) fn uploads(&mut self) -> BTreeMap<WriteId, UploadRecords<'a>> {
        let mut uploads: BTreeMap<WriteId, UploadRecords<'a>> = BTreeMap::new();
        let records = self.records;
        for found in records.found.values() {
            let Some(fact) = &found.fact else { continue };
            let (id, list): (WriteId, fn(&mut UploadRecords<'a>, &'a Found)) = match fact {
                Fact::Upload { .. } => (found.write, |all, found| all.upload = Some(found)),
                Fact::Part { upload, .. } => (*upload, |all, found| all.parts.push(found)),
                Fact::Version {
                    body: BodyFact::Parts { upload, .. },
                    ..
                } => (*upload, |all, found| all.completes.push(found)),
                Fact::Tombstone {
                    target: TombstoneTarget::Upload(upload),
                    ..
                } => (*upload, |all, found| all.aborts.push(found)),
                _ => continue,
            };
            let all = uploads.entry(id).or_default();
            all.bucket = all.bucket.or(fact.bucket());
            list(all, found);
        }
        for all in uploads.values_mut() {
            self.end(all);
        }
        uploads
    }

    /// Clause 6. The highest of Complete and Abort that was possible decides; what is lower never
    /// was.
    fn end(&mut self, all: &mut UploadRecords<'a>) {
        Self::descending(&mut all.parts);
        let mut events: Vec<&Found> = all.completes.iter().chain(&all.aborts).copied().collect();
        Self::descending(&mut events);
        // Clause 5: who wrote a part or a Complete saw the upload open, whatever became of the
        // write.
        let newest = |list: &[&Found]| list.iter().map(|found| found.order).max();
        let last_part = newest(&all.parts).unwrap_or(Order::ZERO);
        let last_complete = newest(&all.completes).unwrap_or(Order::ZERO);
        for found in events {
            if self.is_voided(found) {
                continue;
            }
            let is_complete = matches!(found.fact, Some(Fact::Version { .. }));
            let is_open = all.end == End::Open;
            if is_complete {
                let verdict = match found.is_known {
                    true => Verdict::Stands,
                    false if !is_open || last_part > found.order => Verdict::Never,
                    false => self.has_all_parts(found),
                };
                self.completes.insert(found.write, verdict);
                match verdict {
                    Verdict::Never => self.set(found, Fate::Void),
                    Verdict::Stands | Verdict::Lacks { .. } => {
                        all.end = End::Completed(found.write);
                    }
                }
                continue;
            }
            match all.end {
                End::Aborted(by) => self.set(found, Fate::Retired { by }),
                End::Open if last_part < found.order && last_complete < found.order => {
                    self.set(found, Fate::Guard);
                    all.end = End::Aborted(found.write);
                }
                End::Open | End::Completed(_) => self.set(found, Fate::Void),
            }
        }
    }

    /// Whether all parts that a Complete names are there.
    fn has_all_parts(&self, complete: &Found) -> Verdict {
        let Some(Fact::Version {
            body: BodyFact::Parts { parts, .. },
            ..
        }) = &complete.fact
        else {
            return Verdict::Never;
        };
        let mut verdict = Verdict::Stands;
        for (_, write) in parts {
            // Voided, whether its record was purged already or not.
            if self.voided.contains_key(write) {
                return Verdict::Never;
            }
            let may_be = match self.records.found.get(write) {
                Some(part) if self.records.is_readable(part) => continue,
                Some(part) => self.records.may_be_acknowledged(part),
                None => self.records.may_be_hidden(),
            };
            verdict = match verdict {
                Verdict::Lacks { may_be: false } => verdict,
                _ => Verdict::Lacks { may_be },
            };
        }
        verdict
    }

    /// Decides uploads and parts, once it is known which versions exist.
    pub(super) fn finish_uploads(&mut self, uploads: BTreeMap<WriteId, UploadRecords<'a>>) {
        for (id, all) in &uploads {
            let is_live = all.bucket.is_some_and(|bucket| self.live.contains(&bucket));
            if !is_live {
                self.without_bucket(all.upload.as_slice());
                self.without_bucket(&all.parts);
                self.without_bucket(&all.aborts);
                continue;
            }
            match all.end {
                End::Aborted(by) => self.all_of(all, Fate::Retired { by }),
                End::Completed(version) => self.completed(*id, all, version),
                End::Open => self.open(*id, all),
            }
        }
    }

    fn completed(&mut self, id: WriteId, all: &UploadRecords<'a>, version: WriteId) {
        match self.fate(version) {
            Some(Fate::Version { .. }) => {}
            Some(fate @ (Fate::Retired { .. } | Fate::Doubt)) => return self.all_of(all, fate),
            // It never was, after all: the upload is still open.
            _ => return self.open(id, all),
        }
        let completed = Some(version);
        self.set_unvoided(all.upload.as_slice(), Fate::Upload { completed });
        let fact = self
            .records
            .found
            .get(&version)
            .and_then(|found| found.fact.as_ref());
        let Some(Fact::Version {
            body: BodyFact::Parts { parts: named, .. },
            ..
        }) = fact
        else {
            return;
        };
        for part in &all.parts {
            let is_named = named.iter().any(|(_, write)| *write == part.write);
            let fate = match is_named {
                true => Fate::Part,
                false => Fate::Retired { by: version },
            };
            self.set_unvoided(&[*part], fate);
        }
    }

    /// The newest part of each number exists and covers the older ones.
    fn open(&mut self, id: WriteId, all: &UploadRecords<'a>) {
        match all.upload {
            // Voided, whether its record was purged already or not.
            _ if self.voided.contains_key(&id) => return self.all_of(all, Fate::Void),
            Some(upload) => self.set(upload, Fate::Upload { completed: None }),
            None if self.records.may_be_hidden() => return self.doubtful(all),
            None => return self.all_of(all, Fate::Void),
        }
        let mut newest: BTreeMap<u16, WriteId> = BTreeMap::new();
        for part in &all.parts {
            let Some(Fact::Part { number, .. }) = part.fact else {
                continue;
            };
            if self.is_voided(part) {
                continue;
            }
            let fate = match newest.get(&number) {
                Some(&by) => Fate::Retired { by },
                None if self.records.is_readable(part) => {
                    newest.insert(number, part.write);
                    Fate::Part
                }
                None if self.records.may_be_acknowledged(part) => return self.doubtful(all),
                None => Fate::Void,
            };
            self.set(part, fate);
        }
    }

    fn doubtful(&mut self, all: &UploadRecords<'a>) {
        self.all_of(all, Fate::Doubt);
        let records = all.upload.iter().chain(&all.parts);
        let records = records.filter(|found| !self.voided.contains_key(&found.write));
        for fact in records.filter_map(|found| found.fact.as_ref()) {
            if let Fact::Upload { bucket, key, .. } | Fact::Part { bucket, key, .. } = fact {
                let (bucket, key) = (*bucket, key.clone());
                self.merged.doubts.insert(Doubt::Key { bucket, key });
            }
        }
    }

    /// Upload and parts, but for what is voided.
    fn all_of(&mut self, all: &UploadRecords<'a>, fate: Fate) {
        self.set_unvoided(all.upload.as_slice(), fate);
        self.set_unvoided(&all.parts, fate);
    }

    /// What is in no bucket never took effect. What an index shows all the same is left as it is,
    /// unless the bucket was deleted: then it had been before. So is everything while a record that
    /// cannot be read may be the bucket's.
    pub(super) fn without_bucket(&mut self, list: &[&Found]) {
        let is_hidden = self.hides_system();
        for found in list {
            if !self.is_voided(found) {
                let bucket = found.fact.as_ref().and_then(Fact::bucket);
                let is_deleted = bucket.is_some_and(|bucket| self.deleted.contains(&bucket));
                let fate = match is_hidden || found.is_known && !is_deleted {
                    true => Fate::Doubt,
                    false => Fate::Void,
                };
                self.set(found, fate);
            }
        }
    }

    /// Whether a system record was found that may count and cannot be read.
    fn hides_system(&self) -> bool {
        let mut found = self.records.found.values();
        found.any(|found| {
            found.kind == RecordKind::System
                && found.fact.is_none()
                && self.fate(found.write) == Some(Fate::Doubt)
        })
    }

    pub(super) fn set_unvoided(&mut self, list: &[&Found], fate: Fate) {
        for found in list {
            if !self.is_voided(found) {
                self.set(found, fate);
            }
        }
    }
}
