//! A board without devices: ports read as all ones, memory that is missing likewise until it is written, and a maskable
//! interrupt or an NMI comes when the harness asks for it.

use std::collections::BTreeMap;

use vmwb_hw::{AccessSize, GuestAddress};
use vmwb_x86::CpuBus;

use crate::random::Random;

/// The board. Its clock is the count of retired instructions.
#[derive(Debug, Clone, Default)]
pub struct TestBus {
    /// Vector that the interrupt controller would give.
    pub pending: Option<u8>,
    /// A non-maskable interrupt waits.
    pub nmi: bool,
    /// Ask the engine to return after its next access to a device.
    pub attention: bool,
    /// Accesses so far: (what, address, value, stamp), when [`TestBus::keep`] is set.
    pub accesses: Vec<Access>,
    /// Record [`TestBus::accesses`].
    pub keep: bool,
    /// What was written where no RAM is; the oracle keeps it too.
    pub written: BTreeMap<u64, u8>,
    /// Task priority as CR8 shows it.
    pub cr8: u8,
}

/// One access to a port or a device, with its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Kind of access.
    pub what: AccessKind,
    /// Port or address.
    pub at: u64,
    /// Value written, 0 for a read.
    pub value: u64,
    /// Instructions retired before the one that accessed.
    pub retired: u64,
}

/// Kinds of [`Access`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKind {
    /// IN.
    PortRead,
    /// OUT.
    PortWrite,
    /// A load from memory that is not RAM.
    MemoryRead,
    /// A store to it.
    MemoryWrite,
}

impl TestBus {
    /// Whether a port was among the recorded accesses.
    #[must_use]
    pub fn touched_port(&self) -> bool {
        self.accesses
            .iter()
            .any(|a| matches!(a.what, AccessKind::PortRead | AccessKind::PortWrite))
    }

    fn note(&mut self, what: AccessKind, at: u64, value: u64, retired: u64) {
        if self.keep {
            self.accesses.push(Access {
                what,
                at,
                value,
                retired,
            });
        }
    }
}

impl CpuBus for TestBus {
    fn pio_read(&mut self, port: u16, size: AccessSize, retired: u64) -> u32 {
        self.note(AccessKind::PortRead, port.into(), 0, retired);
        u32::try_from(size.ones() & 0xFFFF_FFFF).expect("masked")
    }
    fn pio_write(&mut self, port: u16, _size: AccessSize, value: u32, retired: u64) {
        self.note(AccessKind::PortWrite, port.into(), value.into(), retired);
    }
    fn pio_read_run(&mut self, _port: u16, _size: AccessSize, _out: &mut [u8]) -> usize {
        0
    }
    fn pio_write_run(&mut self, _port: u16, _size: AccessSize, _data: &[u8]) -> usize {
        0
    }
    fn backdoor(&mut self, _registers: &mut [u32; 6], _retired: u64) -> bool {
        false
    }
    fn mmio_read(&mut self, addr: GuestAddress, size: AccessSize, retired: u64) -> u64 {
        self.note(AccessKind::MemoryRead, addr.0, 0, retired);
        (0..size.bytes()).rev().fold(0, |value, n| {
            let byte = self.written.get(&addr.0.wrapping_add(n)).copied();
            value << 8 | u64::from(byte.unwrap_or(0xFF))
        })
    }
    fn mmio_write(&mut self, addr: GuestAddress, size: AccessSize, value: u64, retired: u64) {
        self.note(AccessKind::MemoryWrite, addr.0, value, retired);
        let bytes = value.to_le_bytes().into_iter().zip(0..size.bytes());
        for (byte, n) in bytes {
            self.written.insert(addr.0.wrapping_add(n), byte);
        }
    }
    fn interrupt_pending(&self) -> bool {
        self.pending.is_some()
    }
    fn acknowledge_interrupt(&mut self, _retired: u64) -> Option<u8> {
        self.pending.take()
    }
    fn take_nmi(&mut self) -> bool {
        std::mem::take(&mut self.nmi)
    }
    fn tsc(&mut self, retired: u64) -> u64 {
        retired
    }
    fn random(&mut self, retired: u64) -> u64 {
        Random(retired).bits()
    }
    fn set_ferr(&mut self, _active: bool, _retired: u64) -> bool {
        false
    }
    fn cr8(&self) -> u8 {
        self.cr8
    }
    fn set_cr8(&mut self, value: u8, _retired: u64) {
        self.cr8 = value;
    }
    fn apic_base(&self) -> u64 {
        0xFEE0_0900
    }
    fn set_apic_base(&mut self, _value: u64) -> bool {
        true
    }
    fn x2apic_read(&mut self, _msr: u32, _retired: u64) -> Option<u64> {
        None
    }
    fn x2apic_write(&mut self, _msr: u32, _value: u64, _retired: u64) -> bool {
        false
    }
    fn tsc_deadline(&mut self, _retired: u64) -> u64 {
        0
    }
    fn set_tsc_deadline(&mut self, _value: u64, _offset: u64, _retired: u64) {}
    fn attention(&self) -> bool {
        self.attention
    }
}
