//! What one lost cell costs to rebuild: with the code as it is, and with piggybacks on its parity.
//!
//! Ids: `repair/reed-solomon/10+4`, `repair/piggyback/10+4`; rates are per byte of the rebuilt
//! cell, of a stripe of 1 MiB. Before anything is measured every data cell is rebuilt and compared,
//! and what was read for it is counted and printed: docs/adr/0015-repair-codes.md.
//!
//! Piggybacks as in "A Hitchhiker's Guide to Fast and Efficient Data Reconstruction" (XOR version):
//! a cell is two halves, `a` and `b`, each coded on its own; parity `1 + g` keeps beside its `b`
//! the sum of the `a` of the data cells in group `g`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_ec::{Code, Geometry};

const GEOMETRIES: [(u8, u8); 5] = [(4, 2), (6, 3), (8, 4), (10, 4), (16, 4)];
const STRIPE_BYTES: usize = 1 << 20;

/// Data, then parity, of both halves; the parity of `b` with its piggybacks.
struct Stripe {
    code: Code,
    a: Vec<Vec<u8>>,
    b: Vec<Vec<u8>>,
}

fn add(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

/// All cells of a stripe of which these are the data.
fn coded(code: &Code, data: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut parity = vec![vec![0; data[0].len()]; code.geometry().parity()];
    let sources: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    code.encode(&sources, &mut outputs)
        .expect("as many cells as the geometry has");
    data.into_iter().chain(parity).collect()
}

impl Stripe {
    fn new(geometry: Geometry) -> Self {
        let code = Code::new(geometry);
        let len = STRIPE_BYTES / 2 / geometry.data();
        let half = |salt: usize| -> Vec<Vec<u8>> {
            let byte = |cell: usize, i: usize| (i * 31 + cell * 17 + salt + (i >> 8)) as u8;
            let cell = |cell| (0..len).map(|i| byte(cell, i)).collect();
            (0..geometry.data()).map(cell).collect()
        };
        let a = coded(&code, half(3));
        let mut b = coded(&code, half(101));
        for group in 0..geometry.parity() - 1 {
            for cell in members(geometry, group) {
                add(&mut b[geometry.data() + 1 + group], &a[cell]);
            }
        }
        Self { code, a, b }
    }

    /// Rebuilds both halves of a data cell from its group's piggyback. Returns them, and how many
    /// half cells were read.
    fn repair(&self, lost: usize) -> (Vec<u8>, Vec<u8>, usize) {
        let geometry = self.code.geometry();
        let (k, len) = (geometry.data(), self.a[0].len());
        let group = lost % (geometry.parity() - 1);
        // Data and the first parity of `b`, which carries no piggyback.
        let present: Vec<(usize, &[u8])> = (0..=k)
            .filter(|cell| *cell != lost)
            .map(|cell| (cell, self.b[cell].as_slice()))
            .collect();
        let (mut b, mut plain) = (vec![0; len], vec![0; len]);
        let wanted = [lost, k + 1 + group];
        let mut read = present.len() + 1;
        self.code
            .rebuild(&present, &wanted, &mut [&mut b, &mut plain])
            .expect("k cells are enough");
        let mut a = plain;
        add(&mut a, &self.b[k + 1 + group]);
        for cell in members(geometry, group).filter(|cell| *cell != lost) {
            add(&mut a, &self.a[cell]);
            read += 1;
        }
        (a, b, read)
    }
}

/// Data cells whose `a` is in the piggyback of parity `1 + group`.
fn members(geometry: Geometry, group: usize) -> impl Iterator<Item = usize> {
    (0..geometry.data()).filter(move |cell| cell % (geometry.parity() - 1) == group)
}

fn repair(c: &mut Criterion) {
    for (data, parity) in GEOMETRIES {
        let geometry = Geometry::new(data, parity).expect("within the limit of shards");
        let stripe = Stripe::new(geometry);
        let mut read = 0;
        for lost in 0..geometry.data() {
            let (a, b, halves) = stripe.repair(lost);
            assert!(a == stripe.a[lost] && b == stripe.b[lost], "cell {lost}");
            read += halves;
        }
        let of_all = 2 * geometry.data() * geometry.data();
        let share = read as f64 / of_all as f64;
        println!("{geometry}: a data cell is rebuilt from {share:.3} of what k cells have");
        let mut group = c.benchmark_group("repair");
        group.throughput(Throughput::Bytes((STRIPE_BYTES / geometry.data()) as u64));
        group.bench_function(format!("piggyback/{geometry}"), |b| {
            b.iter(|| black_box(&stripe).repair(0));
        });
        let present: Vec<(usize, &[u8])> = (1..=geometry.data())
            .map(|cell| (cell, stripe.a[cell].as_slice()))
            .collect();
        group.bench_function(format!("reed-solomon/{geometry}"), |b| {
            b.iter(|| {
                let mut halves = [vec![0; present[0].1.len()], vec![0; present[0].1.len()]];
                for half in &mut halves {
                    let done = stripe.code.rebuild(black_box(&present), &[0], &mut [half]);
                    done.expect("k cells are enough");
                }
                halves
            });
        });
        group.finish();
    }
}

criterion_group!(benches, repair);
criterion_main!(benches);
