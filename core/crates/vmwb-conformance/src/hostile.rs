//! Random states that no kind guest would be in, but any guest can be: descriptor tables out of bounds, page tables at
//! themselves or in missing memory, segments of any shape, code of random bytes at the ends of pages and limits.
//!
//! Nothing is expected of what they do, but that the engine comes back with its budget used up or a named stop.

use crate::image::{Bytes, Image, Registers, Seg};
use crate::random::Random;

/// RAM that random states use.
const SPAN: u64 = 0x2_0000;

/// A random state with its memory.
#[must_use]
pub fn image(seed: u64) -> Image {
    let mut r = Random(seed);
    let mode = r.below(6);
    let (real, long, v86) = (mode == 0, mode >= 4, mode == 1);
    let paging = !real && (long || r.one_in(2));
    let pae = long || r.one_in(3);
    let cpl: u16 = match (real, v86) {
        (true, _) => 0,
        (_, true) => 3,
        _ => r.pick(&[0, 0, 3, 1, 2]),
    };
    let bits64 = long && r.one_in(2);
    let code_attr = match (real || v86, bits64) {
        (true, _) => 0xF3,
        (_, true) => 0xA09B | cpl << 5,
        _ => 0x009B | cpl << 5 | r.pick(&[0, 0x4000, 0xC000]),
    };
    let segment = |r: &mut Random, stack: bool| -> Seg {
        let selector = r.bits16();
        if real || v86 {
            let attr = if v86 { 0xF3 } else { 0x93 };
            return (selector, u64::from(selector) << 4, 0xFFFF, attr);
        }
        let kind = if stack {
            r.pick(&[3, 7])
        } else {
            r.pick(&[1, 3, 5, 7, 0xB])
        };
        let dpl = if stack { cpl } else { 3 };
        (
            selector & !3 | cpl,
            wild(r),
            r.pick(&[0, 0xFFF, 0xFFFF, u32::MAX, r.clone().bits32()]),
            kind | 0x90 | dpl << 5 | r.pick(&[0, 0x4000, 0xC000]),
        )
    };
    let rip = code_address(&mut r);
    let mut registers = Registers {
        gpr: [0; 16],
        rip: if bits64 || !real && !v86 {
            rip
        } else {
            rip & 0xFFFF
        },
        rflags: 2 | r.bits() & 0x3F_7FD5 & !(1 << 17) | if v86 { 1 << 17 } else { 0 },
        seg: [0; 6].map(|_: i32| segment(&mut r, false)),
        ldtr: (0x28, wild(&mut r), r.bits32() & 0xFFFF, 0x82),
        tr: (
            0x30,
            wild(&mut r),
            r.bits32() & 0x1FF,
            r.pick(&[0x8B, 0x8B, 0x83]),
        ),
        gdtr: (wild(&mut r), r.pick(&[0, 7, 0x7F, 0xFFFF, 0x3FF])),
        idtr: (wild(&mut r), r.pick(&[0, 7, 0x7FF, 0xFFFF, 0xFFF])),
        cr: [
            0x30 | u64::from(!real) | u64::from(paging) << 31 | (r.bits() & 0x5_000E),
            wild(&mut r),
            if r.one_in(3) {
                wild(&mut r) & 0xFFFF_FFFF
            } else {
                r.below(SPAN)
            },
            u64::from(pae) << 5 | r.bits() & 0x69C,
        ],
        efer: if long { 0xD01 } else { r.bits() & 0x801 },
        dr: [
            wild(&mut r),
            wild(&mut r),
            rip,
            wild(&mut r),
            0xFFFF_0FF0,
            0x400,
        ],
        msr: [0; 8].map(|_: i32| wild(&mut r)),
    };
    registers.gpr = [0; 16].map(|_: i32| wild(&mut r));
    registers.seg[2] = segment(&mut r, true);
    let selector = r.bits16() & !3 | cpl;
    let base = if real || v86 {
        u64::from(selector) << 4
    } else if long || r.one_in(2) {
        0
    } else {
        r.below(SPAN)
    };
    registers.seg[1] = (
        selector,
        base,
        r.pick(&[0xFFFF, u32::MAX, 0xFFF]),
        code_attr,
    );
    Image {
        model: "max".to_owned(),
        registers,
        memory: memory(&mut r, rip.wrapping_add(base)),
        steps: 0,
    }
}

/// An address at which something may go wrong.
fn wild(r: &mut Random) -> u64 {
    match r.below(8) {
        0 => r.below(SPAN),
        1 => r.below(SPAN) & !0xFFF | r.pick(&[0xFF8, 0xFFF, 0xFFE, 0xFFC, 0]),
        2 => r.pick(&[
            0,
            1,
            0xFFFF,
            0xF_FFFF,
            0xFFFF_FFFF,
            0xFFFF_FFF0,
            u64::MAX,
            1 << 47,
            (1 << 47) - 1,
        ]),
        3 => 0xA_0000 + r.below(0x6_0000),
        4 => u64::from(r.bits32()),
        5 => r.bits(),
        6 => r.below(0x1000),
        _ => r.below(SPAN) & !7,
    }
}

fn code_address(r: &mut Random) -> u64 {
    let page = r.below(SPAN >> 12) << 12;
    page + if r.one_in(2) {
        r.below(0x1000)
    } else {
        0xFF0 + r.below(16)
    }
}

/// Random tables everywhere, and code of random bytes, prefixes in front, where the state begins.
fn memory(r: &mut Random, entry: u64) -> Vec<(u64, Bytes)> {
    const PREFIXES: [u8; 12] = [
        0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x48,
    ];
    let mut all = vec![0u8; usize::try_from(SPAN).expect("small")];
    for word in all.chunks_mut(8) {
        let value = match r.below(6) {
            0 => r.bits(),
            1 => r.below(SPAN) & !0xFFF | 7,
            2 => r.below(SPAN) & !0xFFF | 0x87,
            3 => 0x00CF_9A00_0000_FFFF | r.below(4) << 45 | r.below(16) << 40,
            4 => r.below(0x1_0000) | 8 << 16 | (0x80 | r.below(0x80)) << 40,
            _ => 0,
        };
        word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
    }
    let at = usize::try_from(entry % (SPAN - 64)).expect("small");
    let prefixes = if r.one_in(4) { r.index(16) } else { r.index(3) };
    for (n, byte) in all[at..at + 64].iter_mut().enumerate() {
        *byte = if n < prefixes {
            r.pick(&PREFIXES)
        } else {
            r.byte()
        };
    }
    vec![(0, Bytes(all))]
}
