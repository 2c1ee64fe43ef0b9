//! PCI: configuration mechanism #1, bus 0, and the three functions that belong to the chipset.
//!
//! | Address | Function |
//! |---|---|
//! | 00:00.0 | 440FX host bridge, 8086:1237 |
//! | 00:01.0 | PIIX3 ISA bridge, 8086:7000, with the routes of PIRQA to PIRQD |
//! | 00:01.3 | PIIX4 power management, 8086:7113 |
//!
//! Every other function is a [`PciDevice`] of its own, which the board dispatches: it asks [`PciHost::selected`] whom a
//! configuration access addresses and sends it to that device.
//!
//! Offsets: 0 to 3 = CF8h to CFBh (double words only; bytes there belong to others, CF9h is the reset register), 4 to 7 =
//! CFCh to CFFh in any width.
//!
//! | Kept and read back, without effect | Omitted |
//! |---|---|
//! | PMBASE (the block is always at 600h), status bits | mechanism #2, buses behind bridges, special cycles, PCI Express, system management mode |
//!
//! | Threat | Answer |
//! |---|---|
//! | Base addresses over RAM or each other | the board decides who decodes; RAM and chipset come first |
//! | SMRAM opened to hide what runs there | it is ordinary memory; nothing here runs in it by itself |
//! | Accesses across the data window's end | cut off there |

mod device;
mod function;
mod host_bridge;
mod msi;
mod msix;
pub(crate) mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

use vmwb_hw::{
    AccessSize, Ctx, Device, GuestMemory, Nanos, Payload, PioDevice, ResetKind, SnapshotError,
};

use crate::bits::not_decoded;

pub use device::PciDevice;
pub use function::{
    BarError, BarKind, BarWindow, CONFIG_DWORDS, ConfigSpace, PciFunction, ROM_BAR,
};
pub use msi::{MAX_MESSAGES, Msi, MsiV1};
pub use msix::{MAX_MSIX_VECTORS, MSIX_ENTRY_BYTES, Msix, MsixPlace, MsixV1, MsixVectorV1};
pub use snapshot::{PciFunctionV1, PciV1};

/// Slot and function on bus 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Slot, 0 to 31.
    pub slot: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

impl PciAddress {
    /// Address of the 440FX host bridge.
    pub const HOST_BRIDGE: Self = Self {
        slot: 0,
        function: 0,
    };
    /// Address of the PIIX3 ISA bridge.
    pub const ISA_BRIDGE: Self = Self {
        slot: 1,
        function: 0,
    };
    /// Address of the PIIX4 power management function.
    pub const POWER_MANAGEMENT: Self = Self {
        slot: 1,
        function: 3,
    };
    /// Address that display adapters have by custom.
    pub const DISPLAY: Self = Self {
        slot: 2,
        function: 0,
    };

    fn devfn(self) -> u8 {
        self.slot << 3 | self.function
    }

    /// The PIRQ line, 0 (A) to 3 (D), of the slot's interrupt pin, 0 (INTA#) to 3: pins rotate with the slots, slot 1
    /// starting at PIRQA.
    #[must_use]
    pub fn pirq(self, pin: u8) -> u8 {
        self.slot.wrapping_sub(1).wrapping_add(pin) & 3
    }
}

/// The host bridge with everything on bus 0. See the module's head.
#[derive(Debug)]
pub struct PciHost {
    config_address: u32,
    functions: Vec<(u8, Box<dyn PciFunction>)>,
}

impl PciHost {
    /// The chipset's three functions. `pm_base` is the port of the power-management block, which the PIIX4 function
    /// shows from power-on, as after firmware.
    #[must_use]
    pub fn new(pm_base: u16) -> Self {
        let mut host = Self {
            config_address: 0,
            functions: Vec::new(),
        };
        host.functions.push((
            PciAddress::HOST_BRIDGE.devfn(),
            Box::new(host_bridge::host_bridge()),
        ));
        host.functions
            .push((PciAddress::ISA_BRIDGE.devfn(), Box::new(isa_bridge())));
        host.functions.push((
            PciAddress::POWER_MANAGEMENT.devfn(),
            Box::new(power_management(pm_base)),
        ));
        host
    }

    /// What an access of `size` at offset 4 to 7 reads of the addressed double word. Bytes beyond the window's end are
    /// nobody's and read as ones.
    #[must_use]
    pub fn data_window(dword: u32, offset: u16, size: AccessSize) -> u32 {
        let (shift, _) = lanes(offset, size);
        let beyond = if shift == 0 {
            0
        } else {
            u32::MAX << (32 - shift)
        };
        (dword >> shift | beyond) & not_decoded(size)
    }

    /// ISA interrupt (3 to 7, 9 to 12, 14, 15) to which PIRQ line `pirq` (0 to 3) is routed; `None` while it is not.
    #[must_use]
    pub fn pirq_route(&self, pirq: u8) -> Option<u8> {
        let bridge = self.find(PciAddress::ISA_BRIDGE.devfn())?;
        let routes = self.functions[bridge]
            .1
            .config_read(regs::PIRQ_ROUTE)
            .to_le_bytes();
        let route = *routes.get(usize::from(pirq))?;
        // PIIX3 datasheet, section 2.3.1: 0, 1, 2, 8 and 13 are reserved.
        let usable = route & regs::PIRQ_DISABLED == 0 && 0xDEF8_u16 >> (route & 15) & 1 != 0;
        usable.then_some(route & 15)
    }

