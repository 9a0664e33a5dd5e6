//! What is asked of a drive's log, and gathering it into batches.
//!
//! Owns: the requests, and how long a batch waits for more of them.
//! Leaves to others: what becomes of them ([`super::log`]).
//! Always: a lone request never waits; in a crowd a batch waits at most `gather`.

use bytes::Bytes;
use holdfast_protocol::drive::{ClaimEntry, Entry, SealEntry};
use holdfast_protocol::rpc::{DriveError, DriveReply};
use holdfast_protocol::{MovedWrite, Order, WriteId};
use tokio::sync::{mpsc, oneshot};

use super::Drive;
use super::part::Part;
use super::purged::Purged;
use super::seal::{Caller, Guard};
use crate::config::DriveConfig;

/// Bytes of shards written with one batch from which it takes no more requests.
const DATA_MAX: usize = 2 << 20;

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Result<DriveReply, DriveError>>;

/// A record on its way into the log.
#[derive(Debug)]
pub(crate) struct SealJob {
    pub(crate) entry: SealEntry,
    /// Checksums, record head and body.
    pub(crate) tail: Vec<Bytes>,
    /// What is still to be written of the shard.
    pub(crate) unwritten: Option<Part>,
    pub(crate) caller: Caller,
    pub(crate) reply: Reply,
}

/// Writes to be dropped.
#[derive(Clone, Debug)]
pub(crate) enum Dropped {
    /// For good, by changes up to this order.
    Gone(Order, Vec<WriteId>),
    /// From this drive.
    Moved(Vec<MovedWrite>),
}

impl Dropped {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Gone(_, writes) => writes.len(),
            Self::Moved(moved) => moved.len(),
        }
    }

    /// In entries of at most `len` writes.
    pub(crate) fn entries(&self, len: usize) -> Vec<Entry> {
        match self {
            Self::Gone(order, writes) => writes
                .chunks(len)
                .map(|part| Entry::Purge {
                    order: *order,
                    writes: part.to_vec(),
                })
                .collect(),
            Self::Moved(moved) => moved
                .chunks(len)
                .map(|part| Entry::Leave(part.to_vec()))
                .collect(),
        }
    }

    /// Notes them.
    pub(crate) fn note(&self, purged: &mut Purged) {
        match self {
            Self::Gone(_, writes) => writes.iter().for_each(|write| purged.insert(*write)),
            Self::Moved(moved) => moved.iter().for_each(|moved| purged.leave(*moved)),
        }
    }
}

impl Drive {
    pub(super) async fn purge(
        &self,
        writes: Dropped,
        caller: Caller,
    ) -> Result<DriveReply, DriveError> {
        if writes.len() == 0 {
            let position = self.shared.state.lock().end;
            return Ok(DriveReply::Purged { position });
        }
        self.ask(|reply| Request::Purge {
            writes,
            caller,
            reply,
        })
        .await
    }
}

/// What is asked of the log.
#[derive(Debug)]
pub(crate) enum Request {
    /// Keep a record and its shard.
    Seal(Box<(SealJob, Guard)>),
    /// Drop writes.
    Purge {
        writes: Dropped,
        caller: Caller,
        reply: Reply,
    },
    /// Grant a generation.
    Claim {
        claim: ClaimEntry,
        takeover: bool,
        reply: Reply,
    },
    /// Do what can be done while nobody asks for anything.
    Idle,
    /// Write a checkpoint and end.
    Close(oneshot::Sender<()>),
}

impl Request {
    fn len(&self) -> usize {
        match self {
            Self::Seal(job) => job.0.tail.iter().map(Bytes::len).sum::<usize>() + 256,
            Self::Purge { writes, .. } => writes.len() * MovedWrite::LEN + 64,
            _ => 64,
        }
    }

    /// Bytes of shards that are written with its batch.
    fn data_len(&self) -> usize {
        match self {
            Self::Seal(job) => job.0.unwritten.as_ref().map_or(0, Part::len),
            _ => 0,
        }
    }
}

/// What becomes of an entry once it is durable.
#[derive(Debug)]
pub(crate) enum Done {
    /// A new record: its row is put and the caller answered.
    Sealed(Reply, Guard),
    /// A record that was at this address: its row is changed if it still is there.
    Moved(u64),
    /// A purge or claim; the last entry of a request answers.
    Said(Option<Reply>),
}

/// An entry on its way into a batch.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) entry: Entry,
    pub(crate) tail: Vec<Bytes>,
    /// What is still to be written of the shard.
    pub(crate) unwritten: Option<Part>,
    pub(crate) done: Done,
}

impl Item {
    /// A purge or claim, after which `reply` is answered.
    pub(crate) fn said(entry: Entry, reply: Option<Reply>) -> Self {
        Self {
            entry,
            tail: Vec::new(),
            unwritten: None,
            done: Done::Said(reply),
        }
    }
}

/// Requests that will share a batch.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) requests: Vec<Request>,
    pub(crate) closing: Option<oneshot::Sender<()>>,
    len: usize,
    data_len: usize,
}

impl Gathered {
    /// Takes `first` and what else is waiting.
    pub(crate) fn take(
        &mut self,
        first: Request,
        queue: &mut mpsc::Receiver<Request>,
        config: &DriveConfig,
    ) {
        self.add(first);
        self.take_waiting(queue, config);
    }

    /// Takes what is waiting.
    pub(crate) fn take_waiting(
        &mut self,
        queue: &mut mpsc::Receiver<Request>,
        config: &DriveConfig,
    ) {
        while self.wants_more(config)
            && let Ok(request) = queue.try_recv()
        {
            self.add(request);
        }
    }

    /// Whether the batch has room and nothing says that it is the last.
    pub(crate) fn wants_more(&self, config: &DriveConfig) -> bool {
        self.len < config.batch_bytes && self.data_len < DATA_MAX && self.closing.is_none()
    }

    fn add(&mut self, request: Request) {
        self.len += request.len();
        self.data_len += request.data_len();
        match request {
            Request::Close(reply) => self.closing = Some(reply),
            request => self.requests.push(request),
        }
    }
}

/// How many requests share a batch lately.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Sixteenths of a request, smoothed over about four batches.
    mean: usize,
}

impl Crowd {
    /// Mean size from which a batch waits for more.
    const LARGE: usize = 40;

    pub(crate) fn learn(&mut self, requests: usize) {
        self.mean = (self.mean * 3 + requests * 16) / 4;
    }

    /// Whether so many ask at once that waiting a moment saves syncs for all of them.
    pub(crate) fn is_large(&self) -> bool {
        self.mean >= Self::LARGE
    }
}
