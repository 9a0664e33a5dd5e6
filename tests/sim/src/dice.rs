//! Seeded randomness.
//!
//! Owns: a generator whose output is a function of its seed (SplitMix64: Steele, Lea and Flood
//! 2014).
//! Leaves to others: what is drawn.
//! Always: the same seed and the same calls give the same numbers on every machine.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_seam::Rng;

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A random number.
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        match end {
            0 => 0,
            end => self.u64() % end,
        }
    }

    /// A number of `range`; its start if it is empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// Whether one of so many thousand throws hits.
    pub fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// One of `items`, or `None` if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Dice of their own for something else.
    pub fn fork(&mut self) -> Self {
        Self(self.u64())
    }
}

/// Dice as the seam's randomness.
#[derive(Clone, Debug)]
pub struct SimRng(Arc<Mutex<Dice>>);

impl SimRng {
    /// Randomness from `dice`.
    pub fn new(dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(dice)))
    }
}

impl Rng for SimRng {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let random = dice.u64().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}
