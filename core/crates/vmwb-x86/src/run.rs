//! The interpreter's main loop: finds traces, delivers exceptions and interrupts, stops exactly at the budget.

use std::sync::Arc;

use vmwb_hw::{GuestMemory, Payload, SnapshotError};
use vmwb_mem::MAX_CPUS;

use crate::cpu::{
    Counters, Cpu, Fault, Fpu, Msrs, Res, Segment, TableRegister, Why, cr0, cr4, efer, flag, seg,
    slot, vector,
};
use crate::cpuid::Features;
use crate::debug::DEBUGCTL_BTF;
use crate::decode::MAX_LEN;
use crate::exec::interp::run_chain;
use crate::isa::FORMS;
use crate::mmu::{Access, TableWatch, Target};
use crate::tlb::{JumpEntry, JumpKey, Spaces, jump_index, jump_neighbour, view};
use crate::trace::{Op, Trace, TraceCache, mode};
use crate::translate::Built;
use crate::vcpu::{Activity, BootState, CpuBus, CpuConfig, CpuStop, Exit, Vcpu};

/// Bytes that one trace is decoded from at most: 48 instructions of 15 bytes.
const WINDOW_BYTES: usize = 720;

/// What [`Cpu::next_trace`] found at RIP.
enum Next {
    /// The first operation of a live trace.
    Run(*mut Op),
    /// A fault is set.
    Fault,
    /// The instruction must run alone.
    Alone,
}

/// How the code of a page may be run through the code segment that is loaded. Traces are shared by all addresses that
/// lead to them, so what depends on the address cannot stand in them.
enum PageRule {
    /// Traces, linked inside the page.
    Free,
    /// Traces whose branches are not linked: the page starts before the segment does, so that a branch inside the page
    /// may lead around the end of the address space.
    Unlinked,
    /// One instruction at a time: the limit or the end of 16-bit addresses lies inside the page, or an instruction
    /// breakpoint. (Where it lies between two pages only an instruction that crosses them needs a look, and those are
    /// looked for each time.)
    Alone,
}

/// Features with the bits of CR4 that they bring.
const CR4_BITS: [(&str, u64); 16] = [
    ("vme", cr4::VME | cr4::PVI),
    ("tsc", cr4::TSD),
    ("de", cr4::DE),
    ("pse", cr4::PSE),
    ("pae", cr4::PAE),
    ("mce", cr4::MCE),
    ("pge", cr4::PGE),
    ("rdpmc", cr4::PCE),
    ("fxsr", cr4::OSFXSR),
    ("sse", cr4::OSXMMEXCPT),
    ("umip", cr4::UMIP),
    ("fsgsbase", cr4::FSGSBASE),
    ("pcid", cr4::PCIDE),
    ("xsave", cr4::OSXSAVE),
    ("smep", cr4::SMEP),
    ("smap", cr4::SMAP),
];
/// The same of IA32_EFER.
const EFER_BITS: [(&str, u64); 3] = [
    ("syscall", efer::SCE),
    ("lm", efer::LME | efer::LMA),
    ("nx", efer::NXE),
];

fn allowed(features: Features, bits: &[(&str, u64)]) -> u64 {
    bits.iter()
        .filter(|(name, _)| features.has(name))
        .fold(0, |all, (_, bit)| all | bit)
}

/// The reference engine: pre-decoded traces with chained handlers.
#[derive(Debug)]
pub struct Interpreter {
    cpu: Box<Cpu>,
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// The model's name is none that is known.
    #[error("there is no processor model '{0}'; choose one of: {list}", list = crate::cpuid::MODELS.join(", "))]
    UnknownModel(String),
    /// The memory has as many processors as it can have.
    #[error("a machine has at most {MAX_CPUS} processors")]
    TooManyCpus,
}

