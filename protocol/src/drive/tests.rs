//! Facts about the byte forms of a drive.
//!
//! Goal: version 1 stays readable, and nothing that is damaged, cut or impossible is taken for
//! valid. Method: golden files, and every byte flipped or missing.

use std::path::PathBuf;

use super::log::{BATCH_HEADER_LEN, ENTRY_ALIGN};
use super::*;
use crate::checksum::crc64;
use crate::ids::*;
use crate::record::RecordKind;

fn write(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(0x0a0b_0c0d),
        gateway_epoch: 3,
        counter,
    }
}

fn order(sequence: u64) -> Order {
    Order {
        generation: Generation::new(2),
        sequence,
    }
}

fn superblock() -> Superblock {
    Superblock {
        cluster: ClusterId::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        drive: DriveId::new(0x0102_0304_0506_0708),
        arena_len: 256 << 30,
        chunk_len: 4 << 20,
        created_ms: 1_795_000_000_000,
    }
}

fn seal(shard: bool, spill: bool) -> SealEntry {
    let extents = vec![Extent { page: 77, count: 2 }, Extent { page: 90, count: 1 }];
    SealEntry {
        write: write(9),
        order: order(41),
        admitted: if spill { order(44) } else { Order::ZERO },
        kind: RecordKind::Commit,
        damaged: spill,
        head_len: 5,
        body_len: 3,
        shard: shard.then_some(ShardEntry {
            index: 4,
            len: 8256,
            stripe_count: 2,
            cell_len: 8192,
            block_count: 2,
            digest: 0xfeed,
            extents,
        }),
        spill: match spill {
            true => vec![Extent { page: 5, count: 1 }],
            false => Vec::new(),
        },
    }
}

fn entries() -> Vec<Entry> {
    vec![
        Entry::Seal(seal(false, false)),
        Entry::Seal(seal(true, false)),
        Entry::Seal(seal(true, true)),
        Entry::Purge {
            order: order(5),
            writes: vec![write(1), write(2)],
        },
        Entry::Claim(ClaimEntry {
            generation: Generation::new(8),
            claimant: ClaimantId::new(9),
            index: IndexId::new(10),
        }),
        Entry::Leave(vec![moved(1, 42), moved(2, 43)]),
    ]
}

fn moved(counter: u64, sequence: u64) -> MovedWrite {
    MovedWrite {
        write: write(counter),
        order: order(sequence),
    }
}

/// A batch with every kind of entry; the tails are counted bytes.
fn batch() -> Vec<u8> {
    let (log, number) = (LogId::new(0x10c), 12);
    let mut body = Vec::new();
    for entry in entries() {
        let start = body.len();
        body.extend(entry.encode(log, number));
        let end = start + entry.padded_len();
        while body.len() < end {
            body.push((body.len() - start) as u8);
        }
    }
    let header = BatchHeader {
        log,
        batch: number,
        chunk: 3,
        next_chunk: 1025,
        len: (BATCH_HEADER_LEN + body.len()) as u32,
        count: entries().len() as u32,
        body_checksum: crc64(&body),
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(PAGE_LEN as usize), 0);
    bytes
}

fn mark() -> LogMark {
    LogMark {
        log: LogId::new(0x10c),
        chunk: 3,
        batch: 12,
    }
}

fn checkpoint() -> Checkpoint {
    let entry = |counter, extents: Vec<Extent>| TableEntry {
        write: write(counter),
        order: order(counter),
        admitted: if counter == 2 { order(50) } else { Order::ZERO },
        kind: RecordKind::Commit,
        damaged: counter == 2,
        shard: (!extents.is_empty()).then_some((1, 0xabcd)),
        address: counter * 4096 + 64,
        len: 512,
        extents,
    };
    Checkpoint {
        cluster: superblock().cluster,
        drive: superblock().drive,
        sequence: 6,
        log: LogId::new(0x10c),
        next_batch: 13,
        used: 8192,
        last_batch: 4096,
        next_chunk: 1025,
        chunks: vec![
            ChunkInfo {
                page: 2049,
                number: 1,
            },
            ChunkInfo { page: 1, number: 3 },
        ],
        grant: Some(Grant {
            generation: Generation::new(8),
            claimant: ClaimantId::new(9),
            index: IndexId::new(10),
        }),
        purged: vec![WriteRange {
            gateway: GatewayId::new(1),
            gateway_epoch: 2,
            first: 3,
            last: 4,
        }],
        moved: vec![moved(2, 43)],
        told: order(44),
        partial: true,
        frontier: 4096,
        entries: vec![
            entry(1, Vec::new()),
            entry(
                2,
                vec![Extent {
                    page: 3073,
                    count: 9,
                }],
            ),
            entry(
                3,
                vec![
                    Extent {
                        page: 3082,
                        count: 1,
                    },
                    Extent {
                        page: 3090,
                        count: 4,
                    },
                ],
            ),
        ],
    }
}

