//! The interpreter's main loop: finds traces, delivers exceptions and interrupts, stops exactly at the budget.

use std::sync::Arc;

use vmwb_hw::{GuestMemory, Payload, SnapshotError};

use crate::cpu::{
    Counters, Cpu, Fault, Fpu, Msrs, Segment, TableRegister, Why, cr0, flag, seg, slot, vector,
};
use crate::cpuid::Features;
use crate::exec::interp::run_chain;
use crate::isa::FORMS;
use crate::mmu::{Access, TableWatch, Target};
use crate::tlb::{JumpEntry, Spaces, jump_index};
use crate::trace::{Op, Trace, TraceCache, mode};
use crate::translate::Built;
use crate::vcpu::{BootState, CpuBus, CpuConfig, CpuStop, Exit, Vcpu};

/// Bytes that one trace is decoded from at most: 48 instructions of 15 bytes.
const WINDOW_BYTES: usize = 720;
/// DR6.BS: single step.
const DR6_BS: u64 = 1 << 14;

/// The reference engine: pre-decoded traces with chained handlers.
#[derive(Debug)]
pub struct Interpreter {
    cpu: Box<Cpu>,
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no processor model '{0}'; choose one of: {list}", list = crate::cpuid::MODELS.join(", "))]
pub struct UnknownModel(pub String);

impl Interpreter {
    /// A processor in its reset state on this memory.
    ///
    /// # Errors
    /// [`UnknownModel`].
    pub fn new(memory: Arc<GuestMemory>, config: CpuConfig) -> Result<Self, UnknownModel> {
        let features =
            Features::of(&config.model).ok_or_else(|| UnknownModel(config.model.clone()))?;
        let form_ok = FORMS.iter().map(|f| features.has(f.feature)).collect();
        let ram = memory.page_ptr(0).expect("page 0 is always RAM");
        let pages = (memory.ranges().last().map_or(0, |r| r.end) >> 12) as usize;
        let mut cpu = Box::new(Cpu {
            r: [0; slot::COUNT],
            cc_res: 1,
            cc_aux: 0,
            budget: 0,
            tlb: std::ptr::null_mut(),
            jumps: std::ptr::null_mut(),
            devices_ok: false,
            why: Why::Jump,
            rip: 0,
            eflags: flag::FIXED,
            cpl: 0,
            seg: [Segment::default(); 6],
            ldtr: Segment::default(),
            tr: Segment::default(),
            gdtr: TableRegister::default(),
            idtr: TableRegister::default(),
            cr0: 0,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            efer: 0,
            dr: [0; 8],
            pdpte: [0; 4],
            msr: Msrs::default(),
            fpu: Fpu::new(),
            xcr0: 1,
            fault: Fault {
                vector: 0,
                error: None,
            },
            stop: None,
            shadow: false,
            debug_shadow: false,
            pending_debug: 0,
            fault_streak: 0,
            look: true,
            touched: false,
            nmi_blocked: false,
            halted: false,
            mode: 0,
            link_from: std::ptr::null_mut(),
            next_op: std::ptr::null_mut(),
            retire_at_end: 0,
            bus: None,
            traces: TraceCache::new(Arc::clone(&memory)),
            tables: TableWatch::new(pages),
            memory,
            ram,
            spaces: Spaces::new(),
            config,
            features,
            form_ok,
            counters: Counters::default(),
        });
        cpu.reset_state();
        Ok(Self { cpu })
    }

    /// The processor's state, for inspectors and tests.
    #[must_use]
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// The processor's state, to set up tests; call [`Cpu::registers_changed`] afterwards.
    pub fn cpu_mut(&mut self) -> &mut Cpu {
        &mut self.cpu
    }

    /// What the engine has counted since it was made.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.cpu.counters
    }
}

