//! Goal: every fuzz target survives its corpus, and what comes of damaging it, on every run of the
//! tests.
//! Method: the targets of `fuzz/`, fed with its seeds and with mutations of them by a fixed
//! generator.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

/// Mutations per seed.
const ROUNDS: u64 = 2000;

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
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.next() as u8),
                4 => {
                    let edge = [0, 1, 0x7f, 0xff, 0xffff, 1 << 24, u32::MAX][self.below(7)];
                    let end = bytes.len().min(at + 4);
                    bytes[at..end].copy_from_slice(&edge.to_le_bytes()[..end - at]);
                }
                5 => {
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend(&other[from.min(other.len())..]);
                }
                _ => {
                    let again = bytes[at.min(bytes.len())..].to_vec();
                    bytes.extend(again);
                }
            }
        }
        bytes
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    for (name, target) in targets::ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "no seeds for {name}");
        let mut mutator = Mutator(0x5eed_0000 + name.len() as u64);
        target(&[]);
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            let other = &seeds[(number + 1) % seeds.len()];
            for _ in 0..ROUNDS {
                target(&mutator.mutate(seed, other));
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_every_program_a_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in targets::ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let program = fuzz.join(format!("fuzz_targets/{name}.rs"));
        let program = std::fs::read_to_string(&program).unwrap();
        assert!(program.contains(&format!("targets::{name}(")), "{name}");
    }
    // Those of other crates are theirs to check.
    let programs = std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap();
    let names = programs.map(|program| program.unwrap().file_name());
    let ours = names.filter(|name| {
        let name = name.to_string_lossy();
        !["gateway_", "policy_"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    assert_eq!(ours.count(), targets::ALL.len());
}

/// The seeds really decode: a corpus that every target refuses at once would test nothing.
#[test]
fn seeds_reach_behind_the_magic() {
    for (name, _) in targets::ALL {
        let all = seeds(name);
        let good = all
            .iter()
            .filter(|seed| targets::accepts(name, seed))
            .count();
        assert_eq!(
            good,
            all.len(),
            "{name}: {good} of {} seeds decode",
            all.len()
        );
    }
}

/// Programs that run no target of this crate: their own crates hold them against their lists.
const OTHERS: [&str; 2] = ["gateway_", "policy_"];

#[test]
fn every_program_has_a_target_and_every_target_a_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let programs = std::fs::read_dir(folder.join("fuzz_targets")).unwrap();
    let names = programs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    for name in &names {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "{name} is not in fuzz/Cargo.toml");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), names.len());
    let of_others = |name: &&String| OTHERS.iter().any(|other| name.starts_with(other));
    let own: Vec<&String> = names.iter().filter(|name| !of_others(name)).collect();
    for name in &own {
        let is_known = targets::ALL.iter().any(|(known, _)| known == name);
        assert!(is_known, "{name} runs no target");
        let program = folder.join(format!("fuzz_targets/{name}.rs"));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(
            program.contains(&format!("targets::{name}(data)")),
            "{name}"
        );
    }
    for (name, _) in targets::ALL {
        assert!(own.iter().any(|own| own == name), "{name} has no program");
    }
}
