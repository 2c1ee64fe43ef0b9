//! A drive's command block registers. Each address register holds two values, the older one for 48-bit commands.

use super::regs::{DEVICE_FIXED, DIAGNOSTIC_PASSED, LBA, REASON_CD, REASON_IO};

/// Two-deep register: current and previous content.
pub(super) type Pair = [u8; 2];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TaskFile {
    pub(super) features: Pair,
    pub(super) count: Pair,
    /// LBA Low, Mid, High.
    pub(super) lba: [Pair; 3],
    pub(super) device: u8,
    pub(super) status: u8,
    pub(super) error: u8,
}

/// Geometry of a disk: cylinders, heads, sectors per track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// 1 to 65,535.
    pub cylinders: u16,
    /// 1 to 16.
    pub heads: u8,
    /// 1 to 255.
    pub sectors: u8,
}

impl Geometry {
    /// Most cylinders of a drive itself (ATA-6, annex A).
    pub const MAX_CYLINDERS: u16 = 16_383;
    /// Most heads of a drive itself; more are a BIOS's translation.
    pub const MAX_HEADS: u8 = 16;
    /// Most sectors of a track that the calls of the BIOS can name, and the usual ones.
    pub const USUAL_SECTORS: u8 = 63;

    /// Geometry of a drive of so many sectors on which nobody has chosen another: as many heads as there can be.
    #[must_use]
    pub fn usual(sectors: u64) -> Self {
        Self::on_tracks(sectors, Self::MAX_HEADS, Self::USUAL_SECTORS)
    }

    /// As [`Geometry::usual`] on these tracks; what lies beyond the reach of the usual ones is not counted.
    pub(super) fn on_tracks(sectors: u64, heads: u8, per_track: u8) -> Self {
        let usual = u64::from(Self::MAX_HEADS) * u64::from(Self::USUAL_SECTORS);
        let reached = sectors.min(u64::from(Self::MAX_CYLINDERS) * usual);
        let cylinder = (u64::from(heads) * u64::from(per_track)).max(1);
        Self {
            cylinders: u16::try_from(reached / cylinder).unwrap_or(u16::MAX).max(1),
            heads,
            sectors: per_track,
        }
    }
}

fn push(pair: &mut Pair, value: u8) {
    *pair = [value, pair[0]];
}

impl TaskFile {
    /// Registers after a reset (ATA/ATAPI-6, section 9.12) with this signature in LBA Mid and High.
    pub(super) fn after_reset(signature: (u8, u8), status: u8) -> Self {
        Self {
            features: [0; 2],
            count: [1, 0],
            lba: [[1, 0], [signature.0, 0], [signature.1, 0]],
            device: DEVICE_FIXED,
            status,
            error: DIAGNOSTIC_PASSED,
        }
    }

    /// The host writes one of Features, Sector Count, LBA Low, Mid, High (1 to 5).
    pub(super) fn host_writes(&mut self, register: u16, value: u8) {
        match register {
            1 => push(&mut self.features, value),
            2 => push(&mut self.count, value),
            3..=5 => push(&mut self.lba[usize::from(register - 3)], value),
            _ => {}
        }
    }

    pub(super) fn count28(&self) -> u64 {
        match self.count[0] {
            0 => 256,
            n => u64::from(n),
        }
    }

    pub(super) fn count48(&self) -> u64 {
        match u16::from_le_bytes(self.count) {
            0 => 65_536,
            n => u64::from(n),
        }
    }

    pub(super) fn lba48(&self) -> u64 {
        let [low, mid, high] = self.lba;
        u64::from_le_bytes([low[0], mid[0], high[0], low[1], mid[1], high[1], 0, 0])
    }

    pub(super) fn head(&self) -> u8 {
        self.device & 0x0F
    }

    /// The address of a 28-bit command as a sector number; `None`: a cylinder, head or sector that the geometry has not.
    pub(super) fn lba28(&self, geometry: Geometry) -> Option<u64> {
        let [low, mid, high] = [self.lba[0][0], self.lba[1][0], self.lba[2][0]];
        if self.device & LBA != 0 {
            return Some(u64::from(u32::from_le_bytes([low, mid, high, self.head()])));
        }
        let cylinder = u64::from(u16::from_le_bytes([mid, high]));
        let fits = low != 0 && low <= geometry.sectors && self.head() < geometry.heads;
        let track = cylinder * u64::from(geometry.heads) + u64::from(self.head());
        fits.then(|| track * u64::from(geometry.sectors) + u64::from(low) - 1)
    }

    /// Shows `sector` in the address registers, in the form that the command was given in.
    pub(super) fn show_sector(&mut self, sector: u64, ext: bool, geometry: Geometry) {
        let bytes = sector.to_le_bytes();
        if ext {
            for (i, pair) in self.lba.iter_mut().enumerate() {
                *pair = [bytes[i], bytes[i + 3]];
            }
        } else if self.device & LBA != 0 {
            for (i, pair) in self.lba.iter_mut().enumerate() {
                pair[0] = bytes[i];
            }
            self.device = self.device & 0xF0 | bytes[3] & 0x0F;
        } else {
            let (heads, sectors) = (u64::from(geometry.heads), u64::from(geometry.sectors));
            let track = sector / sectors;
            let cylinder = (track / heads).to_le_bytes();
            let low = (sector % sectors + 1).to_le_bytes()[0];
            self.lba[0][0] = low;
            self.lba[1][0] = cylinder[0];
            self.lba[2][0] = cylinder[1];
            self.device = self.device & 0xF0 | (track % heads).to_le_bytes()[0] & 0x0F;
        }
    }

    pub(super) fn show_count(&mut self, sectors: u64, ext: bool) {
        let bytes = sectors.to_le_bytes();
        self.count[0] = bytes[0];
        if ext {
            self.count[1] = bytes[1];
        }
    }

    /// Byte count limit of a PACKET command; 0 and FFFFh mean 65,534 (SFF-8020i, section 5.6). An odd limit holds for
    /// data that fit; what is longer comes in even blocks.
    pub(super) fn byte_count_limit(&self) -> usize {
        match u16::from_le_bytes([self.lba[1][0], self.lba[2][0]]) {
            0 | 0xFFFF => 0xFFFE,
            n => usize::from(n),
        }
    }

    /// Shows a packet device's byte count and interrupt reason.
    pub(super) fn show_packet_phase(&mut self, bytes: u16, to_host: bool, command: bool) {
        let [low, high] = bytes.to_le_bytes();
        self.lba[1][0] = low;
        self.lba[2][0] = high;
        self.show_reason(to_host, command);
    }

    pub(super) fn show_reason(&mut self, to_host: bool, command: bool) {
        let io = if to_host { REASON_IO } else { 0 };
        let cd = if command { REASON_CD } else { 0 };
        self.count[0] = io | cd;
    }
}
