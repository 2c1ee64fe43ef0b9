//! One place on a channel's cable: nothing, a disk or a CD drive, with its registers and its medium.

use vmwb_hw::{BlockBackend, NoMedium, ResetKind};

use super::cdrom::{CdIdentity, CdRom, CdState};
use super::disk::{Disk, DiskIdentity};
use super::regs::{DRDY, DSC, PACKET_SIGNATURE};
use super::taskfile::TaskFile;

/// A drive as the board plugs it in.
#[derive(Debug)]
pub enum Drive {
    /// A fixed disk. Its size is the medium's when the controller is built.
    Disk(DiskIdentity, Box<dyn BlockBackend>),
    /// A CD/DVD-ROM drive, empty with [`NoMedium`].
    CdRom(CdIdentity, Box<dyn BlockBackend>),
}

#[derive(Debug)]
pub(super) enum Kind {
    Absent,
    Disk(Box<Disk>),
    CdRom(Box<CdRom>),
}

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) regs: TaskFile,
    /// The drive asks for an interrupt.
    pub(super) interrupt: bool,
    pub(super) kind: Kind,
    pub(super) backend: Box<dyn BlockBackend>,
}

impl Unit {
    pub(super) fn new(drive: Option<Drive>) -> Self {
        let (kind, backend): (Kind, Box<dyn BlockBackend>) = match drive {
            None => (Kind::Absent, Box::new(NoMedium::default())),
            Some(Drive::Disk(identity, backend)) => {
                let disk = Disk::new(identity, backend.info());
                (Kind::Disk(Box::new(disk)), backend)
            }
            Some(Drive::CdRom(identity, backend)) => {
                (Kind::CdRom(Box::new(CdRom::new(identity))), backend)
            }
        };
        let mut unit = Self {
            regs: TaskFile::default(),
            interrupt: false,
            kind,
            backend,
        };
        unit.show_signature();
        unit
    }

    pub(super) fn present(&self) -> bool {
        !matches!(self.kind, Kind::Absent)
    }

    pub(super) fn is_packet(&self) -> bool {
        matches!(self.kind, Kind::CdRom(_))
    }

    /// Takes the medium out, whatever the drive does. Requests under way are carried out first: who gets the medium next
    /// counts its tags anew and must not find old answers.
    pub(super) fn take_medium(&mut self) -> Box<dyn BlockBackend> {
        while self.backend.wait_reply().is_some() {}
        std::mem::replace(&mut self.backend, Box::new(NoMedium::default()))
    }

    pub(super) fn as_disk(&self) -> Option<&Disk> {
        match &self.kind {
            Kind::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    pub(super) fn as_cdrom(&mut self) -> Option<&mut CdRom> {
        match &mut self.kind {
            Kind::CdRom(cd) => Some(cd),
            _ => None,
        }
    }

    /// Status when nothing is wrong and nothing under way.
    pub(super) fn idle_status(&self) -> u8 {
        match self.kind {
            Kind::Absent => 0,
            // For a CD drive bit 4 is seek complete in SFF-8020i, and without overlap nothing in ATA/ATAPI-6.
            Kind::Disk(_) | Kind::CdRom(_) => DRDY | DSC,
        }
    }

    /// Registers after a reset or a diagnostic. A packet drive is not ready until its first command (section 9.12); an
    /// absent one has a signature that is nobody's.
    pub(super) fn show_signature(&mut self) {
        self.regs = match self.kind {
            Kind::Absent => TaskFile::after_reset((0xFF, 0xFF), 0),
            Kind::Disk(_) => TaskFile::after_reset((0, 0), DRDY | DSC),
            Kind::CdRom(_) => TaskFile::after_reset(PACKET_SIGNATURE, 0),
        };
        self.interrupt = false;
    }

    /// Power-on or reset line. The medium stays, and on a reset a tray stays open: a guest that ejects its installation
    /// medium and restarts is not to boot from it again.
    pub(super) fn reset(&mut self, kind: ResetKind) {
        match &mut self.kind {
            Kind::Absent => {}
            Kind::Disk(disk) => disk.power_on(),
            Kind::CdRom(cd) => {
                let before = std::mem::replace(&mut cd.state, CdState::power_on());
                if kind != ResetKind::PowerOn {
                    cd.state.tray_open = before.tray_open;
                    cd.state.ejected = before.ejected;
                }
            }
        }
        self.show_signature();
    }
}
