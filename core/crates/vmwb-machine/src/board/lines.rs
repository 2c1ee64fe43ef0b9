//! Interrupt lines before they reach a controller: an ISA input is the OR of a device's own line and of the PCI lines
//! that the chipset routes to it.
//!
//! ```text
//! slot 1 INTA# --+--> PIRQA --route--+--> ISA input n (8259 and I/O APIC pin n)
//! slot 5 INTA# --'                   |
//! line n of an ISA device -----------'
//! ```
//! Source: PIIX3 datasheet 290550, section 2.3.1 (PIRQx route control).

use serde::{Deserialize, Serialize};
use vmwb_devices::pci::PciAddress;
use vmwb_hw::{IrqLine, Schema};

/// PCI interrupt lines of the board: four pins of 32 slots.
const PCI_LINES: u8 = 128;
/// ISA inputs that exist.
const ISA_INPUTS: u8 = 16;

/// Routes of PIRQA to PIRQD: the ISA input, or `None` while the line leads nowhere.
pub type Routes = [Option<u8>; 4];

/// Saved levels of what drives the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinesV1 {
    /// Bit n: the ISA device at input n asserts it.
    pub isa: u16,
    /// Bit `4 * slot + pin`: the pin is asserted; slots 0 to 15, then 16 to 31.
    pub pci: [u64; 2],
}

impl Schema for LinesV1 {
    const KIND: &'static str = "lines";
    const VERSION: u32 = 1;
}

/// Levels of everything that drives the ISA inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedLines {
    isa: u16,
    pci: u128,
    routes: Routes,
    /// What the inputs were told last.
    levels: u16,
}

/// The PCI lines that share PIRQ `n`.
fn sharing(n: u8) -> u128 {
    (0..PCI_LINES)
        .filter(|line| {
            let at = PciAddress {
                slot: line / 4,
                function: 0,
            };
            at.pirq(line % 4) == n
        })
        .fold(0, |set, line| set | 1 << line)
}

impl SharedLines {
    /// Sets the level of an ISA line (0 to 15) or a PCI line; others are not of this place. Gives the inputs that
    /// changed, one bit each.
    pub fn set(&mut self, line: IrqLine, level: bool) -> u16 {
        let pci = line.0.checked_sub(IrqLine::FIRST_PCI);
        match pci.filter(|&n| n < PCI_LINES) {
            Some(n) => self.pci = self.pci & !(1 << n) | u128::from(level) << n,
            None if line.0 < ISA_INPUTS => {
                self.isa = self.isa & !(1 << line.0) | u16::from(level) << line.0;
            }
            None => return 0,
        }
        self.settle()
    }

    /// Sets the routes; gives the inputs that changed.
    pub fn set_routes(&mut self, routes: Routes) -> u16 {
        if routes == self.routes {
            return 0;
        }
        self.routes = routes;
        self.settle()
    }

    /// Level of an ISA input.
    #[must_use]
    pub fn level(&self, input: u8) -> bool {
        self.levels >> (input & 15) & 1 != 0
    }

    fn settle(&mut self) -> u16 {
        let mut levels = self.isa;
        if self.pci != 0 {
            for (n, route) in (0u8..).zip(self.routes) {
                if let Some(input) = route
                    && self.pci & sharing(n) != 0
                {
                    levels |= 1 << (input & 15);
                }
            }
        }
        let changed = levels ^ self.levels;
        self.levels = levels;
        changed
    }

    /// The levels, to be saved; routes are the chipset's to save.
    #[must_use]
    pub fn to_v1(&self) -> LinesV1 {
        let half = |n: u32| {
            u64::try_from(self.pci >> (64 * n) & u128::from(u64::MAX)).expect("masked to 64 bits")
        };
        LinesV1 {
            isa: self.isa,
            pci: [half(0), half(1)],
        }
    }

    /// Saved levels with the routes of the restored chipset. The controllers have saved what they saw: nothing is told.
    #[must_use]
    pub fn restored(saved: &LinesV1, routes: Routes) -> Self {
        let mut lines = Self {
            isa: saved.isa,
            pci: u128::from(saved.pci[0]) | u128::from(saved.pci[1]) << 64,
            routes,
            levels: 0,
        };
        let _ = lines.settle();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: Routes = [Some(10), Some(11), Some(10), None];

    fn routed() -> SharedLines {
        let mut lines = SharedLines::default();
        assert_eq!(lines.set_routes(ROUTES), 0);
        lines
    }

    #[test]
    fn input_is_the_or_of_all_that_share_it() {
        let mut lines = routed();
        // Slot 1 INTA# and slot 5 INTA# share PIRQA, slot 1 INTC# is PIRQC: all lead to 10.
        assert_eq!(lines.set(IrqLine::pci(1, 0), true), 1 << 10);
        assert_eq!(lines.set(IrqLine::pci(5, 0), true), 0);
        assert_eq!(lines.set(IrqLine::pci(1, 2), true), 0);
        assert_eq!(lines.set(IrqLine(10), true), 0);
        for line in [IrqLine::pci(1, 0), IrqLine(10), IrqLine::pci(5, 0)] {
            assert_eq!(lines.set(line, false), 0);
        }
        assert_eq!(lines.set(IrqLine::pci(1, 2), false), 1 << 10);
    }

    #[test]
    fn route_without_an_input_leads_nowhere_until_it_is_set() {
        let mut lines = routed();
        assert_eq!(lines.set(IrqLine::pci(1, 3), true), 0);
        assert_eq!(lines.set_routes([None, None, None, Some(5)]), 1 << 5);
        assert_eq!(
            lines.set_routes([None, None, None, Some(9)]),
            1 << 5 | 1 << 9
        );
        assert!(lines.level(9) && !lines.level(5));
    }

    #[test]
    fn restored_lines_tell_only_what_changes_afterwards() {
        let mut lines = routed();
        lines.set(IrqLine::pci(2, 0), true);
        lines.set(IrqLine::pci(31, 2), true);
        lines.set(IrqLine(4), true);
        let mut copy = SharedLines::restored(&lines.to_v1(), ROUTES);
        assert_eq!(copy, lines);
        assert_eq!(copy.set(IrqLine::pci(2, 0), false), 1 << 11);
    }

    #[test]
    fn lines_of_other_places_are_ignored() {
        let mut lines = routed();
        assert_eq!(lines.set(IrqLine(16), true), 0);
        assert_eq!(lines.set(IrqLine(255), true), 0);
        assert_eq!(lines.to_v1(), SharedLines::default().to_v1());
    }
}
