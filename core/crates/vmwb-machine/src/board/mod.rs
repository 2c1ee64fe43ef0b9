//! The board: owns the devices, brings accesses to them and their lines to the interrupt controllers.
//!
//! [`bus`] knows ports, [`devices`] knows which devices there are, [`wiring`] knows interrupt lines. The board joins
//! them behind [`CpuBus`]. It belongs to the vCPU's thread; nothing in it is shared, and nothing in it waits.
//!
//! After every access it settles: line changes reach the controllers, waiting serial characters and keys reach devices
//! that have room again, and whether an interrupt waits is worked out once.

mod bus;
mod devices;
mod drives;
mod firmware;
#[cfg(test)]
mod interrupt_tests;
mod lines;
mod pci;
mod saved;
#[cfg(test)]
pub(crate) mod tests;
mod virtio;
mod wiring;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use vmwb_hw::{
    AccessSize, Ctx, GuestAddress, GuestMemory, IrqLine, LineChange, LineChanges, LocalInterrupts,
    Nanos, PowerRequest, ResetKind, Scheduler,
};
use vmwb_x86::CpuBus;

use crate::acpi as acpi_tables;
use crate::boot::MemoryMap;
use crate::clock::Clock;
use crate::firmware::smbios::{self, SmbiosInput};
use crate::input::Input;
use crate::spec::{DisplayChoice, DriveSlot, MachineSpec, parse_uuid};
use bus::{PortDevice, PortMap, PortTarget};
pub use devices::{BoardInput, SERIAL_PORTS};
use devices::{Devices, IDE_BUS_MASTER_PORT};
pub use drives::Media;
use pci::Windows;
pub use saved::BoardV1;
use vmwb_devices::acpi as pm;
use vmwb_devices::hpet::{HPET_BASE, regs::CAPABILITIES_LOW};
use vmwb_devices::ioapic::IOAPIC_BASE;
use vmwb_devices::lapic::LAPIC_BASE;
pub use vmwb_devices::lapic::Signal;
use vmwb_devices::virtio::input::VirtioTablet;
use vmwb_devices::vmmouse::VmMouse;
use wiring::{IRQ_RTC, IRQ_TIMER};

