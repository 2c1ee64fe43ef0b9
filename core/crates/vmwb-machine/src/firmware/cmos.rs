//! The bytes of CMOS memory that a BIOS and old systems read, besides the sizes of RAM (which the clock device fills in
//! itself) and the date. Source: IBM PC AT technical reference (10h, 12h, 14h, 19h, 1Ah); SeaBIOS, src/hw/rtc.h, for what
//! emulators put at 38h, 39h, 3Dh and 5Fh.

use vmwb_devices::fdc::{DriveType, cmos_drive_types, cmos_equipment};
use vmwb_devices::ide::Geometry;

use crate::spec::BootSource;

const FLOPPY_TYPES: u8 = 0x10;
const DISK_TYPES: u8 = 0x12;
const EQUIPMENT: u8 = 0x14;
const DISK_0_TYPE: u8 = 0x19;
const DISK_1_TYPE: u8 = 0x1A;
const DISK_0_GEOMETRY: u8 = 0x1B;
const DISK_1_GEOMETRY: u8 = 0x24;
const BOOT_ORDER_HIGH: u8 = 0x38;
const DISK_TRANSLATION: u8 = 0x39;
const BOOT_ORDER_LOW: u8 = 0x3D;
const CPUS_BEYOND_FIRST: u8 = 0x5F;

/// Disk type: look into the extended byte.
const DISK_TYPE_EXTENDED: u8 = 0xF;
/// Extended disk type: the geometry stands beside it.
const DISK_TYPE_USER: u8 = 47;
/// Control byte of a geometry: no retries are switched off, more than eight heads.
const CONTROL: u8 = 0xC0;
const CONTROL_MANY_HEADS: u8 = 0x08;
/// Equipment: a coprocessor, and a mouse on the keyboard controller.
const EQUIPMENT_ALWAYS: u8 = 0b0110;
/// 38h: boot sectors of floppies need no signature.
const NO_FLOPPY_SIGNATURE: u8 = 1;

/// How a BIOS shows a disk with more cylinders than its calls can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Translation {
    /// As it is.
    None = 0,
    /// By block numbers, with up to 255 heads.
    Lba = 1,
}

/// What BIOS calls can name directly stays as it is: 1,024 cylinders.
fn translation(disk: Geometry) -> Translation {
    if disk.cylinders <= 1024 {
        Translation::None
    } else {
        Translation::Lba
    }
}

/// What the bytes depend on.
#[derive(Debug, Clone, Default)]
pub struct CmosInput<'a> {
    /// Processors, at least 1.
    pub cpus: u8,
    /// Floppy drives.
    pub floppies: [DriveType; 2],
    /// Disks (no CD drives) as their IDENTIFY DEVICE shows them, at the four IDE positions: primary master, primary slave,
    /// secondary master, slave.
    pub disks: [Option<Geometry>; 4],
    /// What is looked at for an operating system, best first.
    pub order: &'a [BootSource],
}

/// Indices and values.
#[must_use]
pub fn cmos(input: &CmosInput<'_>) -> Vec<(u8, u8)> {
    let kind = |n: usize| input.disks[n].map_or(0, |_| DISK_TYPE_EXTENDED);
    let extended = |n: usize| input.disks[n].map_or(0, |_| DISK_TYPE_USER);
    let translation = (0u8..)
        .zip(input.disks)
        .filter_map(|(n, disk)| Some((translation(disk?) as u8) << (2 * n)))
        .fold(0, |all, one| all | one);
    let [low, high] = order_bytes(input.order);
    let mut bytes = vec![
        (FLOPPY_TYPES, cmos_drive_types(input.floppies)),
        (DISK_TYPES, kind(0) << 4 | kind(1)),
        (EQUIPMENT, cmos_equipment(input.floppies) | EQUIPMENT_ALWAYS),
        (DISK_0_TYPE, extended(0)),
        (DISK_1_TYPE, extended(1)),
        (BOOT_ORDER_HIGH, high | NO_FLOPPY_SIGNATURE),
        (DISK_TRANSLATION, translation),
        (BOOT_ORDER_LOW, low),
        (CPUS_BEYOND_FIRST, input.cpus.saturating_sub(1)),
    ];
    for (first, disk) in [DISK_0_GEOMETRY, DISK_1_GEOMETRY]
        .into_iter()
        .zip(input.disks)
    {
        if let Some(disk) = disk {
            bytes.extend((first..).zip(geometry_bytes(disk)));
        }
    }
    bytes
}

