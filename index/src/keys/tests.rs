//! Laws of keys.
//!
//! Owns: that the order of keys is the order of what they name, and that they parse back.
//! Leaves to others: rows.
//! Always: the keys tried hold 0x00, 0xff and prefixes of each other.

use holdfast_protocol::{BucketId, GatewayId, Generation, Order, WriteId};
use proptest::prelude::*;

use super::*;

fn write_id() -> impl Strategy<Value = WriteId> {
    (any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(gateway, gateway_epoch, counter)| {
        WriteId {
            gateway: GatewayId::new(gateway),
            gateway_epoch,
            counter,
        }
    })
}

fn order() -> impl Strategy<Value = Order> {
    (0..3_u32, any::<u64>()).prop_map(|(generation, sequence)| Order {
        generation: Generation::new(generation),
        sequence,
    })
}

/// Few bytes, so that keys are often prefixes of each other.
fn key() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just('\0'),
            Just('\u{1}'),
            Just('a'),
            Just('/'),
            Just('\u{7f}'),
            Just('\u{ff}'),
            Just('\u{10ffff}')
        ],
        0..6,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn bucket_id() -> impl Strategy<Value = BucketId> {
    prop_oneof![Just(0), Just(1), Just(0xff), Just(0x100), Just(u64::MAX)].prop_map(BucketId::new)
}

proptest! {
    #[test]
    fn current_keys_sort_like_bucket_and_key(
        a in (bucket_id(), key()), b in (bucket_id(), key()),
    ) {
        let named = (a.0, a.1.as_bytes()).cmp(&(b.0, b.1.as_bytes()));
        prop_assert_eq!(named, current(a.0, &a.1).cmp(&current(b.0, &b.1)));
        let stored = current(a.0, &a.1);
        prop_assert_eq!(current_key(&stored), Some(a.1.as_bytes()));
    }

    #[test]
    fn noncurrent_keys_sort_like_bucket_key_and_falling_order(
        a in (bucket_id(), key(), order()), b in (bucket_id(), key(), order()),
    ) {
        let named = (a.0, a.1.as_bytes(), std::cmp::Reverse(a.2))
            .cmp(&(b.0, b.1.as_bytes(), std::cmp::Reverse(b.2)));
        let stored = noncurrent(a.0, &a.1, a.2);
        prop_assert_eq!(named, stored.cmp(&noncurrent(b.0, &b.1, b.2)));
        prop_assert_eq!(parse_noncurrent(&stored), Some((a.0, a.1.clone().into_bytes(), a.2)));
        let same = (a.0, &a.1) == (b.0, &b.1);
        prop_assert_eq!(stored.starts_with(&noncurrent_prefix(b.0, &b.1)), same);
        prop_assert_eq!(parse_null(&null(a.0, &a.1)), Some((a.0, a.1.clone().into_bytes())));
        prop_assert_eq!(parse_null(&stored), None);
    }

    #[test]
    fn upload_keys_sort_like_bucket_key_and_upload(
        a in (bucket_id(), key(), write_id()), b in (bucket_id(), key(), write_id()),
    ) {
        let named = (a.0, a.1.as_bytes(), a.2).cmp(&(b.0, b.1.as_bytes(), b.2));
        let stored = upload(a.0, &a.1, a.2);
        prop_assert_eq!(named, stored.cmp(&upload(b.0, &b.1, b.2)));
        prop_assert_eq!(parse_upload(&stored), Some((a.0, a.1.clone().into_bytes(), a.2)));
        let same = (a.0, &a.1) == (b.0, &b.1);
        prop_assert_eq!(stored.starts_with(&upload_prefix(b.0, &b.1)), same);
        let within = a.0 == b.0 && a.1.as_bytes().starts_with(b.1.as_bytes());
        prop_assert_eq!(stored.starts_with(&uploads_prefix(b.0, b.1.as_bytes())), within);
        prop_assert_eq!(parse_upload(&upload_by_id(a.2)), None);
    }

    #[test]
    fn part_heal_and_purge_keys_sort_like_their_fields(
        a in (write_id(), any::<u16>(), any::<u8>(), order()),
        b in (write_id(), any::<u16>(), any::<u8>(), order()),
    ) {
        prop_assert_eq!((a.0, a.1).cmp(&(b.0, b.1)), part(a.0, a.1).cmp(&part(b.0, b.1)));
        prop_assert_eq!((a.3, a.0).cmp(&(b.3, b.0)), purge(a.3, a.0).cmp(&purge(b.3, b.0)));
        if a.2 != b.2 {
            prop_assert_eq!(a.2.cmp(&b.2), heal(a.2, a.0).cmp(&heal(b.2, b.0)));
        }
        prop_assert_eq!(parse_part(&part(a.0, a.1)), Some((a.0, a.1)));
        prop_assert_eq!(parse_heal(&heal(a.2, a.0)), Some((a.2, a.0)));
        prop_assert_eq!(parse_purge(&purge(a.3, a.0)), Some((a.3, a.0)));
    }

    #[test]
    fn system_keys_sort_like_kind_and_name(a in (key(), key()), b in (key(), key())) {
        let named = (a.0.as_bytes(), a.1.as_bytes()).cmp(&(b.0.as_bytes(), b.1.as_bytes()));
        prop_assert_eq!(named, system(&a.0, &a.1).cmp(&system(&b.0, &b.1)));
    }

    #[test]
    fn after_prefix_is_the_least_key_above_all_that_begin_with_it(
        prefix in proptest::collection::vec(any::<u8>(), 0..4),
        other in proptest::collection::vec(any::<u8>(), 0..5),
    ) {
        let after = after_prefix(&prefix);
        let below = after.as_ref().is_none_or(|after| other.as_slice() < after.as_ref());
        prop_assert_eq!(other.starts_with(&prefix), other >= prefix && below);
    }
}

#[test]
fn truncated_keys_are_refused() {
    assert_eq!(parse_noncurrent(b"1234567"), None);
    assert_eq!(parse_noncurrent(b"12345678ab"), None);
    assert_eq!(parse_noncurrent(b"12345678a\0\x01short"), None);
    assert_eq!(parse_part(b"short"), None);
    assert_eq!(parse_heal(b"short"), None);
    assert_eq!(parse_purge(b"short"), None);
}

#[test]
fn heal_keys_of_one_margin_are_not_in_the_order_of_writes() {
    let ids: Vec<WriteId> = (1..=64)
        .map(|counter| WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        })
        .collect();
    let mut spread = ids.clone();
    spread.sort_by_key(|id| heal(1, *id));
    let in_place = ids.iter().zip(&spread).filter(|(a, b)| a == b).count();
    assert!(in_place < 16, "{in_place} of 64 are where they were");
}
