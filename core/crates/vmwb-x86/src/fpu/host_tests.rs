//! The soft FPU against the x87 of the host: random and corner operands, every rounding mode and precision, masked and
//! unmasked exceptions, status bits included. Transcendental functions come last: hosts differ in their last bit.

use std::arch::asm;

use super::status::{C0, C1, C2, C3, EXCEPTIONS, PE};
use super::*;

const CASES: u32 = 200_000;
/// What the harness leaves in a destination that the instruction did not write.
const UNTOUCHED: u8 = 0xA5;

/// Operands, results and control words of one experiment, at offsets the assembly below names.
#[repr(C, align(16))]
struct Bench {
    a: [u8; 16],
    b: [u8; 16],
    first: [u8; 16],
    second: [u8; 16],
    control: u16,
    status: u16,
}

impl Bench {
    fn new(a: F80, b: F80, control: u16) -> Self {
        let widen = |value: F80| {
            let mut bytes = [0; 16];
            bytes[..10].copy_from_slice(&value.to_bytes());
            bytes
        };
        Self {
            a: widen(a),
            b: widen(b),
            first: [UNTOUCHED; 16],
            second: [UNTOUCHED; 16],
            control,
            status: 0,
        }
    }

    fn first(&self) -> F80 {
        F80::from_bytes(self.first[..10].try_into().expect("ten bytes"))
    }

    fn second(&self) -> F80 {
        F80::from_bytes(self.second[..10].try_into().expect("ten bytes"))
    }
}

/// Runs one instruction with ST(0) = a and ST(1) = b, and pops two results.
macro_rules! host {
    ($bench:expr, $($instruction:literal),+) => {
        // SAFETY: the pointer is to a live Bench whose layout is repr(C); every x87 register is declared lost, and the
        // final fninit restores the control word a Linux thread starts with. No instruction after the one under test
        // waits for pending exceptions before fnclex has dropped them.
        unsafe {
            asm!(
                "fninit",
                "fld tbyte ptr [{p} + 16]",
                "fld tbyte ptr [{p}]",
                "fldcw word ptr [{p} + 64]",
                $($instruction,)+
                "fnstsw word ptr [{p} + 66]",
                "fnclex",
                "fstp tbyte ptr [{p} + 32]",
                "fnclex",
                "fstp tbyte ptr [{p} + 48]",
                "fninit",
                p = in(reg) &raw mut *$bench,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            )
        }
    };
}

/// A small generator of its own, so that a failing case is the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn significand(&mut self) -> u64 {
        let top = 1 << 63;
        let random = self.next();
        match self.below(10) {
            0 => top,
            1 => u64::MAX,
            2 => top | 1 << self.below(63),
            3 => top | (random & !0 << self.below(63)),
            4 => top | random >> (1 + self.below(62)),
            5 => !0 << self.below(64),
            6 => top | random & 0xFFFF_FF00_0000_0000 | 0x80_0000_0000 | self.below(3),
            7 => top | random & 0xFFFF_FFFF_FFFF_F800 | 0x400,
            _ => top | random,
        }
    }

    fn value(&mut self) -> F80 {
        let negative = self.below(2) == 1;
        let significand = self.significand();
        match self.below(24) {
            0 => F80::new(negative, 0, 0),
            1 => F80::new(negative, 0, significand >> self.below(64)),
            2 => F80::new(negative, 0, significand),
            3 => F80::new(negative, 0x7FFF, 1 << 63),
            4 => F80::new(negative, 0x7FFF, significand | 1 << 62),
            5 => F80::new(negative, 0x7FFF, significand & !(1 << 62)),
            6 => F80::new(negative, self.below(0x8000) as u16, self.next() & !0 >> 1),
            7 => F80::new(negative, self.below(0x8000) as u16, significand),
            8 => F80::new(negative, 1 + self.below(70) as u16, significand),
            9 => F80::new(negative, 0x7FFE - self.below(70) as u16, significand),
            10 => F80::new(negative, 0x3FFF + self.below(80) as u16, significand),
            11 => F80::new(negative, 0x3FFF - 155 + self.below(50) as u16, significand),
            12 => F80::new(negative, 0x3FFF + 110 + self.below(30) as u16, significand),
            13 => F80::new(negative, 0x3FFF - 1080 + self.below(70) as u16, significand),
            14 => F80::new(negative, 0x3FFF + 1010 + self.below(30) as u16, significand),
            15 => F80::new(negative, 0x1FFF - 40 + self.below(80) as u16, significand),
            16 => from_i64(self.below(200) as i64 - 100),
            _ => F80::new(negative, 0x3FFF - 32 + self.below(64) as u16, significand),
        }
    }

    fn control(&mut self) -> u16 {
        let masks = match self.below(3) {
            0 => self.below(64) as u16,
            _ => 0x3F,
        };
        let precision = [0u16, 2, 3, 3][self.below(4) as usize];
        masks | 0x40 | precision << 8 | (self.below(4) as u16) << 10
    }
}

