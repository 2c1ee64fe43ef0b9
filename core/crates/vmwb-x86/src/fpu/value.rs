//! The 80-bit value, its classes, NaN propagation, and packing of rounded results.

use super::exact::{Cut, Exact, Format, Rounded};
use super::status::{C0, C1, C2, C3, DE, IE, OE, PE, UE};
use super::{Env, Outcome, Precision};

/// A double extended-precision value as it lies in a register (SDM vol. 1, 4.2.2): every one of the 2^80 patterns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct F80 {
    /// Sign in bit 15, biased exponent (bias 16,383) in bits 14:0.
    pub sign_exp: u16,
    /// Significand with an explicit integer bit 63.
    pub significand: u64,
}

impl std::fmt::Debug for F80 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "F80({:04x}:{:016x})", self.sign_exp, self.significand)
    }
}

/// What a bit pattern means (SDM vol. 1, table 8-3 and 4.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Zero,
    Normal,
    /// Denormals and pseudo-denormals.
    Denormal,
    Infinity,
    QuietNan,
    SignalingNan,
    /// Unnormals, pseudo-infinities, pseudo-NaNs: not supported since the 387.
    Unsupported,
}

pub(crate) const INTEGER_BIT: u64 = 1 << 63;
pub(crate) const QUIET_BIT: u64 = 1 << 62;
pub(crate) const BIAS: i32 = 16383;
const EXPONENT_MAX: u16 = 0x7FFF;
/// What an unmasked overflow subtracts from, and an unmasked underflow adds to the exponent (SDM vol. 1, 8.5.4).
const WRAP: i32 = 24576;

impl F80 {
    /// +0.
    pub const ZERO: Self = Self::new(false, 0, 0);
    /// +1.
    pub const ONE: Self = Self::new(false, 0x3FFF, INTEGER_BIT);
    /// +infinity.
    pub const INFINITY: Self = Self::new(false, EXPONENT_MAX, INTEGER_BIT);
    /// The QNaN floating-point indefinite: the masked response to an invalid operation.
    pub const INDEFINITE: Self = Self::new(true, EXPONENT_MAX, INTEGER_BIT | QUIET_BIT);

    /// From sign, biased exponent (15 bits) and significand.
    #[inline]
    #[must_use]
    pub const fn new(negative: bool, exponent: u16, significand: u64) -> Self {
        Self {
            sign_exp: ((negative as u16) << 15) | exponent,
            significand,
        }
    }

