//! Bytes of shards on their way to their places.
//!
//! Owns: what is written where, and writing adjacent parts together.
//! Leaves to others: which places ([`super::stage`]), and syncs ([`super::log`]).
//! Always: places begin at pages; what is left of a last page becomes zeros.

use bytes::Bytes;
use holdfast_protocol::drive::PAGE_LEN;
use holdfast_protocol::rpc::DriveError;
use holdfast_seam::disk::zero_pages;

use super::files::Files;

/// Slices of one write at most.
const SLICES_MAX: usize = 512;

/// Part of a shard.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Where: (address, length), in order.
    pub(crate) places: Vec<(u64, u64)>,
    /// What comes first, of earlier cells.
    pub(crate) head: Vec<u8>,
    /// What follows, of one cell.
    pub(crate) cell: Bytes,
}

/// What goes to one place.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    address: u64,
    len: u64,
    slices: [&'a [u8]; 2],
}

/// Pieces at adjacent places.
#[derive(Debug, Default)]
struct Run<'a> {
    start: u64,
    end: u64,
    slices: Vec<&'a [u8]>,
}

impl Part {
    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.cell.len()
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let (mut head, mut cell) = (self.head.as_slice(), self.cell.as_ref());
        self.places.iter().map(move |&(address, len)| {
            let first = head.split_off(..head.len().min(len as usize));
            let first = first.unwrap_or_default();
            let second = cell.split_off(..cell.len().min(len as usize - first.len()));
            Piece {
                address,
                len,
                slices: [first, second.unwrap_or_default()],
            }
        })
    }
}

impl<'a> Run<'a> {
    /// Adds a piece if it lies behind those before it, in the same arena.
    fn takes(&mut self, piece: &Piece<'a>, files: &Files) -> bool {
        let is_next = self.end == piece.address
            && files.arena_of(self.start) == files.arena_of(piece.address)
            && self.slices.len() + 3 <= SLICES_MAX;
        if !is_next && !self.slices.is_empty() {
            return false;
        }
        if self.slices.is_empty() {
            self.start = piece.address;
        }
        let padding = piece.len.next_multiple_of(PAGE_LEN) - piece.len;
        let slices = piece
            .slices
            .into_iter()
            .chain([zero_pages(padding as usize)]);
        self.slices.extend(slices.filter(|slice| !slice.is_empty()));
        self.end = piece.address + piece.len + padding;
        true
    }
}

/// Writes all parts, those at adjacent places together.
///
/// # Errors
/// As [`Files::write`].
pub(crate) fn write<'a>(
    files: &Files,
    parts: impl IntoIterator<Item = &'a Part>,
) -> Result<(), DriveError> {
    let mut pieces: Vec<_> = parts.into_iter().flat_map(Part::pieces).collect();
    pieces.sort_unstable_by_key(|piece| piece.address);
    let mut run = Run::default();
    for piece in &pieces {
        if !run.takes(piece, files) {
            files.write(run.start, &run.slices)?;
            run = Run::default();
            run.takes(piece, files);
        }
    }
    if run.slices.is_empty() {
        return Ok(());
    }
    files.write(run.start, &run.slices)
}
