//! SSSE3's integer operations on both register widths, and those of SSE4.1 and SSE4.2 on 128 bits. Lane by lane, in plain
//! Rust: the definition and what runs on every host. Source: SDM volume 2, instruction pages.

use super::lanes::{Lanes, i8x16, i32x4, u8x16, u16x8, u32x4, u64x2, zip};

/// The value with the sign of another: negated, cleared or kept.
macro_rules! with_sign {
    ($x:expr, $sign:expr) => {
        match $sign.signum() {
            0 => 0,
            1 => $x,
            _ => $x.wrapping_neg(),
        }
    };
}

/// Rounded high part of a product of words, as a fraction of 2^15.
#[inline]
fn rounded_high(x: i16, y: i16) -> i16 {
    ((((i32::from(x) * i32::from(y)) >> 14) + 1) >> 1) as i16
}

macro_rules! ssse3 {
    ($R:ty, $bytes:literal, $words:literal, $dwords:literal,
     $u8s:ident $i8s:ident $i16s:ident $i32s:ident) => {
        /// Bytes of `a` that `b` chooses by number; zero where the choosing byte has its top bit set.
        #[inline]
        #[must_use]
        pub fn pshufb(a: $R, b: $R) -> $R {
            let a = $u8s(a);
            $u8s(b)
                .map(|n| {
                    if n & 0x80 != 0 {
                        0
                    } else {
                        a[usize::from(n) % $bytes]
                    }
                })
                .join()
        }

        /// Bytes from `by` on of `a` (high) joined to `b` (low).
        #[inline]
        #[must_use]
        pub fn palignr(a: $R, b: $R, by: u8) -> $R {
            let (a, b) = ($u8s(a), $u8s(b));
            let lanes: [u8; $bytes] = std::array::from_fn(|i| match i + usize::from(by) {
                n if n < $bytes => b[n],
                n if n < 2 * $bytes => a[n - $bytes],
                _ => 0,
            });
            lanes.join()
        }

        /// Multiplies unsigned bytes of `a` with signed bytes of `b` and adds neighbours, saturating.
        #[inline]
        #[must_use]
        pub fn pmaddubsw(a: $R, b: $R) -> $R {
            let (a, b) = ($u8s(a), $i8s(b));
            let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
            let lanes: [i16; $words] = std::array::from_fn(|i| {
                (product(2 * i) + product(2 * i + 1)).clamp(-32768, 32767) as i16
            });
            lanes.join()
        }

        /// Multiplies signed words, keeps the high part of the product of fractions, rounded.
        #[inline]
        #[must_use]
        pub fn pmulhrsw(a: $R, b: $R) -> $R {
            zip($i16s(a), $i16s(b), super::rounded_high).join()
        }

        /// Negates, clears or keeps the bytes of `a` by the signs of those of `b`.
        #[inline]
        #[must_use]
        pub fn psignb(a: $R, b: $R) -> $R {
            zip($i8s(a), $i8s(b), |x, y| with_sign!(x, y)).join()
        }

        /// Negates, clears or keeps the words of `a` by the signs of those of `b`.
        #[inline]
        #[must_use]
        pub fn psignw(a: $R, b: $R) -> $R {
            zip($i16s(a), $i16s(b), |x, y| with_sign!(x, y)).join()
        }

        /// Negates, clears or keeps the doublewords of `a` by the signs of those of `b`.
        #[inline]
        #[must_use]
        pub fn psignd(a: $R, b: $R) -> $R {
            zip($i32s(a), $i32s(b), |x, y| with_sign!(x, y)).join()
        }

        /// Absolute values of the bytes of `b`; the first operand has no say.
        #[inline]
        #[must_use]
        pub fn pabsb(_a: $R, b: $R) -> $R {
            $i8s(b).map(i8::wrapping_abs).join()
        }

        /// Absolute values of the words of `b`.
        #[inline]
        #[must_use]
        pub fn pabsw(_a: $R, b: $R) -> $R {
            $i16s(b).map(i16::wrapping_abs).join()
        }

        /// Absolute values of the doublewords of `b`.
        #[inline]
        #[must_use]
        pub fn pabsd(_a: $R, b: $R) -> $R {
            $i32s(b).map(i32::wrapping_abs).join()
        }

        horizontal! { $R, $words, $i16s, i16;
            /// Sums of neighbouring words: those of `a` low, those of `b` high.
            phaddw: wrapping_add;
            /// Sums of neighbouring words, saturating.
            phaddsw: saturating_add;
            /// Differences of neighbouring words, even minus odd.
            phsubw: wrapping_sub;
            /// Differences of neighbouring words, saturating.
            phsubsw: saturating_sub;
        }
        horizontal! { $R, $dwords, $i32s, i32;
            /// Sums of neighbouring doublewords.
            phaddd: wrapping_add;
            /// Differences of neighbouring doublewords.
            phsubd: wrapping_sub;
        }
    };
}

