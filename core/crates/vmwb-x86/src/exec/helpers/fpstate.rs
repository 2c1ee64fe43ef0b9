//! State of the x87 and SSE units as a whole: FXSAVE, FXRSTOR, MXCSR, EMMS, WAIT (SDM volume 1, section 10.5).

use super::system::{need_fpu, need_sse};
use crate::cpu::{Cpu, Fpu, Res, Stop, Why, cr4, vector};
use crate::fpu::F80;
use crate::trace::Op;

/// Bits of MXCSR that may be written.
pub(crate) const MXCSR_MASK: u32 = 0xFFFF;
const AREA_BYTES: u64 = 512;

/// Checks what FXSAVE and FXRSTOR need: the unit, and an aligned area that can be accessed as a whole.
fn need_area(c: &mut Cpu, op: &Op, write: bool) -> Res {
    if c.cr0 & crate::cpu::cr0::EM != 0 {
        return Err(c.raise(vector::NM));
    }
    need_fpu(c, false)?;
    let at = c.part_address(op, 0, 2, write)?;
    if at & 15 != 0 {
        // Where alignment is checked #AC may come first, of a width by model (SDM volume 2, FXSAVE): here AMD's.
        c.check_alignment(at, 4)?;
        return Err(c.gp(0));
    }
    c.check_area(op, AREA_BYTES, write)
}

/// Parts of the legacy region of an FXSAVE or XSAVE area.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// The x87 unit, bytes 0 to 23 and 32 to 159.
    pub(super) x87: bool,
    /// MXCSR and its mask, bytes 24 to 31.
    pub(super) mxcsr: bool,
    /// XMM registers, bytes 160 to 415.
    pub(super) xmm: bool,
}

/// Stores parts of the legacy region. The caller has checked it.
pub(super) fn store_legacy(c: &mut Cpu, op: &Op, parts: Parts) -> Res {
    let f = c.fpu.clone();
    let wide = op.size() == 8;
    let pointer = |offset: u64, segment: u16| {
        if wide {
            offset
        } else {
            offset & 0xFFFF_FFFF | u64::from(segment) << 32
        }
    };
    if parts.x87 {
        // The abridged tag word: bit n set when physical register n is not empty.
        let tags = u64::from(!f.empty);
        let status = u64::from(f.status_word());
        let words = [
            u64::from(f.control) | status << 16 | tags << 32 | u64::from(f.opcode) << 48,
            pointer(f.ip, f.cs),
            pointer(f.dp, f.ds),
        ];
        for (i, w) in words.into_iter().enumerate() {
            c.store_part(op, 8 * i as u64, 8, w)?;
        }
        for i in 0..8 {
            let v = f.st(i);
            let slot = 32 + 16 * u64::from(i);
            c.store_part(op, slot, 8, v.significand)?;
            c.store_part(op, slot + 8, 8, u64::from(v.sign_exp))?;
        }
    }
    if parts.mxcsr {
        let v = u64::from(f.mxcsr) | u64::from(MXCSR_MASK) << 32;
        c.store_part(op, 24, 8, v)?;
    }
    if parts.xmm {
        for (i, &v) in f.xmm[..xmm_count(c)].iter().enumerate() {
            let at = c.part_address(op, 160 + 16 * i as u64, 16, true)?;
            c.store128(op, at, v)?;
        }
    }
    Ok(())
}

/// Registers that an area holds: XMM8 to XMM15 exist in 64-bit mode only.
fn xmm_count(c: &Cpu) -> usize {
    if c.code64() { 16 } else { 8 }
}

/// The units with parts of the legacy region in place of their own; #GP for reserved bits of MXCSR.
pub(super) fn load_legacy(c: &mut Cpu, op: &Op, parts: Parts) -> Res<Fpu> {
    let mut f = c.fpu.clone();
    let wide = op.size() == 8;
    let pointer = |v: u64| {
        if wide {
            (v, 0)
        } else {
            (v & 0xFFFF_FFFF, (v >> 32) as u16)
        }
    };
    if parts.mxcsr {
        f.mxcsr = c.load_part(op, 24, 4)? as u32;
        if f.mxcsr & !MXCSR_MASK != 0 {
            return Err(c.gp(0));
        }
    }
    if parts.x87 {
        let mut words = [0u64; 3];
        for (i, w) in words.iter_mut().enumerate() {
            *w = c.load_part(op, 8 * i as u64, 8)?;
        }
        f.set_control_word(words[0] as u16);
        f.set_status_word((words[0] >> 16) as u16);
        f.empty = !((words[0] >> 32) as u8);
        f.opcode = (words[0] >> 48) as u16 & 0x7FF;
        (f.ip, f.cs) = pointer(words[1]);
        (f.dp, f.ds) = pointer(words[2]);
        for i in 0..8 {
            let slot = 32 + 16 * u64::from(i);
            let significand = c.load_part(op, slot, 8)?;
            let sign_exp = c.load_part(op, slot + 8, 2)? as u16;
            f.st[usize::from(f.top.wrapping_add(i) & 7)] = F80 {
                sign_exp,
                significand,
            };
        }
    }
    if parts.xmm {
        for i in 0..xmm_count(c) {
            let at = c.part_address(op, 160 + 16 * i as u64, 16, false)?;
            f.xmm[i] = c.load128(op, at)?;
        }
    }
    Ok(f)
}

