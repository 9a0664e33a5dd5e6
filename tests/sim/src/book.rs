//! What clients were told of versions, and what they may be told next.
//!
//! Owns: the versions of keys in the bucket that keeps them: which were acknowledged, deleted, and
//! tagged when; judging what is read and listed.
//! Leaves to others: asking ([`crate::load`]); keys without versions ([`crate::history`]).
//! Always: what was acknowledged stays until somebody begins to delete it; what was deleted does
//! not come back; what got no answer may have happened, and stays once it was seen.

use std::collections::BTreeMap;

use crate::history::ValueId;

/// From when to when an operation took, in ticks that all clients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Before it was asked.
    pub call: u64,
    /// When its answer was there; `None` if none came.
    pub end: Option<u64>,
}

impl Window {
    fn is_before(self, other: Self) -> bool {
        self.end.is_some_and(|end| end < other.call)
    }
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was acknowledged.
    Done,
    /// It failed: it may have happened, or happen.
    Failed,
    /// No answer came: the same, at any time.
    Unknown,
    /// It was refused.
    Refused,
}

/// A version of a key.
#[derive(Clone, Debug)]
struct Version {
    /// `None`: a delete marker.
    value: Option<ValueId>,
    call: u64,
    /// When it was acknowledged.
    answered: Option<u64>,
    /// What is known of it once it was acknowledged or seen.
    known: Option<Known>,
}

/// A version that is there, or was.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    /// When it was first seen.
    seen: u64,
    erased: Vec<Erased>,
    tags: Vec<Tagged>,
}

/// A deletion by id, by its number.
#[derive(Clone, Copy, Debug)]
struct Erased {
    number: u64,
    at: Window,
}

#[derive(Clone, Debug)]
struct Tagged {
    number: u64,
    text: String,
    at: Window,
    is_done: bool,
}

/// A version as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// `None`: a delete marker.
    pub value: Option<ValueId>,
    /// Whether it is said to be current.
    pub is_latest: bool,
}

/// What was read of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Its value and tags.
    Value(ValueId, Option<String>),
    /// It is a delete marker.
    Marker,
    /// There is none.
    Nothing,
}

/// The book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    keys: BTreeMap<String, Vec<Version>>,
    changes: u64,
}

type Judged = Result<(), String>;

impl Version {
    fn id(&self) -> Option<&str> {
        self.known.as_ref().map(|known| known.id.as_str())
    }

    /// When it was made, or seen first.
    fn made(&self) -> Window {
        let seen = self.known.as_ref().map(|known| known.seen);
        let end = self.answered.into_iter().chain(seen).min();
        Window {
            call: self.call,
            end,
        }
    }

    fn erased(&self) -> &[Erased] {
        self.known.as_ref().map_or(&[], |known| &known.erased)
    }

    /// Whether it must be there for all of `at`.
    fn is_lasting(&self, at: Window) -> bool {
        let until = at.end.unwrap_or(u64::MAX);
        self.known.is_some()
            && self.made().is_before(at)
            && self.erased().iter().all(|erased| erased.at.call > until)
    }

    fn is_gone(&self, at: Window) -> bool {
        self.erased().iter().any(|erased| erased.at.is_before(at))
    }

    /// It was looked for and is not there: a deletion without an answer has happened.
    fn saw_nothing(&mut self, at: Window) {
        if !self.made().is_before(at) {
            return;
        }
        let (until, known) = (at.end.unwrap_or(u64::MAX), self.known.as_mut());
        let erased = known.into_iter().flat_map(|known| &mut known.erased);
        for erased in erased.filter(|erased| erased.at.call < until) {
            erased.at.end = erased.at.end.or(at.end);
        }
    }
}

impl Book {
    /// A version is going to be made. Returns what [`Self::made`] needs.
    pub fn making(&mut self, key: &str, value: Option<ValueId>, call: u64) -> usize {
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.push(Version {
            value,
            call,
            answered: None,
            known: None,
        });
        versions.len() - 1
    }

    /// How that ended: with `Ok` of its id, or with no answer, or refused.
    ///
    /// # Errors
    /// What is wrong with that.
    pub fn made(&mut self, key: &str, at: usize, end: u64, id: Result<String, End>) -> Judged {
        let versions = self.keys.entry(key.to_owned()).or_default();
        let id = match id {
            Ok(id) => id,
            Err(End::Refused) => {
                // Nobody may ever see it.
                versions[at].call = u64::MAX;
                return match &versions[at].known {
                    Some(known) => Err(format!("{key} {} was refused, and seen", known.id)),
                    None => Ok(()),
                };
            }
            Err(_) => return Ok(()),
        };
        versions[at].answered = Some(end);
        if versions[at].id() == Some(&id) {
            return Ok(());
        }
        // A listing showed one of several that are alike, and it was taken for another.
        let taken = versions[at].known.take();
        let seen = versions.iter().position(|it| it.id() == Some(&id));
        let fresh = Known {
            id,
            seen: end,
            erased: Vec::new(),
            tags: Vec::new(),
        };
        versions[at].known = match seen {
            Some(seen) => versions[seen].known.take(),
            None => Some(fresh),
        };
        let Some(taken) = taken else {
            return Ok(());
        };
        let value = versions[at].value;
        let is_free = |it: &Version| it.known.is_none() && it.value == value;
        let free = versions
            .iter_mut()
            .find(|it| is_free(it) && it.call < taken.seen);
        let free = free.ok_or_else(|| format!("{key} {}: nobody wrote that", taken.id))?;
        free.known = Some(taken);
        Ok(())
    }

