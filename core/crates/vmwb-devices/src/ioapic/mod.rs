//! The I/O APIC: 24 pins at FEC00000h, version 20h (it has an EOI register; the 82093AA's 11h has not, and kernels then
//! end interrupts by rewriting entries).
//!
//! The board drives pins with [`IoApic::set_line`] and gives the [`Message`]s that come back to the local APIC; after a
//! guest's write to the unit it collects messages with [`IoApic::take_messages`]. The unit knows no local APIC.
//!
//! Levels are logical: `true` is asserted, whatever polarity the guest has programmed; polarity is kept and not applied.
//!
//! | Registers | Omitted |
//! |---|---|
//! | IOREGSEL, IOWIN, EOI, ID, version, arbitration, 24 redirection entries | the serial APIC bus: delivery is immediate, delivery status reads 0 |
//!
//! | Threat | Answer |
//! |---|---|
//! | An index without a register | reads as zero, writes are ignored |
//! | A level line that stays asserted | one message an EOI, never a loop here |

mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

use vmwb_hw::{AccessSize, Ctx, Device, MmioDevice, Nanos, Payload, ResetKind, SnapshotError};

pub use snapshot::IoApicV1;

/// Guest-physical address of the registers.
pub const IOAPIC_BASE: u64 = 0xFEC0_0000;
/// Size of the register page in bytes.
pub const IOAPIC_BYTES: u64 = 0x1000;
/// Input pins.
pub const IOAPIC_PINS: u8 = 24;

const PINS: usize = IOAPIC_PINS as usize;

/// What kind of interrupt a message carries (bits 10:8 of a redirection entry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The vector.
    Fixed,
    /// The vector, to the processor with the lowest priority.
    LowestPriority,
    /// System management interrupt.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// Initialization.
    Init,
    /// The vector comes from the 8259.
    ExtInt,
}

impl DeliveryMode {
    /// `None` for the two reserved codes, which deliver nothing.
    fn from_entry(entry: u64) -> Option<Self> {
        match (entry & regs::DELIVERY_MASK) >> 8 {
            0 => Some(Self::Fixed),
            1 => Some(Self::LowestPriority),
            2 => Some(Self::Smi),
            4 => Some(Self::Nmi),
            5 => Some(Self::Init),
            7 => Some(Self::ExtInt),
            _ => None,
        }
    }
}

/// One interrupt message for the local APICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Vector.
    pub vector: u8,
    /// Kind.
    pub delivery: DeliveryMode,
    /// Level triggered: its end is reported by [`IoApic::eoi`].
    pub level: bool,
    /// Destination field.
    pub destination: u8,
    /// Destination mode: logical, else physical.
    pub logical: bool,
}

/// The I/O APIC. See the module's head.
#[derive(Debug)]
pub struct IoApic {
    id: u32,
    index: u8,
    entries: [u64; PINS],
    lines: [bool; PINS],
    outgoing: Vec<Message>,
}

impl Default for IoApic {
    fn default() -> Self {
        Self::new()
    }
}

