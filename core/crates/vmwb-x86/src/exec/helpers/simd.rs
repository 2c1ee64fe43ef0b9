//! What the helpers of MMX and SSE instructions share: permission, operands, alignment, exceptions.
//! Source: SDM volume 2, section 2.4 (exception classes), volume 3, chapters 12 and 13.

use super::fpstate::check_pending;
use super::system::{need_fpu, need_sse};
use crate::cpu::{Cpu, Res, Stop, cr0, cr4, seg, vector};
use crate::simd::Unmasked;
use crate::trace::{Op, mode};

/// The SSE unit may be used now: #UD or #NM otherwise.
#[inline(always)]
pub(super) fn begin_sse(c: &mut Cpu) -> Res {
    if c.cr0 & (cr0::EM | cr0::TS) == 0 && c.cr4 & cr4::OSFXSR != 0 {
        Ok(())
    } else {
        need_sse(c)
    }
}

/// The MMX registers may be used now: #UD by CR0.EM, #NM by CR0.TS, #MF for an earlier x87 exception.
pub(super) fn begin_mmx(c: &mut Cpu) -> Res {
    if c.cr0 & cr0::EM != 0 {
        return Err(c.ud());
    }
    need_fpu(c, false)?;
    check_pending(c)
}

/// Every MMX instruction but EMMS leaves all registers valid and TOP at 0 (SDM volume 3, table 12-1).
pub(super) fn enter_mmx_state(c: &mut Cpu) {
    c.fpu.top = 0;
    c.fpu.empty = 0;
}

/// Bits of MMX register `n`.
#[inline(always)]
pub(super) fn mm(c: &Cpu, n: u8) -> u64 {
    c.fpu.st[usize::from(n & 7)].significand
}

/// Writes MMX register `n`; sign and exponent of the x87 register become ones.
#[inline(always)]
pub(super) fn set_mm(c: &mut Cpu, n: u8, v: u64) {
    c.fpu.st[usize::from(n & 7)] = crate::fpu::F80 {
        sign_exp: 0xFFFF,
        significand: v,
    };
}

/// XMM register `n`.
#[inline(always)]
pub(super) fn xmm(c: &Cpu, n: u8) -> u128 {
    c.fpu.xmm[usize::from(n & 15)]
}

/// The same, to write to.
#[inline(always)]
pub(super) fn xmm_mut(c: &mut Cpu, n: u8) -> &mut u128 {
    &mut c.fpu.xmm[usize::from(n & 15)]
}

/// Replaces the low 32 bits.
#[inline(always)]
pub(super) fn with_low32(v: u128, low: u32) -> u128 {
    v >> 32 << 32 | u128::from(low)
}

/// Replaces the low 64 bits.
#[inline(always)]
pub(super) fn with_low64(v: u128, low: u64) -> u128 {
    v >> 64 << 64 | u128::from(low)
}

/// Linear address of a memory operand of `n` bytes; flat segments need no check.
#[inline(always)]
pub(super) fn address(c: &mut Cpu, op: &Op, n: u64, write: bool) -> Res<u64> {
    let offset = c.offset_of(op);
    let flat = matches!(op.segment(), seg::ES | seg::SS | seg::DS);
    if flat && c.mode & mode::FLAT != 0 {
        return Ok(offset);
    }
    c.segment_address(op.segment(), offset, n, write)
}

/// The same for 16 bytes on a 16-byte boundary; #GP(0) otherwise.
#[inline(always)]
pub(super) fn aligned_address(c: &mut Cpu, op: &Op, write: bool) -> Res<u64> {
    let at = address(c, op, 16, write)?;
    if at & 15 != 0 { Err(c.gp(0)) } else { Ok(at) }
}

/// Loads `N` bytes (2, 4, 8) of memory.
#[inline(always)]
pub(super) fn load_mem<const N: u8>(c: &mut Cpu, op: &Op) -> Res<u64> {
    let at = address(c, op, u64::from(N), false)?;
    c.load(op, at, N)
}

/// Stores `N` bytes (4, 8) to memory.
#[inline(always)]
pub(super) fn store_mem<const N: u8>(c: &mut Cpu, op: &Op, v: u64) -> Res {
    let at = address(c, op, u64::from(N), true)?;
    c.store(op, at, N, v)
}

/// XMM register `reg`, or 16 aligned bytes of memory.
#[inline(always)]
pub(super) fn source128(c: &mut Cpu, op: &Op, reg: u8) -> Res<u128> {
    if op.is_mem() {
        let at = aligned_address(c, op, false)?;
        return c.load128(op, at);
    }
    Ok(xmm(c, reg))
}

/// Low 64 bits of XMM register `reg`, or 8 bytes of memory.
#[inline(always)]
pub(super) fn source64(c: &mut Cpu, op: &Op, reg: u8) -> Res<u64> {
    if op.is_mem() {
        load_mem::<8>(c, op)
    } else {
        Ok(xmm(c, reg) as u64)
    }
}

/// Low 32 bits of XMM register `reg`, or 4 bytes of memory.
#[inline(always)]
pub(super) fn source32(c: &mut Cpu, op: &Op, reg: u8) -> Res<u32> {
    if op.is_mem() {
        Ok(load_mem::<4>(c, op)? as u32)
    } else {
        Ok(xmm(c, reg) as u32)
    }
}

/// MMX register `reg`, or 8 bytes of memory.
#[inline(always)]
pub(super) fn source_mm(c: &mut Cpu, op: &Op, reg: u8) -> Res<u64> {
    if op.is_mem() {
        load_mem::<8>(c, op)
    } else {
        Ok(mm(c, reg))
    }
}

/// The result of a floating-point operation, or the exception that MXCSR does not mask: #XM, and #UD when the system has
/// not said that it handles those.
#[inline(always)]
pub(super) fn unmasked<T>(c: &mut Cpu, result: Result<T, Unmasked>) -> Res<T> {
    match result {
        Ok(v) => Ok(v),
        Err(Unmasked) => Err(simd_exception(c)),
    }
}

#[cold]
fn simd_exception(c: &mut Cpu) -> Stop {
    if c.cr4 & cr4::OSXMMEXCPT != 0 {
        c.raise(vector::XM)
    } else {
        c.ud()
    }
}
