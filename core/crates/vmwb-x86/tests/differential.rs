//! Every user-level form of the instruction table against the host's own processor, with random operands.
//!
//! Forms are drawn from the table itself, so that none is left out but those that [`EXCLUDED`] names with the reason.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod host;

use std::collections::BTreeMap;

use host::encode::{Random, Sample, sample};
use host::guest::Guest;
use host::{DATA, End, Host, State};
use vmwb_x86::isa::{Class, FORMS, Form, Only};

/// Samples of each form.
const SAMPLES: usize = 400;
/// ES of the x87 status word, and its condition codes.
const SUMMARY: u16 = 0x80;
const CONDITIONS: u16 = 0x4700;
const ARITHMETIC_FLAGS: u64 = 0xCD5;

/// Forms that cannot be compared, by mnemonic, and why.
const EXCLUDED: &[(&str, &[&str])] = &[
    (
        "transcendental: within an ulp of the true value, not equal to any one processor; src/fpu has vectors",
        &[
            "fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1",
        ],
    ),
    (
        "approximations: one table of our own on every host",
        &["rcpps", "rcpss", "rsqrtps", "rsqrtss"],
    ),
    (
        "images hold instruction pointers, which hosts keep or drop by model; tests/xsave.rs looks at the rest",
        &["fnsave", "fnstenv", "xsave", "xsaveopt"],
    ),
    (
        "images of random bytes are not states; their fields have tests of their own",
        &["frstor", "fldenv", "fxrstor", "xrstor"],
    ),
    (
        "a system call or trap of the host",
        &["int", "int3", "int1", "syscall", "sysenter", "into"],
    ),
    (
        "the host's clock and identity",
        &["rdtsc", "rdtscp", "cpuid", "rdpmc"],
    ),
    (
        "segments of the host's process",
        &[
            "lss", "lfs", "lgs", "verr", "verw", "lar", "lsl", "str", "sldt", "smsw", "sgdt",
            "sidt",
        ],
    ),
    (
        "leaves the code page",
        &[
            "call", "call far", "jmp far", "ret", "ret far", "iret", "enter",
        ],
    ),
    (
        "random numbers: no two processors agree",
        &["rdrand", "rdseed"],
    ),
    (
        "what the host's system has enabled; tests/xsave.rs looks at ours",
        &["xgetbv"],
    ),
    (
        "the host's process keeps its thread's data there; the GS forms are compared",
        &["rdfsbase", "wrfsbase"],
    ),
    (
        "control flags that user programs cannot change",
        &["popf", "pushf"],
    ),
];

fn excluded(f: &Form) -> bool {
    let named = EXCLUDED
        .iter()
        .any(|(_, list)| list.contains(&f.mnemonic) || list.contains(&f.asm));
    let indirect = f.mnemonic == "jmp" && f.operands[0].class != Class::J;
    let segment = f.operands.iter().any(|o| {
        use Class::{S, Sreg0, Sreg1, Sreg2, Sreg3, Sreg4, Sreg5};
        matches!(o.class, S | Sreg0 | Sreg1 | Sreg2 | Sreg3 | Sreg4 | Sreg5)
    });
    named || indirect || segment || !f.privilege.is_empty()
}