impl Cpu {
    fn reset_state(&mut self) {
        let retired = self.retired();
        self.r = [0; slot::COUNT];
        self.set_flags(flag::FIXED);
        self.rip = 0xFFF0;
        self.cpl = 0;
        let data = Segment {
            selector: 0,
            base: 0,
            limit: 0xFFFF,
            attr: 0x93,
        };
        self.seg = [data; 6];
        self.seg[seg::CS] = Segment {
            selector: 0xF000,
            base: 0xFFFF_0000,
            limit: 0xFFFF,
            attr: 0x9B,
        };
        self.ldtr = Segment {
            selector: 0,
            base: 0,
            limit: 0xFFFF,
            attr: 0x82,
        };
        self.tr = Segment {
            selector: 0,
            base: 0,
            limit: 0xFFFF,
            attr: 0x8B,
        };
        self.gdtr = TableRegister {
            base: 0,
            limit: 0xFFFF,
        };
        self.idtr = TableRegister {
            base: 0,
            limit: 0xFFFF,
        };
        self.cr0 = cr0::CD | cr0::NW | cr0::ET;
        (self.cr2, self.cr3, self.cr4, self.efer) = (0, 0, 0, 0);
        self.dr = [0, 0, 0, 0, 0, 0, 0xFFFF_0FF0, 0x400];
        self.pdpte = [0; 4];
        self.msr = Msrs {
            pat: 0x0007_0406_0007_0406,
            ..Msrs::default()
        };
        self.fpu = Fpu::new();
        self.xcr0 = 1;
        self.stop = None;
        (self.debug_shadow, self.pending_debug, self.fault_streak) = (false, 0, 0);
        (
            self.shadow,
            self.look,
            self.touched,
            self.nmi_blocked,
            self.halted,
        ) = (false, true, false, false, false);
        self.retire_at_end = retired;
        self.budget = 0;
        self.drop_traces();
        self.registers_changed();
    }

    /// Recomputes what depends on registers that were set from outside, and forgets every translation.
    pub fn registers_changed(&mut self) {
        self.r[slot::ZERO] = 0;
        self.r[slot::FS_BASE] = self.seg[seg::FS].base;
        self.r[slot::GS_BASE] = self.seg[seg::GS].base;
        self.forget_translations();
    }

    /// Recomputes the decode mode and selects the view of the soft TLB: call after a change of CS, SS, DS, ES, CPL, CR0,
    /// CR3, CR4 or EFER.
    pub(crate) fn update_mode(&mut self) {
        let cs = self.seg[seg::CS];
        let mut m = if self.code64() {
            mode::BITS64
        } else if cs.big() {
            mode::BITS32
        } else {
            mode::BITS16
        };
        let flat = cs.base == 0
            && [seg::DS, seg::ES, seg::SS]
                .iter()
                .all(|&n| self.seg[n].flat_data());
        if m == mode::BITS64 {
            m |= mode::FLAT;
        } else {
            m |= if flat { mode::FLAT } else { 0 };
            m |= if self.seg[seg::SS].big() {
                mode::STACK32
            } else {
                0
            };
        }
        self.mode = m;
        // Jump caches are keyed by offset in the code segment: another base or mode makes them void.
        let key = m | (cs.base as u32) << 8 ^ (cs.base >> 24) as u32;
        let view = &mut self.spaces.current().views[usize::from(self.cpl == 3)];
        if view.jump_mode != key {
            view.clear_jumps();
            view.jump_mode = key;
        }
        self.tlb = view.tlb.as_mut_ptr();
        self.jumps = view.jumps.as_mut_ptr();
    }

    /// The trace at RIP, decoded if need be. `None`: a fault is set.
    fn find_trace(&mut self, m: u32) -> Option<*mut Trace> {
        let pc = self.linear_pc();
        if m & mode::SIZE != mode::BITS64 && self.rip > u64::from(self.seg[seg::CS].limit) {
            self.gp(0);
            return None;
        }
        let user = self.cpl == 3;
        let host = match self.resolve(pc, Access::Exec, user, false) {
            Ok(Target::Ram(p)) => p,
            Ok(Target::Device(_)) => {
                self.unimplemented("code in device memory");
                return None;
            }
            Err(_) => return None,
        };
        let phys = self.phys_of(host);
        let found = self.traces.find(phys, m);
        if !found.is_null() {
            // SAFETY: `find` gives live traces.
            let t = unsafe { &*found };
            let tail = &t.tail[..usize::from(t.tail_len)];
            if tail.is_empty() || self.next_page_bytes(pc, tail.len())? == tail {
                return Some(found);
            }
            self.drop_trace_at(phys);
        }
        let room = 0x1000 - (phys & 0xFFF) as usize;
        let mut window = [0u8; WINDOW_BYTES];
        let window = &mut window[..room.min(WINDOW_BYTES)];
        // SAFETY: `host` points into a RAM page with `room` bytes to its end.
        unsafe { std::ptr::copy_nonoverlapping(host, window.as_mut_ptr(), window.len()) };
        let built = match self.build_trace(phys, window, None, m) {
            Built::NeedsNextPage => {
                let tail = self.next_page_bytes(pc, crate::decode::MAX_LEN)?;
                self.build_trace(phys, window, Some(&tail), m)
            }
            other => other,
        };
        match built {
            Built::Trace(t) => Some(t),
            Built::TooLong => {
                self.gp(0);
                None
            }
            Built::Invalid | Built::NeedsNextPage => {
                self.ud();
                None
            }
        }
    }

