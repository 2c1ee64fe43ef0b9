//! Registers, commands and status bits of the 82077AA (Intel 290166-007), in its PC-AT mode.

/// Offset of the digital output register (port 3F2h).
pub const DOR: u16 = 2;
/// Offset of the tape drive register (port 3F3h).
pub const TDR: u16 = 3;
/// Offset of the main status register (read) and the data rate select register (write; port 3F4h).
pub const MSR_DSR: u16 = 4;
/// Offset of the FIFO (port 3F5h).
pub const FIFO: u16 = 5;
/// Offset of the digital input register (read) and the configuration control register (write; port 3F7h).
pub const DIR_CCR: u16 = 7;

/// DOR: selected drive.
pub const DOR_DRIVE: u8 = 0x03;
/// DOR: 0 holds the controller in reset.
pub const DOR_NO_RESET: u8 = 1 << 2;
/// DOR: interrupt and DMA request are let through.
pub const DOR_DMA_GATE: u8 = 1 << 3;
/// DOR: motor of drive 0; those of the others follow.
pub const DOR_MOTOR: u8 = 1 << 4;
/// TDR: which drive is a tape.
pub const TDR_MASK: u8 = 0x03;

/// MSR: a byte can be moved.
pub const MSR_RQM: u8 = 1 << 7;
/// MSR: it goes to the processor.
pub const MSR_DIO: u8 = 1 << 6;
/// MSR: execution without DMA.
pub const MSR_NON_DMA: u8 = 1 << 5;
/// MSR: a command is under way.
pub const MSR_BUSY: u8 = 1 << 4;

/// DSR: software reset, clears itself.
pub const DSR_RESET: u8 = 1 << 7;
/// DSR and CCR: data rate.
pub const RATE: u8 = 0x03;
/// 500 kbit/s.
pub const RATE_500K: u8 = 0;
/// 300 kbit/s.
pub const RATE_300K: u8 = 1;
/// 250 kbit/s.
pub const RATE_250K: u8 = 2;
/// 1 Mbit/s.
pub const RATE_1M: u8 = 3;
/// DIR: the disk was changed.
pub const DIR_CHANGED: u8 = 1 << 7;

/// Command bit: both sides.
pub const MT: u8 = 1 << 7;
/// Command bit: MFM, not FM.
pub const MFM: u8 = 1 << 6;
/// Command bit: skips deleted data.
pub const SK: u8 = 1 << 5;
/// Command code without these bits.
pub const CODE: u8 = 0x1F;
/// Second byte: drive.
pub const UNIT: u8 = 0x03;
/// Second byte: side.
pub const HEAD: u8 = 1 << 2;
/// Second byte of VERIFY: counts sectors.
pub const EC: u8 = 1 << 7;

/// Command codes.
pub mod command {
    /// READ TRACK.
    pub const READ_TRACK: u8 = 0x02;
    /// SPECIFY.
    pub const SPECIFY: u8 = 0x03;
    /// SENSE DRIVE STATUS.
    pub const SENSE_DRIVE: u8 = 0x04;
    /// WRITE DATA.
    pub const WRITE: u8 = 0x05;
    /// READ DATA.
    pub const READ: u8 = 0x06;
    /// RECALIBRATE.
    pub const RECALIBRATE: u8 = 0x07;
    /// SENSE INTERRUPT STATUS.
    pub const SENSE_INTERRUPT: u8 = 0x08;
    /// WRITE DELETED DATA.
    pub const WRITE_DELETED: u8 = 0x09;
    /// READ ID.
    pub const READ_ID: u8 = 0x0A;
    /// READ DELETED DATA.
    pub const READ_DELETED: u8 = 0x0C;
    /// FORMAT TRACK.
    pub const FORMAT: u8 = 0x0D;
    /// DUMPREG.
    pub const DUMPREG: u8 = 0x0E;
    /// SEEK.
    pub const SEEK: u8 = 0x0F;
    /// VERSION.
    pub const VERSION: u8 = 0x10;
    /// PERPENDICULAR MODE.
    pub const PERPENDICULAR: u8 = 0x12;
    /// CONFIGURE.
    pub const CONFIGURE: u8 = 0x13;
    /// LOCK; bit 7 locks.
    pub const LOCK: u8 = 0x14;
    /// VERIFY.
    pub const VERIFY: u8 = 0x16;
    /// RELATIVE SEEK: bit 7 set, bit 6 the direction (1: inwards).
    pub const RELATIVE_SEEK: u8 = 0x8F;
    /// RELATIVE SEEK: inwards.
    pub const RELATIVE_INWARDS: u8 = 1 << 6;
}

