//! Far jumps, calls and returns (SDM volume 2: JMP, CALL, RET, IRET; volume 3, section 5.8).

use crate::cpu::{Cpu, RSP, Res, Segment, seg, size_mask, vector};
use crate::descriptor::Descriptor;
use crate::task::Entry;
use crate::trace::Op;

fn far_pointer(c: &mut Cpu, op: &Op) -> Res<(u16, u64)> {
    if op.is_mem() {
        let n = op.size();
        let offset = c.load_part(op, 0, n)?;
        let selector = c.load_part(op, u64::from(n), 2)?;
        Ok((selector as u16, offset))
    } else {
        Ok(((op.disp >> 32) as u16, op.disp & size_mask(op.size())))
    }
}

/// What a far pointer leads to.
enum Target {
    /// A code segment, with the offset of the pointer.
    Code(u16, Descriptor),
    /// A code segment behind a call gate.
    Gate(Gate),
    /// A task.
    Task(u16, Descriptor),
}

struct Gate {
    selector: u16,
    code: Descriptor,
    offset: u64,
    /// Bytes of the items that a call pushes.
    wide: u8,
    parameters: u64,
}

/// Follows a far pointer and checks what the kind of descriptor asks for. `call`: gates may lead to a more privileged
/// level.
fn far_target(c: &mut Cpu, selector: u16, call: bool) -> Res<Target> {
    if selector & !3 == 0 {
        return Err(c.gp(0));
    }
    let d = c.descriptor(selector, vector::GP, false)?;
    if d.is_user() {
        check_code(c, selector, d)?;
        return Ok(Target::Code(selector, d));
    }
    let rpl = (selector & 3) as u8;
    let long = c.long_mode();
    let known = match d.kind() {
        12 => true,
        1 | 4 | 5 | 9 => !long,
        _ => false,
    };
    if !known || d.dpl() < c.cpl || d.dpl() < rpl {
        return Err(c.selector_fault(vector::GP, selector));
    }
    match d.kind() {
        1 | 9 => {
            let d = c.task_descriptor(selector, vector::GP, false)?;
            Ok(Target::Task(selector, d))
        }
        5 => {
            if !d.present() {
                return Err(c.selector_fault(vector::NP, selector));
            }
            let tss = d.gate_selector();
            let d = c.task_descriptor(tss, vector::GP, false)?;
            Ok(Target::Task(tss, d))
        }
        _ => through_call_gate(c, selector, call).map(Target::Gate),
    }
}

