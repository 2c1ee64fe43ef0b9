//! SYSCALL, SYSRET, SYSENTER, SYSEXIT. Intel and AMD differ in where they exist and in what they check: the model says.
//! Source: SDM volume 2; AMD64 manual volume 3 and volume 2, section 6.1.

use crate::cpu::{Cpu, RCX, RDX, RSP, Res, Segment, efer, flag, seg};
use crate::debug::dr6;
use crate::trace::Op;

/// 64-bit code, DPL in bits 5-6.
const CODE64: u16 = 0xA09B;
/// 32-bit code.
const CODE32: u16 = 0xC09B;
/// 32-bit data.
const DATA32: u16 = 0xC093;
/// DPL 3.
const USER: u16 = 3 << 5;
/// RFLAGS bits that SYSRET takes from R11.
const SYSRET_FLAGS: u64 = 0x3C_7FD7;

fn flat(selector: u16, attr: u16) -> Segment {
    Segment {
        selector,
        base: 0,
        limit: u32::MAX,
        attr,
    }
}

/// Enters privilege level 0 with flat segments.
fn enter_kernel(c: &mut Cpu, selector: u16, code: u16) {
    c.cpl = 0;
    c.set_segment(seg::SS, flat(selector.wrapping_add(8), DATA32));
    c.set_segment(seg::CS, flat(selector, code));
    c.update_mode();
}

/// Enters privilege level 3; `stack`: the selector of SS.
fn enter_user(c: &mut Cpu, selector: u16, code: u16, stack: Segment) {
    c.cpl = 3;
    c.set_segment(seg::SS, stack);
    c.set_segment(seg::CS, flat(selector | 3, code | USER));
    c.update_mode();
}

/// SYSCALL: on AMD's processors in every protected mode, on Intel's in 64-bit mode.
pub(crate) fn syscall(c: &mut Cpu, _op: &Op) -> Res {
    if c.efer & efer::SCE == 0 || !c.protected() || !(c.amd || c.code64()) {
        return Err(c.ud());
    }
    let star = c.msr.star;
    let selector = (star >> 32) as u16 & !3;
    c.r[RCX] = c.rip;
    if !c.long_mode() {
        c.eflags &= !(flag::VM | flag::IF | flag::RF);
        enter_kernel(c, selector, CODE32);
        c.rip = star & 0xFFFF_FFFF;
        return Ok(());
    }
    c.r[11] = c.flags() & !flag::RF;
    let target = if c.code64() { c.msr.lstar } else { c.msr.cstar };
    let f = c.flags() & !c.msr.fmask & !flag::RF;
    c.set_flags(f);
    // With TF masked the kernel is not single-stepped.
    c.no_trap = f & flag::TF == 0;
    enter_kernel(c, selector, CODE64);
    c.rip = target;
    Ok(())
}

/// SYSRET. AMD's processors change only the selector of SS, and meet a target that is not canonical in user mode.
pub(crate) fn sysret(c: &mut Cpu, op: &Op) -> Res {
    if c.efer & efer::SCE == 0 || !(c.amd || c.code64()) {
        return Err(c.ud());
    }
    if !c.protected() {
        return Err(c.gp(0));
    }
    c.need_cpl0()?;
    let base = (c.msr.star >> 48) as u16;
    let wide = c.long_mode() && op.size() == 8;
    let ip = if wide {
        c.r[RCX]
    } else {
        c.r[RCX] & 0xFFFF_FFFF
    };
    if wide && !c.amd && !Cpu::canonical(ip) {
        return Err(c.gp(0));
    }
    let ss = base.wrapping_add(8) | 3;
    let stack = if c.amd {
        Segment {
            selector: ss,
            ..c.seg[seg::SS]
        }
    } else {
        flat(ss, DATA32 | USER)
    };
    if c.long_mode() {
        let f = c.r[11] & !(flag::RF | flag::VM) & SYSRET_FLAGS;
        c.set_flags(f);
        if f & flag::TF != 0 {
            // Other than behind IRET and POPF the trap comes before the first instruction there (SDM volume 2, SYSRET: TF
            // counts as it is at the instruction's end).
            c.pending_debug |= dr6::BS;
        }
    } else {
        c.eflags |= flag::IF;
    }
    if wide {
        enter_user(c, base.wrapping_add(16), CODE64, stack);
    } else {
        enter_user(c, base, CODE32, stack);
    }
    c.rip = ip;
    Ok(())
}

/// SYSENTER: on AMD's processors outside long mode only.
pub(crate) fn sysenter(c: &mut Cpu, _op: &Op) -> Res {
    let long = c.long_mode();
    if long && c.amd {
        return Err(c.ud());
    }
    let cs = c.msr.sysenter_cs as u16 & !3;
    if !c.protected() || cs == 0 {
        return Err(c.gp(0));
    }
    c.eflags &= !(flag::VM | flag::IF | flag::RF);
    enter_kernel(c, cs, if long { CODE64 } else { CODE32 });
    let mask = if long { u64::MAX } else { 0xFFFF_FFFF };
    c.r[RSP] = c.msr.sysenter_esp & mask;
    c.rip = c.msr.sysenter_eip & mask;
    Ok(())
}

/// SYSEXIT. Where AMD's processors do not have it they look at the privilege first.
pub(crate) fn sysexit(c: &mut Cpu, op: &Op) -> Res {
    if c.long_mode() && c.amd {
        c.need_cpl0()?;
        return Err(c.ud());
    }
    let cs = c.msr.sysenter_cs as u16 & !3;
    if !c.protected() || cs == 0 || c.cpl != 0 {
        return Err(c.gp(0));
    }
    let (sp, ip) = (c.r[RCX], c.r[RDX]);
    if c.code64() && op.size() == 8 {
        if !Cpu::canonical(sp) || !Cpu::canonical(ip) {
            return Err(c.gp(0));
        }
        let stack = flat(cs.wrapping_add(40) | 3, DATA32 | USER);
        enter_user(c, cs.wrapping_add(32), CODE64, stack);
        (c.r[RSP], c.rip) = (sp, ip);
    } else {
        let stack = flat(cs.wrapping_add(24) | 3, DATA32 | USER);
        enter_user(c, cs.wrapping_add(16), CODE32, stack);
        (c.r[RSP], c.rip) = (sp & 0xFFFF_FFFF, ip & 0xFFFF_FFFF);
    }
    Ok(())
}
