//! An ATAPI CD/DVD-ROM drive: state, medium and what each command does (MMC-5 chapter 6, SFF-8020i chapter 9).
//!
//! ```text
//!            START STOP (eject), take-out by the user            a new medium, START STOP (load)
//! closed, medium ------------------------------> open or empty ------------------------------> closed, medium
//!                 TEST UNIT READY: 2/3A                          one unit attention 6/28, event "new media"
//! ```

use vmwb_hw::BlockInfo;

use super::action::{Action, Format, MAX_PARAMETERS, Protocol};
use super::answers::{self, allocate, be16, be24, be32};
use super::disk::DmaMode;
use super::identify;
use super::regs::{ABRT, PACKET_SIGNATURE, command as c, packet as p};
use super::sense::Sense;
use super::taskfile::TaskFile;

/// Bytes of a sector's user data.
pub(super) const CD_SECTOR_BYTES: u64 = 2048;
/// Bytes of a command packet.
pub(super) const PACKET_BYTES: usize = 12;
/// READ CD, byte 9: the user data of a sector.
pub(super) const USER_DATA: u8 = 0x10;
/// Sectors before logical sector 0 in minute-second-frame addresses.
pub(super) const MSF_OFFSET: u32 = 150;

/// Media events of GET EVENT STATUS NOTIFICATION (MMC-5, table 303).
pub(super) const EVENT_NONE: u8 = 0;
pub(super) const EVENT_EJECT_REQUEST: u8 = 1;
pub(super) const EVENT_NEW_MEDIA: u8 = 2;
pub(super) const EVENT_REMOVAL: u8 = 3;

/// Who a CD drive says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdIdentity {
    /// Serial number: ASCII, cut after 20 characters.
    pub serial: String,
    /// Firmware revision: ASCII, cut after 8 characters, after 4 in INQUIRY.
    pub firmware: String,
    /// Model: ASCII, cut after 40 characters.
    pub model: String,
    /// Vendor in INQUIRY: ASCII, cut after 8 characters.
    pub vendor: String,
    /// Product in INQUIRY: ASCII, cut after 16 characters.
    pub product: String,
}

/// What a saved state keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CdState {
    pub(super) sense: Sense,
    /// Unit attentions that the guest has not seen.
    pub(super) was_reset: bool,
    pub(super) was_changed: bool,
    pub(super) locked: bool,
    pub(super) tray_open: bool,
    /// The guest has opened the tray and the board has not been told.
    pub(super) ejected: bool,
    pub(super) event: u8,
    pub(super) dma_mode: DmaMode,
}

impl CdState {
    pub(super) fn power_on() -> Self {
        Self {
            sense: Sense::NONE,
            was_reset: true,
            was_changed: false,
            locked: false,
            tray_open: false,
            ejected: false,
            event: EVENT_NONE,
            dma_mode: DmaMode::Multiword(2),
        }
    }
}

#[derive(Debug)]
pub(super) struct CdRom {
    pub(super) identity: CdIdentity,
    pub(super) state: CdState,
}

/// Sectors of a medium; a last part of one counts.
pub(super) fn sectors(medium: BlockInfo) -> u32 {
    u32::try_from(medium.bytes.div_ceil(CD_SECTOR_BYTES)).unwrap_or(u32::MAX)
}

/// Bytes of a raw sector's parts: sync, header, sub-header (none in mode 1), user data, error correction.
pub(super) fn part_bytes(parts: u8) -> usize {
    let sync = if parts & 0x80 != 0 { 12 } else { 0 };
    let header = if parts & 0x20 != 0 { 4 } else { 0 };
    let user = if parts & USER_DATA != 0 { 2048 } else { 0 };
    let correction = if parts & 0x08 != 0 { 288 } else { 0 };
    sync + header + user + correction
}

impl CdRom {
    pub(super) fn new(identity: CdIdentity) -> Self {
        Self {
            identity,
            state: CdState::power_on(),
        }
    }

