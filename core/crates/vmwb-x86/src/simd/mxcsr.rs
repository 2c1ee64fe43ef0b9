//! Bits of MXCSR (SDM vol. 1, 10.2.3) and how an operation's exceptions reach it.

use std::fmt;

use crate::fpu::Rounding;

/// Invalid operation.
pub const IE: u32 = 1 << 0;
/// Denormal operand.
pub const DE: u32 = 1 << 1;
/// Zero divide.
pub const ZE: u32 = 1 << 2;
/// Overflow.
pub const OE: u32 = 1 << 3;
/// Underflow.
pub const UE: u32 = 1 << 4;
/// Precision (inexact result).
pub const PE: u32 = 1 << 5;
/// The six sticky flags.
pub const FLAGS: u32 = 0x3F;
/// Denormals are zeros.
pub const DAZ: u32 = 1 << 6;
/// The six masks; the flag of each lies seven bits below.
pub const MASKS: u32 = FLAGS << MASK_SHIFT;
/// Mask of the overflow exception.
pub const OM: u32 = OE << MASK_SHIFT;
/// Mask of the underflow exception.
pub const UM: u32 = UE << MASK_SHIFT;
/// Flush to zero.
pub const FTZ: u32 = 1 << 15;
/// Value after reset: all exceptions masked, round to nearest.
pub const RESET: u32 = 0x1F80;
/// Bits that LDMXCSR and FXRSTOR accept; any other raises #GP.
pub const VALID: u32 = 0xFFFF;

const MASK_SHIFT: u32 = 7;
/// Exceptions found before a result is computed.
const BEFORE: u32 = IE | DE | ZE;

/// An operation met an exception that MXCSR does not mask. The flags are set; the destination keeps its value, and the
/// engine raises #XM (#UD when CR4.OSXMMEXCPT is clear).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmasked;

impl fmt::Display for Unmasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SIMD floating-point exception is not masked; the instruction ends in #XM")
    }
}

impl std::error::Error for Unmasked {}

/// Whether the host's instruction, run with everything masked, shows the exceptions that the guest is to see. An unmasked
/// underflow is reported where a masked one is silent, and behind an unmasked overflow or underflow the wrapped result's
/// precision counts.
#[inline]
pub(crate) const fn shows_on_host(mxcsr: u32) -> bool {
    mxcsr & (OM | UM) == OM | UM
}

/// Rounding control.
#[inline]
#[must_use]
pub const fn rounding(mxcsr: u32) -> Rounding {
    Rounding::from_bits(mxcsr >> 13)
}

/// Exceptions among `flags` that `mxcsr` does not mask.
#[inline]
pub(crate) const fn unmasked(flags: u32, mxcsr: u32) -> u32 {
    flags & !(mxcsr >> MASK_SHIFT)
}

/// Flags that remain when an exception found before the computation is not masked: nothing was computed then.
#[inline]
pub(crate) const fn reported(flags: u32, mxcsr: u32) -> u32 {
    if unmasked(flags, mxcsr) & BEFORE != 0 {
        flags & BEFORE
    } else {
        flags
    }
}

/// Sets the flags of one whole instruction and hands its result on, or says that it must not be written.
#[inline]
pub(crate) fn conclude<T>(value: T, flags: u32, mxcsr: &mut u32) -> Result<T, Unmasked> {
    let flags = reported(flags, *mxcsr);
    let raised = unmasked(flags, *mxcsr);
    *mxcsr |= flags;
    if raised == 0 {
        Ok(value)
    } else {
        Err(Unmasked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conclude_with_an_unmasked_invalid_reports_no_later_flag() {
        let mut mxcsr = RESET & !(IE << MASK_SHIFT);
        assert_eq!(conclude((), IE | PE, &mut mxcsr), Err(Unmasked));
        assert_eq!(mxcsr & FLAGS, IE);
    }

    #[test]
    fn conclude_with_everything_masked_sets_flags() {
        let mut mxcsr = RESET;
        assert_eq!(conclude(7, PE | UE, &mut mxcsr), Ok(7));
        assert_eq!(mxcsr, RESET | PE | UE);
    }
}
