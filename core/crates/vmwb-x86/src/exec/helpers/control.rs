//! Far transfers, loops, stack frames, flags on the stack, software interrupts and returns from them.

use crate::cpu::{Cpu, Fault, RCX, Res, cr4, efer, flag, seg, size_mask, vector};
use crate::descriptor::Descriptor;
use crate::trace::Op;

const CX: u8 = (RCX * 8) as u8;

/// Takes the branch of LOOPcc and JCXZ.
fn take_short_branch(c: &mut Cpu, op: &Op) {
    let width = if c.code64() { 8 } else { op.size() };
    c.rip = c.rip.wrapping_add(op.imm64()) & size_mask(width);
}

fn decrement_cx(c: &mut Cpu, op: &Op) -> bool {
    let width = op.address_size();
    let v = c.reg_at(CX, width).wrapping_sub(1) & size_mask(width);
    c.set_reg_at(CX, width, v);
    v != 0
}

/// LOOP.
pub(crate) fn loop_rcx(c: &mut Cpu, op: &Op) -> Res {
    if decrement_cx(c, op) {
        take_short_branch(c, op);
    }
    Ok(())
}

/// LOOPE.
pub(crate) fn loopz(c: &mut Cpu, op: &Op) -> Res {
    if decrement_cx(c, op) && c.zf() {
        take_short_branch(c, op);
    }
    Ok(())
}

/// LOOPNE.
pub(crate) fn loopnz(c: &mut Cpu, op: &Op) -> Res {
    if decrement_cx(c, op) && !c.zf() {
        take_short_branch(c, op);
    }
    Ok(())
}

/// JCXZ, JECXZ, JRCXZ.
pub(crate) fn jcxz(c: &mut Cpu, op: &Op) -> Res {
    if c.reg_at(CX, op.address_size()) == 0 {
        take_short_branch(c, op);
    }
    Ok(())
}

// ---- stack frames and flags ----

/// POP to memory: the address is made with RSP as it is after the pop (SDM volume 2, POP).
pub(crate) fn pop_mem(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let v = c.peek(n, 0)?;
    if !op.is_mem() {
        c.drop_stack(u64::from(n));
        c.set_reg_at(op.dst, n, v);
        return Ok(());
    }
    let old = c.r[4];
    c.drop_stack(u64::from(n));
    let written = c
        .operand_address(op, u64::from(n), true)
        .and_then(|at| c.store(op, at, n, v));
    if written.is_err() {
        c.r[4] = old;
    }
    written
}

/// PUSHA.
pub(crate) fn pusha(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let old = c.r[4];
    for r in 0..8u8 {
        let v = if r == 4 {
            old & size_mask(n)
        } else {
            c.reg_at(r * 8, n)
        };
        if let Err(e) = c.push(n, v) {
            c.r[4] = old;
            return Err(e);
        }
    }
    Ok(())
}

/// POPA.
pub(crate) fn popa(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let mut values = [0; 8];
    for (i, v) in values.iter_mut().enumerate() {
        *v = c.peek(n, i as u64 * u64::from(n))?;
    }
    for (i, v) in values.into_iter().enumerate().filter(|&(i, _)| i != 3) {
        c.set_reg_at(((7 - i) * 8) as u8, n, v);
    }
    c.drop_stack(8 * u64::from(n));
    Ok(())
}

