//! Arithmetic on unbounded values, and the one place that rounds.
//!
//! An [`Exact`] is a finite non-zero number with a 128-bit significand whose last bit is sticky: it also stands for
//! everything below it that was not zero. That is enough to round correctly to 64 bits or fewer in every mode, so each
//! operation computes once and [`Exact::round`] decides. Shared by the x87 and by the portable SSE arithmetic.

use super::Rounding;

/// A finite non-zero value: `significand / 2^127 * 2^exponent`. Bit 127 is set; bit 0 is sticky.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    pub negative: bool,
    pub exponent: i32,
    pub significand: u128,
}

/// A binary format: significand bits (integer bit included) and the exponents of its normal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub precision: u32,
    pub min_exponent: i32,
    pub max_exponent: i32,
}

impl Format {
    /// IEEE single precision.
    pub const SINGLE: Self = Self {
        precision: 24,
        min_exponent: -126,
        max_exponent: 127,
    };
    /// IEEE double precision.
    pub const DOUBLE: Self = Self {
        precision: 53,
        min_exponent: -1022,
        max_exponent: 1023,
    };

    /// Double extended with `precision` bits kept.
    pub const fn extended(precision: u32) -> Self {
        Self {
            precision,
            min_exponent: -16382,
            max_exponent: 16383,
        }
    }
}

/// A significand cut to the precision of a format, left-aligned at bit 63: `significand / 2^63 * 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub exponent: i32,
    pub significand: u64,
    pub inexact: bool,
    /// Rounded away from zero (implies inexact).
    pub up: bool,
}

/// A value rounded into a format. Infinity shows as exponent `max + 1`; a denormal as exponent `min` with bit 63 clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rounded {
    /// The masked response.
    pub cut: Cut,
    /// The same value rounded as if exponents had no limits: what an unmasked overflow or underflow delivers.
    pub unbounded: Cut,
    pub overflow: bool,
    /// Too small for a normal number after rounding (SDM vol. 1, 4.9.1.5: x86 detects tininess after rounding).
    pub tiny: bool,
}

/// Shifts right; the bits that fall off stick to bit 0.
#[inline]
pub(crate) const fn shift_right_sticky(value: u128, count: u32) -> u128 {
    if count == 0 {
        value
    } else if count < 128 {
        (value >> count) | ((value << (128 - count) != 0) as u128)
    } else {
        (value != 0) as u128
    }
}

/// Whether a magnitude is to be rounded away from zero.
#[inline]
pub(crate) const fn rounds_up(
    mode: Rounding,
    negative: bool,
    odd: bool,
    above_half: bool,
    half: bool,
    lost: bool,
) -> bool {
    match mode {
        Rounding::Nearest => above_half || (half && odd),
        Rounding::Down => negative && lost,
        Rounding::Up => !negative && lost,
        Rounding::Zero => false,
    }
}

/// Whole square root of a number of at least 2^126.
fn root_of_128(radicand: u128) -> u64 {
    // Double precision is correctly rounded everywhere: 50 good bits, which one Newton step doubles.
    let first = (((radicand >> 64) as f64).sqrt() * 4_294_967_296.0) as u64;
    let quotient = (radicand / u128::from(first)).min(u128::from(u64::MAX));
    let mut root = ((u128::from(first) + quotient) >> 1) as u64;
    let square = |n: u64| u128::from(n) * u128::from(n);
    while square(root) > radicand {
        root -= 1;
    }
    while root < u64::MAX && square(root + 1) <= radicand {
        root += 1;
    }
    root
}

impl Exact {
    /// From a significand with any leading zeros: `significand / 2^63 * 2^exponent`, not zero.
    #[inline]
    pub fn from_u64(negative: bool, exponent: i32, significand: u64) -> Self {
        Self::from_u128(negative, exponent, u128::from(significand) << 64)
    }

    /// From `significand / 2^127 * 2^exponent`, not zero, with any leading zeros.
    #[inline]
    pub fn from_u128(negative: bool, exponent: i32, significand: u128) -> Self {
        debug_assert!(significand != 0);
        let zeros = significand.leading_zeros();
        Self {
            negative,
            exponent: exponent - zeros as i32,
            significand: significand << zeros,
        }
    }

