//! Frames: how messages share a connection.
//!
//! Owns: the frame (`HFRP`, `docs/formats/rpc.md`), its bounds, and the tag that authenticates it.
//! Leaves to others: where the keys come from ([`super::handshake`]), sockets, who answers.
//! Always: a frame is accepted once, in its place, on its connection, in its direction; nothing
//! above the bounds is allocated; the payload is covered by a CRC-64 that the tag covers.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::wire::Message;
use crate::checksum::crc64;
use crate::codec::{FormatError, Reader, Writer};

/// First bytes of a frame.
pub const MAGIC: [u8; 4] = *b"HFRP";
/// Newest version this release writes.
pub const VERSION: u8 = 1;
/// Longest message header, in bytes: a record head of 16 MiB and its surroundings.
pub const HEADER_LEN_MAX: usize = 17 << 20;
/// Longest payload, in bytes.
pub const PAYLOAD_LEN_MAX: usize = 16 << 20;
/// Bytes of the fixed part of a frame.
pub const FIXED_LEN: usize = 40;
/// Bytes of the tag that follows the message header.
pub const TAG_LEN: usize = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Asks; its id is new on the connection.
    Request = 1,
    /// Answers the request of its id.
    Response = 2,
    /// The request of its id is no longer wanted; no answer need follow.
    Cancel = 3,
    /// Asks for a [`FrameKind::Pong`] of the same id.
    Ping = 4,
    /// Shows that the peer lives.
    Pong = 5,
    /// The sender takes no more requests and will close.
    Bye = 6,
}

impl FrameKind {
    fn from_u8(tag: u8) -> Result<Self, FormatError> {
        Ok(match tag {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Cancel,
            4 => Self::Ping,
            5 => Self::Pong,
            6 => Self::Bye,
            _ => return Err(FormatError::Invalid { what: "frame kind" }),
        })
    }
    /// Whether it carries a message.
    pub fn carries(self) -> bool {
        matches!(self, Self::Request | Self::Response)
    }
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What it is.
    pub kind: FrameKind,
    /// Which request it is about; chosen by who asks.
    pub request: u64,
    /// Bytes of the message header.
    pub header_len: u32,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// CRC-64 of the payload; 0 when there is none.
    pub payload_sum: u64,
}

impl FrameHead {
    /// The head of a frame that carries `message`.
    ///
    /// # Errors
    /// `TooLong` above [`HEADER_LEN_MAX`] or [`PAYLOAD_LEN_MAX`].
    pub fn of(kind: FrameKind, request: u64, message: &Message) -> Result<Self, FormatError> {
        let payload_len = message.payload_len();
        let head = Self {
            kind,
            request,
            header_len: u32::try_from(message.header.len()).unwrap_or(u32::MAX),
            payload_len: u32::try_from(payload_len).unwrap_or(u32::MAX),
            payload_sum: sum(&message.payload),
        };
        head.check()?;
        Ok(head)
    }

    /// The byte form.
    pub fn encode(&self) -> [u8; FIXED_LEN] {
        let mut out = Writer::format(MAGIC, VERSION, FIXED_LEN);
        out.u8(self.kind as u8);
        out.u16(0);
        out.u64(self.request);
        out.u32(self.header_len);
        out.u32(self.payload_len);
        out.u64(self.payload_sum);
        let mut bytes = [0; FIXED_LEN];
        bytes[..FIXED_LEN - 8].copy_from_slice(out.as_slice());
        let sum = crc64(&bytes[..FIXED_LEN - 8]);
        bytes[FIXED_LEN - 8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8; FIXED_LEN]) -> Result<Self, FormatError> {
        let (_, mut input) = Reader::format(bytes, MAGIC, VERSION, "frame")?;
        let kind = FrameKind::from_u8(input.u8()?)?;
        if input.u16()? != 0 {
            return Err(FormatError::Invalid {
                what: "frame flags",
            });
        }
        let head = Self {
            kind,
            request: input.u64()?,
            header_len: input.u32()?,
            payload_len: input.u32()?,
            payload_sum: input.u64()?,
        };
        input.end()?;
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), FormatError> {
        let carries = self.kind.carries();
        let lengths = [
            ("frame header", self.header_len, HEADER_LEN_MAX),
            ("frame payload", self.payload_len, PAYLOAD_LEN_MAX),
        ];
        for (what, len, max) in lengths {
            let max = if carries { max } else { 0 };
            if len as usize > max {
                return Err(FormatError::TooLong {
                    what,
                    len: len.into(),
                    max: max as u64,
                });
            }
        }
        Ok(())
    }

