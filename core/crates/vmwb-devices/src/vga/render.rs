//! What the monitor shows: text and graphics modes drawn line by line, and the text screen as cells.

use vmwb_hw::{LineSet, Scanout, ScanoutMode, TextCell, TextScreen};

use super::{GLYPH_STRIDE, Vga, regs};

/// Most dots across that a guest can program here.
pub const MAX_WIDTH: u32 = 2048;
/// Most scan lines.
pub const MAX_HEIGHT: u32 = 1024;

const BLACK: u32 = 0;

/// Address counter and row scan of one scan line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    counter: u32,
    row_scan: u8,
    /// Dots to leave out at the left.
    panning: u32,
}

/// What all lines of a text picture share.
struct TextStyle {
    colours: [u32; 16],
    dots: u32,
    font_a: usize,
    font_b: usize,
    blink: bool,
    line_graphics: bool,
    underline: u8,
    cursor: Option<u32>,
}

impl Vga {
    /// Scan lines of the picture: vertical display end with its two high bits.
    pub(super) fn scan_lines(&self) -> u32 {
        let overflow = u32::from(self.crtc[regs::CRTC_OVERFLOW]);
        let end = u32::from(self.crtc[regs::CRTC_DISPLAY_END_Y])
            | (overflow & 2) << 7
            | (overflow & 0x40) << 3;
        (end + 1).min(MAX_HEIGHT)
    }

    fn columns(&self) -> u32 {
        u32::from(self.crtc[regs::CRTC_DISPLAY_END_X]) + 1
    }

    fn is_graphics(&self) -> bool {
        self.graphics[regs::GFX_MISC] & regs::GFX_MISC_GRAPHICS != 0
    }

    fn is_on(&self) -> bool {
        let clocking = self.sequencer[regs::SEQ_CLOCKING];
        clocking & regs::CLOCKING_OFF == 0 && self.attribute_index & regs::ATTRIBUTE_SCREEN != 0
    }

    /// Dots of a character cell: 9 only in text modes.
    fn cell_dots(&self) -> u32 {
        let eight = self.sequencer[regs::SEQ_CLOCKING] & regs::CLOCKING_8_DOTS != 0;
        if eight || self.is_graphics() { 8 } else { 9 }
    }

    /// 2 where the sequencer halves the dot clock.
    fn dot_width(&self) -> u32 {
        if self.sequencer[regs::SEQ_CLOCKING] & regs::CLOCKING_HALF != 0 {
            2
        } else {
            1
        }
    }

    fn cell_height(&self) -> u8 {
        (self.crtc[regs::CRTC_MAX_SCAN] & 0x1F) + 1
    }

    fn line_repeat(&self) -> u32 {
        if self.crtc[regs::CRTC_MAX_SCAN] & regs::MAX_SCAN_DOUBLE != 0 {
            2
        } else {
            1
        }
    }

    fn pair(&self, high: usize) -> u32 {
        u32::from(self.crtc[high]) << 8 | u32::from(self.crtc[high + 1])
    }

    fn line_compare(&self) -> u32 {
        let overflow = u32::from(self.crtc[regs::CRTC_OVERFLOW] & 0x10) << 4;
        let max_scan = u32::from(self.crtc[regs::CRTC_MAX_SCAN] & 0x40) << 3;
        u32::from(self.crtc[regs::CRTC_LINE_COMPARE]) | overflow | max_scan
    }

    /// Counts from one row to the next.
    fn row_pitch(&self) -> u32 {
        u32::from(self.crtc[regs::CRTC_OFFSET]) * 2
    }

    /// Where the CRTC stands on scan line `y`.
    fn line(&self, y: u32) -> Line {
        let height = u32::from(self.cell_height()) * self.line_repeat();
        let split = self.line_compare();
        let (from_top, start, preset, panning) = if y > split {
            let stays = self.attribute[regs::ATTR_MODE] & regs::ATTR_PAN_SPLIT == 0;
            (y - split - 1, 0, 0, if stays { self.panning() } else { 0 })
        } else {
            let preset = self.crtc[regs::CRTC_PRESET_ROW];
            let start = self.pair(regs::CRTC_START_HIGH) + u32::from(preset >> 5 & 3);
            (
                y,
                start,
                u32::from(preset & 0x1F) * self.line_repeat(),
                self.panning(),
            )
        };
        let scan = from_top + preset;
        let row_scan = scan % height / self.line_repeat();
        Line {
            counter: start + scan / height * self.row_pitch(),
            row_scan: u8::try_from(row_scan).expect("a cell has at most 32 lines"),
            panning,
        }
    }

    /// Panning in dots of the picture before any doubling.
    fn panning(&self) -> u32 {
        let value = u32::from(self.attribute[regs::ATTR_PANNING] & 0xF);
        // In 9-dot cells 8 means none, 0 to 7 mean one more.
        if self.cell_dots() == 9 {
            (value + 1) % 9
        } else {
            value & 7
        }
    }

