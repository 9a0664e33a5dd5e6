//! Checks of the source tree itself: what `cargo fmt` and `clippy` cannot say.
//!
//! Goal: the rules of the design and the conventions hold in every commit. Method: read the files
//! as text. Each message says where, what the rule is and what to do about it.
//! Leaves to others: style inside a line (rustfmt), code smells (clippy), taste (review).

#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use source::{Source, markdown, read, root, rust_files};

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const README_LINES_MAX: usize = 120;

/// Crate folder and the folders of ours that it may depend on: the table of DESIGN §2.
const ARROWS: &[(&str, &[&str])] = &[
    ("ec", &[]),
    ("protocol", &[]),
    ("policy", &[]),
    ("seam", &[]),
    ("shard-node", &["protocol", "seam"]),
    ("index", &["protocol"]),
    ("store", &["ec", "protocol", "seam"]),
    ("workers", &["store", "index", "protocol", "seam"]),
    (
        "gateway",
        &["store", "index", "workers", "policy", "protocol", "seam"],
    ),
    (
        "cli",
        &[
            "ec",
            "protocol",
            "seam",
            "shard-node",
            "index",
            "store",
            "workers",
            "gateway",
        ],
    ),
    ("tests", &[]),
    ("tests/load", &[]),
    ("tests/history", &["load"]),
    ("tests/crash", &["load"]),
    (
        "tests/sim",
        &[
            "ec",
            "protocol",
            "seam",
            "shard-node",
            "index",
            "store",
            "workers",
            "gateway",
            "cli",
        ],
    ),
];

/// Crates that reach the world only through `seam`, and what they must not name.
const SEALED: &[&str] = &["shard-node/src/", "store/src/", "workers/src/"];
const WORLD: &[(&str, &str)] = &[
    ("std::fs", "seam::Disk"),
    ("std::net", "seam::Net"),
    ("std::os::unix::fs", "seam::Disk"),
    ("tokio::fs", "seam::Disk"),
    ("tokio::net", "seam::Net"),
    ("tokio::time", "seam::Clock"),
    ("std::time::SystemTime", "seam::Clock"),
    ("std::time::Instant", "seam::Clock"),
    ("SystemTime::now", "seam::Clock"),
    ("Instant::now", "seam::Clock"),
    ("tokio::spawn", "seam::Spawn"),
    ("tokio::task::spawn", "seam::Spawn"),
    ("std::thread", "seam::Spawn"),
    ("thread::spawn", "seam::Spawn"),
    ("rand::", "seam::Rng"),
    ("getrandom", "seam::Rng"),
    ("RandomState", "seam::Rng (or a fixed hasher)"),
];

