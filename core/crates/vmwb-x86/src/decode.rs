//! The decoder: bytes to [`Insn`], by the tables expanded from the description. Knows no processor state but the mode.

use crate::isa::{CANDIDATES, Class, FORMS, Form, MAPS, Only, OperandSize, Prefix, Width};

/// Longest instruction, in bytes (SDM volume 2, section 2.3.11).
pub const MAX_LEN: usize = 15;

/// Default sizes of the code segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSize {
    /// 16-bit code.
    Bits16,
    /// 32-bit code.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

/// REP prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rep {
    /// None.
    None = 0,
    /// F3.
    Rep = 1,
    /// F2.
    Repne = 2,
}

/// A memory operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mem {
    /// Base register number, `None` without one.
    pub base: Option<u8>,
    /// Index register number.
    pub index: Option<u8>,
    /// Shift of the index, 0 to 3.
    pub scale: u8,
    /// Displacement, sign-extended; for RIP-relative operands it counts from the next instruction.
    pub disp: i64,
    /// RIP-relative.
    pub rip: bool,
}

/// One decoded instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Index into [`FORMS`].
    pub form: u16,
    /// Length in bytes.
    pub len: u8,
    /// Operand size in bytes: 2, 4 or 8 (1 never: byte forms say so in their operands).
    pub opsize: u8,
    /// Address size in bytes.
    pub addrsize: u8,
    /// LOCK prefix.
    pub lock: bool,
    /// REP prefix.
    pub rep: Rep,
    /// Segment of memory operands, after override and defaults: 0 ES to 5 GS.
    pub seg: u8,
    /// Whether a REX prefix was there (byte registers 4 to 7 are SPL to DIL then).
    pub rex: bool,
    /// ModRM.reg with REX.R.
    pub reg: u8,
    /// ModRM.rm with REX.B when it names a register, or the register of the opcode.
    pub rm: u8,
    /// Memory operand, when ModRM (or an offset) gives one.
    pub mem: Option<Mem>,
    /// Immediate, sign-extended where the form says so; far pointers: selector << 32 | offset.
    pub imm: u64,
    /// Second immediate (ENTER's level).
    pub imm2: u8,
    /// Register in VEX.vvvv.
    pub vvvv: u8,
}

impl Insn {
    /// The form.
    #[must_use]
    pub fn form(&self) -> &'static Form {
        &FORMS[usize::from(self.form)]
    }
}

/// Why bytes are not an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes are needed than were given.
    Truncated,
    /// Longer than 15 bytes: #GP.
    TooLong,
    /// No such instruction: #UD.
    Invalid,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn u8(&mut self) -> Result<u8, DecodeError> {
        if self.at >= MAX_LEN {
            return Err(DecodeError::TooLong);
        }
        let b = *self.bytes.get(self.at).ok_or(DecodeError::Truncated)?;
        self.at += 1;
        Ok(b)
    }

    #[inline]
    fn le(&mut self, n: u8) -> Result<u64, DecodeError> {
        let mut v = 0;
        for i in 0..n {
            v |= u64::from(self.u8()?) << (8 * i);
        }
        Ok(v)
    }

    #[inline]
    fn signed(&mut self, n: u8) -> Result<i64, DecodeError> {
        let shift = 64 - 8 * u32::from(n);
        Ok(((self.le(n)? << shift) as i64) >> shift)
    }
}

/// Decodes the instruction at the start of `bytes` (up to 15 are looked at).
///
/// # Errors
/// [`DecodeError`]; `Truncated` only when `bytes` ends inside the instruction.
pub fn decode(bytes: &[u8], size: CodeSize) -> Result<Insn, DecodeError> {
    decode_with(bytes, size, |_| true)
}

