//! An ATA disk: what each command does (ATA/ATAPI-6, chapter 8).

use vmwb_hw::BlockInfo;

use super::action::{Action, Format, Protocol};
use super::identify;
use super::regs::{ABRT, IDNF, command as c};
use super::taskfile::{Geometry, TaskFile};

/// Bytes of a sector.
pub(super) const SECTOR_BYTES: u64 = 512;
/// Most sectors of a block of READ and WRITE MULTIPLE.
pub(super) const MAX_MULTIPLE: u8 = 16;
/// Most blocks of DATA SET MANAGEMENT.
pub(super) const MAX_TRIM_BLOCKS: u64 = 8;

/// Who a disk says it is, and its geometry where the default does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskIdentity {
    /// Serial number: ASCII, cut after 20 characters.
    pub serial: String,
    /// Firmware revision: ASCII, cut after 8 characters.
    pub firmware: String,
    /// Model: ASCII, cut after 40 characters.
    pub model: String,
    /// Geometry of the medium's partition table, for media from other machines; `None`: 16 heads of 63 sectors.
    pub geometry: Option<Geometry>,
}

/// Transfer mode chosen by SET FEATURES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DmaMode {
    None,
    Multiword(u8),
    Ultra(u8),
}

/// What the host sets and a saved state keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskState {
    /// Geometry in use, after INITIALIZE DEVICE PARAMETERS.
    pub(super) geometry: Geometry,
    /// Sectors of a block; 0: READ and WRITE MULTIPLE are off.
    pub(super) multiple: u8,
    pub(super) write_cache: bool,
    pub(super) look_ahead: bool,
    pub(super) dma_mode: DmaMode,
    pub(super) standby: bool,
}

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) identity: DiskIdentity,
    pub(super) sectors: u64,
    pub(super) state: DiskState,
}

impl Disk {
    pub(super) fn new(identity: DiskIdentity, info: Option<BlockInfo>) -> Self {
        let sectors = info.map_or(0, |i| i.bytes / SECTOR_BYTES);
        let geometry = Self::default_geometry(&identity, sectors);
        Self {
            identity,
            sectors,
            state: DiskState::power_on(geometry),
        }
    }

    fn default_geometry(identity: &DiskIdentity, sectors: u64) -> Geometry {
        let given = identity.geometry.filter(|g| {
            g.cylinders != 0 && (1..=Geometry::MAX_HEADS).contains(&g.heads) && g.sectors != 0
        });
        given.unwrap_or_else(|| Geometry::usual(sectors))
    }

    /// Geometry after power-on.
    pub(super) fn native_geometry(&self) -> Geometry {
        Self::default_geometry(&self.identity, self.sectors)
    }

    pub(super) fn power_on(&mut self) {
        self.state = DiskState::power_on(self.native_geometry());
    }

