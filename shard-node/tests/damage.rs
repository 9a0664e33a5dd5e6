//! Goal: what a drive does when its medium fails it: nothing acknowledged is dropped in silence.
//! Method: a drive over the simulated disk; bytes are flipped, sectors spoiled, files removed,
//! syncs failed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use holdfast_protocol::drive::LogMark;
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_shard_node::{Drive, NodeError};
use support::rig::*;
use support::*;

/// Seals inline records of 1000 bytes, writes 1 to `count`.
async fn seal_small(drive: &Drive, count: u64) {
    for n in 1..=count {
        let record = inline_record(write_id(n), 1000);
        seal(drive, record, None).await.unwrap();
    }
}

#[test]
fn after_a_failed_sync_only_reads_work_until_the_next_start() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let kept = inline_record(write_id(1), 100);
        seal(&drive, kept.clone(), None).await.unwrap();
        rig.disk.fail_sync(0);
        let lost = seal(&drive, inline_record(write_id(2), 100), None).await;
        assert!(matches!(lost, Err(DriveError::OutOfService { .. })));
        let next = seal(&drive, tombstone(write_id(3)), None).await;
        assert!(matches!(next, Err(DriveError::OutOfService { .. })));
        assert!(status(&drive).await.trouble.is_some());
        assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), kept);
        let unknown = read_record(&drive, write_id(2)).await;
        assert_eq!(unknown, Err(DriveError::NotFound));
        let drive = rig.crash(drive).await;
        assert_eq!(status(&drive).await.trouble, None);
        assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), kept);
        seal(&drive, tombstone(write_id(3)), None).await.unwrap();
    });
}

#[test]
fn a_process_that_restarts_after_a_failed_sync_makes_durable_what_it_still_sees() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let record = inline_record(write_id(2), 100);
        rig.disk.fail_sync(0);
        seal(&drive, record.clone(), None).await.unwrap_err();
        drive.abandon().await;
        // No power loss: the cache still shows the batch, though the medium may not have it.
        let drive = rig.open().await.unwrap();
        assert_eq!(read_record(&drive, write_id(2)).await.unwrap(), record);
        let drive = rig.crash(drive).await;
        assert_eq!(read_record(&drive, write_id(2)).await.unwrap(), record);
    });
}

#[test]
fn a_drive_that_recovers_on_a_full_file_system_takes_writes_once_there_is_space() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 5).await;
        // A log that was damaged goes on only after a checkpoint.
        let at = rig.find(&body(write_id(3), 0, 1000));
        assert!(rig.disk.flip(&rig.path("space.0"), at - 60, 1));
        drive.abandon().await;
        rig.disk.set_capacity(rig.disk.used());
        let drive = rig.open().await.unwrap();
        for _ in 0..3 {
            assert!(status(&drive).await.trouble.is_some());
            assert!(!status(&drive).await.writable);
            let refused = seal(&drive, tombstone(write_id(10)), None).await;
            assert!(matches!(refused, Err(DriveError::OutOfService { .. })));
            let kept = inline_record(write_id(2), 1000);
            assert_eq!(read_record(&drive, write_id(2)).await.unwrap(), kept);
            rig.world.clock.sleep(Duration::from_secs(3)).await;
        }
        rig.disk.set_capacity(1 << 30);
        rig.world.clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(status(&drive).await.trouble, None);
        seal(&drive, tombstone(write_id(10)), None).await.unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(status(&drive).await.trouble, None);
        drive.audit().unwrap();
    });
}

#[test]
fn what_was_read_wrongly_and_is_sound_is_damaged_no_longer() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 2).await;
        let shard = Shard::new(write_id(9), 0, &[20_000]);
        put(&drive, &shard).await.unwrap();
        let damaged = async |drive: &Drive| -> Vec<bool> {
            let entries = inventory(drive).await;
            entries.iter().map(|entry| entry.damaged).collect()
        };
        // Each read gives a wrong bit.
        rig.disk.misread(1);
        while damaged(&drive).await != [true, false, true] {
            let _ = read_record(&drive, write_id(1)).await;
            let _ = verify(&drive, &shard).await;
        }
        rig.disk.misread(0);
        let kept = inline_record(write_id(1), 1000);
        assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), kept);
        assert_eq!(damaged(&drive).await, [false, false, true]);
        let verified = verify(&drive, &shard).await.unwrap();
        assert!(matches!(verified, DriveReply::Verified { bad, .. } if bad.is_empty()));
        assert_eq!(damaged(&drive).await, [false, false, false]);
        drive.audit().unwrap();
    });
}