/// The same for a processor that announces only some features: `announced` tells by a form's index. It matters for the
/// forms whose mandatory prefix other processors ignore ([`Form::skip`]); whether a form may run is the caller's to ask.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(
    bytes: &[u8],
    size: CodeSize,
    announced: impl Fn(u16) -> bool,
) -> Result<Insn, DecodeError> {
    let mut c = Cursor { bytes, at: 0 };
    let mut seg_override = None;
    let (mut p66, mut p67, mut lock, mut rep) = (false, false, false, Rep::None);
    let mut rex = 0u8;
    let mut b;
    loop {
        b = c.u8()?;
        match b {
            0x66 => p66 = true,
            0x67 => p67 = true,
            0xF0 => lock = true,
            0xF2 => rep = Rep::Repne,
            0xF3 => rep = Rep::Rep,
            0x26 | 0x2E | 0x36 | 0x3E => {
                if size != CodeSize::Bits64 {
                    seg_override = Some((b >> 3) & 3);
                }
            }
            0x64 | 0x65 => seg_override = Some(b - 0x60),
            0x40..=0x4F if size == CodeSize::Bits64 => {
                rex = b;
                b = c.u8()?;
                // A prefix after REX takes it away.
                if matches!(
                    b,
                    0x66 | 0x67
                        | 0xF0
                        | 0xF2
                        | 0xF3
                        | 0x26
                        | 0x2E
                        | 0x36
                        | 0x3E
                        | 0x64
                        | 0x65
                        | 0x40..=0x4F
                ) {
                    rex = 0;
                    c.at -= 1;
                    continue;
                }
                break;
            }
            _ => break,
        }
    }
    let mut map = 0;
    let mut vvvv = 0;
    // In 16- and 32-bit code these are LES and LDS unless ModRM would name a register.
    let vex = matches!(b, 0xC4 | 0xC5)
        && (size == CodeSize::Bits64 || c.bytes.get(c.at).is_some_and(|&m| m >= 0xC0));
    if vex {
        if p66 || lock || rep != Rep::None || rex != 0 {
            return Err(DecodeError::Invalid);
        }
        (map, vvvv) = vex_prefix(&mut c, b, size, &mut rex, &mut p66, &mut rep)?;
        b = c.u8()?;
    } else if b == 0x0F {
        map = 1;
        b = c.u8()?;
        if b == 0x38 || b == 0x3A {
            map = if b == 0x38 { 2 } else { 3 };
            b = c.u8()?;
        }
    }
    let (start, count) = MAPS[map][usize::from(b)];
    if count == 0 {
        return Err(DecodeError::Invalid);
    }
    let range = usize::from(start)..usize::from(start) + usize::from(count);
    let modrm = c.bytes.get(c.at).copied();
    let seen = Seen {
        modrm,
        size,
        p66,
        rep,
        rex,
        at: c.at,
    };
    let form = select(&CANDIDATES[range], &seen, announced)?;
    let f = &FORMS[usize::from(form)];
    // A register that the form does not name must not be named.
    if vex && vvvv != 0 && f.operands.iter().all(|o| o.class != Class::B) {
        return Err(DecodeError::Invalid);
    }

    let code64 = size == CodeSize::Bits64;
    let opsize = if code64 {
        match f.osz {
            OperandSize::Force64 => 8,
            _ if rex & 8 != 0 => 8,
            OperandSize::Default64 => {
                if p66 {
                    2
                } else {
                    8
                }
            }
            OperandSize::Normal => {
                if p66 && !f.vex {
                    2
                } else {
                    4
                }
            }
        }
    } else if f.vex || (size == CodeSize::Bits32) != p66 {
        4
    } else {
        2
    };
    let addrsize = match size {
        CodeSize::Bits64 => {
            if p67 {
                4
            } else {
                8
            }
        }
        CodeSize::Bits32 => {
            if p67 {
                2
            } else {
                4
            }
        }
        CodeSize::Bits16 => {
            if p67 {
                4
            } else {
                2
            }
        }
    };
    let mut insn = Insn {
        form,
        len: 0,
        opsize,
        addrsize,
        lock,
        rep,
        seg: seg_override.unwrap_or(3),
        rex: rex != 0,
        reg: 0,
        rm: (b & 7) | ((rex & 1) << 3),
        mem: None,
        imm: 0,
        imm2: 0,
        vvvv,
    };
    if f.modrm {
        let m = c.u8()?;
        if map == 0 && b & 0xF8 == 0xD8 {
            // x87 instructions have no immediate; the unit keeps these 11 bits of the last one (SDM volume 1, 8.1.9).
            insn.imm = u64::from(b & 7) << 8 | u64::from(m);
        }
        insn.reg = ((m >> 3) & 7) | ((rex & 4) << 1);
        insn.rm = (m & 7) | ((rex & 1) << 3);
        // MOV to and from control and debug registers takes any mod as a register.
        let register_only = is_control_move(f);
        if m < 0xC0 && !register_only {
            let (mem, stack) = memory(&mut c, m, rex, addrsize, code64)?;
            insn.mem = Some(mem);
            if stack && seg_override.is_none() {
                insn.seg = 2;
            }
        }
    }
    for (i, o) in f.operands.iter().enumerate() {
        match (o.class, o.width) {
            (Class::I, Width::B) if i > 0 && f.mnemonic == "enter" => insn.imm2 = c.u8()?,
            (Class::I, Width::B) => insn.imm = c.le(1)?,
            (Class::I, Width::W) => insn.imm = c.le(2)?,
            (Class::I, Width::Z) => insn.imm = c.signed(opsize.min(4))? as u64,
            (Class::I, Width::V) => insn.imm = c.le(opsize)?,
            (Class::Is, _) | (Class::J, Width::B) => insn.imm = c.signed(1)? as u64,
            (Class::J, _) => insn.imm = c.signed(if opsize == 2 { 2 } else { 4 })? as u64,
            (Class::A, _) => {
                let offset = c.le(opsize.min(4))?;
                insn.imm = offset | c.le(2)? << 32;
            }
            (Class::O, _) => {
                let disp = c.le(addrsize)? as i64;
                insn.mem = Some(Mem {
                    base: None,
                    index: None,
                    scale: 0,
                    disp,
                    rip: false,
                });
            }
            (Class::One, _) => insn.imm = 1,
            _ => {}
        }
    }
    if lock && !(f.lock && insn.mem.is_some()) {
        return Err(DecodeError::Invalid);
    }
    insn.len = c.at as u8;
    Ok(insn)
}