const INTEGERS: [u64; 12] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0x7FFF_FFFF,
    0x8000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    0x8000_0000_0000_0000,
];
const SINGLES: [u32; 16] = [
    0,
    0x8000_0000,
    0x3F80_0000,
    0xBF80_0000,
    0x7F80_0000,
    0xFF80_0000,
    0x7FC0_0001,
    0x7F80_0001,
    1,
    0x8000_0001,
    0x007F_FFFF,
    0x0080_0000,
    0x7F7F_FFFF,
    0x4F00_0000,
    0xCF00_0000,
    0x5F00_0000,
];
const DOUBLES: [u64; 18] = [
    0,
    1 << 63,
    0x3FF0_0000_0000_0000,
    0xBFF0_0000_0000_0000,
    0x7FF0_0000_0000_0000,
    0xFFF0_0000_0000_0000,
    0x7FF8_0000_0000_0001,
    0x7FF0_0000_0000_0001,
    1,
    0x000F_FFFF_FFFF_FFFF,
    0x0010_0000_0000_0000,
    0x7FEF_FFFF_FFFF_FFFF,
    0x41DF_FFFF_FFC0_0000,
    0xC1E0_0000_0000_0000,
    0x43E0_0000_0000_0000,
    0x47EF_FFFF_FFFF_FFFF,
    0x36A0_0000_0000_0000,
    0x3FE0_0000_0000_0000,
];
const EXPONENTS: [u16; 14] = [
    0, 1, 2, 0x3FFE, 0x3FFF, 0x4000, 0x400E, 0x401D, 0x403D, 0x403E, 0x43FE, 0x7FFD, 0x7FFE, 0x7FFF,
];

fn integer(r: &mut Random) -> u64 {
    match r.below(4) {
        0 => r.pick(&INTEGERS),
        1 => r.pick(&INTEGERS).wrapping_neg().wrapping_add(r.below(3)),
        2 => r.below(256),
        _ => r.bits(),
    }
}

fn single(r: &mut Random) -> u32 {
    match r.below(3) {
        0 => r.pick(&SINGLES),
        1 => (r.bits() as u32 & 0x807F_FFFF) | (120 + r.below(16) as u32) << 23,
        _ => r.bits() as u32,
    }
}

fn double(r: &mut Random) -> u64 {
    match r.below(3) {
        0 => r.pick(&DOUBLES),
        1 => (r.bits() & 0x800F_FFFF_FFFF_FFFF) | (1015 + r.below(60)) << 52,
        _ => r.bits(),
    }
}

fn lanes(r: &mut Random) -> u128 {
    match r.below(3) {
        0 => (0..4).fold(0, |v, _| v << 32 | u128::from(single(r))),
        1 => u128::from(double(r)) << 64 | u128::from(double(r)),
        _ => u128::from(integer(r)) << 64 | u128::from(integer(r)),
    }
}

fn extended(r: &mut Random) -> (u64, u16) {
    let sign = (r.below(2) << 15) as u16;
    let exponent = if r.one_in(2) {
        r.pick(&EXPONENTS)
    } else {
        0x3FF0 + r.below(80) as u16
    };
    let significand = match r.below(8) {
        0 => 0,
        1 => 1 << 63,
        2 => 3 << 62,
        3 => r.bits(),
        4 => 1 << 63 | r.below(4) << 62 | 1,
        _ => r.bits() | 1 << 63,
    };
    (significand, sign | exponent)
}

fn random_state(r: &mut Random) -> State {
    let mut s = State::new();
    for v in &mut s.gpr {
        *v = integer(r);
    }
    s.flags = 0x202 | r.bits() & ARITHMETIC_FLAGS;
    for i in 0..16 {
        let v = lanes(r);
        s.set_xmm(i, v);
    }
    let masks = if r.one_in(4) { r.bits() & 0x3F } else { 0x3F };
    let simd_masks = if r.one_in(4) {
        r.bits() as u32 & 0x3F
    } else {
        0x3F
    };
    s.set_mxcsr(
        simd_masks << 7
            | (r.bits() as u32 & 0x603F)
            | if r.one_in(4) {
                r.bits() as u32 & 0x8040
            } else {
                0
            },
    );
    let mut control =
        0x40 | masks as u16 | (r.below(4) as u16) << 10 | r.pick(&[0u16, 2, 3, 3]) << 8;
    if r.one_in(8) {
        control |= 0x1000;
    }
    s.set16(0, control);
    // Flags that are not masked would be pending: that is drawn apart, and rarely.
    let mut status = (r.bits() as u16) & 0x4700
        | (r.below(8) as u16) << 11
        | r.bits() as u16 & masks as u16 & 0x3F;
    if r.one_in(16) && masks != 0x3F {
        status |= !masks as u16 & 0x3F | 0x8080;
    }
    s.set16(2, status);
    s.fx[4] = match r.below(4) {
        0 => r.bits() as u8,
        1 => 0,
        _ => 0xFF,
    };
    for i in 0..8 {
        let (significand, sign_exp) = extended(r);
        s.set_st(i, significand, sign_exp);
    }
    s
}

