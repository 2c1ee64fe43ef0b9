//! Integer operations, lane by lane: what MMX does on 64 bits and SSE2 on 128.
//!
//! One text for both widths, which differ in the number of lanes only: the definition, and the whole truth on most hosts.
//! [`xmm`] and [`mmx`] put the x86-64 host's own instructions in its place (`integer_host`). What exists on one width
//! alone (the shuffles, whole-register shifts) is in `shuffle` and comes out of the same two modules.

use super::lanes::{Lanes, zip};

/// All ones when `condition` holds.
macro_rules! mask {
    ($lane:ty, $condition:expr) => {
        if $condition { !(0 as $lane) } else { 0 }
    };
}

macro_rules! binary {
    ($register:ty; $($(#[$doc:meta])* $name:ident: $view:ident, |$a:ident, $b:ident| $body:expr;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: $register, b: $register) -> $register {
                zip($view(a), $view(b), |$a, $b| $body).join()
            }
        )+
    };
}

/// Shifts by a count that clears the lanes when it reaches their width.
macro_rules! shifts {
    ($register:ty; $($(#[$doc:meta])* $name:ident: $view:ident, $bits:literal, |$a:ident, $n:ident| $body:expr;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: $register, count: u64) -> $register {
                if count >= $bits {
                    return 0;
                }
                let $n = count as u32;
                $view(a).map(|$a| $body).join()
            }
        )+
    };
}

/// Interleaves lanes of `a` and `b`, starting at lane `from` of each.
#[inline(always)]
pub(crate) fn interleave<T: Copy, const N: usize>(a: [T; N], b: [T; N], from: usize) -> [T; N] {
    std::array::from_fn(|i| {
        if i % 2 == 0 {
            a[from + i / 2]
        } else {
            b[from + i / 2]
        }
    })
}

/// Lanes of `a`, then lanes of `b`, each through `f`.
#[inline(always)]
fn pack<T: Copy, U, const N: usize, const M: usize>(
    a: [T; N],
    b: [T; N],
    f: impl Fn(T) -> U,
) -> [U; M] {
    std::array::from_fn(|i| f(if i < N { a[i] } else { b[i - N] }))
}

