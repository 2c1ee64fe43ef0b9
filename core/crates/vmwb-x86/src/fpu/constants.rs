//! FLD1, FLDZ, FLDPI, FLDL2T, FLDL2E, FLDLG2, FLDLN2: the exact constants rounded by rounding control (SDM vol. 1,
//! 8.3.4). None of them signals; precision control has no say.

use super::{F80, Rounding};

/// FLD1: 1.
#[must_use]
pub const fn fld1() -> F80 {
    F80::ONE
}

/// FLDZ: +0.
#[must_use]
pub const fn fldz() -> F80 {
    F80::ZERO
}

/// FLDPI: pi.
#[must_use]
pub const fn fldpi(rounding: Rounding) -> F80 {
    rounded(0x4000, 0xC90F_DAA2_2168_C234, true, rounding)
}

/// FLDL2T: log2 of 10.
#[must_use]
pub const fn fldl2t(rounding: Rounding) -> F80 {
    rounded(0x4000, 0xD49A_784B_CD1B_8AFE, false, rounding)
}

/// FLDL2E: log2 of e.
#[must_use]
pub const fn fldl2e(rounding: Rounding) -> F80 {
    rounded(0x3FFF, 0xB8AA_3B29_5C17_F0BB, true, rounding)
}

/// FLDLG2: log10 of 2.
#[must_use]
pub const fn fldlg2(rounding: Rounding) -> F80 {
    rounded(0x3FFD, 0x9A20_9A84_FBCF_F798, true, rounding)
}

/// FLDLN2: the natural logarithm of 2.
#[must_use]
pub const fn fldln2(rounding: Rounding) -> F80 {
    rounded(0x3FFE, 0xB172_17F7_D1CF_79AB, true, rounding)
}

/// A positive constant from its truncated significand; `above_half` says on which side of a tie the rest lies.
const fn rounded(exponent: u16, truncated: u64, above_half: bool, rounding: Rounding) -> F80 {
    let up = match rounding {
        Rounding::Nearest => above_half,
        Rounding::Up => true,
        Rounding::Down | Rounding::Zero => false,
    };
    F80::new(false, exponent, truncated + up as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fldpi_nearest_is_the_known_pattern() {
        assert_eq!(
            fldpi(Rounding::Nearest),
            F80::new(false, 0x4000, 0xC90F_DAA2_2168_C235)
        );
        assert_eq!(
            fldpi(Rounding::Zero),
            F80::new(false, 0x4000, 0xC90F_DAA2_2168_C234)
        );
    }

    #[test]
    fn fldl2t_rises_only_when_rounding_up() {
        assert_eq!(fldl2t(Rounding::Nearest), fldl2t(Rounding::Down));
        assert_eq!(
            fldl2t(Rounding::Up).significand,
            fldl2t(Rounding::Zero).significand + 1
        );
    }
}
