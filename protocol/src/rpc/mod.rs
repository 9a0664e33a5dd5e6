//! What is asked of a drive and what it answers.
//!
//! Owns: the messages between store or workers and shard nodes, the same in process and over a
//! network.
//! Leaves to others: frames, handshake and byte forms ([`wire`], [`frame`], [`handshake`]);
//! transport (`seam`); what a drive does (`shard-node`).
//! Always: each call carries the generation and the index it serves, so that a drive can refuse an
//! old one.

pub mod control;
pub mod frame;
pub mod handshake;
pub mod wire;

use std::time::Duration;

use bytes::Bytes;

use crate::ids::{
    ClaimantId, ClusterId, DriveId, Generation, IndexId, LogId, MapVersion, MovedWrite, Order,
    WriteId,
};
use crate::record::{EncodedRecord, RecordKind};

/// One request to one drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveCall {
    /// The drive asked; the node refuses one it does not serve.
    pub drive: DriveId,
    /// The index that the caller serves.
    pub index: IndexId,
    /// The generation that the caller serves under.
    pub generation: Generation,
    /// The caller's cluster map.
    pub map_version: MapVersion,
    /// How long the caller waits, in milliseconds.
    pub deadline_ms: u32,
    /// What is asked.
    pub request: DriveRequest,
}

/// A cell of one shard, with one checksum per block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index of the stripe; cells of a shard arrive in order, from 0.
    pub stripe: u32,
    /// One per block of [`crate::BLOCK_LEN`], bound to their identity.
    pub checksums: Vec<u64>,
    /// The bytes.
    pub bytes: Bytes,
}

/// The shard that a [`DriveRequest::Seal`] completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealShard {
    /// Its index within the geometry.
    pub shard: u8,
    /// Its length in bytes, all cells.
    pub len: u64,
    /// How many cells it has.
    pub stripe_count: u32,
    /// CRC-64 over all its block checksums, as in the manifest.
    pub digest: u64,
    /// Its last cell, when not staged before.
    pub last: Option<Cell>,
}

