//! Integer forms in 16- and 32-bit code against the host's processor: those that 64-bit mode does not have (BCD, PUSHA,
//! BOUND, LES, INTO ...), and all others with operand and address sizes of these modes. What x87 and SSE compute does not
//! depend on the mode; differential.rs compares it.
//!
//! `VMWB_SEED=n VMWB_SAMPLES=n VMWB_FORM=text` narrows a run down.

mod host;

use std::collections::BTreeMap;

use host::compat::{Bits, CompatGuest, make_segments, model};
use host::encode::Random;
use host::encode_legacy::{Sample, sample};
use host::{DATA_BYTES, End, Host, State};
use vmwb_x86::cpuid::Features;
use vmwb_x86::isa::{Class, FORMS, Form, Only};

/// Samples of each form.
const SAMPLES: u64 = 150;
const ARITHMETIC_FLAGS: u64 = 0xCD5;

/// Forms that cannot be compared, and why.
const EXCLUDED: &[(&str, &[&str])] = &[
    (
        "a system call, a trap or the end of the comparison itself",
        &[
            "int", "int3", "int1", "syscall", "sysenter", "sysret", "sysexit",
        ],
    ),
    (
        "the host's clock, identity or chance",
        &[
            "rdtsc", "rdtscp", "cpuid", "rdpmc", "rdrand", "rdseed", "rdpid", "xgetbv",
        ],
    ),
    (
        "tables of the host's kernel",
        &[
            "verr", "verw", "lar", "lsl", "str", "sldt", "smsw", "sgdt", "sidt", "arpl",
        ],
    ),
    (
        "leaves the code page",
        &["call", "call far", "jmp far", "ret", "ret far", "iret"],
    ),
    (
        "control flags that the host's kernel owns",
        &["popf", "pushf"],
    ),
    (
        "FS, GS and SS of the host's process",
        &["lss", "lfs", "lgs"],
    ),
    (
        "an image of the state: differential.rs",
        &["fxsave", "fxrstor", "xsave", "xrstor", "xsaveopt", "xsavec"],
    ),
];

fn vector_operand(f: &Form) -> bool {
    f.operands.iter().any(|o| {
        use Class::{N, P, Q, St0, Sti, U, V, W};
        matches!(o.class, P | Q | N | V | W | U | St0 | Sti)
    })
}

/// Why a form is not compared here; `None`: it is.
fn reason(f: &Form) -> Option<&'static str> {
    let named = EXCLUDED
        .iter()
        .find(|(_, list)| list.contains(&f.mnemonic) || list.contains(&f.asm));
    let stack = |o: &vmwb_x86::isa::Operand| {
        matches!(
            o.class,
            Class::S | Class::Sreg2 | Class::Sreg4 | Class::Sreg5
        )
    };
    if let Some((why, _)) = named {
        return Some(why);
    }
    if f.only == Only::Mode64 {
        return Some("64-bit mode only");
    }
    if !f.privilege.is_empty() {
        return Some("privileged");
    }
    if f.mnemonic == "jmp" && f.operands[0].class != Class::J {
        return Some("leaves the code page");
    }
    if f.operands.iter().any(stack) {
        return Some("segments of the host's process");
    }
    if !Features::of(model())
        .expect("a model's own name")
        .has(f.feature)
    {
        return Some("announced by no model yet: it raises #UD, on purpose");
    }
    if vector_operand(f)
        || ["fpu", "mmx", "sse", "sse2", "sse3"].contains(&f.feature)
        || f.mnemonic.starts_with('f')
    {
        return Some("does not depend on the mode: differential.rs");
    }
    None
}

const INTEGERS: [u64; 10] = [
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
];

fn integer(r: &mut Random) -> u64 {
    let v = match r.below(4) {
        0 => r.pick(&INTEGERS),
        1 => r.pick(&INTEGERS).wrapping_neg().wrapping_add(r.below(3)),
        2 => r.below(256),
        _ => r.bits(),
    };
    v & 0xFFFF_FFFF
}