/// Operands of string comparisons: few letters, so that something matches, ends here and there, and lengths around those
/// of a register.
fn texts(s: &mut State, r: &mut Random) {
    for i in 0..16 {
        let v = text(r);
        s.set_xmm(i, v);
    }
    for n in [0, 2] {
        s.gpr[n] = match r.below(3) {
            0 => r.below(20),
            1 => r.below(20).wrapping_neg(),
            _ => integer(r),
        };
    }
}

fn text(r: &mut Random) -> u128 {
    let letters = [1, 2, 0x7F, 0x80, 0xFF, 0];
    let known = letters.len() as u64 - u64::from(r.one_in(2));
    let bytes = std::array::from_fn(|_| letters[r.below(known) as usize]);
    u128::from_le_bytes(bytes)
}

/// Sets the registers so that the memory operand is where the sample wants it; `false`: this draw cannot.
fn aim(sample: &Sample, s: &mut State, r: &mut Random) -> bool {
    let f = sample.insn.form();
    s.gpr[4] = DATA + 0x1000 + 8 * r.below(16);
    let string = f.operands.iter().any(|o| o.class == Class::X)
        || ["movs", "stos", "lods", "scas", "cmps"]
            .iter()
            .any(|n| f.mnemonic.starts_with(n) && f.operands[0].class == Class::None);
    if string || f.mnemonic.starts_with("maskmov") {
        s.gpr[6] = DATA + 0x300 + r.below(64);
        s.gpr[7] = DATA + 0x340 + r.below(64);
        s.gpr[1] = r.below(20);
        s.flags |= 0x400 * r.below(2);
    }
    match f.mnemonic {
        "xlat" => s.gpr[3] = sample.target,
        "pcmpestri" | "pcmpestrm" | "pcmpistri" | "pcmpistrm" => texts(s, r),
        "leave" => s.gpr[5] = DATA + 0x1100,
        // Random dividends overflow nearly always.
        "div" | "idiv" if !r.one_in(4) => s.gpr[2] = 0,
        _ => {}
    }
    // Undefined: counts above the operand's size.
    if matches!(f.mnemonic, "shld" | "shrd") && sample.insn.opsize == 2 {
        return false;
    }
    let bit_base =
        matches!(f.mnemonic, "bt" | "bts" | "btr" | "btc") && f.operands[1].class == Class::G;
    let Some(mem) = sample.insn.mem else {
        return true;
    };
    // The operand is aimed by its base, which would lead the stack out of the data area.
    if matches!(f.mnemonic, "push" | "pop") && mem.base == Some(4) {
        return false;
    }
    if bit_base {
        s.gpr[usize::from(sample.insn.reg)] = r.below(1024).wrapping_sub(512);
    }
    if mem.rip || f.mnemonic == "lea" {
        return true;
    }
    let index = match mem.index {
        Some(i) => {
            s.gpr[usize::from(i)] = r.below(200);
            s.gpr[usize::from(i)] << mem.scale
        }
        None => 0,
    };
    match mem.base {
        Some(b) if mem.index == Some(b) || (bit_base && b == sample.insn.reg) => return false,
        Some(b) => {
            s.gpr[usize::from(b)] = sample
                .target
                .wrapping_sub(index)
                .wrapping_sub(mem.disp as u64)
        }
        None if mem.index.is_some() => return false,
        None => {}
    }
    !(bit_base && mem.index == Some(sample.insn.reg))
}

/// Bits of the x87 status word that processors of Intel and AMD treat differently.
fn vendor_status(f: &Form) -> u16 {
    match f.mnemonic {
        // Intel's manual says that C1 is cleared; AMD's processors leave it.
        "fcomi" | "fcomip" | "fucomi" | "fucomip" => 1 << 9,
        _ => 0,
    }
}

