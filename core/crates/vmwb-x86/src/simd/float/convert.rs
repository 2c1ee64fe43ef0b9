//! Conversions between integers, singles and doubles.
//!
//! A conversion to an integer in range is done by the host (truncation, and rounding to nearest through the carry out of
//! a large constant, depend on no host state but the default one); the rest is the portable arithmetic's.

use super::super::Unmasked;
use super::super::lanes::{Lanes, i32x2, i32x4, u32x2, u32x4, u64x2};
use super::super::mxcsr::{PE, conclude, rounding};
use super::super::soft::{self, DOUBLE, SINGLE};
use super::arith::is_plain;
use super::facts::{double, single};
use crate::fpu::Rounding;

/// CVTSI2SD of a 32-bit (sign-extended) or 64-bit integer.
#[inline]
pub fn cvtsi2sd(n: i64, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    if n.unsigned_abs() <= 1 << 53 {
        return Ok((n as f64).to_bits());
    }
    let lane = soft::from_integer(DOUBLE, n, *mxcsr);
    conclude(lane.bits, lane.flags, mxcsr)
}

/// CVTSI2SS of a 32-bit (sign-extended) or 64-bit integer.
#[inline]
pub fn cvtsi2ss(n: i64, mxcsr: &mut u32) -> Result<u32, Unmasked> {
    if n.unsigned_abs() <= 1 << 24 {
        return Ok((n as f32).to_bits());
    }
    let lane = soft::from_integer(SINGLE, n, *mxcsr);
    conclude(lane.bits as u32, lane.flags, mxcsr)
}

/// CVTSS2SD.
#[inline]
pub fn cvtss2sd(a: u32, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    let (value, flags) = widen(a, *mxcsr);
    conclude(value, flags, mxcsr)
}

#[inline]
fn widen(a: u32, mxcsr: u32) -> (u64, u32) {
    if single::is_ordinary(a) {
        return (f64::from(f32::from_bits(a)).to_bits(), 0);
    }
    let lane = soft::convert(SINGLE, DOUBLE, a.into(), mxcsr);
    (lane.bits, lane.flags)
}

/// CVTSD2SS.
#[inline]
pub fn cvtsd2ss(a: u64, mxcsr: &mut u32) -> Result<u32, Unmasked> {
    let (value, flags) = narrow(a, *mxcsr);
    conclude(value, flags, mxcsr)
}

#[inline]
fn narrow(a: u64, mxcsr: u32) -> (u32, u32) {
    if is_plain(mxcsr) && double::is_ordinary(a) {
        let x = f64::from_bits(a);
        let r = (x as f32).to_bits();
        let exact = f64::from(f32::from_bits(r)) == x;
        if single::is_clear_of_limits(r) || (exact && double::is_zero(a)) {
            return (r, if exact { 0 } else { PE });
        }
    }
    let lane = soft::convert(DOUBLE, SINGLE, a, mxcsr);
    (lane.bits as u32, lane.flags)
}

/// Integer of a double: `(value, flags)`. `width` is 32 or 64.
#[inline]
fn double_to_integer(a: u64, width: u32, mode: Rounding, mxcsr: u32) -> (i64, u32) {
    let x = f64::from_bits(a);
    // 2^51: the constant below then keeps its exponent, so that the sum is rounded at the units.
    const NEAR: f64 = 2_251_799_813_685_248.0;
    const CARRY: f64 = 3.0 * NEAR;
    let limit = if width == 32 { 2_147_483_647.0 } else { NEAR };
    if x.abs() < limit && !double::is_denormal(a) {
        let whole = match mode {
            Rounding::Nearest => Some((x + CARRY) - CARRY),
            Rounding::Zero => Some(x),
            Rounding::Down | Rounding::Up => None,
        };
        if let Some(whole) = whole {
            let n = whole as i64;
            return (n, if n as f64 == x { 0 } else { PE });
        }
    }
    soft::to_integer(DOUBLE, a, width, mode, mxcsr)
}

/// Integer of a single. A denormal keeps to the single's rules (DAZ); every other single is exactly a double.
#[inline]
fn single_to_integer(a: u32, width: u32, mode: Rounding, mxcsr: u32) -> (i64, u32) {
    if single::is_ordinary(a) {
        return double_to_integer(f64::from(f32::from_bits(a)).to_bits(), width, mode, mxcsr);
    }
    soft::to_integer(SINGLE, a.into(), width, mode, mxcsr)
}