impl Interpreter {
    /// A processor in its reset state on this memory.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(memory: Arc<GuestMemory>, config: CpuConfig) -> Result<Self, EngineError> {
        let features = Features::of(&config.model)
            .ok_or_else(|| EngineError::UnknownModel(config.model.clone()))?;
        let form_ok = FORMS.iter().map(|f| features.has(f.feature)).collect();
        let slot = memory.attach_cpu().ok_or(EngineError::TooManyCpus)?;
        let ram = memory.backing_ptr(0).expect("page 0 is always RAM");
        let pages = memory.backing_pages() as usize;
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
            plain_end: [0; 6],
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
            shadow: false,
            sti_at: u64::MAX,
            debug_shadow: false,
            pending_debug: 0,
            fault_streak: 0,
            streak_at: 0,
            code_breakpoints: false,
            data_breakpoints: 0,
            no_trap: false,
            implicit: false,
            open: false,
            aligned_only: false,
            switched: false,
            amd: features.model().is_amd(),
            phys_mask: (1 << features.model().phys_bits) - 1,
            cr4_allowed: allowed(features, &CR4_BITS),
            efer_allowed: allowed(features, &EFER_BITS),
            look: true,
            touched: false,
            ferr: false,
            nmi_blocked: false,
            halted: false,
            awaits_startup: false,
            yielded: false,
            mode: 0,
            link_from: std::ptr::null_mut(),
            next_op: std::ptr::null_mut(),
            retire_at_end: 0,
            bus: None,
            slot,
            layout_seen: memory.layout_generation(),
            revocations_seen: memory.revocations(),
            traces: TraceCache::new(Arc::clone(&memory), slot),
            tables: TableWatch::new(pages),
            memory,
            ram,
            spaces: Spaces::new(),
            config,
            features,
            form_ok,
            counters: Counters::default(),
            observer: crate::observe::Recorder::new(),
            points: crate::inspect::Points::new(),
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
}

