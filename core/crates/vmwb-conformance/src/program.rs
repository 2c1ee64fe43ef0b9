//! Random programs that keep going: arithmetic, memory, branches, calls, strings, faults whose handlers step over them,
//! devices, and stores into their own code. They may run into anything; whoever runs them bounds the count.
//!
//! ```text
//! 01000 page tables (64-bit)        05000 GDT        06000 IDT
//! 08000 handlers, 16 bytes each     10000 code, CODE_BYTES
//! 20000 data                        30000 stack (down)
//! ```

use crate::image::{Bytes, Image, Registers, Seg};
use crate::random::Random;

/// Modes that a program can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Real mode, code segment at 10000h.
    Real,
    /// 32-bit protected mode, flat, without paging.
    Protected,
    /// 64-bit mode with identity-mapped memory.
    Long,
}

/// All modes.
pub const MODES: [Mode; 3] = [Mode::Real, Mode::Protected, Mode::Long];
/// Where the code lies.
pub const CODE: u32 = 0x1_0000;
/// Its bytes: three pages, so that instructions and branches cross.
pub const CODE_BYTES: u32 = 0x3000;
/// Where the data lies.
pub const DATA: u32 = 0x2_0000;
const STACK: u32 = 0x3_0000;
const TABLES: u32 = 0x1000;
const GDT: u32 = 0x5000;
const IDT: u32 = 0x6000;
const HANDLERS: u32 = 0x8000;
/// Vectors with an error code on the stack (SDM volume 3, table 6-1).
const WITH_ERROR: [u32; 7] = [8, 10, 11, 12, 13, 14, 17];

const DATA_SEGMENT: Seg = (0x10, 0, u32::MAX, 0xC093);

/// An image with a random program; `steps` is for whoever runs it as one.
#[must_use]
pub fn image(mode: Mode, seed: u64) -> Image {
    let mut random = Random(seed);
    let mut code = Vec::new();
    while code.len() < CODE_BYTES as usize - 32 {
        instruction(mode, &mut random, &mut code);
    }
    // Back to the start.
    let back = -i64::try_from(code.len()).expect("small");
    match mode {
        Mode::Real => {
            code.push(0xE9);
            code.extend_from_slice(&(back - 3).to_le_bytes()[..2]);
        }
        Mode::Protected | Mode::Long => {
            code.push(0xE9);
            code.extend_from_slice(&(back - 5).to_le_bytes()[..4]);
        }
    }
    let mut memory = vec![(u64::from(CODE), Bytes(code))];
    memory.extend(tables(mode));
    let data: Vec<u8> = (0..512).map(|_| random.byte()).collect();
    memory.push((u64::from(DATA), Bytes(data)));
    Image {
        model: "max".to_owned(),
        registers: registers(mode, &mut random),
        memory,
        steps: 0,
    }
}

fn registers(mode: Mode, random: &mut Random) -> Registers {
    let mut gpr = [0; 16];
    for v in &mut gpr {
        *v = u64::from(random.bits32());
    }
    let base = if mode == Mode::Real { 0 } else { DATA };
    (gpr[3], gpr[6], gpr[7]) = (base.into(), (base + 0x100).into(), (base + 0x180).into());
    gpr[4] = if mode == Mode::Real { 0xFFF0 } else { STACK }.into();
    let real = |selector: u16| (selector, u64::from(selector) << 4, 0xFFFF, 0x93);
    let (code, data, cr, efer) = match mode {
        Mode::Real => (
            (0x1000, CODE.into(), 0xFFFF, 0x93),
            real(0x2000),
            [0x10, 0, 0, 0x600],
            0,
        ),
        Mode::Protected => (
            (8, 0, u32::MAX, 0xC09B),
            DATA_SEGMENT,
            [0x31, 0, 0, 0x600],
            0,
        ),
        Mode::Long => (
            (8, 0, u32::MAX, 0xA09B),
            DATA_SEGMENT,
            [0x8001_0031, 0, TABLES.into(), 0x620],
            0xD01,
        ),
    };
    Registers {
        gpr,
        rip: if mode == Mode::Real { 0 } else { CODE.into() },
        rflags: 0x202,
        seg: [data, code, data, data, data, data],
        ldtr: (0, 0, 0xFFFF, 0x82),
        tr: (0, 0, 0xFFFF, 0x8B),
        gdtr: (GDT.into(), 0x1F),
        idtr: match mode {
            Mode::Real => (0, 0x3FF),
            Mode::Protected => (IDT.into(), 0x7FF),
            Mode::Long => (IDT.into(), 0xFFF),
        },
        cr,
        efer,
        dr: [0, 0, 0, 0, 0xFFFF_0FF0, 0x400],
        msr: [0; 8],
    }
}

