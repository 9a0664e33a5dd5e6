//! The log of a drive: group commit.
//!
//! Owns: the order in which records, purges and claims take effect; batches, chunks and their
//! syncs.
//! Leaves to others: what a checkpoint is ([`super::checkpoint`]), which entries to move
//! ([`super::compact`]), marks of how far it went ([`super::mark`]).
//! Always: a batch is written only after the one before it was synced; one sync covers a batch and
//! all shards it seals; nothing is answered, and no row changes, before that sync.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::LogId;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::log::{BATCH_HEADER_LEN, ENTRY_ALIGN, PURGE_WRITES_MAX};
use holdfast_protocol::drive::{BatchHeader, Entry, PAGE_LEN, SealEntry};
use holdfast_protocol::rpc::{DriveError, DriveReply, LogPosition};
use holdfast_seam::disk::PageBuffer;
use holdfast_seam::planted;
use tokio::sync::mpsc;

use super::apply::{apply_entry, apply_move, decide, granted, refusal};
use super::compact::Compaction;
use super::grow::{Purpose, TURNS, grow};
use super::house::zero;
use super::mark::Marks;
use super::part::{self, Part};
use super::purged::Purged;
use super::request::{Crowd, Done, Dropped, Gathered, Item, Reply, Request};
use super::stage::places;
use super::state::{Chunk, Shared};

/// Where the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) log: LogId,
    /// The batch that comes next.
    pub(crate) next_batch: u64,
    /// First page of the current chunk.
    pub(crate) page: u64,
    /// Its number.
    pub(crate) chunk: u64,
    /// Bytes of it that are used.
    pub(crate) used: u64,
    /// Where the batch before starts, if it is in this chunk; else 0.
    pub(crate) last_batch: u64,
    /// First page of the next chunk.
    pub(crate) next_chunk: u64,
}

/// The one that writes the log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: Tail,
    /// Bytes of log since the last checkpoint.
    pub(crate) since_checkpoint: u64,
    pub(crate) compaction: Compaction,
    pub(crate) marks: Marks,
    buffer: PageBuffer,
    crowd: Crowd,
}

impl Log {
    pub(crate) fn new(shared: Arc<Shared>, tail: Tail) -> Self {
        Self {
            shared,
            tail,
            since_checkpoint: 0,
            compaction: Compaction::default(),
            marks: Marks::default(),
            buffer: PageBuffer::default(),
            crowd: Crowd::default(),
        }
    }

