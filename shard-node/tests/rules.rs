//! Goal: each rule of a drive that a caller may rely on, one by one.
//! Method: a drive over the simulated disk, virtual time; faults are placed, not drawn.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_protocol::*;
use holdfast_shard_node::DriveConfig;
use support::rig::*;
use support::*;

#[test]
fn one_sync_serves_all_who_wait() {
    world::run(async {
        let (_rig, drive) = Rig::new(config()).await;
        let before = drive.status().syncs;
        let shards: Vec<_> = (1..=32)
            .map(|n| Shard::new(write_id(n), 0, &[8192]))
            .collect();
        let puts = shards.iter().map(|shard| put(&drive, shard));
        let answers = futures::future::join_all(puts).await;
        assert!(answers.iter().all(Result::is_ok));
        let syncs = drive.status().syncs - before;
        assert!(syncs <= 2, "{syncs} syncs for 32 writes");
    });
}

#[test]
fn a_drive_below_its_reserve_refuses_shards_and_takes_the_rest() {
    world::run(async {
        let config = DriveConfig {
            capacity_bytes: Some(2 << 20),
            reserve_bytes: 512 << 10,
            ..config()
        };
        let (rig, drive) = Rig::new(config).await;
        let mut held = Vec::new();
        let refused = loop {
            let shard = Shard::new(write_id(held.len() as u64 + 1), 0, &[64 << 10]);
            match put(&drive, &shard).await {
                Ok(_) => held.push(shard),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, DriveError::Full);
        assert!(held.len() > 13, "{}", held.len());
        assert!(status(&drive).await.free_bytes < 64 << 10);
        let inline = seal(&drive, inline_record(write_id(900), 65_536), None).await;
        assert_eq!(inline, Err(DriveError::Full));
        for n in 1000..1050 {
            seal(&drive, tombstone(write_id(n)), None).await.unwrap();
        }
        assert_eq!(read_all(&drive, &held[12]).await.unwrap(), held[12].bytes());
        purge(&drive, 1..=8).await;
        assert!(status(&drive).await.free_bytes >= 128 << 10);
        put(&drive, &Shard::new(write_id(901), 0, &[64 << 10]))
            .await
            .unwrap();
        drive.audit().unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(read_all(&drive, &held[12]).await.unwrap(), held[12].bytes());
    });
}

#[test]
fn a_full_file_system_is_no_reason_to_leave_service() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let kept = Shard::new(write_id(1), 0, &[64 << 10]);
        // So little is left that a drive grows by little more than it needs.
        rig.disk.set_capacity(rig.disk.used() + (1 << 20));
        put(&drive, &kept).await.unwrap();
        rig.disk.set_capacity(rig.disk.used() + (16 << 10));
        let large = Shard::new(write_id(2), 0, &[256 << 10]);
        assert_eq!(put(&drive, &large).await, Err(DriveError::Full));
        // A cell that found no room was never taken, and so is never sealed.
        let record = coded_record(write_id(2), 2 * large.len());
        let sealed = seal(&drive, record, Some(large.seal(None))).await;
        let what = "no such shard is staged".to_owned();
        assert_eq!(sealed, Err(DriveError::BadRequest { what }));
        ask(&drive, DriveRequest::Discard { write: write_id(2) })
            .await
            .unwrap();
        assert_eq!(status(&drive).await.trouble, None);
        // The log needs one more chunk to go on in.
        rig.disk.set_capacity(rig.disk.used() + (64 << 10));
        for n in 100..116 {
            seal(&drive, tombstone(write_id(n)), None).await.unwrap();
        }
        purge(&drive, 100..116).await;
        rig.disk.set_capacity(1 << 30);
        put(&drive, &large).await.unwrap();
        assert_eq!(read_all(&drive, &kept).await.unwrap(), kept.bytes());
        drive.audit().unwrap();
    });
}

