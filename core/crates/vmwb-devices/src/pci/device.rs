//! A function of the bus with registers of its own behind its base addresses.

use vmwb_hw::{AccessSize, Ctx, Device, Nanos};

use super::ConfigSpace;

/// A PCI device as the board dispatches it: its configuration space and its base addresses.
///
/// The device owns its [`ConfigSpace`] and saves it with its own state. The board asks [`super::PciFunction::bar`] of
/// it after every configuration write and sends accesses inside a window to the methods below. An interrupt pin is the
/// [`vmwb_hw::IrqLine`] that the board gave (`IrqLine::pci`); messages go through [`vmwb_hw::LineChanges::send`].
pub trait PciDevice: Device {
    /// The configuration space.
    fn config(&self) -> &ConfigSpace;
    /// The dword at `register` (a multiple of 4, below 256) as the guest reads it.
    fn config_read(&self, register: u8) -> u32;
    /// Writes the bits of `mask` (whole bytes) of the dword at `register`.
    fn config_write(&mut self, ctx: &mut Ctx<'_>, register: u8, value: u32, mask: u32);
    /// Reads behind base address `bar` (0 to 5, [`super::ROM_BAR`]); may have side effects. `offset` counts from the window's start; the
    /// access may reach over the window's end, those bytes read as ones. Ports: 1, 2 or 4 bytes.
    fn bar_read(&mut self, ctx: &mut Ctx<'_>, bar: usize, offset: u64, size: AccessSize) -> u64;
    /// What a read would give, without side effects: for the debugger.
    fn bar_peek(&self, now: Nanos, bar: usize, offset: u64, size: AccessSize) -> u64;
    /// Writes behind base address `bar`.
    fn bar_write(
        &mut self,
        ctx: &mut Ctx<'_>,
        bar: usize,
        offset: u64,
        size: AccessSize,
        value: u64,
    );
}
