//! How fast cells are encoded and rebuilt, and what a decode plan costs.
//!
//! Ids: `encode/4+2/1MiB`, where the size is the data of a stripe; with a kernel
//! (`encode-by-kernel/gfni-avx2/4+2/1MiB`) or another crate (`encode-other/rusty_erasure/…`) to
//! compare with. Rates are per byte of data. One lost shard per parity shard, all of them data.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_ec::{Code, Geometry, Kernel};
use reed_solomon_erasure::galois_8::ReedSolomon;

const GEOMETRIES: [(u8, u8); 5] = [(4, 2), (6, 3), (8, 4), (10, 4), (16, 4)];
const STRIPES: [(&str, usize); 2] = [("128KiB", 128 << 10), ("1MiB", 1 << 20)];

/// Data and parity cells, each in its own allocation.
struct Stripe {
    data: Vec<Vec<u8>>,
    parity: Vec<Vec<u8>>,
}

impl Stripe {
    fn new(geometry: Geometry, data_bytes: usize) -> Self {
        let len = data_bytes.div_ceil(geometry.data());
        let cell = |shard| {
            (0..len)
                .map(|i| (i * 31 + shard * 17 + (i >> 8)) as u8)
                .collect()
        };
        let data = (0..geometry.data()).map(cell).collect();
        Self {
            data,
            parity: vec![vec![0; len]; geometry.parity()],
        }
    }

    fn parts(&mut self) -> (Vec<&[u8]>, Vec<&mut [u8]>) {
        let data = self.data.iter().map(Vec::as_slice).collect();
        (
            data,
            self.parity.iter_mut().map(Vec::as_mut_slice).collect(),
        )
    }
}

fn geometries() -> impl Iterator<Item = Geometry> {
    GEOMETRIES.into_iter().map(|(data, parity)| {
        Geometry::new(data, parity).expect("the geometries are within the 64-shard limit")
    })
}

fn encode_with(c: &mut Criterion, group: &str, id: String, data_bytes: usize, code: &Code) {
    let mut stripe = Stripe::new(code.geometry(), data_bytes);
    let (data, mut parity) = stripe.parts();
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(data_bytes as u64));
    group.bench_function(BenchmarkId::from_parameter(id), |b| {
        b.iter(|| code.encode(black_box(&data), black_box(&mut parity)));
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    for geometry in geometries() {
        for (size, bytes) in STRIPES {
            encode_with(
                c,
                "encode",
                format!("{geometry}/{size}"),
                bytes,
                &Code::new(geometry),
            );
        }
    }
}

fn encode_by_kernel(c: &mut Criterion) {
    for kernel in Kernel::ALL {
        for geometry in geometries() {
            let Ok(code) = Code::with_kernel(geometry, kernel) else {
                continue;
            };
            let id = format!("{kernel}/{geometry}/1MiB");
            encode_with(c, "encode-by-kernel", id, 1 << 20, &code);
        }
    }
}

fn reconstruct(c: &mut Criterion) {
    for geometry in geometries() {
        for (size, bytes) in STRIPES {
            let mut stripe = Stripe::new(geometry, bytes);
            let code = Code::new(geometry);
            let (data, mut parity) = stripe.parts();
            code.encode(&data, &mut parity)
                .expect("one output per parity shard");
            // As many data shards are lost as there are parity shards to replace them.
            let lost: Vec<usize> = (0..geometry.parity()).collect();
            let cells = stripe.data.iter().chain(&stripe.parity).map(Vec::as_slice);
            let present: Vec<_> = cells.enumerate().skip(lost.len()).collect();
            let mut out = vec![vec![0; present[0].1.len()]; lost.len()];
            let mut out: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
            let mut group = c.benchmark_group("reconstruct");
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(
                BenchmarkId::from_parameter(format!("{geometry}/{size}")),
                |b| {
                    b.iter(|| code.rebuild(black_box(&present), &lost, black_box(&mut out)));
                },
            );
            group.finish();
        }
    }
}

/// Rebuilds cells of 64 bytes, so that what remains is the plan: found again, or made anew.
fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    for geometry in geometries() {
        let total = geometry.total();
        let cells = vec![[7_u8; 64]; total];
        let mut out = [[0; 64]; 1];
        let [out] = &mut out;
        let mut out = [out.as_mut_slice()];
        let present: Vec<_> = cells
            .iter()
            .enumerate()
            .skip(1)
            .map(|(i, cell)| (i, cell.as_slice()))
            .collect();
        let code = Code::new(geometry);
        group.bench_function(format!("cached/{geometry}"), |b| {
            b.iter(|| code.rebuild(black_box(&present), &[0], &mut out));
        });
        group.bench_function(format!("cold/{geometry}"), |b| {
            b.iter_batched(
                || Code::new(geometry),
                |code| {
                    let result = code.rebuild(black_box(&present), &[0], &mut out);
                    (result, code)
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn encode_other(c: &mut Criterion) {
    for geometry in geometries() {
        let (data_count, parity_count) = (geometry.data(), geometry.parity());
        let matrix = rusty_erasure::compat::reed_solomon_erasure_matrix(data_count, parity_count);
        let coder = rusty_erasure::coder(matrix.expect("a valid geometry")).expect("has parity");
        let reference = ReedSolomon::new(data_count, parity_count).expect("a valid geometry");
        let mut stripe = Stripe::new(geometry, 1 << 20);
        let (data, mut parity) = stripe.parts();
        let mut group = c.benchmark_group("encode-other");
        group.throughput(Throughput::Bytes(1 << 20));
        group.bench_function(format!("rusty_erasure/{geometry}/1MiB"), |b| {
            b.iter(|| coder.encode(black_box(&data), black_box(&mut parity)));
        });
        group.bench_function(format!("reed-solomon-erasure/{geometry}/1MiB"), |b| {
            b.iter(|| reference.encode_sep(black_box(&data), black_box(&mut parity)));
        });
        group.finish();
    }
}

criterion_group!(
    benches,
    encode,
    reconstruct,
    plan,
    encode_by_kernel,
    encode_other
);
criterion_main!(benches);
