//! Trace points: typed events of what the processor does, for inspectors, plots and traces.
//!
//! Off, they cost one test of a mask in places that are slow anyway; no handler of the hot path knows of them. On, each
//! event goes into a bounded ring that keeps the latest. What a guest can see does not depend on them.
//!
//! * here the events and their classes; [`recorder`] the ring; `hooks` where the processor raises them.
//!
//! Stamps are exact: the count of instructions retired before the one that raised the event. Where that is not known in
//! the middle of a trace (a TLB fill), the instruction is run again alone, as for an access to a device.

mod classify;
mod hooks;
pub mod recorder;

use serde::Serialize;

use crate::cpu::{Cpu, flag, seg};

pub use classify::InsnClasses;
pub(crate) use hooks::Delivery;
pub use recorder::{DEFAULT_CAPACITY, MAX_CAPACITY, Recorder, Traced};

/// A set of classes of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u16);

/// Names of the classes, in the order of their bits.
const NAMES: [(&str, Classes); 12] = [
    ("exception", Classes::EXCEPTION),
    ("interrupt", Classes::INTERRUPT),
    ("mode", Classes::MODE),
    ("ring", Classes::RING),
    ("control", Classes::CONTROL),
    ("msr", Classes::MSR),
    ("space", Classes::SPACE),
    ("tlb", Classes::TLB),
    ("halt", Classes::HALT),
    ("port", Classes::PORT),
    ("mmio", Classes::MMIO),
    ("instruction", Classes::INSTRUCTION),
];

impl Classes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Exceptions that are delivered.
    pub const EXCEPTION: Self = Self(1 << 0);
    /// Interrupts that are delivered: from devices, NMI, INT n.
    pub const INTERRUPT: Self = Self(1 << 1);
    /// Changes of the processor's mode.
    pub const MODE: Self = Self(1 << 2);
    /// Changes of the privilege level.
    pub const RING: Self = Self(1 << 3);
    /// Writes to CR0, CR4 and IA32_EFER.
    pub const CONTROL: Self = Self(1 << 4);
    /// RDMSR and WRMSR.
    pub const MSR: Self = Self(1 << 5);
    /// Loads of CR3.
    pub const SPACE: Self = Self(1 << 6);
    /// Fills of the soft TLB.
    pub const TLB: Self = Self(1 << 7);
    /// HLT.
    pub const HALT: Self = Self(1 << 8);
    /// Accesses to ports.
    pub const PORT: Self = Self(1 << 9);
    /// Accesses to the memory of devices.
    pub const MMIO: Self = Self(1 << 10);
    /// Every instruction, run one at a time.
    pub const INSTRUCTION: Self = Self(1 << 11);
    /// All of them.
    pub const ALL: Self = Self((1 << 12) - 1);
    /// All but those that come with almost every instruction.
    pub const DEFAULT: Self = Self(Self::ALL.0 & !Self::TLB.0 & !Self::INSTRUCTION.0);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets have a class in common.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Reads names: `all` and `default` stand for sets.
    ///
    /// # Errors
    /// The first name that is none, cut to 40 characters.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        names.into_iter().try_fold(Self::NONE, |set, name| {
            let class = match name {
                "all" => Some(Self::ALL),
                "default" => Some(Self::DEFAULT),
                _ => NAMES.iter().find(|n| n.0 == name).map(|n| n.1),
            };
            class
                .map(|c| set.union(c))
                .ok_or_else(|| name.chars().take(40).collect())
        })
    }

    /// The names of the classes in the set.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .filter(|n| self.intersects(n.1))
            .map(|n| n.0)
            .collect()
    }

    /// All names, in order.
    #[must_use]
    pub fn all_names() -> [&'static str; 12] {
        NAMES.map(|n| n.0)
    }
}

/// Modes of the processor (SDM volume 3, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real-address mode.
    Real,
    /// Virtual-8086 mode.
    Virtual8086,
    /// Protected mode, 16-bit code.
    Protected16,
    /// Protected mode, 32-bit code.
    Protected32,
    /// Compatibility mode, 16-bit code.
    Compatibility16,
    /// Compatibility mode, 32-bit code.
    Compatibility32,
    /// 64-bit mode.
    Long64,
}