/// FXSAVE.
pub(crate) fn fxsave(c: &mut Cpu, op: &Op) -> Res {
    need_area(c, op, true)?;
    let xmm = c.cr4 & cr4::OSFXSR != 0;
    store_legacy(
        c,
        op,
        Parts {
            x87: true,
            mxcsr: true,
            xmm,
        },
    )
}

/// FXRSTOR; #GP for reserved bits of MXCSR.
pub(crate) fn fxrstor(c: &mut Cpu, op: &Op) -> Res {
    need_area(c, op, false)?;
    let sse = c.cr4 & cr4::OSFXSR != 0;
    c.fpu = load_legacy(
        c,
        op,
        Parts {
            x87: true,
            mxcsr: sse,
            xmm: sse,
        },
    )?;
    follow_ferr(c, op);
    Ok(())
}

/// LDMXCSR.
pub(crate) fn ldmxcsr(c: &mut Cpu, op: &Op) -> Res {
    need_sse(c)?;
    let at = c.operand_address(op, 4, false)?;
    let v = c.load(op, at, 4)? as u32;
    if v & !MXCSR_MASK != 0 {
        return Err(c.gp(0));
    }
    c.fpu.mxcsr = v;
    Ok(())
}

/// STMXCSR.
pub(crate) fn stmxcsr(c: &mut Cpu, op: &Op) -> Res {
    need_sse(c)?;
    let at = c.operand_address(op, 4, true)?;
    let v = u64::from(c.fpu.mxcsr);
    c.store(op, at, 4, v)
}

/// WAIT: reports a pending x87 exception.
pub(crate) fn fwait(c: &mut Cpu, _op: &Op) -> Res {
    need_fpu(c, true)?;
    check_pending(c)
}

/// An unmasked x87 exception of an earlier instruction: #MF, or FERR# when CR0.NE is clear.
#[inline]
pub(crate) fn check_pending(c: &mut Cpu) -> Res {
    if c.fpu.status & 0x80 != 0 {
        pending(c)
    } else {
        Ok(())
    }
}

/// Reports the exception. By FERR# and the board's interrupt 13 (SDM volume 1, appendix D.2) the processor waits before
/// the instruction for an interrupt, unless IGNNE# lets it go on.
#[cold]
#[inline(never)]
fn pending(c: &mut Cpu) -> Res {
    if c.cr0 & crate::cpu::cr0::NE != 0 {
        return Err(c.raise(vector::MF));
    }
    if !c.devices_ok {
        // The line's change needs an exact stamp.
        return Err(c.alone());
    }
    let retired = c.retired().wrapping_sub(1);
    c.ferr = true;
    let ignored = c.bus().set_ferr(true, retired);
    c.touch();
    if ignored {
        return Ok(());
    }
    c.halted = true;
    c.why = Why::Halt;
    Err(Stop)
}

/// Releases FERR# when no exception is left to report. Called behind every instruction that can clear them.
#[inline]
pub(crate) fn follow_ferr(c: &mut Cpu, op: &Op) {
    if c.ferr && c.fpu.status & 0x80 == 0 {
        let retired = c.retired_before(op);
        c.ferr = false;
        c.bus().set_ferr(false, retired);
        c.touch();
    }
}

/// EMMS: all x87 registers become empty.
pub(crate) fn emms(c: &mut Cpu, _op: &Op) -> Res {
    if c.cr0 & crate::cpu::cr0::EM != 0 {
        return Err(c.ud());
    }
    need_fpu(c, false)?;
    check_pending(c)?;
    c.fpu.empty = 0xFF;
    c.fpu.top = 0;
    Ok(())
}
