//! Registers and bits of the MC146818A (Motorola, 1984) and the PC's use of its memory.

/// Offset of the index register (port 70h).
pub const INDEX: u16 = 0;
/// Offset of the data register (port 71h).
pub const DATA: u16 = 1;
/// Index register: the rest of the byte masks NMI.
pub const INDEX_MASK: u8 = 0x7F;
/// Index register: NMI is masked.
pub const INDEX_NMI_MASK: u8 = 0x80;

/// Bytes of registers and memory.
pub const CMOS_BYTES: usize = 128;

/// Seconds; the alarm's stand one after each of the three.
pub const SECONDS: u8 = 0x00;
/// Alarm: seconds.
pub const SECONDS_ALARM: u8 = 0x01;
/// Minutes.
pub const MINUTES: u8 = 0x02;
/// Alarm: minutes.
pub const MINUTES_ALARM: u8 = 0x03;
/// Hours.
pub const HOURS: u8 = 0x04;
/// Alarm: hours.
pub const HOURS_ALARM: u8 = 0x05;
/// Day of the week, 1 is Sunday.
pub const DAY_OF_WEEK: u8 = 0x06;
/// Day of the month.
pub const DAY: u8 = 0x07;
/// Month, from 1.
pub const MONTH: u8 = 0x08;
/// Year of the century.
pub const YEAR: u8 = 0x09;
/// Register A.
pub const A: u8 = 0x0A;
/// Register B.
pub const B: u8 = 0x0B;
/// Register C.
pub const C: u8 = 0x0C;
/// Register D.
pub const D: u8 = 0x0D;
/// Century, as PCs keep it.
pub const CENTURY: u8 = 0x32;

/// Register A: update in progress.
pub const A_UIP: u8 = 1 << 7;
/// Register A: divider control.
pub const A_DV: u8 = 0x70;
/// Divider control: 32,768 Hz crystal, running.
pub const A_DV_RUN: u8 = 0x20;
/// Register A: rate of the periodic interrupt.
pub const A_RS: u8 = 0x0F;
/// Register A at power-on: running, 1,024 Hz selected.
pub const A_POWER_ON: u8 = 0x26;

/// Register B: updates are held off.
pub const B_SET: u8 = 1 << 7;
/// Register B: periodic interrupt enable.
pub const B_PIE: u8 = 1 << 6;
/// Register B: alarm interrupt enable.
pub const B_AIE: u8 = 1 << 5;
/// Register B: update-ended interrupt enable.
pub const B_UIE: u8 = 1 << 4;
/// Register B: square wave enable.
pub const B_SQWE: u8 = 1 << 3;
/// Register B: binary, not BCD.
pub const B_DM: u8 = 1 << 2;
/// Register B: 24 hours, not 12.
pub const B_24_HOURS: u8 = 1 << 1;

/// Register C: any enabled flag is set.
pub const C_IRQF: u8 = 1 << 7;
/// Register C: periodic flag. The three flags stand where their enables stand in register B.
pub const C_PF: u8 = B_PIE;
/// Register C: alarm flag.
pub const C_AF: u8 = B_AIE;
/// Register C: update-ended flag.
pub const C_UF: u8 = B_UIE;
/// The three flags, and the three enables.
pub const FLAGS: u8 = C_PF | C_AF | C_UF;

/// Register D: the battery is good.
pub const D_VRT: u8 = 1 << 7;

/// 12-hour mode: afternoon.
pub const HOURS_PM: u8 = 0x80;
/// Alarm bytes with both bits set match everything.
pub const ALARM_ANY: u8 = 0xC0;

/// Rate of the crystal in Hz.
pub const CRYSTAL_HZ: u64 = 32_768;
/// UIP is set this long before an update (t_BUC), in nanoseconds.
pub const UIP_NS: u64 = 244_000;
/// Time from the divider's release to the first update, in nanoseconds.
pub const FIRST_UPDATE_NS: u64 = 500_000_000;

/// What the BIOS is to do after a reset of the processor (IBM PC AT Technical Reference, "BIOS", shutdown byte).
pub const SHUTDOWN_CODE: u8 = 0x0F;
/// Base memory in KiB, low byte first.
pub const BASE_MEMORY: u8 = 0x15;
/// Memory from 1 MiB in KiB, at most 65535; here and in [`EXTENDED_MEMORY_POST`].
pub const EXTENDED_MEMORY: u8 = 0x17;
/// The same as found by a BIOS.
pub const EXTENDED_MEMORY_POST: u8 = 0x30;
/// Memory from 16 MiB to 4 GiB in units of 64 KiB.
pub const MEMORY_ABOVE_16M: u8 = 0x34;
/// Memory from 4 GiB in units of 64 KiB, three bytes.
pub const MEMORY_ABOVE_4G: u8 = 0x5B;
/// First byte of those that the checksum covers.
pub const CHECKED_FIRST: u8 = 0x10;
/// Last byte of those that the checksum covers.
pub const CHECKED_LAST: u8 = 0x2D;
/// Checksum, high byte first.
pub const CHECKSUM: u8 = 0x2E;
