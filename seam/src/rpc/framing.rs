//! Frames on a byte stream.
//!
//! Owns: reading frames with one copy at most, writing many of them with few system calls.
//! Leaves to others: the bytes and tags of a frame (`protocol::rpc::frame`).
//! Always: a payload is read into one buffer of its own, and written from the buffers it is in.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_protocol::FormatError;
use holdfast_protocol::rpc::frame::{FIXED_LEN, FrameHead, FrameKind, Opener, Sealer, TAG_LEN};
use holdfast_protocol::rpc::wire::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::RpcError;
use super::pulse::Pulse;
use crate::disk::PAGE_LEN;

/// Read ahead by at most so much: more would be copied again when a payload follows.
const READ_AHEAD: usize = 16 << 10;
/// A header longer than what is buffered grows in steps of this, as it arrives.
const HEADER_STEP: usize = 256 << 10;
/// Payloads of at least so many bytes begin at a page of memory, so that a drive can write them
/// as they are.
const ALIGNED_MIN: usize = 16 << 10;
/// Most slices in one system call.
const SLICES_MAX: usize = 64;

/// Head and message header of a frame, whose payload is still to be read.
#[derive(Debug)]
pub(super) struct Opened {
    pub head: FrameHead,
    pub header: Bytes,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    source: R,
    opener: Opener,
    pulse: Arc<Pulse>,
    buffer: Box<[u8]>,
    filled: Range<usize>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(source: R, opener: Opener, pulse: Arc<Pulse>) -> Self {
        Self {
            source,
            opener,
            pulse,
            buffer: vec![0; READ_AHEAD].into_boxed_slice(),
            filled: 0..0,
        }
    }

    /// The next frame up to its payload; `None` at an orderly end.
    pub async fn next(&mut self) -> Result<Option<Opened>, RpcError> {
        if self.filled.is_empty() && !self.fill(1).await? {
            return Ok(None);
        }
        self.need(FIXED_LEN).await?;
        let fixed: [u8; FIXED_LEN] = self.take()?;
        let head = FrameHead::decode(&fixed)?;
        let len = head.header_len as usize;
        let header = self.bytes(BytesMut::new(), len, HEADER_STEP).await?;
        self.need(TAG_LEN).await?;
        let tag: [u8; TAG_LEN] = self.take()?;
        self.opener.open(&fixed, &header, &tag)?;
        Ok(Some(Opened { head, header }))
    }

    /// The payload of the frame just opened.
    pub async fn payload(&mut self, head: &FrameHead) -> Result<Bytes, RpcError> {
        let len = head.payload_len as usize;
        let payload = if len < ALIGNED_MIN {
            self.bytes(BytesMut::with_capacity(len), len, len).await?
        } else {
            let mut bytes = BytesMut::with_capacity(len + PAGE_LEN);
            let start = bytes.as_ptr().align_offset(PAGE_LEN).min(PAGE_LEN);
            bytes.put_bytes(0, start);
            let mut payload = self.bytes(bytes, start + len, len).await?;
            payload.split_off(start)
        };
        head.check_payload(&payload)?;
        Ok(payload)
    }

    /// Fills `bytes` until they are `len`; they grow by at most `step` ahead of what arrived.
    async fn bytes(
        &mut self,
        mut bytes: BytesMut,
        len: usize,
        step: usize,
    ) -> Result<Bytes, RpcError> {
        let buffered = self.filled.len().min(len - bytes.len());
        bytes.reserve(buffered);
        let start = self.filled.start;
        bytes.extend_from_slice(&self.buffer[start..start + buffered]);
        self.filled.start += buffered;
        while bytes.len() < len {
            let left = len - bytes.len();
            if bytes.len() == bytes.capacity() {
                bytes.reserve(left.min(step));
            }
            let room = left.min(bytes.capacity() - bytes.len());
            let read = self.source.read_buf(&mut (&mut bytes).limit(room)).await?;
            self.heard(read)?;
        }
        Ok(bytes.freeze())
    }

