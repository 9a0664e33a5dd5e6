//! Goal: whatever fails or ends in the middle of a rename, the object is under one name or under
//! both, and what was told is so, also on an index that is made anew; renames, writes and deletes
//! of the same keys lose nothing and come to an end.
//!
//! Method: the gateway's operations over drives in memory; tombstones that wait or are refused,
//! gateways that are killed at random times, drives that cannot be read, an index that is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
mod operations;
mod renaming;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use gateway::{DAY, Gateway};
use holdfast_gateway::error::GatewayError;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{ETagMatch, ReadConditions, RenameObject};
use operations::requests::{delete_of, put_of};
use renaming::{Kind, fill, look, rename_of, usage};
use support::drive::Tombstones;

#[tokio::test(flavor = "multi_thread")]
async fn without_its_tombstone_both_names_are_there_until_it_is_repeated() {
    let mut gateway = Gateway::start(DAY).await;
    for (round, kind) in Kind::ALL.into_iter().enumerate() {
        let (from, to) = (format!("from {round}"), format!("to {round}"));
        fill(&gateway, &from, kind, 1).await;
        let before = look(&gateway, &from).await;
        for drive in &gateway.cluster.drives {
            drive.set_tombstones(Tombstones::Refused);
        }
        let asked = RenameObject {
            token: Some("token".to_owned()),
            conditions: ReadConditions {
                if_none_match: Some(ETagMatch::Any),
                ..ReadConditions::default()
            },
            ..rename_of(&from, &to)
        };
        let failed = gateway.service.rename(asked.clone()).await;
        let is_ours = matches!(failed, Err(GatewayError::Store(_)));
        assert!(is_ours, "{failed:?}");
        assert_eq!(look(&gateway, &from).await, before);
        assert_eq!(look(&gateway, &to).await, before);
        for drive in &gateway.cluster.drives {
            drive.set_tombstones(Tombstones::Taken);
        }
        if round % 2 == 0 {
            gateway.rebuild().await;
            assert_eq!(look(&gateway, &from).await, before);
        }
        // The rest of it, and no second copy.
        let index = &*gateway.cluster.index;
        let row = holdfast_index::rows::get_current(index, support::BUCKET, &to);
        let write = row.await.unwrap().unwrap().manifest.write;
        gateway.service.rename(asked.clone()).await.unwrap();
        let row = holdfast_index::rows::get_current(index, support::BUCKET, &to);
        assert_eq!(row.await.unwrap().unwrap().manifest.write, write);
        assert_eq!(look(&gateway, &from).await, None);
        assert_eq!(look(&gateway, &to).await, before);
        gateway.service.rename(asked).await.unwrap();
        gateway.rebuild().await;
        assert_eq!(look(&gateway, &from).await, None);
        assert_eq!(look(&gateway, &to).await, before);
    }
    gateway.running.unwrap().workers.stop().await;
}

