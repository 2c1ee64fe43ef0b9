//! SSE and SSE2 floating-point instructions, and SSE3's horizontal ones: bits in, bits out, flags into MXCSR.
//!
//! Scalars travel as `u32` (single) and `u64` (double), packed operands as `u128`. Each function sets the sticky flags of
//! its instruction in `mxcsr`. `Err(Unmasked)` means: raise #XM and write nothing.
//!
//! # The short way, and why nobody can tell
//!
//! Loading MXCSR costs more than the addition itself, so the arithmetic first tries without. It needs three facts.
//! 1. The guest's control bits are those of reset: nearest, everything masked. That is also the state Rust code runs in,
//!    so the plain operation gives the same bits, as long as no NaN takes part. FTZ and DAZ may be set: they change
//!    nothing where nothing is denormal.
//! 2. Neither an operand nor the result is denormal, and the result is finite (and for `* /` at least twice the smallest
//!    normal number, or a zero that a zero operand explains). Then IE, DE, ZE and OE are impossible: a NaN or infinite
//!    operand cannot give a finite sum, product or quotient except x / infinity, which is a zero without a zero operand
//!    and goes the long way. UE is impossible for sums (a tiny sum is exact, hence denormal) and for `* /` by the bound on
//!    the result; the factor of two keeps out what is tiny before rounding and normal after.
//! 3. PE is set already, or the result is proved exact: sums by the error term of Knuth's two-sum, single products,
//!    quotients and roots by multiplying back in double precision, double ones by counting significand bits.
//!
//! Everything else goes the long way: on an x86-64 host the real instruction under the guest's MXCSR (`host`), elsewhere,
//! and when underflow is unmasked, the portable arithmetic (`soft`).

mod arith;
mod compare;
mod convert;
mod facts;
mod round;

pub use arith::{
    addpd, addps, addsd, addss, addsubpd, addsubps, divpd, divps, divsd, divss, haddpd, haddps,
    hsubpd, hsubps, mulpd, mulps, mulsd, mulss, sqrtpd, sqrtps, sqrtsd, sqrtss, subpd, subps,
    subsd, subss,
};
pub use compare::{
    cmppd, cmpps, cmpsd, cmpss, comisd, comiss, maxpd, maxps, maxsd, maxss, minpd, minps, minsd,
    minss, ucomisd, ucomiss,
};
pub use convert::{
    cvtdq2pd, cvtdq2ps, cvtpd2dq, cvtpd2ps, cvtpi2ps, cvtps2dq, cvtps2pd, cvtps2pi, cvtsd2si32,
    cvtsd2si64, cvtsd2ss, cvtsi2sd, cvtsi2ss, cvtss2sd, cvtss2si32, cvtss2si64, cvttpd2dq,
    cvttps2dq, cvttps2pi, cvttsd2si32, cvttsd2si64, cvttss2si32, cvttss2si64,
};
pub use round::{dppd, dpps, roundpd, roundps, roundsd, roundss};
