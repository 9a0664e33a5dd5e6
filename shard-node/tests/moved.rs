//! Goal: a write that left a drive may return to it, and nothing older than its return counts.
//! Method: late purges, late cells and late seals around a return, with crashes in between.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_protocol::*;
use holdfast_shard_node::{Drive, DriveConfig};
use support::rig::*;
use support::*;

fn shard(counter: u64, index: u8) -> Shard {
    Shard::new(write_id(counter), index, &[65_536, 65_536, 64])
}

async fn stage_at(
    drive: &Drive,
    shard: &Shard,
    cell: usize,
    admitted: Order,
) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Stage {
        write: shard.write,
        shard: shard.index,
        len_hint: None,
        admitted,
        cell: shard.cells[cell].clone(),
    };
    ask(drive, request).await
}

async fn seal_at(drive: &Drive, shard: &Shard, admitted: Order) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Seal {
        admitted,
        record: coded_record(shard.write, 2 * shard.len()),
        shard: Some(shard.seal(None)),
    };
    ask(drive, request).await
}

/// Brings a shard, as the healer does.
async fn bring(drive: &Drive, shard: &Shard, sequence: u64) -> Result<DriveReply, DriveError> {
    for cell in 0..shard.cells.len() {
        stage_at(drive, shard, cell, order(sequence)).await?;
    }
    seal_at(drive, shard, order(sequence)).await
}

async fn leave(drive: &Drive, shard: &Shard, sequence: u64) {
    let moved = vec![MovedWrite {
        write: shard.write,
        order: order(sequence),
    }];
    let left = ask(drive, DriveRequest::Leave { moved }).await;
    assert!(matches!(left, Ok(DriveReply::Purged { .. })), "{left:?}");
}

async fn holds(drive: &Drive, shard: &Shard) -> bool {
    drive.audit().unwrap();
    match read_all(drive, shard).await {
        Ok(bytes) => bytes == shard.bytes(),
        Err(DriveError::NotFound) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_write_returns_with_a_higher_order_and_late_leaves_do_nothing() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = shard(1, 0);
        put(&drive, &shard).await.unwrap();
        leave(&drive, &shard, 10).await;
        assert!(!holds(&drive, &shard).await);
        assert_eq!(put(&drive, &shard).await, Err(DriveError::Purged));
        assert_eq!(bring(&drive, &shard, 10).await, Err(DriveError::Purged));
        let drive = rig.crash(drive).await;
        assert_eq!(bring(&drive, &shard, 10).await, Err(DriveError::Purged));
        bring(&drive, &shard, 11).await.unwrap();
        leave(&drive, &shard, 10).await;
        leave(&drive, &shard, 3).await;
        assert!(holds(&drive, &shard).await);
        let drive = rig.crash(drive).await;
        leave(&drive, &shard, 10).await;
        assert!(holds(&drive, &shard).await);
        // What the writer sent at first is refused before it left again, and after.
        assert_eq!(put(&drive, &shard).await, Err(DriveError::Purged));
        leave(&drive, &shard, 12).await;
        assert!(!holds(&drive, &shard).await);
        assert_eq!(bring(&drive, &shard, 11).await, Err(DriveError::Purged));
        bring(&drive, &shard, 13).await.unwrap();
        assert!(holds(&drive, &shard).await);
    });
}

#[test]
fn marks_and_admissions_are_in_the_checkpoint_and_outlive_a_claim_as_they_should() {
    world::run(async {
        let config = DriveConfig {
            checkpoint_log_bytes: 64 << 10,
            ..config()
        };
        let (rig, drive) = Rig::new(config).await;
        claim(&drive, 1, 1).await.unwrap();
        let (left, returned) = (shard(1, 0), shard(2, 1));
        for shard in [&left, &returned] {
            put(&drive, shard).await.unwrap();
            leave(&drive, shard, 10).await;
        }
        bring(&drive, &returned, 20).await.unwrap();
        // Chunks of the log are emptied: what is alive moves, with its order.
        for counter in 100..200 {
            let record = inline_record(write_id(counter), 3500);
            seal(&drive, record, None).await.unwrap();
            purge(&drive, [counter]).await;
        }
        drive.close().await;
        let drive = rig.open().await.unwrap();
        leave(&drive, &returned, 19).await;
        assert!(holds(&drive, &returned).await);
        assert_eq!(bring(&drive, &left, 10).await, Err(DriveError::Purged));
        claim(&drive, 2, 2).await.unwrap();
        let ask2 = |request| drive.call(call(2, request));
        let moved = vec![MovedWrite {
            write: returned.write,
            order: order(19),
        }];
        ask2(DriveRequest::Leave { moved }).await.unwrap();
        let record = coded_record(left.write, 2 * left.len());
        let sealed = ask2(DriveRequest::Seal {
            admitted: Order::ZERO,
            record,
            shard: None,
        });
        assert!(sealed.await.is_ok(), "marks go with their generation");
        let read = ask2(DriveRequest::ReadRecord {
            write: returned.write,
            with_body: false,
        });
        assert!(read.await.is_ok(), "admissions stay");
    });
}

