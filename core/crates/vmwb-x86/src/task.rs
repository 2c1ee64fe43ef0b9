//! Task switches: SDM volume 3, chapter 8 (Task management).
//!
//! Until every page that is read or written to has been probed a fault belongs to the old task, and nothing has changed.
//! From then on (`Cpu::switched`) faults belong to the new task, whose registers are loaded. The manual leaves open in which
//! order its descriptors are loaded: here the code segment comes last, as in the Bochs processor, so that its faults, and
//! those of the data segments, find the task's stack in place.

use crate::cpu::{Cpu, Res, Segment, cr0, cr4, flag, seg, vector};
use crate::debug::{DR7_LOCAL, dr6};
use crate::descriptor::Descriptor;

/// What asks for the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// JMP to a TSS or task gate.
    Jump,
    /// CALL: the new task is nested.
    Call,
    /// An exception or interrupt through a task gate: nested too.
    Event,
    /// IRET from a nested task.
    Return,
}

/// Where the fields of a TSS stand.
struct Layout {
    /// Bytes of a register.
    size: u8,
    ip: u64,
    flags: u64,
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
    registers: u64,
    /// ES, CS, SS, DS, and in the 32-bit TSS FS and GS.
    segments: u64,
    segment_count: usize,
    ldt: u64,
    /// Lowest limit that a TSS may have.
    least_limit: u32,
}

/// Figure 8-2.
const WIDE: Layout = Layout {
    size: 4,
    ip: 32,
    flags: 36,
    registers: 40,
    segments: 72,
    segment_count: 6,
    ldt: 96,
    least_limit: 103,
};
/// Figure 8-10.
const NARROW: Layout = Layout {
    size: 2,
    ip: 14,
    flags: 16,
    registers: 18,
    segments: 34,
    segment_count: 4,
    ldt: 42,
    least_limit: 43,
};
const CR3_FIELD: u64 = 28;
const TRAP_FIELD: u64 = 100;
/// Order of the segment registers in a TSS.
const ORDER: [usize; 6] = [seg::ES, seg::CS, seg::SS, seg::DS, seg::FS, seg::GS];
/// The busy bit of a TSS descriptor's type.
const BUSY: u8 = 2;
/// EFLAGS bits that exist.
pub(crate) const EFLAGS_BITS: u64 = 0x3F_7FD7;

/// What a TSS holds of a task.
struct Image {
    ip: u64,
    flags: u64,
    registers: [u64; 8],
    selectors: [u16; 6],
    ldt: u16,
    cr3: u64,
    trap: bool,
}

impl Layout {
    fn of(kind: u8) -> &'static Self {
        if kind & 8 != 0 { &WIDE } else { &NARROW }
    }
    fn segment(&self, i: usize) -> u64 {
        self.segments + u64::from(self.size) * i as u64
    }
    fn register(&self, i: usize) -> u64 {
        self.registers + u64::from(self.size) * i as u64
    }
}

impl Cpu {
    /// The TSS descriptor that a switch leads to. `bad`: the exception for one that is not there or has the wrong state.
    ///
    /// # Errors
    /// `bad` or #NP with the selector.
    pub(crate) fn task_descriptor(
        &mut self,
        selector: u16,
        bad: u8,
        busy: bool,
    ) -> Res<Descriptor> {
        if selector & 4 != 0 {
            return Err(self.selector_fault(bad, selector));
        }
        let d = self.descriptor(selector, bad, false)?;
        let kinds = if busy { [3, 11] } else { [1, 9] };
        if d.is_user() || !kinds.contains(&d.kind()) {
            return Err(self.selector_fault(bad, selector));
        }
        if !d.present() {
            return Err(self.selector_fault(vector::NP, selector));
        }
        Ok(d)
    }

    /// Turns the fault of a new task into one behind the instruction that switched: what is running has ended.
    pub(crate) fn after_switch(&mut self, result: Res) -> Res {
        if std::mem::take(&mut self.switched) && self.why == crate::cpu::Why::Fault {
            // It has not retired all the same.
            self.budget += 1;
            return Ok(());
        }
        result
    }