#[test]
fn a_generation_is_granted_once_and_fences_older_ones() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        claim(&drive, 3, 1).await.unwrap();
        claim(&drive, 3, 1).await.unwrap();
        let current = Generation::new(3);
        let old = Err(DriveError::OldGeneration { current });
        assert_eq!(claim(&drive, 3, 2).await, old);
        assert_eq!(claim(&drive, 2, 1).await, old);
        assert_eq!(seal(&drive, tombstone(write_id(1)), None).await, old);
        let drive = rig.crash(drive).await;
        assert_eq!(claim(&drive, 3, 2).await, old);
        claim(&drive, 3, 1).await.unwrap();
        let mut other = call(
            4,
            DriveRequest::Claim {
                generation: Generation::new(4),
                claimant: ClaimantId::new(5),
                takeover: false,
            },
        );
        other.index = IndexId::new(77);
        let current = INDEX;
        let refused = Err(DriveError::OtherIndex { current });
        assert_eq!(drive.call(other.clone()).await, refused);
        if let DriveRequest::Claim { takeover, .. } = &mut other.request {
            *takeover = true;
        }
        assert_eq!(drive.call(other).await, Ok(DriveReply::Claimed));
        let current = IndexId::new(77);
        let purge = call(
            4,
            DriveRequest::Purge {
                order: Order::ZERO,
                writes: vec![],
            },
        );
        assert_eq!(
            drive.call(purge).await,
            Err(DriveError::OtherIndex { current })
        );
    });
}

#[test]
fn what_arrives_wrong_is_refused_and_changes_nothing() {
    world::run(async {
        let (_rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[65_536, 65_536, 64]);
        let mut wrong = shard.clone();
        wrong.cells[0].checksums[0] ^= 1;
        let arrived = stage(&drive, &wrong, 0).await;
        assert!(matches!(arrived, Err(DriveError::Arrived { .. })));
        let bad = |answer| matches!(answer, Err(DriveError::BadRequest { .. }));
        assert!(bad(stage(&drive, &shard, 1).await), "out of order");
        stage(&drive, &shard, 0).await.unwrap();
        stage(&drive, &shard, 0).await.unwrap();
        assert!(bad(stage(&drive, &shard, 2).await), "a gap");
        stage(&drive, &shard, 1).await.unwrap();
        let record = || coded_record(write_id(1), 1);
        assert!(
            bad(seal(&drive, record(), Some(shard.seal(None))).await),
            "too short"
        );
        let mut digest = shard.seal(Some(shard.cells[2].clone()));
        digest.digest ^= 1;
        assert!(bad(seal(&drive, record(), Some(digest)).await), "digest");
        let mut torn = inline_record(write_id(2), 100);
        torn.body = body(write_id(3), 0, 100);
        let answer = seal(&drive, torn, None).await;
        assert!(matches!(answer, Err(DriveError::Arrived { .. })));
        assert_eq!(status(&drive).await.records, 0);
        let sealed = seal(&drive, record(), Some(shard.seal(None))).await;
        assert!(
            matches!(sealed, Ok(DriveReply::Sealed { .. })),
            "{sealed:?}"
        );
        assert_eq!(read_all(&drive, &shard).await.unwrap(), shard.bytes());
        let other = seal(&drive, coded_record(write_id(1), 2), None).await;
        assert!(bad(other), "another record");
        drive.audit().unwrap();
    });
}

#[test]
fn a_seal_that_is_repeated_is_answered_alike() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[65_536, 64]);
        let first = put(&drive, &shard).await.unwrap();
        assert_eq!(put(&drive, &shard).await.unwrap(), first);
        let record = coded_record(write_id(1), 2 * shard.len());
        let again = seal(&drive, record.clone(), Some(shard.seal(None))).await;
        assert_eq!(again.unwrap(), first);
        assert_eq!(seal(&drive, record, None).await.unwrap(), first);
        let drive = rig.crash(drive).await;
        assert_eq!(put(&drive, &shard).await.unwrap(), first);
        drive.audit().unwrap();
    });
}

