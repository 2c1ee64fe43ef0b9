//! The display adapter: a VGA with four planes, the Bochs VBE modes beyond it, and a linear frame buffer on the PCI bus.
//!
//! It comes up in mode 3 (80 by 25 characters) with a palette; firmware loads the font, and direct boot, which has none,
//! calls [`Vga::show_text_screen`]. The picture is what a monitor would get, in dots and scan lines; [`vmwb_hw::Scanout`]
//! draws it line by line when asked.
//!
//! Offsets: ports count from 3B0h ([`VGA_PORT_BASE`]), the Bochs VBE registers' 1CEh to 1D0h are
//! [`DISPI_PORT_OFFSET`] and up, memory counts from A0000h ([`VGA_WINDOW_BASE`]). Words and double words of the VGA are
//! bytes at ascending addresses, as on the ISA bus; the Bochs VBE registers are words.
//!
//! | Modelled | Omitted |
//! |---|---|
//! | CRTC, sequencer, graphics and attribute controllers, DAC, both status registers with retrace timing, planes with read modes 0 and 1 and write modes 0 to 3, chain 4, odd/even; start address, row scan, panning, line compare, cursor, underline, two character maps, 9-dot cells, counting by words, double words, 2 and 4; Bochs VBE with 4 to 32 bits a pixel; EDID; ROM | blinking (the cursor and blinking characters are steady, so an idle screen costs nothing), border, light pen, vertical interrupt, shift load and shift 4, display skew, the diagnostic bits of input status 1 |
//!
//! | Threat | Answer |
//! |---|---|
//! | Absurd sizes in the registers | the picture is at most [`MAX_WIDTH`] by [`MAX_HEIGHT`]; addresses wrap at the memory's end |
//! | A flood of writes | each costs a few operations; drawing happens at the host's rate |
//! | Clearing the memory again and again by switching a mode | bounded by one picture, some milliseconds an access |

mod dac;
mod dispi;
mod edid;
mod font;
mod glyphs;
mod memory;
mod pci;
mod picture;
mod regs;
mod snapshot;
#[cfg(test)]
mod tests;
mod timing;
mod vram;

use std::sync::Arc;

use vmwb_hw::{
    AccessSize, Ctx, Device, GuestMemory, MmioDevice, Nanos, Payload, PioDevice, RegionId,
    ResetKind, Schema, SnapshotError,
};

use crate::bits::not_decoded;
use crate::pci::{ConfigSpace, PciFunction};
use dac::Dac;
use dispi::{Dispi, Effect};
pub use font::{GLYPH_ROWS, GLYPHS, font_8x16};
use memory::Planes;
pub use pci::LinearPicture;
use picture::Cursor;
pub use picture::{MAX_HEIGHT, MAX_WIDTH};
use regs::port;
pub use regs::{
    DISPI_PORT_BASE, DISPI_PORT_OFFSET, DISPI_PORTS, VGA_PORT_BASE, VGA_PORTS, VGA_WINDOW_BASE,
    VGA_WINDOW_BYTES,
};
pub use snapshot::{DispiV2, VgaV1, VgaV2};
pub use vram::VgaError;
use vram::{PageSet, Vram};

/// Bytes of a glyph in plane 2: 32, of which the cell's height is used.
const GLYPH_STRIDE: usize = 32;
/// A space, light grey on black: what clears a text screen.
const BLANK_CELL: [u8; 2] = [b' ', 0x07];

/// The adapter. See the module's head.
#[derive(Debug)]
pub struct Vga {
    misc: u8,
    feature: u8,
    sequencer_index: u8,
    sequencer: [u8; regs::SEQUENCER_COUNT],
    crtc_index: u8,
    crtc: [u8; regs::CRTC_COUNT],
    graphics_index: u8,
    graphics: [u8; regs::GRAPHICS_COUNT],
    attribute_index: u8,
    attribute: [u8; regs::ATTRIBUTE_COUNT],
    attribute_data_next: bool,
    dac: Dac,
    latches: Planes,
    dispi: Dispi,
    config: ConfigSpace,
    rom: Vec<u8>,
    vram: Vram,
    // What follows is about the picture that was taken last, and no state of the machine.
    /// All lines may look different.
    redraw: bool,
    /// Pages of display memory that were written.
    written: PageSet,
    shown_glyphs: Vec<u8>,
    shown_cursor: Option<Cursor>,
}

