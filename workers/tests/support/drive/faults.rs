//! How a drive in memory is made to fail.

use std::time::Duration;

use bytes::Bytes;
use holdfast_protocol::rpc::{DriveError, DriveRequest, LogPosition};
use holdfast_protocol::{EncodedRecord, LogId, RecordKind, WriteId};

use super::{MemoryDrive, State};

/// What becomes of tombstones that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    #[default]
    Taken,
    /// They wait.
    Held,
    Refused,
}

impl State {
    pub(super) fn refuses_tombstone(&self, kind: RecordKind) -> bool {
        kind == RecordKind::Tombstone && self.tombstones == Tombstones::Refused
    }
}

impl MemoryDrive {
    /// It does not answer, or does again.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }
    /// Its medium cannot be read, or can again.
    pub fn set_unreadable(&self, is_unreadable: bool) {
        self.state().is_unreadable = is_unreadable;
    }
    /// It grants no claim and takes nothing, as after a sync that failed, or does again.
    pub fn set_out_of_service(&self, is_so: bool) {
        self.state().is_out_of_service = is_so;
    }
    /// Reads of blocks take so long.
    pub fn set_slow(&self, slow: Duration) {
        self.state().slow = slow;
    }
    /// Loses one write, and says nothing.
    pub fn lose(&self, write: WriteId) {
        self.state().rows.remove(&write);
    }
    /// Flips a bit of a sealed shard, or of a body that is in its record.
    pub fn rot(&self, write: WriteId) {
        let mut state = self.state();
        let row = state.rows.get_mut(&write).expect("sealed here");
        let Some(shard) = row.shard.as_mut() else {
            let mut body = row.record.body.to_vec();
            body[0] ^= 1;
            row.record.body = Bytes::from(body);
            return;
        };
        shard.is_rotten = true;
        let mut bytes = shard.cells[0].bytes.to_vec();
        bytes[0] ^= 1;
        shard.cells[0].bytes = Bytes::from(bytes);
    }
    /// A record can no longer be read.
    pub fn damage(&self, write: WriteId) {
        let mut state = self.state();
        let row = state.rows.get_mut(&write).expect("sealed here");
        row.is_damaged = true;
    }
    /// It finds by itself that a record can no longer be read.
    pub fn find_damage(&self, write: WriteId) {
        self.damage(write);
        self.state().found += 1;
    }
    /// It lost entries of its log, and knows it; `shows` are records of which it forgot that they
    /// were purged.
    pub fn lose_log(&self, shows: &[EncodedRecord]) {
        {
            let mut state = self.state();
            state.is_partial = true;
            state.purged.clear();
            state.log = LogPosition {
                log: LogId::new(state.log.log.get() + 1),
                batch: 0,
            };
        }
        shows.iter().for_each(|record| self.plant(record, None));
    }
    /// Whether it lost entries of its log, and was not compared whole since.
    pub fn is_partial(&self) -> bool {
        self.state().is_partial
    }
    /// What it holds of a write.
    pub fn record_of(&self, write: WriteId) -> EncodedRecord {
        self.state().rows[&write].record.clone()
    }
    /// So many seals are refused.
    pub fn fail_seals(&self, count: u32) {
        self.state().seals_to_fail = count;
    }
    /// What reads its medium waits until it may go on.
    pub fn hold_reads(&self, is_held: bool) {
        self.state().reads_nothing = is_held;
    }
    /// What reads a write from its medium is never answered, or is again.
    /// The sectors of a write cannot be read from now on.
    pub fn spoil(&self, write: WriteId) {
        self.state().spoiled.insert(write);
    }
    pub fn hang_reads_of(&self, write: WriteId, is_hung: bool) {
        let hung = &mut self.state().hung;
        match is_hung {
            true => hung.insert(write),
            false => hung.remove(&write),
        };
    }
    /// Inventories are not answered until they may be.
    pub fn hold_lists(&self, is_held: bool) {
        self.state().lists_nothing = is_held;
    }
    /// What is to be written waits until it may be.
    pub fn hold_writes(&self, is_held: bool) {
        self.state().writes_nothing = is_held;
    }
    /// Only what deletes is refused, or waits until it may go on.
    pub fn set_tombstones(&self, tombstones: Tombstones) {
        self.state().tombstones = tombstones;
    }
    /// Calls that wait for that.
    pub fn held_writes(&self) -> usize {
        self.state().held_writes
    }
    /// Whether it was asked for a record since [`MemoryDrive::forget_asked`].
    pub fn was_asked(&self, write: WriteId) -> bool {
        self.state().asked.contains(&write)
    }
    pub fn forget_asked(&self) {
        self.state().asked.clear();
    }

    /// Shards that it verified.
    pub fn verified(&self) -> u64 {
        self.state().verified
    }

    /// Makes a call wait that is held up, and remembers what it asks for.
    pub(super) async fn held(&self, request: &DriveRequest) {
        let is_held: fn(&State) -> bool = match request {
            DriveRequest::Inventory { .. } => |state| state.lists_nothing,
            DriveRequest::Seal { record, .. } if self.is_tombstone(record) => {
                |state| state.writes_nothing || state.tombstones == Tombstones::Held
            }
            DriveRequest::Stage { .. } | DriveRequest::Seal { .. } => |state| state.writes_nothing,
            DriveRequest::ReadRecord { write, .. } => {
                self.state().asked.insert(*write);
                |state| state.reads_nothing
            }
            DriveRequest::Read { .. } | DriveRequest::Verify { .. } => |state| state.reads_nothing,
            _ => return,
        };
        let is_write = matches!(
            request,
            DriveRequest::Stage { .. } | DriveRequest::Seal { .. }
        );
        if let DriveRequest::ReadRecord { write, .. }
        | DriveRequest::Read { write, .. }
        | DriveRequest::Verify { write, .. } = request
        {
            while self.state().hung.contains(write) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.state().held_writes += usize::from(is_write);
        while is_held(&self.state()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.state().held_writes -= usize::from(is_write);
    }

    fn is_tombstone(&self, record: &EncodedRecord) -> bool {
        let head = record.verify(self.cluster);
        head.is_ok_and(|head| head.kind == RecordKind::Tombstone)
    }

    pub(super) fn readable(state: &State, request: &DriveRequest) -> Result<(), DriveError> {
        let reads = matches!(
            request,
            DriveRequest::Read { .. }
                | DriveRequest::ReadRecord { .. }
                | DriveRequest::Verify { .. }
        );
        match state.is_unreadable && reads {
            true => Err(DriveError::Io {
                what: "made to be unreadable".to_owned(),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn in_service(state: &State, request: &DriveRequest) -> Result<(), DriveError> {
        let writes = matches!(
            request,
            DriveRequest::Claim { .. }
                | DriveRequest::Stage { .. }
                | DriveRequest::Seal { .. }
                | DriveRequest::Purge { .. }
                | DriveRequest::Leave { .. }
        );
        match state.is_out_of_service && writes {
            true => Err(DriveError::OutOfService {
                why: "made to be".to_owned(),
            }),
            false => Ok(()),
        }
    }
}
