//! Registers and instructions of aarch64: 16 bytes at a time by table look-up.
//!
//! Owns: loading, storing and scaling one register. Leaves to others: the loop ([`super::lanes`]).
//! Always: memory is touched only through arrays exactly as long as the register.

use std::arch::aarch64::*;

/// The low and the high four bits of every byte, each as an index into 16 products.
type Split = (uint8x16_t, uint8x16_t);

#[inline]
#[target_feature(enable = "neon")]
fn zero() -> uint8x16_t {
    vdupq_n_u8(0)
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: reads 16 bytes, which the array has; the instruction needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(bytes: &mut [u8; 16], register: uint8x16_t) {
    // SAFETY: writes 16 bytes, which the array has; the instruction needs no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), register) }
}

#[inline]
#[target_feature(enable = "neon")]
fn split(register: uint8x16_t) -> Split {
    (
        vandq_u8(register, vdupq_n_u8(0x0F)),
        vshrq_n_u8::<4>(register),
    )
}

/// The products with the low and with the high half of a byte.
#[inline]
#[target_feature(enable = "neon")]
fn factor(table: &[u8; 32]) -> (uint8x16_t, uint8x16_t) {
    // SAFETY: reads the first and the second 16 of the 32 bytes that the array has.
    unsafe { (vld1q_u8(table.as_ptr()), vld1q_u8(table.as_ptr().add(16))) }
}

#[inline]
#[target_feature(enable = "neon")]
fn add_scaled(sum: uint8x16_t, source: Split, factor: (uint8x16_t, uint8x16_t)) -> uint8x16_t {
    let product = veorq_u8(
        vqtbl1q_u8(factor.0, source.0),
        vqtbl1q_u8(factor.1, source.1),
    );
    veorq_u8(sum, product)
}

crate::kernel::lanes::kernel_of_lanes!("neon", 16, [u8; 32], [4, 4, 2, 2]);
