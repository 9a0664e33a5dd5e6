//! A drive in memory that keeps the contract of `protocol::rpc`, and can be made to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::rpc::{
    BlockSpan, Cell, DriveCall, DriveError, DriveReply, DriveRequest, DriveStatus, InventoryEntry,
    LogPosition, Piece, SealShard,
};
use holdfast_protocol::{
    BLOCK_LEN, ClaimantId, ClusterId, DriveId, EncodedRecord, Generation, IndexId, LogId,
    MovedWrite, Order, RecordHead, RecordKind, WriteId,
};
use holdfast_seam::NodeClient;

mod faults;
mod lease;

pub use faults::Tombstones;

/// A sealed shard.
#[derive(Clone, Debug)]
struct Shard {
    index: u8,
    digest: u64,
    cells: Vec<Cell>,
    is_rotten: bool,
}

#[derive(Clone, Debug)]
struct Row {
    record: EncodedRecord,
    head: RecordHead,
    shard: Option<Shard>,
    is_damaged: bool,
    admitted: Order,
}

#[derive(Debug, Default)]
struct State {
    granted: Option<(Generation, ClaimantId, IndexId)>,
    log: LogPosition,
    rows: BTreeMap<WriteId, Row>,
    /// With the highest order with which a cell of it came.
    staged: BTreeMap<(WriteId, u8), (Order, Vec<Cell>)>,
    /// Up to which order each is refused.
    purged: BTreeMap<WriteId, Order>,
    is_down: bool,
    is_full: bool,
    /// Its medium cannot be read.
    is_unreadable: bool,
    /// Reads of blocks take so long.
    slow: std::time::Duration,
    /// Reads of the medium wait.
    reads_nothing: bool,
    /// Inventories are not answered.
    lists_nothing: bool,
    /// Cells and records wait.
    writes_nothing: bool,
    held_writes: usize,
    /// Of which writes the record was asked for.
    asked: BTreeSet<WriteId>,
    /// Writes whose reads are never answered.
    hung: BTreeSet<WriteId>,
    /// Writes that lie in sectors that cannot be read.
    spoiled: BTreeSet<WriteId>,
    /// Shards that were read from their media to be verified.
    verified: u64,
    /// It refuses to write anything.
    is_out_of_service: bool,
    /// Seals to be refused.
    seals_to_fail: u32,
    tombstones: Tombstones,
    purge_calls: u64,
    told: Order,
    /// It lost entries of its log, and was not compared whole since.
    is_partial: bool,
    /// Entries that it found damaged by itself.
    found: u64,
    lease: Option<(ClaimantId, String, Instant)>,
    renewals: u64,
}

/// A drive in memory.
#[derive(Debug)]
pub struct MemoryDrive {
    pub id: DriveId,
    cluster: ClusterId,
    state: Mutex<State>,
}

