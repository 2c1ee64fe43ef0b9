//! Registers, bits, commands. Sources: ATA/ATAPI-6 (T13 1410D) chapters 7 and 8; PIIX3 datasheet 290550, section 2.7;
//! Programming Interface for Bus Master IDE Controller, revision 1.0; MMC-5; SPC-3 (sense codes).

/// Data.
pub const DATA: u16 = 0;
/// Error (read), Features (write).
pub const ERROR_FEATURES: u16 = 1;
/// Sector Count; for packet devices the interrupt reason.
pub const COUNT: u16 = 2;
/// LBA Low, Sector Number.
pub const LBA_LOW: u16 = 3;
/// LBA High, Cylinder High; for packet devices the byte count's high half.
pub const LBA_HIGH: u16 = 5;
/// Device, Device/Head.
pub const DEVICE: u16 = 6;
/// Status (read), Command (write).
pub const STATUS_COMMAND: u16 = 7;
/// Alternate Status (read), Device Control (write).
pub const CONTROL: u16 = 8;

/// Status: an error, or a sense for packet devices.
pub const ERR: u8 = 1 << 0;
/// Status: data can be transferred.
pub const DRQ: u8 = 1 << 3;
/// Status: seek complete (older standards; drivers of that time wait for it).
pub const DSC: u8 = 1 << 4;
/// Status: device fault.
pub const DF: u8 = 1 << 5;
/// Status: ready.
pub const DRDY: u8 = 1 << 6;
/// Status: busy.
pub const BSY: u8 = 1 << 7;

/// Error: command aborted.
pub const ABRT: u8 = 1 << 2;
/// Error: no such sector.
pub const IDNF: u8 = 1 << 4;
/// Error: the data cannot be read.
pub const UNC: u8 = 1 << 6;
/// Error after a reset or a diagnostic: passed.
pub const DIAGNOSTIC_PASSED: u8 = 1;

/// Device: device 1 is selected.
pub const DEV: u8 = 1 << 4;
/// Device: the address is an LBA.
pub const LBA: u8 = 1 << 6;
/// Device: bits that read as ones, as before ATA-4.
pub const DEVICE_FIXED: u8 = 0xA0;

/// Device Control: no interrupts.
pub const NIEN: u8 = 1 << 1;
/// Device Control: software reset.
pub const SRST: u8 = 1 << 2;
/// Device Control: the registers' previous content is read.
pub const HOB: u8 = 1 << 7;
/// Device Control: bits that are kept.
pub const CONTROL_KEPT: u8 = NIEN | SRST | HOB;

/// Interrupt reason: the command packet is transferred.
pub const REASON_CD: u8 = 1 << 0;
/// Interrupt reason: data go to the host.
pub const REASON_IO: u8 = 1 << 1;

/// PACKET, feature: data by DMA.
pub const PACKET_DMA: u8 = 1 << 0;
/// Signature of packet devices in LBA Mid and LBA High.
pub const PACKET_SIGNATURE: (u8, u8) = (0x14, 0xEB);

