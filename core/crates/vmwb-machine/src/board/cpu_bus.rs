//! The board as the processor sees it.

use vmwb_devices::ide::Ide;
use vmwb_hw::{AccessSize, GuestAddress, LocalInterrupts, Nanos};
use vmwb_x86::CpuBus;

use super::bus::{PortDevice, nobody};
use super::{Board, low_byte, low_dword};

impl Board {
    /// The IDE controller, when the port is one of its, and the port's place in it.
    fn ide_port(&mut self, port: u16, size: AccessSize) -> Option<(&mut Ide, u16)> {
        let target = self.ports.whole(port, size)?;
        let pc = self.devices.pc.as_mut()?;
        (target.device == PortDevice::Ide).then_some((&mut pc.ide, target.offset))
    }
}

impl CpuBus for Board {
    fn pio_read(&mut self, port: u16, size: AccessSize, retired: u64) -> u32 {
        self.counts.pio += 1;
        let now = self.clock.now(retired);
        if let Some(target) = self.ports.whole(port, size) {
            return self.read_target(target, size, now);
        }
        if let Some(place) = self.windows.port(port) {
            return low_dword(self.bar_read(place, size, now));
        }
        let mut value = 0;
        for i in 0..u16::try_from(size.bytes()).unwrap_or(1) {
            let at = port.wrapping_add(i);
            let byte = match self.ports.whole(at, AccessSize::Byte) {
                Some(target) => low_byte(self.read_target(target, AccessSize::Byte, now)),
                None => {
                    self.note_unknown(false, u64::from(at));
                    nobody(at)
                }
            };
            value |= byte << (8 * i);
        }
        value
    }

    fn pio_write(&mut self, port: u16, size: AccessSize, value: u32, retired: u64) {
        self.counts.pio += 1;
        let now = self.clock.now(retired);
        if let Some(target) = self.ports.whole(port, size) {
            return self.write_target(target, size, value, now);
        }
        if let Some(place) = self.windows.port(port) {
            return self.bar_write(place, size, u64::from(value), now);
        }
        for i in 0..u16::try_from(size.bytes()).unwrap_or(1) {
            let at = port.wrapping_add(i);
            let byte = low_byte(value >> (8 * i));
            match self.ports.whole(at, AccessSize::Byte) {
                Some(target) => self.write_target(target, AccessSize::Byte, byte, now),
                None => self.note_unknown(false, u64::from(at)),
            }
        }
    }

    fn pio_read_run(&mut self, port: u16, size: AccessSize, out: &mut [u8]) -> usize {
        let Some((ide, offset)) = self.ide_port(port, size) else {
            return 0;
        };
        let units = ide.pio_read_run(offset, size, out);
        self.counts.pio += units as u64;
        units
    }

    fn pio_write_run(&mut self, port: u16, size: AccessSize, data: &[u8]) -> usize {
        let Some((ide, offset)) = self.ide_port(port, size) else {
            return 0;
        };
        let units = ide.pio_write_run(offset, size, data);
        self.counts.pio += units as u64;
        units
    }

    fn backdoor(&mut self, registers: &mut [u32; 6], retired: u64) -> bool {
        let Some(pc) = &mut self.devices.pc else {
            return false;
        };
        if pc.vmmouse.backdoor(registers) {
            let now = self.clock.now(retired);
            let mut ctx = self.common.ctx(now);
            self.devices.keyboard.pointer_nudge(&mut ctx);
            self.settle(now, None);
        }
        true
    }

    fn mmio_read(&mut self, addr: GuestAddress, size: AccessSize, retired: u64) -> u64 {
        self.counts.mmio += 1;
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        if let Some((device, offset)) = self.devices.mapped(addr.0) {
            let value = device.mmio_read(&mut ctx, offset, size);
            self.settle(now, None);
            return value;
        }
        if let Some(place) = self.windows.address(addr.0) {
            return self.bar_read(place, size, now);
        }
        self.note_unknown(true, addr.0);
        size.ones()
    }

    fn mmio_write(&mut self, addr: GuestAddress, size: AccessSize, value: u64, retired: u64) {
        self.counts.mmio += 1;
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        if let Some((device, offset)) = self.devices.mapped(addr.0) {
            device.mmio_write(&mut ctx, offset, size, value);
            return self.settle(now, None);
        }
        match self.windows.address(addr.0) {
            Some(place) => self.bar_write(place, size, value, now),
            None => self.note_unknown(true, addr.0),
        }
    }

    fn interrupt_pending(&self) -> bool {
        self.interrupt
    }

    fn acknowledge_interrupt(&mut self, retired: u64) -> Option<u8> {
        let vector = self.devices.irq.acknowledge();
        self.counts.interrupts += u64::from(vector.is_some());
        let now = self.clock.now(retired);
        self.settle(now, None);
        vector
    }

    fn take_nmi(&mut self) -> bool {
        self.devices.irq.lapic_mut().take_nmi()
    }

    fn tsc(&mut self, retired: u64) -> u64 {
        self.clock.tsc(self.clock.now(retired))
    }

    fn random(&mut self, retired: u64) -> u64 {
        if self.clock.is_deterministic() {
            return seeded(self.seed, self.clock.now(retired).0);
        }
        crate::sys::random()
    }

    fn set_ferr(&mut self, active: bool, retired: u64) -> bool {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        let ignored = self.devices.coprocessor.set_error(&mut ctx, active);
        self.settle(now, None);
        ignored
    }

    fn cr8(&self) -> u8 {
        self.devices.irq.lapic().cr8()
    }

    fn set_cr8(&mut self, value: u8, retired: u64) {
        self.devices.irq.lapic_mut().set_cr8(value);
        let now = self.clock.now(retired);
        self.settle(now, None);
    }

    fn apic_base(&self) -> u64 {
        self.devices.irq.lapic().apic_base()
    }

    fn set_apic_base(&mut self, value: u64) -> bool {
        // Disabling the unit only disarms its timer: no time is needed.
        let now = Nanos(0);
        let mut ctx = self.common.ctx(now);
        let accepted = self.devices.irq.lapic_mut().set_apic_base(&mut ctx, value);
        self.settle(now, None);
        accepted
    }

    fn x2apic_read(&mut self, msr: u32, retired: u64) -> Option<u64> {
        let now = self.clock.now(retired);
        self.devices.irq.lapic().msr_read(now, msr)
    }

    fn x2apic_write(&mut self, msr: u32, value: u64, retired: u64) -> bool {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        let accepted = self.devices.irq.lapic_mut().msr_write(&mut ctx, msr, value);
        self.settle(now, None);
        accepted
    }

    fn tsc_deadline(&mut self, retired: u64) -> u64 {
        let now = self.clock.now(retired);
        self.devices.irq.lapic().tsc_deadline(now)
    }

    fn set_tsc_deadline(&mut self, value: u64, offset: u64, retired: u64) {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        let lapic = self.devices.irq.lapic_mut();
        lapic.set_tsc_deadline(&mut ctx, value, offset);
        self.settle(now, None);
    }

    fn attention(&self) -> bool {
        if self.common.power.is_some() || self.signals || self.patience.is_over() {
            return true;
        }
        match (self.next_deadline(), self.assumed) {
            (Some(next), Some(assumed)) => next < assumed,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// The random number of a deterministic machine of this seed at a virtual time: the mixing function of splitmix64, whose outputs pass
/// the usual statistical tests for a counter as input. A pure function, so that a restored run draws the same numbers.
pub(super) fn seeded(seed: u64, now: u64) -> u64 {
    let z = seed
        .rotate_left(32)
        .wrapping_add(now)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
