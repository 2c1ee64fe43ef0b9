//! x87 control instructions: those that set up, ask and save the unit, and what all x87 instructions share in checks.
//! Source: SDM volume 1, chapter 8, and the instruction pages of volume 2.

use super::fpstate::check_pending;
use super::system::need_fpu;
use crate::cpu::{Cpu, Fpu, Res};
use crate::fpu::status;
use crate::trace::Op;

/// ES and B of the status word: an unmasked exception waits to be reported. B mirrors ES since the 387.
pub(crate) const SUMMARY: u16 = 0x8080;
/// Bits of the control word that can be set; bit 6 always reads as one.
const CONTROL_MASK: u16 = 0x1F3F;
/// Control word after FNINIT: everything masked, 64-bit precision, to nearest.
const CONTROL_INIT: u16 = 0x037F;
/// TOP in the status word.
const TOP_SHIFT: u16 = 11;

impl Fpu {
    /// Status word as the guest sees it, with TOP.
    pub(crate) fn status_word(&self) -> u16 {
        self.status | u16::from(self.top) << TOP_SHIFT
    }

    /// Sets the status word whole; ES and B follow from the exceptions and their masks (SDM volume 1, section 8.1.3.3).
    pub(crate) fn set_status_word(&mut self, v: u16) {
        self.top = (v >> TOP_SHIFT & 7) as u8;
        self.status = v & !(7 << TOP_SHIFT);
        self.summarize();
    }

    /// Sets the control word whole.
    pub(crate) fn set_control_word(&mut self, v: u16) {
        self.control = v & CONTROL_MASK | 0x40;
        self.summarize();
    }

    /// Makes ES and B say whether an exception is flagged that is not masked.
    pub(crate) fn summarize(&mut self) {
        let pending = self.status & !self.control & status::EXCEPTIONS != 0;
        self.status = self.status & !SUMMARY | if pending { SUMMARY } else { 0 };
    }

    /// What FNINIT does: registers keep their bits but become empty.
    pub(crate) fn init(&mut self) {
        self.control = CONTROL_INIT;
        self.status = 0;
        self.top = 0;
        self.empty = 0xFF;
        (self.opcode, self.ip, self.cs, self.dp, self.ds) = (0, 0, 0, 0, 0);
    }
}

/// What every x87 instruction but the non-waiting ones checks first: #NM, then #MF.
pub(crate) fn begin_x87(c: &mut Cpu) -> Res {
    need_fpu(c, false)?;
    check_pending(c)
}

/// FNINIT.
pub(crate) fn fninit(c: &mut Cpu, _op: &Op) -> Res {
    need_fpu(c, false)?;
    c.fpu.init();
    Ok(())
}

/// FNCLEX: exceptions, stack fault, ES and B go; the condition codes, which are undefined, stay.
pub(crate) fn fnclex(c: &mut Cpu, _op: &Op) -> Res {
    need_fpu(c, false)?;
    c.fpu.status &= !(SUMMARY | STACK_FAULT | status::EXCEPTIONS);
    Ok(())
}

/// SF of the status word: the invalid operation was a stack fault.
pub(crate) const STACK_FAULT: u16 = 0x40;

/// FLDCW.
pub(crate) fn fldcw(c: &mut Cpu, op: &Op) -> Res {
    begin_x87(c)?;
    let at = c.operand_address(op, 2, false)?;
    let v = c.load(op, at, 2)?;
    c.fpu.set_control_word(v as u16);
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
