//! F2XM1, FYL2X, FYL2XP1: power series with about 100 good bits, rounded once by rounding control.

use super::exact::Exact;
use super::status::{PE, UE, ZE};
use super::value::{Class, INVALID, deliver, denormal_flag, propagate, propagate_one};
use super::wide::{
    ONE, add, alternating, ascending, div, fraction, from_q127, inexact, mul, odd_reciprocals,
    reciprocal_factorials, square,
};
use super::{Env, F80, Outcome};

static EXPONENTIAL: [u128; 28] = reciprocal_factorials(1, 1);
static ODD: [u128; 36] = odd_reciprocals();

/// Natural logarithm of 2.
const LN_2: Exact = Exact {
    negative: false,
    exponent: -1,
    significand: 0xB172_17F7_D1CF_79AB_C9E3_B398_03F2_F6AF,
};
/// 2 / ln 2.
const TWO_OVER_LN_2: Exact = Exact {
    negative: false,
    exponent: 1,
    significand: 0xB8AA_3B29_5C17_F0BB_BE87_FED0_691D_3E88,
};
/// Significand of the square root of 2.
const ROOT_2: u128 = 0xB504_F333_F9DE_6484 << 64;

/// F2XM1: `2^a - 1` for -1 <= a <= 1. Outside the SDM leaves the result undefined; here, as on hardware, `a` comes back.
#[must_use]
pub fn f2xm1(a: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate_one(a) {
        return outcome;
    }
    let class = a.class();
    match class {
        Class::Zero => return Outcome::new(a, 0),
        Class::Infinity if a.is_negative() => return Outcome::new(F80::ONE.negated(), 0),
        Class::Infinity => return Outcome::new(a, 0),
        _ => {}
    }
    let x = a.exact();
    if x.exponent >= 0 {
        let minus_half = F80::new(true, 0x3FFE, 1 << 63);
        return Outcome::new(
            if a == F80::ONE.negated() {
                minus_half
            } else {
                a
            },
            PE,
        );
    }
    // e^y - 1 = y * (1 + y/2! + y^2/3! + ...)
    let y = mul(x, LN_2);
    let z = fraction(y);
    let series = if x.negative {
        alternating(z, &EXPONENTIAL)
    } else {
        ascending(z, &EXPONENTIAL)
    };
    deliver(
        inexact(mul(y, from_q127(series))),
        env.extended(),
        denormal_flag(&[class]),
    )
}

/// FYL2X: `y * log2(x)`; `y` is ST(1), `x` is ST(0). SDM vol. 2, table of FYL2X.
#[must_use]
pub fn fyl2x(y: F80, x: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(x, y) {
        return outcome;
    }
    let (class_y, class_x) = (y.class(), x.class());
    let before = denormal_flag(&[class_y, class_x]);
    if class_x == Class::Zero {
        return match class_y {
            Class::Zero => INVALID,
            Class::Infinity => Outcome::new(F80::infinity(!y.is_negative()), 0),
            _ => Outcome::new(F80::infinity(!y.is_negative()), ZE),
        };
    }
    if x.is_negative() {
        return INVALID;
    }
    if class_x == Class::Infinity {
        return match class_y {
            Class::Zero => INVALID,
            _ => Outcome::new(F80::infinity(y.is_negative()), before),
        };
    }
    times_logarithm(y, log2(x.exact()), env, before)
}

/// FYL2XP1: `y * log2(x + 1)` without losing a small `x`; `y` is ST(1), `x` is ST(0). The SDM defines it for |x| up to
/// 1 - sqrt(2)/2; here it holds for all x > -1.
#[must_use]
pub fn fyl2xp1(y: F80, x: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(x, y) {
        return outcome;
    }
    let (class_y, class_x) = (y.class(), x.class());
    let before = denormal_flag(&[class_y, class_x]);
    match (class_x, x.is_negative(), class_y) {
        (Class::Zero, _, Class::Infinity) | (Class::Infinity, false, Class::Zero) => {
            return INVALID;
        }
        (Class::Zero, negative, _) => {
            return Outcome::new(F80::zero(negative != y.is_negative()), before);
        }
        (Class::Infinity, false, _) => return Outcome::new(F80::infinity(y.is_negative()), before),
        (Class::Infinity, true, _) => return INVALID,
        _ => {}
    }
    let x = x.exact();
    if x.negative && x.exponent >= 0 {
        return INVALID;
    }
    let logarithm = if x.exponent < -1 {
        // (1 + x - 1) / (1 + x + 1)
        let two = Exact {
            negative: false,
            exponent: 1,
            significand: ONE,
        };
        Logarithm::Near(log2_of_ratio(div(x, add(two, x))))
    } else {
        log2(add(from_q127(ONE), x))
    };
    times_logarithm(y, logarithm, env, before)
}

/// A base-2 logarithm.
enum Logarithm {
    /// Of 1.
    Zero,
    /// Of another power of two.
    Integer(Exact),
    /// Of anything else: never exact.
    Near(Exact),
}

fn times_logarithm(y: F80, logarithm: Logarithm, env: Env, before: u16) -> Outcome<F80> {
    let (factor, exact) = match logarithm {
        Logarithm::Zero if y.class() == Class::Infinity => return INVALID,
        Logarithm::Zero => return Outcome::new(F80::zero(y.is_negative()), before),
        Logarithm::Integer(factor) => (factor, true),
        Logarithm::Near(factor) => (factor, false),
    };
    let negative = y.is_negative() != factor.negative;
    match y.class() {
        Class::Zero => Outcome::new(F80::zero(negative), before),
        Class::Infinity => Outcome::new(F80::infinity(negative), before),
        _ if exact => {
            // Hardware calls every result inexact, this one too.
            let outcome = deliver(y.exact().mul(factor), env.extended(), before);
            let tiny = if outcome.value.exponent() == 0 { UE } else { 0 };
            Outcome::new(outcome.value, outcome.status | PE | tiny)
        }
        _ => deliver(inexact(mul(y.exact(), factor)), env.extended(), before),
    }
}

/// Logarithm of a positive value.
fn log2(x: Exact) -> Logarithm {
    // x = m * 2^e with m between the roots of 1/2 and 2, so that e and log2 m do not cancel.
    let halve = x.significand > ROOT_2;
    let e = x.exponent + i32::from(halve);
    let whole = (e != 0).then(|| Exact::from_u64(e < 0, 63, u64::from(e.unsigned_abs())));
    // m - 1 and m + 1, both halved when m is the significand itself.
    let (difference, sum) = if halve {
        (
            Exact::from_u128(true, -1, x.significand.wrapping_neg()),
            (x.significand >> 1) + ONE,
        )
    } else if x.significand == ONE {
        return whole.map_or(Logarithm::Zero, Logarithm::Integer);
    } else {
        (
            Exact::from_u128(false, 0, x.significand - ONE),
            (x.significand >> 1) + (ONE >> 1),
        )
    };
    let sum = Exact::from_u128(false, i32::from(!halve), sum);
    let part = log2_of_ratio(div(difference, sum));
    Logarithm::Near(whole.map_or(part, |whole| add(whole, part)))
}

/// `log2((1 + s) / (1 - s)) = 2/ln 2 * (s + s^3/3 + s^5/5 + ...)` for |s| <= 1/3.
fn log2_of_ratio(s: Exact) -> Exact {
    mul(mul(s, from_q127(ascending(square(s), &ODD))), TWO_OVER_LN_2)
}
