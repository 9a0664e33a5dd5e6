//! The values behind the golden files of node RPC. They never change either.

use bytes::Bytes;
use holdfast_protocol::ids::{
    ClaimantId, ClusterId, DriveId, Generation, IndexId, LogId, MapVersion, MovedWrite, NodeId,
    Order,
};
use holdfast_protocol::record::RecordKind;
use holdfast_protocol::rpc::control::{
    Assignment, ControlCall, ControlReply, DriveHealth, DriveReport,
};
use holdfast_protocol::rpc::wire::DriveAnswer;
use holdfast_protocol::rpc::{
    BlockSpan, Cell, DriveCall, DriveError, DriveReply, DriveRequest, DriveStatus, InventoryEntry,
    LeaseView, LogPosition, Piece, SealShard,
};

use crate::samples::{CLUSTER, order, records, write};

fn cell(stripe: u32, bytes: &'static [u8]) -> Cell {
    Cell {
        stripe,
        checksums: vec![0x0102_0304_0506_0708],
        bytes: Bytes::from_static(bytes),
    }
}

/// Requests that bring bytes.
fn writing(id: holdfast_protocol::WriteId) -> Vec<DriveRequest> {
    let small = records()[0].encode(CLUSTER);
    let coded = records()[1].encode(CLUSTER);
    let shard = |last| SealShard {
        shard: 5,
        len: 262_144 * 2 + 64,
        stripe_count: 3,
        digest: 0xdead_beef,
        last,
    };
    vec![
        DriveRequest::Stage {
            write: id,
            shard: 5,
            len_hint: Some(524_352),
            admitted: order(7),
            cell: cell(2, b"a cell"),
        },
        DriveRequest::Seal {
            admitted: Order::ZERO,
            record: small,
            shard: None,
        },
        DriveRequest::Seal {
            admitted: Order::ZERO,
            record: coded.clone(),
            shard: Some(shard(None)),
        },
        DriveRequest::Seal {
            admitted: order(7),
            record: coded,
            shard: Some(shard(Some(cell(2, b"the last cell")))),
        },
    ]
}

fn requests() -> Vec<DriveRequest> {
    let (first, id) = (write(1), write(9));
    let mut requests = writing(id);
    requests.extend([
        DriveRequest::Discard { write: id },
        DriveRequest::Read {
            write: id,
            shard: 5,
            spans: vec![BlockSpan {
                stripe: 1,
                first_block: 2,
                block_count: 2,
            }],
        },
        DriveRequest::ReadRecord {
            write: id,
            with_body: true,
        },
        DriveRequest::Purge {
            order: order(3),
            writes: vec![first, id],
        },
        DriveRequest::Leave {
            moved: vec![MovedWrite {
                write: first,
                order: order(2),
            }],
        },
        DriveRequest::Inventory {
            after: Some(first),
            min_order: order(3),
            kind: Some(RecordKind::Tombstone),
            limit: 1000,
        },
        DriveRequest::Claim {
            generation: Generation::new(3),
            claimant: ClaimantId::new(0xc1a1),
            takeover: true,
        },
        DriveRequest::Status,
        DriveRequest::Verify {
            write: id,
            shard: 5,
        },
    ]);
    requests
}

pub fn calls() -> Vec<DriveCall> {
    requests().into_iter().map(call).collect()
}

fn call(request: DriveRequest) -> DriveCall {
    DriveCall {
        drive: DriveId::new(0xd1),
        index: IndexId::new(0x1d),
        generation: Generation::new(2),
        map_version: MapVersion::new(3),
        deadline_ms: 15_000,
        request,
    }
}

/// Calls about leases, which came later than the others.
pub fn lease_calls() -> Vec<DriveCall> {
    let lease = |len_ms, holder: &str| DriveRequest::Lease {
        claimant: ClaimantId::new(0xc1a1),
        len_ms,
        holder: holder.to_owned(),
    };
    let requests = [
        lease(10_000, "gateway 7 (gw-1, pid 12, s3 127.0.0.1:9000)"),
        lease(0, ""),
        DriveRequest::LeaseState,
    ];
    requests.into_iter().map(call).collect()
}

/// Calls about comparisons, which came later still.
pub fn compare_calls() -> Vec<DriveCall> {
    let log = LogId::new(0x106);
    vec![call(DriveRequest::Compared { log })]
}

