//! FADD, FSUB, FMUL, FDIV, FSQRT (SDM vol. 1, 8.3.5 and tables of vol. 2).

use super::exact::Exact;
use super::status::ZE;
use super::value::{Class, INVALID, deliver, denormal_flag, propagate, propagate_one};
use super::{Env, F80, Outcome, Rounding};

/// `a + b`, rounded to the precision of `env`.
#[inline]
#[must_use]
pub fn add(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if a.is_normal() && b.is_normal() {
        return sum(a.exact_normal(), b.exact_normal(), env, 0);
    }
    add_special(a, b, false, env)
}

/// `a - b`, rounded to the precision of `env`.
#[inline]
#[must_use]
pub fn sub(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if a.is_normal() && b.is_normal() {
        return sum(a.exact_normal(), b.negated().exact_normal(), env, 0);
    }
    add_special(a, b, true, env)
}

/// `a * b`, rounded to the precision of `env`.
#[inline]
#[must_use]
pub fn mul(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if a.is_normal() && b.is_normal() {
        return deliver(a.exact_normal().mul(b.exact_normal()), env, 0);
    }
    mul_special(a, b, env)
}

/// `a / b`, rounded to the precision of `env`.
#[inline]
#[must_use]
pub fn div(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if a.is_normal() && b.is_normal() {
        return deliver(a.exact_normal().div(b.exact_normal()), env, 0);
    }
    div_special(a, b, env)
}

/// Square root, rounded to the precision of `env`. The root of -0 is -0.
#[must_use]
pub fn sqrt(a: F80, env: Env) -> Outcome<F80> {
    if a.is_normal() && !a.is_negative() {
        return deliver(a.exact_normal().sqrt(), env, 0);
    }
    if let Some(outcome) = propagate_one(a) {
        return outcome;
    }
    match (a.class(), a.is_negative()) {
        (Class::Zero, _) | (Class::Infinity, false) => Outcome::new(a, 0),
        (_, true) => INVALID,
        (class, false) => deliver(a.exact().sqrt(), env, denormal_flag(&[class])),
    }
}

#[inline]
fn sum(a: Exact, b: Exact, env: Env, before: u16) -> Outcome<F80> {
    match a.add(b) {
        Some(x) => deliver(x, env, before),
        None => Outcome::new(F80::zero(env.rounding == Rounding::Down), before),
    }
}

#[cold]
fn add_special(a: F80, b: F80, subtract: bool, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(a, b) {
        return outcome;
    }
    let b = if subtract { b.negated() } else { b };
    let (class_a, class_b) = (a.class(), b.class());
    let before = denormal_flag(&[class_a, class_b]);
    match (class_a, class_b) {
        (Class::Infinity, Class::Infinity) if a.is_negative() != b.is_negative() => INVALID,
        (Class::Infinity, _) => Outcome::new(a, before),
        (_, Class::Infinity) => Outcome::new(b, before),
        (Class::Zero, Class::Zero) if a.is_negative() == b.is_negative() => Outcome::new(a, 0),
        (Class::Zero, Class::Zero) => Outcome::new(F80::zero(env.rounding == Rounding::Down), 0),
        (Class::Zero, _) => deliver(b.exact(), env, before),
        (_, Class::Zero) => deliver(a.exact(), env, before),
        _ => sum(a.exact(), b.exact(), env, before),
    }
}