/// Writes `value` to a register where it changes something; tells whether it did.
fn change(register: &mut u8, value: u8) -> bool {
    let changed = *register != value;
    *register = value;
    changed
}

impl Vga {
    /// An adapter whose display memory is the Video region `video` of `memory`: a power of two from 256 KiB to 64 MiB.
    /// `rom` is its BIOS, at most 128 KiB; empty: it has none. The memory is left as it is.
    ///
    /// # Errors
    /// [`VgaError`].
    pub fn new(memory: Arc<GuestMemory>, video: RegionId, rom: Vec<u8>) -> Result<Self, VgaError> {
        let vram = Vram::new(memory, video)?;
        Ok(Self {
            misc: regs::MODE_3_MISC,
            feature: 0,
            sequencer_index: 0,
            sequencer: regs::MODE_3_SEQUENCER,
            crtc_index: 0,
            crtc: regs::MODE_3_CRTC,
            graphics_index: 0,
            graphics: regs::MODE_3_GRAPHICS,
            attribute_index: regs::ATTRIBUTE_SCREEN,
            attribute: regs::MODE_3_ATTRIBUTE,
            attribute_data_next: false,
            dac: Dac::default(),
            latches: 0,
            dispi: Dispi::default(),
            config: pci::config_space(&vram, &rom)?,
            rom,
            redraw: true,
            written: PageSet::new(vram.bytes()),
            vram,
            shown_glyphs: Vec::new(),
            shown_cursor: None,
        })
    }

    /// Loads the character set and clears the text screen, as a BIOS does: for a boot without firmware.
    pub fn show_text_screen(&mut self) {
        let [character, attribute] = BLANK_CELL;
        // Odd/even addressing leaves the odd addresses of the planes unused.
        let mut words = vec![0; 0x8000];
        for cell in words.iter_mut().step_by(2) {
            *cell = u32::from_le_bytes([character, attribute, 0, 0]);
        }
        for (at, glyph) in font_8x16().iter().enumerate() {
            for (row, &bits) in glyph.iter().enumerate() {
                words[at * GLYPH_STRIDE + row] |= u32::from(bits) << 16;
            }
        }
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        self.vram.write(0, &bytes);
    }

    fn is_colour(&self) -> bool {
        self.misc & regs::MISC_COLOUR != 0
    }

    /// The port's meaning independent of where CRTC and status are; `None` when they are at the other address.
    fn decode(&self, offset: u16) -> Option<u16> {
        match offset {
            port::CRTC_INDEX_MONO | port::CRTC_DATA_MONO | port::STATUS_1_MONO => {
                (!self.is_colour()).then_some(offset + 0x20)
            }
            port::CRTC_INDEX | port::CRTC_DATA | port::STATUS_1 => {
                self.is_colour().then_some(offset)
            }
            _ => Some(offset),
        }
    }

    fn read_port(&self, now: Nanos, offset: u16) -> u8 {
        let register = |file: &[u8], index: u8| file.get(usize::from(index)).copied().unwrap_or(0);
        match self.decode(offset) {
            Some(port::ATTRIBUTE) => self.attribute_index,
            Some(port::ATTRIBUTE_READ) => register(&self.attribute, self.attribute_index & 0x1F),
            // Input status 0: no vertical interrupt, monitor sense low.
            Some(port::MISC_WRITE) => 0,
            Some(port::ENABLE) => 1,
            Some(port::SEQUENCER_INDEX) => self.sequencer_index,
            Some(port::SEQUENCER_DATA) => register(&self.sequencer, self.sequencer_index),
            Some(port::DAC_MASK) => self.dac.mask,
            Some(port::DAC_READ) => self.dac.state(),
            Some(port::DAC_WRITE) => self.dac.index,
            Some(port::DAC_DATA) => self.dac.peek(),
            Some(port::FEATURE_READ) => self.feature,
            Some(port::MISC_READ) => self.misc,
            Some(port::GRAPHICS_INDEX) => self.graphics_index,
            Some(port::GRAPHICS_DATA) => register(&self.graphics, self.graphics_index),
            Some(port::CRTC_INDEX) => self.crtc_index,
            Some(port::CRTC_DATA) => register(&self.crtc, self.crtc_index),
            Some(port::STATUS_1) => self.beam(now),
            _ => 0xFF,
        }
    }

