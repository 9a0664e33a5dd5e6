//! Who is told of what happens in a bucket.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;
use crate::notify::EventKind;
use crate::notify::event::Named;

const CONFIGURATIONS_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
const FILTER_LEN_MAX: usize = 1024;
/// More than there are in S3.
const EVENTS_MAX: usize = 30;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    tell: Vec<Tell>,
}

/// What one target is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tell {
    /// Its name in the bucket.
    pub id: String,
    /// What the target is called in S3's document.
    pub kind: TargetKind,
    /// The target's ARN, as it was given.
    pub arn: String,
    /// The target.
    pub target: String,
    /// Of what it is told, by the names of S3's documents.
    pub events: Vec<String>,
    /// Of keys that begin so.
    pub prefix: String,
    /// Of keys that end so.
    pub suffix: String,
}

/// What S3's documents call a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum TargetKind {
    Queue,
    Topic,
}

impl Notification {
    /// Checks S3's rules: at most 100 configurations with different ids; events that there are;
    /// none that two of them tell of the same keys.
    ///
    /// # Errors
    /// `InvalidArgument` with what is wrong; `NotImplemented` for events of S3 that nothing here
    /// makes.
    pub fn new(tell: Vec<Tell>) -> Result<Self, GatewayError> {
        if tell.len() > CONFIGURATIONS_MAX {
            return refuse("Too many notification configurations: at most 100 are allowed");
        }
        for (at, one) in tell.iter().enumerate() {
            check(one)?;
            for other in &tell[..at] {
                if one.id == other.id {
                    return refuse("Same ID used for multiple configurations. IDs must be unique");
                }
                if overlap(one, other) {
                    return refuse(
                        "Configurations overlap. Configurations on the same bucket cannot share \
                         a common event type.",
                    );
                }
            }
        }
        Ok(Self { tell })
    }

    /// What each target is told.
    pub fn tell(&self) -> &[Tell] {
        &self.tell
    }
}

impl Tell {
    /// Whether the target is told that this happened to that key.
    pub fn is_told(&self, kind: EventKind, key: &str) -> bool {
        let names = |text: &String| match EventKind::named(text) {
            Named::Kinds(kinds) => kinds.contains(&kind),
            Named::Other | Named::Unknown => false,
        };
        key.starts_with(&self.prefix)
            && key.ends_with(&self.suffix)
            && self.events.iter().any(names)
    }

    fn kinds(&self) -> BTreeSet<&'static str> {
        let mut all = BTreeSet::new();
        for text in &self.events {
            if let Named::Kinds(kinds) = EventKind::named(text) {
                all.extend(kinds.iter().map(|kind| kind.name()));
            }
        }
        all
    }
}

fn check(one: &Tell) -> Result<(), GatewayError> {
    let id = one.id.chars().count();
    if id == 0 || id > ID_CHARS_MAX {
        return refuse("The ID of a notification configuration has 1 to 255 characters");
    }
    if one.prefix.len() > FILTER_LEN_MAX || one.suffix.len() > FILTER_LEN_MAX {
        return refuse("filter value cannot exceed 1024 bytes");
    }
    if one.events.is_empty() {
        return Err(GatewayError::MalformedDocument {
            why: "a notification configuration names an Event",
        });
    }
    if one.events.len() > EVENTS_MAX {
        return refuse(&format!(
            "A notification configuration names at most {EVENTS_MAX} events"
        ));
    }
    for text in &one.events {
        match EventKind::named(text) {
            Named::Kinds(_) => {}
            Named::Other => {
                return Err(GatewayError::NotImplemented {
                    what: format!("the event {text}"),
                });
            }
            Named::Unknown => {
                return refuse(&format!(
                    "The event '{text}' is not supported for notifications"
                ));
            }
        }
    }
    Ok(())
}

fn overlap(one: &Tell, other: &Tell) -> bool {
    let nested = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
    let tails = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
    nested(&one.prefix, &other.prefix)
        && tails(&one.suffix, &other.suffix)
        && !one.kinds().is_disjoint(&other.kinds())
}

fn refuse<T>(why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidArgument {
        name: "NotificationConfiguration",
        why: why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    //! Facts about the rules.
    use super::*;
    use crate::settings::tests::tell;

    #[test]
    fn rules_of_notifications_are_checked() {
        let two = |change: fn(&mut Tell)| {
            let mut other = tell();
            other.id = "two".to_owned();
            change(&mut other);
            Notification::new(vec![tell(), other])
        };
        assert!(two(|other| other.prefix = "b/".to_owned()).is_ok());
        assert!(two(|other| other.suffix = ".png".to_owned()).is_ok());
        assert!(two(|other| other.events = vec!["s3:ObjectRemoved:*".to_owned()]).is_ok());
        // Both would tell the same.
        assert!(two(|_| {}).is_err());
        assert!(two(|other| other.prefix = "a/b".to_owned()).is_err());
        assert!(two(|other| other.prefix = String::new()).is_err());
        assert!(two(|other| other.events = vec!["s3:ObjectCreated:Put".to_owned()]).is_err());
        let one = |change: fn(&mut Tell)| {
            let mut tell = tell();
            change(&mut tell);
            Notification::new(vec![tell])
        };
        assert!(one(|_| {}).is_ok());
        assert!(one(|tell| tell.id = String::new()).is_err());
        assert!(one(|tell| tell.events.clear()).is_err());
        let put = || "s3:ObjectCreated:Put".to_owned();
        let many = |count: usize| {
            let mut tell = tell();
            tell.events = vec![put(); count];
            Notification::new(vec![tell])
        };
        assert!(many(30).is_ok());
        assert!(many(31).is_err());
        assert!(one(|tell| tell.events = vec!["s3:Other".to_owned()]).is_err());
        let later = one(|tell| tell.events = vec!["s3:Replication:*".to_owned()]);
        assert!(matches!(later, Err(GatewayError::NotImplemented { .. })));
        let told = tell();
        for (kind, key, expected) in [
            (EventKind::CreatedPut, "a/b.jpg", true),
            (EventKind::CreatedCopy, "a/.jpg", true),
            (EventKind::Removed, "a/b.jpg", false),
            (EventKind::CreatedPut, "b/b.jpg", false),
            (EventKind::CreatedPut, "a/b.png", false),
        ] {
            assert_eq!(told.is_told(kind, key), expected, "{kind:?} {key}");
        }
    }
}
