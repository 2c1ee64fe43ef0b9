//! Conversions between the register format and memory formats: FLD/FST m32 and m64, FILD, FIST, FISTTP.
//!
//! FLD and FST of 80-bit memory are [`F80::from_bytes`] and [`F80::to_bytes`]: they signal nothing.

use super::exact::{Format, rounds_up};
use super::status::{DE, IE, OE, UE};
use super::value::{BIAS, Class, INTEGER_BIT, QUIET_BIT, inexact_status};
use super::{Env, F80, Outcome, Rounding};

/// FLD m32: exact. A signaling NaN is quieted (IE), a denormal sets DE.
#[inline]
#[must_use]
pub fn from_f32(bits: u32, _env: Env) -> Outcome<F80> {
    widen(u64::from(bits), Format::SINGLE, 8)
}

/// FLD m64: exact. A signaling NaN is quieted (IE), a denormal sets DE.
#[inline]
#[must_use]
pub fn from_f64(bits: u64, _env: Env) -> Outcome<F80> {
    widen(bits, Format::DOUBLE, 11)
}

/// FST m32.
#[inline]
#[must_use]
pub fn to_f32(a: F80, env: Env) -> Outcome<u32> {
    let wide = narrow(a, Format::SINGLE, 8, env);
    Outcome::new(wide.value as u32, wide.status)
}

/// FST m64.
#[inline]
#[must_use]
pub fn to_f64(a: F80, env: Env) -> Outcome<u64> {
    narrow(a, Format::DOUBLE, 11, env)
}

/// FILD m16, exact.
#[inline]
#[must_use]
pub fn from_i16(n: i16) -> F80 {
    from_i64(i64::from(n))
}

/// FILD m32, exact.
#[inline]
#[must_use]
pub fn from_i32(n: i32) -> F80 {
    from_i64(i64::from(n))
}

/// FILD m64, exact.
#[inline]
#[must_use]
pub fn from_i64(n: i64) -> F80 {
    if n == 0 {
        return F80::ZERO;
    }
    let magnitude = n.unsigned_abs();
    let zeros = magnitude.leading_zeros();
    F80::pack(n < 0, 63 - zeros as i32, magnitude << zeros)
}

/// FIST m16. Out of range, infinite or NaN: IE and 0x8000.
#[must_use]
pub fn to_i16(a: F80, env: Env) -> Outcome<i16> {
    let wide = to_integer(a, env.rounding, 15);
    Outcome::new(wide.value as i16, wide.status)
}

/// FIST m32. Out of range, infinite or NaN: IE and 0x8000_0000.
#[must_use]
pub fn to_i32(a: F80, env: Env) -> Outcome<i32> {
    let wide = to_integer(a, env.rounding, 31);
    Outcome::new(wide.value as i32, wide.status)
}

/// FISTP m64. Out of range, infinite or NaN: IE and 2^63.
#[must_use]
pub fn to_i64(a: F80, env: Env) -> Outcome<i64> {
    to_integer(a, env.rounding, 63)
}

/// FISTTP m16: as [`to_i16`], toward zero whatever the rounding control.
#[must_use]
pub fn to_i16_truncating(a: F80, env: Env) -> Outcome<i16> {
    to_i16(
        a,
        Env {
            rounding: Rounding::Zero,
            ..env
        },
    )
}

/// FISTTP m32: as [`to_i32`], toward zero whatever the rounding control.
#[must_use]
pub fn to_i32_truncating(a: F80, env: Env) -> Outcome<i32> {
    to_i32(
        a,
        Env {
            rounding: Rounding::Zero,
            ..env
        },
    )
}

/// FISTTP m64: as [`to_i64`], toward zero whatever the rounding control.
#[must_use]
pub fn to_i64_truncating(a: F80, env: Env) -> Outcome<i64> {
    to_i64(
        a,
        Env {
            rounding: Rounding::Zero,
            ..env
        },
    )
}

