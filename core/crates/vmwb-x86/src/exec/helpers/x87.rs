//! The register stack of the x87 unit and how an instruction ends: what the helpers of all x87 instructions share.
//! Source: SDM volume 1, sections 8.1 (stack, tags, status) and 8.4 to 8.7 (exceptions and their masked responses).
//!
//! What it is not: arithmetic, which is in [`crate::fpu`], and the instructions themselves.

use super::fpstate::check_pending;
use super::system::need_fpu;
use crate::cpu::{Cpu, Fpu, Res, seg};
use crate::fpu::{Env, F80, Outcome, status};
use crate::trace::Op;

/// SF of the status word: the invalid operation was a stack fault.
pub(super) const STACK_FAULT: u16 = 0x40;
/// ES and B of the status word: an unmasked exception waits to be reported. B mirrors ES since the 387.
pub(super) const SUMMARY: u16 = 0x8080;
/// All condition codes.
pub(super) const CONDITIONS: u16 = status::C0 | status::C1 | status::C2 | status::C3;
/// Exceptions that are found before anything is computed, and leave every destination alone when unmasked.
const BEFORE: u16 = status::IE | status::DE | status::ZE;
/// TOP in the status word.
const TOP_SHIFT: u16 = 11;

/// The stack underflow: a register that is read is empty.
pub(super) const UNDERFLOW: u16 = status::IE | STACK_FAULT;
/// The stack overflow: a register that is pushed into is not empty.
pub(super) const OVERFLOW: u16 = status::IE | STACK_FAULT | status::C1;

impl Fpu {
    /// Status word as the guest sees it, with TOP.
    pub(crate) fn status_word(&self) -> u16 {
        self.status | u16::from(self.top) << TOP_SHIFT
    }

    /// Sets the status word whole; ES and B follow from the exceptions and their masks (section 8.1.3.3).
    pub(crate) fn set_status_word(&mut self, v: u16) {
        self.top = (v >> TOP_SHIFT & 7) as u8;
        self.status = v & !(7 << TOP_SHIFT);
        self.summarize();
    }

    /// Makes ES and B say whether an exception is flagged that is not masked.
    pub(crate) fn summarize(&mut self) {
        let pending = self.status & !self.control & status::EXCEPTIONS != 0;
        self.status = self.status & !SUMMARY | if pending { SUMMARY } else { 0 };
    }

    /// Rounding, precision and masks of the control word.
    pub(super) fn env(&self) -> Env {
        Env::from_control_word(self.control)
    }

    fn physical(&self, i: u8) -> usize {
        usize::from(self.top.wrapping_add(i) & 7)
    }

    /// Whether ST(i) is empty; 7 is the register that a push would take.
    pub(super) fn is_empty(&self, i: u8) -> bool {
        self.empty >> self.physical(i) & 1 != 0
    }

    /// Bits of ST(i), also of an empty one.
    pub(super) fn st(&self, i: u8) -> F80 {
        self.st[self.physical(i)]
    }

    /// Writes ST(i), which is not empty then.
    pub(super) fn set(&mut self, i: u8, v: F80) {
        let n = self.physical(i);
        self.st[n] = v;
        self.empty &= !(1 << n);
    }

    /// Marks ST(i) empty.
    pub(super) fn free(&mut self, i: u8) {
        self.empty |= 1 << self.physical(i);
    }

    /// Pushes a value into the register below the top.
    pub(super) fn push(&mut self, v: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        self.set(0, v);
    }

    /// Empties the top and moves it up.
    pub(super) fn pop(&mut self) {
        self.free(0);
        self.top = (self.top + 1) & 7;
    }

    /// Clears the condition codes of `clear`, then merges exceptions and condition codes.
    pub(super) fn report(&mut self, clear: u16, bits: u16) {
        self.status = self.status & !clear | bits;
        self.summarize();
    }

    /// Whether invalid operations are masked.
    pub(super) fn masks_invalid(&self) -> bool {
        self.control & status::IE != 0
    }

    /// Reports a stack fault; `true` when it is masked, and the caller delivers the indefinite.
    pub(super) fn stack_fault(&mut self, fault: u16) -> bool {
        self.report(status::C1, fault);
        self.masks_invalid()
    }
}

/// What every x87 instruction but the non-waiting ones checks first: #NM, then #MF.
pub(super) fn begin(c: &mut Cpu) -> Res {
    need_fpu(c, false)?;
    check_pending(c)
}

/// Notes the instruction and its memory operand for FNSTENV and FXSAVE. Called when nothing can fault any more.
pub(super) fn note(c: &mut Cpu, op: &Op) {
    c.fpu.ip = c.rip_of(op);
    c.fpu.cs = c.seg[seg::CS].selector;
    // The decoder leaves the 11 bits of the opcode where other instructions have an immediate.
    c.fpu.opcode = op.imm as u16;
    if op.is_mem() {
        c.fpu.dp = c.offset_of(op);
        c.fpu.ds = c.seg[op.segment()].selector;
    }
}

/// Keeps the exceptions found before the computation when one of them is not masked: nothing was computed then.
pub(super) fn settle<T>(out: Outcome<T>, env: Env) -> Outcome<T> {
    let status = if out.status & env.unmasked & BEFORE != 0 {
        out.status & (BEFORE | STACK_FAULT)
    } else {
        out.status
    };
    Outcome {
        value: out.value,
        status,
    }
}

/// A 32-bit or 64-bit real or an integer of memory as an operand of arithmetic: a signaling NaN stays one, so that the
/// rule that picks one of two NaNs (SDM volume 1, table 4-7) sees it. `status` is DE for a denormal.
pub(super) struct Operand {
    pub(super) value: F80,
    pub(super) status: u16,
}

/// Reads the real operand, of the operand size.
pub(super) fn real_operand(c: &mut Cpu, op: &Op) -> Res<Operand> {
    let n = op.size();
    let at = c.operand_address(op, u64::from(n), false)?;
    let bits = c.load(op, at, n)?;
    let env = c.fpu.env();
    let out = if n == 4 {
        crate::fpu::from_f32(bits as u32, env)
    } else {
        crate::fpu::from_f64(bits, env)
    };
    let mut value = out.value;
    if out.status & status::IE != 0 {
        value.significand &= !(1 << 62);
    }
    Ok(Operand {
        value,
        status: out.status & status::DE,
    })
}

/// Reads the integer operand, of the operand size.
pub(super) fn integer_operand(c: &mut Cpu, op: &Op) -> Res<Operand> {
    let n = op.size();
    let at = c.operand_address(op, u64::from(n), false)?;
    let bits = c.load(op, at, n)?;
    let value = crate::fpu::from_i64(crate::cpu::sext(bits, n) as i64);
    Ok(Operand { value, status: 0 })
}

/// Adds the denormal flag of a memory operand to a result, which it belongs to unless a NaN has gone before it.
pub(super) fn with_denormal<T>(
    out: Outcome<T>,
    operand: &Operand,
    other: F80,
    env: Env,
) -> Outcome<T> {
    // A division by zero and an invalid operation come before a denormal operand (SDM volume 1, section 4.9.2).
    let earlier = out.status & (status::IE | status::ZE) != 0;
    if operand.status == 0 || earlier || is_nan_or_unsupported(other) {
        return out;
    }
    settle(
        Outcome {
            value: out.value,
            status: out.status | operand.status,
        },
        env,
    )
}

fn is_nan_or_unsupported(v: F80) -> bool {
    v.examine() & (status::C2 | status::C3) == 0
}
