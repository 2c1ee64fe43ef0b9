//! Saved state of the IDE function. Frozen: a change is a new version with an upgrade.

mod check;

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::Ide;
use super::action::{Format, Protocol};
use super::busmaster::BusMaster;
use super::cdrom::CdState;
use super::channel::Channel;
use super::disk::{DiskState, DmaMode};
use super::taskfile::{Geometry, TaskFile};
use super::transfer::{Flow, Job, Phase};
use super::unit::{Kind, Unit};
use crate::bytes::Bytes;
use crate::pci::PciFunction;
use check::check;

/// Version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdeV1 {
    /// The configuration space: 64 double words.
    pub config: Vec<u32>,
    /// Primary and secondary channel.
    pub channels: [ChannelV1; 2],
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelV1 {
    /// Device Control.
    pub control: u8,
    /// Level of the interrupt line.
    pub line: bool,
    /// Bus master command.
    pub master_command: u8,
    /// Bus master status.
    pub master_status: u8,
    /// Bus master table.
    pub master_table: u32,
    /// Address of the table's next entry.
    pub master_next: u32,
    /// Address of the current region's rest.
    pub master_address: u32,
    /// Bytes of the current region's rest.
    pub master_left: u32,
    /// The current region is the table's last.
    pub master_last: bool,
    /// Master and slave.
    pub units: [UnitV1; 2],
    /// The command whose data the host is transferring.
    pub job: Option<JobV1>,
}

/// One drive's registers. Each pair holds the current and the previous content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitV1 {
    /// Features.
    pub features: [u8; 2],
    /// Sector Count.
    pub count: [u8; 2],
    /// LBA Low, Mid, High.
    pub lba: [[u8; 2]; 3],
    /// Device.
    pub device: u8,
    /// Status.
    pub status: u8,
    /// Error.
    pub error: u8,
    /// The drive asks for an interrupt.
    pub interrupt: bool,
    /// What it is.
    pub drive: DriveV1,
}

/// A drive's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveV1 {
    /// No drive.
    Absent,
    /// A disk.
    Disk(DiskV1),
    /// A CD drive.
    CdRom(CdV1),
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskV1 {
    /// Cylinders of the geometry in use.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors per track.
    pub sectors: u8,
    /// Sectors per block of READ and WRITE MULTIPLE.
    pub multiple: u8,
    /// Write cache.
    pub write_cache: bool,
    /// Look-ahead.
    pub look_ahead: bool,
    /// DMA mode as SET FEATURES has it; 0: none.
    pub dma_mode: u8,
    /// Spun down.
    pub standby: bool,
}

/// A CD drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdV1 {
    /// Sense: key, code, qualifier.
    pub sense: [u8; 3],
    /// The attention of a reset waits.
    pub was_reset: bool,
    /// The attention of a changed medium waits.
    pub was_changed: bool,
    /// Removal is prevented.
    pub locked: bool,
    /// The tray is open.
    pub tray_open: bool,
    /// The board has not been told that the guest opened the tray.
    pub ejected: bool,
    /// Media event that waits.
    pub event: u8,
    /// DMA mode as SET FEATURES has it; 0: none.
    pub dma_mode: u8,
}

/// A command under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobV1 {
    /// Drive, 0 or 1.
    pub unit: u8,
    /// ATA command or packet operation code.
    pub opcode: u8,
    /// It is a PACKET command.
    pub is_packet: bool,
    /// By DMA.
    pub dma: bool,
    /// Bytes from one interrupt to the next.
    pub block_bytes: u32,
    /// What the host does.
    pub phase: PhaseV1,
    /// What is transferred.
    pub flow: FlowV1,
    /// The data of the current piece.
    pub buffer: Bytes,
    /// Next byte of the buffer.
    pub pos: u32,
    /// End of the current block.
    pub block_end: u32,
    /// First byte of the current piece on the medium.
    pub offset: u64,
    /// Length of the current piece on the medium.
    pub piece: u64,
    /// Bytes after it.
    pub rest: u64,
}

/// What the host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseV1 {
    /// It writes a command packet.
    Packet,
    /// It reads a block.
    In,
    /// It writes a block.
    Out,
    /// The bus master transfers.
    Dma,
}

/// What is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowV1 {
    /// Data of the drive's own.
    Answer,
    /// A disk's sectors.
    Read,
    /// A CD's sectors.
    ReadCd,
    /// These parts of a CD's raw sectors.
    ReadCdParts(u8),
    /// Sectors for the disk.
    Write,
    /// Sectors for the disk, durable before the command ends.
    WriteDurable,
    /// Data for the drive itself.
    Parameters,
}

impl Schema for IdeV1 {
    const KIND: &'static str = "ide";
    const VERSION: u32 = 1;
}

