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
    /// It may have happened.
    Unknown,
    /// It was refused.
    Refused,
}

/// A version of a key.
#[derive(Clone, Debug)]
struct Version {
    /// `None` while nobody was told.
    id: Option<String>,
    /// `None`: a delete marker.
    value: Option<ValueId>,
    made: Window,
    /// Acknowledged, or seen.
    is_sure: bool,
    /// Deletions by id that were begun, and when they were acknowledged.
    erased: Vec<Window>,
    tags: Vec<Tagged>,
}

#[derive(Clone, Debug)]
struct Tagged {
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
}

type Judged = Result<(), String>;

impl Version {
    /// Whether it must be there for all of `at`.
    fn is_lasting(&self, at: Window) -> bool {
        let until = at.end.unwrap_or(u64::MAX);
        self.is_sure
            && self.made.end.is_some_and(|end| end < at.call)
            && self.erased.iter().all(|erased| erased.call > until)
    }

    fn is_gone(&self, at: Window) -> bool {
        self.erased.iter().any(|erased| erased.is_before(at))
    }
}

impl Book {
    /// A version is going to be made. Returns what [`Self::made`] needs.
    pub fn making(&mut self, key: &str, value: Option<ValueId>, call: u64) -> usize {
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.push(Version {
            id: None,
            value,
            made: Window { call, end: None },
            is_sure: false,
            erased: Vec::new(),
            tags: Vec::new(),
        });
        versions.len() - 1
    }

    /// How that ended: with `Ok` of its id, or with no answer, or refused.
    pub fn made(&mut self, key: &str, at: usize, end: u64, id: Result<String, End>) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        match id {
            Ok(id) => {
                let by_id = versions.iter().position(|it| it.id.as_ref() == Some(&id));
                match by_id {
                    // A listing showed it first, and it was taken for another that is like it.
                    Some(seen) if seen != at => {
                        versions.swap(seen, at);
                        let (one, other) = (versions[seen].made.call, versions[at].made.call);
                        (versions[seen].made.call, versions[at].made.call) = (other, one);
                    }
                    _ => {}
                }
                let version = &mut versions[at];
                version.made.end = Some(version.made.end.map_or(end, |seen| seen.min(end)));
                (version.id, version.is_sure) = (Some(id), true);
            }
            // Nobody may ever see it.
            Err(End::Refused) => versions[at].made.call = u64::MAX,
            Err(_) => {}
        }
    }

    /// A version is going to be deleted. Returns what [`Self::erased`] needs.
    pub fn erasing(&mut self, key: &str, id: &str, call: u64) -> Option<usize> {
        let version = self.version(key, id)?;
        version.erased.push(Window { call, end: None });
        Some(version.erased.len() - 1)
    }

    /// How that ended.
    pub fn erased(&mut self, key: &str, id: &str, at: usize, end: u64, how: End) {
        let Some(version) = self.version(key, id) else {
            return;
        };
        match how {
            End::Done => version.erased[at].end = Some(end),
            End::Unknown => {}
            // It did nothing: as if it had been asked when nobody looks any more.
            End::Refused => version.erased[at].call = u64::MAX,
        }
    }

    /// A version was tagged, or may have been.
    pub fn tagged(&mut self, key: &str, id: &str, text: String, at: Window, how: End) {
        if let Some(version) = self.version(key, id).filter(|_| how != End::Refused) {
            let is_done = how == End::Done;
            version.tags.push(Tagged { text, at, is_done });
        }
    }

    fn version(&mut self, key: &str, id: &str) -> Option<&mut Version> {
        let versions = self.keys.get_mut(key)?;
        versions.iter_mut().find(|it| it.id.as_deref() == Some(id))
    }

    /// The versions of a key that have an id.
    pub fn ids(&self, key: &str) -> Vec<String> {
        let versions = self.keys.get(key).into_iter().flatten();
        versions.filter_map(|it| it.id.clone()).collect()
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
        if let Some(known) = versions.iter().find(|it| it.id.as_deref() == Some(id)) {
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
            .find(|it| it.id.is_none() && it.value == value && it.made.call < seen);
        let Some(unseen) = unseen else {
            return Err(format!("{key} {id}, {value:?}: nobody wrote that"));
        };
        unseen.id = Some(id.to_owned());
        unseen.is_sure = true;
        unseen.made.end = Some(seen);
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
                let known = self.version(key, id);
                return match known.is_some_and(|it| it.is_lasting(at)) {
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
        match read {
            Read::Value(_, tags) => judge_tags(&version.tags, at, tags.as_deref())
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
        let may_be = |it: &&&Version| it.made.call < at.end.unwrap_or(u64::MAX) && !it.is_gone(at);
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
            let is_newer = |of: &&Version| of.is_sure && of.made.is_before(it.made);
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
        let versions = self.keys.get(key).into_iter().flatten();
        let mut places: Vec<(usize, &Version)> = Vec::new();
        for version in versions {
            let place = list
                .iter()
                .position(|it| Some(&it.id) == version.id.as_ref());
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
            let older = |(_, other): &&(usize, &Version)| other.made.is_before(version.made);
            if let Some((other, older)) = places.iter().filter(older).find(|it| it.0 < *place) {
                return Err(format!(
                    "{key}: {older:?} at {other}, {version:?} at {place}"
                ));
            }
        }
        Ok(())
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
