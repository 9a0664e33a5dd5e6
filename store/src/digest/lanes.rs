//! MD5 of concurrent bodies, hashed side by side.
//!
//! Owns: pieces that wait to be hashed, who goes with whom, and when it pays to wait for more. A
//! step is taken when every stream that could join is ready, when a register is full, or when
//! someone needs it: a body ended, has its bound of pieces waiting, or memory is short.
//! Leaves to others: the arithmetic ([`super::kernel`]), buffers ([`crate::budget`]), threads: the
//! work is done by whoever calls [`Md5Lanes::work`], on a thread that may block.
//! Always: pieces of a stream are hashed in order; no stream has more than [`PIECES_MAX`] of them
//! here; pieces of a dropped stream are let go; what waits is hashed without any other event once
//! its stream ends. No thread, time or randomness of its own: run inline it is deterministic.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use holdfast_seam::Spawn;
use prometheus::IntCounterVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::kernel::Kernel;
use super::md5::{Md5, Piece, add_together};

/// Pieces of one stream that wait or are being hashed.
pub const PIECES_MAX: usize = 6;
/// Bytes of each stream in one step, so that others may join soon.
const STEP_LEN: usize = 256 << 10;

/// Hashes the bodies of one process.
pub struct Md5Lanes {
    kernel: Kernel,
    spawn: Arc<dyn Spawn>,
    /// Bytes hashed, by how many streams were hashed together.
    bytes: IntCounterVec,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<u64, Slot>,
    next: u64,
    /// Threads at work.
    running: usize,
    /// Writers that wait for memory.
    short: usize,
}

/// What is known of a stream.
#[derive(Default)]
struct Slot {
    /// `None` while a thread has it.
    md5: Option<Md5>,
    waiting: VecDeque<Waiting>,
    /// Nothing more will come; where the digest goes.
    done: Option<oneshot::Sender<[u8; 16]>>,
}

struct Waiting {
    bytes: Bytes,
    _room: Room,
}

/// A stream's piece on a thread.
struct Taken {
    id: u64,
    md5: Md5,
    piece: Waiting,
}

/// One body. Dropping it lets go of what waits.
pub struct Md5Stream {
    lanes: Arc<Md5Lanes>,
    id: u64,
    room: Arc<Semaphore>,
}

/// Leave to add one piece; given back when the piece was hashed.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Where pieces of a stream are added, in order; usable on another thread.
pub struct Md5Feed {
    lanes: Arc<Md5Lanes>,
    id: u64,
}

/// While it lives, nothing waits for company.
#[derive(Debug)]
pub struct Short(Arc<Md5Lanes>);

impl Slot {
    fn is_ready(&self) -> bool {
        self.md5.is_some() && !self.waiting.is_empty()
    }
    fn is_urgent(&self) -> bool {
        self.done.is_some() || self.waiting.len() >= PIECES_MAX
    }
    fn is_over(&self) -> bool {
        self.done.is_some() && self.md5.is_some() && self.waiting.is_empty()
    }
    /// Tells the digest of a stream that is over.
    fn tell(self) {
        if let (Some(done), Some(md5)) = (self.done, self.md5) {
            // Nobody is there when the writer was dropped in this moment.
            let _ = done.send(md5.finish());
        }
    }
}

impl State {
    /// Whether a step should be taken now, beside `others` threads at work: a second one only for
    /// streams that fill a register.
    fn should_step(&self, others: usize, kernel: Kernel) -> bool {
        let free = self.streams.values().filter(|slot| slot.md5.is_some());
        let (mut open, mut ready, mut urgent) = (0, 0, self.short > 0);
        for slot in free {
            open += 1;
            if slot.is_ready() {
                ready += 1;
                urgent |= slot.is_urgent();
            }
        }
        let together = ready > 0 && (urgent || ready >= open.min(kernel.lanes()));
        together && (others == 0 || ready >= kernel.lanes())
    }

    /// The pieces of the next step: those that are needed first, then those of the streams that
    /// have most waiting.
    fn take(&mut self, kernel: Kernel) -> Vec<Taken> {
        let ready = self.streams.iter_mut().filter(|(_, slot)| slot.is_ready());
        let mut ready: Vec<(&u64, &mut Slot)> = ready.collect();
        ready.sort_by_key(|(id, slot)| {
            (
                !slot.is_urgent(),
                std::cmp::Reverse(slot.waiting.len()),
                **id,
            )
        });
        ready.truncate(kernel.lanes_max());
        let taken = ready.into_iter().filter_map(|(&id, slot)| {
            let piece = slot.waiting.pop_front()?;
            let md5 = slot.md5.take()?;
            Some(Taken { id, md5, piece })
        });
        taken.collect()
    }
}

impl Md5Lanes {
    /// Hashes by `kernel`; a thread of `spawn` works when no other does.
    pub fn new(kernel: Kernel, spawn: Arc<dyn Spawn>, bytes: IntCounterVec) -> Arc<Self> {
        Arc::new(Self {
            kernel,
            spawn,
            bytes,
            state: Mutex::default(),
        })
    }

    /// Starts a stream.
    pub fn stream(self: &Arc<Self>) -> Md5Stream {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        let slot = Slot {
            md5: Some(Md5::new()),
            ..Slot::default()
        };
        state.streams.insert(id, slot);
        drop(state);
        Md5Stream {
            lanes: Arc::clone(self),
            id,
            room: Arc::new(Semaphore::new(PIECES_MAX)),
        }
    }

    /// Says that memory is short: what waits is hashed, until the value is dropped.
    pub fn short(self: &Arc<Self>) -> Short {
        self.lock().short += 1;
        self.kick();
        Short(Arc::clone(self))
    }

