//! What the drive tests share: records, shards and calls.
//!
//! Owns: making valid requests.
//! Leaves to others: what is tested.
//! Always: bytes are a function of the write, so that a test can tell what it should read.
#![allow(dead_code, reason = "each test file uses another part")]

pub mod rig;
pub mod world;

use bytes::Bytes;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::rpc::{
    BlockSpan, Cell, DriveCall, DriveError, DriveReply, DriveRequest, InventoryEntry, SealShard,
};
use holdfast_protocol::*;
use holdfast_shard_node::Drive;

pub const CLUSTER: ClusterId = ClusterId::new(0xc1);
pub const DRIVE: DriveId = DriveId::new(0xd1);
pub const INDEX: IndexId = IndexId::new(0x1d);

pub fn write_id(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(7),
        gateway_epoch: 1,
        counter,
    }
}

pub fn order(sequence: u64) -> Order {
    Order {
        generation: Generation::new(1),
        sequence,
    }
}

/// Bytes that differ from write to write and from place to place.
pub fn body(write: WriteId, salt: u8, len: usize) -> Bytes {
    let mut state = write.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(salt);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

fn manifest(write: WriteId, len: u64, body: Body) -> Manifest {
    Manifest {
        kind: ManifestKind::Version(VersionName::Null),
        bucket: BucketId::new(1),
        key: format!("key-{}", write.counter),
        write,
        order: order(write.counter),
        version: order(write.counter),
        map_version: MapVersion::new(1),
        created_ms: 0,
        len,
        etag: ETag::default(),
        geometry: Geometry::new(2, 1).unwrap(),
        body,
        checksum: None,
        metadata: Metadata::default(),
    }
}

pub fn inline_record(write: WriteId, len: usize) -> EncodedRecord {
    let body = body(write, 0, len);
    let manifest = manifest(write, len as u64, Body::Inline);
    Record::Commit { manifest, body }.encode(CLUSTER)
}

pub fn coded_record(write: WriteId, len: u64) -> EncodedRecord {
    let body = Body::Coded {
        drives: vec![DRIVE; 3],
        digests: vec![0; 3],
    };
    let manifest = manifest(write, len, body);
    let body = Bytes::new();
    Record::Commit { manifest, body }.encode(CLUSTER)
}

pub fn tombstone(write: WriteId) -> EncodedRecord {
    Record::Tombstone {
        write,
        order: order(write.counter),
        bucket: BucketId::new(1),
        key: "gone".to_owned(),
        target: TombstoneTarget::Null,
    }
    .encode(CLUSTER)
}

/// A shard: its cells, and what seals it.
#[derive(Clone, Debug)]
pub struct Shard {
    pub write: WriteId,
    pub index: u8,
    pub cells: Vec<Cell>,
}

impl Shard {
    /// Cells of the given lengths.
    pub fn new(write: WriteId, index: u8, cell_lens: &[usize]) -> Self {
        let total: usize = cell_lens.iter().sum();
        let mut bytes = body(write, index + 1, total);
        let cells = cell_lens.iter().enumerate().map(|(stripe, len)| {
            let bytes = bytes.split_to(*len);
            let checksums = bytes
                .chunks(BLOCK_LEN as usize)
                .enumerate()
                .map(|(block, part)| {
                    let identity = BlockIdentity {
                        cluster: CLUSTER,
                        write,
                        shard: index,
                        stripe: stripe as u32,
                        block: block as u16,
                    };
                    block_checksum(identity, part)
                })
                .collect();
            Cell {
                stripe: stripe as u32,
                checksums,
                bytes,
            }
        });
        Self {
            write,
            index,
            cells: cells.collect(),
        }
    }

    pub fn len(&self) -> u64 {
        self.cells.iter().map(|cell| cell.bytes.len() as u64).sum()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.cells
            .iter()
            .flat_map(|cell| cell.bytes.to_vec())
            .collect()
    }

    pub fn digest(&self) -> u64 {
        let sums = self.cells.iter().flat_map(|cell| &cell.checksums);
        let bytes: Vec<u8> = sums.flat_map(|sum| sum.to_le_bytes()).collect();
        crc64(&bytes)
    }

    pub fn seal(&self, last: Option<Cell>) -> SealShard {
        SealShard {
            shard: self.index,
            len: self.len(),
            stripe_count: self.cells.len() as u32,
            digest: self.digest(),
            last,
        }
    }

    pub fn spans(&self) -> Vec<BlockSpan> {
        let spans = self.cells.iter().map(|cell| BlockSpan {
            stripe: cell.stripe,
            first_block: 0,
            block_count: cell.checksums.len() as u16,
        });
        spans.collect()
    }
}

pub fn call(generation: u32, request: DriveRequest) -> DriveCall {
    DriveCall {
        drive: DRIVE,
        index: INDEX,
        generation: Generation::new(generation),
        map_version: MapVersion::new(1),
        deadline_ms: 60_000,
        request,
    }
}

/// A drive, spoken to as generation 1 of [`INDEX`].
pub async fn ask(drive: &Drive, request: DriveRequest) -> Result<DriveReply, DriveError> {
    drive.call(call(1, request)).await
}

pub async fn claim(
    drive: &Drive,
    generation: u32,
    claimant: u128,
) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Claim {
        generation: Generation::new(generation),
        claimant: ClaimantId::new(claimant),
        takeover: false,
    };
    drive.call(call(generation, request)).await
}