/// Descriptor tables, page tables and handlers.
fn tables(mode: Mode) -> Vec<(u64, Bytes)> {
    let code = if mode == Mode::Long {
        0x00AF_9B00_0000_FFFF_u64
    } else {
        0x00CF_9B00_0000_FFFF
    };
    let gdt = [0, code, 0x00CF_9300_0000_FFFF_u64];
    let mut gates = Vec::new();
    let mut handlers = Vec::new();
    for vector in 0..256u32 {
        let at = HANDLERS + 16 * vector;
        match mode {
            Mode::Real => gates.extend_from_slice(
                &(u64::from(at & 0xF) | u64::from(at >> 4) << 16).to_le_bytes()[..4],
            ),
            Mode::Protected | Mode::Long => {
                let low = u64::from(at & 0xFFFF) | 8 << 16 | 0x8E00 << 32;
                gates.extend_from_slice(&low.to_le_bytes());
                if mode == Mode::Long {
                    gates.extend_from_slice(&[0; 8]);
                }
            }
        }
        let mut body = handler(mode, vector);
        body.resize(16, 0x90);
        handlers.extend(body);
    }
    let at = if mode == Mode::Real { 0 } else { IDT };
    let words = |list: &[u64]| Bytes(list.iter().flat_map(|w| w.to_le_bytes()).collect());
    let table = u64::from(TABLES);
    let mut out = vec![
        (GDT.into(), words(&gdt)),
        (at.into(), Bytes(gates)),
        (HANDLERS.into(), Bytes(handlers)),
    ];
    if mode == Mode::Long {
        out.push((table, words(&[(table + 0x1000) | 7])));
        out.push((table + 0x1000, words(&[(table + 0x2000) | 7])));
        // The second 2 MiB lead to the local APIC's page, which is no RAM.
        out.push((table + 0x2000, words(&[0x87, 0xFEE0_0087])));
    }
    out
}

/// Faults step over two bytes, the others count.
fn handler(mode: Mode, vector: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let error = WITH_ERROR.contains(&vector) && mode != Mode::Real;
    match (mode, error) {
        (Mode::Protected, true) => out.extend([0x83, 0xC4, 4]),
        (Mode::Long, true) => out.extend([0x48, 0x83, 0xC4, 8]),
        _ => {}
    }
    let fault = vector < 32 && ![1, 2, 3, 4].contains(&vector);
    if fault {
        match mode {
            // push bp; mov bp, sp; add word [bp+2], 2; pop bp
            Mode::Real => out.extend([0x55, 0x89, 0xE5, 0x83, 0x46, 2, 2, 0x5D]),
            Mode::Protected => out.extend([0x83, 0x04, 0x24, 2]),
            Mode::Long => out.extend([0x48, 0x83, 0x04, 0x24, 2]),
        }
    } else {
        match mode {
            Mode::Real => out.extend([0xFE, 0x06, 0xF0, 0x01]),
            Mode::Protected => out.extend([0xFF, 0x05, 0xF0, 0x01, 2, 0]),
            Mode::Long => out.extend([0xFF, 0x04, 0x25, 0xF0, 0x01, 2, 0]),
        }
    }
    if mode == Mode::Long {
        out.push(0x48);
    }
    out.push(0xCF);
    out
}

/// Registers that programs may change: not the stack's, not the data's base.
const FREE: [u8; 6] = [0, 1, 2, 5, 6, 7];

fn instruction(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    let (a, b) = (r.pick(&FREE), r.pick(&FREE));
    let wide = mode == Mode::Long && r.one_in(3);
    let alu = 8 * r.pick(&[0u8, 1, 2, 3, 4, 5, 6, 7]);
    // [bx + disp8] is rm 7 with 16-bit addresses, [ebx + disp8] rm 3.
    let memory = if mode == Mode::Real { 0x47 } else { 0x43 };
    let offset = r.byte() & 0x7F;
    let rex = |out: &mut Vec<u8>| {
        if wide {
            out.push(0x48);
        }
    };
    match r.below(34) {
        0..=4 => {
            rex(out);
            out.extend([
                alu | (r.byte() & 1) | (2 * (r.byte() & 1)),
                0xC0 | a << 3 | b,
            ]);
        }
        5..=8 => {
            rex(out);
            out.extend([alu | r.byte() & 3, memory | a << 3, offset]);
        }
        9 | 10 => {
            out.push(0xB8 | a);
            let n = if mode == Mode::Real { 2 } else { 4 };
            out.extend_from_slice(&r.bits().to_le_bytes()[..n]);
        }
        11 => out.extend([0xC1, 0xC0 | (r.byte() & 0x38) | a, r.byte() & 0x3F]),
        12..=14 => out.extend([0x70 | r.byte() & 0xF, r.byte() & 0x1F]),
        15 => out.extend([0xE2, 0x80 | r.byte()]),
        16..=18 => store_to_code(mode, r, out),
        19 => out.extend([0x50 | a, 0x58 | b]),
        20 => string(mode, r, out),
        21 => out.extend(r.pick(&[
            [0x0F, 0x0B],
            [0xF7, 0xF1],
            [0xCD, 0x30],
            [0x8E, 0xC8],
            [0xF7, 0xF9],
        ])),
        22 => call(mode, r, out),
        23 => out.extend(r.pick(&[
            [0xFA, 0x90],
            [0xFB, 0x90],
            [0xFB, 0x9C],
            [0x9C, 0x58],
            [0xFC, 0xF8],
            [0x90, 0xF9],
        ])),
        24 => out.extend(r.pick(&[
            [0xD9, 0xE8],
            [0xD8, 0xC1],
            [0xD9, 0xFA],
            [0xDE, 0xC1],
            [0xD9, 0xEB],
            [0xDB, 0xE3],
        ])),
        25 => {
            if r.one_in(2) {
                out.push(r.pick(&[0xF3, 0xF2, 0x66]));
            }
            out.extend([
                0x0F,
                r.pick(&[0x58, 0x59, 0x5C, 0x51, 0x2A, 0x2C]),
                0xC0 | (r.byte() & 0x1B),
            ]);
        }
        26 => device(mode, r, out),
        27 => out.extend([0x0F, r.pick(&[0xA2, 0x31, 0xC8, 0xAF]), 0xC0 | a << 3 | b]),
        28 if mode != Mode::Real => out.extend([0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8]),
        29 => indirect(mode, r, out),
        30 => out.extend([
            0x0F,
            r.pick(&[0xA3, 0xAB, 0xB3, 0xBB, 0xBC, 0xBD, 0xA5, 0xAD]),
            0xC0 | a << 3 | b,
        ]),
        31 => out.extend([0x0F, 0x90 | r.byte() & 0xF, memory, offset]),
        32 => out.extend([0xF0, alu & 0x37 | 1, memory | a << 3, offset]),
        _ => out.push(r.pick(&[0x98, 0x99, 0x9E, 0x9F, 0xF5, 0x90])),
    }
}

