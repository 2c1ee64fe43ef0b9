//! x87 control instructions: control and status words, the stack pointer, and the environment and state in memory.
//! Source: SDM volume 1, section 8.1, and the instruction pages of volume 2.

use super::fpstate::follow_ferr;
use super::system::need_fpu;
use super::x87::{STACK_FAULT, SUMMARY, begin};
use crate::cpu::{Cpu, Fpu, Res};
use crate::fpu::{F80, status};
use crate::trace::Op;

/// Bits of the control word that can be set; bit 6 always reads as one.
const CONTROL_MASK: u16 = 0x1F3F;
/// Control word after FNINIT: everything masked, 64-bit precision, to nearest.
const CONTROL_INIT: u16 = 0x037F;
/// Bytes of one register in the image of FNSAVE.
const REGISTER_BYTES: u64 = 10;

impl Fpu {
    /// Sets the control word whole.
    pub(crate) fn set_control_word(&mut self, v: u16) {
        self.control = v & CONTROL_MASK | 0x40;
        self.summarize();
    }

    /// What FNINIT does: registers keep their bits but become empty.
    pub(crate) fn init(&mut self) {
        self.control = CONTROL_INIT;
        self.status = 0;
        self.top = 0;
        self.empty = 0xFF;
        (self.opcode, self.ip, self.cs, self.dp, self.ds) = (0, 0, 0, 0, 0);
    }

    /// Two bits a register: valid, zero, special, empty (SDM volume 1, section 8.1.7).
    pub(crate) fn tag_word(&self) -> u16 {
        (0..8)
            .map(|n| {
                u16::from(if self.empty >> n & 1 != 0 {
                    3
                } else {
                    self.st[n].tag()
                }) << (2 * n)
            })
            .sum()
    }

    /// Only whether a register is empty is taken from a tag word; the rest is in the registers.
    pub(crate) fn set_tag_word(&mut self, tags: u16) {
        self.empty = (0..8)
            .map(|n| u8::from(tags >> (2 * n) & 3 == 3) << n)
            .sum();
    }
}

/// FNINIT.
pub(crate) fn fninit(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    c.fpu.init();
    follow_ferr(c, op);
    Ok(())
}

/// FNCLEX: exceptions, stack fault, ES and B go; the condition codes, which are undefined, stay.
pub(crate) fn fnclex(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    c.fpu.status &= !(SUMMARY | STACK_FAULT | status::EXCEPTIONS);
    follow_ferr(c, op);
    Ok(())
}

/// FNENI, FNDISI, FNSETPM: instructions of the 8087 and the 287 that do nothing any more.
pub(crate) fn fnop_control(c: &mut Cpu, _op: &Op) -> Res {
    need_fpu(c, false)
}

/// FNOP.
pub(crate) fn fnop(c: &mut Cpu, _op: &Op) -> Res {
    begin(c)
}

/// FLDCW.
pub(crate) fn fldcw(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let at = c.operand_address(op, 2, false)?;
    let v = c.load(op, at, 2)?;
    c.fpu.set_control_word(v as u16);
    follow_ferr(c, op);
    Ok(())
}

/// FNSTCW.
pub(crate) fn fnstcw(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    let at = c.operand_address(op, 2, true)?;
    let v = u64::from(c.fpu.control);
    c.store(op, at, 2, v)
}

/// FNSTSW to memory.
pub(crate) fn fnstsw(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    let at = c.operand_address(op, 2, true)?;
    let v = u64::from(c.fpu.status_word());
    c.store(op, at, 2, v)
}

/// FNSTSW AX.
pub(crate) fn fnstsw_ax(c: &mut Cpu, _op: &Op) -> Res {
    need_fpu(c, false)?;
    let v = u64::from(c.fpu.status_word());
    c.set_reg_at(0, 2, v);
    Ok(())
}

/// FINCSTP: no tag changes.
pub(crate) fn fincstp(c: &mut Cpu, _op: &Op) -> Res {
    begin(c)?;
    c.fpu.top = (c.fpu.top + 1) & 7;
    c.fpu.report(status::C1, 0);
    Ok(())
}

/// FDECSTP: no tag changes.
pub(crate) fn fdecstp(c: &mut Cpu, _op: &Op) -> Res {
    begin(c)?;
    c.fpu.top = c.fpu.top.wrapping_sub(1) & 7;
    c.fpu.report(status::C1, 0);
    Ok(())
}

/// FFREE. C1, which is undefined, is cleared, as processors do.
pub(crate) fn ffree(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    c.fpu.free(op.dst);
    c.fpu.report(status::C1, 0);
    Ok(())
}

/// FFREEP: FFREE and a pop.
pub(crate) fn ffreep(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    c.fpu.free(op.dst);
    c.fpu.report(status::C1, 0);
    c.fpu.pop();
    Ok(())
}

// ---- environment and state ----

/// The seven fields of an environment image, by operand size and mode (SDM volume 1, figures 8-9 to 8-12).
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Bytes of a field: 2 or 4.
    field: u8,
    /// Real-address and virtual-8086 mode hold linear addresses, protected mode selectors and offsets.
    linear: bool,
}

impl Layout {
    fn of(c: &Cpu, op: &Op) -> Self {
        Self {
            field: if op.size() == 2 { 2 } else { 4 },
            linear: !c.protected() || c.v86(),
        }
    }

    fn bytes(self) -> u64 {
        7 * u64::from(self.field)
    }
}

