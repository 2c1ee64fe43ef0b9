//! XSAVE, XSAVEOPT, XRSTOR, XGETBV, XSETBV with the x87 and SSE state components, and the FSGSBASE instructions.
//! Source: SDM volume 1, chapter 13.

use super::fpstate::{Parts, follow_ferr, load_legacy, store_legacy};
use crate::cpu::{Cpu, Fpu, RAX, RCX, RDX, Res, cr4, seg, size_mask};
use crate::trace::Op;

/// Bits of XCR0 and of XSTATE_BV.
pub(crate) mod component {
    /// x87 registers.
    pub(crate) const X87: u64 = 1 << 0;
    /// XMM registers.
    pub(crate) const SSE: u64 = 1 << 1;
    /// What XCR0 can hold.
    pub(crate) const ALL: u64 = X87 | SSE;
}

/// Offset of XSTATE_BV; XCOMP_BV follows it.
const HEADER: u64 = 512;
/// Legacy region and header.
pub(crate) const AREA_BYTES: u32 = 576;
/// MXCSR after reset.
const MXCSR_RESET: u32 = 0x1F80;

/// #UD unless the system has set CR4.OSXSAVE.
fn need_osxsave(c: &mut Cpu) -> Res {
    if c.cr4 & cr4::OSXSAVE == 0 {
        return Err(c.ud());
    }
    Ok(())
}

fn edx_eax(c: &Cpu) -> u64 {
    c.r[RAX] & 0xFFFF_FFFF | c.r[RDX] << 32
}

/// XGETBV.
pub(crate) fn xgetbv(c: &mut Cpu, _op: &Op) -> Res {
    need_osxsave(c)?;
    if c.r[RCX] as u32 != 0 {
        return Err(c.gp(0));
    }
    c.r[RAX] = c.xcr0 & 0xFFFF_FFFF;
    c.r[RDX] = c.xcr0 >> 32;
    Ok(())
}

/// XSETBV: the x87 component cannot be switched off.
pub(crate) fn xsetbv(c: &mut Cpu, _op: &Op) -> Res {
    need_osxsave(c)?;
    c.need_cpl0()?;
    let v = edx_eax(c);
    if c.r[RCX] as u32 != 0 || v & component::X87 == 0 || v & !component::ALL != 0 {
        return Err(c.gp(0));
    }
    c.xcr0 = v;
    Ok(())
}

/// Checks the area; gives the components that are asked for.
fn begin(c: &mut Cpu, op: &Op, write: bool) -> Res<u64> {
    need_osxsave(c)?;
    // CR0.EM has no say, other than with FXSAVE.
    if c.cr0 & crate::cpu::cr0::TS != 0 {
        return Err(c.raise(crate::cpu::vector::NM));
    }
    if c.part_address(op, 0, 2, write)? & 63 != 0 {
        return Err(c.gp(0));
    }
    c.check_area(op, u64::from(AREA_BYTES), write)?;
    Ok(c.xcr0 & edx_eax(c))
}

/// Components that are not in their initial configuration (XINUSE, SDM volume 1, section 13.6).
fn in_use(f: &Fpu) -> u64 {
    let mut initial = Fpu::new();
    initial.init();
    let x87 = f.st != initial.st
        || (f.control, f.status, f.top, f.empty)
            != (initial.control, initial.status, initial.top, initial.empty)
        || (f.opcode, f.ip, f.cs, f.dp, f.ds) != (0, 0, 0, 0, 0);
    let sse = f.xmm.iter().any(|&v| v != 0);
    (component::X87 * u64::from(x87)) | (component::SSE * u64::from(sse))
}

/// XSAVE.
pub(crate) fn xsave(c: &mut Cpu, op: &Op) -> Res {
    save(c, op, false)
}

/// XSAVEOPT: leaves components out that are in their initial configuration.
pub(crate) fn xsaveopt(c: &mut Cpu, op: &Op) -> Res {
    save(c, op, true)
}

fn save(c: &mut Cpu, op: &Op, optimized: bool) -> Res {
    let asked = begin(c, op, true)?;
    let mut used = in_use(&c.fpu);
    if optimized && asked & component::SSE != 0 && c.fpu.mxcsr != MXCSR_RESET {
        // MXCSR has no bit of its own: a value of its own counts as SSE state (section 13.9).
        used |= component::SSE;
    }
    let written = if optimized { asked & used } else { asked };
    let old = c.load_part(op, HEADER, 8)?;
    store_legacy(
        c,
        op,
        Parts {
            x87: written & component::X87 != 0,
            mxcsr: asked & component::SSE != 0,
            xmm: written & component::SSE != 0,
        },
    )?;
    c.store_part(op, HEADER, 8, old & !asked | used & asked)
}

/// XRSTOR in the standard form; the compacted form is not announced and raises #GP.
pub(crate) fn xrstor(c: &mut Cpu, op: &Op) -> Res {
    let asked = begin(c, op, false)?;
    let mut header = [0; 3];
    for (i, word) in header.iter_mut().enumerate() {
        *word = c.load_part(op, HEADER + 8 * i as u64, 8)?;
    }
    // Bytes 23:8 of the header are zero in the standard form (section 13.8.1).
    if header[0] & !c.xcr0 != 0 || header[1] != 0 || header[2] != 0 {
        return Err(c.gp(0));
    }
    let loaded = asked & header[0];
    let parts = Parts {
        x87: loaded & component::X87 != 0,
        mxcsr: asked & component::SSE != 0,
        xmm: loaded & component::SSE != 0,
    };
    let mut f = load_legacy(c, op, parts)?;
    let initialized = asked & !header[0];
    if initialized & component::X87 != 0 {
        f.init();
        f.st = Fpu::new().st;
    }
    if initialized & component::SSE != 0 {
        let count = if c.code64() { 16 } else { 8 };
        f.xmm[..count].fill(0);
    }
    c.fpu = f;
    follow_ferr(c, op);
    Ok(())
}

// ---- segment bases ----

/// #UD unless the system has set CR4.FSGSBASE.
fn need_fsgsbase(c: &mut Cpu) -> Res {
    if c.cr4 & cr4::FSGSBASE == 0 {
        return Err(c.ud());
    }
    Ok(())
}

fn read_base(c: &mut Cpu, op: &Op, segment: usize) -> Res {
    need_fsgsbase(c)?;
    let v = c.seg[segment].base & size_mask(op.size());
    c.set_reg_at(op.dst, op.size(), v);
    Ok(())
}

fn write_base(c: &mut Cpu, op: &Op, segment: usize) -> Res {
    need_fsgsbase(c)?;
    let v = c.reg_at(op.dst, op.size());
    if !Cpu::canonical(v) {
        return Err(c.gp(0));
    }
    c.set_segment_base(segment, v);
    Ok(())
}

/// RDFSBASE.
pub(crate) fn rdfsbase(c: &mut Cpu, op: &Op) -> Res {
    read_base(c, op, seg::FS)
}

/// RDGSBASE.
pub(crate) fn rdgsbase(c: &mut Cpu, op: &Op) -> Res {
    read_base(c, op, seg::GS)
}

/// WRFSBASE; #GP(0) for an address that is not canonical.
pub(crate) fn wrfsbase(c: &mut Cpu, op: &Op) -> Res {
    write_base(c, op, seg::FS)
}

/// WRGSBASE.
pub(crate) fn wrgsbase(c: &mut Cpu, op: &Op) -> Res {
    write_base(c, op, seg::GS)
}
