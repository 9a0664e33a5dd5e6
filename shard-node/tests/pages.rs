//! Goal: shards whose cells do not end at pages are whole, wherever a cell begins.
//! Method: a drive over the simulated disk, which takes whole pages only; cells are staged one by
//! one or at once, with and without the length of the shard, and read back before and after a
//! crash.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use holdfast_protocol::rpc::DriveRequest;
use holdfast_protocol::*;
use support::rig::*;
use support::*;

/// Lengths of cells, none of them pages.
const CELLS: [&[usize]; 6] = [
    &[5_000, 5_000, 5_000, 777],
    &[4_097, 4_095],
    &[700, 700, 700, 700, 700, 700, 700, 64],
    &[174_763, 174_763, 9],
    &[1],
    &[8_191, 8_191, 2],
];

async fn staged(drive: &holdfast_shard_node::Drive, shard: &Shard, hint: Option<u64>) {
    let calls = shard.cells.iter().map(|cell| {
        ask(
            drive,
            DriveRequest::Stage {
                write: shard.write,
                shard: shard.index,
                len_hint: hint,
                admitted: Order::ZERO,
                cell: cell.clone(),
            },
        )
    });
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
}

#[test]
fn cells_that_end_within_a_page_are_read_back_before_and_after_a_crash() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let mut shards = Vec::new();
        for (n, cells) in CELLS.iter().enumerate() {
            let base = 10 * n as u64;
            let with_last = Shard::new(write_id(base + 1), 0, cells);
            put(&drive, &with_last).await.unwrap();
            shards.push(with_last);
            for (id, hint) in [(2, false), (3, true)] {
                let shard = Shard::new(write_id(base + id), 1, cells);
                staged(&drive, &shard, hint.then(|| shard.len())).await;
                let record = coded_record(shard.write, 2 * shard.len());
                let sealed = seal(&drive, record, Some(shard.seal(None))).await;
                sealed.unwrap();
                shards.push(shard);
            }
        }
        for shard in &shards {
            assert_eq!(read_all(&drive, shard).await.unwrap(), shard.bytes());
        }
        drive.audit().unwrap();
        let drive = rig.crash(drive).await;
        for shard in &shards {
            assert_eq!(read_all(&drive, shard).await.unwrap(), shard.bytes());
        }
        drive.audit().unwrap();
    });
}

#[test]
fn a_length_hint_that_was_too_short_loses_nothing() {
    world::run(async {
        let (rig, drive) = Rig::new(config()).await;
        let shard = Shard::new(write_id(1), 0, &[5_000, 5_000, 123]);
        for cell in 0..2 {
            // Says each time that this was all.
            let request = DriveRequest::Stage {
                write: shard.write,
                shard: shard.index,
                len_hint: Some(5_000 * (cell as u64 + 1)),
                admitted: Order::ZERO,
                cell: shard.cells[cell].clone(),
            };
            ask(&drive, request).await.unwrap();
        }
        stage(&drive, &shard, 2).await.unwrap();
        let record = coded_record(shard.write, 2 * shard.len());
        seal(&drive, record, Some(shard.seal(None))).await.unwrap();
        let drive = rig.crash(drive).await;
        assert_eq!(read_all(&drive, &shard).await.unwrap(), shard.bytes());
    });
}