#[inline]
fn widen(bits: u64, format: Format, exponent_bits: u32) -> Outcome<F80> {
    let fraction_bits = format.precision - 1;
    let negative = bits >> (fraction_bits + exponent_bits) & 1 == 1;
    let exponent_max = (1u64 << exponent_bits) - 1;
    let field = (bits >> fraction_bits) & exponent_max;
    let fraction = (bits & ((1u64 << fraction_bits) - 1)) << (63 - fraction_bits);
    if field == exponent_max {
        let value = F80::new(negative, 0x7FFF, INTEGER_BIT | fraction);
        let signaling = value.class() == Class::SignalingNan;
        return if signaling {
            Outcome::new(value.quieted(), IE)
        } else {
            Outcome::new(value, 0)
        };
    }
    if field != 0 {
        let exponent = field as i32 - format.max_exponent;
        return Outcome::new(F80::pack(negative, exponent, INTEGER_BIT | fraction), 0);
    }
    if fraction == 0 {
        return Outcome::new(F80::zero(negative), 0);
    }
    let zeros = fraction.leading_zeros();
    let exponent = format.min_exponent - zeros as i32;
    Outcome::new(F80::pack(negative, exponent, fraction << zeros), DE)
}

/// Narrows a number that stays well within the format; the rest is for `narrow_special`.
#[inline]
fn narrow(a: F80, format: Format, exponent_bits: u32, env: Env) -> Outcome<u64> {
    let exponent = i32::from(a.exponent()) - BIAS;
    if !a.is_normal() || exponent < format.min_exponent || exponent >= format.max_exponent {
        return narrow_special(a, format, exponent_bits, env);
    }
    let negative = a.is_negative();
    let kept = a.significand >> (64 - format.precision);
    let lost = a.significand << format.precision;
    let up = rounds_up(
        env.rounding,
        negative,
        kept & 1 == 1,
        lost > INTEGER_BIT,
        lost == INTEGER_BIT,
        lost != 0,
    );
    // The integer bit adds one to the exponent field, and so does a carry out of the fraction.
    let field = (exponent + format.max_exponent - 1) as u64;
    let magnitude = (field << (format.precision - 1)) + kept + u64::from(up);
    let sign = u64::from(negative) << (format.precision - 1 + exponent_bits);
    Outcome::new(sign | magnitude, inexact_status(lost != 0, up))
}

#[cold]
fn narrow_special(a: F80, format: Format, exponent_bits: u32, env: Env) -> Outcome<u64> {
    let fraction_bits = format.precision - 1;
    let exponent_max = (1u64 << exponent_bits) - 1;
    let sign = u64::from(a.is_negative()) << (fraction_bits + exponent_bits);
    let infinity = exponent_max << fraction_bits;
    match a.class() {
        Class::Zero => return Outcome::new(sign, 0),
        Class::Infinity => return Outcome::new(sign | infinity, 0),
        class @ (Class::QuietNan | Class::SignalingNan) => {
            let fraction = ((a.significand | QUIET_BIT) & !INTEGER_BIT) >> (63 - fraction_bits);
            let status = if class == Class::SignalingNan { IE } else { 0 };
            return Outcome::new(sign | infinity | fraction, status);
        }
        Class::Unsupported => {
            let indefinite =
                (1 << (fraction_bits + exponent_bits)) | infinity | (1 << (fraction_bits - 1));
            return Outcome::new(indefinite, IE);
        }
        Class::Normal | Class::Denormal => {}
    }
    let rounded = a.exact().round(format, env.rounding);
    let cut = rounded.cut;
    let mut status = inexact_status(cut.inexact, cut.up);
    if rounded.overflow {
        status |= OE;
    }
    if rounded.tiny && (cut.inexact || env.unmasked & UE != 0) {
        status |= UE;
    }
    // What an unmasked overflow or underflow keeps from being stored was not rounded either.
    if status & env.unmasked & (OE | UE) != 0 {
        status &= OE | UE;
    }
    Outcome::new(
        sign | pack_ieee(cut.exponent, cut.significand, format),
        status,
    )
}

