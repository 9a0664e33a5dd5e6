//! Takes connections and serves HTTP/1.1 on them.
//!
//! Owns: how many connections there may be, from where; how long a head may take and how large it
//! may be; stalled writers; draining.
//! Leaves to others: what a request means ([`Handler`]).
//! Always: each connection runs in a task that is joined; once told to stop, what runs may finish
//! within the grace, and the port is closed only after that, so that nobody is met by silence.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Limits, ResponseBody, Timers};

/// How long those who came while draining may take for their answer once it is over.
const LATE_GRACE: Duration = Duration::from_secs(1);

/// How draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because their request did not end in time.
    pub cut: usize,
}

/// Serves until `shutdown`, and then drains for at most `limits.drain`: requests under way finish,
/// and who connects meanwhile is served too, by a handler that knows that it is stopping.
pub async fn serve(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Drained {
    let door = Door {
        listener,
        handler,
        limits,
        slots: Arc::new(Semaphore::new(limits.connections_max)),
        addresses: Arc::default(),
    };
    let (mut tasks, mut late) = (JoinSet::new(), JoinSet::new());
    door.open(&mut tasks, &shutdown).await;
    let over = CancellationToken::new();
    let drained = tokio::select! {
        drained = drain(tasks, limits.drain) => drained,
        // Never told to stop before the drain is over.
        () = door.open(&mut late, &over) => Drained { cut: 0 },
    };
    drop(door);
    over.cancel();
    drain(late, LATE_GRACE).await;
    drained
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    limits: Limits,
    slots: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

impl Door {
    /// Takes connections into `tasks` until `stop`, which is also the sign for them to end.
    async fn open(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        loop {
            // At the limit nothing is accepted: the kernel's queue is the back-pressure.
            // Told to stop, nothing more is taken: it would be ended before it could ask.
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = tasks.join_next() => continue,
                Ok(slot) = Arc::clone(&self.slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    debug!(%error, "accept failed");
                    // Out of file descriptors, or the client is gone already; do not spin.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let max = self.limits.connections_per_address_max;
            let Some(seat) = self.addresses.enter(peer.ip(), max) else {
                self.handler.connection_refused();
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (handler, limits, stop) = (Arc::clone(&self.handler), self.limits, stop.clone());
            tasks.spawn(async move {
                let timers = Timers::default();
                connection((stream, peer), handler, limits, timers, stop).await;
                drop((slot, seat));
            });
        }
    }
}

async fn drain(mut tasks: JoinSet<()>, grace: Duration) -> Drained {
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(grace, all).await;
    let cut = tasks.len();
    tasks.shutdown().await;
    Drained { cut }
}

/// Serves one connection until it ends; told to stop, until the request under way is answered.
pub async fn connection<S>(
    (stream, peer): (S, SocketAddr),
    handler: Arc<dyn Handler>,
    limits: Limits,
    timers: Timers,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Patient {
        stream,
        stall: limits.write_stall,
        timers: timers.clone(),
        timer: None,
    });
    let service = service_fn(move |request| {
        let answer = handler.handle(request, peer);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(timers)
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers_max)
        .max_header_size(limits.head_len_max)
        .max_buf_size(limits.read_buffer_max)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended");
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. Never fails: what goes wrong is part of the answer.
    fn handle(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
    ) -> BoxFuture<'static, http::Response<ResponseBody>>;
    /// A connection was refused because there are too many, for the count.
    fn connection_refused(&self);
}

/// Connections by address; an IPv6 network of 64 bits counts as one.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<Seat> {
        let address = match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => v4,
        };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Seat {
            address,
            addresses: Arc::clone(self),
        })
    }
}

#[derive(Debug)]
struct Seat {
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut map = self
            .addresses
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.address);
            }
        }
    }
}

/// A stream that fails when the peer takes nothing for too long.
struct Patient<S> {
    stream: S,
    stall: Duration,
    timers: Timers,
    timer: Option<Pin<Box<dyn Sleep>>>,
}

impl<S> Patient<S> {
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.timer = None;
            return poll;
        }
        let (stall, timers) = (self.stall, &self.timers);
        let timer = self.timer.get_or_insert_with(|| timers.sleep(stall));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, poll)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, poll)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
