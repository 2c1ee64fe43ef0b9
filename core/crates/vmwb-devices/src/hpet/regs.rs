//! Registers and bits of the high precision event timers (IA-PC HPET Specification 1.0a, section 2.3).

/// Offset of the general capabilities and ID register.
pub const CAPABILITIES: u64 = 0x000;
/// Offset of the general configuration register.
pub const CONFIGURATION: u64 = 0x010;
/// Offset of the general interrupt status register.
pub const STATUS: u64 = 0x020;
/// Offset of the main counter.
pub const COUNTER: u64 = 0x0F0;
/// Offset of timer 0's registers; each timer has [`TIMER_BYTES`].
pub const TIMER_0: u64 = 0x100;
/// Distance of two timers' registers.
pub const TIMER_BYTES: u64 = 0x20;
/// In a timer's registers: configuration and capabilities.
pub const TIMER_CONFIGURATION: u64 = 0x00;
/// In a timer's registers: comparator.
pub const TIMER_COMPARATOR: u64 = 0x08;

/// Timers.
pub const TIMERS: usize = 3;
/// Rate of the main counter in Hz.
pub const COUNTER_HZ: u64 = 100_000_000;
/// Nanoseconds of one count.
pub const TICK_NS: u64 = 1_000_000_000 / COUNTER_HZ;
/// Femtoseconds of one count.
pub const PERIOD_FS: u64 = 10_000_000;
/// Low half of the capabilities: revision 1, three timers, 64-bit counter, legacy replacement, Intel.
pub const CAPABILITIES_LOW: u64 = 0x8086_A201;

/// Configuration: the counter runs and interrupts are let through.
pub const ENABLE: u64 = 1;
/// Configuration: timers 0 and 1 take the lines of interval timer and clock.
pub const LEGACY: u64 = 1 << 1;
/// Configuration: bits that can be written.
pub const CONFIGURATION_MASK: u64 = ENABLE | LEGACY;

/// Timer: level triggered.
pub const LEVEL: u64 = 1 << 1;
/// Timer: interrupt enable.
pub const INTERRUPT: u64 = 1 << 2;
/// Timer: periodic.
pub const PERIODIC: u64 = 1 << 3;
/// Timer: can be periodic.
pub const CAN_PERIODIC: u64 = 1 << 4;
/// Timer: has 64 bits.
pub const CAN_64_BIT: u64 = 1 << 5;
/// Timer: the next write of the comparator sets it, not only the period.
pub const SET_VALUE: u64 = 1 << 6;
/// Timer: runs in 32 bits.
pub const MODE_32_BIT: u64 = 1 << 8;
/// Timer: which input of the I/O APIC.
pub const ROUTE_SHIFT: u32 = 9;
/// Timer: mask of the route, in place.
pub const ROUTE: u64 = 0x1F << ROUTE_SHIFT;
/// Timer: bits that can be written.
pub const TIMER_MASK: u64 = LEVEL | INTERRUPT | PERIODIC | SET_VALUE | MODE_32_BIT | ROUTE;
/// Inputs of the I/O APIC that a timer can have: 20 to 23, which nothing else uses.
pub const ROUTES: u64 = 0x00F0_0000;
/// Bits of a timer that cannot be written.
pub const TIMER_FIXED: u64 = ROUTES << 32 | CAN_PERIODIC | CAN_64_BIT;

/// Deadlines are at least so far apart, in nanoseconds: a period of a few counts slows the guest alone.
pub const LEAST_WAIT_NS: u64 = 1_000;