fn for_each_case(mut check: impl FnMut(F80, F80, u16)) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..CASES {
        let (a, b) = (random.value(), random.value());
        check(a, b, random.control());
    }
}

/// Compares a register result; a withheld one must leave ST(0) as it was.
fn same_register(
    name: &str,
    a: F80,
    b: F80,
    control: u16,
    host: &Bench,
    soft: Outcome<F80>,
    codes: u16,
) {
    let env = Env::from_control_word(control);
    let value = if soft.is_withheld(env) { a } else { soft.value };
    let seen = host.status & (EXCEPTIONS | codes);
    assert_eq!(
        (value, soft.status & (EXCEPTIONS | codes)),
        (host.first(), seen),
        "{name} {a:?} {b:?} control {control:04x}: left soft, right host"
    );
}

macro_rules! register_test {
    ($test:ident, $codes:expr, $soft:expr, $($instruction:literal),+) => {
        #[test]
        fn $test() {
            for_each_case(|a, b, control| {
                let mut bench = Bench::new(a, b, control);
                host!(&mut bench, $($instruction),+);
                let soft: fn(F80, F80, Env) -> Outcome<F80> = $soft;
                let outcome = soft(a, b, Env::from_control_word(control));
                same_register(stringify!($test), a, b, control, &bench, outcome, $codes);
            });
        }
    };
}

register_test!(add_agrees_with_the_host, C1, add, "fadd st(0), st(1)");
register_test!(sub_agrees_with_the_host, C1, sub, "fsub st(0), st(1)");
register_test!(mul_agrees_with_the_host, C1, mul, "fmul st(0), st(1)");
register_test!(div_agrees_with_the_host, C1, div, "fdiv st(0), st(1)");
register_test!(
    sqrt_agrees_with_the_host,
    C1,
    |a, _, env| sqrt(a, env),
    "fsqrt"
);
register_test!(
    round_to_integer_agrees_with_the_host,
    C1,
    |a, _, env| round_to_integer(a, env),
    "frndint"
);
register_test!(scale_agrees_with_the_host, C1, scale, "fscale");
register_test!(
    partial_remainder_agrees_with_the_host,
    C0 | C1 | C2 | C3,
    partial_remainder,
    "fprem"
);
register_test!(
    partial_remainder_ieee_agrees_with_the_host,
    C0 | C1 | C2 | C3,
    partial_remainder_ieee,
    "fprem1"
);

#[test]
fn compare_agrees_with_the_host() {
    for_each_case(|a, b, control| {
        let mut bench = Bench::new(a, b, control);
        let soft = compare(a, b);
        host!(&mut bench, "fcom st(1)");
        let codes = soft.value.condition_codes();
        assert_eq!(
            soft.status | codes,
            bench.status & 0x473F,
            "{a:?} {b:?} {control:04x}"
        );
        let mut bench = Bench::new(a, b, control);
        let soft = compare_quiet(a, b);
        host!(&mut bench, "fucom st(1)");
        let codes = soft.value.condition_codes();
        assert_eq!(
            soft.status | codes,
            bench.status & 0x473F,
            "quiet {a:?} {b:?} {control:04x}"
        );
    });
}

#[test]
fn examine_agrees_with_the_host() {
    for_each_case(|a, b, control| {
        let mut bench = Bench::new(a, b, control);
        host!(&mut bench, "fxam");
        assert_eq!(a.examine(), bench.status & (C0 | C1 | C2 | C3), "{a:?}");
    });
}

