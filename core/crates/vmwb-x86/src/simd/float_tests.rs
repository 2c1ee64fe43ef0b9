//! SSE floating point three ways: the public functions, the portable arithmetic behind them, and the host's own
//! instructions, on random and corner operands under every rounding mode, FTZ, DAZ, masks and sticky flags.
//!
//! The public functions and the host must agree to the bit in result and flags; what only an unmasked exception can show
//! is taken from the portable arithmetic and checked for its rules.

use std::arch::asm;
use std::arch::x86_64::__m128i;

use super::float::*;
use super::mxcsr::{DAZ, FLAGS, FTZ, MASKS, OM, RESET, UE, UM};
use super::soft::{self, DOUBLE, Lane, SINGLE};
use super::{Unmasked, host};

const CASES: u32 = 100_000;

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

    /// A lane whose exponent and fraction favour the corners of the format.
    fn float(&mut self, fraction_bits: u32, exponent_bits: u32) -> u64 {
        let top = (1u64 << exponent_bits) - 1;
        let bias = top >> 1;
        let exponent = match self.below(16) {
            0 => 0,
            1 => top,
            2 => 1 + self.below(3),
            3 => top - 1 - self.below(3),
            4 => self.below(top + 1),
            5 => (bias / 2).wrapping_add(self.below(60)) - 30,
            6 => (bias + bias / 2).wrapping_add(self.below(60)) - 30,
            7 => 1 + self.below(60),
            8 => bias + 20 + self.below(50),
            _ => bias - 16 + self.below(32),
        };
        let random = self.next();
        let fraction = match self.below(8) {
            0 => 0,
            1 => !0,
            2 => 1 << self.below(fraction_bits.into()),
            3 => !0 << self.below(fraction_bits.into()),
            4 => self.below(8),
            5 => random & !0 << (fraction_bits / 2),
            _ => random,
        };
        let fraction = fraction & ((1 << fraction_bits) - 1);
        self.below(2) << (fraction_bits + exponent_bits)
            | (exponent & top) << fraction_bits
            | fraction
    }

    fn single(&mut self) -> u32 {
        self.float(23, 8) as u32
    }

    fn double(&mut self) -> u64 {
        self.float(52, 11)
    }

    fn singles(&mut self) -> u128 {
        (0..4).fold(0, |register, _| register << 32 | u128::from(self.single()))
    }

    fn doubles(&mut self) -> u128 {
        u128::from(self.double()) << 64 | u128::from(self.double())
    }

    /// Half of the time what most programs run with, and then often with PE set already.
    fn mxcsr(&mut self) -> u32 {
        let sticky = if self.below(2) == 0 {
            0x20
        } else {
            self.below(64) as u32
        };
        match self.below(4) {
            0 | 1 => RESET | sticky,
            2 => RESET | sticky | (self.next() as u32 & (FTZ | DAZ | 3 << 13)),
            _ => sticky | (self.next() as u32 & 0xFFC0),
        }
    }
}

/// One host instruction under the guest's MXCSR with everything masked, as a function of two registers. The result is the
/// register {x} (also the first operand; {y} is the second), or with `integer` the general register {n}.
macro_rules! host {
    (integer $($instruction:tt)+) => { host!(@run n, $($instruction)+) };
    (@run $result:ident, $($instruction:tt)+) => {
        |a: u128, b: u128, mxcsr: u32| -> (u128, u32) {
            let (mut x, y) = (to_host(a), to_host(b));
            let mut guest = (mxcsr & !FLAGS) | MASKS;
            let mut saved = 0u32;
            let mut n = 0u64;
            // SAFETY: MXCSR is put back within the block; masked exceptions do not trap.
            unsafe {
                asm!(
                    "stmxcsr dword ptr [{saved}]",
                    "ldmxcsr dword ptr [{guest}]",
                    $($instruction)+,
                    "stmxcsr dword ptr [{guest}]",
                    "ldmxcsr dword ptr [{saved}]",
                    "# {x} {y} {n}",
                    saved = in(reg) &raw mut saved,
                    guest = in(reg) &raw mut guest,
                    x = inout(xmm_reg) x,
                    y = in(xmm_reg) y,
                    n = inout(reg) n,
                );
            }
            let results = Results { x: from_host(x), n: n.into() };
            (results.$result, guest & FLAGS)
        }
    };
    ($($instruction:tt)+) => { host!(@run x, $($instruction)+) };
}

/// Both places a result can be in.
#[allow(dead_code)]
struct Results {
    x: u128,
    n: u128,
}