/// The golden file, which is written only where there is none and `WRITE_GOLDEN` is set.
fn golden(name: &str, now: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if !path.exists() && std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn superblock_v1_golden_file_round_trips() {
    let golden = golden("drive-superblock-v1.bin", &superblock().encode());
    assert_eq!(Superblock::decode(&golden).unwrap(), superblock());
    assert_eq!(superblock().encode(), golden);
}

#[test]
fn checkpoint_v2_golden_file_round_trips() {
    let golden = golden("drive-checkpoint-v2.bin", &checkpoint().encode());
    assert_eq!(Checkpoint::decode(&golden).unwrap(), checkpoint());
    assert_eq!(checkpoint().encode(), golden);
}

#[test]
fn a_checkpoint_of_before_drives_knew_that_they_are_partial_is_read() {
    let golden = golden("drive-checkpoint-v1.bin", &[]);
    let before = Checkpoint {
        partial: false,
        ..checkpoint()
    };
    assert_eq!(Checkpoint::decode(&golden).unwrap(), before);
}

#[test]
fn log_v1_golden_file_round_trips() {
    let golden = golden("drive-log-v1.bin", &batch());
    assert_eq!(batch(), golden);
    let header = BatchHeader::decode(&golden, 1 << 20).unwrap();
    let body = &golden[BATCH_HEADER_LEN..header.len as usize];
    assert_eq!(crc64(body), header.body_checksum);
    let mut rest = body;
    for entry in entries() {
        let head = EntryHead::decode(rest).unwrap();
        assert_eq!(head.entry, entry);
        assert_eq!((head.log, head.batch), (header.log, header.batch));
        assert_eq!(head.padded_len(), entry.padded_len());
        assert_eq!(head.fields_len as usize, entry.fields_len());
        rest = &rest[head.padded_len()..];
    }
    assert!(rest.is_empty());
    assert_eq!(body.len() % ENTRY_ALIGN, 0);
}

#[test]
fn log_mark_v1_golden_file_round_trips() {
    let golden = golden("drive-log-mark-v1.bin", &mark().encode());
    assert_eq!(LogMark::decode(&golden).unwrap(), mark());
    assert_eq!(mark().encode(), *golden);
    assert!(golden.len() as u64 <= PAGE_LEN);
    assert_eq!(LogMark::offset(64 << 10), 60 << 10);
}

#[test]
fn every_flipped_byte_is_noticed() {
    let superblock = superblock().encode();
    let checkpoint = checkpoint().encode();
    let header = batch()[..BATCH_HEADER_LEN].to_vec();
    let mark = mark().encode();
    let entry = Entry::Seal(seal(true, true)).encode(LogId::new(1), 2);
    for at in 0..checkpoint.len() {
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x10;
            }
            bytes
        };
        assert!(Checkpoint::decode(&flip(&checkpoint)).is_err(), "{at}");
        if at < superblock.len() {
            assert!(Superblock::decode(&flip(&superblock)).is_err(), "{at}");
        }
        if at < mark.len() {
            assert!(LogMark::decode(&flip(&mark)).is_err(), "{at}");
        }
        if at < header.len() {
            assert!(
                BatchHeader::decode(&flip(&header), 1 << 20).is_err(),
                "{at}"
            );
        }
        if at < entry.len() {
            assert!(EntryHead::decode(&flip(&entry)).is_err(), "{at}");
        }
    }
}

#[test]
fn a_cut_form_is_an_error() {
    let checkpoint = checkpoint().encode();
    let entry = Entry::Purge {
        order: order(5),
        writes: vec![write(1)],
    };
    let entry = entry.encode(LogId::new(1), 2);
    for len in 0..checkpoint.len() {
        assert!(Checkpoint::decode(&checkpoint[..len]).is_err());
    }
    for len in 0..entry.len() {
        assert!(EntryHead::decode(&entry[..len]).is_err());
    }
    let mark = mark().encode();
    for len in 0..mark.len() {
        assert!(LogMark::decode(&mark[..len]).is_err());
    }
}

#[test]
fn a_newer_version_is_named() {
    let mut bytes = superblock().encode().to_vec();
    bytes[4] = 2;
    let error = Superblock::decode(&bytes).unwrap_err();
    let what = "superblock";
    assert_eq!(error, FormatError::Version { what, version: 2 });
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for (arena_len, chunk_len) in [(1 << 30, 4096), (1 << 30, (4 << 20) + 1), (65536, 1 << 20)] {
        let superblock = Superblock {
            arena_len,
            chunk_len,
            ..superblock()
        };
        assert!(Superblock::decode(&superblock.encode()).is_err());
    }
    let mut seal = seal(true, false);
    if let Some(shard) = &mut seal.shard {
        shard.block_count += 1;
    }
    let bytes = Entry::Seal(seal).encode(LogId::new(1), 1);
    let what = "shard";
    assert_eq!(
        EntryHead::decode(&bytes),
        Err(FormatError::Invalid { what })
    );
    let mut twice = checkpoint();
    twice.entries[1] = twice.entries[0].clone();
    assert!(Checkpoint::decode(&twice.encode()).is_err());
}
