//! Reads everything in the log and says what is otherwise than the ledger allows.
//!
//! Owns: what a violation is: bytes, ETag, length, listing.
//! Leaves to others: what is allowed ([`crate::ledger`]), how to read ([`Store`]).
//! Always: a key is judged by its own bytes, never by what the store says about them; a violation
//! names what was found, also when it is an older value of the key.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Listed;
use crate::content::Content;
use crate::ledger::{Ledger, Name, Value};

/// What a store answered to GET of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// 404, NoSuchKey.
    Absent,
    /// 200.
    Object {
        /// The body.
        bytes: Vec<u8>,
        /// Without quotes.
        etag: String,
        /// As announced.
        content_length: Option<u64>,
    },
}

/// What can be read back.
pub trait Store {
    /// The object.
    ///
    /// # Errors
    /// What was answered instead of an object or its absence.
    fn get(&mut self, name: &Name) -> Result<Found, String>;

    /// Length and ETag by HEAD; `None` is 404.
    ///
    /// # Errors
    /// What was answered instead.
    fn head(&mut self, name: &Name) -> Result<Option<(u64, String)>, String>;

    /// The bucket's whole listing.
    ///
    /// # Errors
    /// What was answered instead.
    fn list(&mut self, bucket: &str) -> Result<Vec<Listed>, String>;
}

/// What the store did wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An acknowledged write or delete is not what is read.
    Lost,
    /// Bytes that nobody wrote there.
    WrongBytes,
    /// Right bytes, wrong ETag or length.
    WrongMetadata,
    /// No answer where everything is up.
    Unreadable,
    /// A listing that is not what reads say.
    Listing,
    /// The store's own check, or its healing, is not content.
    Check,
    /// A process ended by itself, or did not come back.
    Process,
    /// An answer that must not be: a condition decided wrongly, a refusal without reason.
    Answer,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// What sort.
    pub kind: Kind,
    /// Of which key, if of one.
    pub name: Option<String>,
    /// What was found and what was allowed.
    pub what: String,
}

impl Violation {
    /// One of a key.
    pub fn of(kind: Kind, name: &Name, what: String) -> Self {
        Self {
            kind,
            name: Some(name.to_string()),
            what,
        }
    }

    /// One of the whole.
    pub fn whole(kind: Kind, what: String) -> Self {
        Self {
            kind,
            name: None,
            what,
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or("cluster");
        write!(f, "{:?} {name}: {}", self.kind, self.what)
    }
}

/// A value in words.
pub fn words(value: &Value) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(content) => format!("seed {:x} of {} bytes", content.seed, content.len),
    }
}

/// Which of `allowed` it is that was found.
///
/// # Errors
/// What is wrong with it.
pub fn judge(name: &Name, found: &Found, allowed: &[Value]) -> Result<Value, Violation> {
    let wanted = || {
        let words: Vec<String> = allowed.iter().map(words).collect();
        words.join(" or ")
    };
    let (bytes, etag, content_length) = match found {
        Found::Absent if allowed.contains(&None) => return Ok(None),
        Found::Absent => {
            let what = format!("no object, but {} is allowed only", wanted());
            return Err(Violation::of(Kind::Lost, name, what));
        }
        Found::Object {
            bytes,
            etag,
            content_length,
        } => (bytes, etag, content_length),
    };
    let len = bytes.len() as u64;
    let mut contents = allowed
        .iter()
        .flatten()
        .filter(|content| content.len == len);
    let Some(content) = contents.find(|content| content.bytes() == *bytes) else {
        // Complete in itself: another value than it must be. Otherwise nobody ever wrote it.
        let kind = match [false, true].iter().any(|&in_parts| {
            let seed = 0;
            *etag
                == Content {
                    seed,
                    len,
                    in_parts,
                }
                .etag(bytes)
        }) {
            true => Kind::Lost,
            false => Kind::WrongBytes,
        };
        let what = format!("{len} bytes, ETag {etag}, allowed: {}", wanted());
        return Err(Violation::of(kind, name, what));
    };
    let (right, announced) = (content.etag(bytes), content_length.unwrap_or(len));
    if right != *etag || announced != len {
        let what = format!("ETag {etag}, length {announced}; right: {right}, {len}");
        return Err(Violation::of(Kind::WrongMetadata, name, what));
    }
    Ok(Some(content.clone()))
}

