//! Targets of the documents that configure a bucket.
//!
//! Owns: websites, notifications, logging, lifecycle rules, inventories, CORS, tags, object lock;
//! events as they wait.
//! Leaves to others: inputs ([`crate::fuzz`]).
//! Always: as in [`crate::fuzz`]; what is accepted is stored and read again alike, and the document
//! that is made of it means the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use s3s::dto;
use s3s::xml::{Deserialize, Deserializer};
use serde_json::Value;

use super::{cors, inventory, lifecycle, logging, notification, object_lock, tagging, website};
use crate::http::website::{Moved, Path};
use crate::notify::{Event, EventKind, Keyed, Target, TargetError, Targets};
use crate::object::Classes;
use crate::s3::documents;
use crate::settings::{Cors, Inventories, Lifecycle, NewKey, Period, Settings, Tags, Website};

/// A document, read as requests are.
pub(in crate::s3) fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Option<T> {
    documents::check(data).ok()?;
    let mut deserializer = Deserializer::new(data);
    let document = T::deserialize(&mut deserializer).ok()?;
    deserializer.expect_eof().ok()?;
    Some(document)
}

/// What is stored reads alike, unless it is too much to be stored.
fn stored(settings: &Settings) {
    if let Ok(config) = settings.encode() {
        let again = Settings::decode(&config).expect("what was stored reads");
        assert_eq!(&again, settings);
    }
}

/// Websites: no visitor's path leads to a host that the owner did not write.
pub(crate) fn website(data: &[u8]) {
    let Some(document) = parse(data) else {
        return;
    };
    let Ok(website) = website::website(document) else {
        return;
    };
    let again = match &website {
        Website::Elsewhere(to) => dto::WebsiteConfiguration {
            redirect_all_requests_to: Some(website::elsewhere(to)),
            ..dto::WebsiteConfiguration::default()
        },
        Website::Pages(pages) => {
            let shown = website::of_pages(pages);
            dto::WebsiteConfiguration {
                error_document: shown.error_document,
                index_document: shown.index_document,
                redirect_all_requests_to: shown.redirect_all_requests_to,
                routing_rules: shown.routing_rules,
            }
        }
    };
    let again = website::website(again).expect("what is shown may be set");
    assert_eq!(again, website);
    if let Website::Pages(pages) = &website {
        assert!(pages.rules.len() <= 50 && !pages.index.contains('/'));
        for key in ["", "/evil.test", "a//b", "\r\n", "docs/x?y#z", "\u{fc}"] {
            let host = "www.web.test:9000";
            for failed in [None, Some(StatusCode::NOT_FOUND)] {
                let query = Some("q=1");
                let Some(to) = Moved::by_rules(pages, Path { host, key, query }, failed) else {
                    continue;
                };
                assert!(to.status.is_redirection(), "{to:?}");
                assert!(HeaderValue::from_str(&to.location).is_ok(), "{to:?}");
                let chosen = |rule: &crate::settings::RoutingRule| {
                    let key = rule.to.key.as_ref();
                    rule.to.host.is_some()
                        || rule.to.protocol.is_some()
                        || key.is_some_and(|key| matches!(key, NewKey::Whole(_)))
                };
                if !pages.rules.iter().any(chosen) {
                    let location = &to.location;
                    assert!(
                        location.starts_with('/') && !location.starts_with("//"),
                        "{to:?}"
                    );
                }
            }
        }
    }
    stored(&Settings {
        website: Some(website),
        ..Settings::default()
    });
}

/// Logging: a bucket and a prefix, and one of S3's forms of keys.
pub(crate) fn logging(data: &[u8]) {
    let Some(document) = parse::<dto::BucketLoggingStatus>(data) else {
        return;
    };
    let Some(Ok(logging)) = document.logging_enabled.map(logging::read) else {
        return;
    };
    let again = logging::read(logging::document(&logging));
    assert_eq!(again.expect("what is shown may be set"), logging);
    stored(&Settings {
        logging: Some(logging),
        ..Settings::default()
    });
}

/// Lifecycle rules: each does something, and has a name of its own.
pub(crate) fn lifecycle(data: &[u8]) {
    let Some(document) = parse::<dto::BucketLifecycleConfiguration>(data) else {
        return;
    };
    let classes = Classes::default();
    let read = |rules: &[dto::LifecycleRule]| {
        let rules = rules.iter().map(|each| lifecycle::rule(each, &classes));
        Lifecycle::new(rules.collect::<Result<_, _>>()?)
    };
    let Ok(lifecycle) = read(&document.rules) else {
        return;
    };
    assert!((1..=1000).contains(&lifecycle.rules().len()));
    let shown: Vec<_> = lifecycle.rules().iter().map(lifecycle::document).collect();
    let again = read(&shown).expect("what is shown may be set");
    assert_eq!(again, lifecycle);
    let mut names: Vec<&str> = lifecycle
        .rules()
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    stored(&Settings {
        lifecycle: Some(lifecycle),
        ..Settings::default()
    });
}

/// A target that is never told anything.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Target for Silent {
    async fn send(&self, _: &[Keyed]) -> Result<(), TargetError> {
        Ok(())
    }
    async fn test(&self, _: &Value) -> Result<(), TargetError> {
        Ok(())
    }
}