    /// What reading does besides giving a value.
    fn after_read(&mut self, offset: u16) {
        match self.decode(offset) {
            Some(port::DAC_DATA) => self.dac.step(),
            Some(port::STATUS_1) => self.attribute_data_next = false,
            _ => {}
        }
    }

    fn write_port(&mut self, offset: u16, value: u8) {
        let changed = match self.decode(offset) {
            Some(port::ATTRIBUTE) => self.write_attribute(value),
            Some(port::MISC_WRITE) => change(&mut self.misc, value),
            Some(port::SEQUENCER_INDEX) => {
                self.sequencer_index = value & 7;
                false
            }
            Some(port::SEQUENCER_DATA) => {
                let at = usize::from(self.sequencer_index);
                let bits = regs::SEQUENCER_BITS.get(at).copied().unwrap_or(0);
                let shows = matches!(at, regs::SEQ_CLOCKING | regs::SEQ_CHARACTER_MAP);
                self.sequencer
                    .get_mut(at)
                    .is_some_and(|r| change(r, value & bits))
                    && shows
            }
            Some(port::DAC_MASK) => change(&mut self.dac.mask, value),
            Some(port::DAC_READ) => {
                self.dac.select(value, true);
                false
            }
            Some(port::DAC_WRITE) => {
                self.dac.select(value, false);
                false
            }
            Some(port::DAC_DATA) => self.dac.write(value),
            Some(port::GRAPHICS_INDEX) => {
                self.graphics_index = value & 0xF;
                false
            }
            Some(port::GRAPHICS_DATA) => {
                let at = usize::from(self.graphics_index);
                let bits = regs::GRAPHICS_BITS.get(at).copied().unwrap_or(0);
                // Data-path settings change with every drawing operation.
                let shows = matches!(at, regs::GFX_MODE | regs::GFX_MISC);
                self.graphics
                    .get_mut(at)
                    .is_some_and(|r| change(r, value & bits))
                    && shows
            }
            Some(port::CRTC_INDEX) => {
                self.crtc_index = value & 0x3F;
                false
            }
            Some(port::CRTC_DATA) => self.write_crtc(value),
            Some(port::STATUS_1) => {
                self.feature = value & 3;
                false
            }
            _ => false,
        };
        self.redraw |= changed;
    }

    /// Writes a Bochs VBE register, and does what switching a mode on or off does.
    fn write_dispi(&mut self, register: u16, value: u16) {
        let effect = self.dispi.write(register, value, self.vram.bytes());
        self.redraw |= effect != Effect::None;
        self.dac.set_wide(self.dispi.enable & dispi::WIDE_DAC != 0);
        if effect != Effect::On {
            return;
        }
        // The window at A0000h answers, through the planes or a bank.
        let window = &mut self.graphics[regs::GFX_MISC];
        *window = *window & !regs::GFX_MISC_MAP | regs::GFX_MISC_MAP_64K | regs::GFX_MISC_GRAPHICS;
        if self.dispi.is_planar() {
            let memory_mode = &mut self.sequencer[regs::SEQ_MEMORY_MODE];
            *memory_mode = *memory_mode & !regs::MEMORY_CHAIN_4 | regs::MEMORY_SEQUENTIAL;
            self.graphics[regs::GFX_MODE] &= !regs::MODE_ODD_EVEN;
        }
        if self.dispi.enable & dispi::KEEP_MEMORY == 0 {
            self.vram.clear(self.dispi.picture_bytes());
        }
    }

    fn read_dispi(&self, offset: u16, size: AccessSize) -> u32 {
        match (offset - DISPI_PORT_OFFSET, size) {
            (0, AccessSize::Word) => u32::from(self.dispi.index),
            (1 | 2, AccessSize::Word) => {
                u32::from(self.dispi.read(self.dispi.index, self.vram.bytes()))
            }
            _ => not_decoded(size),
        }
    }

