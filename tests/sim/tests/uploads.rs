//! Goal: an upload that nobody continues ends at its age, and no other one.
//! Method: a quiet simulated cluster under virtual time; minutes pass between the parts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    CompleteUpload, CreateUpload, Incoming, ListObjects, ListUploads, NamedPart, PutPart,
    WriteConditions,
};
use holdfast_gateway::{GatewayError, ObjectKey};
use holdfast_index::MemoryIndex;
use holdfast_protocol::{ETag, IndexId, Metadata};
use holdfast_sim::cluster::Cluster;
use holdfast_sim::dice::Dice;
use holdfast_sim::exec::{Exec, OUTSIDE};
use holdfast_sim::gateway::{Gateway, Progress, Running, Start};
use holdfast_sim::load::bucket;
use holdfast_sim::plan::Plan;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs `work` beside a cluster whose uploads are abandoned at `age`.
fn simulate<F: Future<Output = ()> + Send + 'static>(
    age: Duration,
    work: impl FnOnce(Exec, Arc<Running>) -> F + Send + 'static,
) {
    let plan = Plan {
        upload_age: age,
        faults: Vec::new(),
        ..Plan::new(5)
    };
    let mut dice = Dice::new(5);
    let exec = Exec::new(dice.fork());
    let mut cluster = Cluster::new(exec.clone(), &plan, dice.fork());
    (0..plan.nodes).for_each(|node| cluster.start(node));
    let cluster = Arc::new(Mutex::new(cluster));
    let (is_done, outside) = (Arc::new(AtomicBool::new(false)), exec.clone());
    let told = Arc::clone(&is_done);
    let test = async move {
        let running = serving(&outside, &cluster).await;
        let made = running
            .service
            .create_bucket(&bucket(), "owner", Default::default())
            .await;
        made.unwrap();
        work(outside, running).await;
        told.store(true, Ordering::SeqCst);
    };
    exec.spawn(OUTSIDE, "test", Box::pin(test));
    while !is_done.load(Ordering::SeqCst) {
        exec.step().unwrap();
    }
    exec.shut_down();
}

/// Starts gateways until one serves: nodes may be slower than the first.
async fn serving(exec: &Exec, cluster: &Mutex<Cluster>) -> Arc<Running> {
    loop {
        let memory = MemoryIndex::new(IndexId::new(1));
        let gateway = Gateway::start(&mut cluster.lock().unwrap(), memory, Start::Normal, None);
        loop {
            exec.sleep(Duration::from_millis(50)).await;
            match gateway.progress() {
                Progress::Serving(running) => return running,
                Progress::Starting => {}
                Progress::Failed(_) => break,
            }
        }
        exec.kill(gateway.process);
    }
}

fn key() -> ObjectKey {
    ObjectKey::parse("k").unwrap()
}

async fn create(running: &Running) -> String {
    let create = CreateUpload {
        bucket: bucket(),
        key: key(),
        metadata: Metadata::default(),
        checksum: None,
        by: Caller::Anonymous,
    };
    running.service.create_upload(create).await.unwrap().id
}

async fn put_part(running: &Running, upload: &str) -> Result<ETag, GatewayError> {
    let bytes = Bytes::from(vec![7; 20_000]);
    let len = Some(bytes.len() as u64);
    let put = PutPart {
        bucket: bucket(),
        key: key(),
        upload: upload.to_owned(),
        number: 1,
        body: Incoming {
            stream: futures::stream::iter([Ok(bytes)]).boxed(),
            len,
            checksum: None,
            claims: Box::new(|| Ok(Default::default())),
        },
        by: Caller::Anonymous,
    };
    Ok(running.service.put_part(put).await?.etag)
}

async fn complete(running: &Running, upload: &str, etag: ETag) -> Result<(), GatewayError> {
    let part = NamedPart {
        number: 1,
        etag: etag.to_string(),
        checksum: None,
    };
    let done = CompleteUpload {
        bucket: bucket(),
        key: key(),
        upload: upload.to_owned(),
        parts: vec![part],
        checksum: None,
        checksum_type: None,
        len: None,
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    };
    running.service.complete_upload(done).await.map(drop)
}

async fn open_uploads(running: &Running) -> Vec<String> {
    let list = ListUploads {
        keys: ListObjects {
            bucket: bucket(),
            prefix: String::new(),
            delimiter: None,
            after: None,
            max: 100,
        },
        after_upload: None,
    };
    let page = running.service.list_uploads(list).await.unwrap();
    page.uploads
        .into_iter()
        .map(|upload| upload.upload)
        .collect()
}

#[test]
fn an_upload_ends_at_its_age_and_one_that_is_continued_does_not() {
    simulate(6 * MINUTE, |exec, running| async move {
        let left = create(&running).await;
        put_part(&running, &left).await.unwrap();
        let continued = create(&running).await;
        for _ in 0..4 {
            exec.sleep(5 * MINUTE).await;
            put_part(&running, &continued).await.unwrap();
        }
        let open = open_uploads(&running).await;
        assert_eq!(open, std::slice::from_ref(&continued));
        let gone = put_part(&running, &left).await;
        assert!(
            matches!(gone, Err(GatewayError::NoSuchUpload { .. })),
            "{gone:?}"
        );
        let etag = put_part(&running, &continued).await.unwrap();
        complete(&running, &continued, etag).await.unwrap();
        exec.sleep(12 * MINUTE).await;
        let conditions = Default::default();
        let head = running
            .service
            .head(&bucket(), &key(), None, None, &conditions)
            .await;
        assert_eq!(head.unwrap().len, 20_000, "a completed upload is none");
    });
}

#[test]
fn an_upload_is_left_alone_before_its_age() {
    simulate(6 * MINUTE, |exec, running| async move {
        let upload = create(&running).await;
        exec.sleep(6 * MINUTE - MINUTE / 6).await;
        assert_eq!(open_uploads(&running).await, [upload]);
        exec.sleep(MINUTE).await;
        assert!(open_uploads(&running).await.is_empty());
    });
}

#[test]
fn with_age_zero_uploads_are_kept() {
    simulate(Duration::ZERO, |exec, running| async move {
        let upload = create(&running).await;
        exec.sleep(30 * MINUTE).await;
        assert_eq!(open_uploads(&running).await, [upload]);
    });
}