#[test]
fn extract_agrees_with_the_host() {
    for_each_case(|a, b, control| {
        let mut bench = Bench::new(a, b, control);
        let env = Env::from_control_word(control);
        host!(&mut bench, "fxtract");
        let soft = extract(a);
        let (exponent, significand) = if soft.is_withheld(env) {
            (b, a)
        } else {
            soft.value
        };
        assert_eq!(
            soft.status,
            bench.status & (EXCEPTIONS | C1),
            "{a:?} {control:04x}"
        );
        assert_eq!(
            (exponent, significand),
            (bench.second(), bench.first()),
            "{a:?} {control:04x}"
        );
    });
}

/// Stores through `instruction` into the second result's place and compares as many bytes as the soft result has.
macro_rules! store_test {
    ($test:ident, $soft:expr, $($instruction:literal),+) => {
        #[test]
        fn $test() {
            for_each_case(|a, b, control| {
                let mut bench = Bench::new(a, b, control);
                let env = Env::from_control_word(control);
                // The store goes to `a`, which is spent: the pops do not overwrite it.
                bench.a[10..].fill(UNTOUCHED);
                let before = bench.a;
                host!(&mut bench, $($instruction),+);
                let soft = $soft(a, env);
                let bytes = soft.value.to_bytes_le();
                let mut expected = before;
                if !soft.is_store_withheld(env) {
                    expected[..bytes.len()].copy_from_slice(&bytes);
                }
                assert_eq!(
                    (soft.status, expected),
                    (bench.status & (EXCEPTIONS | C1), bench.a),
                    "{a:?} {control:04x}: left soft, right host"
                );
            });
        }
    };
}

trait LittleEndian {
    fn to_bytes_le(self) -> Vec<u8>;
}

macro_rules! little_endian {
    ($($kind:ty),+) => { $(impl LittleEndian for $kind {
        fn to_bytes_le(self) -> Vec<u8> {
            self.to_le_bytes().to_vec()
        }
    })+ };
}
little_endian!(i16, i32, i64, u32, u64);

impl LittleEndian for [u8; 10] {
    fn to_bytes_le(self) -> Vec<u8> {
        self.to_vec()
    }
}

store_test!(to_f32_agrees_with_the_host, to_f32, "fst dword ptr [{p}]");
store_test!(to_f64_agrees_with_the_host, to_f64, "fst qword ptr [{p}]");
store_test!(to_i16_agrees_with_the_host, to_i16, "fist word ptr [{p}]");
store_test!(to_i32_agrees_with_the_host, to_i32, "fist dword ptr [{p}]");
store_test!(to_i64_agrees_with_the_host, to_i64, "fistp qword ptr [{p}]");
store_test!(to_bcd_agrees_with_the_host, to_bcd, "fbstp tbyte ptr [{p}]");

#[test]
fn loads_agree_with_the_host() {
    let mut random = Random(77);
    for _ in 0..CASES {
        let control = 0x037F;
        let env = Env::from_control_word(control);
        let bits = random.next()
            & [!0, !0 << 52, 0x800F_FFFF_FFFF_FFFF, !0 << 23][random.below(4) as usize];
        let mut bench = Bench::new(
            F80 {
                sign_exp: 0,
                significand: bits,
            },
            F80::ONE,
            control,
        );
        host!(&mut bench, "fld qword ptr [{p}]");
        let soft = from_f64(bits, env);
        assert_eq!(
            (soft.value, soft.status),
            (bench.first(), bench.status & EXCEPTIONS),
            "f64 {bits:x}"
        );
        host!(&mut bench, "fld dword ptr [{p} + 4]");
        let soft = from_f32((bits >> 32) as u32, env);
        assert_eq!(
            (soft.value, soft.status),
            (bench.first(), bench.status & EXCEPTIONS),
            "f32 {bits:x}"
        );
        host!(&mut bench, "fild qword ptr [{p}]");
        assert_eq!(from_i64(bits as i64), bench.first(), "i64 {bits:x}");
        host!(&mut bench, "fild word ptr [{p}]");
        assert_eq!(from_i16(bits as i16), bench.first(), "i16 {bits:x}");
    }
}