    fn write_attribute(&mut self, value: u8) -> bool {
        let data = self.attribute_data_next;
        self.attribute_data_next = !data;
        if !data {
            let shown = self.attribute_index & regs::ATTRIBUTE_SCREEN;
            self.attribute_index = value & 0x3F;
            return shown != self.attribute_index & regs::ATTRIBUTE_SCREEN;
        }
        let at = usize::from(self.attribute_index & 0x1F);
        let bits = match at.checked_sub(regs::ATTR_MODE) {
            Some(n) => regs::ATTRIBUTE_BITS.get(n).copied().unwrap_or(0),
            None => regs::PALETTE_BITS,
        };
        self.attribute
            .get_mut(at)
            .is_some_and(|r| change(r, value & bits))
    }

    fn write_crtc(&mut self, value: u8) -> bool {
        let at = usize::from(self.crtc_index);
        let protected = self.crtc[regs::CRTC_RETRACE_END] & regs::RETRACE_END_PROTECT != 0;
        let value = match at {
            // Of the protected registers only bit 4 of the overflow register, the line compare's, can be written.
            regs::CRTC_OVERFLOW if protected => self.crtc[at] & !0x10 | value & 0x10,
            0..regs::CRTC_OVERFLOW if protected => return false,
            _ => value,
        };
        // The cursor is compared with the one that was drawn.
        let shows = !matches!(
            at,
            regs::CRTC_CURSOR_START
                | regs::CRTC_CURSOR_END
                | regs::CRTC_CURSOR_HIGH
                | regs::CRTC_CURSOR_LOW
        );
        self.crtc.get_mut(at).is_some_and(|r| change(r, value)) && shows
    }
}

/// Bytes of an access.
fn lanes(size: AccessSize) -> u16 {
    match size {
        AccessSize::Byte => 1,
        AccessSize::Word => 2,
        AccessSize::Dword => 4,
        AccessSize::Qword => 8,
    }
}

impl Device for Vga {
    fn name(&self) -> &str {
        "vga"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.misc = regs::MODE_3_MISC;
        self.feature = 0;
        self.sequencer_index = 0;
        self.sequencer = regs::MODE_3_SEQUENCER;
        self.crtc_index = 0;
        self.crtc = regs::MODE_3_CRTC;
        self.graphics_index = 0;
        self.graphics = regs::MODE_3_GRAPHICS;
        self.attribute_index = regs::ATTRIBUTE_SCREEN;
        self.attribute = regs::MODE_3_ATTRIBUTE;
        self.attribute_data_next = false;
        self.dac = Dac::default();
        self.latches = 0;
        self.dispi = Dispi::default();
        self.config.reset();
        self.place_memory();
        self.redraw = true;
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v2())
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        if payload.version == VgaV1::VERSION {
            return self.take_v1(payload.decode()?);
        }
        self.take_v2(&payload.decode()?)
    }
}

impl PioDevice for Vga {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        for lane in 0..lanes(size).min(4) {
            self.after_read(offset.saturating_add(lane));
        }
        value
    }

    fn pio_peek(&self, now: Nanos, offset: u16, size: AccessSize) -> u32 {
        if offset >= DISPI_PORT_OFFSET {
            return self.read_dispi(offset, size);
        }
        (0..lanes(size).min(4)).fold(0, |value, lane| {
            value | u32::from(self.read_port(now, offset.saturating_add(lane))) << (8 * lane)
        })
    }

    fn pio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        let [a, b, ..] = value.to_le_bytes();
        match (offset.checked_sub(DISPI_PORT_OFFSET), size) {
            (Some(0), AccessSize::Word) => self.dispi.index = u16::from_le_bytes([a, b]),
            (Some(1 | 2), AccessSize::Word) => {
                self.write_dispi(self.dispi.index, u16::from_le_bytes([a, b]));
            }
            (Some(_), _) => {}
            (None, _) => {
                for (lane, byte) in (0..lanes(size)).zip(value.to_le_bytes()) {
                    self.write_port(offset.saturating_add(lane), byte);
                }
            }
        }
    }
}

impl MmioDevice for Vga {
    fn mmio_read(&mut self, _ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64 {
        self.read_window(offset, size.bytes())
    }

    fn mmio_peek(&self, _now: Nanos, offset: u64, size: AccessSize) -> u64 {
        self.peek_window(offset, size.bytes()).0
    }

    fn mmio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64) {
        self.write_window(offset, size.bytes(), value);
    }
}
