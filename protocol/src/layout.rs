//! The arithmetic of stripes, cells and blocks.
//!
//! Owns: how an object's bytes are cut, and which cells and blocks a byte range touches.
//! Leaves to others: placing and moving the bytes.
//! Always: each stripe's cells are equally long, so that any `data` of them rebuild the rest; the
//! last stripe has shorter cells, padded with zeros up to `data × cell_len`.

use std::fmt;

use crate::codec::{FormatError, Reader, Writer};

/// Bytes of object data per stripe.
pub const STRIPE_LEN: u32 = 1 << 20;
/// Bytes per checksummed block of a cell (the last block of a cell may be shorter).
pub const BLOCK_LEN: u32 = 64 << 10;
/// Cells are multiples of this many bytes.
const CELL_ALIGN: u64 = 64;

/// How many data and parity shards a write has; written `4+2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    data: u8,
    parity: u8,
}

impl Geometry {
    /// `data` ≥ 1, `parity` ≥ 1 (a cluster without parity is refused), together at most 64.
    ///
    /// # Errors
    /// `Invalid` outside these bounds.
    pub fn new(data: u8, parity: u8) -> Result<Self, FormatError> {
        if data == 0 || parity == 0 || u16::from(data) + u16::from(parity) > 64 {
            return Err(FormatError::Invalid { what: "geometry" });
        }
        Ok(Self { data, parity })
    }
    /// Parses `4+2`.
    ///
    /// # Errors
    /// `Invalid` if it is not two numbers within the bounds of [`Geometry::new`].
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let invalid = FormatError::Invalid { what: "geometry" };
        let (data, parity) = text.split_once('+').ok_or(invalid.clone())?;
        let number = |t: &str| t.trim().parse::<u8>().map_err(|_| invalid.clone());
        Self::new(number(data)?, number(parity)?)
    }
    /// Data shards (k).
    pub const fn data(self) -> usize {
        self.data as usize
    }
    /// Parity shards (m).
    pub const fn parity(self) -> usize {
        self.parity as usize
    }
    /// All shards (k + m).
    pub const fn total(self) -> usize {
        self.data as usize + self.parity as usize
    }
    /// Durable shards needed to acknowledge a coded write: k + max(1, m − 1).
    pub const fn write_quorum(self) -> usize {
        let spare = if self.parity > 1 { self.parity - 1 } else { 1 };
        (self.data + spare) as usize
    }
    /// Copies of a small record: m + 1.
    pub const fn copies(self) -> usize {
        self.parity as usize + 1
    }
    /// Appends two bytes.
    pub fn encode(self, out: &mut Writer) {
        out.u8(self.data);
        out.u8(self.parity);
    }
    /// Reads two bytes.
    ///
    /// # Errors
    /// `Truncated` or `Invalid`.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (data, parity) = (input.u8()?, input.u8()?);
        Self::new(data, parity)
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

/// A half-open range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// First byte after the range.
    pub end: u64,
}

impl ByteRange {
    /// The range `start..end`; empty if `end` ≤ `start`.
    pub const fn new(start: u64, end: u64) -> Self {
        Self {
            start,
            end: if end > start { end } else { start },
        }
    }
    /// Bytes in the range.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }
    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A piece of one data cell that a byte range touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRef {
    /// Index of the stripe.
    pub stripe: u32,
    /// Index of the data shard.
    pub shard: u8,
    /// First wanted byte within the cell.
    pub start: u32,
    /// First byte after the wanted ones, within the cell.
    pub end: u32,
}

/// How an object of a given length is cut.
///
/// # Examples
/// ```
/// use holdfast_protocol::{Geometry, ShardLayout};
/// let layout = ShardLayout::new(Geometry::new(4, 2).unwrap(), 2_097_153);
/// assert_eq!(layout.stripe_count(), 3);
/// assert_eq!(layout.cell_len(0), 262_144);
/// assert_eq!(layout.cell_len(2), 64); // one byte, in cells of at least 64
/// assert_eq!(layout.shard_len(), 2 * 262_144 + 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLayout {
    geometry: Geometry,
    object_len: u64,
}

