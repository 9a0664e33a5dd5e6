//! Goal: every target survives its corpus, and what comes of damaging it, on every run of the
//! tests.
//! Method: the kept corpus, and mutations of it by a fixed generator; `HOLDFAST_TEST_FUZZ` sets how
//! many per seed.

use std::path::{Path, PathBuf};

use super::ALL;

const ROUNDS: u64 = 3000;

/// Pieces that have a meaning somewhere.
const WORDS: [&str; 24] = [
    "\r\n",
    "\n",
    "%2B",
    "+",
    "%00",
    "/",
    "//",
    "..",
    "\"",
    "'",
    "<",
    ">",
    "<!--",
    "-->",
    "&amp;",
    "=",
    ",",
    ";",
    "0",
    "18446744073709551616",
    "*",
    "W/",
    " ",
    "\u{e9}",
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
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, 0x20 + (self.next() % 0x5f) as u8),
                2 if at < bytes.len() => bytes[at] ^= 1 << self.below(7),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => {
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
                5 => {
                    let end = at + self.below(bytes.len() + 1 - at);
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
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
        let mut mutator = Mutator(0x5eed_1000 + name.len() as u64);
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
fn every_program_of_the_gateway_has_a_target() {
    let programs = std::fs::read_dir(folder().join("../fuzz_targets")).unwrap();
    let names = programs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.starts_with("gateway_")).collect();
    for name in &names {
        let name = name.trim_end_matches(".rs");
        assert!(ALL.iter().any(|(known, _)| *known == name), "{name}");
    }
    assert_eq!(names.len(), ALL.len());
}
