//! ADD, SUB, MUL, DIV, SQRT in all four shapes, and SSE3's horizontal and alternating sums.

use super::super::lanes::{Lanes, u32x4, u64x2};
use super::super::mxcsr::{DAZ, FLAGS, FTZ, PE, RESET, VALID, conclude};
use super::super::soft::{self, DOUBLE, Lane, SINGLE};
use super::super::{Unmasked, xmm};
use super::facts::{double, double_exact, single, single_exact};

/// Control bits that bear on an operation without denormals: all but FTZ and DAZ.
const CONTROL: u32 = VALID & !(FLAGS | FTZ | DAZ);

/// Whether the control bits are those of reset, denormals apart (fact 1).
#[inline(always)]
pub(super) const fn is_plain(mxcsr: u32) -> bool {
    mxcsr & CONTROL == RESET
}

/// The same with PE set already (fact 3).
#[inline(always)]
const fn is_plain_and_inexact(mxcsr: u32) -> bool {
    mxcsr & (CONTROL | PE) == RESET | PE
}

/// Long way of a two-operand instruction: `host` names the instruction, `soft` the portable lane operation.
macro_rules! long_way {
    ($a:expr, $b:expr, $mxcsr:expr, $bits:ty, $kind:expr, $host:ident, $soft:path) => {{
        #[cfg(target_arch = "x86_64")]
        if crate::simd::mxcsr::shows_on_host(*$mxcsr) {
            let (result, flags) = crate::simd::host::$host(u128::from($a), u128::from($b), *$mxcsr);
            return conclude(result as $bits, flags, $mxcsr);
        }
        let lane = $soft($kind, u64::from($a), u64::from($b), *$mxcsr);
        conclude(lane.bits as $bits, lane.flags, $mxcsr)
    }};
}

/// The same for a packed instruction.
macro_rules! long_way_packed {
    ($a:expr, $b:expr, $mxcsr:expr, $view:ident, $lane:ty, $kind:expr, $host:ident, $soft:path) => {{
        #[cfg(target_arch = "x86_64")]
        if crate::simd::mxcsr::shows_on_host(*$mxcsr) {
            let (result, flags) = crate::simd::host::$host($a, $b, *$mxcsr);
            return conclude(result, flags, $mxcsr);
        }
        let control = *$mxcsr;
        let (lanes, flags) = soft::each(
            $view($a).map(u64::from),
            $view($b).map(u64::from),
            control,
            |_, a, b| $soft($kind, a, b, control),
        );
        conclude(lanes.map(|bits| bits as $lane).join(), flags, $mxcsr)
    }};
}

fn soft_sqrt(kind: soft::Kind, _: u64, b: u64, mxcsr: u32) -> Lane {
    soft::sqrt(kind, b, mxcsr)
}

