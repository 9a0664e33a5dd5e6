//! What a bucket with lifecycle rules holds, said naively: every key is looked at every time.

use std::collections::BTreeMap;

use holdfast_gateway::object::VersionId;
use holdfast_gateway::settings::{Expiration, Lifecycle, LifecycleRule, Versioning, When};

const REAL_DAY: u64 = 86_400_000;

/// A version, as far as rules look at it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Unknown if a rule made it.
    pub id: Option<VersionId>,
    pub made_ms: u64,
    pub is_marker: bool,
    pub len: u64,
    pub tagged: bool,
    pub held: bool,
    pub until_ms: u64,
    pub class: String,
}

impl Version {
    pub fn new(id: Option<VersionId>, made_ms: u64, len: u64) -> Self {
        Self {
            id,
            made_ms,
            is_marker: false,
            len,
            tagged: false,
            held: false,
            until_ms: 0,
            class: "STANDARD".to_owned(),
        }
    }
    pub fn marker(id: Option<VersionId>, made_ms: u64) -> Self {
        Self {
            is_marker: true,
            ..Self::new(id, made_ms, 0)
        }
    }
    pub fn is_locked(&self, now_ms: u64) -> bool {
        self.held || self.until_ms > now_ms
    }
}

/// The bucket: versions of each key, newest first, and open uploads by key and id.
#[derive(Debug, Default)]
pub struct Model {
    pub day_ms: u64,
    pub versioning: Option<Versioning>,
    pub rules: Option<Lifecycle>,
    pub keys: BTreeMap<String, Vec<Version>>,
    pub uploads: BTreeMap<(String, String), u64>,
    /// How many versions and uploads went by rules.
    pub gone: usize,
    /// How many versions moved to another class.
    pub moved: usize,
}