    /// Checks a payload that arrived.
    ///
    /// # Errors
    /// `Checksum` if it is not the one that was sent.
    pub fn check_payload(&self, payload: &Bytes) -> Result<(), FormatError> {
        let same = payload.len() == self.payload_len as usize
            && sum(std::slice::from_ref(payload)) == self.payload_sum;
        same.then_some(()).ok_or(FormatError::Checksum {
            what: "frame payload",
        })
    }
}

fn sum(payload: &[Bytes]) -> u64 {
    match payload {
        [] => 0,
        [one] if one.is_empty() => 0,
        [one] => crc64(one),
        many => {
            let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
            many.iter().for_each(|piece| digest.update(piece));
            digest.finalize()
        }
    }
}

/// The key of one direction of one connection, and the number of the next frame in it.
#[derive(Clone)]
struct Sequence {
    keyed: Hmac<Sha256>,
    next: u64,
}

impl Sequence {
    fn new(key: &[u8; 32]) -> Self {
        let keyed = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Self { keyed, next: 0 }
    }
    /// Tags the next frame. 2⁶⁴ frames do not fit into the life of a connection.
    fn tag(&mut self, fixed: &[u8; FIXED_LEN], header: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = self.keyed.clone();
        let mut first = [0_u8; 8 + FIXED_LEN];
        first[..8].copy_from_slice(&self.next.to_le_bytes());
        first[8..].copy_from_slice(fixed);
        mac.update(&first);
        mac.update(header);
        self.next = self.next.wrapping_add(1);
        let full = mac.finalize().into_bytes();
        let mut tag = [0_u8; TAG_LEN];
        tag.copy_from_slice(&full[..TAG_LEN]);
        tag
    }
}

impl std::fmt::Debug for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sequence {{ next: {}, key: [redacted] }}", self.next)
    }
}

/// Makes the frames of one direction, in the order in which they are sent.
#[derive(Debug)]
pub struct Sealer(Sequence);

impl Sealer {
    /// A sealer whose first frame has number 0.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Sequence::new(key))
    }
    /// Appends fixed part, message header and tag of the next frame; the payload follows as it is.
    ///
    /// # Errors
    /// `TooLong`; nothing was appended and the frame has no number.
    pub fn seal(
        &mut self,
        kind: FrameKind,
        request: u64,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let fixed = FrameHead::of(kind, request, message)?.encode();
        let tag = self.0.tag(&fixed, &message.header);
        out.reserve(FIXED_LEN + message.header.len() + TAG_LEN);
        out.extend_from_slice(&fixed);
        out.extend_from_slice(&message.header);
        out.extend_from_slice(&tag);
        Ok(())
    }
}

/// Accepts the frames of one direction, in the order in which they were sent.
#[derive(Debug)]
pub struct Opener(Sequence);

impl Opener {
    /// An opener whose first frame has number 0.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Sequence::new(key))
    }
    /// Checks that this is the next frame of the peer. After an error the connection is of no more
    /// use.
    ///
    /// # Errors
    /// `Checksum` if it was altered, replayed, reordered, or made without the key.
    pub fn open(
        &mut self,
        fixed: &[u8; FIXED_LEN],
        header: &[u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), FormatError> {
        let expected = self.0.tag(fixed, header);
        match bool::from(expected.ct_eq(tag)) {
            true => Ok(()),
            false => Err(FormatError::Checksum { what: "frame tag" }),
        }
    }
}
