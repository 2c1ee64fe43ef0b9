//! Modes with whole bytes to a pixel: lines of the memory turned into pixels.

use super::super::Vga;
use super::super::dispi::Linear;
use super::index;

/// 5 bits to 8.
fn five(bits: u32) -> u32 {
    let bits = bits & 0x1F;
    bits << 3 | bits >> 2
}

/// 6 bits to 8.
fn six(bits: u32) -> u32 {
    let bits = bits & 0x3F;
    bits << 2 | bits >> 4
}

fn from_555(pixel: u16) -> u32 {
    let pixel = u32::from(pixel);
    five(pixel >> 10) << 16 | five(pixel >> 5) << 8 | five(pixel)
}

fn from_565(pixel: u16) -> u32 {
    let pixel = u32::from(pixel);
    five(pixel >> 11) << 16 | six(pixel >> 5) << 8 | five(pixel)
}

impl Vga {
    pub(super) fn draw_linear<'a>(
        &self,
        mode: &Linear,
        rows: impl Iterator<Item = (u32, &'a mut [u32])>,
    ) {
        let mut bytes = vec![0; index(mode.width * mode.pixel_bytes)];
        let colours = self.dac.colours();
        for (y, row) in rows {
            self.vram.read(mode.line(y).0, &mut bytes);
            match mode.bpp {
                8 => {
                    for (pixel, &byte) in row.iter_mut().zip(&bytes) {
                        *pixel = colours[usize::from(byte)];
                    }
                }
                15 => {
                    for (pixel, &pair) in row.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *pixel = from_555(u16::from_le_bytes(pair));
                    }
                }
                16 => {
                    for (pixel, &pair) in row.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *pixel = from_565(u16::from_le_bytes(pair));
                    }
                }
                24 => {
                    for (pixel, &[b, g, r]) in row.iter_mut().zip(bytes.as_chunks::<3>().0) {
                        *pixel = u32::from_le_bytes([b, g, r, 0]);
                    }
                }
                _ => {
                    for (pixel, &four) in row.iter_mut().zip(bytes.as_chunks::<4>().0) {
                        *pixel = u32::from_le_bytes(four) & 0x00FF_FFFF;
                    }
                }
            }
        }
    }
}