    /// The first bytes of the page behind the one that `pc` lies in.
    fn next_page_bytes(&mut self, pc: u64, len: usize) -> Option<Vec<u8>> {
        let next = (pc | 0xFFF).wrapping_add(1);
        let next = if self.long_mode() {
            next
        } else {
            next & 0xFFFF_FFFF
        };
        let user = self.cpl == 3;
        match self.resolve(next, Access::Exec, user, false) {
            // SAFETY: `len` is at most 15 and the page has 4096 bytes.
            Ok(Target::Ram(p)) => Some(unsafe { std::slice::from_raw_parts(p, len).to_vec() }),
            Ok(Target::Device(_)) => {
                self.unimplemented("code in device memory");
                None
            }
            Err(_) => None,
        }
    }

    /// First operation of the trace at RIP, from the jump cache or found and noted there; patches the link of the branch
    /// that led here. `None`: a fault is set.
    fn next_trace(&mut self, link: *mut Op) -> Option<*mut Op> {
        let rip = self.rip;
        // SAFETY: the jump cache has JUMP_ENTRIES entries.
        let e = unsafe { *self.jumps.add(jump_index(rip)) };
        if e.rip == rip && link.is_null() {
            return Some(e.op);
        }
        // Decoding may throw all traces away, the branch's among them: `drop_traces` clears the field then.
        self.link_from = link;
        let found = self.find_trace(self.mode);
        let link = std::mem::replace(&mut self.link_from, std::ptr::null_mut());
        let t = found?;
        // SAFETY: `t` is live, and so is `link`.
        unsafe {
            let op = Trace::ops(t);
            if (*t).tail_len == 0 {
                if !link.is_null() {
                    (*link).disp = op as u64;
                }
                *self.jumps.add(jump_index(rip)) = JumpEntry { rip, op };
            }
            Some(op)
        }
    }

    /// Runs from the first operation of a trace, whose instructions the budget covers.
    fn enter(&mut self, op: *mut Op) {
        // SAFETY: `op` is the first operation of a live trace; it stays in place while handlers run.
        unsafe {
            self.budget -= i64::from((*op).rest);
            self.r[slot::PAGE] = self.rip.wrapping_sub(u64::from((*op).offset));
            run_chain(self, op);
        }
    }

    /// Runs the one instruction at RIP, with devices allowed.
    fn run_alone(&mut self) {
        let Some(t) = self.find_trace(self.mode | mode::ALONE) else {
            return;
        };
        // With nothing left in the budget no operation chains into another trace.
        let kept = self.budget - 1;
        self.budget = 1;
        self.retire_at_end = self.retire_at_end.wrapping_sub(kept as u64);
        self.devices_ok = true;
        self.why = Why::Jump;
        // SAFETY: `find_trace` gives live traces.
        self.enter(unsafe { Trace::ops(t) });
        self.devices_ok = false;
        self.budget += kept;
        self.retire_at_end = self.retire_at_end.wrapping_add(kept as u64);
    }

    /// Takes an interrupt or NMI when one waits and may be taken. `Err`: the guest cannot run on.
    fn take_interrupts(&mut self) -> Result<(), CpuStop> {
        if !self.nmi_blocked && self.bus().take_nmi() {
            self.halted = false;
            self.nmi_blocked = true;
            return self.deliver_interrupt(vector::NMI);
        }
        // What is pending changes only when a device is touched, and between two runs: nothing to look at until then.
        if !self.bus().interrupt_pending() {
            self.look = false;
            return Ok(());
        }
        if !self.interrupts_enabled() {
            return Ok(());
        }
        let retired = self.retired();
        let Some(v) = self.bus().acknowledge_interrupt(retired) else {
            self.look = false;
            return Ok(());
        };
        self.halted = false;
        self.counters.interrupts += 1;
        self.deliver_interrupt(v)
    }

