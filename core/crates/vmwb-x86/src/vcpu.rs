//! The door of the processor: what an engine offers to the machine, and what it asks of it.

use std::fmt::Debug;

use crate::cpu::Counters;
use crate::inspect::{DebugStop, Inspect};
use serde::{Deserialize, Serialize};
use vmwb_hw::{AccessSize, GuestAddress, Payload, SnapshotError};

/// What an engine asks of the board while it runs. `retired` is the exact count of instructions retired before the one
/// that asks: the stamp of the access.
pub trait CpuBus {
    /// Reads an I/O port; 1, 2 or 4 bytes.
    fn pio_read(&mut self, port: u16, size: AccessSize, retired: u64) -> u32;
    /// Writes an I/O port; 1, 2 or 4 bytes.
    fn pio_write(&mut self, port: u16, size: AccessSize, value: u32, retired: u64);
    /// Reads a port again and again, as REP INS does, into `out`, and says how many units of `size` that were: so many
    /// from the start as change nothing but the port's own position, at most `out` full. 0: read one by one.
    fn pio_read_run(&mut self, port: u16, size: AccessSize, out: &mut [u8]) -> usize;
    /// Writes units of `size` from the start of `data` to a port, as [`CpuBus::pio_read_run`] reads.
    fn pio_write_run(&mut self, port: u16, size: AccessSize, data: &[u8]) -> usize;
    /// A call through VMware's backdoor: `IN EAX, DX` at port 5658h with 564D5868h in EAX, whatever the privilege level.
    /// EAX, EBX, ECX, EDX, ESI, EDI; the answer replaces them. `false`: this board has none, the port is an ordinary one.
    fn backdoor(&mut self, registers: &mut [u32; 6], retired: u64) -> bool;
    /// Reads a guest-physical address that is not RAM.
    fn mmio_read(&mut self, addr: GuestAddress, size: AccessSize, retired: u64) -> u64;
    /// Writes a guest-physical address that is not RAM.
    fn mmio_write(&mut self, addr: GuestAddress, size: AccessSize, value: u64, retired: u64);
    /// Whether a maskable interrupt waits (the local APIC's or the 8259's).
    fn interrupt_pending(&self) -> bool;
    /// Acknowledges the highest one; `None` when it has gone away meanwhile.
    fn acknowledge_interrupt(&mut self, retired: u64) -> Option<u8>;
    /// Takes a pending non-maskable interrupt.
    fn take_nmi(&mut self) -> bool;
    /// Time-stamp counter without the guest's own offset.
    fn tsc(&mut self, retired: u64) -> u64;
    /// 64 random bits for RDRAND and RDSEED; the same run draws the same in a deterministic machine.
    fn random(&mut self, retired: u64) -> u64;
    /// Drives FERR#: an unmasked x87 exception waits (or no longer does) and CR0.NE is clear. Answers IGNNE#: whether
    /// the processor goes on in spite of it (SDM volume 1, appendix D.2).
    fn set_ferr(&mut self, active: bool, retired: u64) -> bool;
    /// Task priority as CR8 shows it (bits 3:0).
    fn cr8(&self) -> u8;
    /// Sets it.
    fn set_cr8(&mut self, value: u8, retired: u64);
    /// IA32_APIC_BASE.
    fn apic_base(&self) -> u64;
    /// Sets it; `false` when the value is not allowed (the guest gets #GP).
    fn set_apic_base(&mut self, value: u64) -> bool;
    /// Reads a register of the local APIC in x2APIC mode, by its number (800h to 83Fh); `None`: the guest gets #GP.
    fn x2apic_read(&mut self, msr: u32, retired: u64) -> Option<u64>;
    /// Writes one; `false`: the guest gets #GP.
    fn x2apic_write(&mut self, msr: u32, value: u64, retired: u64) -> bool;
    /// IA32_TSC_DEADLINE.
    fn tsc_deadline(&mut self, retired: u64) -> u64;
    /// Sets it. `offset`: what the guest has added to [`CpuBus::tsc`]; when that changes the register is set again.
    fn set_tsc_deadline(&mut self, value: u64, offset: u64, retired: u64);
    /// Whether the board wants the engine to return at the next instruction boundary: a power request, a deadline that
    /// was armed earlier than the budget assumes. Asked after every access to a port or a device's memory.
    fn attention(&self) -> bool;
}