/// Exponent and fraction fields of a cut that lies in the format.
#[inline]
pub(crate) fn pack_ieee(exponent: i32, significand: u64, format: Format) -> u64 {
    let fraction_bits = format.precision - 1;
    let normal = significand & INTEGER_BIT != 0;
    let field = if normal {
        (exponent + format.max_exponent) as u64
    } else {
        0
    };
    (field << fraction_bits) | ((significand & !INTEGER_BIT) >> (63 - fraction_bits))
}

/// To a signed integer of `bits` + 1 bits; the indefinite integer is -2^bits, sign-extended.
fn to_integer(a: F80, rounding: Rounding, bits: u32) -> Outcome<i64> {
    let indefinite = Outcome::new(-1i64 << bits, IE);
    match a.class() {
        Class::Zero => return Outcome::new(0, 0),
        Class::Normal | Class::Denormal => {}
        _ => return indefinite,
    }
    let negative = a.is_negative();
    let limit = (1u64 << bits) - u64::from(!negative);
    match a.exact().to_integer(rounding) {
        Some((magnitude, inexact, up)) if magnitude <= limit => {
            let value = if negative {
                (magnitude as i64).wrapping_neg()
            } else {
                magnitude as i64
            };
            Outcome::new(value, inexact_status(inexact, up))
        }
        _ => indefinite,
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{C1, PE};
    use super::*;

    const NEAREST: Env = Env::from_control_word(0x037F);

    #[test]
    fn doubles_survive_the_round_trip() {
        for value in [
            0.0,
            -0.0,
            1.0,
            -1.5,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            1e-310,
            5e-324,
        ] {
            let wide = from_f64(value.to_bits(), NEAREST).value;
            assert_eq!(
                to_f64(wide, NEAREST),
                Outcome::new(value.to_bits(), 0),
                "{value}"
            );
        }
    }

    #[test]
    fn from_f64_of_a_denormal_sets_de() {
        assert_eq!(
            from_f64(1, NEAREST),
            Outcome::new(F80::pack(false, -1074, INTEGER_BIT), DE)
        );
    }

    #[test]
    fn to_f32_rounds_and_tells_the_direction() {
        let tenth = from_f64(0.1f64.to_bits(), NEAREST).value;
        assert_eq!(
            to_f32(tenth, NEAREST),
            Outcome::new(0.1f32.to_bits(), PE | C1)
        );
    }

    #[test]
    fn to_f32_of_a_signaling_nan_keeps_its_payload_quieted() {
        let nan = F80::new(true, 0x7FFF, 0x8000_0100_0000_0000);
        assert_eq!(to_f32(nan, NEAREST), Outcome::new(0xFFC0_0001, IE));
    }

    #[test]
    fn to_i32_at_the_edges_of_its_range() {
        let f = |x: f64| from_f64(x.to_bits(), NEAREST).value;
        assert_eq!(
            to_i32(f(2_147_483_647.25), NEAREST),
            Outcome::new(i32::MAX, PE)
        );
        assert_eq!(
            to_i32(f(2_147_483_647.5), NEAREST),
            Outcome::new(i32::MIN, IE)
        );
        assert_eq!(
            to_i32(f(-2_147_483_648.5), NEAREST),
            Outcome::new(i32::MIN, PE)
        );
        assert_eq!(
            to_i32_truncating(f(-2_147_483_648.75), NEAREST),
            Outcome::new(i32::MIN, PE)
        );
        assert_eq!(
            to_i32(f(-2_147_483_649.0), NEAREST),
            Outcome::new(i32::MIN, IE)
        );
    }

    #[test]
    fn integers_survive_the_round_trip() {
        for n in [0, 1, -1, i64::MAX, i64::MIN, 0x0123_4567_89AB_CDEF] {
            assert_eq!(to_i64(from_i64(n), NEAREST), Outcome::new(n, 0));
        }
    }
}
