//! The state of one processor: architectural registers first, then what the interpreter keeps beside them.

mod bits;
mod segment;

use std::sync::Arc;

use vmwb_hw::GuestMemory;

use crate::branches::BranchRecords;
use crate::cpuid::Features;
use crate::fpu::F80;
use crate::tlb::{JumpEntry, Spaces, TlbEntry};
use crate::trace::TraceCache;
use crate::vcpu::{CpuBus, CpuConfig};

pub use bits::{cr0, cr4, efer, flag, seg, slot, vector};
pub use segment::{Segment, TableRegister};

pub(crate) const RAX: usize = 0;
pub(crate) const RCX: usize = 1;
pub(crate) const RDX: usize = 2;
pub(crate) const RBX: usize = 3;
pub(crate) const RSP: usize = 4;
pub(crate) const RBP: usize = 5;
pub(crate) const RSI: usize = 6;
pub(crate) const RDI: usize = 7;

/// x87 and SSE registers.
#[derive(Debug, Clone)]
pub struct Fpu {
    /// Physical registers R0 to R7.
    pub st: [F80; 8],
    /// Control word.
    pub control: u16,
    /// Status word without TOP.
    pub status: u16,
    /// Top of stack, 0 to 7.
    pub top: u8,
    /// Bit n: register Rn is empty.
    pub empty: u8,
    /// Last opcode, 11 bits.
    pub opcode: u16,
    /// Last instruction pointer.
    pub ip: u64,
    /// Its code segment.
    pub cs: u16,
    /// Last data pointer.
    pub dp: u64,
    /// Its segment.
    pub ds: u16,
    /// XMM registers.
    pub xmm: [u128; 16],
    /// MXCSR.
    pub mxcsr: u32,
}

impl Fpu {
    /// State after power-up and reset: the registers are zero and not empty (SDM volume 3, table 10-1: tag word 5555h),
    /// other than after FNINIT.
    #[must_use]
    pub fn new() -> Self {
        Self {
            st: [F80 {
                sign_exp: 0,
                significand: 0,
            }; 8],
            control: 0x40,
            status: 0,
            top: 0,
            empty: 0,
            opcode: 0,
            ip: 0,
            cs: 0,
            dp: 0,
            ds: 0,
            xmm: [0; 16],
            mxcsr: 0x1F80,
        }
    }
}

impl Default for Fpu {
    fn default() -> Self {
        Self::new()
    }
}

/// Model-specific registers that only keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Msrs {
    /// IA32_STAR.
    pub star: u64,
    /// IA32_LSTAR.
    pub lstar: u64,
    /// IA32_CSTAR.
    pub cstar: u64,
    /// IA32_FMASK.
    pub fmask: u64,
    /// IA32_KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u64,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_PAT.
    pub pat: u64,
    /// IA32_TSC_AUX.
    pub tsc_aux: u64,
    /// What the guest has added to the time-stamp counter.
    pub tsc_offset: u64,
    /// IA32_MTRR_DEF_TYPE.
    pub mtrr_def_type: u64,
    /// Eight pairs of IA32_MTRR_PHYSBASE and PHYSMASK.
    pub mtrr_variable: [u64; 16],
    /// Eleven fixed-range MTRRs.
    pub mtrr_fixed: [u64; 11],
    /// IA32_MCG_STATUS.
    pub mcg_status: u64,
    /// Machine-check banks' control registers.
    pub mc_ctl: [u64; 4],
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// AMD HWCR.
    pub hwcr: u64,
    /// IA32_XSS.
    pub xss: u64,
    /// IA32_DEBUGCTL.
    pub debugctl: u64,
    /// AMD SYSCFG.
    pub syscfg: u64,
    /// Last-branch records.
    pub branches: BranchRecords,
}

/// A fault, trap or interrupt that waits to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Vector.
    pub vector: u8,
    /// Error code, where the vector has one.
    pub error: Option<u32>,
}

