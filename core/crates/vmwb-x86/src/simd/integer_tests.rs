//! The integer operations against the host's own instructions, both the portable text and what the engine calls: every
//! operation on both widths, random and corner lanes.
//!
//! An MMX operation is checked through the SSE2 instruction of the same name with the register in the low half, where
//! the two agree; the few that mix halves are fed accordingly.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::integer::{portable, portable_mmx};
use super::{mmx, xmm};

const CASES: u32 = 20_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Bytes that are often at the edges of their range.
    fn lanes(&mut self) -> u64 {
        let (value, edges) = (self.next(), self.next());
        let bytes = value.to_le_bytes();
        let edge = edges.to_le_bytes();
        u64::from_le_bytes(std::array::from_fn(|i| match edge[i] % 8 {
            0 => 0,
            1 => 0xFF,
            2 => 0x80,
            3 => 0x7F,
            _ => bytes[i],
        }))
    }

    fn register(&mut self) -> u128 {
        u128::from(self.lanes()) << 64 | u128::from(self.lanes())
    }
}

fn to_host(a: u128) -> __m128i {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

fn from_host(a: __m128i) -> u128 {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

fn check(name: &str, ours: fn(u128, u128) -> u128, host: impl Fn(__m128i, __m128i) -> __m128i) {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for _ in 0..CASES {
        let (a, b) = (random.register(), random.register());
        assert_eq!(
            ours(a, b),
            from_host(host(to_host(a), to_host(b))),
            "{name} {a:032x} {b:032x}"
        );
    }
}

fn check_low(name: &str, ours: fn(u64, u64) -> u64, host: impl Fn(__m128i, __m128i) -> __m128i) {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for _ in 0..CASES {
        let (a, b) = (random.lanes(), random.lanes());
        let expected = from_host(host(to_host(a.into()), to_host(b.into()))) as u64;
        assert_eq!(ours(a, b), expected, "{name} {a:016x} {b:016x}");
    }
}

/// `$name: $intrinsic` checked on both widths.
macro_rules! both_widths {
    ($($test:ident: $name:ident, $intrinsic:ident;)+) => {
        $(
            #[test]
            fn $test() {
                // SAFETY: SSE2 is part of x86-64.
                let host = |a, b| unsafe { $intrinsic(a, b) };
                check(stringify!($name), xmm::$name, host);
                check(stringify!($name), portable::$name, host);
                check_low(stringify!($name), mmx::$name, host);
                check_low(stringify!($name), portable_mmx::$name, host);
            }
        )+
    };
}

both_widths! {
    paddb_agrees: paddb, _mm_add_epi8;
    paddw_agrees: paddw, _mm_add_epi16;
    paddd_agrees: paddd, _mm_add_epi32;
    paddq_agrees: paddq, _mm_add_epi64;
    paddsb_agrees: paddsb, _mm_adds_epi8;
    paddsw_agrees: paddsw, _mm_adds_epi16;
    paddusb_agrees: paddusb, _mm_adds_epu8;
    paddusw_agrees: paddusw, _mm_adds_epu16;
    psubb_agrees: psubb, _mm_sub_epi8;
    psubw_agrees: psubw, _mm_sub_epi16;
    psubd_agrees: psubd, _mm_sub_epi32;
    psubq_agrees: psubq, _mm_sub_epi64;
    psubsb_agrees: psubsb, _mm_subs_epi8;
    psubsw_agrees: psubsw, _mm_subs_epi16;
    psubusb_agrees: psubusb, _mm_subs_epu8;
    psubusw_agrees: psubusw, _mm_subs_epu16;
    pmullw_agrees: pmullw, _mm_mullo_epi16;
    pmulhw_agrees: pmulhw, _mm_mulhi_epi16;
    pmulhuw_agrees: pmulhuw, _mm_mulhi_epu16;
    pmuludq_agrees: pmuludq, _mm_mul_epu32;
    pmaddwd_agrees: pmaddwd, _mm_madd_epi16;
    pavgb_agrees: pavgb, _mm_avg_epu8;
    pavgw_agrees: pavgw, _mm_avg_epu16;
    pminub_agrees: pminub, _mm_min_epu8;
    pmaxub_agrees: pmaxub, _mm_max_epu8;
    pminsw_agrees: pminsw, _mm_min_epi16;
    pmaxsw_agrees: pmaxsw, _mm_max_epi16;
    psadbw_agrees: psadbw, _mm_sad_epu8;
    pcmpeqb_agrees: pcmpeqb, _mm_cmpeq_epi8;
    pcmpeqw_agrees: pcmpeqw, _mm_cmpeq_epi16;
    pcmpeqd_agrees: pcmpeqd, _mm_cmpeq_epi32;
    pcmpgtb_agrees: pcmpgtb, _mm_cmpgt_epi8;
    pcmpgtw_agrees: pcmpgtw, _mm_cmpgt_epi16;
    pcmpgtd_agrees: pcmpgtd, _mm_cmpgt_epi32;
    pand_agrees: pand, _mm_and_si128;
    pandn_agrees: pandn, _mm_andnot_si128;
    por_agrees: por, _mm_or_si128;
    pxor_agrees: pxor, _mm_xor_si128;
    punpcklbw_agrees: punpcklbw, _mm_unpacklo_epi8;
    punpcklwd_agrees: punpcklwd, _mm_unpacklo_epi16;
    punpckldq_agrees: punpckldq, _mm_unpacklo_epi32;
}

/// Operations that fold the halves: the MMX form works on the two operands put together in one register.
macro_rules! packs {
    ($($test:ident: $name:ident, $intrinsic:ident;)+) => {
        $(
            #[test]
            fn $test() {
                // SAFETY: SSE2 is part of x86-64.
                let host = |a, b| unsafe { $intrinsic(a, b) };
                check(stringify!($name), xmm::$name, host);
                check(stringify!($name), portable::$name, host);
                // SAFETY: as above.
                check_low(stringify!($name), mmx::$name, |a, b| unsafe {
                    let both = _mm_unpacklo_epi64(a, b);
                    $intrinsic(both, both)
                });
            }
        )+
    };
}

packs! {
    packsswb_agrees: packsswb, _mm_packs_epi16;
    packssdw_agrees: packssdw, _mm_packs_epi32;
    packuswb_agrees: packuswb, _mm_packus_epi16;
}

/// The MMX form of an interleave of high halves is the upper half of the SSE2 interleave of low halves.
macro_rules! high_interleaves {
    ($($test:ident: $name:ident, $intrinsic:ident, $low:ident;)+) => {
        $(
            #[test]
            fn $test() {
                // SAFETY: SSE2 is part of x86-64.
                check(stringify!($name), xmm::$name, |a, b| unsafe { $intrinsic(a, b) });
                // SAFETY: as above.
                check(stringify!($name), portable::$name, |a, b| unsafe { $intrinsic(a, b) });
                // SAFETY: as above.
                check_low(stringify!($name), mmx::$name, |a, b| unsafe { _mm_srli_si128::<8>($low(a, b)) });
            }
        )+
    };
}

high_interleaves! {
    punpckhbw_agrees: punpckhbw, _mm_unpackhi_epi8, _mm_unpacklo_epi8;
    punpckhwd_agrees: punpckhwd, _mm_unpackhi_epi16, _mm_unpacklo_epi16;
    punpckhdq_agrees: punpckhdq, _mm_unpackhi_epi32, _mm_unpacklo_epi32;
}

#[test]
fn quadword_interleaves_agree() {
    // SAFETY: SSE2 is part of x86-64.
    check("punpcklqdq", xmm::punpcklqdq, |a, b| unsafe {
        _mm_unpacklo_epi64(a, b)
    });
    // SAFETY: as above.
    check("punpckhqdq", xmm::punpckhqdq, |a, b| unsafe {
        _mm_unpackhi_epi64(a, b)
    });
}

macro_rules! shifts {
    ($($test:ident: $name:ident, $intrinsic:ident;)+) => {
        $(
            #[test]
            fn $test() {
                let mut random = Random(99);
                for count in (0..70).chain([255, 1 << 32, u64::MAX]) {
                    for _ in 0..200 {
                        let a = random.register();
                        // SAFETY: SSE2 is part of x86-64.
                        let host = from_host(unsafe { $intrinsic(to_host(a), to_host(count.into())) });
                        assert_eq!(xmm::$name(a, count), host, "{a:032x} by {count}");
                        assert_eq!(portable::$name(a, count), host, "{a:032x} by {count}");
                        assert_eq!(mmx::$name(a as u64, count), host as u64, "{a:032x} by {count}");
                    }
                }
            }
        )+
    };
}

shifts! {
    psllw_agrees: psllw, _mm_sll_epi16;
    pslld_agrees: pslld, _mm_sll_epi32;
    psllq_agrees: psllq, _mm_sll_epi64;
    psrlw_agrees: psrlw, _mm_srl_epi16;
    psrld_agrees: psrld, _mm_srl_epi32;
    psrlq_agrees: psrlq, _mm_srl_epi64;
    psraw_agrees: psraw, _mm_sra_epi16;
    psrad_agrees: psrad, _mm_sra_epi32;
}

/// An immediate form at a spread of orders (an intrinsic wants its immediate as a constant).
macro_rules! orders {
    ($test:ident: $ours:expr, $host:ident, $view:ty, $operands:tt, [$($order:literal),+]) => {
        #[test]
        fn $test() {
            let mut random = Random(5);
            let ours: fn(u128, u128, u8) -> u128 = $ours;
            $(
                for _ in 0..100 {
                    let (a, b) = (random.register(), random.register());
                    // SAFETY: SSE2 is part of x86-64; the casts are between types of one size without invalid patterns.
                    let host: u128 = unsafe { orders!(@call $host, $view, $order, a, b, $operands) };
                    assert_eq!(ours(a, b, $order), host, "{a:032x} {b:032x} order {:02x}", $order);
                }
            )+
        }
    };
    (@call $host:ident, $view:ty, $order:literal, $a:ident, $b:ident, one) => {
        transmute($host::<$order>(transmute::<u128, $view>($a)))
    };
    (@call $host:ident, $view:ty, $order:literal, $a:ident, $b:ident, two) => {
        transmute($host::<$order>(transmute::<u128, $view>($a), transmute::<u128, $view>($b)))
    };
}

orders!(pshufd_agrees: |a, _, n| xmm::pshufd(a, n), _mm_shuffle_epi32, __m128i, one, [0, 0x1B, 0xE4, 0x4E, 0x93, 0x72]);
orders!(pshuflw_agrees: |a, _, n| xmm::pshuflw(a, n), _mm_shufflelo_epi16, __m128i, one, [0, 0x1B, 0xE4, 0x4E, 0x93]);
orders!(pshufhw_agrees: |a, _, n| xmm::pshufhw(a, n), _mm_shufflehi_epi16, __m128i, one, [0, 0x1B, 0xE4, 0x4E, 0x93]);
orders!(shufps_agrees: xmm::shufps, _mm_shuffle_ps, __m128, two, [0, 0x1B, 0xE4, 0x4E, 0x93, 0x72]);
orders!(shufpd_agrees: xmm::shufpd, _mm_shuffle_pd, __m128d, two, [0, 1, 2, 3]);
orders!(pslldq_agrees: |a, _, n| xmm::pslldq(a, n), _mm_slli_si128, __m128i, one, [0, 1, 7, 8, 15, 16, 200]);
orders!(psrldq_agrees: |a, _, n| xmm::psrldq(a, n), _mm_srli_si128, __m128i, one, [0, 1, 7, 8, 15, 16, 200]);

#[test]
fn masks_and_words_agree() {
    let mut random = Random(6);
    for _ in 0..CASES {
        let a = random.register();
        let host = to_host(a);
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            assert_eq!(xmm::pmovmskb(a), _mm_movemask_epi8(host) as u32);
            assert_eq!(portable::pmovmskb(a), _mm_movemask_epi8(host) as u32);
            assert_eq!(
                xmm::movmskps(a),
                _mm_movemask_ps(_mm_castsi128_ps(host)) as u32
            );
            assert_eq!(
                xmm::movmskpd(a),
                _mm_movemask_pd(_mm_castsi128_pd(host)) as u32
            );
            assert_eq!(xmm::pextrw(a, 5), _mm_extract_epi16::<5>(host) as u32);
            assert_eq!(
                xmm::pinsrw(a, 0xBEEF, 14),
                from_host(_mm_insert_epi16::<6>(host, 0xBEEF))
            );
        }
        assert_eq!(mmx::pmovmskb(a as u64), xmm::pmovmskb(a) & 0xFF);
        assert_eq!(mmx::pextrw(a as u64, 3), xmm::pextrw(a, 3));
        assert_eq!(mmx::pshufw(a as u64, 0x93), xmm::pshuflw(a, 0x93) as u64);
    }
}
