//! Facts about accounts, keys and sealed secrets.

use std::sync::atomic::{AtomicU8, Ordering};

use holdfast_protocol::{ClusterId, KeyRecord, Sealed};
use holdfast_seam::Rng;

use super::account::Account;
use super::directory::Directory;
use super::key::{Key, NewKey};
use super::seal::{MasterKey, Sealer};
use crate::auth::{AccountId, Administrator, Credentials, Secret};

const CLUSTER: ClusterId = ClusterId::new(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00);
const ACCOUNT: [u8; 32] = [0xab; 32];
const ACCESS: &str = "HFGOLDENACCESSKEY234";
const SECRET: &str = "a-secret-that-is-sealed-in-the-file";

/// Counts up, so that everything made is another.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl Rng for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes
            .iter_mut()
            .for_each(|byte| *byte = self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&MasterKey::new([byte; 32]), CLUSTER)
}

fn sealed() -> Sealed {
    let rng = Counting::default();
    let secret = Secret::new(SECRET);
    sealer(7).seal(&rng, &secret, &ACCOUNT, ACCESS).unwrap()
}

fn opened(sealer: &Sealer, sealed: &Sealed, account: &[u8; 32], key: &str) -> Option<String> {
    let secret = sealer.open(sealed, account, key)?;
    Some(secret.expose().to_owned())
}

#[test]
fn a_secret_opens_where_it_was_sealed_for() {
    assert_eq!(
        opened(&sealer(7), &sealed(), &ACCOUNT, ACCESS).as_deref(),
        Some(SECRET)
    );
    let clear = SECRET.as_bytes();
    assert!(!sealed().text.windows(8).any(|part| part == &clear[..8]));
    assert_eq!(sealed().text.len(), SECRET.len() + 16);
}

#[test]
fn a_secret_opens_nowhere_else() {
    let good = sealed();
    assert_eq!(opened(&sealer(8), &good, &ACCOUNT, ACCESS), None);
    let elsewhere = Sealer::new(&MasterKey::new([7; 32]), ClusterId::new(1));
    assert_eq!(opened(&elsewhere, &good, &ACCOUNT, ACCESS), None);
    assert_eq!(opened(&sealer(7), &good, &[0xac; 32], ACCESS), None);
    assert_eq!(opened(&sealer(7), &good, &ACCOUNT, "HFOTHER"), None);
    for at in 0..good.text.len() {
        let mut bad = good.clone();
        bad.text[at] ^= 1;
        assert_eq!(opened(&sealer(7), &bad, &ACCOUNT, ACCESS), None, "{at}");
    }
    for at in 0..good.nonce.len() {
        let mut bad = good.clone();
        bad.nonce[at] ^= 0x80;
        assert_eq!(opened(&sealer(7), &bad, &ACCOUNT, ACCESS), None, "{at}");
    }
    // A master key that claims to be the right one.
    let mut claimed = good;
    claimed.master = MasterKey::new([8; 32]).id();
    assert_eq!(opened(&sealer(8), &claimed, &ACCOUNT, ACCESS), None);
}

#[test]
fn the_golden_key_opens() {
    let file = include_bytes!("../../../protocol/golden/account-v1-key.bin");
    let (len, rest) = file.split_first_chunk::<4>().unwrap();
    let golden = &rest[..u32::from_le_bytes(*len) as usize];
    let record = KeyRecord::decode(golden).unwrap();
    assert_eq!(record.secret, sealed(), "{}", hex::encode(sealed().text));
    let key = Key::of_record(golden, &sealer(7)).unwrap();
    assert_eq!(key.secret.unwrap().expose(), SECRET);
    let key = Key::of_record(golden, &sealer(8)).unwrap();
    assert!(key.secret.is_none());
}

