//! One end of a simulated stream.
//!
//! Owns: reading and writing, and what dropping an end means.
//! Leaves to others: how long bytes take ([`super`]).
//! Always: the other end learns of a drop as if it were a close.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Piece, Pipe, SimNetwork, State};
use crate::exec::{Exec, Sleep};

/// One end of a stream.
pub(super) struct SimConnection {
    network: SimNetwork,
    exec: Exec,
    /// The pipe it reads from.
    from: u64,
    /// The pipe it writes to.
    to: u64,
    wake: Option<Sleep>,
}

impl fmt::Debug for SimConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimConnection({}, {})", self.from, self.to)
    }
}

impl SimConnection {
    pub(super) fn new(network: SimNetwork, exec: Exec, from: u64, to: u64) -> Self {
        Self {
            network,
            exec,
            from,
            to,
            wake: None,
        }
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        let mut state = self.network.state();
        let mut wakers = Vec::new();
        let open = state
            .pipes
            .get(&self.to)
            .is_some_and(|pipe| !pipe.writer_gone);
        if open {
            state.push(self.to, Piece::End);
        }
        if let Some(pipe) = state.pipes.get_mut(&self.to) {
            pipe.writer_gone = true;
            wakers.extend(pipe.reader.take());
        }
        if let Some(pipe) = state.pipes.get_mut(&self.from) {
            pipe.reader_gone = true;
            wakers.extend(pipe.writer.take());
        }
        for id in [self.from, self.to] {
            let is_over = |pipe: &Pipe| pipe.reader_gone && pipe.writer_gone;
            if state.pipes.get(&id).is_some_and(is_over) {
                state.pipes.remove(&id);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What a read finds.
enum Found {
    Now(io::Result<()>),
    At(u64),
    Nothing,
}

impl State {
    fn read(&mut self, id: u64, cx: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Found {
        let now = self.exec.now();
        let one_byte = self.dice.permille(self.config.one_byte_permille);
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Found::Now(Err(io::ErrorKind::NotConnected.into()));
        };
        if pipe.is_reset {
            return Found::Now(Err(io::ErrorKind::ConnectionReset.into()));
        }
        pipe.reader = Some(cx.waker().clone());
        if pipe.silent || self.cut.contains(&(pipe.from, pipe.to)) {
            let (way, is_under_way) = ((pipe.from, pipe.to), !pipe.pieces.is_empty());
            if is_under_way {
                self.hold(way);
            }
            return Found::Nothing;
        }
        let (under_way, max) = (pipe.under_way, if one_byte { 1 } else { usize::MAX });
        match pipe.pieces.front_mut() {
            None => Found::Nothing,
            Some((at, _)) if *at > now => Found::At(*at),
            Some((_, Piece::End)) => Found::Now(Ok(())),
            Some((_, Piece::Bytes(bytes, start))) => {
                let len = (bytes.len() - *start).min(buffer.remaining()).min(max);
                buffer.put_slice(&bytes[*start..*start + len]);
                *start += len;
                let is_empty = *start == bytes.len();
                pipe.under_way = under_way - len;
                if is_empty {
                    pipe.pieces.pop_front();
                }
                Found::Now(Ok(()))
            }
        }
    }
}

impl AsyncRead for SimConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let (found, writer) = {
            let mut state = this.network.state();
            let found = state.read(this.from, cx, buffer);
            let pipe = state.pipes.get_mut(&this.from);
            let writer = match found {
                Found::Now(_) => pipe.and_then(|pipe| pipe.writer.take()),
                _ => None,
            };
            (found, writer)
        };
        writer.into_iter().for_each(Waker::wake);
        match found {
            Found::Now(done) => Poll::Ready(done),
            Found::Nothing => Poll::Pending,
            Found::At(at) => {
                if this.wake.as_ref().is_none_or(|sleep| sleep.at() != at) {
                    this.wake = Some(this.exec.until(at));
                }
                let sleep = this.wake.as_mut().map(Pin::new);
                let _ = sleep.map(|sleep| sleep.poll(cx));
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for SimConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.state();
        let window = state.config.window;
        let Some(pipe) = state.pipes.get_mut(&self.to) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if pipe.is_reset || pipe.writer_gone || pipe.reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = window.saturating_sub(pipe.under_way);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = room.min(bytes.len());
        state.push(self.to, Piece::Bytes(bytes[..len].to_vec(), 0));
        let reader = state
            .pipes
            .get_mut(&self.to)
            .and_then(|pipe| pipe.reader.take());
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.network.state();
        let open = state
            .pipes
            .get(&self.to)
            .is_some_and(|pipe| !pipe.writer_gone);
        if open {
            state.push(self.to, Piece::End);
        }
        let mut reader = None;
        if let Some(pipe) = state.pipes.get_mut(&self.to) {
            pipe.writer_gone = true;
            reader = pipe.reader.take();
        }
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}
