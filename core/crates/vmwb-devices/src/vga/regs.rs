//! Ports, register indexes and bits of the VGA (IBM Personal System/2 Hardware Interface Technical Reference, "Video
//! Subsystem", 1990; OpenGraphics and chip datasheets agree on them).

/// First port of the adapter; the device's port offsets count from here.
pub const VGA_PORT_BASE: u16 = 0x3B0;
/// Ports that the adapter decodes.
pub const VGA_PORTS: u16 = 0x30;
/// Guest-physical address of the video window; the device's memory offsets count from here.
pub const VGA_WINDOW_BASE: u64 = 0xA_0000;
/// Length of the window in bytes.
pub const VGA_WINDOW_BYTES: u64 = 0x2_0000;
/// Bytes of each of the four planes.
pub const PLANE_BYTES: usize = 0x1_0000;
/// The device's own port offset of 1CEh, index of the Bochs VBE registers; data follow at 1CFh and, for those that want
/// words aligned, at 1D0h.
pub const DISPI_PORT_OFFSET: u16 = 0x40;
/// First port of the Bochs VBE registers.
pub const DISPI_PORT_BASE: u16 = 0x1CE;
/// Ports of the Bochs VBE registers.
pub const DISPI_PORTS: u16 = 3;

/// Port offsets from 3B0h. The monochrome addresses of CRTC and status are 20h below the colour ones.
pub mod port {
    /// CRTC index, monochrome: 3B4h.
    pub const CRTC_INDEX_MONO: u16 = 0x04;
    /// CRTC data, monochrome: 3B5h.
    pub const CRTC_DATA_MONO: u16 = 0x05;
    /// Input status 1 (read) and feature control (write), monochrome: 3BAh.
    pub const STATUS_1_MONO: u16 = 0x0A;
    /// Attribute controller, index and data in turn: 3C0h.
    pub const ATTRIBUTE: u16 = 0x10;
    /// Attribute data, read: 3C1h.
    pub const ATTRIBUTE_READ: u16 = 0x11;
    /// Miscellaneous output (write), input status 0 (read): 3C2h.
    pub const MISC_WRITE: u16 = 0x12;
    /// Adapter enable: 3C3h.
    pub const ENABLE: u16 = 0x13;
    /// Sequencer index: 3C4h.
    pub const SEQUENCER_INDEX: u16 = 0x14;
    /// Sequencer data: 3C5h.
    pub const SEQUENCER_DATA: u16 = 0x15;
    /// Pixel mask of the DAC: 3C6h.
    pub const DAC_MASK: u16 = 0x16;
    /// DAC read index (write), DAC state (read): 3C7h.
    pub const DAC_READ: u16 = 0x17;
    /// DAC write index: 3C8h.
    pub const DAC_WRITE: u16 = 0x18;
    /// DAC data: 3C9h.
    pub const DAC_DATA: u16 = 0x19;
    /// Feature control, read: 3CAh.
    pub const FEATURE_READ: u16 = 0x1A;
    /// Miscellaneous output, read: 3CCh.
    pub const MISC_READ: u16 = 0x1C;
    /// Graphics controller index: 3CEh.
    pub const GRAPHICS_INDEX: u16 = 0x1E;
    /// Graphics controller data: 3CFh.
    pub const GRAPHICS_DATA: u16 = 0x1F;
    /// CRTC index, colour: 3D4h.
    pub const CRTC_INDEX: u16 = 0x24;
    /// CRTC data, colour: 3D5h.
    pub const CRTC_DATA: u16 = 0x25;
    /// Input status 1 (read) and feature control (write), colour: 3DAh.
    pub const STATUS_1: u16 = 0x2A;
}

/// Miscellaneous output: CRTC and status at the colour addresses.
pub const MISC_COLOUR: u8 = 1 << 0;
/// Miscellaneous output: the processor reaches display memory.
pub const MISC_RAM: u8 = 1 << 1;

/// Miscellaneous output: dot clock, two bits: 25.175 MHz, 28.322 MHz, two that the adapter's maker chooses.
pub const MISC_CLOCK_SHIFT: u8 = 2;

/// Input status 1: outside the displayed part of the picture.
pub const STATUS_BLANK: u8 = 1 << 0;
/// Input status 1: vertical retrace.
pub const STATUS_RETRACE: u8 = 1 << 3;

