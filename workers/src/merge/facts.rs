//! What drives were found to hold, as far as deciding needs it.
//!
//! Owns: the union of all drives' records by write id, what each says, and where it is.
//! Leaves to others: what the copies of one tell ([`super::copies`]), what several records mean
//! together ([`super::decide`]), asking drives ([`super::gather`]).
//! Always: the same records give the same union, in whatever order they are added.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_protocol::row::RowName;
use holdfast_protocol::{
    Body, BucketId, BucketRow, DriveId, Geometry, Manifest, ManifestKind, Order, Placement, Record,
    RecordKind, TombstoneTarget, VersionName, WriteId,
};

/// Kind of the system record that is a bucket.
pub const BUCKET_KIND: &str = "bucket";

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFact {
    /// In the record, or nowhere.
    Small,
    /// In shards.
    Coded {
        /// The drives of the write in shard order, as planned.
        drives: Vec<DriveId>,
        /// The digest of each shard.
        digests: Vec<u64>,
    },
    /// In the parts of an upload: number and write.
    Parts {
        /// The upload.
        upload: WriteId,
        /// Number and write of each.
        parts: Vec<(u16, WriteId)>,
    },
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An object version.
    Version {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// How S3 calls it.
        name: VersionName,
        /// Which of the key's versions.
        version: Order,
        /// How it is coded.
        geometry: Geometry,
        /// Where its bytes are.
        body: BodyFact,
    },
    /// A part of an upload.
    Part {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: WriteId,
        /// Its number.
        number: u16,
        /// How it is coded.
        geometry: Geometry,
        /// Where its bytes are.
        body: BodyFact,
    },
    /// An upload.
    Upload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// Tells how many copies its record has.
        geometry: Geometry,
    },
    /// New metadata of a version.
    Metadata {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// How S3 calls the version.
        name: VersionName,
        /// Which of the key's versions.
        version: Order,
        /// The version's write.
        target: WriteId,
        /// Tells how many copies its record has.
        geometry: Geometry,
    },
    /// A deletion.
    Tombstone {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// What it deletes.
        target: TombstoneTarget,
    },
    /// A write that never took effect.
    Void {
        /// Which.
        target: WriteId,
    },
    /// State of the cluster.
    System {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The bucket's id, of kind `bucket` when not deleted.
        bucket: Option<BucketId>,
        /// Whether the value is empty.
        is_deleted: bool,
    },
}

impl Fact {
    /// What `record` says.
    pub fn of(record: &Record) -> Self {
        match record {
            Record::Commit { manifest, .. } => Self::of_manifest(manifest),
            Record::Tombstone {
                bucket,
                key,
                target,
                ..
            } => Self::Tombstone {
                bucket: *bucket,
                key: key.clone(),
                target: *target,
            },
            Record::Void { target, .. } => Self::Void { target: *target },
            Record::System {
                kind, name, value, ..
            } => {
                let row = (kind == BUCKET_KIND).then(|| BucketRow::decode(value).ok());
                Self::System {
                    kind: kind.clone(),
                    name: name.clone(),
                    bucket: row.flatten().map(|row| row.id),
                    is_deleted: value.is_empty(),
                }
            }
        }
    }