impl Cpu {
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
        let key = if m & mode::SIZE == mode::BITS64 {
            JumpKey {
                mode: m,
                base: 0,
                limit: 0,
            }
        } else {
            JumpKey {
                mode: m,
                base: cs.base as u32,
                limit: cs.limit,
            }
        };
        let ac = self.eflags & flag::AC != 0;
        self.open = ac && self.cr4 & cr4::SMAP != 0;
        self.aligned_only = ac && self.cpl == 3 && self.cr0 & cr0::AM != 0;
        let view = match (self.cpl == 3, self.open) {
            (true, _) => view::USER,
            (false, false) => view::SUPERVISOR,
            (false, true) => view::OPEN,
        };
        let view = &mut self.spaces.current().views[view];
        self.jumps = view.jumps(key);
        self.tlb = if self.aligned_only {
            self.spaces.none()
        } else {
            view.tlb.as_mut_ptr()
        };
        self.trace_mode();
    }

    /// How the page that RIP lies in may be run.
    fn page_rule(&self, m: u32, pc: u64) -> PageRule {
        if self.code_breakpoint_in_page(pc) {
            return PageRule::Alone;
        }
        if m & mode::SIZE == mode::BITS64 {
            return PageRule::Free;
        }
        // Offsets in the segment that the page's first and last byte have.
        let first = self.rip as i64 - (pc & 0xFFF) as i64;
        let last = first + 0xFFF;
        let limited = last > i64::from(self.seg[seg::CS].limit);
        let wraps = m & mode::SIZE == mode::BITS16 && last > 0xFFFF;
        if limited || wraps {
            PageRule::Alone
        } else if first < 0 {
            PageRule::Unlinked
        } else {
            PageRule::Free
        }
    }

    /// Bytes from RIP to the code segment's limit, at most those of the longest instruction.
    ///
    /// # Errors
    /// #GP(0) when RIP lies beyond the limit.
    fn bytes_to_limit(&mut self, m: u32) -> Res<usize> {
        if m & mode::SIZE == mode::BITS64 {
            return Ok(MAX_LEN);
        }
        let limit = self.seg[seg::CS].limit;
        match u64::from(limit).checked_sub(self.rip) {
            _ if limit == u32::MAX => Ok(MAX_LEN),
            Some(more) => Ok(more.min(MAX_LEN as u64 - 1) as usize + 1),
            None => Err(self.gp(0)),
        }
    }

    /// The trace at RIP, decoded if need be. `None`: a fault is set.
    fn find_trace(&mut self, m: u32) -> Option<*mut Trace> {
        let pc = self.linear_pc();
        let most = self.bytes_to_limit(m).ok()?;
        let user = self.cpl == 3;
        let host = match self.resolve(pc, Access::Exec, user, false) {
            Ok(Target::Ram(p)) => p,
            Ok(_) if m & mode::ALONE == 0 => {
                self.alone();
                return None;
            }
            Ok(_) => {
                let built = self.build_from_device(pc, m, most)?;
                return self.finished(built, most);
            }
            Err(_) => return None,
        };
        let phys = self.phys_of(host);
        let found = self.traces.find(phys, m);
        if !found.is_null() {
            // SAFETY: `find` gives live traces.
            let t = unsafe { &*found };
            let len = usize::from(t.tail_len);
            if len == 0 || self.next_page_bytes(pc, len, m)?[..len] == t.tail[..len] {
                return self.within_limit(found, most);
            }
            self.drop_trace_at(phys);
        }
        let room = 0x1000 - (phys & 0xFFF) as usize;
        let mut window = [0u8; WINDOW_BYTES];
        // An instruction that runs alone is fetched to the limit and no farther.
        let alone = m & mode::ALONE != 0;
        let window_len = room.min(if alone { most } else { WINDOW_BYTES });
        let window = &mut window[..window_len];
        // SAFETY: `host` points into a RAM page with `room` bytes to its end.
        unsafe { std::ptr::copy_nonoverlapping(host, window.as_mut_ptr(), window.len()) };
        let built = match self.build_trace(phys, window, None, m) {
            Built::Truncated if most <= room => {
                // All bytes up to the limit, or the 15 that an instruction may have.
                self.gp(0);
                return None;
            }
            Built::Truncated => {
                let len = most - room;
                let tail = self.next_page_bytes(pc, len, m)?;
                self.build_trace(phys, window, Some(&tail[..len]), m)
            }
            other => other,
        };
        self.finished(built, most)
    }

    /// The trace that was built, or the fault of what stands there instead.
    fn finished(&mut self, built: Built, most: usize) -> Option<*mut Trace> {
        match built {
            Built::Trace(t) => self.within_limit(t, most),
            Built::TooLong | Built::Truncated => {
                self.gp(0);
                None
            }
            Built::Invalid => {
                self.ud();
                None
            }
        }
    }

    /// Refuses an instruction that ends behind the code segment's limit: the first of the trace, since the others lie in
    /// the page with all of their bytes.
    fn within_limit(&mut self, t: *mut Trace, most: usize) -> Option<*mut Trace> {
        // SAFETY: the callers have a live trace, which has at least one operation.
        let len = unsafe { (*Trace::ops(t)).len };
        if usize::from(len) > most {
            self.gp(0);
            return None;
        }
        Some(t)
    }

    /// The first `len` bytes (at most 15) of the page behind the one that `pc` lies in. `None`: a fault is set, or the
    /// instruction must run alone, because they are a device's.
    fn next_page_bytes(&mut self, pc: u64, len: usize, m: u32) -> Option<[u8; MAX_LEN]> {
        let next = (pc | 0xFFF).wrapping_add(1);
        let next = if self.long_mode() {
            next
        } else {
            next & 0xFFFF_FFFF
        };
        let user = self.cpl == 3;
        let mut bytes = [0; MAX_LEN];
        match self.resolve(next, Access::Exec, user, false).ok()? {
            // SAFETY: the page has 4096 bytes; guest memory overlaps no local.
            Target::Ram(p) => unsafe {
                std::ptr::copy_nonoverlapping(p, bytes[..len].as_mut_ptr(), len);
            },
            Target::Device(phys) if m & mode::ALONE != 0 => {
                for (at, byte) in (phys..).zip(&mut bytes[..len]) {
                    *byte = self.device_byte(at);
                }
            }
            _ => {
                self.alone();
                return None;
            }
        }
        Some(bytes)
    }

    /// First operation of the trace at RIP, from the jump cache or found and noted there; patches the link of the branch
    /// that led here.
    fn next_trace(&mut self, link: *mut Op) -> Next {
        let rip = self.rip;
        let index = jump_index(rip);
        // SAFETY: the jump cache has JUMP_ENTRIES entries.
        let (at, near) = unsafe { (self.jumps.add(index), self.jumps.add(jump_neighbour(index))) };
        // SAFETY: as above, and they are two.
        unsafe {
            if (*near).rip == rip && !(*near).op.is_null() {
                let found = *near;
                *near = match (*at).op.is_null() {
                    true => JumpEntry::empty(jump_neighbour(index)),
                    false => *at,
                };
                *at = found;
            }
            if (*at).rip == rip && link.is_null() {
                return Next::Run((*at).op);
            }
        }
        let (m, link) = match self.page_rule(self.mode, self.linear_pc()) {
            PageRule::Free => (self.mode, link),
            PageRule::Unlinked => (self.mode | mode::UNLINKED, std::ptr::null_mut()),
            PageRule::Alone => return Next::Alone,
        };
        // Decoding may throw all traces away, the branch's among them: `drop_traces` clears the field then.
        self.link_from = link;
        let found = self.find_trace(m);
        let link = std::mem::replace(&mut self.link_from, std::ptr::null_mut());
        let Some(t) = found else {
            return Next::Fault;
        };
        // SAFETY: `t` is live, and so is `link`.
        unsafe {
            let op = Trace::ops(t);
            if !self.points.breaks_at((*t).phys) {
                if !link.is_null() {
                    Trace::link(t, link);
                }
                if (*at).rip != rip && !(*at).op.is_null() {
                    *near = *at;
                }
                *at = JumpEntry { rip, op };
            }
            // What `check_tail` asks has just been asked.
            Next::Run(op.add(usize::from((*t).tail_len != 0)))
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
        self.catch_up();
        // Whoever starts a run knows what the bus wants.
        self.touched = self.yielded;
        if self.awaits_startup {
            return Exit::Halted;
        }
        if self.halted {
            if let Err(stop) = self.take_interrupts() {
                return Exit::Stopped(stop);
            }
            if self.halted {
                return self.halt_exit();
            }
        }
        let mut alone = false;
        loop {
            if self.points.armed
                && let Some(hit) = self.points.hit.take()
            {
                return Exit::Debug(hit);
            }
            if self.touched {
                self.touched = false;
                self.catch_up();
                let yielded = std::mem::take(&mut self.yielded);
                if self.bus().attention() {
                    return Exit::Attention;
                }
                if yielded {
                    return Exit::Yielded;
                }
            }
            // Only a branch that just came here for want of a link gets one, and only if nothing intervenes.
            let mut link = std::mem::replace(&mut self.link_from, std::ptr::null_mut());
            if self.why != Why::Link || self.look {
                link = std::ptr::null_mut();
            }
            let shadow = std::mem::take(&mut self.shadow);
            let debug_shadow = std::mem::take(&mut self.debug_shadow);
            if self.look
                && !shadow
                && !alone
                && let Err(stop) = self.take_interrupts()
            {
                return Exit::Stopped(stop);
            }
            if self.budget <= 0 {
                (self.shadow, self.debug_shadow) = (shadow, debug_shadow);
                return Exit::Budget;
            }
            if self.points.armed
                && let Some(stop) = self.debug_stop()
            {
                (self.shadow, self.debug_shadow) = (shadow, debug_shadow);
                return Exit::Debug(stop);
            }
            // A load of SS holds them off on Intel's processors, not on AMD's.
            let held_off = debug_shadow && !self.amd;
            if self.code_breakpoints && !held_off && self.code_breakpoint_here() {
                if let Err(stop) = self.debug_exception() {
                    return Exit::Stopped(stop);
                }
                continue;
            }
            if self.eflags & flag::VIP != 0 && self.virtual_interrupt_due() {
                self.gp(0);
                self.why = Why::Jump;
                let fault = self.fault;
                if let Err(stop) = self.deliver_fault(fault) {
                    return Exit::Stopped(stop);
                }
                continue;
            }
            let mut trap = self.eflags & flag::TF != 0;
            let each = self.traces_instructions();
            let records = self.records_branches();
            if alone || shadow || trap || each || records {
                alone = false;
                self.eflags &= !flag::RF;
                let upcoming = if each { self.upcoming() } else { None };
                let by_branches = trap && self.msr.debugctl & DEBUGCTL_BTF != 0;
                if by_branches || records {
                    let (branch, from) = (self.branch_ahead(), self.recorded_address());
                    self.run_alone();
                    let taken = self.why != Why::Fault
                        && branch.is_some_and(|not_taken| not_taken != Some(self.rip));
                    trap &= taken || !by_branches;
                    if taken && self.records_branches() {
                        self.record_branch(from);
                    }
                } else {
                    self.run_alone();
                }
                self.trace_retired(upcoming);
                // In a row of instructions that hold interrupts off only the first does (SDM volume 3, section 6.8.3).
                self.shadow &= !shadow;
                self.debug_shadow &= !debug_shadow;
            } else {
                match self.next_trace(link) {
                    Next::Run(op) => {
                        // SAFETY: `next_trace` gives the first operation of a live trace.
                        if i64::from(unsafe { (*op).rest }) > self.budget {
                            alone = true;
                            continue;
                        }
                        self.why = Why::Jump;
                        // RF holds for one instruction, and in a trace nothing reads it: a page with breakpoints runs
                        // one instruction at a time, a fault sets it in its frame, PUSHF pushes it as zero.
                        self.eflags &= !flag::RF;
                        self.enter(op);
                    }
                    Next::Alone => {
                        alone = true;
                        continue;
                    }
                    Next::Fault => {}
                }
            }
            if let Err(exit) = self.settle(trap, &mut alone) {
                return exit;
            }
        }
    }

    /// How a run ends that has come to HLT.
    fn halt_exit(&self) -> Exit {
        if self.interrupts_enabled() {
            Exit::Halted
        } else {
            Exit::Stopped(CpuStop::HaltedForGood { rip: self.rip })
        }
    }

    /// What has to happen behind an instruction before the next one: traps, faults, halts. `trap`: it was single-stepped.
    fn settle(&mut self, trap: bool, alone: &mut bool) -> Result<(), Exit> {
        match self.why {
            Why::Jump | Why::Link => self.take_traps(trap).map_err(Exit::Stopped),
            Why::Alone => {
                *alone = true;
                Ok(())
            }
            Why::Fault => {
                let fault = self.fault;
                self.why = Why::Jump;
                // Traps of an instruction that did not end are met again when it runs again.
                (self.pending_debug, self.no_trap) = (0, false);
                self.deliver_fault(fault).map_err(Exit::Stopped)
            }
            Why::Halt => {
                self.why = Why::Jump;
                if trap || self.pending_debug != 0 {
                    self.halted = false;
                    return self.take_traps(trap).map_err(Exit::Stopped);
                }
                self.take_interrupts().map_err(Exit::Stopped)?;
                if self.halted {
                    Err(self.halt_exit())
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl Vcpu for Interpreter {
    fn reset(&mut self) {
        self.cpu.reset_state();
    }

    fn init(&mut self) {
        self.cpu.init_state();
    }

    fn start_up(&mut self, page: u8) {
        self.cpu.start_up(page);
    }

    fn activity(&self) -> Activity {
        let c = &self.cpu;
        match (c.awaits_startup, c.halted, c.interrupts_enabled()) {
            (true, ..) => Activity::WaitingForStartUp,
            (_, false, _) => Activity::Running,
            (_, true, true) => Activity::Halted,
            (_, true, false) => Activity::HaltedForGood,
        }
    }

    fn count_from(&mut self, retired: u64) {
        self.cpu.budget = 0;
        self.cpu.retire_at_end = retired;
    }

    fn set_boot_state(&mut self, state: BootState) {
        self.cpu.enter_boot_state(state);
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
        // An interrupt that comes before the next run may not come between STI and what follows it.
        self.cpu.shadow |= self.cpu.sti_at == self.cpu.retired();
        self.cpu.bus = None;
        exit
    }

    fn retired(&self) -> u64 {
        self.cpu.retired()
    }

    fn counters(&self) -> Counters {
        self.cpu.counters
    }

    fn inspect(&mut self) -> Option<&mut dyn crate::inspect::Inspect> {
        Some(&mut *self.cpu)
    }

    fn linear_rip(&self) -> u64 {
        self.cpu.linear_pc()
    }

    fn fingerprint(&self) -> u64 {
        let stir = |hash: u64, part: &u64| {
            (hash ^ part)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29)
        };
        self.cpu.r[..16].iter().fold(self.cpu.rip, stir)
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        crate::state::save(&self.cpu)
    }

    fn restore(&mut self, payload: &Payload) -> Result<(), SnapshotError> {
        crate::state::restore(&mut self.cpu, payload)
    }
}
