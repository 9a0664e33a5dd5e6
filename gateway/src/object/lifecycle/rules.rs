//! What lifecycle rules say of a version or an upload: when it goes.
//!
//! Owns: which rules apply, and the times they give.
//! Leaves to others: the configuration and its checks ([`crate::settings`]), looking at the time.
//! Always: pure; what is locked is not due before its lock ends, and never while it is held.

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::{Body, Manifest};

use crate::object::classes::STANDARD;
use crate::object::copy::TAGGING;
use crate::object::lock::Protection;
use crate::object::reparts::is_hidden_by;
use crate::settings::{Expiration, KEEP_MAX, Lifecycle, LifecycleRule, When};

/// The current version, and as many as rules keep.
const COUNTED: usize = KEEP_MAX as usize + 1;
/// As S3: smaller objects move only where a rule says lengths.
const MOVE_LEN_MIN: u64 = 128 << 10;
/// But for these classes, where the configuration varies by class.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// How often it is looked, the soonest and the latest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// How long a day of a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day(u64);

/// The real one.
impl Default for Day {
    fn default() -> Self {
        Self(MS_PER_DAY)
    }
}

impl Day {
    pub(crate) fn new(len: Duration) -> Self {
        Self(u64::try_from(len.as_millis()).unwrap_or(u64::MAX).max(1))
    }
    pub(crate) fn ms(self) -> u64 {
        self.0
    }
    /// How often it is looked what is due.
    pub(super) fn pause(self) -> Duration {
        Duration::from_millis(self.0 / 50).clamp(PAUSE_MIN, PAUSE_MAX)
    }
    /// So many days after `from_ms`.
    pub(crate) fn after(self, from_ms: u64, days: u32) -> u64 {
        let days = self.0.saturating_mul(days.into());
        self.settled(from_ms.saturating_add(days))
    }
    /// When something that is so from `at_ms` on is acted upon: at the next midnight. Days of
    /// another length have none.
    pub(crate) fn settled(self, at_ms: u64) -> u64 {
        match self.0 {
            MS_PER_DAY => at_ms.div_ceil(MS_PER_DAY).saturating_mul(MS_PER_DAY),
            _ => at_ms,
        }
    }
}

/// When an object expires, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expires {
    /// When (milliseconds since 1970), in days of 24 hours.
    pub at_ms: u64,
    /// The name of the rule.
    pub rule: String,
}

/// The enabled rules that are about keys like this.
fn for_key<'a>(lifecycle: &'a Lifecycle, key: &'a str) -> impl Iterator<Item = &'a LifecycleRule> {
    lifecycle.rules().iter().filter(move |rule| {
        let prefix = rule.filter.prefix.as_deref().unwrap_or_default();
        rule.enabled && key.starts_with(prefix)
    })
}

/// The enabled rules that are about a version. A delete marker has neither tags nor a size.
fn for_version<'a>(
    lifecycle: &'a Lifecycle,
    manifest: &'a Manifest,
) -> impl Iterator<Item = &'a LifecycleRule> {
    for_key(lifecycle, &manifest.key).filter(move |rule| {
        let filter = &rule.filter;
        let has_sizes = filter.larger.is_some() || filter.smaller.is_some();
        if is_marker(manifest) {
            return filter.tags.is_empty() && !has_sizes;
        }
        filter.larger.is_none_or(|larger| manifest.len > larger)
            && filter.smaller.is_none_or(|smaller| manifest.len < smaller)
            && (filter.tags.is_empty() || has_tags(manifest, &filter.tags))
    })
}

fn has_tags(manifest: &Manifest, wanted: &[(String, String)]) -> bool {
    let stored = manifest.metadata.get(TAGGING).unwrap_or_default();
    wanted.iter().all(|(key, value)| {
        let mut tags = form_urlencoded::parse(stored.as_bytes());
        tags.any(|(k, v)| k == key.as_str() && v == value.as_str())
    })
}

pub(super) fn is_marker(manifest: &Manifest) -> bool {
    matches!(manifest.body, Body::DeleteMarker)
}

/// When a rule lets a current version go that was made then.
fn expires(rule: &LifecycleRule, created_ms: u64, day: Day) -> Option<u64> {
    match rule.expiration? {
        Expiration::Days(days) => Some(day.after(created_ms, days)),
        Expiration::DateMs(date_ms) => Some(date_ms.max(day.settled(created_ms))),
        Expiration::Marker(_) => None,
    }
}

