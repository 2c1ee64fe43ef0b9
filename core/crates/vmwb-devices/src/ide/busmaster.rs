//! One channel's bus master (Programming Interface for Bus Master IDE Controller, revision 1.0).
//!
//! A table of regions in memory says where the data lie. The transfer stops where the table ends; the drive then waits,
//! and a new table may go on with it. The direction is the drive's command's: the direction bit is only kept.

use vmwb_hw::{GuestAddress, GuestMemory};

use super::regs::{BM_ACTIVE, BM_CAPABLE, BM_ERROR, BM_INTERRUPT, BM_READ, BM_START};

/// Which way the data go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToMemory,
    FromMemory,
}

/// How far a transfer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The buffer is done.
    Done,
    /// The bus master stands still before the buffer's end.
    Waits,
    /// The table or a region is not in RAM.
    Fault,
}

/// Registers and place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BusMaster {
    pub(super) command: u8,
    pub(super) status: u8,
    /// Table, a multiple of 4.
    pub(super) table: u32,
    /// Next entry.
    pub(super) next: u32,
    /// Rest of the current region.
    pub(super) address: u32,
    pub(super) left: u32,
    /// The current region is the table's last.
    pub(super) last: bool,
    /// PCI lets the function be master. Derived from the configuration space.
    pub(super) allowed: bool,
}

impl BusMaster {
    pub(super) fn active(&self) -> bool {
        self.status & BM_ACTIVE != 0
    }

    /// Reads the register byte at `offset` (0 to 7).
    pub(super) fn read(&self, offset: u8) -> u8 {
        match offset {
            0 => self.command,
            2 => self.status,
            4..=7 => self.table.to_le_bytes()[usize::from(offset - 4)],
            _ => 0,
        }
    }

    /// Writes the register byte at `offset` (0 to 7). Says whether the bus master starts.
    pub(super) fn write(&mut self, offset: u8, value: u8) -> bool {
        match offset {
            0 => {
                let starts = value & !self.command & BM_START != 0;
                self.command = value & (BM_START | BM_READ);
                if starts {
                    self.status |= BM_ACTIVE;
                    (self.next, self.left, self.last) = (self.table, 0, false);
                } else if value & BM_START == 0 {
                    self.status &= !BM_ACTIVE;
                }
                return starts;
            }
            2 => {
                self.status &= !(value & (BM_ERROR | BM_INTERRUPT));
                self.status = self.status & !BM_CAPABLE | value & BM_CAPABLE;
            }
            4..=7 => {
                let mut bytes = self.table.to_le_bytes();
                bytes[usize::from(offset - 4)] = value;
                self.table = u32::from_le_bytes(bytes) & !3;
            }
            _ => {}
        }
        false
    }

    /// Transfers between `buffer` from `pos` on and the table's regions, as far as the table goes.
    pub(super) fn transfer(
        &mut self,
        memory: &GuestMemory,
        buffer: &mut [u8],
        pos: &mut usize,
        direction: Direction,
    ) -> Progress {
        while *pos < buffer.len() {
            if !self.active() || !self.allowed {
                return Progress::Waits;
            }
            if self.left == 0 && !self.next_region(memory) {
                self.status = self.status & !BM_ACTIVE | BM_ERROR;
                return Progress::Fault;
            }
            let rest = buffer.len() - *pos;
            let bytes = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
            let at = GuestAddress(u64::from(self.address));
            let piece = &mut buffer[*pos..*pos + bytes];
            let moved = match direction {
                Direction::ToMemory => memory.write(at, piece),
                Direction::FromMemory => memory.read(at, piece),
            };
            if moved.is_err() {
                self.status = self.status & !BM_ACTIVE | BM_ERROR;
                return Progress::Fault;
            }
            *pos += bytes;
            // At most `left`, which fits.
            let moved = u32::try_from(bytes).unwrap_or(self.left);
            self.left -= moved;
            self.address = self.address.wrapping_add(moved);
            if self.left == 0 && self.last {
                self.status &= !BM_ACTIVE;
            }
        }
        Progress::Done
    }

    /// Takes the next entry (section 1.2): base, byte count (0: 64 KiB), end-of-table flag. Bit 0 of base and count is
    /// not there.
    fn next_region(&mut self, memory: &GuestMemory) -> bool {
        let mut entry = [0; 8];
        if memory
            .read(GuestAddress(u64::from(self.next)), &mut entry)
            .is_err()
        {
            return false;
        }
        let [b0, b1, b2, b3, c0, c1, _, flags] = entry;
        self.address = u32::from_le_bytes([b0, b1, b2, b3]) & !1;
        let count = u32::from(u16::from_le_bytes([c0, c1]) & !1);
        self.left = if count == 0 { 0x1_0000 } else { count };
        self.last = flags & 0x80 != 0;
        self.next = self.next.wrapping_add(8);
        true
    }
}
