//! One key and its uploads: what the drives hold, what was acknowledged, and what may show up
//! besides.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;

/// One operation, its choices made.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) kind: OpKind,
    /// Drives (bits) that take the record.
    pub(super) taken: u8,
    /// Whether the gateway gets as far as the index commit.
    pub(super) commits: bool,
    /// Whether a write that failed is voided, durably.
    pub(super) voids: bool,
    /// Drives (bits) that purge what the operation retires.
    pub(super) purged: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpKind {
    PutSmall,
    PutCoded,
    Delete,
    Create,
    Part(u16),
    Complete,
    Abort,
}

/// What the index shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The current version, and the upload of a completed one.
    version: Option<(WriteId, Option<WriteId>)>,
    /// The open upload and its parts by number.
    upload: Option<WriteId>,
    parts: BTreeMap<u16, WriteId>,
}

/// Effects of operations that ended in 5xx.
#[derive(Clone, Debug, Default)]
pub(super) struct Maybe {
    /// Since the last acknowledged change of the key.
    versions: Vec<Option<WriteId>>,
    uploads: BTreeSet<WriteId>,
    parts: BTreeSet<(u16, WriteId)>,
    /// The open upload may have been completed or aborted.
    is_ended: bool,
}

/// What a rebuild shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    version: Option<WriteId>,
    uploads: BTreeSet<WriteId>,
    /// Of the upload that the model knows.
    parts: BTreeMap<u16, WriteId>,
}

pub(super) struct World {
    records: Records,
    /// Every copy that there ever was.
    ever: BTreeMap<WriteId, Vec<Kept>>,
    /// What each record says.
    facts: BTreeMap<WriteId, (RecordKind, Fact)>,
    drives: u64,
    pub(super) state: State,
    /// What may also be found: effects of operations that ended in 5xx and were not voided.
    pub(super) maybe: Maybe,
    /// Of completed versions.
    completed: BTreeMap<WriteId, (WriteId, BTreeMap<u16, WriteId>)>,
    at: u64,
}

