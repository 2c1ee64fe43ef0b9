//! Through a gate to another code segment: the common part of interrupts, exceptions and calls that change the stack.
//! Source: SDM volume 3, sections 5.8.5 and 6.12; volume 2, INT n and CALL.

use crate::cpu::{Cpu, Fault, RSP, Res, Segment, flag, seg, size_mask, vector};
use crate::descriptor::Descriptor;

/// A stack to push a frame on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stack {
    /// The stack segment; its base and limit count outside long mode only.
    pub(crate) ss: Segment,
    /// Stack pointer before the frame.
    pub(crate) sp: u64,
    /// Bytes of a stack address.
    pub(crate) width: u8,
    /// The privilege that the pushes have.
    pub(crate) cpl: u8,
    /// Error code of #SS when the frame does not fit.
    pub(crate) code: u32,
}

impl Cpu {
    /// Enters the handler of an interrupt or trap gate that has been checked.
    ///
    /// # Errors
    /// What the checks of the target and the stack say.
    pub(crate) fn through_gate(&mut self, f: Fault, gate: Descriptor) -> Res {
        let long = self.long_mode();
        let from_v86 = self.v86();
        let selector = gate.gate_selector();
        if selector & !3 == 0 {
            return Err(self.gp(0));
        }
        let mut d = self.descriptor(selector, vector::GP, false)?;
        let wrong_size = long && !d.is_code64();
        if !d.is_code() || d.dpl() > self.cpl || wrong_size {
            return Err(self.selector_fault(vector::GP, selector));
        }
        if !d.present() {
            return Err(self.selector_fault(vector::NP, selector));
        }
        let new_cpl = if d.conforming() { self.cpl } else { d.dpl() };
        if from_v86 && new_cpl != 0 {
            return Err(self.selector_fault(vector::GP, selector));
        }
        let inner = new_cpl < self.cpl;
        let (wide, offset) = match (long, gate.kind() & 8 != 0) {
            (true, _) => (8, gate.gate_offset()),
            (false, true) => (4, gate.gate_offset()),
            (false, false) => (2u8, gate.gate_offset() & 0xFFFF),
        };
        let stack = if long {
            let ist = (gate.low >> 32 & 7) as u32;
            self.long_stack(new_cpl, ist, inner)?
        } else if inner {
            self.inner_stack(new_cpl)?
        } else {
            self.current_stack()
        };
        let mut frame = [0u64; 10];
        let mut n = 0;
        let mut add = |v: u64| {
            frame[n] = v;
            n += 1;
        };
        if from_v86 {
            for s in [seg::GS, seg::FS, seg::DS, seg::ES] {
                add(u64::from(self.seg[s].selector));
            }
        }
        if long || inner {
            add(u64::from(self.seg[seg::SS].selector));
            add(self.r[RSP]);
        }
        add(self.flags());
        add(u64::from(self.seg[seg::CS].selector));
        add(self.rip);
        if let Some(e) = f.error {
            add(u64::from(e));
        }
        self.probe_frame(&stack, wide, n)?;
        self.check_offset(d, offset)?;
        let sp = self.write_frame(&stack, wide, &frame[..n])?;
        self.mark_accessed(selector, &mut d)?;
        self.eflags &= !(flag::TF | flag::NT | flag::RF | flag::VM);
        if gate.kind() & 1 == 0 {
            self.eflags &= !flag::IF;
        }
        if from_v86 {
            for s in [seg::ES, seg::DS, seg::FS, seg::GS] {
                self.set_segment(s, Segment::default());
            }
        }
        self.cpl = new_cpl;
        if !long || inner {
            self.set_segment(seg::SS, stack.ss);
        }
        self.set_code_segment(selector, d, new_cpl);
        self.set_reg_at((RSP * 8) as u8, stack.width, sp);
        self.rip = offset;
        Ok(())
    }

    /// Refuses an offset that lies outside the code segment `d`: #GP(0).
    pub(crate) fn check_offset(&mut self, d: Descriptor, offset: u64) -> Res {
        let ok = if self.long_mode() && d.is_code64() {
            Self::canonical(offset)
        } else {
            offset <= u64::from(d.segment(0).limit)
        };
        if ok { Ok(()) } else { Err(self.gp(0)) }
    }

    /// The stack that is in use.
    pub(crate) fn current_stack(&self) -> Stack {
        let width = self.stack_size();
        Stack {
            ss: self.seg[seg::SS],
            sp: self.reg_at((RSP * 8) as u8, width),
            width,
            cpl: self.cpl,
            code: 0,
        }
    }

