//! Registers and instructions of x86-64: AVX2, and GFNI on AVX2 or AVX-512.
//!
//! Owns: loading, storing and scaling one register. Leaves to others: the loop ([`super::lanes`]).
//! Always: memory is touched only through arrays exactly as long as the register.

pub(super) mod gfni_avx512 {
    //! 64 bytes at a time; a coefficient is an 8×8 bit matrix.

    use std::arch::x86_64::*;

    type Split = __m512i;

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> __m512i {
        _mm512_setzero_si512()
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: reads 64 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(bytes: &mut [u8; 64], register: __m512i) {
        // SAFETY: writes 64 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), register) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn split(register: __m512i) -> Split {
        register
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn factor(table: &u64) -> __m512i {
        _mm512_set1_epi64(table.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "gfni,avx512f")]
    fn add_scaled(sum: __m512i, source: Split, factor: __m512i) -> __m512i {
        _mm512_xor_si512(sum, _mm512_gf2p8affine_epi64_epi8::<0>(source, factor))
    }

    crate::kernel::lanes::kernel_of_lanes!("gfni,avx512f", 64, u64, [4, 4, 4, 4]);
}

pub(super) mod gfni_avx2 {
    //! 32 bytes at a time; a coefficient is an 8×8 bit matrix.

    use std::arch::x86_64::*;

    type Split = __m256i;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> __m256i {
        _mm256_setzero_si256()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: reads 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(bytes: &mut [u8; 32], register: __m256i) {
        // SAFETY: writes 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), register) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn split(register: __m256i) -> Split {
        register
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn factor(table: &u64) -> __m256i {
        _mm256_set1_epi64x(table.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "gfni,avx2")]
    fn add_scaled(sum: __m256i, source: Split, factor: __m256i) -> __m256i {
        _mm256_xor_si256(sum, _mm256_gf2p8affine_epi64_epi8::<0>(source, factor))
    }

    crate::kernel::lanes::kernel_of_lanes!("gfni,avx2", 32, u64, [4, 3, 3, 2]);
}

pub(super) mod avx2 {
    //! 32 bytes at a time; a coefficient is its products with both halves of a byte.

    use std::arch::x86_64::*;

    /// The low and the high four bits of every byte, each as an index into 16 products.
    type Split = (__m256i, __m256i);

    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> __m256i {
        _mm256_setzero_si256()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: reads 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(bytes: &mut [u8; 32], register: __m256i) {
        // SAFETY: writes 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), register) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn split(register: __m256i) -> Split {
        let low_bits = _mm256_set1_epi8(0x0F);
        let high = _mm256_srli_epi16::<4>(register);
        (
            _mm256_and_si256(register, low_bits),
            _mm256_and_si256(high, low_bits),
        )
    }

    /// The products with the low and the high half, each in both 128-bit lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn factor(table: &[u8; 32]) -> (__m256i, __m256i) {
        let both = load(table);
        (
            _mm256_permute4x64_epi64::<0b01_00_01_00>(both),
            _mm256_permute4x64_epi64::<0b11_10_11_10>(both),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_scaled(sum: __m256i, source: Split, factor: (__m256i, __m256i)) -> __m256i {
        let low = _mm256_shuffle_epi8(factor.0, source.0);
        let high = _mm256_shuffle_epi8(factor.1, source.1);
        _mm256_xor_si256(sum, _mm256_xor_si256(low, high))
    }

    crate::kernel::lanes::kernel_of_lanes!("avx2", 32, [u8; 32], [2, 2, 2, 2]);
}