#[test]
fn a_bad_record_before_good_ones_is_damage_and_is_not_cut_off() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 5).await;
        let at = rig.find(&body(write_id(2), 0, 1000));
        assert!(rig.disk.flip(&rig.path("space.0"), at + 17, 4));
        let drive = rig.crash(drive).await;
        let damaged: Vec<_> = inventory(&drive).await.iter().map(|e| e.damaged).collect();
        assert_eq!(damaged, [false, true, false, false, false]);
        let answer = read_record(&drive, write_id(2)).await;
        assert!(matches!(answer, Err(DriveError::Damaged { .. })));
        // Healed in place: the same record is sealed again.
        seal(&drive, inline_record(write_id(2), 1000), None)
            .await
            .unwrap();
        let drive = rig.crash(drive).await;
        assert!(inventory(&drive).await.iter().all(|entry| !entry.damaged));
        drive.audit().unwrap();
    });
}

#[test]
fn an_entry_whose_name_is_lost_gives_the_log_a_new_id() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 4).await;
        let before = status(&drive).await.end;
        let head = inline_record(write_id(2), 1000).head;
        let at = rig.find(&head);
        // The fields of the entry are before the record's head.
        assert!(rig.disk.flip(&rig.path("space.0"), at - 60, 1));
        let drive = rig.crash(drive).await;
        assert_ne!(status(&drive).await.end.log, before.log);
        let held: Vec<_> = inventory(&drive).await.iter().map(|e| e.write).collect();
        assert_eq!(held, [write_id(1), write_id(3), write_id(4)]);
        seal(&drive, inline_record(write_id(2), 1000), None)
            .await
            .unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(inventory(&drive).await.len(), 4);
    });
}

#[test]
fn a_drive_that_lost_entries_says_so_until_it_was_compared() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 4).await;
        let drive = rig.crash(drive).await;
        let before = status(&drive).await;
        assert!(!before.partial, "a crash loses nothing");
        let at = rig.find(&inline_record(write_id(2), 1000).head);
        assert!(rig.disk.flip(&rig.path("space.0"), at - 60, 1));
        let drive = rig.crash(drive).await;
        assert!(status(&drive).await.partial);
        let drive = rig.crash(drive).await;
        let lost = status(&drive).await;
        assert!(lost.partial, "also when it is opened again");
        let compared = |log| DriveRequest::Compared { log };
        let told = ask(&drive, compared(before.end.log)).await;
        assert_eq!(told, Ok(DriveReply::Done));
        assert!(status(&drive).await.partial, "that was before it lost them");
        ask(&drive, compared(lost.end.log)).await.unwrap();
        assert!(!status(&drive).await.partial);
        drive.close().await;
        drop(drive);
        let drive = rig.open().await.unwrap();
        assert!(!status(&drive).await.partial);
    });
}

#[test]
fn what_moving_live_entries_finds_unreadable_is_counted_and_shown() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 600).await;
        // What the checkpoint knows is not read when the drive is opened.
        drive.close().await;
        drop(drive);
        let at = rig.find(&inline_record(write_id(5), 1000).head);
        assert!(rig.disk.flip(&rig.path("space.0"), at - 60, 1));
        let drive = rig.open().await.unwrap();
        let before = status(&drive).await;
        assert_eq!((before.partial, before.found), (false, 0));
        purge(&drive, (1..=600).filter(|n| *n != 5)).await;
        let mut next = 601;
        while status(&drive).await.found == 0 && next < 2000 {
            seal(&drive, inline_record(write_id(next), 1000), None)
                .await
                .unwrap();
            next += 1;
        }
        assert_eq!(status(&drive).await.found, 1);
        let held = inventory(&drive).await;
        let damaged: Vec<_> = held.iter().filter(|entry| entry.damaged).collect();
        assert_eq!(damaged.len(), 1);
        assert_eq!(damaged[0].write, write_id(5));
    });
}

