//! Ports of the debug devices: customs of emulators, described by no datasheet.

/// Ports that the exit device decodes, from the one that the machine's definition names.
pub const DEBUG_EXIT_BYTES: u16 = 4;
/// Port of the debug console, as Bochs introduced it.
pub const CONSOLE_PORT: u16 = 0xE9;
/// Port to which SeaBIOS and OVMF write their log.
pub const FIRMWARE_CONSOLE_PORT: u16 = 0x402;
/// Offsets that the console decodes.
pub(super) const CONSOLE_OFFSETS: u16 = 2;
/// The firmware's port among them.
pub(super) const FIRMWARE_OFFSET: u16 = 1;
/// What a read gives: the console is there.
pub(super) const CONSOLE_PRESENT: u32 = 0xE9;
