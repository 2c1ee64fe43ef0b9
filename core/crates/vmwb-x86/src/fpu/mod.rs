//! 80-bit extended precision floating point (x87): pure functions on values.
//!
//! What it is: every arithmetic result an x87 FPU can give, bit-exact (Intel SDM vol. 1, chapters 4 and 8), as functions
//! of operands and an [`Env`]. What it is not: it holds no register stack, no tag word and no status word, and it raises
//! nothing. The engine owns those; it hands values in and gets an [`Outcome`] back: the result and the bits to merge into
//! the status word.
//!
//! How the files divide the work: `exact` computes on unbounded significands and rounds once (the SSE soft float shares
//! it), `value` holds [`F80`] and its classes, `arith` the four operations and the root, `compare`, `convert` and `bcd`
//! what their names say, `integral` the instructions that work on exponents and quotients, `constants` FLD1 and its
//! family, `wide`, `trig` and `explog` the transcendental functions.

mod arith;
mod bcd;
mod compare;
mod constants;
mod convert;
pub(crate) mod exact;
mod explog;
mod integral;
mod trig;
mod value;
mod wide;

#[cfg(all(test, target_arch = "x86_64"))]
mod host_tests;
#[cfg(test)]
mod transcendental_tests;
#[cfg(test)]
mod transcendental_vectors;

pub use arith::{add, div, mul, sqrt, sub};
pub use bcd::{from_bcd, to_bcd};
pub use compare::{Relation, compare, compare_quiet};
pub use constants::{fld1, fldl2e, fldl2t, fldlg2, fldln2, fldpi, fldz};
pub(crate) use convert::pack_ieee;
pub use convert::{
    from_f32, from_f64, from_i16, from_i32, from_i64, to_f32, to_f64, to_i16, to_i16_truncating,
    to_i32, to_i32_truncating, to_i64, to_i64_truncating,
};
pub use explog::{f2xm1, fyl2x, fyl2xp1};
pub use integral::{extract, partial_remainder, partial_remainder_ieee, round_to_integer, scale};
pub use trig::{cosine, partial_arctangent, partial_tangent, sine, sine_cosine};
pub use value::F80;

/// Bits of the status word (SDM vol. 1, figure 8-4).
pub mod status {
    /// Invalid operation.
    pub const IE: u16 = 1 << 0;
    /// Denormal operand.
    pub const DE: u16 = 1 << 1;
    /// Zero divide.
    pub const ZE: u16 = 1 << 2;
    /// Overflow.
    pub const OE: u16 = 1 << 3;
    /// Underflow.
    pub const UE: u16 = 1 << 4;
    /// Precision (inexact result).
    pub const PE: u16 = 1 << 5;
    /// All six exceptions.
    pub const EXCEPTIONS: u16 = 0x3F;
    /// Condition code 0.
    pub const C0: u16 = 1 << 8;
    /// Condition code 1: the significand was rounded away from zero, when PE is set.
    pub const C1: u16 = 1 << 9;
    /// Condition code 2.
    pub const C2: u16 = 1 << 10;
    /// Condition code 3.
    pub const C3: u16 = 1 << 14;
}

/// Rounding control, in the encoding of the control word and of MXCSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
    /// Toward zero.
    Zero,
}

impl Rounding {
    /// Decodes a two-bit RC field; higher bits are ignored.
    #[inline]
    #[must_use]
    pub const fn from_bits(rc: u32) -> Self {
        match rc & 3 {
            0 => Self::Nearest,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::Zero,
        }
    }
}

/// Precision control: how many significand bits add, subtract, multiply, divide and square root keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits.
    Single,
    /// 53 bits.
    Double,
    /// 64 bits.
    Extended,
}

impl Precision {
    /// Number of significand bits, the integer bit included.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Single => 24,
            Self::Double => 53,
            Self::Extended => 64,
        }
    }
}

/// What of the control word bears on a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Env {
    /// Rounding control.
    pub rounding: Rounding,
    /// Precision control.
    pub precision: Precision,
    /// Exceptions that are *not* masked, as bits of [`status`].
    pub unmasked: u16,
}

impl Env {
    /// Decodes a control word (SDM vol. 1, figure 8-6). The reserved precision 01B acts as 64 bits.
    #[inline]
    #[must_use]
    pub const fn from_control_word(cw: u16) -> Self {
        let precision = match (cw >> 8) & 3 {
            0 => Precision::Single,
            2 => Precision::Double,
            _ => Precision::Extended,
        };
        Self {
            rounding: Rounding::from_bits((cw >> 10) as u32),
            precision,
            unmasked: !cw & status::EXCEPTIONS,
        }
    }

    /// The same environment with 64-bit precision, for the instructions that ignore precision control.
    #[inline]
    #[must_use]
    pub const fn extended(self) -> Self {
        Self {
            precision: Precision::Extended,
            ..self
        }
    }
}

/// A result and what happened on the way.
///
/// `status` holds exception bits to OR into the status word, and condition codes; the engine clears C1 (and whichever
/// codes the instruction defines) before it merges them. Masked responses are computed. When overflow or underflow is
/// unmasked and the destination is a register, `value` is the result with its exponent wrapped by 24,576 (SDM vol. 1,
/// 8.5.4 and 8.5.5); for a memory destination the engine stores nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The masked response, or the wrapped result.
    pub value: T,
    /// Bits of [`status`].
    pub status: u16,
}

impl<T> Outcome<T> {
    #[inline]
    pub(crate) const fn new(value: T, status: u16) -> Self {
        Self { value, status }
    }

    /// Whether the instruction leaves a register destination (and the stack pointer) alone because an unmasked invalid
    /// operation, zero divide or denormal operand was found before the computation (SDM vol. 1, 8.7).
    #[inline]
    #[must_use]
    pub const fn is_withheld(&self, env: Env) -> bool {
        self.status & env.unmasked & (status::IE | status::ZE | status::DE) != 0
    }

    /// The same for a destination in memory, which an unmasked overflow or underflow spares too.
    #[inline]
    #[must_use]
    pub const fn is_store_withheld(&self, env: Env) -> bool {
        self.status & env.unmasked & (status::EXCEPTIONS & !status::PE) != 0
    }
}
