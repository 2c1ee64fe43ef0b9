//! AES, carry-less multiplication, SHA-1 and SHA-256 steps, CRC-32C: what the instructions of those names compute. In
//! plain Rust, the same on every host. Sources: FIPS 197, FIPS 180-4, SDM volume 2, instruction pages.
//!
//! Tables are looked up by guest data. Who shares a core with the worker could learn from the cache what they are looked
//! up by; a guest that must hide its keys from its host cannot do so anyway.

use super::lanes::{Lanes, u8x16, u32x4};

// ---- AES ----

/// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.2).
const fn product(mut a: u8, mut b: u8) -> u8 {
    let mut p = 0;
    while b != 0 {
        if b & 1 != 0 {
            p ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1B } else { 0 };
        b >>= 1;
    }
    p
}

/// SBox: inverse in GF(2^8), then the affine map (FIPS 197, section 5.1.1).
const fn sbox() -> [u8; 256] {
    let mut table = [0; 256];
    // 3 generates the field's group: its powers and the powers of its inverse (F6h) run through pairs of inverses.
    let (mut p, mut q) = (1u8, 1u8);
    loop {
        table[p as usize] =
            q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        p = product(p, 3);
        q = product(q, 0xF6);
        if p == 1 {
            break;
        }
    }
    table[0] = 0x63;
    table
}

const fn inverse(table: &[u8; 256]) -> [u8; 256] {
    let mut out = [0; 256];
    let mut i = 0;
    while i < 256 {
        out[table[i] as usize] = i as u8;
        i += 1;
    }
    out
}

/// A column of the mixing matrix times each byte, after a substitution.
const fn columns(substitution: &[u8; 256], column: [u8; 4]) -> [u32; 256] {
    let mut out = [0; 256];
    let mut i = 0;
    while i < 256 {
        let s = substitution[i];
        out[i] = u32::from_le_bytes([
            product(s, column[0]),
            product(s, column[1]),
            product(s, column[2]),
            product(s, column[3]),
        ]);
        i += 1;
    }
    out
}

const fn identity() -> [u8; 256] {
    let mut out = [0; 256];
    let mut i = 0;
    while i < 256 {
        out[i] = i as u8;
        i += 1;
    }
    out
}

static SBOX: [u8; 256] = sbox();
static INVERSE_SBOX: [u8; 256] = inverse(&sbox());
/// SubBytes and the first column of MixColumns in one.
static ENCRYPT: [u32; 256] = columns(&sbox(), [2, 1, 1, 3]);
/// The same for decryption.
static DECRYPT: [u32; 256] = columns(&inverse(&sbox()), [14, 9, 13, 11]);
/// InvMixColumns alone.
static UNMIX: [u32; 256] = columns(&identity(), [14, 9, 13, 11]);

/// Number of the byte that ShiftRows brings to place `i`: row r of column c comes from column c + r.
const fn shifted(i: usize) -> usize {
    (i + 4 * (i % 4)) % 16
}

/// The same for InvShiftRows: from column c - r.
const fn unshifted(i: usize) -> usize {
    (i + 16 - 4 * (i % 4)) % 16
}

/// Four columns, each the sum of four table entries rotated to their rows.
fn mix(state: [u8; 16], place: fn(usize) -> usize, table: &[u32; 256]) -> u128 {
    let columns: [u32; 4] = std::array::from_fn(|c| {
        (0..4).fold(0, |sum, r| {
            sum ^ table[usize::from(state[place(4 * c + r)])].rotate_left(8 * r as u32)
        })
    });
    columns.join()
}

/// One round of encryption: ShiftRows, SubBytes, MixColumns, AddRoundKey.
#[must_use]
pub fn aesenc(state: u128, key: u128) -> u128 {
    mix(u8x16(state), shifted, &ENCRYPT) ^ key
}

/// The last round of encryption, without MixColumns.
#[must_use]
pub fn aesenclast(state: u128, key: u128) -> u128 {
    let s = u8x16(state);
    std::array::from_fn::<u8, 16, _>(|i| SBOX[usize::from(s[shifted(i)])]).join() ^ key
}

/// One round of decryption: InvShiftRows, InvSubBytes, InvMixColumns, AddRoundKey (the equivalent inverse cipher).
#[must_use]
pub fn aesdec(state: u128, key: u128) -> u128 {
    mix(u8x16(state), unshifted, &DECRYPT) ^ key
}

/// The last round of decryption, without InvMixColumns.
#[must_use]
pub fn aesdeclast(state: u128, key: u128) -> u128 {
    let s = u8x16(state);
    std::array::from_fn::<u8, 16, _>(|i| INVERSE_SBOX[usize::from(s[unshifted(i)])]).join() ^ key
}