impl ShardLayout {
    /// The layout of `object_len` bytes under `geometry`.
    pub const fn new(geometry: Geometry, object_len: u64) -> Self {
        Self {
            geometry,
            object_len,
        }
    }
    /// The geometry.
    pub const fn geometry(self) -> Geometry {
        self.geometry
    }
    /// Bytes of the object.
    pub const fn object_len(self) -> u64 {
        self.object_len
    }
    /// Number of stripes; 0 for an empty object.
    pub const fn stripe_count(self) -> u32 {
        self.object_len.div_ceil(STRIPE_LEN as u64) as u32
    }
    /// Bytes of object data in stripe `stripe`.
    pub fn stripe_len(self, stripe: u32) -> u32 {
        let start = u64::from(stripe) * u64::from(STRIPE_LEN);
        self.object_len
            .saturating_sub(start)
            .min(u64::from(STRIPE_LEN)) as u32
    }
    /// Length of each cell of a stripe that holds `stripe_len` bytes of data.
    pub fn cell_len_of(geometry: Geometry, stripe_len: u32) -> u32 {
        let cell = u64::from(stripe_len).div_ceil(geometry.data() as u64);
        cell.next_multiple_of(CELL_ALIGN) as u32
    }
    /// Length of each cell of stripe `stripe`.
    pub fn cell_len(self, stripe: u32) -> u32 {
        Self::cell_len_of(self.geometry, self.stripe_len(stripe))
    }
    /// Blocks in each cell of stripe `stripe`.
    pub fn block_count(self, stripe: u32) -> u32 {
        self.cell_len(stripe).div_ceil(BLOCK_LEN)
    }
    /// Offset of stripe `stripe`'s cell within its shard.
    pub fn cell_offset(self, stripe: u32) -> u64 {
        u64::from(stripe) * u64::from(Self::cell_len_of(self.geometry, STRIPE_LEN))
    }
    /// Index of the first block of stripe `stripe` within its shard's list of checksums.
    pub fn first_block(self, stripe: u32) -> u64 {
        let full = Self::cell_len_of(self.geometry, STRIPE_LEN).div_ceil(BLOCK_LEN);
        u64::from(stripe) * u64::from(full)
    }
    /// Bytes of one shard.
    pub fn shard_len(self) -> u64 {
        match self.stripe_count() {
            0 => 0,
            count => self.cell_offset(count - 1) + u64::from(self.cell_len(count - 1)),
        }
    }
    /// Blocks of one shard.
    pub fn shard_blocks(self) -> u64 {
        match self.stripe_count() {
            0 => 0,
            count => self.first_block(count - 1) + u64::from(self.block_count(count - 1)),
        }
    }
    /// The pieces of stripe `stripe`'s data cells that `range` (of the object) touches, in order.
    pub fn cells(self, stripe: u32, range: ByteRange) -> impl Iterator<Item = CellRef> {
        let stripe_start = u64::from(stripe) * u64::from(STRIPE_LEN);
        let cell_len = u64::from(self.cell_len(stripe));
        let limit = u64::from(self.stripe_len(stripe));
        let from = range.start.saturating_sub(stripe_start).min(limit);
        let to = range.end.saturating_sub(stripe_start).min(limit);
        (0..self.geometry.data).filter_map(move |shard| {
            let cell_start = u64::from(shard) * cell_len;
            let (start, end) = (from.max(cell_start), to.min(cell_start + cell_len));
            (start < end).then(|| CellRef {
                stripe,
                shard,
                start: (start - cell_start) as u32,
                end: (end - cell_start) as u32,
            })
        })
    }
    /// The stripes that `range` (of the object) touches.
    pub fn stripes(self, range: ByteRange) -> std::ops::Range<u32> {
        let end = range.end.min(self.object_len);
        if range.start >= end {
            return 0..0;
        }
        let stripe = u64::from(STRIPE_LEN);
        (range.start / stripe) as u32..end.div_ceil(stripe) as u32
    }
}