macro_rules! to_integers {
    ($($(#[$doc:meta])* $name:ident: $bits:ty => $integer:ty, $through:ident, |$mxcsr:ident| $mode:expr;)+) => {
        $(
            $(#[$doc])*
            /// Out of range or NaN: IE and the most negative integer.
            #[inline]
            pub fn $name(a: $bits, mxcsr: &mut u32) -> Result<$integer, Unmasked> {
                let $mxcsr = *mxcsr;
                let (value, flags) = $through(a, <$integer>::BITS, $mode, $mxcsr);
                conclude(value as $integer, flags, mxcsr)
            }
        )+
    };
}

to_integers! {
    /// CVTSS2SI r32: by rounding control.
    cvtss2si32: u32 => i32, single_to_integer, |control| rounding(control);
    /// CVTSS2SI r64: by rounding control.
    cvtss2si64: u32 => i64, single_to_integer, |control| rounding(control);
    /// CVTTSS2SI r32: toward zero.
    cvttss2si32: u32 => i32, single_to_integer, |control| Rounding::Zero;
    /// CVTTSS2SI r64: toward zero.
    cvttss2si64: u32 => i64, single_to_integer, |control| Rounding::Zero;
    /// CVTSD2SI r32: by rounding control.
    cvtsd2si32: u64 => i32, double_to_integer, |control| rounding(control);
    /// CVTSD2SI r64: by rounding control.
    cvtsd2si64: u64 => i64, double_to_integer, |control| rounding(control);
    /// CVTTSD2SI r32: toward zero.
    cvttsd2si32: u64 => i32, double_to_integer, |control| Rounding::Zero;
    /// CVTTSD2SI r64: toward zero.
    cvttsd2si64: u64 => i64, double_to_integer, |control| Rounding::Zero;
}

/// Each lane through `f`, flags of all lanes together.
#[inline(always)]
fn map<T: Copy, U, const N: usize>(a: [T; N], f: impl Fn(T) -> (U, u32)) -> ([U; N], u32) {
    let mut flags = 0;
    let lanes = a.map(|lane| {
        let (value, lane_flags) = f(lane);
        flags |= lane_flags;
        value
    });
    (lanes, flags)
}

#[inline]
fn integer_to_single(n: i32, mxcsr: u32) -> (u32, u32) {
    if n.unsigned_abs() <= 1 << 24 {
        return ((n as f32).to_bits(), 0);
    }
    let lane = soft::from_integer(SINGLE, n.into(), mxcsr);
    (lane.bits as u32, lane.flags)
}

/// CVTDQ2PS: four integers to singles.
pub fn cvtdq2ps(a: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let (lanes, flags) = map(i32x4(a), |n| integer_to_single(n, *mxcsr));
    conclude(lanes.join(), flags, mxcsr)
}

/// CVTPI2PS: two integers of an MMX register (or 64 bits of memory) to the two low singles.
pub fn cvtpi2ps(a: u64, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    let (lanes, flags) = map(i32x2(a), |n| integer_to_single(n, *mxcsr));
    conclude(lanes.join(), flags, mxcsr)
}

/// CVTDQ2PD and CVTPI2PD: two integers to doubles, exactly.
#[inline]
#[must_use]
pub fn cvtdq2pd(a: u64) -> u128 {
    i32x2(a).map(f64::from).join()
}

/// CVTPS2PD: two singles to doubles.
pub fn cvtps2pd(a: u64, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let (lanes, flags) = map(u32x2(a), |lane| widen(lane, *mxcsr));
    conclude(lanes.join(), flags, mxcsr)
}

/// CVTPD2PS: two doubles to singles, for the low half; the engine clears the high one.
pub fn cvtpd2ps(a: u128, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    let (lanes, flags) = map(u64x2(a), |lane| narrow(lane, *mxcsr));
    conclude(lanes.join(), flags, mxcsr)
}

macro_rules! packed_to_integers {
    ($($(#[$doc:meta])* $name:ident: $from:ty => $to:ty, $view:ident, $through:ident, |$mxcsr:ident| $mode:expr;)+) => {
        $(
            $(#[$doc])*
            /// A lane out of range or NaN: IE and 0x8000_0000.
            pub fn $name(a: $from, mxcsr: &mut u32) -> Result<$to, Unmasked> {
                let $mxcsr = *mxcsr;
                let (lanes, flags) = map($view(a), |lane| $through(lane, 32, $mode, $mxcsr));
                conclude(lanes.map(|lane| lane as u32).join(), flags, mxcsr)
            }
        )+
    };
}

packed_to_integers! {
    /// CVTPS2DQ: four singles, by rounding control.
    cvtps2dq: u128 => u128, u32x4, single_to_integer, |control| rounding(control);
    /// CVTTPS2DQ: four singles, toward zero.
    cvttps2dq: u128 => u128, u32x4, single_to_integer, |control| Rounding::Zero;
    /// CVTPS2PI: two singles to an MMX register, by rounding control.
    cvtps2pi: u64 => u64, u32x2, single_to_integer, |control| rounding(control);
    /// CVTTPS2PI: two singles to an MMX register, toward zero.
    cvttps2pi: u64 => u64, u32x2, single_to_integer, |control| Rounding::Zero;
    /// CVTPD2DQ and CVTPD2PI: two doubles to 64 bits, by rounding control.
    cvtpd2dq: u128 => u64, u64x2, double_to_integer, |control| rounding(control);
    /// CVTTPD2DQ and CVTTPD2PI: two doubles to 64 bits, toward zero.
    cvttpd2dq: u128 => u64, u64x2, double_to_integer, |control| Rounding::Zero;
}

#[cfg(test)]
mod tests {
    use super::super::super::mxcsr::{FLAGS, IE, RESET};
    use super::*;

    #[test]
    fn nearest_goes_to_even_and_sets_pe() {
        let mut mxcsr = RESET;
        assert_eq!(cvtsd2si32(2.5f64.to_bits(), &mut mxcsr), Ok(2));
        assert_eq!(cvtsd2si64((-3.5f64).to_bits(), &mut mxcsr), Ok(-4));
        assert_eq!(mxcsr & FLAGS, PE);
    }

    #[test]
    fn truncation_at_the_edge_of_the_range() {
        let mut mxcsr = RESET;
        assert_eq!(
            cvttsd2si32((-2_147_483_648.5f64).to_bits(), &mut mxcsr),
            Ok(i32::MIN)
        );
        assert_eq!(mxcsr & FLAGS, PE);
        assert_eq!(
            cvttsd2si32(2_147_483_648.0f64.to_bits(), &mut mxcsr),
            Ok(i32::MIN)
        );
        assert_eq!(mxcsr & FLAGS, PE | IE);
    }

    #[test]
    fn unmasked_precision_withholds_the_result() {
        let mut mxcsr = RESET & !(PE << 7);
        assert_eq!(cvtsd2ss(0.1f64.to_bits(), &mut mxcsr), Err(Unmasked));
        assert_eq!(mxcsr & FLAGS, PE);
    }
}