/// Which values count as right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What the ledger allows.
    Strict,
    /// And writes that got no answer, which a new index may bring to light.
    AfterRebuild,
}

/// What an audit saw.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What each readable key holds.
    pub found: Vec<(Name, Value)>,
    /// What is wrong.
    pub violations: Vec<Violation>,
}

/// Reads every key of the ledger and lists every bucket.
pub fn audit(store: &mut dyn Store, ledger: &Ledger, rule: Rule) -> Report {
    let mut report = Report::default();
    let mut present: BTreeMap<String, BTreeMap<String, (u64, String)>> = BTreeMap::new();
    let mut unreadable = BTreeSet::new();
    for name in ledger.names() {
        match audit_key(store, ledger, rule, &name) {
            Ok((value, meta)) => {
                if let Some(meta) = meta {
                    let keys = present.entry(name.bucket.clone()).or_default();
                    keys.insert(name.key.clone(), meta);
                }
                report.found.push((name, value));
            }
            Err(violation) => {
                report.violations.push(violation);
                unreadable.insert(name);
            }
        }
    }
    for bucket in ledger.buckets() {
        let expected = present.remove(&bucket).unwrap_or_default();
        audit_listing(store, &bucket, expected, &unreadable, &mut report);
    }
    report
}

/// A present object's length and ETag.
type Meta = (u64, String);

fn audit_key(
    store: &mut dyn Store,
    ledger: &Ledger,
    rule: Rule,
    name: &Name,
) -> Result<(Value, Option<Meta>), Violation> {
    let unreadable = |what| Violation::of(Kind::Unreadable, name, what);
    let found = store.get(name).map_err(unreadable)?;
    let mut allowed = ledger.allowed_at_rest(name);
    if rule == Rule::AfterRebuild {
        allowed.extend(ledger.ghosts(name));
    }
    let value = judge(name, &found, &allowed)?;
    let got = match found {
        Found::Absent => None,
        Found::Object { bytes, etag, .. } => Some((bytes.len() as u64, etag)),
    };
    let headed = store.head(name).map_err(unreadable)?;
    if headed != got {
        let what = format!("HEAD says {headed:?}, GET {got:?}");
        return Err(Violation::of(Kind::WrongMetadata, name, what));
    }
    Ok((value, got))
}

fn audit_listing(
    store: &mut dyn Store,
    bucket: &str,
    mut expected: BTreeMap<String, Meta>,
    unreadable: &BTreeSet<Name>,
    report: &mut Report,
) {
    let listed = match store.list(bucket) {
        Ok(listed) => listed,
        Err(what) => {
            let what = format!("LIST {bucket}: {what}");
            let violation = Violation::whole(Kind::Unreadable, what);
            return report.violations.push(violation);
        }
    };
    let mut wrong = |key: &str, what: String| {
        let name = Name {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        // Already reported, by what reading it gave.
        if !unreadable.contains(&name) {
            let violation = Violation::of(Kind::Listing, &name, what);
            report.violations.push(violation);
        }
    };
    if let Some(pair) = listed.windows(2).find(|two| two[0].key >= two[1].key) {
        let what = format!("listed behind {:?}", pair[0].key);
        wrong(&pair[1].key, what);
    }
    for entry in listed {
        match expected.remove(&entry.key) {
            None => wrong(&entry.key, "listed, but reading finds nothing".to_owned()),
            Some(meta) if meta != (entry.len, entry.etag.clone()) => {
                let (len, etag) = (entry.len, &entry.etag);
                wrong(
                    &entry.key,
                    format!("listed as ({len}, {etag}), read {meta:?}"),
                );
            }
            Some(_) => {}
        }
    }
    for key in expected.keys() {
        wrong(key, "can be read, but is not listed".to_owned());
    }
}

#[cfg(test)]
mod tests;