    fn find(&self, devfn: u8) -> Option<usize> {
        self.functions.iter().position(|&(at, _)| at == devfn)
    }

    /// The function and the register (a multiple of 4) that CONFIG_ADDRESS selects; `None` while the mechanism is off or
    /// another bus is addressed.
    #[must_use]
    pub fn selected(&self) -> Option<(PciAddress, u8)> {
        let [register, devfn, bus, _] = self.config_address.to_le_bytes();
        if self.config_address & regs::ADDRESS_ENABLE == 0 || bus != 0 {
            return None;
        }
        let at = PciAddress {
            slot: devfn >> 3,
            function: devfn & 7,
        };
        Some((at, register))
    }

    /// Index of the addressed function of the chipset and the addressed register.
    fn selected_own(&self) -> Option<(usize, u8)> {
        let (at, register) = self.selected()?;
        Some((self.find(at.devfn())?, register))
    }

    /// Brings the memory to what the host bridge says.
    fn apply_layout(&self, memory: &GuestMemory) {
        if let Some(at) = self.find(PciAddress::HOST_BRIDGE.devfn()) {
            host_bridge::apply(self.functions[at].1.as_ref(), memory);
        }
    }

    fn data(&self) -> u32 {
        self.selected_own().map_or(u32::MAX, |(at, register)| {
            self.functions[at].1.config_read(register)
        })
    }
}

/// Shift and mask of an access of `size` at byte `lane` (0 to 3) of a double word; bytes beyond its end are cut off.
#[must_use]
pub fn lanes(lane: u16, size: AccessSize) -> (u32, u32) {
    let shift = 8 * u32::from(lane & 3);
    (shift, not_decoded(size) << shift)
}

fn isa_bridge() -> ConfigSpace {
    let mut space = ConfigSpace::new(regs::ISA_BRIDGE, 0x0601_0000, regs::SUBSYSTEM_VALUE);
    space.fix(regs::COMMAND_STATUS, 0x0200_0007);
    space.fix(regs::HEADER, regs::HEADER_MULTIFUNCTION);
    space.allow(0x4C, 0xFFFF_FFFF);
    space.fix(regs::PIRQ_ROUTE, 0x8080_8080);
    space.allow(regs::PIRQ_ROUTE, 0x8F8F_8F8F);
    space
}

fn power_management(pm_base: u16) -> ConfigSpace {
    let mut space = ConfigSpace::new(regs::POWER_MANAGEMENT, 0x0680_0003, regs::SUBSYSTEM_VALUE);
    space.fix(regs::COMMAND_STATUS, 0x0280_0000);
    // INTA#, and the interrupt line that firmware writes for the SCI.
    space.fix(regs::INTERRUPT, 0x0109);
    space.fix(regs::PM_BASE, u32::from(pm_base & 0xFFC0) | 1);
    space.allow(regs::PM_BASE, 0xFFC0);
    space.fix(regs::DEVACTB, regs::DEVACTB_APMC);
    space.allow(regs::DEVACTB, regs::DEVACTB_APMC);
    space.fix(regs::PM_MISC, 1);
    space.allow(regs::PM_MISC, 1);
    space
}

impl Device for PciHost {
    fn name(&self) -> &str {
        "pci"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        self.config_address = 0;
        for (at, function) in &mut self.functions {
            // SeaBIOS wakes a system from its shadow RAM, as it may in QEMU, whose bridge keeps the attribute map over every reset.
            let kept = (kind == ResetKind::Sleep && *at == PciAddress::HOST_BRIDGE.devfn())
                .then(|| [regs::PAM, regs::PAM + 4].map(|r| (r, function.config_read(r))));
            function.reset();
            for (register, value) in kept.into_iter().flatten() {
                function.config_write(register, value, u32::MAX);
            }
        }
        self.apply_layout(ctx.memory);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v1())
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.take_v1(&payload.decode::<PciV1>()?)?;
        self.apply_layout(ctx.memory);
        Ok(())
    }
}

impl PioDevice for PciHost {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        match (offset, size) {
            (0, AccessSize::Dword) => self.config_address,
            (4..=7, _) => Self::data_window(self.data(), offset, size),
            _ => not_decoded(size),
        }
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        match (offset, size) {
            (0, AccessSize::Dword) => self.config_address = value & regs::ADDRESS_WRITABLE,
            (4..=7, _) => {
                let (shift, mask) = lanes(offset, size);
                let Some((at, register)) = self.selected_own() else {
                    return;
                };
                let (devfn, function) = &mut self.functions[at];
                if *devfn == PciAddress::HOST_BRIDGE.devfn() {
                    host_bridge::write(function.as_mut(), register, value << shift, mask);
                    self.apply_layout(ctx.memory);
                } else {
                    function.config_write(register, value << shift, mask);
                }
            }
            _ => {}
        }
    }
}