/// Blanks what hosts fill in by model: pointers and opcode of the last x87 instruction, the mask of MXCSR, and what
/// FXSAVE leaves alone.
fn blank_image(image: &mut [u8]) {
    image[6..24].fill(0);
    image[28..32].fill(0);
    image[416..512].fill(0);
}

fn differences(f: &Form, guest: &State, host: &State) -> Vec<String> {
    let mut out = Vec::new();
    for n in 0..16 {
        if guest.gpr[n] != host.gpr[n] {
            out.push(format!("r{n} {:x} host {:x}", guest.gpr[n], host.gpr[n]));
        }
    }
    // OF behind a double shift is defined for a count of 1 only.
    let of = if matches!(f.mnemonic, "shld" | "shrd") {
        0x800
    } else {
        0
    };
    let raised = (guest.get16(2) | host.get16(2)) & SUMMARY != 0;
    // Behind an unmasked invalid operation FCOMI leaves the flags alone by Intel's manual; AMD's processors set them.
    let kept = if raised && vendor_status(f) != 0 {
        ARITHMETIC_FLAGS
    } else {
        0
    };
    let mask = (ARITHMETIC_FLAGS | 0x400) & !u64::from(f.undefined) & !of & !kept;
    if (guest.flags ^ host.flags) & mask != 0 {
        out.push(format!(
            "flags {:x} host {:x}",
            guest.flags & mask,
            host.flags & mask
        ));
    }
    for n in 0..16 {
        if guest.xmm(n) != host.xmm(n) {
            out.push(format!(
                "xmm{n} {:032x} host {:032x}",
                guest.xmm(n),
                host.xmm(n)
            ));
        }
    }
    // A comparison with an unmasked invalid operation leaves the codes alone by Intel's manual; AMD's processors set them.
    let compares = ["fcom", "fucom", "ficom", "ftst"]
        .iter()
        .any(|n| f.mnemonic.starts_with(n));
    let apart = vendor_status(f) | if raised && compares { CONDITIONS } else { 0 };
    let words = [
        ("cw", guest.get16(0), host.get16(0)),
        ("sw", guest.get16(2) & !apart, host.get16(2) & !apart),
        ("tags", guest.fx[4].into(), host.fx[4].into()),
    ];
    for (name, a, b) in words {
        if a != b {
            out.push(format!("{name} {a:x} host {b:x}"));
        }
    }
    if guest.mxcsr() != host.mxcsr() {
        out.push(format!("mxcsr {:x} host {:x}", guest.mxcsr(), host.mxcsr()));
    }
    for n in 0..8 {
        if guest.st(n) != host.st(n) {
            out.push(format!("st{n} {:x?} host {:x?}", guest.st(n), host.st(n)));
        }
    }
    out
}

