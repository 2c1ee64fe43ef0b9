//! Registers and bits of the 8254 (Intel 231164-005) and of port 61h (PIIX3, 290550-002, 2.5.3.1).

/// Rate of the counters' input, in Hz: a third of the colour carrier's quadruple, 14.31818 MHz / 12.
pub const INPUT_HZ: u64 = 1_193_182;

/// Offset of counter 2 (port 42h); counters 0 and 1 stand before it.
pub const LAST_COUNTER: u16 = 2;
/// Offset of the control word (port 43h).
pub const CONTROL: u16 = 3;
/// Offset of port 61h.
pub const PORT_B: u16 = 4;

/// Control word: which counter; 3 is the read-back command.
pub const SELECT_SHIFT: u8 = 6;
/// Value of the select field for a read-back command.
pub const SELECT_READ_BACK: u8 = 3;
/// Control word: RW field.
pub const RW_SHIFT: u8 = 4;
/// Mask of the RW field and of the select field, once shifted.
pub const FIELD_MASK: u8 = 3;
/// RW field: counter latch command.
pub const RW_LATCH: u8 = 0;
/// RW field: least significant byte only.
pub const RW_LOW: u8 = 1;
/// RW field: most significant byte only.
pub const RW_HIGH: u8 = 2;
/// RW field: least, then most significant byte.
pub const RW_BOTH: u8 = 3;
/// Control word: mode field.
pub const MODE_SHIFT: u8 = 1;
/// Mask of the mode field, once shifted.
pub const MODE_MASK: u8 = 7;
/// Control word: count in BCD.
pub const BCD: u8 = 1;

/// Read-back: bit clear latches the count.
pub const READ_BACK_NO_COUNT: u8 = 1 << 5;
/// Read-back: bit clear latches the status.
pub const READ_BACK_NO_STATUS: u8 = 1 << 4;

/// Status byte: level of OUT.
pub const STATUS_OUT: u8 = 1 << 7;
/// Status byte: the count written has not been loaded yet.
pub const STATUS_NULL: u8 = 1 << 6;

/// Port 61h: gate of counter 2.
pub const PORT_B_GATE2: u8 = 1;
/// Port 61h: the speaker follows OUT of counter 2.
pub const PORT_B_SPEAKER: u8 = 1 << 1;
/// Port 61h: bits that can be written (gate, speaker, parity and channel check enables).
pub const PORT_B_WRITABLE: u8 = 0x0F;
/// Port 61h: toggles with every memory refresh.
pub const PORT_B_REFRESH: u8 = 1 << 4;
/// Port 61h: OUT of counter 2.
pub const PORT_B_OUT2: u8 = 1 << 5;
/// Ticks between two refreshes: counter 1 as every PC programs it, 15.09 us.
pub const REFRESH_TICKS: u64 = 18;

/// Largest tick number and elapsed count that is accepted from saved state; far beyond 584 years.
pub const MAX_TICK: u64 = 1 << 60;
