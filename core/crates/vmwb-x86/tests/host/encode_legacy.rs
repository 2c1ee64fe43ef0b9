//! Makes random encodings of the forms in the instruction table for 16- and 32-bit code.

use vmwb_x86::decode::{CodeSize, Insn, decode};
use vmwb_x86::isa::{Class, FORMS, Form, Only, Prefix, Width};

use super::compat::Bits;
use super::encode::Random;

/// One encoded instruction.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As our decoder sees it.
    pub insn: Insn,
    /// Offset of its memory operand in the data segment; registers must be set to make it so.
    pub target: u64,
}

fn opcode(f: &Form, r: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in f.encoding.split_whitespace() {
        let (hex, plus) = word.strip_suffix("+r").map_or((word, false), |h| (h, true));
        if let Ok(b) = u8::from_str_radix(hex, 16) {
            bytes.push(if plus { b + r.below(8) as u8 } else { b });
        }
    }
    if matches!(f.prefix, Prefix::P66 | Prefix::PF2 | Prefix::PF3) {
        bytes.remove(0);
    }
    if f.exact.is_some() {
        bytes.pop();
    }
    bytes
}

/// A random encoding of form `index`; `None` when it has none in this code size, or the draw was of no use.
pub fn sample(index: usize, bits: Bits, r: &mut Random) -> Option<Sample> {
    let f = &FORMS[index];
    if f.only == Only::Mode64 {
        return None;
    }
    let target = bits.data() + 0x200 + 16 * r.below(64) + r.below(16);
    let mut bytes = Vec::new();
    match f.prefix {
        _ if f.vex => {}
        Prefix::P66 => bytes.push(0x66),
        Prefix::PF2 => bytes.push(0xF2),
        Prefix::PF3 => bytes.push(0xF3),
        Prefix::Any | Prefix::NoRep if f.feature != "fpu" && r.one_in(3) => bytes.push(0x66),
        _ => {}
    }
    let register_only = f
        .operands
        .iter()
        .any(|o| matches!(o.class, Class::R | Class::N | Class::U | Class::Sti));
    let memory_only = f.operands.iter().any(|o| o.class == Class::M);
    let memory = f.modrm && f.exact.is_none() && !register_only && (memory_only || r.one_in(2));
    // 16-bit addresses reach the data in 16-bit segments only.
    let other_address = r.one_in(3)
        && (bits == Bits::B16 || !memory)
        && !f
            .operands
            .iter()
            .any(|o| matches!(o.class, Class::O | Class::X))
        && f.mnemonic != "xlat";
    if other_address {
        bytes.push(0x67);
    }
    let address16 = (bits == Bits::B16) != other_address;
    if f.lock && memory && r.one_in(4) {
        bytes.push(0xF0);
    }
    if memory && r.one_in(4) {
        bytes.push(r.pick(&[0x26, 0x3E, 0x36]));
    }
    let opsize16 = (bits == Bits::B16) != bytes.contains(&0x66);
    let code = opcode(f, r);
    if f.vex {
        bytes.extend(vex(f, code[1], r));
        bytes.extend_from_slice(&code[2..]);
    } else {
        bytes.extend(code);
    }
    if f.modrm {
        let reg = f.digit.unwrap_or(r.below(8) as u8);
        match (f.exact, memory) {
            (Some(m), _) => bytes.push(m),
            (None, false) => bytes.push(0xC0 | reg << 3 | r.below(8) as u8),
            (None, true) => memory_operand(&mut bytes, reg, address16, target, r),
        }
    }
    immediates(&mut bytes, f, opsize16, address16, target, r);
    if bytes.len() > 15 {
        return None;
    }
    let size = if bits == Bits::B16 {
        CodeSize::Bits16
    } else {
        CodeSize::Bits32
    };
    let insn = decode(&bytes, size).ok()?;
    (usize::from(insn.form) == index && usize::from(insn.len) == bytes.len()).then_some(Sample {
        bytes,
        insn,
        target,
    })
}

/// A three-byte VEX prefix for the low eight registers (SDM volume 2, section 2.3.5).
fn vex(f: &Form, map: u8, r: &mut Random) -> [u8; 3] {
    let third = f.operands.iter().any(|o| o.class == Class::B);
    let register = if third { r.below(8) as u8 } else { 0 };
    let pp = match f.prefix {
        Prefix::P66 => 1,
        Prefix::PF3 => 2,
        Prefix::PF2 => 3,
        _ => 0,
    };
    let map = if map == 0x38 { 2 } else { 3 };
    [0xC4, 0xE0 | map, (!register & 0xF) << 3 | pp]
}

fn memory_operand(bytes: &mut Vec<u8>, reg: u8, address16: bool, target: u64, r: &mut Random) {
    let direct = r.one_in(4);
    match (address16, direct) {
        (true, true) => {
            bytes.push(reg << 3 | 6);
            bytes.extend_from_slice(&(target as u16).to_le_bytes());
        }
        (false, true) => {
            bytes.push(reg << 3 | 5);
            bytes.extend_from_slice(&(target as u32).to_le_bytes());
        }
        (true, false) => {
            let long = r.one_in(2);
            bytes.push(if long { 0x80 } else { 0x40 } | reg << 3 | r.below(8) as u8);
            let n = if long { 2 } else { 1 };
            bytes.extend_from_slice(&r.bits().to_le_bytes()[..n]);
        }
        (false, false) => {
            let long = r.one_in(2);
            bytes.push(if long { 0x80 } else { 0x40 } | reg << 3 | r.below(8) as u8);
            if bytes[bytes.len() - 1] & 7 == 4 {
                bytes.push(r.bits() as u8);
            }
            let n = if long { 4 } else { 1 };
            bytes.extend_from_slice(&r.bits().to_le_bytes()[..n]);
        }
    }
}

fn immediates(
    bytes: &mut Vec<u8>,
    f: &Form,
    opsize16: bool,
    address16: bool,
    target: u64,
    r: &mut Random,
) {
    let size = if opsize16 { 2 } else { 4 };
    for o in &f.operands {
        let v = if r.one_in(2) { r.below(40) } else { r.bits() };
        // ENTER looks at the end of the frame, which must lie in the data area.
        let v = if f.mnemonic == "enter" { v % 0x200 } else { v };
        let n = match (o.class, o.width) {
            (Class::I, Width::B) | (Class::Is, _) => 1,
            (Class::I, Width::W) => 2,
            (Class::I, _) => size,
            (Class::O, _) => {
                let n = if address16 { 2 } else { 4 };
                bytes.extend_from_slice(&target.to_le_bytes()[..n]);
                0
            }
            (Class::J, width) => {
                let n = if width == Width::B { 1 } else { size };
                let distance = super::TAKEN - bytes.len() as u64 - n as u64;
                bytes.extend_from_slice(&distance.to_le_bytes()[..n]);
                0
            }
            _ => 0,
        };
        bytes.extend_from_slice(&v.to_le_bytes()[..n]);
    }
}
