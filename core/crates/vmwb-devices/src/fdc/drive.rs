//! One floppy drive: head, disk, change line.

use vmwb_hw::BlockBackend;

use super::format::{DriveType, FloppyFormat, SECTOR_BYTES};
use super::regs::{N_512, ST1_NO_DATA, ST1_NO_MARK, ST2_BAD, ST2_CYLINDER};

/// A drive; `head` and `changed` are saved.
#[derive(Debug)]
pub(super) struct Drive {
    pub kind: DriveType,
    pub backend: Box<dyn BlockBackend>,
    /// Cylinder at which the head stands.
    pub head: u8,
    /// The change line: a disk was put in or taken out since the last step.
    pub changed: bool,
    /// Format of the disk; `None`: no disk, or one that this drive cannot read.
    pub format: Option<FloppyFormat>,
    pub read_only: bool,
    pub present: bool,
    /// Size of the image; less than the format's when it is only the disk's beginning.
    pub bytes: u64,
}

/// Sector address of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Id {
    pub c: u8,
    pub h: u8,
    pub r: u8,
    pub n: u8,
}

/// Why a sector is not found: ST1 and ST2.
pub(super) type NotFound = (u8, u8);

impl Drive {
    pub fn new(kind: DriveType, backend: Box<dyn BlockBackend>) -> Self {
        let mut drive = Self {
            kind,
            backend,
            head: 0,
            changed: true,
            format: None,
            read_only: false,
            present: false,
            bytes: 0,
        };
        drive.look();
        drive
    }

    /// Learns what the medium is.
    pub fn look(&mut self) {
        let info = self.backend.info();
        self.present = info.is_some();
        self.bytes = info.map_or(0, |i| i.bytes);
        self.read_only = info.is_some_and(|i| i.read_only);
        self.format = info
            .and_then(|i| FloppyFormat::of_size(i.bytes).ok())
            .filter(|&f| self.kind.accepts(f));
    }

    /// Whether the image has the sector at `offset`.
    pub fn holds(&self, offset: u64) -> bool {
        offset + u64::from(SECTOR_BYTES) <= self.bytes
    }

    /// Moves the head by `steps`, inwards when positive. Steps with a disk in the drive end the change line.
    pub fn step(&mut self, steps: i16) {
        if steps == 0 || self.kind == DriveType::None {
            return;
        }
        let last = i16::from(self.kind.last_cylinder());
        let to = i16::from(self.head).saturating_add(steps).clamp(0, last);
        self.head = u8::try_from(to).unwrap_or(0);
        if self.present {
            self.changed = false;
        }
    }

    /// The disk's format, when it can be read at this data rate.
    pub fn readable(&self, rate: u8) -> Option<FloppyFormat> {
        self.format.filter(|&f| self.kind.rate(f) == Some(rate))
    }

    /// The disk's cylinder under the head.
    pub fn cylinder(&self, format: FloppyFormat) -> u8 {
        if self.kind.steps_double(format) {
            self.head / 2
        } else {
            self.head
        }
    }

    /// Byte offset of the sector that carries `id` on the track under the head.
    pub fn find(&self, rate: u8, side: u8, id: Id) -> Result<u64, NotFound> {
        let format = self.readable(rate).ok_or((ST1_NO_MARK, 0))?;
        let mut here = self.cylinder(format);
        // Firmware that does not know of double steps still finds its cylinder.
        if self.kind.steps_double(format) && id.c == self.head {
            here = id.c;
        }
        // Emulators read the cylinder that a command names, wherever the head stands; what was only run there (and SeaBIOS
        // before 2018) recalibrates and never seeks. From cylinder 0 the head goes there and comes back.
        if self.head == 0 && id.c < format.cylinders {
            here = id.c;
        }
        if format.offset(here, side, 1).is_none() {
            return Err((ST1_NO_MARK, 0));
        }
        if id.c != here {
            let bad = if id.c == u8::MAX { ST2_BAD } else { 0 };
            return Err((ST1_NO_DATA, ST2_CYLINDER | bad));
        }
        let offset = format.offset(here, side, id.r);
        offset
            .filter(|_| id.h == side && id.n == N_512)
            .ok_or((ST1_NO_DATA, 0))
    }
}
