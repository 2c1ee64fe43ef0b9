//! Offsets of the configuration space and identities of the board's own functions (PCI Local Bus Specification 2.1,
//! chapter 6; Intel 440FX datasheet 290549, section 3.2; PIIX3/PIIX4 datasheets 290550 and 290562).

/// Vendor (low half) and device identification.
pub const VENDOR_DEVICE: u8 = 0x00;
/// Command (low half) and status.
pub const COMMAND_STATUS: u8 = 0x04;
/// Revision (low byte) and class code.
pub const CLASS_REVISION: u8 = 0x08;
/// Cache line size, latency timer, header type, self-test.
pub const HEADER: u8 = 0x0C;
/// First of six base addresses.
pub const BAR0: u8 = 0x10;
/// Subsystem vendor (low half) and subsystem.
pub const SUBSYSTEM: u8 = 0x2C;
/// Expansion ROM's base address.
pub const ROM: u8 = 0x30;
/// Expansion ROM: it answers.
pub const ROM_ENABLE: u32 = 1 << 0;
/// First capability.
pub const CAPABILITIES: u8 = 0x34;
/// Interrupt line and pin.
pub const INTERRUPT: u8 = 0x3C;

/// Command: decode I/O ports.
pub const COMMAND_IO: u32 = 1 << 0;
/// Command: decode memory.
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// Command: act as bus master.
pub const COMMAND_MASTER: u32 = 1 << 2;
/// Command: no legacy interrupts.
pub const COMMAND_NO_INTX: u32 = 1 << 10;

/// Status: the function asks for its interrupt pin.
pub const STATUS_INTERRUPT: u32 = 1 << 19;
/// Status: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u32 = 1 << 20;

/// Header type: the device has more than one function.
pub const HEADER_MULTIFUNCTION: u32 = 0x80 << 16;

/// CONFIG_ADDRESS: accesses to the data window reach configuration space.
pub const ADDRESS_ENABLE: u32 = 1 << 31;
/// CONFIG_ADDRESS: bits that exist.
pub const ADDRESS_WRITABLE: u32 = 0x80FF_FFFC;

/// Vendor Intel, 82441FX host bridge.
pub const HOST_BRIDGE: u32 = 0x1237_8086;
/// Vendor Intel, PIIX3 ISA bridge.
pub const ISA_BRIDGE: u32 = 0x7000_8086;
/// Vendor Intel, PIIX4 power management.
pub const POWER_MANAGEMENT: u32 = 0x7113_8086;
/// Subsystem of the board's functions.
pub const SUBSYSTEM_VALUE: u32 = 0x1100_1AF4;

/// 440FX: programmable attribute map, seven bytes from here.
pub const PAM: u8 = 0x58;
/// 440FX: system management RAM control, in the third byte.
pub const SMRAM: u8 = 0x70;
/// SMRAM: the register's functions are enabled (G_SMRAME).
pub const SMRAM_ENABLE: u32 = 0x08 << 16;
/// SMRAM: locked until reset (D_LCK).
pub const SMRAM_LOCK: u32 = 0x10 << 16;
/// SMRAM: seen outside of system management mode (D_OPEN).
pub const SMRAM_OPEN: u32 = 0x40 << 16;
/// PIIX3: interrupt routes of PIRQA to PIRQD, one byte each.
pub const PIRQ_ROUTE: u8 = 0x60;
/// PIIX3 route: not routed.
pub const PIRQ_DISABLED: u8 = 0x80;
/// PIIX4: base of the power-management block.
pub const PM_BASE: u8 = 0x40;
/// PIIX4: device activity B.
pub const DEVACTB: u8 = 0x58;
/// PIIX4 device activity B: a write to port B2h raises an SMI (APMC_EN). Set from power-on, which tells firmware that it has
/// been here and set SMM up already: SeaBIOS then leaves it alone, and does not wait for an SMI that never comes.
pub const DEVACTB_APMC: u32 = 1 << 25;
/// PIIX4: miscellaneous; bit 0 enables the decode of the block.
pub const PM_MISC: u8 = 0x80;
