//! Object lock: which versions must not be deleted, and which changes of that are allowed.
//!
//! Owns: retention and legal hold as they are kept with a version, and the rules.
//! Leaves to others: who may bypass governance (authorisation), the bucket's setting
//! ([`crate::settings`]).
//! Always: pure; a lock that cannot be read refuses every change and deletion. (A read goes out
//! without it: the bytes are as good as ever.)

use std::fmt;

use holdfast_protocol::Metadata;

use crate::error::GatewayError;
use crate::settings::{RetentionMode, Settings};

/// Names that no HTTP header can have.
const RETAIN: &str = "@retain";
const HOLD: &str = "@hold";

/// Until when a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// Until when (milliseconds since 1970).
    pub until_ms: u64,
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mode.name(), self.until_ms)
    }
}

impl Retention {
    fn parse(text: &str) -> Option<Self> {
        let (mode, until) = text.split_once(' ')?;
        Some(Self {
            mode: RetentionMode::parse(mode)?,
            until_ms: until.parse().ok()?,
        })
    }
}

/// What protects a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Until when it is kept; may be over.
    pub retention: Option<Retention>,
    /// Whether it is held; `None` if that was never said.
    pub hold: Option<bool>,
}

impl Protection {
    /// What is kept with a version.
    ///
    /// # Errors
    /// `Internal` if it cannot be read.
    pub fn of(metadata: &Metadata) -> Result<Self, GatewayError> {
        let unreadable = |text: &str| GatewayError::Internal {
            what: format!("the lock {text:?} cannot be read"),
        };
        let retention = match metadata.get(RETAIN) {
            None => None,
            Some(text) => Some(Retention::parse(text).ok_or_else(|| unreadable(text))?),
        };
        let hold = match metadata.get(HOLD) {
            None => None,
            Some("ON") => Some(true),
            Some("OFF") => Some(false),
            Some(text) => return Err(unreadable(text)),
        };
        Ok(Self { retention, hold })
    }

    /// Keeps it with a version.
    pub fn keep_in(self, metadata: &mut Metadata) {
        match self.retention {
            Some(retention) => metadata.set(RETAIN, retention.to_string()),
            None => metadata.remove(RETAIN),
        }
        match self.hold {
            Some(hold) => metadata.set(HOLD, if hold { "ON" } else { "OFF" }),
            None => metadata.remove(HOLD),
        }
    }

    /// Whether a version may be deleted now; `bypass` is that of governance, by who may.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn check_delete(self, now_ms: u64, bypass: bool) -> Result<(), GatewayError> {
        let is_kept = self.retention.is_some_and(|retention| {
            let may_pass = bypass && retention.mode == RetentionMode::Governance;
            retention.until_ms > now_ms && !may_pass
        });
        match is_kept || self.hold == Some(true) {
            true => denied("Access Denied because object protected by object lock."),
            false => Ok(()),
        }
    }

    /// Whether the retention may be replaced by `new` now: it may grow; all else needs `bypass`,
    /// and compliance is never weakened.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn check_retention(
        self,
        new: Option<Retention>,
        now_ms: u64,
        bypass: bool,
    ) -> Result<(), GatewayError> {
        let Some(old) = self.retention.filter(|old| old.until_ms > now_ms) else {
            return Ok(());
        };
        let grows = new.is_some_and(|new| new.mode == old.mode && new.until_ms >= old.until_ms);
        let may_pass = bypass && old.mode == RetentionMode::Governance;
        match grows || may_pass {
            true => Ok(()),
            false => denied("Access Denied because object protected by object lock."),
        }
    }
}

fn denied(why: &str) -> Result<(), GatewayError> {
    Err(GatewayError::AccessDenied {
        why: why.to_owned(),
    })
}

/// Only buckets with object lock take locks.
///
/// # Errors
/// `InvalidRequest` if it has none.
pub fn lockable(settings: &Settings) -> Result<(), GatewayError> {
    match settings.lock {
        Some(_) => Ok(()),
        None => Err(GatewayError::InvalidRequest {
            why: "Bucket is missing Object Lock Configuration".to_owned(),
        }),
    }
}

/// What a new version asks for can be given.
///
/// # Errors
/// `InvalidRequest` if it is to be locked and its bucket has no locks.
pub fn check_new(settings: &Settings, metadata: &Metadata) -> Result<(), GatewayError> {
    match metadata.get(RETAIN).or(metadata.get(HOLD)) {
        Some(_) => lockable(settings),
        None => Ok(()),
    }
}

