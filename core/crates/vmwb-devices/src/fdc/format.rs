//! Floppy formats and drives: which image is which disk, and which drive reads it.

use thiserror::Error;

use super::regs::{RATE_1M, RATE_250K, RATE_300K, RATE_500K};

/// Bytes of a sector: every PC format has the same.
pub const SECTOR_BYTES: u32 = 512;

/// Why an image is no floppy disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "A floppy image of {bytes} bytes fits no PC format: it has 160, 180, 320, 360, 720, 800, 1200, 1440 or 2880 KiB, \
     20 to 24 sectors on each track of a 1440 KiB disk (1600 to 1920 KiB), two or three more cylinders than 80, \
     or it is the beginning of a 1440 KiB disk in whole sectors of 512 bytes. Choose another image."
)]
pub struct NotAFloppy {
    /// Size of the image.
    pub bytes: u64,
}

/// How dense a disk is recorded, and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    /// 5.25", double density.
    Mini,
    /// 5.25", high density.
    MiniHigh,
    /// 3.5", double density.
    Micro,
    /// 3.5", high density.
    MicroHigh,
    /// 3.5", extra high density.
    MicroExtra,
}

/// Geometry of a disk, known from the size of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloppyFormat {
    media: Media,
    /// Cylinders, 40 or 80; up to 83 on disks that were made to hold more.
    pub cylinders: u8,
    /// Sides, 1 or 2.
    pub heads: u8,
    /// Sectors of a track, 8 to 36.
    pub sectors: u8,
}

/// The formats that IBM's machines had, and those that Linux (fd(4)), FDFORMAT and distributors' boot disks put more on
/// the same disks with.
const FORMATS: [FloppyFormat; 21] = [
    format(Media::Mini, 40, 1, 8),
    format(Media::Mini, 40, 1, 9),
    format(Media::Mini, 40, 2, 8),
    format(Media::Mini, 40, 2, 9),
    format(Media::Micro, 80, 2, 9),
    format(Media::MiniHigh, 80, 2, 15),
    format(Media::MicroHigh, 80, 2, 18),
    format(Media::MicroExtra, 80, 2, 36),
    format(Media::Micro, 80, 2, 10),
    format(Media::MicroHigh, 82, 2, 18),
    format(Media::MicroHigh, 83, 2, 18),
    format(Media::MicroHigh, 80, 2, 20),
    format(Media::MicroHigh, 82, 2, 20),
    format(Media::MicroHigh, 83, 2, 20),
    format(Media::MicroHigh, 80, 2, 21),
    format(Media::MicroHigh, 82, 2, 21),
    format(Media::MicroHigh, 83, 2, 21),
    format(Media::MicroHigh, 80, 2, 22),
    format(Media::MicroHigh, 82, 2, 22),
    format(Media::MicroHigh, 80, 2, 23),
    format(Media::MicroHigh, 80, 2, 24),
];

/// The disk that everybody has: 1.44M.
const COMMON: FloppyFormat = FORMATS[6];

const fn format(media: Media, cylinders: u8, heads: u8, sectors: u8) -> FloppyFormat {
    FloppyFormat {
        media,
        cylinders,
        heads,
        sectors,
    }
}

impl FloppyFormat {
    /// The format whose image has so many bytes. Other images of whole sectors that fit a 1.44M disk are its beginning:
    /// boot floppies are handed out without what lies behind their last used sector.
    ///
    /// # Errors
    /// When no PC format has this size.
    pub fn of_size(bytes: u64) -> Result<Self, NotAFloppy> {
        let exact = FORMATS.iter().find(|f| f.bytes() == bytes);
        let beginning =
            bytes != 0 && bytes.is_multiple_of(u64::from(SECTOR_BYTES)) && bytes < COMMON.bytes();
        let found = exact.or(beginning.then_some(&COMMON));
        found.copied().ok_or(NotAFloppy { bytes })
    }

