//! Accesses to PCI devices: their configuration space, and what lies behind their base addresses.
//!
//! A guest may point a base address anywhere. RAM, the chipset and the fixed ports win over it; of two windows at one
//! place the one of the lower device answers.

use vmwb_devices::pci::{BarKind, PciAddress, PciFunction, PciHost, ROM_BAR, lanes};
use vmwb_hw::{AccessSize, Nanos};

use super::Board;
use super::devices::Devices;

/// Base addresses of a function, the one of its ROM behind the others.
const BARS: usize = ROM_BAR + 1;

/// One base address that decodes now.
#[derive(Debug, Clone, Copy)]
struct Window {
    first: u64,
    bytes: u64,
    place: BarPlace,
}

/// A place behind a base address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarPlace {
    /// Whose.
    pub at: PciAddress,
    /// Which base address.
    pub bar: usize,
    /// Bytes behind its start.
    pub offset: u64,
}

/// All base addresses that decode now.
#[derive(Debug, Default)]
pub struct Windows {
    io: Vec<Window>,
    memory: Vec<Window>,
}

fn find(windows: &[Window], address: u64) -> Option<BarPlace> {
    let window = windows
        .iter()
        .find(|w| address.wrapping_sub(w.first) < w.bytes)?;
    Some(BarPlace {
        offset: address - window.first,
        ..window.place
    })
}

impl Windows {
    /// Asks every device anew.
    pub fn rebuild(&mut self, devices: &Devices) {
        self.io.clear();
        self.memory.clear();
        for &at in devices.pci_addresses() {
            let Some(device) = devices.pci_device_ref(at) else {
                continue;
            };
            for bar in 0..BARS {
                let Some(found) = device.config().bar(bar) else {
                    continue;
                };
                let windows = match found.kind {
                    BarKind::Io => &mut self.io,
                    BarKind::Memory | BarKind::Prefetchable => &mut self.memory,
                };
                windows.push(Window {
                    first: u64::from(found.base),
                    bytes: u64::from(found.len_bytes),
                    place: BarPlace { at, bar, offset: 0 },
                });
            }
        }
    }

    /// Who answers at a port.
    #[must_use]
    pub fn port(&self, port: u16) -> Option<BarPlace> {
        find(&self.io, u64::from(port))
    }

    /// Who answers at a guest address.
    #[must_use]
    pub fn address(&self, address: u64) -> Option<BarPlace> {
        find(&self.memory, address)
    }
}

impl Board {
    /// Reads the PCI data window at `offset` (4 to 7) when a device, not the chipset, is addressed.
    pub(super) fn pci_config_read(&self, offset: u16, size: AccessSize) -> Option<u32> {
        let (at, register) = self.devices.pci.selected()?;
        let device = self.devices.pci_device_ref(at)?;
        Some(PciHost::data_window(
            device.config_read(register),
            offset,
            size,
        ))
    }

    /// Writes the PCI data window; `false`: the chipset is addressed, or nobody.
    pub(super) fn pci_config_write(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: Nanos,
    ) -> bool {
        let Some((at, register)) = self.devices.pci.selected() else {
            return false;
        };
        let mut ctx = self.common.ctx(now);
        let Some(device) = self.devices.pci_device(at) else {
            return false;
        };
        let (shift, mask) = lanes(offset, size);
        device.config_write(&mut ctx, register, value << shift, mask);
        self.windows.rebuild(&self.devices);
        true
    }

    pub(super) fn bar_read(&mut self, place: BarPlace, size: AccessSize, now: Nanos) -> u64 {
        let mut ctx = self.common.ctx(now);
        let value = match self.devices.pci_device(place.at) {
            Some(device) => device.bar_read(&mut ctx, place.bar, place.offset, size),
            None => size.ones(),
        };
        self.settle(now, None);
        value & size.ones()
    }

    pub(super) fn bar_write(&mut self, place: BarPlace, size: AccessSize, value: u64, now: Nanos) {
        let mut ctx = self.common.ctx(now);
        if let Some(device) = self.devices.pci_device(place.at) {
            device.bar_write(&mut ctx, place.bar, place.offset, size, value);
        }
        // The guest may have made room.
        self.feed_console(now);
        self.settle(now, None);
    }
}
