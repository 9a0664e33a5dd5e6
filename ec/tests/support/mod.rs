//! Cells with known contents for the tests of this directory.

#![allow(dead_code, reason = "each test program uses a part of it")]

use holdfast_ec::{Code, Geometry};
use reed_solomon_erasure::galois_8::ReedSolomon;

/// Bytes that look random and follow from `seed` alone (splitmix64, Steele et al. 2014).
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    });
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(words.next().expect("an endless iterator").to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub fn geometry(data: usize, parity: usize) -> Geometry {
    Geometry::new(u8::try_from(data).unwrap(), u8::try_from(parity).unwrap()).unwrap()
}

pub fn data_cells(geometry: Geometry, seed: u64, len: usize) -> Vec<Vec<u8>> {
    (0..geometry.data() as u64)
        .map(|shard| bytes(seed ^ (shard << 32), len))
        .collect()
}

/// All cells of a stripe as `reed-solomon-erasure` encodes it (which needs a parity shard).
pub fn oracle_stripe(geometry: Geometry, seed: u64, len: usize) -> Vec<Vec<u8>> {
    let mut cells = data_cells(geometry, seed, len);
    if geometry.parity() > 0 && len > 0 {
        cells.resize(geometry.total(), vec![0; len]);
        let oracle = ReedSolomon::new(geometry.data(), geometry.parity()).unwrap();
        oracle.encode(&mut cells).unwrap();
    }
    cells.resize(geometry.total(), Vec::new());
    cells
}

/// The parity cells as `code` encodes them, into outputs that were not zero before.
pub fn encode(code: &Code, data: &[Vec<u8>], len: usize) -> Vec<Vec<u8>> {
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity = vec![vec![0xA5; len]; code.geometry().parity()];
    let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    code.encode(&data, &mut outputs).unwrap();
    parity
}

/// The `wanted` cells as `code` rebuilds them from the cells of `stripe` named in `used`.
pub fn rebuild(code: &Code, stripe: &[Vec<u8>], used: &[usize], wanted: &[usize]) -> Vec<Vec<u8>> {
    let present: Vec<(usize, &[u8])> = used.iter().map(|&i| (i, stripe[i].as_slice())).collect();
    let mut out = vec![vec![0xA5; stripe[0].len()]; wanted.len()];
    let mut outputs: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    code.rebuild(&present, wanted, &mut outputs).unwrap();
    out
}

/// The members of a bit set, in order.
pub fn members(set: u64) -> Vec<usize> {
    (0..64).filter(|i| set >> i & 1 != 0).collect()
}
