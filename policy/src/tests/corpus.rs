//! Goal: every fuzz target survives its corpus, and what comes of damaging it, on every run of the
//! tests.
//! Method: the kept corpus, and mutations of it by a fixed generator; `HOLDFAST_TEST_FUZZ` sets how
//! many per seed.

use std::path::{Path, PathBuf};

use crate::fuzz::ALL;
use crate::{Acl, Policy};

const ROUNDS: u64 = 2000;

/// Pieces that have a meaning somewhere.
const WORDS: [&str; 20] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "*",
    "?",
    "${",
    "${aws:username}",
    "${*}",
    "Not",
    "ForAllValues:",
    "IfExists",
    "\\u0000",
    "\u{e9}",
    "arn:aws:s3:::",
    "Deny",
    "0.0.0.0/0",
];

struct Mutator(u64);

impl Mutator {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.insert(at, 0x20 + (self.next() % 0x5f) as u8),
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(7),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => {
                    let end = at + self.below(bytes.len() + 1 - at);
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                4 => {
                    let from = self.below(other.len() + 1);
                    let end = from + self.below(other.len() + 1 - from);
                    bytes.splice(at..at, other[from..end].iter().copied());
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    bytes.splice(at..at, word.bytes());
                }
            }
        }
        bytes
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder().join(target));
    let entries = entries.unwrap_or_else(|error| panic!("no corpus of {target}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    let rounds = std::env::var("HOLDFAST_TEST_FUZZ").map(|text| text.parse().unwrap());
    let rounds = rounds.unwrap_or(ROUNDS);
    for (name, target) in ALL {
        let seeds = seeds(name);
        assert!(seeds.len() >= 2, "too few seeds for {name}");
        let mut mutator = Mutator(0x5eed_2000 + name.len() as u64);
        target(&[]);
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            let other = &seeds[(number + 1) % seeds.len()];
            for _ in 0..rounds {
                let input = mutator.mutate(seed, other);
                let outcome = std::panic::catch_unwind(|| target(&input));
                assert!(
                    outcome.is_ok(),
                    "{name}: {:?}",
                    input.escape_ascii().to_string()
                );
            }
        }
    }
}

#[test]
fn most_seeds_are_taken() {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let policies: Vec<String> = seeds("policy_document").iter().map(text).collect();
    let read = |text: &&String| Policy::parse(text, "bucket").is_ok();
    assert!(policies.iter().filter(read).count() + 2 >= policies.len());
    let acls: Vec<String> = seeds("policy_acl").iter().map(text).collect();
    let read = |text: &&String| Acl::from_json(text).is_ok();
    assert!(acls.iter().filter(read).count() + 1 >= acls.len());
}

#[test]
fn every_target_has_a_program() {
    let manifest = std::fs::read_to_string(folder().join("../Cargo.toml")).unwrap();
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let program = folder().join(format!("../fuzz_targets/{name}.rs"));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(program.contains(&format!("fuzz::run(\"{name}\"")), "{name}");
    }
}

#[test]
fn every_program_of_policies_has_a_target() {
    let programs = std::fs::read_dir(folder().join("../fuzz_targets")).unwrap();
    let names = programs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.starts_with("policy_")).collect();
    for name in &names {
        let name = name.trim_end_matches(".rs");
        assert!(ALL.iter().any(|(known, _)| *known == name), "{name}");
    }
    assert_eq!(names.len(), ALL.len());
}