/// Sequencer registers.
pub const SEQUENCER_COUNT: usize = 5;
/// Sequencer: clocking mode.
pub const SEQ_CLOCKING: usize = 1;
/// Clocking mode: characters of 8 dots, else 9.
pub const CLOCKING_8_DOTS: u8 = 1 << 0;
/// Clocking mode: each dot twice as wide.
pub const CLOCKING_HALF: u8 = 1 << 3;
/// Clocking mode: screen off.
pub const CLOCKING_OFF: u8 = 1 << 5;
/// Sequencer: which planes are written.
pub const SEQ_PLANE_MASK: usize = 2;
/// Sequencer: character maps.
pub const SEQ_CHARACTER_MAP: usize = 3;
/// Sequencer: memory mode.
pub const SEQ_MEMORY_MODE: usize = 4;
/// Memory mode: sequential planes, else odd and even addresses go to odd and even planes.
pub const MEMORY_SEQUENTIAL: u8 = 1 << 2;
/// Memory mode: the low two address bits select the plane.
pub const MEMORY_CHAIN_4: u8 = 1 << 3;
/// Bits that the sequencer's registers have.
pub const SEQUENCER_BITS: [u8; SEQUENCER_COUNT] = [0x03, 0x3D, 0x0F, 0x3F, 0x0E];

/// CRTC registers.
pub const CRTC_COUNT: usize = 0x19;
/// CRTC: characters of a line with its blanking, less 5.
pub const CRTC_TOTAL_X: usize = 0x00;
/// CRTC: last displayed character of a line.
pub const CRTC_DISPLAY_END_X: usize = 0x01;
/// CRTC: scan lines of a picture with its blanking, less 2.
pub const CRTC_TOTAL_Y: usize = 0x06;
/// CRTC: high bits of the vertical values.
pub const CRTC_OVERFLOW: usize = 0x07;
/// CRTC: first scan line of the first row, byte panning.
pub const CRTC_PRESET_ROW: usize = 0x08;
/// CRTC: scan lines of a row, double scan, bit 9 of the line compare.
pub const CRTC_MAX_SCAN: usize = 0x09;
/// Maximum scan line: each line twice.
pub const MAX_SCAN_DOUBLE: u8 = 1 << 7;
/// CRTC: cursor's first line; bit 5 switches it off.
pub const CRTC_CURSOR_START: usize = 0x0A;
/// Cursor start: off.
pub const CURSOR_OFF: u8 = 1 << 5;
/// CRTC: cursor's last line.
pub const CRTC_CURSOR_END: usize = 0x0B;
/// CRTC: start address, high byte (the low one follows).
pub const CRTC_START_HIGH: usize = 0x0C;
/// CRTC: cursor address, high byte (the low one follows).
pub const CRTC_CURSOR_HIGH: usize = 0x0E;
/// CRTC: cursor address, low byte.
pub const CRTC_CURSOR_LOW: usize = 0x0F;
/// CRTC: first scan line of the vertical retrace.
pub const CRTC_RETRACE_START: usize = 0x10;
/// CRTC: vertical retrace end; bit 7 protects registers 0 to 7.
pub const CRTC_RETRACE_END: usize = 0x11;
/// Vertical retrace end: registers 0 to 7 are protected.
pub const RETRACE_END_PROTECT: u8 = 1 << 7;
/// CRTC: last displayed scan line.
pub const CRTC_DISPLAY_END_Y: usize = 0x12;
/// CRTC: distance of two rows, in units of two counts.
pub const CRTC_OFFSET: usize = 0x13;
/// CRTC: underline's line, double-word mode.
pub const CRTC_UNDERLINE: usize = 0x14;
/// Underline: the counter moves once in four characters.
pub const UNDERLINE_COUNT_4: u8 = 1 << 5;
/// Underline: addresses count in double words.
pub const UNDERLINE_DWORD: u8 = 1 << 6;
/// CRTC: mode control.
pub const CRTC_MODE: usize = 0x17;
/// Mode control: address bit 13 is the counter's, else the row's bit 0.
pub const MODE_KEEP_13: u8 = 1 << 0;
/// Mode control: address bit 14 is the counter's, else the row's bit 1.
pub const MODE_KEEP_14: u8 = 1 << 1;
/// Mode control: the vertical counters move once in two scan lines.
pub const MODE_HALF_LINES: u8 = 1 << 2;
/// Mode control: the counter moves once in two characters.
pub const MODE_COUNT_2: u8 = 1 << 3;
/// Mode control: in word mode, bit 15 wraps to bit 0, else bit 13.
pub const MODE_WRAP_15: u8 = 1 << 5;
/// Mode control: addresses count in bytes, else in words.
pub const MODE_BYTE: u8 = 1 << 6;
/// CRTC: scan line after which the address starts at 0 again.
pub const CRTC_LINE_COMPARE: usize = 0x18;

