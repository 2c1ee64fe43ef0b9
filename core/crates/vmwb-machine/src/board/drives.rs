//! Drives: from the definition's slots to the controllers, and answers of their media back.

use std::collections::BTreeMap;

use vmwb_devices::ide::{CdIdentity, DiskIdentity, Drive, Ide, UNITS};
use vmwb_hw::{BlockBackend, BlockClient, IrqLine, Nanos, NoMedium};

use super::Board;
use super::devices::Devices;
use super::wiring::{IRQ_IDE_PRIMARY, IRQ_IDE_SECONDARY};
use crate::spec::{DriveKind, DriveSlot, MachineSpec};

/// Media by slot.
pub type Media = BTreeMap<DriveSlot, Box<dyn BlockBackend>>;

const MODEL_DISK: &str = "VMWB DISK";
const MODEL_CD: &str = "VMWB CD-ROM";
const REVISION: &str = "1.0";

/// The IDE controller with the definition's drives, which take their media.
pub(super) fn ide(spec: &MachineSpec, media: &mut Media) -> Ide {
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
                    geometry: None,
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

/// A serial number that stays, so that a guest finds its disks by it.
fn serial_number(slot: DriveSlot) -> String {
    format!("VMWB-{slot}")
}

impl Devices {
    /// Controllers of drives.
    fn controllers(&mut self) -> impl Iterator<Item = &mut dyn BlockClient> {
        self.ide.iter_mut().map(|ide| ide as &mut dyn BlockClient)
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
        self.settle(now, None);
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

    /// Takes all media out: the board is not used any more.
    pub fn take_media(&mut self) -> Media {
        let mut media = Media::new();
        if let Some(ide) = &mut self.devices.ide {
            for (unit, medium) in ide.take_media() {
                let slot = DriveSlot::Ide(u8::try_from(unit).unwrap_or(0));
                media.insert(slot, medium);
            }
        }
        media
    }
}