/// Why the chain of handlers came back to the main loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// `rip` is set; look for the next trace.
    Jump,
    /// As `Jump`, from an operation whose link may be patched.
    Link,
    /// `fault` is set; `rip` is the faulting instruction.
    Fault,
    /// The instruction at `rip` must run alone, with devices allowed.
    Alone,
    /// HLT.
    Halt,
}

/// Ends the running instruction: the reason is in [`Cpu::why`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// What helpers return.
pub type Res<T = ()> = Result<T, Stop>;

/// One processor.
#[derive(Debug)]
#[repr(C)]
pub struct Cpu {
    // Hot first: the handlers touch these on every instruction.
    /// General registers and the pseudo registers of [`slot`].
    pub r: [u64; slot::COUNT],
    /// Lazy flags: the last result, sign-extended to 64 bits. ZF is `res == 0`.
    pub(crate) cc_res: u64,
    /// Lazy flags: CF in bit 63, OF in bit 63 xor bit 62, AF in bit 3; bit 8 inverts PF, bit 16 inverts SF.
    pub(crate) cc_aux: u64,
    /// Instructions that may still retire in this run, minus those of the trace being executed.
    pub(crate) budget: i64,
    pub(crate) tlb: *mut TlbEntry,
    pub(crate) jumps: *mut JumpEntry,
    /// Devices may be touched: the instruction runs alone.
    pub(crate) devices_ok: bool,
    pub(crate) why: Why,

    /// Next instruction (valid between traces).
    pub rip: u64,
    /// EFLAGS without the arithmetic flags.
    pub(crate) eflags: u64,
    /// Current privilege level.
    pub cpl: u8,
    /// Segment registers ES CS SS DS FS GS. The bases of FS and GS also stand in the register file.
    pub seg: [Segment; 6],
    /// Offsets below which an access of any kind to the segment needs no further check outside 64-bit mode; 0: each does.
    pub(crate) plain_end: [u64; 6],
    /// LDTR.
    pub ldtr: Segment,
    /// TR.
    pub tr: Segment,
    /// GDTR.
    pub gdtr: TableRegister,
    /// IDTR.
    pub idtr: TableRegister,
    /// Control registers.
    pub cr0: u64,
    /// Page-fault address.
    pub cr2: u64,
    /// Page-table root.
    pub cr3: u64,
    /// Feature control.
    pub cr4: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// Debug registers 0 to 7.
    pub dr: [u64; 8],
    /// PAE page-directory-pointer entries, loaded with CR3 (SDM volume 3, section 4.4.1).
    pub(crate) pdpte: [u64; 4],
    /// Model-specific registers.
    pub msr: Msrs,
    /// x87 and SSE.
    pub fpu: Fpu,
    /// State components that XSAVE manages (SDM volume 1, section 13.3); bit 0 is always set.
    pub xcr0: u64,