/// Not before a lock ends; never while it is held, or if it cannot be read.
fn unlocked(manifest: &Manifest, due_ms: u64) -> Option<u64> {
    let protection = Protection::of(&manifest.metadata).ok()?;
    if protection.hold == Some(true) {
        return None;
    }
    let until = protection
        .retention
        .map_or(0, |retention| retention.until_ms);
    Some(due_ms.max(until))
}

/// When the current version is due, if it is an object. `is_marked`: what follows it is a delete
/// marker, so that a lock does not matter.
pub(super) fn object_due(
    lifecycle: &Lifecycle,
    manifest: &Manifest,
    is_marked: bool,
    day: Day,
) -> Option<u64> {
    let times = for_version(lifecycle, manifest);
    let due = times.filter_map(|rule| expires(rule, manifest.created_ms, day));
    let due = due.min()?;
    match is_marked {
        true => Some(due),
        false => unlocked(manifest, due),
    }
}

/// When a delete marker is due behind which there is no version.
pub(super) fn marker_due(lifecycle: &Lifecycle, manifest: &Manifest, day: Day) -> Option<u64> {
    let times = for_version(lifecycle, manifest).filter_map(|rule| match rule.expiration? {
        Expiration::Marker(true) => Some(day.settled(manifest.created_ms)),
        _ => expires(rule, manifest.created_ms, day),
    });
    times.min()
}

/// When those versions of a key were made that are newer than a noncurrent one, the next newer one
/// first; as many as rules can count.
#[derive(Clone, Debug)]
pub(in crate::object) struct Newer(VecDeque<u64>);

impl Newer {
    /// The current one.
    pub(super) fn current(made_ms: u64) -> Self {
        Self([made_ms].into())
    }
    /// As many as any rule keeps, of that time.
    pub(super) fn enough(made_ms: u64) -> Self {
        Self(std::iter::repeat_n(made_ms, COUNTED).collect())
    }
    /// For the version that is older than this one.
    pub(super) fn push(&mut self, made_ms: u64) {
        self.0.push_front(made_ms);
        self.0.truncate(COUNTED);
    }
    /// So many days after it ceased to be current, and not before it was one too many.
    fn after(&self, day: Day, days: u32, keep: Option<u32>) -> Option<u64> {
        let since_ms = *self.0.front()?;
        let beyond_ms = *self.0.get(keep.unwrap_or(0) as usize)?;
        Some(day.after(since_ms, days).max(day.settled(beyond_ms)))
    }
}

/// When a noncurrent version is due.
pub(super) fn noncurrent_due(
    lifecycle: &Lifecycle,
    manifest: &Manifest,
    newer: &Newer,
    day: Day,
) -> Option<u64> {
    let times = for_version(lifecycle, manifest).filter_map(|rule| {
        let rule = rule.noncurrent?;
        newer.after(day, rule.days, rule.keep)
    });
    unlocked(manifest, times.min()?)
}

/// When an open upload is due.
pub(super) fn upload_due(lifecycle: &Lifecycle, manifest: &Manifest, day: Day) -> Option<u64> {
    if is_hidden_by(manifest) {
        return None;
    }
    let times = for_key(lifecycle, &manifest.key);
    let days = times.filter_map(|rule| rule.abort_days);
    Some(day.after(manifest.created_ms, days.min()?))
}

/// Whether any rule lets noncurrent versions of this key go, or move.
pub(super) fn has_noncurrent(lifecycle: &Lifecycle, key: &str) -> bool {
    let has =
        |rule: &LifecycleRule| rule.noncurrent.is_some() || !rule.noncurrent_transitions.is_empty();
    for_key(lifecycle, key).any(has)
}

/// Whether any rule keeps noncurrent versions of this key by count.
pub(super) fn counts(lifecycle: &Lifecycle, key: &str) -> bool {
    let counts = |rule: &LifecycleRule| {
        let ends = rule.noncurrent.is_some_and(|rule| rule.keep.is_some());
        let mut moves = rule.noncurrent_transitions.iter();
        ends || moves.any(|rule| rule.keep.is_some())
    };
    for_key(lifecycle, key).any(counts)
}

