//! Goal: a wrong call is a typed error and leaves the outputs as they were.
//!
//! Method: one wrong thing at a time in an otherwise good call; outputs are filled beforehand.

#![allow(
    clippy::unwrap_used,
    reason = "a test whose cells cannot be made must stop"
)]

mod support;

use std::thread;

use holdfast_ec::{CellKind, Code, EcError};
use support::{encode, geometry, oracle_stripe, rebuild};

const UNTOUCHED: u8 = 0x5A;

fn code() -> Code {
    Code::new(geometry(4, 2))
}

/// Encodes cells of the given lengths and returns the error, once the outputs are seen unchanged.
fn encode_error(data_lens: &[usize], parity_lens: &[usize]) -> EcError {
    let data: Vec<Vec<u8>> = data_lens.iter().map(|&len| vec![1; len]).collect();
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity: Vec<Vec<u8>> = parity_lens
        .iter()
        .map(|&len| vec![UNTOUCHED; len])
        .collect();
    let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    let error = code().encode(&data, &mut outputs).unwrap_err();
    assert!(parity.iter().flatten().all(|&byte| byte == UNTOUCHED));
    error
}

/// Rebuilds from (shard, length) pairs and returns the error, once the outputs are seen unchanged.
fn rebuild_error(present: &[(usize, usize)], wanted: &[usize], out_lens: &[usize]) -> EcError {
    let cell = [1_u8; 100];
    let present: Vec<_> = present
        .iter()
        .map(|&(shard, len)| (shard, &cell[..len]))
        .collect();
    let mut out: Vec<Vec<u8>> = out_lens.iter().map(|&len| vec![UNTOUCHED; len]).collect();
    let mut outputs: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    let error = code().rebuild(&present, wanted, &mut outputs).unwrap_err();
    assert!(out.iter().flatten().all(|&byte| byte == UNTOUCHED));
    error
}

#[test]
fn encode_refuses_a_wrong_number_of_cells() {
    let wrong = |kind, expected, actual| EcError::CellCount {
        kind,
        expected,
        actual,
    };
    assert_eq!(encode_error(&[9; 3], &[9; 2]), wrong(CellKind::Data, 4, 3));
    assert_eq!(encode_error(&[9; 5], &[9; 2]), wrong(CellKind::Data, 4, 5));
    assert_eq!(
        encode_error(&[9; 4], &[9; 1]),
        wrong(CellKind::Parity, 2, 1)
    );
    assert_eq!(
        encode_error(&[9; 4], &[9; 3]),
        wrong(CellKind::Parity, 2, 3)
    );
    assert_eq!(encode_error(&[], &[]), wrong(CellKind::Data, 4, 0));
}

#[test]
fn encode_refuses_unequal_cells_wherever_they_are() {
    for odd in 1..6 {
        let mut lens = [9; 6];
        lens[odd] = 8;
        let expected = EcError::UnequalCells {
            shard: odd,
            expected_bytes: 9,
            actual_bytes: 8,
        };
        assert_eq!(encode_error(&lens[..4], &lens[4..]), expected);
    }
}

#[test]
fn rebuild_refuses_too_few_cells() {
    let too_few = |present| EcError::TooFewCells { needed: 4, present };
    assert_eq!(
        rebuild_error(&[(0, 9), (2, 9), (5, 9)], &[1], &[9]),
        too_few(3)
    );
    assert_eq!(rebuild_error(&[], &[1], &[9]), too_few(0));
}

#[test]
fn rebuild_refuses_unknown_and_repeated_shards_in_both_lists() {
    let good = [(0, 9), (2, 9), (3, 9), (5, 9)];
    let unknown = EcError::UnknownShard { shard: 6, total: 6 };
    assert_eq!(rebuild_error(&good, &[6], &[9]), unknown);
    assert_eq!(
        rebuild_error(&[(0, 9), (2, 9), (3, 9), (6, 9)], &[1], &[9]),
        unknown
    );
    let huge = EcError::UnknownShard {
        shard: usize::MAX,
        total: 6,
    };
    assert_eq!(rebuild_error(&good, &[usize::MAX], &[9]), huge);
    assert_eq!(
        rebuild_error(&good, &[1, 4, 1], &[9; 3]),
        EcError::DuplicateShard { shard: 1 }
    );
    let twice = [(0, 9), (2, 9), (3, 9), (2, 9)];
    assert_eq!(
        rebuild_error(&twice, &[1], &[9]),
        EcError::DuplicateShard { shard: 2 }
    );
    // A repeated one is refused also where it would not be used.
    let beyond = [(0, 9), (2, 9), (3, 9), (5, 9), (5, 9)];
    assert_eq!(
        rebuild_error(&beyond, &[1], &[9]),
        EcError::DuplicateShard { shard: 5 }
    );
}

#[test]
fn rebuild_refuses_outputs_that_do_not_fit_the_wanted_shards() {
    let good = [(0, 9), (2, 9), (3, 9), (5, 9)];
    let wrong = |expected, actual| EcError::CellCount {
        kind: CellKind::Wanted,
        expected,
        actual,
    };
    assert_eq!(rebuild_error(&good, &[1, 4], &[9]), wrong(2, 1));
    assert_eq!(rebuild_error(&good, &[1], &[9, 9]), wrong(1, 2));
    let unequal = |shard, actual_bytes| EcError::UnequalCells {
        shard,
        expected_bytes: 9,
        actual_bytes,
    };
    assert_eq!(rebuild_error(&good, &[4, 1], &[9, 10]), unequal(1, 10));
    assert_eq!(
        rebuild_error(&[(0, 9), (2, 9), (3, 8), (5, 9)], &[1], &[9]),
        unequal(3, 8)
    );
}

#[test]
fn wanting_nothing_is_allowed_and_wanting_a_present_cell_gives_it() {
    let stripe = oracle_stripe(geometry(4, 2), 5, 70);
    assert!(rebuild(&code(), &stripe, &[0, 2, 3, 5], &[]).is_empty());
    let again = rebuild(&code(), &stripe, &[5, 3, 2, 0], &[5, 0, 1]);
    assert!(again == [stripe[5].clone(), stripe[0].clone(), stripe[1].clone()]);
}

#[test]
fn clones_on_many_threads_rebuild_different_losses_at_once() {
    let code = code();
    let stripe = oracle_stripe(code.geometry(), 11, 1000);
    assert!(encode(&code, &stripe[..4], 1000) == stripe[4..]);
    thread::scope(|scope| {
        for first in 0..6 {
            let (code, stripe) = (code.clone(), &stripe);
            scope.spawn(move || {
                for second in (0..6).filter(|&second| second != first).cycle().take(200) {
                    let used: Vec<_> = (0..6).filter(|i| ![first, second].contains(i)).collect();
                    let rebuilt = rebuild(&code, stripe, &used, &[first, second]);
                    assert!(rebuilt == [stripe[first].clone(), stripe[second].clone()]);
                }
            });
        }
    });
}