    /// Address in the planes of a count of the CRTC (PS/2 Hardware Interface Technical Reference, CRTC Mode Control).
    fn address(&self, counter: u32, row_scan: u8) -> usize {
        let mode = self.crtc[regs::CRTC_MODE];
        let mut address = if self.crtc[regs::CRTC_UNDERLINE] & regs::UNDERLINE_DWORD != 0 {
            counter << 2
        } else if mode & regs::MODE_BYTE != 0 {
            counter
        } else {
            let wrap = if mode & regs::MODE_WRAP_15 != 0 {
                15
            } else {
                13
            };
            counter << 1 | counter >> wrap & 1
        };
        if mode & regs::MODE_KEEP_13 == 0 {
            address = address & !(1 << 13) | u32::from(row_scan & 1) << 13;
        }
        if mode & regs::MODE_KEEP_14 == 0 {
            address = address & !(1 << 14) | u32::from(row_scan & 2) << 13;
        }
        usize::try_from(address & 0xFFFF).expect("16 bits")
    }

    /// The DAC's index of an attribute controller colour.
    fn dac_index(&self, colour: u8) -> u8 {
        let entry = self.attribute[usize::from(colour & 0xF)];
        let select = self.attribute[regs::ATTR_SELECT];
        let low = if self.attribute[regs::ATTR_MODE] & regs::ATTR_SELECT_54 != 0 {
            entry & 0xF | (select & 3) << 4
        } else {
            entry & 0x3F
        };
        low | (select & 0xC) << 4
    }

    /// The sixteen colours of text and planar modes as pixels.
    fn colours(&self) -> [u32; 16] {
        let mut colours = [BLACK; 16];
        for (n, colour) in (0u8..).zip(&mut colours) {
            *colour = self.dac.colour(self.dac_index(n));
        }
        colours
    }

    // --- text ----------------------------------------------------------------------------------------------------

    fn text_style(&self) -> TextStyle {
        let map = self.sequencer[regs::SEQ_CHARACTER_MAP];
        // Maps 0 to 3 lie 16 KiB apart, 4 to 7 in the middles between them.
        let font = |low: u8, high: u8| usize::from(low) * 0x4000 + usize::from(high) * 0x2000;
        let mode = self.attribute[regs::ATTR_MODE];
        TextStyle {
            colours: self.colours(),
            dots: self.cell_dots(),
            font_a: font(map >> 2 & 3, map >> 5 & 1),
            font_b: font(map & 3, map >> 4 & 1),
            blink: mode & regs::ATTR_BLINK != 0,
            line_graphics: mode & regs::ATTR_LINE_GRAPHICS != 0,
            underline: self.crtc[regs::CRTC_UNDERLINE] & 0x1F,
            cursor: self
                .cursor_lines()
                .map(|_| self.pair(regs::CRTC_CURSOR_HIGH)),
        }
    }

    /// First and last line of the cursor in its cell, when it is on.
    fn cursor_lines(&self) -> Option<(u8, u8)> {
        let start = self.crtc[regs::CRTC_CURSOR_START];
        let (first, last) = (start & 0x1F, self.crtc[regs::CRTC_CURSOR_END] & 0x1F);
        let shown = start & regs::CURSOR_OFF == 0 && first <= last && first < self.cell_height();
        shown.then_some((first, last))
    }

    fn cell(&self, counter: u32) -> TextCell {
        // Text modes keep address bits 13 and 14, so the row scan does not matter.
        let [character, attribute, ..] = self.planes[self.address(counter, 0)].to_le_bytes();
        TextCell {
            character,
            attribute,
        }
    }

    /// Draws the dots of one cell on one line; the leftmost is bit 8, of nine.
    fn cell_dots_on(&self, style: &TextStyle, cell: TextCell, row: u8, cursor: bool) -> u16 {
        let font = if cell.attribute & 8 != 0 {
            style.font_a
        } else {
            style.font_b
        };
        let at = font + usize::from(cell.character) * GLYPH_STRIDE + usize::from(row);
        let glyph = self.planes[at & 0xFFFF].to_le_bytes()[2];
        let repeats = style.line_graphics && (0xC0..=0xDF).contains(&cell.character);
        let ninth = u16::from(glyph & u8::from(repeats));
        let underlined = cell.attribute & 0x77 == 1 && row == style.underline;
        let (first, last) = self.cursor_lines().unwrap_or((1, 0));
        if underlined || cursor && (first..=last).contains(&row) {
            0x1FF
        } else {
            u16::from(glyph) << 1 | ninth
        }
    }