/// High half of a product of words.
#[inline(always)]
fn high_signed(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

#[inline(always)]
fn high_unsigned(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

macro_rules! integer_operations {
    ($R:ty, $bytes:literal, $words:literal, $dwords:literal, $qwords:literal,
     $u8s:ident $i8s:ident $u16s:ident $i16s:ident $u32s:ident $i32s:ident $u64s:ident) => {
        binary! { $R;
            /// Adds bytes, wrapping.
            paddb: $u8s, |x, y| x.wrapping_add(y);
            /// Adds words, wrapping.
            paddw: $u16s, |x, y| x.wrapping_add(y);
            /// Adds doublewords, wrapping.
            paddd: $u32s, |x, y| x.wrapping_add(y);
            /// Adds quadwords, wrapping.
            paddq: $u64s, |x, y| x.wrapping_add(y);
            /// Adds signed bytes, saturating.
            paddsb: $i8s, |x, y| x.saturating_add(y);
            /// Adds signed words, saturating.
            paddsw: $i16s, |x, y| x.saturating_add(y);
            /// Adds unsigned bytes, saturating.
            paddusb: $u8s, |x, y| x.saturating_add(y);
            /// Adds unsigned words, saturating.
            paddusw: $u16s, |x, y| x.saturating_add(y);
            /// Subtracts bytes, wrapping.
            psubb: $u8s, |x, y| x.wrapping_sub(y);
            /// Subtracts words, wrapping.
            psubw: $u16s, |x, y| x.wrapping_sub(y);
            /// Subtracts doublewords, wrapping.
            psubd: $u32s, |x, y| x.wrapping_sub(y);
            /// Subtracts quadwords, wrapping.
            psubq: $u64s, |x, y| x.wrapping_sub(y);
            /// Subtracts signed bytes, saturating.
            psubsb: $i8s, |x, y| x.saturating_sub(y);
            /// Subtracts signed words, saturating.
            psubsw: $i16s, |x, y| x.saturating_sub(y);
            /// Subtracts unsigned bytes, saturating at 0.
            psubusb: $u8s, |x, y| x.saturating_sub(y);
            /// Subtracts unsigned words, saturating at 0.
            psubusw: $u16s, |x, y| x.saturating_sub(y);
            /// Multiplies words, low half.
            pmullw: $u16s, |x, y| x.wrapping_mul(y);
            /// Multiplies signed words, high half.
            pmulhw: $i16s, |x, y| super::high_signed(x, y);
            /// Multiplies unsigned words, high half.
            pmulhuw: $u16s, |x, y| super::high_unsigned(x, y);
            /// Multiplies the low doublewords of each quadword, unsigned, to a quadword.
            pmuludq: $u64s, |x, y| (x & 0xFFFF_FFFF) * (y & 0xFFFF_FFFF);
            /// Averages unsigned bytes, rounding up.
            pavgb: $u8s, |x, y| ((u16::from(x) + u16::from(y) + 1) >> 1) as u8;
            /// Averages unsigned words, rounding up.
            pavgw: $u16s, |x, y| ((u32::from(x) + u32::from(y) + 1) >> 1) as u16;
            /// Smaller of unsigned bytes.
            pminub: $u8s, |x, y| x.min(y);
            /// Larger of unsigned bytes.
            pmaxub: $u8s, |x, y| x.max(y);
            /// Smaller of signed words.
            pminsw: $i16s, |x, y| x.min(y);
            /// Larger of signed words.
            pmaxsw: $i16s, |x, y| x.max(y);
            /// All ones where bytes are equal.
            pcmpeqb: $u8s, |x, y| mask!(u8, x == y);
            /// All ones where words are equal.
            pcmpeqw: $u16s, |x, y| mask!(u16, x == y);
            /// All ones where doublewords are equal.
            pcmpeqd: $u32s, |x, y| mask!(u32, x == y);
            /// All ones where the signed byte of `a` is greater.
            pcmpgtb: $i8s, |x, y| mask!(i8, x > y);
            /// All ones where the signed word of `a` is greater.
            pcmpgtw: $i16s, |x, y| mask!(i16, x > y);
            /// All ones where the signed doubleword of `a` is greater.
            pcmpgtd: $i32s, |x, y| mask!(i32, x > y);
        }

        shifts! { $R;
            /// Shifts words left; a count above 15 clears them. The count is the low quadword of the operand.
            psllw: $u16s, 16, |x, n| x << n;
            /// Shifts doublewords left; a count above 31 clears them.
            pslld: $u32s, 32, |x, n| x << n;
            /// Shifts quadwords left; a count above 63 clears them.
            psllq: $u64s, 64, |x, n| x << n;
            /// Shifts words right with zeros; a count above 15 clears them.
            psrlw: $u16s, 16, |x, n| x >> n;
            /// Shifts doublewords right with zeros; a count above 31 clears them.
            psrld: $u32s, 32, |x, n| x >> n;
            /// Shifts quadwords right with zeros; a count above 63 clears them.
            psrlq: $u64s, 64, |x, n| x >> n;
        }

        /// Shifts words right with the sign; a count above 15 fills them with it.
        #[inline]
        #[must_use]
        pub fn psraw(a: $R, count: u64) -> $R {
            let n = count.min(15) as u32;
            $i16s(a).map(|x| x >> n).join()
        }

        /// Shifts doublewords right with the sign; a count above 31 fills them with it.
        #[inline]
        #[must_use]
        pub fn psrad(a: $R, count: u64) -> $R {
            let n = count.min(31) as u32;
            $i32s(a).map(|x| x >> n).join()
        }

        /// Bitwise AND.
        #[inline]
        #[must_use]
        pub fn pand(a: $R, b: $R) -> $R {
            a & b
        }

        /// Bitwise AND of the complement of `a` with `b`.
        #[inline]
        #[must_use]
        pub fn pandn(a: $R, b: $R) -> $R {
            !a & b
        }

        /// Bitwise OR.
        #[inline]
        #[must_use]
        pub fn por(a: $R, b: $R) -> $R {
            a | b
        }

        /// Bitwise exclusive OR.
        #[inline]
        #[must_use]
        pub fn pxor(a: $R, b: $R) -> $R {
            a ^ b
        }

        /// Multiplies signed words and adds neighbouring products to doublewords (four products of -32768 wrap).
        #[inline]
        #[must_use]
        pub fn pmaddwd(a: $R, b: $R) -> $R {
            let (a, b) = ($i16s(a), $i16s(b));
            let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
            let sums: [i32; $dwords] =
                std::array::from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1)));
            sums.join()
        }

        /// Sums the absolute differences of the unsigned bytes of each quadword into that quadword.
        #[inline]
        #[must_use]
        pub fn psadbw(a: $R, b: $R) -> $R {
            let difference = zip($u8s(a), $u8s(b), u8::abs_diff);
            let sums: [u64; $qwords] = std::array::from_fn(|q| {
                difference[8 * q..8 * q + 8]
                    .iter()
                    .map(|&d| u64::from(d))
                    .sum()
            });
            sums.join()
        }

        /// Packs signed words to signed bytes, saturating: `a` low, `b` high.
        #[inline]
        #[must_use]
        pub fn packsswb(a: $R, b: $R) -> $R {
            let lanes: [i8; $bytes] = pack($i16s(a), $i16s(b), |x| x.clamp(-128, 127) as i8);
            lanes.join()
        }

        /// Packs signed doublewords to signed words, saturating: `a` low, `b` high.
        #[inline]
        #[must_use]
        pub fn packssdw(a: $R, b: $R) -> $R {
            let lanes: [i16; $words] = pack($i32s(a), $i32s(b), |x| x.clamp(-32768, 32767) as i16);
            lanes.join()
        }

        /// Packs signed words to unsigned bytes, saturating: `a` low, `b` high.
        #[inline]
        #[must_use]
        pub fn packuswb(a: $R, b: $R) -> $R {
            let lanes: [u8; $bytes] = pack($i16s(a), $i16s(b), |x| x.clamp(0, 255) as u8);
            lanes.join()
        }

        /// Interleaves the bytes of the low halves.
        #[inline]
        #[must_use]
        pub fn punpcklbw(a: $R, b: $R) -> $R {
            interleave($u8s(a), $u8s(b), 0).join()
        }

        /// Interleaves the bytes of the high halves.
        #[inline]
        #[must_use]
        pub fn punpckhbw(a: $R, b: $R) -> $R {
            interleave($u8s(a), $u8s(b), $bytes / 2).join()
        }

        /// Interleaves the words of the low halves.
        #[inline]
        #[must_use]
        pub fn punpcklwd(a: $R, b: $R) -> $R {
            interleave($u16s(a), $u16s(b), 0).join()
        }

        /// Interleaves the words of the high halves.
        #[inline]
        #[must_use]
        pub fn punpckhwd(a: $R, b: $R) -> $R {
            interleave($u16s(a), $u16s(b), $words / 2).join()
        }

        /// Interleaves the doublewords of the low halves (UNPCKLPS too).
        #[inline]
        #[must_use]
        pub fn punpckldq(a: $R, b: $R) -> $R {
            interleave($u32s(a), $u32s(b), 0).join()
        }

        /// Interleaves the doublewords of the high halves (UNPCKHPS too).
        #[inline]
        #[must_use]
        pub fn punpckhdq(a: $R, b: $R) -> $R {
            interleave($u32s(a), $u32s(b), $dwords / 2).join()
        }

        /// Sign bits of the bytes, byte 0 in bit 0. It also selects the bytes MASKMOVQ and MASKMOVDQU store.
        #[inline]
        #[must_use]
        pub fn pmovmskb(a: $R) -> u32 {
            $u8s(a)
                .iter()
                .rev()
                .fold(0, |bits, byte| (bits << 1) | u32::from(byte >> 7))
        }

        /// One word, zero-extended. The index wraps at the number of words.
        #[inline]
        #[must_use]
        pub fn pextrw(a: $R, index: u8) -> u32 {
            u32::from($u16s(a)[usize::from(index) % $words])
        }

        /// `a` with one word replaced. The index wraps at the number of words.
        #[inline]
        #[must_use]
        pub fn pinsrw(a: $R, word: u16, index: u8) -> $R {
            let mut lanes = $u16s(a);
            lanes[usize::from(index) % $words] = word;
            lanes.join()
        }
    };
}

