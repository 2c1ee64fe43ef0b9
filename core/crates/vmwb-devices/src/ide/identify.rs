//! Data of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, sections 8.15 and 8.16; TRIM from ACS-2).

use super::cdrom::CdRom;
use super::disk::{Disk, DmaMode, MAX_MULTIPLE, MAX_TRIM_BLOCKS};

const IDENTIFY_BYTES: usize = 512;

/// Modes 0 to 2 of multiword DMA, 0 to 5 of Ultra DMA.
const MULTIWORD_MODES: u16 = 0x07;
const ULTRA_MODES: u16 = 0x3F;
/// ATA-1 to ATA/ATAPI-7: TRIM is only looked for from 7 on.
const MAJOR_VERSIONS: u16 = 0x00FE;

/// The 256 words under construction.
struct Words([u16; 256]);

impl Words {
    fn text(&mut self, word: usize, words: usize, text: &str) {
        let mut bytes = text
            .bytes()
            .map(|b| if b.is_ascii_graphic() { b } else { b' ' });
        for slot in &mut self.0[word..word + words] {
            let first = bytes.next().unwrap_or(b' ');
            let second = bytes.next().unwrap_or(b' ');
            *slot = u16::from_be_bytes([first, second]);
        }
    }

    fn dword(&mut self, word: usize, value: u32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.0[word] = u16::from_le_bytes([a, b]);
        self.0[word + 1] = u16::from_le_bytes([c, d]);
    }

    fn dma(&mut self, mode: DmaMode) {
        self.0[63] = MULTIWORD_MODES;
        self.0[88] = ULTRA_MODES;
        match mode {
            DmaMode::None => {}
            DmaMode::Multiword(n) => self.0[63] |= 0x100 << n,
            DmaMode::Ultra(n) => self.0[88] |= 0x100 << n,
        }
        // Cycle times of multiword DMA and PIO in nanoseconds.
        self.0[64] = 0x03;
        for word in &mut self.0[65..69] {
            *word = 120;
        }
    }

    /// Little-endian bytes with the checksum of word 255.
    fn finish(mut self) -> Vec<u8> {
        self.0[255] = 0x00A5;
        let mut out = Vec::with_capacity(IDENTIFY_BYTES);
        for word in self.0 {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let sum = out.iter().fold(0u8, |acc, &b| acc.wrapping_add(b));
        out[IDENTIFY_BYTES - 1] = sum.wrapping_neg();
        out
    }
}

pub(super) fn disk(disk: &Disk) -> Vec<u8> {
    let mut w = Words([0; 256]);
    let native = disk.native_geometry();
    let now = disk.state.geometry;
    w.0[0] = 0x0040;
    w.0[1] = native.cylinders;
    w.0[3] = u16::from(native.heads);
    w.0[4] = 512 * u16::from(native.sectors.min(127));
    w.0[5] = 512;
    w.0[6] = u16::from(native.sectors);
    w.text(10, 10, &disk.identity.serial);
    w.0[20] = 3;
    w.0[21] = 512;
    w.0[22] = 4;
    w.text(23, 4, &disk.identity.firmware);
    w.text(27, 20, &disk.identity.model);
    w.0[47] = 0x8000 | u16::from(MAX_MULTIPLE);
    // Double-word transfers (ATA-1).
    w.0[48] = 1;
    // Standby timer, IORDY, LBA, DMA.
    w.0[49] = 0x2F00;
    w.0[50] = 0x4000;
    w.0[51] = 0x0200;
    w.0[52] = 0x0200;
    w.0[53] = 7;
    w.0[54] = now.cylinders;
    w.0[55] = u16::from(now.heads);
    w.0[56] = u16::from(now.sectors);
    let chs = u64::from(now.cylinders) * u64::from(now.heads) * u64::from(now.sectors);
    w.dword(57, u32::try_from(chs).unwrap_or(u32::MAX));
    w.0[59] = 0x0100 | u16::from(disk.state.multiple);
    let sectors28 = disk.sectors.min(0x0FFF_FFFF);
    w.dword(60, u32::try_from(sectors28).unwrap_or(0x0FFF_FFFF));
    w.dma(disk.state.dma_mode);
    w.0[80] = MAJOR_VERSIONS;
    // NOP, look-ahead, write cache, power management.
    w.0[82] = 0x4068;
    // FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses.
    w.0[83] = 0x7400;
    // WRITE with FUA.
    w.0[84] = 0x4040;
    let cache = if disk.state.write_cache { 1 << 5 } else { 0 };
    let look_ahead = if disk.state.look_ahead { 1 << 6 } else { 0 };
    w.0[85] = 0x4008 | cache | look_ahead;
    w.0[86] = 0x3400;
    w.0[87] = 0x4040;
    // Reset result: an 80-conductor cable, passed.
    w.0[93] = 0x6001;
    w.dword(100, u32::try_from(disk.sectors & 0xFFFF_FFFF).unwrap_or(0));
    w.dword(102, u32::try_from(disk.sectors >> 32).unwrap_or(0));
    w.0[105] = u16::try_from(MAX_TRIM_BLOCKS).unwrap_or(1);
    w.0[169] = 1;
    // Not rotating.
    w.0[217] = 1;
    w.finish()
}

pub(super) fn cdrom(cd: &CdRom) -> Vec<u8> {
    let mut w = Words([0; 256]);
    // A CD-ROM with removable medium, DRQ within 50 us of PACKET, packets of 12 bytes.
    w.0[0] = 0x85C0;
    w.text(10, 10, &cd.identity.serial);
    w.0[20] = 3;
    w.0[21] = 512;
    w.0[22] = 4;
    w.text(23, 4, &cd.identity.firmware);
    w.text(27, 20, &cd.identity.model);
    w.0[48] = 1;
    // IORDY, LBA, DMA.
    w.0[49] = 0x0F00;
    w.0[51] = 0x0200;
    w.0[52] = 0x0200;
    w.0[53] = 7;
    w.dma(cd.state.dma_mode);
    w.0[80] = 0x007E;
    // NOP, DEVICE RESET, PACKET, power management.
    w.0[82] = 0x4218;
    w.0[83] = 0x4000;
    w.0[84] = 0x4000;
    w.0[85] = 0x4218;
    w.0[87] = 0x4000;
    w.0[93] = 0x6001;
    w.finish()
}
