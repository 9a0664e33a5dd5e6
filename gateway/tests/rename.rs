//! Goal: a rename changes the name of an object and nothing else, once, and only as it is asked.
//!
//! Method: the gateway's operations over drives in memory; objects of each kind, compared as a
//! client sees them; sources that change while they are read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
mod operations;
mod renaming;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use gateway::{DAY, Gateway, HOUR};
use holdfast_gateway::error::GatewayError;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{ETagMatch, ReadConditions, RenameObject};
use holdfast_gateway::settings::Versioning;
use holdfast_protocol::manifest::STORAGE_CLASS;
use renaming::{Kind, fill, held, look, rename, rename_of, tag, usage};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_name_changes() {
    let mut gateway = Gateway::start(DAY).await;
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let (from, to) = (format!("from {at}"), format!("to/{at}"));
        fill(&gateway, &from, kind, 1 + at as u8).await;
        // Longer than what comes in its place, and of another kind.
        gateway.put(&to, 90_000).await;
    }
    gateway.running.as_ref().unwrap().until_quiet().await;
    let mut seen = Vec::new();
    for at in 0..Kind::ALL.len() {
        let (from, to) = (format!("from {at}"), format!("to/{at}"));
        tag(&gateway, &from, "a=b").await;
        let before = look(&gateway, &from).await.unwrap();
        let (objects, bytes, _) = usage(&gateway).await;
        gateway.calendar.pass(HOUR);
        rename(&gateway, &from, &to).await.unwrap();
        assert_eq!(look(&gateway, &from).await, None);
        let after = look(&gateway, &to).await.unwrap();
        assert_eq!(after, before, "{:?}", Kind::ALL[at]);
        assert_eq!(
            usage(&gateway).await,
            (objects - 1, bytes - 90_000, 0),
            "{at}"
        );
        seen.push((to, before));
    }
    gateway.running.as_ref().unwrap().until_quiet().await;
    let left = held(&gateway);
    gateway.rebuild().await;
    for (at, (key, before)) in seen.iter().enumerate() {
        assert_eq!(look(&gateway, key).await.as_ref(), Some(before), "{key}");
        assert_eq!(look(&gateway, &format!("from {at}")).await, None);
    }
    assert!(gateway.uploads().await.is_empty());
    // Nothing is left of what had the names before.
    gateway.running.as_ref().unwrap().until_quiet().await;
    assert!(held(&gateway) <= left + 8, "{} of {left}", held(&gateway));
    gateway.running.unwrap().workers.stop().await;
}