macro_rules! arithmetic {
    ($($(#[$doc:meta])* $scalar_s:ident $scalar_d:ident $packed_s:ident $packed_d:ident:
       $plain:ident, $soft:path, $clear:ident $quiet:ident, $exact_s:path, $exact_d:path;)+) => {
        $(
            arithmetic!(@scalar $(#[$doc])* $scalar_s, u32, single, SINGLE,
                $plain, $soft, $clear, $quiet, $exact_s);
            arithmetic!(@scalar $(#[$doc])* $scalar_d, u64, double, DOUBLE,
                $plain, $soft, $clear, $quiet, $exact_d);
            arithmetic!(@packed $(#[$doc])* $packed_s, u32x4, u32, single, SINGLE,
                $plain, $soft, $quiet, $exact_s);
            arithmetic!(@packed $(#[$doc])* $packed_d, u64x2, u64, double, DOUBLE,
                $plain, $soft, $quiet, $exact_d);
        )+
    };
    (@scalar $(#[$doc:meta])* $name:ident, $bits:ty, $module:ident, $kind:ident, $plain:ident, $soft:path,
     $clear:ident, $quiet:ident, $exact:path) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<$bits, Unmasked> {
            #[inline(never)]
            fn slow(a: $bits, b: $bits, mxcsr: &mut u32) -> Result<$bits, Unmasked> {
                if is_plain(*mxcsr) {
                    let r = $module::$plain(a, b);
                    if $module::$quiet(a, b, r) && (*mxcsr & PE != 0 || $exact(a, b, r)) {
                        return Ok(r);
                    }
                }
                long_way!(a, b, mxcsr, $bits, $kind, $name, $soft)
            }
            // The common case in a dozen instructions; what else the short way covers is a call away.
            let r = $module::$plain(a, b);
            if is_plain_and_inexact(*mxcsr) && $module::$clear(a, b, r) {
                return Ok(r);
            }
            slow(a, b, mxcsr)
        }
    };
    (@packed $(#[$doc:meta])* $name:ident, $view:ident, $lane:ty, $module:ident, $kind:ident, $plain:ident,
     $soft:path, $quiet:ident, $exact:path) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
            #[inline(never)]
            fn slow(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
                if is_plain(*mxcsr) {
                    let (x, y) = ($view(a), $view(b));
                    let r: [$lane; size_of::<u128>() / size_of::<$lane>()] =
                        std::array::from_fn(|i| $module::$plain(x[i], y[i]));
                    let inexact = *mxcsr & PE != 0;
                    if (0..r.len()).all(|i| {
                        $module::$quiet(x[i], y[i], r[i]) && (inexact || $exact(x[i], y[i], r[i]))
                    }) {
                        return Ok(r.join());
                    }
                }
                long_way_packed!(a, b, mxcsr, $view, $lane, $kind, $name, $soft)
            }
            #[cfg(target_arch = "x86_64")]
            if is_plain_and_inexact(*mxcsr) {
                let (r, clear) = crate::simd::host::plain::$name(a, b);
                if clear {
                    return Ok(r);
                }
            }
            slow(a, b, mxcsr)
        }
    };
}

arithmetic! {
    /// `a + b`.
    addss addsd addps addpd: add, soft::add, is_quiet_sum is_quiet_sum,
        single::is_exact_sum, double::is_exact_sum;
    /// `a - b`.
    subss subsd subps subpd: sub, soft::sub, is_quiet_sum is_quiet_sum,
        single::is_exact_difference, double::is_exact_difference;
    /// `a * b`.
    mulss mulsd mulps mulpd: mul, soft::mul, is_clear_product is_quiet_product,
        single_exact::is_product, double_exact::is_product;
    /// `a / b`.
    divss divsd divps divpd: div, soft::div, is_clear_product is_quiet_quotient,
        single_exact::is_quotient, double_exact::is_quotient;
}

/// Square roots take their operand as the second one of the two-operand form.
mod roots {
    use super::{
        DOUBLE, Lanes, PE, SINGLE, Unmasked, conclude, double, double_exact, is_plain,
        is_plain_and_inexact, single, single_exact, soft, soft_sqrt, u32x4, u64x2,
    };

    arithmetic! {
        /// Square root of `b`; the first operand has no say.
        sqrtss sqrtsd sqrtps sqrtpd: sqrt, soft_sqrt, is_quiet_root is_quiet_root, single_exact::is_root,
            double_exact::is_root;
    }
}

/// Square root of a single.
#[inline]
pub fn sqrtss(a: u32, mxcsr: &mut u32) -> Result<u32, Unmasked> {
    roots::sqrtss(0, a, mxcsr)
}

/// Square root of a double.
#[inline]
pub fn sqrtsd(a: u64, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    roots::sqrtsd(0, a, mxcsr)
}

/// Square roots of four singles.
#[inline]
pub fn sqrtps(a: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    roots::sqrtps(0, a, mxcsr)
}

/// Square roots of two doubles.
#[inline]
pub fn sqrtpd(a: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    roots::sqrtpd(0, a, mxcsr)
}

/// Sums of neighbours: those of `a` low, those of `b` high (SSE3).
#[inline]
pub fn haddps(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    addps(xmm::shufps(a, b, 0x88), xmm::shufps(a, b, 0xDD), mxcsr)
}

/// Differences of neighbours, even minus odd: those of `a` low, those of `b` high (SSE3).
#[inline]
pub fn hsubps(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    subps(xmm::shufps(a, b, 0x88), xmm::shufps(a, b, 0xDD), mxcsr)
}

/// Sum of the neighbours in `a` low, in `b` high (SSE3).
#[inline]
pub fn haddpd(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    addpd(xmm::punpcklqdq(a, b), xmm::punpckhqdq(a, b), mxcsr)
}

/// Difference of the neighbours, low minus high, in `a` low, in `b` high (SSE3).
#[inline]
pub fn hsubpd(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    subpd(xmm::punpcklqdq(a, b), xmm::punpckhqdq(a, b), mxcsr)
}

/// Subtracts even lanes and adds odd ones (SSE3).
pub fn addsubps(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let control = *mxcsr;
    let (lanes, flags) = soft::each(
        u32x4(a).map(u64::from),
        u32x4(b).map(u64::from),
        control,
        |i, x, y| {
            let operation = if i % 2 == 0 { soft::sub } else { soft::add };
            operation(SINGLE, x, y, control)
        },
    );
    conclude(lanes.map(|bits| bits as u32).join(), flags, mxcsr)
}

/// Subtracts the low lane and adds the high one (SSE3).
pub fn addsubpd(a: u128, b: u128, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let control = *mxcsr;
    let (lanes, flags) = soft::each(u64x2(a), u64x2(b), control, |i, x, y| {
        let operation = if i == 0 { soft::sub } else { soft::add };
        operation(DOUBLE, x, y, control)
    });
    conclude(lanes.join(), flags, mxcsr)
}

#[cfg(test)]
mod tests {
    use super::super::super::mxcsr::{FLAGS, UM};
    use super::*;

    const SINGLES: [u32; 14] = [
        0,
        0x8000_0000,
        1,
        0x807F_FFFF,
        0x0080_0000,
        0x0080_0001,
        0x3F80_0000,
        0xBF80_0001,
        0x3EAA_AAAB,
        0x7F7F_FFFF,
        0x7F80_0000,
        0xFF80_0000,
        0x7FC0_0001,
        0x7F80_0001,
    ];
    const CONTROLS: [u32; 8] = [
        RESET,
        RESET | PE,
        RESET | FTZ | PE,
        RESET | DAZ,
        RESET | 1 << 13,
        RESET | 2 << 13 | PE,
        RESET & !UM | PE,
        PE,
    ];

    type Scalar<T> = fn(T, T, &mut u32) -> Result<T, Unmasked>;
    type Soft = fn(soft::Kind, u64, u64, u32) -> Lane;

    /// Holds the public function to the portable arithmetic on every pair of corners; on hosts other than x86-64 this is
    /// the proof of the short way.
    fn check(single: Scalar<u32>, double: Scalar<u64>, soft: Soft) {
        for control in CONTROLS {
            for (a, b) in SINGLES
                .iter()
                .flat_map(|&a| SINGLES.iter().map(move |&b| (a, b)))
            {
                let (mut seen, mut expected) = (control, control);
                let lane = soft(SINGLE, a.into(), b.into(), control);
                let soft_result = conclude(lane.bits as u32, lane.flags, &mut expected);
                assert_eq!(
                    single(a, b, &mut seen),
                    soft_result,
                    "{a:x} {b:x} {control:x}"
                );
                assert_eq!(seen & FLAGS, expected & FLAGS, "{a:x} {b:x} {control:x}");
                // The same shapes as doubles: exponents at the same ends.
                let widen = |x: u32| u64::from(x) << 32 | u64::from(x & 1);
                let (a, b) = (widen(a), widen(b));
                let (mut seen, mut expected) = (control, control);
                let lane = soft(DOUBLE, a, b, control);
                let soft_result = conclude(lane.bits, lane.flags, &mut expected);
                assert_eq!(
                    double(a, b, &mut seen),
                    soft_result,
                    "{a:x} {b:x} {control:x}"
                );
                assert_eq!(seen & FLAGS, expected & FLAGS, "{a:x} {b:x} {control:x}");
            }
        }
    }

    #[test]
    fn both_ways_agree_on_corners() {
        check(addss, addsd, soft::add);
        check(subss, subsd, soft::sub);
        check(mulss, mulsd, soft::mul);
        check(divss, divsd, soft::div);
    }

    #[test]
    fn horizontal_sums_pair_neighbours() {
        let pack = |lanes: [f32; 4]| lanes.map(f32::to_bits).join();
        let mut mxcsr = RESET;
        let sums = haddps(
            pack([1.0, 2.0, 3.0, 4.0]),
            pack([5.0, 6.0, 7.0, 8.0]),
            &mut mxcsr,
        );
        assert_eq!(sums, Ok(pack([3.0, 7.0, 11.0, 15.0])));
        let mixed = addsubps(pack([1.0; 4]), pack([0.5; 4]), &mut mxcsr);
        assert_eq!(mixed, Ok(pack([0.5, 1.5, 0.5, 1.5])));
        assert_eq!(mxcsr, RESET);
    }
}