impl MemoryDrive {
    pub fn new(id: DriveId, cluster: ClusterId) -> Arc<Self> {
        let state = State {
            log: LogPosition {
                log: LogId::new(id.get() * 100),
                batch: 0,
            },
            ..State::default()
        };
        Arc::new(Self {
            id,
            cluster,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loses everything, its log too.
    pub fn empty(&self) {
        let mut state = self.state();
        state.rows.clear();
        state.staged.clear();
        state.purged.clear();
        state.log = LogPosition {
            log: LogId::new(state.log.log.get() + 1),
            batch: 0,
        };
    }
    pub fn is_damaged(&self, write: WriteId) -> bool {
        self.state()
            .rows
            .get(&write)
            .is_none_or(|row| row.is_damaged)
    }
    pub fn holds(&self, write: WriteId) -> bool {
        self.state().rows.contains_key(&write)
    }
    pub fn writes(&self) -> Vec<WriteId> {
        self.state().rows.keys().copied().collect()
    }
    pub fn generation(&self) -> Generation {
        self.state()
            .granted
            .map(|granted| granted.0)
            .unwrap_or_default()
    }
    pub fn purge_calls(&self) -> u64 {
        self.state().purge_calls
    }
    /// Puts a record on it, past everything.
    pub fn plant(&self, record: &EncodedRecord, shard: Option<(u8, u64)>) {
        let mut state = self.state();
        let head = record.parse_head().expect("a whole record");
        let shard = shard.map(|(index, digest)| Shard {
            index,
            digest,
            cells: Vec::new(),
            is_rotten: false,
        });
        let row = Row {
            record: record.clone(),
            head,
            shard,
            is_damaged: false,
            admitted: Order::ZERO,
        };
        state.rows.insert(head.write, row);
        state.log.batch += 1;
    }

    /// Whether it refuses what comes with that order.
    fn refuses(state: &State, write: WriteId, admitted: Order) -> bool {
        state
            .purged
            .get(&write)
            .is_some_and(|left| admitted <= *left)
    }

    fn seal(
        &self,
        state: &mut State,
        admitted: Order,
        record: EncodedRecord,
        shard: Option<SealShard>,
    ) -> Result<DriveReply, DriveError> {
        let head = record
            .verify(self.cluster)
            .map_err(|e| DriveError::Arrived {
                what: e.to_string(),
            })?;
        if Self::refuses(state, head.write, admitted) {
            return Err(DriveError::Purged);
        }
        let is_refused = state.refuses_tombstone(head.kind);
        if is_refused || state.seals_to_fail > 0 {
            state.seals_to_fail = state.seals_to_fail.saturating_sub(1);
            return Err(DriveError::Io {
                what: "made to fail".to_owned(),
            });
        }
        if let Some(row) = state.rows.get(&head.write).filter(|row| !row.is_damaged)
            && (shard.is_none() || row.shard.is_some())
            && admitted <= row.admitted
        {
            assert_eq!(row.record.head, record.head, "one record per write");
            return Ok(DriveReply::Sealed {
                position: state.log,
            });
        }
        let shard = match shard {
            None => None,
            Some(shard) => {
                let key = (head.write, shard.shard);
                let (_, mut cells) = state.staged.remove(&key).unwrap_or_default();
                cells.extend(shard.last);
                assert_eq!(cells.len(), shard.stripe_count as usize, "all cells came");
                let (index, digest) = (shard.shard, shard.digest);
                Some(Shard {
                    index,
                    digest,
                    cells,
                    is_rotten: false,
                })
            }
        };
        let row = Row {
            record,
            head,
            shard,
            is_damaged: false,
            admitted,
        };
        state.rows.insert(head.write, row);
        state.told = state.told.max(admitted);
        state.log.batch += 1;
        Ok(DriveReply::Sealed {
            position: state.log,
        })
    }

    fn read(
        state: &mut State,
        write: WriteId,
        shard: u8,
        spans: &[BlockSpan],
    ) -> Result<DriveReply, DriveError> {
        let row = state.rows.get_mut(&write).ok_or(DriveError::NotFound)?;
        let kept = row.shard.as_ref().filter(|kept| kept.index == shard);
        let kept = kept.ok_or(DriveError::NotFound)?;
        if kept.is_rotten {
            row.is_damaged = true;
            return Err(DriveError::Damaged {
                what: "rotten".to_owned(),
            });
        }
        let pieces = spans.iter().map(|span| {
            let cell = &kept.cells[span.stripe as usize];
            let first = usize::from(span.first_block);
            let last = first + usize::from(span.block_count);
            let end = (last * BLOCK_LEN as usize).min(cell.bytes.len());
            Piece {
                bytes: cell.bytes.slice(first * BLOCK_LEN as usize..end),
                checksums: cell.checksums[first..last].to_vec(),
            }
        });
        Ok(DriveReply::Blocks {
            pieces: pieces.collect(),
        })
    }

    fn status(&self, state: &State) -> DriveStatus {
        DriveStatus {
            cluster: self.cluster,
            drive: self.id,
            generation: state.granted.map(|granted| granted.0).unwrap_or_default(),
            index: state.granted.map(|granted| granted.2),
            end: state.log,
            writable: !state.is_full && !state.is_out_of_service,
            trouble: None,
            used_bytes: 0,
            free_bytes: 1 << 30,
            records: state.rows.len() as u64,
            syncs: state.log.batch,
            told: state.told,
            partial: state.is_partial,
            found: state.found,
        }
    }

    fn admit(state: &State, call: &DriveCall) -> Result<(), DriveError> {
        let Some((generation, _, index)) = state.granted else {
            return Ok(());
        };
        if call.generation < generation {
            return Err(DriveError::OldGeneration {
                current: generation,
            });
        }
        match call.index == index {
            true => Ok(()),
            false => Err(DriveError::OtherIndex { current: index }),
        }
    }

    fn claim(
        state: &mut State,
        call: &DriveCall,
        claimant: ClaimantId,
        takeover: bool,
    ) -> Result<DriveReply, DriveError> {
        if let Some((current, holder, index)) = state.granted {
            if current > call.generation || (current == call.generation && holder != claimant) {
                return Err(DriveError::OldGeneration { current });
            }
            if index != call.index && !takeover {
                return Err(DriveError::OtherIndex { current: index });
            }
        }
        state.granted = Some((call.generation, claimant, call.index));
        state.purged.clear();
        Ok(DriveReply::Claimed)
    }

    fn purge(state: &mut State, writes: impl Iterator<Item = MovedWrite>) -> DriveReply {
        state.purge_calls += 1;
        for MovedWrite { write, order } in writes {
            if order.sequence < u64::MAX {
                state.told = state.told.max(order);
            }
            let kept = state.rows.get(&write);
            if kept.is_some_and(|row| row.admitted < order) {
                state.rows.remove(&write);
            }
            state
                .staged
                .retain(|(staged, _), (admitted, _)| *staged != write || *admitted >= order);
            let left = state.purged.entry(write).or_default();
            *left = order.max(*left);
        }
        state.log.batch += 1;
        DriveReply::Purged {
            position: state.log,
        }
    }

    fn inventory(
        state: &State,
        after: Option<WriteId>,
        min_order: Order,
        kind: Option<RecordKind>,
        limit: usize,
    ) -> DriveReply {
        let wanted = |row: &&Row| {
            row.head.order >= min_order && kind.is_none_or(|kind| kind == row.head.kind)
        };
        let low = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = state
            .rows
            .range((low, Bound::Unbounded))
            .map(|(_, row)| row);
        let mut entries: Vec<InventoryEntry> = rows
            .filter(wanted)
            .take(limit + 1)
            .map(|row| InventoryEntry {
                write: row.head.write,
                order: row.head.order,
                kind: row.head.kind,
                shard: row.shard.as_ref().map(|shard| (shard.index, shard.digest)),
                damaged: row.is_damaged,
            })
            .collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        DriveReply::Inventory { entries, more }
    }

    fn record(state: &State, write: WriteId, with_body: bool) -> Result<DriveReply, DriveError> {
        let row = state.rows.get(&write).ok_or(DriveError::NotFound)?;
        if state.spoiled.contains(&write) {
            return Err(DriveError::Io {
                what: "unreadable sector".to_owned(),
            });
        }
        if row.is_damaged && row.shard.as_ref().is_none_or(|shard| !shard.is_rotten) {
            return Err(DriveError::Damaged {
                what: "record".to_owned(),
            });
        }
        let mut record = row.record.clone();
        if !with_body {
            record.body = Bytes::new();
        }
        let shard = row.shard.as_ref().map(|shard| (shard.index, shard.digest));
        Ok(DriveReply::Record { record, shard })
    }

    fn serve(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let mut state = self.state();
        if state.is_down {
            return Err(DriveError::Unreachable {
                why: "made to be down".to_owned(),
            });
        }
        Self::in_service(&state, &call.request)?;
        match &call.request {
            DriveRequest::Status => return Ok(DriveReply::Status(self.status(&state))),
            DriveRequest::Claim {
                claimant, takeover, ..
            } => {
                return Self::claim(&mut state, &call, *claimant, *takeover);
            }
            DriveRequest::LeaseState => return Ok(DriveReply::Leased(Self::lease_view(&state))),
            _ => Self::admit(&state, &call)?,
        }
        Self::readable(&state, &call.request)?;
        self.answer(&mut state, call)
    }

    fn answer(&self, state: &mut State, call: DriveCall) -> Result<DriveReply, DriveError> {
        match call.request {
            DriveRequest::Stage {
                write,
                shard,
                admitted,
                cell,
                ..
            } => {
                if Self::refuses(state, write, admitted) {
                    return Err(DriveError::Purged);
                }
                let staged = state.staged.entry((write, shard)).or_default();
                staged.0 = admitted.max(staged.0);
                staged.1.push(cell);
                Ok(DriveReply::Done)
            }
            DriveRequest::Seal {
                admitted,
                record,
                shard,
            } => self.seal(state, admitted, record, shard),
            DriveRequest::Compared { log } => {
                state.is_partial &= state.log.log != log;
                Ok(DriveReply::Done)
            }
            DriveRequest::Discard { write } => {
                state.staged.retain(|(staged, _), _| *staged != write);
                Ok(DriveReply::Done)
            }
            DriveRequest::Read {
                write,
                shard,
                spans,
            } => Self::read(state, write, shard, &spans),
            DriveRequest::ReadRecord { write, with_body } => Self::record(state, write, with_body),
            DriveRequest::Purge { order, writes } => {
                state.told = state.told.max(order);
                let order = Order {
                    generation: Generation::new(u32::MAX),
                    sequence: u64::MAX,
                };
                let gone = writes.into_iter();
                let gone = gone.map(|write| MovedWrite { write, order });
                Ok(Self::purge(state, gone))
            }
            DriveRequest::Leave { moved } => Ok(Self::purge(state, moved.into_iter())),
            DriveRequest::Inventory {
                after,
                min_order,
                kind,
                limit,
            } => {
                let limit = limit as usize;
                Ok(Self::inventory(state, after, min_order, kind, limit))
            }
            DriveRequest::Verify { write, shard } => {
                let row = state.rows.get_mut(&write).ok_or(DriveError::NotFound)?;
                let kept = row.shard.as_ref().filter(|kept| kept.index == shard);
                let is_rotten = kept.ok_or(DriveError::NotFound)?.is_rotten;
                row.is_damaged |= is_rotten;
                state.verified += 1;
                let bad = if is_rotten { vec![(0, 0)] } else { Vec::new() };
                Ok(DriveReply::Verified { bad, blocks: 1 })
            }
            request => Self::lease(state, call.generation, request),
        }
    }
}

#[async_trait]
impl NodeClient for MemoryDrive {
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let slow = self.state().slow;
        self.held(&call.request).await;
        if matches!(call.request, DriveRequest::Read { .. }) && !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        self.serve(call)
    }
}
