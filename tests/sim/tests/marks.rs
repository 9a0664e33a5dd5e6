//! Goal: what is deleted stays deleted when a drive loses the newest entries of its log, and
//! nothing before them, and then the index is lost, too.
//! Method: a quiet simulated cluster; a small object is written, deleted and purged; the process
//! of a drive that had a copy ends, all that its log says since the copy is damaged, and a new
//! index is rebuilt from all drives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    DeleteConditions, DeleteObject, Incoming, PutObject, WriteConditions,
};
use holdfast_gateway::{GatewayError, ObjectKey};
use holdfast_index::MemoryIndex;
use holdfast_protocol::drive::log::BATCH_HEADER_LEN;
use holdfast_protocol::drive::{BatchHeader, Entry, EntryHead, PAGE_LEN};
use holdfast_protocol::{IndexId, Metadata, RecordKind, WriteId};
use holdfast_sim::SimDisk;
use holdfast_sim::cluster::{Cluster, drive_dir};
use holdfast_sim::dice::Dice;
use holdfast_sim::exec::{Exec, OUTSIDE};
use holdfast_sim::gateway::{Gateway, Progress, REBUILT, Running, Start};
use holdfast_sim::load::bucket;
use holdfast_sim::plan::Plan;

const MINUTE: Duration = Duration::from_secs(60);

type Nodes = Arc<Mutex<Cluster>>;

/// An entry of a drive's log.
#[derive(Debug)]
struct Found {
    batch: u64,
    /// Where its batch begins, and its fields are, in the first arena.
    places: [u64; 2],
    entry: Entry,
}

fn simulate<F: Future<Output = ()> + Send + 'static>(
    work: impl FnOnce(Exec, Nodes) -> F + Send + 'static,
) {
    let plan = Plan {
        faults: Vec::new(),
        lease: None,
        ..Plan::new(5)
    };
    let mut dice = Dice::new(5);
    let exec = Exec::new(dice.fork());
    let mut cluster = Cluster::new(exec.clone(), &plan, dice.fork());
    (0..plan.nodes).for_each(|node| cluster.start(node));
    let is_done = Arc::new(AtomicBool::new(false));
    let (told, outside) = (Arc::clone(&is_done), exec.clone());
    let cluster = Arc::new(Mutex::new(cluster));
    let test = async move {
        work(outside, cluster).await;
        told.store(true, Ordering::SeqCst);
    };
    exec.spawn(OUTSIDE, "test", Box::pin(test));
    while !is_done.load(Ordering::SeqCst) {
        exec.step().unwrap();
    }
    exec.shut_down();
}

/// Starts gateways until one serves, or has rebuilt.
async fn started(exec: &Exec, cluster: &Nodes, index: &MemoryIndex, how: Start) -> Gateway {
    loop {
        let memory = index.snapshot();
        let gateway = Gateway::start(&mut cluster.lock().unwrap(), memory, how, None);
        loop {
            exec.sleep(Duration::from_millis(50)).await;
            match gateway.progress() {
                Progress::Serving(_) => return gateway,
                Progress::Starting => {}
                Progress::Failed(why) if why == REBUILT => return gateway,
                Progress::Failed(_) => break,
            }
        }
        exec.kill(gateway.process);
    }
}

fn running(gateway: &Gateway) -> Arc<Running> {
    match gateway.progress() {
        Progress::Serving(running) => running,
        other => panic!("{other:?}"),
    }
}

fn key() -> ObjectKey {
    ObjectKey::parse("k").unwrap()
}

async fn create_bucket(running: &Running) {
    let made = running
        .service
        .create_bucket(&bucket(), "owner", Default::default())
        .await;
    made.unwrap();
}

async fn put(running: &Running) {
    let bytes = Bytes::from(vec![7; 100]);
    let len = Some(bytes.len() as u64);
    let put = PutObject {
        bucket: bucket(),
        key: key(),
        metadata: Metadata::default(),
        body: Incoming {
            stream: futures::stream::iter([Ok(bytes)]).boxed(),
            len,
            checksum: None,
            claims: Box::new(|| Ok(Default::default())),
        },
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    };
    running.service.put(put).await.unwrap();
}