/// A start may miss some drives, and takes a write that it cannot read, and does not know, for one
/// that never was. So nothing deletes the old name before the new one is known.
#[tokio::test(flavor = "multi_thread")]
async fn no_tombstone_is_on_its_way_before_the_new_name_is_there_for_good() {
    let mut gateway = Gateway::start(DAY).await;
    for seed in 0..6_u8 {
        let (from, to) = (format!("from {seed}"), format!("to {seed}"));
        let kind = [Kind::Small, Kind::Cut][usize::from(seed) % 2];
        fill(&gateway, &from, kind, seed).await;
        let before = look(&gateway, &from).await;
        // The tombstone is on one drive, and told to nobody, when the gateway dies.
        let (first, rest) = gateway.cluster.drives.split_first().unwrap();
        for drive in rest {
            drive.set_tombstones(Tombstones::Held);
        }
        let (service, asked) = (gateway.service.clone(), rename_of(&from, &to));
        let renaming = tokio::spawn(async move { service.rename(asked).await });
        while rest.iter().all(|drive| drive.held_writes() == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(look(&gateway, &to).await, before, "{seed}");
        assert_eq!(look(&gateway, &from).await, before, "{seed}");
        renaming.abort();
        let first = first.id;
        gateway.restart().await;
        for drive in &gateway.cluster.drives {
            drive.set_tombstones(Tombstones::Taken);
        }
        assert_eq!(look(&gateway, &to).await, before, "{seed}, after a start");
        // And one that sees the tombstone, and cannot read the new write.
        for drive in gateway.cluster.drives.iter().filter(|it| it.id != first) {
            drive.set_unreadable(true);
        }
        gateway.restart().await;
        for drive in &gateway.cluster.drives {
            drive.set_unreadable(false);
        }
        assert_eq!(look(&gateway, &to).await, before, "{seed}, after another");
    }
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_leaves_one_name_or_both() {
    let mut seen = [0; 3];
    for seed in 0..24_u64 {
        let mut gateway = Gateway::start(DAY).await;
        let kind = Kind::ALL[seed as usize % Kind::ALL.len()];
        let (mut from, mut to) = ("a", "b");
        fill(&gateway, from, kind, seed as u8).await;
        let object = look(&gateway, from).await;
        for kill in 0..3_u64 {
            for (at, drive) in gateway.cluster.drives.iter().enumerate() {
                match seed / 4 % 4 {
                    1 => drive.set_tombstones(Tombstones::Held),
                    // On some drives.
                    2 if at as u64 > kill => drive.set_tombstones(Tombstones::Held),
                    3 => drive.fail_seals((seed + kill) as u32 % 3),
                    _ => {}
                }
            }
            let asked = RenameObject {
                token: Some(format!("{kill}")),
                ..rename_of(from, to)
            };
            let (service, again) = (gateway.service.clone(), asked.clone());
            let renaming = tokio::spawn(async move { service.rename(asked).await });
            let wait = seed.wrapping_mul(0x9e37_79b9).wrapping_add(kill * 7919) % 6_000;
            let wait = wait * if kind == Kind::Parts { 10 } else { 1 };
            tokio::time::sleep(Duration::from_micros(wait)).await;
            gateway.restart().await;
            for drive in &gateway.cluster.drives {
                drive.fail_seals(0);
                drive.set_tombstones(Tombstones::Taken);
            }
            renaming.abort();
            let told = renaming.await.is_ok_and(|outcome| outcome.is_ok());
            if seed % 3 == 0 {
                gateway.rebuild().await;
            }
            let what = format!("seed {seed}, kill {kill}");
            let now = (look(&gateway, from).await, look(&gateway, to).await);
            match &now {
                (None, there) => {
                    seen[2] += 1;
                    assert_eq!(*there, object, "{what}");
                }
                (old, there) => {
                    assert!(!told, "{what}: it was told");
                    assert_eq!(*old, object, "{what}");
                    assert!(there.is_none() || *there == object, "{what}");
                    seen[usize::from(there.is_some())] += 1;
                }
            }
            gateway.service.rename(again).await.unwrap();
            assert_eq!(look(&gateway, from).await, None, "{what}, repeated");
            assert_eq!(look(&gateway, to).await, object, "{what}, repeated");
            (from, to) = (to, from);
        }
        // What a kill left of an upload of no client is aborted by the next process.
        let aborted = prometheus::IntCounter::new("aborted", "aborted").unwrap();
        let abandoned = gateway.service.abort_abandoned(Duration::MAX, &aborted);
        abandoned.await.unwrap();
        gateway.rebuild().await;
        assert_eq!(look(&gateway, from).await, object, "seed {seed}");
        assert_eq!(look(&gateway, to).await, None, "seed {seed}, at the end");
        let len = object.unwrap().len;
        assert_eq!(usage(&gateway).await, (1, len, 0), "seed {seed}");
        gateway.running.unwrap().workers.stop().await;
    }
    println!("kills that left the old name, both, the new one: {seen:?}");
    assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
}

/// Four tasks give three objects other names, and put and delete a fourth, over the same keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn renames_both_ways_lose_nothing_and_come_to_an_end() {
    let gateway = Gateway::start(DAY).await;
    let keys = ["a", "b", "c", "d", "e"];
    let fresh = |key: &str| ReadConditions {
        if_none_match: (!key.is_empty()).then_some(ETagMatch::Any),
        ..ReadConditions::default()
    };
    // Objects that only move to free names: each stays under exactly one.
    let mut lens: Vec<u64> = vec![301, 302, 40_003];
    for (key, len) in keys.iter().zip(&lens) {
        gateway.put(key, *len).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4_usize {
        let service = gateway.service.clone();
        tasks.spawn(async move {
            let mut done = 0;
            for round in 0..60_usize {
                let at = (task * 7 + round * (task + 2)) % 5;
                let (from, to) = (keys[at], keys[(at + 1 + round % 4) % 5]);
                let asked = RenameObject {
                    conditions: fresh(to),
                    ..rename_of(from, to)
                };
                match service.rename(asked).await {
                    Ok(()) => done += 1,
                    Err(
                        GatewayError::NoSuchKey { .. }
                        | GatewayError::Precondition { .. }
                        | GatewayError::Conflict,
                    ) => {}
                    Err(other) => panic!("{other:?}"),
                }
                let own = format!("own {task}");
                service.put(put_of(&own, &[1; 400])).await.unwrap();
                let (there, back) = (rename_of(&own, "shared"), rename_of("shared", &own));
                let _ = tokio::join!(service.rename(there), service.rename(back));
                if round % 3 == 0 {
                    service.delete(delete_of("shared", None)).await.unwrap();
                }
            }
            done
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(120), tasks.join_all());
    let done: usize = all.await.expect("no deadlock").into_iter().sum();
    assert!(done > 20, "{done} were done");
    let mut found = Vec::new();
    for key in keys {
        found.extend(look(&gateway, key).await.map(|object| object.len));
    }
    found.sort_unstable();
    lens.sort_unstable();
    assert_eq!(found, lens);
    gateway.running.as_ref().unwrap().until_quiet().await;
    gateway.running.unwrap().workers.stop().await;
}
