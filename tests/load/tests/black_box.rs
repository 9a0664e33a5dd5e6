//! Goal: the harness as a process does what its help says, and does not overlook a wrong answer.
//! Method: the real binary against a small S3 in memory that counts, and that lies when told to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fake_s3;

use std::process::{Command, Output};

use fake_s3::{FakeS3, Fault};
use serde_json::Value;

const SMALL: &str = "--objects 20 --list-keys 30 --page-keys 10 --delete-objects 40 --settle 0s";
const ALL: &str = "--op put,get,range,head,list,delete,multipart,mixed";

struct Ran {
    output: Output,
    json: Value,
}

impl Ran {
    fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    fn cells(&self) -> &[Value] {
        self.json["cells"]
            .as_array()
            .unwrap_or_else(|| panic!("no JSON: {}", self.stderr()))
    }
}

/// Runs the harness with `words`, further arguments and a JSON file.
fn load(words: &str, further: &[&str]) -> Ran {
    let path = std::env::temp_dir().join(format!(
        "holdfast-load-test-{}-{:016x}.json",
        std::process::id(),
        fastrand::u64(..)
    ));
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-load"))
        .args(words.split_whitespace())
        .args(SMALL.split_whitespace())
        .args(further)
        .arg("--json")
        .arg(&path)
        .env("HOLDFAST_ACCESS_KEY", "tester")
        .env("HOLDFAST_SECRET_KEY", "tester-secret")
        .output()
        .unwrap();
    let json = std::fs::read(&path).map_or(Value::Null, |text| {
        std::fs::remove_file(&path).unwrap();
        serde_json::from_slice(&text).unwrap()
    });
    Ran { output, json }
}

#[test]
fn every_operation_succeeds_and_leaves_nothing_behind_in_every_payload_mode() {
    for (payload, drain) in [
        ("unsigned", "copy"),
        ("signed", "kernel"),
        ("trailer", "copy"),
    ] {
        let server = FakeS3::start(Fault::None);
        let ran = load(
            &format!(
                "--endpoint {} {ALL} --size 20KiB,200KiB --clients 1,4 --count 40 --verify 0.5 \
                 --part-size 64KiB --payload {payload} --drain {drain}",
                server.url()
            ),
            &[],
        );
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        assert_eq!(ran.cells().len(), 2 * 2 * 8 - 2, "LIST has one size");
        for cell in ran.cells() {
            let (count, errors) = (&cell["all"]["count"], &cell["all"]["errors"]);
            assert_eq!(
                (count.as_u64(), errors.as_u64()),
                (Some(40), Some(0)),
                "{cell}"
            );
            assert!(
                cell["all"]["latency"]["p50_ms"].as_f64() > Some(0.0),
                "{cell}"
            );
        }
        assert_eq!(server.object_count(), 0);
    }
}

