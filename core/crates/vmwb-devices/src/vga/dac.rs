//! The palette DAC: 256 colours of three components, 6 bits wide or, when the Bochs VBE registers say so, 8.

/// Three-byte colours with the index and component that the ports step through.
#[derive(Debug, Clone)]
pub(super) struct Dac {
    pub(super) palette: [[u8; 3]; 256],
    pub(super) mask: u8,
    pub(super) index: u8,
    /// 0 red, 1 green, 2 blue.
    pub(super) component: u8,
    pub(super) reading: bool,
    /// Components have 8 bits.
    pub(super) wide: bool,
}

impl Default for Dac {
    /// The 64 colours of the EGA, which a BIOS loads for text modes: two bits a component, `rgbRGB` from bit 5 down.
    fn default() -> Self {
        let mut palette = [[0; 3]; 256];
        for (n, colour) in (0u8..64).zip(&mut palette) {
            let component = |strong: u8, weak: u8| (n >> strong & 1) * 42 + (n >> weak & 1) * 21;
            *colour = [component(2, 5), component(1, 4), component(0, 3)];
        }
        Self {
            palette,
            mask: 0xFF,
            index: 0,
            component: 0,
            reading: false,
            wide: false,
        }
    }
}

/// 6 bits to 8: the top bits again below, so that 3Fh becomes FFh.
fn widen(component: u8) -> u8 {
    component << 2 | component >> 4
}

impl Dac {
    /// DAC state at 3C7h: 3 after setting up for reading, 0 for writing.
    pub(super) fn state(&self) -> u8 {
        if self.reading { 3 } else { 0 }
    }

    pub(super) fn select(&mut self, index: u8, reading: bool) {
        self.index = index;
        self.component = 0;
        self.reading = reading;
    }

    pub(super) fn peek(&self) -> u8 {
        self.palette[usize::from(self.index)][usize::from(self.component)]
    }

    /// Goes on to the next component, after blue to the next colour.
    pub(super) fn step(&mut self) {
        self.component = (self.component + 1) % 3;
        if self.component == 0 {
            self.index = self.index.wrapping_add(1);
        }
    }

    /// Largest value of a component.
    pub(super) fn most(&self) -> u8 {
        if self.wide { 0xFF } else { 0x3F }
    }

    /// Writes the next component; tells whether it changed.
    pub(super) fn write(&mut self, value: u8) -> bool {
        let value = value & self.most();
        let component = &mut self.palette[usize::from(self.index)][usize::from(self.component)];
        let changed = *component != value;
        *component = value;
        self.step();
        changed
    }

    /// Changes the width of the components; the colours stay.
    pub(super) fn set_wide(&mut self, wide: bool) {
        if self.wide == wide {
            return;
        }
        self.wide = wide;
        for component in self.palette.as_flattened_mut() {
            *component = if wide {
                widen(*component)
            } else {
                *component >> 2
            };
        }
    }

    /// Colour `index` through the pixel mask, as 00RRGGBBh.
    pub(super) fn colour(&self, index: u8) -> u32 {
        let colour = self.palette[usize::from(index & self.mask)];
        let [r, g, b] = if self.wide { colour } else { colour.map(widen) };
        u32::from_be_bytes([0, r, g, b])
    }

    /// All colours.
    pub(super) fn colours(&self) -> [u32; 256] {
        let mut colours = [0; 256];
        for (n, colour) in (0..=255).zip(&mut colours) {
            *colour = self.colour(n);
        }
        colours
    }
}