#[cold]
fn mul_special(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(a, b) {
        return outcome;
    }
    let negative = a.is_negative() != b.is_negative();
    let (class_a, class_b) = (a.class(), b.class());
    let before = denormal_flag(&[class_a, class_b]);
    match (class_a, class_b) {
        (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => INVALID,
        (Class::Infinity, _) | (_, Class::Infinity) => {
            Outcome::new(F80::infinity(negative), before)
        }
        (Class::Zero, _) | (_, Class::Zero) => Outcome::new(F80::zero(negative), before),
        _ => deliver(a.exact().mul(b.exact()), env, before),
    }
}

#[cold]
fn div_special(a: F80, b: F80, env: Env) -> Outcome<F80> {
    if let Some(outcome) = propagate(a, b) {
        return outcome;
    }
    let negative = a.is_negative() != b.is_negative();
    let (class_a, class_b) = (a.class(), b.class());
    let before = denormal_flag(&[class_a, class_b]);
    match (class_a, class_b) {
        (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => INVALID,
        (Class::Infinity, _) => Outcome::new(F80::infinity(negative), before),
        (_, Class::Infinity) | (Class::Zero, _) => Outcome::new(F80::zero(negative), before),
        (_, Class::Zero) => Outcome::new(F80::infinity(negative), ZE),
        _ => deliver(a.exact().div(b.exact()), env, before),
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{C1, DE, IE, OE, PE, UE};
    use super::super::{Precision, from_f64, to_f64};
    use super::*;

    const NEAREST: Env = Env::from_control_word(0x037F);

    fn f(value: f64) -> F80 {
        from_f64(value.to_bits(), NEAREST).value
    }

    #[test]
    fn add_of_doubles_rounds_once_at_64_bits() {
        let outcome = add(F80::ONE, F80::new(false, 0x3FFF - 64, 1 << 63), NEAREST);
        assert_eq!(outcome, Outcome::new(F80::ONE, PE));
        let up = Env::from_control_word(0x0B7F);
        let outcome = add(F80::ONE, F80::new(false, 0x3FFF - 64, 1 << 63), up);
        assert_eq!(
            outcome,
            Outcome::new(F80::new(false, 0x3FFF, (1 << 63) | 1), PE | C1)
        );
    }

    #[test]
    fn sub_of_equals_is_minus_zero_only_when_rounding_down() {
        assert_eq!(sub(f(1.5), f(1.5), NEAREST).value, F80::ZERO);
        let down = Env {
            rounding: Rounding::Down,
            ..NEAREST
        };
        assert_eq!(sub(f(1.5), f(1.5), down).value, F80::zero(true));
    }

    #[test]
    fn div_with_double_precision_matches_the_double_quotient() {
        let env = Env {
            precision: Precision::Double,
            ..NEAREST
        };
        let quotient = div(f(1.0), f(3.0), env);
        assert_eq!(
            to_f64(quotient.value, env),
            Outcome::new((1.0f64 / 3.0).to_bits(), 0)
        );
        assert_eq!(quotient.status, PE);
    }

    #[test]
    fn div_by_zero_gives_infinity_and_ze() {
        assert_eq!(
            div(f(-1.0), F80::ZERO, NEAREST),
            Outcome::new(F80::infinity(true), ZE)
        );
    }

    #[test]
    fn mul_overflow_masked_gives_infinity_unmasked_wraps_the_exponent() {
        let big = F80::new(false, 0x7FFE, 1 << 63);
        assert_eq!(
            mul(big, big, NEAREST),
            Outcome::new(F80::INFINITY, OE | PE | C1)
        );
        let env = Env::from_control_word(0x0377);
        assert_eq!(
            mul(big, big, env),
            Outcome::new(F80::new(false, 0x5FFD, 1 << 63), OE)
        );
    }

    #[test]
    fn mul_exact_denormal_result_underflows_only_when_unmasked() {
        let tiny = F80::new(false, 1, 1 << 63);
        let half = f(0.5);
        assert_eq!(
            mul(tiny, half, NEAREST),
            Outcome::new(F80::new(false, 0, 1 << 62), 0)
        );
        let env = Env::from_control_word(0x036F);
        assert_eq!(
            mul(tiny, half, env),
            Outcome::new(F80::new(false, 24576, 1 << 63), UE)
        );
    }

    #[test]
    fn unmasked_denormal_operand_reports_nothing_else() {
        let env = Env::from_control_word(0x037D);
        let outcome = mul(F80::new(false, 0, 3), f(1.0 / 3.0), env);
        assert_eq!(outcome.status, DE);
        assert!(outcome.is_withheld(env));
    }

    #[test]
    fn sqrt_of_a_negative_number_is_invalid() {
        assert_eq!(sqrt(f(-4.0), NEAREST), Outcome::new(F80::INDEFINITE, IE));
        assert_eq!(
            sqrt(F80::zero(true), NEAREST),
            Outcome::new(F80::zero(true), 0)
        );
    }
}
