//! One function's configuration space: a plain register file with masks, and the trait by which others plug in.

use std::fmt::Debug;

use thiserror::Error;

use super::regs;

/// Dwords of a configuration space.
pub const CONFIG_DWORDS: usize = 64;

/// Number by which [`PciFunction::bar`] knows the expansion ROM's base address.
pub const ROM_BAR: usize = 6;

/// A function on the bus. The default implementation is [`ConfigSpace`]; a device whose registers act wraps one.
pub trait PciFunction: Debug + Send {
    /// The dword at `register` (a multiple of 4, below 256).
    fn config_read(&self, register: u8) -> u32;
    /// Writes the bits of `mask` (whole bytes) of the dword at `register`.
    fn config_write(&mut self, register: u8, value: u32, mask: u32);
    /// Back to the reset values.
    fn reset(&mut self);
    /// The registers as they are, for saved state.
    fn registers(&self) -> [u32; CONFIG_DWORDS];
    /// Takes over saved registers. `false` when a bit differs that no write can change: another device's state.
    fn set_registers(&mut self, registers: &[u32; CONFIG_DWORDS]) -> bool;
    /// Where base address `index` (0 to 5, [`ROM_BAR`]) decodes now; `None` when there is none, or the command register (or
    /// the ROM's own bit) disables it.
    fn bar(&self, index: usize) -> Option<BarWindow>;
}

/// Kind of a base address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// 32-bit memory.
    Memory,
    /// 32-bit memory without side effects on reads.
    Prefetchable,
}

/// What a base address decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarWindow {
    /// Ports or memory.
    pub kind: BarKind,
    /// First port or address.
    pub base: u32,
    /// Length in bytes.
    pub len_bytes: u32,
}

/// Why a base address cannot be had.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BarError {
    /// There are six.
    #[error("a PCI function has base addresses 0 to 5, not {0}")]
    NoSuchBar(usize),
    /// Sizes are powers of two: 4 to 256 ports, 16 bytes to 2 GiB of memory.
    #[error(
        "a PCI base address cannot decode {0} bytes: it takes a power of two, 4 to 256 ports or 16 bytes to 2 GiB"
    )]
    BadSize(u32),
}

/// A configuration space of 256 bytes in which each bit is fixed or writable.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    power_on: [u32; CONFIG_DWORDS],
    writable: [u32; CONFIG_DWORDS],
    values: [u32; CONFIG_DWORDS],
    bars: [Option<(BarKind, u32)>; 6],
    rom_bytes: Option<u32>,
}

fn index(register: u8) -> usize {
    usize::from(register / 4)
}

impl ConfigSpace {
    /// A function with these identities (`vendor | device << 16`, `revision | class << 8`, `vendor | subsystem << 16`);
    /// its command register lets I/O, memory and bus mastering be switched.
    #[must_use]
    pub fn new(vendor_device: u32, class_revision: u32, subsystem: u32) -> Self {
        let mut space = Self {
            power_on: [0; CONFIG_DWORDS],
            writable: [0; CONFIG_DWORDS],
            values: [0; CONFIG_DWORDS],
            bars: [None; 6],
            rom_bytes: None,
        };
        space.fix(regs::VENDOR_DEVICE, vendor_device);
        space.fix(regs::CLASS_REVISION, class_revision);
        space.fix(regs::SUBSYSTEM, subsystem);
        let command =
            regs::COMMAND_IO | regs::COMMAND_MEMORY | regs::COMMAND_MASTER | regs::COMMAND_NO_INTX;
        space.allow(regs::COMMAND_STATUS, command);
        space.allow(regs::HEADER, 0xFFFF);
        space.allow(regs::INTERRUPT, 0xFF);
        space
    }

    /// Sets bits of the power-on value of the dword at `register`.
    pub fn fix(&mut self, register: u8, bits: u32) {
        self.power_on[index(register)] |= bits;
        self.values[index(register)] |= bits;
    }

