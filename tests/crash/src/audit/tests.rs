//! The checker is proven first: a store that does wrong is rejected, one that does right is not.

use std::collections::BTreeMap;

use super::{Found, Kind, Rule, Store, audit};
use crate::client::Listed;
use crate::content::Content;
use crate::ledger::{Event, Ledger, Name, Outcome, Value};

/// A store whose every answer can be falsified.
#[derive(Default)]
struct Fake {
    objects: BTreeMap<Name, (Vec<u8>, String)>,
    /// Left out of listings.
    unlisted: Vec<Name>,
    /// Listed although absent.
    phantoms: Vec<Name>,
    /// Answered with 503.
    broken: Vec<Name>,
}

impl Fake {
    fn put(&mut self, name: &Name, value: &Value) {
        match value {
            None => drop(self.objects.remove(name)),
            Some(content) => {
                let bytes = content.bytes();
                let etag = content.etag(&bytes);
                self.objects.insert(name.clone(), (bytes, etag));
            }
        }
    }
}

impl Store for Fake {
    fn get(&mut self, name: &Name) -> Result<Found, String> {
        if self.broken.contains(name) {
            return Err("503".to_owned());
        }
        let Some((bytes, etag)) = self.objects.get(name).cloned() else {
            return Ok(Found::Absent);
        };
        Ok(Found::Object {
            content_length: Some(bytes.len() as u64),
            bytes,
            etag,
        })
    }

    fn head(&mut self, name: &Name) -> Result<Option<(u64, String)>, String> {
        let found = self.objects.get(name);
        Ok(found.map(|(bytes, etag)| (bytes.len() as u64, etag.clone())))
    }

    fn list(&mut self, bucket: &str) -> Result<Vec<Listed>, String> {
        let mut listed: Vec<Listed> = Vec::new();
        for (name, (bytes, etag)) in &self.objects {
            if name.bucket == bucket && !self.unlisted.contains(name) {
                listed.push(Listed {
                    key: name.key.clone(),
                    len: bytes.len() as u64,
                    etag: etag.clone(),
                });
            }
        }
        let phantoms = self.phantoms.iter().map(|name| Listed {
            key: name.key.clone(),
            len: 1,
            etag: "e".to_owned(),
        });
        listed.extend(phantoms);
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }
}

fn name(key: &str) -> Name {
    Name {
        bucket: "b".to_owned(),
        key: key.to_owned(),
    }
}

fn value(seed: u64) -> Value {
    Some(Content {
        seed,
        len: 100,
        in_parts: false,
    })
}

/// `over` was written twice, `gone` deleted, `open` left without an answer, `no` refused.
fn history() -> (Ledger, Fake) {
    let steps = [
        ("over", value(1), Outcome::Acked),
        ("over", value(2), Outcome::Acked),
        ("gone", value(3), Outcome::Acked),
        ("gone", None, Outcome::Acked),
        ("open", value(4), Outcome::Acked),
        ("open", value(5), Outcome::Unanswered),
        ("no", value(6), Outcome::Refused),
    ];
    let (mut ledger, mut store, mut at) = (Ledger::default(), Fake::default(), 0);
    for (key, value, outcome) in steps {
        ledger.apply(&Event::Begin {
            at: at + 1,
            name: name(key),
            value: value.clone(),
            what: String::new(),
        });
        ledger.apply(&Event::End {
            at: at + 2,
            began: at + 1,
            name: name(key),
            outcome,
            says: String::new(),
        });
        at += 2;
        if outcome == Outcome::Acked {
            store.put(&name(key), &value);
        }
    }
    (ledger, store)
}

/// The kinds of violation that an audit of a store finds that `falsify` made wrong.
fn kinds(falsify: impl FnOnce(&mut Fake)) -> Vec<(Kind, String)> {
    let (ledger, mut store) = history();
    falsify(&mut store);
    let report = audit(&mut store, &ledger, Rule::Strict);
    let violations = report.violations.into_iter();
    violations
        .map(|one| (one.kind, one.name.unwrap_or_default()))
        .collect()
}

#[test]
fn a_right_store_passes_whatever_became_of_the_unanswered_write() {
    assert_eq!(kinds(|_| {}), []);
    assert_eq!(kinds(|store| store.put(&name("open"), &value(5))), []);
}

#[test]
fn a_lost_write_is_rejected() {
    let found = kinds(|store| store.put(&name("over"), &None));
    assert_eq!(found, [(Kind::Lost, "b/over".to_owned())]);
}

#[test]
fn a_stale_value_is_rejected() {
    let found = kinds(|store| store.put(&name("over"), &value(1)));
    assert_eq!(found, [(Kind::Lost, "b/over".to_owned())]);
}

#[test]
fn a_resurrected_delete_is_rejected() {
    let found = kinds(|store| store.put(&name("gone"), &value(3)));
    assert_eq!(found, [(Kind::Lost, "b/gone".to_owned())]);
}

#[test]
fn a_refused_write_that_appears_is_rejected() {
    let found = kinds(|store| store.put(&name("no"), &value(6)));
    assert_eq!(found, [(Kind::Lost, "b/no".to_owned())]);
}

#[test]
fn wrong_bytes_are_rejected_in_every_place() {
    for place in [0, 50, 99] {
        let found = kinds(|store| {
            let (bytes, _) = store.objects.get_mut(&name("over")).unwrap();
            bytes[place] ^= 1;
        });
        assert_eq!(found, [(Kind::WrongBytes, "b/over".to_owned())]);
    }
    let cut = kinds(|store| {
        let (bytes, _) = store.objects.get_mut(&name("over")).unwrap();
        bytes.pop();
    });
    assert_eq!(cut, [(Kind::WrongBytes, "b/over".to_owned())]);
}

#[test]
fn a_wrong_etag_is_rejected() {
    let found = kinds(|store| {
        let (_, etag) = store.objects.get_mut(&name("over")).unwrap();
        etag.push('0');
    });
    assert_eq!(found, [(Kind::WrongMetadata, "b/over".to_owned())]);
}

#[test]
fn a_key_missing_from_the_listing_is_rejected() {
    let found = kinds(|store| store.unlisted.push(name("open")));
    assert_eq!(found, [(Kind::Listing, "b/open".to_owned())]);
}

#[test]
fn a_deleted_key_in_the_listing_is_rejected() {
    let found = kinds(|store| store.phantoms.push(name("gone")));
    assert_eq!(found, [(Kind::Listing, "b/gone".to_owned())]);
}

#[test]
fn a_key_that_nobody_wrote_is_rejected() {
    let found = kinds(|store| store.put(&name("stranger"), &value(9)));
    assert_eq!(found, [(Kind::Listing, "b/stranger".to_owned())]);
}

#[test]
fn an_object_that_cannot_be_read_is_rejected() {
    let found = kinds(|store| store.broken.push(name("over")));
    assert_eq!(found, [(Kind::Unreadable, "b/over".to_owned())]);
}

#[test]
fn a_write_that_comes_to_light_later_is_allowed_by_a_rebuild_only() {
    let (mut ledger, mut store) = history();
    for (name, value) in audit(&mut store, &ledger, Rule::Strict).found {
        ledger.apply(&Event::Settled { name, value });
    }
    store.put(&name("open"), &value(5));
    let strict = audit(&mut store, &ledger, Rule::Strict).violations;
    assert_eq!(strict.len(), 1, "{strict:?}");
    let rebuilt = audit(&mut store, &ledger, Rule::AfterRebuild).violations;
    assert_eq!(rebuilt, []);
}
