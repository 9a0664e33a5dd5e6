//! The values behind the golden files of manifests, records and rows. They never change either.

use bytes::Bytes;
use holdfast_protocol::ids::{
    BucketId, ClusterId, DriveId, GatewayId, Generation, IndexId, LogId, MapVersion, Order, WriteId,
};
use holdfast_protocol::row::{
    BucketRow, Completed, GeometryUsage, HealRow, IdentityRow, PurgeKind, PurgeRow, RowName,
    ScrubRow, SeenRow, UploadRow, Usage,
};
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{
    Body, ChecksumKind, ChecksumType, ETag, Geometry, Manifest, ManifestKind, Metadata,
    ObjectChecksum, PartRef, Placement, Record, TombstoneTarget, VersionName, VersionRow,
};

pub const CLUSTER: ClusterId = ClusterId::new(0x0123_4567_89ab_cdef_0011_2233_4455_6677);

pub fn write(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(0x0a0b_0c0d),
        gateway_epoch: 5,
        counter,
    }
}

pub fn order(sequence: u64) -> Order {
    Order {
        generation: Generation::new(2),
        sequence,
    }
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::default();
    metadata.set("content-type", "text/plain; charset=utf-8");
    metadata.set("x-amz-meta-größe", "");
    metadata
}

fn manifest(kind: ManifestKind, body: Body, len: u64) -> Manifest {
    Manifest {
        kind,
        bucket: BucketId::new(0x77),
        key: "photos/2026/ä b+c%.jpg".to_owned(),
        write: write(9),
        order: order(0x1_0000_0001),
        version: order(0x1_0000_0001),
        map_version: MapVersion::new(3),
        created_ms: 1_790_000_000_123,
        len,
        etag: ETag {
            md5: *b"0123456789abcdef",
            parts: 0,
        },
        geometry: Geometry::new(4, 2).unwrap(),
        body,
        checksum: None,
        metadata: metadata(),
    }
}

fn checksum(kind: ChecksumKind, covers: ChecksumType, len: usize) -> Option<ObjectChecksum> {
    Some(ObjectChecksum {
        kind,
        covers,
        digest: (0..len as u8).collect(),
    })
}

pub fn manifests() -> Vec<Manifest> {
    let null = ManifestKind::Version(VersionName::Null);
    let ordered = ManifestKind::Version(VersionName::Ordered);
    let target = write(12);
    let of_version = |name| ManifestKind::Metadata { name, target };
    let upload = write(1);
    let coded = Body::Coded {
        drives: (1..=6).map(DriveId::new).collect(),
        digests: (0..6).map(|i| 0x1111_1111_1111_1111 * i).collect(),
    };
    let parts = Body::Parts {
        upload,
        parts: [(1, 5 << 20), (10_000, 1)]
            .map(|(number, len)| PartRef {
                number,
                write: write(number.into()),
                len,
            })
            .to_vec(),
    };
    let mut all = vec![
        manifest(null.clone(), coded.clone(), 2_097_153),
        manifest(ordered.clone(), Body::Inline, 5),
        manifest(ordered.clone(), Body::DeleteMarker, 0),
        manifest(ordered, parts, (5 << 20) + 1),
        manifest(ManifestKind::Part { upload, number: 7 }, coded, 1 << 30),
        manifest(ManifestKind::Upload, Body::Empty, 0),
        manifest(of_version(VersionName::Null), Body::Empty, 0),
        manifest(of_version(VersionName::Ordered), Body::Empty, 0),
    ];
    (all[1].version, all[7].version) = (order(7), order(8));
    all[4].version = Order::ZERO;
    all[5].version = Order::ZERO;
    all[0].checksum = checksum(ChecksumKind::Crc64Nvme, ChecksumType::FullObject, 8);
    all[1].checksum = checksum(ChecksumKind::Sha256, ChecksumType::FullObject, 32);
    all[2].metadata = Metadata::default();
    all[3].etag.parts = 2;
    all[3].checksum = checksum(ChecksumKind::Crc32c, ChecksumType::Composite, 4);
    all[4].checksum = checksum(ChecksumKind::Sha1, ChecksumType::FullObject, 20);
    all[5].checksum = checksum(ChecksumKind::Crc32, ChecksumType::Composite, 0);
    all
}

pub fn records() -> Vec<Record> {
    let (bucket, key) = (BucketId::new(0x77), "a/b".to_owned());
    let tombstone = |target| Record::Tombstone {
        write: write(20),
        order: order(21),
        bucket,
        key: key.clone(),
        target,
    };
    vec![
        Record::Commit {
            manifest: manifests()[1].clone(),
            body: Bytes::from_static(b"hello"),
        },
        Record::Commit {
            manifest: manifests()[0].clone(),
            body: Bytes::new(),
        },
        Record::Commit {
            manifest: manifests()[7].clone(),
            body: Bytes::new(),
        },
        tombstone(TombstoneTarget::Null),
        tombstone(TombstoneTarget::Version {
            version: order(7),
            write: write(9),
        }),
        tombstone(TombstoneTarget::Upload(write(1))),
        Record::Void {
            write: write(22),
            order: order(23),
            target: write(8),
        },
        Record::System {
            write: write(24),
            order: order(25),
            kind: "bucket".to_owned(),
            name: "photos".to_owned(),
            value: Bytes::from_static(&[0, 255, 1]),
        },
    ]
}

fn placement() -> Placement {
    Placement {
        holders: (1..=6).map(DriveId::new).collect(),
        missing: 0b10_0000,
        touched: vec![DriveId::new(9)],
    }
}

/// A row of the index, of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Version(VersionRow),
    Upload(UploadRow),
    Bucket(BucketRow),
    Purge(PurgeRow),
    Name(RowName),
    Usage(Usage),
    Seen(SeenRow),
    Identity(IdentityRow),
    Scrub(ScrubRow),
    Heal(HealRow),
}

