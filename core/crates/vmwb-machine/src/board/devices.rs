//! The devices that a board has, built from a definition, and the ports they sit at.

use vmwb_devices::acpi::{self, AcpiPm, PmTimerWidth};
use vmwb_devices::coprocessor::Coprocessor;
use vmwb_devices::debug::{
    CONSOLE_PORT, DEBUG_EXIT_BYTES, DebugConsole, DebugExit, FIRMWARE_CONSOLE_PORT,
};
use vmwb_devices::dma::Dma;
use vmwb_devices::fdc::Fdc;
use vmwb_devices::fwcfg::{FwCfg, Item};
use vmwb_devices::hpet::{HPET_BASE, HPET_BYTES, Hpet};
use vmwb_devices::i8042::I8042;
use vmwb_devices::ide::Ide;
use vmwb_devices::ioapic::{IOAPIC_BASE, IOAPIC_BYTES};
use vmwb_devices::lapic::{LAPIC_BYTES, Lapic, LapicConfig};
use vmwb_devices::pci::{PciAddress, PciDevice, PciHost};
use vmwb_devices::pit::Pit;
use vmwb_devices::rtc::Rtc;
use vmwb_devices::sysctl::SysCtl;
use vmwb_devices::uart::Uart;
use vmwb_devices::vga::{DISPI_PORT_BASE, DISPI_PORT_OFFSET, DISPI_PORTS, Vga};
use vmwb_devices::vmmouse::VmMouse;
use vmwb_hw::{
    CharBackend, Device, IrqLine, LineChange, MmioDevice, PioDevice, Scheduler, Timed, TimerId,
};

use vmwb_x86::cpuid::Features;

use super::bus::{PortDevice, PortMap, PortRange, Width};
use super::drives::{Media, floppy, ide};
use super::firmware::{bios_disks, cmos_bytes, fw_cfg};
use super::geometry;
use super::virtio::Virtio;
use super::wiring::{
    HPET_CLOCK_LINE, HPET_TIMER_LINE, IRQ_COPROCESSOR, IRQ_KEYBOARD, IRQ_MOUSE, IRQ_RTC, IRQ_TIMER,
    InterruptControllers,
};
use crate::spec::{DisplayChoice, MachineSpec};

/// Ports and lines of COM1 to COM4. COM3 and COM4 have lines of their own, because ISA lines cannot be shared.
pub const SERIAL_PORTS: [(u16, u8); 4] = [(0x3F8, 4), (0x2F8, 3), (0x3E8, 5), (0x2E8, 7)];
const UART_PORTS: u16 = 8;
/// The display adapter's memory window.
const VGA_WINDOW: std::ops::Range<u64> = 0xA_0000..0xC_0000;
/// First register of the VGA that lies behind COM-like ranges: attribute controller to input status, colour and mono.
const VGA_PORTS: [(u16, u16); 3] = [(0x3B0, 12), (0x3C0, 16), (0x3D0, 16)];

/// Function of the IDE controller in the PIIX3.
const IDE_PLACE: PciAddress = PciAddress {
    slot: 1,
    function: 1,
};
/// Port of the IDE bus master where there is no firmware to choose one.
pub const IDE_BUS_MASTER_PORT: u16 = 0xC000;

/// Names a timer's owner when its deadline comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimerOwner {
    Lapic(u8),
    Pit,
    Rtc,
    Acpi,
    Uart(u8),
    Fdc,
    Keyboard,
    Hpet,
}

/// What a board is built with besides its definition.
#[derive(Debug)]
pub struct BoardInput {
    /// Where the serial ports' characters go, one a port.
    pub serial: Vec<Box<dyn CharBackend>>,
    /// Where the virtio console's characters go, in machines that have one.
    pub console: Option<Box<dyn CharBackend>>,
    /// Where the debug console's characters go.
    pub debug_console: Box<dyn CharBackend>,
    /// Date at power-on, Unix seconds.
    pub start_unix_s: u64,
    /// RAM below and above 4 GiB, in bytes.
    pub ram: (u64, u64),
    /// Media of the drives.
    pub media: Media,
    /// The display adapter.
    pub vga: Option<Vga>,
    /// What the firmware configuration device shows of a kernel that the BIOS is to start.
    pub kernel: Vec<Item>,
}

