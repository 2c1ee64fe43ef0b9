//! Moves of lanes that exist for one register width only: shuffles, whole-register shifts, sign masks.

use super::integer::interleave;
use super::lanes::{Lanes, u8x16, u16x4, u32x4, u64x2};

/// Two-bit selector `index` of a shuffle byte.
#[inline(always)]
const fn select(order: u8, index: usize) -> usize {
    ((order >> (2 * index)) & 3) as usize
}

#[inline(always)]
fn permute<T: Copy>(a: [T; 4], order: u8) -> [T; 4] {
    std::array::from_fn(|i| a[select(order, i)])
}

/// Shuffles doublewords.
#[inline]
#[must_use]
pub fn pshufd(a: u128, order: u8) -> u128 {
    permute(u32x4(a), order).join()
}

/// Shuffles the four low words; the high ones stay.
#[inline]
#[must_use]
pub fn pshuflw(a: u128, order: u8) -> u128 {
    let [low, high] = u64x2(a);
    [pshufw(low, order), high].join()
}

/// Shuffles the four high words; the low ones stay.
#[inline]
#[must_use]
pub fn pshufhw(a: u128, order: u8) -> u128 {
    let [low, high] = u64x2(a);
    [low, pshufw(high, order)].join()
}

/// Shuffles the words of an MMX register.
#[inline]
#[must_use]
pub fn pshufw(a: u64, order: u8) -> u64 {
    permute(u16x4(a), order).join()
}

/// Two doublewords of `a` below two of `b`.
#[inline]
#[must_use]
pub fn shufps(a: u128, b: u128, order: u8) -> u128 {
    let (a, b) = (u32x4(a), u32x4(b));
    [
        a[select(order, 0)],
        a[select(order, 1)],
        b[select(order, 2)],
        b[select(order, 3)],
    ]
    .join()
}

/// One quadword of `a` (bit 0 of `order`) below one of `b` (bit 1).
#[inline]
#[must_use]
pub fn shufpd(a: u128, b: u128, order: u8) -> u128 {
    [
        u64x2(a)[usize::from(order & 1)],
        u64x2(b)[usize::from(order >> 1 & 1)],
    ]
    .join()
}

/// Low quadwords of `a` and `b` (UNPCKLPD too).
#[inline]
#[must_use]
pub fn punpcklqdq(a: u128, b: u128) -> u128 {
    interleave(u64x2(a), u64x2(b), 0).join()
}

/// High quadwords of `a` and `b` (UNPCKHPD too).
#[inline]
#[must_use]
pub fn punpckhqdq(a: u128, b: u128) -> u128 {
    interleave(u64x2(a), u64x2(b), 1).join()
}

/// Shifts the register left by bytes; a count above 15 clears it.
#[inline]
#[must_use]
pub fn pslldq(a: u128, bytes: u8) -> u128 {
    if bytes > 15 {
        0
    } else {
        a << (8 * u32::from(bytes))
    }
}

/// Shifts the register right by bytes; a count above 15 clears it.
#[inline]
#[must_use]
pub fn psrldq(a: u128, bytes: u8) -> u128 {
    if bytes > 15 {
        0
    } else {
        a >> (8 * u32::from(bytes))
    }
}

/// Sign bits of the four singles, lane 0 in bit 0.
#[inline]
#[must_use]
pub fn movmskps(a: u128) -> u32 {
    let bytes = u8x16(a);
    u32::from(bytes[3] >> 7)
        | u32::from(bytes[7] >> 7) << 1
        | u32::from(bytes[11] >> 7) << 2
        | u32::from(bytes[15] >> 7) << 3
}

/// Sign bits of the two doubles, lane 0 in bit 0.
#[inline]
#[must_use]
pub fn movmskpd(a: u128) -> u32 {
    let [low, high] = u64x2(a);
    (low >> 63) as u32 | ((high >> 63) as u32) << 1
}

/// The low quadword twice (SSE3).
#[inline]
#[must_use]
pub fn movddup(a: u64) -> u128 {
    [a, a].join()
}

/// The even doublewords twice (SSE3).
#[inline]
#[must_use]
pub fn movsldup(a: u128) -> u128 {
    pshufd(a, 0b10_10_00_00)
}

/// The odd doublewords twice (SSE3).
#[inline]
#[must_use]
pub fn movshdup(a: u128) -> u128 {
    pshufd(a, 0b11_11_01_01)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: u128 = 0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100;

    #[test]
    fn pshufd_reverses_with_0x1b() {
        assert_eq!(
            pshufd(COUNTED, 0x1B),
            0x0302_0100_0706_0504_0B0A_0908_0F0E_0D0C
        );
    }

    #[test]
    fn word_shuffles_leave_the_other_half() {
        assert_eq!(
            pshuflw(COUNTED, 0x1B),
            0x0F0E_0D0C_0B0A_0908_0100_0302_0504_0706
        );
        assert_eq!(
            pshufhw(COUNTED, 0x00),
            0x0908_0908_0908_0908_0706_0504_0302_0100
        );
    }

    #[test]
    fn byte_shifts_beyond_the_register_clear_it() {
        assert_eq!(pslldq(COUNTED, 16), 0);
        assert_eq!(psrldq(COUNTED, 1), COUNTED >> 8);
        assert_eq!(psrldq(COUNTED, 255), 0);
    }

    #[test]
    fn sign_masks_start_at_lane_zero() {
        assert_eq!(movmskps(1 << 31 | 1 << 127), 0b1001);
        assert_eq!(movmskpd(1 << 127), 0b10);
    }
}
