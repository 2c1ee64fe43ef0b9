//! What a device is, and what it may do to the rest of the machine during one access.

use std::fmt::Debug;

use vmwb_mem::GuestMemory;
use vmwb_snapshot::{Payload, SnapshotError};

use crate::clock::{Nanos, Scheduler, TimerId};

/// Width of one access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AccessSize {
    /// 1 byte.
    Byte = 1,
    /// 2 bytes.
    Word = 2,
    /// 4 bytes.
    Dword = 4,
    /// 8 bytes; memory-mapped registers only.
    Qword = 8,
}

impl AccessSize {
    /// Width in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self as u64
    }

    /// All ones in this width: what an access to nothing reads.
    #[must_use]
    pub fn ones(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// An interrupt line of the board: the number of the input that the wiring gave to the device. 0 to 15: ISA; 16 to 23:
/// further pins of the I/O APIC; from [`IrqLine::FIRST_PCI`] on: one pin of one PCI slot, which may share its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IrqLine(pub u8);

impl IrqLine {
    /// First line of the PCI bus: slot 0, INTA#.
    pub const FIRST_PCI: u8 = 64;

    /// Line of interrupt pin `pin` (0: INTA# to 3: INTD#) of a PCI slot (0 to 31). Active means asserted (low on the bus).
    #[must_use]
    pub const fn pci(slot: u8, pin: u8) -> Self {
        Self(Self::FIRST_PCI + (slot & 31) * 4 + (pin & 3))
    }
}

/// A message-signalled interrupt: a write to the local APICs' window (PCI specification 3.0, section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsiMessage {
    /// Address, FEEx_xxxxh when it is sane.
    pub address: u64,
    /// Data: vector, delivery mode, trigger.
    pub data: u32,
}

/// One change of a line's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineChange {
    /// Which line.
    pub line: IrqLine,
    /// `true`: asserted (active, whatever its polarity on a real board).
    pub level: bool,
}

/// Line changes and messages of one access, in order. The board drains them after the device has returned.
#[derive(Debug, Clone, Default)]
pub struct LineChanges {
    changes: Vec<LineChange>,
    messages: Vec<MsiMessage>,
}

impl LineChanges {
    /// Records a level.
    pub fn set(&mut self, line: IrqLine, level: bool) {
        self.changes.push(LineChange { line, level });
    }

    /// Asserts the line and keeps it.
    pub fn assert(&mut self, line: IrqLine) {
        self.set(line, true);
    }

    /// Releases the line.
    pub fn deassert(&mut self, line: IrqLine) {
        self.set(line, false);
    }

    /// One edge: asserted, then released.
    pub fn pulse(&mut self, line: IrqLine) {
        self.set(line, true);
        self.set(line, false);
    }

    /// Sends a message-signalled interrupt.
    pub fn send(&mut self, message: MsiMessage) {
        self.messages.push(message);
    }

    /// Takes all messages out, in order.
    pub fn drain_messages(&mut self) -> std::vec::Drain<'_, MsiMessage> {
        self.messages.drain(..)
    }

    /// Whether nothing changed and nothing was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.messages.is_empty()
    }

    /// Takes all changes out, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, LineChange> {
        self.changes.drain(..)
    }
}

/// What a guest asked of the whole machine through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerRequest {
    /// Soft-off (ACPI S5).
    PowerOff,
    /// Suspend to RAM (ACPI S3).
    Sleep,
    /// Reset of everything: port CF9h, ACPI reset register.
    Reset,
    /// Reset of the processor alone (INIT): keyboard controller pulse, port 92h.
    ResetProcessor,
    /// A write of this value to the debug exit port.
    DebugExit(u32),
}

/// What a device sees and may change while it handles one access or one deadline.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// Virtual time of this access.
    pub now: Nanos,
    /// Interrupt lines: levels are recorded here and applied after the device has returned.
    pub lines: &'a mut LineChanges,
    /// Deadlines of the device's own timers.
    pub scheduler: &'a mut Scheduler,
    /// Guest memory, for devices that are bus masters.
    pub memory: &'a GuestMemory,
    /// Set when the guest asks for power-off or reset.
    pub power: &'a mut Option<PowerRequest>,
}

/// How deep a reset goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetKind {
    /// Power was off: everything returns to its power-on value.
    PowerOn,
    /// Reset line: what the datasheet keeps over a reset is kept (CMOS memory, the clock's date).
    Hard,
    /// The guest goes to sleep in its RAM (ACPI S3): as [`Self::Hard`], but what the standby supply feeds keeps its state (the
    /// clock, the events that wake) and so does what firmware needs to find its way back.
    Sleep,
}

/// Life cycle that every device has. No method has a default body: a new device decides each.
pub trait Device: Debug + Send {
    /// Instance name: unique in the machine, stable over versions, the name of its payload.
    fn name(&self) -> &str;

    /// Back to the reset values. Lines that the device had asserted are released through `ctx`, its timers disarmed.
    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind);

    /// The frozen, versioned state, complete at any instruction boundary.
    ///
    /// # Errors
    /// Only when it cannot be encoded.
    fn save(&self) -> Result<Payload, SnapshotError>;

    /// Takes over a saved state into a newly built device. Every length and every index is checked; lines are not
    /// driven (the controllers save their own inputs) and timers are armed again through `ctx`.
    ///
    /// # Errors
    /// What is wrong with the payload; the device may then be half restored and is thrown away.
    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError>;
}

/// A device with I/O ports. `offset` counts from the device's own base.
pub trait PioDevice: Device {
    /// Reads; may have side effects. Widths that the device does not decode read as all ones.
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32;
    /// What a read would give, without side effects: for the debugger.
    fn pio_peek(&self, now: Nanos, offset: u16, size: AccessSize) -> u32;
    /// Writes.
    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32);
}

/// A device with memory-mapped registers. `offset` counts from the device's own base.
pub trait MmioDevice: Device {
    /// Reads; may have side effects.
    fn mmio_read(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64;
    /// What a read would give, without side effects: for the debugger.
    fn mmio_peek(&self, now: Nanos, offset: u64, size: AccessSize) -> u64;
    /// Writes.
    fn mmio_write(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64);
}

/// A device with deadlines.
pub trait Timed: Device {
    /// The timer has reached its deadline and is disarmed; arm it again for the next one.
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, timer: TimerId);
}
