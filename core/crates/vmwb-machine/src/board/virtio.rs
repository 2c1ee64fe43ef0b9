//! Devices on the virtio bus: which there are, and where.

use vmwb_devices::pci::{PciAddress, PciDevice};
use vmwb_devices::virtio::VirtioPci;
use vmwb_devices::virtio::balloon::VirtioBalloon;
use vmwb_devices::virtio::blk::Blk;
use vmwb_devices::virtio::console::{ConsolePort, VirtioConsole};
use vmwb_devices::virtio::input::VirtioTablet;
use vmwb_devices::virtio::rng::VirtioRng;
use vmwb_hw::{CharBackend, Device, IrqLine, RandomSource};

use super::cpu_bus::seeded;
use super::drives::{Media, virtio_disks};
use crate::spec::MachineSpec;

/// PCI slot of the first disk; the others follow.
pub const FIRST_DISK_SLOT: u8 = 4;
const RNG_SLOT: u8 = 12;
const BALLOON_SLOT: u8 = 13;
const CONSOLE_SLOT: u8 = 14;
const INPUT_SLOT: u8 = 15;
/// Mixed into the seed, so that the guest's two sources of random numbers differ.
const RNG_STREAM: u64 = 0x7669_7274_696F_2D72;

/// Virtio devices of one board.
#[derive(Debug)]
pub struct Virtio {
    /// Disks by their number.
    pub disks: Vec<(u8, VirtioPci<Blk>)>,
    rng: Option<VirtioRng>,
    balloon: Option<VirtioBalloon>,
    /// Console.
    pub console: Option<VirtioConsole>,
    /// Absolute pointer.
    pub input: Option<VirtioTablet>,
}

/// Random numbers of the host, or of a deterministic machine's seed.
#[derive(Debug)]
struct Random {
    seed: Option<u64>,
}

impl RandomSource for Random {
    fn number(&mut self, index: u64) -> u64 {
        match self.seed {
            Some(seed) => seeded(seed ^ RNG_STREAM, index),
            None => crate::sys::random(),
        }
    }
}

/// The place of slot `slot`.
pub fn place(slot: u8) -> PciAddress {
    PciAddress { slot, function: 0 }
}

fn irq(slot: u8) -> IrqLine {
    IrqLine::pci(slot, 0)
}

impl Virtio {
    /// The definition's devices; disks take their media, the console where its characters go: it exists with that.
    pub fn new(
        spec: &MachineSpec,
        media: &mut Media,
        console: Option<Box<dyn CharBackend>>,
    ) -> Self {
        let wanted = spec.virtio;
        let random = Random {
            seed: spec.deterministic.then_some(spec.seed),
        };
        Self {
            disks: virtio_disks(spec, media),
            rng: wanted
                .rng
                .then(|| VirtioRng::new("virtio-rng", irq(RNG_SLOT), Box::new(random))),
            balloon: wanted
                .balloon
                .then(|| VirtioBalloon::new("virtio-balloon", irq(BALLOON_SLOT))),
            console: console.map(|backend| {
                let port = ConsolePort {
                    name: None,
                    backend,
                };
                VirtioConsole::new("virtio-console", irq(CONSOLE_SLOT), vec![port])
            }),
            input: wanted
                .input
                .then(|| VirtioTablet::new("virtio-tablet", irq(INPUT_SLOT))),
        }
    }

    /// Every device with its place, by ascending slot.
    pub fn each(&self) -> impl Iterator<Item = (PciAddress, &dyn PciDevice)> {
        let disks = self.disks.iter();
        let disks = disks.map(|(n, d)| (place(FIRST_DISK_SLOT + n), d as &dyn PciDevice));
        let one = |slot, device| (place(slot), device);
        disks
            .chain(self.rng.iter().map(move |d| one(RNG_SLOT, d as _)))
            .chain(self.balloon.iter().map(move |d| one(BALLOON_SLOT, d as _)))
            .chain(self.console.iter().map(move |d| one(CONSOLE_SLOT, d as _)))
            .chain(self.input.iter().map(move |d| one(INPUT_SLOT, d as _)))
    }

    /// As [`Virtio::each`], to change.
    pub fn each_mut(&mut self) -> impl Iterator<Item = (PciAddress, &mut dyn PciDevice)> {
        let disks = self.disks.iter_mut();
        let disks = disks.map(|(n, d)| (place(FIRST_DISK_SLOT + *n), d as &mut dyn PciDevice));
        disks
            .chain(self.rng.iter_mut().map(|d| (place(RNG_SLOT), d as _)))
            .chain(
                self.balloon
                    .iter_mut()
                    .map(|d| (place(BALLOON_SLOT), d as _)),
            )
            .chain(
                self.console
                    .iter_mut()
                    .map(|d| (place(CONSOLE_SLOT), d as _)),
            )
            .chain(self.input.iter_mut().map(|d| (place(INPUT_SLOT), d as _)))
    }

    /// Every device.
    pub fn devices(&mut self) -> impl Iterator<Item = &mut dyn Device> {
        self.each_mut().map(|(_, device)| device as &mut dyn Device)
    }

    /// What drivers did wrong since the last call.
    pub fn complaints(&mut self) -> Vec<String> {
        let disks = self.disks.iter_mut().map(|(_, d)| d.take_complaint());
        let others = [
            self.rng.as_mut().and_then(VirtioPci::take_complaint),
            self.balloon.as_mut().and_then(VirtioPci::take_complaint),
            self.console.as_mut().and_then(VirtioPci::take_complaint),
            self.input.as_mut().and_then(VirtioPci::take_complaint),
        ];
        disks.chain(others).flatten().collect()
    }
}