fn to_host(a: u128) -> __m128i {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

fn from_host(a: __m128i) -> u128 {
    // SAFETY: same size, no invalid patterns.
    unsafe { std::mem::transmute(a) }
}

/// What the instruction leaves: the result if it may be written, and MXCSR. Overflow and underflow must be masked.
fn expected(result: u128, flags: u32, mxcsr: u32) -> (Result<u128, Unmasked>, u32) {
    let mut after = mxcsr;
    let outcome = super::mxcsr::conclude(result, flags, &mut after);
    (outcome, after)
}

/// Runs `ours` and `theirs` on random operands and compares results, flags and #XM.
fn agree(
    name: &str,
    operand: fn(&mut Random) -> u128,
    ours: fn(u128, u128, &mut u32) -> Result<u128, Unmasked>,
    theirs: fn(u128, u128, u32) -> (u128, u32),
) {
    let mut random = Random(0x0DDB_1A5E_5BAD_5EED);
    for _ in 0..CASES {
        let (a, b) = (operand(&mut random), operand(&mut random));
        // With everything masked the host cannot show what an unmasked overflow or underflow reports: see the last tests,
        // and the differential test, which lets it trap.
        let mxcsr = random.mxcsr() | OM | UM;
        let mut after = mxcsr;
        let seen = ours(a, b, &mut after);
        let (result, flags) = theirs(a, b, mxcsr);
        assert_eq!(
            (seen, after),
            expected(result, flags, mxcsr),
            "{name} {a:032x} {b:032x} mxcsr {mxcsr:04x}"
        );
    }
}

fn single_lane(random: &mut Random) -> u128 {
    random.single().into()
}

fn double_lane(random: &mut Random) -> u128 {
    random.double().into()
}

macro_rules! arithmetic_agrees {
    ($($test:ident: $ss:ident $sd:ident $ps:ident $pd:ident, $soft:path;)+) => {
        $(
            #[test]
            fn $test() {
                let single = |a: u128, b: u128, m: &mut u32| $ss(a as u32, b as u32, m).map(u128::from);
                agree(stringify!($ss), single_lane, single, host::$ss);
                let double = |a: u128, b: u128, m: &mut u32| $sd(a as u64, b as u64, m).map(u128::from);
                agree(stringify!($sd), double_lane, double, host::$sd);
                agree(stringify!($ps), Random::singles, $ps, host::$ps);
                agree(stringify!($pd), Random::doubles, $pd, host::$pd);
                let single = |a: u128, b: u128, m: &mut u32| portable($soft(SINGLE, a as u64, b as u64, *m), m);
                agree(concat!("soft ", stringify!($ss)), single_lane, single, host::$ss);
                let double = |a: u128, b: u128, m: &mut u32| portable($soft(DOUBLE, a as u64, b as u64, *m), m);
                agree(concat!("soft ", stringify!($sd)), double_lane, double, host::$sd);
            }
        )+
    };
}

fn portable(lane: Lane, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    super::mxcsr::conclude(lane.bits.into(), lane.flags, mxcsr)
}

arithmetic_agrees! {
    addition_agrees: addss addsd addps addpd, soft::add;
    subtraction_agrees: subss subsd subps subpd, soft::sub;
    multiplication_agrees: mulss mulsd mulps mulpd, soft::mul;
    division_agrees: divss divsd divps divpd, soft::div;
}

#[test]
fn square_roots_agree() {
    let single = |_: u128, b: u128, m: &mut u32| sqrtss(b as u32, m).map(u128::from);
    agree("sqrtss", single_lane, single, |_, b, m| {
        host::sqrtss(0, b, m)
    });
    let double = |_: u128, b: u128, m: &mut u32| sqrtsd(b as u64, m).map(u128::from);
    agree("sqrtsd", double_lane, double, |_, b, m| {
        host::sqrtsd(0, b, m)
    });
    agree(
        "sqrtps",
        Random::singles,
        |_, b, m| sqrtps(b, m),
        |_, b, m| host::sqrtps(0, b, m),
    );
    agree(
        "sqrtpd",
        Random::doubles,
        |_, b, m| sqrtpd(b, m),
        |_, b, m| host::sqrtpd(0, b, m),
    );
    let single = |_: u128, b: u128, m: &mut u32| portable(soft::sqrt(SINGLE, b as u64, *m), m);
    agree("soft sqrtss", single_lane, single, |_, b, m| {
        host::sqrtss(0, b, m)
    });
    let double = |_: u128, b: u128, m: &mut u32| portable(soft::sqrt(DOUBLE, b as u64, *m), m);
    agree("soft sqrtsd", double_lane, double, |_, b, m| {
        host::sqrtsd(0, b, m)
    });
}

#[test]
fn minimum_and_maximum_agree() {
    agree(
        "minss",
        single_lane,
        |a, b, m| minss(a as u32, b as u32, m).map(u128::from),
        host!("minss {x}, {y}"),
    );
    agree(
        "maxss",
        single_lane,
        |a, b, m| maxss(a as u32, b as u32, m).map(u128::from),
        host!("maxss {x}, {y}"),
    );
    agree(
        "minsd",
        double_lane,
        |a, b, m| minsd(a as u64, b as u64, m).map(u128::from),
        host!("minsd {x}, {y}"),
    );
    agree(
        "maxsd",
        double_lane,
        |a, b, m| maxsd(a as u64, b as u64, m).map(u128::from),
        host!("maxsd {x}, {y}"),
    );
    agree("minps", Random::singles, minps, host!("minps {x}, {y}"));
    agree("maxps", Random::singles, maxps, host!("maxps {x}, {y}"));
    agree("minpd", Random::doubles, minpd, host!("minpd {x}, {y}"));
    agree("maxpd", Random::doubles, maxpd, host!("maxpd {x}, {y}"));
}

macro_rules! predicates_agree {
    ($($predicate:literal $text:literal),+) => {
        $(
            agree(concat!("cmpss ", $text), single_lane,
                |a, b, m| cmpss(a as u32, b as u32, $predicate, m).map(u128::from),
                host!(concat!("cmpss {x}, {y}, ", $text)));
            agree(concat!("cmpsd ", $text), double_lane,
                |a, b, m| cmpsd(a as u64, b as u64, $predicate, m).map(u128::from),
                host!(concat!("cmpsd {x}, {y}, ", $text)));
            agree(concat!("cmpps ", $text), Random::singles, |a, b, m| cmpps(a, b, $predicate, m),
                host!(concat!("cmpps {x}, {y}, ", $text)));
            agree(concat!("cmppd ", $text), Random::doubles, |a, b, m| cmppd(a, b, $predicate, m),
                host!(concat!("cmppd {x}, {y}, ", $text)));
        )+
    };
}

#[test]
fn comparisons_by_predicate_agree() {
    predicates_agree!(0 "0", 1 "1", 2 "2", 3 "3", 4 "4", 5 "5", 6 "6", 7 "7");
}

#[test]
fn comparisons_to_eflags_agree() {
    agree(
        "comiss",
        single_lane,
        |a, b, m| comiss(a as u32, b as u32, m).map(|r| r.eflags().into()),
        host!(integer "comiss {x}, {y}", "pushfq", "pop {n}", "and {n}, 0x45"),
    );
    agree(
        "ucomiss",
        single_lane,
        |a, b, m| ucomiss(a as u32, b as u32, m).map(|r| r.eflags().into()),
        host!(integer "ucomiss {x}, {y}", "pushfq", "pop {n}", "and {n}, 0x45"),
    );
    agree(
        "comisd",
        double_lane,
        |a, b, m| comisd(a as u64, b as u64, m).map(|r| r.eflags().into()),
        host!(integer "comisd {x}, {y}", "pushfq", "pop {n}", "and {n}, 0x45"),
    );
    agree(
        "ucomisd",
        double_lane,
        |a, b, m| ucomisd(a as u64, b as u64, m).map(|r| r.eflags().into()),
        host!(integer "ucomisd {x}, {y}", "pushfq", "pop {n}", "and {n}, 0x45"),
    );
}

#[test]
fn scalar_conversions_to_integers_agree() {
    agree(
        "cvtss2si32",
        single_lane,
        |a, _, m| cvtss2si32(a as u32, m).map(|n| (n as u32).into()),
        host!(integer "cvtss2si {n:e}, {x}"),
    );
    agree(
        "cvttss2si32",
        single_lane,
        |a, _, m| cvttss2si32(a as u32, m).map(|n| (n as u32).into()),
        host!(integer "cvttss2si {n:e}, {x}"),
    );
    agree(
        "cvtss2si64",
        single_lane,
        |a, _, m| cvtss2si64(a as u32, m).map(|n| (n as u64).into()),
        host!(integer "cvtss2si {n}, {x}"),
    );
    agree(
        "cvttss2si64",
        single_lane,
        |a, _, m| cvttss2si64(a as u32, m).map(|n| (n as u64).into()),
        host!(integer "cvttss2si {n}, {x}"),
    );
    agree(
        "cvtsd2si32",
        double_lane,
        |a, _, m| cvtsd2si32(a as u64, m).map(|n| (n as u32).into()),
        host!(integer "cvtsd2si {n:e}, {x}"),
    );
    agree(
        "cvttsd2si32",
        double_lane,
        |a, _, m| cvttsd2si32(a as u64, m).map(|n| (n as u32).into()),
        host!(integer "cvttsd2si {n:e}, {x}"),
    );
    agree(
        "cvtsd2si64",
        double_lane,
        |a, _, m| cvtsd2si64(a as u64, m).map(|n| (n as u64).into()),
        host!(integer "cvtsd2si {n}, {x}"),
    );
    agree(
        "cvttsd2si64",
        double_lane,
        |a, _, m| cvttsd2si64(a as u64, m).map(|n| (n as u64).into()),
        host!(integer "cvttsd2si {n}, {x}"),
    );
}

#[test]
fn conversions_between_formats_agree() {
    agree(
        "cvtss2sd",
        single_lane,
        |a, _, m| cvtss2sd(a as u32, m).map(u128::from),
        host!("cvtss2sd {x}, {x}"),
    );
    agree(
        "cvtsd2ss",
        double_lane,
        |a, _, m| cvtsd2ss(a as u64, m).map(|r| (a & !0xFFFF_FFFF) | u128::from(r)),
        host!("cvtsd2ss {x}, {x}"),
    );
    agree(
        "cvtps2pd",
        Random::singles,
        |a, _, m| cvtps2pd(a as u64, m),
        host!("cvtps2pd {x}, {x}"),
    );
    agree(
        "cvtpd2ps",
        Random::doubles,
        |a, _, m| cvtpd2ps(a, m).map(u128::from),
        host!("cvtpd2ps {x}, {x}"),
    );
    agree(
        "cvtps2dq",
        Random::singles,
        |a, _, m| cvtps2dq(a, m),
        host!("cvtps2dq {x}, {x}"),
    );
    agree(
        "cvttps2dq",
        Random::singles,
        |a, _, m| cvttps2dq(a, m),
        host!("cvttps2dq {x}, {x}"),
    );
    agree(
        "cvtpd2dq",
        Random::doubles,
        |a, _, m| cvtpd2dq(a, m).map(u128::from),
        host!("cvtpd2dq {x}, {x}"),
    );
    agree(
        "cvttpd2dq",
        Random::doubles,
        |a, _, m| cvttpd2dq(a, m).map(u128::from),
        host!("cvttpd2dq {x}, {x}"),
    );
}

fn integers(random: &mut Random) -> u128 {
    let shift = random.below(64);
    u128::from(random.next()) << 64 | u128::from((random.next() as i64 >> shift) as u64)
}

#[test]
fn conversions_from_integers_agree() {
    agree(
        "cvtdq2ps",
        integers,
        |a, _, m| cvtdq2ps(a, m),
        host!("cvtdq2ps {x}, {x}"),
    );
    agree(
        "cvtdq2pd",
        integers,
        |a, _, _| Ok(cvtdq2pd(a as u64)),
        host!("cvtdq2pd {x}, {x}"),
    );
    agree(
        "cvtsi2sd r64",
        integers,
        |a, _, m| cvtsi2sd(a as i64, m).map(|r| (a >> 64 << 64) | u128::from(r)),
        host!("movq {n}, {x}\ncvtsi2sd {x}, {n}"),
    );
    agree(
        "cvtsi2ss r64",
        integers,
        |a, _, m| cvtsi2ss(a as i64, m).map(|r| (a >> 32 << 32) | u128::from(r)),
        host!("movq {n}, {x}\ncvtsi2ss {x}, {n}"),
    );
    agree(
        "cvtsi2ss r32",
        integers,
        |a, _, m| cvtsi2ss(i64::from(a as i32), m).map(|r| (a >> 32 << 32) | u128::from(r)),
        host!("movd {n:e}, {x}\ncvtsi2ss {x}, {n:e}"),
    );
}

#[test]
fn unmasked_underflow_reports_exact_tiny_results_and_ignores_ftz() {
    let (smallest, half) = (f64::MIN_POSITIVE.to_bits(), 0.5f64.to_bits());
    let mut mxcsr = (RESET | FTZ) & !UM;
    assert_eq!(mulsd(smallest, half, &mut mxcsr), Err(Unmasked));
    assert_eq!(mxcsr & FLAGS, UE);
    let mut mxcsr = RESET & !UM;
    let packed = u128::from(smallest) << 64 | u128::from(half);
    let halves = u128::from(half) << 64 | u128::from(half);
    assert_eq!(mulpd(packed, halves, &mut mxcsr), Err(Unmasked));
    assert_eq!(mxcsr & FLAGS, UE);
}

#[test]
fn horizontal_and_alternating_sums_agree() {
    agree("haddps", Random::singles, haddps, host!("haddps {x}, {y}"));
    agree("hsubps", Random::singles, hsubps, host!("hsubps {x}, {y}"));
    agree("haddpd", Random::doubles, haddpd, host!("haddpd {x}, {y}"));
    agree("hsubpd", Random::doubles, hsubpd, host!("hsubpd {x}, {y}"));
    agree(
        "addsubps",
        Random::singles,
        addsubps,
        host!("addsubps {x}, {y}"),
    );
    agree(
        "addsubpd",
        Random::doubles,
        addsubpd,
        host!("addsubpd {x}, {y}"),
    );
}
