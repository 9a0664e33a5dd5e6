//! The body of a request, as it comes from the transport.
//!
//! Owns: how long a client may pause and how slow it may be; watching `aws-chunked` framing pass
//! by; counting.
//! Leaves to others: what the bytes mean.
//! Always: only the time spent waiting for the client counts against it, never our own
//! back-pressure; the first error is kept for the answer, and what was not read can be had back
//! ([`BodyHandle::drain`]).

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::rt::{Sleep, Timer};

use super::{ChunkWatch, Timers};
use crate::error::BodyError;

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest pause between bytes.
    pub idle: Duration,
    /// Least bytes per second, averaged over all the time spent waiting for the client, once that
    /// exceeds `idle`.
    pub rate_min: u64,
}

/// What is left to know of a body that was handed away.
#[derive(Clone, Debug, Default)]
pub struct BodyHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    fault: Mutex<Option<BodyError>>,
    rest: Mutex<Option<hyper::body::Incoming>>,
}

impl BodyHandle {
    /// Bytes received so far, framing included.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
    /// The first error, once.
    pub fn take_fault(&self) -> Option<BodyError> {
        lock(&self.0.fault).take()
    }
    /// Reads and drops what the client still sends, at most `len` bytes and `time`, so that it sees
    /// the answer instead of a reset connection.
    pub async fn drain(&self, len: u64, time: Duration, timers: &Timers) {
        let Some(mut rest) = lock(&self.0.rest).take() else {
            return;
        };
        let read = async {
            let mut left = len;
            while let Some(Ok(frame)) = rest.frame().await {
                let got = frame.data_ref().map_or(0, |data| data.len() as u64);
                left = left.saturating_sub(got);
                if left == 0 {
                    break;
                }
            }
        };
        // Whoever sends more, or more slowly, sees the connection closed.
        let _ = timers.within(time, read).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request.
pub struct RequestBody {
    inner: Option<hyper::body::Incoming>,
    watch: Option<ChunkWatch>,
    queue: VecDeque<Bytes>,
    pace: Pace,
    timers: Timers,
    timer: Option<Pin<Box<dyn Sleep>>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    handle: BodyHandle,
}

impl RequestBody {
    /// Wraps what the transport gives; `watch` if the body is `aws-chunked`.
    pub fn new(
        inner: hyper::body::Incoming,
        watch: Option<ChunkWatch>,
        pace: Pace,
        timers: &Timers,
    ) -> Self {
        Self {
            inner: Some(inner),
            watch,
            queue: VecDeque::new(),
            pace,
            timers: timers.clone(),
            timer: None,
            waiting_since: None,
            waited: Duration::ZERO,
            handle: BodyHandle::default(),
        }
    }
    /// What can be asked after the body is gone.
    pub fn handle(&self) -> BodyHandle {
        self.handle.clone()
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        // The one that travels with the stream may be wrapped beyond recognition on its way.
        lock(&self.handle.0.fault).get_or_insert(error.clone());
        self.queue.clear();
        self.park();
        error
    }

    /// Gives up the transport, but leaves it for [`BodyHandle::drain`].
    fn park(&mut self) {
        if let Some(inner) = self.inner.take()
            && !inner.is_end_stream()
        {
            *lock(&self.handle.0.rest) = Some(inner);
        }
    }

    fn arrived(&mut self, len: usize) -> Result<(), BodyError> {
        let total = self.handle.0.bytes.fetch_add(len as u64, Ordering::Relaxed) + len as u64;
        let Some(since) = self.waiting_since.take() else {
            return Ok(());
        };
        self.waited += self.timers.now().saturating_duration_since(since);
        let least = self.waited.as_secs_f64() * self.pace.rate_min as f64;
        match self.waited > self.pace.idle && (total as f64) < least {
            true => Err(BodyError::TooSlow),
            false => Ok(()),
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting_since.is_none() {
            let now = self.timers.now();
            let deadline = now + self.pace.idle;
            self.waiting_since = Some(now);
            match &mut self.timer {
                Some(timer) => self.timers.reset(timer, deadline),
                None => self.timer = Some(self.timers.sleep_until(deadline)),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(inner).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
            };
            match frame {
                None => {
                    self.inner = None;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.inner = None;
                    return Poll::Ready(Some(Err(BodyError::Gone(error.to_string()))));
                }
                Some(Ok(frame)) => {
                    // Trailers of the transport are no part of S3.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let arrived = self.arrived(data.len());
                    return Poll::Ready(Some(arrived.map(|()| data)));
                }
            }
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let next = ready!(this.poll_inner(cx));
            let (step, end) = match (next, &mut this.watch) {
                (Some(Err(error)), _) => (Err(error), false),
                (Some(Ok(bytes)), None) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                (Some(Ok(bytes)), Some(watch)) => (watch.push(bytes, &mut this.queue), false),
                (None, None) => return Poll::Ready(None),
                (None, Some(_)) => (this.watch.take().map_or(Ok(()), |w| w.finish()), true),
            };
            if let Err(error) = step {
                return Poll::Ready(Some(Err(this.fail(error))));
            }
            if end {
                return Poll::Ready(None);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let over = self.inner.as_ref().is_none_or(Body::is_end_stream);
        // A chunked body is over only once its end was checked.
        over && self.queue.is_empty() && self.watch.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.watch) {
            (Some(inner), None) => inner.size_hint(),
            (None, None) => SizeHint::with_exact(0),
            (_, Some(_)) => SizeHint::new(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.park();
    }
}
