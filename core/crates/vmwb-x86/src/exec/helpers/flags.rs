//! The system flags: PUSHF, POPF, CLI, STI, STAC, CLAC, with what virtual-8086 mode and IOPL make of them.

use crate::cpu::{Cpu, Res, flag};
use crate::trace::Op;

/// What POPF and IRET may always change.
pub(super) const USER: u64 = flag::ARITH | flag::TF | flag::DF | flag::NT | flag::AC | flag::ID;

impl Cpu {
    /// Sets the flags that `mask` names. EFLAGS.AC decides which TLB view counts.
    pub(super) fn change_flags(&mut self, value: u64, mask: u64) {
        let old = self.flags();
        self.set_flags(old & !mask | value & mask);
        if (old ^ value) & mask & flag::AC != 0 {
            self.update_mode();
        }
    }
}

/// Flags as a program of virtual-8086 mode with the mode's extensions sees them: VIF in the place of IF, IOPL 3.
fn virtual_flags(c: &Cpu) -> u64 {
    let vif = c.eflags & flag::VIF != 0;
    c.flags() & !flag::IF | flag::IOPL | if vif { flag::IF } else { 0 }
}

/// PUSHF: VM and RF are pushed as zero.
pub(crate) fn pushf(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let f = if c.v86() && c.iopl() < 3 {
        if !c.owns_vif() || n != 2 {
            return Err(c.gp(0));
        }
        virtual_flags(c)
    } else {
        c.flags()
    };
    c.push(n, f & !(flag::VM | flag::RF))
}

/// POPF: IOPL changes at CPL 0 only, IF only with CPL <= IOPL; else they stay, silently. VM, VIF and VIP always stay, and
/// RF becomes zero.
pub(crate) fn popf(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    if c.v86() && c.iopl() < 3 {
        return popf_virtual(c, n);
    }
    let v = c.peek(n, 0)?;
    c.drop_stack(u64::from(n));
    let mut mask = USER;
    if c.cpl == 0 {
        mask |= flag::IOPL;
    }
    if c.owns_if() {
        mask |= flag::IF;
    }
    if n == 2 {
        mask &= 0xFFFF;
    }
    c.change_flags(v & !flag::RF, mask | flag::RF);
    Ok(())
}

/// POPF below IOPL 3 in virtual-8086 mode: IF goes to VIF (SDM volume 3, section 21.3.3.3).
fn popf_virtual(c: &mut Cpu, n: u8) -> Res {
    if !c.owns_vif() || n != 2 {
        return Err(c.gp(0));
    }
    let v = c.peek(n, 0)?;
    if v & flag::TF != 0 {
        return Err(c.gp(0));
    }
    c.set_vif(v & flag::IF != 0)?;
    c.drop_stack(u64::from(n));
    c.change_flags(v & !flag::RF, USER & 0xFFFF | flag::RF);
    Ok(())
}

/// CLI.
pub(crate) fn cli(c: &mut Cpu, _op: &Op) -> Res {
    if c.owns_if() {
        c.eflags &= !flag::IF;
        Ok(())
    } else if c.owns_vif() {
        c.set_vif(false)
    } else {
        Err(c.gp(0))
    }
}

/// STI: interrupts stay off for one more instruction.
pub(crate) fn sti(c: &mut Cpu, op: &Op) -> Res {
    if c.owns_if() {
        if c.eflags & flag::IF == 0 {
            // Without anything to look at no interrupt can be pending during this run, and there is nothing to hold off.
            c.shadow |= c.look;
            c.sti_at = c.retired_before(op).wrapping_add(1);
        }
        c.eflags |= flag::IF;
        Ok(())
    } else if c.owns_vif() {
        c.set_vif(true)
    } else {
        Err(c.gp(0))
    }
}

fn set_ac(c: &mut Cpu, on: bool) -> Res {
    if c.cpl != 0 {
        return Err(c.ud());
    }
    c.change_flags(if on { flag::AC } else { 0 }, flag::AC);
    Ok(())
}

/// CLAC.
pub(crate) fn clac(c: &mut Cpu, _op: &Op) -> Res {
    set_ac(c, false)
}

/// STAC.
pub(crate) fn stac(c: &mut Cpu, _op: &Op) -> Res {
    set_ac(c, true)
}
