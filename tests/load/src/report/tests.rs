//! Figures of a made-up measurement, and comparisons of made-up rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::cell::{ServerUse, SyncUse};
use crate::endpoint::Endpoint;
use crate::plan::Op;
use crate::sign::Credentials;
use crate::worker::Outcome;

fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        endpoint: Endpoint::parse("http://127.0.0.1:1").unwrap(),
        credentials: Credentials::new("a", "b"),
        pids: Vec::new(),
        metrics: Vec::new(),
        server: None,
    }
}

fn stats(count: u64, bytes: u64, requests: u64, errors: u64) -> OpStats {
    let mut latency = Histogram::default();
    let ns = u64::try_from(Duration::from_millis(2).as_nanos()).unwrap();
    (0..count).for_each(|_| latency.record(ns));
    OpStats {
        latency,
        bytes,
        requests,
        errors,
    }
}

fn measured(by_op: &[(Op, OpStats)]) -> Measured {
    let mut outcome = Outcome::default();
    for (op, stats) in by_op {
        outcome.by_op[op.index()] = Some(stats.clone());
    }
    Measured {
        seconds: 2.0,
        outcome,
        server: Some(ServerUse {
            cpu_seconds: 1.5,
            resident_mean_bytes: 10 << 20,
            resident_max_bytes: 20 << 20,
            peak_bytes: 30 << 20,
        }),
        syncs: Some(SyncUse {
            drive_per_request: 0.5,
            index_per_request: 0.25,
        }),
        own_cpu_seconds: 0.5,
    }
}

#[test]
fn figures_are_amounts_over_the_window_and_over_what_was_moved() {
    let load: Load = "multipart:64MiB:4".parse().unwrap();
    let measured = measured(&[(Op::Multipart, stats(8, 512 << 20, 80, 1))]);
    let cell = Cell::new(&target("A"), load, 0, &measured);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
    close(cell.all.per_s, 4.0);
    close(cell.all.mib_per_s, 256.0);
    assert_eq!((cell.all.count, cell.all.errors, cell.requests), (8, 1, 80));
    let server = cell.server.unwrap();
    close(server.cpu_s_per_gib.unwrap(), 3.0);
    close(server.cpu_s_per_1000.unwrap(), 1.5 / 0.08);
    close(server.cores, 0.75);
    close(server.peak_mib, 30.0);
    close(cell.own_cores, 0.25);
    close(cell.drive_syncs_per_request.unwrap(), 0.5);
    assert!(cell.by_op.is_empty());
    close(cell.all.latency.p99_ms, 2.0);
}

#[test]
fn a_mixed_load_shows_its_operations_and_their_sum() {
    let load: Load = "mixed:4KiB:4".parse().unwrap();
    let measured = measured(&[
        (Op::Get, stats(30, 30 << 12, 30, 0)),
        (Op::Delete, stats(10, 0, 10, 2)),
    ]);
    let cell = Cell::new(&target("A"), load, 0, &measured);
    assert_eq!((cell.all.count, cell.all.errors), (40, 2));
    assert_eq!(
        (cell.by_op["get"].count, cell.by_op["delete"].count),
        (30, 10)
    );
}

#[test]
fn nothing_done_gives_no_figure_per_request() {
    let load: Load = "head:4KiB:4".parse().unwrap();
    let cell = Cell::new(&target("A"), load, 0, &measured(&[]));
    let server = cell.server.unwrap();
    assert!(server.cpu_s_per_gib.is_none() && server.cpu_s_per_1000.is_none());
}

#[test]
fn ratios_are_taken_within_a_round_before_the_median() {
    let load: Load = "put:4KiB:1".parse().unwrap();
    let mut cells = Vec::new();
    // A drifts from 100 to 300; B is always twice as fast in the same round.
    for (round, count) in [100, 200, 300].into_iter().enumerate() {
        for (name, factor) in [("A", 1), ("B", 2)] {
            let done = measured(&[(Op::Put, stats(count * factor, 0, count * factor, 0))]);
            cells.push(Cell::new(&target(name), load, round, &done));
        }
    }
    let names = ["A".to_owned(), "B".to_owned()];
    let all = compare(&cells, &names);
    let rates: BTreeMap<&str, &Comparison> = all.iter().map(|of| (of.figure, of)).collect();
    let rate = rates["obj/s"];
    assert_eq!(
        rate.spreads[0],
        Some(Spread {
            median: 100.0,
            min: 50.0,
            max: 150.0
        })
    );
    assert_eq!(
        rate.ratios,
        [Some(Spread {
            median: 2.0,
            min: 2.0,
            max: 2.0
        })]
    );
    assert!(!rates.contains_key("MiB/s"), "nothing was moved");
}
