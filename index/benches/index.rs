//! Commits per second at 1, 16 and 64 clients; a get; a list of 1,000 keys.
//!
//! `cargo bench -p holdfast-index`. `HOLDFAST_BENCH_DIR` is where the index lies, else a temporary
//! directory.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_index::listing::{ListQuery, list_current};
use holdfast_index::{
    Batch, FjallConfig, FjallIndex, Index, IndexMetrics, Locks, Mode, ScanLimit, Table, keys, rows,
};
use holdfast_protocol::{
    Body, BucketId, DriveId, ETag, GatewayId, Generation, Geometry, Manifest, ManifestKind,
    MapVersion, Metadata, Order, Placement, VersionName, VersionRow, WriteId,
};
use tokio::runtime::Runtime;

const BUCKET: BucketId = BucketId::new(1);
const ROWS: u64 = 100_000;

/// A coded 4+2 version, about 400 bytes.
fn version(key: &str, counter: u64, order: Order) -> VersionRow {
    let drives: Vec<DriveId> = (1..=6).map(DriveId::new).collect();
    let manifest = Manifest {
        kind: ManifestKind::Version(VersionName::Null),
        bucket: BUCKET,
        key: key.to_owned(),
        write: WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        },
        order,
        version: order,
        map_version: MapVersion::new(1),
        created_ms: 1_700_000_000_000,
        len: 10 << 20,
        etag: ETag::default(),
        geometry: Geometry::new(4, 2).expect("4+2 is a geometry"),
        body: Body::Coded {
            drives: drives.clone(),
            digests: vec![counter; 6],
        },
        checksum: None,
        metadata: Metadata(vec![("content-type".into(), "text/plain".into())]),
    };
    VersionRow {
        manifest,
        placement: Placement {
            holders: drives,
            missing: 0,
            touched: Vec::new(),
        },
        changed: None,
    }
}

fn key(number: u64) -> String {
    format!("some/directory/file-{number:012}.bin")
}

/// What a PUT does to the index: read the current row, write the next one, count it.
async fn put(index: &Arc<FjallIndex>, number: u64) {
    let key = key(number);
    let locks = Locks::none()
        .bucket(BUCKET, Mode::Shared)
        .key(BUCKET, &*key);
    let mut transaction = index.begin(locks).await.expect("begin");
    let present = rows::get_current(&mut *transaction, BUCKET, &key).await;
    let new = present.expect("read").is_none();
    let order = transaction.take_order();
    let mut batch = Batch::new();
    let row = version(&key, number, order);
    batch.put_current(&row);
    if new {
        batch.count(&row.manifest, 1);
    }
    transaction.commit(batch).await.expect("commit");
}

async fn put_many(index: &Arc<FjallIndex>, clients: u64, puts: u64, first: u64) -> Duration {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let index = Arc::clone(index);
        tasks.spawn(async move {
            for number in (client..puts).step_by(clients as usize) {
                put(&index, first + number).await;
            }
        });
    }
    tasks.join_all().await;
    start.elapsed()
}

