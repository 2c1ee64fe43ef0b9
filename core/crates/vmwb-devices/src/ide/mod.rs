//! The IDE function of the PIIX3 (8086:7010, PCI 00:01.1) with its two channels of two drives.
//!
//! Sources: Intel PIIX3 datasheet 290550, section 2.7; ATA/ATAPI-6 (T13 1410D); MMC-5, SFF-8020i; Programming Interface
//! for Bus Master IDE Controller 1.0. `channel.rs` is what the host sees of a channel, `transfer.rs` how data move,
//! `disk.rs` and `cdrom.rs` what the drives' commands do, `busmaster.rs` the DMA.
//!
//! | Offset | Ports | Registers |
//! |---|---|---|
//! | 00h-07h | 1F0h-1F7h | primary command block |
//! | 08h | 3F6h | primary Device Control, Alternate Status |
//! | 10h-17h | 170h-177h | secondary command block |
//! | 18h | 376h | secondary Device Control, Alternate Status |
//! | base address 4 | 16 ports | bus master: 0-7 primary, 8-15 secondary |
//!
//! | Left out | Why |
//! |---|---|
//! | Native mode, timings' effect | the chip has only compatibility mode; data move as fast as they come |
//! | Overlapped and queued commands, SMART, security, HPA, CFA, streaming | optional feature sets, not announced |
//! | Audio, writing, changers, CSS | a CD/DVD-ROM drive with one data track |
//! | Error correction bytes of raw sectors | zero; no drive's user reads them |
//!
//! | Threat | Answer |
//! |---|---|
//! | Register writes in any order, at any time | one command at a time; a busy drive's registers are not written |
//! | DMA tables outside RAM, endless, over themselves | each entry moves at least 2 bytes, a piece is at most 1 MiB; what is not RAM stops the bus master with its error bit and the command with ABRT |
//! | Resets while the medium works | answers to abandoned requests are known by their tags; at most 8 of them are under way, further requests wait |
//! | Huge transfers | one piece in the buffer: 64 KiB through ports, 1 MiB by DMA |
//! | Restored buffers, positions, registers of any content | lengths and positions checked against the command |

mod action;
mod answers;
mod busmaster;
mod cdrom;
mod channel;
mod disk;
mod identify;
mod regs;
mod sense;
mod snapshot;
mod taskfile;
mod transfer;
mod unit;

#[cfg(test)]
mod tests;

use vmwb_hw::{
    AccessSize, BlockBackend, BlockClient, Ctx, Device, IrqLine, Nanos, Payload, PioDevice,
    ResetKind, SnapshotError,
};

use crate::bits::not_decoded;
use crate::pci::{BarKind, ConfigSpace, PciDevice, PciFunction};
use channel::Channel;
use regs::{BUS_MASTER_BAR, CONTROL, DATA, IDETIM, IDETIM_DECODE, SIDETIM, STATUS_COMMAND};
use unit::Kind;

pub use cdrom::CdIdentity;
pub use disk::DiskIdentity;
pub use snapshot::{CdV1, ChannelV1, DiskV1, DriveV1, IdeV1, JobV1, UnitV1};
pub use taskfile::Geometry;
pub use unit::Drive;

/// How often a status read looks whether a busy drive's medium has answered, and how long it waits between two looks, in
/// pauses of the host's processor (about 40 nanoseconds). An access takes about a microsecond on the ISA bus, and drivers
/// count their time-outs in accesses: 1,000 of them must outlast a read from the host's cache.
const LOOKS: usize = 4;
const PAUSES: usize = 8;

/// Places for drives: 0 primary master, 1 primary slave, 2 secondary master, 3 secondary slave.
pub const UNITS: usize = 4;

const IDENTITY: u32 = 0x7010_8086;
/// Mass storage, IDE, bus master in compatibility mode.
const CLASS: u32 = 0x0101_8000;
const SUBSYSTEM: u32 = 0x1100_1AF4;
const COMMAND_STATUS: u8 = 0x04;
const COMMAND_IO: u32 = 1 << 0;
const COMMAND_MASTER: u32 = 1 << 2;

/// Why a medium was not changed; the one that was offered comes back.
#[derive(Debug, thiserror::Error)]
pub enum ChangeRefused {
    /// There is no such drive, or its medium is fixed.
    #[error("drive {0} has no removable medium")]
    NotRemovable(usize, Box<dyn BlockBackend>),
    /// The guest holds the medium; it has been asked to let it go.
    #[error("the guest has locked the tray of drive {0}")]
    Locked(usize, Box<dyn BlockBackend>),
}

/// The controller. See the module for offsets.
#[derive(Debug)]
pub struct Ide {
    name: String,
    config: ConfigSpace,
    channels: [Channel; 2],
}

