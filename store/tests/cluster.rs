//! The store over real drives in one process.
//!
//! Goal: what was sealed is read byte for byte, whole and in ranges, with up to m drives gone; what
//! cannot reach its quorum leaves nothing. Method: six drives in a temporary directory, called in
//! process.

#![allow(clippy::unwrap_used, clippy::panic)]

mod harness;

use std::collections::BTreeSet;

use harness::{CLUSTER, Cluster, body};
use holdfast_protocol::{ByteRange, Geometry, GroupId, MapDrive, NodeId, Order};
use holdfast_store::StoreError;
use holdfast_store::placement::compute_map;
use holdfast_store::rebuild::Target;

const MIB: usize = 1 << 20;
const LENGTHS: [usize; 9] = [
    0,
    1,
    4096,
    32 << 10,
    (32 << 10) + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    3 * MIB + 77_777,
];

fn geometry(data: u8, parity: u8) -> Geometry {
    Geometry::new(data, parity).unwrap()
}

async fn check_ranges(cluster: &Cluster, row: &holdfast_protocol::VersionRow, whole: &[u8]) {
    let len = whole.len() as u64;
    let ranges = [
        (0, len),
        (0, 1),
        (len / 2, len / 2 + 4096),
        (len.saturating_sub(10), len),
        (5, 5),
    ];
    for (start, end) in ranges {
        let (start, end) = (start.min(len), end.min(len));
        let got = cluster.get(row, ByteRange::new(start, end)).await.unwrap();
        let end = end.max(start);
        assert!(
            got == whole[start as usize..end as usize],
            "{start}..{end} of {len}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_lengths_are_read_back_whole_degraded_and_in_ranges() {
    for (k, m) in [(4, 2), (3, 2), (1, 1), (2, 4)] {
        let mut cluster = Cluster::start(geometry(k, m), u64::from(k + m)).await;
        for (n, len) in LENGTHS.into_iter().enumerate() {
            let bytes = body(len, n as u64);
            let row = cluster.put(&bytes, 70_001, n % 2 == 0).await.unwrap();
            assert_eq!(row.placement.missing, 0);
            check_ranges(&cluster, &row, &bytes).await;
            cluster.detach(usize::from(m));
            check_ranges(&cluster, &row, &bytes).await;
            cluster.attach_all();
        }
        cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_with_one_drive_gone_is_acknowledged_with_its_shard_missing() {
    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    let gone = cluster.detach(1);
    let bytes = body(2 * MIB + 5, 3);
    let row = cluster.put(&bytes, MIB, true).await.unwrap();
    assert_eq!(row.placement.missing.count_ones(), 1);
    let at = row.placement.missing.trailing_zeros() as usize;
    assert_eq!(row.placement.holders[at], gone[0]);
    check_ranges(&cluster, &row, &bytes).await;
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_drives_gone_stop_large_writes_but_not_small_ones() {
    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    cluster.detach(2);
    let error = cluster.put(&body(MIB, 1), MIB, true).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::WriteQuorum {
                acked: 4,
                needed: 5,
                sent: false,
                ..
            }
        ),
        "{error:?}"
    );
    let bytes = body(4096, 2);
    let row = cluster.put(&bytes, 4096, true).await.unwrap();
    assert_eq!(row.placement.holders.len(), 3);
    check_ranges(&cluster, &row, &bytes).await;
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_drives_that_hang_are_read_around() {
    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    for (seed, len) in [4096, 3 * MIB].into_iter().enumerate() {
        let bytes = body(len, seed as u64);
        let row = cluster.put(&bytes, MIB, true).await.unwrap();
        let hedged = cluster.metrics.hedged_reads.get();
        // Of every two of three copies one is asked first sooner or later: try each pair.
        for skip in 0..3 {
            let holders = row.placement.holders.iter().take(3).enumerate();
            let silent: Vec<_> = holders
                .filter(|(at, _)| *at != skip)
                .map(|(_, id)| *id)
                .collect();
            cluster.silence(&silent);
            check_ranges(&cluster, &row, &bytes).await;
            cluster.attach_all();
        }
        assert!(
            cluster.metrics.hedged_reads.get() > hedged,
            "nothing was slow"
        );
    }
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_outside_the_group_takes_the_shard_of_one_that_is_gone() {
    let mut cluster = Cluster::start(geometry(4, 2), 8).await;
    let gone = cluster.detach(1);
    for seed in 0..20 {
        let bytes = body(MIB, seed);
        let row = cluster.put(&bytes, MIB, true).await.unwrap();
        assert_eq!(row.placement.missing, 0);
        assert!(!row.placement.holders.contains(&gone[0]));
    }
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn substitutes_share_no_node_with_another_shard_if_that_can_be() {
    let cluster = Cluster::start(geometry(4, 2), 10).await;
    // Five nodes with two drives each: a group has two drives on one of them.
    let map = cluster.store.map();
    let drives = map.drives.iter().map(|drive| MapDrive {
        node: NodeId::new(drive.id.get() % 5),
        ..drive.clone()
    });
    let spread = compute_map(CLUSTER, map.version, map.geometry, drives.collect()).unwrap();
    cluster.store.set_map(spread);
    let narrow = geometry(4, 1);
    let mut inside = 0;
    for number in 0..200 {
        let group = GroupId::new(number);
        let (drives, own) = (
            cluster.store.group(group),
            cluster.store.plan(group, narrow),
        );
        let gone = own[usize::from(number) % own.len()];
        cluster.store.drives().detach(gone);
        let plan = cluster.store.plan(group, narrow);
        cluster.store.drives().attach(gone, cluster.node.clone());
        assert!(!plan.contains(&gone));
        let nodes: BTreeSet<u64> = plan.iter().map(|drive| drive.get() % 5).collect();
        assert_eq!(nodes.len(), 5, "{group:?}: {plan:?} without {gone}");
        inside += usize::from(plan.iter().all(|drive| drives.contains(drive)));
    }
    assert!(
        inside > 0,
        "where it makes no difference, the group's own go first"
    );
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_drives_gone_end_a_read_in_an_error_not_in_bytes() {
    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    let bytes = body(2 * MIB, 4);
    let row = cluster.put(&bytes, MIB, true).await.unwrap();
    cluster.detach(3);
    let error = cluster
        .get(&row, ByteRange::new(0, 2 * MIB as u64))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::ReadQuorum {
                good: 3,
                needed: 4,
                ..
            }
        ),
        "{error:?}"
    );
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilt_shards_equal_those_that_were_lost() {
    let mut cluster = Cluster::start(geometry(4, 2), 8).await;
    let bytes = body(3 * MIB + 9, 5);
    let mut row = cluster.put(&bytes, MIB, false).await.unwrap();
    let spare: Vec<_> = cluster
        .ids
        .iter()
        .filter(|id| !row.placement.holders.contains(id))
        .copied()
        .collect();
    let lost = [0_u8, 5];
    for &shard in &lost {
        cluster
            .store
            .drives()
            .detach(row.placement.holders[usize::from(shard)]);
    }
    let targets = [
        Target {
            shard: 0,
            drive: spare[0],
        },
        Target {
            shard: 5,
            drive: spare[1],
        },
    ];
    let written = cluster
        .store
        .rebuild(&row, &targets, Order::ZERO)
        .await
        .unwrap();
    assert!(written > 0);
    for target in targets {
        row.placement.holders[usize::from(target.shard)] = target.drive;
    }
    // Now two others go: what was rebuilt must carry the reads.
    cluster.store.drives().detach(row.placement.holders[1]);
    cluster.store.drives().detach(row.placement.holders[2]);
    check_ranges(&cluster, &row, &bytes).await;
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_fails_half_way_leaves_no_staged_bytes() {
    use bytes::Bytes;
    use futures::stream;
    use holdfast_protocol::rpc::{DriveReply, DriveRequest};
    use holdfast_store::BodyPlan;

    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    let write = cluster.next();
    let group = holdfast_protocol::GroupId::new(3);
    let plan = BodyPlan {
        write,
        group,
        len: Some(8 * MIB as u64),
        checksum: None,
        geometry: None,
    };
    let pieces = vec![
        Ok(Bytes::from(body(3 * MIB, 6))),
        Err(std::io::Error::other("the client went away")),
    ];
    let error = cluster
        .store
        .receive(plan, stream::iter(pieces))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Body(_)), "{error:?}");
    let deadline = std::time::Duration::from_secs(10);
    let until = std::time::Instant::now() + deadline;
    for &id in &cluster.ids {
        loop {
            let reply = cluster
                .store
                .drives()
                .call(id, deadline, DriveRequest::Status)
                .await;
            let Ok(DriveReply::Status(status)) = reply else {
                panic!("{reply:?}")
            };
            if status.records == 0 && status.used_bytes < MIB as u64 * 5 {
                break;
            }
            assert!(std::time::Instant::now() < until, "{status:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_never_served_and_the_healer_hears_of_it() {
    let mut cluster = Cluster::start(geometry(4, 2), 6).await;
    let bytes = body(2 * MIB, 8);
    let row = cluster.put(&bytes, MIB, true).await.unwrap();
    let at = cluster
        .ids
        .iter()
        .position(|id| *id == row.placement.holders[0])
        .unwrap();
    flip(&cluster.dirs[at], &bytes[1000..1064]);
    let got = cluster
        .get(&row, ByteRange::new(0, 2 * MIB as u64))
        .await
        .unwrap();
    assert!(got == bytes);
    let trouble = cluster.trouble.try_recv().unwrap();
    assert_eq!(trouble.drive, row.placement.holders[0]);
    assert_eq!(trouble.row.write(), row.manifest.write);
    cluster.close().await;
}

/// Flips one byte of the only place in a drive's files that holds `needle`.
fn flip(dir: &std::path::Path, needle: &[u8]) {
    use std::os::unix::fs::FileExt;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes
            .windows(needle.len())
            .position(|window| window == needle)
        {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
            return;
        }
    }
    panic!("the bytes are in no file of {}", dir.display());
}