    pub(crate) fault: Fault,
    /// The next instruction runs before interrupts are looked at (STI, MOV SS, POP SS).
    pub(crate) shadow: bool,
    /// Retired instructions behind the last STI that set IF; a run that ends there ends in its shadow.
    pub(crate) sti_at: u64,
    /// The shadow is one of MOV SS or POP SS: debug traps wait too (SDM volume 3, section 6.8.3).
    pub(crate) debug_shadow: bool,
    /// DR6 bits of debug traps that are due at the next instruction boundary.
    pub(crate) pending_debug: u32,
    /// Exceptions delivered since an instruction last retired.
    pub(crate) fault_streak: u32,
    /// Retired instructions when it last changed.
    pub(crate) streak_at: u64,
    /// An instruction breakpoint is enabled.
    pub(crate) code_breakpoints: bool,
    /// Bit n: breakpoint n is enabled for data.
    pub(crate) data_breakpoints: u8,
    /// The running instruction is not followed by its single-step trap.
    pub(crate) no_trap: bool,
    /// The processor accesses memory for itself: descriptor tables, task-state segments.
    pub(crate) implicit: bool,
    /// EFLAGS.AC suspends SMAP.
    pub(crate) open: bool,
    /// Alignment checks are on: CPL 3, CR0.AM, EFLAGS.AC.
    pub(crate) aligned_only: bool,
    /// A task switch is past the point where its faults belong to the new task.
    pub(crate) switched: bool,
    /// The model follows AMD's manuals where they differ from Intel's.
    pub(crate) amd: bool,
    /// Bits that a physical address has on this model.
    pub(crate) phys_mask: u64,
    /// Bits of CR4 and IA32_EFER that its features bring; the others are reserved.
    pub(crate) cr4_allowed: u64,
    pub(crate) efer_allowed: u64,
    /// Something may have made an interrupt deliverable: ask the controllers before the next trace.
    pub(crate) look: bool,
    /// A device was touched, or something took long: ask the bus whether it wants attention.
    pub(crate) touched: bool,
    /// FERR# is asserted: an x87 exception was reported to the board.
    pub(crate) ferr: bool,
    pub(crate) nmi_blocked: bool,
    pub(crate) halted: bool,
    /// Reset or initialized, and not the bootstrap processor: nothing but a start-up message wakes it.
    pub(crate) awaits_startup: bool,
    /// PAUSE was executed, and there are other processors.
    pub(crate) yielded: bool,
    /// Decode-relevant mode; see `trace::mode`.
    pub(crate) mode: u32,
    /// Address whose trace the operation `link_from` wants.
    pub(crate) link_from: *mut crate::trace::Op,
    /// What the handler that returned wants to run next; used by builds without sibling calls only.
    pub(crate) next_op: *mut crate::trace::Op,
    /// Retired instructions when the budget is used up.
    pub(crate) retire_at_end: u64,
    pub(crate) bus: Option<*mut (dyn CpuBus + 'static)>,
    pub(crate) memory: Arc<GuestMemory>,
    /// Host address of the memory file's first byte.
    pub(crate) ram: *mut u8,
    /// Which processor of this memory it is.
    pub(crate) slot: vmwb_mem::CpuSlot,
    /// [`GuestMemory::layout_generation`] and [`GuestMemory::revocations`] that its caches agree with.
    pub(crate) layout_seen: u64,
    pub(crate) revocations_seen: u64,
    pub(crate) spaces: Box<Spaces>,
    pub(crate) traces: TraceCache,
    pub(crate) tables: crate::mmu::TableWatch,
    pub(crate) config: CpuConfig,
    pub(crate) features: Features,
    pub(crate) form_ok: Box<[bool]>,
    pub(crate) counters: Counters,
    pub(crate) observer: crate::observe::Recorder,
    pub(crate) points: crate::inspect::Points,
}

// SAFETY: the raw pointers point into boxes and mappings that this value owns (`spaces`, `traces`, `memory`), or, for
// `bus`, to an object that is only used inside `run` on the thread that called it. Nothing is shared with other threads.
unsafe impl Send for Cpu {}

/// What the interpreter counts for the inspectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Exceptions delivered.
    pub exceptions: u64,
    /// Maskable interrupts delivered.
    pub interrupts: u64,
    /// Software interrupts delivered: INT n, INT3, INTO, INT1.
    pub software: u64,
    /// Port accesses.
    pub pio: u64,
    /// Accesses to device memory.
    pub mmio: u64,
    /// HLT executed.
    pub halts: u64,
    /// TLB fills.
    pub tlb_fills: u64,
    /// Address-space switches.
    pub cr3_loads: u64,
    /// Traces decoded.
    pub traces: u64,
    /// Traces thrown away because their code was written to.
    pub invalidated: u64,
    /// Exceptions delivered, by vector.
    pub by_vector: [u64; 32],
}

impl Counters {
    /// What two processors have counted together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.exceptions += other.exceptions;
        self.interrupts += other.interrupts;
        self.software += other.software;
        self.pio += other.pio;
        self.mmio += other.mmio;
        self.halts += other.halts;
        self.tlb_fills += other.tlb_fills;
        self.cr3_loads += other.cr3_loads;
        self.traces += other.traces;
        self.invalidated += other.invalidated;
        for (sum, count) in self.by_vector.iter_mut().zip(other.by_vector) {
            *sum += count;
        }
        self
    }
}

