//! Debug registers: which breakpoints are enabled, what meets them, and the delivery of #DB.
//! Source: SDM volume 3, chapter 18 (Debug).
//!
//! Breakpoints cost nothing while none is enabled. An instruction breakpoint makes the code of its page run one
//! instruction at a time; a page with a data breakpoint gets no entry in the soft TLBs, so that every access to it takes
//! the slow path and looks here.

use crate::cpu::{Cpu, Fault, flag, vector};
use crate::decode::{MAX_LEN, decode};
use crate::observe::InsnClasses;
use crate::translate::code_size;
use crate::vcpu::CpuStop;

/// DR6 bits.
pub(crate) mod dr6 {
    /// MOV to or from a debug register met DR7.GD.
    pub const BD: u32 = 1 << 13;
    /// Single step.
    pub const BS: u32 = 1 << 14;
    /// The T flag of a task-state segment.
    pub const BT: u32 = 1 << 15;
    /// What a new #DB leaves as it was: software clears all but the breakpoints' bits (SDM volume 3, section 18.2.3).
    pub const KEPT: u64 = 0xFFFF_EFF0;
}

/// General detect.
pub(crate) const DR7_GD: u64 = 1 << 13;
/// L0 to L3 and LE: cleared by a task switch.
pub(crate) const DR7_LOCAL: u64 = 0x155;

/// Bits of IA32_DEBUGCTL (SDM volume 4, table 2-2): last-branch records, single-stepping on branches, and what the pins of
/// P6 and AMD's processors show, which has no effect here.
pub(crate) const DEBUGCTL_LBR: u64 = 1 << 0;
pub(crate) const DEBUGCTL_BTF: u64 = 1 << 1;
pub(crate) const DEBUGCTL_PINS: u64 = 0x3C;

/// What a breakpoint is for: the R/W field of DR7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Code = 0,
    Write = 1,
    Port = 2,
    Data = 3,
}

impl Cpu {
    /// Breakpoint `n` as enabled in DR7: kind, first address, bytes.
    fn breakpoint(&self, n: usize) -> Option<(Kind, u64, u64)> {
        let dr7 = self.dr[7];
        if dr7 >> (2 * n) & 3 == 0 {
            return None;
        }
        let kind = match dr7 >> (16 + 4 * n) & 3 {
            0 => Kind::Code,
            1 => Kind::Write,
            2 if self.cr4 & crate::cpu::cr4::DE != 0 => Kind::Port,
            // Without CR4.DE the encoding is undefined; here it meets nothing.
            2 => return None,
            _ => Kind::Data,
        };
        let bytes = [1, 2, 8, 4][(dr7 >> (18 + 4 * n) & 3) as usize];
        // The low bits that the length covers do not count (section 18.2.5).
        Some((kind, self.dr[n] & !(bytes - 1), bytes))
    }

    /// Recomputes what depends on DR0 to DR3, DR7 and CR4.DE, and forgets the translations of the pages concerned.
    pub(crate) fn breakpoints_changed(&mut self) {
        self.code_breakpoints = false;
        self.data_breakpoints = 0;
        for n in 0..4 {
            match self.breakpoint(n) {
                Some((Kind::Code, at, _)) => {
                    self.code_breakpoints = true;
                    self.spaces.forget_page(at);
                }
                Some((Kind::Write | Kind::Data, at, _)) => {
                    self.data_breakpoints |= 1 << n;
                    self.spaces.forget_page(at);
                }
                Some((Kind::Port, ..)) | None => {}
            }
        }
        self.spaces.clear_jumps();
        self.took_long();
    }

    /// Whether an instruction breakpoint lies in the page of a linear address.
    pub(crate) fn code_breakpoint_in_page(&self, linear: u64) -> bool {
        self.code_breakpoints
            && (0..4).any(|n| {
                self.breakpoint(n)
                    .is_some_and(|(kind, at, _)| kind == Kind::Code && at >> 12 == linear >> 12)
            })
    }