#[test]
fn a_master_key_is_64_digits_and_is_never_printed() {
    let text = "0123456789abcdef".repeat(4);
    let key = MasterKey::parse(&format!(" {text}\n")).unwrap();
    assert_eq!(key.id(), MasterKey::parse(&text).unwrap().id());
    assert!(!format!("{key:?}").contains("0123"));
    for bad in ["", &text[1..], &format!("{text}0"), &text.replace('a', "g")] {
        assert!(MasterKey::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn names_numbers_and_ids_are_never_taken_for_each_other() {
    let rng = Counting::default();
    let made = |name: &str, email| Account::new(&rng, name, email, false, 1);
    let one = made("a.B-c_9", Some("me@example.com")).unwrap();
    assert_eq!((one.number.len(), one.id.as_str().len()), (12, 64));
    assert!(super::account::is_number(&one.number));
    let long = "a".repeat(65);
    let id = "ab".repeat(32);
    for bad in ["", "a b", "ä", "a/b", ".", "..", "123456789012", &long, &id] {
        assert!(made(bad, None).is_err(), "{bad}");
    }
    for bad in [
        "",
        "me",
        "@host",
        "me@",
        "a@b@c",
        "me@ho st",
        "m\u{e9}@host",
    ] {
        assert!(made("name", Some(bad)).is_err(), "{bad}");
    }
    let again = Account::of_record(one.record().unwrap());
    assert_eq!(again, one);
}

#[test]
fn the_administrators_ids_follow_from_the_cluster() {
    let root = Account::root(CLUSTER);
    assert_eq!(root, Account::root(CLUSTER));
    assert_ne!(root.id, Account::root(ClusterId::new(1)).id);
    assert_ne!(root.number, Account::root(ClusterId::new(1)).number);
    // As in docs/formats/account.md: a change would make him another.
    let id = "1c0b2d1426cc4a0d82373835de58c64398823a2656352f30a0a7c5c6295d97fb";
    assert_eq!(
        (root.id.as_str(), root.number.as_str()),
        (id, "229385252176")
    );
}

#[test]
fn what_is_made_up_keeps_the_rules_and_what_is_given_must() {
    let rng = Counting::default();
    let new = NewKey::new(&rng, None, None).unwrap();
    assert_eq!((new.access_key.len(), new.secret.expose().len()), (20, 40));
    let given = |access: &str, secret: &str| {
        let secret = Secret::new(secret);
        NewKey::new(&rng, Some(access.to_owned()), Some(secret))
    };
    assert_eq!(
        given("own.KEY-1_", "12345678").unwrap().access_key,
        "own.KEY-1_"
    );
    for (access, secret) in [
        ("ab", "12345678"),
        ("a/c", "12345678"),
        ("...", "12345678"),
        ("abc", "1234567"),
        ("abc", "1234 5678"),
        ("abc", "1234567\u{e9}"),
    ] {
        assert!(given(access, secret).is_err(), "{access} {secret}");
    }
    assert!(given(&"a".repeat(129), "12345678").is_err());
    assert!(given("abc", &"1".repeat(129)).is_err());
    assert!(!format!("{:?}", given("abc", "12345678").unwrap()).contains("12345678"));
}

#[test]
fn a_directory_finds_active_keys_that_open_and_no_others() {
    let root = Administrator::new("ROOT", Secret::new("12345678")).unwrap();
    let directory = Directory::of(&root, CLUSTER, &[("alice", "AKALICE", "of-alice")]);
    let (secret, who) = directory.find("AKALICE").unwrap();
    assert_eq!((secret.expose(), who.name.as_str()), ("of-alice", "alice"));
    assert!(!who.is_admin);
    let (_, who) = directory.find("ROOT").unwrap();
    assert!(who.is_admin);
    assert_eq!(who.account, Account::root(CLUSTER).id);
    assert!(directory.find("akalice").is_none());
    let change = |change: &dyn Fn(&mut Key)| {
        let mut state = super::directory::State::clone(&directory.now());
        let mut key = state.key("AKALICE").unwrap().clone();
        change(&mut key);
        state.put_key(key);
        directory.set(state);
        (
            directory.find("AKALICE").is_some(),
            directory.now().counts(),
        )
    };
    assert_eq!(change(&|key| key.is_active = false), (false, (2, 2, 0)));
    assert_eq!(change(&|key| key.is_active = true), (true, (2, 2, 0)));
    assert_eq!(change(&|key| key.secret = None), (false, (2, 2, 1)));
    let unusable = directory.now().unusable();
    assert_eq!(
        unusable.into_iter().collect::<Vec<_>>(),
        [("alice".to_owned(), 1)]
    );
    // Of an account that nobody knows.
    let lost = change(&|key| {
        key.secret = Some(Secret::new("of-alice"));
        key.account = AccountId::of_bytes(ACCOUNT);
    });
    assert_eq!(lost, (false, (2, 2, 1)));
}

#[test]
fn an_owner_is_an_account_or_the_administrator() {
    let root = Administrator::new("ROOT", Secret::new("12345678")).unwrap();
    let directory = Directory::of(&root, CLUSTER, &[("alice", "AKALICE", "of-alice")]);
    let alice = directory.find("AKALICE").unwrap().1;
    let owner = directory.owner(alice.account.as_str());
    assert_eq!(
        (owner.name.as_str(), &owner.number),
        ("alice", &alice.number)
    );
    assert!(owner.is(alice.number.as_bytes()) && owner.is(alice.account.as_str().as_bytes()));
    assert!(!owner.is(b"") && !owner.is(b"alice"));
    // As rows name it that are older than accounts: by whatever access key there was.
    for old in ["ROOT", "an-older-key", ""] {
        assert_eq!(directory.owner(old).id, Account::root(CLUSTER).id);
    }
    let unknown = AccountId::of_bytes(ACCOUNT);
    let owner = directory.owner(unknown.as_str());
    assert_eq!((owner.id, owner.number.as_str()), (unknown, ""));
}