/// Why [`Vcpu::run`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The instruction budget is used up, exactly.
    Budget,
    /// HLT with interrupts enabled, and nothing pending: sleep until an interrupt or NMI.
    Halted,
    /// The bus asked for attention after an access.
    Attention,
    /// PAUSE, in a machine with several processors: the guest most likely waits for another one.
    Yielded,
    /// The guest cannot run on.
    Stopped(CpuStop),
    /// A debugger has the processor.
    Debug(DebugStop),
}

/// What a processor does between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It has instructions to run.
    Running,
    /// HLT with interrupts enabled.
    Halted,
    /// HLT with interrupts disabled: only NMI, INIT or a reset can wake it.
    HaltedForGood,
    /// Reset or initialized, and not the bootstrap processor: a start-up message wakes it.
    WaitingForStartUp,
}

/// Why a guest cannot run on. Each becomes one sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CpuStop {
    /// An exception during the delivery of a double fault.
    TripleFault {
        /// RIP of the instruction that started it.
        rip: u64,
        /// Vector of the first exception.
        vector: u8,
    },
    /// HLT with interrupts disabled: only a reset can end it.
    HaltedForGood {
        /// RIP after the HLT.
        rip: u64,
    },
}

impl CpuStop {
    /// Where the processor stood: RIP as the guest sees it.
    #[must_use]
    pub fn rip(&self) -> u64 {
        match self {
            Self::TripleFault { rip, .. } | Self::HaltedForGood { rip } => *rip,
        }
    }

    /// One English sentence for the user.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::TripleFault { rip, vector } => format!(
                "The guest's processor shut down after a triple fault: its system could not handle {} (exception {vector}) \
                 at {rip:#x}, nor the errors that followed.",
                exception(*vector)
            ),
            Self::HaltedForGood { rip } => format!(
                "The guest halted its processor with interrupts disabled (at {rip:#x}): nothing can wake it."
            ),
        }
    }
}

/// An exception in words (SDM volume 3, table 6-1).
fn exception(vector: u8) -> &'static str {
    match vector {
        0 => "a division error",
        1 => "a debug exception",
        2 => "a non-maskable interrupt",
        3 => "a breakpoint",
        4 => "an overflow",
        5 => "an index out of bounds",
        6 => "an invalid instruction",
        7 => "the lack of a coprocessor",
        8 => "a double fault",
        10 => "an invalid task-state segment",
        11 => "a segment that is not present",
        12 => "a stack fault",
        13 => "a general protection fault",
        14 => "a page fault",
        16 => "a floating-point error",
        17 => "an unaligned access",
        19 => "an SSE floating-point error",
        _ => "an interrupt",
    }
}