    /// Sum; `None` when it is exactly zero. Both significands must have at most 64 significant bits at the top.
    #[inline]
    pub fn add(self, other: Self) -> Option<Self> {
        let (big, small) = if self.exponent > other.exponent
            || (self.exponent == other.exponent && self.significand >= other.significand)
        {
            (self, other)
        } else {
            (other, self)
        };
        let gap = (big.exponent - small.exponent) as u32;
        // One bit of head room for the carry; the 63 free bits below are guard enough for a sticky subtraction.
        let a = big.significand >> 1;
        let b = shift_right_sticky(small.significand >> 1, gap);
        let sum = if big.negative == small.negative {
            a + b
        } else {
            a - b
        };
        (sum != 0).then(|| Self::from_u128(big.negative, big.exponent + 1, sum))
    }

    /// Product of significands of at most 64 bits each.
    #[inline]
    pub fn mul(self, other: Self) -> Self {
        let product = (self.significand >> 64) * (other.significand >> 64);
        // Of two significands in [1, 2): one leading zero at most.
        let short = product >> 127 == 0;
        Self {
            negative: self.negative != other.negative,
            exponent: self.exponent + other.exponent + i32::from(!short),
            significand: product << u32::from(short),
        }
    }

    /// Quotient of significands of at most 64 bits each.
    #[inline]
    pub fn div(self, other: Self) -> Self {
        let divisor = other.significand >> 64;
        // Halved, so that the quotient has at most 64 bits.
        let dividend = self.significand >> 1;
        let mut quotient = dividend / divisor;
        let mut rest = dividend - quotient * divisor;
        for _ in 0..3 {
            rest <<= 1;
            let bit = rest >= divisor;
            rest -= if bit { divisor } else { 0 };
            quotient = (quotient << 1) | u128::from(bit);
        }
        // 64 + 3 bits, of which at least 66 count; then the remainder sticks.
        let significand = (quotient << 61) | u128::from(rest != 0);
        Self::from_u128(
            self.negative != other.negative,
            self.exponent - other.exponent,
            significand,
        )
    }

    /// Square root of a positive value with a significand of at most 64 bits.
    #[inline]
    pub fn sqrt(self) -> Self {
        // radicand / 2^126 in [1, 4) with an even power of two outside.
        let odd = self.exponent & 1;
        let radicand = if odd == 1 {
            self.significand
        } else {
            self.significand >> 1
        };
        let root = u128::from(root_of_128(radicand));
        let mut rest = radicand - root * root;
        // Two more digits: 64 bits are not enough to see which side of a tie the root is on.
        let mut wide = root;
        for _ in 0..2 {
            rest <<= 2;
            let trial = (wide << 2) | 1;
            let bit = rest >= trial;
            rest -= if bit { trial } else { 0 };
            wide = (wide << 1) | u128::from(bit);
        }
        Self::from_u128(
            false,
            (self.exponent - odd) / 2,
            (wide << 62) | u128::from(rest != 0),
        )
    }

    /// Cuts to `precision` bits (1 to 64) with no limit on the exponent.
    #[inline]
    pub fn cut(self, precision: u32, mode: Rounding) -> Cut {
        if precision == 64 {
            return self.cut_to_64(mode);
        }
        let drop = 128 - precision;
        let kept = self.significand >> drop;
        let lost = self.significand << precision;
        const HALF: u128 = 1 << 127;
        let up = rounds_up(
            mode,
            self.negative,
            kept & 1 == 1,
            lost > HALF,
            lost == HALF,
            lost != 0,
        );
        let sum = kept + u128::from(up);
        let carry = sum >> precision != 0;
        let aligned = if carry {
            1 << 63
        } else {
            (sum as u64) << (64 - precision)
        };
        Cut {
            exponent: self.exponent + i32::from(carry),
            significand: aligned,
            inexact: lost != 0,
            up,
        }
    }

    /// The same to 64 bits, which halves of the significand are.
    #[inline]
    pub fn cut_to_64(self, mode: Rounding) -> Cut {
        let (kept, lost) = ((self.significand >> 64) as u64, self.significand as u64);
        const HALF: u64 = 1 << 63;
        let up = rounds_up(
            mode,
            self.negative,
            kept & 1 == 1,
            lost > HALF,
            lost == HALF,
            lost != 0,
        );
        let (sum, carry) = kept.overflowing_add(u64::from(up));
        Cut {
            exponent: self.exponent + i32::from(carry),
            significand: if carry { HALF } else { sum },
            inexact: lost != 0,
            up,
        }
    }

    /// Rounds into a format.
    #[inline]
    pub fn round(self, format: Format, mode: Rounding) -> Rounded {
        let unbounded = self.cut(format.precision, mode);
        if unbounded.exponent > format.max_exponent {
            return self.overflow(format, mode, unbounded);
        }
        if unbounded.exponent < format.min_exponent {
            return self.underflow(format, mode, unbounded);
        }
        Rounded {
            cut: unbounded,
            unbounded,
            overflow: false,
            tiny: false,
        }
    }