/// Blocks of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpan {
    /// Index of the stripe.
    pub stripe: u32,
    /// First block within the cell.
    pub first_block: u16,
    /// How many; the span may not leave the cell.
    pub block_count: u16,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveRequest {
    /// Keep a cell; not durable until sealed. Answer: `Done`.
    Stage {
        /// The write.
        write: WriteId,
        /// The shard's index.
        shard: u8,
        /// Length of the whole shard, if known: lets the drive place it in one piece.
        len_hint: Option<u64>,
        /// As in `Seal`.
        admitted: Order,
        /// The cell.
        cell: Cell,
    },
    /// Make a record, and the shard it belongs to, durable. Answer: `Sealed`, after which both
    /// survive power loss. Sealing the same record (and shard) again is answered alike.
    Seal {
        /// The order of the change by which the drive became a target of a write that is there
        /// already; what left the drive before that does not count. `ZERO` from the writer itself.
        admitted: Order,
        /// The record.
        record: EncodedRecord,
        /// The shard, when the record has a coded body.
        shard: Option<SealShard>,
    },
    /// Drop what was staged for a write that will not be sealed. Answer: `Done`.
    Discard {
        /// The write.
        write: WriteId,
    },
    /// Read blocks of a sealed shard. Answer: `Blocks`, one piece per span, in order.
    Read {
        /// The write.
        write: WriteId,
        /// The shard's index.
        shard: u8,
        /// What to read.
        spans: Vec<BlockSpan>,
    },
    /// Read a record. Answer: `Record`.
    ReadRecord {
        /// The write.
        write: WriteId,
        /// Whether the body is wanted too; without it the answer's body is empty.
        with_body: bool,
    },
    /// Durably drop records and shards of these writes, and refuse what may still arrive of them
    /// under this generation. Unknown ones are fine. Answer: `Purged`.
    Purge {
        /// The highest order of the changes that retired them.
        order: Order,
        /// The writes.
        writes: Vec<WriteId>,
    },
    /// As `Purge`, for writes that live on elsewhere: drops only what was admitted below the order
    /// of the change by which the write left, and refuses only what comes with an order up to it,
    /// so that the write can return. Answer: `Purged`.
    Leave {
        /// The writes.
        moved: Vec<MovedWrite>,
    },
    /// Entries in ascending write id. Answer: `Inventory`.
    Inventory {
        /// Only writes above this one.
        after: Option<WriteId>,
        /// Only entries of at least this order.
        min_order: Order,
        /// Only this kind.
        kind: Option<RecordKind>,
        /// At most so many (the drive may return fewer).
        limit: u32,
    },
    /// Grant a generation, durably, once, to one claimant. Answer: `Claimed`.
    Claim {
        /// The number claimed; equals the call's generation.
        generation: Generation,
        /// Who claims.
        claimant: ClaimantId,
        /// Accept an index other than the one the drive obeys (an operator's rebuild or takeover).
        takeover: bool,
    },
    /// What the drive is and how it does. Never refused for its generation. Answer: `Status`.
    Status,
    /// Read a sealed shard from the medium and check every block. Answer: `Verified`.
    Verify {
        /// The write.
        write: WriteId,
        /// The shard's index.
        shard: u8,
    },
    /// Lease the drive to the claimant of the generation granted last, from now on; a length of 0
    /// gives the lease back. Answer: `Done`; `OldGeneration` when the generation was granted to
    /// another claimant. Kept in memory: a drive that was opened again counts as leased for
    /// [`LEASE_LEN_MAX`].
    Lease {
        /// Who claimed the call's generation.
        claimant: ClaimantId,
        /// How long, in milliseconds, at most [`LEASE_LEN_MAX`].
        len_ms: u32,
        /// Who that is, for people; at most [`HOLDER_LEN_MAX`] bytes.
        holder: String,
    },
    /// Who leases the drive. Never refused for its generation. Answer: `Leased`.
    LeaseState,
    /// The drive was held against the index since its log got this id: what it had lost is healed,
    /// and what it should not have is gone from it. It is partial no longer, unless it lost more
    /// meanwhile. Answer: `Done`; a crash soon after may forget it.
    Compared {
        /// The log that the drive had when the comparison began.
        log: LogId,
    },
}

/// The longest lease that a drive grants, and what it assumes after it was opened again.
pub const LEASE_LEN_MAX: Duration = Duration::from_secs(15);
/// Longest name of a lease's holder, in bytes.
pub const HOLDER_LEN_MAX: usize = 256;

/// Who leases a drive, as it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// To whom the generation was granted last.
    pub granted: Option<ClaimantId>,
    /// Whose lease has not run out; `None` with time left when the drive was opened again and does
    /// not know.
    pub claimant: Option<ClaimantId>,
    /// The holder's name, for people.
    pub holder: String,
    /// What is left of the lease, in milliseconds; 0 when there is none.
    pub left_ms: u32,
    /// How often it was renewed since the drive was opened, by anyone.
    pub renewals: u64,
}

/// A place in a drive's log, so that a lost end can be noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The log.
    pub log: LogId,
    /// The batch within it.
    pub batch: u64,
}

/// Blocks that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes of all blocks of the span.
    pub bytes: Bytes,
    /// Their checksums, as stored; the caller verifies.
    pub checksums: Vec<u64>,
}

/// One write that a drive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InventoryEntry {
    /// The write.
    pub write: WriteId,
    /// Its order.
    pub order: Order,
    /// Kind of its record.
    pub kind: RecordKind,
    /// The sealed shard, if it has one: index and digest.
    pub shard: Option<(u8, u64)>,
    /// Whether record or shard are known to be damaged.
    pub damaged: bool,
}

