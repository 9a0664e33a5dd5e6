//! The operations of one client on single keys, and LIST.
//!
//! Owns: what is drawn for each, and judging its answer.
//! Leaves to others: asking ([`super`]), multipart uploads ([`super::multipart`]).

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use holdfast_gateway::object::types::{ETagMatch, ListObjects, RangeSpec, WriteConditions};
use holdfast_protocol::ByteRange;

use super::door::{Ended, Got, Page, Upload};
use super::{Client, at, bucket_of, full, key_name, lock, outcome_of};
use crate::history::Operation;
use crate::history::{Action, Condition, Entry, Outcome, ValueId};
use crate::values::body;

impl Client {
    pub(super) fn len(&mut self) -> usize {
        if self.load.shared.is_hungry.load(Ordering::Relaxed) && self.dice.permille(500) {
            return self.dice.within(100_000..500_000) as usize;
        }
        let inline = self.load.plan.inline_len_max as u64;
        let len = match self.dice.below(100) {
            0..3 => 0,
            3..55 => self.dice.within(8..inline),
            55..60 => inline + self.dice.below(3) - 1,
            60..90 => self.dice.within(inline..40_000),
            90..98 => self.dice.within(40_000..400_000),
            _ => self.dice.within(900_000..2_300_000),
        };
        len as usize
    }

    fn new_value(&mut self, len: usize) -> (ValueId, Bytes) {
        let number = self.load.values.next();
        let bytes = match len {
            0 => Bytes::new(),
            len => body(number, len.max(8)),
        };
        (self.load.values.add(bytes.clone()), bytes)
    }

    /// A condition, and what it is for the gateway.
    fn condition(&mut self, key: &str) -> (Condition, WriteConditions) {
        let mut conditions = WriteConditions::default();
        if self.dice.permille(400) {
            conditions.if_none_match = Some(ETagMatch::Any);
            return (Condition::Absent, conditions);
        }
        if self.dice.permille(200) {
            conditions.if_match = Some(ETagMatch::Any);
            return (Condition::Present, conditions);
        }
        // The value that was written last, as far as this client knows.
        let history = lock(&self.load.shared.history);
        let of_key = |operation: &&Operation| match &operation.action {
            Action::Put { key: at, .. } | Action::Get { key: at } => *at == full(key),
            _ => false,
        };
        let last = history.iter().rev().find(of_key);
        let value = last.and_then(|operation| match (&operation.action, &operation.outcome) {
            (Action::Put { value, .. }, _) => Some(*value),
            (_, Outcome::Found(value)) => Some(*value),
            _ => None,
        });
        drop(history);
        let etag = value.and_then(|value| self.load.values.etag(value));
        let (Some(value), Some(etag)) = (value, etag) else {
            return (Condition::Always, conditions);
        };
        conditions.if_match = Some(ETagMatch::OneOf(vec![etag]));
        (Condition::Matches(value), conditions)
    }

    pub(super) async fn put(&mut self, key: &str, is_conditional: bool) {
        let len = self.len();
        let (value, bytes) = self.new_value(len);
        let (condition, conditions) = match is_conditional {
            true => self.condition(key),
            false => Default::default(),
        };
        let cut = self.dice.permille(5).then(|| bytes.len() / 2);
        let (at, sent) = (at(key), Upload::new(&bytes, &mut self.dice, cut));
        let call = self.load.tick();
        let got = self.ask(|door| door.put(at, sent, conditions)).await;
        let outcome = match got {
            Ok(made) => {
                if self.load.values.of(&made.etag) != value {
                    let what = format!("put of {key} answers {}", made.etag);
                    self.load.served_wrong(what);
                }
                Outcome::Ok
            }
            other => self.failed(other.map(drop)),
        };
        let action = Action::Put {
            key: full(key),
            value,
            condition,
        };
        let has_failed = matches!(outcome, Outcome::Failed | Outcome::Unknown);
        self.load.record(self.number, call, action, outcome);
        if has_failed && self.load.plan.has_cleaners {
            self.clean_up(key).await;
        }
    }

    /// Deletes what may have come of a write that failed, until that is acknowledged.
    async fn clean_up(&mut self, key: &str) {
        for _ in 0..8 {
            let pause = self.dice.within(1..2000);
            let pause = self.load.exec.sleep(Duration::from_millis(pause));
            pause.await;
            if self.load.is_over() || self.delete(key).await {
                return;
            }
        }
    }

    pub(super) fn failed(&self, got: Got<()>) -> Outcome {
        match got {
            Ok(()) => Outcome::Ok,
            Err(ended) => {
                if let Ended::Failed(why) | Ended::Refused(why) = &ended {
                    self.load.exec.note(|| why.clone());
                }
                outcome_of(&ended)
            }
        }
    }

    /// A read that found nothing, or failed; nothing is in a bucket that is not there.
    fn unread(&self, got: Got<()>) -> Outcome {
        match got {
            Err(Ended::NoSuchBucket) => Outcome::NotFound,
            got => self.failed(got),
        }
    }

