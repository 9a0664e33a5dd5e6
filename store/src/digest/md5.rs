//! One MD5 in progress, alone or beside others.
//!
//! Owns: partial blocks, padding, and cutting pieces into steps that lanes can take.
//! Leaves to others: the steps ([`super::kernel`]), when who is hashed ([`super::lanes`]).
//! Always: the same bytes give the same digest, however they are cut and whatever is beside them.

use super::kernel::rounds::BLOCK;
use super::kernel::{Kernel, Lane};

/// An MD5 (RFC 1321) in progress.
#[derive(Clone, Debug)]
pub struct Md5 {
    state: [u32; 4],
    len: u64,
    /// The first `len % 64` bytes are a block that is not yet whole.
    partial: [u8; BLOCK],
}

/// Bytes to be added to one MD5.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The MD5.
    pub md5: &'a mut Md5,
    /// What is still to be added.
    pub bytes: &'a [u8],
}

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            len: 0,
            partial: [0; BLOCK],
        }
    }
}

impl Md5 {
    /// Of no bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of the partial block.
    fn partial_len(&self) -> usize {
        (self.len % BLOCK as u64) as usize
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut bytes = self.fill(bytes);
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            fast_md5::transform(&mut self.state, block);
        }
        self.len += (bytes.len() - rest.len()) as u64;
        bytes = self.fill(rest);
        debug_assert!(bytes.is_empty(), "less than a block was left");
    }

    /// Adds bytes to the partial block, if there is one or they are less than a block; returns
    /// those left.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let filled = self.partial_len();
        if filled == 0 && bytes.len() >= BLOCK {
            return bytes;
        }
        let take = bytes.len().min(BLOCK - filled);
        self.partial[filled..filled + take].copy_from_slice(&bytes[..take]);
        self.len += take as u64;
        if filled + take == BLOCK {
            fast_md5::transform(&mut self.state, &self.partial);
        }
        // What is left may be less than a block, and the partial block is empty then.
        match bytes.len() - take {
            0 => &[],
            1..BLOCK => self.fill(&bytes[take..]),
            _ => &bytes[take..],
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.len.wrapping_mul(8);
        let filled = self.partial_len();
        let mut last = [0; 2 * BLOCK];
        last[..filled].copy_from_slice(&self.partial[..filled]);
        last[filled] = 0x80;
        let len = if filled < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        last[len - 8..len].copy_from_slice(&bits.to_le_bytes());
        for block in last[..len].as_chunks().0 {
            fast_md5::transform(&mut self.state, block);
        }
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }
}

/// Adds bytes to all pieces side by side until the first has none left; the others keep the rest.
///
/// A single piece is added whole.
pub fn add_together(kernel: Kernel, pieces: &mut [Piece<'_>]) {
    for piece in &mut *pieces {
        piece.bytes = piece.md5.fill(piece.bytes);
    }
    let blocks = pieces.iter().map(|piece| piece.bytes.len() / BLOCK).min();
    let blocks = blocks.unwrap_or(0);
    if blocks > 0 {
        let mut lanes: Vec<Lane<'_>> = pieces
            .iter_mut()
            .map(|piece| {
                let Piece { md5, bytes } = piece;
                Lane {
                    state: &mut md5.state,
                    blocks: bytes.as_chunks().0,
                }
            })
            .collect();
        kernel.advance(&mut lanes, blocks);
    }
    for piece in pieces {
        piece.md5.len += (blocks * BLOCK) as u64;
        piece.bytes = piece.md5.fill(&piece.bytes[blocks * BLOCK..]);
    }
}