/// The devices that firmware and drives need, and a kernel that is booted directly without drives does not.
#[derive(Debug)]
pub struct WholePc {
    /// IDE controller.
    pub ide: Ide,
    /// Floppy controller.
    pub fdc: Fdc,
    /// DMA controllers.
    pub dma: Dma,
    /// Event timers.
    pub hpet: Hpet,
    /// Absolute pointer.
    pub vmmouse: VmMouse,
}

/// Every device of one board.
#[derive(Debug)]
pub struct Devices {
    /// 8259 pair, I/O APIC, local APICs.
    pub irq: InterruptControllers,
    /// Interval timer.
    pub pit: Pit,
    /// Clock and CMOS memory.
    pub rtc: Rtc,
    /// Serial ports.
    pub uarts: Vec<Uart>,
    /// Keyboard controller with keyboard and mouse.
    pub keyboard: I8042,
    /// Reset, A20, POST code.
    pub sysctl: SysCtl,
    /// Coprocessor error latch.
    pub coprocessor: Coprocessor,
    /// PCI configuration space.
    pub pci: PciHost,
    /// Power management.
    pub acpi: AcpiPm,
    /// What a bare board lacks.
    pub pc: Option<WholePc>,
    /// Devices on the virtio bus.
    pub virtio: Virtio,
    /// Firmware configuration, in machines with firmware.
    pub fw_cfg: Option<FwCfg>,
    pci_places: Vec<PciAddress>,
    /// Display adapter.
    pub vga: Option<Vga>,
    /// Debug exit port.
    pub debug_exit: Option<DebugExit>,
    /// Debug console.
    pub debug_console: DebugConsole,
    timers: Vec<TimerOwner>,
}

impl Devices {
    /// Builds the devices in a fixed order, so that timers have the same slots in every run.
    #[must_use]
    pub fn build(spec: &MachineSpec, mut input: BoardInput, scheduler: &mut Scheduler) -> Self {
        let mut timers = Vec::new();
        let mut timer = |owner| {
            timers.push(owner);
            scheduler.add_timer()
        };
        let features = Features::of(&spec.cpu.model);
        let has = |name| features.is_some_and(|f| f.has(name));
        let lapic = |number, timer| {
            Lapic::new(LapicConfig {
                number,
                timer,
                tsc_hz: spec.cpu.tsc_hz,
                x2apic: has("x2apic"),
                tsc_deadline: has("tsc_deadline"),
            })
        };
        let mut lapics = vec![lapic(0, timer(TimerOwner::Lapic(0)))];
        let pit = Pit::new(timer(TimerOwner::Pit), IrqLine(IRQ_TIMER));
        let mut rtc = Rtc::new(timer(TimerOwner::Rtc), IrqLine(IRQ_RTC), input.start_unix_s);
        rtc.set_memory_size(input.ram.0, input.ram.1);
        let tracks = geometry::of_disks(spec, &mut input.media);
        let bios_disks = bios_disks(&input.media, &tracks);
        // Kernels without firmware look there for floppy drives too.
        if spec.is_whole_pc() {
            for (index, value) in cmos_bytes(spec, &input.media, &tracks) {
                rtc.set_cmos(index, value);
            }
        }
        let pc = spec.is_whole_pc().then(|| WholePc {
            ide: ide(spec, &mut input.media, &tracks),
            fdc: floppy(spec, timer(TimerOwner::Fdc), &mut input.media),
            dma: Dma::new(),
            hpet: Hpet::new(
                timer(TimerOwner::Hpet),
                [IrqLine(HPET_TIMER_LINE), IrqLine(HPET_CLOCK_LINE)],
            ),
            vmmouse: VmMouse::new(),
        });
        let virtio = Virtio::new(spec, &mut input.media, input.console);
        let mut pci_places = Vec::new();
        pci_places.extend(pc.as_ref().map(|_| IDE_PLACE));
        pci_places.extend(input.vga.as_ref().map(|_| PciAddress::DISPLAY));
        pci_places.extend(virtio.each().map(|(at, _)| at));
        let acpi = AcpiPm::new(
            IrqLine(acpi::SCI_GSI),
            timer(TimerOwner::Acpi),
            PmTimerWidth::Bits24,
        );
        let uarts = (0u8..)
            .zip(SERIAL_PORTS)
            .zip(input.serial)
            .take(usize::from(spec.serial_ports))
            .map(|((n, (_, irq)), backend)| {
                let name = format!("uart.{n}");
                Uart::new(&name, timer(TimerOwner::Uart(n)), IrqLine(irq), backend)
            })
            .collect();
        for n in (1u8..).take(spec.cpus.saturating_sub(1) as usize) {
            lapics.push(lapic(n, timer(TimerOwner::Lapic(n))));
        }
        let keyboard = I8042::new(
            timer(TimerOwner::Keyboard),
            IrqLine(IRQ_KEYBOARD),
            IrqLine(IRQ_MOUSE),
        );
        Self {
            irq: InterruptControllers::new(lapics),
            pit,
            rtc,
            uarts,
            keyboard,
            sysctl: SysCtl::new(),
            coprocessor: Coprocessor::new(IrqLine(IRQ_COPROCESSOR)),
            pci: PciHost::new(acpi::PM_BASE),
            acpi,
            pc,
            virtio,
            fw_cfg: fw_cfg(spec, input.ram, input.kernel, &bios_disks),
            pci_places,
            vga: input.vga,
            debug_exit: spec.debug_exit_port.map(|_| DebugExit::new()),
            debug_console: DebugConsole::new(input.debug_console),
            timers,
        }
    }