/// MOV to or from a control or debug register.
fn is_control_move(f: &Form) -> bool {
    f.operands
        .iter()
        .any(|o| matches!(o.class, Class::C | Class::D))
}

/// Takes a VEX prefix behind its first byte apart: the opcode map and the register in vvvv. What it stands for goes into
/// `rex`, `p66` and `rep` (SDM volume 2, section 2.3.5).
fn vex_prefix(
    c: &mut Cursor<'_>,
    first: u8,
    size: CodeSize,
    rex: &mut u8,
    p66: &mut bool,
    rep: &mut Rep,
) -> Result<(usize, u8), DecodeError> {
    let p1 = c.u8()?;
    let (map, last, bits) = if first == 0xC5 {
        (1, p1, (!p1 >> 5) & 4)
    } else {
        let p2 = c.u8()?;
        (p1 & 0x1F, p2, ((!p1 >> 5) & 7) | (p2 >> 4) & 8)
    };
    if size == CodeSize::Bits64 {
        *rex = 0x40 | bits;
    }
    match last & 3 {
        1 => *p66 = true,
        2 => *rep = Rep::Rep,
        3 => *rep = Rep::Repne,
        _ => {}
    }
    let mut vvvv = (!last >> 3) & 15;
    if size != CodeSize::Bits64 {
        vvvv &= 7;
    }
    // Only forms on general registers exist here, and those are neither 256 bits wide nor in the map of 0F.
    if last & 4 != 0 {
        return Err(DecodeError::Invalid);
    }
    match map {
        2 => Ok((4, vvvv)),
        3 => Ok((5, vvvv)),
        _ => Err(DecodeError::Invalid),
    }
}

/// What of the bytes read so far bears on which form they are.
struct Seen {
    modrm: Option<u8>,
    size: CodeSize,
    p66: bool,
    rep: Rep,
    rex: u8,
    at: usize,
}

