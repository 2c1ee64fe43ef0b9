//! The pair of 8259A interrupt controllers with the chipset's edge/level registers. Source: Intel 231468-003 (8259A),
//! Intel 290550-002 section 2.5 (PIIX3).
//!
//! Owns the inputs' levels, requests, services and priorities of both chips. It is not the APICs, and it drives no
//! line: the board asks [`Pic::output`] (INTR) and runs the acknowledge cycle with [`Pic::acknowledge`].
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | master ICW1, OCW2, OCW3; IRR, ISR, poll | 0 | port 20h |
//! | master ICW2-4, OCW1 (IMR) | 1 | port 21h |
//! | slave, the same | 2, 3 | ports A0h, A1h |
//! | ELCR1, ELCR2 | 4, 5 | ports 4D0h, 4D1h |
//!
//! Initialization of one chip: `Ready -ICW1-> Icw2 -> [Icw3 unless SNGL] -> [Icw4 if IC4] -> Ready`; the chip requests
//! nothing on the way.
//!
//! | Left out | Why |
//! |---|---|
//! | MCS-80 mode, buffered mode, LTIM | no PC uses them; the PIIX3 replaces LTIM by ELCR |
//! | Requests of inputs 14 and 15 that their line takes back | an IDE drive here has its next block at once: a driver that reads the status behind a block, before a real drive would have asked, must not lose it |
//! | Cascade on another input than 2 (ICW3) | the wiring of a PC is fixed; the value written is ignored |
//!
//! | Threat | Answer |
//! |---|---|
//! | Writes in any order at any stage | every byte is valid in every stage; no index leaves 0-7 |
//! | Restored state out of range | refused by name |
//! | Line numbers above 15 from the wiring | ignored |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{ChipV1, PicV1};

use vmwb_hw::{AccessSize, Ctx, Device, Nanos, Payload, PioDevice, ResetKind, SnapshotError};

use crate::bits::{byte_answer, low};
use regs::{
    CASCADE, ELCR1, ELCR1_WRITABLE, ELCR2, ELCR2_WRITABLE, ICW1_IC4, ICW1_INIT, ICW1_SNGL,
    ICW2_BASE, ICW4_AEOI, ICW4_SFNM, LEVEL, MASTER_COMMAND, MASTER_DATA, OCW3, OCW3_ESMM,
    OCW3_POLL, OCW3_RIS, OCW3_RR, OCW3_SMM, POLL_INT, SLAVE_COMMAND, SLAVE_DATA, ocw2,
};

/// Which byte the second register expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Ready,
    Icw2,
    Icw3,
    Icw4,
}

/// One 8259A.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chip {
    /// Levels of the inputs.
    lines: u8,
    /// Edge requests that wait.
    edges: u8,
    /// Inputs that are level-triggered.
    elcr: u8,
    isr: u8,
    imr: u8,
    /// ICW2: vector of input 0.
    base: u8,
    /// The input of lowest priority; the one after it has the highest.
    lowest: u8,
    stage: Stage,
    /// ICW1 of the initialization under way.
    icw1: u8,
    auto_eoi: bool,
    rotate_on_auto_eoi: bool,
    special_mask: bool,
    fully_nested: bool,
    read_isr: bool,
    poll: bool,
}

impl Default for Chip {
    fn default() -> Self {
        Self {
            lines: 0,
            edges: 0,
            elcr: 0,
            isr: 0,
            imr: 0,
            base: 0,
            lowest: LEVEL,
            stage: Stage::Ready,
            icw1: 0,
            auto_eoi: false,
            rotate_on_auto_eoi: false,
            special_mask: false,
            fully_nested: false,
            read_isr: false,
            poll: false,
        }
    }
}

impl Chip {
    fn set_line(&mut self, n: u8, level: bool, keeps_edge: bool) {
        let bit = 1 << n;
        if level {
            // Only a rise requests in edge mode; the latch is bypassed in level mode (231468-003, "IR triggering").
            if self.lines & bit == 0 && self.elcr & bit == 0 {
                self.edges |= bit;
            }
            self.lines |= bit;
        } else {
            // An input that falls before the acknowledge has withdrawn its request (231468-003, "IR triggering"): a
            // program that polls a device with interrupts off leaves none behind.
            if !keeps_edge {
                self.edges &= !bit;
            }
            self.lines &= !bit;
        }
    }