/// InvMixColumns of a round key; the first operand has no say.
#[must_use]
pub fn aesimc(_a: u128, b: u128) -> u128 {
    mix(u8x16(b), |i| i, &UNMIX)
}

/// Substituted and rotated words 1 and 3 of `b`, for the key schedule.
#[must_use]
pub fn aeskeygenassist(b: u128, constant: u8) -> u128 {
    let words = u32x4(b);
    let substituted =
        |n: usize| u32::from_le_bytes(words[n].to_le_bytes().map(|x| SBOX[usize::from(x)]));
    let (x1, x3) = (substituted(1), substituted(3));
    let rotated = |x: u32| x.rotate_right(8) ^ u32::from(constant);
    [x1, rotated(x1), x3, rotated(x3)].join()
}

// ---- carry-less multiplication ----

/// Product of two polynomials over GF(2), of the quadwords that bits 0 (of `a`) and 4 (of `b`) of `control` choose.
#[must_use]
pub fn pclmulqdq(a: u128, b: u128, control: u8) -> u128 {
    let x = u128::from((a >> (64 * u32::from(control & 1))) as u64);
    let y = (b >> (64 * u32::from(control >> 4 & 1))) as u64;
    // Four bits of `y` at a time.
    let mut multiples = [0u128; 16];
    for n in 1..16usize {
        multiples[n] = (multiples[n / 2] << 1) ^ if n & 1 != 0 { x } else { 0 };
    }
    (0..16).rev().fold(0, |sum, i| {
        sum << 4 ^ multiples[(y >> (4 * i)) as usize & 15]
    })
}

// ---- CRC-32C ----

/// The polynomial 11EDC6F41h, bits reversed.
const CRC_POLYNOMIAL: u32 = 0x82F6_3B78;

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut v = i as u32;
        let mut bit = 0;
        while bit < 8 {
            v = v >> 1 ^ if v & 1 != 0 { CRC_POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[i] = v;
        i += 1;
    }
    table
}

static CRC: [u32; 256] = crc_table();

/// Goes on with a CRC-32C over the low `bytes` bytes of `data`, without inverting before or after.
#[must_use]
pub fn crc32(crc: u32, data: u64, bytes: u8) -> u32 {
    data.to_le_bytes()[..usize::from(bytes)]
        .iter()
        .fold(crc, |crc, &byte| {
            crc >> 8 ^ CRC[usize::from(crc as u8 ^ byte)]
        })
}

// ---- SHA-1 ----

/// The constants of the four quarters (FIPS 180-4, section 4.2.1).
const SHA1_K: [u32; 4] = [0x5A82_7999, 0x6ED9_EBA1, 0x8F1B_BCDC, 0xCA62_C1D6];

/// Doublewords from the highest, which the SHA instructions count from.
fn from_top(v: u128) -> [u32; 4] {
    let [d, c, b, a] = u32x4(v);
    [a, b, c, d]
}

fn to_top([a, b, c, d]: [u32; 4]) -> u128 {
    [d, c, b, a].join()
}

/// Four rounds of SHA-1 from the state A to D in `a` and the sum of E and the first word in `b`.
#[must_use]
pub fn sha1rnds4(a: u128, b: u128, control: u8) -> u128 {
    let quarter = usize::from(control & 3);
    let [mut a, mut b_, mut c, mut d] = from_top(a);
    let mut e = 0u32;
    for word in from_top(b) {
        let f = match quarter {
            0 => (b_ & c) ^ (!b_ & d),
            2 => (b_ & c) ^ (b_ & d) ^ (c & d),
            _ => b_ ^ c ^ d,
        };
        // E is in the first word already.
        let next = f
            .wrapping_add(a.rotate_left(5))
            .wrapping_add(word)
            .wrapping_add(e)
            .wrapping_add(SHA1_K[quarter]);
        (a, b_, c, d, e) = (next, a, b_.rotate_left(30), c, d);
    }
    to_top([a, b_, c, d])
}

/// E of four rounds later, added to the highest word of `b`.
#[must_use]
pub fn sha1nexte(a: u128, b: u128) -> u128 {
    let [w0, w1, w2, w3] = from_top(b);
    to_top([w0.wrapping_add(from_top(a)[0].rotate_left(30)), w1, w2, w3])
}

/// First step of four message words of SHA-1.
#[must_use]
pub fn sha1msg1(a: u128, b: u128) -> u128 {
    let [w0, w1, w2, w3] = from_top(a);
    let [w4, w5, ..] = from_top(b);
    to_top([w2 ^ w0, w3 ^ w1, w4 ^ w2, w5 ^ w3])
}