    /// Takes steps until none should be taken, unless another thread does.
    pub fn work(&self) {
        {
            let mut state = self.lock();
            if !state.should_step(state.running, self.kernel) {
                return;
            }
            state.running += 1;
        }
        let mut running = Running {
            lanes: self,
            taken: Vec::new(),
            over: false,
        };
        while running.step() {}
    }

    /// Has a thread work if a step should be taken.
    fn kick(self: &Arc<Self>) {
        let state = self.lock();
        let wanted = state.should_step(state.running, self.kernel);
        drop(state);
        if wanted {
            let lanes = Arc::clone(self);
            self.spawn.computing(Box::new(move || lanes.work()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one step's bytes of each piece.
    fn hash(&self, taken: &mut [Taken]) {
        let mut pieces: Vec<Piece<'_>> = taken
            .iter_mut()
            .map(|taken| Piece {
                md5: &mut taken.md5,
                bytes: &taken.piece.bytes[..taken.piece.bytes.len().min(STEP_LEN)],
            })
            .collect();
        let sum = |pieces: &[Piece<'_>]| pieces.iter().map(|p| p.bytes.len()).sum::<usize>();
        let before = sum(&pieces);
        add_together(self.kernel, &mut pieces);
        let label = match pieces.len() {
            1 => "1",
            2..=3 => "2-3",
            4..=7 => "4-7",
            8..=15 => "8-15",
            _ => "16-32",
        };
        let hashed = before - sum(&pieces);
        self.bytes.with_label_values(&[label]).inc_by(hashed as u64);
        let left: Vec<usize> = pieces.iter().map(|piece| piece.bytes.len()).collect();
        for (taken, left) in taken.iter_mut().zip(left) {
            let bytes = &mut taken.piece.bytes;
            bytes.advance(bytes.len().min(STEP_LEN) - left);
        }
    }
}

/// A thread at work. If it is unwound, the streams that it has end without a digest.
struct Running<'a> {
    lanes: &'a Md5Lanes,
    taken: Vec<u64>,
    over: bool,
}

impl Running<'_> {
    /// Takes one step; `false` if there was none to take, and the thread no longer counts.
    fn step(&mut self) -> bool {
        let lanes = self.lanes;
        let mut state = lanes.lock();
        if !state.should_step(state.running - 1, lanes.kernel) {
            state.running -= 1;
            self.over = true;
            return false;
        }
        let mut taken = state.take(lanes.kernel);
        drop(state);
        self.taken = taken.iter().map(|taken| taken.id).collect();
        lanes.hash(&mut taken);
        // Buffers go back, and digests are told, after the lock is released.
        let (mut spent, mut over) = (Vec::new(), Vec::new());
        let mut state = lanes.lock();
        for Taken { id, md5, piece } in taken {
            let Some(slot) = state.streams.get_mut(&id) else {
                spent.push(piece);
                continue;
            };
            slot.md5 = Some(md5);
            match piece.bytes.is_empty() {
                true => spent.push(piece),
                false => slot.waiting.push_front(piece),
            }
            if slot.is_over() {
                over.extend(state.streams.remove(&id));
            }
        }
        drop(state);
        self.taken.clear();
        over.into_iter().for_each(Slot::tell);
        true
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            let mut state = self.lanes.lock();
            state.running -= 1;
            let lost: Vec<Option<Slot>> = self
                .taken
                .iter()
                .map(|id| state.streams.remove(id))
                .collect();
            drop(state);
            drop(lost);
        }
    }
}

impl Md5Stream {
    /// Waits until a further piece may be added.
    pub async fn room(&self) -> Room {
        let permit = Arc::clone(&self.room).acquire_owned().await;
        Room(permit.expect("the semaphore is never closed"))
    }

    /// Where pieces are added.
    pub fn feed(&self) -> Md5Feed {
        Md5Feed {
            lanes: Arc::clone(&self.lanes),
            id: self.id,
        }
    }

    /// Says that nothing more will be added. The digest comes there; an error if the thread that
    /// hashed was lost, or the stream is dropped before.
    pub fn end(&self) -> oneshot::Receiver<[u8; 16]> {
        let (send, receive) = oneshot::channel();
        let mut state = self.lanes.lock();
        let mut over = None;
        if let Some(slot) = state.streams.get_mut(&self.id) {
            slot.done = Some(send);
            if slot.is_over() {
                over = state.streams.remove(&self.id);
            }
        }
        drop(state);
        over.into_iter().for_each(Slot::tell);
        // Others may have waited for this stream only.
        self.lanes.kick();
        receive
    }
}

impl Drop for Md5Stream {
    fn drop(&mut self) {
        let slot = self.lanes.lock().streams.remove(&self.id);
        if slot.is_some() {
            // Its buffers first, then those who waited for it.
            drop(slot);
            self.lanes.kick();
        }
    }
}

impl Md5Feed {
    /// Adds a piece; the caller then calls [`Md5Lanes::work`] where it may block.
    pub fn add(&self, bytes: Bytes, room: Room) {
        let piece = Waiting { bytes, _room: room };
        if piece.bytes.is_empty() {
            return;
        }
        let mut state = self.lanes.lock();
        if let Some(slot) = state.streams.get_mut(&self.id) {
            slot.waiting.push_back(piece);
        }
    }

    /// See [`Md5Lanes::work`].
    pub fn work(&self) {
        self.lanes.work();
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        self.0.lock().short -= 1;
    }
}

impl Debug for Md5Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Md5Lanes")
            .field("kernel", &self.kernel)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
