//! Goal: a drive on the machine's own file system keeps what it acknowledged and refuses what it
//! must.
//! Method: a drive in a temporary directory, spoken to in process; reopened with and without
//! closing.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Arc;

use holdfast_protocol::rpc::{BlockSpan, DriveError, DriveReply, DriveRequest};
use holdfast_protocol::*;
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, NodeError};
use support::*;

fn config() -> DriveConfig {
    DriveConfig {
        reserve_bytes: 1 << 20,
        prewrite_bytes: 8 << 20,
        ..DriveConfig::default()
    }
}

async fn fresh(world: &World, dir: &Path) -> Drive {
    let options = FormatOptions::default();
    Drive::format(world, dir, CLUSTER, DRIVE, options)
        .await
        .unwrap();
    reopen(world, dir).await
}

async fn reopen(world: &World, dir: &Path) -> Drive {
    Drive::open(world, config(), dir, CLUSTER, Some(DRIVE))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_is_there_after_close_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(2);
    let mut drive = fresh(&world, dir.path()).await;
    claim(&drive, 1, 9).await.unwrap();
    let small = inline_record(write_id(1), 4096);
    let large = Shard::new(write_id(2), 1, &[262_144, 262_144, 100_032]);
    seal(&drive, small.clone(), None).await.unwrap();
    put(&drive, &large).await.unwrap();
    seal(&drive, tombstone(write_id(3)), None).await.unwrap();
    for crash in [false, true, true, false] {
        if crash {
            drive.abandon().await;
        } else {
            drive.close().await;
        }
        drive = reopen(&world, dir.path()).await;
        assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), small);
        assert_eq!(read_all(&drive, &large).await.unwrap(), large.bytes());
        let kinds: Vec<_> = inventory(&drive).await.iter().map(|e| e.kind).collect();
        let commit = RecordKind::Commit;
        assert_eq!(kinds, [commit, commit, RecordKind::Tombstone]);
        assert!(inventory(&drive).await.iter().all(|entry| !entry.damaged));
        assert_eq!(drive.status().generation, Generation::new(1));
        drive.audit().unwrap();
    }
    let purge = DriveRequest::Purge {
        order: Order::ZERO,
        writes: vec![write_id(1), write_id(2), write_id(3)],
    };
    ask(&drive, purge).await.unwrap();
    assert_eq!(drive.status().used_bytes, 0);
    drive.abandon().await;
    let drive = reopen(&world, dir.path()).await;
    assert_eq!(inventory(&drive).await, []);
    assert_eq!(put(&drive, &large).await, Err(DriveError::Purged));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_took_of_the_space_that_was_grown_for_a_shard_is_grown_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(4);
    let drive = Arc::new(fresh(&world, dir.path()).await);
    claim(&drive, 1, 9).await.unwrap();
    let mut shards = tokio::task::JoinSet::new();
    for number in 0..96 {
        let drive = Arc::clone(&drive);
        shards.spawn(async move {
            let shard = Shard::new(write_id(number), 1, &[262_144; 24]);
            put(&drive, &shard).await
        });
    }
    while let Some(put) = shards.join_next().await {
        put.unwrap().unwrap();
    }
    drive.audit().unwrap();
    Arc::into_inner(drive).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_reads_its_blocks_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(2);
    let drive = fresh(&world, dir.path()).await;
    let shard = Shard::new(write_id(5), 0, &[349_568, 349_568, 70_000 / 64 * 64]);
    put(&drive, &shard).await.unwrap();
    let bytes = shard.bytes();
    let span = |stripe, first_block, block_count| BlockSpan {
        stripe,
        first_block,
        block_count,
    };
    let request = DriveRequest::Read {
        write: shard.write,
        shard: 0,
        spans: vec![span(1, 5, 1), span(2, 0, 2), span(0, 1, 2)],
    };
    let Ok(DriveReply::Blocks { pieces }) = ask(&drive, request).await else {
        panic!("no blocks");
    };
    let at = 349_568 + 5 * 65_536;
    assert_eq!(pieces[0].bytes, &bytes[at..2 * 349_568]);
    assert_eq!(pieces[1].bytes, &bytes[2 * 349_568..]);
    assert_eq!(pieces[2].bytes, &bytes[65_536..3 * 65_536]);
    assert_eq!(pieces[2].checksums, shard.cells[0].checksums[1..3]);
    for spans in [
        vec![span(3, 0, 1)],
        vec![span(2, 1, 2)],
        vec![span(0, 0, 0)],
    ] {
        let request = DriveRequest::Read {
            write: shard.write,
            shard: 0,
            spans,
        };
        let answer = ask(&drive, request).await;
        assert!(
            matches!(answer, Err(DriveError::BadRequest { .. })),
            "{answer:?}"
        );
    }
    let verify = DriveRequest::Verify {
        write: shard.write,
        shard: 0,
    };
    let verified = ask(&drive, verify).await.unwrap();
    let blocks = 6 + 6 + 2;
    assert_eq!(
        verified,
        DriveReply::Verified {
            bad: vec![],
            blocks
        }
    );
    drive.close().await;
}