    /// What a commit record with this manifest says.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let (bucket, key) = (manifest.bucket, manifest.key.clone());
        let geometry = manifest.geometry;
        let body = match &manifest.body {
            Body::Empty | Body::DeleteMarker | Body::Inline => BodyFact::Small,
            Body::Coded { drives, digests } => BodyFact::Coded {
                drives: drives.clone(),
                digests: digests.clone(),
            },
            Body::Parts { upload, parts } => BodyFact::Parts {
                upload: *upload,
                parts: parts.iter().map(|part| (part.number, part.write)).collect(),
            },
        };
        match manifest.kind {
            ManifestKind::Version(name) => Self::Version {
                bucket,
                key,
                name,
                version: manifest.version,
                geometry,
                body,
            },
            ManifestKind::Metadata { name, target } => Self::Metadata {
                bucket,
                key,
                name,
                version: manifest.version,
                target,
                geometry,
            },
            ManifestKind::Part { upload, number } => Self::Part {
                bucket,
                key,
                upload,
                number,
                geometry,
                body,
            },
            ManifestKind::Upload => Self::Upload {
                bucket,
                key,
                geometry,
            },
        }
    }

    /// The bucket that the record is in, whose life it depends on.
    pub(crate) fn bucket(&self) -> Option<BucketId> {
        match self {
            Self::Version { bucket, .. }
            | Self::Part { bucket, .. }
            | Self::Upload { bucket, .. }
            | Self::Metadata { bucket, .. }
            | Self::Tombstone { bucket, .. } => Some(*bucket),
            Self::Void { .. } | Self::System { .. } => None,
        }
    }

    /// The row that the record of this write has in an index, if it can have one.
    pub(crate) fn row_name(&self, write: WriteId) -> Option<RowName> {
        match self {
            Self::Version {
                bucket,
                key,
                version,
                ..
            } => Some(RowName::Version {
                bucket: *bucket,
                key: key.clone(),
                version: *version,
                write,
            }),
            Self::Metadata {
                bucket,
                key,
                version,
                ..
            } => Some(RowName::Metadata {
                bucket: *bucket,
                key: key.clone(),
                version: *version,
                write,
            }),
            Self::Part { upload, number, .. } => Some(RowName::Part {
                upload: *upload,
                number: *number,
                write,
            }),
            Self::Upload { bucket, key, .. } => Some(RowName::Upload {
                bucket: *bucket,
                key: key.clone(),
                write,
            }),
            _ => None,
        }
    }
}

/// One drive's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The drive.
    pub drive: DriveId,
    /// The sealed shard: index and digest.
    pub shard: Option<(u8, u64)>,
    /// Whether the drive knows that record or shard are damaged.
    pub is_damaged: bool,
}

/// A record, from all drives that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its write.
    pub write: WriteId,
    /// Its place among all changes.
    pub order: Order,
    /// Its kind.
    pub kind: RecordKind,
    /// What it says; `None` while no copy could be read.
    pub fact: Option<Fact>,
    /// Who holds it, in ascending drive id.
    pub copies: Vec<Kept>,
    /// Whether the index shows it: then it exists, whatever the drives hold.
    pub is_known: bool,
    /// Whether its body was looked for in every copy, and no good one was found.
    pub is_unreadable: bool,
}

/// Everything that was found, and who was not asked.
#[derive(Clone, Debug)]
pub struct Records {
    /// By write.
    pub found: BTreeMap<WriteId, Found>,
    /// Living drives that were not asked, or are not whole.
    pub absent: BTreeSet<DriveId>,
    /// Those of the absent that answered, and lack only what drives held whose places they took:
    /// all that was ever sealed on them was seen.
    pub filling: BTreeSet<DriveId>,
    /// Drives that are gone for good.
    pub dead: BTreeSet<DriveId>,
    /// Drives that were asked, and lost entries of their log: they count as absent, too.
    pub partial: BTreeSet<DriveId>,
    /// The cluster's geometry: tells how many copies records have that are not a version's.
    pub geometry: Geometry,
    /// Whether an index decides what was acknowledged (a claim): then nothing is in doubt.
    pub index_decides: bool,
}

impl Records {
    /// Nothing found yet.
    pub fn new(geometry: Geometry) -> Self {
        Self {
            found: BTreeMap::new(),
            absent: BTreeSet::new(),
            filling: BTreeSet::new(),
            dead: BTreeSet::new(),
            partial: BTreeSet::new(),
            geometry,
            index_decides: false,
        }
    }

    /// Adds one drive's copy of a record.
    pub fn add(&mut self, write: WriteId, order: Order, kind: RecordKind, copy: Kept) {
        let found = self.found.entry(write).or_insert_with(|| Found {
            write,
            order,
            kind,
            fact: None,
            copies: Vec::new(),
            is_known: false,
            is_unreadable: false,
        });
        if let Err(at) = found.copies.binary_search(&copy) {
            found.copies.insert(at, copy);
        }
    }

    /// Says what the record of a write says.
    pub fn describe(&mut self, write: WriteId, fact: Fact) {
        if let Some(found) = self.found.get_mut(&write) {
            found.fact = Some(fact);
        }
    }