/// Answers about leases.
pub fn lease_answers() -> Vec<DriveAnswer> {
    let known = LeaseView {
        granted: Some(ClaimantId::new(2)),
        claimant: Some(ClaimantId::new(1)),
        holder: "gateway 7".to_owned(),
        left_ms: 4321,
        renewals: 12,
    };
    let unknown = LeaseView {
        granted: Some(ClaimantId::new(2)),
        left_ms: 15_000,
        ..LeaseView::default()
    };
    let views = [known, unknown, LeaseView::default()];
    views.into_iter().map(DriveReply::Leased).map(Ok).collect()
}

fn position() -> LogPosition {
    LogPosition {
        log: LogId::new(0x106),
        batch: 42,
    }
}

fn replies() -> Vec<DriveReply> {
    let status = |index, trouble: Option<&str>| DriveStatus {
        cluster: CLUSTER,
        drive: DriveId::new(0xd1),
        generation: Generation::new(2),
        index,
        end: position(),
        writable: trouble.is_none(),
        trouble: trouble.map(str::to_owned),
        used_bytes: 1,
        free_bytes: 2,
        records: 3,
        syncs: 4,
        told: order(5),
        partial: index.is_none(),
        found: 6,
    };
    let entry = |shard, damaged| InventoryEntry {
        write: write(9),
        order: order(10),
        kind: RecordKind::Commit,
        shard,
        damaged,
    };
    let piece = |bytes: &'static [u8]| Piece {
        bytes: Bytes::from_static(bytes),
        checksums: vec![1, 2],
    };
    vec![
        DriveReply::Done,
        DriveReply::Sealed {
            position: position(),
        },
        DriveReply::Blocks {
            pieces: vec![piece(b"first"), piece(b""), piece(b"third")],
        },
        DriveReply::Record {
            record: records()[0].encode(CLUSTER),
            shard: None,
        },
        DriveReply::Record {
            record: records()[1].encode(CLUSTER),
            shard: Some((5, 0xdead_beef)),
        },
        DriveReply::Purged {
            position: position(),
        },
        DriveReply::Inventory {
            entries: vec![entry(None, false), entry(Some((5, 6)), true)],
            more: true,
        },
        DriveReply::Claimed,
        DriveReply::Status(status(None, None)),
        DriveReply::Status(status(Some(IndexId::new(0x1d)), Some("sync failed"))),
        DriveReply::Verified {
            bad: vec![(1, 2), (3, 4)],
            blocks: 12,
        },
    ]
}

fn errors() -> Vec<DriveError> {
    let text = || "wörds".to_owned();
    vec![
        DriveError::NotFound,
        DriveError::Damaged { what: text() },
        DriveError::Arrived { what: text() },
        DriveError::Full,
        DriveError::OutOfService { why: text() },
        DriveError::OldGeneration {
            current: Generation::new(7),
        },
        DriveError::OtherIndex {
            current: IndexId::new(8),
        },
        DriveError::Purged,
        DriveError::NoSuchDrive,
        DriveError::BadRequest { what: text() },
        DriveError::Busy,
        DriveError::Io { what: text() },
        DriveError::TimedOut,
        DriveError::Unreachable { why: text() },
    ]
}

pub fn answers() -> Vec<DriveAnswer> {
    let replies = replies().into_iter().map(Ok);
    replies.chain(errors().into_iter().map(Err)).collect()
}

pub fn control_calls() -> Vec<ControlCall> {
    let report = |drive: Option<u64>, error: Option<&str>| DriveReport {
        drive: drive.map(DriveId::new),
        label: "/data/0".to_owned(),
        used_bytes: 1,
        free_bytes: 2,
        error: error.map(str::to_owned),
    };
    let register = |cluster, drives| ControlCall::Register {
        node: NodeId::new(0xa0),
        listen: "10.0.0.1:7000".to_owned(),
        cluster,
        drives,
    };
    vec![
        register(None, vec![report(None, None)]),
        register(
            Some(ClusterId::new(5)),
            vec![report(Some(1), None), report(None, Some("not empty"))],
        ),
        ControlCall::Heartbeat {
            node: NodeId::new(0xa0),
            drives: vec![DriveHealth {
                drive: DriveId::new(1),
                used_bytes: 1,
                free_bytes: 2,
                writable: false,
                trouble: Some("sync failed".to_owned()),
            }],
        },
    ]
}

pub fn control_replies() -> Vec<ControlReply> {
    vec![
        ControlReply::Registered {
            cluster: CLUSTER,
            drives: vec![
                Assignment::Keep,
                Assignment::Format {
                    drive: DriveId::new(2),
                },
                Assignment::Refuse {
                    why: "another cluster".to_owned(),
                },
            ],
        },
        ControlReply::HeartbeatAck {
            register_again: true,
        },
        ControlReply::Refused {
            why: "no".to_owned(),
        },
    ]
}
