//! How far the scrub of a drive is.
//!
//! Owns: [`ScrubRow`] and its byte form (a row of kind 9).
//! Leaves to others: scrubbing (workers).
//! Always: a row that is lost only makes the scrub of its drive begin again.

use bytes::Bytes;

use super::{open, start};
use crate::codec::FormatError;
use crate::ids::{Order, WriteId};

/// How far the scrub of one drive is. Times are wall clock, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubRow {
    /// When the drive was first seen: nothing on it was verified before.
    pub since_ms: u64,
    /// When the present pass began; 0 while none runs.
    pub started_ms: u64,
    /// All writes up to this one were verified in the present pass.
    pub cursor: Option<WriteId>,
    /// Bytes verified in the present pass.
    pub bytes: u64,
    /// Writes verified in the present pass.
    pub records: u64,
    /// Bad ones found in the present pass.
    pub errors: u64,
    /// When the last complete pass began; 0 before the first.
    pub last_started_ms: u64,
    /// When it ended.
    pub last_ended_ms: u64,
    /// Bytes that it verified.
    pub last_bytes: u64,
    /// Writes of lower order were verified as new data.
    pub fresh_mark: Order,
    /// When new data was verified last.
    pub fresh_ms: u64,
    /// While new data is being verified: the mark when that began.
    pub fresh_until: Order,
    /// While new data is being verified: all of it up to this write was.
    pub fresh_cursor: Option<WriteId>,
}

impl ScrubRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(9);
        out.u64(self.since_ms);
        out.u64(self.started_ms);
        out.u8(u8::from(self.cursor.is_some()));
        self.cursor.iter().for_each(|write| write.encode(&mut out));
        for number in [
            self.bytes,
            self.records,
            self.errors,
            self.last_started_ms,
            self.last_ended_ms,
            self.last_bytes,
        ] {
            out.u64(number);
        }
        self.fresh_mark.encode(&mut out);
        out.u64(self.fresh_ms);
        self.fresh_until.encode(&mut out);
        out.u8(u8::from(self.fresh_cursor.is_some()));
        let cursor = self.fresh_cursor.iter();
        cursor.for_each(|write| write.encode(&mut out));
        out.finish()
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 9)?;
        let row = Self {
            since_ms: input.u64()?,
            started_ms: input.u64()?,
            cursor: match input.bool("cursor")? {
                true => Some(WriteId::decode(&mut input)?),
                false => None,
            },
            bytes: input.u64()?,
            records: input.u64()?,
            errors: input.u64()?,
            last_started_ms: input.u64()?,
            last_ended_ms: input.u64()?,
            last_bytes: input.u64()?,
            fresh_mark: Order::decode(&mut input)?,
            fresh_ms: input.u64()?,
            fresh_until: Order::decode(&mut input)?,
            fresh_cursor: match input.bool("fresh cursor")? {
                true => Some(WriteId::decode(&mut input)?),
                false => None,
            },
        };
        input.end()?;
        Ok(row)
    }
}
