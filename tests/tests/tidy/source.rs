//! Reading the tree as text, for the checks of `tidy`.
//!
//! Owns: finding the files and the little parsing that the checks need.
//! Leaves to others: every rule ([`super`]).
//! Always: works on what rustfmt leaves; a file it cannot read is an error, not skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", ".git", ".cache", "holdfast-data", "node_modules"];

/// One Rust file: its path from the root with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// What kind of metric a name is registered as, when the code beside it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Unknown,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the root exists")
}

/// A file's text, or `None` when there is no such file. `path` starts at the root.
pub fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// Every Rust file of the repository, in order.
pub fn rust_files() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut |path| {
        if path.extension().is_some_and(|e| e == "rs") {
            let relative = path.strip_prefix(&root).expect("below the root");
            let text = fs::read_to_string(path).expect("a source file is readable UTF-8");
            found.push(Source {
                path: relative.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    });
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Markdown pages of a folder, by file name; empty when the folder is missing.
pub fn markdown(folder: &str) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    walk(&root().join(folder), &mut |path| {
        if path.extension().is_some_and(|e| e == "md") {
            let name = path.to_string_lossy().into_owned();
            pages.insert(name, fs::read_to_string(path).expect("a page can be read"));
        }
    });
    pages
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.map(|e| e.expect("a folder can be listed")) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if !SKIPPED.contains(&&*name.to_string_lossy()) {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}

impl Source {
    /// Whether the file is only compiled for tests, examples or benchmarks.
    pub fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts
            .iter()
            .any(|p| ["tests.rs", "tests", "benches", "examples", "fuzz"].contains(p))
    }

    /// The text without comments and without an inline `mod tests` at its end. Line numbers stay.
    pub fn code(&self) -> String {
        let mut lines = Vec::new();
        let mut all = self.text.lines().peekable();
        while let Some(line) = all.next() {
            let next = all.peek().copied().unwrap_or_default();
            if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
                break;
            }
            lines.push(without_comment(line));
        }
        lines.join("\n")
    }

    /// Lines with every `use a::{b, c}` spelt out, so that a path is found however it is imported.
    pub fn paths_named(&self) -> Vec<(usize, String)> {
        let code = self.code();
        let mut found = Vec::new();
        let mut statement: Option<(usize, String)> = None;
        for (number, line) in code.lines().enumerate() {
            let text = line.trim();
            let starts = text.starts_with("use ") || text.starts_with("pub use ");
            if starts && statement.is_none() {
                statement = Some((number + 1, String::new()));
            }
            match &mut statement {
                None => found.push((number + 1, text.to_owned())),
                Some((_, whole)) => whole.push_str(text),
            }
            if text.ends_with(';')
                && let Some((line, whole)) = statement.take()
            {
                let tree = whole.trim_start_matches("pub ").trim_start_matches("use ");
                let flat: String = tree.trim_end_matches(';').split_whitespace().collect();
                found.extend(expand("", &flat).into_iter().map(|path| (line, path)));
            }
        }
        found
    }

    /// Line, name and length in lines of every function; relies on rustfmt's indentation.
    pub fn functions(&self) -> Vec<(usize, String, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let text = line.trim_start();
            let Some((head, rest)) = text.split_once("fn ") else {
                continue;
            };
            let modifiers = ["pub", "async", "const", "unsafe", "extern", "\"C\""];
            let is_modifier = |w: &str| modifiers.contains(&w) || w.starts_with("pub(");
            if !head.split_whitespace().all(is_modifier) {
                continue;
            }
            let indent = " ".repeat(line.len() - text.len());
            let closing = format!("{indent}}}");
            let Some(len) = lines[start..].iter().position(|l| *l == closing) else {
                continue;
            };
            // A declaration ends with its signature.
            let signature = lines[start..=start + len]
                .iter()
                .find(|l| l.ends_with('{') || l.ends_with(';'));
            if signature.is_some_and(|l| l.ends_with('{')) {
                let name: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                found.push((start + 1, name, len + 1));
            }
        }
        found
    }

    /// Line, name and kind of every string literal that is a metric's name.
    pub fn metrics(&self) -> Vec<(usize, String, Kind)> {
        let code = self.code();
        let mut found = Vec::new();
        for (at, _) in code.match_indices("\"holdfast_") {
            let name: String = code[at + 1..].chars().take_while(|c| *c != '"').collect();
            let before = &code[..at];
            let line = before.lines().count().max(1);
            found.push((line, name, kind_of(before)));
        }
        found
    }
}

/// The kind named last in the statement that leads up to a metric's name.
fn kind_of(before: &str) -> Kind {
    let start = before.rfind([';', '?']).map_or(0, |at| at + 1);
    let statement = before[start..].to_lowercase();
    [
        ("counter", Kind::Counter),
        ("gauge", Kind::Gauge),
        ("histogram", Kind::Histogram),
    ]
    .into_iter()
    .filter_map(|(word, kind)| statement.rfind(word).map(|at| (at, kind)))
    .max_by_key(|(at, _)| *at)
    .map_or(Kind::Unknown, |(_, kind)| kind)
}