#[test]
fn constants_agree_with_the_host() {
    for rc in 0..4u16 {
        let rounding = Rounding::from_bits(u32::from(rc));
        let mut bench = Bench::new(F80::ZERO, F80::ZERO, 0x033F | rc << 10);
        host!(&mut bench, "fldpi");
        assert_eq!(fldpi(rounding), bench.first(), "fldpi {rounding:?}");
        host!(&mut bench, "fldl2t");
        assert_eq!(fldl2t(rounding), bench.first(), "fldl2t {rounding:?}");
        host!(&mut bench, "fldl2e");
        assert_eq!(fldl2e(rounding), bench.first(), "fldl2e {rounding:?}");
        host!(&mut bench, "fldlg2");
        assert_eq!(fldlg2(rounding), bench.first(), "fldlg2 {rounding:?}");
        host!(&mut bench, "fldln2");
        assert_eq!(fldln2(rounding), bench.first(), "fldln2 {rounding:?}");
    }
}

/// Distance in units of the last place; huge when the signs differ.
fn distance(a: F80, b: F80) -> u128 {
    let key = |x: F80| u128::from(x.exponent()) << 63 | u128::from(x.significand & !(1 << 63));
    if a.is_negative() == b.is_negative() {
        key(a).abs_diff(key(b))
    } else {
        u128::MAX
    }
}

/// Transcendental functions: within a unit of the host, where its result is defined and its pi is good enough, and the
/// same exceptions but PE (hardware sets it for exact results too). Special operands must agree to the bit.
macro_rules! transcendental_test {
    ($test:ident, $domain:expr, $soft:expr, $instruction:literal) => {
        #[test]
        fn $test() {
            let domain: fn(F80) -> bool = $domain;
            let soft: fn(F80, F80, Env) -> Outcome<F80> = $soft;
            for_each_case(|a, b, _| {
                let a = if a.is_normal() && !domain(a) {
                    F80 {
                        sign_exp: a.sign_exp & 0x8000 | 0x3FFB,
                        ..a
                    }
                } else {
                    a
                };
                let mut bench = Bench::new(a, b, 0x037F);
                host!(&mut bench, $instruction);
                let outcome = soft(a, b, Env::from_control_word(0x037F));
                let limit = u128::from(outcome.status & PE != 0);
                let relevant = EXCEPTIONS & !PE | C2;
                assert!(
                    distance(outcome.value, bench.first()) <= limit,
                    "{a:?} {b:?}: soft {:?}, host {:?}",
                    outcome.value,
                    bench.first()
                );
                assert_eq!(
                    outcome.status & relevant,
                    bench.status & relevant,
                    "{a:?} {b:?}"
                );
            });
        }
    };
}

transcendental_test!(
    sine_is_near_the_host,
    |a| a.exponent() < 0x4000,
    |a, _, env| sine(a, env),
    "fsin"
);
transcendental_test!(
    cosine_is_near_the_host,
    |a| a.exponent() < 0x3FFF,
    |a, _, env| cosine(a, env),
    "fcos"
);
transcendental_test!(
    arctangent_is_near_the_host,
    |_| true,
    |x, y, env| partial_arctangent(y, x, env),
    "fpatan"
);
transcendental_test!(
    f2xm1_is_near_the_host,
    |a| a.exponent() < 0x3FFF,
    |a, _, env| f2xm1(a, env),
    "f2xm1"
);
transcendental_test!(
    fyl2x_is_near_the_host,
    |_| true,
    |x, y, env| fyl2x(y, x, env),
    "fyl2x"
);
transcendental_test!(
    fyl2xp1_is_near_the_host,
    |a| a.exponent() < 0x3FFD,
    |x, y, env| fyl2xp1(y, x, env),
    "fyl2xp1"
);
transcendental_test!(
    tangent_is_near_the_host,
    |a| a.exponent() < 0x3FFF,
    |a, _, env| {
        let outcome = partial_tangent(a, env);
        Outcome {
            value: outcome.value.0,
            status: outcome.status & !C2,
        }
    },
    // Its 1 is dropped; an argument out of range would push none, and the domain has none.
    "fptan\nfstp st(0)"
);
