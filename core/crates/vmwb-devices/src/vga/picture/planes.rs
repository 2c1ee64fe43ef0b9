//! Graphics modes of the VGA: dots out of four planes.

use super::super::{Vga, regs};
use super::{BLACK, Line, Raster, index};

/// How the graphics controller hands the planes' bits on: four bits a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shift {
    /// One bit of each plane.
    Planar,
    /// The CGA's: two bits of planes 0 and 1 in turn, two more of planes 2 and 3.
    Pairs,
    /// Half a byte, plane by plane.
    Nibbles,
}

/// Dots of one character.
const DOTS: usize = 8;

/// The bits of a byte as eight bytes, bit 7 in the lowest.
fn eight_bits(byte: u8) -> u64 {
    // Byte n of the product keeps bit 7 - n alone; adding 7Fh carries it, wherever it is, to bit 7 of its byte.
    let alone = (u64::from(byte) * 0x0101_0101_0101_0101) & 0x0102_0408_1020_4080;
    (alone + 0x7F7F_7F7F_7F7F_7F7F) >> 7 & 0x0101_0101_0101_0101
}

impl Shift {
    /// The eight dots of one address, the leftmost first.
    fn dots(self, planes: u32) -> [u8; DOTS] {
        let bytes = planes.to_le_bytes();
        match self {
            Self::Planar => {
                let [a, b, c, d] = bytes.map(eight_bits);
                (a | b << 1 | c << 2 | d << 3).to_le_bytes()
            }
            Self::Pairs => std::array::from_fn(|dot| {
                let (plane, shift) = (dot / 4, 6 - 2 * (dot % 4));
                bytes[plane] >> shift & 3 | (bytes[plane + 2] >> shift & 3) << 2
            }),
            Self::Nibbles => std::array::from_fn(|dot| {
                let byte = bytes[dot / 2];
                if dot % 2 == 0 { byte >> 4 } else { byte & 0xF }
            }),
        }
    }
}

/// What turns dots into pixels.
struct Painter {
    shift: Shift,
    /// Two dots make one of 256 colours.
    is_256: bool,
    enabled: u8,
    sixteen: [u32; 16],
    all: [u32; 256],
}

impl Painter {
    fn paint(&self, planes: u32, out: &mut [u32; DOTS]) {
        if self.is_256 {
            let bytes = if self.shift == Shift::Nibbles {
                planes.to_le_bytes()
            } else {
                let dots = self.shift.dots(planes);
                [0, 2, 4, 6].map(|n| dots[n] << 4 | dots[n + 1])
            };
            let enabled = self.enabled << 4 | self.enabled;
            for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
                *pair = [self.all[usize::from(byte & enabled)]; 2];
            }
            return;
        }
        for (pixel, dot) in out.iter_mut().zip(self.shift.dots(planes)) {
            *pixel = self.sixteen[usize::from(dot & 0xF)];
        }
    }
}

impl Vga {
    fn painter(&self) -> Painter {
        let mode = self.graphics[regs::GFX_MODE];
        let is_256 =
            self.attribute[regs::ATTR_MODE] & regs::ATTR_256 != 0 && !self.dispi.is_planar();
        Painter {
            shift: if self.dispi.is_planar() {
                Shift::Planar
            } else if mode & regs::MODE_SHIFT_256 != 0 {
                Shift::Nibbles
            } else if mode & regs::MODE_SHIFT_PAIRS != 0 {
                Shift::Pairs
            } else {
                Shift::Planar
            },
            is_256,
            enabled: self.attribute[regs::ATTR_PLANE_ENABLE] & 0xF,
            sixteen: self.sixteen_colours(),
            all: if is_256 {
                self.dac.colours()
            } else {
                [BLACK; 256]
            },
        }
    }

    pub(super) fn draw_planes<'a>(
        &self,
        raster: &Raster,
        rows: impl Iterator<Item = (u32, &'a mut [u32])>,
    ) {
        let painter = self.painter();
        // One character more than is shown, for panning.
        let mut dots = vec![[BLACK; DOTS]; index(raster.columns) + 1];
        let mut words = vec![[0; 4]; dots.len()];
        let mut drawn = None;
        for (y, row) in rows {
            let line = raster.line(y);
            if drawn != Some(line) {
                self.read_words(raster, line, &mut words);
                for (planes, dots) in words.iter().zip(&mut dots) {
                    painter.paint(u32::from_le_bytes(*planes), dots);
                }
                drawn = Some(line);
            }
            let panning = index(line.panning);
            // A colour of 256 is two dots wide: panning moves by whole ones.
            let skip = if painter.is_256 { panning & 6 } else { panning };
            copy_dots(&dots.as_flattened()[skip..], raster.wide_dots, row);
        }
    }

    /// Reads what a line shows of the planes.
    fn read_words(&self, raster: &Raster, line: Line, words: &mut [[u8; 4]]) {
        if let Some(first) = raster.run(line) {
            let offset = u64::from(first) * 4;
            return self.vram.read(offset, words.as_flattened_mut());
        }
        for (column, word) in (0..).zip(words) {
            let address = raster.address(raster.counter(line, column), line.row_scan);
            *word = self.vram.word(address).to_le_bytes();
        }
    }
}

/// Copies dots into a row of pixels, each twice where they are wide.
pub(super) fn copy_dots(dots: &[u32], wide: bool, row: &mut [u32]) {
    if wide {
        for (pair, &dot) in row.chunks_mut(2).zip(dots) {
            pair.fill(dot);
        }
        return;
    }
    let n = row.len().min(dots.len());
    row[..n].copy_from_slice(&dots[..n]);
}