    /// A version is going to be deleted. Returns what [`Self::erased`] needs.
    pub fn erasing(&mut self, key: &str, id: &str, call: u64) -> Option<u64> {
        self.changes += 1;
        let number = self.changes;
        let at = Window { call, end: None };
        self.known_mut(key, id)?.erased.push(Erased { number, at });
        Some(number)
    }

    /// How that ended.
    pub fn erased(&mut self, key: &str, number: u64, end: u64, how: End) {
        for known in self.all_known(key) {
            if how == End::Refused {
                known.erased.retain(|erased| erased.number != number);
            }
            let mut erased = known.erased.iter_mut();
            if let Some(erased) = erased.find(|erased| erased.number == number)
                && how == End::Done
            {
                erased.at.end = Some(erased.at.end.map_or(end, |seen| seen.min(end)));
            }
        }
    }

    /// A version is going to be tagged. Returns what [`Self::tagged`] needs.
    pub fn tagging(&mut self, key: &str, id: &str, text: String, call: u64) -> Option<u64> {
        self.changes += 1;
        let number = self.changes;
        let tagged = Tagged {
            number,
            text,
            at: Window { call, end: None },
            is_done: false,
        };
        self.known_mut(key, id)?.tags.push(tagged);
        Some(number)
    }

    /// How that ended.
    pub fn tagged(&mut self, key: &str, number: u64, end: u64, how: End) {
        for known in self.all_known(key) {
            if how == End::Refused {
                known.tags.retain(|tagged| tagged.number != number);
            }
            let tagged = known.tags.iter_mut().find(|it| it.number == number);
            if let Some(tagged) = tagged.filter(|_| how != End::Unknown) {
                (tagged.at.end, tagged.is_done) = (Some(end), how == End::Done);
            }
        }
    }

    fn all_known(&mut self, key: &str) -> impl Iterator<Item = &mut Known> {
        let versions = self.keys.get_mut(key).into_iter().flatten();
        versions.filter_map(|it| it.known.as_mut())
    }

    fn known_mut(&mut self, key: &str, id: &str) -> Option<&mut Known> {
        self.all_known(key).find(|known| known.id == id)
    }

    fn version(&mut self, key: &str, id: &str) -> Option<&mut Version> {
        let versions = self.keys.get_mut(key)?;
        versions.iter_mut().find(|it| it.id() == Some(id))
    }

    /// The versions of a key that have an id.
    pub fn ids(&self, key: &str) -> Vec<String> {
        let versions = self.keys.get(key).into_iter().flatten();
        versions
            .filter_map(|it| it.id().map(str::to_owned))
            .collect()
    }

    /// All versions that have an id.
    pub fn all(&self) -> Vec<(String, String)> {
        let keys = self.keys.keys();
        keys.flat_map(|key| self.ids(key).into_iter().map(move |id| (key.clone(), id)))
            .collect()
    }

    /// Finds the version of that id, or a write without an answer that it may be.
    fn known(&mut self, key: &str, id: &str, value: Option<ValueId>, seen: u64) -> Judged {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if let Some(known) = versions.iter().find(|it| it.id() == Some(id)) {
            return match known.value == value {
                true => Ok(()),
                false => Err(format!(
                    "{key} {id} is {value:?}, and was {:?}",
                    known.value
                )),
            };
        }
        let unseen = versions
            .iter_mut()
            .find(|it| it.known.is_none() && it.value == value && it.call < seen);
        let Some(unseen) = unseen else {
            return Err(format!("{key} {id}, {value:?}: nobody wrote that"));
        };
        unseen.known = Some(Known {
            id: id.to_owned(),
            seen,
            erased: Vec::new(),
            tags: Vec::new(),
        });
        Ok(())
    }

