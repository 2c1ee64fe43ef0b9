//! Saved state of the VGA.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::dac::Dac;
use super::dispi::{self, Dispi};
use super::{Vga, regs};
use crate::bytes::Bytes;
use crate::pci::{CONFIG_DWORDS, PciFunction};

/// Version 1. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VgaV1 {
    /// Miscellaneous output.
    pub misc: u8,
    /// Feature control.
    pub feature: u8,
    /// Sequencer index.
    pub sequencer_index: u8,
    /// Sequencer registers.
    pub sequencer: [u8; 5],
    /// CRTC index.
    pub crtc_index: u8,
    /// CRTC registers.
    pub crtc: [u8; 25],
    /// Graphics controller index.
    pub graphics_index: u8,
    /// Graphics controller registers.
    pub graphics: [u8; 9],
    /// Attribute index with the screen bit.
    pub attribute_index: u8,
    /// Attribute registers.
    pub attribute: [u8; 21],
    /// The next write to 3C0h is data.
    pub attribute_data_next: bool,
    /// DAC pixel mask.
    pub dac_mask: u8,
    /// DAC index.
    pub dac_index: u8,
    /// Next component: 0 red, 1 green, 2 blue.
    pub dac_component: u8,
    /// The DAC was set up for reading.
    pub dac_reading: bool,
    /// 256 colours of three 6-bit components.
    pub palette: Bytes,
    /// One byte of each plane, as last read.
    pub latches: u32,
    /// Each plane's 65,536 bytes as runs: a length byte n; below 128 there follow n + 1 bytes as they are, else one byte
    /// that stands n - 126 times.
    pub planes: [Bytes; 4],
}

/// Version 2. The planes are gone: display memory is saved with the guest's. Frozen: a change is a new type with an
/// upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VgaV2 {
    /// Miscellaneous output.
    pub misc: u8,
    /// Feature control.
    pub feature: u8,
    /// Sequencer index.
    pub sequencer_index: u8,
    /// Sequencer registers.
    pub sequencer: [u8; 5],
    /// CRTC index.
    pub crtc_index: u8,
    /// CRTC registers.
    pub crtc: [u8; 25],
    /// Graphics controller index.
    pub graphics_index: u8,
    /// Graphics controller registers.
    pub graphics: [u8; 9],
    /// Attribute index with the screen bit.
    pub attribute_index: u8,
    /// Attribute registers.
    pub attribute: [u8; 21],
    /// The next write to 3C0h is data.
    pub attribute_data_next: bool,
    /// DAC pixel mask.
    pub dac_mask: u8,
    /// DAC index.
    pub dac_index: u8,
    /// Next component: 0 red, 1 green, 2 blue.
    pub dac_component: u8,
    /// The DAC was set up for reading.
    pub dac_reading: bool,
    /// 256 colours of three components, of 8 bits where the Bochs VBE registers say so, else of 6.
    pub palette: Bytes,
    /// One byte of each plane, as last read.
    pub latches: u32,
    /// Bochs VBE registers.
    pub dispi: DispiV2,
    /// The configuration space's 64 double words.
    pub config: Vec<u32>,
}

/// The Bochs VBE registers of [`VgaV2`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispiV2 {
    /// Register that the data port reaches.
    pub index: u16,
    /// Identification.
    pub id: u16,
    /// Pixels across.
    pub x_res: u16,
    /// Lines.
    pub y_res: u16,
    /// Bits of a pixel.
    pub bpp: u16,
    /// Enable bits.
    pub enable: u16,
    /// Bank.
    pub bank: u16,
    /// Pixels from line to line.
    pub virt_width: u16,
    /// First pixel.
    pub x_offset: u16,
    /// First line.
    pub y_offset: u16,
}

impl Schema for VgaV2 {
    const KIND: &'static str = VgaV1::KIND;
    const VERSION: u32 = 2;
}

impl Schema for VgaV1 {
    const KIND: &'static str = "vga";
    const VERSION: u32 = 1;
}