impl Cpu {
    // ---- flags ----

    /// CF.
    #[inline(always)]
    #[must_use]
    pub fn cf(&self) -> bool {
        self.cc_aux >> 63 != 0
    }
    /// OF.
    #[inline(always)]
    #[must_use]
    pub fn of(&self) -> bool {
        (self.cc_aux ^ (self.cc_aux << 1)) >> 63 != 0
    }
    /// ZF.
    #[inline(always)]
    #[must_use]
    pub fn zf(&self) -> bool {
        self.cc_res == 0
    }
    /// SF.
    #[inline(always)]
    #[must_use]
    pub fn sf(&self) -> bool {
        ((self.cc_res >> 63) ^ (self.cc_aux >> 16)) & 1 != 0
    }
    /// PF.
    #[inline(always)]
    #[must_use]
    pub fn pf(&self) -> bool {
        (((self.cc_res ^ (self.cc_aux >> 8)) & 0xFF) as u8).count_ones() & 1 == 0
    }
    /// AF.
    #[inline(always)]
    #[must_use]
    pub fn af(&self) -> bool {
        self.cc_aux & 8 != 0
    }

    /// Sets CF and OF, keeps the others.
    #[inline(always)]
    pub(crate) fn set_cf_of(&mut self, cf: bool, of: bool) {
        let bits = u64::from(cf) << 63 | u64::from(cf ^ of) << 62;
        self.cc_aux = (self.cc_aux & !(3 << 62)) | bits;
    }

    /// Sets CF, keeps the others.
    #[inline(always)]
    pub(crate) fn set_cf(&mut self, cf: bool) {
        let of = self.of();
        self.set_cf_of(cf, of);
    }

    /// Sets ZF, keeps the others.
    pub(crate) fn set_zf(&mut self, zf: bool) {
        let f = self.arith_flags() & !flag::ZF | (flag::ZF * u64::from(zf));
        self.set_arith_flags(f);
    }

    /// Sets all arithmetic flags as `x - y` of `size` bytes does.
    #[inline]
    pub(crate) fn set_flags_of_difference(&mut self, x: u64, y: u64, size: u8) {
        let r = x.wrapping_sub(y) & size_mask(size);
        let borrows = (!x & y) | (!(x ^ y) & r);
        self.cc_res = sext(r, size);
        self.cc_aux = ((borrows << (64 - 8 * u32::from(size))) & (3 << 62)) | (borrows & 8);
    }

    /// The arithmetic flags as EFLAGS bits.
    #[must_use]
    pub fn arith_flags(&self) -> u64 {
        u64::from(self.cf())
            | u64::from(self.pf()) << 2
            | u64::from(self.af()) << 4
            | u64::from(self.zf()) << 6
            | u64::from(self.sf()) << 7
            | u64::from(self.of()) << 11
    }

    /// Sets the arithmetic flags from EFLAGS bits.
    pub fn set_arith_flags(&mut self, f: u64) {
        let bit = |m: u64| f & m != 0;
        self.cc_res = u64::from(!bit(flag::ZF));
        // res 0 has even parity, res 1 odd: bit 8 corrects.
        let parity_wrong = bit(flag::PF) != bit(flag::ZF);
        self.cc_aux = u64::from(bit(flag::AF)) << 3
            | u64::from(parity_wrong) << 8
            | u64::from(bit(flag::SF)) << 16;
        self.set_cf_of(bit(flag::CF), bit(flag::OF));
    }