fn select(
    candidates: &[u16],
    seen: &Seen,
    announced: impl Fn(u16) -> bool,
) -> Result<u16, DecodeError> {
    let &Seen {
        modrm,
        size,
        p66,
        rep,
        rex,
        at,
    } = seen;
    for &index in candidates {
        let f = &FORMS[usize::from(index)];
        let mode = match f.only {
            Only::Any => true,
            Only::Mode64 => size == CodeSize::Bits64,
            Only::Not64 => size != CodeSize::Bits64,
        };
        let prefix = match f.prefix {
            Prefix::Any => true,
            Prefix::NoRep => rep == Rep::None,
            Prefix::None => !p66 && rep == Rep::None,
            Prefix::P66 => p66 && rep == Rep::None,
            Prefix::PF2 => rep == Rep::Repne,
            Prefix::PF3 => rep == Rep::Rep,
        };
        if !mode
            || !prefix
            || (f.rexb0 && rex & 1 != 0)
            || (f.w1 && rex & 8 == 0)
            || (f.skip && !announced(index))
        {
            continue;
        }
        if f.modrm {
            let Some(m) = modrm else {
                return Err(if at >= MAX_LEN {
                    DecodeError::TooLong
                } else {
                    DecodeError::Truncated
                });
            };
            let is_mem = m < 0xC0;
            let fits = f.exact.is_none_or(|e| e == m & f.exact_mask)
                && f.digit.is_none_or(|d| d == (m >> 3) & 7)
                && f.operands.iter().all(|o| match o.class {
                    Class::M => is_mem,
                    Class::N | Class::U | Class::Sti => !is_mem,
                    Class::R => !is_mem || is_control_move(f),
                    _ => true,
                });
            if !fits {
                continue;
            }
        }
        return Ok(index);
    }
    Err(DecodeError::Invalid)
}