/// Fails with all findings at once, so that one run shows everything there is to do.
fn none(findings: Vec<String>) {
    assert!(
        findings.is_empty(),
        "\n{} finding(s):\n{}\n",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let count = file.text.lines().count();
        if count > LINES_MAX {
            findings.push(format!(
                "{}: {count} lines, at most {LINES_MAX}: move its tests to tests.rs beside it, \
                 then split it by what its parts own",
                file.path
            ));
        }
        for (number, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                findings.push(format!(
                    "{}:{}: {columns} columns, at most {COLUMNS_MAX}: break the line",
                    file.path,
                    number + 1
                ));
            }
        }
        for (line, name, len) in file.functions() {
            if len > FUNCTION_LINES_MAX {
                findings.push(format!(
                    "{}:{line}: `{name}` has {len} lines, at most {FUNCTION_LINES_MAX}: branch \
                     here, compute in helpers",
                    file.path
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let findings = rust_files()
        .iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| {
            format!(
                "{}: the first line must be `//!`: say what the file owns, what it leaves to \
                 others and what always holds",
                file.path
            )
        })
        .collect();
    none(findings);
}

#[test]
fn modules_are_named_after_what_they_own() {
    let banned = ["util", "utils", "common", "misc", "helper", "helpers"];
    let findings = rust_files()
        .iter()
        .filter(|file| {
            Path::new(&file.path).components().any(|part| {
                banned.contains(&part.as_os_str().to_string_lossy().trim_end_matches(".rs"))
            })
        })
        .map(|file| {
            format!(
                "{}: name the module after what it owns, not `{banned:?}`",
                file.path
            )
        })
        .collect();
    none(findings);
}

#[test]
fn tests_are_named_as_facts_and_are_not_switched_off() {
    let mut findings = Vec::new();
    for file in rust_files() {
        for (number, line) in file.code().lines().enumerate() {
            let text = line.trim_start();
            if text.starts_with("fn test_") || text.starts_with("async fn test_") {
                findings.push(format!(
                    "{}:{}: name the test as a fact (`put_succeeds_with_one_node_down`)",
                    file.path,
                    number + 1
                ));
            }
            if text.starts_with(concat!("#[", "ignore")) {
                findings.push(format!(
                    "{}:{}: an ignored test proves nothing: make it run or delete it",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let decided: String = markdown("docs/adr").into_values().collect();
    let mut findings = Vec::new();
    for &(folder, allowed) in ARROWS {
        let manifest = format!("{folder}/Cargo.toml");
        let Some(text) = read(&manifest) else {
            findings.push(format!("{manifest} is missing: DESIGN §2 has this crate"));
            continue;
        };
        for dependency in source::dependencies(&text) {
            let Some(name) = dependency.strip_prefix("holdfast-").or(
                // The binary's crate has the bare name.
                (dependency == "holdfast").then_some("cli"),
            ) else {
                continue;
            };
            let arrow = format!("`{folder}` → `{name}`");
            if !allowed.contains(&name) && !decided.contains(&arrow) {
                findings.push(format!(
                    "{manifest}: {arrow} is not in the table of DESIGN §2: turn the dependency \
                     around, or write an ADR that says {arrow} (with this arrow) and why"
                ));
            }
        }
    }
    let known: Vec<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    for member in source::members(&read("Cargo.toml").expect("the workspace has a manifest")) {
        if !known.contains(&member.as_str()) {
            findings.push(format!(
                "Cargo.toml: `{member}` is not in DESIGN §2's table (and not here)"
            ));
        }
    }
    none(findings);
}

#[test]
fn core_crates_reach_the_world_only_through_seam() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let sealed = SEALED.iter().any(|folder| file.path.starts_with(folder));
        if !sealed || file.is_test() {
            continue;
        }
        for (line, text) in file.paths_named() {
            for (banned, instead) in WORLD {
                if text.contains(banned) {
                    findings.push(format!(
                        "{}:{line}: `{banned}` reaches past the seam: use {instead}, so that the \
                         simulator can stand in for the world",
                        file.path
                    ));
                }
            }
        }
    }
    for folder in ["shard-node", "store", "workers"] {
        let manifest = read(&format!("{folder}/Cargo.toml")).unwrap_or_default();
        for dependency in source::dependencies(&manifest) {
            if ["rand", "fastrand", "getrandom", "rustix", "libc", "nix"].contains(&&*dependency) {
                findings.push(format!(
                    "{folder}/Cargo.toml: `{dependency}` reaches past the seam: put the call \
                     behind a trait of `seam`"
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn every_format_has_its_page() {
    let pages: String = markdown("docs/formats").into_values().collect();
    let mut findings = Vec::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for file in rust_files() {
        let formats = source::magics(&file.code());
        if !file.path.starts_with("protocol/src/") {
            for magic in formats.iter().filter(|_| !file.is_test()) {
                findings.push(format!(
                    "{}: the format `{magic}` belongs into `protocol`, where every byte that \
                     outlives a process is",
                    file.path
                ));
            }
            continue;
        }
        for magic in formats.into_iter().filter(|_| !file.is_test()) {
            if !pages.contains(&magic) {
                findings.push(format!(
                    "{}: the format `{magic}` has no page: write docs/formats/NAME.md with a \
                     table of offset, size, field and meaning that names the magic",
                    file.path
                ));
            }
            if let Some(other) = owners.insert(magic.clone(), file.path.clone()) {
                findings.push(format!(
                    "{}: the magic `{magic}` is also {other}'s",
                    file.path
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn metrics_are_named_by_the_rules_and_documented() {
    let page = read("docs/metrics.md").unwrap_or_default();
    let mut findings = Vec::new();
    for file in rust_files() {
        if !file.path.ends_with("/metrics.rs") || file.is_test() {
            continue;
        }
        for (line, name, kind) in file.metrics() {
            for problem in source::metric_problems(&name, kind) {
                findings.push(format!("{}:{line}: `{name}`: {problem}", file.path));
            }
            if !page.contains(&format!("`{name}`")) && !page.contains(&format!("`{name}{{")) {
                findings.push(format!(
                    "{}:{line}: `{name}` is not in docs/metrics.md: add a row that says what it \
                     counts and its labels",
                    file.path
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn metric_names_are_only_in_metrics_files() {
    let mut findings = Vec::new();
    for file in rust_files() {
        if !file.path.contains("/src/") || file.is_test() || file.path.ends_with("/metrics.rs") {
            continue;
        }
        for (line, name, _) in file.metrics() {
            // `"holdfast_store=debug"` and the like name crates to the log filter.
            if source::metric_problems(&name, source::Kind::Unknown).is_empty()
                && name != "holdfast_shard_node"
            {
                findings.push(format!(
                    "{}:{line}: `{name}`: metrics live in the crate's metrics.rs: export a \
                     constant or a handle from there",
                    file.path
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn s3_codes_and_s3s_stay_where_they_belong() {
    let mut findings = Vec::new();
    for file in rust_files() {
        if file.path.starts_with("tests/") {
            continue;
        }
        let code = file.code();
        let home = file.path.starts_with("gateway/src/s3/") || file.path == "gateway/src/s3.rs";
        for (number, line) in code.lines().enumerate() {
            let at = format!("{}:{}", file.path, number + 1);
            let decides = file.path == "gateway/src/s3/error.rs"
                || file.path.starts_with("gateway/src/s3/error/");
            if line.contains("S3ErrorCode::") && !decides && !file.is_test() {
                findings.push(format!(
                    "{at}: S3 codes are decided in gateway/src/s3/error.rs only: return a \
                     GatewayError and map it there"
                ));
            }
            if names_crate(line, "s3s") && !home {
                findings.push(format!("{at}: `s3s` types stay inside gateway/src/s3"));
            }
        }
    }
    for &(folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != "gateway") {
        let manifest = read(&format!("{folder}/Cargo.toml")).unwrap_or_default();
        if source::dependencies(&manifest)
            .iter()
            .any(|name| name == "s3s")
        {
            findings.push(format!(
                "{folder}/Cargo.toml: only `gateway` may depend on `s3s`"
            ));
        }
    }
    none(findings);
}

/// Whether `line` names the crate as a path root (`s3s::`, `use s3s;`).
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '"');
        starts && (after.starts_with("::") || (line.contains("use ") && after.starts_with(';')))
    })
}

#[test]
fn readme_is_short() {
    let count = read("README.md")
        .expect("the repository has a README")
        .lines()
        .count();
    assert!(
        count <= README_LINES_MAX,
        "README.md has {count} lines, at most {README_LINES_MAX}: move detail to docs/ and link it"
    );
}

#[test]
fn the_checks_see_the_tree() {
    let files = rust_files();
    assert!(root().join("Cargo.toml").exists());
    assert!(files.iter().any(|file| file.path == "tests/tests/tidy.rs"));
    assert!(
        files
            .iter()
            .all(|file: &Source| !file.path.starts_with("target/"))
    );
}
