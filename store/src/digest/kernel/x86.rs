//! Registers and instructions of x86-64: AVX-512, AVX-512VL on half registers, and AVX2.
//!
//! Owns: loading blocks of lanes as words, and the arithmetic of one step.
//! Leaves to others: the steps ([`super::rounds`]).
//! Always: memory is touched only through arrays that are long enough.

use std::arch::asm;
use std::arch::x86_64::*;

use super::rounds::BLOCK;

/// The `at`-th 16 bytes of a block.
#[inline]
#[target_feature(enable = "sse2")]
fn quarter(block: &[u8; BLOCK], at: usize) -> __m128i {
    let bytes: &[u8; 16] = &block.as_chunks().0[at];
    // SAFETY: reads 16 bytes, which the array has; the instruction needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Four registers of four words per 128 bits, transposed within each 128 bits.
macro_rules! transposed {
    ($rows:expr, $lo32:ident, $hi32:ident, $lo64:ident, $hi64:ident) => {{
        let [row0, row1, row2, row3] = $rows;
        let (low, low2) = ($lo32(row0, row1), $lo32(row2, row3));
        let (high, high2) = ($hi32(row0, row1), $hi32(row2, row3));
        [
            $lo64(low, low2),
            $hi64(low, low2),
            $lo64(high, high2),
            $hi64(high, high2),
        ]
    }};
}

/// What AVX-512 registers of one width have in common.
macro_rules! avx512_arithmetic {
    ($features:literal, $v:ty, $class:ident, $add:ident, $set:ident, $rol:ident, $ternary:ident,
     $load:ident, $store:ident) => {
        type V = $v;

        #[inline]
        #[target_feature(enable = $features)]
        fn add(a: V, b: V) -> V {
            $add(a, b)
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn constant(word: u32) -> V {
            $set(word.cast_signed())
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn fence(mut a: V) -> V {
            // SAFETY: there is no instruction; the register comes back as it was.
            unsafe {
                asm!("/* {0} */", inout($class) a, options(pure, nomem, nostack, preserves_flags))
            };
            a
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
            $rol::<LEFT>(a)
        }
        // The numbers are the truth tables of the functions of RFC 1321.
        #[inline]
        #[target_feature(enable = $features)]
        fn f(b: V, c: V, d: V) -> V {
            $ternary::<0xCA>(b, c, d)
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn g(b: V, c: V, d: V) -> V {
            $ternary::<0xCA>(d, b, c)
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn h(b: V, c: V, d: V) -> V {
            $ternary::<0x96>(b, c, d)
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn i(b: V, c: V, d: V) -> V {
            $ternary::<0x39>(b, c, d)
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn words(array: &[u32; LANES]) -> V {
            // SAFETY: reads one register, as long as the array; no alignment is needed.
            unsafe { $load(array.as_ptr().cast()) }
        }
        #[inline]
        #[target_feature(enable = $features)]
        fn array(words: V) -> [u32; LANES] {
            let mut array = [0; LANES];
            // SAFETY: writes one register, as long as the array; no alignment is needed.
            unsafe { $store(array.as_mut_ptr().cast(), words) };
            array
        }
    };
}

pub(super) mod avx512 {
    //! 16 lanes.

    use super::*;

    avx512_arithmetic!(
        "avx512f",
        __m512i,
        zmm_reg,
        _mm512_add_epi32,
        _mm512_set1_epi32,
        _mm512_rol_epi32,
        _mm512_ternarylogic_epi32,
        _mm512_loadu_si512,
        _mm512_storeu_si512
    );

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(lanes: &[&[[u8; BLOCK]]; LANES], block: usize) -> [V; 16] {
        let mut words = [constant(0); 16];
        for at in 0..4 {
            let mut rows = [constant(0); 4];
            for (lane, row) in rows.iter_mut().enumerate() {
                let part = |group: usize| quarter(&lanes[4 * group + lane][block], at);
                let first = _mm512_castsi128_si512(part(0));
                let second = _mm512_inserti32x4::<1>(first, part(1));
                let third = _mm512_inserti32x4::<2>(second, part(2));
                *row = _mm512_inserti32x4::<3>(third, part(3));
            }
            let four = transposed!(
                rows,
                _mm512_unpacklo_epi32,
                _mm512_unpackhi_epi32,
                _mm512_unpacklo_epi64,
                _mm512_unpackhi_epi64
            );
            words[4 * at..4 * at + 4].copy_from_slice(&four);
        }
        words
    }

    super::super::rounds::advance_of_lanes!("avx512f", 16);
}

/// The words of 8 lanes.
macro_rules! load_8_lanes {
    ($features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn load(lanes: &[&[[u8; BLOCK]]; LANES], block: usize) -> [V; 16] {
            let mut words = [constant(0); 16];
            for at in 0..4 {
                let mut rows = [constant(0); 4];
                for (lane, row) in rows.iter_mut().enumerate() {
                    let part = |group: usize| quarter(&lanes[4 * group + lane][block], at);
                    *row = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(part(0)), part(1));
                }
                let four = transposed!(
                    rows,
                    _mm256_unpacklo_epi32,
                    _mm256_unpackhi_epi32,
                    _mm256_unpacklo_epi64,
                    _mm256_unpackhi_epi64
                );
                words[4 * at..4 * at + 4].copy_from_slice(&four);
            }
            words
        }
    };
}

pub(super) mod avx512vl {
    //! 8 lanes with the instructions of AVX-512.

    use super::*;

    avx512_arithmetic!(
        "avx512f,avx512vl",
        __m256i,
        ymm_reg,
        _mm256_add_epi32,
        _mm256_set1_epi32,
        _mm256_rol_epi32,
        _mm256_ternarylogic_epi32,
        _mm256_loadu_si256,
        _mm256_storeu_si256
    );
    load_8_lanes!("avx512f,avx512vl");
    super::super::rounds::advance_of_lanes!("avx512f,avx512vl", 8);
}

pub(super) mod avx2 {
    //! 8 lanes.

    use super::*;

    type V = __m256i;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: V, b: V) -> V {
        _mm256_add_epi32(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn constant(word: u32) -> V {
        _mm256_set1_epi32(word.cast_signed())
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn fence(mut a: V) -> V {
        // SAFETY: there is no instruction; the register comes back as it was.
        unsafe {
            asm!("/* {0} */", inout(ymm_reg) a, options(pure, nomem, nostack, preserves_flags))
        };
        a
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(a: V) -> V {
        _mm256_or_si256(_mm256_slli_epi32::<LEFT>(a), _mm256_srli_epi32::<RIGHT>(a))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn f(b: V, c: V, d: V) -> V {
        _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn g(b: V, c: V, d: V) -> V {
        _mm256_or_si256(_mm256_and_si256(b, d), _mm256_andnot_si256(d, c))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn h(b: V, c: V, d: V) -> V {
        _mm256_xor_si256(b, _mm256_xor_si256(c, d))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn i(b: V, c: V, d: V) -> V {
        let not_d = _mm256_xor_si256(d, constant(u32::MAX));
        _mm256_xor_si256(c, _mm256_or_si256(b, not_d))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(array: &[u32; LANES]) -> V {
        // SAFETY: reads 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(array.as_ptr().cast()) }
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn array(words: V) -> [u32; LANES] {
        let mut array = [0; LANES];
        // SAFETY: writes 32 bytes, which the array has; the instruction needs no alignment.
        unsafe { _mm256_storeu_si256(array.as_mut_ptr().cast(), words) };
        array
    }
    load_8_lanes!("avx2");
    super::super::rounds::advance_of_lanes!("avx2", 8);
}
