//! The board: owns the devices, brings accesses to them and their lines to the interrupt controllers.
//!
//! [`bus`] knows ports, [`devices`] knows which devices there are, [`wiring`] knows interrupt lines. The board joins
//! them behind [`CpuBus`]. It belongs to the vCPU's thread; nothing in it is shared, and nothing in it waits.
//!
//! After every access it settles: line changes reach the controllers, waiting serial characters and keys reach devices
//! that have room again, and whether an interrupt waits is worked out once.

mod bus;
mod cpu_bus;
mod devices;
mod drives;
mod firmware;
#[cfg(test)]
mod fuzz;
mod geometry;
mod inputs;
#[cfg(test)]
mod interrupt_tests;
mod lines;
mod patience;
mod pci;
mod saved;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod virtio;
#[cfg(test)]
mod virtio_tests;
mod wiring;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vmwb_devices::rtc::regs::SHUTDOWN_CODE;
use vmwb_hw::{
    AccessSize, Ctx, GuestAddress, GuestMemory, IrqLine, LineChange, LineChanges, LocalInterrupts,
    Nanos, PowerRequest, ResetKind, Scheduler,
};
use vmwb_x86::CpuBus;

use crate::acpi as acpi_tables;
use crate::clock::Clock;
use crate::spec::MachineSpec;
use bus::{PortDevice, PortMap, PortTarget};
pub use devices::{BoardInput, SERIAL_PORTS};
use devices::{Devices, IDE_BUS_MASTER_PORT};
pub use drives::Media;
use patience::Patience;
use pci::Windows;
pub use saved::BoardV1;
pub use tables::acpi_input;
use vmwb_devices::acpi::Waker;
pub use vmwb_devices::lapic::Signal;
use wiring::{IRQ_RTC, IRQ_TIMER};

/// Unknown ports and addresses that are named in the log, each once a power-on.
const MAX_NAMED_UNKNOWN: usize = 32;
/// What the log is told of the first system management interrupt.
const SMI_SENTENCE: &str = "the guest sent a system management interrupt (SMI); this machine has no system management mode, and nothing happens";
/// Value of the reset control register CF9h that resets: hard reset, reset CPU.
const RESET_VALUE: u8 = 0x06;
const RESET_PORT: u16 = 0xCF9;
/// Shutdown code by which QEMU tells SeaBIOS (src/resume.c) that a sleeping system is woken.
const SHUTDOWN_SLEEP: u8 = 0xFE;
/// ELCR2 with lines 9 (SCI), 10 and 11 (PCI) level triggered, as firmware leaves it.
const ELCR2_LEVELS: u32 = 0b1110;
const ELCR2_PORT: u16 = 0x4D1;
/// First PIRQ route register of the ISA bridge, as a CONFIG_ADDRESS value.
const PIRQ_ROUTES: u32 = 0x8000_0860;
const CONFIG_ADDRESS: u16 = 0xCF8;
const CONFIG_DATA: u16 = 0xCFC;
/// The PCI host's own offset of the data window.
const PCI_DATA_OFFSET: u16 = CONFIG_DATA - CONFIG_ADDRESS;

/// Where display memory and the display's registers are where there is no firmware to choose a place.
const VIDEO_ADDRESS: u32 = 0xFD00_0000;
const VIDEO_REGISTERS_ADDRESS: u32 = 0xFEBF_0000;

/// Counts of accesses, for statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessCounts {
    /// Port accesses.
    pub pio: u64,
    /// Accesses to device memory.
    pub mmio: u64,
    /// Interrupts acknowledged.
    pub interrupts: u64,
}

/// What every device may touch through [`Ctx`].
#[derive(Debug)]
struct Common {
    lines: LineChanges,
    scheduler: Scheduler,
    memory: Arc<GuestMemory>,
    power: Option<PowerRequest>,
}

impl Common {
    fn ctx(&mut self, now: Nanos) -> Ctx<'_> {
        Ctx {
            now,
            lines: &mut self.lines,
            scheduler: &mut self.scheduler,
            memory: &self.memory,
            power: &mut self.power,
        }
    }
}