    /// Size of its image in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(SECTOR_BYTES)
            * u64::from(self.cylinders)
            * u64::from(self.heads)
            * u64::from(self.sectors)
    }

    /// Byte offset of a sector in the image; `None` when the disk has no such sector. Sectors count from 1.
    pub(super) fn offset(&self, cylinder: u8, head: u8, sector: u8) -> Option<u64> {
        let exists =
            cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        exists.then(|| {
            (track * u64::from(self.sectors) + u64::from(sector - 1)) * u64::from(SECTOR_BYTES)
        })
    }
}

/// A kind of floppy drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriveType {
    /// No drive.
    #[default]
    None,
    /// 5.25", 360K.
    D360K,
    /// 5.25", 1.2M.
    D1200K,
    /// 3.5", 720K.
    D720K,
    /// 3.5", 1.44M.
    D1440K,
    /// 3.5", 2.88M.
    D2880K,
}

impl DriveType {
    /// The smallest common drive for a disk: 360K and 1.2M, else 1.44M and 2.88M.
    #[must_use]
    pub fn for_format(format: FloppyFormat) -> Self {
        match format.media {
            Media::Mini => Self::D360K,
            Media::MiniHigh => Self::D1200K,
            Media::Micro | Media::MicroHigh => Self::D1440K,
            Media::MicroExtra => Self::D2880K,
        }
    }

    /// Whether the drive can read and write such a disk.
    #[must_use]
    pub fn accepts(self, format: FloppyFormat) -> bool {
        self.rate(format).is_some()
    }

    /// Its number in CMOS memory (byte 10h, one digit a drive).
    #[must_use]
    pub fn cmos(self) -> u8 {
        match self {
            Self::None => 0,
            Self::D360K => 1,
            Self::D1200K => 2,
            Self::D720K => 3,
            Self::D1440K => 4,
            Self::D2880K => 5,
        }
    }

    /// Data rate at which the drive reads such a disk, as the guest selects it; `None`: it cannot. A 1.2M drive turns
    /// faster than the one that wrote a double density disk.
    pub(super) fn rate(self, format: FloppyFormat) -> Option<u8> {
        match (self, format.media) {
            (Self::D1200K, Media::Mini) => Some(RATE_300K),
            (Self::D360K, Media::Mini)
            | (Self::D720K | Self::D1440K | Self::D2880K, Media::Micro) => Some(RATE_250K),
            (Self::D1200K, Media::MiniHigh) | (Self::D1440K | Self::D2880K, Media::MicroHigh) => {
                Some(RATE_500K)
            }
            (Self::D2880K, Media::MicroExtra) => Some(RATE_1M),
            _ => None,
        }
    }

    /// Data rate of its usual disks. The chip's own after a reset is 250 kbit/s, but a PC's BIOS has looked at drive A before
    /// any system runs: drivers that never choose a rate, and the BIOS of Bochs, read high density there.
    pub(super) fn usual_rate(self) -> u8 {
        match self {
            Self::None | Self::D360K | Self::D720K => RATE_250K,
            Self::D1200K | Self::D1440K | Self::D2880K => RATE_500K,
        }
    }

    /// Last cylinder that the head can reach; some beyond the format.
    pub(super) fn last_cylinder(self) -> u8 {
        match self {
            Self::None => 0,
            Self::D360K => 41,
            _ => 83,
        }
    }

    /// Whether a 40-cylinder disk lies on every other step.
    pub(super) fn steps_double(self, format: FloppyFormat) -> bool {
        self == Self::D1200K && format.cylinders == 40
    }
}

/// CMOS byte 10h of a machine with these drives: the first drive's number is the high digit.
#[must_use]
pub fn cmos_drive_types(drives: [DriveType; 2]) -> u8 {
    drives[0].cmos() << 4 | drives[1].cmos()
}

/// The floppy bits of the equipment byte (CMOS byte 14h): bit 0 any drive, bits 7-6 their number less 1.
#[must_use]
pub fn cmos_equipment(drives: [DriveType; 2]) -> u8 {
    match drives.iter().filter(|&&d| d != DriveType::None).count() {
        0 => 0,
        1 => 0x01,
        _ => 0x41,
    }
}
