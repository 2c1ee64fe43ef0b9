//! The palette DAC: 256 colours of three 6-bit components.

/// Three-byte colours with the index and component that the ports step through.
#[derive(Debug, Clone)]
pub(super) struct Dac {
    pub(super) palette: [[u8; 3]; 256],
    pub(super) mask: u8,
    pub(super) index: u8,
    /// 0 red, 1 green, 2 blue.
    pub(super) component: u8,
    pub(super) reading: bool,
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
        }
    }
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

    /// Writes the next component; tells whether it changed.
    pub(super) fn write(&mut self, value: u8) -> bool {
        let component = &mut self.palette[usize::from(self.index)][usize::from(self.component)];
        let changed = *component != value & 0x3F;
        *component = value & 0x3F;
        self.step();
        changed
    }

    /// Colour `index` through the pixel mask, as 00RRGGBBh.
    pub(super) fn colour(&self, index: u8) -> u32 {
        // 6 bits to 8: the top bits again below, so that 3Fh becomes FFh.
        let [r, g, b] = self.palette[usize::from(index & self.mask)].map(|c| c << 2 | c >> 4);
        u32::from_be_bytes([0, r, g, b])
    }
}