/// Everything on the board but the processor and RAM.
#[derive(Debug)]
pub struct Board {
    devices: Devices,
    ports: PortMap,
    windows: Windows,
    clock: Clock,
    common: Common,
    /// One list a serial port, and behind them the virtio console's.
    pending_serial: Vec<VecDeque<u8>>,
    pending_keys: VecDeque<(u16, bool)>,
    /// Whether an interrupt waits: worked out after each change.
    interrupt: bool,
    /// When the next answer of a medium is there, in a deterministic machine.
    reply_due: Option<Nanos>,
    /// Whether a processor has to be initialized or started.
    signals: bool,
    patience: Patience,
    /// The earliest deadline when the engine's budget was made.
    assumed: Option<Nanos>,
    /// Whether the event timers stand in for interval timer and clock.
    event_timers: bool,
    /// Whether firmware sets the chipset up.
    firmware: bool,
    /// Of the definition: what random numbers a deterministic machine draws.
    seed: u64,
    counts: AccessCounts,
    unknown: BTreeSet<(bool, u64)>,
    /// Whether the log has been told of a system management interrupt since power-on.
    smi_named: bool,
    messages: Vec<String>,
}

impl Board {
    /// A board after power-on; its clock stands still.
    #[must_use]
    pub fn new(
        spec: &MachineSpec,
        memory: Arc<GuestMemory>,
        clock: Clock,
        input: BoardInput,
    ) -> Self {
        let mut scheduler = Scheduler::new();
        let devices = Devices::build(spec, input, &mut scheduler);
        let mut board = Self {
            devices,
            ports: Devices::port_map(spec),
            windows: Windows::default(),
            clock,
            common: Common {
                lines: LineChanges::default(),
                scheduler,
                memory,
                power: None,
            },
            pending_serial: vec![
                VecDeque::new();
                usize::from(spec.serial_ports) + usize::from(spec.virtio.console)
            ],
            pending_keys: VecDeque::new(),
            interrupt: false,
            reply_due: None,
            signals: false,
            patience: Patience::default(),
            assumed: None,
            event_timers: false,
            firmware: spec.boot.has_firmware(),
            seed: spec.seed,
            counts: AccessCounts::default(),
            unknown: BTreeSet::new(),
            smi_named: false,
            messages: Vec::new(),
        };
        board.reset(ResetKind::PowerOn, 0);
        board
    }

    /// Resets every device. Without firmware the chipset is left as one would: virtual wire, PIRQs routed, level lines
    /// marked.
    pub fn reset(&mut self, kind: ResetKind, retired: u64) {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        for device in self.devices.all() {
            device.reset(&mut ctx, kind);
        }
        self.windows.rebuild(&self.devices);
        if !self.firmware {
            self.set_up_chipset(retired);
        }
        self.common.power = None;
        for queue in &mut self.pending_serial {
            queue.clear();
        }
        self.pending_keys.clear();
        self.unknown.clear();
        self.smi_named = false;
        self.counts = AccessCounts::default();
        self.devices.irq.set_routes(self.devices.pirq_routes());
        self.settle(now, None);
    }

    /// The guest goes to sleep in its RAM; firmware will know by the shutdown code that it is to be woken.
    pub fn sleep(&mut self, retired: u64) {
        self.reset(ResetKind::Sleep, retired);
        self.devices.rtc.set_shutdown_code(SHUTDOWN_SLEEP);
    }