/// Gives a new version what its bucket gives those that say nothing themselves.
///
/// # Errors
/// As [`check_new`].
pub fn settle(
    settings: &Settings,
    metadata: &mut Metadata,
    now_ms: u64,
) -> Result<(), GatewayError> {
    check_new(settings, metadata)?;
    let default = settings.lock.and_then(|lock| lock.default);
    let Some(default) = default.filter(|_| metadata.get(RETAIN).is_none()) else {
        return Ok(());
    };
    let retention = Retention {
        mode: default.mode,
        until_ms: now_ms.saturating_add(default.period.ms()),
    };
    metadata.set(RETAIN, retention.to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Facts about locks: the table of what is allowed.
    use super::*;
    use crate::settings::{DefaultRetention, ObjectLock, Period};

    const NOW: u64 = 1_000_000;

    fn retention(mode: RetentionMode, until_ms: u64) -> Option<Retention> {
        Some(Retention { mode, until_ms })
    }

    fn protection(retention: Option<Retention>, hold: Option<bool>) -> Protection {
        Protection { retention, hold }
    }

    #[test]
    fn what_is_locked_is_not_deleted() {
        use RetentionMode::{Compliance, Governance};
        for (retained, hold, bypass, allowed) in [
            (None, None, false, true),
            (None, Some(false), false, true),
            (None, Some(true), false, false),
            (None, Some(true), true, false),
            (retention(Governance, NOW + 1), None, false, false),
            (retention(Governance, NOW + 1), None, true, true),
            (retention(Governance, NOW + 1), Some(true), true, false),
            (retention(Governance, NOW), None, false, true),
            (retention(Compliance, NOW + 1), None, false, false),
            (retention(Compliance, NOW + 1), None, true, false),
            (retention(Compliance, NOW), None, false, true),
        ] {
            let protection = protection(retained, hold);
            let outcome = protection.check_delete(NOW, bypass);
            assert_eq!(outcome.is_ok(), allowed, "{protection:?} bypass {bypass}");
        }
    }

    #[test]
    fn retention_grows_and_is_weakened_by_bypass_only() {
        use RetentionMode::{Compliance, Governance};
        let (sooner, later) = (NOW + 10, NOW + 20);
        for (old, new, bypass, allowed) in [
            (None, None, false, true),
            (None, retention(Compliance, later), false, true),
            (
                retention(Governance, sooner),
                retention(Governance, later),
                false,
                true,
            ),
            (
                retention(Governance, later),
                retention(Governance, sooner),
                false,
                false,
            ),
            (
                retention(Governance, later),
                retention(Governance, sooner),
                true,
                true,
            ),
            (
                retention(Governance, later),
                retention(Compliance, later),
                false,
                false,
            ),
            (
                retention(Governance, later),
                retention(Compliance, later),
                true,
                true,
            ),
            (retention(Governance, later), None, false, false),
            (retention(Governance, later), None, true, true),
            (
                retention(Compliance, sooner),
                retention(Compliance, later),
                false,
                true,
            ),
            (
                retention(Compliance, later),
                retention(Compliance, sooner),
                true,
                false,
            ),
            (
                retention(Compliance, later),
                retention(Governance, later),
                true,
                false,
            ),
            (retention(Compliance, later), None, true, false),
            (retention(Compliance, NOW), None, false, true),
        ] {
            let outcome = protection(old, None).check_retention(new, NOW, bypass);
            assert_eq!(
                outcome.is_ok(),
                allowed,
                "{old:?} to {new:?}, bypass {bypass}"
            );
        }
    }

    #[test]
    fn locks_are_kept_and_read() {
        let mut metadata = Metadata::default();
        metadata.set("content-type", "text/plain");
        for hold in [None, Some(true), Some(false)] {
            for retained in [None, retention(RetentionMode::Compliance, 7)] {
                let kept = protection(retained, hold);
                kept.keep_in(&mut metadata);
                assert_eq!(Protection::of(&metadata).unwrap(), kept);
            }
        }
        for (name, text) in [
            (RETAIN, "GOVERNANCE"),
            (RETAIN, "COMPLIANCE x"),
            (RETAIN, "NONE 1"),
            (HOLD, "on"),
        ] {
            let mut metadata = Metadata::default();
            metadata.set(name, text);
            assert!(Protection::of(&metadata).is_err(), "{name} {text}");
        }
    }

    #[test]
    fn the_default_is_for_what_says_nothing() {
        let default = DefaultRetention {
            mode: RetentionMode::Governance,
            period: Period::Days(1),
        };
        let settings = Settings {
            lock: Some(ObjectLock {
                default: Some(default),
            }),
            ..Settings::default()
        };
        let mut metadata = Metadata::default();
        settle(&settings, &mut metadata, NOW).unwrap();
        let until = NOW + 24 * 60 * 60 * 1000;
        let given = protection(retention(RetentionMode::Governance, until), None);
        assert_eq!(Protection::of(&metadata).unwrap(), given);
        let own = protection(retention(RetentionMode::Compliance, 5), Some(true));
        own.keep_in(&mut metadata);
        settle(&settings, &mut metadata, NOW).unwrap();
        assert_eq!(Protection::of(&metadata).unwrap(), own);
        assert!(settle(&Settings::default(), &mut metadata, NOW).is_err());
        let mut none = Metadata::default();
        settle(&Settings::default(), &mut none, NOW).unwrap();
        assert_eq!(none, Metadata::default());
    }
}
