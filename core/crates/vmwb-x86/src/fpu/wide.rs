//! 128-bit arithmetic for the transcendental functions: products and quotients cut, not rounded, with an error of a few
//! units in the 120th bit, and power series in fixed point.
//!
//! Results need 64 bits and a little more; everything here is integer arithmetic, so that it gives the same on every host.
//! In names and comments Qn is a fixed-point number with n fraction bits.

use super::exact::Exact;

/// 1, in Q127.
pub(super) const ONE: u128 = 1 << 127;

/// Upper half of a product.
#[inline]
pub(super) const fn mul_high(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let cross = a1 * b0;
    let middle = ((a0 * b0) >> 64) + (a0 * b1) % (LOW + 1) + cross % (LOW + 1);
    a1 * b1 + ((a0 * b1) >> 64) + (cross >> 64) + (middle >> 64)
}

/// `a * b`, cut to 127 or 128 bits.
#[inline]
pub(super) fn mul(a: Exact, b: Exact) -> Exact {
    let product = mul_high(a.significand, b.significand);
    Exact::from_u128(
        a.negative != b.negative,
        a.exponent + b.exponent + 1,
        product,
    )
}

/// `a / b`, with a relative error below 2^-120.
pub(super) fn div(a: Exact, b: Exact) -> Exact {
    // The reciprocal of b's significand, a Q127 number in [1, 2): 64 bits by division, doubled by one Newton step.
    let first = ((ONE / (b.significand >> 64)) << 63).min(ONE - 1);
    let correction = ONE - mul_high(b.significand, first);
    let reciprocal = mul_high(first, correction) << 2;
    let product = mul_high(a.significand, reciprocal);
    Exact::from_u128(
        a.negative != b.negative,
        a.exponent - b.exponent + 1,
        product,
    )
}

/// `a + b`, which must not cancel to zero.
pub(super) fn add(a: Exact, b: Exact) -> Exact {
    a.add(b)
        .expect("the operands differ in magnitude or agree in sign")
}

/// Marks a value as lying a little above what its bits say, so that no rounding takes it for exact.
pub(super) fn inexact(x: Exact) -> Exact {
    Exact {
        significand: x.significand | 1,
        ..x
    }
}

/// A magnitude below 1 in Q128.
pub(super) fn fraction(x: Exact) -> u128 {
    debug_assert!(x.exponent < 0);
    let shift = (-1 - x.exponent) as u32;
    x.significand.checked_shr(shift).unwrap_or(0)
}

/// The square of a magnitude below 1 in Q128.
pub(super) fn square(x: Exact) -> u128 {
    fraction(mul(x, x))
}

/// `c[0] - z * (c[1] - z * (c[2] - ...))`: `z` in Q128, coefficients falling, in Q127. Below 1 even where bits run out,
/// so that a product with it is seen to fall short.
pub(super) fn alternating(z: u128, coefficients: &[u128]) -> u128 {
    let sum = coefficients
        .iter()
        .rev()
        .fold(0, |sum, &c| c - mul_high(z, sum));
    sum.min(ONE - 1)
}

/// `c[0] + z * (c[1] + z * (c[2] + ...))`, which must stay below 2.
pub(super) fn ascending(z: u128, coefficients: &[u128]) -> u128 {
    coefficients
        .iter()
        .rev()
        .fold(0, |sum, &c| c + mul_high(z, sum))
}

/// A positive Q127 number as a value.
pub(super) fn from_q127(bits: u128) -> Exact {
    Exact::from_u128(false, 0, bits)
}

/// 1 / (first + step * k)! for k = 0, 1, ... in Q127. The largest factorial must fit 127 bits.
pub(super) const fn reciprocal_factorials<const N: usize>(first: u128, step: u128) -> [u128; N] {
    let mut table = [0; N];
    let (mut k, mut n, mut factorial) = (0, 1, 1);
    while k < N {
        while n < first + step * k as u128 {
            n += 1;
            factorial *= n;
        }
        table[k] = ONE / factorial;
        k += 1;
    }
    table
}

/// 1 / (2k + 1) for k = 0, 1, ... in Q127.
pub(super) const fn odd_reciprocals<const N: usize>() -> [u128; N] {
    let mut table = [0; N];
    let mut k = 0;
    while k < N {
        table[k] = ONE / (2 * k as u128 + 1);
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mul_high_of_the_largest_is_two_less_than_full() {
        assert_eq!(mul_high(u128::MAX, u128::MAX), u128::MAX - 1);
        assert_eq!(mul_high(1 << 127, 1 << 127), 1 << 126);
        assert_eq!(mul_high(u128::MAX, 1), 0);
    }

    #[test]
    fn div_then_mul_comes_back_within_120_bits() {
        let a = Exact {
            negative: false,
            exponent: 3,
            significand: 0xC90F_DAA2_2168_C234_C4C6_628B_80DC_1CD1,
        };
        for b in [
            ONE,
            ONE + 1,
            u128::MAX,
            0xB172_17F7_D1CF_79AB_C9E3_B398_03F2_F6AF,
            ONE | (u128::MAX >> 64),
        ] {
            let b = Exact {
                negative: true,
                exponent: -7,
                significand: b,
            };
            let back = mul(div(a, b), b);
            let difference = back.significand.abs_diff(a.significand);
            assert!(
                back.exponent == a.exponent && difference < 1 << 8,
                "{b:?} {difference}"
            );
        }
    }

    #[test]
    fn factorials_start_where_they_are_told() {
        let sine = reciprocal_factorials::<3>(1, 2);
        assert_eq!(sine, [ONE, ONE / 6, ONE / 120]);
        let cosine = reciprocal_factorials::<3>(0, 2);
        assert_eq!(cosine, [ONE, ONE / 2, ONE / 24]);
    }
}