    /// Switches to the task of a TSS descriptor that has been checked. `error` is pushed on the new task's stack.
    ///
    /// # Errors
    /// The old task's faults; with `switched` set the new one's.
    pub(crate) fn switch_task(
        &mut self,
        selector: u16,
        d: Descriptor,
        entry: Entry,
        error: Option<u32>,
    ) -> Res {
        let new = d.segment(selector);
        let layout = Layout::of(d.kind());
        if new.limit < layout.least_limit {
            return Err(self.selector_fault(vector::TS, selector));
        }
        let old = self.tr;
        let nested = matches!(entry, Entry::Call | Entry::Event);
        self.probe_switch(old, new, nested)?;
        // Saved first: a task may go back to itself.
        self.save_task(old, entry)?;
        let image = self.read_task(new, layout)?;
        if !nested {
            self.set_busy(old.selector, false)?;
        }
        if nested {
            self.system_write(new.base, 2, u64::from(old.selector))?;
        }
        if entry != Entry::Return {
            self.set_busy(selector, true)?;
        }
        self.tr = new;
        self.tr.attr |= u16::from(BUSY);
        self.cr0 |= cr0::TS;
        self.switched = true;
        self.no_trap = true;
        self.load_task(&image, layout, nested)?;
        if let Some(e) = error {
            self.push(layout.size, u64::from(e))?;
        }
        if self.rip > u64::from(self.seg[seg::CS].limit) {
            return Err(self.gp(0));
        }
        if image.trap {
            self.pending_debug |= dr6::BT;
        }
        Ok(())
    }

    /// Every page that the switch writes to must be there before anything changes (section 8.3, step 6).
    fn probe_switch(&mut self, old: Segment, new: Segment, nested: bool) -> Res {
        let layout = Layout::of(old.kind());
        let last = layout.segment(layout.segment_count) - 1;
        if !old.present() || u64::from(old.limit) < last {
            return Err(self.selector_fault(vector::TS, old.selector));
        }
        self.system_probe(old.base.wrapping_add(layout.ip), 2)?;
        self.system_probe(old.base.wrapping_add(last - 1), 2)?;
        if nested {
            self.system_probe(new.base, 2)?;
        }
        let last = u64::from(Layout::of(new.kind()).least_limit);
        self.system_read(new.base, 1)?;
        self.system_read(new.base.wrapping_add(last), 1)?;
        for selector in [old.selector, new.selector] {
            if let Some(at) = self.descriptor_address(selector & !4, 8) {
                self.system_probe(at.wrapping_add(5), 1)?;
            }
        }
        Ok(())
    }

    fn read_task(&mut self, new: Segment, l: &Layout) -> Res<Image> {
        let wide = l.size == 4;
        let base = new.base;
        let mut field = |at: u64, n: u8| self.system_read(base.wrapping_add(at), n);
        let mut registers = [0; 8];
        for (i, r) in registers.iter_mut().enumerate() {
            // A 16-bit TSS leaves the upper halves undefined; here they are all ones.
            *r = field(l.register(i), l.size)? | if wide { 0 } else { 0xFFFF_0000 };
        }
        let mut selectors = [0; 6];
        for (i, s) in selectors.iter_mut().take(l.segment_count).enumerate() {
            *s = field(l.segment(i), 2)? as u16;
        }
        Ok(Image {
            ip: field(l.ip, l.size)?,
            flags: field(l.flags, l.size)?,
            registers,
            selectors,
            ldt: field(l.ldt, 2)? as u16,
            cr3: if wide { field(CR3_FIELD, 4)? } else { 0 },
            trap: wide && field(TRAP_FIELD, 2)? & 1 != 0,
        })
    }

    fn save_task(&mut self, old: Segment, entry: Entry) -> Res {
        let l = Layout::of(old.kind());
        let mut flags = self.flags();
        if entry == Entry::Return {
            flags &= !flag::NT;
        }
        let base = old.base;
        self.system_write(base.wrapping_add(l.ip), l.size, self.rip)?;
        self.system_write(base.wrapping_add(l.flags), l.size, flags)?;
        for i in 0..8 {
            self.system_write(base.wrapping_add(l.register(i)), l.size, self.r[i])?;
        }
        for (i, &n) in ORDER.iter().take(l.segment_count).enumerate() {
            let v = u64::from(self.seg[n].selector);
            self.system_write(base.wrapping_add(l.segment(i)), 2, v)?;
        }
        Ok(())
    }

