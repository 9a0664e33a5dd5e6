//! The scrub and the watcher over drives in memory.
//!
//! Goal: damage that no read meets is found and healed, a pass survives a restart, new data and
//! fresh objects are looked at.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use holdfast_protocol::admin::scrub::DriveScrub;
use holdfast_protocol::{ChecksumKind, ChecksumType, Manifest, ObjectChecksum};
use holdfast_store::digest::Digests;
use holdfast_workers::WorkersConfig;
use support::{Cluster, Running, body, config};

async fn passes(running: &Running) -> u64 {
    running
        .until("every drive was scrubbed", || async {
            let status = running.workers.scrub_status();
            status.drives.len() >= 3
                && status
                    .drives
                    .iter()
                    .all(|drive| drive.last_complete_ms.is_some() && drive.state == "waiting")
        })
        .await;
    let status = running.workers.scrub_status();
    status.drives.iter().map(|drive| drive.last_bytes).sum()
}

/// What a manifest says that is not so.
type Lie = fn(&mut Manifest);

#[tokio::test(flavor = "multi_thread")]
async fn a_parity_shard_that_rots_is_found_by_the_scrub_and_healed() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let bytes = body(9, 300_000);
    let row = running.put("a", &bytes, true).await.unwrap();
    running.until_quiet().await;
    passes(&running).await;
    cluster
        .drive(row.placement.holders[2])
        .rot(row.manifest.write);
    assert_eq!(running.get("a").await.unwrap(), bytes, "no read meets it");
    assert_eq!(running.workers.heal_status().healed_objects, 0);
    running.workers.start_scrub();
    running
        .until("it is healed", || async {
            running.workers.heal_status().healed_objects == 1
        })
        .await;
    running.until_quiet().await;
    assert_eq!(running.workers.scrub_status().errors_found, 1);
    cluster.drive(row.placement.holders[0]).set_down(true);
    assert_eq!(running.get("a").await.unwrap(), bytes);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_rots_is_found_by_the_scrub_whatever_its_kind() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    let small = running.put("a", &body(1, 100), true).await.unwrap();
    let coded = running.put("b", &body(2, 50_000), true).await.unwrap();
    running.until_quiet().await;
    let system = cluster.drives[0].writes()[0];
    assert!(![small.manifest.write, coded.manifest.write].contains(&system));
    for (drive, write) in [
        (small.placement.holders[0], small.manifest.write),
        (coded.placement.holders[1], coded.manifest.write),
        (cluster.drives[0].id, system),
    ] {
        cluster.drive(drive).damage(write);
    }
    running.workers.start_scrub();
    running
        .until("all are mended", || async {
            [
                (small.placement.holders[0], small.manifest.write),
                (coded.placement.holders[1], coded.manifest.write),
                (cluster.drives[0].id, system),
            ]
            .iter()
            .all(|(drive, write)| !cluster.drive(*drive).is_damaged(*write))
        })
        .await;
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_goes_on_where_it_was_after_a_restart() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    for number in 0..12 {
        let key = format!("key {number}");
        let bytes = body(number, 3000);
        running.put(&key, &bytes, true).await.unwrap();
    }
    passes(&running).await;
    running.until_quiet().await;
    cluster.kill(running).await;
    let slow = WorkersConfig {
        scrub_bytes_per_second: 20_000,
        scrub_save_interval: Duration::ZERO,
        ..config()
    };
    let running = cluster.start_with(slow).await;
    passes(&running).await;
    running.workers.start_scrub();
    running
        .until("some of it is done", || async {
            let status = running.workers.scrub_status();
            let is_begun = |drive: &DriveScrub| drive.started_ms.is_some();
            let is_begun = status.drives.iter().all(is_begun);
            is_begun && status.drives.iter().any(|drive| drive.records >= 2)
        })
        .await;
    cluster.kill(running).await;
    let paused = WorkersConfig {
        // So slow that it does not get further while it is looked at.
        scrub_bytes_per_second: 1,
        ..config()
    };
    let running = cluster.start_with(paused).await;
    running
        .until("the place is known again", || async {
            running.workers.scrub_status().drives.len() == 3
        })
        .await;
    let status = running.workers.scrub_status();
    assert!(
        status
            .drives
            .iter()
            .any(|drive| drive.started_ms.is_some() && drive.records >= 2),
        "{status:?}"
    );
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert!(passes(&running).await > 0);
    let held: u64 = cluster
        .drives
        .iter()
        .map(|drive| drive.writes().len() as u64)
        .sum();
    let done: u64 = {
        let status = running.workers.scrub_status();
        status.drives.iter().map(|drive| drive.records).sum()
    };
    assert_eq!(done, held, "each write once, over all processes");
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_data_is_looked_at_before_the_next_pass() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = WorkersConfig {
        scrub_fresh_within: Duration::from_millis(300),
        ..config()
    };
    let running = cluster.start_with(config).await;
    passes(&running).await;
    running.workers.pause_scrub(true);
    let row = running.put("a", &body(9, 300_000), true).await.unwrap();
    running.until_quiet().await;
    cluster
        .drive(row.placement.holders[2])
        .rot(row.manifest.write);
    assert!(running.workers.scrub_status().paused);
    running.workers.pause_scrub(false);
    running
        .until("it is healed", || async {
            running.workers.heal_status().healed_objects == 1
        })
        .await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_scrub_does_nothing_until_it_is_resumed() {
    let mut cluster = Cluster::new("2+1", 3);
    let running = cluster.start().await;
    running.put("a", &body(9, 300_000), true).await.unwrap();
    passes(&running).await;
    running.workers.pause_scrub(true);
    let before = running.workers.scrub_status();
    assert!(before.drives.iter().all(|drive| drive.state == "paused"));
    running.until_quiet().await;
    assert_eq!(
        running.workers.scrub_status().scrubbed_bytes,
        before.scrubbed_bytes
    );
    running.workers.start_scrub();
    running
        .until("it goes on", || async {
            running.workers.scrub_status().scrubbed_bytes >= 2 * before.scrubbed_bytes
        })
        .await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_objects_are_read_back_and_decoded_from_parity() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = WorkersConfig {
        watch_one_in: 1,
        watch_parity_one_in: 2,
        watch_delay: Duration::from_millis(20),
        ..config()
    };
    let running = cluster.start_with(config).await;
    for number in 0..4 {
        let key = format!("key {number}");
        running
            .put(&key, &body(number, 90_000), true)
            .await
            .unwrap();
    }
    running.put("small", &body(5, 10), true).await.unwrap();
    running
        .until("all were read back", || async {
            running.workers.scrub_status().watched.objects == 5
        })
        .await;
    let watched = running.workers.scrub_status().watched;
    assert_eq!((watched.from_parity, watched.failures), (2, 0));
    running.workers.stop().await;
}

