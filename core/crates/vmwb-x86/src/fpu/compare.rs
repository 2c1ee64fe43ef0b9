//! FCOM, FUCOM, FCOMI, FUCOMI, FTST.

use super::status::{C0, C2, C3, IE};
use super::value::{Class, denormal_flag};
use super::{F80, Outcome};

/// How `a` relates to `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `a < b`
    Less,
    /// `a == b` (zeros of either sign are equal)
    Equal,
    /// `a > b`
    Greater,
    /// One of them is a NaN or not supported.
    Unordered,
}

impl Relation {
    /// C3, C2, C0 of the status word, as FCOM sets them.
    #[inline]
    #[must_use]
    pub const fn condition_codes(self) -> u16 {
        match self {
            Self::Greater => 0,
            Self::Less => C0,
            Self::Equal => C3,
            Self::Unordered => C3 | C2 | C0,
        }
    }

    /// ZF (bit 6), PF (bit 2) and CF (bit 0), as FCOMI, COMISS and their family set them.
    #[inline]
    #[must_use]
    pub const fn eflags(self) -> u32 {
        match self {
            Self::Greater => 0,
            Self::Less => 0x01,
            Self::Equal => 0x40,
            Self::Unordered => 0x45,
        }
    }
}

/// FCOM, FCOMI and (against +0) FTST: any NaN is an invalid operation.
#[must_use]
pub fn compare(a: F80, b: F80) -> Outcome<Relation> {
    relate(a, b, true)
}

/// FUCOM and FUCOMI: only a signaling NaN or an unsupported pattern is an invalid operation.
#[must_use]
pub fn compare_quiet(a: F80, b: F80) -> Outcome<Relation> {
    relate(a, b, false)
}

fn relate(a: F80, b: F80, quiet_signals: bool) -> Outcome<Relation> {
    let ordinary = |x: F80| x.is_normal() || (x.exponent() == 0 && x.significand == 0);
    if ordinary(a) && ordinary(b) {
        return Outcome::new(order(key(a), key(b)), 0);
    }
    let classes = [a.class(), b.class()];
    if classes.contains(&Class::Unsupported) || classes.contains(&Class::SignalingNan) {
        return Outcome::new(Relation::Unordered, IE);
    }
    if classes.contains(&Class::QuietNan) {
        return Outcome::new(Relation::Unordered, if quiet_signals { IE } else { 0 });
    }
    Outcome::new(order(key(a), key(b)), denormal_flag(&classes))
}

fn order(a: i128, b: i128) -> Relation {
    match a.cmp(&b) {
        std::cmp::Ordering::Less => Relation::Less,
        std::cmp::Ordering::Equal => Relation::Equal,
        std::cmp::Ordering::Greater => Relation::Greater,
    }
}

/// An integer that orders finite numbers and infinities; zeros of either sign give 0.
fn key(x: F80) -> i128 {
    // Exponent 1 for a pseudo-denormal, which equals the normal number with that significand.
    let exponent = if x.exponent() == 0 && x.significand >> 63 == 1 {
        1
    } else {
        x.exponent()
    };
    let magnitude = (i128::from(exponent) << 64) | i128::from(x.significand);
    if x.is_negative() {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::DE;
    use super::*;

    #[test]
    fn compare_zeros_of_both_signs_are_equal() {
        assert_eq!(
            compare(F80::ZERO, F80::zero(true)),
            Outcome::new(Relation::Equal, 0)
        );
    }

    #[test]
    fn compare_quiet_nan_signals_only_when_ordered() {
        assert_eq!(
            compare(F80::INDEFINITE, F80::ONE),
            Outcome::new(Relation::Unordered, IE)
        );
        assert_eq!(
            compare_quiet(F80::INDEFINITE, F80::ONE),
            Outcome::new(Relation::Unordered, 0)
        );
    }

    #[test]
    fn compare_pseudo_denormal_equals_its_normal_twin() {
        let pseudo = F80::new(false, 0, 1 << 63);
        let normal = F80::new(false, 1, 1 << 63);
        assert_eq!(compare(pseudo, normal), Outcome::new(Relation::Equal, DE));
    }
}