/// The definition for 128 bits, and all there is on other hosts than x86-64.
#[cfg_attr(
    target_arch = "x86_64",
    allow(dead_code, reason = "the tests hold the host's instructions to it")
)]
pub(crate) mod portable {
    use super::super::lanes::{i8x16, i16x8, i32x4, u8x16, u16x8, u32x4, u64x2};
    use super::{Lanes, interleave, pack, zip};

    integer_operations!(u128, 16, 8, 4, 2, u8x16 i8x16 u16x8 i16x8 u32x4 i32x4 u64x2);
}

/// The definition for 64 bits.
#[cfg_attr(
    target_arch = "x86_64",
    allow(dead_code, reason = "the tests hold the host's instructions to it")
)]
pub(crate) mod portable_mmx {
    use super::super::lanes::{i8x8, i16x4, i32x2, u8x8, u16x4, u32x2, u64x1};
    use super::{Lanes, interleave, pack, zip};

    integer_operations!(u64, 8, 4, 2, 1, u8x8 i8x8 u16x4 i16x4 u32x2 i32x2 u64x1);
}

/// SSE2 integer operations on 128-bit registers.
pub mod xmm {
    #[cfg(target_arch = "x86_64")]
    pub use super::super::integer_host::{
        packssdw, packsswb, packuswb, paddb, paddd, paddq, paddsb, paddsw, paddusb, paddusw, paddw,
        pavgb, pavgw, pcmpeqb, pcmpeqd, pcmpeqw, pcmpgtb, pcmpgtd, pcmpgtw, pmaddwd, pmaxsw,
        pmaxub, pminsw, pminub, pmovmskb, pmulhuw, pmulhw, pmullw, pmuludq, psadbw, pslld, psllq,
        psllw, psrad, psraw, psrld, psrlq, psrlw, psubb, psubd, psubq, psubsb, psubsw, psubusb,
        psubusw, psubw, punpckhbw, punpckhdq, punpckhwd, punpcklbw, punpckldq, punpcklwd,
    };
    pub use super::super::shuffle::{
        movddup, movmskpd, movmskps, movshdup, movsldup, pshufd, pshufhw, pshuflw, pslldq, psrldq,
        punpckhqdq, punpcklqdq, shufpd, shufps,
    };
    #[cfg(not(target_arch = "x86_64"))]
    pub use super::portable::*;
    #[cfg(target_arch = "x86_64")]
    pub use super::portable::{pand, pandn, pextrw, pinsrw, por, pxor};
}