fn mode_code(mode: DmaMode) -> u8 {
    match mode {
        DmaMode::None => 0,
        DmaMode::Multiword(n) => 0x20 | n,
        DmaMode::Ultra(n) => 0x40 | n,
    }
}

fn mode_of(code: u8) -> Option<DmaMode> {
    match code {
        0 => Some(DmaMode::None),
        0x20..=0x22 => Some(DmaMode::Multiword(code & 7)),
        0x40..=0x45 => Some(DmaMode::Ultra(code & 7)),
        _ => None,
    }
}

fn drive_v1(kind: &Kind) -> DriveV1 {
    match kind {
        Kind::Absent => DriveV1::Absent,
        Kind::Disk(disk) => {
            let s = &disk.state;
            DriveV1::Disk(DiskV1 {
                cylinders: s.geometry.cylinders,
                heads: s.geometry.heads,
                sectors: s.geometry.sectors,
                multiple: s.multiple,
                write_cache: s.write_cache,
                look_ahead: s.look_ahead,
                dma_mode: mode_code(s.dma_mode),
                standby: s.standby,
            })
        }
        Kind::CdRom(cd) => {
            let s = &cd.state;
            DriveV1::CdRom(CdV1 {
                sense: [s.sense.key, s.sense.code, s.sense.qualifier],
                was_reset: s.was_reset,
                was_changed: s.was_changed,
                locked: s.locked,
                tray_open: s.tray_open,
                ejected: s.ejected,
                event: s.event,
                dma_mode: mode_code(s.dma_mode),
            })
        }
    }
}

fn unit_v1(unit: &Unit) -> UnitV1 {
    let r = &unit.regs;
    UnitV1 {
        features: r.features,
        count: r.count,
        lba: r.lba,
        device: r.device,
        status: r.status,
        error: r.error,
        interrupt: unit.interrupt,
        drive: drive_v1(&unit.kind),
    }
}

fn job_v1(job: &Job) -> Option<JobV1> {
    if job.pauses() {
        return None;
    }
    let narrow = |n: usize| u32::try_from(n).ok();
    let flow = match job.flow {
        Flow::Answer => FlowV1::Answer,
        Flow::Read(Format::Disk) => FlowV1::Read,
        Flow::Read(Format::Cd) => FlowV1::ReadCd,
        Flow::Read(Format::CdParts(parts)) => FlowV1::ReadCdParts(parts),
        Flow::Write { durable: false } => FlowV1::Write,
        Flow::Write { durable: true } => FlowV1::WriteDurable,
        Flow::Parameters => FlowV1::Parameters,
        Flow::Verify | Flow::Flush | Flow::Discard(_) => return None,
    };
    let phase = match job.phase {
        Phase::Packet => PhaseV1::Packet,
        Phase::In => PhaseV1::In,
        Phase::Out => PhaseV1::Out,
        Phase::Dma => PhaseV1::Dma,
        Phase::Backend => return None,
    };
    Some(JobV1 {
        unit: u8::from(job.unit != 0),
        opcode: job.opcode,
        is_packet: job.is_packet,
        dma: job.protocol.dma,
        block_bytes: narrow(job.protocol.block_bytes)?,
        phase,
        flow,
        buffer: Bytes(job.buffer.clone()),
        pos: narrow(job.pos)?,
        block_end: narrow(job.block_end)?,
        offset: job.offset,
        piece: job.piece,
        rest: job.rest,
    })
}

fn channel_v1(channel: &Channel) -> Result<ChannelV1, SnapshotError> {
    let m = &channel.bus_master;
    let job = match &channel.job {
        None => None,
        Some(job) => Some(job_v1(job).ok_or_else(|| {
            SnapshotError::damaged(IdeV1::KIND, "a drive's medium is still at work")
        })?),
    };
    Ok(ChannelV1 {
        control: channel.control,
        line: channel.line,
        master_command: m.command,
        master_status: m.status,
        master_table: m.table,
        master_next: m.next,
        master_address: m.address,
        master_left: m.left,
        master_last: m.last,
        units: [unit_v1(&channel.units[0]), unit_v1(&channel.units[1])],
        job,
    })
}