macro_rules! horizontal {
    ($R:ty, $count:literal, $view:ident, $lane:ty; $($(#[$doc:meta])* $name:ident: $method:ident;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: $R, b: $R) -> $R {
                let (a, b) = ($view(a), $view(b));
                let lanes: [$lane; $count] = std::array::from_fn(|i| {
                    let half = $count / 2;
                    let (from, at) = if i < half { (&a, 2 * i) } else { (&b, 2 * (i - half)) };
                    from[at].$method(from[at + 1])
                });
                lanes.join()
            }
        )+
    };
}

/// SSSE3 on XMM registers.
pub mod xmm {
    use super::super::lanes::{Lanes, i8x16, i16x8, i32x4, u8x16, zip};

    ssse3!(u128, 16, 8, 4, u8x16 i8x16 i16x8 i32x4);
}

/// SSSE3 on MMX registers.
pub mod mmx {
    use super::super::lanes::{Lanes, i8x8, i16x4, i32x2, u8x8, zip};

    ssse3!(u64, 8, 4, 2, u8x8 i8x8 i16x4 i32x2);
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident: $view:ident, |$a:ident, $b:ident| $body:expr;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: u128, b: u128) -> u128 {
                zip($view(a), $view(b), |$a, $b| $body).join()
            }
        )+
    };
}

binary! {
    /// Smaller of signed bytes.
    pminsb: i8x16, |x, y| x.min(y);
    /// Smaller of signed doublewords.
    pminsd: i32x4, |x, y| x.min(y);
    /// Smaller of unsigned words.
    pminuw: u16x8, |x, y| x.min(y);
    /// Smaller of unsigned doublewords.
    pminud: u32x4, |x, y| x.min(y);
    /// Larger of signed bytes.
    pmaxsb: i8x16, |x, y| x.max(y);
    /// Larger of signed doublewords.
    pmaxsd: i32x4, |x, y| x.max(y);
    /// Larger of unsigned words.
    pmaxuw: u16x8, |x, y| x.max(y);
    /// Larger of unsigned doublewords.
    pmaxud: u32x4, |x, y| x.max(y);
    /// Multiplies doublewords, low half.
    pmulld: u32x4, |x, y| x.wrapping_mul(y);
    /// Multiplies the low signed doublewords of each quadword to a quadword.
    pmuldq: u64x2, |x, y| (i64::from(x as i32) * i64::from(y as i32)) as u64;
    /// All ones where quadwords are equal.
    pcmpeqq: u64x2, |x, y| if x == y { u64::MAX } else { 0 };
    /// All ones where the signed quadword of `a` is greater.
    pcmpgtq: u64x2, |x, y| if x as i64 > y as i64 { u64::MAX } else { 0 };
}

/// Packs signed doublewords to unsigned words, saturating: `a` low, `b` high.
#[inline]
#[must_use]
pub fn packusdw(a: u128, b: u128) -> u128 {
    let (a, b) = (i32x4(a), i32x4(b));
    let lanes: [u16; 8] =
        std::array::from_fn(|i| if i < 4 { a[i] } else { b[i - 4] }.clamp(0, 65535) as u16);
    lanes.join()
}

/// Smallest unsigned word of `b` and, in the next word, its number; the first operand has no say.
#[inline]
#[must_use]
pub fn phminposuw(_a: u128, b: u128) -> u128 {
    let words = u16x8(b);
    let (index, least) = (0u128..)
        .zip(words)
        .min_by_key(|&(_, w)| w)
        .expect("a register has eight words");
    u128::from(least) | index << 16
}

macro_rules! widen {
    ($($(#[$doc:meta])* $signed:ident $unsigned:ident: $si:ty, $ui:ty => $so:ty, $uo:ty, $count:literal, $view:ident;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $signed(b: u64) -> u128 {
                let from = $view(b.into());
                let lanes: [$uo; $count] = std::array::from_fn(|i| <$so>::from(from[i] as $si) as $uo);
                lanes.join()
            }

            /// The same with zeros.
            #[inline]
            #[must_use]
            pub fn $unsigned(b: u64) -> u128 {
                let from = $view(b.into());
                let lanes: [$uo; $count] = std::array::from_fn(|i| <$uo>::from(from[i] as $ui));
                lanes.join()
            }
        )+
    };
}

widen! {
    /// Widens eight bytes to words by their signs.
    pmovsxbw pmovzxbw: i8, u8 => i16, u16, 8, u8x16;
    /// Widens four bytes to doublewords by their signs.
    pmovsxbd pmovzxbd: i8, u8 => i32, u32, 4, u8x16;
    /// Widens two bytes to quadwords by their signs.
    pmovsxbq pmovzxbq: i8, u8 => i64, u64, 2, u8x16;
    /// Widens four words to doublewords by their signs.
    pmovsxwd pmovzxwd: i16, u16 => i32, u32, 4, u16x8;
    /// Widens two words to quadwords by their signs.
    pmovsxwq pmovzxwq: i16, u16 => i64, u64, 2, u16x8;
    /// Widens two doublewords to quadwords by their signs.
    pmovsxdq pmovzxdq: i32, u32 => i64, u64, 2, u32x4;
}

