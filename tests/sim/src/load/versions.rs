//! A bucket that keeps versions.
//!
//! Owns: what clients do in it, and reading all of it.
//! Leaves to others: what they may be told ([`crate::book`]), asking ([`super`]).

use std::collections::BTreeMap;

use holdfast_gateway::object::types::{ListObjects, ListVersions, VersionId, WriteConditions};

use super::door::{Ended, Got, Upload, VersionPage};
use super::{Client, KEPT_KEYS, at, bucket_of, lock};
use crate::book::{Book, End, Read, Shown, Window};
use crate::history::Outcome;
use crate::values::body;

/// Keys in it.
const KEYS: u64 = 4;

fn kept_name(number: u64) -> String {
    format!("{KEPT_KEYS}{number}")
}

/// How a change ended that was not acknowledged.
fn end_of(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Failed => End::Failed,
        Outcome::Unknown => End::Unknown,
        _ => End::Refused,
    }
}

impl Client {
    pub(super) async fn kept(&mut self) {
        let key = kept_name(self.dice.below(KEYS));
        match self.dice.below(16) {
            0..5 => self.put_version(&key).await,
            5..7 => self.mark(&key).await,
            7..10 => self.erase(&key).await,
            10..12 => self.tag(&key).await,
            12 => self.read_current(&key).await,
            13..15 => {
                let Some(id) = self.some_version(&key) else {
                    return;
                };
                self.read_version(&key, &id).await;
            }
            _ => _ = self.list_versions(3).await,
        }
    }

