//! Register numbers and bits of the I/O APIC (82093AA datasheet, section 3; version 20h as in ICH: ICH9 datasheet,
//! section 13.5, "Advanced Programmable Interrupt Controller").

/// Index register: which register the data window shows.
pub const IOREGSEL: u64 = 0x00;
/// Data window.
pub const IOWIN: u64 = 0x10;
/// EOI register (version 20h): a write ends the level interrupts with this vector.
pub const EOI: u64 = 0x40;

/// Index: identification.
pub const INDEX_ID: u8 = 0x00;
/// Index: version and highest entry.
pub const INDEX_VERSION: u8 = 0x01;
/// Index: arbitration; a copy of the identification.
pub const INDEX_ARBITRATION: u8 = 0x02;
/// Index: low half of the first redirection entry; two indexes an entry.
pub const INDEX_TABLE: u8 = 0x10;

/// Version 20h, highest entry 23.
pub const VERSION_VALUE: u32 = 0x0017_0020;
/// Identification: bits that exist.
pub const ID_WRITABLE: u32 = 0x0F00_0000;

/// Entry: vector.
pub const VECTOR: u64 = 0xFF;
/// Entry: delivery mode, bits 10:8.
pub const DELIVERY_MASK: u64 = 7 << 8;
/// Entry: logical destination.
pub const LOGICAL: u64 = 1 << 11;
/// Entry: a level interrupt was accepted and has not ended. Read only.
pub const REMOTE_IRR: u64 = 1 << 14;
/// Entry: level triggered.
pub const LEVEL: u64 = 1 << 15;
/// Entry: masked.
pub const MASKED: u64 = 1 << 16;
/// Entry: bits that a guest can write: vector, delivery, destination mode, polarity, trigger, mask, destination.
pub const WRITABLE: u64 = 0xFF00_0000_0001_AFFF;