    /// Adds what the index shows.
    pub fn know(&mut self, write: WriteId, order: Order, kind: RecordKind, fact: Fact) {
        let found = self.found.entry(write).or_insert_with(|| Found {
            write,
            order,
            kind,
            fact: None,
            copies: Vec::new(),
            is_known: false,
            is_unreadable: false,
        });
        found.is_known = true;
        found.fact = Some(fact);
    }

    /// Where a readable record is now, as the drives' inventories say.
    pub fn placement(&self, found: &Found) -> Placement {
        match coded(found.fact.as_ref()) {
            Some((_, drives, digests)) => coded_placement(found, drives, digests),
            None => small_placement(found, self.geometry_of(found)),
        }
    }

    pub(super) fn geometry_of(&self, found: &Found) -> Geometry {
        match &found.fact {
            Some(
                Fact::Version { geometry, .. }
                | Fact::Part { geometry, .. }
                | Fact::Upload { geometry, .. }
                | Fact::Metadata { geometry, .. },
            ) => *geometry,
            _ => self.geometry,
        }
    }

    /// Every drive that may hold bytes of these writes: seen, planned, or not asked.
    pub(crate) fn drives_of(&self, writes: &[WriteId]) -> BTreeSet<DriveId> {
        let mut drives = self.absent.clone();
        for found in writes.iter().filter_map(|write| self.found.get(write)) {
            drives.extend(found.copies.iter().map(|copy| copy.drive));
            if let Some((_, planned, _)) = coded(found.fact.as_ref()) {
                drives.extend(planned);
            }
        }
        drives.retain(|drive| !self.dead.contains(drive));
        drives
    }
}

pub(super) fn coded(fact: Option<&Fact>) -> Option<(Geometry, &[DriveId], &[u64])> {
    match fact {
        Some(
            Fact::Version {
                geometry,
                body: BodyFact::Coded { drives, digests },
                ..
            }
            | Fact::Part {
                geometry,
                body: BodyFact::Coded { drives, digests },
                ..
            },
        ) => Some((*geometry, drives, digests)),
        _ => None,
    }
}

/// Drives with a good copy of each shard.
pub(super) fn good_shards(found: &Found, digests: &[u64]) -> BTreeMap<u8, Vec<DriveId>> {
    let mut good: BTreeMap<u8, Vec<DriveId>> = BTreeMap::new();
    for copy in found.copies.iter().filter(|copy| !copy.is_damaged) {
        if let Some((shard, digest)) = copy.shard
            && digests.get(usize::from(shard)) == Some(&digest)
        {
            good.entry(shard).or_default().push(copy.drive);
        }
    }
    good
}

/// A good holder for each shard: the planned one if it is good, else the least; missing shards stay
/// with their planned drive. Whoever else may hold bytes is touched.
fn coded_placement(found: &Found, drives: &[DriveId], digests: &[u64]) -> Placement {
    let good = good_shards(found, digests);
    let mut placement = Placement::default();
    for (shard, &planned) in drives.iter().enumerate() {
        let holders = good.get(&(shard as u8));
        let holder = match holders {
            Some(holders) if holders.contains(&planned) => planned,
            Some(holders) => holders[0],
            None => {
                placement.missing |= 1 << shard;
                planned
            }
        };
        placement.holders.push(holder);
    }
    let seen = found.copies.iter().map(|copy| copy.drive);
    let touched: BTreeSet<DriveId> = seen
        .chain(drives.iter().copied())
        .filter(|drive| !placement.holders.contains(drive))
        .collect();
    placement.touched = touched.into_iter().collect();
    placement
}

/// Good copies, and in place of those that are missing the bad ones: one of them was read, or it
/// would not be shown, and nobody looks for copies on drives that are no holders.
fn small_placement(found: &Found, geometry: Geometry) -> Placement {
    let (good, bad): (Vec<&Kept>, Vec<&Kept>) =
        found.copies.iter().partition(|copy| !copy.is_damaged);
    let missing = geometry.copies().saturating_sub(good.len());
    let (stay, touched) = bad.split_at(bad.len().min(missing));
    let drives = |copies: &[&Kept]| -> Vec<DriveId> { copies.iter().map(|it| it.drive).collect() };
    Placement {
        holders: drives(&[good.as_slice(), stay].concat()),
        missing: missing as u64,
        touched: drives(touched),
    }
}
