//! What a PC BIOS is told: the contents of the firmware configuration device, and the bytes in the clock's memory.
//!
//! * [`contents`] the items: memory map, tables, boot order, boot menu. Names and formats are those that SeaBIOS reads
//!   (its src/fw/paravirt.c, src/boot.c, src/fw/biostables.c).
//! * [`cmos`] drives, equipment and boot order as a BIOS finds them in CMOS memory.
//! * [`rom`] whether a file can be a BIOS.
//! * [`smbios`] the tables of the System Management BIOS, for direct boots too.

mod cmos;
pub mod rom;
pub mod smbios;

pub use cmos::{CmosInput, cmos};

use vmwb_devices::fwcfg::Item;
use vmwb_devices::ide::Geometry;

use crate::acpi::{self, AcpiInput};
use smbios::SmbiosInput;

// Keys that are no files.
const KEY_UUID: u16 = 0x02;
const KEY_CPUS: u16 = 0x05;
const KEY_BOOT_MENU: u16 = 0x0E;
const KEY_MAX_CPUS: u16 = 0x0F;
const KEY_IRQ0_OVERRIDE: u16 = 0x8002;

/// `E820` type of RAM.
const E820_RAM: u32 = 1;
const FOUR_GIB: u64 = 4 << 30;
/// "Wait for ever" instead of a reboot when nothing boots: the screen keeps the reason.
const FAIL_WAIT: u32 = u32::MAX;
/// The VGA BIOS starts anew when a system wakes: many have no other driver for the adapter.
const S3_VGA_INIT: u8 = 1;
/// Scan code of the key that opens the boot menu: Escape, whatever the firmware's own choice.
const MENU_KEY: u8 = 0x01;
const MENU_MESSAGE: &str = "\nPress ESC for boot menu.\n\n";

/// One thing to boot from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootDevice {
    /// Floppy drive 0 or 1.
    Floppy(u8),
    /// Disk or CD drive of the PIIX IDE controller (1:1).
    Ide {
        /// 0: primary, 1: secondary.
        channel: u8,
        /// 0: master, 1: slave.
        unit: u8,
    },
    /// Disk of a virtio controller.
    Virtio {
        /// PCI slot.
        slot: u8,
    },
    /// Network card.
    Network {
        /// PCI slot.
        slot: u8,
    },
    /// Option ROM of the file `genroms/NAME`.
    Rom(String),
}

impl BootDevice {
    /// The device's path, in the form of Open Firmware, that SeaBIOS compares with its own (src/boot.c).
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Floppy(n) => format!("/pci@i0cf8/isa@1/fdc@03f0/floppy@{n:x}"),
            Self::Ide { channel, unit } => {
                format!("/pci@i0cf8/ide@1,1/drive@{channel:x}/disk@{unit:x}")
            }
            Self::Virtio { slot } => format!("/pci@i0cf8/scsi@{slot:x}/disk@0,0"),
            Self::Network { slot } => format!("/pci@i0cf8/ethernet@{slot:x}/ethernet-phy@0"),
            Self::Rom(name) => format!("/rom@genroms/{name}"),
        }
    }
}

/// What the firmware is told.
#[derive(Debug, Clone)]
pub struct FirmwareInput<'a> {
    /// Tables; memory below 4 GiB and processors are taken from here too.
    pub acpi: AcpiInput,
    /// RAM from 4 GiB on, in bytes.
    pub ram_above_4g: u64,
    /// Identity of the machine, in the order of its digits; zeros: none.
    pub uuid: [u8; 16],
    /// Name of the processor's model, and its clock in Hz.
    pub cpu: (&'a str, u64),
    /// What to boot from, best first; what is not named comes behind, in the order of [`cmos`].
    pub boot_order: &'a [BootDevice],
    /// Disks that are not counted as the firmware would by itself: cylinders (at most 1,024), heads and sectors for its
    /// calls.
    pub disks: &'a [(BootDevice, Geometry)],
    /// How long the boot menu waits for its key, in milliseconds; `None`: there is no menu.
    pub menu_wait_ms: Option<u16>,
}

