//! How fast bodies are hashed: one stream, and several at once by each kernel.
//!
//! Ids: `md5/one/fast-md5/1MiB`, `md5/lanes/avx512/8x1MiB` (eight streams, a stripe of each). Rates
//! are over the bytes of all streams, and times are those of the thread on its processor, so that
//! what else runs on the machine matters little.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_store::digest::kernel::Kernel;
use holdfast_store::digest::md5::{Md5, Piece, add_together};
use md5::Digest as _;

const SIZES: [(&str, usize); 3] = [("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
const STREAMS: [usize; 10] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

fn body(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at * 31 + seed * 17 + (at >> 8)) as u8)
        .collect()
}

/// Time that this thread was on a processor; wall time where the kernel does not tell.
fn on_processor(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn measure(iterations: u64, mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    let before = on_processor(start);
    (0..iterations).for_each(|_| work());
    on_processor(start).saturating_sub(before)
}

fn one(c: &mut Criterion) {
    let mut group = c.benchmark_group("md5/one");
    for (size, len) in SIZES {
        let body = body(len, 0);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("fast-md5", size), |b| {
            b.iter_custom(|n| {
                measure(n, || {
                    black_box(fast_md5::digest(black_box(&body)));
                })
            });
        });
        group.bench_function(BenchmarkId::new("md-5", size), |b| {
            b.iter_custom(|n| {
                measure(n, || {
                    black_box(md5::Md5::digest(black_box(&body)));
                })
            });
        });
        group.bench_function(BenchmarkId::new("own", size), |b| {
            b.iter_custom(|n| {
                measure(n, || {
                    let mut md5 = Md5::new();
                    md5.update(black_box(&body));
                    black_box(md5.finish());
                })
            });
        });
    }
    group.finish();
}

fn lanes(c: &mut Criterion) {
    for kernel in Kernel::ALL
        .into_iter()
        .filter(|kernel| kernel.is_available())
    {
        let name = format!("md5/lanes/{kernel:?}").to_lowercase();
        let mut group = c.benchmark_group(name);
        for streams in STREAMS {
            let bodies: Vec<Vec<u8>> = (0..streams).map(|seed| body(1 << 20, seed)).collect();
            let mut states = vec![Md5::new(); streams];
            group.throughput(Throughput::Bytes((streams as u64) << 20));
            group.bench_function(
                BenchmarkId::from_parameter(format!("{streams}x1MiB")),
                |b| {
                    b.iter_custom(|n| {
                        measure(n, || {
                            let mut pieces: Vec<Piece<'_>> = states
                                .iter_mut()
                                .zip(&bodies)
                                .map(|(md5, bytes)| Piece { md5, bytes })
                                .collect();
                            add_together(kernel, black_box(&mut pieces));
                        })
                    });
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, one, lanes);
criterion_main!(benches);
