//! The same arithmetic on the SSE unit of an x86-64 host, with the guest's rounding, FTZ and DAZ.
//!
//! Each function is one `asm!` block: it saves the host's MXCSR, loads the guest's with flags clear and every exception
//! masked, does the operation, reads the flags and puts the host's MXCSR back. Compiled code never runs under a foreign
//! MXCSR. An unmasked underflow cannot be seen this way (a masked one is silent when the tiny result is exact), so the
//! caller sends guests with UM clear to `soft`.

use std::arch::asm;
use std::arch::x86_64::__m128i;

use super::mxcsr::{FLAGS, MASKS, VALID};

macro_rules! operations {
    ($($name:ident: $instruction:literal;)+) => {
        $(
            #[inline]
            pub(crate) fn $name(a: u128, b: u128, mxcsr: u32) -> (u128, u32) {
                // SAFETY: same size, no invalid patterns.
                let (mut x, y) = unsafe { (std::mem::transmute::<u128, __m128i>(a), std::mem::transmute::<u128, __m128i>(b)) };
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
                // SAFETY: same size, no invalid patterns.
                (unsafe { std::mem::transmute::<__m128i, u128>(x) }, guest & FLAGS)
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