/// Serial characters that wait in the board for room in one UART.
const MAX_PENDING_SERIAL: usize = 2 << 20;
/// Keys that wait in the board for room in the keyboard.
const MAX_PENDING_KEYS: usize = 8192;
/// Unknown ports and addresses that are named in the log, each once a power-on.
const MAX_NAMED_UNKNOWN: usize = 32;
/// Value of the reset control register CF9h that resets: hard reset, reset CPU.
const RESET_VALUE: u8 = 0x06;
const RESET_PORT: u16 = 0xCF9;
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
const VIDEO_ADDRESS: u32 = 0xFC00_0000;
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
    pending_serial: Vec<VecDeque<u8>>,
    pending_keys: VecDeque<(u16, bool)>,
    /// Whether an interrupt waits: worked out after each change.
    interrupt: bool,
    /// When the next answer of a medium is there, in a deterministic machine.
    reply_due: Option<Nanos>,
    /// Whether a processor has to be initialized or started.
    signals: bool,
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
            pending_serial: vec![VecDeque::new(); usize::from(spec.serial_ports)],
            pending_keys: VecDeque::new(),
            interrupt: false,
            reply_due: None,
            signals: false,
            assumed: None,
            event_timers: false,
            firmware: spec.boot.has_firmware(),
            seed: spec.seed,
            counts: AccessCounts::default(),
            unknown: BTreeSet::new(),
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
        self.counts = AccessCounts::default();
        self.devices.irq.set_routes(self.devices.pirq_routes());
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

    /// Writes the ACPI and SMBIOS tables that describe this board into memory.
    ///
    /// # Errors
    /// When the memory is too small for them.
    pub fn install_tables(&self, spec: &MachineSpec) -> Result<(), vmwb_mem::MemError> {
        let map = MemoryMap::of(&self.common.memory);
        let smbios = SmbiosInput {
            uuid: spec.uuid.as_deref().and_then(parse_uuid).unwrap_or([0; 16]),
            cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
            cpu: (&spec.cpu.model, spec.cpu.tsc_hz),
            ram: (map.low_end(), spec.ram_bytes() - map.low_end()),
        };
        smbios::install(&self.common.memory, &smbios)?;
        acpi_tables::install(&self.common.memory, &map, &acpi_input(spec, map.low_end()))
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

    /// Notes that the engine's next budget ends at the earliest deadline known now.
    pub fn assume_deadlines(&mut self) {
        self.assumed = self.next_deadline();
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
    }

    /// Brings an input from outside to its device. What finds no room waits here; beyond a bound it is lost, as with
    /// real hardware.
    pub fn deliver(&mut self, input: Input, retired: u64) {
        let now = self.clock.now(retired);
        match input {
            Input::Key { code, down } => {
                if self.pending_keys.len() < MAX_PENDING_KEYS {
                    self.pending_keys.push_back((code, down));
                }
            }
            Input::Serial { port, data } => {
                if let Some(queue) = self.pending_serial.get_mut(usize::from(port))
                    && queue.len() + data.len() <= MAX_PENDING_SERIAL
                {
                    queue.extend(data);
                }
            }
            Input::Motion {
                dx,
                dy,
                wheel,
                buttons,
            } => self.pointer_moves(now, (dx, dy), wheel, buttons),
            Input::Position {
                x,
                y,
                wheel,
                buttons,
            } => self.pointer_is_at(now, (x, y), wheel, buttons),
            Input::PowerButton => {
                let mut ctx = self.common.ctx(now);
                let heard = self.devices.acpi.press_power_button(&mut ctx);
                if !heard {
                    self.messages.push(
                        "the guest does not listen to the power button: nothing may happen"
                            .to_owned(),
                    );
                }
            }
        }
        self.feed_keys(now);
        for n in 0..self.pending_serial.len() {
            self.feed_serial(now, n);
        }
        self.settle(now, None);
    }

    /// Serial characters that wait for the guest, over all ports.
    #[must_use]
    pub fn waiting_serial_bytes(&self) -> usize {
        self.pending_serial.iter().map(VecDeque::len).sum()
    }

    /// Whether the guest takes positions of the pointer; else it takes movements only.
    #[must_use]
    pub fn pointer_is_absolute(&self) -> bool {
        let tablet = self.devices.virtio.input.as_ref();
        let vmmouse = self.devices.pc.as_ref().map(|pc| &pc.vmmouse);
        tablet.is_some_and(VirtioTablet::is_in_use) || vmmouse.is_some_and(VmMouse::absolute)
    }

    fn pointer_moves(&mut self, now: Nanos, (dx, dy): (i32, i32), wheel: i32, buttons: u8) {
        let mut ctx = self.common.ctx(now);
        let vmmouse = self.devices.pc.as_mut().map(|pc| &mut pc.vmmouse);
        if vmmouse.is_some_and(|m| m.enabled() && m.movement(dx, dy, wheel, buttons)) {
            self.devices.keyboard.pointer_nudge(&mut ctx);
        } else {
            let keyboard = &mut self.devices.keyboard;
            keyboard.pointer_motion(&mut ctx, dx, dy, wheel, buttons);
        }
    }

    fn pointer_is_at(&mut self, now: Nanos, (x, y): (u16, u16), wheel: i32, buttons: u8) {
        let mut ctx = self.common.ctx(now);
        if let Some(tablet) = self.devices.virtio.input.as_mut().filter(|t| t.is_in_use()) {
            // The tablet counts half as far as a position of the host's.
            tablet.pointer(&mut ctx, (x / 2, y / 2), buttons, wheel);
            return;
        }
        let vmmouse = self.devices.pc.as_mut().map(|pc| &mut pc.vmmouse);
        if vmmouse.is_some_and(|m| m.position(x, y, wheel, buttons)) {
            self.devices.keyboard.pointer_nudge(&mut ctx);
        }
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

    fn feed_serial(&mut self, now: Nanos, n: usize) {
        let (Some(queue), Some(uart)) = (
            self.pending_serial.get_mut(n),
            self.devices.uarts.get_mut(n),
        ) else {
            return;
        };
        if queue.is_empty() || !uart.wants_input() {
            return;
        }
        let bytes: Vec<u8> = queue.iter().copied().take(uart.room()).collect();
        let mut ctx = self.common.ctx(now);
        let taken = uart.receive(&mut ctx, &bytes);
        queue.drain(..taken);
    }

    fn feed_keys(&mut self, now: Nanos) {
        while !self.pending_keys.is_empty() && self.devices.keyboard.wants_keys() {
            let Some((code, down)) = self.pending_keys.pop_front() else {
                return;
            };
            let mut ctx = self.common.ctx(now);
            self.devices.keyboard.key(&mut ctx, code, down);
        }
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

/// The random number of a deterministic machine of this seed at a virtual time: the mixing function of splitmix64, whose outputs pass
/// the usual statistical tests for a counter as input. A pure function, so that a restored run draws the same numbers.
fn seeded(seed: u64, now: u64) -> u64 {
    let z = seed
        .rotate_left(32)
        .wrapping_add(now)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What the ACPI tables say about a board of this definition, whose RAM below 4 GiB ends at `low_end`.
#[must_use]
pub fn acpi_input(spec: &MachineSpec, low_end: u64) -> acpi_tables::AcpiInput {
    let mut serial_ports = [(0, 0); 4];
    for (n, port) in SERIAL_PORTS
        .iter()
        .enumerate()
        .take(usize::from(spec.serial_ports))
    {
        serial_ports[n] = *port;
    }
    acpi_tables::AcpiInput {
        low_end,
        high_pci: None,
        pm: acpi_tables::PmHardware {
            base: pm::PM_BASE,
            event: pm::PM1_EVENT_PORT,
            control: pm::PM1_CONTROL_PORT,
            timer: pm::PM_TIMER_PORT,
            timer_32_bit: false,
            gpe0: pm::GPE0_PORT,
            gpe0_bytes: pm::GPE0_BYTES,
            smi_command: pm::SMI_COMMAND_PORT,
            acpi_enable: pm::ACPI_ENABLE,
            acpi_disable: pm::ACPI_DISABLE,
            slp_typ_s5: pm::SLP_TYP_S5,
            reset_port: RESET_PORT,
            reset_value: RESET_VALUE,
        },
        serial_ports,
        vga: spec.display == DisplayChoice::Vga,
        lapic: u32::try_from(LAPIC_BASE).expect("the local APIC lies below 4 GiB"),
        ioapic: (
            u32::try_from(IOAPIC_BASE).expect("the I/O APIC lies below 4 GiB"),
            0,
        ),
        cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
        parts: parts(spec),
    }
}

/// Parts that the tables describe.
fn parts(spec: &MachineSpec) -> acpi_tables::Parts {
    let floppy = |n| {
        let slot = DriveSlot::Floppy(n).to_string();
        spec.drives.iter().any(|drive| drive.slot == slot)
    };
    if !spec.is_whole_pc() {
        return acpi_tables::Parts::default();
    }
    acpi_tables::Parts {
        hpet: Some(acpi_tables::HpetHardware {
            address: u32::try_from(HPET_BASE).expect("the event timers lie below 4 GiB"),
            block_id: low_dword(CAPABILITIES_LOW),
        }),
        floppy: Some([floppy(0), floppy(1)]),
        dma: true,
        fw_cfg: spec.boot.has_firmware(),
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
                    0xFF
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

    fn backdoor(&mut self, registers: &mut [u32; 6], _retired: u64) -> bool {
        let Some(pc) = &mut self.devices.pc else {
            return false;
        };
        pc.vmmouse.backdoor(registers);
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
        if self.common.power.is_some() || self.signals {
            return true;
        }
        match (self.next_deadline(), self.assumed) {
            (Some(next), Some(assumed)) => next < assumed,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        }
    }
}