    fn draw_text_line(&self, style: &TextStyle, line: Line, out: &mut [u32]) {
        let background_mask = if style.blink { 7 } else { 15 };
        let mut x = 0usize;
        let mut skip = line.panning;
        for column in 0..=self.columns() {
            let counter = line.counter + column;
            let cell = self.cell(counter);
            let dots = self.cell_dots_on(style, cell, line.row_scan, style.cursor == Some(counter));
            let foreground = style.colours[usize::from(cell.attribute & 15)];
            let background = style.colours[usize::from(cell.attribute >> 4 & background_mask)];
            for dot in 0..style.dots {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let Some(pixel) = out.get_mut(x) else { return };
                *pixel = if dots >> (8 - dot) & 1 != 0 {
                    foreground
                } else {
                    background
                };
                x += 1;
            }
        }
    }

    // --- graphics ------------------------------------------------------------------------------------------------

    fn draw_graphics_line(&self, colours: &[u32; 16], line: Line, out: &mut [u32]) {
        let mode = self.graphics[regs::GFX_MODE];
        let enabled = self.attribute[regs::ATTR_PLANE_ENABLE] & 0xF;
        let is_256 = mode & regs::MODE_SHIFT_256 != 0;
        let pairs = mode & regs::MODE_SHIFT_PAIRS != 0;
        let skip = if is_256 {
            line.panning & 6
        } else {
            line.panning
        };
        let mut dots = (0..=self.columns()).flat_map(|column| {
            let planes =
                self.planes[self.address(line.counter + column, line.row_scan)].to_le_bytes();
            (0..8u8).map(move |dot| {
                if is_256 {
                    self.dac.colour(planes[usize::from(dot / 2)])
                } else {
                    let colour = if pairs {
                        pair_colour(planes, dot)
                    } else {
                        planar_colour(planes, dot)
                    };
                    colours[usize::from(colour & enabled)]
                }
            })
        });
        let mut dots = dots.by_ref().skip(usize::try_from(skip).expect("below 8"));
        for pixel in out {
            *pixel = dots.next().unwrap_or(BLACK);
        }
    }
}

/// Colour of dot `dot` of eight: one bit from each plane.
fn planar_colour(planes: [u8; 4], dot: u8) -> u8 {
    (0u8..).zip(planes).fold(0, |colour, (n, plane)| {
        colour | (plane >> (7 - dot) & 1) << n
    })
}

/// Colour of dot `dot` of eight in the CGA's four-colour modes: two bits from planes 0 and 1 in turn, two more from
/// planes 2 and 3.
fn pair_colour(planes: [u8; 4], dot: u8) -> u8 {
    let shift = 6 - 2 * (dot & 3);
    let plane = usize::from(dot / 4);
    planes[plane] >> shift & 3 | (planes[plane + 2] >> shift & 3) << 2
}

impl Scanout for Vga {
    fn mode(&self) -> ScanoutMode {
        let width = (self.columns() * self.cell_dots() * self.dot_width()).min(MAX_WIDTH);
        ScanoutMode {
            width,
            height: self.scan_lines(),
        }
    }

    fn take_changes(&mut self, lines: &mut LineSet) {
        if self.taken != self.version {
            self.taken = self.version;
            lines.insert(0..self.scan_lines());
        }
    }

    fn draw(&self, first: u32, pixels: &mut [u32], stride: usize) {
        let ScanoutMode { width, height } = self.mode();
        let doubled = usize::from(self.dot_width() == 2);
        let width = usize::try_from(width).expect("at most 2048");
        let mut dots = vec![BLACK; width >> doubled];
        let style = self.text_style();
        let mut drawn = None;
        for (y, row) in (first..height).zip(pixels.chunks_exact_mut(stride.max(1))) {
            let line = self.line(y);
            if self.is_on() && drawn != Some(line) {
                if self.is_graphics() {
                    self.draw_graphics_line(&style.colours, line, &mut dots);
                } else {
                    self.draw_text_line(&style, line, &mut dots);
                }
                drawn = Some(line);
            }
            for (x, pixel) in row.iter_mut().take(width).enumerate() {
                *pixel = dots[x >> doubled];
            }
        }
    }

    fn text(&self) -> Option<TextScreen> {
        if self.is_graphics() {
            return None;
        }
        let height = u32::from(self.cell_height()) * self.line_repeat();
        let (columns, rows) = (self.columns(), self.scan_lines() / height);
        let start = self.pair(regs::CRTC_START_HIGH);
        let cells = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| start + row * self.row_pitch() + column))
            .map(|counter| self.cell(counter))
            .collect();
        let narrow = |n: u32| u16::try_from(n).expect("at most 1024");
        let cursor = self.cursor_lines().and_then(|_| {
            let at = self.pair(regs::CRTC_CURSOR_HIGH).checked_sub(start)?;
            let (column, row) = (
                at.checked_rem(self.row_pitch())?,
                at.checked_div(self.row_pitch())?,
            );
            (column < columns && row < rows).then(|| (narrow(column), narrow(row)))
        });
        Some(TextScreen {
            columns: narrow(columns),
            rows: narrow(rows),
            cells,
            cursor,
        })
    }
}
