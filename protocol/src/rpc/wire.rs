//! Byte forms of calls and answers.
//!
//! Owns: the message header (`HFNQ` for a call, `HFNA` for an answer; `docs/formats/rpc.md`), its
//! bounds, and which bytes travel beside it as payload.
//! Leaves to others: frames and their authentication ([`super::frame`]).
//! Always: cells, bodies and pieces are never copied: they leave as separate buffers, and arrive as
//! slices of the one payload buffer. Every payload byte belongs to exactly one field.

mod answer;
mod call;

use bytes::Bytes;

use super::frame::{HEADER_LEN_MAX, PAYLOAD_LEN_MAX};
use super::{DriveError, DriveReply};
use crate::codec::{FormatError, Reader, Writer};
use crate::record::{BODY_LEN_MAX, EncodedRecord, HEAD_LEN_MAX};

pub use answer::{ANSWER_MAGIC, decode_answer, encode_answer};
pub use call::{CALL_MAGIC, decode_call, encode_call};

/// Newest version of both headers.
pub const VERSION: u8 = 1;
/// Most spans in one read.
pub const SPANS_MAX: usize = 1024;
/// Most writes in one purge.
pub const WRITES_MAX: usize = 32 << 10;
/// Most entries in one answer to an inventory.
pub const ENTRIES_MAX: usize = 64 << 10;
/// Most bad blocks in one answer to a verify.
pub const BAD_BLOCKS_MAX: usize = 1024;
/// Longest explanation, in bytes; a longer one is cut when it is written.
pub const TEXT_LEN_MAX: usize = 4096;
/// Most block checksums of one cell or piece: what a full payload can need.
const CHECKSUMS_MAX: usize = PAYLOAD_LEN_MAX / (64 << 10) + 1;

/// What a drive answers, either way.
pub type DriveAnswer = Result<DriveReply, DriveError>;

/// A message ready to be framed: a small header, and bytes that travel beside it uncopied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The encoded fields.
    pub header: Bytes,
    /// The bytes they refer to, one after the other.
    pub payload: Vec<Bytes>,
}

impl Message {
    /// A message without payload.
    ///
    /// # Errors
    /// `TooLong` above [`HEADER_LEN_MAX`].
    pub fn bare(header: Bytes) -> Result<Self, FormatError> {
        Self::new(header, Vec::new())
    }
    /// A message with payload.
    ///
    /// # Errors
    /// `TooLong` above [`HEADER_LEN_MAX`] or [`PAYLOAD_LEN_MAX`].
    pub fn new(header: Bytes, payload: Vec<Bytes>) -> Result<Self, FormatError> {
        let message = Self { header, payload };
        bounded("message header", message.header.len(), HEADER_LEN_MAX)?;
        bounded("message payload", message.payload_len(), PAYLOAD_LEN_MAX)?;
        Ok(message)
    }
    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }
    /// The payload in one buffer; copies only if it has several pieces.
    pub fn joined_payload(&self) -> Bytes {
        match &self.payload[..] {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        }
    }
}

/// Fields and payload of a message being written.
struct Parts {
    out: Writer,
    payload: Vec<Bytes>,
}

impl Parts {
    fn new(magic: [u8; 4], capacity: usize) -> Self {
        Self {
            out: Writer::format(magic, VERSION, capacity),
            payload: Vec::new(),
        }
    }
    fn finish(self) -> Result<Message, FormatError> {
        Message::new(self.out.finish(), self.payload)
    }
    /// A length in the header, the bytes beside it.
    fn beside(&mut self, bytes: &Bytes) -> Result<(), FormatError> {
        bounded("payload bytes", bytes.len(), PAYLOAD_LEN_MAX)?;
        self.out.u32(bytes.len() as u32);
        if !bytes.is_empty() {
            self.payload.push(bytes.clone());
        }
        Ok(())
    }
    fn count(&mut self, what: &'static str, len: usize, max: usize) -> Result<(), FormatError> {
        bounded(what, len, max)?;
        self.out.u32(len as u32);
        Ok(())
    }
    fn checksums(&mut self, checksums: &[u64]) -> Result<(), FormatError> {
        self.count("block checksums", checksums.len(), CHECKSUMS_MAX)?;
        checksums.iter().for_each(|sum| self.out.u64(*sum));
        Ok(())
    }
    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.out.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(&mut self.out, value);
        }
    }
    fn record(&mut self, record: &EncodedRecord) -> Result<(), FormatError> {
        bounded("record head", record.head.len(), HEAD_LEN_MAX)?;
        bounded("record body", record.body.len(), BODY_LEN_MAX)?;
        self.out.bytes(&record.head);
        self.beside(&record.body)
    }
}

/// Fields and payload of a message being read.
struct Input<'a> {
    header: &'a Bytes,
    fields: Reader<'a>,
    payload: Bytes,
}

impl<'a> Input<'a> {
    fn open(
        magic: [u8; 4],
        what: &'static str,
        header: &'a Bytes,
        payload: &Bytes,
    ) -> Result<Self, FormatError> {
        bounded("message header", header.len(), HEADER_LEN_MAX)?;
        bounded("message payload", payload.len(), PAYLOAD_LEN_MAX)?;
        let (_, fields) = Reader::format(header, magic, VERSION, what)?;
        Ok(Self {
            header,
            fields,
            payload: payload.clone(),
        })
    }
    fn end(&self) -> Result<(), FormatError> {
        self.fields.end()?;
        match self.payload.len() {
            0 => Ok(()),
            left => Err(FormatError::Trailing { left }),
        }
    }
    fn beside(&mut self) -> Result<Bytes, FormatError> {
        let len = self.fields.count("payload bytes", PAYLOAD_LEN_MAX)?;
        if len > self.payload.len() {
            return Err(FormatError::Truncated {
                needed: len,
                left: self.payload.len(),
            });
        }
        Ok(match len {
            0 => Bytes::new(),
            _ => self.payload.split_to(len),
        })
    }
    fn list<T>(
        &mut self,
        what: &'static str,
        max: usize,
        read: impl Fn(&mut Reader<'a>) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let count = self.fields.count(what, max)?;
        (0..count).map(|_| read(&mut self.fields)).collect()
    }
    fn checksums(&mut self) -> Result<Vec<u64>, FormatError> {
        self.list("block checksums", CHECKSUMS_MAX, Reader::u64)
    }
    fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, FormatError>,
    ) -> Result<Option<T>, FormatError> {
        match self.fields.bool(what)? {
            true => read(&mut self.fields).map(Some),
            false => Ok(None),
        }
    }
    fn record(&mut self) -> Result<EncodedRecord, FormatError> {
        let head = self.fields.bytes("record head", HEAD_LEN_MAX)?;
        let head = self.header.slice_ref(head);
        let body = self.beside()?;
        bounded("record body", body.len(), BODY_LEN_MAX)?;
        Ok(EncodedRecord { head, body })
    }
    fn text(&mut self) -> Result<String, FormatError> {
        Ok(self.fields.str("text", TEXT_LEN_MAX)?.to_owned())
    }
}

pub(super) fn bounded(what: &'static str, len: usize, max: usize) -> Result<(), FormatError> {
    match len <= max {
        true => Ok(()),
        false => Err(FormatError::TooLong {
            what,
            len: len as u64,
            max: max as u64,
        }),
    }
}

/// At most [`TEXT_LEN_MAX`] bytes of `text`, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN_MAX)]
}
