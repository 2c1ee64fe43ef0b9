//! Registers of port 92h and CF9h (Intel PIIX3, 290550-002, 2.5.4), of the diagnostic port, and of emulators' power switch.

/// Offset of port 92h.
pub const PORT_92: u16 = 0;
/// Offset of the reset control register (port CF9h).
pub const RESET_CONTROL: u16 = 1;
/// Offset of the POST code (port 80h).
pub const POST_CODE: u16 = 2;
/// Offset of the port that takes [`SHUTDOWN_WORD`] (port 8900h; Bochs, "iodev/unmapped").
pub const SHUTDOWN: u16 = 3;
/// What switches the machine off, a character a write.
pub const SHUTDOWN_WORD: &[u8; 8] = b"Shutdown";

/// Port 92h: a rise resets the processor.
pub const PORT_92_FAST_INIT: u8 = 1;
/// Port 92h: address line 20 is open.
pub const PORT_92_A20: u8 = 1 << 1;
/// Port 92h: bits that are kept.
pub const PORT_92_KEPT: u8 = PORT_92_FAST_INIT | PORT_92_A20;

/// Reset control: hard reset, not INIT.
pub const RESET_HARD: u8 = 1 << 1;
/// Reset control: a rise starts the reset.
pub const RESET_CPU: u8 = 1 << 2;
/// Reset control: the power supply is cycled too (later chipsets; drivers set it).
pub const RESET_FULL: u8 = 1 << 3;
/// Reset control: bits that are kept.
pub const RESET_KEPT: u8 = RESET_HARD | RESET_CPU | RESET_FULL;