/// All items for the firmware configuration device.
#[must_use]
pub fn contents(input: &FirmwareInput<'_>) -> Vec<Item> {
    let cpus = u16::from(input.acpi.cpus).to_le_bytes().to_vec();
    let menu = u16::from(input.menu_wait_ms.is_some());
    let mut items = vec![
        Item::key(KEY_UUID, input.uuid.to_vec()),
        Item::key(KEY_CPUS, cpus.clone()),
        Item::key(KEY_BOOT_MENU, menu.to_le_bytes().to_vec()),
        Item::key(KEY_MAX_CPUS, cpus),
        Item::key(KEY_IRQ0_OVERRIDE, vec![1]),
        Item::file("etc/e820", e820(input.acpi.low_end, input.ram_above_4g)),
        Item::file("etc/boot-fail-wait", FAIL_WAIT.to_le_bytes().to_vec()),
        Item::file("etc/s3-resume-vga-init", vec![S3_VGA_INIT]),
    ];
    if let Some(wait) = input.menu_wait_ms {
        items.push(Item::file(
            "etc/boot-menu-wait",
            wait.to_le_bytes().to_vec(),
        ));
        items.push(Item::file("etc/boot-menu-key", vec![MENU_KEY]));
        items.push(Item::file(
            "etc/boot-menu-message",
            MENU_MESSAGE.as_bytes().to_vec(),
        ));
    }
    if !input.boot_order.is_empty() {
        items.push(Item::file("bootorder", boot_order(input.boot_order)));
    }
    if !input.disks.is_empty() {
        items.push(Item::file("bios-geometry", bios_geometry(input.disks)));
    }
    let tables = acpi::build(&input.acpi);
    for blob in tables.blobs() {
        items.push(Item::file(blob.name, blob.bytes.clone()));
    }
    items.push(Item::file("etc/table-loader", tables.script()));
    let smbios = smbios::build(&smbios_input(input));
    items.push(Item::file("etc/smbios/smbios-anchor", smbios.anchor(0)));
    items.push(Item::file("etc/smbios/smbios-tables", smbios.tables));
    items
}

fn smbios_input<'a>(input: &FirmwareInput<'a>) -> SmbiosInput<'a> {
    SmbiosInput {
        uuid: input.uuid,
        cpus: input.acpi.cpus,
        cpu: input.cpu,
        ram: (input.acpi.low_end, input.ram_above_4g),
    }
}

/// RAM, as entries of start, length and type. What is reserved the firmware knows itself.
fn e820(low_end: u64, above_4g: u64) -> Vec<u8> {
    let mut map = Vec::new();
    for (start, len_bytes) in [(0, low_end), (FOUR_GIB, above_4g)] {
        if len_bytes > 0 {
            map.extend_from_slice(&start.to_le_bytes());
            map.extend_from_slice(&len_bytes.to_le_bytes());
            map.extend_from_slice(&E820_RAM.to_le_bytes());
        }
    }
    map
}

/// Paths, one a line, closed by a NUL.
fn boot_order(devices: &[BootDevice]) -> Vec<u8> {
    let paths: Vec<String> = devices.iter().map(BootDevice::path).collect();
    let mut text = paths.join("\n").into_bytes();
    text.push(0);
    text
}