async fn delete(running: &Running) {
    let delete = DeleteObject {
        bucket: bucket(),
        key: key(),
        version: None,
        conditions: DeleteConditions::default(),
        bypass: false,
        by: Caller::Anonymous,
    };
    running.service.delete(delete).await.unwrap();
}

async fn is_there(running: &Running) -> bool {
    let conditions = Default::default();
    let found = running
        .service
        .head(&bucket(), &key(), None, None, &conditions)
        .await;
    match found {
        Ok(_) => true,
        Err(GatewayError::NoSuchKey { .. }) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// What the log says that lies in a disk's first arena.
fn entries(disk: &SimDisk) -> Vec<Found> {
    let bytes = disk.contents(&drive_dir().join("space.0")).unwrap();
    let mut found = Vec::new();
    for page in (0..bytes.len()).step_by(PAGE_LEN as usize) {
        let Ok(header) = BatchHeader::decode(&bytes[page..], 1 << 20) else {
            continue;
        };
        let mut at = page + BATCH_HEADER_LEN;
        while at < page + header.len as usize {
            let head = EntryHead::decode(&bytes[at..]).unwrap();
            let next = at + head.padded_len();
            found.push(Found {
                batch: header.batch,
                places: [page as u64, at as u64],
                entry: head.entry,
            });
            at = next;
        }
    }
    found
}

/// The batch in which `write` was sealed with a body, if any was.
fn commit(disk: &SimDisk) -> Option<(WriteId, u64)> {
    entries(disk).iter().find_map(|found| match &found.entry {
        Entry::Seal(seal) if seal.kind == RecordKind::Commit => Some((seal.write, found.batch)),
        _ => None,
    })
}

/// Damages all batches behind the one in which an object was sealed.
fn forget_what_followed(disk: &SimDisk) {
    let (write, batch) = commit(disk).unwrap();
    let mut later = entries(disk);
    later.retain(|found| found.batch > batch);
    let is_purge = |found: &Found| match &found.entry {
        Entry::Purge { writes, .. } => writes.contains(&write),
        _ => false,
    };
    assert!(later.iter().any(is_purge), "it was purged after that");
    for at in later.iter().flat_map(|found| found.places) {
        assert!(disk.flip(&drive_dir().join("space.0"), at + 9, 1));
    }
}

#[test]
fn a_drive_that_lost_what_it_was_told_last_brings_nothing_back() {
    simulate(|exec, cluster| async move {
        let index = MemoryIndex::new(IndexId::new(1));
        let gateway = started(&exec, &cluster, &index, Start::Normal).await;
        let first = running(&gateway);
        create_bucket(&first).await;
        put(&first).await;
        delete(&first).await;
        exec.sleep(MINUTE).await;
        exec.kill(gateway.process);
        let node = {
            let mut cluster = cluster.lock().unwrap();
            let nodes = 0..cluster.nodes.len();
            let held = |node: &usize| commit(&cluster.nodes[*node].drives[0].disk).is_some();
            let node = nodes.into_iter().find(held).unwrap();
            cluster.kill(node);
            let disk = &cluster.nodes[node].drives[0].disk;
            forget_what_followed(disk);
            cluster.start(node);
            node
        };
        exec.sleep(Duration::from_secs(5)).await;
        let found = cluster
            .lock()
            .unwrap()
            .report(node)
            .drives
            .remove(0)
            .status();
        let index = MemoryIndex::new(IndexId::new(2));
        let gateway = started(&exec, &cluster, &index, Start::Rebuild).await;
        let rebuilt = gateway.index.snapshot();
        exec.kill(gateway.process);
        let gateway = started(&exec, &cluster, &rebuilt, Start::Normal).await;
        assert!(!is_there(&running(&gateway)).await, "{found:?}");
        assert!(found.partial, "{found:?}");
    });
}
