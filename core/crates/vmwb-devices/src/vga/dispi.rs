//! The Bochs VBE registers: modes beyond the VGA's, with a linear frame buffer and a banked window (Bochs VBE Display API;
//! what its drivers expect: SeaBIOS `vgasrc/bochsvga.c`, Linux `bochs.c`).
//!
//! | Index | Register |
//! |---|---|
//! | 0 | identification, B0C0h to B0C5h: the version that the driver asks for reads back |
//! | 1, 2, 3 | pixels across, lines, bits of a pixel (4, 8, 15, 16, 24, 32; 0 means 8); the largest ones while bit 1 of 4 is set |
//! | 4 | bit 0 enable, 1 show the largest values, 5 DAC of 8 bits, 6 linear frame buffer, 7 keep what the memory holds |
//! | 5 | 64-KiB bank of the window at A0000h |
//! | 6, 7 | pixels from line to line; lines that fit the memory (read only) |
//! | 8, 9 | first pixel and first line of the picture |
//! | 10 | memory in units of 64 KiB (read only) |

/// Most pixels across of a mode.
pub(super) const MAX_X: u16 = 2560;
/// Most lines of a mode.
pub(super) const MAX_Y: u16 = 1600;
const MAX_BPP: u16 = 32;

/// Register numbers.
pub(super) mod index {
    pub const ID: u16 = 0;
    pub const X_RES: u16 = 1;
    pub const Y_RES: u16 = 2;
    pub const BPP: u16 = 3;
    pub const ENABLE: u16 = 4;
    pub const BANK: u16 = 5;
    pub const VIRT_WIDTH: u16 = 6;
    pub const VIRT_HEIGHT: u16 = 7;
    pub const X_OFFSET: u16 = 8;
    pub const Y_OFFSET: u16 = 9;
    pub const MEMORY: u16 = 10;
}

/// Enable: the mode is on.
pub(super) const ENABLED: u16 = 1 << 0;
/// Enable: registers 1 to 3 read as the largest values.
pub(super) const CAPABILITIES: u16 = 1 << 1;
/// Enable: the DAC has 8 bits a component.
pub(super) const WIDE_DAC: u16 = 1 << 5;
/// Enable: the linear frame buffer is used; it answers in any case.
pub(super) const LINEAR: u16 = 1 << 6;
/// Enable: what the memory holds stays.
pub(super) const KEEP_MEMORY: u16 = 1 << 7;
const ENABLE_BITS: u16 = ENABLED | CAPABILITIES | WIDE_DAC | LINEAR | KEEP_MEMORY;

const FIRST_ID: u16 = 0xB0C0;
const LAST_ID: u16 = 0xB0C5;
/// Bytes of a bank.
pub(super) const BANK_BYTES: u64 = 0x1_0000;

/// The registers. Every value is one that [`Dispi::write`] lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispi {
    pub(super) index: u16,
    pub(super) id: u16,
    pub(super) x_res: u16,
    pub(super) y_res: u16,
    pub(super) bpp: u16,
    pub(super) enable: u16,
    pub(super) bank: u16,
    pub(super) virt_width: u16,
    pub(super) x_offset: u16,
    pub(super) y_offset: u16,
}

impl Default for Dispi {
    fn default() -> Self {
        Self {
            index: 0,
            id: LAST_ID,
            x_res: 640,
            y_res: 480,
            bpp: 8,
            enable: 0,
            bank: 0,
            virt_width: 640,
            x_offset: 0,
            y_offset: 0,
        }
    }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that shows.
    None,
    /// The picture may look different.
    Shown,
    /// A mode was switched on.
    On,
}

/// How a mode with whole bytes to a pixel lies in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) bpp: u16,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes of a pixel.
    pub(super) pixel_bytes: u32,
    /// Bytes from line to line.
    pub(super) line_bytes: u32,
    /// First byte of the picture.
    pub(super) start: u64,
}

impl Linear {
    /// First and last byte of a line of the picture.
    pub(super) fn line(&self, y: u32) -> (u64, u64) {
        let first = self.start + u64::from(y) * u64::from(self.line_bytes);
        (first, first + u64::from(self.width * self.pixel_bytes) - 1)
    }
}

impl Dispi {
    pub(super) fn is_enabled(&self) -> bool {
        self.enable & ENABLED != 0
    }

    /// Whether the mode has four planes, as the VGA's modes of 16 colours.
    pub(super) fn is_planar(&self) -> bool {
        self.is_enabled() && self.bpp == 4
    }

    /// Pixels from line to line.
    pub(super) fn pitch(&self) -> u32 {
        u32::from(self.virt_width.max(self.x_res))
    }

