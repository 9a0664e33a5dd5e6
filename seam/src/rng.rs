//! Randomness.
//!
//! Owns: where random bytes come from.
//! Leaves to others: what they are for.
//! Always: the real form is the system's generator, fit for identities and nonces.

use std::fmt::Debug;

/// Random bytes.
pub trait Rng: Send + Sync + Debug {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
    /// 8 random bytes as a number.
    fn u64(&self) -> u64 {
        let mut bytes = [0_u8; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
    /// 16 random bytes as a number.
    fn u128(&self) -> u128 {
        let mut bytes = [0_u8; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

/// The system's generator.
#[derive(Debug)]
pub struct RealRng;

impl Rng for RealRng {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system's random generator answers");
    }
}
