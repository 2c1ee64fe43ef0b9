//! Register offsets and bits of the local APIC (Intel SDM volume 3, chapter "Advanced Programmable Interrupt
//! Controller", table "Local APIC Register Address Map").

/// Local APIC ID, bits 31:24.
pub const ID: u64 = 0x020;
/// Version and number of LVT entries.
pub const VERSION: u64 = 0x030;
/// Task priority.
pub const TPR: u64 = 0x080;
/// Arbitration priority; not on this version, reads 0.
pub const APR: u64 = 0x090;
/// Processor priority.
pub const PPR: u64 = 0x0A0;
/// End of interrupt; write only.
pub const EOI: u64 = 0x0B0;
/// Logical destination.
pub const LDR: u64 = 0x0D0;
/// Destination format.
pub const DFR: u64 = 0x0E0;
/// Spurious-interrupt vector and software enable.
pub const SVR: u64 = 0x0F0;
/// First of eight in-service registers.
pub const ISR: u64 = 0x100;
/// First of eight trigger-mode registers.
pub const TMR: u64 = 0x180;
/// First of eight interrupt-request registers.
pub const IRR: u64 = 0x200;
/// Error status.
pub const ESR: u64 = 0x280;
/// Interrupt command, low half; a write sends.
pub const ICR_LOW: u64 = 0x300;
/// Interrupt command, high half: destination.
pub const ICR_HIGH: u64 = 0x310;
/// First of the six LVT entries: timer, thermal, performance, LINT0, LINT1, error.
pub const LVT: u64 = 0x320;
/// Timer's initial count.
pub const INITIAL_COUNT: u64 = 0x380;
/// Timer's current count; read only.
pub const CURRENT_COUNT: u64 = 0x390;
/// Timer's divide configuration.
pub const DIVIDE: u64 = 0x3E0;
/// Distance of two registers.
pub const STRIDE: u64 = 0x10;
/// Size of the register page in bytes.
pub const PAGE_BYTES: u64 = 0x1000;

/// Version 14h (the Pentium 4's and later), highest LVT entry 5.
pub const VERSION_VALUE: u32 = 0x0005_0014;

/// Index of the timer's entry in the local vector table.
pub const LVT_TIMER: usize = 0;
/// Index of LINT0's entry.
pub const LVT_LINT0: usize = 3;
/// Index of LINT1's entry.
pub const LVT_LINT1: usize = 4;
/// Index of the error entry.
pub const LVT_ERROR: usize = 5;
/// Entries of the local vector table.
pub const LVT_ENTRIES: usize = 6;

/// LVT: vector.
pub const LVT_VECTOR: u32 = 0xFF;
/// LVT: masked.
pub const LVT_MASKED: u32 = 1 << 16;
/// LVT timer: periodic.
pub const LVT_PERIODIC: u32 = 1 << 17;
/// LVT timer: TSC-deadline mode.
pub const LVT_TSC_DEADLINE: u32 = 1 << 18;
/// LVT LINT0: a level-triggered interrupt was taken and has not ended; read only.
pub const LVT_REMOTE_IRR: u32 = 1 << 14;
/// LVT and ICR: an interrupt has not been accepted yet; read only, always 0 here.
pub const DELIVERY_STATUS: u32 = 1 << 12;
/// LVT LINT: level triggered.
pub const LVT_LEVEL: u32 = 1 << 15;
/// Bits that a guest can write, by entry. Delivery mode where there is one, polarity and trigger at the LINT pins.
pub const LVT_WRITABLE: [u32; LVT_ENTRIES] = [
    LVT_VECTOR | LVT_MASKED | LVT_PERIODIC,
    LVT_VECTOR | LVT_MASKED | DELIVERY_MASK,
    LVT_VECTOR | LVT_MASKED | DELIVERY_MASK,
    LVT_VECTOR | LVT_MASKED | DELIVERY_MASK | LVT_LEVEL | 1 << 13,
    LVT_VECTOR | LVT_MASKED | DELIVERY_MASK | LVT_LEVEL | 1 << 13,
    LVT_VECTOR | LVT_MASKED,
];

/// Delivery mode, bits 10:8 of an LVT entry or of the ICR.
pub const DELIVERY_MASK: u32 = 7 << 8;
/// Delivery mode: the vector.
pub const DELIVERY_FIXED: u32 = 0;
/// Delivery mode: the vector, to the processor with the lowest priority.
pub const DELIVERY_LOWEST: u32 = 1 << 8;
/// Delivery mode: system management interrupt.
pub const DELIVERY_SMI: u32 = 2 << 8;
/// Delivery mode: non-maskable interrupt.
pub const DELIVERY_NMI: u32 = 4 << 8;
/// Delivery mode: initialization.
pub const DELIVERY_INIT: u32 = 5 << 8;
/// Delivery mode: start-up at the page of the vector.
pub const DELIVERY_STARTUP: u32 = 6 << 8;
/// Delivery mode: the vector comes from the 8259.
pub const DELIVERY_EXTINT: u32 = 7 << 8;

/// SVR: the unit is enabled by software.
pub const SVR_ENABLE: u32 = 1 << 8;
/// SVR: bits that a guest can write: vector, enable, focus checking.
pub const SVR_WRITABLE: u32 = 0x3FF;

/// ICR: logical destination.
pub const ICR_LOGICAL: u32 = 1 << 11;
/// ICR: level, for INIT; clear with a level trigger: the old de-assertion, which does nothing.
pub const ICR_LEVEL_ASSERT: u32 = 1 << 14;
/// ICR: level triggered.
pub const ICR_TRIGGER_LEVEL: u32 = 1 << 15;
/// ICR: destination shorthand, bits 19:18.
pub const ICR_SHORTHAND: u32 = 3 << 18;
/// ICR shorthand: this processor.
pub const ICR_SELF: u32 = 1 << 18;
/// ICR shorthand: all processors.
pub const ICR_ALL: u32 = 2 << 18;
/// ICR shorthand: all but this one.
pub const ICR_OTHERS: u32 = 3 << 18;
/// ICR low half: bits that a guest can write (delivery status is read only).
pub const ICR_WRITABLE: u32 = 0x000C_CFFF;

/// ESR: a vector below 16 was sent.
pub const ESR_SEND_ILLEGAL: u32 = 1 << 5;
/// ESR: a vector below 16 was received.
pub const ESR_RECEIVE_ILLEGAL: u32 = 1 << 6;
/// ESR: a register that does not exist was accessed.
pub const ESR_ILLEGAL_REGISTER: u32 = 1 << 7;

/// DCR: bits that exist.
pub const DIVIDE_WRITABLE: u32 = 0b1011;

/// IA32_APIC_BASE: this is the bootstrap processor.
pub const BASE_BSP: u64 = 1 << 8;
/// IA32_APIC_BASE: x2APIC mode.
pub const BASE_X2APIC: u64 = 1 << 10;
/// IA32_APIC_BASE: the unit is enabled.
pub const BASE_ENABLE: u64 = 1 << 11;
/// IA32_APIC_BASE: page address, with 40 physical address bits.
pub const BASE_ADDRESS: u64 = 0xFF_FFFF_F000;
/// IA32_APIC_BASE after power-on: FEE00000h, enabled.
pub const BASE_RESET: u64 = 0xFEE0_0000 | BASE_ENABLE;

/// First model-specific register of x2APIC mode; register `n` of the page lies at `n / STRIDE` behind it.
pub const X2APIC_FIRST: u32 = 0x800;
/// SELF IPI, of x2APIC mode only; write only.
pub const SELF_IPI: u64 = 0x3F0;
