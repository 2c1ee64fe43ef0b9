//! COMI, UCOMI, CMP, MIN, MAX. No rounding: ordinary operands are compared as the host compares them.

use super::super::Unmasked;
use super::super::lanes::{Lanes, u32x4, u64x2};
use super::super::mxcsr::conclude;
use super::super::soft::{self, DOUBLE, SINGLE};
use super::facts::{double, single};
use crate::fpu::Relation;

/// Whether a predicate makes a quiet NaN invalid: LT, LE and their opposites do.
#[inline]
const fn signals_quiet(predicate: u8) -> bool {
    matches!(predicate & 3, 1 | 2)
}

#[inline]
fn holds(predicate: u8, relation: Relation) -> bool {
    let base = match predicate & 3 {
        0 => relation == Relation::Equal,
        1 => relation == Relation::Less,
        2 => matches!(relation, Relation::Less | Relation::Equal),
        _ => relation == Relation::Unordered,
    };
    base != (predicate & 4 != 0)
}

/// How `a` relates to `b` when both are ordinary; `None` sends the caller to the portable comparison.
macro_rules! relate {
    ($name:ident, $float:ty, $bits:ty, $module:ident, $kind:ident) => {
        #[inline]
        fn $name(a: $bits, b: $bits, quiet_signals: bool, mxcsr: u32) -> (Relation, u32) {
            if !($module::is_ordinary(a) & $module::is_ordinary(b)) {
                return soft::compare($kind, a.into(), b.into(), quiet_signals, mxcsr);
            }
            let (x, y) = (<$float>::from_bits(a), <$float>::from_bits(b));
            let relation = if x < y {
                Relation::Less
            } else if x > y {
                Relation::Greater
            } else {
                Relation::Equal
            };
            (relation, 0)
        }
    };
}

relate!(relate_single, f32, u32, single, SINGLE);
relate!(relate_double, f64, u64, double, DOUBLE);

macro_rules! comparisons {
    ($bits:ty, $relate:ident, $kind:ident, $comi:ident, $ucomi:ident, $cmp:ident, $min:ident, $max:ident) => {
        /// Relation of `a` to `b`; any NaN is invalid. [`Relation::eflags`] gives ZF, PF and CF.
        #[inline]
        pub fn $comi(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<Relation, Unmasked> {
            let (relation, flags) = $relate(a, b, true, *mxcsr);
            conclude(relation, flags, mxcsr)
        }

        /// Relation of `a` to `b`; only a signaling NaN is invalid.
        #[inline]
        pub fn $ucomi(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<Relation, Unmasked> {
            let (relation, flags) = $relate(a, b, false, *mxcsr);
            conclude(relation, flags, mxcsr)
        }

        /// All ones when the predicate holds: EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD for 0 to 7 (higher bits ignored).
        #[inline]
        pub fn $cmp(a: $bits, b: $bits, predicate: u8, mxcsr: &mut u32) -> Result<$bits, Unmasked> {
            let (relation, flags) = $relate(a, b, signals_quiet(predicate), *mxcsr);
            conclude(
                if holds(predicate, relation) { !0 } else { 0 },
                flags,
                mxcsr,
            )
        }

        /// The smaller; `b` when both are zeros or one is a NaN.
        #[inline]
        pub fn $min(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<$bits, Unmasked> {
            let (relation, flags) = $relate(a, b, true, *mxcsr);
            let chosen = if relation == Relation::Less { a } else { b };
            conclude(
                soft::operand($kind, chosen.into(), *mxcsr) as $bits,
                flags,
                mxcsr,
            )
        }

        /// The larger; `b` when both are zeros or one is a NaN.
        #[inline]
        pub fn $max(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<$bits, Unmasked> {
            let (relation, flags) = $relate(a, b, true, *mxcsr);
            let chosen = if relation == Relation::Greater { a } else { b };
            conclude(
                soft::operand($kind, chosen.into(), *mxcsr) as $bits,
                flags,
                mxcsr,
            )
        }
    };
}

comparisons!(
    u32,
    relate_single,
    SINGLE,
    comiss,
    ucomiss,
    cmpss,
    minss,
    maxss
);
comparisons!(
    u64,
    relate_double,
    DOUBLE,
    comisd,
    ucomisd,
    cmpsd,
    minsd,
    maxsd
);

/// Lane by lane through a relation, with the flags of the whole instruction.
macro_rules! packed {
    ($view:ident, $bits:ty, $relate:ident, $kind:ident, $cmp:ident, $min:ident, $max:ident) => {
        /// All ones in the lanes where the predicate holds; the predicates are those of the scalar form.
        #[inline]
        pub fn $cmp(a: u128, b: u128, predicate: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
            let (x, y) = ($view(a), $view(b));
            let mut flags = 0;
            let lanes = std::array::from_fn::<$bits, { 128 / <$bits>::BITS as usize }, _>(|i| {
                let (relation, lane_flags) = $relate(x[i], y[i], signals_quiet(predicate), *mxcsr);
                flags |= lane_flags;
                if holds(predicate, relation) { !0 } else { 0 }
            });
            conclude(lanes.join(), flags, mxcsr)
        }

        /// The smaller in each lane; `b`'s when both are zeros or one is a NaN.
        #[inline]
        pub fn $min(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
            packed!(@choose a, b, mxcsr, $view, $bits, $relate, $kind, Less)
        }

        /// The larger in each lane; `b`'s when both are zeros or one is a NaN.
        #[inline]
        pub fn $max(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
            packed!(@choose a, b, mxcsr, $view, $bits, $relate, $kind, Greater)
        }
    };
    (@choose $a:ident, $b:ident, $mxcsr:ident, $view:ident, $bits:ty, $relate:ident, $kind:ident, $when:ident) => {{
        let (x, y) = ($view($a), $view($b));
        let mut flags = 0;
        let lanes = std::array::from_fn::<$bits, { 128 / <$bits>::BITS as usize }, _>(|i| {
            let (relation, lane_flags) = $relate(x[i], y[i], true, *$mxcsr);
            flags |= lane_flags;
            let chosen = if relation == Relation::$when { x[i] } else { y[i] };
            soft::operand($kind, chosen.into(), *$mxcsr) as $bits
        });
        conclude(lanes.join(), flags, $mxcsr)
    }};
}

packed!(u32x4, u32, relate_single, SINGLE, cmpps, minps, maxps);
packed!(u64x2, u64, relate_double, DOUBLE, cmppd, minpd, maxpd);
