//! FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1: instructions on exponents and quotients.

use super::convert::from_i64;
use super::exact::Exact;
use super::status::{C0, C1, C2, C3, ZE};
use super::value::{
    BIAS, Class, INVALID, deliver, denormal_flag, inexact_status, propagate, propagate_one,
};
use super::{Env, F80, Outcome, Rounding};

/// FRNDINT: rounds to an integer by rounding control. A zero result keeps the sign of `a`.
#[must_use]
pub fn round_to_integer(a: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate_one(a) {
        return outcome;
    }
    let class = a.class();
    if matches!(class, Class::Zero | Class::Infinity) {
        return Outcome::new(a, 0);
    }
    let Some((magnitude, inexact, up)) = a.exact().to_integer(env.rounding) else {
        return Outcome::new(a, 0);
    };
    let before = denormal_flag(&[class]);
    if before & env.unmasked != 0 {
        return Outcome::new(a, before);
    }
    let status = before | inexact_status(inexact, up);
    if magnitude == 0 {
        return Outcome::new(F80::zero(a.is_negative()), status);
    }
    let zeros = magnitude.leading_zeros();
    Outcome::new(
        F80::pack(a.is_negative(), 63 - zeros as i32, magnitude << zeros),
        status,
    )
}

/// FSCALE: `a * 2^trunc(b)`; `a` is ST(0), `b` is ST(1).
#[must_use]
pub fn scale(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(a, b) {
        return outcome;
    }
    let (class_a, class_b) = (a.class(), b.class());
    let before = denormal_flag(&[class_a, class_b]);
    match (class_a, class_b, b.is_negative()) {
        (Class::Zero, Class::Infinity, false) | (Class::Infinity, Class::Infinity, true) => {
            return INVALID;
        }
        (Class::Zero | Class::Infinity, ..) => return Outcome::new(a, before),
        (_, Class::Infinity, false) => return Outcome::new(F80::infinity(a.is_negative()), before),
        (_, Class::Infinity, true) => return Outcome::new(F80::zero(a.is_negative()), before),
        (_, Class::Zero, _) => return deliver(a.exact(), env.extended(), before),
        _ => {}
    }
    let x = a.exact();
    // Beyond this every value overflows or vanishes; it also keeps the sum far from the limits of i32.
    const FAR: u64 = 0x1_0000;
    let distance = match b.exact().to_integer(Rounding::Zero) {
        Some((magnitude, ..)) => magnitude.min(FAR) as i32,
        None => FAR as i32,
    };
    let exponent = if b.is_negative() {
        x.exponent - distance
    } else {
        x.exponent + distance
    };
    deliver(Exact { exponent, ..x }, env.extended(), before)
}

/// FXTRACT: `(exponent, significand)`; the exponent replaces ST(0), then the significand is pushed.
#[must_use]
pub fn extract(a: F80) -> Outcome<(F80, F80)> {
    if let Some(Outcome { value, status }) = propagate_one(a) {
        return Outcome::new((value, value), status);
    }
    match a.class() {
        Class::Zero => Outcome::new((F80::infinity(true), a), ZE),
        Class::Infinity => Outcome::new((F80::INFINITY, a), 0),
        class => {
            let x = a.exact();
            let significand = F80::pack(x.negative, 0, (x.significand >> 64) as u64);
            Outcome::new(
                (from_i64(i64::from(x.exponent)), significand),
                denormal_flag(&[class]),
            )
        }
    }
}

/// FPREM: remainder of `a / b` with the quotient truncated; `a` is ST(0), `b` is ST(1). C2 set: the reduction is
/// partial and the program goes round again; clear: C0, C3 and C1 are bits 2, 1 and 0 of the quotient.
#[must_use]
pub fn partial_remainder(a: F80, b: F80, env: Env) -> Outcome<F80> {
    remainder(a, b, env, false)
}

/// FPREM1: the same with the quotient rounded to nearest, as IEEE 754 defines the remainder.
#[must_use]
pub fn partial_remainder_ieee(a: F80, b: F80, env: Env) -> Outcome<F80> {
    remainder(a, b, env, true)
}

