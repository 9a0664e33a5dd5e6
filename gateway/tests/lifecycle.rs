//! Goal: with lifecycle rules everything that should have gone has gone, in time, and nothing else;
//! also after a change of rules, and on an index that was rebuilt. The work is in proportion to
//! what goes.
//!
//! Method: the gateway's operations over drives in memory with a calendar of the test's own, beside
//! a model that looks at every version of every key every time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
#[path = "lifecycle/model.rs"]
mod model;
mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use futures::{StreamExt, stream};
use gateway::{DAY, Gateway, HOUR};
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{ReadConditions, VersionId};
use holdfast_gateway::settings::{
    Expiration, FilterForm, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    NoncurrentTransition, Transition, Versioning, When,
};
use model::{Model, Version};
use operations::{bucket, object_key};

fn rule(prefix: &str) -> LifecycleRule {
    LifecycleRule {
        enabled: true,
        filter: LifecycleFilter {
            prefix: Some(prefix.to_owned()),
            ..LifecycleFilter::default()
        },
        ..LifecycleRule::default()
    }
}

fn after_days(prefix: &str, days: u32) -> LifecycleRule {
    LifecycleRule {
        expiration: Some(Expiration::Days(days)),
        ..rule(prefix)
    }
}

fn noncurrent(prefix: &str, days: u32, keep: Option<u32>) -> LifecycleRule {
    LifecycleRule {
        noncurrent: Some(NoncurrentExpiration { days, keep }),
        ..rule(prefix)
    }
}

const CLASSES: [&str; 2] = ["NARROW", "SAME"];

/// To one class, or to both.
fn some_moves(dice: &mut impl FnMut(usize) -> usize, now_ms: u64) -> Vec<Transition> {
    let first = dice(2);
    let midnight = (now_ms / DAY + dice(3) as u64) * DAY;
    let to = |at, class: usize| Transition {
        at,
        class: CLASSES[class].to_owned(),
    };
    match dice(3) {
        0 => vec![to(When::DateMs(midnight), first)],
        1 => vec![to(When::Days(dice(3) as u32), first)],
        _ => vec![to(When::Days(0), first), to(When::Days(2), 1 - first)],
    }
}

/// Some rules, most of which say something of the keys of a run.
fn some_rules(dice: &mut impl FnMut(usize) -> usize, now_ms: u64) -> Option<Lifecycle> {
    let mut rules = Vec::new();
    for _ in 0..dice(4) {
        let prefix = ["", "a", "a/", "c"][dice(4)];
        let days = 1 + dice(3) as u32;
        let mut next = match dice(9) {
            0 => after_days(prefix, days),
            1 => noncurrent(prefix, days, None),
            2 => noncurrent(prefix, days, Some(1 + dice(2) as u32)),
            3 => LifecycleRule {
                expiration: Some(Expiration::Marker(dice(3) > 0)),
                ..rule(prefix)
            },
            4 => LifecycleRule {
                expiration: Some(Expiration::DateMs((now_ms / DAY + dice(3) as u64) * DAY)),
                ..rule(prefix)
            },
            6 => LifecycleRule {
                transitions: some_moves(dice, now_ms),
                ..rule(prefix)
            },
            7 => LifecycleRule {
                noncurrent_transitions: vec![NoncurrentTransition {
                    days: days - 1,
                    keep: [None, Some(1)][dice(2)],
                    class: CLASSES[dice(2)].to_owned(),
                }],
                ..rule(prefix)
            },
            5 => LifecycleRule {
                abort_days: Some(days),
                ..rule(prefix)
            },
            _ => LifecycleRule {
                noncurrent: Some(NoncurrentExpiration { days, keep: None }),
                expiration: Some(Expiration::Marker(true)),
                ..rule(prefix)
            },
        };
        let is_about_objects =
            next.abort_days.is_none() && !matches!(next.expiration, Some(Expiration::Marker(_)));
        if is_about_objects && dice(3) == 0 {
            next.filter.form = FilterForm::And;
            match dice(2) {
                0 => next.filter.tags = vec![("t".to_owned(), "1".to_owned())],
                _ => next.filter.larger = Some(100),
            }
        }
        if !next.transitions.is_empty() || !next.noncurrent_transitions.is_empty() {
            next.filter.form = FilterForm::And;
            next.filter.larger = Some(100);
        }
        next.enabled = dice(8) > 0;
        next.id = format!("rule {}", rules.len());
        rules.push(next);
    }
    (!rules.is_empty()).then(|| Lifecycle::new(rules).unwrap())
}

/// Numbers below a bound, the same for the same seed.
fn dice_of(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |bound| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) as usize) % bound
    }
}

const KEYS: [&str; 4] = ["a", "a/b", "a/c", "c"];

