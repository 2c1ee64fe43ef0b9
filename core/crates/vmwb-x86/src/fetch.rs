//! Instructions in device memory: fetched over the bus, byte by byte, and run one at a time. Old software does that in
//! display memory and in the windows of option ROMs; a jump to where nothing is finds ones, as on the bus of a real PC.

use vmwb_hw::{AccessSize, GuestAddress};

use crate::cpu::Cpu;
use crate::decode::{DecodeError, MAX_LEN, decode};
use crate::exec::interp::left_trace;
use crate::mmu::{Access, Target};
use crate::translate::{Built, code_size};

impl Cpu {
    /// Builds the trace of the one instruction at the linear address `pc`, whose first byte is a device's. At most `most`
    /// bytes are fetched. `Err`: a fault is set, on the way to the bytes in the next page.
    ///
    /// Its place among the traces is a page behind the last backing page, which has no memory: what is there is rebuilt each
    /// time.
    pub(crate) fn build_from_device(&mut self, pc: u64, m: u32, most: usize) -> Option<Built> {
        let offset = pc & 0xFFF;
        let room = 0x1000 - offset as usize;
        let mut bytes = [0; MAX_LEN];
        let mut n = 0;
        while n < most.min(MAX_LEN) {
            let at = pc.wrapping_add(n as u64);
            let at = if self.long_mode() {
                at
            } else {
                at & 0xFFFF_FFFF
            };
            bytes[n] = self.fetch_byte(at)?;
            n += 1;
            if !matches!(
                decode(&bytes[..n], code_size(m)),
                Err(DecodeError::Truncated)
            ) {
                break;
            }
        }
        let place = self.memory.backing_pages() << 12 | offset;
        self.traces.invalidate(place, 0x1000 - offset, left_trace);
        let (window, tail) = bytes[..n].split_at(n.min(room));
        let tail = (!tail.is_empty()).then_some(tail);
        Some(self.build_trace(place, window, tail, m))
    }

    /// One byte of code from wherever it lies. `None`: a fault is set.
    fn fetch_byte(&mut self, linear: u64) -> Option<u8> {
        let user = self.cpl == 3;
        match self.resolve(linear, Access::Exec, user, false).ok()? {
            // SAFETY: `resolve` gives the address of a byte of guest memory.
            Target::Ram(p) => Some(unsafe { p.read() }),
            Target::Device(phys) => Some(self.device_byte(phys)),
            Target::Lost => unreachable!("only writes are lost"),
        }
    }

    /// One byte of code from the bus.
    pub(crate) fn device_byte(&mut self, phys: u64) -> u8 {
        self.counters.mmio += 1;
        self.touch();
        let retired = self.retired();
        self.bus()
            .mmio_read(GuestAddress(phys), AccessSize::Byte, retired) as u8
    }
}
