//! Delivery of exceptions and interrupts through the IDT (SDM volume 3, chapter 6).

use crate::cpu::{Cpu, Fault, Res, Why, flag, seg, vector};
use crate::descriptor::Descriptor;
use crate::vcpu::CpuStop;

/// Exceptions that make a second one a double fault (SDM volume 3, table 6-5).
fn contributory(v: u8) -> bool {
    matches!(
        v,
        vector::DE | vector::TS | vector::NP | vector::SS | vector::GP
    )
}

impl Cpu {
    /// Delivers the pending fault; faults on the way become double and triple faults.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn deliver_fault(&mut self, first: Fault) -> Result<(), CpuStop> {
        self.counters.exceptions += 1;
        let rip = self.rip;
        let mut fault = first;
        loop {
            // RF is set in the saved flags of faults, so that an instruction breakpoint does not strike twice.
            let keep_rf = self.eflags & flag::RF;
            if fault.vector != vector::DB {
                self.eflags |= flag::RF;
            }
            let delivered = self.deliver(fault, false);
            match delivered {
                Ok(()) => return Ok(()),
                Err(_) => {
                    self.eflags = self.eflags & !flag::RF | keep_rf;
                    if self.why == Why::Stop {
                        return Err(self.take_stop());
                    }
                    let second = self.fault;
                    if fault.vector == vector::DF {
                        return Err(CpuStop::TripleFault {
                            rip,
                            vector: first.vector,
                        });
                    }
                    let double = (contributory(fault.vector) && contributory(second.vector))
                        || (fault.vector == vector::PF
                            && (contributory(second.vector) || second.vector == vector::PF));
                    fault = if double {
                        Fault {
                            vector: vector::DF,
                            error: Some(0),
                        }
                    } else {
                        second
                    };
                }
            }
        }
    }

    /// Delivers a maskable interrupt or NMI.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn deliver_interrupt(&mut self, vector: u8) -> Result<(), CpuStop> {
        match self.deliver(
            Fault {
                vector,
                error: None,
            },
            false,
        ) {
            Ok(()) => Ok(()),
            Err(_) if self.why == Why::Stop => Err(self.take_stop()),
            Err(_) => {
                let fault = self.fault;
                self.deliver_fault(fault)
            }
        }
    }

    /// One attempt at delivery. `software`: INT n, INT3, INTO, which the gate's DPL guards.
    pub(crate) fn deliver(&mut self, f: Fault, software: bool) -> Res {
        if !self.protected() {
            return self.deliver_real(f);
        }
        let long = self.long_mode();
        let ext = u32::from(!software);
        let code = u32::from(f.vector) << 3 | 2 | ext;
        let bytes = if long { 16 } else { 8 };
        let offset = u32::from(f.vector) * bytes;
        if offset + bytes - 1 > u32::from(self.idtr.limit) {
            return Err(self.gp(code));
        }
        let at = self.idtr.base.wrapping_add(u64::from(offset));
        let low = self.system_read(at, 8)?;
        let high = if long {
            self.system_read(at.wrapping_add(8), 8)? & 0xFFFF_FFFF
        } else {
            0
        };
        let gate = Descriptor { low, high };
        let valid = matches!((gate.kind(), long), (14 | 15, _) | (5..=7, false)) && !gate.is_user();
        if !valid || (software && gate.dpl() < self.cpl) {
            return Err(self.gp(code));
        }
        if !gate.present() {
            return Err(self.raise_code(vector::NP, code));
        }
        if gate.kind() == 5 {
            return Err(self.unimplemented("a task gate"));
        }
        if self.v86() {
            return Err(self.unimplemented("an interrupt in virtual-8086 mode"));
        }
        self.through_gate(f, gate, ext)
    }

    fn through_gate(&mut self, f: Fault, gate: Descriptor, ext: u32) -> Res {
        let long = self.long_mode();
        let selector = gate.gate_selector();
        let selector_code = u32::from(selector & !3) | ext;
        if selector & !3 == 0 {
            return Err(self.gp(ext));
        }
        let Some(_) = self.descriptor_address(selector, 8) else {
            return Err(self.gp(selector_code));
        };
        let mut d = self.descriptor(selector, vector::GP, false)?;
        let wrong_size = long && (d.low >> 53 & 1 == 0 || d.low >> 54 & 1 != 0);
        if !d.is_code() || d.dpl() > self.cpl || wrong_size {
            return Err(self.gp(selector_code));
        }
        if !d.present() {
            return Err(self.raise_code(vector::NP, selector_code));
        }
        let new_cpl = if d.conforming() { self.cpl } else { d.dpl() };
        let inner = new_cpl < self.cpl;
        let wide = if long {
            8
        } else if gate.kind() & 8 != 0 {
            4
        } else {
            2u8
        };
        let step = u64::from(wide);
        let (old_ss, old_sp) = (self.seg[seg::SS], self.r[4]);
        let offset = if wide == 2 {
            gate.gate_offset() & 0xFFFF
        } else {
            gate.gate_offset()
        };
        if long && !Self::canonical(offset) {
            return Err(self.gp(0));
        }
        // Where the frame goes: linear address of its top, and the stack segment that comes with it.
        let ist = (gate.low >> 32 & 7) as u32;
        let (top, new_ss) = if long {
            let top = if ist != 0 {
                self.tss_field(36 + 8 * (ist - 1), 8)?
            } else if inner {
                self.tss_field(4 + 8 * u32::from(new_cpl), 8)?
            } else {
                self.r[4]
            };
            if !Self::canonical(top) {
                return Err(self.raise_code(vector::SS, 0));
            }
            (top & !15, None)
        } else if inner {
            let (ss, sp) = self.inner_stack(new_cpl)?;
            (sp, Some(ss))
        } else {
            (self.r[4], None)
        };
        let stack_width = if long {
            8
        } else if new_ss.unwrap_or(old_ss).big() {
            4
        } else {
            2
        };
        let mut frame = [0u64; 6];
        let mut n = 0;
        let mut add = |v: u64| {
            frame[n] = v;
            n += 1;
        };
        if long || inner {
            add(u64::from(old_ss.selector));
            add(old_sp);
        }
        add(self.flags());
        add(u64::from(self.seg[seg::CS].selector));
        add(self.rip);
        if let Some(e) = f.error {
            add(u64::from(e));
        }
        let mask = crate::cpu::size_mask(stack_width);
        let bottom = top.wrapping_sub(step * n as u64) & mask;
        let ss = new_ss.unwrap_or(old_ss);
        let base = if long { 0 } else { ss.base };
        let user = new_cpl == 3;
        let linear = |i: usize| {
            let at = base.wrapping_add(top.wrapping_sub(step * (i as u64 + 1)) & mask);
            if long { at } else { at & 0xFFFF_FFFF }
        };
        if !long
            && (bottom.wrapping_add(step * n as u64 - 1) & mask) > u64::from(ss.limit)
            && ss.kind() & 4 == 0
        {
            return Err(self.raise_code(vector::SS, ext));
        }
        // All or nothing: probe the ends first. A frame spans at most two pages.
        self.probe_write(linear(n - 1), wide, user, true)?;
        self.probe_write(linear(0), wide, user, true)?;
        for (i, &v) in frame[..n].iter().enumerate() {
            self.write_linear(linear(i), wide, v, user, true)?;
        }
        self.mark_accessed(selector, &mut d)?;
        self.set_code_segment(selector, d, new_cpl);
        if long && inner {
            let s = crate::cpu::Segment {
                selector: u16::from(new_cpl),
                base: 0,
                limit: 0,
                attr: u16::from(new_cpl) << 5,
            };
            self.set_segment(seg::SS, s);
        } else if let Some(s) = new_ss {
            self.set_segment(seg::SS, s);
        }
        self.update_mode();
        self.set_reg_at(4 * 8, stack_width, bottom);
        self.rip = offset;
        self.eflags &= !(flag::TF | flag::NT | flag::RF | flag::VM);
        if gate.kind() & 1 == 0 {
            self.eflags &= !flag::IF;
        }
        Ok(())
    }

    fn tss_field(&mut self, offset: u32, n: u8) -> Res<u64> {
        if !self.tr.present() || offset + u32::from(n) - 1 > self.tr.limit {
            let code = u32::from(self.tr.selector & !3);
            return Err(self.raise_code(vector::TS, code));
        }
        let at = self.tr.base.wrapping_add(u64::from(offset));
        self.system_read(at, n)
    }

    /// SS:ESP of an inner level from the TSS (SDM volume 3, section 6.12.1).
    fn inner_stack(&mut self, cpl: u8) -> Res<(crate::cpu::Segment, u64)> {
        let wide_tss = self.tr.kind() & 8 != 0;
        let (sp, ss) = if wide_tss {
            let at = 4 + 8 * u32::from(cpl);
            (self.tss_field(at, 4)?, self.tss_field(at + 4, 2)? as u16)
        } else {
            let at = 2 + 4 * u32::from(cpl);
            (self.tss_field(at, 2)?, self.tss_field(at + 2, 2)? as u16)
        };
        if ss & !3 == 0 {
            return Err(self.raise_code(vector::TS, 0));
        }
        let mut d = self.descriptor(ss, vector::TS, false)?;
        let writable_data = d.is_user() && d.kind() & 0b1010 == 0b0010;
        if !writable_data || (ss & 3) as u8 != cpl || d.dpl() != cpl {
            return Err(self.selector_fault(vector::TS, ss));
        }
        if !d.present() {
            return Err(self.selector_fault(vector::SS, ss));
        }
        self.mark_accessed(ss, &mut d)?;
        Ok((d.segment(ss), sp))
    }

    /// Real mode: the vector table at the IDT's base.
    fn deliver_real(&mut self, f: Fault) -> Res {
        let offset = u64::from(f.vector) * 4;
        if offset + 3 > u64::from(self.idtr.limit) {
            return Err(self.gp(0));
        }
        let at = self.idtr.base.wrapping_add(offset);
        let entry = self.system_read(at, 4)?;
        let flags = self.flags();
        let (cs, ip) = (u64::from(self.seg[seg::CS].selector), self.rip);
        let old = self.r[4];
        for v in [flags, cs, ip] {
            if let Err(e) = self.push(2, v) {
                self.r[4] = old;
                return Err(e);
            }
        }
        self.eflags &= !(flag::IF | flag::TF | flag::AC | flag::RF);
        self.load_segment(seg::CS, (entry >> 16) as u16)?;
        self.rip = entry & 0xFFFF;
        Ok(())
    }

    /// Ends the run with a sentence: the guest asked for something that is not there.
    #[cold]
    pub(crate) fn unimplemented(&mut self, what: &str) -> crate::cpu::Stop {
        let bytes = self.bytes_at_rip();
        self.stop = Some(CpuStop::Unimplemented {
            rip: self.linear_pc(),
            bytes,
            what: what.to_owned(),
        });
        self.why = Why::Stop;
        crate::cpu::Stop
    }

    pub(crate) fn take_stop(&mut self) -> CpuStop {
        self.stop.take().unwrap_or(CpuStop::TripleFault {
            rip: self.rip,
            vector: self.fault.vector,
        })
    }

    /// Linear address of the next instruction.
    pub(crate) fn linear_pc(&self) -> u64 {
        if self.code64() {
            self.rip
        } else {
            self.seg[seg::CS].base.wrapping_add(self.rip) & 0xFFFF_FFFF
        }
    }

    fn bytes_at_rip(&mut self) -> String {
        let pc = self.linear_pc();
        let saved = (self.fault, self.cr2, self.why);
        let mut out = Vec::new();
        for i in 0..15 {
            match self.system_read(pc.wrapping_add(i), 1) {
                Ok(b) => out.push(format!("{b:02x}")),
                Err(_) => break,
            }
        }
        (self.fault, self.cr2, self.why) = saved;
        out.join(" ")
    }
}