    /// From the ten bytes of memory, little-endian. FLD m80 changes nothing and signals nothing.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        Self {
            sign_exp: u16::from_le_bytes([i, j]),
            significand: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    /// To the ten bytes of memory, as FSTP m80 stores them.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.significand.to_le_bytes();
        let [i, j] = self.sign_exp.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }

    /// The sign bit.
    #[inline]
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.sign_exp >> 15 != 0
    }

    /// The biased exponent.
    #[inline]
    #[must_use]
    pub const fn exponent(self) -> u16 {
        self.sign_exp & EXPONENT_MAX
    }

    /// FCHS: the sign inverted, whatever the value.
    #[inline]
    #[must_use]
    pub const fn negated(self) -> Self {
        Self {
            sign_exp: self.sign_exp ^ 0x8000,
            ..self
        }
    }

    /// FABS: the sign cleared, whatever the value.
    #[inline]
    #[must_use]
    pub const fn absolute(self) -> Self {
        Self {
            sign_exp: self.sign_exp & EXPONENT_MAX,
            ..self
        }
    }

    /// FXAM on a register that is not empty: C3, C2, C0 name the class and C1 is the sign. An empty register is the
    /// engine's to know: C3 and C0, with C1 as this function gives it.
    #[must_use]
    pub const fn examine(self) -> u16 {
        let class = match self.class() {
            Class::Unsupported => 0,
            Class::QuietNan | Class::SignalingNan => C0,
            Class::Normal => C2,
            Class::Infinity => C2 | C0,
            Class::Zero => C3,
            Class::Denormal => C3 | C2,
        };
        class | if self.is_negative() { C1 } else { 0 }
    }

    /// The tag that FSTENV and FXSAVE's abridged form derive from a register that is not empty: 0 valid, 1 zero,
    /// 2 special (SDM vol. 1, 8.1.7).
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self.class() {
            Class::Normal => 0,
            Class::Zero => 1,
            _ => 2,
        }
    }

    pub(crate) const fn class(self) -> Class {
        let integer_bit = self.significand & INTEGER_BIT != 0;
        match (self.exponent(), integer_bit) {
            (0, _) if self.significand == 0 => Class::Zero,
            (0, _) => Class::Denormal,
            (_, false) => Class::Unsupported,
            (EXPONENT_MAX, true) if self.significand == INTEGER_BIT => Class::Infinity,
            (EXPONENT_MAX, true) if self.significand & QUIET_BIT != 0 => Class::QuietNan,
            (EXPONENT_MAX, true) => Class::SignalingNan,
            (_, true) => Class::Normal,
        }
    }

    #[inline]
    pub(crate) const fn is_normal(self) -> bool {
        let exponent = self.exponent();
        exponent != 0 && exponent != EXPONENT_MAX && self.significand & INTEGER_BIT != 0
    }

    pub(crate) const fn zero(negative: bool) -> Self {
        Self::new(negative, 0, 0)
    }

    pub(crate) const fn infinity(negative: bool) -> Self {
        Self::new(negative, EXPONENT_MAX, INTEGER_BIT)
    }

    pub(crate) const fn quieted(self) -> Self {
        Self {
            significand: self.significand | QUIET_BIT,
            ..self
        }
    }

    /// The value of a finite number that is not zero.
    #[inline]
    pub(crate) fn exact(self) -> Exact {
        // A denormal counts with exponent 1; a pseudo-denormal then needs no further care.
        let exponent = i32::from(self.exponent().max(1)) - BIAS;
        Exact::from_u64(self.is_negative(), exponent, self.significand)
    }

    /// The same for a number known to be normal, which needs no normalization.
    #[inline]
    pub(crate) fn exact_normal(self) -> Exact {
        debug_assert!(self.is_normal());
        Exact {
            negative: self.is_negative(),
            exponent: i32::from(self.exponent()) - BIAS,
            significand: u128::from(self.significand) << 64,
        }
    }

    /// Packs a significand whose exponent already lies in range (infinity and denormals in the shape of `Rounded`).
    #[inline]
    pub(crate) fn pack(negative: bool, exponent: i32, significand: u64) -> Self {
        let biased = if significand & INTEGER_BIT == 0 {
            0
        } else {
            (exponent + BIAS) as u16
        };
        Self::new(negative, biased, significand)
    }
}

/// `DE` when one of the operands is denormal.
#[inline]
pub(crate) fn denormal_flag(classes: &[Class]) -> u16 {
    if classes.contains(&Class::Denormal) {
        DE
    } else {
        0
    }
}

pub(crate) const INVALID: Outcome<F80> = Outcome::new(F80::INDEFINITE, IE);

/// The result when a NaN or an unsupported pattern takes part; `None` when none does.
pub(crate) fn propagate(a: F80, b: F80) -> Option<Outcome<F80>> {
    let (class_a, class_b) = (a.class(), b.class());
    if class_a == Class::Unsupported || class_b == Class::Unsupported {
        return Some(INVALID);
    }
    let signaling = class_a == Class::SignalingNan || class_b == Class::SignalingNan;
    let status = if signaling { IE } else { 0 };
    let nan = |class| matches!(class, Class::SignalingNan | Class::QuietNan);
    let value = match (nan(class_a), nan(class_b)) {
        (false, false) => return None,
        (true, false) => a,
        (false, true) => b,
        // SDM vol. 1, table 4-7: a quiet one before a signaling one, else the larger significand, else the positive.
        (true, true) if class_a != class_b => {
            if class_a == Class::QuietNan {
                a
            } else {
                b
            }
        }
        (true, true) => {
            let a_wins = (a.significand, !a.is_negative()) >= (b.significand, !b.is_negative());
            if a_wins { a } else { b }
        }
    };
    Some(Outcome::new(value.quieted(), status))
}