/// MMX operations (with SSE's and SSE2's additions) on 64-bit registers.
pub mod mmx {
    #[cfg(target_arch = "x86_64")]
    pub use super::super::integer_host::low::*;
    pub use super::super::shuffle::pshufw;
    #[cfg(not(target_arch = "x86_64"))]
    pub use super::portable_mmx::*;
    #[cfg(target_arch = "x86_64")]
    pub use super::portable_mmx::{
        packssdw, packsswb, packuswb, pand, pandn, pextrw, pinsrw, pmovmskb, por, pslld, psllq,
        psllw, psrad, psraw, psrld, psrlq, psrlw, punpckhbw, punpckhdq, punpckhwd, pxor,
    };
}

#[cfg(test)]
mod tests {
    use super::{mmx, xmm};

    #[test]
    fn shift_counts_beyond_the_lane_clear_or_fill() {
        assert_eq!(xmm::psllw(u128::MAX, 16), 0);
        assert_eq!(xmm::psrld(u128::MAX, 1 << 40), 0);
        assert_eq!(mmx::psraw(0x8000_7FFF_8001_0001, 99), 0xFFFF_0000_FFFF_0000);
    }

    #[test]
    fn pmaddwd_of_the_most_negative_words_wraps() {
        assert_eq!(
            mmx::pmaddwd(0x8000_8000_8000_8000, 0x8000_8000_8000_8000),
            0x8000_0000_8000_0000
        );
    }

    #[test]
    fn psadbw_sums_each_quadword_apart() {
        assert_eq!(xmm::psadbw(0xFF, 0xFF << 64), (255 << 64) | 255);
    }

    #[test]
    fn packs_saturate() {
        assert_eq!(mmx::packsswb(0x7FFF_8000_0001_FFFF, 0), 0x7F80_01FF);
        assert_eq!(mmx::packuswb(0x7FFF_8000_0001_00FF, 0), 0xFF00_01FF);
    }

    #[test]
    fn pmovmskb_takes_every_sign() {
        assert_eq!(xmm::pmovmskb(u128::MAX), 0xFFFF);
        assert_eq!(mmx::pmovmskb(0x8000_0000_0000_0080), 0x81);
    }
}