    /// The ports of a board with this definition.
    #[must_use]
    pub fn port_map(spec: &MachineSpec) -> PortMap {
        let mut ranges = Vec::new();
        let mut add = |first, count, device, offset, width| {
            ranges.push(PortRange {
                first,
                count,
                device,
                offset,
                width,
            });
        };
        add(0x20, 2, PortDevice::Pic, 0, Width::Bytes);
        add(0xA0, 2, PortDevice::Pic, 2, Width::Bytes);
        add(0x4D0, 2, PortDevice::Pic, 4, Width::Bytes);
        add(0x40, 4, PortDevice::Pit, 0, Width::Bytes);
        add(0x61, 1, PortDevice::Pit, 4, Width::Bytes);
        add(0x70, 2, PortDevice::Rtc, 0, Width::Bytes);
        add(0x60, 1, PortDevice::Keyboard, 0, Width::Bytes);
        add(0x64, 1, PortDevice::Keyboard, 4, Width::Bytes);
        add(0x92, 1, PortDevice::SysCtl, 0, Width::Bytes);
        add(0x80, 1, PortDevice::SysCtl, 2, Width::Bytes);
        add(0x8900, 1, PortDevice::SysCtl, 3, Width::Bytes);
        add(0xF0, 2, PortDevice::Coprocessor, 0, Width::Bytes);
        add(0xCF8, 8, PortDevice::Pci, 0, Width::Any);
        add(0xCF9, 1, PortDevice::SysCtl, 1, Width::Bytes);
        add(
            acpi::PM_BASE,
            acpi::PM_BYTES,
            PortDevice::Acpi,
            0,
            Width::Any,
        );
        add(
            acpi::SMI_COMMAND_PORT,
            2,
            PortDevice::Acpi,
            acpi::OFFSET_SMI_COMMAND,
            Width::Bytes,
        );
        if spec.is_whole_pc() {
            for (first, control, offset) in [(0x1F0, 0x3F6, 0), (0x170, 0x376, 0x10)] {
                add(first, 1, PortDevice::Ide, offset, Width::Any);
                add(first + 1, 7, PortDevice::Ide, offset + 1, Width::Bytes);
                add(control, 1, PortDevice::Ide, offset + 8, Width::Bytes);
            }
            add(0x3F0, 6, PortDevice::Fdc, 0, Width::Bytes);
            add(0x3F7, 1, PortDevice::Fdc, 7, Width::Bytes);
            add(0x00, 0x10, PortDevice::Dma, 0x00, Width::Bytes);
            add(0xC0, 0x20, PortDevice::Dma, 0x10, Width::Bytes);
            add(0x81, 0x0F, PortDevice::Dma, 0x31, Width::Bytes);
        }
        if spec.boot.has_firmware() {
            add(0x510, 2, PortDevice::FwCfg, 0, Width::Any);
            add(0x514, 8, PortDevice::FwCfg, 4, Width::Any);
        }
        add(CONSOLE_PORT, 1, PortDevice::DebugConsole, 0, Width::Bytes);
        add(
            FIRMWARE_CONSOLE_PORT,
            1,
            PortDevice::DebugConsole,
            1,
            Width::Bytes,
        );
        for (n, (first, _)) in (0..spec.serial_ports).zip(SERIAL_PORTS) {
            add(first, UART_PORTS, PortDevice::Uart(n), 0, Width::Bytes);
        }
        if spec.display == DisplayChoice::Vga {
            for (first, count) in VGA_PORTS {
                let offset = first - VGA_PORTS[0].0;
                add(first, count, PortDevice::Vga, offset, Width::Bytes);
            }
            let (first, count) = (DISPI_PORT_BASE, DISPI_PORTS);
            add(first, count, PortDevice::Vga, DISPI_PORT_OFFSET, Width::Any);
        }
        if let Some(port) = spec.debug_exit_port {
            add(port, DEBUG_EXIT_BYTES, PortDevice::DebugExit, 0, Width::Any);
        }
        PortMap::new(ranges)
    }