/// Deletes, tags, holds or retains one of a key's versions.
async fn change_version(
    gateway: &Gateway,
    model: &mut Model,
    dice: &mut impl FnMut(usize) -> usize,
    key: &str,
) {
    let now_ms = gateway.now_ms();
    let versions = model
        .keys
        .get_mut(key)
        .map_or(&mut [][..], Vec::as_mut_slice);
    let count = versions.len();
    let Some(version) = versions.get_mut(dice(count.max(1))) else {
        return;
    };
    let (id, is_locked) = (version.id.unwrap(), version.is_locked(now_ms));
    match dice(4) {
        0 if !is_locked => {
            gateway.delete(key, Some(id)).await;
            let versions = model.keys.get_mut(key).unwrap();
            versions.retain(|known| known.id != Some(id));
        }
        _ if version.is_marker => {}
        1 => {
            version.tagged = dice(2) == 0;
            let tags = if version.tagged { "x=y&t=1" } else { "t=2" };
            gateway
                .change(key, id, "x-amz-tagging", tags.to_owned())
                .await;
        }
        2 => {
            version.held = !version.held;
            let held = if version.held { "ON" } else { "OFF" };
            gateway.change(key, id, "@hold", held.to_owned()).await;
        }
        _ => {
            version.until_ms = now_ms + gateway.day_ms * dice(40) as u64 / 10;
            let text = format!("GOVERNANCE {}", version.until_ms);
            gateway.change(key, id, "@retain", text).await;
        }
    }
}

/// One random operation, on both.
async fn step(gateway: &Gateway, model: &mut Model, dice: &mut impl FnMut(usize) -> usize) {
    let key = KEYS[dice(KEYS.len())];
    let now_ms = gateway.now_ms();
    match dice(24) {
        0..=8 => {
            let len = [0, 50, 150, 3000][dice(4)];
            let id = gateway.put(key, len).await.unwrap_or(VersionId::Null);
            model.add(key, Version::new(Some(id), now_ms, len));
        }
        9..=12 => {
            let current = model.keys.get(key).and_then(|versions| versions.first());
            let is_locked = current.is_some_and(|version| version.is_locked(now_ms));
            if model.versioning.is_some() || !is_locked {
                let id = gateway.delete(key, None).await;
                model.hide(key, id, now_ms);
            }
        }
        13..=18 => change_version(gateway, model, dice, key).await,
        19 => {
            let upload = gateway.open_upload(key).await;
            model.uploads.insert((key.to_owned(), upload), now_ms);
        }
        20 => {
            let rules = some_rules(dice, now_ms);
            gateway.rules(rules.clone()).await;
            model.rules = rules;
        }
        21 if dice(3) == 0 => {
            let next = [Versioning::Enabled, Versioning::Suspended][usize::from(dice(3) == 0)];
            gateway
                .set(move |settings| settings.versioning = Some(next))
                .await;
            model.versioning = Some(next);
        }
        _ => {}
    }
}

/// Rules are carried out on both; what is left must be the same.
async fn compare(gateway: &Gateway, model: &mut Model, why: &str) {
    gateway.round().await;
    gateway.service.move_due(&gateway.metrics).await.unwrap();
    model.expire(gateway.now_ms());
    let listed = gateway.versions().await;
    let shape = listed.iter().map(|entry| {
        let key = entry.object.key.clone();
        (key, entry.is_latest, entry.is_marker)
    });
    let shape: Vec<_> = shape.collect();
    assert_eq!(shape, model.listed(), "{why}: {:?}", model.rules);
    let mut listed = listed.iter();
    for version in model.keys.values_mut().flatten() {
        let entry = listed.next().unwrap();
        assert_eq!(version.id.unwrap_or(entry.version), entry.version, "{why}");
        version.id = Some(entry.version);
        if !version.is_marker {
            assert_eq!(
                entry.object.storage_class, version.class,
                "{why}: {:?}",
                model.rules
            );
        }
    }
    let uploads: Vec<_> = model.uploads.keys().cloned().collect();
    assert_eq!(gateway.uploads().await, uploads, "{why}: {:?}", model.rules);
}

