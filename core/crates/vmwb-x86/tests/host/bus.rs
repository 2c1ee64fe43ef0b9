//! The bus of the tests: no board, answers that a test chooses, and a record of what the processor asked and did.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use vmwb_hw::{AccessSize, GuestAddress, GuestMemory};
use vmwb_x86::CpuBus;

/// What a write of a value to a port does to memory.
pub type Act = (Arc<GuestMemory>, fn(&GuestMemory, u32));

/// A bus without devices, unless a test gives answers. Every record is in order, its last part the stamp: instructions
/// retired before the one that asked.
#[derive(Debug, Clone)]
pub struct TestBus {
    /// What a port reads as.
    pub port: fn(u16) -> u32,
    /// What memory that is not RAM reads as.
    pub memory: fn(u64) -> u64,
    /// What a call of the backdoor makes of the registers; `None`: there is no backdoor.
    pub backdoor: Option<fn(&mut [u32; 6])>,
    /// Writes to ports.
    pub out: Vec<(u16, u32, u64)>,
    /// Reads of memory that is not RAM: address.
    pub loads: Vec<(u64, u64)>,
    /// Writes to it: address, value.
    pub stores: Vec<(u64, u64, u64)>,
    /// Vector that an interrupt controller would give.
    pub pending: Option<u8>,
    /// A non-maskable interrupt waits.
    pub nmi: bool,
    /// Ask the engine to return after its next access to a device.
    pub attention: bool,
    /// Levels of FERR# as they came.
    pub ferr: Vec<(bool, u64)>,
    /// IGNNE#, as the board answers FERR#.
    pub ignne: bool,
    /// Vector of the interrupt that FERR# asserts while IGNNE# is not.
    pub ferr_vector: Option<u8>,
    /// What a write to a port does to memory.
    pub act: Option<Act>,
    /// Most units of one run of a string instruction; 0: none go in runs.
    pub run_at_most: usize,
    /// How long each run was that was asked for.
    pub runs: Vec<usize>,
    /// Units that were written in runs.
    pub run_out: Vec<(u16, Vec<u8>)>,
    /// What bytes read in runs count on from.
    pub position: u8,
}

impl Default for TestBus {
    fn default() -> Self {
        Self {
            port: |_| 0,
            memory: |_| 0,
            backdoor: None,
            out: Vec::new(),
            loads: Vec::new(),
            stores: Vec::new(),
            pending: None,
            nmi: false,
            attention: false,
            ferr: Vec::new(),
            ignne: false,
            ferr_vector: None,
            act: None,
            run_at_most: 0,
            runs: Vec::new(),
            run_out: Vec::new(),
            position: 0,
        }
    }
}

impl TestBus {
    /// How much of what is asked goes in one run.
    fn run_units(&mut self, size: AccessSize, bytes: usize) -> usize {
        let units = (bytes / size as usize).min(self.run_at_most);
        self.runs.push(units);
        units
    }
}

impl CpuBus for TestBus {
    fn pio_read(&mut self, port: u16, _size: AccessSize, _retired: u64) -> u32 {
        (self.port)(port)
    }
    fn pio_write(&mut self, port: u16, _size: AccessSize, value: u32, retired: u64) {
        self.out.push((port, value, retired));
        if let Some((memory, act)) = &self.act {
            act(memory, value);
        }
    }
    fn pio_read_run(&mut self, _port: u16, size: AccessSize, out: &mut [u8]) -> usize {
        let units = self.run_units(size, out.len());
        for byte in &mut out[..units * size as usize] {
            self.position = self.position.wrapping_add(1);
            *byte = self.position;
        }
        units
    }
    fn pio_write_run(&mut self, port: u16, size: AccessSize, data: &[u8]) -> usize {
        let units = self.run_units(size, data.len());
        let all = data.chunks_exact(size as usize).take(units);
        self.run_out.extend(all.map(|unit| (port, unit.to_vec())));
        units
    }
    fn backdoor(&mut self, registers: &mut [u32; 6], _retired: u64) -> bool {
        if let Some(call) = self.backdoor {
            call(registers);
        }
        self.backdoor.is_some()
    }
    fn mmio_read(&mut self, addr: GuestAddress, _size: AccessSize, retired: u64) -> u64 {
        self.loads.push((addr.0, retired));
        (self.memory)(addr.0)
    }
    fn mmio_write(&mut self, addr: GuestAddress, _size: AccessSize, value: u64, retired: u64) {
        self.stores.push((addr.0, value, retired));
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
        retired
    }
    fn set_ferr(&mut self, active: bool, retired: u64) -> bool {
        self.ferr.push((active, retired));
        if self.ferr_vector.is_some() {
            self.pending = self.ferr_vector.filter(|_| active && !self.ignne);
        }
        self.ignne
    }
    fn cr8(&self) -> u8 {
        0
    }
    fn set_cr8(&mut self, _value: u8, _retired: u64) {}
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
