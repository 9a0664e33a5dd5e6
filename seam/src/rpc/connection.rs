//! One connection, as the client sees it: many requests in flight.
//!
//! Owns: the queue of frames to send, and who waits for which answer.
//! Leaves to others: opening it ([`super::connect`]), choosing it ([`super::client`]).
//! Always: a dropped request is cancelled at the peer if it was sent, and never sent if it was not;
//! when the connection ends, everyone who waits is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use holdfast_protocol::rpc::frame::FrameKind;
use holdfast_protocol::rpc::wire::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::RpcError;
use super::framing::{FrameReader, FrameWriter};
use crate::metrics::SideMetrics;

/// A flush writes about so many bytes before what it wrote is given up.
const BATCH_LEN: usize = 1 << 20;
/// With more frames than this in the queue, pings are not answered any more.
const NOTICES_MAX: usize = 4096;

/// What came back: message header and payload.
pub(super) type Answer = (Bytes, Bytes);

/// Why a connection gave no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// It takes no more requests and sent nothing: try another.
    NotSent(Message, Option<OwnedSemaphorePermit>),
    /// It ended; the request may have taken effect.
    Lost(RpcError),
}

#[derive(Debug)]
struct Outgoing {
    kind: FrameKind,
    request: u64,
    message: Message,
    /// Given back once written.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Answer>,
    sent: bool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Outgoing>,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    /// No new requests.
    draining: bool,
    /// Why it ended.
    closed: Option<String>,
}

/// A connection that requests share.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    wake: Notify,
    /// What both ends allow in flight.
    permits: Semaphore,
    in_flight: AtomicUsize,
    metrics: Arc<SideMetrics>,
}

impl Connection {
    pub fn new(in_flight_max: usize, metrics: Arc<SideMetrics>) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            permits: Semaphore::new(in_flight_max),
            in_flight: AtomicUsize::new(0),
            metrics,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        let state = self.state();
        state.closed.is_none() && !state.draining
    }

    /// Requests that wait for their turn or their answer.
    pub fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for its answer. Dropping the future cancels it.
    ///
    /// `room` is given back once the request was written.
    pub async fn request(
        &self,
        message: Message,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, Failed> {
        let _load = Load::new(&self.in_flight);
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(Failed::NotSent(message, room));
        };
        let (answer, receive) = oneshot::channel();
        let request = self.enqueue(message, room, answer)?;
        let mut pending = Pending {
            connection: self,
            request,
            done: false,
        };
        let answer = receive.await;
        pending.done = true;
        answer.map_err(|_| Failed::Lost(self.why()))
    }

    fn enqueue(
        &self,
        message: Message,
        room: Option<OwnedSemaphorePermit>,
        answer: oneshot::Sender<Answer>,
    ) -> Result<u64, Failed> {
        let mut state = self.state();
        if state.closed.is_some() || state.draining {
            return Err(Failed::NotSent(message, room));
        }
        let request = state.next;
        state.next += 1;
        let sent = false;
        state.waiting.insert(request, Waiting { answer, sent });
        state.queue.push_back(Outgoing {
            kind: FrameKind::Request,
            request,
            message,
            _room: room,
        });
        drop(state);
        self.wake.notify_one();
        Ok(request)
    }

    fn notice(&self, kind: FrameKind, request: u64) {
        self.state().queue.push_back(Outgoing {
            kind,
            request,
            message: Message::default(),
            _room: None,
        });
        self.wake.notify_one();
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&self) {
        self.notice(FrameKind::Ping, 0);
    }

    /// Forgets a request: takes it out of the queue, or tells the peer if it was sent.
    fn cancel(&self, request: u64) {
        let mut state = self.state();
        let Some(waiting) = state.waiting.remove(&request) else {
            return;
        };
        let is_it = |next: &Outgoing| next.kind == FrameKind::Request && next.request == request;
        let dropped = match waiting.sent {
            true => None,
            false => state
                .queue
                .iter()
                .position(is_it)
                .and_then(|at| state.queue.remove(at)),
        };
        drop(state);
        drop(dropped);
        if waiting.sent {
            self.notice(FrameKind::Cancel, request);
        }
    }

    fn why(&self) -> RpcError {
        let why = self.state().closed.clone();
        RpcError::closed(why.unwrap_or_else(|| "closed".to_owned()))
    }

    /// Ends the connection and tells everyone who waits.
    pub fn close(&self, why: &str) {
        let mut state = self.state();
        state.closed.get_or_insert_with(|| why.to_owned());
        let dropped = (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.queue),
        );
        drop(state);
        drop(dropped);
        self.permits.close();
        self.wake.notify_one();
    }

    /// Moves what waits into `writer`, about [`BATCH_LEN`] bytes of it; the frames' rooms into
    /// `rooms`. `false` once the connection is closed.
    fn drain<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut FrameWriter<W>,
        rooms: &mut Vec<OwnedSemaphorePermit>,
    ) -> Result<bool, RpcError> {
        while writer.waiting() < BATCH_LEN {
            let mut state = self.state();
            if state.closed.is_some() {
                return Ok(false);
            }
            let Some(next) = state.queue.pop_front() else {
                break;
            };
            if next.kind == FrameKind::Request {
                let waiting = state.waiting.get_mut(&next.request);
                waiting.expect("a cancelled request leaves the queue").sent = true;
            }
            drop(state);
            writer.push(next.kind, next.request, &next.message)?;
            rooms.extend(next._room);
        }
        Ok(true)
    }

    /// Writes what is queued until the connection ends.
    pub async fn write<W: AsyncWrite + Unpin>(
        &self,
        mut writer: FrameWriter<W>,
    ) -> Result<(), RpcError> {
        let mut rooms = Vec::new();
        while self.drain(&mut writer, &mut rooms)? {
            match writer.waiting() {
                0 => self.wake.notified().await,
                bytes => {
                    writer.flush().await?;
                    self.metrics.sent(bytes);
                    rooms.clear();
                }
            }
        }
        Ok(())
    }

    /// Hands out answers until the connection ends.
    pub async fn read<R: AsyncRead + Unpin>(
        &self,
        mut reader: FrameReader<R>,
    ) -> Result<(), RpcError> {
        while let Some(frame) = reader.next().await? {
            let payload = reader.payload(&frame.head).await?;
            self.metrics.received(&frame.head);
            match frame.head.kind {
                FrameKind::Response => {
                    let waiting = self.state().waiting.remove(&frame.head.request);
                    if let Some(waiting) = waiting {
                        let _ = waiting.answer.send((frame.header, payload));
                    }
                }
                FrameKind::Ping if self.state().queue.len() > NOTICES_MAX => {
                    return Err(RpcError::closed("the server pings and reads nothing"));
                }
                FrameKind::Ping => self.notice(FrameKind::Pong, frame.head.request),
                FrameKind::Pong => {}
                FrameKind::Bye => self.state().draining = true,
                FrameKind::Request | FrameKind::Cancel => {
                    return Err(RpcError::closed("the server sent a request"));
                }
            }
        }
        Ok(())
    }
}

/// Counts a request while it lives.
struct Load<'a>(&'a AtomicUsize);

impl<'a> Load<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is cancelled when it is dropped unanswered.
struct Pending<'a> {
    connection: &'a Connection,
    request: u64,
    done: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.connection.cancel(self.request);
        }
    }
}

#[cfg(test)]
mod tests;
