//! Makes random encodings of the forms in the instruction table, for 64-bit mode.

use vmwb_x86::decode::{CodeSize, Insn, decode};
use vmwb_x86::isa::{Class, FORMS, Form, Only, OperandSize, Prefix, Width};

use super::{CODE, DATA};

/// A small generator of reproducible random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One encoded instruction.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As our decoder sees it.
    pub insn: Insn,
    /// Address of its memory operand; registers must be set to make it so.
    pub target: u64,
}

/// Opcode bytes of a form, without mandatory prefix and ModRM.
fn opcode(f: &Form) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut plus = false;
    for word in f.encoding.split_whitespace() {
        let (hex, p) = word.strip_suffix("+r").map_or((word, false), |h| (h, true));
        plus |= p;
        if let Ok(b) = u8::from_str_radix(hex, 16) {
            bytes.push(b);
        }
    }
    if matches!(f.prefix, Prefix::P66 | Prefix::PF2 | Prefix::PF3) {
        bytes.remove(0);
    }
    if f.exact.is_some() {
        bytes.pop();
    }
    (bytes, plus)
}

/// A VEX prefix of three bytes for the map behind the opcode's 0F, with a random register in vvvv where the form has one.
fn vex(f: &Form, rex: u8, map: u8, random: &mut Random) -> [u8; 3] {
    let pp = match f.prefix {
        Prefix::P66 => 1,
        Prefix::PF3 => 2,
        Prefix::PF2 => 3,
        Prefix::None | Prefix::Any | Prefix::NoRep => 0,
    };
    let named = f.operands.iter().any(|o| o.class == Class::B);
    let vvvv = if named { random.below(16) as u8 } else { 15 };
    let map = if map == 0x38 { 2 } else { 3 };
    [
        0xC4,
        !(rex << 5) & 0xE0 | map,
        (rex & 8) << 4 | vvvv << 3 | pp,
    ]
}

/// A random encoding of form `index` in 64-bit mode; `None` when it has none, or the draw was of no use.
pub fn sample(index: usize, random: &mut Random) -> Option<Sample> {
    let f = &FORMS[index];
    if f.only == Only::Not64 {
        return None;
    }
    let target = DATA
        + 0x200
        + 16 * random.below(64)
        + if random.one_in(4) {
            random.below(16)
        } else {
            0
        };
    let sized = f
        .operands
        .iter()
        .any(|o| matches!(o.width, Width::V | Width::Y | Width::Z))
        || (f.operands[0].class == Class::None && f.osz != OperandSize::Force64);
    let mut bytes = Vec::new();
    // Where F2 or F3 belongs to the opcode, 66 is still an operand-size prefix.
    let by_operand_size = f.operands.iter().any(|o| o.width == Width::V);
    if matches!(f.prefix, Prefix::PF2 | Prefix::PF3)
        && !f.vex
        && by_operand_size
        && random.one_in(4)
    {
        bytes.push(0x66);
    }
    match f.prefix {
        _ if f.vex => {}
        Prefix::P66 => bytes.push(0x66),
        Prefix::PF2 => bytes.push(0xF2),
        Prefix::PF3 => bytes.push(0xF3),
        // Near branches: AMD cuts RIP to 16 bits with 66, Intel does not look at it.
        Prefix::Any | Prefix::NoRep
            if sized && f.osz != OperandSize::Force64 && f.feature != "fpu" && random.one_in(4) =>
        {
            bytes.push(0x66)
        }
        _ => {}
    }
    let register_only = f
        .operands
        .iter()
        .any(|o| matches!(o.class, Class::R | Class::N | Class::U | Class::Sti));
    let memory_only = f.operands.iter().any(|o| o.class == Class::M);
    let memory =
        f.modrm && f.exact.is_none() && !register_only && (memory_only || random.one_in(2));
    if f.lock && memory && random.one_in(4) {
        bytes.push(0xF0);
    }
    let mut rex = 0;
    let (code, plus) = opcode(f);
    if f.vex {
        rex = random.below(16) as u8;
        bytes.extend_from_slice(&vex(f, rex, code[1], random));
    } else if f.w1 || !random.one_in(3) {
        let w = if sized || random.one_in(8) {
            8 * random.below(2)
        } else {
            0
        };
        rex = 0x40 | w as u8 | random.below(8) as u8;
        if f.rexb0 {
            rex &= !1;
        }
        if f.w1 {
            rex |= 8;
        }
        // R would extend a digit, which hardware ignores, and B an x87 register, likewise.
        bytes.push(rex);
    }
    bytes.extend_from_slice(&code[if f.vex { 2 } else { 0 }..]);
    if plus {
        *bytes.last_mut()? += random.below(8) as u8;
    }
    let mut rip_at = None;
    if f.modrm {
        let reg = f.digit.unwrap_or(random.below(8) as u8);
        if let Some(m) = f.exact {
            bytes.push(m | random.bits() as u8 & !f.exact_mask);
        } else if memory {
            rip_at = memory_operand(&mut bytes, reg, rex, target, random);
        } else {
            bytes.push(0xC0 | reg << 3 | random.below(8) as u8);
        }
    }
    immediates(&mut bytes, f, rex, target, random);
    if bytes.len() > 15 {
        return None;
    }
    if let Some(at) = rip_at {
        let disp = target.wrapping_sub(CODE + bytes.len() as u64) as u32;
        bytes[at..at + 4].copy_from_slice(&disp.to_le_bytes());
    }
    let insn = decode(&bytes, CodeSize::Bits64).ok()?;
    (usize::from(insn.form) == index).then_some(Sample {
        bytes,
        insn,
        target,
    })
}