#[test]
fn a_lost_arena_gives_the_log_a_new_id_and_names_what_was_there() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[65_536]);
        put(&drive, &shard).await.unwrap();
        let before = status(&drive).await.end;
        drive.close().await;
        drop(drive);
        rig.world.disk.remove(&rig.path("space.0")).unwrap();
        let drive = rig.open().await.unwrap();
        assert_ne!(status(&drive).await.end.log, before.log);
        assert_eq!(inventory(&drive).await.len(), 1);
        let read = read_all(&drive, &shard).await;
        assert!(matches!(read, Err(DriveError::Damaged { .. })), "{read:?}");
        assert!(inventory(&drive).await[0].damaged);
        put(&drive, &shard).await.unwrap();
        assert_eq!(read_all(&drive, &shard).await.unwrap(), shard.bytes());
    });
}

#[test]
fn one_good_checkpoint_is_enough_and_none_is_refused() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let record = inline_record(write_id(1), 1000);
        seal(&drive, record.clone(), None).await.unwrap();
        drive.close().await;
        drop(drive);
        assert!(rig.disk.flip(&rig.path("checkpoint"), 30, 1));
        let drive = rig.open().await.unwrap();
        assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), record);
        drive.abandon().await;
        assert!(rig.disk.flip(&rig.path("checkpoint.2"), 30, 1));
        let error = rig.open().await.err();
        assert!(
            matches!(error, Some(NodeError::Damaged { .. })),
            "{error:?}"
        );
    });
}

#[test]
fn verify_finds_the_bad_block_and_a_new_seal_replaces_the_shard() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[131_072, 131_072, 640]);
        put(&drive, &shard).await.unwrap();
        let at = rig.find(&shard.bytes()[131_072 + 65_536..131_072 + 65_600]);
        assert!(rig.disk.flip(&rig.path("space.0"), at, 1));
        let found = verify(&drive, &shard).await.unwrap();
        let expected = DriveReply::Verified {
            bad: vec![(1, 1)],
            blocks: 5,
        };
        assert_eq!(found, expected);
        assert!(inventory(&drive).await[0].damaged);
        put(&drive, &shard).await.unwrap();
        assert!(!inventory(&drive).await[0].damaged);
        assert!(
            rig.disk
                .spoil(&rig.path("space.0"), rig.find(&shard.bytes()[..64]))
        );
        let found = verify(&drive, &shard).await.unwrap();
        assert!(matches!(&found, DriveReply::Verified { bad, .. } if bad == &[(0, 0)]));
        let read = read_all(&drive, &shard).await;
        assert!(matches!(read, Err(DriveError::Io { .. })), "{read:?}");
        drive.audit().unwrap();
    });
}

#[test]
fn a_lost_entry_of_the_last_batch_shows_in_the_end_of_the_log() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 2).await;
        let acknowledged = status(&drive).await.end;
        let at = rig.find(&inline_record(write_id(2), 1000).head);
        assert!(rig.disk.flip(&rig.path("space.0"), at - 60, 1));
        // Nor is there a mark that names the batch (`marks.rs`).
        let mark = 4096 + LogMark::offset(64 << 10);
        assert!(rig.disk.flip(&rig.path("space.0"), mark, 1));
        let drive = rig.crash(drive).await;
        let end = status(&drive).await.end;
        assert!(end.log == acknowledged.log && end.batch < acknowledged.batch);
        assert_eq!(inventory(&drive).await.len(), 1);
        let record = inline_record(write_id(2), 1000);
        seal(&drive, record.clone(), None).await.unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(read_record(&drive, write_id(2)).await.unwrap(), record);
        drive.audit().unwrap();
    });
}