    /// Judges what was read of a version.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge_read(&mut self, key: &str, id: &str, at: Window, read: &Read) -> Judged {
        let seen = at.end.unwrap_or(u64::MAX);
        let value = match read {
            Read::Value(value, _) => Some(*value),
            Read::Marker => None,
            Read::Nothing => {
                let Some(known) = self.version(key, id) else {
                    return Ok(());
                };
                known.saw_nothing(at);
                return match known.is_lasting(at) {
                    true => Err(format!("{key} {id} is gone")),
                    false => Ok(()),
                };
            }
        };
        self.known(key, id, value, seen)?;
        let Some(version) = self.version(key, id) else {
            return Ok(());
        };
        if version.is_gone(at) {
            return Err(format!("{key} {id} was deleted, and is read"));
        }
        match (read, &version.known) {
            (Read::Value(_, tags), Some(known)) => judge_tags(&known.tags, at, tags.as_deref())
                .map_err(|why| format!("{key} {id}: {why}")),
            _ => Ok(()),
        }
    }

    /// Judges what was read of a key without naming a version: the value of the current one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge_current(&self, key: &str, at: Window, read: Option<ValueId>) -> Judged {
        let versions: Vec<&Version> = self.keys.get(key).into_iter().flatten().collect();
        let may_be = |it: &&&Version| it.call < at.end.unwrap_or(u64::MAX) && !it.is_gone(at);
        let shown: Vec<&&Version> = match read {
            Some(value) => {
                let of_value = |it: &&&Version| it.value == Some(value);
                versions.iter().filter(may_be).filter(of_value).collect()
            }
            None => {
                let marker = |it: &&&Version| it.value.is_none();
                versions.iter().filter(may_be).filter(marker).collect()
            }
        };
        // Something that must be there, and was begun after each of these ended.
        let newer = versions.iter().find(|it| {
            let hides = read.is_some() || it.value.is_some();
            let is_newer = |of: &&Version| of.made().is_before(it.made());
            it.is_lasting(at) && hides && shown.iter().all(|of| is_newer(of))
        });
        if read.is_some() && shown.is_empty() {
            return Err(format!(
                "{key} reads {read:?}, which nobody wrote or which is gone"
            ));
        }
        match newer {
            Some(newer) => Err(format!("{key} reads {read:?}, behind {newer:?}")),
            None => Ok(()),
        }
    }

    /// Judges a listing of all versions of a key; `at` is all the time it took.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge_list(&mut self, key: &str, at: Window, list: &[Shown]) -> Judged {
        let seen = at.end.unwrap_or(u64::MAX);
        for (place, shown) in list.iter().enumerate() {
            self.known(key, &shown.id, shown.value, seen)?;
            if shown.is_latest != (place == 0) {
                return Err(format!("{key}: {shown:?} at {place}"));
            }
        }
        let place = |id: &str| list.iter().position(|it| it.id == id);
        let versions = self.keys.entry(key.to_owned()).or_default();
        order_alike(versions, |version| place(version.id()?));
        let mut places: Vec<(usize, &Version)> = Vec::new();
        for version in versions {
            let is_it = |it: &Shown| version.id() == Some(&it.id);
            let place = list.iter().position(is_it);
            if place.is_none() {
                version.saw_nothing(at);
            }
            let version = &*version;
            match place {
                Some(_) if version.is_gone(at) => {
                    return Err(format!("{key}: {version:?} was deleted, and is listed"));
                }
                None if version.is_lasting(at) => {
                    return Err(format!("{key}: {version:?} is not listed"));
                }
                Some(place) => places.push((place, version)),
                None => {}
            }
        }
        for (place, version) in &places {
            let older = |(_, other): &&(usize, &Version)| other.made().is_before(version.made());
            if let Some((other, older)) = places.iter().filter(older).find(|it| it.0 < *place) {
                return Err(format!(
                    "{key}: {older:?} at {other}, {version:?} at {place}"
                ));
            }
        }
        Ok(())
    }
}

/// Of writes that are alike and got no answer nobody can say which of them made which version: the
/// one that began first counts as the one that is listed as the oldest, if it began before that one
/// was seen.
fn order_alike(versions: &mut [Version], place: impl Fn(&Version) -> Option<usize>) {
    for first in 0..versions.len() {
        for then in first + 1..versions.len() {
            let [older, newer] = [&versions[first], &versions[then]];
            let is_open = older.answered.is_none() && newer.answered.is_none();
            let seen = older.known.as_ref().map_or(0, |known| known.seen);
            let (Some(at), Some(after)) = (place(older), place(newer)) else {
                continue;
            };
            if is_open && older.value == newer.value && at < after && newer.call < seen {
                let known = versions[first].known.take();
                versions[first].known = std::mem::replace(&mut versions[then].known, known);
            }
        }
    }
}

/// What may be read of tags: those of any change that no later one has surely replaced.
fn judge_tags(tags: &[Tagged], at: Window, read: Option<&str>) -> Judged {
    let replaced = |by: Window| {
        let is_later = |it: &&Tagged| it.is_done && by.is_before(it.at) && it.at.is_before(at);
        tags.iter().find(is_later)
    };
    // What the version was made with: none, before everything.
    let none = Window {
        call: 0,
        end: Some(0),
    };
    let begun = |it: &&Tagged| it.at.call < at.end.unwrap_or(u64::MAX);
    let from: Vec<Window> = match read {
        None => vec![none],
        Some(text) => {
            let same = tags.iter().filter(begun).filter(|it| it.text == text);
            same.map(|it| it.at).collect()
        }
    };
    match from.iter().any(|by| replaced(*by).is_none()) {
        true => Ok(()),
        false => Err(format!("its tags are {read:?}, of {tags:?}")),
    }
}

#[cfg(test)]
mod tests;
