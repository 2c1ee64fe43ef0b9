//! The transcendental functions against values computed with 400 bits and rounded to nearest, and against the identities
//! and special cases of the manual. No x86 host is needed.
//!
//! The arguments include the 64-bit numbers closest to multiples of pi/2 for six exponents: the hardest to reduce.

use super::status::{C2, DE, IE, PE, UE, ZE};
use super::transcendental_vectors::{
    ANGLES, COSINES, LOGARITHMS, LOGARITHMS_PLUS_ONE, POWERS, SINES, TANGENTS,
};
use super::*;

const NEAREST: Env = Env::from_control_word(0x037F);

fn f(value: f64) -> F80 {
    from_f64(value.to_bits(), NEAREST).value
}

/// Distance of two values of one sign and like exponents, in units of the last place.
fn distance(a: F80, b: F80) -> u128 {
    let key = |x: F80| u128::from(x.exponent()) << 63 | u128::from(x.significand & !(1 << 63));
    if a.is_negative() == b.is_negative() {
        key(a).abs_diff(key(b))
    } else {
        u128::MAX
    }
}

/// Sign and exponent in bits 79:64, significand below, as in memory.
fn v(bits: u128) -> F80 {
    F80 {
        sign_exp: (bits >> 64) as u16,
        significand: bits as u64,
    }
}

fn check_one(table: &[[u128; 2]], function: impl Fn(F80) -> Outcome<F80>) {
    for &[x, expected] in table {
        let seen = function(v(x));
        assert_eq!(seen.value, v(expected), "of {x:x}");
        assert_eq!(seen.status & !status::C1, PE, "of {x:x}");
    }
}

fn check_two(table: &[[u128; 3]], function: fn(F80, F80, Env) -> Outcome<F80>) {
    for &[y, x, expected] in table {
        let seen = function(v(y), v(x), NEAREST);
        assert_eq!(seen.value, v(expected), "of {y:x} {x:x}");
        assert_eq!(seen.status & !status::C1, PE, "of {y:x} {x:x}");
    }
}

#[test]
fn sine_matches_the_reference() {
    check_one(SINES, |x| sine(x, NEAREST));
}

#[test]
fn cosine_matches_the_reference() {
    check_one(COSINES, |x| cosine(x, NEAREST));
}

#[test]
fn sine_cosine_gives_both() {
    for (&[x, sine], &[_, cosine]) in SINES.iter().zip(COSINES) {
        assert_eq!(
            sine_cosine(v(x), NEAREST).value,
            (v(sine), v(cosine)),
            "of {x:x}"
        );
    }
}

#[test]
fn tangent_matches_the_reference() {
    check_one(TANGENTS, |x| {
        let Outcome { value, status } = partial_tangent(x, NEAREST);
        assert_eq!(value.1, F80::ONE);
        Outcome {
            value: value.0,
            status,
        }
    });
}

#[test]
fn arctangent_matches_the_reference() {
    check_two(ANGLES, partial_arctangent);
}

#[test]
fn f2xm1_matches_the_reference() {
    check_one(POWERS, |x| f2xm1(x, NEAREST));
}

#[test]
fn fyl2x_matches_the_reference() {
    check_two(LOGARITHMS, fyl2x);
}

#[test]
fn fyl2xp1_matches_the_reference() {
    check_two(LOGARITHMS_PLUS_ONE, fyl2xp1);
}

#[test]
fn directed_rounding_stays_within_one_unit() {
    for rounding in [Rounding::Down, Rounding::Up, Rounding::Zero] {
        let env = Env {
            rounding,
            ..NEAREST
        };
        for &[x, expected] in SINES {
            assert!(
                distance(sine(v(x), env).value, v(expected)) <= 1,
                "{rounding:?} {x:x}"
            );
        }
        for &[y, x, expected] in ANGLES {
            assert!(
                distance(partial_arctangent(v(y), v(x), env).value, v(expected)) <= 1,
                "{rounding:?} {y:x} {x:x}"
            );
        }
    }
}

#[test]
fn small_arguments_round_to_the_right_side() {
    let x = F80::new(false, 0x3F00, 0x9000_0000_0000_0000);
    let env = |rounding| Env {
        rounding,
        ..NEAREST
    };
    let below = F80 {
        significand: x.significand - 1,
        ..x
    };
    let above = F80 {
        significand: x.significand + 1,
        ..x
    };
    assert_eq!(sine(x, env(Rounding::Zero)).value, below);
    assert_eq!(sine(x, env(Rounding::Up)).value, x);
    assert_eq!(partial_tangent(x, env(Rounding::Zero)).value.0, x);
    assert_eq!(partial_tangent(x, env(Rounding::Up)).value.0, above);
    assert_eq!(
        partial_arctangent(x, F80::ONE, env(Rounding::Zero)).value,
        below
    );
    assert_eq!(cosine(x, env(Rounding::Nearest)).value, F80::ONE);
    assert_eq!(
        cosine(x, env(Rounding::Down)).value,
        F80::new(false, 0x3FFE, u64::MAX)
    );
}

