//! Entries of the log, read back.
//!
//! Owns: finding an entry and its parts, records, and what damage means to a reader.
//! Leaves to others: blocks ([`super::blocks`]).
//! Always: pages of a write that is being read are not reused; an entry that moved while it was
//! read is read again; a drive's medium is read by `read_threads` threads at most.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use holdfast_protocol::codec::Reader;
use holdfast_protocol::drive::log::FIELDS_LEN_MAX;
use holdfast_protocol::drive::{Entry, EntryHead, SealEntry, TableEntry};
use holdfast_protocol::record;
use holdfast_protocol::rpc::{DriveError, LogPosition};
use holdfast_protocol::{EncodedRecord, FormatError, WriteId};
use holdfast_seam::spawn::blocking;

use super::stage::places;
use super::state::Shared;

/// Bytes read at once to learn where the parts of an entry are.
const PEEK_LEN: u64 = 8 << 10;
/// Bytes that are read without leaving the caller's task, if they are in memory.
const INLINE_LEN: u64 = 512 << 10;
/// Tries before an entry that keeps moving is given up.
pub(crate) const TRIES: u32 = 8;

/// A record as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) record: EncodedRecord,
    pub(crate) shard: Option<(u8, u64)>,
    /// The batch that its entry is in.
    pub(crate) position: LogPosition,
}

/// An entry's head, and what was read with it.
pub(crate) struct Opened {
    row: TableEntry,
    log: LogPosition,
    pub(crate) seal: SealEntry,
    fields_len: u64,
    peeked: Bytes,
}

/// Keeps a write's pages from being reused.
pub(crate) struct Pinned {
    pub(crate) shared: Arc<Shared>,
    write: WriteId,
}

impl Pinned {
    pub(crate) fn new(shared: &Arc<Shared>, write: WriteId) -> Arc<Self> {
        shared.state.lock().pin(write);
        Arc::new(Self {
            shared: Arc::clone(shared),
            write,
        })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.shared.state.lock().unpin(self.write);
    }
}

/// Why something that should be there could not be read.
pub(crate) enum Trouble {
    /// It is not what it should be.
    Bad(String),
    /// The system failed.
    Io(String),
}

impl From<FormatError> for Trouble {
    fn from(error: FormatError) -> Self {
        Self::Bad(error.to_string())
    }
}

/// Reads a record.
///
/// # Errors
/// `NotFound`, `Damaged`, `Io`.
pub(crate) async fn record(
    shared: &Arc<Shared>,
    write: WriteId,
    with_body: bool,
) -> Result<Kept, DriveError> {
    let pinned = Pinned::new(shared, write);
    for _ in 0..TRIES {
        let row = row_of(shared, write)?;
        let address = row.address;
        let done = load_record(shared, &pinned, row.clone(), with_body).await;
        if let Some(answer) = settle(shared, write, address, done) {
            if with_body && answer.is_ok() && row.shard.is_none() {
                sound(shared, write, &row);
            }
            return answer;
        }
    }
    Err(DriveError::Busy)
}

/// All of an entry that was called damaged was read and is what it should be: the medium gave other
/// bytes before.
pub(crate) fn sound(shared: &Shared, write: WriteId, row: &TableEntry) {
    if !row.damaged {
        return;
    }
    let mut state = shared.state.lock();
    if state.table.get(write).map(|row| row.address) == Some(row.address) {
        state.table.mark_sound(write);
        tracing::info!(%write, "log entry is sound after all");
    }
}

async fn load_record(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    row: TableEntry,
    with_body: bool,
) -> Result<Kept, Trouble> {
    let opened = open(shared, pinned, row).await?;
    let seal = &opened.seal;
    let head_at = seal.checksums_len() as u64;
    let head = part(shared, pinned, &opened, head_at, seal.head_len.into()).await?;
    let body_at = head_at + u64::from(seal.head_len);
    let body_len = if with_body { seal.body_len } else { 0 };
    let body = part(shared, pinned, &opened, body_at, body_len.into()).await?;
    let record = EncodedRecord { head, body };
    if with_body {
        record.verify(shared.superblock.cluster)?;
    } else {
        Reader::format(&record.head, record::MAGIC, record::VERSION, "record")?;
    }
    Ok(Kept {
        record,
        shard: opened.row.shard,
        position: opened.log,
    })
}

/// The row of a write.
pub(crate) fn row_of(shared: &Shared, write: WriteId) -> Result<TableEntry, DriveError> {
    let row = shared.state.lock().table.get(write);
    row.ok_or(DriveError::NotFound)
}

