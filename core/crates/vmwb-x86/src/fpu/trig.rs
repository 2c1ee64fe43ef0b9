//! FSIN, FCOS, FSINCOS, FPTAN, FPATAN.
//!
//! Arguments up to 2^63 are reduced with 256 bits of 2/pi, so that results stay within one unit in the last place of the
//! true value also beside multiples of pi, where an FPU that reduces with its 66-bit pi (SDM vol. 1, 8.3.8) does not.
//! Larger ones set C2 and come back unchanged. The kernels are power series with about 100 good bits; the last step rounds
//! by rounding control, and precision control has no say.

use super::exact::Exact;
use super::status::{C1, C2};
use super::value::{Class, INVALID, deliver, denormal_flag, propagate, propagate_one};
use super::wide::{
    ONE, add, alternating, div, from_q127, inexact, mul, odd_reciprocals, reciprocal_factorials,
    square,
};
use super::{Env, F80, Outcome};

static SINE: [u128; 14] = reciprocal_factorials(1, 2);
static COSINE: [u128; 14] = reciprocal_factorials(0, 2);
static ODD: [u128; 12] = odd_reciprocals();

/// 2/pi with 256 fraction bits, least significant limb first.
const TWO_OVER_PI: [u64; 4] = [
    0xFE51_63AB_DEBB_C561,
    0xDB62_9599_3C43_9041,
    0xFC27_57D1_F534_DDC0,
    0xA2F9_836E_4E44_1529,
];
/// Significand of pi and of its halves.
const PI: u128 = 0xC90F_DAA2_2168_C234_C4C6_628B_80DC_1CD1;

/// Arc tangents of i/16 in Q128.
static ARC_TANGENTS: [u128; 17] = [
    0,
    0x0FFA_ADDB_967E_F4E3_6CB2_792D_C0E2_E0D5,
    0x1FD5_BA9A_AC2F_6DC6_5912_F313_E7D1_11DE,
    0x2F72_F697_9CB6_044D_1EC2_D3E2_0727_1D21,
    0x3EB6_EBF2_5901_BAC5_5B71_E7BD_7DE8_85F9,
    0x4D89_DCDC_1FAF_2F34_E2D5_DA4C_693D_7994,
    0x5BD8_6507_937B_C239_C551_9091_6E7F_2241,
    0x6993_BB0F_308F_F2DB_213E_4AF4_800F_389B,
    0x76B1_9C15_86ED_3DA2_B7F2_22F6_5E1D_4681,
    0x832B_F4A6_D986_7E2A_4B6A_09CB_61A5_15C0,
    0x8F00_5D5E_F7F5_9F9B_5C83_5E16_65C4_3747,
    0x9A2F_80E6_71BD_DA20_4226_F8E2_204F_F3BC,
    0xA4BC_7D19_34F7_0924_19A8_7F2A_457D_AC9E,
    0xAEAC_4C38_B4D8_C080_1472_5E2F_3E52_070A,
    0xB805_3E2B_C231_9E73_CB2D_A552_10A4_443D,
    0xC0CE_85B8_AC52_6640_89DD_62C4_6E92_FA24,
    PI,
];

/// FSIN. C2 set: |a| is 2^63 or more, and `a` comes back.
#[must_use]
pub fn sine(a: F80, env: Env) -> Outcome<F80> {
    match argument(a) {
        Argument::Settled(outcome) => outcome,
        Argument::Zero => Outcome::new(a, 0),
        Argument::Finite(x, before) => {
            let (quadrant, r) = reduce(magnitude(x));
            deliver(
                signed(x.negative, circular(quadrant, r)),
                env.extended(),
                before,
            )
        }
    }
}

/// FCOS. C2 set: |a| is 2^63 or more, and `a` comes back.
#[must_use]
pub fn cosine(a: F80, env: Env) -> Outcome<F80> {
    match argument(a) {
        Argument::Settled(outcome) => outcome,
        Argument::Zero => Outcome::new(F80::ONE, 0),
        Argument::Finite(x, before) => {
            let (quadrant, r) = reduce(magnitude(x));
            deliver(circular(quadrant + 1, r), env.extended(), before)
        }
    }
}

/// FSINCOS: `(sine, cosine)`; the sine replaces ST(0), then the cosine is pushed. An invalid operation pushes its NaN
/// twice. C2 set: |a| is 2^63 or more, `a` comes back twice, and nothing is to be pushed. C1 is the cosine's.
#[must_use]
pub fn sine_cosine(a: F80, env: Env) -> Outcome<(F80, F80)> {
    match argument(a) {
        Argument::Settled(outcome) => twice(outcome),
        Argument::Zero => Outcome::new((a, F80::ONE), 0),
        Argument::Finite(x, before) => {
            let (quadrant, r) = reduce(magnitude(x));
            let sine = deliver(
                signed(x.negative, circular(quadrant, r)),
                env.extended(),
                before,
            );
            let cosine = deliver(circular(quadrant + 1, r), env.extended(), before);
            Outcome::new(
                (sine.value, cosine.value),
                (sine.status & !C1) | cosine.status,
            )
        }
    }
}

