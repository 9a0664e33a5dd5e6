//! Goal: a drive that lost the newest batches of its log, and nothing before them, knows it; and
//! no crash makes it believe so.
//! Method: a drive over the simulated disk; bytes of its newest batches are flipped after the drive
//! had a moment of rest, or its process was killed at once; power cuts at every write and sync.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::log::BATCH_HEADER_LEN;
use holdfast_protocol::drive::{BatchHeader, Entry, LogMark, PAGE_LEN};
use holdfast_protocol::rpc::{DriveError, DriveStatus};
use holdfast_seam::OpenMode;
use holdfast_shard_node::Drive;
use support::rig::*;
use support::*;

const CHUNK_LEN: u64 = 64 << 10;
/// Where the first chunk begins: after page 0.
const CHUNK: u64 = PAGE_LEN;

async fn seal_small(drive: &Drive, writes: impl IntoIterator<Item = u64>) {
    for n in writes {
        let record = inline_record(write_id(n), 1000);
        seal(drive, record, None).await.unwrap();
    }
}

/// Longer than the drive takes to see that nobody asks for anything.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(4)).await;
}

/// Where the fields of the entry of write `n` are.
fn fields_of(rig: &Rig, n: u64) -> u64 {
    rig.find(&inline_record(write_id(n), 1000).head) - 60
}

/// Where the batch with write `n` begins; it has no other entry.
fn batch_of(rig: &Rig, n: u64) -> u64 {
    fields_of(rig, n) / PAGE_LEN * PAGE_LEN
}

fn flip(rig: &Rig, at: u64) {
    assert!(rig.disk.flip(&rig.path("space.0"), at, 1));
}

async fn held(drive: &Drive) -> Vec<u64> {
    let held = inventory(drive).await;
    held.iter().map(|entry| entry.write.counter).collect()
}

fn knows_its_loss(before: &DriveStatus, after: &DriveStatus) -> bool {
    after.partial && after.end.log != before.end.log
}

#[test]
fn newest_batches_that_are_lost_after_a_rest_are_missed() {
    world::run(async {
        for lost in 1..=4_u64 {
            let (rig, drive) = Rig::new(config()).await;
            seal_small(&drive, 1..=8).await;
            rest().await;
            let before = status(&drive).await;
            // Header and entry, so that nothing of them can be read.
            for n in 9 - lost..=8 {
                flip(&rig, batch_of(&rig, n) + 9);
                flip(&rig, fields_of(&rig, n));
            }
            let drive = rig.crash(drive).await;
            assert!(knows_its_loss(&before, &status(&drive).await));
            assert_eq!(held(&drive).await, (1..=8 - lost).collect::<Vec<_>>());
            seal_small(&drive, [20]).await;
            let drive = rig.crash(drive).await;
            assert!(status(&drive).await.partial);
            assert!(held(&drive).await.contains(&20));
            drive.audit().unwrap();
        }
    });
}

#[test]
fn a_process_that_is_killed_leaves_the_mark_of_its_last_batch() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 1..=3).await;
        let before = status(&drive).await;
        drive.abandon().await;
        flip(&rig, batch_of(&rig, 3) + 9);
        flip(&rig, fields_of(&rig, 3));
        let drive = rig.open().await.unwrap();
        assert!(knows_its_loss(&before, &status(&drive).await));
        assert_eq!(held(&drive).await, [1, 2]);
    });
}

#[test]
fn what_replay_read_anew_is_marked_at_the_first_rest() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 1..=3).await;
        flip(&rig, CHUNK + LogMark::offset(CHUNK_LEN));
        let drive = rig.crash(drive).await;
        rest().await;
        let before = status(&drive).await;
        flip(&rig, batch_of(&rig, 3) + 9);
        flip(&rig, fields_of(&rig, 3));
        let drive = rig.crash(drive).await;
        assert!(knows_its_loss(&before, &status(&drive).await));
    });
}

#[test]
fn the_last_batch_is_no_torn_one_if_a_mark_names_it() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 1..=3).await;
        rest().await;
        let before = status(&drive).await;
        flip(&rig, rig.find(&body(write_id(3), 0, 1000)) + 17);
        let drive = rig.crash(drive).await;
        let after = status(&drive).await;
        assert_eq!((after.partial, after.end), (false, before.end));
        let damaged: Vec<_> = inventory(&drive).await.iter().map(|e| e.damaged).collect();
        assert_eq!(damaged, [false, false, true], "nothing is dropped");
        flip(&rig, fields_of(&rig, 2));
        seal_small(&drive, [3]).await;
        drive.audit().unwrap();
    });
}