/// `None` unless the runs give exactly `len` bytes.
pub(super) fn unpack(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len);
    let mut rest = packed;
    while let Some((&n, tail)) = rest.split_first() {
        let n = usize::from(n);
        if n < 128 {
            out.extend_from_slice(tail.get(..=n)?);
            rest = &tail[n + 1..];
        } else {
            let (&byte, tail) = tail.split_first()?;
            out.resize(out.len() + n - 126, byte);
            rest = tail;
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn damaged(reason: &str) -> SnapshotError {
    SnapshotError::damaged(VgaV2::KIND, reason)
}

impl From<&Dispi> for DispiV2 {
    fn from(d: &Dispi) -> Self {
        Self {
            index: d.index,
            id: d.id,
            x_res: d.x_res,
            y_res: d.y_res,
            bpp: d.bpp,
            enable: d.enable,
            bank: d.bank,
            virt_width: d.virt_width,
            x_offset: d.x_offset,
            y_offset: d.y_offset,
        }
    }
}

impl DispiV2 {
    fn registers(&self) -> Dispi {
        Dispi {
            index: self.index,
            id: self.id,
            x_res: self.x_res,
            y_res: self.y_res,
            bpp: self.bpp,
            enable: self.enable,
            bank: self.bank,
            virt_width: self.virt_width,
            x_offset: self.x_offset,
            y_offset: self.y_offset,
        }
    }
}

impl Vga {
    pub(super) fn to_v2(&self) -> VgaV2 {
        VgaV2 {
            misc: self.misc,
            feature: self.feature,
            sequencer_index: self.sequencer_index,
            sequencer: self.sequencer,
            crtc_index: self.crtc_index,
            crtc: self.crtc,
            graphics_index: self.graphics_index,
            graphics: self.graphics,
            attribute_index: self.attribute_index,
            attribute: self.attribute,
            attribute_data_next: self.attribute_data_next,
            dac_mask: self.dac.mask,
            dac_index: self.dac.index,
            dac_component: self.dac.component,
            dac_reading: self.dac.reading,
            palette: Bytes(self.dac.palette.as_flattened().to_vec()),
            latches: self.latches,
            dispi: DispiV2::from(&self.dispi),
            config: self.config.registers().to_vec(),
        }
    }

    /// Takes over a state of version 1: its planes go into display memory, what it lacks is as after power-on.
    pub(super) fn take_v1(&mut self, s: VgaV1) -> Result<(), SnapshotError> {
        let mut bytes = vec![0; regs::PLANE_BYTES * 4];
        for (n, packed) in s.planes.iter().enumerate() {
            let plane = unpack(&packed.0, regs::PLANE_BYTES)
                .ok_or_else(|| damaged("a plane is not 64 KiB"))?;
            for (to, from) in bytes.iter_mut().skip(n).step_by(4).zip(plane) {
                *to = from;
            }
        }
        self.config.reset();
        let power_on = self.to_v2();
        self.take_v2(&VgaV2 {
            misc: s.misc,
            feature: s.feature,
            sequencer_index: s.sequencer_index,
            sequencer: s.sequencer,
            crtc_index: s.crtc_index,
            crtc: s.crtc,
            graphics_index: s.graphics_index,
            graphics: s.graphics,
            attribute_index: s.attribute_index,
            attribute: s.attribute,
            attribute_data_next: s.attribute_data_next,
            dac_mask: s.dac_mask,
            dac_index: s.dac_index,
            dac_component: s.dac_component,
            dac_reading: s.dac_reading,
            palette: s.palette,
            latches: s.latches,
            dispi: DispiV2::from(&Dispi::default()),
            config: power_on.config,
        })?;
        self.vram.write(0, &bytes);
        Ok(())
    }

    pub(super) fn take_v2(&mut self, s: &VgaV2) -> Result<(), SnapshotError> {
        let dispi = s.dispi.registers();
        if !dispi.is_sound(self.vram.bytes()) {
            return Err(damaged(
                "a Bochs VBE register has a value that it cannot have",
            ));
        }
        let mut dac = Dac {
            mask: s.dac_mask,
            index: s.dac_index,
            component: s.dac_component,
            reading: s.dac_reading,
            wide: dispi.enable & dispi::WIDE_DAC != 0,
            ..Dac::default()
        };
        let (palette, rest) = s.palette.0.as_chunks::<3>();
        let most = dac.most();
        if palette.len() != 256 || !rest.is_empty() || s.palette.0.iter().any(|&v| v > most) {
            return Err(damaged(
                "the palette is not 256 colours of components as wide as the DAC's",
            ));
        }
        if s.dac_component > 2 {
            return Err(damaged("the DAC's next component does not exist"));
        }
        let too_wide =
            |values: &[u8], bits: &[u8]| values.iter().zip(bits).any(|(v, b)| v & !b != 0);
        let palette_bits = [regs::PALETTE_BITS; 16];
        if too_wide(&s.sequencer, &regs::SEQUENCER_BITS)
            || too_wide(&s.graphics, &regs::GRAPHICS_BITS)
            || too_wide(&s.attribute, &palette_bits)
            || s.attribute_index > 0x3F
        {
            return Err(damaged("a register has bits that do not exist"));
        }
        let config = <&[u32; CONFIG_DWORDS]>::try_from(s.config.as_slice()).ok();
        if !config.is_some_and(|config| self.config.set_registers(config)) {
            return Err(damaged("its configuration space is another device's"));
        }
        dac.palette.copy_from_slice(palette);
        self.dac = dac;
        self.misc = s.misc;
        self.feature = s.feature;
        self.sequencer_index = s.sequencer_index;
        self.sequencer = s.sequencer;
        self.crtc_index = s.crtc_index;
        self.crtc = s.crtc;
        self.graphics_index = s.graphics_index;
        self.graphics = s.graphics;
        self.attribute_index = s.attribute_index;
        self.attribute = s.attribute;
        self.attribute_data_next = s.attribute_data_next;
        self.latches = s.latches;
        self.dispi = dispi;
        self.place_memory();
        self.redraw = true;
        Ok(())
    }
}