    #[cold]
    fn overflow(self, format: Format, mode: Rounding, unbounded: Cut) -> Rounded {
        let to_infinity = rounds_up(mode, self.negative, true, true, false, true);
        let cut = if to_infinity {
            Cut {
                exponent: format.max_exponent + 1,
                significand: 1 << 63,
                inexact: true,
                up: true,
            }
        } else {
            let largest = u64::MAX << (64 - format.precision);
            Cut {
                exponent: format.max_exponent,
                significand: largest,
                inexact: true,
                up: false,
            }
        };
        Rounded {
            cut,
            unbounded,
            overflow: true,
            tiny: false,
        }
    }

    #[cold]
    fn underflow(self, format: Format, mode: Rounding, unbounded: Cut) -> Rounded {
        let shift = (format.min_exponent - self.exponent) as u32;
        let shifted = Self {
            negative: self.negative,
            exponent: format.min_exponent,
            significand: shift_right_sticky(self.significand, shift),
        };
        let cut = shifted.cut(format.precision, mode);
        Rounded {
            cut,
            unbounded,
            overflow: false,
            tiny: true,
        }
    }

    /// Rounds to an integer magnitude: `(magnitude, inexact, up)`; `None` when it needs more than 64 bits. The significand
    /// must have at most 64 significant bits at the top.
    #[inline]
    pub fn to_integer(self, mode: Rounding) -> Option<(u64, bool, bool)> {
        let significand = (self.significand >> 64) as u64;
        // The fraction left-aligned; below a half it is only known to be something.
        let (whole, lost) = match self.exponent {
            64.. => return None,
            63 => (significand, 0),
            e @ 0..=62 => (significand >> (63 - e), significand << (e + 1)),
            -1 => (0, significand),
            _ => (0, 1),
        };
        const HALF: u64 = 1 << 63;
        let up = rounds_up(
            mode,
            self.negative,
            whole & 1 == 1,
            lost > HALF,
            lost == HALF,
            lost != 0,
        );
        whole.checked_add(u64::from(up)).map(|n| (n, lost != 0, up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Exact {
        Exact::from_u64(false, 0, 1 << 63)
    }

    #[test]
    fn div_one_by_three_is_rounded_down_at_64_bits() {
        let three = Exact::from_u64(false, 1, 3 << 62);
        let third = one().div(three).cut(64, Rounding::Nearest);
        assert_eq!(
            (third.exponent, third.significand),
            (-2, 0xAAAA_AAAA_AAAA_AAAB)
        );
        assert!(third.up);
        let third = one().div(three).cut(64, Rounding::Zero);
        assert_eq!(third.significand, 0xAAAA_AAAA_AAAA_AAAA);
    }

    #[test]
    fn sqrt_of_two_matches_its_binary_expansion() {
        let two = Exact::from_u64(false, 1, 1 << 63);
        let root = two.sqrt().cut(64, Rounding::Zero);
        assert_eq!(
            (root.exponent, root.significand),
            (0, 0xB504_F333_F9DE_6484)
        );
    }

    #[test]
    fn sqrt_of_four_is_exact() {
        let four = Exact::from_u64(false, 2, 1 << 63);
        let root = four.sqrt().cut(64, Rounding::Nearest);
        assert_eq!(
            (root.exponent, root.significand, root.inexact),
            (1, 1 << 63, false)
        );
    }

    #[test]
    fn add_of_opposites_is_zero() {
        let minus = Exact {
            negative: true,
            ..one()
        };
        assert_eq!(one().add(minus), None);
    }

    #[test]
    fn round_just_below_the_smallest_normal_is_tiny_though_it_becomes_normal() {
        let below = Exact {
            negative: false,
            exponent: -127,
            significand: u128::MAX << (128 - 24),
        };
        let rounded = below.round(Format::SINGLE, Rounding::Nearest);
        assert!(rounded.tiny);
        assert_eq!(
            (rounded.cut.exponent, rounded.cut.significand),
            (-126, 1 << 63)
        );
    }

    #[test]
    fn to_integer_of_a_half_goes_to_even() {
        let half = Exact::from_u64(false, -1, 1 << 63);
        assert_eq!(half.to_integer(Rounding::Nearest), Some((0, true, false)));
        assert_eq!(half.to_integer(Rounding::Up), Some((1, true, true)));
    }
}
