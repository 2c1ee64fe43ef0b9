//! The integer operations on an x86-64 host: its own SSE2 instructions, one each.
//!
//! LLVM takes a `u128` apart into general registers and computes lane by lane, ten to fifty times as many instructions
//! as the one that does it; hence the intrinsics. The portable text in `integer` remains the definition, and the tests
//! hold this to it. An MMX operation that treats lanes alike is the SSE2 one on the low half.

use std::arch::x86_64::*;

/// Reinterprets a register.
#[inline(always)]
pub(crate) fn to_host(a: u128) -> __m128i {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

/// Reinterprets it back.
#[inline(always)]
pub(crate) fn from_host(a: __m128i) -> u128 {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident: $intrinsic:ident;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: u128, b: u128) -> u128 {
                // SAFETY: SSE2 is part of x86-64.
                from_host(unsafe { $intrinsic(to_host(a), to_host(b)) })
            }
        )+
    };
}

/// On both widths.
macro_rules! lanewise {
    ($($(#[$doc:meta])* $name:ident: $intrinsic:ident;)+) => {
        binary! { $($(#[$doc])* $name: $intrinsic;)+ }

        /// The MMX operations that are the SSE2 ones on the low half.
        pub mod low {
            $(
                $(#[$doc])*
                #[inline]
                #[must_use]
                pub fn $name(a: u64, b: u64) -> u64 {
                    super::$name(a.into(), b.into()) as u64
                }
            )+
        }
    };
}

macro_rules! shifts {
    ($($(#[$doc:meta])* $name:ident: $intrinsic:ident;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: u128, count: u64) -> u128 {
                // SAFETY: SSE2 is part of x86-64.
                from_host(unsafe { $intrinsic(to_host(a), to_host(count.into())) })
            }
        )+
    };
}

lanewise! {
    /// Adds bytes, wrapping.
    paddb: _mm_add_epi8;
    /// Adds words, wrapping.
    paddw: _mm_add_epi16;
    /// Adds doublewords, wrapping.
    paddd: _mm_add_epi32;
    /// Adds quadwords, wrapping.
    paddq: _mm_add_epi64;
    /// Adds signed bytes, saturating.
    paddsb: _mm_adds_epi8;
    /// Adds signed words, saturating.
    paddsw: _mm_adds_epi16;
    /// Adds unsigned bytes, saturating.
    paddusb: _mm_adds_epu8;
    /// Adds unsigned words, saturating.
    paddusw: _mm_adds_epu16;
    /// Subtracts bytes, wrapping.
    psubb: _mm_sub_epi8;
    /// Subtracts words, wrapping.
    psubw: _mm_sub_epi16;
    /// Subtracts doublewords, wrapping.
    psubd: _mm_sub_epi32;
    /// Subtracts quadwords, wrapping.
    psubq: _mm_sub_epi64;
    /// Subtracts signed bytes, saturating.
    psubsb: _mm_subs_epi8;
    /// Subtracts signed words, saturating.
    psubsw: _mm_subs_epi16;
    /// Subtracts unsigned bytes, saturating at 0.
    psubusb: _mm_subs_epu8;
    /// Subtracts unsigned words, saturating at 0.
    psubusw: _mm_subs_epu16;
    /// Multiplies words, low half.
    pmullw: _mm_mullo_epi16;
    /// Multiplies signed words, high half.
    pmulhw: _mm_mulhi_epi16;
    /// Multiplies unsigned words, high half.
    pmulhuw: _mm_mulhi_epu16;
    /// Multiplies the low doublewords of each quadword, unsigned, to a quadword.
    pmuludq: _mm_mul_epu32;
    /// Multiplies signed words and adds neighbouring products to doublewords (four products of -32768 wrap).
    pmaddwd: _mm_madd_epi16;
    /// Averages unsigned bytes, rounding up.
    pavgb: _mm_avg_epu8;
    /// Averages unsigned words, rounding up.
    pavgw: _mm_avg_epu16;
    /// Smaller of unsigned bytes.
    pminub: _mm_min_epu8;
    /// Larger of unsigned bytes.
    pmaxub: _mm_max_epu8;
    /// Smaller of signed words.
    pminsw: _mm_min_epi16;
    /// Larger of signed words.
    pmaxsw: _mm_max_epi16;
    /// Sums the absolute differences of the unsigned bytes of each quadword into that quadword.
    psadbw: _mm_sad_epu8;
    /// All ones where bytes are equal.
    pcmpeqb: _mm_cmpeq_epi8;
    /// All ones where words are equal.
    pcmpeqw: _mm_cmpeq_epi16;
    /// All ones where doublewords are equal.
    pcmpeqd: _mm_cmpeq_epi32;
    /// All ones where the signed byte of `a` is greater.
    pcmpgtb: _mm_cmpgt_epi8;
    /// All ones where the signed word of `a` is greater.
    pcmpgtw: _mm_cmpgt_epi16;
    /// All ones where the signed doubleword of `a` is greater.
    pcmpgtd: _mm_cmpgt_epi32;
    /// Interleaves the bytes of the low halves.
    punpcklbw: _mm_unpacklo_epi8;
    /// Interleaves the words of the low halves.
    punpcklwd: _mm_unpacklo_epi16;
    /// Interleaves the doublewords of the low halves (UNPCKLPS too).
    punpckldq: _mm_unpacklo_epi32;
}

binary! {
    /// Packs signed words to signed bytes, saturating: `a` low, `b` high.
    packsswb: _mm_packs_epi16;
    /// Packs signed doublewords to signed words, saturating: `a` low, `b` high.
    packssdw: _mm_packs_epi32;
    /// Packs signed words to unsigned bytes, saturating: `a` low, `b` high.
    packuswb: _mm_packus_epi16;
    /// Interleaves the bytes of the high halves.
    punpckhbw: _mm_unpackhi_epi8;
    /// Interleaves the words of the high halves.
    punpckhwd: _mm_unpackhi_epi16;
    /// Interleaves the doublewords of the high halves (UNPCKHPS too).
    punpckhdq: _mm_unpackhi_epi32;
}

shifts! {
    /// Shifts words left; a count above 15 clears them. The count is the low quadword of the operand.
    psllw: _mm_sll_epi16;
    /// Shifts doublewords left; a count above 31 clears them.
    pslld: _mm_sll_epi32;
    /// Shifts quadwords left; a count above 63 clears them.
    psllq: _mm_sll_epi64;
    /// Shifts words right with zeros; a count above 15 clears them.
    psrlw: _mm_srl_epi16;
    /// Shifts doublewords right with zeros; a count above 31 clears them.
    psrld: _mm_srl_epi32;
    /// Shifts quadwords right with zeros; a count above 63 clears them.
    psrlq: _mm_srl_epi64;
    /// Shifts words right with the sign; a count above 15 fills them with it.
    psraw: _mm_sra_epi16;
    /// Shifts doublewords right with the sign; a count above 31 fills them with it.
    psrad: _mm_sra_epi32;
}

/// Sign bits of the bytes, byte 0 in bit 0. It also selects the bytes MASKMOVQ and MASKMOVDQU store.
#[inline]
#[must_use]
pub fn pmovmskb(a: u128) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    (unsafe { _mm_movemask_epi8(to_host(a)) }) as u32
}