fn through_call_gate(c: &mut Cpu, selector: u16, call: bool) -> Res<Gate> {
    let gate = c.descriptor(selector, vector::GP, true)?;
    let long = c.long_mode();
    if gate.bad_upper_half() {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !gate.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    let target = gate.gate_selector();
    if target & !3 == 0 {
        return Err(c.gp(0));
    }
    let code = c.descriptor(target, vector::GP, false)?;
    let reachable = if call || code.conforming() {
        code.dpl() <= c.cpl
    } else {
        code.dpl() == c.cpl
    };
    if !code.is_code() || !reachable || (long && !code.is_code64()) {
        return Err(c.selector_fault(vector::GP, target));
    }
    if !code.present() {
        return Err(c.selector_fault(vector::NP, target));
    }
    let (wide, offset) = match (long, gate.kind()) {
        (true, _) => (8, gate.gate_offset()),
        (false, 12) => (4, gate.gate_offset()),
        (false, _) => (2, gate.gate_offset() & 0xFFFF),
    };
    Ok(Gate {
        selector: target,
        code,
        offset,
        wide,
        parameters: if long { 0 } else { gate.gate_parameters() },
    })
}

/// The checks of a code segment that a far pointer names itself.
fn check_code(c: &mut Cpu, selector: u16, d: Descriptor) -> Res {
    let rpl = (selector & 3) as u8;
    let privilege_ok = if d.conforming() {
        d.dpl() <= c.cpl
    } else {
        rpl <= c.cpl && d.dpl() == c.cpl
    };
    if !d.is_code() || !privilege_ok || (c.long_mode() && d.bad_size()) {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    Ok(())
}

/// An offset in the code segment that it is for: compatibility mode has 32 bits of it.
fn target_offset(c: &Cpu, d: Descriptor, offset: u64) -> u64 {
    if c.long_mode() && !d.is_code64() {
        offset & 0xFFFF_FFFF
    } else {
        offset
    }
}

/// Goes to a checked code segment at the same privilege.
fn enter_code(c: &mut Cpu, selector: u16, mut d: Descriptor, offset: u64) -> Res {
    c.mark_accessed(selector, &mut d)?;
    let cpl = c.cpl;
    c.set_code_segment(selector, d, cpl);
    c.rip = offset;
    Ok(())
}

fn real_far_jump(c: &mut Cpu, selector: u16, offset: u64) -> Res {
    if offset > u64::from(c.seg[seg::CS].limit) {
        return Err(c.gp(0));
    }
    c.load_segment(seg::CS, selector)?;
    c.rip = offset;
    Ok(())
}

/// JMP far: to a code segment or call gate of the same privilege, or to another task.
pub(crate) fn jmp_far(c: &mut Cpu, op: &Op) -> Res {
    let (selector, offset) = far_pointer(c, op)?;
    if c.real_segments() {
        return real_far_jump(c, selector, offset);
    }
    match far_target(c, selector, false)? {
        Target::Code(selector, d) => {
            let offset = target_offset(c, d, offset);
            c.check_offset(d, offset)?;
            enter_code(c, selector, d, offset)
        }
        Target::Gate(g) => {
            c.check_offset(g.code, g.offset)?;
            enter_code(c, g.selector, g.code, g.offset)
        }
        Target::Task(selector, d) => {
            let switched = c.switch_task(selector, d, Entry::Jump, None);
            c.after_switch(switched)
        }
    }
}

/// CALL far.
pub(crate) fn call_far(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let (selector, offset) = far_pointer(c, op)?;
    if c.real_segments() {
        let (cs, back, sp) = (u64::from(c.seg[seg::CS].selector), c.rip, c.r[RSP]);
        let called = c
            .push(n, cs)
            .and_then(|()| c.push(n, back))
            .and_then(|()| real_far_jump(c, selector, offset));
        if called.is_err() {
            c.r[RSP] = sp;
        }
        return called;
    }
    match far_target(c, selector, true)? {
        Target::Code(selector, d) => {
            let offset = target_offset(c, d, offset);
            call_same(c, n, selector, d, offset)
        }
        Target::Gate(g) => {
            if !g.code.conforming() && g.code.dpl() < c.cpl {
                call_inner(c, g)
            } else {
                call_same(c, g.wide, g.selector, g.code, g.offset)
            }
        }
        Target::Task(selector, d) => {
            let switched = c.switch_task(selector, d, Entry::Call, None);
            c.after_switch(switched)
        }
    }
}

fn call_same(c: &mut Cpu, n: u8, selector: u16, d: Descriptor, offset: u64) -> Res {
    let stack = c.current_stack();
    c.probe_frame(&stack, n, 2)?;
    c.check_offset(d, offset)?;
    let frame = [u64::from(c.seg[seg::CS].selector), c.rip];
    let sp = c.write_frame(&stack, n, &frame)?;
    c.set_reg_at((RSP * 8) as u8, stack.width, sp);
    enter_code(c, selector, d, offset)
}

/// A call gate to a more privileged level: the stack of that level, the parameters copied (SDM volume 3, section 5.8.5).
fn call_inner(c: &mut Cpu, g: Gate) -> Res {
    let cpl = g.code.dpl();
    let long = c.long_mode();
    let stack = if long {
        c.long_inner_stack(cpl)?
    } else {
        c.inner_stack(cpl)?
    };
    let step = u64::from(g.wide);
    let mut before = vec![u64::from(c.seg[seg::SS].selector), c.r[RSP]];
    c.probe_frame(&stack, g.wide, 4 + g.parameters as usize)?;
    c.check_offset(g.code, g.offset)?;
    // The parameter pushed first stands highest.
    for i in (0..g.parameters).rev() {
        before.push(c.peek(g.wide, i * step)?);
    }
    let mut code = g.code;
    c.mark_accessed(g.selector, &mut code)?;
    let back = [u64::from(c.seg[seg::CS].selector), c.rip];
    before.extend(back);
    let sp = c.write_frame(&stack, g.wide, &before)?;
    c.set_segment(seg::SS, stack.ss);
    c.set_code_segment(g.selector, code, cpl);
    c.set_reg_at((RSP * 8) as u8, stack.width, sp);
    c.rip = g.offset;
    Ok(())
}

/// RET far, to the same or a less privileged level.
pub(crate) fn ret_far(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let extra = op.imm64() & 0xFFFF;
    let ip = c.peek(n, 0)?;
    let selector = c.peek(n, u64::from(n))? as u16;
    if c.real_segments() {
        real_far_jump(c, selector, ip)?;
        c.drop_stack(2 * u64::from(n) + extra);
        return Ok(());
    }
    return_to(c, n, selector, ip, 2 * u64::from(n) + extra, extra, false)
}

/// The common end of RET far and IRET: `popped` bytes stood on the old stack before SS:RSP, `extra` go from both stacks.
pub(super) fn return_to(
    c: &mut Cpu,
    n: u8,
    selector: u16,
    ip: u64,
    popped: u64,
    extra: u64,
    interrupt: bool,
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
    if !d.is_code() || rpl < c.cpl || !dpl_ok || (c.long_mode() && d.bad_size()) {
        return Err(c.selector_fault(vector::GP, selector));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    let ip = target_offset(c, d, ip);
    let outer = rpl > c.cpl;
    // IRET in 64-bit mode always takes SS:RSP from the stack.
    let takes_stack = outer || (interrupt && c.code64());
    if !takes_stack {
        c.check_offset(d, ip)?;
        c.mark_accessed(selector, &mut d)?;
        c.drop_stack(popped);
        c.set_code_segment(selector, d, rpl);
        c.rip = ip;
        return Ok(());
    }
    let sp = c.peek(n, popped)?;
    let ss = c.peek(n, popped + u64::from(n))? as u16;
    let target_long = c.long_mode() && d.is_code64();
    let stack = outer_stack(c, ss, rpl, target_long)?;
    c.check_offset(d, ip)?;
    // Only now is anything written: the accessed bits.
    c.mark_accessed(selector, &mut d)?;
    let stack = match stack {
        OuterStack::Null(s) => s,
        OuterStack::Named(mut d) => {
            c.mark_accessed(ss, &mut d)?;
            d.segment(ss)
        }
    };
    c.set_segment(seg::SS, stack);
    c.set_code_segment(selector, d, rpl);
    // A 16-bit stack takes SP only: the upper half stays what it was in the inner ring.
    let width = c.stack_size();
    c.set_reg_at(
        (RSP * 8) as u8,
        width,
        sp.wrapping_add(extra) & size_mask(width),
    );
    if outer {
        drop_privileged_segments(c);
    }
    c.rip = ip;
    Ok(())
}

/// What the selector of an outer stack leads to.
enum OuterStack {
    Null(Segment),
    Named(Descriptor),
}

fn outer_stack(c: &mut Cpu, ss: u16, rpl: u8, target_long: bool) -> Res<OuterStack> {
    if ss & !3 == 0 {
        if target_long && rpl < 3 && (ss & 3) as u8 == rpl {
            return Ok(OuterStack::Null(Segment {
                selector: ss,
                base: 0,
                limit: 0,
                attr: u16::from(rpl) << 5,
            }));
        }
        return Err(c.gp(0));
    }
    let d = c.descriptor(ss, vector::GP, false)?;
    if !d.is_stack() || (ss & 3) as u8 != rpl || d.dpl() != rpl {
        return Err(c.selector_fault(vector::GP, ss));
    }
    if !d.present() {
        return Err(c.selector_fault(vector::SS, ss));
    }
    Ok(OuterStack::Named(d))
}

/// Data segments that the outer level may not use become null, and null selectors zero (SDM volume 2, RET). Both are
/// only made unusable: unlike a load of a null selector this leaves the bases, which 64-bit code goes on using in FS and GS.
fn drop_privileged_segments(c: &mut Cpu) {
    for n in [seg::ES, seg::DS, seg::FS, seg::GS] {
        let s = c.seg[n];
        let conforming_code = s.kind() & 0b1100 == 0b1100;
        if s.selector & !3 == 0 {
            c.set_segment(n, Segment { selector: 0, ..s });
        } else if !conforming_code && s.dpl() < c.cpl {
            let mut null = c.null_segment(n, 0);
            null.base = s.base;
            c.set_segment(n, null);
        }
    }
    c.update_mode();
}