/// Last step of four message words of SHA-1.
#[must_use]
pub fn sha1msg2(a: u128, b: u128) -> u128 {
    let [x0, x1, x2, x3] = from_top(a);
    let [_, w13, w14, w15] = from_top(b);
    let w16 = (x0 ^ w13).rotate_left(1);
    let w17 = (x1 ^ w14).rotate_left(1);
    let w18 = (x2 ^ w15).rotate_left(1);
    let w19 = (x3 ^ w16).rotate_left(1);
    to_top([w16, w17, w18, w19])
}

// ---- SHA-256 ----

/// Two rounds of SHA-256: C, D, G, H in `a`, A, B, E, F in `b`, two sums of words and constants in `words`.
#[must_use]
pub fn sha256rnds2(a: u128, b: u128, words: u128) -> u128 {
    let [mut c, mut d, mut g, mut h] = from_top(a);
    let [mut a, mut b, mut e, mut f] = from_top(b);
    let words = u32x4(words);
    for word in [words[0], words[1]] {
        let choice = (e & f) ^ (!e & g);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t = choice.wrapping_add(s1).wrapping_add(word).wrapping_add(h);
        (a, b, c, d, e, f, g, h) = (
            t.wrapping_add(majority).wrapping_add(s0),
            a,
            b,
            c,
            t.wrapping_add(d),
            e,
            f,
            g,
        );
    }
    to_top([a, b, e, f])
}

/// First step of four message words of SHA-256.
#[must_use]
pub fn sha256msg1(a: u128, b: u128) -> u128 {
    let [w0, w1, w2, w3] = u32x4(a);
    let w4 = u32x4(b)[0];
    let s0 = |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
    [
        w0.wrapping_add(s0(w1)),
        w1.wrapping_add(s0(w2)),
        w2.wrapping_add(s0(w3)),
        w3.wrapping_add(s0(w4)),
    ]
    .join()
}