    /// IRR, with `cascade` the level-like request of the slave on input 2.
    fn irr(&self, cascade: bool) -> u8 {
        self.edges | (self.lines & self.elcr) | (u8::from(cascade) << CASCADE)
    }

    /// The input of highest priority among `set`.
    fn highest(&self, set: u8) -> Option<u8> {
        (1..=8)
            .map(|i| (self.lowest + i) & LEVEL)
            .find(|&n| set & (1 << n) != 0)
    }

    /// How far `n` stands from the highest priority.
    fn rank(&self, n: u8) -> u8 {
        n.wrapping_sub(self.lowest).wrapping_sub(1) & LEVEL
    }

    /// The input that the chip would interrupt for.
    fn pending(&self, cascade: bool) -> Option<u8> {
        if self.stage != Stage::Ready {
            return None;
        }
        let n = self.highest(self.irr(cascade) & !self.imr)?;
        let mut serving = self.isr;
        if self.special_mask {
            serving &= !self.imr;
        }
        if self.fully_nested && cascade {
            serving &= !(1 << CASCADE);
        }
        let blocked = self
            .highest(serving)
            .is_some_and(|s| self.rank(s) <= self.rank(n));
        (!blocked).then_some(n)
    }

    /// The second INTA pulse for input `n`.
    fn serve(&mut self, n: u8) {
        let bit = 1 << n;
        self.edges &= !bit;
        if !self.auto_eoi {
            self.isr |= bit;
        } else if self.rotate_on_auto_eoi {
            self.lowest = n;
        }
    }

    fn initialize(&mut self, icw1: u8) {
        self.icw1 = icw1;
        self.stage = Stage::Icw2;
        self.edges = 0;
        self.imr = 0;
        self.isr = 0;
        self.lowest = LEVEL;
        self.special_mask = false;
        self.read_isr = false;
        self.poll = false;
        if icw1 & ICW1_IC4 == 0 {
            self.set_icw4(0);
        }
    }

    fn set_icw4(&mut self, value: u8) {
        self.fully_nested = value & ICW4_SFNM != 0;
        self.auto_eoi = value & ICW4_AEOI != 0;
    }

    fn write_command(&mut self, value: u8) {
        if value & ICW1_INIT != 0 {
            self.initialize(value);
        } else if value & OCW3 != 0 {
            self.write_ocw3(value);
        } else {
            self.write_ocw2(value >> 5, value & LEVEL);
        }
    }

    fn write_ocw3(&mut self, value: u8) {
        self.poll = value & OCW3_POLL != 0;
        if value & OCW3_RR != 0 {
            self.read_isr = value & OCW3_RIS != 0;
        }
        if value & OCW3_ESMM != 0 {
            self.special_mask = value & OCW3_SMM != 0;
        }
    }

    fn write_ocw2(&mut self, command: u8, level: u8) {
        // In special mask mode a non-specific EOI passes over masked services (231468-003, "end of interrupt").
        let unmasked = if self.special_mask {
            self.isr & !self.imr
        } else {
            self.isr
        };
        match command {
            ocw2::EOI | ocw2::ROTATE_EOI => {
                if let Some(n) = self.highest(unmasked) {
                    self.isr &= !(1 << n);
                    if command == ocw2::ROTATE_EOI {
                        self.lowest = n;
                    }
                }
            }
            ocw2::SPECIFIC_EOI => self.isr &= !(1 << level),
            ocw2::ROTATE_SPECIFIC_EOI => {
                self.isr &= !(1 << level);
                self.lowest = level;
            }
            ocw2::SET_PRIORITY => self.lowest = level,
            ocw2::ROTATE_AEOI_SET => self.rotate_on_auto_eoi = true,
            ocw2::ROTATE_AEOI_CLEAR => self.rotate_on_auto_eoi = false,
            _ => {}
        }
    }

    fn write_data(&mut self, value: u8) {
        let icw4_or_ready = if self.icw1 & ICW1_IC4 != 0 {
            Stage::Icw4
        } else {
            Stage::Ready
        };
        match self.stage {
            Stage::Ready => self.imr = value,
            Stage::Icw2 => {
                self.base = value & ICW2_BASE;
                self.stage = if self.icw1 & ICW1_SNGL != 0 {
                    icw4_or_ready
                } else {
                    Stage::Icw3
                };
            }
            Stage::Icw3 => self.stage = icw4_or_ready,
            Stage::Icw4 => {
                self.set_icw4(value);
                self.stage = Stage::Ready;
            }
        }
    }