    fn run_budget(&mut self) -> Exit {
        self.look = true;
        self.collect_noted_writes();
        if self.halted {
            if let Err(stop) = self.take_interrupts() {
                return Exit::Stopped(stop);
            }
            if self.halted {
                return Exit::Halted;
            }
        }
        let mut alone = false;
        loop {
            if self.touched {
                self.touched = false;
                if self.bus().attention() {
                    return Exit::Attention;
                }
            }
            // Only a branch that just came here for want of a link gets one, and only if nothing intervenes.
            let mut link = std::mem::replace(&mut self.link_from, std::ptr::null_mut());
            if self.why != Why::Link || self.look {
                link = std::ptr::null_mut();
            }
            let shadow = std::mem::take(&mut self.shadow);
            if self.look
                && !shadow
                && !alone
                && let Err(stop) = self.take_interrupts()
            {
                return Exit::Stopped(stop);
            }
            if self.budget <= 0 {
                self.shadow = shadow;
                return Exit::Budget;
            }
            let trap = self.eflags & flag::TF != 0;
            if alone || shadow || trap {
                alone = false;
                self.run_alone();
            } else if let Some(op) = self.next_trace(link) {
                // SAFETY: `next_trace` gives the first operation of a live trace.
                if i64::from(unsafe { (*op).rest }) > self.budget {
                    alone = true;
                    continue;
                }
                self.why = Why::Jump;
                self.enter(op);
            }
            match self.why {
                Why::Jump | Why::Link => {
                    if trap {
                        self.dr[6] |= DR6_BS;
                        if let Err(stop) = self.deliver_fault(Fault {
                            vector: vector::DB,
                            error: None,
                        }) {
                            return Exit::Stopped(stop);
                        }
                    }
                }
                Why::Alone => alone = true,
                Why::Fault => {
                    let fault = self.fault;
                    self.why = Why::Jump;
                    if let Err(stop) = self.deliver_fault(fault) {
                        return Exit::Stopped(stop);
                    }
                }
                Why::Halt => {
                    self.why = Why::Jump;
                    if !self.interrupts_enabled() {
                        return Exit::Stopped(CpuStop::HaltedForGood { rip: self.rip });
                    }
                    if let Err(stop) = self.take_interrupts() {
                        return Exit::Stopped(stop);
                    }
                    if self.halted {
                        return Exit::Halted;
                    }
                }
                Why::Stop => return Exit::Stopped(self.take_stop()),
            }
        }
    }
}

impl Vcpu for Interpreter {
    fn reset(&mut self) {
        self.cpu.reset_state();
    }

    fn set_boot_state(&mut self, state: BootState) {
        let c = &mut *self.cpu;
        let code = |attr| Segment {
            selector: 0x10,
            base: 0,
            limit: u32::MAX,
            attr,
        };
        let data = Segment {
            selector: 0x18,
            base: 0,
            limit: u32::MAX,
            attr: 0xC093,
        };
        c.seg = [data; 6];
        c.set_flags(flag::FIXED);
        c.cpl = 0;
        match state {
            BootState::Protected32 {
                eip,
                esi,
                ebx,
                eax,
                esp,
                gdt,
            } => {
                c.seg[seg::CS] = code(0xC09B);
                c.cr0 = cr0::PE | cr0::ET;
                c.rip = u64::from(eip);
                (c.r[0], c.r[3], c.r[4], c.r[6]) = (
                    u64::from(eax),
                    u64::from(ebx),
                    u64::from(esp),
                    u64::from(esi),
                );
                c.gdtr = TableRegister {
                    base: u64::from(gdt.0),
                    limit: gdt.1,
                };
            }
            BootState::Long64 {
                rip,
                rsi,
                rsp,
                cr3,
                gdt,
            } => {
                c.seg[seg::CS] = code(0xA09B);
                c.cr0 = cr0::PE | cr0::PG | cr0::ET;
                c.cr3 = cr3;
                c.cr4 = crate::cpu::cr4::PAE;
                c.efer = crate::cpu::efer::LME | crate::cpu::efer::LMA;
                c.rip = rip;
                (c.r[4], c.r[6]) = (rsp, rsi);
                c.gdtr = TableRegister {
                    base: gdt.0,
                    limit: gdt.1,
                };
            }
        }
        c.idtr = TableRegister { base: 0, limit: 0 };
        c.registers_changed();
    }

    fn run(&mut self, bus: &mut dyn CpuBus, budget: u64) -> Exit {
        let budget = i64::try_from(budget).unwrap_or(i64::MAX / 2);
        let retired = self.cpu.retired();
        self.cpu.budget = budget;
        self.cpu.retire_at_end = retired.wrapping_add(budget as u64);
        let bus: *mut (dyn CpuBus + '_) = bus;
        // SAFETY: only the lifetime changes; the pointer is cleared below, before the borrow of `bus` ends.
        self.cpu.bus = Some(unsafe {
            std::mem::transmute::<*mut (dyn CpuBus + '_), *mut (dyn CpuBus + 'static)>(bus)
        });
        let exit = self.cpu.run_budget();
        self.cpu.bus = None;
        exit
    }

    fn retired(&self) -> u64 {
        self.cpu.retired()
    }

    fn linear_rip(&self) -> u64 {
        self.cpu.linear_pc()
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        crate::state::save(&self.cpu)
    }

    fn restore(&mut self, payload: &Payload) -> Result<(), SnapshotError> {
        crate::state::restore(&mut self.cpu, payload)
    }
}
