//! What the monitor shows: which part of the memory each line comes from, which lines have changed, and the lines drawn.
//!
//! ```text
//! registers -> Source: blank | text, planes by a Raster (CRTC, or a VBE mode of 16 colours) | Linear (VBE)
//! ```
//! Blinking is left out: cursor and characters are steady, so a screen that stands still costs nothing. So is the border.

mod linear;
mod planes;
mod raster;
mod text;

use vmwb_hw::{LineSet, Scanout, ScanoutMode, TextScreen};

use super::dispi::{self, Linear};
use super::{Vga, regs};
pub(super) use raster::{Line, Raster};
pub(super) use text::Cursor;

/// Most dots across of a picture.
pub const MAX_WIDTH: u32 = dispi::MAX_X as u32;
/// Most scan lines of a picture.
pub const MAX_HEIGHT: u32 = dispi::MAX_Y as u32;

const BLACK: u32 = 0;

/// Where the picture comes from.
enum Source {
    /// One colour.
    Blank(u32),
    Text(Raster),
    Planes(Raster),
    Linear(Linear),
}

fn index(n: u32) -> usize {
    usize::try_from(n).expect("32 bits fit")
}

impl Vga {
    fn source(&self) -> Source {
        if self.sequencer[regs::SEQ_CLOCKING] & regs::CLOCKING_OFF != 0 {
            return Source::Blank(BLACK);
        }
        if self.attribute_index & regs::ATTRIBUTE_SCREEN == 0 {
            return Source::Blank(self.dac.colour(self.attribute[regs::ATTR_OVERSCAN]));
        }
        match self.dispi.linear() {
            Some(linear) => Source::Linear(linear),
            None if self.is_text() => Source::Text(self.raster()),
            None => Source::Planes(self.raster()),
        }
    }

    /// Whether the registers describe characters. Both controllers have a bit for graphics, and either alone ends text:
    /// widely copied register tables set only the attribute controller's.
    pub(super) fn is_text(&self) -> bool {
        self.graphics[regs::GFX_MISC] & regs::GFX_MISC_GRAPHICS == 0
            && self.attribute[regs::ATTR_MODE] & regs::ATTR_GRAPHICS == 0
            && !self.dispi.is_enabled()
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

    /// The sixteen colours of text and planar modes as pixels, behind the mask of shown planes.
    fn sixteen_colours(&self) -> [u32; 16] {
        let enabled = self.attribute[regs::ATTR_PLANE_ENABLE];
        let mut colours = [BLACK; 16];
        for (n, colour) in (0u8..).zip(&mut colours) {
            *colour = self.dac.colour(self.dac_index(n & enabled));
        }
        colours
    }

    /// Adds the lines of a raster whose memory was written.
    fn add_written(&self, raster: &Raster, lines: &mut LineSet) {
        let mut last: Option<(Line, bool)> = None;
        for y in 0..raster.height {
            let line = raster.line(y);
            let written = match last {
                Some((same, written)) if same == line => written,
                _ => {
                    let (first, last) = raster.span(line);
                    self.written.touches(first, last)
                }
            };
            if written {
                lines.insert(y..y + 1);
            }
            last = Some((line, written));
        }
    }
}

impl Scanout for Vga {
    fn mode(&self) -> ScanoutMode {
        if self.dispi.is_enabled() {
            return ScanoutMode {
                width: u32::from(self.dispi.x_res),
                height: u32::from(self.dispi.y_res),
            };
        }
        let raster = self.raster();
        ScanoutMode {
            width: raster.width(),
            height: raster.height,
        }
    }

    fn take_changes(&mut self, lines: &mut LineSet) {
        self.vram.take_dirty(&mut self.written);
        let source = self.source();
        if self.redraw {
            self.redraw = false;
            lines.insert(0..self.mode().height);
            if let Source::Text(_) = source {
                self.note_text();
            }
        } else {
            match &source {
                Source::Blank(_) => {}
                Source::Text(raster) => self.add_changed_text(raster, lines),
                Source::Planes(raster) if !self.written.is_empty() => {
                    self.add_written(raster, lines);
                }
                Source::Linear(linear) if !self.written.is_empty() => {
                    let written = |&y: &u32| {
                        let (first, last) = linear.line(y);
                        self.written.touches(first, last)
                    };
                    (0..linear.height)
                        .filter(written)
                        .for_each(|y| lines.insert(y..y + 1));
                }
                Source::Planes(_) | Source::Linear(_) => {}
            }
        }
        self.written.clear();
    }

    fn draw(&self, first: u32, pixels: &mut [u32], stride: usize) {
        let ScanoutMode { width, height } = self.mode();
        let width = index(width);
        if stride < width {
            return;
        }
        let rows = (first..height).zip(pixels.chunks_exact_mut(stride));
        let rows = rows.map(|(y, row)| (y, &mut row[..width]));
        match self.source() {
            Source::Blank(colour) => rows.for_each(|(_, row)| row.fill(colour)),
            Source::Text(raster) => self.draw_text(&raster, rows),
            Source::Planes(raster) => self.draw_planes(&raster, rows),
            Source::Linear(linear) => self.draw_linear(&linear, rows),
        }
    }

    fn text(&self) -> Option<TextScreen> {
        self.is_text().then(|| self.text_screen(&self.raster()))
    }
}