/// Notifications: bounded, of targets that there are, and no event of a key is told twice.
pub(crate) fn notification(data: &[u8]) {
    let Some(document) = parse::<dto::NotificationConfiguration>(data) else {
        return;
    };
    let targets = BTreeMap::from([("hook".to_owned(), Arc::new(Silent) as Arc<dyn Target>)]);
    let targets = Targets::new("us-east-1", targets);
    let Ok(told) = notification::notification(&targets, document) else {
        return;
    };
    assert!(told.tell().len() <= 100);
    for kind in EventKind::ALL {
        for key in ["", "a", "a/b.jpg"] {
            let all = told.tell().iter().filter(|tell| tell.is_told(*kind, key));
            assert!(all.count() <= 1, "{kind:?} of {key:?}");
        }
    }
    for tell in told.tell() {
        assert_eq!(
            (tell.target.as_str(), targets.named(&tell.arn)),
            ("hook", Some("hook"))
        );
        assert!((1..=30).contains(&tell.events.len()));
    }
    if !told.tell().is_empty() {
        stored(&Settings {
            notification: Some(told),
            ..Settings::default()
        });
    }
}

/// Inventories: names that are part of keys are bounded and harmless, and no field comes twice.
pub(crate) fn inventory(data: &[u8]) {
    let Some(document) = parse::<dto::InventoryConfiguration>(data) else {
        return;
    };
    let Ok(read) = inventory::read(document) else {
        return;
    };
    let again = inventory::read(inventory::document(&read));
    assert_eq!(again.expect("what is shown may be set"), read);
    assert!((1..=64).contains(&read.id.len()) && !read.id.contains('/'));
    for (at, field) in read.fields.iter().enumerate() {
        assert!(!read.fields[..at].contains(field), "{field:?} twice");
    }
    let mut all = Inventories::default();
    all.put(read).expect("the first of a bucket");
    stored(&Settings {
        inventory: Some(all),
        ..Settings::default()
    });
}

/// CORS: bounded; each rule has an origin and a method, and at most one `*` in a pattern.
pub(crate) fn cors(data: &[u8]) {
    let Some(document) = parse::<dto::CORSConfiguration>(data) else {
        return;
    };
    let read = |rules: Vec<dto::CORSRule>| {
        let rules = rules.into_iter().map(cors::rule);
        Cors::new(rules.collect::<Result<_, _>>()?)
    };
    let Ok(cors) = read(document.cors_rules) else {
        return;
    };
    assert!((1..=100).contains(&cors.rules().len()));
    for rule in cors.rules() {
        assert!(!rule.origins.is_empty() && !rule.methods.is_empty());
        for pattern in rule.origins.iter().chain(&rule.headers) {
            assert!(pattern.matches('*').count() <= 1, "{pattern:?}");
        }
        assert!(rule.expose.iter().all(|name| !name.contains('*')));
    }
    let shown: Vec<_> = cors.rules().iter().map(cors::document).collect();
    assert_eq!(read(shown).expect("what is shown may be set"), cors);
    stored(&Settings {
        cors: Some(cors),
        ..Settings::default()
    });
}

/// Tags of buckets and objects: bounded, no key twice, none of AWS's own.
pub(crate) fn tagging(data: &[u8]) {
    let Some(document) = parse::<dto::Tagging>(data) else {
        return;
    };
    let Ok(tags) = tagging::read(document.tag_set) else {
        return;
    };
    let pairs = tags.pairs();
    assert!(pairs.len() <= 50);
    for (at, (key, value)) in pairs.iter().enumerate() {
        assert!((1..=128).contains(&key.chars().count()) && value.chars().count() <= 256);
        assert!(!key.starts_with("aws:") && pairs[..at].iter().all(|(known, _)| known != key));
    }
    let of_object = Tags::of_object(pairs.to_vec());
    assert_eq!(of_object.is_ok(), pairs.len() <= 10);
    let again = tagging::read(tagging::document(&tags));
    assert_eq!(again.expect("what is shown may be set"), tags);
    stored(&Settings {
        tags: Some(tags),
        ..Settings::default()
    });
}

/// Object lock: a default of 1 day to 100 years, or none.
pub(crate) fn object_lock(data: &[u8]) {
    let Some(document) = parse::<dto::ObjectLockConfiguration>(data) else {
        return;
    };
    let Ok(lock) = object_lock::read(Some(document)) else {
        return;
    };
    match lock.default.map(|default| default.period) {
        Some(Period::Days(days)) => assert!((1..=36_500).contains(&days)),
        Some(Period::Years(years)) => assert!((1..=100).contains(&years)),
        None => {}
    }
    let again = object_lock::read(Some(object_lock::document(lock)));
    assert_eq!(again.expect("what is shown may be set"), lock);
    stored(&Settings {
        lock: Some(lock),
        ..Settings::default()
    });
}

/// Events as they wait.
pub(crate) fn event(data: &[u8]) {
    let Ok(event) = Event::decode(data) else {
        return;
    };
    let encoded = event.encode().expect("what was read is written");
    let again = Event::decode(&encoded).expect("what was written reads");
    // Fractions, which no event of ours has, may lose a last digit.
    assert_eq!(again.key, event.key);
}
