//! Registers and instructions of aarch64: 4 lanes.
//!
//! Owns: loading blocks of lanes as words, and the arithmetic of one step.
//! Leaves to others: the steps ([`super::rounds`]).
//! Always: memory is touched only through arrays that are long enough.

use std::arch::aarch64::*;
use std::arch::asm;

use super::rounds::BLOCK;

type V = uint32x4_t;

#[inline]
#[target_feature(enable = "neon")]
fn add(a: V, b: V) -> V {
    vaddq_u32(a, b)
}
#[inline]
#[target_feature(enable = "neon")]
fn constant(word: u32) -> V {
    vdupq_n_u32(word)
}
#[inline]
#[target_feature(enable = "neon")]
fn fence(mut a: V) -> V {
    // SAFETY: there is no instruction; the register comes back as it was.
    unsafe { asm!("/* {0:v} */", inout(vreg) a, options(pure, nomem, nostack, preserves_flags)) };
    a
}
#[inline]
#[target_feature(enable = "neon")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
    vsriq_n_u32::<RIGHT>(vshlq_n_u32::<LEFT>(a), a)
}
#[inline]
#[target_feature(enable = "neon")]
fn f(b: V, c: V, d: V) -> V {
    vbslq_u32(b, c, d)
}
#[inline]
#[target_feature(enable = "neon")]
fn g(b: V, c: V, d: V) -> V {
    vbslq_u32(d, b, c)
}
#[inline]
#[target_feature(enable = "neon")]
fn h(b: V, c: V, d: V) -> V {
    veorq_u32(b, veorq_u32(c, d))
}
#[inline]
#[target_feature(enable = "neon")]
fn i(b: V, c: V, d: V) -> V {
    veorq_u32(c, vornq_u32(b, d))
}
#[inline]
#[target_feature(enable = "neon")]
fn words(array: &[u32; LANES]) -> V {
    // SAFETY: reads 16 bytes, which the array has.
    unsafe { vld1q_u32(array.as_ptr()) }
}
#[inline]
#[target_feature(enable = "neon")]
fn array(words: V) -> [u32; LANES] {
    let mut array = [0; LANES];
    // SAFETY: writes 16 bytes, which the array has.
    unsafe { vst1q_u32(array.as_mut_ptr(), words) };
    array
}

/// The `at`-th four words of a block.
#[inline]
#[target_feature(enable = "neon")]
fn quarter(block: &[u8; BLOCK], at: usize) -> V {
    let bytes: &[u8; 16] = &block.as_chunks().0[at];
    // SAFETY: reads 16 bytes, which the array has; bytes need no alignment.
    vreinterpretq_u32_u8(unsafe { vld1q_u8(bytes.as_ptr()) })
}

#[inline]
#[target_feature(enable = "neon")]
fn load(lanes: &[&[[u8; BLOCK]]; LANES], block: usize) -> [V; 16] {
    let mut words = [constant(0); 16];
    for at in 0..4 {
        let row = |lane: usize| quarter(&lanes[lane][block], at);
        let (low, low2) = (vzip1q_u32(row(0), row(1)), vzip1q_u32(row(2), row(3)));
        let (high, high2) = (vzip2q_u32(row(0), row(1)), vzip2q_u32(row(2), row(3)));
        let pair = |a: V, b: V| {
            let (a, b) = (vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b));
            let (even, odd) = (vzip1q_u64(a, b), vzip2q_u64(a, b));
            (vreinterpretq_u32_u64(even), vreinterpretq_u32_u64(odd))
        };
        (words[4 * at], words[4 * at + 1]) = pair(low, low2);
        (words[4 * at + 2], words[4 * at + 3]) = pair(high, high2);
    }
    words
}

super::rounds::advance_of_lanes!("neon", 4);