/// Values of the registers that a direct boot sets before the first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootState {
    /// 16-bit code in real mode, interrupts off, the vector table at 0: what a boot sector or the real-mode entry of a
    /// Linux kernel finds (Documentation/arch/x86/boot.rst, "Running the kernel").
    Real16 {
        /// CS.
        cs: u16,
        /// IP.
        ip: u16,
        /// SS.
        ss: u16,
        /// SP.
        sp: u16,
        /// DS, ES, FS and GS.
        data: u16,
        /// DX: a boot sector's drive number in DL.
        dx: u16,
    },
    /// 32-bit protected mode, paging off, flat segments (selectors 10h code, 18h data), interrupts off: the entry
    /// conditions of the Linux 32-bit boot protocol (Documentation/arch/x86/boot.rst, "32-bit BOOT PROTOCOL").
    Protected32 {
        /// Entry point.
        eip: u32,
        /// ESI: address of the boot parameters.
        esi: u32,
        /// EBX.
        ebx: u32,
        /// EAX (a multiboot loader's magic number, else 0).
        eax: u32,
        /// ESP.
        esp: u32,
        /// Guest-physical address of a GDT that the loader has written, and its limit in bytes.
        gdt: (u32, u16),
    },
    /// 64-bit mode with 4-level paging on: the entry conditions of the 64-bit protocol.
    Long64 {
        /// Entry point.
        rip: u64,
        /// RSI: address of the boot parameters.
        rsi: u64,
        /// RSP.
        rsp: u64,
        /// CR3: page tables that the loader has written (identity map).
        cr3: u64,
        /// Guest-physical address of a GDT that the loader has written (code 10h with L = 1, data 18h), and its limit.
        gdt: (u64, u16),
    },
}

/// What the processor announces. Frozen when a machine is created, so that a state moves between hosts and engines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuConfig {
    /// Name of the model, for example `x86-64-v1`.
    pub model: String,
    /// Frequency of the time-stamp counter in Hz.
    pub tsc_hz: u64,
    /// Which processor of its machine it is, and its APIC id; 0 is the bootstrap processor.
    #[serde(default)]
    pub number: u8,
    /// Processors of the machine, 1 to [`MAX_PROCESSORS`].
    #[serde(default = "one")]
    pub processors: u8,
}

/// Most processors of a machine.
pub const MAX_PROCESSORS: u8 = 8;

fn one() -> u8 {
    1
}

impl Default for CpuConfig {
    fn default() -> Self {
        Self {
            model: "x86-64-v1".to_owned(),
            tsc_hz: 1_000_000_000,
            number: 0,
            processors: 1,
        }
    }
}

/// One virtual processor, run by one thread at a time.
pub trait Vcpu: Debug + Send {
    /// Power-on or reset state (Intel SDM volume 3, table "IA-32 and Intel 64 Processor States Following Power-up,
    /// Reset, or INIT").
    fn reset(&mut self);
    /// INIT: as a reset, but x87 and SSE state, the time-stamp counter and most model-specific registers stay (the same
    /// table). Processors but the first then wait for a start-up message.
    fn init(&mut self);
    /// A start-up message: a processor that waits for one starts in real mode at 4,096 times `page`; others ignore it
    /// (SDM volume 3, "Interprocessor Interrupts": SIPI).
    fn start_up(&mut self, page: u8);
    /// What it does.
    fn activity(&self) -> Activity;
    /// Entry state of a direct boot; call after [`Vcpu::reset`].
    fn set_boot_state(&mut self, state: BootState);
    /// Runs until exactly `budget` more instructions have retired, or something else ends it earlier.
    fn run(&mut self, bus: &mut dyn CpuBus, budget: u64) -> Exit;
    /// Goes on counting retired instructions from here: those that other processors retired since its last run.
    fn count_from(&mut self, retired: u64);
    /// Instructions retired since power-on. Each iteration of a REP string instruction counts one.
    fn retired(&self) -> u64;
    /// What the engine has counted since it was made.
    fn counters(&self) -> Counters;
    /// The debugger's door; `None`: this engine has none.
    fn inspect(&mut self) -> Option<&mut dyn Inspect>;
    /// Where the guest is, for messages: linear address of the next instruction.
    fn linear_rip(&self) -> u64;
    /// A number made of the instruction pointer and the general registers: where a loop that changes nothing comes to
    /// again.
    fn fingerprint(&self) -> u64;
    /// The whole architectural state.
    ///
    /// # Errors
    /// Only when it cannot be encoded.
    fn save(&self) -> Result<Payload, SnapshotError>;
    /// Takes over a saved state.
    ///
    /// # Errors
    /// What is wrong with the payload.
    fn restore(&mut self, payload: &Payload) -> Result<(), SnapshotError>;
}