    /// Whether the instruction at RIP meets a breakpoint that RF does not suspend; notes it as pending.
    pub(crate) fn code_breakpoint_here(&mut self) -> bool {
        if self.eflags & flag::RF != 0 {
            return false;
        }
        let pc = self.linear_pc();
        let met = self.met(|kind, at, _| kind == Kind::Code && at == pc);
        self.pending_debug |= met;
        met != 0
    }

    /// Whether the page of a linear address has a data breakpoint.
    pub(crate) fn data_breakpoint_in_page(&self, linear: u64) -> bool {
        self.data_breakpoints != 0
            && (0..4)
                .any(|n| self.data_breakpoints >> n & 1 != 0 && self.dr[n] >> 12 == linear >> 12)
    }

    /// Notes the data breakpoints that an access meets: traps behind the instruction.
    pub(crate) fn note_data_access(&mut self, linear: u64, bytes: u64, write: bool) {
        let last = linear.wrapping_add(bytes - 1);
        self.pending_debug |= self.met(|kind, at, len| {
            (kind == Kind::Data || kind == Kind::Write && write)
                && at <= last
                && linear <= at.wrapping_add(len - 1)
        });
    }

    /// Notes the I/O breakpoints that an access to ports meets.
    pub(crate) fn note_port_access(&mut self, port: u16, bytes: u8) {
        let (first, last) = (u64::from(port), u64::from(port) + u64::from(bytes) - 1);
        self.pending_debug |= self.met(|kind, at, len| {
            kind == Kind::Port && at <= last && first <= at.wrapping_add(len - 1)
        });
    }

    /// B0 to B3 of the enabled breakpoints that a condition holds for.
    fn met(&self, condition: impl Fn(Kind, u64, u64) -> bool) -> u32 {
        (0..4)
            .filter(|&n| {
                self.breakpoint(n)
                    .is_some_and(|(kind, at, len)| condition(kind, at, len))
            })
            .fold(0, |bits, n| bits | 1 << n)
    }

    /// For single-stepping on branches and last-branch records: whether the instruction at RIP is a branch, and the RIP that
    /// means it was not taken (`None`: it always is). An outer `None`: no branch.
    pub(crate) fn branch_ahead(&self) -> Option<Option<u64>> {
        let mut bytes = [0; MAX_LEN];
        let n = self.fetch_quietly(self.linear_pc(), &mut bytes);
        let insn = decode(&bytes[..n], code_size(self.mode)).ok()?;
        let name = insn.form().mnemonic;
        if !insn
            .form()
            .classes(insn.mem.is_some())
            .contains(InsnClasses::CONTROL)
            || matches!(name, "hlt" | "bound")
        {
            return None;
        }
        let conditional = name == "into"
            || name.starts_with("loop")
            || name.starts_with('j') && !name.starts_with("jmp");
        Some(conditional.then(|| self.rip.wrapping_add(u64::from(insn.len))))
    }

    /// Delivers the debug traps that are due behind an instruction; `step`: it was single-stepped.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn take_traps(&mut self, step: bool) -> Result<(), CpuStop> {
        // MOV SS and POP SS hold back data breakpoints, and are not single-stepped (section 6.8.3).
        let no_trap = std::mem::take(&mut self.no_trap);
        let step = step && !no_trap && !self.debug_shadow;
        if step {
            self.pending_debug |= dr6::BS;
        }
        if self.pending_debug == 0 || self.debug_shadow {
            return Ok(());
        }
        self.debug_exception()
    }

    /// Says in DR6 what a #DB is for.
    pub(crate) fn note_in_dr6(&mut self, bits: u32) {
        self.dr[6] = self.dr[6] & dr6::KEPT | u64::from(bits);
    }

    /// Delivers #DB for what is pending.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn debug_exception(&mut self) -> Result<(), CpuStop> {
        let bits = std::mem::take(&mut self.pending_debug);
        self.note_in_dr6(bits);
        self.dr[7] &= !DR7_GD;
        self.deliver_fault(Fault {
            vector: vector::DB,
            error: None,
        })
    }
}