/// Paths with cylinders, heads and sectors, one a line, closed by a NUL.
fn bios_geometry(disks: &[(BootDevice, Geometry)]) -> Vec<u8> {
    let line = |(device, g): &(BootDevice, Geometry)| {
        let (path, cylinders, heads, sectors) = (device.path(), g.cylinders, g.heads, g.sectors);
        format!("{path} {cylinders} {heads} {sectors}\n")
    };
    let mut text: Vec<u8> = disks.iter().flat_map(|d| line(d).into_bytes()).collect();
    text.push(0);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vmwb_devices::fwcfg::{Content, FwCfg, Place};

    use super::*;
    use crate::acpi::{MP_FILE, RSDP_FILE, TABLES_FILE, run_script, sum};

    fn input(boot_order: &[BootDevice]) -> FirmwareInput<'_> {
        FirmwareInput {
            acpi: crate::acpi::tests::input(),
            ram_above_4g: 1 << 30,
            uuid: [7; 16],
            cpu: ("max", 1_000_000_000),
            boot_order,
            disks: &[],
            menu_wait_ms: Some(2_000),
        }
    }

    fn files(input: &FirmwareInput<'_>) -> BTreeMap<String, Vec<u8>> {
        contents(input)
            .into_iter()
            .filter_map(|item| match (item.place, item.content) {
                (Place::Name(name), Content::Bytes(bytes)) => Some((name, bytes)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn contents_are_accepted_by_the_device() {
        assert!(FwCfg::new(contents(&input(&[BootDevice::Floppy(0)]))).is_ok());
    }

    #[test]
    fn disks_that_are_counted_otherwise_are_told_by_their_paths() {
        let disk = BootDevice::Ide {
            channel: 0,
            unit: 1,
        };
        let geometry = Geometry {
            cylinders: 615,
            heads: 4,
            sectors: 17,
        };
        let plain = input(&[]);
        let told = FirmwareInput {
            disks: &[(disk, geometry)],
            ..input(&[])
        };
        assert!(!files(&plain).contains_key("bios-geometry"));
        let text = files(&told)["bios-geometry"].clone();
        let want = "/pci@i0cf8/ide@1,1/drive@0/disk@1 615 4 17\n\0";
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }

    #[test]
    fn boot_order_lists_the_paths_that_seabios_compares() {
        let order = [
            BootDevice::Ide {
                channel: 1,
                unit: 0,
            },
            BootDevice::Virtio { slot: 10 },
            BootDevice::Floppy(0),
            BootDevice::Network { slot: 3 },
            BootDevice::Rom("kernel.rom".to_owned()),
        ];
        let text = files(&input(&order))["bootorder"].clone();
        let want = "/pci@i0cf8/ide@1,1/drive@1/disk@0\n/pci@i0cf8/scsi@a/disk@0,0\n\
                    /pci@i0cf8/isa@1/fdc@03f0/floppy@0\n/pci@i0cf8/ethernet@3/ethernet-phy@0\n\
                    /rom@genroms/kernel.rom\0";
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }

    #[test]
    fn e820_has_both_ranges_of_ram() {
        let map = files(&input(&[]))["etc/e820"].clone();
        let numbers: Vec<(u64, u64, u32)> = map
            .chunks_exact(20)
            .map(|e| {
                (
                    u64::from_le_bytes(e[..8].try_into().unwrap()),
                    u64::from_le_bytes(e[8..16].try_into().unwrap()),
                    u32::from_le_bytes(e[16..].try_into().unwrap()),
                )
            })
            .collect();
        assert_eq!(numbers, [(0, 64 << 20, 1), (4 << 30, 1 << 30, 1)]);
    }

    #[test]
    fn menu_that_is_off_has_no_files() {
        let off = FirmwareInput {
            menu_wait_ms: None,
            ..input(&[])
        };
        let key = contents(&off)
            .into_iter()
            .find(|item| item.place == Place::Key(KEY_BOOT_MENU))
            .unwrap();
        assert!(matches!(key.content, Content::Bytes(b) if b == [0, 0]));
        assert!(!files(&off).contains_key("etc/boot-menu-wait"));
        assert!(!files(&off).contains_key("bootorder"));
        assert_eq!(files(&input(&[]))["etc/boot-menu-wait"], [0xD0, 7]);
    }

    #[test]
    fn tables_linked_by_their_script_are_sound() {
        let files = files(&input(&[]));
        let places = |name: &String| match name.as_str() {
            RSDP_FILE => 0xF_6000,
            MP_FILE => 0xF_5000,
            TABLES_FILE => 0x3FF_0000,
            _ => 0x3FF_F000,
        };
        let mut loaded: BTreeMap<_, _> = files
            .iter()
            .map(|(name, bytes)| (name.clone(), (places(name), bytes.clone())))
            .collect();
        run_script(&files["etc/table-loader"], &mut loaded);
        let rsdp = &loaded[RSDP_FILE].1;
        assert_eq!((sum(&rsdp[..20]), sum(rsdp)), (0, 0));
        let rsdt = u32::from_le_bytes(rsdp[16..20].try_into().unwrap()) - 0x3FF_0000;
        let rsdt = usize::try_from(rsdt).unwrap();
        assert_eq!(&loaded[TABLES_FILE].1[rsdt..rsdt + 4], b"RSDT");
    }
}
