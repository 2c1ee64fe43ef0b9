//! Registers and bits of the 8259A (Intel 231468-003) and of the PIIX3's edge/level registers (290550-002, 2.5.5).

/// Offset of the master's first register (port 20h).
pub const MASTER_COMMAND: u16 = 0;
/// Offset of the master's second register (port 21h).
pub const MASTER_DATA: u16 = 1;
/// Offset of the slave's first register (port A0h).
pub const SLAVE_COMMAND: u16 = 2;
/// Offset of the slave's second register (port A1h).
pub const SLAVE_DATA: u16 = 3;
/// Offset of the master's edge/level register (port 4D0h).
pub const ELCR1: u16 = 4;
/// Offset of the slave's edge/level register (port 4D1h).
pub const ELCR2: u16 = 5;

/// ICW1: this byte starts initialization.
pub const ICW1_INIT: u8 = 1 << 4;
/// ICW1 SNGL: no cascade, ICW3 is left out.
pub const ICW1_SNGL: u8 = 1 << 1;
/// ICW1 IC4: ICW4 follows.
pub const ICW1_IC4: u8 = 1;
/// ICW2: bits of the vector's base.
pub const ICW2_BASE: u8 = 0xF8;
/// ICW4 SFNM: special fully nested mode.
pub const ICW4_SFNM: u8 = 1 << 4;
/// ICW4 AEOI: automatic end of interrupt.
pub const ICW4_AEOI: u8 = 1 << 1;

/// OCW3: this byte with bit 4 clear.
pub const OCW3: u8 = 1 << 3;
/// OCW3 ESMM: SMM is valid.
pub const OCW3_ESMM: u8 = 1 << 6;
/// OCW3 SMM: special mask mode.
pub const OCW3_SMM: u8 = 1 << 5;
/// OCW3 P: poll command.
pub const OCW3_POLL: u8 = 1 << 2;
/// OCW3 RR: RIS is valid.
pub const OCW3_RR: u8 = 1 << 1;
/// OCW3 RIS: the next reads give ISR, not IRR.
pub const OCW3_RIS: u8 = 1;

/// Level number in OCW2, and in what a poll reads.
pub const LEVEL: u8 = 7;
/// What a poll reads in bit 7 when an interrupt was taken.
pub const POLL_INT: u8 = 1 << 7;

/// OCW2 bits 7-5 (R, SL, EOI): what to do.
pub mod ocw2 {
    /// Stop rotating in automatic EOI mode.
    pub const ROTATE_AEOI_CLEAR: u8 = 0b000;
    /// Non-specific EOI.
    pub const EOI: u8 = 0b001;
    /// Specific EOI.
    pub const SPECIFIC_EOI: u8 = 0b011;
    /// Rotate in automatic EOI mode.
    pub const ROTATE_AEOI_SET: u8 = 0b100;
    /// Rotate on non-specific EOI.
    pub const ROTATE_EOI: u8 = 0b101;
    /// Set priority.
    pub const SET_PRIORITY: u8 = 0b110;
    /// Rotate on specific EOI.
    pub const ROTATE_SPECIFIC_EOI: u8 = 0b111;
}

/// Input of the master to which the slave is wired.
pub const CASCADE: u8 = 2;
/// Inputs of the master whose ELCR bit can be set: not the timer, the keyboard and the cascade.
pub const ELCR1_WRITABLE: u8 = 0xF8;
/// Inputs of the slave whose ELCR bit can be set: not the clock (8) and the coprocessor (13).
pub const ELCR2_WRITABLE: u8 = 0xDE;