    /// Whether the guest sleeps in its RAM: no processor runs then.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.devices.acpi.is_asleep()
    }

    /// Wakes a sleeping guest, whose processors start at the reset vector.
    pub(super) fn wake(&mut self, now: Nanos, waker: Waker) {
        let mut ctx = self.common.ctx(now);
        self.devices.acpi.wake(&mut ctx, waker);
        self.settle(now, None);
    }

    fn set_up_chipset(&mut self, retired: u64) {
        self.devices.irq.lapics[0].set_virtual_wire();
        self.pio_write(ELCR2_PORT, AccessSize::Byte, ELCR2_LEVELS, retired);
        self.pio_write(CONFIG_ADDRESS, AccessSize::Dword, PIRQ_ROUTES, retired);
        let routes = u32::from_le_bytes(acpi_tables::PIRQ_GSI);
        self.pio_write(CONFIG_DATA, AccessSize::Dword, routes, retired);
        self.pio_write(CONFIG_ADDRESS, AccessSize::Dword, 0, retired);
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        if let Some(pc) = &mut self.devices.pc {
            pc.ide.set_up(&mut ctx, IDE_BUS_MASTER_PORT);
        }
        if let Some(vga) = &mut self.devices.vga {
            vga.set_up(&mut ctx, VIDEO_ADDRESS, VIDEO_REGISTERS_ADDRESS);
        }
        self.windows.rebuild(&self.devices);
    }

    /// The board's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The board's clock, to start, stop and advance it.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The display adapter.
    #[must_use]
    pub fn vga(&self) -> Option<&vmwb_devices::vga::Vga> {
        self.devices.vga.as_ref()
    }

    /// The display adapter, for whoever takes its changes.
    pub fn vga_mut(&mut self) -> Option<&mut vmwb_devices::vga::Vga> {
        self.devices.vga.as_mut()
    }

    /// Says which processor reaches the board from now on: whose local APIC answers.
    pub fn set_current(&mut self, processor: usize) {
        self.devices.irq.set_current(processor);
        self.interrupt = self.devices.irq.pending();
    }

    /// Whether anything waits that a halted processor looks at.
    #[must_use]
    pub fn wakes(&self, processor: usize) -> bool {
        self.devices.irq.wakes(processor)
    }

    /// Takes the next INIT or start-up message out, with the processor that it is for.
    pub fn take_signal(&mut self, retired: u64) -> Option<(usize, Signal)> {
        if !self.signals {
            return None;
        }
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        let signal = self.devices.irq.take_signal(&mut ctx);
        self.settle(now, None);
        signal
    }

    /// Earliest deadline of all devices, and of the media of a deterministic machine.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        [self.common.scheduler.next(), self.reply_due]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends runs of the engine while this flag is up (commands wait for the driver), and when they have lasted too long.
    pub fn heed(&mut self, calls: Arc<AtomicBool>) {
        self.patience = Patience::hearing(calls);
    }

    /// Notes that the engine's next budget ends at the earliest deadline known now, and that its run shall not last longer
    /// than `until`, whatever the budget.
    pub fn assume_deadlines(&mut self, until: Instant) {
        self.assumed = self.next_deadline();
        self.patience.begin(until);
    }

    /// Serves every deadline that is due.
    pub fn serve_deadlines(&mut self, retired: u64) {
        let now = self.clock.now(retired);
        if self.reply_due.is_some_and(|due| due <= now) {
            self.serve_drives(retired);
        }
        while let Some(timer) = self.common.scheduler.pop_due(now) {
            let mut ctx = self.common.ctx(now);
            if let Some(device) = self.devices.timed(timer) {
                device.on_deadline(&mut ctx, timer);
            }
            self.move_floppy_data(now);
            // A serial port's deadline may have freed its input's wire.
            for n in 0..self.pending_serial.len() {
                self.feed_serial(now, n);
            }
            self.settle(now, None);
        }
        if self.is_asleep() && self.devices.rtc.alarm_rings() {
            self.wake(now, Waker::Clock);
        }
    }

    /// The tone of the PC speaker, in Hz; `None`: silence, or a program that moves it by itself.
    #[must_use]
    pub fn speaker_hz(&self, retired: u64) -> Option<u32> {
        self.devices.pit.tone_hz(self.clock.now(retired))
    }

    /// Releases the inputs of interval timer and clock when the event timers have taken their places, or left them.
    fn follow_event_timers(&mut self) {
        let taken = self.devices.event_timers_lead();
        if taken != self.event_timers {
            self.event_timers = taken;
            for line in [IRQ_TIMER, IRQ_RTC] {
                let released = LineChange {
                    line: IrqLine(line),
                    level: false,
                };
                self.devices.irq.apply(released);
            }
        }
    }

    /// What the guest wants the BIOS to do after a reset of the processor: the byte at 0Fh of the clock's memory.
    #[must_use]
    pub fn shutdown_code(&self) -> u8 {
        self.devices.rtc.cmos(SHUTDOWN_CODE)
    }

    /// What the guest asked of the whole machine since the last call.
    pub fn take_power_request(&mut self) -> Option<PowerRequest> {
        self.common.power.take()
    }

    /// Lines for the log since the last call.
    pub fn take_messages(&mut self) -> Vec<String> {
        let mut messages = std::mem::take(&mut self.messages);
        messages.extend(self.devices.virtio.complaints());
        messages
    }

    /// Whether the firmware has said that nothing could be booted; true once until the next reset.
    pub fn take_nothing_boots(&mut self) -> bool {
        self.firmware && self.devices.debug_console.take_nothing_boots()
    }

    /// Counts since power-on.
    #[must_use]
    pub fn counts(&self) -> AccessCounts {
        self.counts
    }

    /// What a read of device memory would give, without its effects; `None` where no device answers.
    #[must_use]
    pub fn peek(&self, addr: GuestAddress, size: AccessSize, retired: u64) -> Option<u64> {
        let now = self.clock.now(retired);
        if let Some((device, offset)) = self.devices.mapped_for_peek(addr.0) {
            return Some(device.mmio_peek(now, offset, size));
        }
        let place = self.windows.address(addr.0)?;
        let device = self.devices.pci_device_ref(place.at)?;
        Some(device.bar_peek(now, place.bar, place.offset, size))
    }

    /// Brings everything to rest after a device has acted. `device`: whose registers the guest has just reached.
    fn settle(&mut self, now: Nanos, device: Option<PortDevice>) {
        match device {
            Some(PortDevice::Uart(n)) => self.feed_serial(now, usize::from(n)),
            Some(PortDevice::Keyboard) => self.feed_keys(now),
            Some(PortDevice::Fdc | PortDevice::Dma) => self.move_floppy_data(now),
            _ => {}
        }
        if device == Some(PortDevice::Pci) {
            self.devices.irq.set_routes(self.devices.pirq_routes());
        }
        self.follow_event_timers();
        for change in self.common.lines.drain() {
            let Some(change) = self.devices.placed(change) else {
                continue;
            };
            self.devices.irq.apply(change);
        }
        for message in self.common.lines.drain_messages() {
            if !self.devices.irq.signal(message) {
                let bytes = message.data.to_le_bytes();
                // To nowhere, as a write to an address where nothing is.
                let _ = self
                    .common
                    .memory
                    .write(GuestAddress(message.address), &bytes);
            }
        }
        self.devices.irq.settle();
        if self.devices.irq.take_smi() && !self.smi_named {
            self.smi_named = true;
            self.messages.push(SMI_SENTENCE.to_owned());
        }
        self.interrupt = self.devices.irq.pending();
        if self.clock.is_deterministic() {
            self.reply_due = self.next_reply();
        }
        self.signals = self.devices.irq.has_signals();
    }

    fn note_unknown(&mut self, memory: bool, at: u64) {
        if self.unknown.len() < MAX_NAMED_UNKNOWN && self.unknown.insert((memory, at)) {
            let what = if memory { "address" } else { "port" };
            self.messages.push(format!(
                "the guest reached for {what} {at:#x}, where nothing is"
            ));
        }
    }

    fn read_target(&mut self, target: PortTarget, size: AccessSize, now: Nanos) -> u32 {
        if target.device == PortDevice::Pci
            && target.offset >= PCI_DATA_OFFSET
            && let Some(value) = self.pci_config_read(target.offset, size)
        {
            return value;
        }
        let mut ctx = self.common.ctx(now);
        let value = match self.devices.port(target.device) {
            Some(device) => device.pio_read(&mut ctx, target.offset, size),
            None => ones(size),
        };
        self.settle(now, Some(target.device));
        value
    }

    fn write_target(&mut self, target: PortTarget, size: AccessSize, value: u32, now: Nanos) {
        if target.device == PortDevice::Pci
            && target.offset >= PCI_DATA_OFFSET
            && self.pci_config_write(target.offset, size, value, now)
        {
            return self.settle(now, None);
        }
        let mut ctx = self.common.ctx(now);
        if let Some(device) = self.devices.port(target.device) {
            device.pio_write(&mut ctx, target.offset, size, value);
        }
        self.settle(now, Some(target.device));
    }
}

/// All ones in the width of a port access.
fn ones(size: AccessSize) -> u32 {
    low_dword(size.ones())
}

fn low_dword(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits")
}

fn low_byte(value: u32) -> u32 {
    value & 0xFF
}