    /// RFLAGS.
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.eflags | self.arith_flags() | flag::FIXED
    }

    /// Sets RFLAGS whole.
    pub fn set_flags(&mut self, f: u64) {
        self.set_arith_flags(f);
        self.eflags = f & !flag::ARITH | flag::FIXED;
    }

    /// IOPL.
    #[must_use]
    pub fn iopl(&self) -> u8 {
        ((self.eflags >> 12) & 3) as u8
    }

    // ---- modes ----

    /// CR0.PE.
    #[must_use]
    pub fn protected(&self) -> bool {
        self.cr0 & cr0::PE != 0
    }
    /// IA32_EFER.LMA.
    #[must_use]
    pub fn long_mode(&self) -> bool {
        self.efer & efer::LMA != 0
    }
    /// 64-bit code segment in long mode.
    #[must_use]
    pub fn code64(&self) -> bool {
        self.long_mode() && self.seg[seg::CS].long()
    }
    /// Segments as the 8086 had them: real mode or virtual-8086 mode.
    #[must_use]
    pub fn real_segments(&self) -> bool {
        !self.protected() || self.v86()
    }
    /// Virtual-8086 mode.
    #[must_use]
    pub fn v86(&self) -> bool {
        self.eflags & flag::VM != 0
    }

    // ---- faults ----

    /// Ends the instruction with an exception without error code.
    #[cold]
    pub(crate) fn raise(&mut self, vector: u8) -> Stop {
        self.fault = Fault {
            vector,
            error: None,
        };
        self.why = Why::Fault;
        Stop
    }

    /// Ends the instruction with an exception and its error code.
    #[cold]
    pub(crate) fn raise_code(&mut self, vector: u8, error: u32) -> Stop {
        self.fault = Fault {
            vector,
            error: Some(error),
        };
        self.why = Why::Fault;
        Stop
    }

    /// #GP(error).
    #[cold]
    pub(crate) fn gp(&mut self, error: u32) -> Stop {
        self.raise_code(vector::GP, error)
    }

    /// #UD.
    #[cold]
    pub(crate) fn ud(&mut self) -> Stop {
        self.raise(vector::UD)
    }

    /// Demands CPL 0.
    pub(crate) fn need_cpl0(&mut self) -> Res {
        if self.cpl == 0 {
            Ok(())
        } else {
            Err(self.gp(0))
        }
    }

    // ---- registers ----

    /// Reads `size` bytes (1, 2, 4, 8) of the register file at a byte offset, zero-extended.
    #[inline(always)]
    pub(crate) fn reg_at(&self, offset: u8, size: u8) -> u64 {
        let v = self.r[usize::from(offset >> 3)] >> ((offset & 7) * 8);
        v & size_mask(size)
    }

    /// Writes a register at a byte offset; 4-byte writes clear the upper half.
    #[inline(always)]
    pub(crate) fn set_reg_at(&mut self, offset: u8, size: u8, v: u64) {
        let r = &mut self.r[usize::from(offset >> 3)];
        match size {
            8 => *r = v,
            4 => *r = v & 0xFFFF_FFFF,
            _ => {
                let shift = (offset & 7) * 8;
                let mask = size_mask(size) << shift;
                *r = (*r & !mask) | ((v << shift) & mask);
            }
        }
    }

    /// Instructions retired.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.retire_at_end.wrapping_sub(self.budget as u64)
    }

    /// Notes that a device was accessed.
    pub(crate) fn touch(&mut self) {
        self.look = true;
        self.touched = true;
    }

    /// Notes that something was done that takes long, so that a guest which does nothing else does not keep the driver
    /// from looking around: the bus is asked.
    pub(crate) fn took_long(&mut self) {
        self.touched = true;
    }

    /// The bus, inside `run`.
    pub(crate) fn bus(&mut self) -> &mut dyn CpuBus {
        let bus = self.bus.expect("the bus is set for the length of run()");
        // SAFETY: `run` stores a pointer to the object that it borrows mutably for its whole length and clears it before
        // it returns; handlers run on the same thread inside `run`, and no two of these references live at once.
        unsafe { &mut *bus }
    }
}

/// All ones in `size` bytes.
#[inline(always)]
pub(crate) const fn size_mask(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * size as u32)
}

/// Sign-extends the low `size` bytes.
#[inline(always)]
pub(crate) const fn sext(v: u64, size: u8) -> u64 {
    let shift = 64 - 8 * size as u32;
    (((v << shift) as i64) >> shift) as u64
}
