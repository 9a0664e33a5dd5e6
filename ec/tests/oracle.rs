//! Goal: our bytes are those of `reed-solomon-erasure`, and any `data` cells rebuild the others.
//!
//! Method: every geometry up to 16+4 and, drawn at random, up to 64 shards, encoded by both; every
//! erasure pattern of geometries up to 8 shards and random ones above, compared with the stripe
//! that the oracle encoded.

#![allow(
    clippy::unwrap_used,
    reason = "a test whose cells cannot be made must stop"
)]

mod support;

use holdfast_ec::{Code, Kernel};
use proptest::prelude::*;
use proptest::sample::subsequence;
use support::{data_cells, encode, geometry, members, oracle_stripe, rebuild};

const ODD_LENS: [usize; 5] = [1, 63, 64, 65, 4097];

#[test]
fn parity_is_the_oracle_s_in_every_geometry_up_to_16_4() {
    for data in 1..=16 {
        for parity in 1..=4 {
            let geometry = geometry(data, parity);
            let code = Code::new(geometry);
            for len in ODD_LENS {
                let stripe = oracle_stripe(geometry, len as u64, len);
                let ours = encode(&code, &stripe[..data], len);
                assert!(ours == stripe[data..], "{geometry}, {len} bytes");
            }
        }
    }
}

#[test]
fn every_erasure_pattern_of_up_to_8_shards_is_rebuilt() {
    for total in 1..=8_usize {
        for data in 1..=total {
            let geometry = geometry(data, total - data);
            let code = Code::new(geometry);
            let stripe = oracle_stripe(geometry, 7, 65);
            let choices = (0..1_u64 << total).filter(|set| set.count_ones() as usize == data);
            for used in choices {
                // All of the others: any smaller loss is some rows of the same matrix.
                let lost = members(!used & ((1 << total) - 1));
                let rebuilt = rebuild(&code, &stripe, &members(used), &lost);
                for (shard, cell) in lost.iter().zip(rebuilt) {
                    assert!(
                        cell == stripe[*shard],
                        "{geometry}, {used:b}, shard {shard}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_geometry_without_parity_encodes_nothing_and_needs_every_cell() {
    let geometry = geometry(3, 0);
    let code = Code::new(geometry);
    let data = data_cells(geometry, 1, 100);
    assert!(encode(&code, &data, 100).is_empty());
    assert!(rebuild(&code, &data, &[2, 0, 1], &[1, 2]) == data[1..]);
}

#[test]
fn cells_of_no_bytes_are_encoded_and_rebuilt() {
    let geometry = geometry(4, 2);
    let code = Code::new(geometry);
    let stripe = oracle_stripe(geometry, 1, 0);
    assert!(encode(&code, &stripe[..4], 0) == stripe[4..]);
    assert!(rebuild(&code, &stripe, &[0, 2, 4, 5], &[1, 3]) == [Vec::new(), Vec::new()]);
}

/// Data and parity shards, an order of all the shards, and which of them are wanted.
fn patterns(
    data: impl Strategy<Value = usize>,
) -> impl Strategy<Value = (usize, usize, Vec<usize>, Vec<usize>)> {
    data.prop_flat_map(|data| (Just(data), 1..=(64 - data).max(1)))
        .prop_flat_map(|(data, parity)| {
            let all: Vec<usize> = (0..data + parity).collect();
            let order = Just(all.clone()).prop_shuffle();
            let wanted = subsequence(all, 0..=data + parity).prop_shuffle();
            (Just(data), Just(parity), order, wanted)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_geometry_encodes_and_rebuilds_the_oracle_s_stripe(
        (data, parity, order, wanted) in patterns(1..=63_usize),
        len in prop_oneof![1..=300_usize, Just(4097), Just(8192 + 257)],
        extra in 0..=63_usize,
        seed: u64,
    ) {
        let geometry = geometry(data, parity);
        let code = Code::new(geometry);
        let stripe = oracle_stripe(geometry, seed, len);
        prop_assert!(encode(&code, &stripe[..data], len) == stripe[data..]);
        // Cells beyond the first `data` are welcome and make no difference.
        let given = &order[..(data + extra).min(order.len())];
        let rebuilt = rebuild(&code, &stripe, given, &wanted);
        for (&shard, cell) in wanted.iter().zip(rebuilt) {
            prop_assert!(cell == stripe[shard], "shard {} of {}", shard, geometry);
        }
    }

    #[test]
    fn every_kernel_of_this_machine_gives_the_bytes_of_the_scalar_one(
        (data, parity, order, wanted) in patterns(1..=24_usize),
        len in 0..=1200_usize,
        seed: u64,
    ) {
        let geometry = geometry(data, parity);
        let stripe_len = len;
        let scalar = Code::with_kernel(geometry, Kernel::Scalar).unwrap();
        let mut stripe = data_cells(geometry, seed, stripe_len);
        stripe.extend(encode(&scalar, &stripe, len));
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
            let code = Code::with_kernel(geometry, kernel).unwrap();
            prop_assert!(encode(&code, &stripe[..data], len) == stripe[data..], "{}", kernel);
            let rebuilt = rebuild(&code, &stripe, &order[..data], &wanted);
            for (&shard, cell) in wanted.iter().zip(rebuilt) {
                prop_assert!(cell == stripe[shard], "{}, {}, shard {}", kernel, geometry, shard);
            }
        }
    }
}