/// The memory operand that follows a ModRM byte, and whether its default segment is SS.
fn memory(
    c: &mut Cursor<'_>,
    m: u8,
    rex: u8,
    addrsize: u8,
    code64: bool,
) -> Result<(Mem, bool), DecodeError> {
    let (md, rm) = (m >> 6, m & 7);
    let mut mem = Mem {
        base: None,
        index: None,
        scale: 0,
        disp: 0,
        rip: false,
    };
    if addrsize == 2 {
        // SDM volume 2, table 2-1.
        (mem.base, mem.index) = match rm {
            0 => (Some(3), Some(6)),
            1 => (Some(3), Some(7)),
            2 => (Some(5), Some(6)),
            3 => (Some(5), Some(7)),
            4 => (Some(6), None),
            5 => (Some(7), None),
            6 if md == 0 => (None, None),
            6 => (Some(5), None),
            _ => (Some(3), None),
        };
        mem.disp = match md {
            0 if rm == 6 => c.signed(2)?,
            1 => c.signed(1)?,
            2 => c.signed(2)?,
            _ => 0,
        };
        return Ok((mem, mem.base == Some(5)));
    }
    let mut stack = false;
    if rm == 4 {
        let sib = c.u8()?;
        let index = ((sib >> 3) & 7) | ((rex & 2) << 2);
        if index != 4 {
            mem.index = Some(index);
            mem.scale = sib >> 6;
        }
        let base = sib & 7;
        if base == 5 && md == 0 {
            mem.disp = c.signed(4)?;
        } else {
            mem.base = Some(base | ((rex & 1) << 3));
            stack = matches!(mem.base, Some(4 | 5));
        }
    } else if rm == 5 && md == 0 {
        mem.disp = c.signed(4)?;
        mem.rip = code64;
    } else {
        mem.base = Some(rm | ((rex & 1) << 3));
        stack = mem.base == Some(5);
    }
    match md {
        1 => mem.disp = c.signed(1)?,
        2 => mem.disp = c.signed(4)?,
        _ => {}
    }
    Ok((mem, stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_rex_before_another_prefix_is_ignored() {
        let i = decode(&[0x48, 0x66, 0x89, 0xC8], CodeSize::Bits64).unwrap();
        assert_eq!((i.opsize, i.len), (2, 4));
    }

    #[test]
    fn decode_sixteen_prefixes_is_too_long() {
        assert_eq!(
            decode(&[0x66; 20], CodeSize::Bits64),
            Err(DecodeError::TooLong)
        );
    }

    #[test]
    fn decode_lock_on_a_register_destination_is_invalid() {
        assert_eq!(
            decode(&[0xF0, 0x01, 0xC8], CodeSize::Bits64),
            Err(DecodeError::Invalid)
        );
    }

    #[test]
    fn decode_rip_relative_operand_has_no_base() {
        let i = decode(&[0x48, 0x8B, 0x05, 0x10, 0, 0, 0], CodeSize::Bits64).unwrap();
        assert_eq!(
            i.mem,
            Some(Mem {
                base: None,
                index: None,
                scale: 0,
                disp: 16,
                rip: true
            })
        );
    }

    fn asm(bytes: &[u8], size: CodeSize) -> Option<&'static str> {
        decode(bytes, size).ok().map(|i| i.form().asm)
    }

    #[test]
    fn prefix_of_an_unannounced_count_is_ignored() {
        let tzcnt = [0xF3, 0x0F, 0xBC, 0xC1];
        let without = |form: u16| FORMS[usize::from(form)].feature != "bmi1";
        let old = decode_with(&tzcnt, CodeSize::Bits32, without).unwrap();
        assert_eq!(old.form().asm, "bsf Gv,Ev");
        assert_eq!(asm(&tzcnt, CodeSize::Bits32), Some("tzcnt Gv,Ev"));
    }

    #[test]
    fn vex_prefix_takes_three_registers_apart() {
        // ANDN R9, R10, [R11].
        let i = decode(&[0xC4, 0x42, 0xA8, 0xF2, 0x0B], CodeSize::Bits64).unwrap();
        assert_eq!((i.form().asm, i.opsize), ("andn Gy,By,Ey", 8));
        assert_eq!(
            (i.reg, i.vvvv, i.mem.and_then(|m| m.base)),
            (9, 10, Some(11))
        );
    }

    #[test]
    fn vex_prefix_outside_64_bit_mode_gives_way_to_les_and_lds() {
        let (andn, les) = ([0xC4, 0xE2, 0x70, 0xF2, 0xC3], [0xC4, 0x03]);
        for size in [CodeSize::Bits16, CodeSize::Bits32] {
            let i = decode(&andn, size).unwrap();
            assert_eq!((i.form().asm, i.opsize, i.vvvv), ("andn Gy,By,Ey", 4, 1));
            assert_eq!(asm(&les, size), Some("les Gv,Mp"));
        }
        assert_eq!(asm(&[0xC5, 0x03], CodeSize::Bits64), None);
    }

    #[test]
    fn vex_prefix_behind_another_or_with_length_or_unused_register_is_invalid() {
        // 66 before it; L set; RORX with a register in vvvv; the map of 0F (VZEROUPPER).
        let bad: [&[u8]; 4] = [
            &[0x66, 0xC4, 0xE2, 0x70, 0xF2, 0xC3],
            &[0xC4, 0xE2, 0x74, 0xF2, 0xC3],
            &[0xC4, 0xE3, 0x73, 0xF0, 0xC3, 1],
            &[0xC5, 0xF8, 0x77],
        ];
        assert!(
            bad.iter()
                .all(|b| decode(b, CodeSize::Bits64) == Err(DecodeError::Invalid))
        );
    }

    #[test]
    fn compare_exchange_by_rex_w_is_a_form_of_its_own() {
        assert_eq!(
            asm(&[0x48, 0x0F, 0xC7, 0x0F], CodeSize::Bits64),
            Some("cmpxchg16b M")
        );
        assert_eq!(
            asm(&[0x0F, 0xC7, 0x0F], CodeSize::Bits64),
            Some("cmpxchg8b M")
        );
    }

    #[test]
    fn decode_cut_at_every_byte_is_truncated() {
        let whole = [0x66, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6];
        assert_eq!(
            usize::from(decode(&whole, CodeSize::Bits32).unwrap().len),
            whole.len()
        );
        assert!(
            (0..whole.len())
                .all(|n| decode(&whole[..n], CodeSize::Bits32) == Err(DecodeError::Truncated))
        );
    }
}
