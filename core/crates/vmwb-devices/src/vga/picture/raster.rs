//! How the CRTC walks through the memory: from a scan line to an address counter, from the counter to an address.

use super::super::{Vga, regs};
use super::{MAX_HEIGHT, MAX_WIDTH};

/// Where the CRTC stands on one scan line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Line {
    /// Address counter of the first character.
    pub(super) counter: u32,
    /// Line inside the row of characters.
    pub(super) row_scan: u8,
    /// Dots to leave out at the left.
    pub(super) panning: u32,
}

/// How a count of the CRTC becomes an address of the planes (IBM PS/2 Hardware Interface Technical Reference, "CRT
/// controller": mode control, underline location).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    /// Two counts an address; bit 0 is the counter's bit of this number.
    Word(u32),
    DoubleWord,
}

/// The CRTC's settings, or those of a VBE mode of 16 colours in the CRTC's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Raster {
    /// Characters of a line.
    pub(super) columns: u32,
    /// Dots of a character, 8 or 9.
    pub(super) cell_dots: u32,
    /// Whether each dot is twice as wide.
    pub(super) wide_dots: bool,
    /// Scan lines.
    pub(super) height: u32,
    /// Lines of a row of characters, each shown `repeat` times.
    pub(super) row_lines: u32,
    pub(super) repeat: u32,
    /// Counter of the first row.
    pub(super) start: u32,
    /// Counts from row to row.
    pub(super) pitch: u32,
    /// Line of the first row that the picture begins with.
    preset: u32,
    panning: u32,
    /// Panning and first counter of the lines behind `split`.
    split_panning: u32,
    split_start: u32,
    /// Last line before the counter begins at 0 again.
    split: u32,
    /// Characters to a count, as a shift.
    count_shift: u32,
    unit: Unit,
    /// Address bits 13 and 14 come from the row's line.
    row_bit_13: bool,
    row_bit_14: bool,
    /// Address bits that there are.
    mask: u32,
}

impl Raster {
    /// Dots across.
    pub(super) fn width(&self) -> u32 {
        ((self.columns * self.cell_dots) << u32::from(self.wide_dots)).min(MAX_WIDTH)
    }

    /// Scan lines of a row of characters.
    pub(super) fn row_height(&self) -> u32 {
        self.row_lines * self.repeat
    }

    /// Where the CRTC stands on scan line `y`.
    pub(super) fn line(&self, y: u32) -> Line {
        let (scan, start, panning) = if y > self.split {
            (y - self.split - 1, self.split_start, self.split_panning)
        } else {
            (y + self.preset * self.repeat, self.start, self.panning)
        };
        let row_scan = scan % self.row_height() / self.repeat;
        Line {
            counter: start + scan / self.row_height() * self.pitch,
            row_scan: u8::try_from(row_scan).expect("a row has at most 32 lines"),
            panning,
        }
    }

    /// Counter of a character of a line.
    pub(super) fn counter(&self, line: Line, column: u32) -> u32 {
        line.counter + (column >> self.count_shift)
    }

    /// Address in the planes.
    pub(super) fn address(&self, counter: u32, row_scan: u8) -> u32 {
        let mut address = match self.unit {
            Unit::Byte => counter,
            Unit::Word(wrap) => counter << 1 | counter >> wrap & 1,
            Unit::DoubleWord => counter << 2 | counter >> 14 & 3,
        };
        if self.row_bit_13 {
            address = address & !(1 << 13) | u32::from(row_scan & 1) << 13;
        }
        if self.row_bit_14 {
            address = address & !(1 << 14) | u32::from(row_scan & 2) << 13;
        }
        address & self.mask
    }

    /// First address of a line whose characters lie at ascending addresses; `None` for all others.
    pub(super) fn run(&self, line: Line) -> Option<u32> {
        let plain = self.unit == Unit::Byte && self.count_shift == 0;
        let first = self.address(line.counter, line.row_scan);
        let last = self.address(line.counter + self.columns, line.row_scan);
        (plain && last.checked_sub(first) == Some(self.columns)).then_some(first)
    }

    /// First and last byte of the memory that a line may show; all of it where addresses wrap inside the line.
    pub(super) fn span(&self, line: Line) -> (u64, u64) {
        let first = self.address(line.counter, line.row_scan);
        let last = self.address(self.counter(line, self.columns), line.row_scan);
        let (first, last) = if first <= last {
            (first, last)
        } else {
            (0, self.mask)
        };
        (u64::from(first) * 4, u64::from(last) * 4 + 3)
    }
}

impl Vga {
    /// A 16-bit register of two halves, the high one first.
    pub(super) fn pair(&self, high: usize) -> u32 {
        u32::from(self.crtc[high]) << 8 | u32::from(self.crtc[high + 1])
    }

