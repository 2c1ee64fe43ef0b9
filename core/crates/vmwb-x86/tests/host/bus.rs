//! A bus for tests without a board.

use vmwb_hw::{AccessSize, GuestAddress};
use vmwb_x86::CpuBus;

/// A bus without devices: user-level instructions touch none.
#[derive(Debug)]
pub struct NoDevices;

impl CpuBus for NoDevices {
    fn pio_read(&mut self, _port: u16, _size: AccessSize, _retired: u64) -> u32 {
        0
    }
    fn pio_write(&mut self, _port: u16, _size: AccessSize, _value: u32, _retired: u64) {}
    fn mmio_read(&mut self, _addr: GuestAddress, _size: AccessSize, _retired: u64) -> u64 {
        0
    }
    fn mmio_write(&mut self, _addr: GuestAddress, _size: AccessSize, _value: u64, _retired: u64) {}
    fn interrupt_pending(&self) -> bool {
        false
    }
    fn acknowledge_interrupt(&mut self, _retired: u64) -> Option<u8> {
        None
    }
    fn take_nmi(&mut self) -> bool {
        false
    }
    fn tsc(&mut self, retired: u64) -> u64 {
        retired
    }
    fn random(&mut self, retired: u64) -> u64 {
        retired
    }
    fn set_ferr(&mut self, _active: bool, _retired: u64) -> bool {
        false
    }
    fn cr8(&self) -> u8 {
        0
    }
    fn set_cr8(&mut self, _value: u8, _retired: u64) {}
    fn apic_base(&self) -> u64 {
        0
    }
    fn set_apic_base(&mut self, _value: u64) -> bool {
        false
    }
    fn attention(&self) -> bool {
        false
    }
}
