//! Goal: kernels are chosen by what the machine can do, and differ in nothing but speed.
//!
//! Method: every kernel that this machine has against the scalar one, over every length around the
//! register widths and every alignment; those that it does not have must be refused. Run with
//! `--nocapture` to see which ones ran.

#![allow(
    clippy::unwrap_used,
    reason = "a test whose cells cannot be made must stop"
)]

mod support;

use holdfast_ec::{Code, EcError, Kernel};
use support::{bytes, encode, geometry};

#[test]
fn the_fastest_available_kernel_is_in_use_and_the_others_are_refused() {
    let geometry = geometry(4, 2);
    let available: Vec<Kernel> = Kernel::ALL
        .into_iter()
        .filter(|k| k.is_available())
        .collect();
    println!("kernels here: {available:?}");
    assert_eq!(
        available.last(),
        Some(&Kernel::Scalar),
        "the scalar kernel runs anywhere"
    );
    assert_eq!(Code::new(geometry).kernel(), available[0]);
    assert_eq!(Kernel::fastest(), available[0]);
    for kernel in Kernel::ALL {
        match Code::with_kernel(geometry, kernel) {
            Ok(code) => assert!(available.contains(&kernel) && code.kernel() == kernel),
            Err(error) => {
                assert_eq!(error, EcError::KernelUnavailable { kernel });
                assert!(!available.contains(&kernel));
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
fn neon_is_in_use_on_aarch64() {
    assert_eq!(Kernel::fastest(), Kernel::Neon);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_features_of_the_processor_decide() {
    let gfni = is_x86_feature_detected!("gfni");
    let (avx2, avx512) = (
        is_x86_feature_detected!("avx2"),
        is_x86_feature_detected!("avx512f"),
    );
    assert_eq!(Kernel::GfniAvx512.is_available(), gfni && avx512);
    assert_eq!(Kernel::GfniAvx2.is_available(), gfni && avx2);
    assert_eq!(Kernel::Avx2.is_available(), avx2);
    assert!(!Kernel::Neon.is_available());
}

#[test]
fn every_length_around_the_register_widths_gives_the_scalar_bytes() {
    for (data, parity) in [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 2),
        (5, 4),
        (6, 5),
        (10, 4),
        (3, 9),
    ] {
        let geometry = geometry(data, parity);
        let scalar = Code::with_kernel(geometry, Kernel::Scalar).unwrap();
        for kernel in Kernel::ALL
            .into_iter()
            .filter(|kernel| kernel.is_available())
        {
            let code = Code::with_kernel(geometry, kernel).unwrap();
            // 8192 is the tile that cells are cut into when outputs come in groups.
            for len in (0..=520).chain(8185..=8200).chain([16_384 + 63]) {
                let cells = support::data_cells(geometry, len as u64, len);
                let expected = encode(&scalar, &cells, len);
                assert!(
                    encode(&code, &cells, len) == expected,
                    "{kernel} {geometry} {len}"
                );
            }
        }
    }
}

#[test]
fn every_alignment_gives_the_scalar_bytes_and_nothing_beside_the_outputs_is_touched() {
    const LEN: usize = 333;
    let geometry = geometry(3, 2);
    let input = bytes(3, 3 * (LEN + 64));
    let scalar = Code::with_kernel(geometry, Kernel::Scalar).unwrap();
    for kernel in Kernel::ALL
        .into_iter()
        .filter(|kernel| kernel.is_available())
    {
        let code = Code::with_kernel(geometry, kernel).unwrap();
        for shift in 0..64 {
            let data: [&[u8]; 3] =
                std::array::from_fn(|i| &input[i * (LEN + 64) + (shift * (i + 1)) % 64..][..LEN]);
            let owned: Vec<Vec<u8>> = data.iter().map(|cell| cell.to_vec()).collect();
            let expected = encode(&scalar, &owned, LEN);
            let mut out = vec![0xEE; 2 * (LEN + 64)];
            let (first, second) = out.split_at_mut(LEN + 64);
            let (p, q) = (
                &mut first[shift..shift + LEN],
                &mut second[63 - shift..63 - shift + LEN],
            );
            code.encode(&data, &mut [p, q]).unwrap();

            let (first, second) = out.split_at(LEN + 64);
            assert!(
                first[shift..shift + LEN] == expected[0],
                "{kernel}, shift {shift}"
            );
            assert!(
                second[63 - shift..63 - shift + LEN] == expected[1],
                "{kernel}, {shift}"
            );
            let beside = [&first[..shift], &first[shift + LEN..]].concat();
            assert!(
                beside.iter().all(|&byte| byte == 0xEE),
                "{kernel}, shift {shift}"
            );
            let beside = [&second[..63 - shift], &second[63 - shift + LEN..]].concat();
            assert!(
                beside.iter().all(|&byte| byte == 0xEE),
                "{kernel}, shift {shift}"
            );
        }
    }
}