/// What reading an entry at `address` came to; `None` if the entry has moved meanwhile.
pub(crate) fn settle<T>(
    shared: &Shared,
    write: WriteId,
    address: u64,
    done: Result<T, Trouble>,
) -> Option<Result<T, DriveError>> {
    let mut state = shared.state.lock();
    if state.table.get(write).map(|row| row.address) != Some(address) {
        return None;
    }
    Some(done.map_err(|trouble| match trouble {
        Trouble::Io(what) => {
            shared.metrics.error("read");
            DriveError::Io { what }
        }
        Trouble::Bad(what) => {
            if state.table.mark_damaged(write) {
                shared.metrics.checksum_failure("log");
                tracing::warn!(%write, what, "log entry damaged");
            }
            DriveError::Damaged { what }
        }
    }))
}

/// Reads and checks the head of an entry.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    row: TableEntry,
) -> Result<Opened, Trouble> {
    let len = u64::from(row.len);
    let mut peeked = fetch(shared, pinned, vec![(row.address, len.min(PEEK_LEN))]).await?;
    let mut head = EntryHead::decode(&peeked);
    if matches!(head, Err(FormatError::Truncated { .. })) && len > PEEK_LEN {
        let len = len.min(FIELDS_LEN_MAX as u64);
        peeked = fetch(shared, pinned, vec![(row.address, len)]).await?;
        head = EntryHead::decode(&peeked);
    }
    let head = head?;
    match head.entry {
        Entry::Seal(seal) if seal.write == row.write => Ok(Opened {
            row,
            log: LogPosition {
                log: head.log,
                batch: head.batch,
            },
            seal,
            fields_len: head.fields_len.into(),
            peeked,
        }),
        _ => Err(Trouble::Bad("another entry lies there".to_owned())),
    }
}

/// Bytes of an entry's payload: block checksums, record head, body.
pub(crate) async fn part(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    opened: &Opened,
    offset: u64,
    len: u64,
) -> Result<Bytes, Trouble> {
    if len == 0 {
        return Ok(Bytes::new());
    }
    if offset + len > opened.seal.payload_len() as u64 {
        return Err(Trouble::Bad("payload too short".to_owned()));
    }
    if !opened.seal.spill.is_empty() {
        let found = places(&opened.seal.spill, offset, len);
        return fetch(shared, pinned, found).await;
    }
    let start = opened.fields_len + offset;
    if start + len <= opened.peeked.len() as u64 {
        return Ok(opened.peeked.slice(start as usize..(start + len) as usize));
    }
    fetch(shared, pinned, vec![(opened.row.address + start, len)]).await
}

/// Reads the places one after the other.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    found: Vec<(u64, u64)>,
) -> Result<Bytes, Trouble> {
    let len = found.iter().map(|(_, len)| len).sum::<u64>();
    let mut buffer = BytesMut::zeroed(len as usize);
    if len <= INLINE_LEN
        && read_places(&found, &mut buffer, |at, out| {
            shared.files.read_now(at, out)
        })
    {
        return Ok(buffer.freeze());
    }
    let pinned = Arc::clone(pinned);
    let read = on_medium(shared, move || {
        let mut failed = None;
        read_places(&found, &mut buffer, |at, out| {
            let read = pinned.shared.files.read(at, out);
            failed = read.err();
            failed.is_none()
        });
        match failed {
            None => Ok(buffer.freeze()),
            Some(error) => Err(error),
        }
    });
    match read.await {
        None => Err(Trouble::Io("shutting down".to_owned())),
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(Trouble::Bad("the file ends before".to_owned()))
        }
        Some(Err(error)) => Err(Trouble::Io(error.to_string())),
    }
}

/// Runs `work`, which reads the medium of a drive, on a thread for files, when the drive may have
/// another. It has it until the work is done, also when nobody waits for that any longer.
///
/// `None` if the node is shutting down, or the work panicked.
pub(crate) async fn on_medium<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let permit = Arc::clone(&shared.reading).acquire_owned().await.ok()?;
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    blocking(&*shared.world.spawn, work).await
}

/// Reads until one read fails; whether none did.
pub(crate) fn read_places(
    found: &[(u64, u64)],
    buffer: &mut [u8],
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> bool {
    let mut rest = buffer;
    for (address, len) in found {
        let (head, tail) = rest.split_at_mut(*len as usize);
        if !read(*address, head) {
            return false;
        }
        rest = tail;
    }
    true
}
