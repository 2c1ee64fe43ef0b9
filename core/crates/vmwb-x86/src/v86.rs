//! Virtual-8086 mode: entering it, and what the virtual-mode extensions make of INT n.
//! Source: SDM volume 3, chapter 21 (8086 emulation).

use crate::cpu::{Cpu, RSP, Res, cr4, flag, seg};
use crate::task::EFLAGS_BITS;

/// What IRET pops on the way into virtual-8086 mode.
#[derive(Debug)]
pub(crate) struct V86Frame {
    pub(crate) ip: u64,
    pub(crate) cs: u16,
    pub(crate) flags: u64,
    pub(crate) sp: u64,
    pub(crate) ss: u16,
    /// ES, DS, FS, GS.
    pub(crate) data: [u16; 4],
}

impl Cpu {
    /// Enters virtual-8086 mode from privilege level 0.
    pub(crate) fn enter_v86(&mut self, f: &V86Frame) {
        self.set_flags(f.flags & EFLAGS_BITS);
        self.cpl = 3;
        let [es, ds, fs, gs] = f.data;
        let all = [
            (seg::ES, es),
            (seg::CS, f.cs),
            (seg::SS, f.ss),
            (seg::DS, ds),
            (seg::FS, fs),
            (seg::GS, gs),
        ];
        for (n, selector) in all {
            let s = self.real_segment(n, selector);
            self.set_segment(n, s);
        }
        self.update_mode();
        self.r[RSP] = f.sp;
        self.rip = f.ip;
    }

    /// INT n in virtual-8086 mode. `true`: it went through the program's own vector table (table 21-2, methods 5 and 6).
    ///
    /// # Errors
    /// #GP(0) when the monitor has to emulate it, and what pushing the frame raises.
    pub(crate) fn redirected(&mut self, vector: u8) -> Res<bool> {
        let trusted = self.iopl() == 3;
        if self.cr4 & cr4::VME == 0 || self.given_to_monitor(vector)? {
            return if trusted { Ok(false) } else { Err(self.gp(0)) };
        }
        let at = u64::from(vector) * 4;
        let user = self.cpl == 3;
        let entry = self.read_linear(at, 4, user, false)?;
        let mut flags = self.flags();
        if !trusted {
            // The program sees the virtual interrupt flag, and IOPL as 3.
            let vif = self.eflags & flag::VIF != 0;
            flags = flags & !flag::IF | flag::IOPL | if vif { flag::IF } else { 0 };
        }
        let frame = [flags, u64::from(self.seg[seg::CS].selector), self.rip];
        let stack = self.current_stack();
        self.probe_frame(&stack, 2, frame.len())?;
        let sp = self.write_frame(&stack, 2, &frame)?;
        self.set_reg_at((RSP * 8) as u8, stack.width, sp);
        self.eflags &=
            !(flag::TF | flag::RF | flag::AC | if trusted { flag::IF } else { flag::VIF });
        let cs = self.real_segment(seg::CS, (entry >> 16) as u16);
        self.set_segment(seg::CS, cs);
        self.update_mode();
        self.rip = entry & 0xFFFF;
        Ok(true)
    }

    /// Whether the interrupt redirection bitmap, the 32 bytes below the I/O permission bitmap, gives the vector to the
    /// monitor (section 21.3.3).
    fn given_to_monitor(&mut self, vector: u8) -> Res<bool> {
        let tss = self.tr;
        if !tss.present() || tss.kind() & 8 == 0 || tss.limit < 103 {
            return Err(self.gp(0));
        }
        let io_base = self.system_read(tss.base.wrapping_add(102), 2)? as u32;
        let at = match io_base.checked_sub(32) {
            Some(map) if map + u32::from(vector >> 3) <= tss.limit => map + u32::from(vector >> 3),
            _ => return Err(self.gp(0)),
        };
        let byte = self.system_read(tss.base.wrapping_add(u64::from(at)), 1)?;
        Ok(byte >> (vector & 7) & 1 != 0)
    }

    /// Whether EFLAGS.IF is in this program's hands: real mode, or CPL <= IOPL, in virtual-8086 mode IOPL 3.
    pub(crate) fn owns_if(&self) -> bool {
        !self.protected() || self.cpl <= self.iopl()
    }

    /// Whether CLI and STI work on VIF instead: with the virtual-mode extensions, or protected-mode virtual interrupts at
    /// CPL 3.
    pub(crate) fn owns_vif(&self) -> bool {
        if self.v86() {
            self.cr4 & cr4::VME != 0
        } else {
            self.cpl == 3 && self.cr4 & cr4::PVI != 0
        }
    }

    /// Whether a virtual interrupt is both pending and enabled: the monitor gets #GP(0) before the next instruction.
    pub(crate) fn virtual_interrupt_due(&self) -> bool {
        let both = flag::VIF | flag::VIP;
        self.eflags & both == both && self.cpl == 3 && self.owns_vif()
    }

    /// Sets the virtual interrupt flag as STI, POPF and IRET do.
    ///
    /// # Errors
    /// #GP(0) when a virtual interrupt is pending and would become deliverable.
    pub(crate) fn set_vif(&mut self, on: bool) -> Res {
        if on && self.eflags & flag::VIP != 0 {
            return Err(self.gp(0));
        }
        self.eflags = self.eflags & !flag::VIF | if on { flag::VIF } else { 0 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_that_exist_are_those_of_the_manual() {
        // Figure 3-8 of volume 1: all bits below 22 but 1, 3, 5, 15; bit 1 is always one.
        let reserved = 1 << 3 | 1 << 5 | 1 << 15;
        assert_eq!(EFLAGS_BITS, ((1 << 22) - 1) & !reserved);
    }
}
