//! The kernel for any machine, and the meaning of all others.
//!
//! Owns: the plain form of "sum of scaled cells", also used for cells shorter than a register.
//! Always: safe code, no tables but the products of the field.

use crate::field::products;
use crate::matrix::Matrix;

/// Bytes of every cell handled together, so that outputs stay in the first-level cache.
const TILE_BYTES: usize = 4096;

pub(super) fn apply(matrix: &Matrix, sources: &[&[u8]], out: &mut [&mut [u8]]) {
    let len = sources[0].len();
    for from in (0..len).step_by(TILE_BYTES) {
        let tile = from..len.min(from + TILE_BYTES);
        for (row, output) in out.iter_mut().enumerate() {
            let output = &mut output[tile.clone()];
            output.fill(0);
            for (source, &coefficient) in sources.iter().zip(matrix.row(row)) {
                let products = products(coefficient);
                for (output, &byte) in output.iter_mut().zip(&source[tile.clone()]) {
                    *output ^= products[usize::from(byte)];
                }
            }
        }
    }
}