/// What is wrong with a metric's name; empty when nothing is.
pub fn metric_problems(name: &str, kind: Kind) -> Vec<&'static str> {
    const NOT_BASE: &[&str] = &[
        "ms",
        "millis",
        "milliseconds",
        "us",
        "micros",
        "ns",
        "nanos",
        "minutes",
        "hours",
        "days",
        "kb",
        "kib",
        "mb",
        "mib",
        "gb",
        "gib",
        "kilobytes",
        "megabytes",
        "percent",
        "pct",
        "size",
    ];
    let mut problems = Vec::new();
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(valid) || name.contains("__") || name.ends_with('_') {
        problems.push("use lower-case words joined by single `_`");
    }
    if name.split('_').count() < 3 {
        problems.push("after `holdfast_` comes the component, then what is measured");
    }
    if name.split('_').any(|word| NOT_BASE.contains(&word)) {
        problems.push("use base units: seconds, bytes, a ratio in 0–1, or a plain count");
    }
    let total = name.ends_with("_total");
    if kind == Kind::Counter && !total {
        problems.push("a counter ends in `_total`");
    }
    if matches!(kind, Kind::Gauge | Kind::Histogram) && total {
        problems.push("only counters end in `_total`");
    }
    if ["_count", "_sum", "_bucket"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        problems.push("`_count`, `_sum` and `_bucket` belong to histograms' own series");
    }
    problems
}

/// Removes a `//` comment, unless the slashes stand inside a string.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if previous != '\\' => quoted = !quoted,
            '/' if !quoted && previous == '/' => return &line[..at - 1],
            _ => {}
        }
        previous = c;
    }
    line
}

/// Spells out a use tree: `a::{b, c::{d}}` becomes `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![format!("{prefix}{tree}")];
    };
    let head = &tree[..open];
    let close = tree.rfind('}').unwrap_or(tree.len());
    let inner = &tree[open + 1..close];
    let mut paths = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                if start < at {
                    paths.extend(expand(&format!("{prefix}{head}"), &inner[start..at]));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// The names under `[dependencies]` and `[build-dependencies]`, targets' own included.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut counts = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            counts = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            if let Some((head, name)) = section.rsplit_once('.')
                && head.ends_with("dependencies")
                && !head.ends_with("dev-dependencies")
            {
                names.push(name.to_owned());
                counts = false;
            }
        } else if counts && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            names.push(name.trim_matches('"').to_owned());
        }
    }
    names
}

/// The workspace's members, as the root manifest lists them.
pub fn members(manifest: &str) -> Vec<String> {
    let list = manifest
        .split_once("members = [")
        .map_or("", |(_, rest)| rest);
    let list = list.split(']').next().unwrap_or_default();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The values of all constants whose name ends in `MAGIC`, as text.
pub fn magics(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| line.contains("const ")) {
        let Some((head, value)) = line.split_once("= *b\"") else {
            continue;
        };
        if head.contains("MAGIC: [u8; 4]") {
            found.push(value.chars().take(4).collect());
        }
    }
    found
}

#[test]
fn use_trees_are_spelt_out() {
    let file = source("use std::{\n    fs::{self, File},\n    net::IpAddr,\n};\n");
    let paths: Vec<String> = file
        .paths_named()
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    assert_eq!(
        paths,
        ["std::fs::self", "std::fs::File", "std::net::IpAddr"]
    );
}

#[test]
fn comments_and_inline_tests_are_not_code() {
    let text = "let a = \"http://x\"; // std::fs\n#[cfg(test)]\nmod tests {\n    std::fs\n}\n";
    assert_eq!(source(text).code(), "let a = \"http://x\"; ");
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text =
        "impl A {\n    pub async fn f(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n";
    assert_eq!(source(text).functions(), [(2, "f".to_owned(), 5)]);
    let text =
        "trait A {\n    fn f(\n        &self,\n    ) -> u8;\n    fn g() {\n        f()\n    }\n}\n";
    assert_eq!(source(text).functions(), [(5, "g".to_owned(), 3)]);
}

#[test]
fn dependency_sections_are_told_apart() {
    let text = "[dependencies]\na = \"1\"\nb.workspace = true\n[dev-dependencies]\nc = \"1\"\n\
                [target.'cfg(unix)'.dependencies]\nd = { version = \"1\" }\n\
                [dependencies.e]\nx = 1\n";
    assert_eq!(dependencies(text), ["a", "b", "d", "e"]);
}

#[test]
fn bad_metric_names_are_found() {
    assert!(metric_problems("holdfast_s3_requests_total", Kind::Counter).is_empty());
    assert!(metric_problems("holdfast_drive_used_bytes", Kind::Gauge).is_empty());
    for (name, kind) in [
        ("holdfast_s3_requests", Kind::Counter),
        ("holdfast_drive_used_total", Kind::Gauge),
        ("holdfast_read_latency_ms", Kind::Histogram),
        ("holdfast_requests", Kind::Gauge),
        ("holdfast_Drive_used_bytes", Kind::Unknown),
    ] {
        assert_eq!(metric_problems(name, kind).len(), 1, "{name}");
    }
    assert_eq!(
        kind_of("x?; let c = IntCounterVec::new(Opts::new("),
        Kind::Counter
    );
}

#[cfg(test)]
fn source(text: &str) -> Source {
    Source {
        path: "x/src/a.rs".to_owned(),
        text: text.to_owned(),
    }
}