    /// The stack of an interrupt in long mode: from the interrupt stack table, of an inner level, or the one in use.
    fn long_stack(&mut self, cpl: u8, ist: u32, inner: bool) -> Res<Stack> {
        let sp = if ist != 0 {
            self.tss_field(36 + 8 * (ist - 1), 8)?
        } else if inner {
            self.tss_field(4 + 8 * u32::from(cpl), 8)?
        } else {
            self.r[RSP]
        };
        // The frame is aligned (SDM volume 3, section 6.14.2).
        Ok(self.long_stack_at(sp & !15, cpl))
    }

    fn long_stack_at(&self, sp: u64, cpl: u8) -> Stack {
        Stack {
            // A null selector with RPL = CPL.
            ss: Segment {
                selector: u16::from(cpl),
                base: 0,
                limit: 0,
                attr: u16::from(cpl) << 5,
            },
            sp,
            width: 8,
            cpl,
            code: 0,
        }
    }

    /// The stack of an inner level that a call gate leads to in long mode.
    ///
    /// # Errors
    /// #TS with the task register's selector.
    pub(crate) fn long_inner_stack(&mut self, cpl: u8) -> Res<Stack> {
        let sp = self.tss_field(4 + 8 * u32::from(cpl), 8)?;
        Ok(self.long_stack_at(sp, cpl))
    }

    fn tss_field(&mut self, offset: u32, n: u8) -> Res<u64> {
        if !self.tr.present() || offset + u32::from(n) - 1 > self.tr.limit {
            let selector = self.tr.selector;
            return Err(self.selector_fault(vector::TS, selector));
        }
        self.system_read(self.tr.base.wrapping_add(u64::from(offset)), n)
    }

    /// SS:ESP of an inner level from the TSS (SDM volume 3, section 6.12.1).
    ///
    /// # Errors
    /// #TS, or #SS for a stack segment that is not present.
    pub(crate) fn inner_stack(&mut self, cpl: u8) -> Res<Stack> {
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
        if !d.is_stack() || (ss & 3) as u8 != cpl || d.dpl() != cpl {
            return Err(self.selector_fault(vector::TS, ss));
        }
        if !d.present() {
            return Err(self.selector_fault(vector::SS, ss));
        }
        self.mark_accessed(ss, &mut d)?;
        let ss = d.segment(ss);
        Ok(Stack {
            sp: if ss.big() { sp } else { sp & 0xFFFF },
            width: if ss.big() { 4 } else { 2 },
            cpl,
            code: u32::from(ss.selector & !3),
            ss,
        })
    }

    /// Linear address of the item that ends `below` bytes under the stack pointer.
    fn frame_item(&self, s: &Stack, below: u64) -> (u64, u64) {
        let offset = s.sp.wrapping_sub(below) & size_mask(s.width);
        if s.width == 8 {
            (offset, offset)
        } else {
            (offset, s.ss.base.wrapping_add(offset) & 0xFFFF_FFFF)
        }
    }

    /// Makes sure that `n` items of `wide` bytes can be pushed: all or nothing.
    ///
    /// # Errors
    /// #SS when they do not fit, #PF.
    pub(crate) fn probe_frame(&mut self, s: &Stack, wide: u8, n: usize) -> Res {
        for i in 1..=n as u64 {
            let (offset, linear) = self.frame_item(s, i * u64::from(wide));
            let inside = if s.width == 8 {
                Self::canonical(linear)
            } else {
                let real = self.real_segments() && s.cpl == self.cpl;
                (real || s.ss.allows(true)) && s.ss.covers(offset, u64::from(wide), !real)
            };
            if !inside {
                return Err(self.raise_code(vector::SS, s.code));
            }
        }
        let user = s.cpl == 3;
        self.implicit = !user;
        let probed = (1..=n as u64).try_for_each(|i| {
            let (_, linear) = self.frame_item(s, i * u64::from(wide));
            self.probe_write(linear, wide, user, true)
        });
        self.implicit = false;
        probed
    }

    /// Pushes a frame that has been probed, first item first; gives the new stack pointer.
    ///
    /// # Errors
    /// None behind [`Cpu::probe_frame`].
    pub(crate) fn write_frame(&mut self, s: &Stack, wide: u8, items: &[u64]) -> Res<u64> {
        let user = s.cpl == 3;
        self.implicit = !user;
        let mut written = Ok(());
        for (i, &v) in items.iter().enumerate() {
            let (_, linear) = self.frame_item(s, (i as u64 + 1) * u64::from(wide));
            written = written.and_then(|()| self.write_linear(linear, wide, v, user, true));
        }
        self.implicit = false;
        written
            .map(|()| s.sp.wrapping_sub(items.len() as u64 * u64::from(wide)) & size_mask(s.width))
    }
}
