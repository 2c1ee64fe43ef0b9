//! The rest of a machine, as far as one device under test needs it.

use vmwb_hw::{
    AccessSize, Ctx, GuestAddress, GuestMemory, LineChange, LineChanges, Nanos, PioDevice,
    PowerRequest, Scheduler, Timed, TimerId,
};

/// Clock, lines, deadlines, memory and power request that a device's [`Ctx`] borrows.
#[derive(Debug)]
pub(crate) struct Bench {
    pub now: Nanos,
    pub lines: LineChanges,
    pub scheduler: Scheduler,
    pub memory: GuestMemory,
    pub power: Option<PowerRequest>,
}

impl Bench {
    /// A machine at virtual time 0 with 2 MiB of memory.
    pub fn new() -> Self {
        Self {
            now: Nanos(0),
            lines: LineChanges::default(),
            scheduler: Scheduler::new(),
            memory: GuestMemory::new(2 << 20).expect("2 MiB of guest memory"),
            power: None,
        }
    }

    pub fn timer(&mut self) -> TimerId {
        self.scheduler.add_timer()
    }

    pub fn ctx(&mut self) -> Ctx<'_> {
        Ctx {
            now: self.now,
            lines: &mut self.lines,
            scheduler: &mut self.scheduler,
            memory: &self.memory,
            power: &mut self.power,
        }
    }

    /// Takes over what stands in the other machine's memory.
    pub fn copy_memory(&mut self, other: &Self) {
        let mut page = [0; 4096];
        for start in (0..2 << 20).step_by(page.len()) {
            // The display window is not RAM.
            let is_ram = other.memory.read(GuestAddress(start), &mut page).is_ok();
            if is_ram && page.iter().any(|&b| b != 0) {
                self.memory
                    .write(GuestAddress(start), &page)
                    .expect("the same RAM");
            }
        }
    }

    /// `out offset, value`, one byte.
    pub fn out(&mut self, device: &mut dyn PioDevice, offset: u16, value: u8) {
        device.pio_write(&mut self.ctx(), offset, AccessSize::Byte, u32::from(value));
    }

    /// `in offset`, one byte.
    pub fn inp(&mut self, device: &mut dyn PioDevice, offset: u16) -> u8 {
        crate::bits::low(device.pio_read(&mut self.ctx(), offset, AccessSize::Byte))
    }

    /// Line changes since the last call, as (line, level).
    pub fn take_lines(&mut self) -> Vec<(u8, bool)> {
        self.lines
            .drain()
            .map(|LineChange { line, level }| (line.0, level))
            .collect()
    }

    /// Moves the clock to `at`, delivering each deadline at its own time.
    pub fn run_until(&mut self, device: &mut dyn Timed, at: Nanos) {
        while let Some(due) = self.scheduler.next().filter(|&due| due <= at) {
            self.now = self.now.max(due);
            let timer = self.scheduler.pop_due(self.now).expect("a deadline is due");
            device.on_deadline(&mut self.ctx(), timer);
        }
        self.now = at;
    }

    /// Moves the clock `ns` on, delivering each deadline at its own time.
    pub fn run_for(&mut self, device: &mut dyn Timed, ns: u64) {
        self.run_until(device, self.now.plus(ns));
    }
}