    fn book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut lock(&self.load.shared.book))
    }

    /// Says what is wrong, if anything is.
    fn judged(&self, judged: Result<(), String>) {
        if let Err(why) = judged {
            self.load.served_wrong(why);
        }
    }

    fn some_version(&mut self, key: &str) -> Option<String> {
        let ids = self.book(|book| book.ids(key));
        self.dice.pick(&ids).cloned()
    }

    async fn put_version(&mut self, key: &str) {
        let len = self.len().max(8);
        let bytes = body(self.load.values.next(), len);
        let value = self.load.values.add(bytes.clone());
        let cut = self.dice.permille(5).then(|| bytes.len() / 2);
        let (at, sent) = (at(key), Upload::new(&bytes, &mut self.dice, cut));
        let call = self.load.tick();
        let place = self.book(|book| book.making(key, Some(value), call));
        let put = self.ask(|door| door.put(at, sent, WriteConditions::default()));
        let got = put.await.map(|made| made.version);
        self.made(key, place, got);
    }

    async fn mark(&mut self, key: &str) {
        let call = self.load.tick();
        let place = self.book(|book| book.making(key, None, call));
        let got = self.remove(key, None).await;
        self.made(key, place, got);
    }

    fn made(&mut self, key: &str, place: usize, got: Got<Option<VersionId>>) {
        let end = self.load.tick();
        let id = match got {
            Ok(Some(id)) => Ok(id.to_string()),
            Ok(None) => {
                self.load
                    .served_wrong(format!("{key} was written without a version"));
                Err(End::Unknown)
            }
            other => Err(end_of(&self.failed(other.map(drop)))),
        };
        self.load
            .exec
            .note(|| format!("{key} version {place}: {id:?}"));
        self.load.count(id.is_ok());
        self.judged(self.book(|book| book.made(key, place, end, id)));
    }

    async fn erase(&mut self, key: &str) {
        let Some(id) = self.some_version(key) else {
            return;
        };
        let call = self.load.tick();
        let Some(number) = self.book(|book| book.erasing(key, &id, call)) else {
            return;
        };
        let got = self.remove(key, VersionId::parse(&id)).await;
        let end = self.load.tick();
        let how = match self.failed(got.map(drop)) {
            Outcome::Ok => End::Done,
            outcome => end_of(&outcome),
        };
        self.load
            .exec
            .note(|| format!("{key} {id} deleted: {how:?}"));
        self.load.count(how == End::Done);
        self.book(|book| book.erased(key, number, end, how));
    }

    async fn remove(&mut self, key: &str, version: Option<VersionId>) -> Got<Option<VersionId>> {
        let at = at(key);
        self.ask(|door| door.delete(at, version)).await
    }

    async fn tag(&mut self, key: &str) {
        let Some(id) = self.some_version(key) else {
            return;
        };
        let call = self.load.tick();
        let text = format!("n={call}");
        let kept = text.clone();
        let tagging = self.book(|book| book.tagging(key, &id, text.clone(), call));
        let Some(number) = tagging else {
            return;
        };
        let (at, version) = (at(key), VersionId::parse(&id));
        let got = self.ask(|door| door.tag(at, version, kept)).await;
        let end = self.load.tick();
        let how = match self.failed(got.map(drop)) {
            Outcome::Ok => End::Done,
            outcome => end_of(&outcome),
        };
        self.load.count(how == End::Done);
        self.load
            .exec
            .note(|| format!("{key} {id} tagged {text}: {how:?}"));
        self.book(|book| book.tagged(key, number, end, how));
    }

    /// Reads the current version of a key.
    async fn read_current(&mut self, key: &str) {
        let call = self.load.tick();
        let got = self.read(key, None).await;
        let at = self.window(call);
        let read = match got {
            Some(Read::Value(value, _)) => Some(value),
            Some(_) => None,
            None => return,
        };
        self.judged(self.book(|book| book.judge_current(key, at, read)));
    }

    /// Reads a version. Returns whether that was answered.
    async fn read_version(&mut self, key: &str, id: &str) -> bool {
        let call = self.load.tick();
        let got = self.read(key, VersionId::parse(id)).await;
        let at = self.window(call);
        let Some(read) = got else {
            return false;
        };
        self.judged(self.book(|book| book.judge_read(key, id, at, &read)));
        true
    }

    fn window(&self, call: u64) -> Window {
        Window {
            call,
            end: Some(self.load.tick()),
        }
    }

    /// What is read; `None` if that is not known.
    async fn read(&mut self, key: &str, version: Option<VersionId>) -> Option<Read> {
        let at = at(key);
        match self.ask(|door| door.get(at, version, None)).await {
            Ok(read) => {
                if let Some(cut) = read.cut {
                    self.failed(Err(Ended::Failed(cut)));
                    return None;
                }
                let value = self.load.values.of(&read.etag);
                if self.load.values.bytes(value).as_deref() != Some(&read.bytes) {
                    let len = read.bytes.len();
                    let what = format!("{key}: {len} bytes are not those of {value:?}");
                    self.load.served_wrong(what);
                }
                self.load.count(true);
                Some(Read::Value(value, read.tags))
            }
            Err(Ended::Silent) => None,
            Err(Ended::Marker) if version.is_some() => Some(Read::Marker),
            Err(Ended::NoSuchVersion | Ended::NoSuchKey | Ended::Marker) => Some(Read::Nothing),
            Err(ended) => {
                self.failed(Err(ended));
                None
            }
        }
    }

    /// Lists all versions of all keys, in pages, and judges the list. Returns whether all pages
    /// were answered.
    async fn list_versions(&mut self, max: usize) -> bool {
        let call = self.load.tick();
        let mut listed: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
        let mut next: Option<(String, Option<VersionId>)> = None;
        let mut last: Option<String> = None;
        loop {
            let Some(page) = self.version_page(next.take(), max).await else {
                return false;
            };
            for (place, version) in page.versions.into_iter().enumerate() {
                let value = version.etag.map(|etag| self.load.values.of(&etag));
                let key = version.key;
                // Between two pages what was behind it may have become current.
                let goes_on = place == 0 && last.as_ref() == Some(&key);
                listed.entry(key.clone()).or_default().push(Shown {
                    id: version.id,
                    value,
                    is_latest: version.is_latest && !goes_on,
                });
                last = Some(key);
            }
            match page.next {
                Some(more) => next = Some(more),
                None => break,
            }
        }
        let at = self.window(call);
        for number in 0..KEYS {
            let key = kept_name(number);
            let shown = listed.remove(&key).unwrap_or_default();
            self.judged(self.book(|book| book.judge_list(&key, at, &shown)));
        }
        if let Some((key, _)) = listed.first_key_value() {
            self.load
                .served_wrong(format!("{key} is listed, and nobody wrote it"));
        }
        true
    }

    async fn version_page(
        &mut self,
        after: Option<(String, Option<VersionId>)>,
        max: usize,
    ) -> Option<VersionPage> {
        let (after, after_version) = after.unzip();
        let list = ListVersions {
            keys: ListObjects {
                bucket: bucket_of(KEPT_KEYS),
                prefix: String::new(),
                delimiter: None,
                after,
                max,
            },
            after_version: after_version.flatten(),
        };
        match self.ask(|door| door.versions(list)).await {
            Ok(page) => {
                self.load.count(true);
                Some(page)
            }
            Err(ended) => {
                self.failed(Err(ended));
                None
            }
        }
    }

    /// Reads all that the bucket has, now that nothing changes.
    ///
    /// # Errors
    /// What was not answered.
    pub async fn read_kept(&mut self) -> Result<(), String> {
        let mut is_listed = false;
        for _ in 0..3 {
            is_listed = is_listed || self.list_versions(1000).await;
        }
        if !is_listed {
            return Err("the versions were not listed".to_owned());
        }
        for (key, id) in self.book(|book| book.all()) {
            let mut is_read = false;
            for _ in 0..3 {
                is_read = is_read || self.read_version(&key, &id).await;
            }
            if !is_read {
                return Err(format!("{key} {id} cannot be read"));
            }
        }
        for number in 0..KEYS {
            self.read_current(&kept_name(number)).await;
        }
        Ok(())
    }
}