    /// Serves requests until asked to close, or until nobody can ask any more.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut closing = None;
        while closing.is_none()
            && let Some(first) = queue.recv().await
        {
            let mut gathered = Gathered::default();
            gathered.take(first, &mut queue, &self.shared.config);
            if self.crowd.is_large() && gathered.wants_more(&self.shared.config) {
                self.shared
                    .world
                    .clock
                    .sleep(self.shared.config.gather)
                    .await;
                gathered.take_waiting(&mut queue, &self.shared.config);
            }
            closing = gathered.closing;
            self.crowd.learn(gathered.requests.len());
            self.serve(gathered.requests);
        }
        if let Some(reply) = closing {
            queue.close();
            while let Ok(request) = queue.try_recv() {
                self.serve(vec![request]);
            }
            if self.shared.check_log().is_ok() {
                self.checkpoint_now();
            }
            let _ = reply.send(());
        }
    }

    fn serve(&mut self, requests: Vec<Request>) {
        let idle = requests.iter().all(|r| matches!(r, Request::Idle));
        if idle {
            self.resume();
        }
        let is_suspended = self.shared.check_log().is_err();
        let mut items: Vec<Item> = self.moves();
        self.admit(requests, &mut items);
        while !items.is_empty() {
            let fitting = self.fitting(&items);
            let rest = items.split_off(fitting);
            self.commit(std::mem::replace(&mut items, rest));
        }
        if is_suspended {
            return;
        }
        if idle {
            self.sync_mark();
        }
        self.maybe_checkpoint(idle);
    }

    /// Decides, in order, what the requests may do.
    fn admit(&self, requests: Vec<Request>, items: &mut Vec<Item>) {
        let trouble = self.shared.check_log().err();
        let mut state = self.shared.state.lock();
        let mut grant = state.grant;
        let mut purged = Purged::default();
        // Guards take the lock when they are dropped.
        let mut refused_guards = Vec::new();
        for request in requests {
            match request {
                Request::Seal(job) => {
                    let (job, guard) = *job;
                    let (write, admitted) = (job.entry.write, job.entry.admitted);
                    let known =
                        purged.refuses(write, admitted) || state.purged.refuses(write, admitted);
                    let refused = trouble
                        .clone()
                        .or_else(|| refusal(grant, job.caller))
                        .or_else(|| known.then_some(DriveError::Purged));
                    if let Some(error) = refused {
                        let extents: Vec<_> = job.entry.extents().collect();
                        state.free_data(&extents);
                        refused_guards.push(guard);
                        let _ = job.reply.send(Err(error));
                        continue;
                    }
                    items.push(Item {
                        entry: Entry::Seal(job.entry),
                        tail: job.tail,
                        unwritten: job.unwritten,
                        done: Done::Sealed(job.reply, guard),
                    });
                }
                Request::Purge {
                    writes,
                    caller,
                    reply,
                } => match trouble.clone().or_else(|| refusal(grant, caller)) {
                    Some(error) => {
                        let _ = reply.send(Err(error));
                    }
                    None => {
                        writes.note(&mut purged);
                        push_purge(items, &writes, reply);
                    }
                },
                Request::Claim {
                    claim,
                    takeover,
                    reply,
                } => match trouble
                    .clone()
                    .map_or_else(|| decide(grant, claim, takeover), Err)
                {
                    Err(error) => {
                        let _ = reply.send(Err(error));
                    }
                    Ok(()) => {
                        // Also one granted before: it may be in this batch, not yet durable.
                        grant = Some(granted(claim));
                        items.push(Item::said(Entry::Claim(claim), Some(reply)));
                    }
                },
                Request::Idle | Request::Close(_) => {}
            }
        }
        drop(state);
    }

    /// How many of the items fit in one batch, and that in one chunk.
    fn fitting(&self, items: &[Item]) -> usize {
        let max = self.batches_end() as usize;
        let mut len = BATCH_HEADER_LEN;
        let fitting = items.iter().take_while(|item| {
            len += item.entry.padded_len();
            len <= max
        });
        fitting.count().max(1)
    }

    /// Makes the items durable and answers.
    fn commit(&mut self, items: Vec<Item>) {
        match self.write(&items) {
            Ok(address) => {
                self.apply(items, address);
                self.mark();
            }
            Err(error) => self.refuse(items, &error),
        }
    }

    /// Writes and syncs one batch; returns where it starts.
    fn write(&mut self, items: &[Item]) -> Result<u64, DriveError> {
        let len = items
            .iter()
            .map(|item| item.entry.padded_len())
            .sum::<usize>();
        let len = BATCH_HEADER_LEN + len;
        let padded = (len as u64).next_multiple_of(PAGE_LEN);
        if self.tail.used + padded > self.batches_end() {
            self.next_chunk()?;
        }
        self.fill(items, len, padded as usize);
        let files = &self.shared.files;
        let address = self.tail.page * PAGE_LEN + self.tail.used;
        let mut arenas = BTreeSet::from([files.arena_of(address)]);
        for item in items {
            let Entry::Seal(seal) = &item.entry else {
                continue;
            };
            if !matches!(item.done, Done::Moved(_)) {
                arenas.extend(seal.extents().map(|e| files.arena_of(e.page * PAGE_LEN)));
                write_spill(&self.shared, seal, &item.tail)?;
            }
        }
        part::write(
            files,
            items.iter().filter_map(|item| item.unwritten.as_ref()),
        )?;
        let batch = self.buffer.as_ref().get(..padded as usize);
        files.write(address, &[batch.unwrap_or_default()])?;
        if planted("skip-data-sync") {
            arenas = BTreeSet::from([files.arena_of(address)]);
        }
        if !planted("skip-sync") {
            files.sync(arenas)?;
        }
        self.shared
            .metrics
            .batch_entries
            .observe(items.len() as f64);
        self.tail.next_batch += 1;
        self.tail.used += padded;
        self.tail.last_batch = address;
        self.since_checkpoint += padded;
        Ok(address)
    }

    /// Puts header and entries into the front of the buffer.
    fn fill(&mut self, items: &[Item], len: usize, padded: usize) {
        if self.buffer.len() < padded {
            self.buffer = PageBuffer::new(padded.next_power_of_two());
        }
        let (header, body) = self.buffer.as_mut().split_at_mut(BATCH_HEADER_LEN);
        let mut end = 0;
        for item in items {
            let fields = item.entry.encode(self.tail.log, self.tail.next_batch);
            end = put(body, end, &fields);
            let spilled = matches!(&item.entry, Entry::Seal(seal) if !seal.spill.is_empty());
            for part in item.tail.iter().filter(|_| !spilled) {
                end = put(body, end, part);
            }
            let aligned = end.next_multiple_of(ENTRY_ALIGN);
            body[end..aligned].fill(0);
            end = aligned;
        }
        assert_eq!(
            BATCH_HEADER_LEN + end,
            len,
            "an entry is as long as it says"
        );
        body[end..padded - BATCH_HEADER_LEN].fill(0);
        let sealed = BatchHeader {
            log: self.tail.log,
            batch: self.tail.next_batch,
            chunk: self.tail.chunk,
            next_chunk: self.tail.next_chunk,
            len: len as u32,
            count: items.len() as u32,
            body_checksum: crc64(&body[..end]),
        };
        header.copy_from_slice(&sealed.encode());
    }

    /// Goes on in the next chunk, and sets one more aside.
    pub(crate) fn next_chunk(&mut self) -> Result<(), DriveError> {
        let mut taken = self.shared.state.lock().take_chunk(&self.shared);
        for _ in 0..TURNS {
            if !matches!(taken, Err(DriveError::Full)) {
                break;
            }
            let pages = self.shared.superblock.chunk_len / PAGE_LEN;
            let pages = self.shared.state.lock().space.growth_for_one(pages);
            grow(&self.shared, pages, Purpose::Log)?;
            taken = self.shared.state.lock().take_chunk(&self.shared);
        }
        let (following, new) = taken?;
        // Written now, so that the log goes on when the file system is full.
        let address = following.page * PAGE_LEN;
        if new && let Err(error) = zero(&self.shared.files, address, following.len()) {
            self.shared.state.lock().space.release(following);
            return Err(error);
        }
        let mut state = self.shared.state.lock();
        let (page, number) = (self.tail.next_chunk, self.tail.chunk + 1);
        state.chunks.insert(page, Chunk { number, live: 0 });
        self.tail = Tail {
            page,
            chunk: number,
            used: 0,
            last_batch: 0,
            next_chunk: following.page,
            ..self.tail
        };
        Ok(())
    }

    fn apply(&mut self, items: Vec<Item>, address: u64) {
        let position = LogPosition {
            log: self.tail.log,
            batch: self.tail.next_batch - 1,
        };
        let mut answers = Vec::new();
        let mut guards = Vec::new();
        let mut state = self.shared.state.lock();
        let mut at = address + BATCH_HEADER_LEN as u64;
        for item in items {
            let len = item.entry.padded_len() as u64;
            if let Done::Moved(from) = item.done {
                apply_move(&mut state, &item.entry, from, at);
            } else {
                apply_entry(&mut state, &item.entry, at);
            }
            at += len;
            match (item.done, item.entry) {
                (Done::Sealed(reply, guard), _) => {
                    guards.push(guard);
                    answers.push((reply, DriveReply::Sealed { position }));
                }
                (Done::Said(Some(reply)), Entry::Claim(_)) => {
                    answers.push((reply, DriveReply::Claimed));
                }
                (Done::Said(Some(reply)), _) => {
                    answers.push((reply, DriveReply::Purged { position }));
                }
                _ => {}
            }
        }
        state.end = position;
        self.shared.publish(&state);
        drop(state);
        drop(guards);
        for (reply, answer) in answers {
            let _ = reply.send(Ok(answer));
        }
    }

    fn refuse(&mut self, items: Vec<Item>, error: &DriveError) {
        for item in items {
            let reply = match item.done {
                Done::Sealed(reply, guard) => {
                    if let Entry::Seal(seal) = &item.entry {
                        let extents: Vec<_> = seal.extents().collect();
                        self.shared.state.lock().free_data(&extents);
                    }
                    drop(guard);
                    Some(reply)
                }
                Done::Said(reply) => reply,
                Done::Moved(_) => None,
            };
            if let Some(reply) = reply {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// Copies `part` to `at`; returns where it ends.
fn put(bytes: &mut [u8], at: usize, part: &[u8]) -> usize {
    let end = at + part.len();
    bytes[at..end].copy_from_slice(part);
    end
}

fn write_spill(shared: &Shared, seal: &SealEntry, tail: &[Bytes]) -> Result<(), DriveError> {
    if seal.spill.is_empty() {
        return Ok(());
    }
    let head: Vec<u8> = tail.iter().flatten().copied().collect();
    let part = Part {
        places: places(&seal.spill, 0, head.len() as u64),
        head,
        ..Part::default()
    };
    part::write(&shared.files, [&part])
}

fn push_purge(items: &mut Vec<Item>, writes: &Dropped, reply: Reply) {
    let mut reply = Some(reply);
    let mut entries = writes.entries(PURGE_WRITES_MAX / 4).into_iter().peekable();
    while let Some(entry) = entries.next() {
        let last = entries.peek().is_none();
        items.push(Item::said(entry, reply.take_if(|_| last)));
    }
}
