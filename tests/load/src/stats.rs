//! Latency percentiles, medians and spread.
//!
//! Owns: a histogram of fixed size (so a client's memory does not grow with the number of requests)
//! and the summary of repeated rounds.
//! Always: a percentile is by nearest rank and at most 1/64 above the true value, never below it.

/// Buckets per power of two.
const STEPS: u64 = 64;
/// log2 of [`STEPS`].
const STEPS_LOG2: u32 = 6;
/// Latencies from 2^40 ns (18 minutes) on share the last bucket.
const VALUE_BITS_MAX: u32 = 40;
const BUCKETS: usize = ((VALUE_BITS_MAX - STEPS_LOG2 + 1) as usize) * STEPS as usize;

/// Counts of latencies in nanoseconds, in buckets whose width grows with the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many latencies were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean in nanoseconds, 0 when empty.
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum_ns as f64 / self.count as f64
        }
    }

    /// The largest latency in nanoseconds, exact.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The smallest value that at least `per_mille` of 1,000 latencies do not exceed, in
    /// nanoseconds; 0 when empty.
    pub fn per_mille_ns(&self, per_mille: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(per_mille))
            .div_ceil(1000)
            .max(1);
        let mut below = 0u128;
        for (bucket, &count) in self.counts.iter().enumerate() {
            below += u128::from(count);
            if below >= rank {
                return upper_bound_of(bucket).min(self.max_ns);
            }
        }
        0
    }
}

fn bucket_of(ns: u64) -> usize {
    let ns = ns.min((1 << VALUE_BITS_MAX) - 1);
    if ns < STEPS {
        return ns as usize;
    }
    let exponent = ns.ilog2() - STEPS_LOG2;
    let step = (ns >> exponent) - STEPS;
    ((u64::from(exponent) + 1) * STEPS + step) as usize
}

/// The largest value that belongs to `bucket`.
fn upper_bound_of(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if row == 0 {
        return step;
    }
    if bucket + 1 == BUCKETS {
        return u64::MAX;
    }
    ((STEPS + step + 1) << (row - 1)) - 1
}

/// The middle and the ends of a figure over several rounds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Spread {
    /// The median; of an even number of rounds, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Summarises `values`; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        Some(Self {
            median: f64::midpoint(sorted[lower], sorted[upper]),
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, STEPS, Spread, bucket_of, upper_bound_of};

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&ns| histogram.record(ns));
        histogram
    }

    /// Nearest rank over the sorted values: the definition.
    fn exact(values: &[u64], per_mille: u64) -> u64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1);
        sorted[rank as usize - 1]
    }

    #[test]
    fn percentiles_are_at_most_one_step_above_the_exact_ones() {
        let mut rng = fastrand::Rng::with_seed(11);
        for count in [1, 2, 3, 10, 999, 1000, 1001, 20_000] {
            let values: Vec<u64> = (0..count).map(|_| 1 << rng.u32(0..39)).collect();
            let values: Vec<u64> = values.iter().map(|top| top + rng.u64(0..*top)).collect();
            let histogram = of(&values);
            for per_mille in [1, 500, 900, 990, 999, 1000] {
                let (found, truth) = (histogram.per_mille_ns(per_mille), exact(&values, per_mille));
                assert!(found >= truth, "{found} < {truth}");
                assert!(found <= truth + truth / STEPS + 1, "{found} for {truth}");
            }
            assert_eq!(histogram.per_mille_ns(1000), *values.iter().max().unwrap());
            let mean = values.iter().sum::<u64>() as f64 / count as f64;
            assert!((histogram.mean_ns() - mean).abs() <= mean * 1e-9);
        }
    }

    #[test]
    fn every_value_lies_in_the_bucket_that_bounds_it() {
        for bucket in 0..BUCKETS - 1 {
            let upper = upper_bound_of(bucket);
            assert_eq!(bucket_of(upper), bucket);
            assert_eq!(bucket_of(upper + 1), bucket + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn an_empty_histogram_is_all_zero() {
        let empty = Histogram::default();
        assert_eq!(
            (empty.count(), empty.per_mille_ns(999), empty.max_ns()),
            (0, 0, 0)
        );
        assert!(empty.mean_ns().abs() < f64::EPSILON);
    }

    #[test]
    fn merging_equals_recording_everything_in_one() {
        let mut rng = fastrand::Rng::with_seed(5);
        let values: Vec<u64> = (0..1000).map(|_| rng.u64(..1 << 30)).collect();
        let mut merged = of(&values[..300]);
        merged.merge(&of(&values[300..]));
        assert_eq!(merged, of(&values));
    }

    #[test]
    fn the_spread_has_the_median_and_the_ends() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(
            spread(&[3.0]),
            Some(Spread {
                median: 3.0,
                min: 3.0,
                max: 3.0
            })
        );
        assert_eq!(
            spread(&[9.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 9.0
            })
        );
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]).map(|s| s.median), Some(3.0));
    }
}