#[test]
fn a_write_that_is_gone_does_not_return() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = shard(1, 0);
        put(&drive, &shard).await.unwrap();
        bring(&drive, &shard, 10).await.unwrap();
        purge(&drive, [1]).await;
        assert!(!holds(&drive, &shard).await);
        let gone = Err(DriveError::Purged);
        assert_eq!(bring(&drive, &shard, u64::MAX).await, gone);
        let drive = rig.crash(drive).await;
        assert_eq!(bring(&drive, &shard, u64::MAX).await, gone);
    });
}

#[test]
fn what_had_not_left_yet_is_written_anew_for_the_higher_order() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = shard(1, 0);
        put(&drive, &shard).await.unwrap();
        bring(&drive, &shard, 11).await.unwrap();
        leave(&drive, &shard, 10).await;
        assert!(holds(&drive, &shard).await);
        let drive = rig.crash(drive).await;
        assert!(holds(&drive, &shard).await);
        leave(&drive, &shard, 10).await;
        assert!(holds(&drive, &shard).await);
        leave(&drive, &shard, 11).await;
        assert!(holds(&drive, &shard).await, "only what is below leaves");
    });
}

#[test]
fn another_shard_of_a_write_takes_the_place_only_with_a_higher_order() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let (old, new) = (shard(1, 0), shard(1, 2));
        bring(&drive, &old, 5).await.unwrap();
        let refused = bring(&drive, &new, 5).await;
        assert!(matches!(refused, Err(DriveError::BadRequest { .. })));
        assert!(holds(&drive, &old).await);
        bring(&drive, &new, 6).await.unwrap();
        let drive = rig.crash(drive).await;
        assert!(holds(&drive, &new).await && !holds(&drive, &old).await);
    });
}

#[test]
fn staged_cells_go_with_a_later_leave_and_stay_with_an_earlier_one() {
    world::run(async {
        let (_rig, drive) = Rig::new(config()).await;
        let shard = shard(1, 0);
        stage(&drive, &shard, 0).await.unwrap();
        leave(&drive, &shard, 10).await;
        let next = stage_at(&drive, &shard, 1, order(11)).await;
        assert!(
            matches!(next, Err(DriveError::BadRequest { .. })),
            "{next:?}"
        );
        for cell in 0..shard.cells.len() {
            stage_at(&drive, &shard, cell, order(11)).await.unwrap();
        }
        leave(&drive, &shard, 10).await;
        seal_at(&drive, &shard, order(11)).await.unwrap();
        assert!(holds(&drive, &shard).await);
        // A leave between the cells and their seal.
        let other = self::shard(2, 0);
        for cell in 0..other.cells.len() {
            stage_at(&drive, &other, cell, order(11)).await.unwrap();
        }
        leave(&drive, &other, 12).await;
        let late = seal_at(&drive, &other, order(11)).await;
        assert_eq!(late, Err(DriveError::Purged));
        drive.audit().unwrap();
    });
}

#[test]
fn seals_and_leaves_of_one_batch_count_in_their_order() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = shard(1, 0);
        for cell in 0..shard.cells.len() {
            stage_at(&drive, &shard, cell, order(11)).await.unwrap();
        }
        let (_, sealed, ()) = futures::join!(
            leave(&drive, &shard, 10),
            seal_at(&drive, &shard, order(11)),
            leave(&drive, &shard, 10),
        );
        sealed.unwrap();
        assert!(holds(&drive, &shard).await);
        let drive = rig.crash(drive).await;
        assert!(holds(&drive, &shard).await);
    });
}

/// The claim asks for it: an index whose mark is behind is an old copy.
#[test]
fn the_highest_order_that_a_drive_was_told_survives_crashes_and_claims() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let (gone, moved) = (shard(1, 0), shard(2, 0));
        put(&drive, &gone).await.unwrap();
        put(&drive, &moved).await.unwrap();
        assert_eq!(drive.status().told, Order::ZERO, "writers tell nothing");
        let purge = |sequence| DriveRequest::Purge {
            order: order(sequence),
            writes: vec![gone.write],
        };
        ask(&drive, purge(10)).await.unwrap();
        ask(&drive, purge(9)).await.unwrap();
        assert_eq!(drive.status().told, order(10));
        leave(&drive, &moved, 11).await;
        bring(&drive, &moved, 12).await.unwrap();
        assert_eq!(drive.status().told, order(12));
        let drive = rig.crash(drive).await;
        assert_eq!(drive.status().told, order(12));
        claim(&drive, 1, 1).await.unwrap();
        drive.close().await;
        let drive = rig.open().await.unwrap();
        assert_eq!(drive.status().told, order(12), "from the checkpoint");
    });
}
