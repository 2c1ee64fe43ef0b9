//! The same arithmetic on the SSE unit of an x86-64 host, with the guest's rounding, FTZ and DAZ.
//!
//! Each function is one `asm!` block: it saves the host's MXCSR, loads the guest's with flags clear and every exception
//! masked, does the operation, reads the flags and puts the host's MXCSR back. Compiled code never runs under a foreign
//! MXCSR. What an unmasked underflow or overflow reports cannot be seen this way, so the caller sends guests with UM or OM
//! clear to `soft`.

use super::integer_host::{from_host, to_host};
use super::mxcsr::{FLAGS, MASKS, VALID};
use std::arch::asm;

macro_rules! operations {
    ($($name:ident: $instruction:literal;)+) => {
        $(
            #[inline]
            pub(crate) fn $name(a: u128, b: u128, mxcsr: u32) -> (u128, u32) {
                let (mut x, y) = (to_host(a), to_host(b));
                let mut guest = (mxcsr & VALID & !FLAGS) | MASKS;
                let mut host = 0u32;
                // SAFETY: SSE2 is part of x86-64. The block reads and writes the two words it is given pointers to, and
                // leaves MXCSR as it found it; no reserved bit is loaded, and with every exception masked nothing
                // can trap.
                unsafe {
                    asm!(
                        "stmxcsr dword ptr [{host}]",
                        "ldmxcsr dword ptr [{guest}]",
                        concat!($instruction, " {x}, {y}"),
                        "stmxcsr dword ptr [{guest}]",
                        "ldmxcsr dword ptr [{host}]",
                        host = in(reg) &raw mut host,
                        guest = in(reg) &raw mut guest,
                        x = inout(xmm_reg) x,
                        y = in(xmm_reg) y,
                        options(nostack, preserves_flags),
                    );
                }
                (from_host(x), guest & FLAGS)
            }
        )+
    };
}

operations! {
    addss: "addss";
    subss: "subss";
    mulss: "mulss";
    divss: "divss";
    sqrtss: "sqrtss";
    addsd: "addsd";
    subsd: "subsd";
    mulsd: "mulsd";
    divsd: "divsd";
    sqrtsd: "sqrtsd";
    addps: "addps";
    subps: "subps";
    mulps: "mulps";
    divps: "divps";
    sqrtps: "sqrtps";
    addpd: "addpd";
    subpd: "subpd";
    mulpd: "mulpd";
    divpd: "divpd";
    sqrtpd: "sqrtpd";
}

/// Packed arithmetic in the state compiled code runs in, and whether no lane can have set a flag other than PE: fact 2 of
/// `float`, four or two lanes at a time. Comparisons are false for NaNs; the host's sticky flags they set bother nobody.
pub(crate) mod plain {
    use std::arch::x86_64::*;

    use crate::simd::integer_host::{from_host, to_host};