/// Cylinders, heads, write precompensation (none), control, landing zone, sectors.
fn geometry_bytes(disk: Geometry) -> [u8; 9] {
    let [low, high] = disk.cylinders.to_le_bytes();
    let many = if disk.heads > 8 {
        CONTROL_MANY_HEADS
    } else {
        0
    };
    let control = CONTROL | many;
    [
        low,
        high,
        disk.heads,
        0xFF,
        0xFF,
        control,
        low,
        high,
        disk.sectors,
    ]
}

/// First and second in 3Dh, third in the upper half of 38h.
fn order_bytes(order: &[BootSource]) -> [u8; 2] {
    let number = |n: usize| match order.get(n) {
        None => 0,
        Some(BootSource::Floppy) => 1,
        Some(BootSource::Disk) => 2,
        Some(BootSource::Cdrom) => 3,
        Some(BootSource::Network) => 4,
    };
    [number(0) | number(1) << 4, number(2) << 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(input: &CmosInput<'_>, index: u8) -> u8 {
        let all = cmos(input);
        let found: Vec<u8> = all
            .iter()
            .filter(|(at, _)| *at == index)
            .map(|(_, value)| *value)
            .collect();
        assert!(found.len() <= 1, "index {index:#x} is there twice");
        found.first().copied().unwrap_or(0)
    }

    #[test]
    fn floppies_show_in_types_and_equipment() {
        let one = CmosInput {
            floppies: [DriveType::D1440K, DriveType::None],
            ..CmosInput::default()
        };
        let two = CmosInput {
            floppies: [DriveType::D1200K, DriveType::D2880K],
            ..CmosInput::default()
        };
        let none = CmosInput::default();
        assert_eq!((byte(&none, 0x10), byte(&none, 0x14)), (0, 0x06));
        assert_eq!((byte(&one, 0x10), byte(&one, 0x14)), (0x40, 0x07));
        assert_eq!((byte(&two, 0x10), byte(&two, 0x14)), (0x25, 0x47));
    }

    #[test]
    fn disks_have_type_47_and_their_geometry() {
        let disk = Geometry {
            cylinders: 0x0F10,
            heads: 16,
            sectors: 63,
        };
        let input = CmosInput {
            disks: [None, Some(disk), Some(disk), None],
            ..CmosInput::default()
        };
        assert_eq!(byte(&input, 0x12), 0x0F);
        assert_eq!((byte(&input, 0x19), byte(&input, 0x1A)), (0, 47));
        let geometry: Vec<u8> = (0x24..=0x2C).map(|at| byte(&input, at)).collect();
        assert_eq!(geometry, [0x10, 0x0F, 16, 0xFF, 0xFF, 0xC8, 0x10, 0x0F, 63]);
        // Positions 1 and 2 are translated.
        assert_eq!(byte(&input, 0x39), 0b01_0100);
    }

    #[test]
    fn small_disks_are_shown_as_they_are() {
        let small = Geometry {
            cylinders: 1024,
            heads: 16,
            sectors: 63,
        };
        assert_eq!(translation(small), Translation::None);
        let input = CmosInput {
            disks: [Some(small), None, None, None],
            ..CmosInput::default()
        };
        assert_eq!(byte(&input, 0x39), 0);
    }

    #[test]
    fn order_and_processors_stand_where_seabios_reads_them() {
        let input = CmosInput {
            cpus: 4,
            order: &[BootSource::Cdrom, BootSource::Disk, BootSource::Floppy],
            ..CmosInput::default()
        };
        assert_eq!((byte(&input, 0x3D), byte(&input, 0x38)), (0x23, 0x11));
        assert_eq!(byte(&input, 0x5F), 3);
    }
}
