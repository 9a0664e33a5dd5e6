//! Multipart uploads through claims, rebuilds and purges.
//!
//! Goal: uploads, parts and completed versions come through a crash at each step as the design
//! says.
//! Method: as in `cluster.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use holdfast_index::{Index, MemoryIndex, ScanLimit, Table, rows};
use support::{BUCKET, Cluster, body};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_its_parts_come_to_light_at_the_next_claim() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let known = running.create_upload("k", true).await;
    running.put_part(&known, 1, &body(1, 5000), true).await;
    running.put_part(&known, 1, &body(2, 6000), false).await;
    let unknown = running.create_upload("k", false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(running.merged.shown, 2, "{:?}", running.merged);
    let upload = known.manifest.write;
    let part = rows::get_part(&*running.index, upload, 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(part.manifest.len, 6000, "the newer part covers the older");
    assert!(
        rows::find_upload(&*running.index, unknown.manifest.write)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        rows::get_usage(&*running.index, BUCKET)
            .await
            .unwrap()
            .uploads,
        2
    );
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_comes_to_light_with_its_parts() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let upload = running.create_upload("k", true).await;
    let one = running.put_part(&upload, 1, &body(1, 5000), true).await;
    let two = running.put_part(&upload, 2, &body(2, 5000), true).await;
    running.put_part(&upload, 3, &body(3, 5000), true).await;
    let version = running.complete(&upload, &[one, two], false).await;
    cluster.kill(running).await;
    let running = cluster.start().await;
    assert_eq!(
        running.row("k").await.unwrap().manifest.write,
        version.manifest.write
    );
    let row = rows::find_upload(&*running.index, upload.manifest.write)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.completed.unwrap().write, version.manifest.write);
    let usage = rows::get_usage(&*running.index, BUCKET).await.unwrap();
    assert_eq!(
        (usage.objects(), usage.bytes(), usage.uploads),
        (1, 10_000, 0)
    );
    let third = rows::get_part(&*running.index, upload.manifest.write, 3)
        .await
        .unwrap();
    assert!(third.is_none(), "the part that it does not name is retired");
    running.until_quiet().await;
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilt_uploads_equal_those_that_were_lost() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let done = running.create_upload("done", true).await;
    let part = running.put_part(&done, 1, &body(1, 5000), true).await;
    running.complete(&done, &[part], true).await;
    let open = running.create_upload("open", true).await;
    running.put_part(&open, 7, &body(2, 5000), true).await;
    let gone = running.create_upload("gone", true).await;
    let part = running.put_part(&gone, 1, &body(3, 5000), true).await;
    let parts = [part];
    let version = running.complete(&gone, &parts, true).await;
    running
        .delete_completed(&version, gone.manifest.write, &parts)
        .await;
    running.until_quiet().await;
    let old = dump(&running.index).await;
    running.workers.stop().await;
    cluster.rebuild(2).await.unwrap();
    assert_eq!(dump(&cluster.index).await, old);
}

/// Uploads, parts and usage, copies in a fixed order.
async fn dump(index: &MemoryIndex) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        Table::Current,
        Table::Upload,
        Table::Part,
        Table::Usage,
        Table::Bucket,
    ] {
        let ends = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let scan = index
            .scan(table, ends.0, ends.1, ScanLimit::rows(1000))
            .await
            .unwrap();
        for (key, row) in scan.rows {
            let value = match table {
                Table::Upload if holdfast_index::keys::parse_upload(&key).is_some() => {
                    let mut upload = holdfast_protocol::UploadRow::decode(&row.value).unwrap();
                    upload.placement.holders.sort_unstable();
                    upload.encode()
                }
                Table::Current => {
                    let mut version = holdfast_protocol::VersionRow::decode(&row.value).unwrap();
                    version.placement.holders.sort_unstable();
                    version.encode()
                }
                _ => row.value,
            };
            all.push(format!("{table:?} {key:?} {:?} {value:?}", row.order));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_does_not_open_again_while_its_version_is_being_purged() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let upload = running.create_upload("k", true).await;
    let part = running.put_part(&upload, 1, &body(1, 50_000), true).await;
    let parts = [part];
    let version = running.complete(&upload, &parts, true).await;
    running.until_quiet().await;
    // One holder of the upload is down while everything is purged.
    let down = upload.placement.holders[0];
    cluster.drive(down).set_down(true);
    running
        .until("it is seen", || async {
            !running.store.drives().is_reachable(down)
        })
        .await;
    running
        .delete_completed(&version, upload.manifest.write, &parts)
        .await;
    let others = || cluster.drives.iter().filter(|drive| drive.id != down);
    running
        .until("the others dropped the part", || async {
            others().all(|drive| !drive.holds(parts[0].manifest.write))
        })
        .await;
    running.workers.stop().await;
    cluster.drive(down).set_down(false);
    let (_, report) = cluster.rebuild(2).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    let found = rows::find_upload(&*cluster.index, upload.manifest.write)
        .await
        .unwrap();
    assert!(found.is_none(), "the upload stays completed and deleted");
    assert!(
        rows::get_current(&*cluster.index, BUCKET, "k")
            .await
            .unwrap()
            .is_none()
    );
}
