//! Software interrupts and IRET.

use super::far::return_to;
use super::flags::USER;
use crate::cpu::{Cpu, Fault, Res, flag, seg, vector};
use crate::observe::{Delivery, InterruptSource};
use crate::task::Entry;
use crate::trace::Op;
use crate::v86::V86Frame;

/// INT3: a trap, delivered behind the instruction.
pub(crate) fn int3(c: &mut Cpu, _op: &Op) -> Res {
    c.software_interrupt(vector::BP, true)
}

/// INT1 (ICEBP): no gate's DPL guards it, and errors on the way count as external (SDM volume 2, INT n). Breakpoints that
/// a load of SS before it held back come with it: processors deliver one #DB for both.
pub(crate) fn int1(c: &mut Cpu, _op: &Op) -> Res {
    let held = c.pending_debug;
    c.software_interrupt(vector::DB, false)?;
    c.end_recording(vector::DB);
    if held != 0 {
        c.pending_debug = 0;
        c.note_in_dr6(held);
    }
    Ok(())
}

/// INT n.
pub(crate) fn int_n(c: &mut Cpu, op: &Op) -> Res {
    let v = op.imm as u8;
    if c.v86() && c.redirected(v)? {
        c.no_trap = true;
        return Ok(());
    }
    c.software_interrupt(v, true)
}

/// INTO.
pub(crate) fn into(c: &mut Cpu, _op: &Op) -> Res {
    if c.of() {
        c.software_interrupt(vector::OF, true)
    } else {
        Ok(())
    }
}

/// UD0, UD1, UD2, and RSM outside system-management mode.
pub(crate) fn ud(c: &mut Cpu, _op: &Op) -> Res {
    Err(c.ud())
}

impl Cpu {
    /// Delivers a software interrupt from the instruction that ends here. `guarded`: the gate's DPL counts.
    fn software_interrupt(&mut self, vector: u8, guarded: bool) -> Res {
        self.counters.software += 1;
        let f = Fault {
            vector,
            error: None,
        };
        let what = Delivery::Interrupt(InterruptSource::Software);
        let delivered = self.observed(f, what, |c| c.deliver(f, guarded));
        // The handler is not single-stepped: TF is clear in it, and the trap comes behind its IRET.
        self.no_trap = delivered.is_ok();
        if delivered.is_ok() && self.records_branches() {
            self.set_branch_aside();
        }
        self.after_switch(delivered)
    }
}

/// IRET.
pub(crate) fn iret(c: &mut Cpu, op: &Op) -> Res {
    // NMIs are let in again even when it faults (SDM volume 3, section 6.7.1).
    if c.nmi_blocked {
        c.nmi_blocked = false;
        c.look = true;
    }
    let n = op.size();
    if !c.protected() {
        return iret_real(c, n);
    }
    if c.v86() {
        return iret_from_v86(c, n);
    }
    if c.eflags & flag::NT != 0 {
        if c.long_mode() {
            return Err(c.gp(0));
        }
        let result = return_to_task(c);
        return c.after_switch(result);
    }
    let step = u64::from(n);
    let ip = c.peek(n, 0)?;
    let selector = c.peek(n, step)? as u16;
    let flags = c.peek(n, 2 * step)?;
    if flags & flag::VM != 0 && c.cpl == 0 && n == 4 && !c.long_mode() {
        return iret_to_v86(c, ip, selector, flags);
    }
    let old_cpl = c.cpl;
    return_to(c, n, selector, ip, 3 * step, 0, true)?;
    let mut mask = USER | flag::RF;
    if old_cpl == 0 {
        mask |= flag::IOPL | flag::VIF | flag::VIP;
    }
    if old_cpl <= c.iopl() {
        mask |= flag::IF;
    }
    if n == 2 {
        mask &= 0xFFFF;
    }
    c.change_flags(flags, mask);
    Ok(())
}

/// IP, CS and FLAGS from the stack of 8086 code, the new IP inside the limit.
fn pop_three(c: &mut Cpu, n: u8) -> Res<(u64, u16, u64)> {
    let step = u64::from(n);
    let ip = c.peek(n, 0)?;
    let selector = c.peek(n, step)? as u16;
    let flags = c.peek(n, 2 * step)?;
    if ip > u64::from(c.seg[seg::CS].limit) {
        return Err(c.gp(0));
    }
    Ok((ip, selector, flags))
}

fn enter_popped(c: &mut Cpu, n: u8, ip: u64, selector: u16) -> Res {
    c.drop_stack(3 * u64::from(n));
    c.load_segment(seg::CS, selector)?;
    c.rip = ip;
    Ok(())
}

fn iret_real(c: &mut Cpu, n: u8) -> Res {
    let (ip, selector, flags) = pop_three(c, n)?;
    enter_popped(c, n, ip, selector)?;
    let mut mask = USER | flag::RF | flag::IOPL | flag::IF;
    if n == 2 {
        mask &= 0xFFFF;
    }
    c.change_flags(flags, mask);
    Ok(())
}

/// SDM volume 2, IRET, RETURN-FROM-VIRTUAL-8086-MODE. IOPL, VM, VIF and VIP stay.
fn iret_from_v86(c: &mut Cpu, n: u8) -> Res {
    let trusted = c.iopl() == 3;
    if !trusted && (!c.owns_vif() || n != 2) {
        return Err(c.gp(0));
    }
    let (ip, selector, flags) = pop_three(c, n)?;
    let mut mask = USER | flag::RF;
    if trusted {
        mask |= flag::IF;
    } else {
        if flags & flag::TF != 0 {
            return Err(c.gp(0));
        }
        c.set_vif(flags & flag::IF != 0)?;
    }
    enter_popped(c, n, ip, selector)?;
    if n == 2 {
        mask &= 0xFFFF;
    }
    c.change_flags(flags, mask);
    Ok(())
}

fn iret_to_v86(c: &mut Cpu, ip: u64, cs: u16, flags: u64) -> Res {
    let sp = c.peek(4, 12)?;
    let mut selectors = [0u16; 5];
    for (i, s) in selectors.iter_mut().enumerate() {
        *s = c.peek(4, 16 + 4 * i as u64)? as u16;
    }
    if ip > 0xFFFF {
        return Err(c.gp(0));
    }
    let [ss, es, ds, fs, gs] = selectors;
    c.enter_v86(&V86Frame {
        ip,
        cs,
        flags,
        sp,
        ss,
        data: [es, ds, fs, gs],
    });
    Ok(())
}

/// IRET with NT: back to the task that the link of this one's TSS names.
fn return_to_task(c: &mut Cpu) -> Res {
    let at = c.tr.base;
    let selector = c.system_read(at, 2)? as u16;
    let d = c.task_descriptor(selector, vector::TS, true)?;
    c.switch_task(selector, d, Entry::Return, None)
}
