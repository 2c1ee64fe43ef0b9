//! Registers and bits of the 8237A pair and the page registers (Intel 8237A, 231466-005; PIIX3, 290550-002, 2.5.1).

/// Offset of controller 1 (ports 00h to 0Fh): channels 0 to 3.
pub const FIRST: u16 = 0x00;
/// Offset of controller 2 (ports C0h to DFh, every register twice): channels 4 to 7.
pub const SECOND: u16 = 0x10;
/// Offset of the page registers (ports 80h to 8Fh).
pub const PAGES: u16 = 0x30;
/// Number of offsets.
pub const DMA_BYTES: u16 = 0x40;

/// Registers of a controller from here on; below stand address and count of each channel by turns.
pub const STATUS_COMMAND: u8 = 0x8;
/// Software request of one channel.
pub const REQUEST: u8 = 0x9;
/// Mask of one channel.
pub const MASK_ONE: u8 = 0xA;
/// Mode of one channel.
pub const MODE: u8 = 0xB;
/// Clears the flip-flop.
pub const CLEAR_FLIP_FLOP: u8 = 0xC;
/// Master clear (write), temporary register (read).
pub const MASTER_CLEAR: u8 = 0xD;
/// Clears all masks.
pub const CLEAR_MASKS: u8 = 0xE;
/// All four masks.
pub const MASK_ALL: u8 = 0xF;

/// Command: the controller does nothing.
pub const COMMAND_DISABLE: u8 = 1 << 2;

/// Request and mask of one channel: which.
pub const CHANNEL: u8 = 0x03;
/// Request and mask of one channel: set, not clear.
pub const SET: u8 = 1 << 2;
/// All four channels.
pub const ALL: u8 = 0x0F;

/// Mode: transfer type.
pub const MODE_TYPE: u8 = 0x0C;
/// Transfer type: from the device to memory.
pub const MODE_WRITE_MEMORY: u8 = 0x04;
/// Transfer type: from memory to the device.
pub const MODE_READ_MEMORY: u8 = 0x08;
/// Transfer type that is illegal.
pub const MODE_ILLEGAL: u8 = 0x0C;
/// Mode: address and count start over at terminal count.
pub const MODE_AUTOINIT: u8 = 1 << 4;
/// Mode: the address counts down.
pub const MODE_DECREMENT: u8 = 1 << 5;
/// Mode: which of demand, single, block and cascade.
pub const MODE_SERVICE: u8 = 0xC0;
/// Service: block.
pub const MODE_BLOCK: u8 = 0x80;
/// Service: cascade.
pub const MODE_CASCADE: u8 = 0xC0;

/// Page register of each channel, by its offset from port 80h; channel 4 has the refresh page, which nothing uses.
pub const PAGE_OF_CHANNEL: [usize; 8] = [0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA];
/// Page registers, used or spare. The one at port 80h is the POST port of another device.
pub const PAGE_REGISTERS: usize = 16;