/// Says of a body what its client was told, and then what `lie` makes of it.
fn told(bytes: &[u8], lie: impl FnOnce(&mut Manifest)) -> impl FnOnce(&mut Manifest) {
    let mut digests = Digests::new(Some(ChecksumKind::Crc32c));
    digests.update(bytes);
    let found = digests.finish();
    move |manifest| {
        manifest.etag.md5 = found.md5;
        manifest.checksum = found.checksum.map(|(kind, digest)| ObjectChecksum {
            kind,
            covers: ChecksumType::FullObject,
            digest,
        });
        lie(manifest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_that_is_not_what_its_client_was_told_is_noticed() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = WorkersConfig {
        watch_one_in: 1,
        watch_delay: Duration::from_millis(20),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let failures = |reason: &str| {
        let all = &running.metrics.scrub.watch_failures;
        all.with_label_values(&[reason]).get()
    };
    // A small body and a coded one: whole, with another MD5, with another checksum.
    let mut watched = 0;
    for (size, len) in [("small", 100), ("coded", 90_000)] {
        let before = running.workers.scrub_status().watched.failures;
        let lies: [(&str, Lie, u64); 3] = [
            ("none", |_| {}, 0),
            ("MD5", |manifest| manifest.etag.md5[7] ^= 1, 1),
            (
                "checksum",
                |manifest| manifest.checksum.as_mut().unwrap().digest[3] ^= 1,
                2,
            ),
        ];
        for (what, lie, expected) in lies {
            let bytes = body(3, len);
            let key = format!("{size} {what}");
            let row = running.put_as(&key, &bytes, true, told(&bytes, lie));
            row.await.unwrap();
            watched += 1;
            running
                .until("it was read back", || async {
                    running.workers.scrub_status().watched.objects == watched
                })
                .await;
            let found = running.workers.scrub_status().watched.failures - before;
            assert_eq!(found, expected, "{key}");
            assert_eq!(failures("differs"), before + expected, "{key}");
        }
    }
    assert_eq!(failures("unreadable"), 0);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_that_cannot_be_read_back_is_noticed_as_such() {
    let mut cluster = Cluster::new("2+1", 3);
    let config = WorkersConfig {
        watch_one_in: 1,
        watch_delay: Duration::from_millis(300),
        ..config()
    };
    let running = cluster.start_with(config).await;
    let row = running.put("a", &body(1, 90_000), true).await.unwrap();
    for holder in &row.placement.holders[..2] {
        cluster.drive(*holder).rot(row.manifest.write);
    }
    running
        .until("it was read back", || async {
            running.workers.scrub_status().watched.objects == 1
        })
        .await;
    assert_eq!(running.workers.scrub_status().watched.failures, 1);
    let failures = &running.metrics.scrub.watch_failures;
    assert_eq!(failures.with_label_values(&["unreadable"]).get(), 1);
    assert_eq!(failures.with_label_values(&["differs"]).get(), 0);
    running.workers.stop().await;
}
