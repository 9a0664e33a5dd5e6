//! Facts about the merge: clause by clause, all small sets, random histories, and beside a naive
//! specification.

mod clauses;
mod exhaustive;
mod forgotten;
mod history;
mod spec;

use holdfast_protocol::{
    BucketId, DriveId, GatewayId, Generation, Geometry, Order, RecordKind, TombstoneTarget,
    VersionName, WriteId,
};

use super::*;

const BUCKET: BucketId = BucketId::new(7);

fn w(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(1),
        gateway_epoch: 1,
        counter,
    }
}

fn o(sequence: u64) -> Order {
    Order {
        generation: Generation::new(1),
        sequence,
    }
}

fn d(number: u64) -> DriveId {
    DriveId::new(number)
}

/// 2+1: coded writes need 3 shards and are read from 2; small ones have 2 copies.
fn geometry() -> Geometry {
    Geometry::new(2, 1).unwrap()
}

/// Records of a test; the write of a record is also its order unless said otherwise.
#[derive(Clone)]
struct Case(Records);

impl Case {
    /// A bucket, and nothing in it.
    fn new() -> Self {
        let case = Self(Records::new(geometry()));
        case.system(1, "b", Some(BUCKET), &[1, 2])
    }
    fn put(mut self, at: u64, kind: RecordKind, fact: Fact, copies: Vec<Kept>) -> Self {
        for copy in copies {
            self.0.add(w(at), o(at), kind, copy);
        }
        self.0.describe(w(at), fact);
        self
    }
    fn plain(drives: &[u64]) -> Vec<Kept> {
        let kept = |&drive| Kept {
            drive: d(drive),
            shard: None,
            is_damaged: false,
        };
        drives.iter().map(kept).collect()
    }
    fn system(self, at: u64, name: &str, bucket: Option<BucketId>, drives: &[u64]) -> Self {
        let fact = Fact::System {
            kind: BUCKET_KIND.to_owned(),
            name: name.to_owned(),
            bucket,
            is_deleted: bucket.is_none(),
        };
        self.put(at, RecordKind::System, fact, Self::plain(drives))
    }
    fn version(self, at: u64, name: VersionName, body: BodyFact, copies: Vec<Kept>) -> Self {
        self.rewrite(at, (name, at), body, copies)
    }
    /// A write of the version that was made at `of.1`.
    fn rewrite(self, at: u64, of: (VersionName, u64), body: BodyFact, copies: Vec<Kept>) -> Self {
        let (bucket, key) = (BUCKET, "k".to_owned());
        let fact = Fact::Version {
            bucket,
            key,
            name: of.0,
            version: o(of.1),
            geometry: geometry(),
            body,
        };
        self.put(at, RecordKind::Commit, fact, copies)
    }
    /// A small null version.
    fn small(self, at: u64, drives: &[u64]) -> Self {
        self.version(at, VersionName::Null, BodyFact::Small, Self::plain(drives))
    }
    /// A small version of a versioned bucket.
    fn ordered(self, at: u64, drives: &[u64]) -> Self {
        self.version(
            at,
            VersionName::Ordered,
            BodyFact::Small,
            Self::plain(drives),
        )
    }
    fn coded_body() -> BodyFact {
        BodyFact::Coded {
            drives: vec![d(1), d(2), d(3)],
            digests: vec![11, 12, 13],
        }
    }
    fn shards(shards: &[u8]) -> Vec<Kept> {
        let kept = |&shard: &u8| Kept {
            drive: d(u64::from(shard) + 1),
            shard: Some((shard, 11 + u64::from(shard))),
            is_damaged: false,
        };
        shards.iter().map(kept).collect()
    }
    /// A coded null version on drives 1, 2, 3, of which these shards were found.
    fn coded(self, at: u64, shards: &[u8]) -> Self {
        self.version(
            at,
            VersionName::Null,
            Self::coded_body(),
            Self::shards(shards),
        )
    }
    fn complete(self, at: u64, upload: u64, parts: &[(u16, u64)]) -> Self {
        let parts = parts
            .iter()
            .map(|(number, write)| (*number, w(*write)))
            .collect();
        let body = BodyFact::Parts {
            upload: w(upload),
            parts,
        };
        self.version(at, VersionName::Null, body, Self::plain(&[1, 2]))
    }
    fn upload(self, at: u64) -> Self {
        let fact = Fact::Upload {
            bucket: BUCKET,
            key: "k".to_owned(),
            geometry: geometry(),
        };
        self.put(at, RecordKind::Commit, fact, Self::plain(&[1, 2]))
    }
    fn part(self, at: u64, upload: u64, number: u16, shards: &[u8]) -> Self {
        let (bucket, key, upload) = (BUCKET, "k".to_owned(), w(upload));
        let (geometry, body) = (geometry(), Self::coded_body());
        let fact = Fact::Part {
            bucket,
            key,
            upload,
            number,
            geometry,
            body,
        };
        self.put(at, RecordKind::Commit, fact, Self::shards(shards))
    }
    /// New metadata of a write of the null version.
    fn metadata(self, at: u64, target: u64) -> Self {
        self.metadata_of(at, target, (VersionName::Null, target))
    }
    /// New metadata of a write of the version that was made at `of.1`.
    fn metadata_of(self, at: u64, target: u64, of: (VersionName, u64)) -> Self {
        let fact = Fact::Metadata {
            bucket: BUCKET,
            key: "k".to_owned(),
            name: of.0,
            version: o(of.1),
            target: w(target),
            geometry: geometry(),
        };
        self.put(at, RecordKind::Commit, fact, Self::plain(&[1, 2]))
    }
    fn tombstone(self, at: u64, target: TombstoneTarget) -> Self {
        let fact = Fact::Tombstone {
            bucket: BUCKET,
            key: "k".to_owned(),
            target,
        };
        self.put(at, RecordKind::Tombstone, fact, Self::plain(&[1, 2]))
    }
    fn delete(self, at: u64) -> Self {
        self.tombstone(at, TombstoneTarget::Null)
    }
    /// Of a version of a versioned bucket.
    fn delete_version(self, at: u64, of: u64) -> Self {
        let (version, write) = (o(of), w(of));
        self.tombstone(at, TombstoneTarget::Version { version, write })
    }
    fn abort(self, at: u64, upload: u64) -> Self {
        self.tombstone(at, TombstoneTarget::Upload(w(upload)))
    }
    fn void(self, at: u64, target: u64) -> Self {
        let fact = Fact::Void { target: w(target) };
        self.put(at, RecordKind::Void, fact, Self::plain(&[1, 2]))
    }
    fn unreadable(mut self, at: u64, kind: RecordKind, drives: &[u64]) -> Self {
        for mut copy in Self::plain(drives) {
            copy.is_damaged = true;
            self.0.add(w(at), o(at), kind, copy);
        }
        self
    }
    fn absent(mut self, drives: &[u64]) -> Self {
        self.0.absent = drives.iter().map(|drive| d(*drive)).collect();
        self
    }
    /// Drives that are gone for good.
    fn dead(mut self, drives: &[u64]) -> Self {
        self.0.dead = drives.iter().map(|drive| d(*drive)).collect();
        self
    }
    /// Drives in the places of dead ones, beside those that are absent.
    fn filling(mut self, drives: &[u64]) -> Self {
        self.0.filling = drives.iter().map(|drive| d(*drive)).collect();
        self.0.absent.extend(self.0.filling.clone());
        self
    }
    /// Drives that lost entries of their log, beside those that are absent.
    fn partial(mut self, drives: &[u64]) -> Self {
        self.0.partial = drives.iter().map(|drive| d(*drive)).collect();
        self.0.absent.extend(self.0.partial.clone());
        self
    }
    fn known(mut self, at: u64) -> Self {
        self.0.found.get_mut(&w(at)).unwrap().is_known = true;
        self
    }
    fn claim(mut self) -> Self {
        self.0.index_decides = true;
        self
    }
    fn decide(&self) -> Merged {
        decide(&self.0)
    }
    fn fate(&self, at: u64) -> Fate {
        self.decide().fates[&w(at)]
    }
}

const SHOWN: Fate = Fate::Version {
    metadata: None,
    is_current: true,
};

fn by(at: u64) -> Fate {
    Fate::Retired { by: w(at) }
}
