//! Rows with which an index knows itself and the drives' logs.
//!
//! Owns: the fields and byte forms of kinds 7 and 8.
//! Leaves to others: when they are written (index).
//! Always: as of all rows.

use bytes::Bytes;

use super::{open, start};
use crate::codec::FormatError;
use crate::ids::{IndexId, LogId};
use crate::rpc::LogPosition;

/// How far a drive's log was seen when a batch was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenRow {
    /// The end of the log as the drive said it.
    pub end: LogPosition,
}

impl SeenRow {
    /// The byte form.
    pub fn encode(self) -> Bytes {
        let mut out = start(7);
        self.end.log.encode(&mut out);
        out.u64(self.end.batch);
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 7)?;
        let end = LogPosition {
            log: LogId::decode(&mut input)?,
            batch: input.u64()?,
        };
        input.end()?;
        Ok(Self { end })
    }
}

/// Which index this is; its generation is that of the row's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// The index's id.
    pub id: IndexId,
}

impl IdentityRow {
    /// The byte form.
    pub fn encode(self) -> Bytes {
        let mut out = start(8);
        self.id.encode(&mut out);
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 8)?;
        let id = IndexId::decode(&mut input)?;
        input.end()?;
        Ok(Self { id })
    }
}