/// Commands (ATA/ATAPI-6, chapter 8; obsolete codes from ATA/ATAPI-3).
pub mod command {
    #![allow(missing_docs)]
    pub const DATA_SET_MANAGEMENT: u8 = 0x06;
    pub const DEVICE_RESET: u8 = 0x08;
    pub const RECALIBRATE: u8 = 0x10;
    pub const RECALIBRATE_LAST: u8 = 0x1F;
    pub const READ_SECTORS: u8 = 0x20;
    pub const READ_SECTORS_ONCE: u8 = 0x21;
    pub const READ_SECTORS_EXT: u8 = 0x24;
    pub const READ_DMA_EXT: u8 = 0x25;
    pub const READ_NATIVE_MAX_EXT: u8 = 0x27;
    pub const READ_MULTIPLE_EXT: u8 = 0x29;
    pub const WRITE_SECTORS: u8 = 0x30;
    pub const WRITE_SECTORS_ONCE: u8 = 0x31;
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    pub const WRITE_DMA_EXT: u8 = 0x35;
    pub const WRITE_MULTIPLE_EXT: u8 = 0x39;
    pub const WRITE_VERIFY: u8 = 0x3C;
    pub const WRITE_DMA_FUA_EXT: u8 = 0x3D;
    pub const READ_VERIFY: u8 = 0x40;
    pub const READ_VERIFY_ONCE: u8 = 0x41;
    pub const READ_VERIFY_EXT: u8 = 0x42;
    pub const SEEK: u8 = 0x70;
    pub const SEEK_LAST: u8 = 0x7F;
    pub const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub const INITIALIZE_DEVICE_PARAMETERS: u8 = 0x91;
    pub const OLD_STANDBY_IMMEDIATE: u8 = 0x94;
    pub const OLD_IDLE_IMMEDIATE: u8 = 0x95;
    pub const OLD_STANDBY: u8 = 0x96;
    pub const OLD_IDLE: u8 = 0x97;
    pub const OLD_CHECK_POWER_MODE: u8 = 0x98;
    pub const OLD_SLEEP: u8 = 0x99;
    pub const PACKET: u8 = 0xA0;
    pub const IDENTIFY_PACKET_DEVICE: u8 = 0xA1;
    pub const READ_MULTIPLE: u8 = 0xC4;
    pub const WRITE_MULTIPLE: u8 = 0xC5;
    pub const SET_MULTIPLE_MODE: u8 = 0xC6;
    pub const READ_DMA: u8 = 0xC8;
    pub const READ_DMA_ONCE: u8 = 0xC9;
    pub const WRITE_DMA: u8 = 0xCA;
    pub const WRITE_DMA_ONCE: u8 = 0xCB;
    pub const WRITE_MULTIPLE_FUA_EXT: u8 = 0xCE;
    pub const STANDBY_IMMEDIATE: u8 = 0xE0;
    pub const IDLE_IMMEDIATE: u8 = 0xE1;
    pub const STANDBY: u8 = 0xE2;
    pub const IDLE: u8 = 0xE3;
    pub const CHECK_POWER_MODE: u8 = 0xE5;
    pub const SLEEP: u8 = 0xE6;
    pub const FLUSH_CACHE: u8 = 0xE7;
    pub const FLUSH_CACHE_EXT: u8 = 0xEA;
    pub const IDENTIFY_DEVICE: u8 = 0xEC;
    pub const SET_FEATURES: u8 = 0xEF;
    pub const READ_NATIVE_MAX: u8 = 0xF8;
}

/// Packet commands (MMC-5, chapter 6; SFF-8020i).
pub mod packet {
    #![allow(missing_docs)]
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const REQUEST_SENSE: u8 = 0x03;
    pub const INQUIRY: u8 = 0x12;
    pub const MODE_SELECT_6: u8 = 0x15;
    pub const MODE_SENSE_6: u8 = 0x1A;
    pub const START_STOP_UNIT: u8 = 0x1B;
    pub const PREVENT_ALLOW: u8 = 0x1E;
    pub const READ_CAPACITY: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
    pub const SEEK_10: u8 = 0x2B;
    pub const READ_SUB_CHANNEL: u8 = 0x42;
    pub const READ_TOC: u8 = 0x43;
    pub const READ_HEADER: u8 = 0x44;
    pub const GET_CONFIGURATION: u8 = 0x46;
    pub const GET_EVENT_STATUS: u8 = 0x4A;
    pub const STOP_PLAY_SCAN: u8 = 0x4E;
    pub const READ_DISC_INFORMATION: u8 = 0x51;
    pub const READ_TRACK_INFORMATION: u8 = 0x52;
    pub const MODE_SELECT_10: u8 = 0x55;
    pub const MODE_SENSE_10: u8 = 0x5A;
    pub const READ_12: u8 = 0xA8;
    pub const GET_PERFORMANCE: u8 = 0xAC;
    pub const READ_DISC_STRUCTURE: u8 = 0xAD;
    pub const READ_CD_MSF: u8 = 0xB9;
    pub const SET_CD_SPEED: u8 = 0xBB;
    pub const MECHANISM_STATUS: u8 = 0xBD;
    pub const READ_CD: u8 = 0xBE;
}

/// IDETIM in the configuration space: primary in the low, secondary in the high half.
pub const IDETIM: u8 = 0x40;
/// IDETIM: the channel's ports are decoded.
pub const IDETIM_DECODE: u16 = 1 << 15;
/// Slave timing (PIIX3).
pub const SIDETIM: u8 = 0x44;
/// Index of the base address of the bus-master registers.
pub const BUS_MASTER_BAR: usize = 4;

/// Bus master command: start.
pub const BM_START: u8 = 1 << 0;
/// Bus master command: the drive is read.
pub const BM_READ: u8 = 1 << 3;
/// Bus master status: active.
pub const BM_ACTIVE: u8 = 1 << 0;
/// Bus master status: memory could not be reached.
pub const BM_ERROR: u8 = 1 << 1;
/// Bus master status: the drive has raised its interrupt.
pub const BM_INTERRUPT: u8 = 1 << 2;
/// Bus master status: drives 0 and 1 are set up for DMA, for software alone.
pub const BM_CAPABLE: u8 = 3 << 5;
