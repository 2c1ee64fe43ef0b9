//! Drives: from the definition's slots to the controllers, and answers of their media back.

use std::collections::BTreeMap;

use vmwb_devices::fdc::{DriveType, Fdc, FloppyFormat, no_drives};
use vmwb_devices::ide::{CdIdentity, ChangeRefused, DiskIdentity, Drive, Ide, UNITS};
use vmwb_devices::virtio::VirtioPci;
use vmwb_devices::virtio::blk::Blk;
use vmwb_hw::{BlockBackend, BlockClient, IrqLine, Nanos, NoMedium, TimerId};

use super::Board;
use super::devices::{Devices, WholePc};
use super::geometry::DiskTracks;
use super::virtio::FIRST_DISK_SLOT;
use super::wiring::{IRQ_FLOPPY, IRQ_IDE_PRIMARY, IRQ_IDE_SECONDARY};
use crate::error::MachineError;
use crate::mailbox::MediaChange;
use crate::spec::{DriveKind, DriveSlot, MachineSpec};

/// Media by slot.
pub type Media = BTreeMap<DriveSlot, Box<dyn BlockBackend>>;

/// DMA channel of the floppy controller.
const FLOPPY_CHANNEL: u8 = 2;
const MODEL_DISK: &str = "VMWB DISK";
const MODEL_CD: &str = "VMWB CD-ROM";
const REVISION: &str = "1.0";

/// The IDE controller with the definition's drives, which take their media. `tracks`: of those that have partitions.
pub(super) fn ide(spec: &MachineSpec, media: &mut Media, tracks: &DiskTracks) -> Ide {
    let mut units: [Option<Drive>; UNITS] = std::array::from_fn(|_| None);
    for drive in &spec.drives {
        let Some(slot @ DriveSlot::Ide(n)) = DriveSlot::parse(&drive.slot) else {
            continue;
        };
        let medium = media
            .remove(&slot)
            .unwrap_or_else(|| Box::new(NoMedium::default()));
        let serial = serial_number(slot);
        units[usize::from(n) % UNITS] = Some(match drive.kind {
            DriveKind::Disk => {
                let identity = DiskIdentity {
                    serial,
                    firmware: REVISION.to_owned(),
                    model: MODEL_DISK.to_owned(),
                    geometry: medium
                        .info()
                        .and_then(|info| tracks.get(&slot).and_then(|t| t.of_drive(info.bytes))),
                };
                Drive::Disk(identity, medium)
            }
            DriveKind::Cdrom | DriveKind::Floppy => {
                let identity = CdIdentity {
                    serial,
                    firmware: REVISION.to_owned(),
                    model: MODEL_CD.to_owned(),
                    vendor: "VMWB".to_owned(),
                    product: "CD-ROM".to_owned(),
                };
                Drive::CdRom(identity, medium)
            }
        });
    }
    let irqs = [IrqLine(IRQ_IDE_PRIMARY), IrqLine(IRQ_IDE_SECONDARY)];
    Ide::new("ide", irqs, units)
}

/// The floppy controller with the definition's drives, which take their media.
pub(super) fn floppy(spec: &MachineSpec, timer: TimerId, media: &mut Media) -> Fdc {
    let mut drives = no_drives();
    for drive in &spec.drives {
        if let Some(slot @ DriveSlot::Floppy(n)) = DriveSlot::parse(&drive.slot)
            && let Some(place) = drives.get_mut(usize::from(n))
        {
            let medium = media.remove(&slot);
            place.0 = floppy_type(medium.as_deref());
            if let Some(medium) = medium {
                place.1 = medium;
            }
        }
    }
    Fdc::new(timer, IrqLine(IRQ_FLOPPY), drives)
}

/// The kind of drive that a medium asks for; 3.5 inches for 1.44 MB where there is none.
pub(super) fn floppy_type(medium: Option<&dyn BlockBackend>) -> DriveType {
    medium
        .and_then(BlockBackend::info)
        .and_then(|info| FloppyFormat::of_size(info.bytes).ok())
        .map_or(DriveType::D1440K, DriveType::for_format)
}

/// Disks on virtio controllers, which take their media.
pub(super) fn virtio_disks(spec: &MachineSpec, media: &mut Media) -> Vec<(u8, VirtioPci<Blk>)> {
    let slots = spec.drives.iter().filter_map(|d| DriveSlot::parse(&d.slot));
    slots
        .filter_map(|slot| {
            let DriveSlot::Virtio(n) = slot else {
                return None;
            };
            let medium = media
                .remove(&slot)
                .unwrap_or_else(|| Box::new(NoMedium::default()));
            let irq = IrqLine::pci(FIRST_DISK_SLOT + n, 0);
            let name = format!("virtio-blk.{n}");
            Some((
                n,
                VirtioPci::<Blk>::new(&name, irq, medium, &serial_number(slot)),
            ))
        })
        .collect()
}