/// What was cut off is lost; the drive goes on all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_within_a_page_is_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(2);
    let drive = fresh(&world, dir.path()).await;
    claim(&drive, 1, 9).await.unwrap();
    let kept = inline_record(write_id(1), 4096);
    seal(&drive, kept.clone(), None).await.unwrap();
    drive.abandon().await;
    let space = dir.path().join("space.0");
    let file = std::fs::File::options().write(true).open(space).unwrap();
    file.set_len((64 << 10) + 777).unwrap();
    let drive = reopen(&world, dir.path()).await;
    assert_eq!(read_record(&drive, write_id(1)).await.unwrap(), kept);
    for number in 2..=40 {
        let record = inline_record(write_id(number), 4096);
        seal(&drive, record, None).await.unwrap();
    }
    let large = Shard::new(write_id(50), 1, &[262_144, 262_144, 100_032]);
    put(&drive, &large).await.unwrap();
    drive.abandon().await;
    let drive = reopen(&world, dir.path()).await;
    let last = inline_record(write_id(40), 4096);
    assert_eq!(read_record(&drive, write_id(40)).await.unwrap(), last);
    assert_eq!(read_all(&drive, &large).await.unwrap(), large.bytes());
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_the_drive_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(1);
    let open = async |cluster, drive| {
        Drive::open(&world, config(), dir.path(), cluster, drive)
            .await
            .err()
    };
    assert!(matches!(
        open(CLUSTER, None).await,
        Some(NodeError::Missing { .. })
    ));
    let drive = fresh(&world, dir.path()).await;
    assert!(matches!(
        open(CLUSTER, None).await,
        Some(NodeError::Locked { .. })
    ));
    drive.close().await;
    assert!(matches!(
        open(ClusterId::new(1), None).await,
        Some(NodeError::OtherCluster { .. })
    ));
    assert!(matches!(
        open(CLUSTER, Some(DriveId::new(1))).await,
        Some(NodeError::OtherDrive { .. })
    ));
    let options = FormatOptions::default();
    let again = Drive::format(&world, dir.path(), CLUSTER, DRIVE, options).await;
    assert!(matches!(again, Err(NodeError::NotEmpty { .. })));
    let superblock = dir.path().join("superblock");
    let mut bytes = std::fs::read(&superblock).unwrap();
    bytes[4] = 9;
    std::fs::write(&superblock, &bytes).unwrap();
    let error = open(CLUSTER, None).await;
    assert!(matches!(error, Some(NodeError::Format { .. })), "{error:?}");
}

/// Readers, writers and purges at once, on few writes: space is reused all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_never_sees_pages_that_were_reused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real(4);
    let drive = std::sync::Arc::new(fresh(&world, dir.path()).await);
    let writers = (0..4_u64).map(|lane| {
        let drive = std::sync::Arc::clone(&drive);
        tokio::spawn(async move {
            let mut seen = 0;
            for round in 0..60 {
                let write = write_id(1 + lane * 1000 + round);
                let shard = Shard::new(write, 0, &[131_072, 131_072, 64]);
                put(&drive, &shard).await.unwrap();
                let reads = (0..4).map(|_| read_all(&drive, &shard));
                let purge = async {
                    let writes = vec![write];
                    ask(
                        &drive,
                        DriveRequest::Purge {
                            order: Order::ZERO,
                            writes,
                        },
                    )
                    .await
                    .unwrap();
                };
                let (reads, ()) = futures::join!(futures::future::join_all(reads), purge);
                for read in reads {
                    match read {
                        Ok(bytes) => {
                            assert!(bytes == shard.bytes(), "{write} was overwritten");
                            seen += 1;
                        }
                        Err(error) => assert_eq!(error, DriveError::NotFound),
                    }
                }
            }
            seen
        })
    });
    let mut seen = 0;
    for done in futures::future::join_all(writers).await {
        seen += done.unwrap();
    }
    assert!(seen > 100, "most reads come before their purge");
    drive.audit().unwrap();
    assert_eq!(drive.status().used_bytes, 0);
    drive.close().await;
}