#[test]
fn a_timed_load_ends_by_itself_and_counts_what_it_did() {
    let server = FakeS3::start(Fault::None);
    let words = "--op put,get --clients 2 --duration 300ms --warmup 100ms";
    let ran = load(&format!("--endpoint {} {words}", server.url()), &[]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    for cell in ran.cells() {
        let (count, seconds) = (cell["all"]["count"].as_f64(), cell["seconds"].as_f64());
        assert!(count > Some(0.0) && seconds >= Some(0.3), "{cell}");
        let rate = count.unwrap() / seconds.unwrap();
        assert!(
            (cell["all"]["per_s"].as_f64().unwrap() - rate).abs() < 1e-6 * rate,
            "{cell}"
        );
    }
}

#[test]
fn kept_objects_are_used_again() {
    let server = FakeS3::start(Fault::None);
    let words = format!(
        "--endpoint {} --op get,list --count 30 --verify 1 --keep",
        server.url()
    );
    assert_eq!(load(&words, &[]).code(), 0);
    assert_eq!(server.put_count(), 50);
    assert_eq!(load(&words, &["--prefilled"]).code(), 0);
    assert_eq!((server.put_count(), server.object_count()), (50, 50));
    assert_eq!(
        load(&words, &["--prefilled", "--seed", "2"]).code(),
        1,
        "other bodies"
    );
}

#[test]
fn a_wrong_byte_or_length_is_an_error() {
    for (fault, op, failure) in [
        (Fault::FlippedBit, "get", "right length, wrong bytes"),
        (
            Fault::ShortObjects,
            "get",
            "4095 bytes where 4096 were expected",
        ),
        (
            Fault::ShortObjects,
            "head",
            "4095 bytes where 4096 were expected",
        ),
    ] {
        let server = FakeS3::start(fault);
        let words = format!(
            "--endpoint {} --op {op} --count 12 --verify 1",
            server.url()
        );
        let ran = load(&words, &[]);
        assert_eq!(ran.code(), 1);
        assert_eq!(ran.cells()[0]["failures"][failure], 12, "{}", ran.stderr());
        assert_eq!(ran.cells()[0]["all"]["count"], 0);
    }
}

#[test]
fn refused_and_cut_requests_are_counted_by_kind_and_the_load_goes_on() {
    for (fault, failure) in [
        (Fault::SlowDown, "HTTP 503 SlowDown"),
        (
            Fault::Hangup,
            "connection closed before the end of the answer",
        ),
    ] {
        let server = FakeS3::start(fault);
        let words = format!(
            "--endpoint {} --op put --count 30 --clients 2",
            server.url()
        );
        let ran = load(&words, &[]);
        assert_eq!(ran.code(), 1);
        let cell = &ran.cells()[0];
        assert_eq!(cell["failures"][failure], 10, "{}", ran.stderr());
        assert_eq!(
            (&cell["all"]["count"], &cell["all"]["errors"]),
            (&20.into(), &10.into())
        );
    }
}

#[test]
fn a_started_server_is_measured_with_its_syncs_and_stopped() {
    let server = FakeS3::start(Fault::None);
    let url = server.url();
    // The process has the ready line, the test the server behind it.
    let script =
        format!("echo ready s3={url} admin={url}; mkfifo {{dir}}/never; cat {{dir}}/never");
    let command = format!("sh -c '{script}'");
    let ran = load("--op put --count 50", &["--start", &command]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let cell = &ran.cells()[0];
    assert_eq!(cell["drive_syncs_per_request"], 3.0, "{cell}");
    assert_eq!(cell["index_syncs_per_request"], 1.0, "{cell}");
    assert!(cell["server"]["rss_max_mib"].as_f64() > Some(0.0), "{cell}");
    assert!(ran.json["targets"][0]["ready_after_ms"].as_f64() > Some(0.0));
    assert!(ran.stdout().contains("drive syncs/req"), "{}", ran.stdout());
}

#[test]
fn two_endpoints_are_compared_round_by_round() {
    let (one, two) = (FakeS3::start(Fault::None), FakeS3::start(Fault::None));
    let words = format!(
        "--endpoint {} --endpoint {} --name old --name new --rounds 3 --count 20 --op put,get",
        one.url(),
        two.url()
    );
    let ran = load(&words, &[]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let visited: Vec<(&str, u64)> = ran
        .cells()
        .iter()
        .map(|cell| {
            (
                cell["target"].as_str().unwrap(),
                cell["round"].as_u64().unwrap(),
            )
        })
        .collect();
    let both = |round, first, second| [(first, round), (second, round)];
    let expected = [(0, "old", "new"), (1, "new", "old"), (2, "old", "new")]
        .map(|(round, first, second)| [both(round, first, second), both(round, first, second)]);
    assert_eq!(visited, expected.as_flattened().as_flattened());
    let rates = ran.json["comparisons"].as_array().unwrap();
    let rate = rates.iter().find(|of| of["figure"] == "obj/s").unwrap();
    assert_eq!(rate["spreads"].as_array().unwrap().len(), 2);
    assert!(rate["ratios"][0]["median"].as_f64() > Some(0.0));
    assert!(ran.stdout().contains("new/old"), "{}", ran.stdout());
}

#[test]
fn other_machines_and_absent_servers_are_refused_in_words() {
    let ran = load("--endpoint http://192.0.2.1:9000", &[]);
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stderr().contains("not a loopback address"),
        "{}",
        ran.stderr()
    );
    let ran = load("--endpoint http://127.0.0.1:1 --count 1", &[]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains("create bucket"), "{}", ran.stderr());
    assert_eq!(load("", &[]).code(), 2);
}