    /// Makes sure that `len` bytes are buffered.
    async fn need(&mut self, len: usize) -> Result<(), RpcError> {
        while self.filled.len() < len {
            if !self.fill(len).await? {
                return Err(RpcError::closed("the peer ended inside a frame"));
            }
        }
        Ok(())
    }

    /// Reads once, into a buffer that has room for `len` bytes in all. `false` at the end.
    async fn fill(&mut self, len: usize) -> Result<bool, RpcError> {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.filled.start + len > self.buffer.len() {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        let read = self
            .source
            .read(&mut self.buffer[self.filled.end..])
            .await?;
        self.filled.end += read;
        self.pulse.heard(read);
        Ok(read > 0)
    }

    fn heard(&self, read: usize) -> Result<(), RpcError> {
        self.pulse.heard(read);
        match read {
            0 => Err(RpcError::closed("the peer ended inside a frame")),
            _ => Ok(()),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let start = self.filled.start;
        let bytes = self.buffer[..self.filled.end].get(start..start + N);
        let bytes = bytes.ok_or(FormatError::Truncated {
            needed: N,
            left: self.filled.len(),
        })?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        self.filled.start += N;
        Ok(array)
    }
}

#[derive(Debug)]
enum Segment {
    /// Within `heads`.
    Head(Range<usize>),
    /// Of a payload.
    Payload(Bytes),
}

/// Writes frames.
#[derive(Debug)]
pub(super) struct FrameWriter<W> {
    sink: W,
    sealer: Sealer,
    pulse: Arc<Pulse>,
    heads: Vec<u8>,
    segments: Vec<Segment>,
    len: usize,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub fn new(sink: W, sealer: Sealer, pulse: Arc<Pulse>) -> Self {
        Self {
            sink,
            sealer,
            pulse,
            heads: Vec::with_capacity(4 << 10),
            segments: Vec::new(),
            len: 0,
        }
    }

    /// Bytes waiting for [`FrameWriter::flush`].
    pub fn waiting(&self) -> usize {
        self.len
    }

    /// Adds a frame to those that the next flush writes.
    pub fn push(
        &mut self,
        kind: FrameKind,
        request: u64,
        message: &Message,
    ) -> Result<(), FormatError> {
        let start = self.heads.len();
        self.sealer.seal(kind, request, message, &mut self.heads)?;
        let end = self.heads.len();
        match self.segments.last_mut() {
            Some(Segment::Head(range)) => range.end = end,
            _ => self.segments.push(Segment::Head(start..end)),
        }
        let pieces = message.payload.iter().filter(|piece| !piece.is_empty());
        self.segments
            .extend(pieces.map(|piece| Segment::Payload(piece.clone())));
        self.len += end - start + message.payload_len();
        Ok(())
    }

    /// Writes what was added.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.pulse.writing(true);
        self.write_all().await?;
        self.pulse.writing(false);
        self.segments.clear();
        self.heads.clear();
        self.heads.shrink_to(64 << 10);
        self.len = 0;
        Ok(())
    }

    async fn write_all(&mut self) -> io::Result<()> {
        let mut done = 0;
        let mut skip = 0;
        while done < self.segments.len() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for segment in self.segments[done..].iter().take(SLICES_MAX) {
                let bytes = match segment {
                    Segment::Head(range) => &self.heads[range.clone()],
                    Segment::Payload(bytes) => &bytes[..],
                };
                let from = if count == 0 { skip } else { 0 };
                slices[count] = IoSlice::new(&bytes[from..]);
                count += 1;
            }
            let mut written = self.sink.write_vectored(&slices[..count]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.pulse.wrote(written);
            for slice in &slices[..count] {
                if written < slice.len() {
                    break;
                }
                written -= slice.len();
                done += 1;
                skip = 0;
            }
            skip += written;
        }
        self.sink.flush().await
    }
}
