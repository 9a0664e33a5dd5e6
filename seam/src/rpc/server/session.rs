//! One connection, as the server sees it.
//!
//! Owns: reading requests, running each in a task of its own, writing the answers as they come.
//! Leaves to others: limits over all connections ([`super`]), what a request does.
//! Always: a request counts as under way until its answer is written, so that a peer that does not
//! read cannot pile up answers; when the connection ends its requests are dropped, and waited for.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use holdfast_protocol::rpc::frame::{FrameHead, FrameKind};
use holdfast_protocol::rpc::handshake::Identity;
use holdfast_protocol::rpc::wire::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

pub(super) use holdfast_protocol::rpc::handshake::Established;

use super::{Answered, ROOM_UNIT, Shared};
use crate::Task;
use crate::metrics::{Outcome, Started};
use crate::net::Connection;
use crate::rpc::framing::{FrameReader, FrameWriter};
use crate::rpc::pulse::Pulse;
use crate::rpc::{RpcError, within};

/// A flush writes about so many bytes.
const BATCH_LEN: usize = 1 << 20;

/// With more frames than this in the queue, the client reads too little to be served.
const NOTICES_MAX: usize = 4096;

/// What a request holds while it is under way.
#[derive(Debug, Default)]
struct Permits {
    _session: Option<OwnedSemaphorePermit>,
    _server: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Outgoing {
    kind: FrameKind,
    request: u64,
    message: Message,
    permits: Permits,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Outgoing>,
    running: BTreeMap<u64, Task>,
}

#[derive(Debug)]
struct Session {
    server: Arc<Shared>,
    peer: Identity,
    state: Mutex<State>,
    wake: Notify,
    /// A request ended: for those who wait for the last.
    ended: Notify,
    permits: Arc<Semaphore>,
}

/// Serves an opened connection until it ends or the server stops.
pub(super) async fn run(
    server: &Arc<Shared>,
    stream: Box<dyn Connection>,
    established: Established,
    addr: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) {
    let _connected = server.side().connected();
    let session = Arc::new(Session {
        server: Arc::clone(server),
        peer: established.peer,
        state: Mutex::default(),
        wake: Notify::new(),
        ended: Notify::new(),
        permits: Arc::new(Semaphore::new(server.config.limits.in_flight_max.max(1))),
    });
    tracing::debug!(peer = %session.peer, %addr, "node connection opened");
    let pulse = Arc::new(Pulse::default());
    let (source, sink) = tokio::io::split(stream);
    let reader = FrameReader::new(source, established.opener, Arc::clone(&pulse));
    let writer = FrameWriter::new(sink, established.sealer, Arc::clone(&pulse));
    let limits = &server.config.limits;
    let clock = &*server.world.clock;
    let watch = pulse.watch(clock, limits.dead_after / 4, limits.dead_after, || {});
    let read_or_stop = async {
        tokio::select! {
            biased;
            ended = session.read(reader) => ended,
            () = stop(&mut stopping) => {
                let _ = within(clock, limits.drain_timeout, session.drain()).await;
                Ok(())
            }
        }
    };
    let ended = tokio::select! {
        biased;
        ended = read_or_stop => ended,
        ended = session.write(writer) => ended,
        why = watch => Err(RpcError::closed(why)),
    };
    if let Err(error) = ended {
        server.side().connection_failed(error.reason());
        let (peer, error) = (session.peer, error.chain());
        tracing::warn!(%peer, %addr, %error, "node connection ended");
    }
    session.end().await;
}

async fn stop(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        mut reader: FrameReader<R>,
    ) -> Result<(), RpcError> {
        while let Some(frame) = reader.next().await? {
            let id = frame.head.request;
            match frame.head.kind {
                FrameKind::Request => {
                    let room = self.room(&frame.head).await;
                    let payload = reader.payload(&frame.head).await?;
                    self.begin(id, &frame.header, payload, room)?;
                }
                FrameKind::Cancel => {
                    let task = self.state().running.remove(&id);
                    if let Some(task) = task {
                        task.abort();
                    }
                }
                FrameKind::Ping => self.notice(FrameKind::Pong, id, Message::default())?,
                FrameKind::Pong | FrameKind::Bye => {}
                FrameKind::Response => {
                    return Err(RpcError::closed("the client sent an answer"));
                }
            }
            self.server.side().received(&frame.head);
        }
        Ok(())
    }

