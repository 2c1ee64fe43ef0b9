//! What the board tells its firmware: the items of the configuration device, and the bytes in the clock's memory.

use vmwb_devices::fwcfg::{FwCfg, Item};
use vmwb_devices::ide::Geometry;

use super::acpi_input;
use super::drives::{Media, floppy_type};
use super::geometry::DiskTracks;
use crate::boot::KERNEL_ROM;
use crate::firmware::{BootDevice, CmosInput, FirmwareInput, cmos, contents};
use crate::spec::{BootSource, BootSpec, DriveKind, DriveSlot, DriveSpec, MachineSpec};

const SECTOR_BYTES: u64 = 512;

/// The configuration device of a machine that starts with firmware, and with a kernel that comes before all drives.
/// `disks`: see [`bios_disks`].
pub(super) fn fw_cfg(
    spec: &MachineSpec,
    ram: (u64, u64),
    kernel: Vec<Item>,
    disks: &[(BootDevice, Geometry)],
) -> Option<FwCfg> {
    let BootSpec::Firmware {
        order,
        menu,
        menu_wait_ms,
        ..
    } = &spec.boot
    else {
        return None;
    };
    let mut boot_order = boot_devices(spec, order);
    if !kernel.is_empty() {
        boot_order.insert(0, BootDevice::Rom(KERNEL_ROM.to_owned()));
    }
    let mut items = contents(&FirmwareInput {
        acpi: acpi_input(spec, ram.0),
        ram_above_4g: ram.1,
        uuid: spec.uuid_bytes(),
        cpu: (&spec.cpu.model, spec.cpu.tsc_hz),
        boot_order: &boot_order,
        disks,
        menu_wait_ms: menu.then_some(*menu_wait_ms),
    });
    items.extend(kernel);
    Some(FwCfg::new(items).expect("the names of firmware's items are all different"))
}

/// What is looked at for an operating system, best first.
fn boot_devices(spec: &MachineSpec, order: &[BootSource]) -> Vec<BootDevice> {
    order
        .iter()
        .flat_map(|&source| {
            let mut drives: Vec<&DriveSpec> = spec
                .drives
                .iter()
                .filter(|drive| kind_of(source) == Some(drive.kind))
                .collect();
            drives.sort_by_key(|drive| DriveSlot::parse(&drive.slot));
            drives
        })
        .filter_map(|drive| {
            let slot = DriveSlot::parse(&drive.slot)?;
            Some(boot_device(slot))
        })
        .collect()
}

fn boot_device(slot: DriveSlot) -> BootDevice {
    match slot {
        DriveSlot::Ide(n) => BootDevice::Ide {
            channel: n / 2,
            unit: n % 2,
        },
        DriveSlot::Floppy(n) => BootDevice::Floppy(n),
        DriveSlot::Virtio(n) => BootDevice::Virtio {
            slot: super::virtio::FIRST_DISK_SLOT + n,
        },
    }
}

/// Disks whose partitions tell how the BIOS counted when they were made.
pub(super) fn bios_disks(media: &Media, tracks: &DiskTracks) -> Vec<(BootDevice, Geometry)> {
    let sized = tracks.iter().filter_map(|(slot, tracks)| {
        let bytes = media.get(slot)?.info()?.bytes;
        Some((boot_device(*slot), tracks.of_bios(bytes)))
    });
    sized.collect()
}

fn kind_of(source: BootSource) -> Option<DriveKind> {
    match source {
        BootSource::Floppy => Some(DriveKind::Floppy),
        BootSource::Disk => Some(DriveKind::Disk),
        BootSource::Cdrom => Some(DriveKind::Cdrom),
        BootSource::Network => None,
    }
}

/// Indices and values of the clock's memory.
pub(super) fn cmos_bytes(spec: &MachineSpec, media: &Media, tracks: &DiskTracks) -> Vec<(u8, u8)> {
    let order: &[BootSource] = match &spec.boot {
        BootSpec::Firmware { order, .. } => order,
        BootSpec::Kernel { .. } => &[],
    };
    let mut input = CmosInput {
        cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
        order,
        ..CmosInput::default()
    };
    for drive in &spec.drives {
        let Some(slot) = DriveSlot::parse(&drive.slot) else {
            continue;
        };
        if let DriveSlot::Floppy(n) = slot {
            let kind = floppy_type(media.get(&slot).map(AsRef::as_ref));
            input.floppies[usize::from(n) % 2] = kind;
        }
        let DriveSlot::Ide(n) = slot else {
            continue;
        };
        let bytes = media.get(&slot).and_then(|m| m.info()).map(|i| i.bytes);
        if let (DriveKind::Disk, Some(bytes)) = (drive.kind, bytes) {
            let told = tracks.get(&slot).and_then(|t| t.of_drive(bytes));
            let geometry = told.unwrap_or_else(|| Geometry::usual(bytes / SECTOR_BYTES));
            input.disks[usize::from(n) % 4] = Some(geometry);
        }
    }
    cmos(&input)
}