/// Lanes of `b` where the bit of `chosen` is set, else of `a`; `N` lanes.
macro_rules! blends {
    ($($(#[$doc:meta])* $name:ident: $view:ident;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: u128, b: u128, chosen: u8) -> u128 {
                let mut lanes = $view(a);
                for (i, v) in $view(b).into_iter().enumerate() {
                    if chosen >> i & 1 != 0 {
                        lanes[i] = v;
                    }
                }
                lanes.join()
            }
        )+
    };
}

blends! {
    /// Doublewords of `b` where the bit is set, else of `a`.
    blendps: u32x4;
    /// Quadwords of `b` where the bit is set, else of `a`.
    blendpd: u64x2;
    /// Words of `b` where the bit is set, else of `a`.
    pblendw: u16x8;
}

macro_rules! variable_blends {
    ($($(#[$doc:meta])* $name:ident: $view:ident, $lane:ty, $count:literal;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            #[must_use]
            pub fn $name(a: u128, b: u128, mask: u128) -> u128 {
                let (a, b, mask) = ($view(a), $view(b), $view(mask));
                let lanes: [$lane; $count] =
                    std::array::from_fn(|i| if mask[i] >> (<$lane>::BITS - 1) != 0 { b[i] } else { a[i] });
                lanes.join()
            }
        )+
    };
}

variable_blends! {
    /// Bytes of `b` where the top bit of the mask's byte is set, else of `a`.
    pblendvb: u8x16, u8, 16;
    /// Doublewords of `b` where the top bit of the mask's doubleword is set, else of `a`.
    blendvps: u32x4, u32, 4;
    /// Quadwords of `b` where the top bit of the mask's quadword is set, else of `a`.
    blendvpd: u64x2, u64, 2;
}

/// Sums of absolute differences of four bytes of `b` against eight runs of `a`; `control` says where both begin.
#[inline]
#[must_use]
pub fn mpsadbw(a: u128, b: u128, control: u8) -> u128 {
    let (a, b) = (u8x16(a), u8x16(b));
    let (from_b, from_a) = (
        usize::from(control & 3) * 4,
        usize::from(control >> 2 & 1) * 4,
    );
    let lanes: [u16; 8] = std::array::from_fn(|i| {
        (0..4)
            .map(|j| u16::from(a[from_a + i + j].abs_diff(b[from_b + j])))
            .sum()
    });
    lanes.join()
}

/// `a` with one doubleword replaced by `value`, then doublewords cleared, as the control byte says.
#[inline]
#[must_use]
pub fn insertps(a: u128, value: u32, control: u8) -> u128 {
    let mut lanes = u32x4(a);
    lanes[usize::from(control >> 4 & 3)] = value;
    for (i, lane) in lanes.iter_mut().enumerate() {
        if control >> i & 1 != 0 {
            *lane = 0;
        }
    }
    lanes.join()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pshufb_with_a_set_top_bit_clears() {
        let a = u128::from_le_bytes(std::array::from_fn(|i| i as u8 + 1));
        assert_eq!(xmm::pshufb(a, 0x80_0F_10_00) & 0xFFFF_FFFF, 0x00_10_01_01);
        assert_eq!(mmx::pshufb(0x0807_0605_0403_0201, 0x0F) & 0xFF, 8);
    }

    #[test]
    fn palignr_beyond_both_operands_is_zero() {
        assert_eq!(xmm::palignr(u128::MAX, u128::MAX, 32), 0);
        assert_eq!(mmx::palignr(0xFF, 0, 8), 0xFF);
        assert_eq!(xmm::palignr(0xAB, 0, 15), 0xAB00);
    }

    #[test]
    fn pmulhrsw_of_the_most_negative_words_wraps() {
        assert_eq!(mmx::pmulhrsw(0x8000, 0x8000), 0x8000);
    }

    #[test]
    fn pmaddubsw_saturates() {
        assert_eq!(mmx::pmaddubsw(0xFFFF, 0x7F7F), 0x7FFF);
        assert_eq!(mmx::pmaddubsw(0xFFFF, 0x8080), 0x8000);
    }

    #[test]
    fn phminposuw_of_equal_words_names_the_first() {
        assert_eq!(phminposuw(0, u128::MAX << 32 | 0x0005_0005), 5);
        assert_eq!(phminposuw(0, !(0xFFFF << 48)), 3 << 16);
    }

    #[test]
    fn mpsadbw_counts_from_the_chosen_quarters() {
        let a = u128::from_le_bytes(std::array::from_fn(|i| i as u8));
        // Quarter 2 of `b` against the runs of `a` from byte 4.
        assert_eq!(mpsadbw(a, a, 0b110) & 0xFFFF, 16);
        assert_eq!(mpsadbw(a, a, 0b110) >> 64 & 0xFFFF, 0);
    }

    #[test]
    fn insertps_clears_behind_the_insertion() {
        assert_eq!(insertps(u128::MAX, 7, 0b0001_1101), 7 << 32);
    }
}