/// ENTER.
pub(crate) fn enter(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let (level, room) = (op.extra & 31, u64::from(op.imm as u32 & 0xFFFF));
    let width = c.stack_size();
    let old_sp = c.r[4];
    let old_bp = c.r[5];
    let restore = |c: &mut Cpu, e| {
        c.r[4] = old_sp;
        Err(e)
    };
    let bp = c.reg_at(5 * 8, n);
    if let Err(e) = c.push(n, bp) {
        return restore(c, e);
    }
    let frame = c.reg_at(4 * 8, width);
    for i in 1..level {
        let at = c
            .reg_at(5 * 8, width)
            .wrapping_sub(u64::from(i) * u64::from(n))
            & size_mask(width);
        let v = c
            .segment_address(seg::SS, at, u64::from(n), false)
            .and_then(|at| {
                let user = c.cpl == 3;
                c.read_linear(at, n, user, true)
            })
            .and_then(|v| c.push(n, v));
        if let Err(e) = v {
            return restore(c, e);
        }
    }
    if level > 0
        && let Err(e) = c.push(n, frame)
    {
        return restore(c, e);
    }
    let sp = c.reg_at(4 * 8, width).wrapping_sub(room) & size_mask(width);
    // The new top of the stack must be writable.
    let probe = c
        .segment_address(seg::SS, sp, u64::from(n), true)
        .and_then(|at| {
            let user = c.cpl == 3;
            c.probe_write(at, n, user, true)
        });
    if let Err(e) = probe {
        c.r[5] = old_bp;
        return restore(c, e);
    }
    c.set_reg_at(4 * 8, width, sp);
    c.set_reg_at(5 * 8, n, frame);
    Ok(())
}

/// PUSHF: VM and RF are pushed as zero.
pub(crate) fn pushf(c: &mut Cpu, op: &Op) -> Res {
    if c.v86() && c.iopl() < 3 {
        return Err(c.gp(0));
    }
    let f = c.flags() & !(flag::VM | flag::RF);
    c.push(op.size(), f)
}

/// POPF: IOPL changes at CPL 0 only, IF only with CPL <= IOPL; else they stay, silently.
pub(crate) fn popf(c: &mut Cpu, op: &Op) -> Res {
    if c.v86() && c.iopl() < 3 {
        return Err(c.gp(0));
    }
    let n = op.size();
    let v = c.peek(n, 0)?;
    c.drop_stack(u64::from(n));
    let mut mask = flag::ARITH | flag::TF | flag::DF | flag::NT | flag::AC | flag::ID;
    if c.cpl == 0 && !c.v86() {
        mask |= flag::IOPL;
    }
    if c.cpl <= c.iopl() || !c.protected() {
        mask |= flag::IF;
    }
    if n == 2 {
        mask &= 0xFFFF;
    }
    let f = c.flags() & !mask & !flag::RF | v & mask;
    c.set_flags(f);
    Ok(())
}

// ---- far transfers ----

fn far_pointer(c: &mut Cpu, op: &Op) -> Res<(u16, u64)> {
    if op.is_mem() {
        let n = op.size();
        let at = c.operand_address(op, u64::from(n) + 2, false)?;
        let offset = c.load(op, at, n)?;
        let selector = c.load(op, at.wrapping_add(u64::from(n)), 2)?;
        Ok((selector as u16, offset))
    } else {
        Ok(((op.disp >> 32) as u16, op.disp & size_mask(op.size())))
    }
}

