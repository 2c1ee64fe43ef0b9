//! The drives of a definition.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
pub use vmwb_block::ImageFormat;

use super::{MachineSpec, SpecError};

/// Most disks on virtio controllers.
pub const MAX_VIRTIO_DISKS: u8 = 8;
/// Most images of one drive: the image and its backing files.
pub const MAX_CHAIN: usize = 64;

/// What kind of drive a slot has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriveKind {
    /// A hard disk: its medium stays.
    Disk,
    /// A CD or DVD drive, which only reads.
    Cdrom,
    /// A floppy drive.
    Floppy,
}

/// Where a drive is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriveSlot {
    /// IDE position 0 (primary master) to 3 (secondary slave): `ide0` to `ide3`.
    Ide(u8),
    /// Floppy drive 0 or 1: `floppy0`, `floppy1`.
    Floppy(u8),
    /// Disk on a virtio controller of its own, 0 to [`MAX_VIRTIO_DISKS`] - 1: `virtio0` ...
    Virtio(u8),
}

impl DriveSlot {
    /// The slot of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let one = |prefix: &str, end: u8| {
            let n: u8 = name.strip_prefix(prefix)?.parse().ok()?;
            (n < end && name.len() == prefix.len() + 1).then_some(n)
        };
        one("ide", 4)
            .map(Self::Ide)
            .or_else(|| one("floppy", 2).map(Self::Floppy))
            .or_else(|| one("virtio", MAX_VIRTIO_DISKS).map(Self::Virtio))
    }
}

impl fmt::Display for DriveSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ide(n) => write!(f, "ide{n}"),
            Self::Floppy(n) => write!(f, "floppy{n}"),
            Self::Virtio(n) => write!(f, "virtio{n}"),
        }
    }
}

/// One drive. The files of its medium are the handles `drive.SLOT.0` (the image) and `drive.SLOT.1` and on (its backing
/// files, nearest first); without them the drive is empty, which only drives with removable media may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriveSpec {
    /// Name of its [`DriveSlot`].
    pub slot: String,
    /// Kind.
    pub kind: DriveKind,
    /// Formats of the image and its backing files, nearest first; one an image.
    #[serde(default)]
    pub formats: Vec<ImageFormat>,
    /// Whether the medium is write-protected. CDs always are.
    #[serde(default)]
    pub read_only: bool,
}

impl MachineSpec {
    pub(super) fn check_drives(&self) -> Result<(), SpecError> {
        let refuse = |sentence| {
            Err(SpecError::Field {
                field: "drives",
                sentence,
            })
        };
        let mut taken = BTreeSet::new();
        for drive in &self.drives {
            let shown: String = drive
                .slot
                .chars()
                .take(32)
                .flat_map(char::escape_debug)
                .collect();
            let Some(slot) = DriveSlot::parse(&drive.slot) else {
                return refuse(format!(
                    "There is no drive slot '{shown}'; there are ide0 to ide3, floppy0, floppy1 and virtio0 to virtio{}.",
                    MAX_VIRTIO_DISKS - 1
                ));
            };
            if !taken.insert(slot) {
                return refuse(format!("Two drives were asked for in the slot {slot}."));
            }
            let fits = match slot {
                DriveSlot::Ide(_) => drive.kind != DriveKind::Floppy,
                DriveSlot::Floppy(_) => drive.kind == DriveKind::Floppy,
                DriveSlot::Virtio(_) => drive.kind == DriveKind::Disk,
            };
            if !fits {
                return refuse(format!("The slot {slot} cannot hold a drive of this kind."));
            }
            if drive.kind == DriveKind::Disk && drive.formats.is_empty() {
                return refuse(format!("The disk in the slot {slot} has no image."));
            }
            if drive.formats.len() > MAX_CHAIN {
                return refuse(format!(
                    "The drive in the slot {slot} has {} images one behind the other; at most {MAX_CHAIN} are possible.",
                    drive.formats.len()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(slot: &str, kind: DriveKind) -> DriveSpec {
        DriveSpec {
            slot: slot.to_owned(),
            kind,
            formats: vec![ImageFormat::Raw],
            read_only: false,
        }
    }

    fn sentence(drives: Vec<DriveSpec>) -> Option<String> {
        let mut spec = MachineSpec::new("t", 64, "");
        spec.drives = drives;
        spec.validate().err().map(|e| e.to_string())
    }

    #[test]
    fn slots_have_names_that_parse_back() {
        let slots = (0..4)
            .map(DriveSlot::Ide)
            .chain((0..2).map(DriveSlot::Floppy))
            .chain((0..MAX_VIRTIO_DISKS).map(DriveSlot::Virtio));
        for slot in slots {
            assert_eq!(DriveSlot::parse(&slot.to_string()), Some(slot));
        }
        for name in [
            "", "ide", "ide4", "ide+1", "ide01", "floppy2", "virtio8", "sata0",
        ] {
            assert_eq!(DriveSlot::parse(name), None, "{name}");
        }
    }

    #[test]
    fn drives_that_fit_their_slots_are_accepted() {
        let drives = vec![
            drive("ide0", DriveKind::Disk),
            drive("ide2", DriveKind::Cdrom),
            drive("floppy0", DriveKind::Floppy),
            drive("virtio7", DriveKind::Disk),
        ];
        assert_eq!(sentence(drives), None);
    }

    #[test]
    fn drives_that_do_not_fit_are_refused_by_their_slot() {
        let twice = vec![
            drive("ide0", DriveKind::Disk),
            drive("ide0", DriveKind::Cdrom),
        ];
        assert!(sentence(twice).unwrap().contains("ide0"));
        let floppy = vec![drive("virtio1", DriveKind::Floppy)];
        assert!(sentence(floppy).unwrap().contains("virtio1"));
        let nowhere = vec![drive("sata0", DriveKind::Disk)];
        assert!(sentence(nowhere).unwrap().contains("sata0"));
        let mut empty = drive("ide1", DriveKind::Disk);
        empty.formats.clear();
        assert!(sentence(vec![empty]).unwrap().contains("no image"));
        let mut long = drive("ide1", DriveKind::Disk);
        long.formats = vec![ImageFormat::Qcow2; MAX_CHAIN + 1];
        assert!(sentence(vec![long]).unwrap().contains("65"));
    }
}