async fn random_run(seed: u64) -> (usize, usize) {
    let day_ms = [DAY, 10_000][seed as usize % 2];
    let mut gateway = Gateway::start(day_ms).await;
    let mut dice = dice_of(seed);
    let mut model = Model {
        day_ms,
        ..Model::default()
    };
    for at in 0..160 {
        step(&gateway, &mut model, &mut dice).await;
        gateway.calendar.pass(day_ms * dice(4) as u64 / 13);
        if dice(3) == 0 {
            compare(&gateway, &mut model, &format!("seed {seed}, step {at}")).await;
        }
        if at == 100 {
            gateway.rebuild().await;
        }
    }
    // Nobody writes any more; what is left after years is what no rule is about.
    for _ in 0..6 {
        gateway.calendar.pass(day_ms * 2);
        compare(&gateway, &mut model, &format!("seed {seed}, at the end")).await;
    }
    gateway.running.unwrap().workers.stop().await;
    (model.gone, model.moved)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_is_what_the_model_says_also_on_a_rebuilt_index() {
    let (mut gone, mut moved) = (0, 0);
    for seed in 0..24 {
        let (more, others) = random_run(seed).await;
        gone += more;
        moved += others;
    }
    assert!(gone > 200, "{gone}: the rules of the runs do nothing");
    assert!(moved > 20, "{moved}: the rules of the runs move nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_rule_is_about_is_queued_and_a_bucket_is_gone_through_once() {
    let gateway = Gateway::start(DAY).await;
    let names = |at: usize| match at % 300 {
        0 => format!("old/{at}"),
        _ => format!("new/{at:04}"),
    };
    // More than a page.
    let all: Vec<String> = (0..1500).map(names).collect();
    let puts = all.iter().map(|key| gateway.put(key, 1));
    stream::iter(puts).buffer_unordered(32).count().await;
    let rules = Lifecycle::new(vec![after_days("old/", 3)]).unwrap();
    gateway.rules(Some(rules.clone())).await;
    gateway.round().await;
    assert_eq!(gateway.queued().await, 5);
    gateway.put("old/more", 1).await;
    gateway.put("new/more", 1).await;
    assert_eq!(gateway.queued().await, 6);
    // The same key again, in a bucket without versions: one entry for it.
    gateway.calendar.pass(DAY);
    gateway.put("old/more", 1).await;
    assert_eq!(gateway.queued().await, 6);
    gateway.delete("old/more", None).await;
    assert_eq!(gateway.queued().await, 5);
    // Midnight after three days.
    gateway.calendar.pass(2 * DAY + 8 * HOUR);
    gateway.round().await;
    assert_eq!(gateway.versions().await.len(), 1501);
    gateway.calendar.pass(HOUR);
    gateway.round().await;
    let left = gateway.versions().await;
    assert_eq!(left.len(), 1496);
    assert!(
        left.iter()
            .all(|entry| entry.object.key.starts_with("new/"))
    );
    assert_eq!(gateway.queued().await, 0);
    // Rules that go take nothing along, and what was queued for them does nothing.
    let rules = Lifecycle::new(vec![after_days("new/", 30)]).unwrap();
    gateway.rules(Some(rules)).await;
    gateway.round().await;
    assert_eq!(gateway.queued().await, 1496);
    gateway.rules(None).await;
    gateway.calendar.pass(40 * DAY);
    gateway.round().await;
    assert_eq!(gateway.queued().await, 0);
    assert_eq!(gateway.versions().await.len(), 1496);
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_versions_of_a_key_go_oldest_first_and_are_purged() {
    let gateway = Gateway::start(DAY).await;
    gateway
        .set(|settings| settings.versioning = Some(Versioning::Enabled))
        .await;
    for _ in 0..1100 {
        gateway.put("k", 500).await;
        gateway.calendar.pass(HOUR / 10);
    }
    let rules = Lifecycle::new(vec![noncurrent("", 1, Some(5))]).unwrap();
    gateway.rules(Some(rules)).await;
    // More than one commit takes are due.
    gateway.calendar.pass(10 * DAY);
    gateway.round().await;
    assert_eq!(gateway.versions().await.len(), 6);
    let running = gateway.running.unwrap();
    running.until_quiet().await;
    for drive in &gateway.cluster.drives {
        let objects = drive.writes().len();
        assert!(
            objects < 20,
            "{objects} writes are left on drive {}",
            drive.id
        );
    }
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_says_when_it_expires_in_real_days() {
    let gateway = Gateway::start(10_000).await;
    let mut first = after_days("", 2);
    first.id = "first".to_owned();
    gateway
        .rules(Some(Lifecycle::new(vec![first]).unwrap()))
        .await;
    gateway.put("k", 1).await;
    let any = ReadConditions::default();
    let (name, key) = (bucket(), object_key("k"));
    let info = gateway
        .service
        .head(&name, &key, None, None, &any)
        .await
        .unwrap();
    let expires = info.expires.unwrap();
    assert_eq!(
        (expires.at_ms, expires.rule.as_str()),
        (20_003 * DAY, "first")
    );
    gateway.calendar.pass(20_000);
    gateway.round().await;
    assert!(
        gateway
            .service
            .head(&name, &key, None, None, &any)
            .await
            .is_err()
    );
    gateway.running.unwrap().workers.stop().await;
}