#[test]
fn every_form_with_random_operands_does_what_the_host_does() {
    let Some(mut host) = Host::take() else {
        eprintln!("the fixed addresses are taken on this host; nothing was compared");
        return;
    };
    let mut guest = Guest::new();
    let mut r = Random(0x5EED);
    let only = std::env::var("VMWB_FORM").ok();
    let samples = std::env::var("VMWB_SAMPLES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(SAMPLES);
    let mut wrong: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut never = Vec::new();
    let mut counts = Vec::new();
    let mut shadow = vec![0u8; host::DATA_BYTES];
    host.data().copy_from_slice(&shadow);
    for (index, f) in FORMS.iter().enumerate() {
        if excluded(f)
            || f.only == Only::Not64
            || only
                .as_ref()
                .is_some_and(|o| !f.asm.starts_with(o.as_str()))
        {
            continue;
        }
        let mut ran = 0;
        for _ in 0..samples {
            let Some(sample) = sample(index, &mut r) else {
                continue;
            };
            let mut before = random_state(&mut r);
            if !aim(&sample, &mut before, &mut r) {
                continue;
            }
            if f.mnemonic == "cvtpi2ps" && sample.insn.mem.is_some() {
                // Intel's processors enter the MMX state for an operand in memory too, AMD's do not.
                before.fx[2..5].copy_from_slice(&[0, 0, 0xFF]);
                (0..8).for_each(|i| before.set_st(i, 1 << 63, 0x3FFF));
            }
            let on_mmx = f
                .operands
                .iter()
                .any(|o| matches!(o.class, Class::P | Class::Q));
            if on_mmx && f.mnemonic.starts_with("cvt") {
                // Whether the MMX state is entered before #XM is nowhere laid down; AMD's processors do.
                before.set_mxcsr(before.mxcsr() | 0x1F80);
            }
            if f.feature == "sha" && sample.insn.mem.is_some() && sample.target & 15 != 0 {
                // Intel's manual demands alignment (exception class 4), AMD's processors take any address.
                continue;
            }
            ran += 1;
            let at = (sample.target - DATA) as usize;
            let mut fresh = [0u8; 32];
            fresh[..16].copy_from_slice(&lanes(&mut r).to_le_bytes());
            if f.feature == "fpu" && r.one_in(2) {
                let (significand, sign_exp) = extended(&mut r);
                fresh[..8].copy_from_slice(&significand.to_le_bytes());
                fresh[8..10].copy_from_slice(&sign_exp.to_le_bytes());
            }
            if f.mnemonic.starts_with("pcmp") && f.feature == "sse4_2" {
                fresh[..16].copy_from_slice(&text(&mut r).to_le_bytes());
            }
            if f.mnemonic == "ldmxcsr" {
                // Bit 17 exists on AMD's processors with misaligned SSE mode only, and no model here has it.
                fresh[2] &= !2;
            }
            guest.set_data(at, &fresh);
            host.data()[at..at + 32].copy_from_slice(&fresh);
            let (mut a, mut b) = (before.clone(), before.clone());
            let ended_host = host.run(&sample.bytes, &mut b);
            let ended_guest = guest.run(&sample.bytes, &mut a);
            let mut out = differences(f, &a, &b);
            if ended_guest != ended_host {
                out.insert(0, format!("ended {ended_guest:?} host {ended_host:?}"));
            }
            shadow.copy_from_slice(host.data());
            let mut data = guest.data();
            if f.mnemonic == "fxsave" {
                blank_image(&mut data[at..at + 512]);
                blank_image(&mut shadow[at..at + 512]);
                guest.set_data(0, &shadow);
                host.data().copy_from_slice(&shadow);
            }
            if data != shadow {
                let first = (0..data.len()).find(|&i| data[i] != shadow[i]).unwrap();
                out.push(format!(
                    "memory at {first:x}: {:x?} host {:x?}",
                    &data[first..first + 16],
                    &shadow[first..first + 16]
                ));
                guest.set_data(0, &shadow);
            }
            if !out.is_empty() {
                let entry = wrong.entry(f.asm).or_default();
                entry.0 += 1;
                if entry.1.is_empty() {
                    entry.1 = format!(
                        "{:02x?} {}\n      before: flags {:x} cw {:x} sw {:x} tags {:x} mxcsr {:x} mem {:02x?}",
                        sample.bytes,
                        out.join("; "),
                        before.flags,
                        before.get16(0),
                        before.get16(2),
                        before.fx[4],
                        before.mxcsr(),
                        &fresh[..16]
                    );
                }
            }
        }
        counts.push((index, ran as u64));
        if ran == 0 {
            never.push(f.asm);
        }
    }
    host::counts::record("host, 64-bit code", &counts);
    let report: Vec<String> = wrong
        .iter()
        .map(|(asm, (n, first))| format!("{asm}: {n}\n    {first}"))
        .collect();
    assert!(
        report.is_empty(),
        "{} forms differ:\n{}\nnever run: {never:?}",
        report.len(),
        report.join("\n")
    );
    assert!(never.is_empty() || only.is_some(), "never run: {never:?}");
    let _ = End::Next;
}