    /// Reads a key, all of it or a range; what cannot be read is not written down.
    pub async fn get(&mut self, key: &str, is_range: bool) {
        let first = self.dice.below(3000);
        let last = first + self.dice.below(100_000);
        let range = is_range.then_some(RangeSpec::From {
            first,
            last: Some(last),
        });
        let at = at(key);
        let call = self.load.tick();
        let outcome = match self.ask(|door| door.get(at, None, range)).await {
            Ok(read) => {
                let value = self.load.values.of(&read.etag);
                self.judge(key, value, read.range, &read.bytes, read.cut.is_some());
                if let Some(cut) = read.cut {
                    self.load.exec.note(|| cut);
                    return;
                }
                Outcome::Found(value)
            }
            other => self.unread(other.map(drop)),
        };
        if matches!(
            outcome,
            Outcome::Failed | Outcome::Unknown | Outcome::Refused
        ) {
            return;
        }
        let action = Action::Get { key: full(key) };
        self.load.record(self.number, call, action, outcome);
    }

    /// Holds the bytes of an answer against the value that its ETag names.
    fn judge(&self, key: &str, value: ValueId, range: ByteRange, got: &[u8], is_cut: bool) {
        let Some(bytes) = self.load.values.bytes(value) else {
            let what = format!("{key}: an ETag that nobody wrote, {} bytes", got.len());
            return self.load.served_wrong(what);
        };
        let wanted = bytes
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default();
        let fits = match is_cut {
            true => wanted.starts_with(got),
            false => wanted == got,
        };
        if !fits {
            let what = format!("{key}: {} bytes are not those of {value:?}", got.len());
            self.load.served_wrong(what);
        }
    }

    pub(super) async fn head(&mut self, key: &str) {
        let at = at(key);
        let call = self.load.tick();
        let outcome = match self.ask(|door| door.head(at)).await {
            Ok(etag) => Outcome::Found(self.load.values.of(&etag)),
            other => self.unread(other.map(drop)),
        };
        if matches!(
            outcome,
            Outcome::Failed | Outcome::Unknown | Outcome::Refused
        ) {
            return;
        }
        let action = Action::Head { key: full(key) };
        self.load.record(self.number, call, action, outcome);
    }

    /// Lists all keys that begin so, page by page. Returns them if every page was answered.
    pub async fn list_all(&mut self, prefix: &str, max: usize) -> Option<Vec<String>> {
        let mut after: Option<String> = None;
        let mut keys = Vec::new();
        loop {
            let page = self.list_page(prefix, after.clone(), max).await?;
            keys.extend(page.entries.into_iter().map(|(key, _)| key));
            match page.next {
                Some(next) => after = Some(next),
                None => return Some(keys),
            }
        }
    }

    async fn list_page(&mut self, prefix: &str, after: Option<String>, max: usize) -> Option<Page> {
        let list = ListObjects {
            bucket: bucket_of(prefix),
            prefix: prefix.to_owned(),
            delimiter: None,
            after: after.clone(),
            max,
        };
        let call = self.load.tick();
        let page = match self.ask(|door| door.list(list)).await {
            Err(Ended::NoSuchBucket) => Page::default(),
            page => page.ok()?,
        };
        let entries = page.entries.iter().map(|(key, etag)| Entry {
            key: full(key),
            value: Some(self.load.values.of(etag)),
        });
        let action = Action::List {
            prefix: full(prefix),
            after: after.map(|key| full(&key)),
            through: page.next.as_deref().map(full),
        };
        let outcome = Outcome::Listed(entries.collect());
        self.load.record(self.number, call, action, outcome);
        Some(page)
    }

    pub(super) async fn list(&mut self) {
        let prefix = *self
            .dice
            .pick(&["", "a/", "b", "k/", "k/2/"])
            .unwrap_or(&"");
        let max = match self.dice.permille(300) {
            true => 7,
            false => 1000,
        };
        let _ = self.list_all(prefix, max).await;
    }

    /// Returns whether it was acknowledged.
    pub(super) async fn delete(&mut self, key: &str) -> bool {
        let at = at(key);
        let call = self.load.tick();
        let got = self.ask(|door| door.delete(at, None)).await;
        let outcome = self.failed(got.map(drop));
        let is_done = outcome == Outcome::Ok;
        let action = Action::Delete {
            key: full(key),
            condition: Condition::Always,
        };
        self.load.record(self.number, call, action, outcome);
        is_done
    }

    pub(super) async fn copy(&mut self, key: &str) {
        let source = key_name(self.dice.below(self.load.plan.keys));
        if source == key {
            return;
        }
        let (from, to) = (at(&source), at(key));
        let call = self.load.tick();
        let got = self.ask(|door| door.copy(from, to)).await;
        let outcome = match got {
            Ok(etag) => Outcome::Found(self.load.values.of(&etag)),
            other => self.failed(other.map(drop)),
        };
        let action = Action::Copy {
            from: full(&source),
            key: full(key),
        };
        self.load.record(self.number, call, action, outcome);
    }
}