    /// Waits until the payload may be read.
    async fn room(&self, head: &FrameHead) -> Option<OwnedSemaphorePermit> {
        let all = self.server.config.limits.payload_bytes_max;
        let units = (head.payload_len as usize).min(all).div_ceil(ROOM_UNIT);
        if units == 0 {
            return None;
        }
        let payload = Arc::clone(&self.server.payload);
        payload.acquire_many_owned(units as u32).await.ok()
    }

    fn begin(
        self: &Arc<Self>,
        id: u64,
        header: &Bytes,
        payload: Bytes,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<(), RpcError> {
        let (world, config) = (&self.server.world, &self.server.config);
        let handler = &config.handler;
        let work = handler.begin(world, &config.limits, self.peer, header, &payload)?;
        drop(payload);
        let session = Arc::clone(&self.permits).try_acquire_owned().ok();
        let server = Arc::clone(&self.server.requests).try_acquire_owned().ok();
        let started = self.server.side().started();
        if session.is_none() || server.is_none() {
            let (message, outcome) = handler.busy();
            started.ended(outcome);
            return self.notice(FrameKind::Response, id, message);
        }
        let running = Running {
            session: Arc::clone(self),
            id,
            permits: Permits {
                _session: session,
                _server: server,
            },
            started: Some(started),
        };
        let work = async move {
            let answered = work.await;
            drop(room);
            running.answer(answered);
        };
        // Under the lock, so that the request cannot end before it is listed.
        let mut state = self.state();
        if state.running.contains_key(&id) {
            return Err(RpcError::closed("two requests of one id"));
        }
        let task = world.spawn.task("rpc-request", Box::pin(work));
        state.running.insert(id, task);
        Ok(())
    }

    fn send(&self, kind: FrameKind, request: u64, message: Message, permits: Permits) {
        self.state().queue.push_back(Outgoing {
            kind,
            request,
            message,
            permits,
        });
        self.wake.notify_one();
    }

    /// Sends what no permit bounds.
    fn notice(&self, kind: FrameKind, request: u64, message: Message) -> Result<(), RpcError> {
        if self.state().queue.len() > NOTICES_MAX {
            return Err(RpcError::closed("the client asks and reads nothing"));
        }
        self.send(kind, request, message, Permits::default());
        Ok(())
    }

    async fn write<W: AsyncWrite + Unpin>(
        &self,
        mut writer: FrameWriter<W>,
    ) -> Result<(), RpcError> {
        let mut permits = Vec::new();
        loop {
            while writer.waiting() < BATCH_LEN {
                let Some(next) = self.state().queue.pop_front() else {
                    break;
                };
                writer.push(next.kind, next.request, &next.message)?;
                permits.push(next.permits);
            }
            match writer.waiting() {
                0 => self.wake.notified().await,
                bytes => {
                    writer.flush().await?;
                    self.server.side().sent(bytes);
                    permits.clear();
                    self.ended.notify_one();
                }
            }
        }
    }

    /// Says that no more requests are taken, and waits for those under way to be answered.
    async fn drain(&self) {
        self.send(FrameKind::Bye, 0, Message::default(), Permits::default());
        let all = self.server.config.limits.in_flight_max.max(1);
        while self.permits.available_permits() < all || !self.state().queue.is_empty() {
            self.ended.notified().await;
        }
    }

    /// Drops what is under way, and waits until it is gone.
    async fn end(&self) {
        let running = std::mem::take(&mut self.state().running);
        running.values().for_each(Task::abort);
        for task in running.into_values() {
            task.await;
        }
    }
}

/// A request under way, inside its task.
struct Running {
    session: Arc<Session>,
    id: u64,
    permits: Permits,
    started: Option<Started>,
}

impl Running {
    fn answer(mut self, (message, outcome): Answered) {
        self.finish(message, outcome);
    }

    fn finish(&mut self, message: Message, outcome: Outcome) {
        let Some(started) = self.started.take() else {
            return;
        };
        let wanted = self.session.state().running.remove(&self.id).is_some();
        if wanted {
            started.ended(outcome);
            let permits = std::mem::take(&mut self.permits);
            let session = &self.session;
            session.send(FrameKind::Response, self.id, message, permits);
        }
    }
}

impl Drop for Running {
    /// Answers for a handler that panicked; a cancelled request is no longer listed and needs no
    /// answer.
    fn drop(&mut self) {
        if self.started.is_some() {
            let (message, outcome) = self.session.server.config.handler.broken();
            self.finish(message, outcome);
        }
        self.permits = Permits::default();
        self.session.ended.notify_one();
    }
}