impl World {
    pub(super) fn new(drives: u64) -> Self {
        Self {
            records: Case::new().0,
            ever: BTreeMap::new(),
            facts: BTreeMap::new(),
            drives,
            state: State::default(),
            maybe: Maybe::default(),
            completed: BTreeMap::new(),
            at: 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.at += 1;
        self.at
    }

    fn taken(&self, bits: u8) -> Vec<u64> {
        (1..=self.drives)
            .filter(|drive| bits & (1 << (drive - 1)) != 0)
            .collect()
    }

    /// Sends a record; whether its quorum took it.
    fn send(&mut self, at: u64, kind: RecordKind, fact: Fact, bits: u8) -> bool {
        let coded = match &fact {
            Fact::Version {
                body: BodyFact::Coded { drives, digests },
                ..
            }
            | Fact::Part {
                body: BodyFact::Coded { drives, digests },
                ..
            } => Some((drives.clone(), digests.clone())),
            _ => None,
        };
        let copies: Vec<Kept> = match coded {
            Some((drives, digests)) => drives
                .iter()
                .enumerate()
                .filter(|(_, drive)| bits & (1 << (drive.get() - 1)) != 0)
                .map(|(shard, drive)| Kept {
                    drive: *drive,
                    shard: Some((shard as u8, digests[shard])),
                    is_damaged: false,
                })
                .collect(),
            None => Case::plain(&self.taken(bits)),
        };
        let is_coded = copies.iter().any(|copy| copy.shard.is_some());
        let needed = if is_coded {
            geometry().write_quorum()
        } else {
            geometry().copies()
        };
        let reached = copies.len() >= needed;
        self.ever.insert(w(at), copies.clone());
        self.facts.insert(w(at), (kind, fact.clone()));
        for copy in copies {
            self.records.add(w(at), o(at), kind, copy);
        }
        self.records.describe(w(at), fact);
        reached
    }

    /// Purges on some drives; the first write, whose record keeps the others retired, only after
    /// them.
    fn purge_group(&mut self, group: &[WriteId], bits: u8) {
        let Some((first, others)) = group.split_first() else {
            return;
        };
        self.purge(others, bits);
        if others
            .iter()
            .all(|write| !self.records.found.contains_key(write))
        {
            self.purge(&[*first], bits);
        }
    }

    fn purge(&mut self, writes: &[WriteId], bits: u8) {
        for write in writes {
            let Some(found) = self.records.found.get_mut(write) else {
                continue;
            };
            found
                .copies
                .retain(|copy| bits & (1 << (copy.drive.get() - 1)) == 0);
            if found.copies.is_empty() {
                self.records.found.remove(write);
            }
        }
    }

    /// Writes of the version and everything behind it.
    fn version_writes(&self, version: WriteId) -> Vec<WriteId> {
        let mut writes = vec![version];
        if let Some((upload, parts)) = self.completed.get(&version) {
            writes.push(*upload);
            writes.extend(parts.values());
        }
        writes
    }

    /// A body on three drives, which change from write to write.
    fn coded(&self) -> BodyFact {
        let drive = |shard| d(1 + (self.at + shard) % self.drives);
        BodyFact::Coded {
            drives: (0..3).map(drive).collect(),
            digests: (0..3).map(|shard| self.at * 8 + shard).collect(),
        }
    }

    fn fact(&self, kind: OpKind) -> Option<(RecordKind, Fact)> {
        let (bucket, geometry) = (BUCKET, geometry());
        let (key, commit) = ("k".to_owned(), RecordKind::Commit);
        let tombstone = |target| {
            let key = "k".to_owned();
            Some((
                RecordKind::Tombstone,
                Fact::Tombstone {
                    bucket,
                    key,
                    target,
                },
            ))
        };
        let body = match kind {
            OpKind::PutSmall => BodyFact::Small,
            OpKind::PutCoded => self.coded(),
            OpKind::Delete => {
                self.state.version?;
                return tombstone(TombstoneTarget::Null);
            }
            OpKind::Create if self.state.upload.is_none() => {
                return Some((
                    commit,
                    Fact::Upload {
                        bucket,
                        key,
                        geometry,
                    },
                ));
            }
            OpKind::Create => return None,
            OpKind::Part(number) => {
                let (upload, body) = (self.state.upload?, self.coded());
                let fact = Fact::Part {
                    bucket,
                    key,
                    upload,
                    number,
                    geometry,
                    body,
                };
                return Some((commit, fact));
            }
            OpKind::Complete => {
                let upload = self.state.upload?;
                let parts: Vec<_> = self.state.parts.iter().map(|(n, w)| (*n, *w)).collect();
                (!parts.is_empty()).then_some(())?;
                BodyFact::Parts { upload, parts }
            }
            OpKind::Abort => return tombstone(TombstoneTarget::Upload(self.state.upload?)),
        };
        let name = VersionName::Null;
        Some((
            commit,
            Fact::Version {
                bucket,
                key,
                name,
                version: o(self.at),
                geometry,
                body,
            },
        ))
    }

    /// The state after an operation took effect, and what it retires.
    fn after(&self, kind: OpKind, write: WriteId) -> (State, Vec<WriteId>) {
        let mut state = self.state.clone();
        let mut retired = Vec::new();
        let old = state
            .version
            .map(|(version, _)| self.version_writes(version));
        match kind {
            OpKind::PutSmall | OpKind::PutCoded => {
                retired.extend(old.into_iter().flatten());
                state.version = Some((write, None));
            }
            OpKind::Delete => {
                retired.extend(old.into_iter().flatten());
                state.version = None;
            }
            OpKind::Create => state.upload = Some(write),
            OpKind::Part(number) => retired.extend(state.parts.insert(number, write)),
            OpKind::Complete => {
                retired.extend(old.into_iter().flatten());
                state.version = Some((write, state.upload.take()));
                state.parts.clear();
            }
            OpKind::Abort => {
                retired.extend(state.upload.take());
                retired.extend(std::mem::take(&mut state.parts).into_values());
            }
        }
        (state, retired)
    }

    pub(super) fn run(&mut self, op: &Op) {
        let at = self.next();
        let Some((kind, fact)) = self.fact(op.kind) else {
            return;
        };
        let reached = self.send(at, kind, fact, op.taken);
        let (after, retired) = self.after(op.kind, w(at));
        if !(reached && op.commits) {
            if op.voids {
                let void = self.next();
                self.send(void, RecordKind::Void, Fact::Void { target: w(at) }, 0b11);
            } else if self.records.found.contains_key(&w(at)) {
                self.note_completed(op.kind, w(at));
                self.fail(op.kind, w(at), &after);
            }
            return;
        }
        self.note_completed(op.kind, w(at));
        match op.kind {
            OpKind::PutSmall | OpKind::PutCoded | OpKind::Delete => self.maybe.versions.clear(),
            OpKind::Complete => {
                self.maybe.versions.clear();
                self.maybe.is_ended = false;
                self.maybe.parts.clear();
            }
            OpKind::Create | OpKind::Abort => {
                self.maybe.is_ended = false;
                self.maybe.parts.clear();
            }
            OpKind::Part(number) => {
                // Whoever was told of it saw the upload open, and it covers the older ones.
                self.maybe.is_ended = false;
                self.maybe.versions.retain(|version| {
                    version.is_none_or(|version| !self.completed.contains_key(&version))
                });
                self.maybe.parts.retain(|(other, _)| *other != number);
            }
        }
        self.state = after;
        self.purge_group(&retired, op.purged);
    }

    /// An operation that ended in 5xx: what it may have done.
    fn fail(&mut self, kind: OpKind, write: WriteId, after: &State) {
        let maybe = &mut self.maybe;
        match kind {
            OpKind::PutSmall | OpKind::PutCoded | OpKind::Delete => {
                maybe
                    .versions
                    .push(after.version.map(|(version, _)| version));
            }
            OpKind::Create => drop(maybe.uploads.insert(write)),
            OpKind::Part(number) => drop(maybe.parts.insert((number, write))),
            OpKind::Complete => {
                maybe.versions.push(Some(write));
                maybe.is_ended = true;
            }
            OpKind::Abort => maybe.is_ended = true,
        }
    }

    fn note_completed(&mut self, kind: OpKind, write: WriteId) {
        if kind == OpKind::Complete
            && let Some(upload) = self.state.upload
        {
            self.completed
                .insert(write, (upload, self.state.parts.clone()));
        }
    }

    /// What a rebuild shows with these drives absent.
    pub(super) fn rebuild(&self, absent: &BTreeSet<DriveId>) -> (Shown, Merged, Records) {
        let mut records = self.records.clone();
        records.absent = absent.clone();
        for found in records.found.values_mut() {
            found.copies.retain(|copy| !absent.contains(&copy.drive));
        }
        records.found.retain(|_, found| !found.copies.is_empty());
        self.show(records)
    }

    /// What a rebuild shows beside a drive that lost entries of its log, when what was retired is
    /// purged everywhere, and the tombstones, too. Of all that the drive ever held, it holds what
    /// `keeps` says: it forgot writes, and it forgot purges.
    pub(super) fn rebuild_beside(&self, partial: DriveId, keeps: u64) -> (Shown, Merged, Records) {
        let mut records = self.records.clone();
        let is_guard = |found: &Found| found.kind == RecordKind::Tombstone;
        records.found.retain(|_, found| !is_guard(found));
        for (write, copies) in &self.ever {
            let (kind, fact) = &self.facts[write];
            if let Some(found) = records.found.get_mut(write) {
                found.copies.retain(|copy| copy.drive != partial);
            }
            let held = copies.iter().find(|copy| copy.drive == partial);
            if let Some(copy) = held.filter(|_| keeps & (1 << (write.counter % 64)) != 0) {
                records.add(*write, o(write.counter), *kind, *copy);
                records.describe(*write, fact.clone());
            }
        }
        records.found.retain(|_, found| !found.copies.is_empty());
        records.partial = [partial].into();
        records.absent = [partial].into();
        self.show(records)
    }

    fn show(&self, records: Records) -> (Shown, Merged, Records) {
        let merged = decide(&records);
        let mut shown = Shown::default();
        for (write, fate) in &merged.fates {
            match (fate, &records.found[write].fact) {
                (Fate::Version { .. }, _) => shown.version = Some(*write),
                (Fate::Upload { completed: None }, _) => drop(shown.uploads.insert(*write)),
                (Fate::Part, Some(Fact::Part { upload, number, .. }))
                    if Some(*upload) == self.state.upload =>
                {
                    shown.parts.insert(*number, *write);
                }
                _ => {}
            }
        }
        (shown, merged, records)
    }

    /// What the index shows.
    pub(super) fn shown(&self) -> Shown {
        Shown {
            version: self.state.version.map(|(version, _)| version),
            uploads: self.state.upload.into_iter().collect(),
            parts: self.state.parts.clone(),
        }
    }

    /// Whether that is what was acknowledged, but for effects of what ended in 5xx.
    pub(super) fn allows(&self, found: &Shown) -> bool {
        let version = self.state.version.map(|(version, _)| version);
        let version_fits = found.version == version || self.maybe.versions.contains(&found.version);
        let upload_fits = self
            .state
            .upload
            .is_none_or(|upload| found.uploads.contains(&upload) || self.maybe.is_ended);
        let others_fit = found.uploads.iter().all(|upload| {
            Some(*upload) == self.state.upload || self.maybe.uploads.contains(upload)
        });
        let is_open = self
            .state
            .upload
            .is_some_and(|upload| found.uploads.contains(&upload));
        let parts_fit = !is_open
            || self
                .state
                .parts
                .keys()
                .all(|number| found.parts.contains_key(number))
                && found.parts.iter().all(|(number, write)| {
                    self.state.parts.get(number) == Some(write)
                        || self.maybe.parts.contains(&(*number, *write))
                });
        version_fits && upload_fits && others_fit && parts_fit
    }
}
