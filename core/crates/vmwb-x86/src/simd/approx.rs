//! RCPSS, RCPPS, RSQRTSS, RSQRTPS: approximations from fixed tables, so that a guest computes the same on every host.
//!
//! The SDM asks for a relative error below 1.5 * 2^-12 and leaves the rest open; hosts differ. Each table entry is the
//! value at the middle of its interval, rounded to 17 bits: 2,048 intervals for the reciprocal (half an interval is an
//! error of 2^-12 at most), 1,024 for each parity of the exponent for the root, which halves the error of its argument.
//! Denormal operands count as zeros and tiny results become zeros; no flag is ever set, and MXCSR has no say.

use super::lanes::{Lanes, u32x4};

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0xFF << 23;
const QUIET: u32 = 1 << 22;
const INDEFINITE: u32 = SIGN | INFINITY | QUIET;

/// 16 fraction bits of `2 / m` at the middle of each 2,048th of [1, 2).
static RECIPROCALS: [u16; 2048] = {
    let mut table = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        let middle = 4097 + 2 * i as u32;
        table[i] = (((1u32 << 29) + middle / 2) / middle - 0x1_0000) as u16;
        i += 1;
    }
    table
};

/// 16 fraction bits of `2 / sqrt(m)` at the middle of each 1,024th of [1, 2), then of [2, 4).
static ROOTS: [u16; 2048] = {
    let mut table = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        let middle = 2049 + 2 * (i as u64 % 1024);
        // (2^17)^2 / m, four times that to round the root.
        let shift = if i < 1024 { 47 } else { 46 };
        let root = ((1u64 << shift) / middle).isqrt();
        table[i] = (root.div_ceil(2) - 0x1_0000) as u16;
        i += 1;
    }
    table
};

/// `1 / a`, about.
#[inline]
#[must_use]
pub fn rcpss(a: u32) -> u32 {
    let sign = a & SIGN;
    let magnitude = a & !SIGN;
    if magnitude > INFINITY {
        return a | QUIET;
    }
    let field = magnitude >> 23;
    if field == 0 {
        return sign | INFINITY;
    }
    // 1 / (m * 2^e) = 2/m * 2^(-e - 1); a field of 0 or less is tiny. Infinity comes out as zero here too.
    match 253u32.checked_sub(field) {
        None | Some(0) => sign,
        Some(result) => {
            sign | result << 23 | fraction(RECIPROCALS[(magnitude >> 12 & 0x7FF) as usize])
        }
    }
}

/// `1 / sqrt(a)`, about. A negative operand gives the indefinite, a zero an infinity of its sign.
#[inline]
#[must_use]
pub fn rsqrtss(a: u32) -> u32 {
    let sign = a & SIGN;
    let magnitude = a & !SIGN;
    if magnitude > INFINITY {
        return a | QUIET;
    }
    let field = magnitude >> 23;
    if field == 0 {
        return sign | INFINITY;
    }
    if sign != 0 {
        return INDEFINITE;
    }
    if magnitude == INFINITY {
        return 0;
    }
    // The bias is odd: an even field is an odd exponent, whose odd factor 2 goes into m. With e = field - 127 the result
    // is 2/sqrt(m) * 2^(-floor(e / 2) - 1), and floor(e / 2) = floor((field + 1) / 2) - 64.
    let odd_exponent = !field & 1;
    let result = 190 - field.div_ceil(2);
    let index = odd_exponent << 10 | magnitude >> 13 & 0x3FF;
    result << 23 | fraction(ROOTS[index as usize])
}

/// The four lanes through [`rcpss`].
#[inline]
#[must_use]
pub fn rcpps(a: u128) -> u128 {
    u32x4(a).map(rcpss).join()
}

/// The four lanes through [`rsqrtss`].
#[inline]
#[must_use]
pub fn rsqrtps(a: u128) -> u128 {
    u32x4(a).map(rsqrtss).join()
}

#[inline]
fn fraction(entry: u16) -> u32 {
    u32::from(entry) << 7
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: f64 = 1.5 / 4096.0;

    fn worst(
        first: u32,
        last: u32,
        step: usize,
        approximate: fn(u32) -> u32,
        truth: fn(f64) -> f64,
    ) -> f64 {
        (first..=last)
            .step_by(step)
            .map(|bits| {
                let seen = f64::from(f32::from_bits(approximate(bits)));
                let expected = truth(f64::from(f32::from_bits(bits)));
                (seen / expected - 1.0).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn rcpss_stays_within_its_bound() {
        let (one, two) = (1f32.to_bits(), 2f32.to_bits());
        assert!(worst(one, two, 1, rcpss, f64::recip) < BOUND);
        assert!(worst(0x0080_0000, 0x7E7F_FFFF, 997, rcpss, f64::recip) < BOUND);
    }

    #[test]
    fn rsqrtss_stays_within_its_bound() {
        let (one, four) = (1f32.to_bits(), 4f32.to_bits());
        assert!(worst(one, four, 1, rsqrtss, |x| x.sqrt().recip()) < BOUND);
        assert!(worst(0x0080_0000, 0x7F7F_FFFF, 997, rsqrtss, |x| x.sqrt().recip()) < BOUND);
    }

    #[test]
    fn special_operands_give_what_the_manual_says() {
        assert_eq!(rcpss(0), INFINITY);
        assert_eq!(rcpss(SIGN | 1), SIGN | INFINITY);
        assert_eq!(rcpss(SIGN | INFINITY), SIGN);
        assert_eq!(rcpss(0x7F80_0001), 0x7FC0_0001);
        assert_eq!(rcpss(0x7F00_0000), 0);
        assert_eq!(rsqrtss(SIGN), SIGN | INFINITY);
        assert_eq!(rsqrtss(SIGN | 0x3F80_0000), INDEFINITE);
        assert_eq!(rsqrtss(INFINITY), 0);
    }
}