/// `mov byte [code], imm`: somewhere in the program, often a byte that changes an instruction's meaning and not its
/// length.
fn store_to_code(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    let near = r.one_in(2);
    let length = u32::try_from(out.len()).expect("small");
    let at = if near {
        (length + r.bits32() % 64) % CODE_BYTES
    } else {
        r.bits32() % CODE_BYTES
    };
    let value = r.pick(&[
        0x90, 0x01, 0x29, 0x31, 0x40, 0x74, 0x75, 0xEB, 0x0B, 0xC0, 0xCC,
    ]);
    match mode {
        // Through CS, which real mode lets one write.
        Mode::Real => {
            out.extend([0x2E, 0xC6, 0x06]);
            out.extend_from_slice(&at.to_le_bytes()[..2]);
        }
        Mode::Protected => {
            out.extend([0xC6, 0x05]);
            out.extend_from_slice(&(CODE + at).to_le_bytes());
        }
        Mode::Long => {
            out.extend([0xC6, 0x04, 0x25]);
            out.extend_from_slice(&(CODE + at).to_le_bytes());
        }
    }
    out.push(value);
}

fn load(mode: Mode, register: u8, value: u32, out: &mut Vec<u8>) {
    out.push(0xB8 | register);
    let n = if mode == Mode::Real { 2 } else { 4 };
    out.extend_from_slice(&value.to_le_bytes()[..n]);
}

fn string(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    let base = if mode == Mode::Real { 0 } else { DATA };
    load(mode, 1, r.bits32() % 40, out);
    load(mode, 6, base + r.bits32() % 0x400, out);
    load(mode, 7, base + r.bits32() % 0x400, out);
    out.extend([
        r.pick(&[0xF3, 0xF2]),
        r.pick(&[0xA4, 0xA5, 0xAA, 0xAB, 0xA6, 0xAE, 0xAC]),
    ]);
}

fn call(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    // Over a RET to a call back to it, so that the stack stays level.
    out.extend([0xEB, 1, 0xC3]);
    let n = if mode == Mode::Real { 2 } else { 4 };
    let distance = -(i64::try_from(n).expect("small") + 2);
    out.push(0xE8);
    out.extend_from_slice(&distance.to_le_bytes()[..n]);
    if r.one_in(3) {
        out.push(0x90);
    }
}

fn device(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    if r.one_in(2) {
        out.extend([r.pick(&[0xE4, 0xE5, 0xE6, 0xE7]), r.byte()]);
        return;
    }
    let address = match mode {
        Mode::Real => return out.push(0x90),
        Mode::Protected => 0xFEE0_0000 + u32::from(r.byte()) * 4,
        Mode::Long => 0x20_0000 + u32::from(r.byte()) * 4,
    };
    out.extend([r.pick(&[0x8B, 0x89, 0x01]), 0x05]);
    if mode == Mode::Long {
        let last = out.len() - 1;
        out[last] = 0x04;
        out.push(0x25);
    }
    out.extend_from_slice(&address.to_le_bytes());
}

fn indirect(mode: Mode, r: &mut Random, out: &mut Vec<u8>) {
    let at = r.bits32() % CODE_BYTES;
    let base = if mode == Mode::Real { 0 } else { CODE };
    load(mode, 0, base + at, out);
    out.extend([0xFF, 0xE0]);
}