/// When current objects like this move, and to which class.
pub(super) fn moves<'a>(
    lifecycle: &'a Lifecycle,
    manifest: &'a Manifest,
    day: Day,
) -> impl Iterator<Item = (u64, &'a str)> {
    let rules = for_version(lifecycle, manifest).filter(|_| !is_marker(manifest));
    rules.flat_map(move |rule| {
        let moves = rule.transitions.iter();
        let moves = moves.filter(move |moves| is_large(lifecycle, rule, manifest, &moves.class));
        moves.map(move |moves| {
            let made_ms = manifest.created_ms;
            let at_ms = match moves.at {
                When::Days(days) => day.after(made_ms, days),
                When::DateMs(date_ms) => date_ms.max(day.settled(made_ms)),
            };
            (at_ms, moves.class.as_str())
        })
    })
}

/// The same, of a noncurrent version, as in [`noncurrent_due`].
pub(super) fn noncurrent_moves<'a>(
    lifecycle: &'a Lifecycle,
    manifest: &'a Manifest,
    newer: &'a Newer,
    day: Day,
) -> impl Iterator<Item = (u64, &'a str)> {
    let rules = for_version(lifecycle, manifest).filter(|_| !is_marker(manifest));
    rules.flat_map(move |rule| {
        let moves = rule.noncurrent_transitions.iter();
        let moves = moves.filter(move |moves| is_large(lifecycle, rule, manifest, &moves.class));
        moves.filter_map(move |moves| {
            let at_ms = newer.after(day, moves.days, moves.keep)?;
            Some((at_ms, moves.class.as_str()))
        })
    })
}

/// Whether a rule moves objects of this length: by default none below 128 KiB; a rule that says
/// lengths itself decides.
fn is_large(lifecycle: &Lifecycle, rule: &LifecycleRule, manifest: &Manifest, class: &str) -> bool {
    let says = rule.filter.larger.is_some() || rule.filter.smaller.is_some();
    says || manifest.len >= MOVE_LEN_MIN || lifecycle.varies() && ARCHIVES.contains(&class)
}

/// Where a version is to be by now, if it is not there, and when it moves next. `is_known`: a class
/// that is not configured any more takes nothing.
pub(super) fn place_by<'a>(
    moves: impl Iterator<Item = (u64, &'a str)>,
    manifest: &Manifest,
    now_ms: u64,
    is_known: impl Fn(&str) -> bool,
) -> (Option<String>, Option<u64>) {
    let (mut place, mut next) = (None::<(u64, &str)>, None::<u64>);
    for (at_ms, class) in moves.filter(|(_, class)| is_known(class)) {
        if at_ms > now_ms {
            next = Some(next.map_or(at_ms, |next| next.min(at_ms)));
        } else if place.is_none_or(|(last_ms, _)| at_ms >= last_ms) {
            place = Some((at_ms, class));
        }
    }
    let is_in = manifest.metadata.get(STORAGE_CLASS).unwrap_or(STANDARD);
    let place = place.filter(|(_, class)| *class != is_in);
    (place.map(|(_, class)| class.to_owned()), next)
}

/// Whether any rule lets delete markers of this key go.
pub(super) fn has_markers(lifecycle: &Lifecycle, key: &str) -> bool {
    for_key(lifecycle, key).any(|rule| rule.expiration.is_some())
}

/// When a current object expires, as `x-amz-expiration` says: in real days, whatever a day is here.
pub(crate) fn told(lifecycle: Option<&Lifecycle>, manifest: &Manifest) -> Option<Expires> {
    if is_marker(manifest) {
        return None;
    }
    let rules = for_version(lifecycle?, manifest);
    let times = rules.filter_map(|rule| {
        let at_ms = expires(rule, manifest.created_ms, Day::default())?;
        Some((at_ms, rule))
    });
    soonest(times)
}

/// When an open upload is aborted, as `x-amz-abort-date` says: in real days, too.
pub(crate) fn aborts(lifecycle: Option<&Lifecycle>, manifest: &Manifest) -> Option<Expires> {
    let rules = for_key(lifecycle?, &manifest.key);
    soonest(rules.filter_map(|rule| {
        let at_ms = Day::default().after(manifest.created_ms, rule.abort_days?);
        Some((at_ms, rule))
    }))
}

fn soonest<'a>(times: impl Iterator<Item = (u64, &'a LifecycleRule)>) -> Option<Expires> {
    let (at_ms, rule) = times.min_by_key(|(at_ms, _)| *at_ms)?;
    Some(Expires {
        at_ms,
        rule: rule.id.clone(),
    })
}

#[cfg(test)]
mod tests;