    /// The device that the port map names; `None` when this board has none of it.
    pub fn port(&mut self, device: PortDevice) -> Option<&mut dyn PioDevice> {
        Some(match device {
            PortDevice::Pic => &mut self.irq.pic,
            PortDevice::Pit => &mut self.pit,
            PortDevice::Rtc => &mut self.rtc,
            PortDevice::Uart(n) => self.uarts.get_mut(usize::from(n))?,
            PortDevice::Keyboard => &mut self.keyboard,
            PortDevice::SysCtl => &mut self.sysctl,
            PortDevice::Coprocessor => &mut self.coprocessor,
            PortDevice::Pci => &mut self.pci,
            PortDevice::Acpi => &mut self.acpi,
            PortDevice::Ide => &mut self.pc.as_mut()?.ide,
            PortDevice::Fdc => &mut self.pc.as_mut()?.fdc,
            PortDevice::Dma => &mut self.pc.as_mut()?.dma,
            PortDevice::FwCfg => self.fw_cfg.as_mut()?,
            PortDevice::Vga => self.vga.as_mut()?,
            PortDevice::DebugExit => self.debug_exit.as_mut()?,
            PortDevice::DebugConsole => &mut self.debug_console,
        })
    }

    /// The device whose memory lies at a guest address, and its own offset of it.
    pub fn mapped(&mut self, address: u64) -> Option<(&mut dyn MmioDevice, u64)> {
        if let Some(base) = self.irq.lapic().mmio_base()
            && (base..base + LAPIC_BYTES).contains(&address)
        {
            return Some((self.irq.lapic_mut(), address - base));
        }
        if (IOAPIC_BASE..IOAPIC_BASE + IOAPIC_BYTES).contains(&address) {
            return Some((&mut self.irq.ioapic, address - IOAPIC_BASE));
        }
        if (HPET_BASE..HPET_BASE + HPET_BYTES).contains(&address) {
            let pc = self.pc.as_mut()?;
            return Some((&mut pc.hpet, address - HPET_BASE));
        }
        if VGA_WINDOW.contains(&address) {
            let vga = self.vga.as_mut()?;
            return Some((vga, address - VGA_WINDOW.start));
        }
        None
    }

    /// As [`Devices::mapped`], for a look without an effect.
    pub fn mapped_for_peek(&self, address: u64) -> Option<(&dyn MmioDevice, u64)> {
        if let Some(base) = self.irq.lapic().mmio_base()
            && (base..base + LAPIC_BYTES).contains(&address)
        {
            return Some((self.irq.lapic(), address - base));
        }
        if (IOAPIC_BASE..IOAPIC_BASE + IOAPIC_BYTES).contains(&address) {
            return Some((&self.irq.ioapic, address - IOAPIC_BASE));
        }
        if (HPET_BASE..HPET_BASE + HPET_BYTES).contains(&address) {
            let pc = self.pc.as_ref()?;
            return Some((&pc.hpet, address - HPET_BASE));
        }
        if VGA_WINDOW.contains(&address) {
            let vga = self.vga.as_ref()?;
            return Some((vga, address - VGA_WINDOW.start));
        }
        None
    }

