//! The test pattern: colour bars, a grey ramp, a grid and a frame. It moves nothing and depends on its size alone.

use vmwb_hw::{LineSet, MAX_SCANOUT, Scanout, ScanoutMode, TextScreen};

/// White, yellow, cyan, green, magenta, red, blue, black.
const BARS: [u32; 8] = [
    0xFF_FFFF, 0xFF_FF00, 0x00_FFFF, 0x00_FF00, 0xFF_00FF, 0xFF_0000, 0x00_00FF, 0x00_0000,
];
const GRID_STEP: u32 = 32;
const GRID: u32 = 0x40_4040;
const FRAME: u32 = 0xFF_FFFF;

/// A picture that proves colours, edges, sizes and line order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPattern {
    width: u32,
    height: u32,
}

impl TestPattern {
    /// A pattern of this size, held between 16 x 16 and 4096 x 4096.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width: width.clamp(16, MAX_SCANOUT),
            height: height.clamp(16, MAX_SCANOUT),
        }
    }

    /// Colour of one pixel, 00RRGGBBh.
    fn pixel(self, x: u32, y: u32) -> u32 {
        let on_frame = x == 0 || y == 0 || x == self.width - 1 || y == self.height - 1;
        let on_grid = x.is_multiple_of(GRID_STEP) || y.is_multiple_of(GRID_STEP);
        // Half bars, a quarter ramp, a quarter grid from top to bottom.
        match y * 4 / self.height {
            _ if on_frame => FRAME,
            0 | 1 => BARS[usize::try_from(x * 8 / self.width).expect("below 8")],
            2 => {
                let grey = x * 255 / (self.width - 1);
                grey << 16 | grey << 8 | grey
            }
            _ if on_grid => GRID,
            _ => 0,
        }
    }
}

impl Scanout for TestPattern {
    fn mode(&self) -> ScanoutMode {
        ScanoutMode {
            width: self.width,
            height: self.height,
        }
    }

    fn take_changes(&mut self, lines: &mut LineSet) {
        lines.insert(0..self.height);
    }

    fn draw(&self, first: u32, pixels: &mut [u32], stride: usize) {
        for (y, line) in (first..self.height).zip(pixels.chunks_exact_mut(stride.max(1))) {
            for (x, pixel) in (0..self.width).zip(line) {
                *pixel = self.pixel(x, y);
            }
        }
    }

    fn text(&self) -> Option<TextScreen> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_has_bars_ramp_grid_and_frame() {
        let p = TestPattern::new(1024, 768);
        assert_eq!(
            [64, 192, 960].map(|x| p.pixel(x, 100)),
            [0xFF_FFFF, 0xFF_FF00, 0]
        );
        assert_eq!((p.pixel(1, 500), p.pixel(1022, 500)), (0, 0xFE_FEFE));
        assert_eq!((p.pixel(33, 601), p.pixel(64, 601)), (0, GRID));
        assert_eq!([p.pixel(0, 400), p.pixel(1023, 767)], [FRAME; 2]);
    }

    #[test]
    fn pattern_of_no_size_is_held_in_range() {
        assert_eq!(
            TestPattern::new(0, u32::MAX).mode(),
            ScanoutMode {
                width: 16,
                height: 4096
            }
        );
    }
}
