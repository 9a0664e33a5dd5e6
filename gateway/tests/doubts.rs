//! Goal: what a rebuild left in doubt is neither shown nor called absent, and is decided by itself
//! once the drives that were away are back.
//!
//! Method: the gateway's operations over drives in memory; an index that is made anew from the
//! drives while one is away and another has a damaged copy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_gateway::GatewayError;
use holdfast_gateway::object::types::{ListObjects, ReadConditions};
use holdfast_gateway::object::{Objects, Service};
use holdfast_index::{Index, MemoryIndex, doubt};
use holdfast_protocol::{DriveId, IndexId};
use holdfast_workers::ClaimOptions;
use operations::requests::delete_of;
use operations::{bucket, object_key, service};
use support::{BUCKET, Cluster, Running, body};

fn list(prefix: &str) -> ListObjects {
    ListObjects {
        bucket: bucket(),
        prefix: prefix.to_owned(),
        delimiter: None,
        after: None,
        max: 100,
    }
}

async fn head(service: &Service, key: &str) -> Result<u64, GatewayError> {
    let found = service
        .head(
            &bucket(),
            &object_key(key),
            None,
            None,
            &ReadConditions::default(),
        )
        .await;
    found.map(|info| info.len)
}

/// Two keys whose bodies lie on the same drives, in whatever order.
async fn two_keys(running: &Running) -> (String, String, Vec<DriveId>) {
    let mut first: Option<(String, Vec<DriveId>)> = None;
    for number in 0..100 {
        let key = format!("doubt/{number}");
        let row = running.put(&key, &body(number, 90_000), true).await;
        let mut holders = row.unwrap().placement.holders;
        holders.sort_unstable();
        match &first {
            None => first = Some((key, holders)),
            Some((other, same)) if *same == holders => return (other.clone(), key, holders),
            Some(_) => running.delete(&key, true).await,
        }
    }
    panic!("no two keys of the same drives");
}

fn unavailable<T: std::fmt::Debug>(outcome: Result<T, GatewayError>) {
    let is_so = matches!(outcome, Err(GatewayError::Unavailable { .. }));
    assert!(is_so, "{outcome:?}");
}

fn absent(outcome: Result<u64, GatewayError>) {
    let is_so = matches!(outcome, Err(GatewayError::NoSuchKey { .. }));
    assert!(is_so, "{outcome:?}");
}

/// Rebuilds the index; returns how much is in doubt.
async fn rebuild(cluster: &mut Cluster) -> usize {
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    let options = ClaimOptions {
        takeover: true,
        ..ClaimOptions::default()
    };
    let (_, _, report, _, _) = cluster.open(&options, Some(false)).await.unwrap();
    let index = Arc::clone(&cluster.index);
    cluster.index = Arc::new(index.reopen());
    report.doubts.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_doubt_is_neither_there_nor_not_until_the_drive_is_back() {
    let mut cluster = Cluster::new("2+1", 4);
    let asked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&asked);
    cluster.on_reclaim = Arc::new(move |_| told.store(true, Ordering::SeqCst));
    let running = cluster.start().await;
    running.put("sure/1", &body(1, 500), true).await.unwrap();
    let (kept, deleted, drives) = two_keys(&running).await;
    running.until_quiet().await;
    let before = running.row(&kept).await.unwrap();
    let writes = [&before, &running.row(&deleted).await.unwrap()].map(|row| row.manifest.write);
    running.workers.stop().await;
    // One shard is away and one damaged: too few to read, enough that it was acknowledged.
    cluster.drive(drives[0]).set_down(true);
    for write in writes {
        cluster.drive(drives[1]).damage(write);
    }
    assert_eq!(rebuild(&mut cluster).await, 2);
    let running = cluster.start().await;
    let gateway = service(&running);
    unavailable(head(&gateway, &kept).await);
    unavailable(head(&gateway, &deleted).await);
    unavailable(gateway.list(list("")).await.map(|page| page.next));
    unavailable(gateway.list(list("doubt/")).await.map(|page| page.next));
    let sure = gateway.list(list("sure/")).await.unwrap();
    assert_eq!(sure.objects.len(), 1, "other keys are listed");
    absent(head(&gateway, "sure/2").await);
    // What is deleted is in doubt no longer.
    gateway.delete(delete_of(&deleted, None)).await.unwrap();
    absent(head(&gateway, &deleted).await);
    gateway.delete(delete_of("sure/1", None)).await.unwrap();
    // No row is left, but a key that may exist.
    unavailable(gateway.delete_bucket(&bucket()).await);
    assert!(!asked.load(Ordering::SeqCst), "nothing has changed yet");
    cluster.drive(drives[0]).set_down(false);
    running
        .until("the drives are to be claimed again", || async {
            asked.load(Ordering::SeqCst)
        })
        .await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert!(!doubt::exists(&*running.index as &dyn Index).await.unwrap());
    let gateway = service(&running);
    assert_eq!(head(&gateway, &kept).await.unwrap(), 90_000);
    absent(head(&gateway, &deleted).await);
    assert_eq!(gateway.list(list("doubt/")).await.unwrap().objects.len(), 1);
    running.until_quiet().await;
    assert!(running.is_readable(&kept).await);
    let row = holdfast_index::rows::get_current(&*running.index, BUCKET, &kept).await;
    assert_eq!(row.unwrap().unwrap().manifest, before.manifest);
    running.workers.stop().await;
}

/// Nobody knows the key of a record that cannot be read at all: any listing may lack it.
#[tokio::test(flavor = "multi_thread")]
async fn no_listing_is_given_while_a_record_is_hidden() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    running.put("sure/1", &body(1, 500), true).await.unwrap();
    let hidden = running.put("hidden", &body(2, 500), true).await.unwrap();
    running.until_quiet().await;
    let [away, damaged]: [DriveId; 2] = hidden.placement.holders.try_into().unwrap();
    running.workers.stop().await;
    cluster.drive(away).set_down(true);
    cluster.drive(damaged).damage(hidden.manifest.write);
    assert!(rebuild(&mut cluster).await > 0);
    let running = cluster.start().await;
    let gateway = service(&running);
    for prefix in ["", "sure/"] {
        unavailable(gateway.list(list(prefix)).await.map(|page| page.next));
    }
    unavailable(head(&gateway, "hidden").await);
    cluster.drive(away).set_down(false);
    running.workers.stop().await;
    assert_eq!(rebuild(&mut cluster).await, 0);
    let running = cluster.start().await;
    let gateway = service(&running);
    assert_eq!(gateway.list(list("")).await.unwrap().objects.len(), 2);
    assert_eq!(head(&gateway, "hidden").await.unwrap(), 500);
    running.workers.stop().await;
}