/// FPTAN: `(tangent, 1)`; the tangent replaces ST(0), then 1 is pushed. An invalid operation pushes its NaN twice. C2 set:
/// |a| is 2^63 or more, `a` comes back twice, and nothing is to be pushed.
#[must_use]
pub fn partial_tangent(a: F80, env: Env) -> Outcome<(F80, F80)> {
    match argument(a) {
        Argument::Settled(outcome) => twice(outcome),
        Argument::Zero => Outcome::new((a, F80::ONE), 0),
        Argument::Finite(x, before) => {
            let tangent = deliver(tangent(x), env.extended(), before);
            Outcome::new((tangent.value, F80::ONE), tangent.status)
        }
    }
}

/// FPATAN: the angle of the point (`x`, `y`), in (-pi, pi]; `y` is ST(1), `x` is ST(0). SDM vol. 2, table 3-31.
#[must_use]
pub fn partial_arctangent(y: F80, x: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(x, y) {
        return outcome;
    }
    let env = env.extended();
    let (class_y, class_x) = (y.class(), x.class());
    let before = denormal_flag(&[class_y, class_x]);
    let angle = match (class_y, class_x, x.is_negative()) {
        (Class::Infinity, Class::Infinity, false) => quarters(1),
        (Class::Infinity, Class::Infinity, true) => quarters(3),
        (Class::Infinity, ..) => quarters(2),
        (Class::Zero, _, false) | (_, Class::Infinity, false) => {
            return Outcome::new(F80::zero(y.is_negative()), before);
        }
        (Class::Zero, _, true) | (_, Class::Infinity, true) => quarters(4),
        (_, Class::Zero, _) => quarters(2),
        _ => direction(magnitude(y.exact()), magnitude(x.exact()), x.is_negative()),
    };
    deliver(
        Exact {
            negative: y.is_negative(),
            ..angle
        },
        env,
        before,
    )
}

/// What is known of an argument before any computation.
enum Argument {
    /// A NaN, an infinity, or too large.
    Settled(Outcome<F80>),
    Zero,
    /// Its value, and DE when it is denormal.
    Finite(Exact, u16),
}

fn argument(a: F80) -> Argument {
    if let Some(outcome) = propagate_one(a) {
        return Argument::Settled(outcome);
    }
    let class = a.class();
    match class {
        Class::Infinity => Argument::Settled(INVALID),
        Class::Zero => Argument::Zero,
        _ if a.exact().exponent >= 63 => Argument::Settled(Outcome::new(a, C2)),
        _ => Argument::Finite(a.exact(), denormal_flag(&[class])),
    }
}

fn twice(outcome: Outcome<F80>) -> Outcome<(F80, F80)> {
    Outcome::new((outcome.value, outcome.value), outcome.status)
}

/// Sine of `quadrant * pi/2 + r`.
fn circular(quadrant: u32, r: Exact) -> Exact {
    let value = if quadrant.is_multiple_of(2) {
        sine_kernel(r)
    } else {
        cosine_kernel(r)
    };
    signed(quadrant & 2 != 0, value)
}

fn tangent(x: Exact) -> Exact {
    let (quadrant, r) = reduce(magnitude(x));
    let tangent = if quadrant % 2 == 1 {
        negated(div(cosine_kernel(r), sine_kernel(r)))
    } else if r.exponent < -34 {
        // x + x^3/3; the quotient below is not good enough to tell on which side of x this lies.
        mul(r, from_q127(ONE + square(r) / 6))
    } else {
        div(sine_kernel(r), cosine_kernel(r))
    };
    inexact(signed(x.negative, tangent))
}