    /// The raster of what the registers describe.
    pub(super) fn raster(&self) -> Raster {
        if self.dispi.is_planar() {
            self.vbe_raster()
        } else {
            self.crtc_raster()
        }
    }

    fn crtc_raster(&self) -> Raster {
        let crtc = |at: usize| self.crtc[at];
        let has = |at: usize, bit: u8| self.crtc[at] & bit != 0;
        let overflow = u32::from(crtc(regs::CRTC_OVERFLOW));
        let max_scan = u32::from(crtc(regs::CRTC_MAX_SCAN));
        let clocking = self.sequencer[regs::SEQ_CLOCKING];
        let eight = clocking & regs::CLOCKING_8_DOTS != 0 || !self.is_text();
        // The vertical counters move once in two lines: every vertical value counts twice.
        let halves = u32::from(has(regs::CRTC_MODE, regs::MODE_HALF_LINES));
        let end = u32::from(crtc(regs::CRTC_DISPLAY_END_Y))
            | (overflow & 2) << 7
            | (overflow & 0x40) << 3;
        let split = u32::from(crtc(regs::CRTC_LINE_COMPARE))
            | (overflow & 0x10) << 4
            | (max_scan & 0x40) << 3;
        let preset = u32::from(crtc(regs::CRTC_PRESET_ROW));
        let panning = self.panning(eight);
        let byte_panning = preset >> 5 & 3;
        let split_pans = self.attribute[regs::ATTR_MODE] & regs::ATTR_PAN_SPLIT == 0;
        Raster {
            columns: u32::from(crtc(regs::CRTC_DISPLAY_END_X)) + 1,
            cell_dots: if eight { 8 } else { 9 },
            wide_dots: clocking & regs::CLOCKING_HALF != 0,
            height: ((end + 1) << halves).min(MAX_HEIGHT),
            row_lines: (max_scan & 0x1F) + 1,
            repeat: if has(regs::CRTC_MAX_SCAN, regs::MAX_SCAN_DOUBLE) {
                2
            } else {
                1
            },
            start: self.pair(regs::CRTC_START_HIGH) + byte_panning,
            pitch: u32::from(crtc(regs::CRTC_OFFSET)) * 2,
            preset: preset & 0x1F,
            panning,
            split_panning: if split_pans { panning } else { 0 },
            split_start: if split_pans { byte_panning } else { 0 },
            split: (split << halves) + halves,
            count_shift: if has(regs::CRTC_UNDERLINE, regs::UNDERLINE_COUNT_4) {
                2
            } else {
                u32::from(has(regs::CRTC_MODE, regs::MODE_COUNT_2))
            },
            unit: if has(regs::CRTC_UNDERLINE, regs::UNDERLINE_DWORD) {
                Unit::DoubleWord
            } else if has(regs::CRTC_MODE, regs::MODE_BYTE) {
                Unit::Byte
            } else if has(regs::CRTC_MODE, regs::MODE_WRAP_15) {
                Unit::Word(15)
            } else {
                Unit::Word(13)
            },
            row_bit_13: !has(regs::CRTC_MODE, regs::MODE_KEEP_13),
            row_bit_14: !has(regs::CRTC_MODE, regs::MODE_KEEP_14),
            mask: 0xFFFF,
        }
    }

    /// A VBE mode of 16 colours: its own sizes and places, otherwise a plain planar mode.
    fn vbe_raster(&self) -> Raster {
        let pitch = self.dispi.pitch() / 8;
        let panning = u32::from(self.dispi.x_offset & 7);
        Raster {
            columns: u32::from(self.dispi.x_res).div_ceil(8),
            cell_dots: 8,
            wide_dots: false,
            height: u32::from(self.dispi.y_res),
            row_lines: 1,
            repeat: 1,
            start: u32::from(self.dispi.y_offset) * pitch + u32::from(self.dispi.x_offset / 8),
            pitch,
            preset: 0,
            panning,
            split_panning: panning,
            split_start: 0,
            split: u32::MAX,
            count_shift: 0,
            unit: Unit::Byte,
            row_bit_13: false,
            row_bit_14: false,
            mask: u32::try_from(self.vram.bytes() / 4 - 1).expect("at most 64 MiB"),
        }
    }

    /// Panning in dots of the picture before any doubling.
    fn panning(&self, eight: bool) -> u32 {
        let value = u32::from(self.attribute[regs::ATTR_PANNING] & 0xF);
        // In 9-dot cells 8 means none, 0 to 7 mean one more.
        if eight { value & 7 } else { (value + 1) % 9 }
    }
}