/// Sets the registers so that the memory operand is where the sample wants it; `false`: this draw cannot.
fn aim(s: &Sample, bits: Bits, state: &mut State, r: &mut Random) -> bool {
    let f = s.insn.form();
    let data = bits.data();
    state.gpr[4] = data + 0x1000 + 8 * r.below(16);
    if bits == Bits::B16 {
        // A 16-bit stack does not look at the upper half.
        state.gpr[4] |= r.bits() & 0xFFFF_0000;
    }
    let string = f.operands.iter().any(|o| o.class == Class::X)
        || ["movs", "stos", "lods", "scas", "cmps"]
            .iter()
            .any(|n| f.mnemonic.starts_with(n));
    if string {
        state.gpr[6] = data + 0x300 + r.below(64);
        state.gpr[7] = data + 0x340 + r.below(64);
        state.gpr[1] = r.below(20);
        state.flags |= 0x400 * r.below(2);
    }
    match f.mnemonic {
        "xlat" => state.gpr[3] = s.target,
        "enter" => {
            state.gpr[5] =
                (data + 0x1180) | r.bits() << 16 & if bits == Bits::B16 { 0xFFFF_0000 } else { 0 }
        }
        "leave" => state.gpr[5] = data + 0x1100,
        "div" | "idiv" if !r.one_in(4) => state.gpr[2] = 0,
        "shld" | "shrd" if s.insn.opsize == 2 => return false,
        // A 16-bit operand cuts EIP, which leads out of the code page.
        _ if f.operands.iter().any(|o| o.class == Class::J) && s.insn.opsize == 2 => {
            return bits == Bits::B16;
        }
        _ => {}
    }
    let bit_base =
        matches!(f.mnemonic, "bt" | "bts" | "btr" | "btc") && f.operands[1].class == Class::G;
    let Some(mem) = s.insn.mem else {
        return true;
    };
    if f.mnemonic == "lea" {
        return true;
    }
    if mem.base == Some(4) {
        return false;
    }
    if bit_base {
        state.gpr[usize::from(s.insn.reg)] = r.below(512);
    }
    let index = match mem.index {
        Some(i) => {
            state.gpr[usize::from(i)] = r.below(100);
            state.gpr[usize::from(i)] << mem.scale
        }
        None => 0,
    };
    let width = if s.insn.addrsize == 2 {
        0xFFFF
    } else {
        0xFFFF_FFFF
    };
    let base = s.target.wrapping_sub(index).wrapping_sub(mem.disp as u64) & width;
    match mem.base {
        Some(b) if mem.index == Some(b) || (bit_base && b == s.insn.reg) => return false,
        Some(b) => state.gpr[usize::from(b)] = base,
        None if mem.index.is_some() => return false,
        None => {}
    }
    !(bit_base && mem.index == Some(s.insn.reg))
}

fn differences(f: &Form, a: &State, b: &State) -> Vec<String> {
    let mut out = Vec::new();
    for n in 0..8 {
        if a.gpr[n] != b.gpr[n] {
            out.push(format!("r{n} {:x} host {:x}", a.gpr[n], b.gpr[n]));
        }
    }
    let of = if matches!(f.mnemonic, "shld" | "shrd") {
        0x800
    } else {
        0
    };
    let mask = (ARITHMETIC_FLAGS | 0x400) & !u64::from(f.undefined) & !of;
    if (a.flags ^ b.flags) & mask != 0 {
        out.push(format!(
            "flags {:x} host {:x}",
            a.flags & mask,
            b.flags & mask
        ));
    }
    out
}

