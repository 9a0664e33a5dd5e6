//! Advancing many MD5 states at once, by the instructions that this machine has.
//!
//! Owns: choosing them at run time, and filling registers with lanes.
//! Leaves to others: which streams go together ([`super::lanes`]), padding ([`super::md5`]).
//! Always: the states come out as if each stream had been hashed alone. Code for an instruction
//! set runs only after it was seen to be there; `unsafe` is only in this module and below it.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(target_arch = "aarch64")]
mod neon;
pub(in crate::digest) mod rounds;
#[cfg(target_arch = "x86_64")]
mod x86;

use rounds::BLOCK;

/// One stream's part in a step: its state, and blocks to add.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    /// The four words of its state.
    pub state: &'a mut [u32; 4],
    /// Whole blocks.
    pub blocks: &'a [[u8; BLOCK]],
}

/// An instruction set for hashing several streams at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// 16 lanes a register (8 for few streams), two registers side by side.
    Avx512,
    /// 8 lanes a register, two registers side by side.
    Avx2,
    /// 4 lanes a register, two registers side by side.
    Neon,
    /// One stream after the other.
    Scalar,
}

impl Kernel {
    /// All kernels, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// Whether this machine can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            #[allow(
                unreachable_patterns,
                reason = "which patterns are left depends on the target"
            )]
            _ => false,
        }
    }

    /// The fastest kernel that this machine can run.
    #[must_use]
    pub fn fastest() -> Self {
        Self::ALL
            .into_iter()
            .find(|kernel| kernel.is_available())
            .unwrap_or(Self::Scalar)
    }

    /// Streams of one register: waiting for more of them gains little.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Neon => 4,
            Self::Scalar => 1,
        }
    }

    /// Most streams that one step takes.
    pub(super) fn lanes_max(self) -> usize {
        match self {
            Self::Scalar => 1,
            _ => 2 * self.lanes(),
        }
    }

    /// Adds the first `blocks` blocks of each lane to its state.
    ///
    /// # Panics
    /// If a lane has fewer blocks (a bug of the caller).
    pub(super) fn advance(self, lanes: &mut [Lane<'_>], blocks: usize) {
        assert!(
            lanes.iter().all(|lane| lane.blocks.len() >= blocks),
            "every lane has the blocks of the step"
        );
        assert!(self.is_available(), "only a kernel that can run is chosen");
        for lanes in lanes.chunks_mut(self.lanes_max()) {
            match (self, lanes.len()) {
                (Self::Scalar, _) | (_, 1) | (Self::Avx2 | Self::Neon, 2) => scalar(lanes, blocks),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, ..=8) => grouped::<8, 1>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: AVX-512F and VL were seen above.
                    unsafe { x86::avx512vl::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, ..=16) => grouped::<16, 1>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: AVX-512F was seen above.
                    unsafe { x86::avx512::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, _) => grouped::<16, 2>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: AVX-512F was seen above.
                    unsafe { x86::avx512::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, ..=8) => grouped::<8, 1>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: AVX2 was seen above.
                    unsafe { x86::avx2::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, _) => grouped::<8, 2>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: AVX2 was seen above.
                    unsafe { x86::avx2::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "aarch64")]
                (Self::Neon, ..=4) => grouped::<4, 1>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: NEON was seen above.
                    unsafe { neon::advance(states, data, blocks) }
                }),
                #[cfg(target_arch = "aarch64")]
                (Self::Neon, _) => grouped::<4, 2>(lanes, blocks, |states, data, blocks| {
                    // SAFETY: NEON was seen above.
                    unsafe { neon::advance(states, data, blocks) }
                }),
                #[allow(
                    unreachable_patterns,
                    reason = "which patterns are left depends on the target"
                )]
                _ => scalar(lanes, blocks),
            }
        }
    }
}

/// One stream after the other.
fn scalar(lanes: &mut [Lane<'_>], blocks: usize) {
    for lane in lanes {
        for block in &lane.blocks[..blocks] {
            fast_md5::transform(lane.state, block);
        }
    }
}

/// States of `G` groups of `L` lanes, by word.
type States<const L: usize, const G: usize> = [[[u32; L]; 4]; G];
/// Their blocks.
type Blocks<'a, const L: usize, const G: usize> = [[&'a [[u8; BLOCK]]; L]; G];

/// Lays `lanes`, at most `L * G` and at least one, out in groups for `advance`. Lanes that are left
/// over hash the first stream's blocks once more; what comes out of them is dropped.
fn grouped<const L: usize, const G: usize>(
    lanes: &mut [Lane<'_>],
    blocks: usize,
    advance: impl FnOnce(&mut States<L, G>, &Blocks<'_, L, G>, usize),
) {
    let mut states = [[[0; L]; 4]; G];
    let mut data = [[&lanes[0].blocks[..blocks]; L]; G];
    for (at, lane) in lanes.iter().enumerate() {
        data[at / L][at % L] = &lane.blocks[..blocks];
        for (word, value) in lane.state.iter().enumerate() {
            states[at / L][word][at % L] = *value;
        }
    }
    advance(&mut states, &data, blocks);
    for (at, lane) in lanes.iter_mut().enumerate() {
        for (word, value) in lane.state.iter_mut().enumerate() {
            *value = states[at / L][word][at % L];
        }
    }
}

#[cfg(test)]
mod tests;