impl Ide {
    /// The function as after power-on, with nothing decoded. `irqs` are the lines of the primary (14) and the secondary
    /// channel (15); `drives` in the order of [`UNITS`].
    #[must_use]
    pub fn new(name: &str, irqs: [IrqLine; 2], drives: [Option<Drive>; UNITS]) -> Self {
        let mut config = ConfigSpace::new(IDENTITY, CLASS, SUBSYSTEM);
        config.fix(COMMAND_STATUS, 0x0280_0000);
        config.allow(IDETIM, u32::MAX);
        config.allow(SIDETIM, 0xFF);
        config
            .add_bar(BUS_MASTER_BAR, BarKind::Io, 16)
            .expect("16 ports at base address 4 exist");
        let [a, b, c, d] = drives;
        Self {
            name: name.to_owned(),
            config,
            channels: [Channel::new(irqs[0], [a, b]), Channel::new(irqs[1], [c, d])],
        }
    }

    /// Leaves the function as firmware does: both channels decoded, the bus master's registers at port `base` (a
    /// multiple of 16) and enabled. For kernels that are booted without firmware, after each reset.
    pub fn set_up(&mut self, ctx: &mut Ctx<'_>, base: u16) {
        let bar =
            0x10 + 4 * u8::try_from(BUS_MASTER_BAR).expect("a base address has a small index");
        self.config_write(ctx, bar, u32::from(base), u32::MAX);
        self.config_write(ctx, IDETIM, 0x8000_8000, u32::MAX);
        self.config_write(ctx, COMMAND_STATUS, COMMAND_IO | COMMAND_MASTER, 0xFFFF);
    }

    /// Whether channel 0 (primary) or 1 answers at its ports.
    #[must_use]
    pub fn decodes(&self, channel: usize) -> bool {
        let timing = self.config.config_read(IDETIM) >> (16 * (channel & 1));
        let io = self.config.config_read(COMMAND_STATUS) & COMMAND_IO != 0;
        io && timing & u32::from(IDETIM_DECODE) != 0
    }

    fn place(unit: usize) -> Option<(usize, usize)> {
        (unit < UNITS).then_some((unit / 2, unit % 2))
    }

    /// Puts another medium into a CD drive ([`vmwb_hw::NoMedium`]: takes it out) and gives the old one back. A command
    /// that was using it fails.
    ///
    /// # Errors
    /// [`ChangeRefused::Locked`] while the guest prevents removal, unless `force` is set; the guest then gets an eject
    /// request. [`ChangeRefused::NotRemovable`] for all but CD drives.
    pub fn change_medium(
        &mut self,
        ctx: &mut Ctx<'_>,
        unit: usize,
        medium: Box<dyn BlockBackend>,
        force: bool,
    ) -> Result<Box<dyn BlockBackend>, ChangeRefused> {
        let Some((channel, at)) = Self::place(unit) else {
            return Err(ChangeRefused::NotRemovable(unit, medium));
        };
        let channel = &mut self.channels[channel];
        let place = &mut channel.units[at];
        let holds = place.backend.info().is_some();
        let Kind::CdRom(cd) = &mut place.kind else {
            return Err(ChangeRefused::NotRemovable(unit, medium));
        };
        if cd.state.locked && !cd.state.tray_open && holds && !force {
            cd.request_eject();
            return Err(ChangeRefused::Locked(unit, medium));
        }
        cd.medium_was_changed(medium.info().is_some());
        let old = place.take_medium();
        place.backend = medium;
        channel.medium_is_gone(ctx, at);
        Ok(old)
    }

    /// The next drive whose tray the guest has opened since the last call. The medium lies on the tray until the board
    /// takes it with [`Ide::change_medium`], or the guest closes the tray.
    pub fn take_ejected(&mut self) -> Option<usize> {
        (0..UNITS).find(|&unit| {
            let place = &mut self.channels[unit / 2].units[unit % 2];
            place
                .as_cdrom()
                .is_some_and(|cd| std::mem::take(&mut cd.state.ejected))
        })
    }

    /// Gives every drive's medium back, with its place, and leaves none behind. For the end of the machine: the guest is
    /// not told.
    pub fn take_media(&mut self) -> Vec<(usize, Box<dyn BlockBackend>)> {
        let units = self.channels.iter_mut().flat_map(|c| &mut c.units);
        let drives = (0..).zip(units).filter(|(_, unit)| unit.present());
        drives
            .map(|(place, unit)| (place, unit.take_medium()))
            .collect()
    }

    /// Whether the tray of a CD drive is open; `None` for all else.
    #[must_use]
    pub fn tray_open(&self, unit: usize) -> Option<bool> {
        let (channel, at) = Self::place(unit)?;
        match &self.channels[channel].units[at].kind {
            Kind::CdRom(cd) => Some(cd.state.tray_open),
            Kind::Disk(_) | Kind::Absent => None,
        }
    }

    /// Channel and register of an offset, when they are decoded. The data port takes any width, the others bytes.
    fn decode(&self, offset: u16, size: AccessSize) -> Option<(usize, u16)> {
        let (channel, register) = (usize::from(offset >> 4), offset & 0x0F);
        let fits = register == DATA || size == AccessSize::Byte;
        let decoded = channel < 2 && register <= CONTROL && fits && self.decodes(channel);
        decoded.then_some((channel, register))
    }

