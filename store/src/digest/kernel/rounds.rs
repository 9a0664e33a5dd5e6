//! The 64 steps of MD5 over lanes, generated once per instruction set.
//!
//! Owns: the order of steps, shifts and constants (RFC 1321), and the loop over blocks.
//! Leaves to others: registers and instructions ([`super::x86`], [`super::neon`]).
//! Always: every lane is read through checked slices of whole blocks.

/// Bytes of a block.
pub(in crate::digest) const BLOCK: usize = 64;

/// ⌊2³² · |sin(i + 1)|⌋ (RFC 1321).
#[rustfmt::skip]
pub(super) const K: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613,
    0xfd46_9501, 0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193,
    0xa679_438e, 0x49b4_0821, 0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d,
    0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8, 0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a, 0xfffa_3942, 0x8771_f681, 0x6d9d_6122,
    0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70, 0x289b_7ec6, 0xeaa1_27fa,
    0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665, 0xf429_2244,
    0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb,
    0xeb86_d391,
];

/// Generates `advance` for one instruction set.
///
/// In scope where it is used, with at most the same target features: `V` (a register of one word of
/// each lane), `add`, `constant`, `fence` (keeps the compiler from reordering a sum), `rotate`,
/// `f`, `g`, `h`, `i` (RFC 1321), `words` and `array` (to and from an array) and `load` (the 16
/// words of one block of every lane).
macro_rules! advance_of_lanes {
    ($features:literal, $lanes:literal) => {
        /// Lanes in a register.
        pub(in crate::digest) const LANES: usize = $lanes;

        /// Advances `G` groups of lanes side by side by the first `blocks` blocks of each lane.
        ///
        /// Two groups hide each other's latency. Every lane must have that many blocks.
        #[target_feature(enable = $features)]
        pub(in crate::digest) fn advance<const G: usize>(
            states: &mut [[[u32; LANES]; 4]; G],
            data: &[[&[[u8; $crate::digest::kernel::rounds::BLOCK]]; LANES]; G],
            blocks: usize,
        ) {
            use $crate::digest::kernel::rounds::K;
            let mut sums = [[constant(0); 4]; G];
            for group in 0..G {
                for word in 0..4 {
                    sums[group][word] = words(&states[group][word]);
                }
            }
            for block in 0..blocks {
                let mut m = [[constant(0); 16]; G];
                for group in 0..G {
                    m[group] = load(&data[group], block);
                }
                let [mut a, mut b, mut c, mut d] = [[constant(0); G]; 4];
                for group in 0..G {
                    [a[group], b[group], c[group], d[group]] = sums[group];
                }
                macro_rules! step {
                    ($mix:ident, $a:ident $b:ident $c:ident $d:ident, $m:expr, $k:expr,
                     $left:literal) => {
                        for at in 0..G {
                            // All that does not depend on `$b`, which comes last, is summed first:
                            // the step is then four dependent instructions instead of five.
                            let early = fence(add($a[at], add(m[at][$m], constant(K[$k]))));
                            let sum = add(early, $mix($b[at], $c[at], $d[at]));
                            $a[at] = add(rotate::<$left, { 32 - $left }>(sum), $b[at]);
                        }
                    };
                }
                // Four rounds of sixteen steps: word `$first + $k * $stride` (mod 16).
                macro_rules! four {
                    ($mix:ident, $k:expr, $first:literal, $stride:literal,
                     $s0:literal $s1:literal $s2:literal $s3:literal) => {
                        step!($mix, a b c d, ($first + $k * $stride) % 16, $k, $s0);
                        step!($mix, d a b c, ($first + ($k + 1) * $stride) % 16, $k + 1, $s1);
                        step!($mix, c d a b, ($first + ($k + 2) * $stride) % 16, $k + 2, $s2);
                        step!($mix, b c d a, ($first + ($k + 3) * $stride) % 16, $k + 3, $s3);
                    };
                }
                macro_rules! round {
                    ($mix:ident, $k:literal, $first:literal, $stride:literal,
                     $s0:literal $s1:literal $s2:literal $s3:literal) => {
                        four!($mix, $k, $first, $stride, $s0 $s1 $s2 $s3);
                        four!($mix, $k + 4, $first, $stride, $s0 $s1 $s2 $s3);
                        four!($mix, $k + 8, $first, $stride, $s0 $s1 $s2 $s3);
                        four!($mix, $k + 12, $first, $stride, $s0 $s1 $s2 $s3);
                    };
                }
                round!(f, 0, 0, 1, 7 12 17 22);
                round!(g, 16, 1, 5, 5 9 14 20);
                round!(h, 32, 5, 3, 4 11 16 23);
                round!(i, 48, 0, 7, 6 10 15 21);
                for group in 0..G {
                    for (sum, word) in
                        sums[group].iter_mut().zip([a[group], b[group], c[group], d[group]])
                    {
                        *sum = add(*sum, word);
                    }
                }
            }
            for group in 0..G {
                for word in 0..4 {
                    states[group][word] = array(sums[group][word]);
                }
            }
        }
    };
}

pub(super) use advance_of_lanes;