/// Last step of four message words of SHA-256.
#[must_use]
pub fn sha256msg2(a: u128, b: u128) -> u128 {
    let [x0, x1, x2, x3] = u32x4(a);
    let [_, _, w14, w15] = u32x4(b);
    let s1 = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let w16 = x0.wrapping_add(s1(w14));
    let w17 = x1.wrapping_add(s1(w15));
    [w16, w17, x2.wrapping_add(s1(w16)), x3.wrapping_add(s1(w17))].join()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_128_encrypts_and_decrypts_the_example_of_fips_197() {
        // Appendix B: key 2b7e151628aed2a6abf7158809cf4f3c.
        let mut key = u128::from_le_bytes(
            *b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c",
        );
        let mut keys = vec![key];
        for constant in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36] {
            let turned = u32x4(aeskeygenassist(key, constant))[3];
            let mut words = u32x4(key);
            words[0] ^= turned;
            (1..4).for_each(|i| words[i] ^= words[i - 1]);
            key = words.join();
            keys.push(key);
        }
        let plain = u128::from_le_bytes(
            *b"\x32\x43\xf6\xa8\x88\x5a\x30\x8d\x31\x31\x98\xa2\xe0\x37\x07\x34",
        );
        let state = keys[1..10]
            .iter()
            .fold(plain ^ keys[0], |s, &k| aesenc(s, k));
        let secret = aesenclast(state, keys[10]);
        assert_eq!(
            secret.to_le_bytes(),
            *b"\x39\x25\x84\x1d\x02\xdc\x09\xfb\xdc\x11\x85\x97\x19\x6a\x0b\x32"
        );
        let back = keys[1..10]
            .iter()
            .rev()
            .fold(secret ^ keys[10], |s, &k| aesdec(s, aesimc(0, k)));
        assert_eq!(aesdeclast(back, keys[0]), plain);
    }

    #[test]
    fn carry_less_product_of_all_ones_has_every_other_bit() {
        let square = pclmulqdq(u64::MAX.into(), u128::from(u64::MAX) << 64, 0x10);
        assert_eq!(square, 0x5555_5555_5555_5555_5555_5555_5555_5555);
    }

    #[test]
    fn crc32c_of_the_check_string() {
        // RFC 3720, appendix B.4 gives CRC-32C; its usual check value is that of "123456789".
        let crc = b"123456789"
            .iter()
            .fold(u32::MAX, |crc, &b| crc32(crc, b.into(), 1));
        assert_eq!(!crc, 0xE306_9283);
        assert_eq!(
            crc32(7, 0x0807_0605_0403_0201, 8),
            crc32(crc32(7, 0x0403_0201, 4), 0x0807_0605, 4)
        );
    }

    #[test]
    fn sha1_of_abc_is_that_of_fips_180() {
        let mut message = [0u8; 64];
        message[..4].copy_from_slice(b"abc\x80");
        message[63] = 24;
        let mut words: Vec<u128> = message
            .chunks_exact(16)
            .map(|c| u128::from_be_bytes(c.try_into().unwrap()))
            .collect();
        for i in 4..20 {
            let w = sha1msg1(words[i - 4], words[i - 3]) ^ words[i - 2];
            words.push(sha1msg2(w, words[i - 1]));
        }
        let start = to_top([0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]);
        let e = 0xC3D2_E1F0u32;
        let mut state = start;
        let mut before = None;
        for (i, &w) in words.iter().enumerate() {
            let sum = match before {
                None => to_top([
                    from_top(w)[0].wrapping_add(e),
                    from_top(w)[1],
                    from_top(w)[2],
                    from_top(w)[3],
                ]),
                Some(old) => sha1nexte(old, w),
            };
            before = Some(state);
            state = sha1rnds4(state, sum, (i / 5) as u8);
        }
        let last = from_top(sha1nexte(before.unwrap(), to_top([e, 0, 0, 0])))[0];
        let sum: Vec<u32> = from_top(state)
            .iter()
            .zip(from_top(start))
            .map(|(a, b)| a.wrapping_add(b))
            .chain([last])
            .collect();
        assert_eq!(
            sum,
            [
                0xA999_3E36,
                0x4706_816A,
                0xBA3E_2571,
                0x7850_C26C,
                0x9CD0_D89D
            ]
        );
    }

    #[test]
    fn sha256_of_abc_is_that_of_fips_180() {
        let mut message = [0u8; 64];
        message[..4].copy_from_slice(b"abc\x80");
        message[63] = 24;
        let mut words: Vec<u128> = message
            .chunks_exact(16)
            .map(|c| {
                std::array::from_fn::<u32, 4, _>(|i| {
                    u32::from_be_bytes(c[4 * i..4 * i + 4].try_into().unwrap())
                })
                .join()
            })
            .collect();
        for i in 4..16 {
            let shifted = words[i - 2] >> 32 | words[i - 1] << 96;
            let w: [u32; 4] = std::array::from_fn(|n| {
                u32x4(sha256msg1(words[i - 4], words[i - 3]))[n].wrapping_add(u32x4(shifted)[n])
            });
            words.push(sha256msg2(w.join(), words[i - 1]));
        }
        // Fractions of the cube roots of the first 64 primes (FIPS 180-4, section 4.2.2).
        let primes: Vec<u64> = (2u64..312)
            .filter(|n| (2..*n).all(|d| n % d != 0))
            .collect();
        let constant = |p: u64| {
            let target = u128::from(p) << 96;
            let (mut low, mut high) = (0u128, 7u128 << 32);
            while high - low > 1 {
                let mid = (low + high) / 2;
                if mid * mid * mid <= target {
                    low = mid;
                } else {
                    high = mid;
                }
            }
            low as u32
        };
        let h: [u32; 8] = [
            0x6A09_E667,
            0xBB67_AE85,
            0x3C6E_F372,
            0xA54F_F53A,
            0x510E_527F,
            0x9B05_688C,
            0x1F83_D9AB,
            0x5BE0_CD19,
        ];
        let mut abef = to_top([h[0], h[1], h[4], h[5]]);
        let mut cdgh = to_top([h[2], h[3], h[6], h[7]]);
        for (i, &w) in words.iter().enumerate() {
            let sums: [u32; 4] =
                std::array::from_fn(|n| u32x4(w)[n].wrapping_add(constant(primes[4 * i + n])));
            for pair in [[sums[0], sums[1], 0, 0], [sums[2], sums[3], 0, 0]] {
                let next = sha256rnds2(cdgh, abef, pair.join());
                (cdgh, abef) = (abef, next);
            }
        }
        let [a, b, e, f] = from_top(abef);
        let [c, d, g, hh] = from_top(cdgh);
        let sum: Vec<u32> = [a, b, c, d, e, f, g, hh]
            .iter()
            .zip(h)
            .map(|(x, y)| x.wrapping_add(y))
            .collect();
        assert_eq!(
            sum,
            [
                0xBA78_16BF,
                0x8F01_CFEA,
                0x4141_40DE,
                0x5DAE_2223,
                0xB003_61A3,
                0x9617_7A9C,
                0xB410_FF61,
                0xF200_15AD
            ]
        );
    }
}
