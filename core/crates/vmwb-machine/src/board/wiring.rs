//! Interrupts: from a device's output to the 8259 pair, the I/O APIC and the local APICs, and between processors.
//!
//! ```text
//! PCI pins --PIRQ routes--+
//! line 0..15 (ISA) -------+--> 8259 input n ----> INTR --> LINT0 of the first local APIC (ExtINT)
//!                         `--> I/O APIC pin n (0 -> 2) --message--> local APICs
//! line 16..23 ---------------> I/O APIC pin n
//! message-signalled interrupt, interprocessor interrupt ----------> local APICs
//! ```

use vmwb_devices::ioapic::{DeliveryMode, IoApic, Message};
use vmwb_devices::lapic::{Destination, Ipi, IpiKind, IpiTarget, Lapic, Signal};
use vmwb_devices::pic::Pic;
use vmwb_hw::{Ctx, IrqLine, LineChange, LocalInterrupts, MsiMessage};

use super::lines::{LinesV1, Routes, SharedLines};

/// Line of the interval timer.
pub const IRQ_TIMER: u8 = 0;
/// Line of the keyboard.
pub const IRQ_KEYBOARD: u8 = 1;
/// Line of the clock.
pub const IRQ_RTC: u8 = 8;
/// Line by which the event timers take the interval timer's place (see [`super::Board`]'s settling). No input of a
/// controller has this number.
pub const HPET_TIMER_LINE: u8 = 32;
/// Line by which the event timers take the clock's place.
pub const HPET_CLOCK_LINE: u8 = 33;
/// Line of the floppy controller.
pub const IRQ_FLOPPY: u8 = 6;
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

/// Addresses of message-signalled interrupts: FEEx_xxxxh (SDM volume 3, "Message Address Register Format").
const MSI_WINDOW: u64 = 0xFEE0_0000;
const MSI_WINDOW_MASK: u64 = !0xF_FFFF;
/// Address: the processor with the lowest priority of those that are named.
const MSI_REDIRECTION_HINT: u64 = 1 << 3;
/// Address: logical destination.
const MSI_LOGICAL: u64 = 1 << 2;
/// Data: level triggered.
const MSI_LEVEL: u32 = 1 << 15;

/// A set of processors, one bit each.
type Processors = u8;

/// The controllers that the processors ask.
#[derive(Debug)]
pub struct InterruptControllers {
    /// 8259A pair.
    pub pic: Pic,
    /// I/O APIC.
    pub ioapic: IoApic,
    /// Local APICs, one a processor; 1 to 8.
    pub lapics: Vec<Lapic>,
    lines: SharedLines,
    current: usize,
    /// Somebody has sent a system management interrupt since the last look.
    smi: bool,
}

impl InterruptControllers {
    /// Controllers of a board with so many local APICs (1 to 8).
    #[must_use]
    pub fn new(lapics: Vec<Lapic>) -> Self {
        assert!(
            (1..=8).contains(&lapics.len()),
            "a board has 1 to 8 processors"
        );
        Self {
            pic: Pic::new(),
            ioapic: IoApic::new(),
            lapics,
            lines: SharedLines::default(),
            current: 0,
            smi: false,
        }
    }

    /// Says which processor asks from now on.
    pub fn set_current(&mut self, processor: usize) {
        self.current = processor;
    }

    /// The local APIC of the processor that asks.
    #[must_use]
    pub fn lapic(&self) -> &Lapic {
        &self.lapics[self.current]
    }

    /// As [`InterruptControllers::lapic`].
    pub fn lapic_mut(&mut self) -> &mut Lapic {
        &mut self.lapics[self.current]
    }

    /// Brings one change of a line to every controller that sees it.
    pub fn apply(&mut self, change: LineChange) {
        let LineChange { line, level } = change;
        if (ISA_LINES..IrqLine::FIRST_PCI).contains(&line.0) {
            self.set_pin(line.0, level);
        } else {
            let changed = self.lines.set(line, level);
            self.tell(changed);
        }
    }