impl Model {
    pub fn add(&mut self, key: &str, version: Version) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if self.versioning != Some(Versioning::Enabled) {
            versions.retain(|known| known.id != Some(VersionId::Null));
        }
        versions.insert(0, version);
    }

    /// What a plain DELETE does.
    pub fn hide(&mut self, key: &str, id: Option<VersionId>, now_ms: u64) {
        match self.versioning {
            None => drop(self.keys.remove(key)),
            Some(Versioning::Suspended) => {
                self.add(key, Version::marker(Some(VersionId::Null), now_ms));
            }
            Some(Versioning::Enabled) => self.add(key, Version::marker(id, now_ms)),
        }
    }

    fn after(&self, from_ms: u64, days: u32) -> u64 {
        let mut at = from_ms + u64::from(days) * self.day_ms;
        while self.day_ms == REAL_DAY && !at.is_multiple_of(REAL_DAY) {
            at += REAL_DAY - at % REAL_DAY;
        }
        at
    }

    /// The rules that are about a version.
    fn matching<'a>(&'a self, key: &'a str, version: &'a Version) -> Vec<&'a LifecycleRule> {
        let all = self.rules.iter().flat_map(|rules| rules.rules());
        let is_about = |rule: &&LifecycleRule| {
            let filter = &rule.filter;
            let plain =
                filter.tags.is_empty() && filter.larger.is_none() && filter.smaller.is_none();
            let object = !version.is_marker
                && (filter.tags.is_empty() || version.tagged)
                && filter.larger.is_none_or(|larger| version.len > larger)
                && filter.smaller.is_none_or(|smaller| version.len < smaller);
            let prefix = filter.prefix.clone().unwrap_or_default();
            rule.enabled && key.starts_with(&prefix) && (plain || object)
        };
        all.filter(is_about).collect()
    }

    fn is_over(&self, key: &str, version: &Version, now_ms: u64) -> bool {
        let is_over = |rule: &LifecycleRule| match rule.expiration {
            Some(Expiration::Days(days)) => self.after(version.made_ms, days) <= now_ms,
            Some(Expiration::DateMs(date)) => {
                date <= now_ms && self.after(version.made_ms, 0) <= now_ms
            }
            Some(Expiration::Marker(is_set)) => {
                is_set && version.is_marker && self.after(version.made_ms, 0) <= now_ms
            }
            None => false,
        };
        self.matching(key, version).into_iter().any(is_over)
    }

    /// So many days after a version ceased to be current, and not before the midnight after it was
    /// one too many.
    fn noncurrent_time(
        &self,
        versions: &[Version],
        at: usize,
        days: u32,
        keep: Option<u32>,
    ) -> Option<u64> {
        let pushed = versions[at - 1].made_ms;
        let beyond = at.checked_sub(1 + keep.unwrap_or(0) as usize)?;
        let beyond = versions[beyond].made_ms;
        Some(self.after(pushed, days).max(self.after(beyond, 0)))
    }

    fn is_noncurrent_over(&self, key: &str, at: usize, now_ms: u64) -> bool {
        let versions = &self.keys[key];
        let version = &versions[at];
        let is_over = |rule: &LifecycleRule| {
            rule.noncurrent.is_some_and(|rule| {
                let time = self.noncurrent_time(versions, at, rule.days, rule.keep);
                time.is_some_and(|time| time <= now_ms)
            })
        };
        let rules = self.matching(key, version);
        !version.is_locked(now_ms) && rules.into_iter().any(is_over)
    }

    /// Everything that is over goes, until nothing is.
    pub fn expire(&mut self, now_ms: u64) {
        let keys: Vec<String> = self.keys.keys().cloned().collect();
        for key in keys {
            while self.expire_key(&key, now_ms) {}
            let count = self.keys.get(&key).map_or(0, Vec::len);
            let places = (0..count).map(|at| self.place(&key, at, now_ms));
            let places: Vec<_> = places.collect();
            for (at, class) in places.into_iter().enumerate() {
                let version = &mut self.keys.get_mut(&key).unwrap()[at];
                if let Some(class) = class.filter(|class| *class != version.class) {
                    version.class = class;
                    self.moved += 1;
                }
            }
        }
        let over = |(key, _): &(String, String), made_ms: &u64| {
            let version = Version::new(None, *made_ms, 0);
            let rules = self.rules.iter().flat_map(|rules| rules.rules());
            let mut days = rules
                .filter(|rule| rule.enabled)
                .filter(|rule| key.starts_with(rule.filter.prefix.as_deref().unwrap_or("")))
                .filter_map(|rule| rule.abort_days);
            days.any(|days| self.after(version.made_ms, days) <= now_ms)
        };
        let gone = self.uploads.iter().filter(|(at, made)| over(at, made));
        let gone: Vec<_> = gone.map(|(at, _)| at.clone()).collect();
        self.gone += gone.len();
        for at in gone {
            self.uploads.remove(&at);
        }
    }

    /// Where a version is to be by now: what the last rule says that is over.
    fn place(&self, key: &str, at: usize, now_ms: u64) -> Option<String> {
        let versions = &self.keys[key];
        let version = &versions[at];
        let mut last: Option<(u64, String)> = None;
        for rule in self.matching(key, version) {
            // All rules that move here say lengths, so that small objects move.
            let current = rule.transitions.iter().filter(|_| at == 0).map(|moves| {
                let time = match moves.at {
                    When::Days(days) => self.after(version.made_ms, days),
                    When::DateMs(date) => date.max(self.after(version.made_ms, 0)),
                };
                (time, &moves.class)
            });
            let noncurrent = rule.noncurrent_transitions.iter().filter(|_| at > 0);
            let noncurrent = noncurrent.filter_map(|moves| {
                let time = self.noncurrent_time(versions, at, moves.days, moves.keep)?;
                Some((time, &moves.class))
            });
            for (time, class) in current.chain(noncurrent) {
                if time <= now_ms && last.as_ref().is_none_or(|(known, _)| time >= *known) {
                    last = Some((time, class.clone()));
                }
            }
        }
        last.map(|(_, class)| class).filter(|_| !version.is_marker)
    }

    fn expire_key(&mut self, key: &str, now_ms: u64) -> bool {
        let count = self.keys.get(key).map_or(0, Vec::len);
        let over = (1..count).filter(|&at| self.is_noncurrent_over(key, at, now_ms));
        let over: Vec<usize> = over.collect();
        if !over.is_empty() {
            self.gone += over.len();
            let versions = self.keys.get_mut(key).unwrap();
            let mut at = 0;
            versions.retain(|_| {
                at += 1;
                !over.contains(&(at - 1))
            });
            return true;
        }
        let Some(current) = self.keys.get(key).and_then(|all| all.first()).cloned() else {
            return false;
        };
        if !self.is_over(key, &current, now_ms) || (current.is_marker && count > 1) {
            return false;
        }
        let is_marked = self.versioning == Some(Versioning::Enabled);
        if !is_marked && current.is_locked(now_ms) {
            return false;
        }
        self.gone += 1;
        match current.is_marker {
            true => drop(self.keys.remove(key)),
            false => self.hide(key, None, now_ms),
        }
        true
    }

    pub fn listed(&self) -> Vec<(String, bool, bool)> {
        let mut all = Vec::new();
        for (key, versions) in &self.keys {
            for (at, version) in versions.iter().enumerate() {
                all.push((key.clone(), at == 0, version.is_marker));
            }
        }
        all
    }
}