pub async fn stage(drive: &Drive, shard: &Shard, cell: usize) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Stage {
        write: shard.write,
        shard: shard.index,
        len_hint: None,
        admitted: Order::ZERO,
        cell: shard.cells[cell].clone(),
    };
    ask(drive, request).await
}

pub async fn seal(
    drive: &Drive,
    record: EncodedRecord,
    shard: Option<SealShard>,
) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Seal {
        admitted: Order::ZERO,
        record,
        shard,
    };
    ask(drive, request).await
}

/// Stages all cells but the last and seals with it.
pub async fn put(drive: &Drive, shard: &Shard) -> Result<DriveReply, DriveError> {
    let last = shard.cells.len() - 1;
    for cell in 0..last {
        stage(drive, shard, cell).await?;
    }
    let record = coded_record(shard.write, 2 * shard.len());
    seal(
        drive,
        record,
        Some(shard.seal(Some(shard.cells[last].clone()))),
    )
    .await
}

pub async fn read_all(drive: &Drive, shard: &Shard) -> Result<Vec<u8>, DriveError> {
    let request = DriveRequest::Read {
        write: shard.write,
        shard: shard.index,
        spans: shard.spans(),
    };
    match ask(drive, request).await? {
        DriveReply::Blocks { pieces } => {
            let sums: Vec<u64> = pieces.iter().flat_map(|p| p.checksums.clone()).collect();
            let expected = shard.cells.iter().flat_map(|cell| cell.checksums.clone());
            assert_eq!(sums, expected.collect::<Vec<_>>());
            Ok(pieces.iter().flat_map(|p| p.bytes.to_vec()).collect())
        }
        reply => panic!("{reply:?}"),
    }
}

pub async fn read_record(drive: &Drive, write: WriteId) -> Result<EncodedRecord, DriveError> {
    let request = DriveRequest::ReadRecord {
        write,
        with_body: true,
    };
    match ask(drive, request).await? {
        DriveReply::Record { record, .. } => Ok(record),
        reply => panic!("{reply:?}"),
    }
}

pub async fn inventory(drive: &Drive) -> Vec<InventoryEntry> {
    let mut all: Vec<InventoryEntry> = Vec::new();
    loop {
        let request = DriveRequest::Inventory {
            after: all.last().map(|entry| entry.write),
            min_order: Order::ZERO,
            kind: None,
            limit: 3,
        };
        match ask(drive, request).await {
            Ok(DriveReply::Inventory { entries, more }) => {
                all.extend(entries);
                if !more {
                    return all;
                }
            }
            reply => panic!("{reply:?}"),
        }
    }
}