/// Appends ModRM, SIB and displacement; where the displacement of a RIP-relative operand is.
fn memory_operand(
    bytes: &mut Vec<u8>,
    reg: u8,
    rex: u8,
    target: u64,
    random: &mut Random,
) -> Option<usize> {
    match random.below(8) {
        0 => {
            bytes.push(reg << 3 | 5);
            bytes.extend_from_slice(&[0; 4]);
            return Some(bytes.len() - 4);
        }
        // Absolute: SIB without base and index; REX.X would name R12 as index.
        1 if rex & 2 == 0 => {
            bytes.push(reg << 3 | 4);
            bytes.push(0x25);
            bytes.extend_from_slice(&(target as u32).to_le_bytes());
            return None;
        }
        _ => {}
    }
    let long = random.one_in(2);
    bytes.push(
        if long { 0x80 } else { 0x40 }
            | reg << 3
            | if random.one_in(2) {
                4
            } else {
                random.pick(&[0, 1, 2, 3, 5, 6, 7])
            },
    );
    if bytes.last()? & 7 == 4 {
        bytes.push(random.bits() as u8);
    }
    let disp = random.bits() as i32;
    if long {
        bytes.extend_from_slice(&disp.to_le_bytes());
    } else {
        bytes.push(disp as u8);
    }
    None
}

fn immediates(bytes: &mut Vec<u8>, f: &Form, rex: u8, target: u64, random: &mut Random) {
    let small = random.one_in(2);
    let size = if rex & 8 != 0 || f.osz == OperandSize::Force64 {
        8
    } else if bytes.contains(&0x66) && f.prefix == Prefix::Any && bytes[0] == 0x66 {
        2
    } else {
        4
    };
    for o in &f.operands {
        let v = if small {
            random.below(40)
        } else {
            random.bits()
        };
        let n = match (o.class, o.width) {
            (Class::I, Width::B) | (Class::Is, _) => 1,
            (Class::I, Width::W) => 2,
            (Class::I, Width::Z) => size.min(4),
            (Class::I, Width::V) => size,
            (Class::O, _) => {
                bytes.extend_from_slice(&target.to_le_bytes());
                0
            }
            (Class::J, Width::B) => {
                let distance = super::TAKEN as usize - bytes.len() - 1;
                bytes.push(distance as u8);
                0
            }
            (Class::J, _) => {
                let distance = super::TAKEN as usize - bytes.len() - 4;
                bytes.extend_from_slice(&(distance as u32).to_le_bytes());
                0
            }
            _ => 0,
        };
        bytes.extend_from_slice(&v.to_le_bytes()[..n]);
    }
}