/// The same for one operand.
pub(crate) fn propagate_one(a: F80) -> Option<Outcome<F80>> {
    propagate(a, F80::ZERO)
}

/// Rounds an exact value into a register. `before` holds exceptions found before the computation; an unmasked one ends
/// the instruction, so that nothing after it is reported.
#[inline]
pub(crate) fn deliver(x: Exact, env: Env, before: u16) -> Outcome<F80> {
    if before == 0 && env.precision == Precision::Extended {
        let cut = x.cut_to_64(env.rounding);
        if (1 - BIAS..=BIAS).contains(&cut.exponent) {
            let status = inexact_status(cut.inexact, cut.up);
            let sign_exp = (u16::from(x.negative) << 15) | (cut.exponent + BIAS) as u16;
            let value = F80 {
                sign_exp,
                significand: cut.significand,
            };
            return Outcome::new(value, status);
        }
    }
    deliver_anywhere(x, env, before)
}

#[inline(never)]
fn deliver_anywhere(x: Exact, env: Env, before: u16) -> Outcome<F80> {
    let rounded = x.round(Format::extended(env.precision.bits()), env.rounding);
    if before == 0 && !rounded.overflow && !rounded.tiny {
        let cut = rounded.cut;
        let status = inexact_status(cut.inexact, cut.up);
        return Outcome::new(F80::pack(x.negative, cut.exponent, cut.significand), status);
    }
    deliver_special(x.negative, rounded, env, before)
}

#[inline]
pub(crate) const fn inexact_status(inexact: bool, up: bool) -> u16 {
    (if inexact { PE } else { 0 }) | (if up { C1 } else { 0 })
}

#[cold]
fn deliver_special(negative: bool, rounded: Rounded, env: Env, before: u16) -> Outcome<F80> {
    let mut cut = rounded.cut;
    let mut status = before;
    if rounded.overflow {
        status |= OE;
        if env.unmasked & OE != 0 {
            cut = rounded.unbounded;
            cut.exponent -= WRAP;
        }
    } else if rounded.tiny && env.unmasked & UE != 0 {
        status |= UE;
        cut = rounded.unbounded;
        cut.exponent += WRAP;
    } else if rounded.tiny && cut.inexact {
        status |= UE;
    }
    // Only FSCALE can be so far out that the wrapped exponent does not fit either; hardware then gives infinity or zero.
    if cut.exponent > BIAS && env.unmasked & OE != 0 {
        cut = Cut {
            exponent: BIAS + 1,
            significand: INTEGER_BIT,
            inexact: true,
            up: true,
        };
    } else if cut.exponent < 1 - BIAS {
        cut = Cut {
            exponent: 0,
            significand: 0,
            inexact: true,
            up: false,
        };
    }
    status |= inexact_status(cut.inexact, cut.up);
    if before & env.unmasked != 0 {
        status = before;
    }
    Outcome::new(F80::pack(negative, cut.exponent, cut.significand), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examine_names_every_class() {
        let cases = [
            (F80::ZERO, C3),
            (F80::ONE, C2),
            (F80::ONE.negated(), C2 | C1),
            (F80::INFINITY, C2 | C0),
            (F80::INDEFINITE, C0 | C1),
            (F80::new(false, 0, 1), C3 | C2),
            (F80::new(false, 0, INTEGER_BIT), C3 | C2),
            (F80::new(false, 1, 1), 0),
            (F80::new(false, 0x7FFF, 0), 0),
        ];
        for (value, expected) in cases {
            assert_eq!(value.examine(), expected, "{value:?}");
        }
    }

    #[test]
    fn bytes_round_trip() {
        let value = F80::new(true, 0x1234, 0x8765_4321_0FED_CBA9);
        assert_eq!(F80::from_bytes(value.to_bytes()), value);
    }

    #[test]
    fn propagate_two_quiet_nans_takes_the_larger_significand() {
        let small = F80::new(true, 0x7FFF, 0xC000_0000_0000_0001);
        let large = F80::new(false, 0x7FFF, 0xC000_0000_0000_0002);
        assert_eq!(propagate(small, large), Some(Outcome::new(large, 0)));
        assert_eq!(propagate(large, small), Some(Outcome::new(large, 0)));
    }
}
