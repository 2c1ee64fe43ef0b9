//! Interrupt lines: from a device's output to the 8259 pair, the I/O APIC and the local APIC.
//!
//! ```text
//! line 0..15 (ISA) --+--> 8259 input n ----> INTR --> LINT0 of the local APIC (ExtINT)
//!                    `--> I/O APIC pin n (0 -> 2) --message--> local APIC
//! line 16..23        ----> I/O APIC pin n
//! ```

use vmwb_devices::ioapic::{DeliveryMode, IoApic, Message};
use vmwb_devices::lapic::Lapic;
use vmwb_devices::pic::Pic;
use vmwb_hw::{LineChange, LocalInterrupts};

/// Line of the interval timer.
pub const IRQ_TIMER: u8 = 0;
/// Line of the keyboard.
pub const IRQ_KEYBOARD: u8 = 1;
/// Line of the clock.
pub const IRQ_RTC: u8 = 8;
/// Line of the first IDE channel.
pub const IRQ_IDE_PRIMARY: u8 = 14;
/// Line of the second IDE channel.
pub const IRQ_IDE_SECONDARY: u8 = 15;
/// Line of the PS/2 mouse.
pub const IRQ_MOUSE: u8 = 12;

/// Line of the coprocessor's errors.
pub const IRQ_COPROCESSOR: u8 = 13;

/// Input of the 8259 pair that the slave occupies; no line.
const CASCADE: u8 = 2;
/// Pin that the timer's line is connected to (an override in the MADT says so).
const TIMER_PIN: u8 = 2;
const ISA_LINES: u8 = 16;

/// The three controllers that one processor asks.
#[derive(Debug)]
pub struct InterruptControllers {
    /// 8259A pair.
    pub pic: Pic,
    /// I/O APIC.
    pub ioapic: IoApic,
    /// Local APIC.
    pub lapic: Lapic,
}

impl InterruptControllers {
    /// Brings one change of a line to every controller that sees it.
    pub fn apply(&mut self, change: LineChange) {
        let LineChange { line, level } = change;
        if line.0 < ISA_LINES && line.0 != CASCADE {
            self.pic.set_line(line.0, level);
        }
        let pin = match line.0 {
            IRQ_TIMER => Some(TIMER_PIN),
            CASCADE => None,
            n => Some(n),
        };
        if let Some(message) = pin.and_then(|pin| self.ioapic.set_line(pin, level)) {
            self.route(message);
        }
    }

    /// Brings the consequences of a guest's access to one controller to the others.
    pub fn settle(&mut self) {
        if let Some(vector) = self.lapic.take_eoi() {
            for message in self.ioapic.eoi(vector) {
                self.route(message);
            }
        }
        for message in self.ioapic.take_messages() {
            self.route(message);
        }
        let intr = self.pic.output();
        self.lapic.set_lint0(intr);
    }

    fn route(&mut self, message: Message) {
        if !self.lapic.accepts(message.destination, message.logical) {
            return;
        }
        match message.delivery {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                self.lapic.deliver(message.vector, message.level);
            }
            DeliveryMode::Nmi => self.lapic.signal_nmi(),
            // ExtINT is asked for by level, below; SMI and INIT go to a mode and a protocol that are not there.
            DeliveryMode::ExtInt | DeliveryMode::Smi | DeliveryMode::Init => {}
        }
    }

    fn extint(&self) -> bool {
        self.pic.output() && (self.lapic.accepts_extint() || self.ioapic.accepts_extint())
    }
}

impl LocalInterrupts for InterruptControllers {
    fn pending(&self) -> bool {
        self.lapic.pending_vector().is_some() || self.extint()
    }

    /// The local APIC's own interrupts come first; then the 8259's, whose vector the acknowledge cycle fetches.
    fn acknowledge(&mut self) -> Option<u8> {
        if let Some(vector) = self.lapic.acknowledge() {
            return Some(vector);
        }
        let vector = self.extint().then(|| self.pic.acknowledge());
        self.settle();
        vector
    }
}