    /// Where PCI devices beside the chipset are, ascending.
    #[must_use]
    pub fn pci_addresses(&self) -> &[PciAddress] {
        &self.pci_places
    }

    /// The PCI device there; `None`: the chipset or nobody.
    pub fn pci_device(&mut self, at: PciAddress) -> Option<&mut dyn PciDevice> {
        match at {
            IDE_PLACE => Some(&mut self.pc.as_mut()?.ide),
            PciAddress::DISPLAY => Some(self.vga.as_mut()?),
            _ => {
                let mut all = self.virtio.each_mut();
                all.find(|(place, _)| *place == at).map(|(_, d)| d)
            }
        }
    }

    /// As [`Devices::pci_device`], to look at.
    #[must_use]
    pub fn pci_device_ref(&self, at: PciAddress) -> Option<&dyn PciDevice> {
        match at {
            IDE_PLACE => Some(&self.pc.as_ref()?.ide),
            PciAddress::DISPLAY => Some(self.vga.as_ref()?),
            _ => {
                let mut all = self.virtio.each();
                all.find(|(place, _)| *place == at).map(|(_, d)| d)
            }
        }
    }

    /// Where the chipset routes PIRQA to PIRQD.
    #[must_use]
    pub fn pirq_routes(&self) -> [Option<u8>; 4] {
        [0, 1, 2, 3].map(|n| self.pci.pirq_route(n))
    }

    /// Whether the event timers have taken the places of interval timer and clock.
    #[must_use]
    pub fn event_timers_lead(&self) -> bool {
        self.pc
            .as_ref()
            .is_some_and(|pc| pc.hpet.legacy_replacement())
    }

    /// The line that a change reaches; `None`: none, because another device has its place.
    #[must_use]
    pub fn placed(&self, change: LineChange) -> Option<LineChange> {
        let lead = self.event_timers_lead();
        let line = match change.line.0 {
            HPET_TIMER_LINE if lead => IRQ_TIMER,
            HPET_CLOCK_LINE if lead => IRQ_RTC,
            HPET_TIMER_LINE | HPET_CLOCK_LINE => return None,
            IRQ_TIMER | IRQ_RTC if lead => return None,
            other => other,
        };
        Some(LineChange {
            line: IrqLine(line),
            level: change.level,
        })
    }

    /// The device whose timer this is.
    pub fn timed(&mut self, timer: TimerId) -> Option<&mut dyn Timed> {
        Some(match self.timers.get(usize::from(timer.0))? {
            TimerOwner::Lapic(n) => self.irq.lapics.get_mut(usize::from(*n))?,
            TimerOwner::Pit => &mut self.pit,
            TimerOwner::Rtc => &mut self.rtc,
            TimerOwner::Acpi => &mut self.acpi,
            TimerOwner::Keyboard => &mut self.keyboard,
            TimerOwner::Uart(n) => self.uarts.get_mut(usize::from(*n))?,
            TimerOwner::Fdc => &mut self.pc.as_mut()?.fdc,
            TimerOwner::Hpet => &mut self.pc.as_mut()?.hpet,
        })
    }

    /// Every device, always in the same order.
    pub fn all(&mut self) -> Vec<&mut dyn Device> {
        let mut all: Vec<&mut dyn Device> = vec![
            &mut self.irq.pic,
            &mut self.irq.ioapic,
            &mut self.pit,
            &mut self.rtc,
            &mut self.keyboard,
            &mut self.sysctl,
            &mut self.coprocessor,
            &mut self.pci,
            &mut self.acpi,
            &mut self.debug_console,
        ];
        all.extend(self.irq.lapics.iter_mut().map(|l| l as &mut dyn Device));
        all.extend(self.uarts.iter_mut().map(|u| u as &mut dyn Device));
        if let Some(pc) = &mut self.pc {
            all.extend([&mut pc.ide as &mut dyn Device, &mut pc.fdc, &mut pc.dma]);
            all.extend([&mut pc.hpet as &mut dyn Device, &mut pc.vmmouse]);
        }
        all.extend(self.virtio.devices());
        all.extend(self.fw_cfg.iter_mut().map(|d| d as &mut dyn Device));
        all.extend(self.vga.iter_mut().map(|v| v as &mut dyn Device));
        all.extend(self.debug_exit.iter_mut().map(|d| d as &mut dyn Device));
        all
    }
}
