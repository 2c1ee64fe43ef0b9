//! Display memory: four planes behind the window at A0000h, and the graphics controller's data path.
//!
//! ```text
//! host byte -> rotate -> set/reset -> and/or/xor with the latches -> bit mask -> planes that the sequencer enables
//! ```

use super::{Vga, regs};

/// One byte of each plane at one address; plane n is byte n.
pub(super) type Planes = u32;

/// `bits` (one a plane) as bytes of all ones.
fn spread(bits: u8) -> Planes {
    u32::from_le_bytes([0, 1, 2, 3].map(|plane| if bits >> plane & 1 != 0 { 0xFF } else { 0 }))
}

fn each(byte: u8) -> Planes {
    u32::from_le_bytes([byte; 4])
}

/// What one host address means: the planes it reaches, and where in them.
struct Target {
    offset: usize,
    /// Planes that a write reaches, before the sequencer's mask.
    write: u8,
    /// Plane that a read gives, in read mode 0.
    read: u8,
}

impl Vga {
    /// Address inside the planes' 64 KiB of window offset `at`; `None` outside the mapped part.
    fn window_address(&self, at: u64) -> Option<usize> {
        if self.misc & regs::MISC_RAM == 0 {
            return None;
        }
        let at = usize::try_from(at).ok()?;
        let range = match self.graphics[regs::GFX_MISC] >> 2 & 3 {
            0 => 0..0x2_0000,
            1 => 0..0x1_0000,
            2 => 0x1_0000..0x1_8000,
            _ => 0x1_8000..0x2_0000,
        };
        range.contains(&at).then(|| (at - range.start) & 0xFFFF)
    }

    fn target(&self, address: usize) -> Target {
        let memory_mode = self.sequencer[regs::SEQ_MEMORY_MODE];
        let [low, ..] = address.to_le_bytes();
        if memory_mode & regs::MEMORY_CHAIN_4 != 0 {
            return Target {
                offset: address & !3,
                write: 1 << (low & 3),
                read: low & 3,
            };
        }
        let read_map = self.graphics[regs::GFX_READ_MAP];
        let odd = low & 1;
        let odd_even_write = memory_mode & regs::MEMORY_SEQUENTIAL == 0;
        let odd_even_read = self.graphics[regs::GFX_MODE] & regs::MODE_ODD_EVEN != 0;
        Target {
            offset: if odd_even_write || odd_even_read {
                address & !1
            } else {
                address
            },
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
    pub(super) fn peek_byte(&self, at: u64) -> (u8, Option<Planes>) {
        let Some(address) = self.window_address(at) else {
            return (0xFF, None);
        };
        let target = self.target(address);
        let planes = self.planes[target.offset];
        let value = if self.graphics[regs::GFX_MODE] & regs::MODE_READ_COMPARE == 0 {
            planes.to_le_bytes()[usize::from(target.read)]
        } else {
            let differs = (planes ^ spread(self.graphics[regs::GFX_COMPARE]))
                & spread(self.graphics[regs::GFX_DONT_CARE]);
            !differs.to_le_bytes().into_iter().fold(0, |a, b| a | b)
        };
        (value, Some(planes))
    }

    /// Reads one byte and loads the latches.
    pub(super) fn read_byte(&mut self, at: u64) -> u8 {
        let (value, planes) = self.peek_byte(at);
        if let Some(planes) = planes {
            self.latches = planes;
        }
        value
    }

    /// Writes one byte through the data path.
    pub(super) fn write_byte(&mut self, at: u64, value: u8) {
        let Some(address) = self.window_address(at) else {
            return;
        };
        let target = self.target(address);
        let enabled = spread(target.write & self.sequencer[regs::SEQ_PLANE_MASK]);
        let result = self.data_path(value);
        let old = self.planes[target.offset];
        let new = old & !enabled | result & enabled;
        if new != old {
            self.planes[target.offset] = new;
            self.version += 1;
        }
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