    /// An ATA command other than PACKET and DEVICE RESET.
    pub(super) fn execute(&mut self, code: u8, regs: &mut TaskFile) -> Action {
        match code {
            c::IDENTIFY_PACKET_DEVICE => Action::Answer(identify::cdrom(self)),
            c::IDENTIFY_DEVICE | c::READ_SECTORS => {
                // Section 8.15.5.2: the signature tells what this drive is.
                let device = regs.device;
                *regs = TaskFile::after_reset(PACKET_SIGNATURE, regs.status);
                regs.device = device;
                Action::Fail(ABRT)
            }
            c::SET_FEATURES if regs.features[0] == 3 => self.set_transfer_mode(regs.count[0]),
            c::STANDBY_IMMEDIATE | c::IDLE_IMMEDIATE | c::STANDBY | c::IDLE | c::SLEEP => {
                Action::Done
            }
            c::CHECK_POWER_MODE => {
                regs.count[0] = 0xFF;
                Action::Done
            }
            _ => Action::Fail(ABRT),
        }
    }

    fn set_transfer_mode(&mut self, mode: u8) -> Action {
        match (mode >> 3, mode & 7) {
            (0, 0 | 1) | (1, 0..=4) => {}
            (4, n @ 0..=2) => self.state.dma_mode = DmaMode::Multiword(n),
            (8, n @ 0..=5) => self.state.dma_mode = DmaMode::Ultra(n),
            _ => return Action::Fail(ABRT),
        }
        Action::Done
    }

    /// The medium, when the tray is closed.
    fn medium(&self, medium: Option<BlockInfo>) -> Option<BlockInfo> {
        medium.filter(|_| !self.state.tray_open)
    }

    /// Sectors of the medium.
    fn ready(&self, medium: Option<BlockInfo>) -> Result<u32, Sense> {
        match self.medium(medium) {
            Some(info) => Ok(sectors(info)),
            None if self.state.tray_open => Err(Sense::TRAY_OPEN),
            None => Err(Sense::NO_MEDIUM),
        }
    }

    /// The attention that waits, taken.
    fn take_attention(&mut self) -> Option<Sense> {
        if std::mem::take(&mut self.state.was_reset) {
            return Some(Sense::RESET);
        }
        std::mem::take(&mut self.state.was_changed).then_some(Sense::MEDIUM_CHANGED)
    }

    /// Carries out a command packet.
    pub(super) fn packet(&mut self, cdb: &[u8; PACKET_BYTES], medium: Option<BlockInfo>) -> Action {
        // These report the state of affairs and leave attentions alone (MMC-5, section 4.1.4).
        let quiet = matches!(
            cdb[0],
            p::REQUEST_SENSE | p::INQUIRY | p::GET_CONFIGURATION | p::GET_EVENT_STATUS
        );
        if cdb[0] != p::REQUEST_SENSE {
            self.state.sense = Sense::NONE;
        }
        if !quiet && cdb[0] != p::TEST_UNIT_READY {
            // The firmware of a PC asks every drive when it starts, so that drivers have never seen this attention at a
            // command that does something; SeaBIOS asks only the drive that it boots from.
            self.state.was_reset = false;
        }
        if !quiet && let Some(attention) = self.take_attention() {
            return Action::Check(attention);
        }
        self.dispatch(cdb, medium).unwrap_or_else(Action::Check)
    }

