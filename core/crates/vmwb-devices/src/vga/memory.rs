//! The window at A0000h: four planes behind the graphics controller's data path, or a bank of a Bochs VBE mode.
//!
//! ```text
//! host byte -> rotate -> set/reset -> and/or/xor with the latches -> bit mask -> planes that the sequencer enables
//! ```

use super::{Vga, dispi, regs};

/// One byte of each plane at one address; plane n is byte n.
pub(super) type Planes = u32;

/// `bits` (one a plane) as bytes of all ones.
fn spread(bits: u8) -> Planes {
    // The factor brings bit n to bit 8 n; the other products miss the mask.
    (u32::from(bits & 0xF).wrapping_mul(0x0020_4081) & 0x0101_0101) * 0xFF
}

fn each(byte: u8) -> Planes {
    u32::from(byte) * 0x0101_0101
}

/// What one host address means: the planes it reaches, and where in them.
struct Target {
    address: u32,
    /// Planes that a write reaches, before the sequencer's mask.
    write: u8,
    /// Plane that a read gives, in read mode 0.
    read: u8,
}

impl Vga {
    /// Address inside 64 KiB of window offset `at`; `None` outside the mapped part.
    fn window_address(&self, at: u64) -> Option<u32> {
        if self.misc & regs::MISC_RAM == 0 {
            return None;
        }
        let at = u32::try_from(at).ok()?;
        let range = match self.graphics[regs::GFX_MISC] >> 2 & 3 {
            0 => 0..0x2_0000,
            1 => 0..0x1_0000,
            2 => 0x1_0000..0x1_8000,
            _ => 0x1_8000..0x2_0000,
        };
        range.contains(&at).then(|| (at - range.start) & 0xFFFF)
    }

    /// Byte of the memory that an access of `len` bytes begins at, when a bank of a mode with whole bytes to a pixel is in
    /// the window and holds all of it.
    fn bank_address(&self, at: u64, len: u64) -> Option<u64> {
        self.dispi.linear()?;
        let first = self.window_address(at)?;
        let last = self.window_address(at.checked_add(len)? - 1)?;
        let bank = u64::from(self.dispi.bank) * dispi::BANK_BYTES;
        (last >= first).then(|| bank + u64::from(first))
    }

    fn target(&self, address: u32, writes: bool) -> Target {
        let memory_mode = self.sequencer[regs::SEQ_MEMORY_MODE];
        let [low, ..] = address.to_le_bytes();
        if memory_mode & regs::MEMORY_CHAIN_4 != 0 {
            return Target {
                address: address & !3,
                write: 1 << (low & 3),
                read: low & 3,
            };
        }
        let read_map = self.graphics[regs::GFX_READ_MAP];
        let odd = low & 1;
        let odd_even_write = memory_mode & regs::MEMORY_SEQUENTIAL == 0;
        let odd_even_read = self.graphics[regs::GFX_MODE] & regs::MODE_ODD_EVEN != 0;
        let odd_even = if writes {
            odd_even_write
        } else {
            odd_even_read
        };
        let bank = if self.dispi.is_planar() {
            u32::from(self.dispi.bank) << 16
        } else {
            0
        };
        Target {
            address: bank | if odd_even { address & !1 } else { address },
            write: if odd_even_write {
                0b0101 << odd
            } else {
                0b1111
            },
            read: if odd_even_read {
                read_map & 2 | odd
            } else {
                read_map
            },
        }
    }

    /// What a read of one byte would give, and the planes it would latch.
    fn peek_byte(&self, at: u64) -> (u8, Option<Planes>) {
        if let Some(byte) = self.bank_address(at, 1) {
            let mut value = [0];
            self.vram.read(byte, &mut value);
            return (value[0], None);
        }
        let Some(address) = self.window_address(at) else {
            return (0xFF, None);
        };
        let target = self.target(address, false);
        let planes = self.vram.word(target.address);
        let value = if self.graphics[regs::GFX_MODE] & regs::MODE_READ_COMPARE == 0 {
            planes.to_le_bytes()[usize::from(target.read)]
        } else {
            let differs = (planes ^ spread(self.graphics[regs::GFX_COMPARE]))
                & spread(self.graphics[regs::GFX_DONT_CARE]);
            let [a, b, c, d] = differs.to_le_bytes();
            !(a | b | c | d)
        };
        (value, Some(planes))
    }

    /// What a read of `len` bytes (1 to 8) would give, and the planes it would latch last.
    pub(super) fn peek_window(&self, at: u64, len: u64) -> (u64, Option<Planes>) {
        if let Some(first) = self.bank_address(at, len) {
            let mut bytes = [0; 8];
            let count = usize::try_from(len).map_or(8, |n| n.min(8));
            self.vram.read(first, &mut bytes[..count]);
            return (u64::from_le_bytes(bytes), None);
        }
        let mut latched = None;
        let value = (0..len).fold(0, |value, lane| {
            let (byte, planes) = self.peek_byte(at.saturating_add(lane));
            latched = planes.or(latched);
            value | u64::from(byte) << (8 * lane)
        });
        (value, latched)
    }

    /// Reads `len` bytes (1 to 8) and loads the latches.
    pub(super) fn read_window(&mut self, at: u64, len: u64) -> u64 {
        let (value, planes) = self.peek_window(at, len);
        if let Some(planes) = planes {
            self.latches = planes;
        }
        value
    }

    /// Writes `len` bytes (1 to 8).
    pub(super) fn write_window(&mut self, at: u64, len: u64, value: u64) {
        let bytes = value.to_le_bytes();
        if let Some(first) = self.bank_address(at, len) {
            let count = usize::try_from(len).map_or(8, |n| n.min(8));
            return self.vram.write(first, &bytes[..count]);
        }
        for (lane, byte) in (0..len).zip(bytes) {
            self.write_byte(at.saturating_add(lane), byte);
        }
    }

    /// Writes one byte: to the bank that is in the window, or through the data path.
    fn write_byte(&mut self, at: u64, value: u8) {
        if let Some(byte) = self.bank_address(at, 1) {
            return self.vram.write(byte, &[value]);
        }
        let Some(address) = self.window_address(at) else {
            return;
        };
        let target = self.target(address, true);
        let enabled = spread(target.write & self.sequencer[regs::SEQ_PLANE_MASK]);
        let result = self.data_path(value);
        let old = self.vram.word(target.address);
        self.vram
            .set_word(target.address, old, old & !enabled | result & enabled);
    }

    /// The graphics controller: what the four planes get for one host byte.
    fn data_path(&self, value: u8) -> Planes {
        let g = &self.graphics;
        let rotated = value.rotate_right(u32::from(g[regs::GFX_ROTATE] & 7));
        let set_reset = spread(g[regs::GFX_SET_RESET]);
        let (data, mask) = match g[regs::GFX_MODE] & 3 {
            0 => {
                let by_register = spread(g[regs::GFX_SET_RESET_ENABLE]);
                (
                    each(rotated) & !by_register | set_reset & by_register,
                    g[regs::GFX_BIT_MASK],
                )
            }
            1 => return self.latches,
            2 => (spread(value & 0xF), g[regs::GFX_BIT_MASK]),
            _ => (set_reset, rotated & g[regs::GFX_BIT_MASK]),
        };
        let combined = match g[regs::GFX_ROTATE] >> 3 & 3 {
            0 => data,
            1 => data & self.latches,
            2 => data | self.latches,
            _ => data ^ self.latches,
        };
        let mask = each(mask);
        combined & mask | self.latches & !mask
    }
}