/// A serial number that stays, so that a guest finds its disks by it.
fn serial_number(slot: DriveSlot) -> String {
    format!("VMWB-{slot}")
}

fn fixed(slot: DriveSlot) -> MachineError {
    MachineError::NotFound(format!(
        "There is no drive in the slot {slot} whose medium can be changed while the machine runs."
    ))
}

impl Devices {
    /// Controllers of drives.
    fn controllers(&mut self) -> impl Iterator<Item = &mut dyn BlockClient> {
        let pc = self
            .pc
            .iter_mut()
            .flat_map(|pc| [&mut pc.ide as &mut dyn BlockClient, &mut pc.fdc]);
        let disks = self.virtio.disks.iter_mut();
        pc.chain(disks.map(|(_, disk)| disk as &mut dyn BlockClient))
    }
}

impl Board {
    /// Lets the controllers take the answers of their media.
    pub fn serve_drives(&mut self, retired: u64) {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        for controller in self.devices.controllers() {
            controller.serve_replies(&mut ctx);
        }
        self.move_floppy_data(now);
        self.settle(now, None);
    }

    /// Joins the floppy controller with its DMA channel.
    pub(super) fn move_floppy_data(&mut self, now: Nanos) {
        let mut ctx = self.common.ctx(now);
        if let Some(WholePc { fdc, dma, .. }) = &mut self.devices.pc {
            dma.transfer(&mut ctx, FLOPPY_CHANNEL, fdc);
        }
    }

    /// Waits until no medium has a request under way, before a state is saved.
    pub fn drain_drives(&mut self, retired: u64) {
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        for controller in self.devices.controllers() {
            controller.drain(&mut ctx);
        }
        self.settle(now, None);
    }

    /// In a deterministic machine, when the next answer is there.
    pub(super) fn next_reply(&mut self) -> Option<Nanos> {
        self.devices
            .controllers()
            .filter_map(|controller| controller.next_reply())
            .min()
    }

    /// Puts another medium into a drive and gives the old one back.
    ///
    /// # Errors
    /// There is no such drive, or its medium is fixed; the guest has locked its tray and `force` is not set; a floppy's
    /// size is none of a PC's.
    pub fn change_medium(
        &mut self,
        change: MediaChange,
        retired: u64,
    ) -> Result<Box<dyn BlockBackend>, MachineError> {
        let MediaChange {
            slot,
            medium,
            force,
        } = change;
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        let old = match (slot, &mut self.devices.pc) {
            (DriveSlot::Ide(n), Some(pc)) => pc
                .ide
                .change_medium(&mut ctx, usize::from(n), medium, force)
                .map_err(|refused| match refused {
                    ChangeRefused::Locked(..) => MachineError::TrayHeld(format!(
                        "The guest holds the tray of {slot} and was asked to let it go; eject it in the guest, or force it."
                    )),
                    ChangeRefused::NotRemovable(..) => fixed(slot),
                })?,
            (DriveSlot::Floppy(n), Some(pc)) => {
                if let Some(info) = medium.info() {
                    FloppyFormat::of_size(info.bytes)
                        .map_err(|e| MachineError::BadArgument(e.to_string()))?;
                }
                pc.fdc.change_medium(&mut ctx, usize::from(n), medium)
            }
            _ => return Err(fixed(slot)),
        };
        self.settle(now, None);
        Ok(old)
    }

    /// The next CD drive whose tray the guest has opened since the last call.
    pub fn take_ejected(&mut self) -> Option<DriveSlot> {
        let unit = self.devices.pc.as_mut()?.ide.take_ejected()?;
        u8::try_from(unit).ok().map(DriveSlot::Ide)
    }

    /// Takes all media out: the board is not used any more.
    pub fn take_media(&mut self) -> Media {
        let mut media = Media::new();
        let number = |unit| u8::try_from(unit).unwrap_or(u8::MAX);
        if let Some(pc) = &mut self.devices.pc {
            let ide = pc.ide.take_media().into_iter();
            media.extend(ide.map(|(unit, medium)| (DriveSlot::Ide(number(unit)), medium)));
            let floppies = pc.fdc.take_media().into_iter();
            media.extend(floppies.map(|(unit, medium)| (DriveSlot::Floppy(number(unit)), medium)));
        }
        for (n, disk) in &mut self.devices.virtio.disks {
            media.insert(DriveSlot::Virtio(*n), disk.take_medium());
        }
        media
    }
}
