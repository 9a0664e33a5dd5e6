//! One drive on the machine's own file system: seals, staged shards and reads.
//!
//! Owns: the numbers of `docs/adr/0002-drive-layout.md`.
//! Leaves to others: the network and the store above.
//! Always: every seal that is counted was answered, so it is durable. `HOLDFAST_BENCH_DIR` says
//! where the drive lies (default: the system's temporary directory).

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_protocol::rpc::{BlockSpan, DriveRequest};
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions};
use support::*;
use tokio::runtime::Runtime;

static NEXT: AtomicU64 = AtomicU64::new(1);

struct Bench {
    runtime: Runtime,
    drive: Arc<Drive>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let base = std::env::var_os("HOLDFAST_BENCH_DIR").map(PathBuf::from);
        let dir = match base {
            Some(base) => tempfile::tempdir_in(base).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        let drive = runtime.block_on(async {
            let world = World::real(4);
            let options = FormatOptions::default();
            Drive::format(&world, dir.path(), CLUSTER, DRIVE, options)
                .await
                .unwrap();
            let config = DriveConfig {
                prewrite_bytes: 512 << 20,
                ..DriveConfig::default()
            };
            let drive = Drive::open(&world, config, dir.path(), CLUSTER, None)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
            drive
        });
        Self {
            runtime,
            drive: Arc::new(drive),
            _dir: dir,
        }
    }

    /// Runs `count` operations with `writers` at a time.
    fn run<F>(&self, writers: u64, count: u64, work: impl Fn(Arc<Drive>, u64) -> F) -> Duration
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let base = NEXT.fetch_add(count, Ordering::Relaxed);
        let left = Arc::new(AtomicU64::new(0));
        let syncs = self.drive.status().syncs;
        let start = Instant::now();
        self.runtime.block_on(async {
            let tasks = (0..writers).map(|_| async {
                loop {
                    let n = left.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let done = work(Arc::clone(&self.drive), base + n);
                    self.runtime.spawn(done).await.unwrap();
                }
            });
            futures::future::join_all(tasks).await;
        });
        let took = start.elapsed();
        let syncs = self.drive.status().syncs - syncs;
        if count > 200 {
            let each = syncs as f64 / count as f64;
            eprintln!("{writers} writers: {count} operations, {each:.3} syncs each");
        }
        took
    }

    fn purge_all(&self) {
        self.runtime.block_on(async {
            let all = inventory_all(&self.drive).await;
            for writes in all.chunks(10_000) {
                let writes = writes.to_vec();
                ask(
                    &self.drive,
                    DriveRequest::Purge {
                        order: holdfast_protocol::Order::ZERO,
                        writes,
                    },
                )
                .await
                .unwrap();
            }
        });
    }
}

async fn inventory_all(drive: &Drive) -> Vec<holdfast_protocol::WriteId> {
    let mut all = Vec::new();
    loop {
        let request = DriveRequest::Inventory {
            after: all.last().copied(),
            min_order: holdfast_protocol::Order::ZERO,
            kind: None,
            limit: 10_000,
        };
        match ask(drive, request).await.unwrap() {
            holdfast_protocol::rpc::DriveReply::Inventory { entries, more } => {
                all.extend(entries.iter().map(|entry| entry.write));
                if !more {
                    return all;
                }
            }
            reply => panic!("{reply:?}"),
        }
    }
}

fn seals(c: &mut Criterion) {
    let bench = Bench::new();
    let mut group = c.benchmark_group("seal-inline-4KiB");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(1));
    for writers in [1, 8, 32] {
        group.bench_function(BenchmarkId::from_parameter(writers), |b| {
            b.iter_custom(|count| {
                bench.run(writers, count, |drive, n| async move {
                    seal(&drive, inline_record(write_id(n), 4096), None)
                        .await
                        .unwrap();
                })
            });
        });
    }
    group.finish();
    bench.purge_all();
}

fn shards(c: &mut Criterion) {
    let bench = Bench::new();
    let mut group = c.benchmark_group("stage-seal-256KiB");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Bytes(256 << 10));
    for writers in [1, 8, 32] {
        group.bench_function(BenchmarkId::from_parameter(writers), |b| {
            b.iter_custom(|count| {
                let took = bench.run(writers, count, |drive, n| async move {
                    put(&drive, &Shard::new(write_id(n), 0, &[256 << 10]))
                        .await
                        .unwrap();
                });
                bench.purge_all();
                took
            });
        });
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    let bench = Bench::new();
    let shard = Shard::new(
        write_id(NEXT.fetch_add(1, Ordering::Relaxed)),
        0,
        &[256 << 10; 16],
    );
    let small = write_id(NEXT.fetch_add(1, Ordering::Relaxed));
    bench.runtime.block_on(async {
        put(&bench.drive, &shard).await.unwrap();
        seal(&bench.drive, inline_record(small, 4096), None)
            .await
            .unwrap();
    });
    let mut group = c.benchmark_group("read");
    for (name, block_count) in [("block-64KiB", 1), ("cell-256KiB", 4)] {
        group.throughput(Throughput::Bytes(u64::from(block_count) << 16));
        group.bench_function(name, |b| {
            b.iter(|| {
                let spans = vec![BlockSpan {
                    stripe: 7,
                    first_block: 0,
                    block_count,
                }];
                let request = DriveRequest::Read {
                    write: shard.write,
                    shard: 0,
                    spans,
                };
                black_box(bench.runtime.block_on(ask(&bench.drive, request)).unwrap())
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("record-4KiB", |b| {
        b.iter(|| {
            black_box(
                bench
                    .runtime
                    .block_on(read_record(&bench.drive, small))
                    .unwrap(),
            )
        });
    });
    group.finish();
}

fn starts(c: &mut Criterion) {
    let bench = Bench::new();
    bench.run(64, 100_000, |drive, n| async move {
        seal(&drive, inline_record(write_id(n), 4096), None)
            .await
            .unwrap();
    });
    let dir = bench.drive.dir().to_owned();
    bench.runtime.block_on(bench.drive.close());
    let mut group = c.benchmark_group("open-100000-records");
    group.sample_size(10);
    let world = bench.runtime.block_on(async { World::real(4) });
    let open = async || {
        Drive::open(&world, DriveConfig::default(), &dir, CLUSTER, None)
            .await
            .unwrap()
    };
    group.bench_function("from-checkpoint", |b| {
        b.iter_custom(|count| {
            let mut took = Duration::ZERO;
            for _ in 0..count {
                bench.runtime.block_on(async {
                    let start = Instant::now();
                    let drive = open().await;
                    took += start.elapsed();
                    assert!(drive.status().records >= 100_000);
                    drive.abandon().await;
                });
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, seals, shards, reads, starts);
criterion_main!(benches);
