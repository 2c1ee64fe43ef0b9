//! The VGA: text and graphics modes of the original adapter, 256 KiB in four planes.
//!
//! It comes up in mode 3 (80 by 25 characters) with palette and font loaded, as a BIOS leaves it: direct boot has none.
//! The picture is what a monitor would get, in dots and scan lines; [`vmwb_hw::Scanout`] draws it when asked.
//!
//! Offsets: ports count from 3B0h ([`VGA_PORT_BASE`]), memory from A0000h ([`VGA_WINDOW_BASE`]). Words and double words
//! are bytes at ascending addresses, as on the ISA bus.
//!
//! | Modelled | Omitted |
//! |---|---|
//! | CRTC, sequencer, graphics and attribute controllers, DAC, both status registers, planes with read modes 0 and 1 and write modes 0 to 3, chain 4, odd/even; start address, row scan, panning, line compare, cursor, underline, two character maps, 9-dot cells | blinking (the cursor and blinking characters are steady, so an idle screen costs nothing), light pen, vertical interrupt, VBE, more memory |
//!
//! | Threat | Answer |
//! |---|---|
//! | Absurd sizes in the CRTC | the picture is at most [`MAX_WIDTH`] by [`MAX_HEIGHT`]; addresses wrap at 64 KiB |
//! | A flood of writes | each costs a few operations; drawing happens at the host's rate |

mod dac;
mod font;
mod glyphs;
mod memory;
mod regs;
mod render;
mod snapshot;
#[cfg(test)]
mod tests;

use vmwb_hw::{
    AccessSize, Ctx, Device, MmioDevice, Nanos, Payload, PioDevice, ResetKind, SnapshotError,
};

use dac::Dac;
pub use font::{GLYPH_ROWS, GLYPHS, font_8x16};
use memory::Planes;
use regs::port;
pub use regs::{VGA_PORT_BASE, VGA_PORTS, VGA_WINDOW_BASE, VGA_WINDOW_BYTES};
pub use render::{MAX_HEIGHT, MAX_WIDTH};
pub use snapshot::{Bytes, VgaV1};

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
    /// 65,536 addresses of four planes.
    planes: Box<[Planes]>,
    /// Counts visible changes; not state of the machine.
    version: u64,
    /// Version whose changes were taken.
    taken: u64,
}

impl Default for Vga {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes `value` to a register where it changes something; tells whether it did.
fn change(register: &mut u8, value: u8) -> bool {
    let changed = *register != value;
    *register = value;
    changed
}

impl Vga {
    /// The adapter in mode 3, screen cleared.
    #[must_use]
    pub fn new() -> Self {
        Self {
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
            planes: power_on_planes(),
            version: 1,
            taken: 0,
        }
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

    /// Input status 1: where the beam is, from virtual time.
    fn beam(&self, now: Nanos) -> u8 {
        let dots = now.ticks(regs::DOT_HZ);
        let (shown, lines) = if self.scan_lines() > 400 {
            (480, regs::PICTURE_LINES_480)
        } else {
            (400, regs::PICTURE_LINES_400)
        };
        let line = dots / regs::LINE_DOTS % lines;
        let blank = line >= shown || dots % regs::LINE_DOTS >= regs::LINE_SHOWN;
        // Retrace begins a dozen lines after the last shown one and lasts two (CRTC registers 10h and 11h of the modes).
        let retrace = (shown + 12..shown + 14).contains(&line);
        if retrace {
            regs::STATUS_BLANK | regs::STATUS_RETRACE
        } else {
            u8::from(blank)
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
                self.sequencer
                    .get_mut(at)
                    .is_some_and(|r| change(r, value & bits))
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
                // Only the shift and graphics bits show; data-path settings change with every drawing operation.
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
        self.version += u64::from(changed);
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
        let bits = if at < 16 { regs::PALETTE_BITS } else { 0xFF };
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
        self.crtc.get_mut(at).is_some_and(|r| change(r, value))
    }
}

/// Cleared text cells in planes 0 and 1, the font in plane 2.
fn power_on_planes() -> Box<[Planes]> {
    let mut planes = vec![0; regs::PLANE_BYTES];
    let [character, attribute] = BLANK_CELL;
    // Odd/even addressing leaves the odd addresses of the planes unused.
    for cell in planes.iter_mut().take(0x8000).step_by(2) {
        *cell = u32::from_le_bytes([character, attribute, 0, 0]);
    }
    for (at, glyph) in font_8x16().iter().enumerate() {
        for (row, &bits) in glyph.iter().enumerate() {
            planes[at * GLYPH_STRIDE + row] |= u32::from(bits) << 16;
        }
    }
    planes.into_boxed_slice()
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
        *self = Self {
            version: self.version + 1,
            taken: self.taken,
            ..Self::new()
        };
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v1())
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.take_v1(&payload.decode::<VgaV1>()?)
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
        (0..lanes(size).min(4)).fold(0, |value, lane| {
            value | u32::from(self.read_port(now, offset.saturating_add(lane))) << (8 * lane)
        })
    }

    fn pio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        for (lane, byte) in (0..lanes(size)).zip(value.to_le_bytes()) {
            self.write_port(offset.saturating_add(lane), byte);
        }
    }
}

impl MmioDevice for Vga {
    fn mmio_read(&mut self, _ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64 {
        (0..u64::from(lanes(size))).fold(0, |value, lane| {
            value | u64::from(self.read_byte(offset.saturating_add(lane))) << (8 * lane)
        })
    }

    fn mmio_peek(&self, _now: Nanos, offset: u64, size: AccessSize) -> u64 {
        (0..u64::from(lanes(size))).fold(0, |value, lane| {
            value | u64::from(self.peek_byte(offset.saturating_add(lane)).0) << (8 * lane)
        })
    }

    fn mmio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64) {
        for (lane, byte) in (0..u64::from(lanes(size))).zip(value.to_le_bytes()) {
            self.write_byte(offset.saturating_add(lane), byte);
        }
    }
}