fn restore_drive(kind: &mut Kind, v: &DriveV1) -> Result<(), SnapshotError> {
    match (kind, v) {
        (Kind::Absent, DriveV1::Absent) => Ok(()),
        (Kind::Disk(disk), DriveV1::Disk(v)) => {
            check(
                v.cylinders != 0 && (1..=16).contains(&v.heads) && v.sectors != 0,
                "a disk has no such geometry",
            )?;
            check(
                v.multiple == 0 || v.multiple <= 16 && v.multiple.is_power_of_two(),
                "a disk has no such block size",
            )?;
            disk.state = DiskState {
                geometry: Geometry {
                    cylinders: v.cylinders,
                    heads: v.heads,
                    sectors: v.sectors,
                },
                multiple: v.multiple,
                write_cache: v.write_cache,
                look_ahead: v.look_ahead,
                dma_mode: checked_mode(v.dma_mode)?,
                standby: v.standby,
            };
            Ok(())
        }
        (Kind::CdRom(cd), DriveV1::CdRom(v)) => {
            check(
                v.event <= 3 && v.sense[0] <= 15,
                "a CD drive has no such event",
            )?;
            let [key, code, qualifier] = v.sense;
            cd.state = CdState {
                sense: super::sense::Sense {
                    key,
                    code,
                    qualifier,
                },
                was_reset: v.was_reset,
                was_changed: v.was_changed,
                locked: v.locked,
                tray_open: v.tray_open,
                ejected: v.ejected,
                event: v.event,
                dma_mode: checked_mode(v.dma_mode)?,
            };
            Ok(())
        }
        _ => check(false, "it has other drives than this machine"),
    }
}

fn checked_mode(code: u8) -> Result<DmaMode, SnapshotError> {
    mode_of(code).ok_or_else(|| SnapshotError::damaged(IdeV1::KIND, "a drive has no such DMA mode"))
}

fn restore_unit(unit: &mut Unit, v: &UnitV1) -> Result<(), SnapshotError> {
    restore_drive(&mut unit.kind, &v.drive)?;
    unit.interrupt = v.interrupt;
    unit.regs = TaskFile {
        features: v.features,
        count: v.count,
        lba: v.lba,
        device: v.device,
        status: v.status,
        error: v.error,
    };
    Ok(())
}

fn job_of(v: JobV1) -> Job {
    let protocol = Protocol {
        dma: v.dma,
        block_bytes: v.block_bytes as usize,
    };
    let mut job = Job::ata(usize::from(v.unit), v.opcode, protocol);
    job.is_packet = v.is_packet;
    job.phase = match v.phase {
        PhaseV1::Packet => Phase::Packet,
        PhaseV1::In => Phase::In,
        PhaseV1::Out => Phase::Out,
        PhaseV1::Dma => Phase::Dma,
    };
    job.flow = match v.flow {
        FlowV1::Answer => Flow::Answer,
        FlowV1::Read => Flow::Read(Format::Disk),
        FlowV1::ReadCd => Flow::Read(Format::Cd),
        FlowV1::ReadCdParts(parts) => Flow::Read(Format::CdParts(parts)),
        FlowV1::Write => Flow::Write { durable: false },
        FlowV1::WriteDurable => Flow::Write { durable: true },
        FlowV1::Parameters => Flow::Parameters,
    };
    job.buffer = v.buffer.0;
    (job.pos, job.block_end) = (v.pos as usize, v.block_end as usize);
    (job.offset, job.piece, job.rest) = (v.offset, v.piece, v.rest);
    job
}

fn restore_channel(channel: &mut Channel, v: ChannelV1) -> Result<(), SnapshotError> {
    check::channel(&v)?;
    for (unit, saved) in channel.units.iter_mut().zip(&v.units) {
        restore_unit(unit, saved)?;
    }
    channel.control = v.control;
    channel.line = v.line;
    channel.bus_master = BusMaster {
        command: v.master_command,
        status: v.master_status,
        table: v.master_table,
        next: v.master_next,
        address: v.master_address,
        left: v.master_left,
        last: v.master_last,
        allowed: channel.bus_master.allowed,
    };
    channel.job = match v.job {
        None => None,
        Some(v) => {
            let sectors = channel.units[usize::from(v.unit & 1)]
                .as_disk()
                .map(|disk| disk.sectors);
            check::job(&v, sectors)?;
            Some(Box::new(job_of(v)))
        }
    };
    Ok(())
}

impl Ide {
    pub(super) fn to_v1(&self) -> Result<IdeV1, SnapshotError> {
        Ok(IdeV1 {
            config: self.config.registers().to_vec(),
            channels: [
                channel_v1(&self.channels[0])?,
                channel_v1(&self.channels[1])?,
            ],
        })
    }

    pub(super) fn take_v1(&mut self, v: IdeV1) -> Result<(), SnapshotError> {
        let registers = v.config.as_slice().try_into().ok();
        let taken = registers.is_some_and(|r| self.config.set_registers(r));
        check(taken, "its configuration space is another function's")?;
        let allowed = self.masters_allowed();
        for (channel, saved) in self.channels.iter_mut().zip(v.channels) {
            channel.bus_master.allowed = allowed;
            restore_channel(channel, saved)?;
        }
        Ok(())
    }
}