    fn dispatch(
        &mut self,
        cdb: &[u8; PACKET_BYTES],
        medium: Option<BlockInfo>,
    ) -> Result<Action, Sense> {
        let inside = self.medium(medium);
        Ok(match cdb[0] {
            p::TEST_UNIT_READY => {
                self.ready(medium)?;
                Action::Done
            }
            p::REQUEST_SENSE => self.request_sense(cdb),
            p::INQUIRY => answers::inquiry(self, cdb)?,
            p::MODE_SENSE_6 | p::MODE_SENSE_10 => answers::mode_sense(self, cdb, inside)?,
            p::MODE_SELECT_6 => Self::mode_select(usize::from(cdb[4]))?,
            p::MODE_SELECT_10 => Self::mode_select(usize::from(be16(cdb, 7)))?,
            p::START_STOP_UNIT => self.start_stop(cdb, medium)?,
            p::PREVENT_ALLOW => {
                self.state.locked = cdb[4] & 1 != 0;
                Action::Done
            }
            p::READ_CAPACITY => answers::capacity(self.ready(medium)?),
            p::READ_10 => self.read(medium, be32(cdb, 2), u32::from(be16(cdb, 7)), Format::Cd)?,
            p::READ_12 => self.read(medium, be32(cdb, 2), be32(cdb, 6), Format::Cd)?,
            p::READ_CD => self.read_cd(cdb, medium, be32(cdb, 2), be24(cdb, 6))?,
            p::READ_CD_MSF => self.read_cd_msf(cdb, medium)?,
            p::SEEK_10 => {
                if be32(cdb, 2) >= self.ready(medium)? {
                    return Err(Sense::OUT_OF_RANGE);
                }
                Action::Done
            }
            p::STOP_PLAY_SCAN => {
                self.ready(medium)?;
                Action::Done
            }
            p::SET_CD_SPEED => Action::Done,
            p::READ_SUB_CHANNEL => answers::sub_channel(cdb, self.ready(medium)?)?,
            p::READ_TOC => answers::toc(cdb, self.ready(medium)?)?,
            p::READ_HEADER => answers::header(cdb, self.ready(medium)?)?,
            p::READ_DISC_INFORMATION => answers::disc_information(cdb, self.ready(medium)?)?,
            p::READ_TRACK_INFORMATION => answers::track_information(cdb, self.ready(medium)?)?,
            p::GET_CONFIGURATION => answers::configuration(cdb, inside),
            p::GET_EVENT_STATUS => self.event_status(cdb, inside.is_some())?,
            p::GET_PERFORMANCE => answers::performance(cdb, self.ready(medium)?)?,
            p::READ_DISC_STRUCTURE => answers::disc_structure(cdb, self.ready(medium)?)?,
            p::MECHANISM_STATUS => answers::mechanism_status(self, cdb),
            _ => return Err(Sense::BAD_COMMAND),
        })
    }

    fn request_sense(&mut self, cdb: &[u8; PACKET_BYTES]) -> Action {
        let mut sense = std::mem::take(&mut self.state.sense);
        if sense == Sense::NONE {
            sense = self.take_attention().unwrap_or(Sense::NONE);
        }
        allocate(sense.data().to_vec(), usize::from(cdb[4]))
    }

    fn mode_select(bytes: usize) -> Result<Action, Sense> {
        match bytes {
            0 => Ok(Action::Done),
            n if n <= MAX_PARAMETERS => Ok(Action::Parameters(n)),
            _ => Err(Sense::BAD_PARAMETER),
        }
    }

    /// Takes MODE SELECT's list. Nothing in our pages can be changed; what is not one of them is refused.
    pub(super) fn take_mode_pages(&mut self, ten: bool, list: &[u8]) -> Result<(), Sense> {
        let descriptors = if ten {
            list.get(6..8).map(|b| usize::from(be16(b, 0)))
        } else {
            list.get(3).map(|&n| usize::from(n))
        };
        let header = if ten { 8 } else { 4 };
        let start = descriptors.ok_or(Sense::BAD_PARAMETER)? + header;
        let mut rest = list.get(start..).ok_or(Sense::BAD_PARAMETER)?;
        while let [page, length, tail @ ..] = rest {
            if !matches!(page & 0x3F, 0x01 | 0x0D | 0x0E | 0x2A) {
                return Err(Sense::BAD_PARAMETER);
            }
            rest = tail
                .get(usize::from(*length)..)
                .ok_or(Sense::BAD_PARAMETER)?;
        }
        Ok(())
    }

    /// MMC-5, section 6.42.
    fn start_stop(
        &mut self,
        cdb: &[u8; PACKET_BYTES],
        medium: Option<BlockInfo>,
    ) -> Result<Action, Sense> {
        let (start, load_eject, power) = (cdb[4] & 1 != 0, cdb[4] & 2 != 0, cdb[4] >> 4);
        if power == 0 && load_eject {
            if start {
                self.close_tray(medium.is_some());
            } else if self.state.locked {
                return Err(Sense::REMOVAL_PREVENTED);
            } else if !self.state.tray_open {
                self.state.tray_open = true;
                self.state.ejected = true;
                self.state.event = EVENT_REMOVAL;
            }
        }
        Ok(Action::Done)
    }

