//! Results as figures: one row per measurement, medians and ratios over rounds, JSON.
//!
//! Leaves to others: how a table is laid out ([`crate::table`]).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cell::Measured;
use crate::plan::{Load, OPS};
use crate::stats::{Histogram, Spread};
use crate::target::Target;
use crate::worker::OpStats;

const MIB: f64 = (1 << 20) as f64;
const GIB: f64 = (1 << 30) as f64;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Half of the operations took at most this.
    pub p50_ms: f64,
    /// 99 % did.
    pub p99_ms: f64,
    /// 99.9 % did.
    pub p999_ms: f64,
    /// All did.
    pub max_ms: f64,
    /// The mean.
    pub mean_ms: f64,
}

/// What the server's processes used. CPU in seconds, memory in MiB.
#[derive(Debug, Clone, Serialize)]
pub struct ServerFigures {
    /// In the window.
    pub cpu_s: f64,
    /// Mean number of cores busy.
    pub cores: f64,
    /// Per GiB of object bytes moved; none if none were.
    pub cpu_s_per_gib: Option<f64>,
    /// Per 1,000 HTTP requests answered.
    pub cpu_s_per_1000: Option<f64>,
    /// Resident, mean of the samples.
    pub rss_mean_mib: f64,
    /// Resident, largest sample.
    pub rss_max_mib: f64,
    /// VmHWM at the end.
    pub peak_mib: f64,
}

/// What one kind of operation did.
#[derive(Debug, Clone, Serialize)]
pub struct OpFigures {
    /// Operations that succeeded.
    pub count: u64,
    /// Per second.
    pub per_s: f64,
    /// MiB of object bytes per second.
    pub mib_per_s: f64,
    /// Operations that failed.
    pub errors: u64,
    /// Of those that succeeded.
    pub latency: Latency,
}

/// One load on one target in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// The target's name.
    pub target: String,
    /// OP:SIZE:CLIENTS.
    pub load: String,
    /// From 0.
    pub round: usize,
    /// Length of the measured window.
    pub seconds: f64,
    /// HTTP requests answered (a multipart object is several).
    pub requests: u64,
    /// All operations together.
    pub all: OpFigures,
    /// Of a mixed load: by operation.
    pub by_op: BTreeMap<&'static str, OpFigures>,
    /// What failed how often.
    pub failures: BTreeMap<String, u64>,
    /// The server's processes, if known.
    pub server: Option<ServerFigures>,
    /// Data syncs of drives per HTTP request, if known.
    pub drive_syncs_per_request: Option<f64>,
    /// Data syncs of the index per HTTP request, if known.
    pub index_syncs_per_request: Option<f64>,
    /// CPU seconds of this harness.
    pub own_cpu_s: f64,
    /// Mean number of cores this harness kept busy.
    pub own_cores: f64,
    /// CPU seconds of this harness per 1,000 HTTP requests.
    pub own_cpu_s_per_1000: Option<f64>,
}

impl OpFigures {
    fn new(stats: &OpStats, seconds: f64) -> Self {
        let count = stats.latency.count();
        Self {
            count,
            per_s: count as f64 / seconds,
            mib_per_s: stats.bytes as f64 / MIB / seconds,
            errors: stats.errors,
            latency: Latency::new(&stats.latency),
        }
    }
}

impl Latency {
    fn new(histogram: &Histogram) -> Self {
        let ms = |ns: u64| ns as f64 / 1e6;
        Self {
            p50_ms: ms(histogram.per_mille_ns(500)),
            p99_ms: ms(histogram.per_mille_ns(990)),
            p999_ms: ms(histogram.per_mille_ns(999)),
            max_ms: ms(histogram.max_ns()),
            mean_ms: histogram.mean_ns() / 1e6,
        }
    }
}

impl Cell {
    /// The figures of a measurement.
    pub fn new(target: &Target, load: Load, round: usize, measured: &Measured) -> Self {
        let mut all = OpStats::default();
        let mut by_op = BTreeMap::new();
        for (op, stats) in OPS.iter().zip(&measured.outcome.by_op) {
            if let Some(stats) = stats {
                all.merge(stats);
                by_op.insert(op.name(), OpFigures::new(stats, measured.seconds));
            }
        }
        if load.op != crate::plan::Op::Mixed {
            by_op.clear();
        }
        let per = |amount: f64, count: f64| (count > 0.0).then(|| amount / count);
        let thousands = all.requests as f64 / 1000.0;
        let server = measured.server.map(|server| ServerFigures {
            cpu_s: server.cpu_seconds,
            cores: server.cpu_seconds / measured.seconds,
            cpu_s_per_gib: per(server.cpu_seconds, all.bytes as f64 / GIB),
            cpu_s_per_1000: per(server.cpu_seconds, thousands),
            rss_mean_mib: server.resident_mean_bytes as f64 / MIB,
            rss_max_mib: server.resident_max_bytes as f64 / MIB,
            peak_mib: server.peak_bytes as f64 / MIB,
        });
        Self {
            target: target.name.clone(),
            load: load.to_string(),
            round,
            seconds: measured.seconds,
            requests: all.requests,
            all: OpFigures::new(&all, measured.seconds),
            by_op,
            failures: measured.outcome.failures.clone(),
            server,
            drive_syncs_per_request: measured.syncs.map(|syncs| syncs.drive_per_request),
            index_syncs_per_request: measured.syncs.map(|syncs| syncs.index_per_request),
            own_cpu_s: measured.own_cpu_seconds,
            own_cores: measured.own_cpu_seconds / measured.seconds,
            own_cpu_s_per_1000: per(measured.own_cpu_seconds, thousands),
        }
    }
}