/// What VERSION answers: an enhanced controller.
pub const VERSION_82077: u8 = 0x90;
/// Longest command in bytes.
pub const COMMAND_BYTES: usize = 9;
/// Longest result in bytes.
pub const RESULT_BYTES: usize = 10;
/// Result of a command that reads or writes the disk, in bytes: ST0 to ST2, C, H, R, N.
pub const TRANSFER_RESULT_BYTES: usize = 7;
/// Sector size code of 512 bytes.
pub const N_512: u8 = 2;

/// ST0: abnormal termination.
pub const ST0_ABNORMAL: u8 = 0x40;
/// ST0: invalid command.
pub const ST0_INVALID: u8 = 0x80;
/// ST0: polling found a change, after reset.
pub const ST0_POLLED: u8 = 0xC0;
/// ST0: a seek has ended.
pub const ST0_SEEK_END: u8 = 0x20;
/// ST0: recalibrate found no track 0.
pub const ST0_EQUIPMENT: u8 = 0x10;
/// ST1: end of cylinder.
pub const ST1_END: u8 = 0x80;
/// ST1: data error (CRC).
pub const ST1_DATA: u8 = 0x20;
/// ST1: overrun or underrun.
pub const ST1_OVERRUN: u8 = 0x10;
/// ST1: no such sector.
pub const ST1_NO_DATA: u8 = 0x04;
/// ST1: write-protected.
pub const ST1_PROTECTED: u8 = 0x02;
/// ST1: no address mark.
pub const ST1_NO_MARK: u8 = 0x01;
/// ST2: deleted mark where none was asked for, or the other way round.
pub const ST2_MARK: u8 = 0x40;
/// ST2: the error is in the data field.
pub const ST2_DATA: u8 = 0x20;
/// ST2: other cylinder.
pub const ST2_CYLINDER: u8 = 0x10;
/// ST2: other cylinder, marked bad (FFh).
pub const ST2_BAD: u8 = 0x02;
/// ST3: write-protected.
pub const ST3_PROTECTED: u8 = 0x40;
/// ST3: the head is at track 0.
pub const ST3_TRACK0: u8 = 0x10;
/// ST3: bits that are always set.
pub const ST3_ALWAYS: u8 = 0x28;

/// CONFIGURE: implied seeks.
pub const CONFIG_EIS: u8 = 1 << 6;
/// CONFIGURE: FIFO off.
pub const CONFIG_EFIFO: u8 = 1 << 5;
/// CONFIGURE: polling off.
pub const CONFIG_NO_POLL: u8 = 1 << 4;
/// CONFIGURE: bits that LOCK keeps over a software reset, the FIFO's switch and threshold.
pub const CONFIG_LOCKED: u8 = 0x2F;
/// CONFIGURE: bits that exist.
pub const CONFIG_MASK: u8 = 0x7F;
/// SPECIFY, second byte: no DMA.
pub const SPECIFY_NON_DMA: u8 = 1;
/// PERPENDICULAR MODE: the drives' bits are written too.
pub const PERPENDICULAR_OW: u8 = 1 << 7;
/// PERPENDICULAR MODE: the drives' bits.
pub const PERPENDICULAR_DRIVES: u8 = 0x3C;
/// PERPENDICULAR MODE: GAP and WGATE, which a software reset clears.
pub const PERPENDICULAR_GAPS: u8 = 0x03;
/// RECALIBRATE gives up after so many steps.
pub const RECALIBRATE_STEPS: u8 = 79;

/// From the end of a reset to its interrupt, and from a command to its first effect, in nanoseconds.
pub const SHORT_NS: u64 = 20_000;
/// Until a sector or an address mark that is not there is given up, in nanoseconds: two turns of a 360/min disk take
/// 333 ms; shorter, so that an empty drive delays no boot.
pub const SEARCH_NS: u64 = 100_000_000;
/// READ ID waits for the next sector to pass, in nanoseconds.
pub const NEXT_ID_NS: u64 = 1_000_000;
/// One turn of a 300/min disk in nanoseconds.
pub const TURN_NS: u64 = 200_000_000;
/// A sector's data that nobody moves for so long is an overrun, in nanoseconds. Real ones come after microseconds;
/// this is for transfers that will never happen.
pub const OVERRUN_NS: u64 = 500_000_000;
/// Longest seek in nanoseconds, whatever step rate was specified: drivers that were only ever run on emulators count some
/// thousands of polls, and firmware that never specifies a rate seeks from cylinder to cylinder.
pub const LONGEST_SEEK_NS: u64 = 60_000_000;