impl IoApic {
    /// The unit in its power-on state: all entries masked.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: 0,
            index: 0,
            entries: [regs::MASKED; PINS],
            lines: [false; PINS],
            outgoing: Vec::new(),
        }
    }

    /// Drives pin `pin` (0 to 23; others do not exist and are ignored).
    pub fn set_line(&mut self, pin: u8, level: bool) -> Option<Message> {
        let pin = usize::from(pin);
        let line = self.lines.get_mut(pin)?;
        let rising = level && !*line;
        *line = level;
        let is_level = self.entries[pin] & regs::LEVEL != 0;
        // 82093AA datasheet, section 3.2.4, "Interrupt Mask": an edge at a masked pin is lost.
        if is_level || rising {
            self.send(pin)
        } else {
            None
        }
    }

    /// Ends the level interrupts with this vector; gives messages for lines that are still asserted.
    pub fn eoi(&mut self, vector: u8) -> Vec<Message> {
        let mut again = Vec::new();
        for pin in 0..PINS {
            let entry = self.entries[pin];
            if entry & regs::VECTOR == u64::from(vector) && entry & regs::LEVEL != 0 {
                self.entries[pin] &= !regs::REMOTE_IRR;
                again.extend(self.send(pin).filter(|_| self.lines[pin]));
            }
        }
        again
    }

    /// Messages that guest writes have caused (an entry unmasked while its line is asserted, the EOI register).
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whom the 8259's INTR, wired to pin 0, reaches through this unit (ExtINT mode): destination field and mode.
    #[must_use]
    pub fn extint_destination(&self) -> Option<(u8, bool)> {
        let entry = self.entries[0];
        let open = entry & regs::MASKED == 0
            && DeliveryMode::from_entry(entry) == Some(DeliveryMode::ExtInt);
        let [.., destination] = entry.to_le_bytes();
        open.then_some((destination, entry & regs::LOGICAL != 0))
    }

    /// Makes the message of a pin whose line asks for it.
    fn send(&mut self, pin: usize) -> Option<Message> {
        let entry = self.entries[pin];
        let level = entry & regs::LEVEL != 0;
        if entry & regs::MASKED != 0 || level && (!self.lines[pin] || entry & regs::REMOTE_IRR != 0)
        {
            return None;
        }
        let delivery = DeliveryMode::from_entry(entry)?;
        let level = level && matches!(delivery, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if level {
            self.entries[pin] |= regs::REMOTE_IRR;
        }
        let [vector, .., destination] = entry.to_le_bytes();
        Some(Message {
            vector,
            delivery,
            level,
            destination,
            logical: entry & regs::LOGICAL != 0,
        })
    }

    /// Pin and half (0 low, 1 high) of the redirection entry that the index selects.
    fn selected_entry(&self) -> Option<(usize, u32)> {
        let at = self.index.checked_sub(regs::INDEX_TABLE)?;
        let pin = usize::from(at / 2);
        (pin < PINS).then_some((pin, u32::from(at & 1)))
    }

    fn window(&self) -> u32 {
        match self.index {
            regs::INDEX_ID | regs::INDEX_ARBITRATION => self.id,
            regs::INDEX_VERSION => regs::VERSION_VALUE,
            _ => self.selected_entry().map_or(0, |(pin, half)| {
                u32::try_from(self.entries[pin] >> (32 * half) & u64::from(u32::MAX))
                    .expect("masked to 32 bits")
            }),
        }
    }

    fn write_window(&mut self, value: u32) {
        if self.index == regs::INDEX_ID {
            self.id = value & regs::ID_WRITABLE;
            return;
        }
        let Some((pin, half)) = self.selected_entry() else {
            return;
        };
        let shift = 32 * half;
        let writable = regs::WRITABLE & u64::from(u32::MAX) << shift;
        let entry = &mut self.entries[pin];
        *entry = *entry & !writable | u64::from(value) << shift & writable;
        if *entry & regs::LEVEL == 0 {
            *entry &= !regs::REMOTE_IRR;
        } else if let Some(message) = self.send(pin) {
            self.queue(message);
        }
    }

    /// The board drains after every access, so the queue holds one access's messages: at most one a pin.
    fn queue(&mut self, message: Message) {
        if self.outgoing.len() < PINS {
            self.outgoing.push(message);
        }
    }

    fn register(&self, offset: u64) -> u32 {
        match offset {
            regs::IOREGSEL => u32::from(self.index),
            regs::IOWIN => self.window(),
            _ => 0,
        }
    }
}

impl Device for IoApic {
    fn name(&self) -> &str {
        "ioapic"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        // The pins are inputs; every device that is reset with this one releases its lines.
        *self = Self::new();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v1())
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.take_v1(&payload.decode::<IoApicV1>()?)
    }
}

impl MmioDevice for IoApic {
    fn mmio_read(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64 {
        self.mmio_peek(ctx.now, offset, size)
    }

    fn mmio_peek(&self, _now: Nanos, offset: u64, size: AccessSize) -> u64 {
        u64::from(self.register(offset)) & size.ones()
    }

    fn mmio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64) {
        let [low, ..] = value.to_le_bytes();
        match offset {
            regs::IOREGSEL => self.index = low,
            // 82093AA datasheet, section 3.1.2: the window is accessed as 32 bits.
            regs::IOWIN if size >= AccessSize::Dword => {
                self.write_window(
                    u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits"),
                );
            }
            regs::EOI => {
                for message in self.eoi(low) {
                    self.queue(message);
                }
            }
            _ => {}
        }
    }
}