/// A figure that rounds are compared by.
pub struct Figure {
    /// Its name in tables and JSON.
    pub name: &'static str,
    /// Takes it from a measurement, if it was measured.
    pub of: fn(&Cell) -> Option<f64>,
}

/// The figures of the comparison, in the order of the table.
pub const FIGURES: [Figure; 12] = [
    Figure {
        name: "obj/s",
        of: |cell| Some(cell.all.per_s),
    },
    Figure {
        name: "MiB/s",
        of: |cell| Some(cell.all.mib_per_s).filter(|&rate| rate > 0.0),
    },
    Figure {
        name: "p50 ms",
        of: |cell| Some(cell.all.latency.p50_ms),
    },
    Figure {
        name: "p99 ms",
        of: |cell| Some(cell.all.latency.p99_ms),
    },
    Figure {
        name: "p99.9 ms",
        of: |cell| Some(cell.all.latency.p999_ms),
    },
    Figure {
        name: "CPU s/GiB",
        of: |cell| cell.server.as_ref()?.cpu_s_per_gib,
    },
    Figure {
        name: "CPU s/1k req",
        of: |cell| cell.server.as_ref()?.cpu_s_per_1000,
    },
    Figure {
        name: "RSS max MiB",
        of: |cell| Some(cell.server.as_ref()?.rss_max_mib),
    },
    Figure {
        name: "peak MiB",
        of: |cell| Some(cell.server.as_ref()?.peak_mib),
    },
    Figure {
        name: "drive syncs/req",
        of: |cell| cell.drive_syncs_per_request,
    },
    Figure {
        name: "index syncs/req",
        of: |cell| cell.index_syncs_per_request,
    },
    Figure {
        name: "own CPU s/1k req",
        of: |cell| cell.own_cpu_s_per_1000,
    },
];

/// One figure of one load, over all rounds and targets.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// OP:SIZE:CLIENTS.
    pub load: String,
    /// One of [`FIGURES`].
    pub figure: &'static str,
    /// For each target: over the rounds.
    pub spreads: Vec<Option<Spread>>,
    /// For each target but the first: its figure over the first target's in the same round, over
    /// the rounds.
    pub ratios: Vec<Option<Spread>>,
}

/// Compares `targets` (names, in order) figure by figure.
pub fn compare(cells: &[Cell], targets: &[String]) -> Vec<Comparison> {
    let mut loads: Vec<&str> = Vec::new();
    for cell in cells {
        if !loads.contains(&cell.load.as_str()) {
            loads.push(&cell.load);
        }
    }
    let mut all = Vec::new();
    for load in loads {
        for figure in &FIGURES {
            let rounds_of = |target: &String| -> BTreeMap<usize, f64> {
                let own = cells
                    .iter()
                    .filter(|cell| cell.load == load && cell.target == *target);
                own.filter_map(|cell| Some((cell.round, (figure.of)(cell)?)))
                    .collect()
            };
            let values: Vec<BTreeMap<usize, f64>> = targets.iter().map(rounds_of).collect();
            if values.iter().all(BTreeMap::is_empty) {
                continue;
            }
            let spreads = values
                .iter()
                .map(|of| Spread::of(of.values().copied()))
                .collect();
            let ratios = values
                .iter()
                .skip(1)
                .map(|of| ratio(&values[0], of))
                .collect();
            let load = load.to_owned();
            all.push(Comparison {
                load,
                figure: figure.name,
                spreads,
                ratios,
            });
        }
    }
    all
}

/// Of the rounds that both have: how the second's figure relates to the first's.
fn ratio(first: &BTreeMap<usize, f64>, second: &BTreeMap<usize, f64>) -> Option<Spread> {
    let pairs = second
        .iter()
        .filter_map(|(round, value)| Some((*first.get(round)?, *value)));
    Spread::of(
        pairs
            .filter(|(base, _)| *base > 0.0)
            .map(|(base, value)| value / base),
    )
}

#[cfg(test)]
mod tests;