/// `x = quadrant * pi/2 + r` with |r| <= pi/4, for 0 < x < 2^63; the quadrant counts modulo 4.
fn reduce(x: Exact) -> (u32, Exact) {
    if x.exponent < -1 {
        return (0, x);
    }
    // x = m * 2^(e - 63), so that x * 2/pi = m * TWO_OVER_PI / 2^(256 + 63 - e).
    let m = x.significand >> 64;
    let mut limbs = [0u64; 5];
    let mut carry = 0;
    for (limb, &factor) in limbs.iter_mut().zip(&TWO_OVER_PI) {
        let sum = m * u128::from(factor) + carry;
        *limb = sum as u64;
        carry = sum >> 64;
    }
    limbs[4] = carry as u64;
    // Move the point to the top of the five limbs; what leaves there is the integer part.
    let shift = (x.exponent + 1) as u32;
    let mut quadrant = if shift == 0 {
        0
    } else {
        limbs[4] >> (64 - shift)
    };
    shift_left(&mut limbs, shift);
    let negative = limbs[4] >> 63 == 1;
    if negative {
        quadrant += 1;
        limbs = limbs.map(|limb| !limb);
    }
    // The complement falls short by one unit of 2^-320, far below the error of the constant.
    let zeros = limbs
        .iter()
        .rev()
        .take_while(|&&limb| limb == 0)
        .count()
        .min(3);
    let limb = |i: usize| {
        u128::from(
            limbs
                .len()
                .checked_sub(1 + zeros + i)
                .map_or(0, |at| limbs[at]),
        )
    };
    let top = limb(0).leading_zeros() - 64;
    let high = (limb(0) << 64 | limb(1)) << top;
    let significand = high | if top == 0 { 0 } else { limb(2) >> (64 - top) };
    let exponent = -1 - (64 * zeros as u32 + top) as i32;
    let f = Exact {
        negative,
        exponent,
        significand,
    };
    let half_pi = Exact {
        negative: false,
        exponent: 0,
        significand: PI,
    };
    ((quadrant & 3) as u32, mul(f, half_pi))
}

/// Shifts left by 0 to 63 bits.
fn shift_left(limbs: &mut [u64; 5], count: u32) {
    if count == 0 {
        return;
    }
    for i in (0..5).rev() {
        let below = if i == 0 {
            0
        } else {
            limbs[i - 1] >> (64 - count)
        };
        limbs[i] = limbs[i] << count | below;
    }
}

/// Sine of |r| <= pi/4, not zero: `r * (1 - r^2/3! + r^4/5! - ...)`.
fn sine_kernel(r: Exact) -> Exact {
    inexact(mul(r, from_q127(alternating(square(r), &SINE))))
}

/// Cosine of |r| <= pi/4, not zero.
fn cosine_kernel(r: Exact) -> Exact {
    inexact(from_q127(alternating(square(r), &COSINE)))
}

fn magnitude(x: Exact) -> Exact {
    Exact {
        negative: false,
        ..x
    }
}

fn negated(x: Exact) -> Exact {
    signed(true, x)
}

/// `-x` when `negate` holds.
fn signed(negate: bool, x: Exact) -> Exact {
    Exact {
        negative: x.negative != negate,
        ..x
    }
}

/// `count` quarters of pi.
fn quarters(count: u32) -> Exact {
    let quarter = Exact {
        negative: false,
        exponent: -1,
        significand: PI,
    };
    match count {
        1 => quarter,
        2 => Exact {
            exponent: 0,
            ..quarter
        },
        3 => add(
            quarter,
            Exact {
                exponent: 0,
                ..quarter
            },
        ),
        _ => Exact {
            exponent: 1,
            ..quarter
        },
    }
}

/// Angle in (0, pi) of a point above the axis: magnitudes of its coordinates, and whether x is negative.
fn direction(y: Exact, x: Exact, left: bool) -> Exact {
    let steep = (y.exponent, y.significand) > (x.exponent, x.significand);
    let angle = if steep {
        arctangent(x, y)
    } else {
        arctangent(y, x)
    };
    inexact(match (steep, left) {
        (false, false) => angle,
        (true, false) => add(quarters(2), negated(angle)),
        (true, true) => add(quarters(2), angle),
        (false, true) => add(quarters(4), negated(angle)),
    })
}

/// Arc tangent of `small / large` in (0, 1].
fn arctangent(small: Exact, large: Exact) -> Exact {
    let t = div(small, large);
    if t.exponent >= 0 {
        // Equal, or so nearly that the quotient's error of 2^-120 has the last word.
        return quarters(1);
    }
    // t in Q122, so that 16 + i * t leaves room; i / 16 is the nearest sixteenth.
    let fixed = t
        .significand
        .checked_shr((5 - t.exponent) as u32)
        .unwrap_or(0);
    let i = (fixed + (1 << 117)) >> 118;
    if i == 0 {
        return arctangent_kernel(t);
    }
    // atan t = atan c + atan((t - c) / (1 + t c)) with c = i/16.
    let base = Exact::from_u128(false, -1, ARC_TANGENTS[i as usize]);
    let (scaled, step) = (fixed << 4, i << 122);
    if scaled == step {
        return base;
    }
    let numerator = Exact::from_u128(scaled < step, 5, scaled.abs_diff(step));
    let denominator = Exact::from_u128(false, 5, (16 << 122) + i * fixed);
    add(base, arctangent_kernel(div(numerator, denominator)))
}

/// Arc tangent of |u| <= 1/31: `u * (1 - u^2/3 + u^4/5 - ...)`.
fn arctangent_kernel(u: Exact) -> Exact {
    mul(u, from_q127(alternating(square(u), &ODD)))
}
