//! New data is verified soon, at a rate that is bounded, and on from where that was left.
//!
//! Goal: a restart in the middle of it verifies nothing twice, and nothing is left out.
//! Method: as in `scrub.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_index::rows;
use holdfast_protocol::row::ScrubRow;
use holdfast_workers::WorkersConfig;
use support::{Cluster, Running, body, config};

async fn kept(running: &Running, cluster: &Cluster) -> Vec<ScrubRow> {
    let mut kept = Vec::new();
    for drive in &cluster.drives {
        let name = drive.id.to_string();
        let row = rows::get_system(&*running.index, "local.scrub", &name).await;
        kept.extend(
            row.unwrap()
                .map(|row| ScrubRow::decode(&row.value).unwrap()),
        );
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn new_data_is_verified_on_from_where_that_was_left() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    running
        .until("the first pass is complete", || async {
            let kept = kept(&running, &cluster).await;
            kept.len() == 3 && kept.iter().all(|row| row.last_started_ms > 0)
        })
        .await;
    for number in 0..12 {
        let key = format!("key {number}");
        running.put(&key, &body(number, 3000), true).await.unwrap();
    }
    running.until_quiet().await;
    cluster.kill(running).await;
    let slow = |rate| WorkersConfig {
        scrub_bytes_per_second: rate,
        scrub_save_interval: Duration::ZERO,
        scrub_fresh_within: Duration::from_millis(2),
        ..config()
    };
    let running = cluster.start_with(slow(30_000)).await;
    running
        .until("some of it is done", || async {
            let kept = kept(&running, &cluster).await;
            kept.len() == 3 && kept.iter().all(|row| row.fresh_cursor.is_some())
        })
        .await;
    cluster.kill(running).await;
    let running = cluster.start_with(slow(1)).await;
    let before = kept(&running, &cluster).await;
    cluster.kill(running).await;
    cluster.drives.iter().for_each(|drive| drive.forget_asked());
    let running = cluster.start_with(slow(0)).await;
    running
        .until("all of it is done", || async {
            let now = kept(&running, &cluster).await;
            let pairs = now.iter().zip(&before);
            pairs
                .into_iter()
                .all(|(now, before)| now.fresh_mark >= before.fresh_until)
        })
        .await;
    running.workers.stop().await;
    for (drive, before) in cluster.drives.iter().zip(before) {
        let cursor = before.fresh_cursor.unwrap();
        let mut writes = drive.writes();
        writes.sort_unstable();
        let done: Vec<_> = writes.iter().filter(|write| **write <= cursor).collect();
        assert!(!done.is_empty());
        let again = done.iter().filter(|write| drive.was_asked(***write));
        assert!(again.count() <= 1, "what was verified is not read again");
        let rest = writes.iter().filter(|write| **write > cursor);
        assert!(rest.clone().all(|write| drive.was_asked(*write)));
    }
}
