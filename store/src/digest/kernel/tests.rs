//! Facts about kernels, against `md-5` as the oracle.
use md5::Digest as _;
use proptest::prelude::*;

use super::super::md5::{Md5, Piece, add_together};
use super::*;

fn oracle(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

fn available() -> impl Iterator<Item = Kernel> {
    Kernel::ALL
        .into_iter()
        .filter(|kernel| kernel.is_available())
}

/// Hashes `bodies` side by side, each cut into pieces of the lengths in `cuts` in turn, beginning
/// at another one for each body.
fn together(kernel: Kernel, bodies: &[Vec<u8>], cuts: &[usize]) -> Vec<[u8; 16]> {
    let mut states = vec![Md5::new(); bodies.len()];
    let mut left: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let mut turn = 0;
    while left.iter().any(|bytes| !bytes.is_empty()) {
        let mut pieces = Vec::new();
        let mut kept = Vec::new();
        for (at, (md5, bytes)) in states.iter_mut().zip(&mut left).enumerate() {
            if bytes.is_empty() {
                continue;
            }
            let cut = cuts[(turn + at) % cuts.len()].min(bytes.len());
            let (piece, rest) = bytes.split_at(cut);
            pieces.push(Piece { md5, bytes: piece });
            kept.push((bytes, rest, cut));
        }
        add_together(kernel, &mut pieces);
        let unused: Vec<usize> = pieces.iter().map(|piece| piece.bytes.len()).collect();
        assert!(unused.contains(&0), "a step uses one piece up");
        for ((bytes, rest, cut), unused) in kept.into_iter().zip(unused) {
            assert!(unused <= cut);
            *bytes = &bytes[bytes.len() - rest.len() - unused..];
        }
        turn += 1;
    }
    states.into_iter().map(Md5::finish).collect()
}

fn body(len: usize, seed: usize) -> Vec<u8> {
    let byte = |at: usize| (at.wrapping_mul(0x9e37_79b9).wrapping_add(seed * 0x85eb) >> 7) as u8;
    (0..len).map(byte).collect()
}

#[test]
fn the_machine_has_the_scalar_kernel_and_the_fastest_is_available() {
    assert!(Kernel::Scalar.is_available());
    assert!(Kernel::fastest().is_available());
}

#[test]
fn texts_of_rfc_1321_have_their_digests() {
    let known = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ];
    for (text, digest) in known {
        let mut md5 = Md5::new();
        md5.update(text.as_bytes());
        let hex: String = md5
            .finish()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, digest, "{text:?}");
    }
}

#[test]
fn every_number_of_streams_gives_each_its_own_digest() {
    for kernel in available() {
        for count in 1..=kernel.lanes_max() + 3 {
            let bodies: Vec<Vec<u8>> = (0..count).map(|at| body(64 * 9 + 13 * at, at)).collect();
            let expected: Vec<[u8; 16]> = bodies.iter().map(|body| oracle(body)).collect();
            assert_eq!(
                together(kernel, &bodies, &[usize::MAX]),
                expected,
                "{kernel:?} {count}"
            );
        }
    }
}

proptest! {
    #[test]
    fn lengths_and_cuts_do_not_matter(
        lens in prop::collection::vec(0_usize..2_000, 1..40),
        cuts in prop::collection::vec(1_usize..700, 1..6),
        seed in any::<u16>(),
    ) {
        let bodies: Vec<Vec<u8>> = lens
            .iter()
            .enumerate()
            .map(|(at, &len)| body(len, at + usize::from(seed)))
            .collect();
        let expected: Vec<[u8; 16]> = bodies.iter().map(|body| oracle(body)).collect();
        for kernel in available() {
            prop_assert_eq!(&together(kernel, &bodies, &cuts), &expected, "{:?}", kernel);
        }
    }

    #[test]
    fn a_lone_stream_is_the_oracles(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
    ) {
        let mut md5 = Md5::new();
        pieces.iter().for_each(|piece| md5.update(piece));
        prop_assert_eq!(md5.finish(), oracle(&pieces.concat()));
    }
}