impl Row {
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Version(row) => row.encode(),
            Self::Upload(row) => row.encode(),
            Self::Bucket(row) => row.encode(),
            Self::Purge(row) => row.encode(),
            Self::Name(row) => row.encode(),
            Self::Usage(row) => row.encode(),
            Self::Seen(row) => row.encode(),
            Self::Identity(row) => row.encode(),
            Self::Scrub(row) => row.encode(),
            Self::Heal(row) => row.encode(),
        }
    }
    /// Decodes bytes as a row of the same kind.
    pub fn decode_alike(&self, bytes: &[u8]) -> Result<Self, holdfast_protocol::FormatError> {
        match self {
            Self::Version(_) => VersionRow::decode(bytes).map(Self::Version),
            Self::Upload(_) => UploadRow::decode(bytes).map(Self::Upload),
            Self::Bucket(_) => BucketRow::decode(bytes).map(Self::Bucket),
            Self::Purge(_) => PurgeRow::decode(bytes).map(Self::Purge),
            Self::Name(_) => RowName::decode(bytes).map(Self::Name),
            Self::Usage(_) => Usage::decode(bytes).map(Self::Usage),
            Self::Seen(_) => SeenRow::decode(bytes).map(Self::Seen),
            Self::Identity(_) => IdentityRow::decode(bytes).map(Self::Identity),
            Self::Scrub(_) => ScrubRow::decode(bytes).map(Self::Scrub),
            Self::Heal(_) => HealRow::decode(bytes).map(Self::Heal),
        }
    }
}

pub fn rows() -> Vec<Row> {
    let (bucket, key, id) = (BucketId::new(0x77), "a/b".to_owned(), write(9));
    let upload = |completed| UploadRow {
        manifest: manifests()[5].clone(),
        placement: Placement::default(),
        completed,
    };
    let completed = Completed {
        write: id,
        order: order(30),
        etag: ETag {
            md5: [7; 16],
            parts: 2,
        },
        checksum: checksum(ChecksumKind::Crc32c, ChecksumType::Composite, 4),
        request_digest: 0xfeed,
        at_ms: 1_790_000_000_456,
    };
    let purge = |kind, guard| PurgeRow {
        writes: vec![write(1), write(2)],
        kind,
        guard,
        waiting: vec![DriveId::new(4)],
        guard_holders: vec![DriveId::new(5), DriveId::new(6)],
    };
    vec![
        Row::Version(VersionRow {
            manifest: manifests()[0].clone(),
            placement: placement(),
            changed: None,
        }),
        Row::Version(VersionRow {
            manifest: manifests()[1].clone(),
            placement: placement(),
            changed: Some(order(44)),
        }),
        Row::Upload(upload(None)),
        Row::Upload(upload(Some(completed))),
        Row::Bucket(BucketRow {
            id: bucket,
            name: "photos".to_owned(),
            order: order(31),
            created_ms: 1_790_000_000_789,
            owner: "AKIAEXAMPLE".to_owned(),
            config: vec![("versioning".to_owned(), Bytes::from_static(b"on"))],
        }),
        Row::Purge(purge(PurgeKind::Moved, None)),
        Row::Purge(purge(PurgeKind::Gone, Some(write(3)))),
    ]
    .into_iter()
    .chain(names(bucket, &key, id))
    .chain(names(bucket, &key, id).into_iter().filter_map(heal))
    .chain(marks())
    .collect()
}

fn heal(row: Row) -> Option<Row> {
    let Row::Name(name) = row else { return None };
    let geometry = Geometry::new(4, 2).unwrap();
    Some(Row::Heal(HealRow { name, geometry }))
}

fn names(bucket: BucketId, key: &str, id: WriteId) -> [Row; 4] {
    let key = key.to_owned();
    [
        Row::Name(RowName::Version {
            bucket,
            key: key.clone(),
            version: order(7),
            write: id,
        }),
        Row::Name(RowName::Metadata {
            bucket,
            key: key.clone(),
            version: order(7),
            write: id,
        }),
        Row::Name(RowName::Part {
            upload: write(1),
            number: 10_000,
            write: id,
        }),
        Row::Name(RowName::Upload {
            bucket,
            key,
            write: id,
        }),
    ]
}

fn marks() -> [Row; 3] {
    [
        Row::Usage(Usage {
            versions: [(2, 1), (4, 2)]
                .map(|(data, parity)| GeometryUsage {
                    geometry: Geometry::new(data, parity).unwrap(),
                    objects: u64::from(data),
                    bytes: 1 << 40 | u64::from(parity),
                })
                .to_vec(),
            uploads: 3,
        }),
        Row::Seen(SeenRow {
            end: LogPosition {
                log: LogId::new(0x1234),
                batch: 56,
            },
        }),
        Row::Identity(IdentityRow {
            id: IndexId::new(0x9999_8888_7777_6666),
        }),
    ]
}

/// Scrub rows, in a golden file of their own.
pub fn scrub_rows() -> Vec<Row> {
    let fresh = ScrubRow {
        since_ms: 1_790_000_000_111,
        fresh_mark: order(7),
        ..ScrubRow::default()
    };
    let running = ScrubRow {
        started_ms: 1_790_000_000_222,
        cursor: Some(write(12)),
        bytes: 1 << 40,
        records: 12_345,
        errors: 2,
        last_started_ms: 1_780_000_000_333,
        last_ended_ms: 1_785_000_000_444,
        last_bytes: 3 << 40,
        fresh_ms: 1_790_000_000_555,
        ..fresh
    };
    vec![Row::Scrub(fresh), Row::Scrub(running)]
}
