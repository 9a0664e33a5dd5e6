//! Golden files of accounts and keys.

use holdfast_protocol::{AccountRecord, FormatError, KeyRecord, Sealed};

use crate::golden::same;

fn accounts() -> Vec<AccountRecord> {
    let plain = AccountRecord {
        id: [0xab; 32],
        number: 123_456_789_012,
        name: "analytics".to_owned(),
        email: None,
        is_admin: false,
        created_ms: 1_790_000_000_000,
    };
    let full = AccountRecord {
        id: [0x01; 32],
        number: 999_999_999_999,
        name: "ops".to_owned(),
        email: Some("ops@example.com".to_owned()),
        is_admin: true,
        created_ms: 1_790_000_000_001,
    };
    vec![plain, full]
}

/// Its secret is a real one: `gateway/src/accounts/tests.rs` opens it.
fn keys() -> Vec<KeyRecord> {
    let hex = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.map(|pair| byte(pair).unwrap()).collect()
    };
    let active = KeyRecord {
        access_key: "HFGOLDENACCESSKEY234".to_owned(),
        account: [0xab; 32],
        is_active: true,
        created_ms: 1_790_000_000_000,
        secret: Sealed {
            master: hex(MASTER).try_into().unwrap(),
            nonce: std::array::from_fn(|at| at as u8),
            text: hex(TEXT),
        },
    };
    let inactive = KeyRecord {
        is_active: false,
        ..active.clone()
    };
    vec![active, inactive]
}

/// The id of the master key of 32 bytes 7.
const MASTER: &str = "95e647bfb93720c6";
const TEXT: &str = "8d0e6f7ec2eb577f8d8ac38bf9efc1773c6db5dde591fdcecdbbe2089b6ca49e\
    ce16bd55176492911df88b49da7589ac02010c";

#[test]
fn accounts_v1_round_trip() {
    same(
        "account-v1.bin",
        "account",
        accounts(),
        |account| account.encode().to_vec(),
        |_, bytes| AccountRecord::decode(bytes).unwrap(),
    );
}

#[test]
fn keys_v1_round_trip() {
    same(
        "account-v1-key.bin",
        "account",
        keys(),
        |key| key.encode().to_vec(),
        |_, bytes| KeyRecord::decode(bytes).unwrap(),
    );
}

#[test]
fn one_kind_is_never_read_as_the_other_nor_another_version() {
    let (account, key) = (accounts()[1].encode(), keys()[0].encode());
    assert!(KeyRecord::decode(&account).is_err());
    assert!(AccountRecord::decode(&key).is_err());
    let mut newer = account.to_vec();
    newer[4] = 2;
    let refused = AccountRecord::decode(&newer);
    assert!(matches!(refused, Err(FormatError::Version { .. })));
}