    /// The chipset's routes of the PCI interrupt lines, whenever they may have changed.
    pub fn set_routes(&mut self, routes: Routes) {
        let changed = self.lines.set_routes(routes);
        self.tell(changed);
    }

    /// Brings the new levels of these ISA inputs to the controllers.
    fn tell(&mut self, changed: u16) {
        for input in (0..ISA_LINES).filter(|n| changed >> n & 1 != 0 && *n != CASCADE) {
            let level = self.lines.level(input);
            self.pic.set_line(input, level);
            self.set_pin(if input == IRQ_TIMER { TIMER_PIN } else { input }, level);
        }
    }

    fn set_pin(&mut self, pin: u8, level: bool) {
        if let Some(message) = self.ioapic.set_line(pin, level) {
            self.route(message);
        }
    }

    /// Levels of all that drives the inputs, to be saved.
    #[must_use]
    pub fn save_lines(&self) -> LinesV1 {
        self.lines.to_v1()
    }

    /// Takes saved levels over; `None`: of a state that had no shared lines, where an input is its device's line.
    pub fn restore_lines(&mut self, saved: Option<&LinesV1>, routes: Routes) {
        let old = LinesV1 {
            isa: self.pic.lines(),
            pci: [0; 2],
        };
        self.lines = SharedLines::restored(saved.unwrap_or(&old), routes);
    }

    /// Brings the consequences of a guest's access to one controller to the others.
    pub fn settle(&mut self) {
        for n in 0..self.lapics.len() {
            if let Some(ipi) = self.lapics[n].take_ipi() {
                self.send(n, ipi);
            }
            self.smi |= self.lapics[n].take_smi();
            if let Some(vector) = self.lapics[n].take_eoi() {
                for message in self.ioapic.eoi(vector) {
                    self.route(message);
                }
            }
        }
        for message in self.ioapic.take_messages() {
            self.route(message);
        }
        let intr = self.pic.output();
        self.lapics[0].set_lint0(intr);
    }

    /// Brings a message-signalled interrupt to the processors. `false`: its address is not one of theirs, it is a plain
    /// write to memory.
    pub fn signal(&mut self, message: MsiMessage) -> bool {
        if message.address & MSI_WINDOW_MASK != MSI_WINDOW {
            return false;
        }
        // Bits 19:12.
        let [_, id, ..] = (message.address >> 4).to_le_bytes();
        let [vector, mode, ..] = message.data.to_le_bytes();
        let kind = match mode & 7 {
            0 if message.address & MSI_REDIRECTION_HINT != 0 => IpiKind::LowestPriority,
            0 => IpiKind::Fixed,
            1 => IpiKind::LowestPriority,
            2 => IpiKind::Smi,
            4 => IpiKind::Nmi,
            5 => IpiKind::Init,
            // ExtINT has no 8259 behind it.
            _ => return true,
        };
        let destination = Destination::narrow(id, message.address & MSI_LOGICAL != 0);
        self.deliver(
            self.addressed(destination),
            kind,
            vector,
            message.data & MSI_LEVEL != 0,
        );
        true
    }

    fn route(&mut self, message: Message) {
        let kind = match message.delivery {
            DeliveryMode::Fixed => IpiKind::Fixed,
            DeliveryMode::LowestPriority => IpiKind::LowestPriority,
            DeliveryMode::Nmi => IpiKind::Nmi,
            DeliveryMode::Init => IpiKind::Init,
            DeliveryMode::Smi => IpiKind::Smi,
            // ExtINT is asked for by level, below.
            DeliveryMode::ExtInt => return,
        };
        let to = self.addressed(Destination::narrow(message.destination, message.logical));
        self.deliver(to, kind, message.vector, message.level);
    }