fn is_invalid(outcome: &Result<(), GatewayError>) -> bool {
    matches!(outcome, Err(GatewayError::InvalidRequest { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_rename_changes_nothing() {
    let gateway = Gateway::start(DAY).await;
    for key in ["a", "b", "dir/"] {
        gateway.put(key, 300).await;
    }
    for (from, to) in [("a", "a"), ("dir/", "c"), ("a", "c/"), ("a", "b/")] {
        let refused = rename(&gateway, from, to).await;
        assert!(is_invalid(&refused), "{from} to {to}: {refused:?}");
    }
    let missing = rename(&gateway, "none", "a").await;
    let is_so = matches!(&missing, Err(GatewayError::NoSuchKey { key }) if key == "none");
    assert!(is_so, "{missing:?}");
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        gateway
            .set(move |settings| settings.versioning = Some(versioning))
            .await;
        let refused = rename(&gateway, "a", "c").await;
        let is_so = matches!(refused, Err(GatewayError::NotImplemented { .. }));
        assert!(is_so, "{refused:?}");
    }
    for (key, is_there) in [("a", true), ("b", true), ("dir/", true), ("c", false)] {
        assert_eq!(look(&gateway, key).await.is_some(), is_there, "{key}");
    }
    gateway.running.unwrap().workers.stop().await;
}

fn is_precondition(outcome: &Result<(), GatewayError>, expected: &str) -> bool {
    matches!(outcome, Err(GatewayError::Precondition { condition }) if *condition == expected)
}

fn of(edit: impl FnOnce(&mut ReadConditions)) -> ReadConditions {
    let mut conditions = ReadConditions::default();
    edit(&mut conditions);
    conditions
}

fn is(tag: &str) -> Option<ETagMatch> {
    Some(ETagMatch::OneOf(vec![tag.to_owned()]))
}

const ANY: Option<ETagMatch> = Some(ETagMatch::Any);

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_the_source_are_about_the_object() {
    let gateway = Gateway::start(DAY).await;
    gateway.put("a", 300).await;
    let tag = look(&gateway, "a").await.unwrap().etag;
    let (early, late) = (gateway.now_ms() - HOUR, gateway.now_ms() + HOUR);
    for (name, source_conditions) in [
        ("if-match", of(|c| c.if_match = is("0"))),
        ("if-none-match", of(|c| c.if_none_match = is(&tag))),
        ("if-none-match", of(|c| c.if_none_match = ANY)),
        (
            "if-modified-since",
            of(|c| c.if_modified_since = Some(late)),
        ),
        (
            "if-unmodified-since",
            of(|c| c.if_unmodified_since = Some(early)),
        ),
    ] {
        let asked = RenameObject {
            source_conditions,
            ..rename_of("a", "b")
        };
        let refused = gateway.service.rename(asked).await;
        let expected = format!("x-amz-rename-source-{name}");
        assert!(is_precondition(&refused, &expected), "{name}: {refused:?}");
    }
    let asked = RenameObject {
        source_conditions: ReadConditions {
            if_match: is(&tag),
            if_none_match: is("0"),
            if_modified_since: Some(late),
            if_unmodified_since: Some(early),
        },
        ..rename_of("a", "b")
    };
    let passed = gateway.service.rename(asked).await;
    passed.expect("dates count only where no entity tag decides");
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_the_name_are_about_what_has_it() {
    let gateway = Gateway::start(DAY).await;
    gateway.put("a", 300).await;
    let tag = look(&gateway, "a").await.unwrap().etag;
    let (early, late) = (Some(gateway.now_ms() - HOUR), Some(gateway.now_ms() + HOUR));
    let refused = async |expected: &str, conditions: ReadConditions| {
        let asked = RenameObject {
            conditions,
            ..rename_of("a", "b")
        };
        let refused = gateway.service.rename(asked).await;
        assert!(
            is_precondition(&refused, expected),
            "{expected}: {refused:?}"
        );
    };
    // Nothing has no entity tag, and was never modified.
    refused("If-Match", of(|c| c.if_match = ANY)).await;
    refused("If-Modified-Since", of(|c| c.if_modified_since = early)).await;
    gateway.put("b", 400).await;
    let there = look(&gateway, "b").await.unwrap().etag;
    refused("If-Match", of(|c| c.if_match = is(&tag))).await;
    refused("If-None-Match", of(|c| c.if_none_match = ANY)).await;
    refused("If-None-Match", of(|c| c.if_none_match = is(&there))).await;
    refused("If-Modified-Since", of(|c| c.if_modified_since = late)).await;
    refused("If-Unmodified-Since", of(|c| c.if_unmodified_since = early)).await;
    for (to, conditions) in [
        (
            "b",
            of(|c| (c.if_match, c.if_none_match) = (is(&there), is("0"))),
        ),
        (
            "c",
            of(|c| (c.if_none_match, c.if_unmodified_since) = (ANY, early)),
        ),
    ] {
        let from = if to == "b" { "a" } else { "b" };
        let asked = RenameObject {
            conditions,
            ..rename_of(from, to)
        };
        gateway.service.rename(asked).await.unwrap();
        assert_eq!(look(&gateway, to).await.unwrap().etag, tag);
    }
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_the_same_token_does_nothing_more() {
    let mut gateway = Gateway::start(DAY).await;
    let by = |token: &str, from: &str, to: &str| RenameObject {
        token: Some(token.to_owned()),
        ..rename_of(from, to)
    };
    fill(&gateway, "a", Kind::Small, 1).await;
    let before = look(&gateway, "a").await;
    gateway.service.rename(by("t 1", "a", "b")).await.unwrap();
    gateway.put("a", 5_000).await;
    let other = look(&gateway, "a").await;
    for _ in 0..2 {
        gateway.service.rename(by("t 1", "a", "b")).await.unwrap();
        assert_eq!(look(&gateway, "b").await, before);
        assert_eq!(look(&gateway, "a").await, other);
        gateway.rebuild().await;
    }
    // The same token for something else.
    let conditions = RenameObject {
        conditions: ReadConditions {
            if_match: Some(ETagMatch::Any),
            ..ReadConditions::default()
        },
        ..by("t 1", "a", "b")
    };
    for wrong in [by("t 1", "x", "b"), by("t 1", "b", "c"), conditions] {
        let refused = gateway.service.rename(wrong).await;
        assert!(
            matches!(refused, Err(GatewayError::TokenMismatch)),
            "{refused:?}"
        );
    }
    // Another one, or none, is another rename; the token stays with no later name.
    gateway.service.rename(by("t 2", "a", "b")).await.unwrap();
    assert_eq!(look(&gateway, "b").await, other);
    rename(&gateway, "b", "c").await.unwrap();
    let gone = gateway.service.rename(by("t 2", "a", "b")).await;
    assert!(matches!(gone, Err(GatewayError::NoSuchKey { .. })));
    gateway.service.rename(by("t 2", "c", "d")).await.unwrap();
    assert_eq!(look(&gateway, "d").await, other);
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_the_source_meanwhile_has_the_last_word() {
    let gateway = Gateway::start(DAY).await;
    for kind in [Kind::Cut, Kind::Parts] {
        fill(&gateway, "a", kind, 1).await;
        for drive in &gateway.cluster.drives {
            drive.hold_reads(true);
        }
        let service = gateway.service.clone();
        let renaming = tokio::spawn(async move { service.rename(rename_of("a", "b")).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        gateway.put("a", 7_000).await;
        for drive in &gateway.cluster.drives {
            drive.hold_reads(false);
        }
        let outcome = renaming.await.unwrap();
        assert!(
            matches!(outcome, Err(GatewayError::Conflict)),
            "{outcome:?}"
        );
        assert_eq!(look(&gateway, "a").await.unwrap().len, 7_000);
        assert_eq!(look(&gateway, "b").await, None);
        assert_eq!(usage(&gateway).await.2, 0, "no upload is left");
    }
    // New tags go along.
    fill(&gateway, "a", Kind::Cut, 2).await;
    for drive in &gateway.cluster.drives {
        drive.hold_reads(true);
    }
    let service = gateway.service.clone();
    let renaming = tokio::spawn(async move { service.rename(rename_of("a", "b")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    tag(&gateway, "a", "new=tag").await;
    for drive in &gateway.cluster.drives {
        drive.hold_reads(false);
    }
    renaming.await.unwrap().unwrap();
    let tags = look(&gateway, "b").await.unwrap().metadata;
    assert!(tags.contains(&("x-amz-tagging".to_owned(), "new=tag".to_owned())));
    gateway.running.unwrap().workers.stop().await;
}

/// The bytes of what is renamed are as safe as before, in the class that it is in.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_object_is_cut_as_it_was() {
    let gateway = Gateway::start(DAY).await;
    fill(&gateway, "a", Kind::Cut, 3).await;
    let cut = |key: &'static str| {
        let index = std::sync::Arc::clone(&gateway.cluster.index);
        async move {
            let row = holdfast_index::rows::get_current(&*index, support::BUCKET, key).await;
            let manifest = row.unwrap().unwrap().manifest;
            let class = manifest.metadata.get(STORAGE_CLASS).map(str::to_owned);
            (manifest.geometry.to_string(), class)
        }
    };
    let before = cut("a").await;
    assert_eq!(before, ("1+1".to_owned(), Some("NARROW".to_owned())));
    rename(&gateway, "a", "b").await.unwrap();
    assert_eq!(cut("b").await, before);
    gateway.running.unwrap().workers.stop().await;
}