    /// Sets or clears the busy bit in the GDT.
    fn set_busy(&mut self, selector: u16, busy: bool) -> Res {
        let Some(at) = self.descriptor_address(selector & !4, 8) else {
            return Ok(());
        };
        let at = at.wrapping_add(5);
        let v = self.system_read(at, 1)? & !u64::from(BUSY);
        self.system_write(at, 1, v | u64::from(if busy { BUSY } else { 0 }))
    }

    /// Loads the registers, then the descriptors that the selectors name (table 8-1).
    fn load_task(&mut self, image: &Image, l: &Layout, nested: bool) -> Res {
        let mut flags = image.flags & EFLAGS_BITS | flag::FIXED;
        if nested {
            flags |= flag::NT;
        }
        self.r[..8].copy_from_slice(&image.registers);
        self.rip = image.ip;
        self.dr[7] &= !DR7_LOCAL;
        // Nothing of the old task's segments is left for a fault to be taken on.
        for (i, &n) in ORDER.iter().enumerate() {
            let selector = image.selectors[i];
            self.set_segment(
                n,
                Segment {
                    selector,
                    ..Segment::default()
                },
            );
        }
        self.ldtr = Segment {
            selector: image.ldt,
            ..Segment::default()
        };
        self.set_flags(flags);
        self.segment_rules_changed();
        let v86 = flags & flag::VM != 0;
        let cs = image.selectors[1];
        // Until the stack is there a fault needs another one: at level 3 every handler brings its own.
        self.cpl = 3;
        let loaded = self.load_task_cr3(image, l);
        self.breakpoints_changed();
        self.update_mode();
        loaded?;
        self.load_task_ldt(image.ldt)?;
        if v86 {
            for (i, &n) in ORDER.iter().enumerate() {
                let s = self.real_segment(n, image.selectors[i]);
                self.set_segment(n, s);
            }
            self.update_mode();
            return Ok(());
        }
        self.cpl = (cs & 3) as u8;
        let ss = self.segment_for(seg::SS, self.seg[seg::SS].selector, vector::TS);
        if ss.is_err() {
            self.cpl = 3;
        }
        self.set_segment(seg::SS, ss?);
        self.update_mode();
        for n in [seg::DS, seg::ES, seg::FS, seg::GS] {
            let s = self.segment_for(n, self.seg[n].selector, vector::TS)?;
            self.set_segment(n, s);
            self.update_mode();
        }
        self.load_task_cs(cs)
    }

    fn load_task_cr3(&mut self, image: &Image, l: &Layout) -> Res {
        if l.size != 4 || self.cr0 & cr0::PG == 0 {
            return Ok(());
        }
        self.counters.cr3_loads += 1;
        let good = self.cr4 & cr4::PAE == 0 || self.load_pdptes(image.cr3);
        self.cr3 = image.cr3;
        self.spaces.switch_to(image.cr3);
        self.took_long();
        if good { Ok(()) } else { Err(self.gp(0)) }
    }

    fn load_task_ldt(&mut self, selector: u16) -> Res {
        if selector & !3 == 0 {
            return Ok(());
        }
        if selector & 4 != 0 {
            return Err(self.selector_fault(vector::TS, selector));
        }
        let d = self.descriptor(selector, vector::TS, false)?;
        if d.is_user() || d.kind() != 2 || !d.present() {
            return Err(self.selector_fault(vector::TS, selector));
        }
        self.ldtr = d.segment(selector);
        Ok(())
    }

    fn load_task_cs(&mut self, selector: u16) -> Res {
        if selector & !3 == 0 {
            return Err(self.raise_code(vector::TS, 0));
        }
        let mut d = self.descriptor(selector, vector::TS, false)?;
        let rpl = (selector & 3) as u8;
        let reachable = if d.conforming() {
            d.dpl() <= rpl
        } else {
            d.dpl() == rpl
        };
        if !d.is_code() || !reachable {
            return Err(self.selector_fault(vector::TS, selector));
        }
        if !d.present() {
            return Err(self.selector_fault(vector::NP, selector));
        }
        self.mark_accessed(selector, &mut d)?;
        self.set_code_segment(selector, d, rpl);
        Ok(())
    }
}