    macro_rules! packed {
        ($float:ty, $register:ty, $all:literal, $from_bits:ident, $to_bits:ident, $splat:ident, $and:ident, $or:ident,
         $andnot:ident, $less:ident, $not_less:ident, $equal:ident, $unequal:ident, $mask:ident;
         $add:ident $add_op:ident, $sub:ident $sub_op:ident, $mul:ident $mul_op:ident, $div:ident $div_op:ident,
         $sqrt:ident $sqrt_op:ident;
         $magnitude:ident, $denormal:ident, $finite:ident, $quiet:ident, $far:ident, $zero:ident) => {
            // SAFETY of every block below: SSE2 is part of x86-64.
            #[inline(always)]
            fn $magnitude(x: $register) -> $register {
                // SAFETY: above.
                unsafe { $andnot($splat(-0.0), x) }
            }

            #[inline(always)]
            fn $denormal(x: $register) -> $register {
                // SAFETY: above.
                unsafe {
                    let small = $less($magnitude(x), $splat(<$float>::MIN_POSITIVE));
                    $and(small, $unequal(x, $splat(0.0)))
                }
            }

            #[inline(always)]
            fn $finite(x: $register) -> $register {
                // SAFETY: above.
                unsafe { $less($magnitude(x), $splat(<$float>::INFINITY)) }
            }

            /// Sums: every lane finite, none denormal.
            #[inline(always)]
            fn $quiet(x: $register, y: $register, r: $register) -> bool {
                // SAFETY: above.
                unsafe {
                    let denormal = $or($or($denormal(x), $denormal(y)), $denormal(r));
                    $mask($andnot(denormal, $finite(r))) == $all
                }
            }

            /// Finite and at least twice the smallest normal number.
            #[inline(always)]
            fn $far(x: $register) -> $register {
                // SAFETY: above.
                unsafe {
                    $and(
                        $finite(x),
                        $not_less($magnitude(x), $splat(2.0 * <$float>::MIN_POSITIVE)),
                    )
                }
            }

            #[inline(always)]
            fn $zero(x: $register) -> $register {
                // SAFETY: above.
                unsafe { $equal(x, $splat(0.0)) }
            }

            #[inline(always)]
            pub(crate) fn $add(a: u128, b: u128) -> (u128, bool) {
                // SAFETY: above.
                unsafe {
                    let (x, y) = ($from_bits(to_host(a)), $from_bits(to_host(b)));
                    let r = $add_op(x, y);
                    (from_host($to_bits(r)), $quiet(x, y, r))
                }
            }

            #[inline(always)]
            pub(crate) fn $sub(a: u128, b: u128) -> (u128, bool) {
                // SAFETY: above.
                unsafe {
                    let (x, y) = ($from_bits(to_host(a)), $from_bits(to_host(b)));
                    let r = $sub_op(x, y);
                    (from_host($to_bits(r)), $quiet(x, y, r))
                }
            }

            #[inline(always)]
            pub(crate) fn $mul(a: u128, b: u128) -> (u128, bool) {
                // SAFETY: above.
                unsafe {
                    let (x, y) = ($from_bits(to_host(a)), $from_bits(to_host(b)));
                    let r = $mul_op(x, y);
                    let explained = $and($zero(r), $or($zero(x), $zero(y)));
                    let quiet = $andnot($or($denormal(x), $denormal(y)), $or($far(r), explained));
                    (from_host($to_bits(r)), $mask(quiet) == $all)
                }
            }

            #[inline(always)]
            pub(crate) fn $div(a: u128, b: u128) -> (u128, bool) {
                // SAFETY: above.
                unsafe {
                    let (x, y) = ($from_bits(to_host(a)), $from_bits(to_host(b)));
                    let r = $div_op(x, y);
                    let explained = $and($zero(r), $zero(x));
                    let quiet = $andnot($or($denormal(x), $denormal(y)), $or($far(r), explained));
                    (from_host($to_bits(r)), $mask(quiet) == $all)
                }
            }

            #[inline(always)]
            pub(crate) fn $sqrt(_: u128, b: u128) -> (u128, bool) {
                // SAFETY: above.
                unsafe {
                    let y = $from_bits(to_host(b));
                    let r = $sqrt_op(y);
                    let quiet = $andnot($denormal(y), $finite(r));
                    (from_host($to_bits(r)), $mask(quiet) == $all)
                }
            }
        };
    }

    packed!(f32, __m128, 0xF, _mm_castsi128_ps, _mm_castps_si128, _mm_set1_ps, _mm_and_ps, _mm_or_ps, _mm_andnot_ps,
        _mm_cmplt_ps, _mm_cmpge_ps, _mm_cmpeq_ps, _mm_cmpneq_ps, _mm_movemask_ps;
        addps _mm_add_ps, subps _mm_sub_ps, mulps _mm_mul_ps, divps _mm_div_ps, sqrtps _mm_sqrt_ps;
        magnitude_ps, denormal_ps, finite_ps, quiet_ps, far_ps, zero_ps);
    packed!(f64, __m128d, 0x3, _mm_castsi128_pd, _mm_castpd_si128, _mm_set1_pd, _mm_and_pd, _mm_or_pd, _mm_andnot_pd,
        _mm_cmplt_pd, _mm_cmpge_pd, _mm_cmpeq_pd, _mm_cmpneq_pd, _mm_movemask_pd;
        addpd _mm_add_pd, subpd _mm_sub_pd, mulpd _mm_mul_pd, divpd _mm_div_pd, sqrtpd _mm_sqrt_pd;
        magnitude_pd, denormal_pd, finite_pd, quiet_pd, far_pd, zero_pd);
}