    /// Carries out what can be done at once and says what the channel has to do.
    pub(super) fn execute(&mut self, code: u8, regs: &mut TaskFile) -> (Action, Protocol) {
        let multiple = Protocol {
            dma: false,
            block_bytes: 512 * usize::from(self.state.multiple),
        };
        if !matches!(
            code,
            c::CHECK_POWER_MODE | c::OLD_CHECK_POWER_MODE | c::IDENTIFY_DEVICE | c::SET_FEATURES
        ) {
            self.state.standby = false;
        }
        match code {
            c::READ_SECTORS | c::READ_SECTORS_ONCE => (self.read(regs, false), Protocol::PIO),
            c::READ_SECTORS_EXT => (self.read(regs, true), Protocol::PIO),
            c::READ_DMA | c::READ_DMA_ONCE => (self.read(regs, false), Protocol::DMA),
            c::READ_DMA_EXT => (self.read(regs, true), Protocol::DMA),
            c::WRITE_SECTORS | c::WRITE_SECTORS_ONCE | c::WRITE_VERIFY => {
                (self.write(regs, false, false), Protocol::PIO)
            }
            c::WRITE_SECTORS_EXT => (self.write(regs, true, false), Protocol::PIO),
            c::WRITE_DMA | c::WRITE_DMA_ONCE => (self.write(regs, false, false), Protocol::DMA),
            c::WRITE_DMA_EXT => (self.write(regs, true, false), Protocol::DMA),
            c::WRITE_DMA_FUA_EXT => (self.write(regs, true, true), Protocol::DMA),
            c::READ_MULTIPLE
            | c::READ_MULTIPLE_EXT
            | c::WRITE_MULTIPLE
            | c::WRITE_MULTIPLE_EXT
            | c::WRITE_MULTIPLE_FUA_EXT
                if self.state.multiple == 0 =>
            {
                (Action::Fail(ABRT), Protocol::PIO)
            }
            c::READ_MULTIPLE => (self.read(regs, false), multiple),
            c::READ_MULTIPLE_EXT => (self.read(regs, true), multiple),
            c::WRITE_MULTIPLE => (self.write(regs, false, false), multiple),
            c::WRITE_MULTIPLE_EXT => (self.write(regs, true, false), multiple),
            c::WRITE_MULTIPLE_FUA_EXT => (self.write(regs, true, true), multiple),
            c::READ_VERIFY | c::READ_VERIFY_ONCE => (self.verify(regs, false), Protocol::PIO),
            c::READ_VERIFY_EXT => (self.verify(regs, true), Protocol::PIO),
            c::DATA_SET_MANAGEMENT => (self.data_set_management(regs), Protocol::DMA),
            c::IDENTIFY_DEVICE => (Action::Answer(identify::disk(self)), Protocol::PIO),
            _ => (self.without_data(code, regs), Protocol::PIO),
        }
    }

    fn without_data(&mut self, code: u8, regs: &mut TaskFile) -> Action {
        match code {
            c::RECALIBRATE..=c::RECALIBRATE_LAST => Action::Done,
            c::SEEK..=c::SEEK_LAST => self.seek(regs),
            c::INITIALIZE_DEVICE_PARAMETERS => self.initialize_parameters(regs),
            c::SET_MULTIPLE_MODE => self.set_multiple(regs.count[0]),
            c::SET_FEATURES => self.set_features(regs.features[0], regs.count[0]),
            c::FLUSH_CACHE | c::FLUSH_CACHE_EXT => Action::Flush,
            c::READ_NATIVE_MAX => self.native_max(regs, false),
            c::READ_NATIVE_MAX_EXT => self.native_max(regs, true),
            c::STANDBY_IMMEDIATE
            | c::STANDBY
            | c::SLEEP
            | c::OLD_STANDBY_IMMEDIATE
            | c::OLD_STANDBY
            | c::OLD_SLEEP => {
                self.state.standby = true;
                // A disk that spins down writes its cache first (section 6.11.4).
                Action::Flush
            }
            c::IDLE_IMMEDIATE | c::IDLE | c::OLD_IDLE_IMMEDIATE | c::OLD_IDLE => Action::Done,
            c::CHECK_POWER_MODE | c::OLD_CHECK_POWER_MODE => {
                regs.count[0] = if self.state.standby { 0 } else { 0xFF };
                Action::Done
            }
            // NOP always ends in an abort (section 8.24); all others are not there.
            _ => Action::Fail(ABRT),
        }
    }

    /// Offset and length in bytes of what a command addresses.
    fn range(&self, regs: &TaskFile, ext: bool) -> Option<(u64, u64)> {
        let (first, count) = if ext {
            (regs.lba48(), regs.count48())
        } else {
            (regs.lba28(self.state.geometry)?, regs.count28())
        };
        let end = first.checked_add(count)?;
        (end <= self.sectors).then_some((first * SECTOR_BYTES, count * SECTOR_BYTES))
    }

    fn read(&self, regs: &TaskFile, ext: bool) -> Action {
        self.range(regs, ext)
            .map_or(Action::Fail(IDNF), |(offset, bytes)| Action::Read {
                offset,
                bytes,
                format: Format::Disk,
            })
    }

