//! Saved state of the VGA.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use vmwb_hw::{Schema, SnapshotError};

use super::{Vga, regs};

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

impl Schema for VgaV1 {
    const KIND: &'static str = "vga";
    const VERSION: u32 = 1;
}

/// A byte string (CBOR major type 2), where a plain vector would be an array of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

const LONGEST_RUN: usize = 129;
const LONGEST_LITERAL: usize = 128;

fn length_byte(n: usize) -> u8 {
    u8::try_from(n).expect("a run's length byte")
}

fn run_at(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(LONGEST_RUN)
        .take_while(|&&b| b == bytes[0])
        .count()
}

pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let run = run_at(rest);
        let taken = if run > 1 {
            out.extend([length_byte(run + 126), rest[0]]);
            run
        } else {
            let longest = rest.len().min(LONGEST_LITERAL);
            let literal = (1..longest)
                .find(|&n| run_at(&rest[n..]) > 2)
                .unwrap_or(longest);
            out.push(length_byte(literal - 1));
            out.extend_from_slice(&rest[..literal]);
            literal
        };
        rest = &rest[taken..];
    }
    out
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

impl Vga {
    pub(super) fn to_v1(&self) -> VgaV1 {
        let plane = |n: usize| {
            let bytes: Vec<u8> = self
                .planes
                .iter()
                .map(|word| word.to_le_bytes()[n])
                .collect();
            Bytes(pack(&bytes))
        };
        VgaV1 {
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
            planes: [0, 1, 2, 3].map(plane),
        }
    }

    pub(super) fn take_v1(&mut self, s: &VgaV1) -> Result<(), SnapshotError> {
        let damaged = |reason: &str| SnapshotError::damaged("vga", reason);
        let (palette, rest) = s.palette.0.as_chunks::<3>();
        if palette.len() != 256 || !rest.is_empty() || s.palette.0.iter().any(|&v| v > 0x3F) {
            return Err(damaged(
                "the palette is not 256 colours of 6-bit components",
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
        let mut planes = vec![0; regs::PLANE_BYTES];
        for (n, packed) in (0u32..).zip(&s.planes) {
            let bytes = unpack(&packed.0, regs::PLANE_BYTES)
                .ok_or_else(|| damaged("a plane is not 64 KiB"))?;
            for (word, byte) in planes.iter_mut().zip(bytes) {
                *word |= u32::from(byte) << (8 * n);
            }
        }
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
        self.dac.mask = s.dac_mask;
        self.dac.index = s.dac_index;
        self.dac.component = s.dac_component;
        self.dac.reading = s.dac_reading;
        self.dac.palette.copy_from_slice(palette);
        self.latches = s.latches;
        self.planes = planes.into_boxed_slice();
        self.version += 1;
        Ok(())
    }
}