    /// Without a request the number is that of input 7, as in the answer to a spurious acknowledge: 386BSD's and NetBSD's
    /// boot programs wait for their floppy drive while the word is odd.
    fn poll_value(&self, cascade: bool) -> u8 {
        self.pending(cascade).map_or(LEVEL, |n| POLL_INT | n)
    }

    fn peek(&self, data: bool, cascade: bool) -> u8 {
        match (self.poll, data, self.read_isr) {
            (true, _, _) => self.poll_value(cascade),
            (false, true, _) => self.imr,
            (false, false, true) => self.isr,
            (false, false, false) => self.irr(cascade),
        }
    }

    fn read(&mut self, data: bool, cascade: bool) -> u8 {
        let value = self.peek(data, cascade);
        if self.poll {
            self.poll = false;
            if let Some(n) = self.pending(cascade) {
                self.serve(n);
            }
        }
        value
    }
}

/// Inputs of the IDE channels.
const IDE_INPUTS: std::ops::RangeInclusive<u8> = 14..=15;

/// The pair of 8259A. See the module for offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pic {
    master: Chip,
    slave: Chip,
}

impl Pic {
    /// A pair as after power-on: nothing masked, vectors unset, all inputs edge-triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Level of input `n` (0 to 15; 2 is the cascade and, like larger numbers, ignored).
    pub fn set_line(&mut self, n: u8, level: bool) {
        match n {
            CASCADE | 16.. => {}
            0..8 => self.master.set_line(n, level, false),
            8..16 => {
                let keeps_edge = IDE_INPUTS.contains(&n);
                self.slave.set_line(n - 8, level, keeps_edge);
            }
        }
    }

    /// Levels of all inputs, bit n of input n.
    #[must_use]
    pub fn lines(&self) -> u16 {
        u16::from_le_bytes([self.master.lines, self.slave.lines])
    }

    /// INTR: whether an interrupt waits to be acknowledged.
    #[must_use]
    pub fn output(&self) -> bool {
        self.master.pending(self.cascade()).is_some()
    }

    /// The acknowledge cycle: gives the vector and puts the input in service. When the request has gone, the answer
    /// is the spurious vector of input 7 (or 15), and that input is not in service.
    pub fn acknowledge(&mut self) -> u8 {
        let cascade = self.cascade();
        let Some(n) = self.master.pending(cascade) else {
            return self.master.base | LEVEL;
        };
        self.master.serve(n);
        if n != CASCADE || !cascade {
            return self.master.base | n;
        }
        match self.slave.pending(false) {
            Some(s) => {
                self.slave.serve(s);
                self.slave.base | s
            }
            None => self.slave.base | LEVEL,
        }
    }

    fn cascade(&self) -> bool {
        self.slave.pending(false).is_some()
    }
}

impl Device for Pic {
    fn name(&self) -> &str {
        "pic"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        *self = Self::new();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &PicV1::from(self))
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        *self = Self::try_from(payload.decode::<PicV1>()?)?;
        Ok(())
    }
}

impl PioDevice for Pic {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        if size == AccessSize::Byte {
            let cascade = self.cascade();
            match offset {
                MASTER_COMMAND | MASTER_DATA => {
                    _ = self.master.read(offset == MASTER_DATA, cascade)
                }
                SLAVE_COMMAND | SLAVE_DATA => _ = self.slave.read(offset == SLAVE_DATA, false),
                _ => {}
            }
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = match offset {
            MASTER_COMMAND | MASTER_DATA => self.master.peek(offset == MASTER_DATA, self.cascade()),
            SLAVE_COMMAND | SLAVE_DATA => self.slave.peek(offset == SLAVE_DATA, false),
            ELCR1 => self.master.elcr,
            ELCR2 => self.slave.elcr,
            _ => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let value = low(value);
        match offset {
            MASTER_COMMAND => self.master.write_command(value),
            MASTER_DATA => self.master.write_data(value),
            SLAVE_COMMAND => self.slave.write_command(value),
            SLAVE_DATA => self.slave.write_data(value),
            ELCR1 => self.master.elcr = value & ELCR1_WRITABLE,
            ELCR2 => self.slave.elcr = value & ELCR2_WRITABLE,
            _ => {}
        }
    }
}