#[test]
fn arguments_beyond_two_to_63_set_c2_and_come_back() {
    let large = F80::new(true, 0x3FFF + 63, 1 << 63);
    let within = F80::new(true, 0x3FFF + 62, u64::MAX);
    assert_eq!(sine(large, NEAREST), Outcome::new(large, C2));
    assert_eq!(cosine(large, NEAREST), Outcome::new(large, C2));
    assert_eq!(partial_tangent(large, NEAREST).status, C2);
    assert_eq!(sine(within, NEAREST).status & C2, 0);
}

#[test]
fn infinite_arguments_are_invalid() {
    assert_eq!(sine(F80::INFINITY, NEAREST).status, IE);
    assert_eq!(
        sine_cosine(F80::INFINITY, NEAREST).value,
        (F80::INDEFINITE, F80::INDEFINITE)
    );
    assert_eq!(partial_tangent(F80::INFINITY, NEAREST).status, IE);
}

#[test]
fn sine_of_a_denormal_underflows_to_itself() {
    let x = F80::new(false, 0, 0x1234);
    assert_eq!(sine(x, NEAREST), Outcome::new(x, DE | UE | PE | status::C1));
}

#[test]
fn arctangent_of_axes_and_corners() {
    let infinity = f(f64::INFINITY);
    let pi = fldpi(Rounding::Nearest);
    assert_eq!(
        partial_arctangent(f(0.0), f(1.0), NEAREST),
        Outcome::new(f(0.0), 0)
    );
    assert_eq!(
        partial_arctangent(f(-0.0), f(-1.0), NEAREST).value,
        pi.negated()
    );
    assert_eq!(partial_arctangent(f(0.0), f(-0.0), NEAREST).value, pi);
    assert_eq!(
        partial_arctangent(f(3.0), f(0.0), NEAREST).value,
        F80 {
            sign_exp: 0x3FFF,
            ..pi
        }
    );
    assert_eq!(
        partial_arctangent(f(7.0), f(7.0), NEAREST).value,
        F80 {
            sign_exp: 0x3FFE,
            ..pi
        }
    );
    assert_eq!(
        partial_arctangent(infinity, infinity, NEAREST).value,
        F80 {
            sign_exp: 0x3FFE,
            ..pi
        }
    );
    assert_eq!(
        partial_arctangent(infinity, infinity.negated(), NEAREST).value,
        F80::new(false, 0x4000, 0x96CB_E3F9_990E_91A8)
    );
    assert_eq!(
        partial_arctangent(f(1.0), infinity, NEAREST),
        Outcome::new(f(0.0), 0)
    );
}

#[test]
fn f2xm1_at_the_ends_is_the_true_value() {
    assert_eq!(f2xm1(f(1.0), NEAREST), Outcome::new(f(1.0), PE));
    assert_eq!(f2xm1(f(-1.0), NEAREST), Outcome::new(f(-0.5), PE));
    assert_eq!(f2xm1(f(-0.0), NEAREST), Outcome::new(f(-0.0), 0));
}

#[test]
fn fyl2x_of_powers_of_two_is_the_true_value() {
    assert_eq!(fyl2x(f(3.0), f(1024.0), NEAREST), Outcome::new(f(30.0), PE));
    assert_eq!(fyl2x(f(1.5), f(0.25), NEAREST), Outcome::new(f(-3.0), PE));
    assert_eq!(fyl2x(f(-2.0), f(1.0), NEAREST), Outcome::new(f(-0.0), 0));
}

#[test]
fn fyl2x_special_cases() {
    let infinity = f(f64::INFINITY);
    assert_eq!(
        fyl2x(f(2.0), f(0.0), NEAREST),
        Outcome::new(infinity.negated(), ZE)
    );
    assert_eq!(fyl2x(f(0.0), f(0.0), NEAREST).status, IE);
    assert_eq!(fyl2x(f(1.0), f(-1.0), NEAREST).status, IE);
    assert_eq!(fyl2x(infinity, f(1.0), NEAREST).status, IE);
    assert_eq!(fyl2x(infinity, f(0.5), NEAREST).value, infinity.negated());
    assert_eq!(fyl2x(f(0.0), infinity, NEAREST).status, IE);
}