fn check_code_target(c: &mut Cpu, selector: u16, d: Descriptor, offset: u64) -> Res {
    let rpl = (selector & 3) as u8;
    let privilege_ok = if d.conforming() {
        d.dpl() <= c.cpl
    } else {
        rpl <= c.cpl && d.dpl() == c.cpl
    };
    let bad_mode = c.long_mode() && d.low >> 53 & 1 != 0 && d.low >> 54 & 1 != 0;
    if !d.is_code() || !privilege_ok || bad_mode {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    check_offset(c, d, offset)
}

fn check_offset(c: &mut Cpu, d: Descriptor, offset: u64) -> Res {
    let s = d.segment(0);
    let ok = if c.long_mode() && s.long() {
        Cpu::canonical(offset)
    } else {
        offset <= u64::from(s.limit)
    };
    if ok { Ok(()) } else { Err(c.gp(0)) }
}

/// JMP far: code segments and call gates to the same privilege.
pub(crate) fn jmp_far(c: &mut Cpu, op: &Op) -> Res {
    let (selector, offset) = far_pointer(c, op)?;
    if !c.protected() || c.v86() {
        return real_far_jump(c, selector, offset);
    }
    let (selector, mut d, offset) = far_target(c, selector, offset)?;
    check_code_target(c, selector, d, offset)?;
    c.mark_accessed(selector, &mut d)?;
    let cpl = c.cpl;
    c.set_code_segment(selector, d, cpl);
    c.rip = offset;
    Ok(())
}

fn real_far_jump(c: &mut Cpu, selector: u16, offset: u64) -> Res {
    c.load_segment(seg::CS, selector)?;
    c.rip = offset & 0xFFFF;
    Ok(())
}

/// Follows a call gate; other system descriptors are refused.
fn far_target(c: &mut Cpu, selector: u16, offset: u64) -> Res<(u16, Descriptor, u64)> {
    if selector & !3 == 0 {
        return Err(c.gp(0));
    }
    let d = c.descriptor(selector, vector::GP, false)?;
    if d.is_user() {
        return Ok((selector, d, offset));
    }
    let gate = c.descriptor(selector, vector::GP, true)?;
    let rpl = (selector & 3) as u8;
    let is_call_gate = gate.kind() == 12 || (!c.long_mode() && gate.kind() == 4);
    if matches!(gate.kind(), 1 | 3 | 5 | 9 | 11) && !c.long_mode() {
        return Err(c.unimplemented("a task switch"));
    }
    if !is_call_gate || gate.dpl() < c.cpl || gate.dpl() < rpl {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !gate.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    let target = gate.gate_selector();
    if target & !3 == 0 {
        return Err(c.gp(0));
    }
    let d = c.descriptor(target, vector::GP, false)?;
    if !d.conforming() && d.dpl() < c.cpl {
        return Err(c.unimplemented("a call gate to a more privileged segment"));
    }
    let offset = if gate.kind() == 4 {
        gate.gate_offset() & 0xFFFF
    } else {
        gate.gate_offset()
    };
    Ok((target & !3, d, offset))
}

/// CALL far.
pub(crate) fn call_far(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let (selector, offset) = far_pointer(c, op)?;
    let (back_cs, back_ip) = (u64::from(c.seg[seg::CS].selector), c.rip);
    if !c.protected() || c.v86() {
        push_two(c, n, back_cs, back_ip)?;
        return real_far_jump(c, selector, offset);
    }
    let (selector, mut d, offset) = far_target(c, selector, offset)?;
    check_code_target(c, selector, d, offset)?;
    push_two(c, n, back_cs, back_ip)?;
    c.mark_accessed(selector, &mut d)?;
    let cpl = c.cpl;
    c.set_code_segment(selector, d, cpl);
    c.rip = offset;
    Ok(())
}

fn push_two(c: &mut Cpu, n: u8, first: u64, second: u64) -> Res {
    let old = c.r[4];
    c.push(n, first)?;
    if let Err(e) = c.push(n, second) {
        c.r[4] = old;
        return Err(e);
    }
    Ok(())
}

/// RET far, to the same or a less privileged level.
pub(crate) fn ret_far(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let extra = op.imm64() & 0xFFFF;
    let ip = c.peek(n, 0)?;
    let selector = c.peek(n, u64::from(n))? as u16;
    if !c.protected() || c.v86() {
        c.drop_stack(2 * u64::from(n) + extra);
        return real_far_jump(c, selector, ip);
    }
    return_to(c, n, selector, ip, 2 * u64::from(n) + extra, extra, None)
}

/// The common end of RET far and IRET: `popped` bytes stood on the old stack before SS:RSP, `extra` go from both stacks.
fn return_to(
    c: &mut Cpu,
    n: u8,
    selector: u16,
    ip: u64,
    popped: u64,
    extra: u64,
    flags: Option<u64>,
) -> Res {
    let rpl = (selector & 3) as u8;
    if selector & !3 == 0 {
        return Err(c.gp(0));
    }
    let mut d = c.descriptor(selector, vector::GP, false)?;
    let dpl_ok = if d.conforming() {
        d.dpl() <= rpl
    } else {
        d.dpl() == rpl
    };
    let bad_mode = c.long_mode() && d.low >> 53 & 1 != 0 && d.low >> 54 & 1 != 0;
    if !d.is_code() || rpl < c.cpl || !dpl_ok || bad_mode {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    check_offset(c, d, ip)?;
    let outer = rpl > c.cpl;
    // IRET in 64-bit mode always takes SS:RSP from the stack.
    let takes_stack = outer || (flags.is_some() && c.code64());
    let old_cpl = c.cpl;
    let new_stack = if takes_stack {
        let sp = c.peek(n, popped)?;
        let ss = c.peek(n, popped + u64::from(n))? as u16;
        Some((ss, sp))
    } else {
        None
    };
    c.mark_accessed(selector, &mut d)?;
    let target_long = c.long_mode() && d.low >> 53 & 1 != 0;
    if let Some((ss, sp)) = new_stack {
        let stack = checked_stack(c, ss, rpl, target_long)?;
        c.set_code_segment(selector, d, rpl);
        c.set_segment(seg::SS, stack);
        c.update_mode();
        let width = c.stack_size();
        // The whole register is loaded from a wide enough frame, whatever SS.B says.
        if n == 8 || width == 8 {
            c.r[4] = sp.wrapping_add(extra);
        } else {
            c.set_reg_at(4 * 8, width.max(n).min(4), sp.wrapping_add(extra));
        }
        if outer {
            drop_privileged_segments(c);
        }
    } else {
        c.drop_stack(popped);
        c.set_code_segment(selector, d, rpl);
    }
    if let Some(f) = flags {
        set_flags_by_iret(c, n, f, old_cpl);
    }
    c.rip = ip;
    Ok(())
}

fn checked_stack(c: &mut Cpu, ss: u16, rpl: u8, target_long: bool) -> Res<crate::cpu::Segment> {
    if ss & !3 == 0 {
        if target_long && rpl < 3 && (ss & 3) as u8 == rpl {
            let attr = u16::from(rpl) << 5;
            return Ok(crate::cpu::Segment {
                selector: ss,
                base: 0,
                limit: 0,
                attr,
            });
        }
        return Err(c.gp(0));
    }
    let mut d = c.descriptor(ss, vector::GP, false)?;
    let writable_data = d.is_user() && d.kind() & 0b1010 == 0b0010;
    if !writable_data || (ss & 3) as u8 != rpl || d.dpl() != rpl {
        return Err(c.selector_fault(vector::GP, ss));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::SS, ss));
    }
    c.mark_accessed(ss, &mut d)?;
    Ok(d.segment(ss))
}

/// Data segments that the outer level may not use become null (SDM volume 2, RET).
fn drop_privileged_segments(c: &mut Cpu) {
    for n in [seg::ES, seg::DS, seg::FS, seg::GS] {
        let s = c.seg[n];
        let conforming_code = s.kind() & 0b1100 == 0b1100;
        if s.selector & !3 != 0 && !conforming_code && s.dpl() < c.cpl {
            let base = if c.long_mode() && n >= seg::FS {
                s.base
            } else {
                0
            };
            c.set_segment(
                n,
                crate::cpu::Segment {
                    selector: 0,
                    base,
                    limit: 0,
                    attr: 0,
                },
            );
        }
    }
    c.update_mode();
}

fn set_flags_by_iret(c: &mut Cpu, n: u8, f: u64, old_cpl: u8) {
    let mut mask = flag::ARITH | flag::TF | flag::DF | flag::NT | flag::RF | flag::AC | flag::ID;
    if old_cpl == 0 {
        mask |= flag::IOPL | flag::VIF | flag::VIP;
    }
    if old_cpl <= c.iopl() {
        mask |= flag::IF;
    }
    if n == 2 {
        mask &= 0xFFFF;
    }
    let new = c.flags() & !mask | f & mask;
    c.set_flags(new);
}

/// IRET.
pub(crate) fn iret(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let step = u64::from(n);
    let real = !c.protected();
    if c.v86() || (!real && c.eflags & flag::NT != 0 && !c.long_mode()) {
        return Err(c.unimplemented("IRET in virtual-8086 mode or to another task"));
    }
    if c.long_mode() && c.eflags & flag::NT != 0 {
        return Err(c.gp(0));
    }
    let ip = c.peek(n, 0)?;
    let selector = c.peek(n, step)? as u16;
    let flags = c.peek(n, 2 * step)?;
    if real {
        c.drop_stack(3 * step);
        real_far_jump(c, selector, ip)?;
        set_flags_by_iret(c, n, flags, 0);
    } else {
        if flags & flag::VM != 0 && c.cpl == 0 && n == 4 && !c.long_mode() {
            return Err(c.unimplemented("IRET to virtual-8086 mode"));
        }
        return_to(c, n, selector, ip, 3 * step, 0, Some(flags))?;
    }
    c.nmi_blocked = false;
    Ok(())
}

// ---- software interrupts ----

/// INT3: a trap, delivered behind the instruction.
pub(crate) fn int3(c: &mut Cpu, _op: &Op) -> Res {
    c.software_interrupt(vector::BP)
}

/// INT1 (ICEBP).
pub(crate) fn int1(c: &mut Cpu, _op: &Op) -> Res {
    c.software_interrupt(vector::DB)
}

/// INT n.
pub(crate) fn int_n(c: &mut Cpu, op: &Op) -> Res {
    if c.v86() && c.iopl() < 3 {
        return Err(c.gp(0));
    }
    c.software_interrupt(op.imm as u8)
}

/// INTO.
pub(crate) fn into(c: &mut Cpu, _op: &Op) -> Res {
    if c.of() {
        c.software_interrupt(vector::OF)
    } else {
        Ok(())
    }
}

/// UD0, UD1, UD2, and RSM outside system-management mode.
pub(crate) fn ud(c: &mut Cpu, _op: &Op) -> Res {
    Err(c.ud())
}

// ---- fast system calls ----

fn flat_segment(selector: u16, attr: u16) -> crate::cpu::Segment {
    crate::cpu::Segment {
        selector,
        base: 0,
        limit: u32::MAX,
        attr,
    }
}

/// 64-bit code, DPL in bits 5-6.
const CODE64: u16 = 0xA09B;
/// 32-bit code.
const CODE32: u16 = 0xC09B;
/// 32-bit data.
const DATA32: u16 = 0xC093;

/// SYSCALL (AMD64 manual volume 3). On this model it exists in every protected mode, as on AMD processors.
pub(crate) fn syscall(c: &mut Cpu, _op: &Op) -> Res {
    if c.efer & efer::SCE == 0 || !c.protected() {
        return Err(c.ud());
    }
    let star = c.msr.star;
    let selector = (star >> 32) as u16 & !3;
    if !c.long_mode() {
        c.r[RCX] = c.rip;
        c.eflags &= !(flag::VM | flag::IF | flag::RF);
        c.set_segment(seg::CS, flat_segment(selector, CODE32));
        c.set_segment(seg::SS, flat_segment(selector.wrapping_add(8), DATA32));
        c.cpl = 0;
        c.update_mode();
        c.rip = star & 0xFFFF_FFFF;
        return Ok(());
    }
    c.r[RCX] = c.rip;
    c.r[11] = c.flags() & !flag::RF;
    let target = if c.code64() { c.msr.lstar } else { c.msr.cstar };
    let f = c.flags() & !c.msr.fmask & !flag::RF;
    c.set_flags(f);
    c.set_segment(seg::CS, flat_segment(selector, CODE64));
    c.set_segment(seg::SS, flat_segment(selector.wrapping_add(8), DATA32));
    c.cpl = 0;
    c.update_mode();
    c.rip = target;
    Ok(())
}

/// SYSRET.
pub(crate) fn sysret(c: &mut Cpu, op: &Op) -> Res {
    if c.efer & efer::SCE == 0 {
        return Err(c.ud());
    }
    c.need_cpl0()?;
    let star = c.msr.star;
    let base = (star >> 48) as u16;
    let ip = c.r[RCX];
    if !c.long_mode() {
        c.set_segment(seg::CS, flat_segment(base | 3, CODE32 | 3 << 5));
        c.set_segment(
            seg::SS,
            flat_segment(base.wrapping_add(8) | 3, DATA32 | 3 << 5),
        );
        c.eflags |= flag::IF;
        c.cpl = 3;
        c.update_mode();
        c.rip = ip & 0xFFFF_FFFF;
        return Ok(());
    }
    if op.size() == 8 {
        if !Cpu::canonical(ip) {
            return Err(c.gp(0));
        }
        c.set_segment(
            seg::CS,
            flat_segment(base.wrapping_add(16) | 3, CODE64 | 3 << 5),
        );
        c.rip = ip;
    } else {
        c.set_segment(seg::CS, flat_segment(base | 3, CODE32 | 3 << 5));
        c.rip = ip & 0xFFFF_FFFF;
    }
    c.set_segment(
        seg::SS,
        flat_segment(base.wrapping_add(8) | 3, DATA32 | 3 << 5),
    );
    let f = c.r[11] & !(flag::RF | flag::VM) & 0x3C_7FD7;
    c.set_flags(f);
    c.cpl = 3;
    c.update_mode();
    Ok(())
}

/// SYSENTER.
pub(crate) fn sysenter(c: &mut Cpu, _op: &Op) -> Res {
    let cs = c.msr.sysenter_cs as u16;
    // On this model SYSENTER exists outside long mode only, as on AMD processors.
    if c.long_mode() {
        return Err(c.ud());
    }
    if !c.protected() || cs & !3 == 0 {
        return Err(c.gp(0));
    }
    c.eflags &= !(flag::VM | flag::IF | flag::RF);
    c.set_segment(seg::CS, flat_segment(cs & !3, CODE32));
    c.set_segment(seg::SS, flat_segment((cs & !3).wrapping_add(8), DATA32));
    c.cpl = 0;
    c.update_mode();
    c.r[4] = c.msr.sysenter_esp & 0xFFFF_FFFF;
    c.rip = c.msr.sysenter_eip & 0xFFFF_FFFF;
    Ok(())
}

/// SYSEXIT.
pub(crate) fn sysexit(c: &mut Cpu, _op: &Op) -> Res {
    if c.long_mode() {
        return Err(c.ud());
    }
    let cs = c.msr.sysenter_cs as u16;
    if !c.protected() || cs & !3 == 0 || c.cpl != 0 {
        return Err(c.gp(0));
    }
    c.set_segment(
        seg::CS,
        flat_segment((cs & !3).wrapping_add(16) | 3, CODE32 | 3 << 5),
    );
    c.set_segment(
        seg::SS,
        flat_segment((cs & !3).wrapping_add(24) | 3, DATA32 | 3 << 5),
    );
    c.cpl = 3;
    c.update_mode();
    c.r[4] = c.r[RCX] & 0xFFFF_FFFF;
    c.rip = c.r[crate::cpu::RDX] & 0xFFFF_FFFF;
    Ok(())
}

impl Cpu {
    /// Delivers a software interrupt from the instruction that ends here.
    fn software_interrupt(&mut self, vector: u8) -> Res {
        self.counters.exceptions += 1;
        self.deliver(
            Fault {
                vector,
                error: None,
            },
            true,
        )
    }

    /// Whether RDTSC, RDTSCP and RDPMC are closed to this privilege.
    pub(crate) fn tsc_closed(&self) -> bool {
        self.cr4 & cr4::TSD != 0 && self.cpl != 0
    }
}
