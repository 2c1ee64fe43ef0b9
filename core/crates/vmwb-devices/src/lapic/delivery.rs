//! How interrupts come to the unit and leave it: destinations, messages, pins, interprocessor interrupts.

use vmwb_hw::Ctx;

use super::{Lapic, regs};

/// Whom a message is for (SDM volume 3, "Determining IPI Destination").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// APIC id, or with `logical` a set of logical ids; all ones: every processor.
    pub id: u32,
    /// Destination mode.
    pub logical: bool,
}

impl Destination {
    /// The destination field of a message with eight bits, as I/O APICs, MSIs and units in xAPIC mode send.
    #[must_use]
    pub fn narrow(id: u8, logical: bool) -> Self {
        let id = if id == 0xFF { u32::MAX } else { u32::from(id) };
        Self { id, logical }
    }
}

/// What an interprocessor interrupt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpiKind {
    /// Requests its vector.
    Fixed,
    /// Requests its vector of the addressed processor with the lowest priority.
    LowestPriority,
    /// Non-maskable interrupt.
    Nmi,
    /// System management interrupt, for a mode that is not there.
    Smi,
    /// Initialization.
    Init,
    /// Start-up at the page of its vector.
    StartUp,
}

/// Whom an interprocessor interrupt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpiTarget {
    /// Those that the destination field names.
    Destination(Destination),
    /// The sender.
    Myself,
    /// Every processor, the sender too.
    All,
    /// Every processor but the sender.
    Others,
}

/// An interprocessor interrupt on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipi {
    /// What it does.
    pub kind: IpiKind,
    /// Vector; of a start-up message the number of the first page.
    pub vector: u8,
    /// Whom it is for.
    pub target: IpiTarget,
}

/// What the unit tells its processor besides interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Initialization.
    Init,
    /// Start-up in real mode at 4,096 times this number.
    StartUp(u8),
}

impl Lapic {
    /// Whether a message with this destination is for this processor. A unit that is disabled in IA32_APIC_BASE takes
    /// none.
    #[must_use]
    pub fn accepts(&self, destination: Destination) -> bool {
        let Destination { id, logical } = destination;
        if !self.is_enabled() || id == u32::MAX {
            return self.is_enabled();
        }
        if self.is_x2apic() {
            let own = self.x2apic_ldr();
            return if logical {
                id >> 16 == own >> 16 && id & own & 0xFFFF != 0
            } else {
                id == u32::from(self.config.number)
            };
        }
        let Ok(id) = u8::try_from(id) else {
            return false;
        };
        if !logical {
            return id == self.id.to_be_bytes()[0];
        }
        let own = self.ldr.to_be_bytes()[0];
        if self.dfr >> 28 == 0xF {
            id & own != 0
        } else {
            id >> 4 == own >> 4 && id & own & 0xF != 0
        }
    }

    /// Logical id in x2APIC mode: cluster and bit, derived from the APIC id (SDM, "Logical x2APIC ID").
    pub(super) fn x2apic_ldr(&self) -> u32 {
        let id = u32::from(self.config.number);
        (id >> 4) << 16 | 1 << (id & 0xF)
    }

