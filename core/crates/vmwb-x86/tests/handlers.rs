//! Every handler in a loop of its own in 64 KiB of stack: handlers end in sibling calls, and were one of them a call that
//! returns, its loop would run out of stack after some thousand operations. A million of each form that can be run in a
//! loop, in up to three encodings (operand sizes, register and memory): a billion in all. The mix of a hundred million
//! operations without a fault between them is in basics.rs.

mod host;

use host::encode::{Random, sample};
use host::guest::Guest;
use vmwb_x86::isa::{Class, FORMS, Form, Only};

const OPERATIONS: u64 = 1_000_000;
const ENCODINGS: u64 = 3;

/// Forms that lead somewhere else than to the next instruction, or fault by their nature, by mnemonic.
const ELSEWHERE: &[&str] = &[
    "ret", "ret far", "call far", "jmp far", "iret", "int", "int3", "int1", "syscall", "sysenter",
    "sysret", "sysexit", "xgetbv", "xsaveopt", "rdpmc", "hlt", "ud2", "ud1", "ud0", "mwait",
    "monitor", "enter", "leave", "xrstor", "frstor", "fldenv", "fxrstor", "xsetbv", "rsm", "in",
    "out", "ins", "outs",
];

fn loops(f: &Form) -> bool {
    let indirect = ["call", "jmp"].contains(&f.mnemonic) && f.operands[0].class != Class::J;
    let segment = f.operands.iter().any(|o| {
        use Class::{C, D, S, Sreg0, Sreg1, Sreg2, Sreg3, Sreg4, Sreg5};
        matches!(
            o.class,
            S | C | D | Sreg0 | Sreg1 | Sreg2 | Sreg3 | Sreg4 | Sreg5
        )
    });
    let far_pointer = ["lss", "lfs", "lgs"].contains(&f.mnemonic);
    f.only != Only::Not64
        && f.privilege.is_empty()
        && !indirect
        && !segment
        && !far_pointer
        && !ELSEWHERE.contains(&f.mnemonic)
}

/// An encoding that stays where it is: branches lead to what follows, memory has a fixed address.
fn steady(index: usize, r: &mut Random) -> Option<Vec<u8>> {
    let s = (0..200).find_map(|_| {
        let s = sample(index, r)?;
        let division = ["div", "idiv"].contains(&FORMS[index].mnemonic);
        let fixed = match s.insn.mem {
            Some(m) => m.base.is_none() && m.index.is_none() && !m.rip && s.target % 16 == 0,
            None => !division,
        };
        fixed.then_some(s)
    })?;
    let mut bytes = s.bytes;
    let f = &FORMS[index];
    if f.operands[0].class == Class::J {
        let at = bytes.len() - if f.asm.ends_with("Jb") { 1 } else { 4 };
        bytes[at..].fill(0);
    }
    if ["div", "idiv"].contains(&f.mnemonic) {
        // xor eax, eax; xor edx, edx: the last quotient and remainder would overflow the next.
        bytes.splice(0..0, [0x31, 0xC0, 0x31, 0xD2]);
    }
    Some(bytes)
}

fn run_all() -> Vec<String> {
    let mut guest = Guest::new();
    guest.set_data(0, &[3; host::DATA_BYTES]);
    let mut r = Random(0x100_0000);
    let mut short = Vec::new();
    for (index, f) in FORMS.iter().enumerate() {
        if !loops(f) {
            continue;
        }
        let mut ran = 0;
        for n in 0..ENCODINGS {
            if let Some(bytes) = steady(index, &mut r) {
                ran += guest.run_loop(&bytes, (OPERATIONS - ran) / (ENCODINGS - n));
            }
        }
        if ran < OPERATIONS / 2 {
            short.push(format!("{} [{}]: {ran}", f.asm, f.encoding));
        }
    }
    short
}

#[test]
fn a_million_operations_of_every_handler_fit_into_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(64 << 10);

    let short = small.spawn(run_all).unwrap().join().unwrap();

    assert!(short.is_empty(), "faulted early: {short:#?}");
}