fn environment(f: &Fpu, layout: Layout) -> [u32; 7] {
    let wide = layout.field == 4;
    // The unused halves of 32-bit fields are stored as ones.
    let reserved = if wide { 0xFFFF_0000 } else { 0 };
    let words = [f.control, f.status_word(), f.tag_word()].map(|w| u32::from(w) | reserved);
    let pointers = if layout.linear {
        let ip = (u32::from(f.cs) << 4).wrapping_add(f.ip as u32);
        let dp = (u32::from(f.ds) << 4).wrapping_add(f.dp as u32);
        [
            ip & 0xFFFF | reserved,
            ip >> 16 << 12 | u32::from(f.opcode),
            dp & 0xFFFF | reserved,
            dp >> 16 << 12,
        ]
    } else {
        let opcode = if wide { u32::from(f.opcode) << 16 } else { 0 };
        [
            f.ip as u32,
            u32::from(f.cs) | opcode,
            f.dp as u32,
            u32::from(f.ds) | reserved,
        ]
    };
    [
        words[0],
        words[1],
        words[2],
        pointers[0],
        pointers[1],
        pointers[2],
        pointers[3],
    ]
}

fn set_environment(f: &mut Fpu, fields: [u32; 7], layout: Layout) {
    f.control = fields[0] as u16 & CONTROL_MASK | 0x40;
    f.set_status_word(fields[1] as u16);
    f.set_tag_word(fields[2] as u16);
    let [ip, code, dp, data] = [fields[3], fields[4], fields[5], fields[6]];
    if layout.linear {
        (f.ip, f.cs) = (u64::from(ip & 0xFFFF | code >> 12 << 16), 0);
        (f.dp, f.ds) = (u64::from(dp & 0xFFFF | data >> 12 << 16), 0);
        f.opcode = code as u16 & 0x7FF;
    } else {
        (f.ip, f.cs) = (u64::from(ip), code as u16);
        (f.dp, f.ds) = (u64::from(dp), data as u16);
        f.opcode = if layout.field == 4 {
            (code >> 16) as u16 & 0x7FF
        } else {
            0
        };
    }
}

fn store_environment(c: &mut Cpu, op: &Op, layout: Layout) -> Res {
    let n = layout.field;
    for (i, v) in environment(&c.fpu, layout).into_iter().enumerate() {
        c.store_part(op, u64::from(n) * i as u64, n, u64::from(v))?;
    }
    Ok(())
}

fn load_environment(c: &mut Cpu, op: &Op, layout: Layout) -> Res<[u32; 7]> {
    let n = layout.field;
    let mut fields = [0; 7];
    for (i, v) in fields.iter_mut().enumerate() {
        *v = c.load_part(op, u64::from(n) * i as u64, n)? as u32;
    }
    Ok(fields)
}

/// FNSTENV: stores the environment, then masks all exceptions.
pub(crate) fn fnstenv(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    let layout = Layout::of(c, op);
    c.check_area(op, layout.bytes(), true)?;
    store_environment(c, op, layout)?;
    c.fpu.control |= status::EXCEPTIONS;
    c.fpu.summarize();
    follow_ferr(c, op);
    Ok(())
}

/// FLDENV.
pub(crate) fn fldenv(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let layout = Layout::of(c, op);
    c.check_area(op, layout.bytes(), false)?;
    let fields = load_environment(c, op, layout)?;
    set_environment(&mut c.fpu, fields, layout);
    follow_ferr(c, op);
    Ok(())
}

/// FNSAVE: stores environment and registers, ST(0) first, then does what FNINIT does.
pub(crate) fn fnsave(c: &mut Cpu, op: &Op) -> Res {
    need_fpu(c, false)?;
    let layout = Layout::of(c, op);
    c.check_area(op, layout.bytes() + 8 * REGISTER_BYTES, true)?;
    store_environment(c, op, layout)?;
    // Alignment is asked of the environment alone (SDM volume 3, table 6-7): registers of 10 bytes have none.
    c.unaligned(|c| {
        (0..8).try_for_each(|i| {
            let slot = layout.bytes() + REGISTER_BYTES * u64::from(i);
            let v = c.fpu.st(i);
            c.store_part(op, slot, 8, v.significand)?;
            c.store_part(op, slot + 8, 2, u64::from(v.sign_exp))
        })
    })?;
    c.fpu.init();
    follow_ferr(c, op);
    Ok(())
}

/// FRSTOR.
pub(crate) fn frstor(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let layout = Layout::of(c, op);
    c.check_area(op, layout.bytes() + 8 * REGISTER_BYTES, false)?;
    let fields = load_environment(c, op, layout)?;
    let mut registers = [F80::ZERO; 8];
    c.unaligned(|c| {
        registers.iter_mut().enumerate().try_for_each(|(i, v)| {
            let slot = layout.bytes() + REGISTER_BYTES * i as u64;
            let significand = c.load_part(op, slot, 8)?;
            *v = F80 {
                sign_exp: c.load_part(op, slot + 8, 2)? as u16,
                significand,
            };
            Ok(())
        })
    })?;
    set_environment(&mut c.fpu, fields, layout);
    let top = usize::from(c.fpu.top);
    for (i, v) in registers.into_iter().enumerate() {
        c.fpu.st[(top + i) & 7] = v;
    }
    follow_ferr(c, op);
    Ok(())
}