    fn send(&mut self, from: usize, ipi: Ipi) {
        let (all, sender) = (self.all(), 1 << from);
        let to = match ipi.target {
            IpiTarget::Destination(destination) => self.addressed(destination),
            IpiTarget::Myself => sender,
            IpiTarget::All => all,
            IpiTarget::Others => all & !sender,
        };
        self.deliver(to, ipi.kind, ipi.vector, false);
    }

    fn all(&self) -> Processors {
        Processors::MAX >> (8 - self.lapics.len())
    }

    fn addressed(&self, destination: Destination) -> Processors {
        (0..self.lapics.len())
            .filter(|&n| self.lapics[n].accepts(destination))
            .fold(0, |set, n| set | 1 << n)
    }

    fn deliver(&mut self, to: Processors, kind: IpiKind, vector: u8, level: bool) {
        let to = match kind {
            IpiKind::LowestPriority => self.readiest(to),
            _ => to,
        };
        for n in (0..self.lapics.len()).filter(|n| to >> n & 1 != 0) {
            let lapic = &mut self.lapics[n];
            match kind {
                IpiKind::Fixed | IpiKind::LowestPriority => lapic.deliver(vector, level),
                IpiKind::Nmi => lapic.signal_nmi(),
                IpiKind::Smi => self.smi = true,
                IpiKind::Init => lapic.signal_init(),
                IpiKind::StartUp => lapic.signal_startup(vector),
            }
        }
    }

    /// The one processor of a set that takes a lowest-priority message: of equal ones the first.
    fn readiest(&self, set: Processors) -> Processors {
        (0..self.lapics.len())
            .filter(|&n| set >> n & 1 != 0 && self.lapics[n].takes_vectors())
            .min_by_key(|&n| self.lapics[n].priority())
            .map_or(0, |n| 1 << n)
    }

    /// Whether INTR of the 8259 pair asks this processor: the first through LINT0, any through pin 0 of the I/O APIC.
    fn extint(&self, processor: usize) -> bool {
        if !self.pic.output() {
            return false;
        }
        let through_ioapic = || {
            let (id, logical) = self.ioapic.extint_destination()?;
            Some(self.lapics[processor].accepts(Destination::narrow(id, logical)))
        };
        processor == 0 && self.lapics[0].accepts_extint() || through_ioapic() == Some(true)
    }

    /// Whether a system management interrupt has reached a processor since the last call. There is no such mode: whoever
    /// asks tells the user.
    pub fn take_smi(&mut self) -> bool {
        std::mem::take(&mut self.smi)
    }

    /// Whether a maskable interrupt waits for this processor.
    #[must_use]
    pub fn pending_for(&self, processor: usize) -> bool {
        self.lapics[processor].pending_vector().is_some() || self.extint(processor)
    }

    /// Whether anything waits that a halted processor looks at.
    #[must_use]
    pub fn wakes(&self, processor: usize) -> bool {
        self.lapics[processor].has_nmi() || self.pending_for(processor)
    }

    /// Whether a processor has to be initialized or started.
    #[must_use]
    pub fn has_signals(&self) -> bool {
        self.lapics.iter().any(Lapic::has_signal)
    }

    /// Takes the next signal out, with the processor that it is for.
    pub fn take_signal(&mut self, ctx: &mut Ctx<'_>) -> Option<(usize, Signal)> {
        let signalled = |(n, lapic): (usize, &mut Lapic)| Some((n, lapic.take_signal(ctx)?));
        self.lapics.iter_mut().enumerate().find_map(signalled)
    }
}

impl LocalInterrupts for InterruptControllers {
    fn pending(&self) -> bool {
        self.pending_for(self.current)
    }

    /// The local APIC's own interrupts come first; then the 8259's, whose vector the acknowledge cycle fetches.
    fn acknowledge(&mut self) -> Option<u8> {
        if let Some(vector) = self.lapic_mut().acknowledge() {
            return Some(vector);
        }
        let vector = self.extint(self.current).then(|| self.pic.acknowledge());
        self.settle();
        vector
    }
}