/// What a drive is and how it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveStatus {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The drive.
    pub drive: DriveId,
    /// The highest generation granted.
    pub generation: Generation,
    /// The index it obeys; `None` before the first claim.
    pub index: Option<IndexId>,
    /// End of its log.
    pub end: LogPosition,
    /// Whether it takes new shards.
    pub writable: bool,
    /// Why it is out of service for writes, if it is.
    pub trouble: Option<String>,
    /// Bytes of sealed and staged shards, records included.
    pub used_bytes: u64,
    /// Bytes that new shards may still take.
    pub free_bytes: u64,
    /// Sealed writes it holds.
    pub records: u64,
    /// Data syncs since it was opened.
    pub syncs: u64,
    /// The highest order of a change that it was told of and that no record says: a purge, a move
    /// away, an admission. All of them are below the settled mark of the index that told them.
    pub told: Order,
    /// Whether it lost entries of its log, and was not compared whole since: it may lack what it
    /// had, and show what it had purged.
    pub partial: bool,
    /// Entries that it found damaged by itself since it was opened: no caller was told of them, but
    /// its inventory says so.
    pub found: u64,
}

/// What a drive answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveReply {
    /// Done, and nothing to say.
    Done,
    /// Record and shard are durable.
    Sealed {
        /// Where.
        position: LogPosition,
    },
    /// The blocks.
    Blocks {
        /// One per span.
        pieces: Vec<Piece>,
    },
    /// The record.
    Record {
        /// Head, and body if wanted.
        record: EncodedRecord,
        /// The sealed shard that goes with it, if any: index and digest.
        shard: Option<(u8, u64)>,
    },
    /// Gone, durably.
    Purged {
        /// Where the log says so.
        position: LogPosition,
    },
    /// What it holds.
    Inventory {
        /// In ascending write id.
        entries: Vec<InventoryEntry>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// The generation is the claimant's.
    Claimed,
    /// What it is.
    Status(DriveStatus),
    /// What reading it showed.
    Verified {
        /// Blocks that fail their checksum or cannot be read: (stripe, block), at most 1,024 of
        /// them.
        bad: Vec<(u32, u16)>,
        /// Blocks checked.
        blocks: u64,
    },
    /// Who leases it.
    Leased(LeaseView),
}

/// Why a drive did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// It holds no such write or shard.
    #[error("not on this drive")]
    NotFound,
    /// What it holds fails its checksum.
    #[error("damaged: {what}")]
    Damaged {
        /// What fails.
        what: String,
    },
    /// What arrived fails its checksum.
    #[error("arrived damaged: {what}")]
    Arrived {
        /// What fails.
        what: String,
    },
    /// Below the reserve: no new shards.
    #[error("drive full")]
    Full,
    /// Out of service for writes after a failed sync or write.
    #[error("out of service for writes: {why}")]
    OutOfService {
        /// What failed.
        why: String,
    },
    /// The caller serves an older generation than the drive granted.
    #[error("generation {current} was granted since")]
    OldGeneration {
        /// What was granted.
        current: Generation,
    },
    /// The drive obeys another index.
    #[error("the drive obeys index {current}")]
    OtherIndex {
        /// Which.
        current: IndexId,
    },
    /// The write was purged, or left the drive later than this was admitted.
    #[error("the write was purged")]
    Purged,
    /// The node does not serve this drive.
    #[error("no such drive on this node")]
    NoSuchDrive,
    /// The request breaks a rule (length, order of cells, digest).
    #[error("bad request: {what}")]
    BadRequest {
        /// Which.
        what: String,
    },
    /// Too much is waiting.
    #[error("too many requests waiting")]
    Busy,
    /// An input or output error of the medium.
    #[error("drive I/O: {what}")]
    Io {
        /// What failed, with the system's words.
        what: String,
    },
    /// No answer within the deadline. The request may still take effect.
    #[error("no answer in time")]
    TimedOut,
    /// The node cannot be reached; a request that was sent may have taken effect.
    #[error("not reachable: {why}")]
    Unreachable {
        /// What failed.
        why: String,
    },
}
