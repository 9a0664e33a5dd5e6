//! A gateway over drives in memory, under a calendar of the test's own.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::metrics::LifecycleMetrics;
use holdfast_gateway::object::types::{
    ChangeObject, CreateUpload, ListObjects, ListUploads, ListVersions, ListedVersion, VersionId,
};
use holdfast_gateway::object::{Classes, Objects, Service};
use holdfast_gateway::settings::{Lifecycle, Settings};
use holdfast_index::{Index, MemoryIndex, ScanLimit, Table};
use holdfast_protocol::{Geometry, IndexId, Metadata};
use holdfast_seam::{Clock, Monotonic, RealClock};
use holdfast_workers::ClaimOptions;
use prometheus::Registry;

use crate::operations::requests::{delete_of, put_of};
use crate::operations::{bucket, object_key, service};
use crate::support::{Cluster, Running};

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;
/// Some time in the afternoon.
const START: u64 = 20_000 * DAY + 15 * HOUR;

/// Real time, but for the date.
#[derive(Debug)]
pub struct Calendar {
    real: RealClock,
    now_ms: AtomicU64,
}

impl Clock for Calendar {
    fn now(&self) -> Monotonic {
        self.real.now()
    }
    fn unix_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.real.sleep(duration)
    }
}

impl Calendar {
    pub fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A cluster under a calendar, and its gateway.
pub struct Gateway {
    pub cluster: Cluster,
    pub running: Option<Running>,
    pub calendar: Arc<Calendar>,
    pub service: Service,
    pub metrics: LifecycleMetrics,
    registry: Registry,
    pub day_ms: u64,
}

fn all_keys() -> ListObjects {
    ListObjects {
        bucket: bucket(),
        prefix: String::new(),
        delimiter: None,
        after: None,
        max: 10_000,
    }
}

/// One that is cut otherwise, and one that is not.
fn classes() -> Classes {
    let geometry = |text| Geometry::parse(text).unwrap();
    let given = [("NARROW", "1+1"), ("SAME", "2+1")];
    let given = given.map(|(name, text)| (name.to_owned(), geometry(text)));
    Classes::new(geometry("2+1"), given).unwrap()
}

impl Gateway {
    pub async fn start(day_ms: u64) -> Self {
        let mut cluster = Cluster::new("2+1", 4);
        let calendar = Arc::new(Calendar {
            real: RealClock::new(),
            now_ms: AtomicU64::new(START),
        });
        cluster.world.clock = Arc::clone(&calendar) as _;
        let running = cluster.start().await;
        let registry = Registry::new();
        Self {
            service: service(&running)
                .with_lifecycle_day(Duration::from_millis(day_ms))
                .with_classes(classes()),
            running: Some(running),
            cluster,
            calendar,
            metrics: LifecycleMetrics::register(&registry).unwrap(),
            registry,
            day_ms,
        }
    }

    /// Is killed, and starts again.
    pub async fn restart(&mut self) {
        let running = self.running.take().unwrap();
        self.cluster.kill(running).await;
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        let running = self.cluster.start().await;
        let day = Duration::from_millis(self.day_ms);
        let service = service(&running).with_lifecycle_day(day);
        self.service = service.with_classes(classes());
        self.running = Some(running);
    }

    /// Ends, loses the index, and starts on one that is made anew from the drives.
    pub async fn rebuild(&mut self) {
        let running = self.running.take().unwrap();
        running.until_quiet().await;
        self.cluster.kill(running).await;
        self.cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
        let options = ClaimOptions {
            takeover: true,
            ..ClaimOptions::default()
        };
        self.cluster.open(&options, Some(false)).await.unwrap();
        self.start_again().await;
    }

    pub fn now_ms(&self) -> u64 {
        self.calendar.unix_ms()
    }

    pub async fn set(&self, edit: impl FnOnce(&mut Settings) + Send + 'static) {
        let edit = move |settings: &mut Settings| {
            edit(settings);
            Ok(())
        };
        let edit = Box::new(edit);
        self.service.configure(&bucket(), edit).await.unwrap();
    }

    pub async fn rules(&self, rules: Option<Lifecycle>) {
        self.set(|settings| settings.lifecycle = rules).await;
    }

    pub async fn put(&self, key: &str, len: u64) -> Option<VersionId> {
        let put = put_of(key, &vec![7; len as usize]);
        self.service.put(put).await.unwrap().version
    }

    pub async fn delete(&self, key: &str, version: Option<VersionId>) -> Option<VersionId> {
        let delete = delete_of(key, version);
        self.service.delete(delete).await.unwrap().version
    }

    pub async fn change(&self, key: &str, version: VersionId, name: &'static str, value: String) {
        let change = ChangeObject {
            bucket: bucket(),
            key: object_key(key),
            version: Some(version),
            edit: Box::new(move |metadata, _, _| {
                metadata.set(name, value);
                Ok(())
            }),
            by: Caller::Anonymous,
        };
        self.service.change(change).await.unwrap();
    }

    pub async fn open_upload(&self, key: &str) -> String {
        let create = CreateUpload {
            bucket: bucket(),
            key: object_key(key),
            metadata: Metadata::default(),
            checksum: None,
            by: Caller::Anonymous,
        };
        self.service.create_upload(create).await.unwrap().id
    }

    /// Keys on which a rule could not be carried out, so far.
    pub fn failures(&self) -> u64 {
        let found = self.registry.gather().into_iter();
        let mut found = found.filter(|each| each.name() == "holdfast_lifecycle_failures_total");
        found.next().unwrap().get_metric()[0]
            .get_counter()
            .get_value() as u64
    }

    pub async fn round(&self) {
        let service = &self.service;
        service.backfill_lifecycle(&self.metrics).await.unwrap();
        service.expire(&self.metrics).await.unwrap();
    }

    pub async fn versions(&self) -> Vec<ListedVersion> {
        let list = ListVersions {
            keys: all_keys(),
            after_version: None,
        };
        self.service.list_versions(list).await.unwrap().versions
    }

    pub async fn uploads(&self) -> Vec<(String, String)> {
        let list = ListUploads {
            keys: all_keys(),
            after_upload: None,
        };
        let page = self.service.list_uploads(list).await.unwrap();
        let uploads = page.uploads.into_iter();
        let mut uploads: Vec<_> = uploads.map(|each| (each.key, each.upload)).collect();
        uploads.sort();
        uploads
    }

    /// The entries of the queue.
    pub async fn queued(&self) -> usize {
        let limit = ScanLimit::rows(100_000);
        let scan = self
            .cluster
            .index
            .scan(Table::Due, Bound::Unbounded, Bound::Unbounded, limit);
        scan.await.unwrap().rows.len()
    }
}