impl Cpu {
    /// The processor's mode.
    #[must_use]
    pub fn processor_mode(&self) -> Mode {
        let big = self.seg[seg::CS].big();
        if !self.protected() {
            Mode::Real
        } else if self.eflags & flag::VM != 0 {
            Mode::Virtual8086
        } else if self.code64() {
            Mode::Long64
        } else if self.long_mode() {
            if big {
                Mode::Compatibility32
            } else {
                Mode::Compatibility16
            }
        } else if big {
            Mode::Protected32
        } else {
            Mode::Protected16
        }
    }
}

/// Where an interrupt came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptSource {
    /// A device, through the interrupt controllers.
    Device,
    /// The NMI line.
    Nmi,
    /// INT n, INT3, INTO, INT1.
    Software,
}

/// Registers whose writes are events of the class `control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ControlRegister {
    Cr0,
    Cr4,
    Efer,
}

/// What happened. Addresses are linear unless they are called physical; all numbers are plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TraceEvent {
    /// An exception was delivered.
    Exception {
        /// Vector.
        vector: u8,
        /// Error code, where the vector has one.
        error: Option<u32>,
        /// RIP that was saved: the faulting instruction, or the next one after a trap.
        rip: u64,
        /// Faulting address of a page fault.
        address: Option<u64>,
        /// CPL before.
        from_cpl: u8,
        /// CPL of the handler.
        to_cpl: u8,
        /// RIP of the handler.
        handler: u64,
    },
    /// An interrupt was delivered.
    Interrupt {
        /// Vector.
        vector: u8,
        /// Where it came from.
        source: InterruptSource,
        /// RIP that was saved.
        rip: u64,
        /// CPL before.
        from_cpl: u8,
        /// CPL of the handler.
        to_cpl: u8,
        /// RIP of the handler.
        handler: u64,
    },
    /// The processor's mode changed.
    Mode {
        /// Before.
        from: Mode,
        /// After.
        to: Mode,
    },
    /// The privilege level changed.
    Ring {
        /// CPL before.
        from: u8,
        /// CPL after.
        to: u8,
    },
    /// A control register was written.
    Control {
        /// Which.
        register: ControlRegister,
        /// Value before.
        old: u64,
        /// Value after.
        new: u64,
    },
    /// A model-specific register was read or written.
    Msr {
        /// Index.
        index: u32,
        /// Value.
        value: u64,
        /// Whether it was written.
        write: bool,
    },
    /// CR3 was loaded.
    Space {
        /// Value before.
        old: u64,
        /// Value after.
        new: u64,
    },
    /// A translation was walked and cached.
    Tlb {
        /// Page, linear.
        linear: u64,
        /// Page, physical.
        physical: u64,
        /// Bytes of the guest's page.
        page_bytes: u64,
        /// Whether it may be written in this view.
        write: bool,
        /// Whether code in it may run.
        execute: bool,
        /// Whether the view is that of CPL 3.
        user: bool,
    },
    /// HLT.
    Halt {
        /// RIP after it.
        rip: u64,
        /// Whether interrupts are enabled.
        interrupts: bool,
    },
    /// A port was read or written.
    Port {
        /// Port.
        port: u16,
        /// Bytes.
        size: u8,
        /// Value.
        value: u32,
        /// Whether it was written.
        write: bool,
    },
    /// A device's memory was read or written.
    Mmio {
        /// Physical address.
        physical: u64,
        /// Bytes.
        size: u8,
        /// Value.
        value: u64,
        /// Whether it was written.
        write: bool,
    },
    /// An instruction retired (an iteration of a REP string instruction counts as one).
    Instruction {
        /// Its linear address.
        address: u64,
        /// Its form in the description of the instruction set.
        form: &'static str,
        /// Its classes; see [`InsnClasses`].
        classes: crate::observe::InsnClasses,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_names_and_sets_gives_the_classes() {
        assert_eq!(
            Classes::parse(["exception", "port"]).unwrap().names(),
            ["exception", "port"]
        );
        assert_eq!(Classes::parse(["all"]).unwrap(), Classes::ALL);
        assert!(!Classes::DEFAULT.intersects(Classes::INSTRUCTION.union(Classes::TLB)));
    }

    #[test]
    fn parse_unknown_name_is_named() {
        assert_eq!(Classes::parse(["mode", "moods"]).unwrap_err(), "moods");
    }

    #[test]
    fn names_cover_every_bit_once() {
        let all = NAMES.iter().fold(0u16, |bits, n| {
            assert_eq!(bits & n.1.0, 0);
            bits | n.1.0
        });
        assert_eq!(Classes(all), Classes::ALL);
    }
}