fn compare(bits: Bits) {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let samples = number("VMWB_SAMPLES").unwrap_or(SAMPLES);
    let only = std::env::var("VMWB_FORM").ok();
    let mut host = Host::take().expect("the fixed addresses are free in a test's process");
    assert!(
        bits == Bits::B32 || make_segments(),
        "this kernel has no modify_ldt(2)"
    );
    let mut guest = CompatGuest::new(bits);
    let mut r = Random(number("VMWB_SEED").unwrap_or(0x5EED));
    let mut wrong: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut counts = Vec::new();
    host.data().fill(0);
    for (index, f) in FORMS.iter().enumerate() {
        if reason(f).is_some()
            || only
                .as_ref()
                .is_some_and(|o| !f.asm.starts_with(o.as_str()))
        {
            continue;
        }
        let mut ran = 0u64;
        for _ in 0..samples {
            let Some(s) = sample(index, bits, &mut r) else {
                continue;
            };
            let mut before = State::new();
            for v in &mut before.gpr[..8] {
                *v = integer(&mut r);
            }
            before.flags = 0x202 | r.bits() & ARITHMETIC_FLAGS & !0x400;
            if !aim(&s, bits, &mut before, &mut r) {
                continue;
            }
            ran += 1;
            let at = (s.target - bits.data()) as usize;
            let mut fresh = r.bits().to_le_bytes().to_vec();
            fresh.extend_from_slice(&integer(&mut r).to_le_bytes());
            if matches!(f.mnemonic, "les" | "lds") {
                let offset = if s.insn.opsize == 2 { 2 } else { 4 };
                fresh[offset..offset + 2].copy_from_slice(&bits.data_selector().to_le_bytes());
            }
            guest.set_data(at, &fresh);
            host.data()[at..at + fresh.len()].copy_from_slice(&fresh);
            if f.asm.starts_with("pop ") && f.operands[0].class != Class::Z {
                // A selector on the stack for POP ES and POP DS.
                let top = (before.gpr[4] & 0xFFFF_FFFF) as usize - bits.data() as usize;
                let top = top & (DATA_BYTES - 1);
                let word = [u8::try_from(bits.data_selector()).unwrap(), 0, 0, 0];
                guest.set_data(top, &word);
                host.data()[top..top + 4].copy_from_slice(&word);
            }
            let (mut a, mut b) = (before.clone(), before.clone());
            let ended_host = host.run_compat(bits, &s.bytes, &mut b);
            let ended_guest = guest.run(&s.bytes, &mut a);
            let mut out = differences(f, &a, &b);
            // INTO is an INT of the guest's table, which is empty: it fails there, for the same overflow.
            let same_overflow = f.mnemonic == "into"
                && (ended_guest, ended_host) == (End::Fault(13), End::Fault(4));
            if ended_guest != ended_host && !same_overflow {
                out.insert(0, format!("ended {ended_guest:?} host {ended_host:?}"));
            }
            let (mine, theirs) = (guest.data(), host.data().to_vec());
            if mine != theirs {
                let first = (0..DATA_BYTES).find(|&i| mine[i] != theirs[i]).unwrap();
                let end = (first + 16).min(DATA_BYTES);
                out.push(format!(
                    "memory at {first:x}: {:x?} host {:x?}",
                    &mine[first..end],
                    &theirs[first..end]
                ));
                guest.set_data(0, &theirs);
            }
            if !out.is_empty() {
                let entry = wrong.entry(f.asm).or_default();
                entry.0 += 1;
                if entry.1.is_empty() {
                    entry.1 = format!(
                        "{:02x?} {}; before: {:x?} flags {:x}",
                        s.bytes,
                        out.join("; "),
                        &before.gpr[..8],
                        before.flags
                    );
                }
            }
        }
        counts.push((index, ran));
    }
    host::counts::record(bits.oracle(), &counts);
    let never: Vec<_> = counts
        .iter()
        .filter(|(_, ran)| *ran == 0)
        .map(|(index, _)| FORMS[*index].asm)
        .collect();
    let report: Vec<String> = wrong
        .iter()
        .map(|(asm, (n, first))| format!("{asm}: {n}\n    {first}"))
        .collect();
    assert!(
        report.is_empty(),
        "{} forms differ:\n{}",
        report.len(),
        report.join("\n")
    );
    assert!(never.is_empty(), "never run: {never:?}");
}

#[test]
fn every_integer_form_in_32_bit_code_does_what_the_host_does() {
    compare(Bits::B32);
}

#[test]
fn every_integer_form_in_16_bit_code_does_what_the_host_does() {
    compare(Bits::B16);
}