    fn write(&self, regs: &TaskFile, ext: bool, force: bool) -> Action {
        let durable = force || !self.state.write_cache;
        self.range(regs, ext)
            .map_or(Action::Fail(IDNF), |(offset, bytes)| Action::Write {
                offset,
                bytes,
                durable,
            })
    }

    fn verify(&self, regs: &TaskFile, ext: bool) -> Action {
        self.range(regs, ext)
            .map_or(Action::Fail(IDNF), |(offset, bytes)| Action::Verify {
                offset,
                bytes,
            })
    }

    fn seek(&self, regs: &TaskFile) -> Action {
        // Drivers of CHS times seek to a cylinder without a valid sector number.
        let mut at = *regs;
        if at.device & super::regs::LBA == 0 {
            at.lba[0][0] = 1;
        }
        match at.lba28(self.state.geometry) {
            Some(sector) if sector < self.sectors => Action::Done,
            _ => Action::Fail(IDNF),
        }
    }

    /// Section 8.16: heads and sectors of the translation; the cylinders follow from the size.
    fn initialize_parameters(&mut self, regs: &TaskFile) -> Action {
        if regs.count[0] == 0 {
            return Action::Fail(ABRT);
        }
        self.state.geometry = Geometry::on_tracks(self.sectors, regs.head() + 1, regs.count[0]);
        Action::Done
    }

    fn set_multiple(&mut self, sectors: u8) -> Action {
        if sectors > MAX_MULTIPLE || (sectors != 0 && !sectors.is_power_of_two()) {
            return Action::Fail(ABRT);
        }
        self.state.multiple = sectors;
        Action::Done
    }

    fn native_max(&self, regs: &mut TaskFile, ext: bool) -> Action {
        let last = self.sectors.saturating_sub(1);
        let shown = if ext { last } else { last.min(0x0FFF_FFFF) };
        regs.show_sector(shown, ext, self.state.geometry);
        Action::Done
    }

    /// Section 8.46.
    fn set_features(&mut self, feature: u8, value: u8) -> Action {
        match feature {
            0x02 => self.state.write_cache = true,
            0x82 => {
                self.state.write_cache = false;
                // What is in the cache is written first.
                return Action::Flush;
            }
            0x03 => return self.set_transfer_mode(value),
            0x55 => self.state.look_ahead = false,
            0xAA => self.state.look_ahead = true,
            // Whether a soft reset restores the defaults: ours never does.
            0x66 | 0xCC => {}
            _ => return Action::Fail(ABRT),
        }
        Action::Done
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

    /// ACS-2, section 7.5: TRIM alone.
    fn data_set_management(&self, regs: &TaskFile) -> Action {
        let blocks = u64::from(u16::from_le_bytes(regs.count));
        if regs.features[0] & 1 == 0 || !(1..=MAX_TRIM_BLOCKS).contains(&blocks) {
            return Action::Fail(ABRT);
        }
        usize::try_from(blocks * SECTOR_BYTES).map_or(Action::Fail(ABRT), Action::Parameters)
    }

    /// Byte ranges (offset, length) of TRIM's entries; `None`: one lies outside the disk.
    pub(super) fn trim_ranges(&self, entries: &[u8]) -> Option<Vec<(u64, u64)>> {
        let mut ranges = Vec::new();
        for entry in entries.chunks_exact(8) {
            let [a, b, c, d, e, f, low, high] = *entry.first_chunk::<8>()?;
            let first = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
            let count = u64::from(u16::from_le_bytes([low, high]));
            if first + count > self.sectors {
                return None;
            }
            if count > 0 {
                ranges.push((first * SECTOR_BYTES, count * SECTOR_BYTES));
            }
        }
        Some(ranges)
    }
}

impl DiskState {
    pub(super) fn power_on(geometry: Geometry) -> Self {
        Self {
            geometry,
            multiple: MAX_MULTIPLE,
            write_cache: true,
            look_ahead: true,
            dma_mode: DmaMode::Multiword(2),
            standby: false,
        }
    }
}