#[test]
fn entries_that_can_still_be_read_behind_a_lost_header_count() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, 1..=3).await;
        rest().await;
        let before = status(&drive).await;
        flip(&rig, batch_of(&rig, 3) + 9);
        let drive = rig.crash(drive).await;
        assert!(knows_its_loss(&before, &status(&drive).await));
        assert_eq!(held(&drive).await, [1, 2, 3]);
        let record = inline_record(write_id(3), 1000);
        assert_eq!(read_record(&drive, write_id(3)).await, Ok(record));
    });
}

#[test]
fn a_first_batch_of_a_chunk_is_missed_too() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let batches = LogMark::offset(CHUNK_LEN) / PAGE_LEN;
        seal_small(&drive, 1..=batches + 1).await;
        rest().await;
        let before = status(&drive).await;
        let at = batch_of(&rig, batches + 1);
        assert!(at >= CHUNK + CHUNK_LEN, "it is in the second chunk");
        flip(&rig, at + 9);
        let drive = rig.crash(drive).await;
        assert!(knows_its_loss(&before, &status(&drive).await));
        assert_eq!(held(&drive).await, (1..=batches).collect::<Vec<_>>());
        seal_small(&drive, [50]).await;
        let drive = rig.crash(drive).await;
        assert!(held(&drive).await.contains(&50));
        drive.audit().unwrap();
    });
}

#[test]
fn power_that_is_cut_at_any_moment_never_looks_like_a_loss() {
    world::run(async {
        for n in 0..120 {
            let (rig, drive) = Rig::new(config()).await;
            seal_small(&drive, 1..=12).await;
            rig.disk.cut_power(n);
            let mut sealed = 0;
            for write in 13..40 {
                let record = inline_record(write_id(write), 1000 + 300 * write as usize);
                match seal(&drive, record, None).await {
                    Ok(_) => sealed = write,
                    Err(DriveError::OutOfService { .. }) => break,
                    Err(error) => panic!("{error:?}"),
                }
                if write % 5 == 0 {
                    rest().await;
                }
            }
            let before = status(&drive).await;
            let drive = rig.crash(drive).await;
            let after = status(&drive).await;
            assert_eq!((after.partial, after.end.log), (false, before.end.log));
            assert!(held(&drive).await.len() as u64 >= sealed.max(12));
        }
    });
}

/// Before there were marks, batches went to the very end of their chunk.
#[test]
fn a_chunk_that_batches_fill_to_its_end_is_left_as_it_is() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        seal_small(&drive, [1]).await;
        let end = status(&drive).await.end;
        drive.abandon().await;
        let purge = Entry::Purge {
            order: order(1),
            writes: (1000..4700).map(write_id).collect(),
        };
        let mut body = purge.encode(end.log, end.batch + 1);
        body.resize(purge.padded_len(), 0);
        let header = BatchHeader {
            log: end.log,
            batch: end.batch + 1,
            chunk: 1,
            next_chunk: (CHUNK + CHUNK_LEN) / PAGE_LEN,
            len: (BATCH_HEADER_LEN + body.len()) as u32,
            count: 1,
            body_checksum: crc64(&body),
        };
        let mut batch = header.encode().to_vec();
        batch.extend(body);
        batch.resize((CHUNK_LEN - PAGE_LEN) as usize, 0);
        let space = rig.path("space.0");
        let file = rig.world.disk.open(&space, OpenMode::ReadWrite).unwrap();
        file.write_pages_at(&[&batch], CHUNK + PAGE_LEN).unwrap();
        file.sync_data().unwrap();
        let mut drive = rig.open().await.unwrap();
        for write in 2..=4 {
            rest().await;
            let bytes = rig.disk.contents(&space).unwrap();
            let from = (CHUNK + PAGE_LEN) as usize;
            assert_eq!(bytes[from..from + batch.len()], batch);
            seal_small(&drive, [write]).await;
            drive = rig.crash(drive).await;
            let status = status(&drive).await;
            assert_eq!((status.partial, status.end.log), (false, end.log));
            assert_eq!(held(&drive).await, (1..=write).collect::<Vec<_>>());
        }
        let put = seal(&drive, inline_record(write_id(1000), 10), None).await;
        assert_eq!(put, Err(DriveError::Purged));
        drive.audit().unwrap();
    });
}
