//! Entries of the heal queue.
//!
//! Owns: the fields and byte form of kind 10.
//! Leaves to others: the margin, which is in the key (index).
//! Always: as of all rows.

use bytes::Bytes;

use super::{RowName, open, start};
use crate::codec::FormatError;
use crate::layout::Geometry;

const NAME_LEN_MAX: usize = 4 << 10;

/// A row whose shards or copies are incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealRow {
    /// Which row.
    pub name: RowName,
    /// How it is coded, or copied: what its margin is when it is whole.
    pub geometry: Geometry,
}

impl HealRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(10);
        self.geometry.encode(&mut out);
        out.bytes(&self.name.encode());
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 10)?;
        let geometry = Geometry::decode(&mut input)?;
        let name = RowName::decode(input.bytes("name", NAME_LEN_MAX)?)?;
        input.end()?;
        Ok(Self { name, geometry })
    }
}