    /// Reads of the data port in a row, as [`PioDevice::pio_read`] does one: as many as change nothing but the place in
    /// the data, into the start of `out`. Gives how many units of `size` that were.
    pub fn pio_read_run(&mut self, offset: u16, size: AccessSize, out: &mut [u8]) -> usize {
        match self.decode(offset, size) {
            Some((channel, DATA)) => self.channels[channel].read_run(size, out),
            _ => 0,
        }
    }

    /// As [`Ide::pio_read_run`], for writes from the start of `data`.
    pub fn pio_write_run(&mut self, offset: u16, size: AccessSize, data: &[u8]) -> usize {
        match self.decode(offset, size) {
            Some((channel, DATA)) => self.channels[channel].write_run(size, data),
            _ => 0,
        }
    }

    fn masters_allowed(&self) -> bool {
        self.config.config_read(COMMAND_STATUS) & COMMAND_MASTER != 0
    }

    fn allow_masters(&mut self, ctx: &mut Ctx<'_>) {
        let allowed = self.masters_allowed();
        for channel in &mut self.channels {
            channel.bus_master.allowed = allowed;
            channel.run_dma(ctx);
            channel.serve(ctx);
        }
    }

    fn master_byte(&self, offset: u64) -> u8 {
        let [low, ..] = offset.to_le_bytes();
        match self.channels.get(usize::from(low >> 3)) {
            Some(channel) if offset < 16 => channel.bus_master.read(low & 7),
            _ => u8::MAX,
        }
    }
}

impl Device for Ide {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        // SeaBIOS does not open the channels again for a system that wakes: QEMU's have no gate.
        let timings =
            [IDETIM, SIDETIM].map(|register| (register, self.config.config_read(register)));
        self.config.reset();
        if kind == ResetKind::Sleep {
            for (register, value) in timings {
                self.config.config_write(register, value, u32::MAX);
            }
        }
        for channel in &mut self.channels {
            channel.reset(ctx, kind);
        }
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(&self.name, &self.to_v1()?)
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.take_v1(payload.decode::<IdeV1>()?)
    }
}

impl PioDevice for Ide {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let Some((channel, register)) = self.decode(offset, size) else {
            return not_decoded(size);
        };
        let channel = &mut self.channels[channel];
        if matches!(register, STATUS_COMMAND | CONTROL) && channel.waits_for_medium() {
            channel.look_for_answer(ctx);
        }
        let value = channel.read(ctx, register, size);
        if register == DATA && channel.waits_for_medium() {
            channel.serve(ctx);
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        match self.decode(offset, size) {
            None => not_decoded(size),
            Some((channel, DATA)) => self.channels[channel].peek_data(size),
            Some((channel, register)) => u32::from(self.channels[channel].peek_register(register)),
        }
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        let Some((channel, register)) = self.decode(offset, size) else {
            return;
        };
        let channel = &mut self.channels[channel];
        channel.write(ctx, register, size, value);
        if channel.waits_for_medium() {
            channel.serve(ctx);
        }
    }
}

impl PciDevice for Ide {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_read(&self, register: u8) -> u32 {
        self.config.config_read(register)
    }

    fn config_write(&mut self, ctx: &mut Ctx<'_>, register: u8, value: u32, mask: u32) {
        self.config.config_write(register, value, mask);
        if register == COMMAND_STATUS {
            self.allow_masters(ctx);
        }
    }

    fn bar_read(&mut self, ctx: &mut Ctx<'_>, bar: usize, offset: u64, size: AccessSize) -> u64 {
        self.bar_peek(ctx.now, bar, offset, size)
    }

    fn bar_peek(&self, _now: Nanos, bar: usize, offset: u64, size: AccessSize) -> u64 {
        if bar != BUS_MASTER_BAR {
            return size.ones();
        }
        (0..size.bytes()).rev().fold(0, |value, i| {
            value << 8 | u64::from(self.master_byte(offset.saturating_add(i)))
        })
    }

    fn bar_write(
        &mut self,
        ctx: &mut Ctx<'_>,
        bar: usize,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) {
        if bar != BUS_MASTER_BAR {
            return;
        }
        let bytes = value.to_le_bytes();
        let width = usize::try_from(size.bytes()).unwrap_or(0);
        for (at, &byte) in (offset..16).zip(&bytes[..width]) {
            let [low, ..] = at.to_le_bytes();
            let channel = &mut self.channels[usize::from(low >> 3)];
            if channel.bus_master.write(low & 7, byte) {
                channel.run_dma(ctx);
                channel.serve(ctx);
            }
        }
    }
}

impl BlockClient for Ide {
    fn serve_replies(&mut self, ctx: &mut Ctx<'_>) {
        for channel in &mut self.channels {
            channel.serve(ctx);
        }
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>) {
        for channel in &mut self.channels {
            channel.drain(ctx);
        }
    }

    fn next_reply(&self) -> Option<Nanos> {
        let units = self.channels.iter().flat_map(|channel| &channel.units);
        units.filter_map(|unit| unit.backend.next_reply()).min()
    }
}