    /// The mode as it lies in the memory, when one with whole bytes to a pixel is on.
    pub(super) fn linear(&self) -> Option<Linear> {
        if !self.is_enabled() || self.bpp == 4 {
            return None;
        }
        let pixel_bytes = u32::from(self.bpp.div_ceil(8));
        let line_bytes = self.pitch() * pixel_bytes;
        Some(Linear {
            bpp: self.bpp,
            width: u32::from(self.x_res),
            height: u32::from(self.y_res),
            pixel_bytes,
            line_bytes,
            start: u64::from(self.y_offset) * u64::from(line_bytes)
                + u64::from(self.x_offset) * u64::from(pixel_bytes),
        })
    }

    /// Bytes of memory of one line of the mode that is set.
    fn line_bytes(&self, pixels: u32) -> u64 {
        // Four planes of an eighth of a byte each are half a byte.
        let bits = if self.bpp == 15 { 16 } else { self.bpp };
        u64::from(pixels) * u64::from(bits) / 8
    }

    /// Bytes of memory that the picture covers from the start.
    pub(super) fn picture_bytes(&self) -> u64 {
        self.line_bytes(self.pitch()) * u64::from(self.y_res)
    }

    pub(super) fn read(&self, register: u16, memory_bytes: u64) -> u16 {
        let narrow = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        let largest = self.enable & CAPABILITIES != 0;
        match register {
            index::ID => self.id,
            index::X_RES if largest => MAX_X,
            index::Y_RES if largest => MAX_Y,
            index::BPP if largest => MAX_BPP,
            index::X_RES => self.x_res,
            index::Y_RES => self.y_res,
            index::BPP => self.bpp,
            index::ENABLE => self.enable,
            index::BANK => self.bank,
            index::VIRT_WIDTH => narrow(u64::from(self.pitch())),
            index::VIRT_HEIGHT => narrow(memory_bytes / self.line_bytes(self.pitch()).max(1)),
            index::X_OFFSET => self.x_offset,
            index::Y_OFFSET => self.y_offset,
            index::MEMORY => narrow(memory_bytes / BANK_BYTES),
            _ => 0,
        }
    }

    /// Writes; a value that is not possible is left out.
    pub(super) fn write(&mut self, register: u16, value: u16, memory_bytes: u64) -> Effect {
        let before = self.clone();
        match register {
            index::ID if (FIRST_ID..=LAST_ID).contains(&value) => self.id = value,
            index::X_RES if (1..=MAX_X).contains(&value) => self.x_res = value,
            index::Y_RES if (1..=MAX_Y).contains(&value) => self.y_res = value,
            index::BPP if value == 0 => self.bpp = 8,
            index::BPP if [4, 8, 15, 16, 24, 32].contains(&value) => self.bpp = value,
            index::ENABLE => return self.write_enable(value),
            index::BANK => {
                // Bits above the number say which accesses it is for (BIOSes write C000h for both): there is one bank for all.
                let banks = u16::try_from(memory_bytes / BANK_BYTES).unwrap_or(u16::MAX);
                self.bank = value & banks.saturating_sub(1);
            }
            index::VIRT_WIDTH if self.fits(value, memory_bytes) => self.virt_width = value,
            index::X_OFFSET => self.x_offset = value,
            index::Y_OFFSET => self.y_offset = value,
            _ => {}
        }
        let shows = self.is_enabled() && register != index::BANK && before != *self;
        if shows { Effect::Shown } else { Effect::None }
    }

    /// Whether the picture fits the memory with lines of so many pixels.
    fn fits(&self, pixels: u16, memory_bytes: u64) -> bool {
        self.line_bytes(u32::from(pixels)) * u64::from(self.y_res) <= memory_bytes
    }

    fn write_enable(&mut self, value: u16) -> Effect {
        let before = self.enable;
        self.enable = value & ENABLE_BITS;
        if self.enable & !before & ENABLED != 0 {
            self.virt_width = self.x_res;
            (self.x_offset, self.y_offset, self.bank) = (0, 0, 0);
            return Effect::On;
        }
        if (self.enable ^ before) & (ENABLED | WIDE_DAC) != 0 {
            Effect::Shown
        } else {
            Effect::None
        }
    }

    /// Whether these are values that [`Dispi::write`] lets in, for restored ones.
    pub(super) fn is_sound(&self, memory_bytes: u64) -> bool {
        (FIRST_ID..=LAST_ID).contains(&self.id)
            && (1..=MAX_X).contains(&self.x_res)
            && (1..=MAX_Y).contains(&self.y_res)
            && [4, 8, 15, 16, 24, 32].contains(&self.bpp)
            && self.enable & !ENABLE_BITS == 0
            && u64::from(self.bank) < memory_bytes / BANK_BYTES
    }
}