/// Graphics controller registers.
pub const GRAPHICS_COUNT: usize = 9;
/// Graphics: set/reset.
pub const GFX_SET_RESET: usize = 0;
/// Graphics: enable set/reset.
pub const GFX_SET_RESET_ENABLE: usize = 1;
/// Graphics: colour compare.
pub const GFX_COMPARE: usize = 2;
/// Graphics: rotate count and function.
pub const GFX_ROTATE: usize = 3;
/// Graphics: plane that read mode 0 gives.
pub const GFX_READ_MAP: usize = 4;
/// Graphics: read and write modes, odd/even, shift mode.
pub const GFX_MODE: usize = 5;
/// Mode: read mode 1.
pub const MODE_READ_COMPARE: u8 = 1 << 3;
/// Mode: odd/even addressing of reads.
pub const MODE_ODD_EVEN: u8 = 1 << 4;
/// Mode: two bits a pixel from pairs of planes.
pub const MODE_SHIFT_PAIRS: u8 = 1 << 5;
/// Mode: 256 colours.
pub const MODE_SHIFT_256: u8 = 1 << 6;
/// Graphics: graphics mode, memory map.
pub const GFX_MISC: usize = 6;
/// Miscellaneous: graphics, else text.
pub const GFX_MISC_GRAPHICS: u8 = 1 << 0;
/// Miscellaneous: what the processor's window covers.
pub const GFX_MISC_MAP: u8 = 3 << 2;
/// Window: A0000h to AFFFFh.
pub const GFX_MISC_MAP_64K: u8 = 1 << 2;
/// Graphics: planes that take part in read mode 1.
pub const GFX_DONT_CARE: usize = 7;
/// Graphics: bit mask.
pub const GFX_BIT_MASK: usize = 8;
/// Bits that the graphics controller's registers have.
pub const GRAPHICS_BITS: [u8; GRAPHICS_COUNT] =
    [0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF];

/// Attribute controller registers.
pub const ATTRIBUTE_COUNT: usize = 0x15;
/// Attribute index: palette entries go to the screen, not to the processor.
pub const ATTRIBUTE_SCREEN: u8 = 1 << 5;
/// Attribute: mode control.
pub const ATTR_MODE: usize = 0x10;
/// Mode control: graphics, else text.
pub const ATTR_GRAPHICS: u8 = 1 << 0;
/// Mode control: the ninth dot of C0h to DFh repeats the eighth.
pub const ATTR_LINE_GRAPHICS: u8 = 1 << 2;
/// Mode control: attribute bit 7 blinks, else it is the background's fourth bit.
pub const ATTR_BLINK: u8 = 1 << 3;
/// Mode control: below the line compare there is no panning.
pub const ATTR_PAN_SPLIT: u8 = 1 << 5;
/// Mode control: two dots make one of 256 colours.
pub const ATTR_256: u8 = 1 << 6;
/// Mode control: palette bits 5 and 4 come from the colour select.
pub const ATTR_SELECT_54: u8 = 1 << 7;
/// Attribute: colour of the border, and of a picture whose palette belongs to the processor.
pub const ATTR_OVERSCAN: usize = 0x11;
/// Attribute: planes that are shown.
pub const ATTR_PLANE_ENABLE: usize = 0x12;
/// Attribute: panning in dots.
pub const ATTR_PANNING: usize = 0x13;
/// Attribute: colour select.
pub const ATTR_SELECT: usize = 0x14;
/// Bits of a palette entry.
pub const PALETTE_BITS: u8 = 0x3F;
/// Bits that the attribute controller's registers from 10h on have.
pub const ATTRIBUTE_BITS: [u8; ATTRIBUTE_COUNT - ATTR_MODE] = [0xEF, 0xFF, 0x3F, 0x0F, 0x0F];

/// Dot clocks in Hz by the two bits of the miscellaneous output; the last two are the maker's, here a 40-MHz crystal for
/// 800 by 600 dots.
pub const DOT_CLOCKS_HZ: [u64; 4] = [25_175_000, 28_322_000, 40_000_000, 40_000_000];

/// Register values of mode 3 (80 by 25 characters, 16 colours, 9 by 16 dots), as a BIOS sets them: miscellaneous output.
pub const MODE_3_MISC: u8 = 0x67;
/// Mode 3: sequencer.
pub const MODE_3_SEQUENCER: [u8; SEQUENCER_COUNT] = [0x03, 0x00, 0x03, 0x00, 0x02];
/// Mode 3: CRTC.
pub const MODE_3_CRTC: [u8; CRTC_COUNT] = [
    0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00,
    0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
];
/// Mode 3: graphics controller.
pub const MODE_3_GRAPHICS: [u8; GRAPHICS_COUNT] =
    [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF];
/// Mode 3: attribute controller.
pub const MODE_3_ATTRIBUTE: [u8; ATTRIBUTE_COUNT] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F,
    0x0C, 0x00, 0x0F, 0x08, 0x00,
];