fn open() -> (Option<tempfile::TempDir>, PathBuf) {
    match std::env::var_os("HOLDFAST_BENCH_DIR") {
        Some(path) => (None, path.into()),
        None => {
            let directory = tempfile::tempdir().expect("temporary directory");
            let path = directory.path().to_owned();
            (Some(directory), path)
        }
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime");
    let (_directory, path) = open();
    let metrics = IndexMetrics::default();
    let config = FjallConfig::new(path);
    let index = FjallIndex::open(&config, metrics.clone()).expect("open");
    let index = Arc::new(index);
    let generation = Generation::new(index.generation().get() + 1);
    runtime.block_on(async {
        index.start_generation(generation).await.expect("start");
        index.end_merge().await.expect("merge");
    });
    println!("resident when opened: {} MiB", resident_mib());
    let took = runtime.block_on(put_many(&index, 256, ROWS, 0));
    let rate = ROWS as f64 / took.as_secs_f64();
    println!(
        "{ROWS} rows by 256 clients: {rate:.0} commits/s, {} syncs",
        metrics.syncs()
    );
    println!("resident with {ROWS} rows: {} MiB", resident_mib());
    let mut next = ROWS;
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    for clients in [1_u64, 16, 64] {
        let syncs = metrics.syncs();
        let mut commits = 0;
        group.bench_function(format!("{clients} clients"), |bencher| {
            bencher.iter_custom(|puts| {
                let took = runtime.block_on(put_many(&index, clients, puts, next));
                next += puts;
                commits += puts;
                took
            });
        });
        let syncs = (metrics.syncs() - syncs).max(1);
        println!(
            "{clients} clients: {:.1} commits per sync",
            commits as f64 / syncs as f64
        );
    }
    group.finish();
    reads(criterion, &runtime, &index);
    println!("resident at the end: {} MiB", resident_mib());
    runtime.block_on(index.close()).expect("close");
    let start = Instant::now();
    let index = FjallIndex::open(&config, metrics).expect("reopen");
    println!("reopened in {:?}", start.elapsed());
    println!("resident when reopened: {} MiB", resident_mib());
    runtime.block_on(index.close()).expect("close");
}

fn reads(criterion: &mut Criterion, runtime: &Runtime, index: &Arc<FjallIndex>) {
    let mut number = 0_u64;
    let mut any = || {
        number = (number + 7_919) % ROWS;
        key(number)
    };
    gets(criterion, runtime, index, &mut any);
    scans(criterion, runtime, index, &mut any);
}

fn gets(
    criterion: &mut Criterion,
    runtime: &Runtime,
    index: &Arc<FjallIndex>,
    mut any: impl FnMut() -> String,
) {
    criterion.bench_function("get/hit", |bencher| {
        bencher.iter(|| {
            let stored = keys::current(BUCKET, &any());
            runtime
                .block_on(index.get(Table::Current, &stored))
                .expect("get")
        });
    });
    criterion.bench_function("get/hit decoded", |bencher| {
        bencher.iter(|| {
            let key = any();
            runtime
                .block_on(rows::get_current(&**index, BUCKET, &key))
                .expect("get")
        });
    });
    criterion.bench_function("get/miss", |bencher| {
        bencher.iter(|| {
            let stored = keys::current(BUCKET, &format!("{}?", any()));
            runtime
                .block_on(index.get(Table::Current, &stored))
                .expect("get")
        });
    });
    criterion.bench_function("get/spawn_blocking", |bencher| {
        bencher.iter(|| {
            let index = Arc::clone(index);
            let stored = keys::current(BUCKET, &any());
            runtime.block_on(async {
                let handle = tokio::runtime::Handle::current();
                let read = move || handle.block_on(index.get(Table::Current, &stored));
                tokio::task::spawn_blocking(read)
                    .await
                    .expect("join")
                    .expect("get")
            })
        });
    });
}

fn scans(
    criterion: &mut Criterion,
    runtime: &Runtime,
    index: &Arc<FjallIndex>,
    mut any: impl FnMut() -> String,
) {
    for (name, rows) in [("scan/64 inline", 64), ("scan/65 blocking pool", 65)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let from = keys::current(BUCKET, &any());
                let from = Bound::Included(from.as_ref());
                let limit = ScanLimit::rows(rows);
                let scan = index.scan(Table::Current, from, Bound::Unbounded, limit);
                runtime.block_on(scan).expect("scan")
            });
        });
    }
    criterion.bench_function("scan/1000 raw", |bencher| {
        bencher.iter(|| {
            let from = keys::current(BUCKET, &any());
            let from = Bound::Included(from.as_ref());
            let limit = ScanLimit::rows(1000);
            let scan = index.scan(Table::Current, from, Bound::Unbounded, limit);
            runtime.block_on(scan).expect("scan")
        });
    });
    criterion.bench_function("list/1000", |bencher| {
        bencher.iter(|| {
            let after = any();
            let query = ListQuery {
                bucket: BUCKET,
                after: Some(&after),
                max_keys: 1000,
                ..ListQuery::default()
            };
            runtime
                .block_on(list_current(&**index, query))
                .expect("list")
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