fn remainder(a: F80, b: F80, env: Env, nearest: bool) -> Outcome<F80> {
    let env = env.extended();
    if let Some(outcome) = propagate(a, b) {
        return outcome;
    }
    let (class_a, class_b) = (a.class(), b.class());
    let before = denormal_flag(&[class_a, class_b]);
    match (class_a, class_b) {
        (Class::Infinity, _) | (_, Class::Zero) => return INVALID,
        (Class::Zero, _) => return Outcome::new(a, before),
        (_, Class::Infinity) => return deliver(a.exact(), env, before),
        _ if before & env.unmasked != 0 => return Outcome::new(a, before),
        _ => {}
    }
    let (x, y) = (a.exact(), b.exact());
    let gap = x.exponent - y.exponent;
    if gap < -1 || (gap == -1 && !nearest) {
        return deliver(x, env, before);
    }
    let (dividend, divisor) = (x.significand >> 64, y.significand >> 64);
    if gap >= 64 {
        // The SDM allows a step of 32 to 63 bits. This one leaves a multiple of 32 to go, as hardware does.
        let step = 32 + gap % 32;
        let rest = (dividend << step) % divisor;
        let outcome = leftover(x.negative, rest, y.exponent + gap - step, env, before);
        return Outcome::new(outcome.value, outcome.status | C2);
    }
    // With a gap of -1 both are doubled, so that the dividend stays an integer.
    let (dividend, divisor, unit) = if gap < 0 {
        (dividend, divisor << 1, y.exponent - 1)
    } else {
        (dividend << gap, divisor, y.exponent)
    };
    let mut quotient = dividend / divisor;
    let mut rest = dividend - quotient * divisor;
    let mut negative = x.negative;
    let twice = rest << 1;
    if nearest && (twice > divisor || (twice == divisor && quotient & 1 == 1)) {
        quotient += 1;
        rest = divisor - rest;
        negative = !negative;
    }
    let outcome = leftover(
        if rest == 0 { x.negative } else { negative },
        rest,
        unit,
        env,
        before,
    );
    let code = |bit: u32, code: u16| if quotient >> bit & 1 == 1 { code } else { 0 };
    Outcome::new(
        outcome.value,
        outcome.status | code(0, C1) | code(1, C3) | code(2, C0),
    )
}

/// `rest / 2^63 * 2^exponent`, exactly.
fn leftover(negative: bool, rest: u128, exponent: i32, env: Env, before: u16) -> Outcome<F80> {
    if rest == 0 {
        return Outcome::new(F80::zero(negative), before);
    }
    // Below 2^64 in every case: a remainder is smaller than a divisor, and half of a doubled one too.
    debug_assert!(exponent > -2 * BIAS);
    deliver(Exact::from_u128(negative, exponent + 64, rest), env, before)
}

#[cfg(test)]
mod tests {
    use super::super::status::{DE, IE, PE};
    use super::super::{from_f64, to_f64};
    use super::*;

    const NEAREST: Env = Env::from_control_word(0x037F);

    fn f(value: f64) -> F80 {
        from_f64(value.to_bits(), NEAREST).value
    }

    fn back(value: F80) -> f64 {
        f64::from_bits(to_f64(value, NEAREST).value)
    }

    #[test]
    fn round_to_integer_follows_rounding_control() {
        assert_eq!(round_to_integer(f(2.5), NEAREST), Outcome::new(f(2.0), PE));
        let up = Env {
            rounding: Rounding::Up,
            ..NEAREST
        };
        assert_eq!(round_to_integer(f(2.5), up), Outcome::new(f(3.0), PE | C1));
        assert_eq!(round_to_integer(f(-0.25), up), Outcome::new(f(-0.0), PE));
    }

    #[test]
    fn scale_truncates_the_power() {
        assert_eq!(scale(f(3.0), f(4.9), NEAREST), Outcome::new(f(48.0), 0));
        assert_eq!(scale(f(3.0), f(-1.9), NEAREST), Outcome::new(f(1.5), 0));
        assert_eq!(scale(F80::ZERO, F80::INFINITY, NEAREST), INVALID);
    }

    #[test]
    fn extract_splits_exponent_and_significand() {
        assert_eq!(extract(f(-12.0)), Outcome::new((f(3.0), f(-1.5)), 0));
        assert_eq!(
            extract(F80::ZERO),
            Outcome::new((F80::infinity(true), F80::ZERO), ZE)
        );
        assert_eq!(
            extract(F80::new(false, 0, 1)),
            Outcome::new((f(-16445.0), f(1.0)), DE)
        );
    }

    #[test]
    fn partial_remainder_gives_the_low_quotient_bits() {
        let outcome = partial_remainder(f(17.5), f(3.0), NEAREST);
        assert_eq!(back(outcome.value), 2.5);
        assert_eq!(outcome.status, C1 | C0);
        let outcome = partial_remainder_ieee(f(17.5), f(3.0), NEAREST);
        assert_eq!(back(outcome.value), -0.5);
        assert_eq!(outcome.status, C3 | C0);
    }

    #[test]
    fn partial_remainder_of_far_apart_exponents_takes_several_steps() {
        let large = scale(f(1.0), f(1000.0), NEAREST).value;
        let steps: Vec<_> =
            std::iter::successors(Some(partial_remainder(large, f(7.0), NEAREST)), |step| {
                (step.status & C2 != 0).then(|| partial_remainder(step.value, f(7.0), NEAREST))
            })
            .collect();
        // 2^1000 = 2 * 8^333, and 8 is 1 modulo 7.
        assert_eq!(back(steps[steps.len() - 1].value), 2.0);
        assert!(steps.len() > 10);
    }

    #[test]
    fn partial_remainder_by_zero_is_invalid() {
        assert_eq!(partial_remainder(F80::ONE, F80::ZERO, NEAREST).status, IE);
    }
}