#[test]
fn a_record_may_get_its_shard_later() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 2, &[65_536, 64]);
        let record = coded_record(write_id(1), 2 * shard.len());
        seal(&drive, record, None).await.unwrap();
        assert_eq!(read_all(&drive, &shard).await, Err(DriveError::NotFound));
        put(&drive, &shard).await.unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(read_all(&drive, &shard).await.unwrap(), shard.bytes());
        assert_eq!(inventory(&drive).await[0].shard, Some((2, shard.digest())));
    });
}

#[test]
fn staged_cells_go_when_discarded_or_idle_or_restarted() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[65_536, 64]);
        stage(&drive, &shard, 0).await.unwrap();
        assert_eq!(status(&drive).await.used_bytes, 65_536);
        ask(&drive, DriveRequest::Discard { write: write_id(1) })
            .await
            .unwrap();
        assert_eq!(status(&drive).await.used_bytes, 0);
        stage(&drive, &shard, 0).await.unwrap();
        tokio::time::sleep(rig.config.staged_idle + Duration::from_secs(5)).await;
        assert_eq!(status(&drive).await.used_bytes, 0);
        stage(&drive, &shard, 0).await.unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(status(&drive).await.used_bytes, 0);
        drive.audit().unwrap();
    });
}

#[test]
fn a_log_that_is_mostly_dead_shrinks_and_loses_nothing() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        for n in 1..=600 {
            seal(&drive, inline_record(write_id(n), 3000), None)
                .await
                .unwrap();
        }
        let grown = rig.disk.used();
        purge(&drive, (1..=600).filter(|n| n % 20 != 0)).await;
        // The housekeeper lets the log move what is alive, and checkpoints free the rest.
        tokio::time::sleep(Duration::from_secs(120)).await;
        drive.audit().unwrap();
        let free_after = status(&drive).await;
        for n in (20..=600).step_by(20) {
            let record = inline_record(write_id(n), 3000);
            assert_eq!(read_record(&drive, write_id(n)).await.unwrap(), record);
        }
        let drive = rig.crash(drive).await;
        assert_eq!(inventory(&drive).await.len(), 30);
        assert_eq!(status(&drive).await.records, free_after.records);
        // What was freed is used again: the files do not grow.
        for n in 1000..1500 {
            seal(&drive, inline_record(write_id(n), 3000), None)
                .await
                .unwrap();
        }
        assert!(
            rig.disk.used() <= grown + (512 << 10),
            "{} > {grown}",
            rig.disk.used()
        );
        for n in (20..=600).step_by(20) {
            let record = inline_record(write_id(n), 3000);
            assert_eq!(read_record(&drive, write_id(n)).await.unwrap(), record);
        }
        drive.audit().unwrap();
    });
}

#[test]
fn freed_space_is_used_again_at_once() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        put(&drive, &Shard::new(write_id(1), 0, &[1 << 20]))
            .await
            .unwrap();
        let used = rig.disk.used();
        for n in 2..20 {
            purge(&drive, [n - 1]).await;
            put(&drive, &Shard::new(write_id(n), 0, &[1 << 20]))
                .await
                .unwrap();
        }
        assert!(rig.disk.used() <= used + (300 << 10));
        drive.audit().unwrap();
    });
}

#[test]
fn pre_writing_is_bounded_and_ahead_of_writers() {
    world::run(async {
        let config = DriveConfig {
            prewrite_bytes: 2 << 20,
            ..config()
        };
        let (rig, drive) = Rig::new(config).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let prewritten = rig.disk.used();
        assert!((1 << 20..3 << 20).contains(&prewritten), "{prewritten}");
        put(&drive, &Shard::new(write_id(1), 0, &[512 << 10]))
            .await
            .unwrap();
        assert!(
            rig.disk.used() <= prewritten + (128 << 10),
            "{}",
            rig.disk.used()
        );
        drive.audit().unwrap();
    });
}
