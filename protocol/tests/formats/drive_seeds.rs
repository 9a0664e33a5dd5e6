//! Seeds of the fuzz targets of the drive's formats and the cluster map.

use holdfast_protocol::drive::{
    BatchHeader, Checkpoint, ChunkInfo, ClaimEntry, Entry, Extent, Grant, LogMark, SealEntry,
    ShardEntry, Superblock, TableEntry, WriteRange,
};
use holdfast_protocol::ids::{
    ClaimantId, DriveId, GatewayId, Generation, IndexId, LogId, MapVersion, MovedWrite, NodeId,
};
use holdfast_protocol::map::{ClusterMap, DriveUse, GROUP_COUNT, MapDrive};
use holdfast_protocol::record::RecordKind;
use holdfast_protocol::{Geometry, drive::log::ENTRY_ALIGN};

use crate::golden::seed;
use crate::samples::{CLUSTER, order, write};

const LOG: LogId = LogId::new(0x106);

fn extent(page: u64) -> Extent {
    Extent { page, count: 129 }
}

fn seal(shard: Option<ShardEntry>, spill: Vec<Extent>) -> Entry {
    Entry::Seal(SealEntry {
        write: write(9),
        order: order(10),
        admitted: order(12),
        kind: RecordKind::Commit,
        damaged: false,
        head_len: 300,
        body_len: 5,
        shard,
        spill,
    })
}

fn shard() -> ShardEntry {
    ShardEntry {
        index: 5,
        len: 262_144 * 2 + 64,
        stripe_count: 3,
        cell_len: 262_144,
        block_count: 9,
        digest: 7,
        extents: vec![extent(1000)],
    }
}

fn entries() -> Vec<Entry> {
    vec![
        seal(None, Vec::new()),
        seal(Some(shard()), vec![extent(5)]),
        Entry::Purge {
            order: order(6),
            writes: vec![write(1), write(2)],
        },
        Entry::Claim(ClaimEntry {
            generation: Generation::new(3),
            claimant: ClaimantId::new(4),
            index: IndexId::new(5),
        }),
        Entry::Leave(vec![moved()]),
    ]
}

fn moved() -> MovedWrite {
    MovedWrite {
        write: write(8),
        order: order(11),
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        cluster: CLUSTER,
        drive: DriveId::new(1),
        sequence: 2,
        log: LOG,
        next_batch: 3,
        used: 4096,
        last_batch: 0,
        next_chunk: 4096,
        chunks: vec![ChunkInfo { page: 1, number: 1 }],
        grant: Some(Grant {
            generation: Generation::new(3),
            claimant: ClaimantId::new(4),
            index: IndexId::new(5),
        }),
        purged: vec![WriteRange {
            gateway: GatewayId::new(1),
            gateway_epoch: 2,
            first: 3,
            last: 4,
        }],
        moved: vec![moved()],
        partial: false,
        told: order(13),
        frontier: 9000,
        entries: vec![TableEntry {
            write: write(9),
            order: order(10),
            admitted: order(12),
            kind: RecordKind::Commit,
            damaged: true,
            shard: Some((5, 7)),
            address: 8192,
            len: 40 * ENTRY_ALIGN as u32,
            extents: vec![extent(1000)],
        }],
    }
}

fn map() -> ClusterMap {
    ClusterMap {
        cluster: CLUSTER,
        version: MapVersion::new(1),
        geometry: Geometry::new(1, 1).unwrap(),
        drives: [DriveUse::Active, DriveUse::Draining, DriveUse::Dead]
            .into_iter()
            .zip(1..)
            .map(|(usage, id)| MapDrive {
                id: DriveId::new(id),
                node: NodeId::new(1),
                weight: 3,
                usage,
                is_whole: id != 2,
            })
            .collect(),
        groups: vec![vec![0, 1]; GROUP_COUNT],
    }
}

#[test]
fn seeds_of_the_drive_and_map_formats_exist() {
    let superblock = Superblock {
        cluster: CLUSTER,
        drive: DriveId::new(1),
        arena_len: 1 << 30,
        chunk_len: 1 << 20,
        created_ms: 1_790_000_000_000,
    };
    assert_eq!(
        Superblock::decode(&seed("superblock", 0, &superblock.encode())),
        Ok(superblock)
    );
    let batch = BatchHeader {
        log: LOG,
        batch: 1,
        chunk: 1,
        next_chunk: 256,
        len: 500,
        count: 2,
        body_checksum: 6,
    };
    let found = seed("batch", 0, &batch.encode());
    assert_eq!(BatchHeader::decode(&found, 4096), Ok(batch));
    let mark = LogMark {
        log: LOG,
        chunk: 1,
        batch: 1,
    };
    assert_eq!(LogMark::decode(&seed("mark", 0, &mark.encode())), Ok(mark));
    for (number, entry) in entries().iter().enumerate() {
        seed("entry", number, &entry.encode(LOG, 1));
    }
    seed("checkpoint", 0, &checkpoint().encode());
    let found = seed("map", 0, &map().encode());
    assert_eq!(ClusterMap::decode(&found), Ok(map()));
}