    fn close_tray(&mut self, has_medium: bool) {
        if std::mem::take(&mut self.state.tray_open) && has_medium {
            self.state.was_changed = true;
            self.state.event = EVENT_NEW_MEDIA;
        }
    }

    /// The user has put another medium in, or taken the old one out; the tray is closed again.
    pub(super) fn medium_was_changed(&mut self, has_medium: bool) {
        self.state.tray_open = false;
        self.state.ejected = false;
        self.state.was_changed = has_medium;
        self.state.event = if has_medium {
            EVENT_NEW_MEDIA
        } else {
            EVENT_REMOVAL
        };
    }

    /// The user wants the medium and the guest holds it: the guest is asked.
    pub(super) fn request_eject(&mut self) {
        self.state.event = EVENT_EJECT_REQUEST;
    }

    fn read(
        &self,
        medium: Option<BlockInfo>,
        first: u32,
        count: u32,
        format: Format,
    ) -> Result<Action, Sense> {
        let have = self.ready(medium)?;
        if count == 0 {
            return Ok(Action::Done);
        }
        if first.checked_add(count).is_none_or(|end| end > have) {
            return Err(Sense::OUT_OF_RANGE);
        }
        Ok(Action::Read {
            offset: u64::from(first) * CD_SECTOR_BYTES,
            bytes: u64::from(count) * CD_SECTOR_BYTES,
            format,
        })
    }

    /// MMC-5, section 6.20: our only track holds mode-1 sectors.
    fn read_cd(
        &self,
        cdb: &[u8; PACKET_BYTES],
        medium: Option<BlockInfo>,
        first: u32,
        count: u32,
    ) -> Result<Action, Sense> {
        if !matches!(cdb[1] >> 2 & 7, 0 | 2) {
            return Err(Sense::OTHER_TRACK);
        }
        if cdb[9] & 0x07 != 0 || cdb[10] & 7 != 0 {
            return Err(Sense::BAD_FIELD);
        }
        let parts = cdb[9] & 0xF8;
        if part_bytes(parts) == 0 {
            return self.read(medium, first, 0, Format::Cd);
        }
        let format = if parts == USER_DATA {
            Format::Cd
        } else {
            Format::CdParts(parts)
        };
        self.read(medium, first, count, format)
    }

    fn read_cd_msf(
        &self,
        cdb: &[u8; PACKET_BYTES],
        medium: Option<BlockInfo>,
    ) -> Result<Action, Sense> {
        let at = |i: usize| {
            let frames =
                (u32::from(cdb[i]) * 60 + u32::from(cdb[i + 1])) * 75 + u32::from(cdb[i + 2]);
            frames.checked_sub(MSF_OFFSET).ok_or(Sense::OUT_OF_RANGE)
        };
        let (first, end) = (at(3)?, at(6)?);
        let count = end.checked_sub(first).ok_or(Sense::BAD_FIELD)?;
        self.read_cd(cdb, medium, first, count)
    }

    /// MMC-5, section 6.7: media events alone, polled alone.
    fn event_status(
        &mut self,
        cdb: &[u8; PACKET_BYTES],
        has_medium: bool,
    ) -> Result<Action, Sense> {
        const MEDIA_CLASS: u8 = 4;
        if cdb[1] & 1 == 0 {
            return Err(Sense::BAD_FIELD);
        }
        let supported = 1 << MEDIA_CLASS;
        let data = if cdb[4] & supported == 0 {
            vec![0, 2, 0x80, supported]
        } else {
            let event = std::mem::replace(&mut self.state.event, EVENT_NONE);
            let status = u8::from(self.state.tray_open) | u8::from(has_medium) << 1;
            vec![0, 6, MEDIA_CLASS, supported, event, status, 0, 0]
        };
        Ok(allocate(data, usize::from(be16(cdb, 7))))
    }

    /// Protocol of a PACKET command.
    pub(super) fn protocol(regs: &TaskFile) -> Protocol {
        Protocol {
            dma: regs.features[0] & super::regs::PACKET_DMA != 0,
            block_bytes: regs.byte_count_limit(),
        }
    }
}