    /// What arbitration for a lowest-priority message compares: the lower the readier.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.ppr()
    }

    /// Whether the unit takes vectors: enabled in IA32_APIC_BASE and by software.
    #[must_use]
    pub fn takes_vectors(&self) -> bool {
        self.is_software_enabled()
    }

    /// Takes a fixed or lowest-priority interrupt. `level`: level triggered, its end is broadcast to the I/O APIC.
    pub fn deliver(&mut self, vector: u8, level: bool) {
        if !self.is_software_enabled() {
            return;
        }
        if vector < 16 {
            self.report(regs::ESR_RECEIVE_ILLEGAL);
            return;
        }
        self.irr.set(vector, true);
        self.tmr.set(vector, level);
    }

    /// Takes a non-maskable interrupt (message or IPI). As INIT and start-up messages it reaches a unit that software has
    /// disabled.
    pub fn signal_nmi(&mut self) {
        self.nmi |= self.is_enabled();
    }

    /// Takes INIT.
    pub fn signal_init(&mut self) {
        if self.is_enabled() {
            (self.init, self.startup) = (true, None);
        }
    }

    /// Takes a start-up message.
    pub fn signal_startup(&mut self, vector: u8) {
        if self.is_enabled() {
            self.startup = Some(vector);
        }
    }

    /// Whether a non-maskable interrupt waits.
    #[must_use]
    pub fn has_nmi(&self) -> bool {
        self.nmi
    }

    /// Takes the pending non-maskable interrupt out.
    pub fn take_nmi(&mut self) -> bool {
        std::mem::take(&mut self.nmi)
    }

    /// Whether a pin has asked for a system management interrupt since the last call. There is no such mode: the board says
    /// so.
    pub fn take_smi(&mut self) -> bool {
        std::mem::take(&mut self.smi)
    }

    /// Whether the processor has to be initialized or started.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        self.init || self.startup.is_some()
    }

    /// Takes the signal for the processor out: INIT first, which resets the unit's own registers as well.
    pub fn take_signal(&mut self, ctx: &mut Ctx<'_>) -> Option<Signal> {
        if self.init {
            let startup = self.startup;
            self.reset_registers(ctx);
            self.startup = startup;
            return Some(Signal::Init);
        }
        self.startup.take().map(Signal::StartUp)
    }

    /// Level of the LINT0 pin: the 8259's INTR. Matters here only when the guest uses the pin for a vector of its own.
    pub fn set_lint0(&mut self, level: bool) {
        self.set_lint(0, level);
    }

    /// Level of the LINT1 pin: the board's NMI.
    pub fn set_lint1(&mut self, level: bool) {
        self.set_lint(1, level);
    }

    fn set_lint(&mut self, pin: usize, level: bool) {
        let rising = level && !self.lint[pin];
        self.lint[pin] = level;
        if !rising {
            return;
        }
        if self.is_enabled() {
            self.raise_lint(pin);
        } else if pin == 1 {
            self.nmi = true;
        }
    }

    /// An edge or an asserted level at a pin. Only LINT0 can be level triggered, with fixed delivery (SDM, "Local Vector
    /// Table").
    pub(super) fn raise_lint(&mut self, pin: usize) {
        let lvt = self.lvt[regs::LVT_LINT0 + pin];
        if lvt & regs::LVT_MASKED != 0 {
            return;
        }
        match lvt & regs::DELIVERY_MASK {
            regs::DELIVERY_FIXED => {
                if pin == 0 && lvt & regs::LVT_LEVEL != 0 {
                    if self.remote_irr {
                        return;
                    }
                    self.remote_irr = true;
                }
                self.deliver(lvt.to_le_bytes()[0], false);
            }
            regs::DELIVERY_NMI => self.nmi = true,
            regs::DELIVERY_INIT => self.signal_init(),
            regs::DELIVERY_SMI => self.smi = true,
            // ExtINT is asked for by level; the others are reserved.
            _ => {}
        }
    }

    /// The guest has ended this vector: a level that still is asserted at LINT0 interrupts again.
    pub(super) fn end_of_lint0(&mut self, vector: u8) {
        if self.remote_irr && self.lvt[regs::LVT_LINT0].to_le_bytes()[0] == vector {
            self.remote_irr = false;
            if self.lint[0] {
                self.raise_lint(0);
            }
        }
    }

    /// The interprocessor interrupt that the last access has sent. The board asks after each access.
    pub fn take_ipi(&mut self) -> Option<Ipi> {
        self.ipi.take()
    }

    /// Sends what the interrupt command register says.
    pub(super) fn send_ipi(&mut self) {
        let [vector, ..] = self.icr_low.to_le_bytes();
        let shorthand = self.icr_low & regs::ICR_SHORTHAND;
        let kind = match self.icr_low & regs::DELIVERY_MASK {
            regs::DELIVERY_FIXED => IpiKind::Fixed,
            regs::DELIVERY_LOWEST => IpiKind::LowestPriority,
            regs::DELIVERY_NMI => IpiKind::Nmi,
            regs::DELIVERY_INIT => IpiKind::Init,
            regs::DELIVERY_STARTUP => IpiKind::StartUp,
            regs::DELIVERY_SMI => IpiKind::Smi,
            // The others are reserved.
            _ => return,
        };
        let vectored = matches!(kind, IpiKind::Fixed | IpiKind::LowestPriority);
        if vectored && vector < 16 {
            return self.report(regs::ESR_SEND_ILLEGAL);
        }
        let deassert = self.icr_low & (regs::ICR_TRIGGER_LEVEL | regs::ICR_LEVEL_ASSERT)
            == regs::ICR_TRIGGER_LEVEL;
        // SDM, table "Valid Combinations": a processor neither initializes nor starts itself by shorthand.
        let to_self = matches!(shorthand, regs::ICR_SELF | regs::ICR_ALL);
        let startup = matches!(kind, IpiKind::Init | IpiKind::StartUp);
        if startup && to_self || kind == IpiKind::Init && deassert {
            return;
        }
        let logical = self.icr_low & regs::ICR_LOGICAL != 0;
        let target = match shorthand {
            regs::ICR_SELF => IpiTarget::Myself,
            regs::ICR_ALL => IpiTarget::All,
            regs::ICR_OTHERS => IpiTarget::Others,
            _ => IpiTarget::Destination(if self.is_x2apic() {
                Destination {
                    id: self.icr_high,
                    logical,
                }
            } else {
                Destination::narrow(self.icr_high.to_be_bytes()[0], logical)
            }),
        };
        self.ipi = Some(Ipi {
            kind,
            vector,
            target,
        });
    }
}
