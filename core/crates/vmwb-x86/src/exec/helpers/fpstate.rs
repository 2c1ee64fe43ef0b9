//! State of the x87 and SSE units as a whole: FXSAVE, FXRSTOR, MXCSR, EMMS, WAIT (SDM volume 1, section 10.5).

use super::system::{need_fpu, need_sse};
use crate::cpu::{Cpu, Res, cr4, seg, vector};
use crate::fpu::F80;
use crate::trace::Op;

/// Bits of MXCSR that may be written.
pub(crate) const MXCSR_MASK: u32 = 0xFFFF;
const AREA_BYTES: u64 = 512;

fn area(c: &mut Cpu, op: &Op, write: bool) -> Res<u64> {
    if c.cr0 & crate::cpu::cr0::EM != 0 {
        return Err(c.raise(vector::NM));
    }
    need_fpu(c, false)?;
    let at = c.operand_address(op, AREA_BYTES, write)?;
    if at & 15 != 0 {
        return Err(c.gp(0));
    }
    Ok(at)
}

/// FXSAVE.
pub(crate) fn fxsave(c: &mut Cpu, op: &Op) -> Res {
    let at = area(c, op, true)?;
    let (user, stack) = (c.cpl == 3, op.segment() == seg::SS);
    // 512 bytes touch at most two pages.
    c.probe_write(at, 8, user, stack)?;
    c.probe_write(at.wrapping_add(AREA_BYTES - 8), 8, user, stack)?;
    let f = c.fpu.clone();
    let wide = op.size() == 8;
    // The abridged tag word: bit n set when physical register n is not empty.
    let tags = u64::from(!f.empty);
    let status = u64::from(f.status & !0x3800 | u16::from(f.top) << 11);
    let mut words = [0u64; 4];
    words[0] = u64::from(f.control) | status << 16 | tags << 32 | u64::from(f.opcode) << 48;
    words[1] = if wide {
        f.ip
    } else {
        f.ip & 0xFFFF_FFFF | u64::from(f.cs) << 32
    };
    words[2] = if wide {
        f.dp
    } else {
        f.dp & 0xFFFF_FFFF | u64::from(f.ds) << 32
    };
    words[3] = u64::from(f.mxcsr) | u64::from(MXCSR_MASK) << 32;
    for (i, w) in words.into_iter().enumerate() {
        c.store(op, at + 8 * i as u64, 8, w)?;
    }
    for i in 0..8 {
        let v = f.st[(usize::from(f.top) + i) & 7];
        let slot = at + 32 + 16 * i as u64;
        c.store(op, slot, 8, v.significand)?;
        c.store(op, slot + 8, 8, u64::from(v.sign_exp))?;
    }
    if c.cr4 & cr4::OSFXSR != 0 {
        let count = if c.code64() { 16 } else { 8 };
        for (i, &v) in f.xmm[..count].iter().enumerate() {
            c.store128(op, at + 160 + 16 * i as u64, v)?;
        }
    }
    Ok(())
}

/// FXRSTOR; #GP for reserved bits of MXCSR.
pub(crate) fn fxrstor(c: &mut Cpu, op: &Op) -> Res {
    let at = area(c, op, false)?;
    let mut words = [0u64; 4];
    for (i, w) in words.iter_mut().enumerate() {
        *w = c.load(op, at + 8 * i as u64, 8)?;
    }
    let mut f = c.fpu.clone();
    let wide = op.size() == 8;
    let mxcsr = words[3] as u32;
    let sse = c.cr4 & cr4::OSFXSR != 0;
    if sse && mxcsr & !MXCSR_MASK != 0 {
        return Err(c.gp(0));
    }
    f.control = words[0] as u16 & 0x1F7F | 0x40;
    let status = (words[0] >> 16) as u16;
    f.top = (status >> 11 & 7) as u8;
    f.status = status & !0x3800;
    f.empty = !((words[0] >> 32) as u8);
    f.opcode = (words[0] >> 48) as u16 & 0x7FF;
    (f.ip, f.cs) = if wide {
        (words[1], 0)
    } else {
        (words[1] & 0xFFFF_FFFF, (words[1] >> 32) as u16)
    };
    (f.dp, f.ds) = if wide {
        (words[2], 0)
    } else {
        (words[2] & 0xFFFF_FFFF, (words[2] >> 32) as u16)
    };
    for i in 0..8 {
        let slot = at + 32 + 16 * i as u64;
        let significand = c.load(op, slot, 8)?;
        let sign_exp = c.load(op, slot + 8, 2)? as u16;
        f.st[(usize::from(f.top) + i) & 7] = F80 {
            sign_exp,
            significand,
        };
    }
    if sse {
        f.mxcsr = mxcsr;
        let count = if c.code64() { 16 } else { 8 };
        for i in 0..count {
            f.xmm[i] = c.load128(op, at + 160 + 16 * i as u64)?;
        }
    }
    c.fpu = f;
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

/// An unmasked x87 exception of an earlier instruction: #MF.
pub(crate) fn check_pending(c: &mut Cpu) -> Res {
    if c.fpu.status & 0x80 != 0 {
        Err(c.raise(vector::MF))
    } else {
        Ok(())
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
