//! Arithmetic in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11D).
//!
//! Owns: products, inverses and powers, and the forms in which kernels take a coefficient.
//! Leaves to others: matrices ([`crate::matrix`]) and bulk data ([`crate::kernel`]).
//! Always: addition is exclusive or; 2 generates the multiplicative group of order 255.

const POLYNOMIAL: u16 = 0x11D;

/// `EXP[i]` is 2 to the power `i`, twice over, so that a sum of two logarithms needs no modulo.
const EXP: [u8; 510] = {
    let mut table = [0; 510];
    let mut value: u16 = 1;
    let mut i = 0;
    while i < 510 {
        table[i] = value as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= POLYNOMIAL;
        }
        i += 1;
    }
    table
};

/// `LOG[EXP[i]] == i` for `i < 255`; `LOG[0]` means nothing.
const LOG: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 255 {
        table[EXP[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// `a * b`.
pub(crate) const fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[LOG[a as usize] as usize + LOG[b as usize] as usize]
}

/// The number that gives 1 when multiplied with `a`; `None` for 0.
pub(crate) const fn inverse(a: u8) -> Option<u8> {
    if a == 0 {
        return None;
    }
    Some(EXP[255 - LOG[a as usize] as usize])
}

/// `base` to the power `exponent`, where 0 to the power 0 is 1.
pub(crate) fn power(base: u8, exponent: usize) -> u8 {
    (0..exponent).fold(1, |value, _| product(value, base))
}

/// The products of `coefficient` with 0, 1, … 255.
pub(crate) fn products(coefficient: u8) -> &'static [u8; 256] {
    static TABLE: [[u8; 256]; 256] = {
        let mut table = [[0; 256]; 256];
        let mut i = 0;
        while i < 1 << 16 {
            table[i >> 8][i & 0xFF] = product((i >> 8) as u8, (i & 0xFF) as u8);
            i += 1;
        }
        table
    };
    &TABLE[usize::from(coefficient)]
}

/// The products of `coefficient` with 0x00 … 0x0F, then with 0x00, 0x10 … 0xF0.
///
/// A product with any byte is one entry of each half, added: multiplication is linear.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", test))]
pub(crate) fn nibble_products(coefficient: u8) -> [u8; 32] {
    let all = products(coefficient);
    std::array::from_fn(|i| if i < 16 { all[i] } else { all[(i - 16) << 4] })
}

/// Multiplication by `coefficient` as the 8×8 bit matrix that `GF2P8AFFINEQB` takes.
///
/// Bit `i` of byte `7 - j` says whether input bit `i` counts into output bit `j`.
/// Source: Intel 64 and IA-32 Software Developer's Manual, volume 2, `GF2P8AFFINEQB`.
#[cfg(any(target_arch = "x86_64", test))]
pub(crate) fn bit_matrix(coefficient: u8) -> u64 {
    let mut rows = [0_u8; 8];
    for input in 0..8 {
        let column = product(coefficient, 1 << input);
        for output in 0..8 {
            rows[7 - output] |= (column >> output & 1) << input;
        }
    }
    u64::from_le_bytes(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication from its definition, one bit at a time.
    fn shift_and_add(a: u8, b: u8) -> u8 {
        let mut sum = 0_u16;
        for bit in (0..8).rev() {
            sum <<= 1;
            if sum & 0x100 != 0 {
                sum ^= POLYNOMIAL;
            }
            if b >> bit & 1 != 0 {
                sum ^= u16::from(a);
            }
        }
        u8::try_from(sum).unwrap()
    }

    #[test]
    fn every_form_of_a_coefficient_gives_the_defined_product() {
        for a in 0..=u8::MAX {
            let nibbles = nibble_products(a);
            let rows = bit_matrix(a).to_le_bytes();
            for b in 0..=u8::MAX {
                let expected = shift_and_add(a, b);
                assert_eq!(product(a, b), expected, "{a} * {b}");
                assert_eq!(products(a)[usize::from(b)], expected);
                let (low, high) = (usize::from(b & 15), usize::from(b >> 4));
                assert_eq!(nibbles[low] ^ nibbles[16 + high], expected);
                let by_bits = (0..8).fold(0, |byte, j| {
                    byte | u8::from((rows[7 - j] & b).count_ones() % 2 == 1) << j
                });
                assert_eq!(by_bits, expected);
            }
        }
    }

    #[test]
    fn every_number_but_zero_has_an_inverse() {
        assert_eq!(inverse(0), None);
        for a in 1..=u8::MAX {
            assert_eq!(product(a, inverse(a).unwrap()), 1);
        }
    }

    #[test]
    fn the_zeroth_power_is_one_even_of_zero() {
        assert_eq!(
            (power(0, 0), power(0, 1), power(7, 0), power(2, 8)),
            (1, 0, 1, 0x1D)
        );
    }
}