    /// Makes bits of the dword at `register` writable.
    pub fn allow(&mut self, register: u8, bits: u32) {
        self.writable[index(register)] |= bits;
    }

    /// Adds base address `bar` of `len_bytes`.
    ///
    /// # Errors
    /// [`BarError`] for an index or a size that PCI does not have.
    pub fn add_bar(&mut self, bar: usize, kind: BarKind, len_bytes: u32) -> Result<(), BarError> {
        let sizes = if kind == BarKind::Io {
            4..=256
        } else {
            16..=1 << 31
        };
        if !len_bytes.is_power_of_two() || !sizes.contains(&len_bytes) {
            return Err(BarError::BadSize(len_bytes));
        }
        let slot = self.bars.get_mut(bar).ok_or(BarError::NoSuchBar(bar))?;
        *slot = Some((kind, len_bytes));
        let flags = match kind {
            BarKind::Io => 1,
            BarKind::Memory => 0,
            BarKind::Prefetchable => 8,
        };
        let at = index(regs::BAR0) + bar;
        self.power_on[at] = flags;
        self.values[at] = flags;
        self.writable[at] = !(len_bytes - 1);
        Ok(())
    }

    /// Adds an expansion ROM whose window has `len_bytes`: a power of two, 2 KiB to 16 MiB.
    ///
    /// # Errors
    /// [`BarError::BadSize`].
    pub fn add_rom(&mut self, len_bytes: u32) -> Result<(), BarError> {
        if !len_bytes.is_power_of_two() || !(2 << 10..=16 << 20).contains(&len_bytes) {
            return Err(BarError::BadSize(len_bytes));
        }
        self.rom_bytes = Some(len_bytes);
        self.allow(regs::ROM, !(len_bytes - 1) | regs::ROM_ENABLE);
        Ok(())
    }

    /// Where the expansion ROM decodes now (PCI Local Bus Specification 2.1, section 6.2.5.2).
    fn rom_window(&self) -> Option<BarWindow> {
        let len_bytes = self.rom_bytes?;
        let value = self.values[index(regs::ROM)];
        let command = self.values[index(regs::COMMAND_STATUS)];
        let enabled = value & regs::ROM_ENABLE != 0 && command & regs::COMMAND_MEMORY != 0;
        enabled.then_some(BarWindow {
            kind: BarKind::Memory,
            base: value & !(len_bytes - 1),
            len_bytes,
        })
    }
}

impl PciFunction for ConfigSpace {
    fn config_read(&self, register: u8) -> u32 {
        self.values[index(register)]
    }

    fn config_write(&mut self, register: u8, value: u32, mask: u32) {
        let at = index(register);
        let mask = mask & self.writable[at];
        self.values[at] = self.values[at] & !mask | value & mask;
    }

    fn reset(&mut self) {
        self.values = self.power_on;
    }

    fn registers(&self) -> [u32; CONFIG_DWORDS] {
        self.values
    }

    fn set_registers(&mut self, registers: &[u32; CONFIG_DWORDS]) -> bool {
        let fits =
            (0..CONFIG_DWORDS).all(|i| (registers[i] ^ self.power_on[i]) & !self.writable[i] == 0);
        if fits {
            self.values = *registers;
        }
        fits
    }

    fn bar(&self, bar: usize) -> Option<BarWindow> {
        if bar == ROM_BAR {
            return self.rom_window();
        }
        let (kind, len_bytes) = (*self.bars.get(bar)?)?;
        let enable = if kind == BarKind::Io {
            regs::COMMAND_IO
        } else {
            regs::COMMAND_MEMORY
        };
        let base = self.values[index(regs::BAR0) + bar] & !(len_bytes - 1);
        let command = self.values[index(regs::COMMAND_STATUS)];
        (command & enable != 0).then_some(BarWindow {
            kind,
            base,
            len_bytes,
        })
    }
}
