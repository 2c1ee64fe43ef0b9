//! What a saved state must fulfil before anything relies on it.

use vmwb_hw::{Schema, SnapshotError};

use super::{ChannelV1, DriveV1, FlowV1, IdeV1, JobV1, PhaseV1, UnitV1};
use crate::ide::action::MAX_PARAMETERS;
use crate::ide::cdrom::{CD_SECTOR_BYTES, PACKET_BYTES, part_bytes};
use crate::ide::disk::SECTOR_BYTES;
use crate::ide::regs::{
    BM_ACTIVE, BM_CAPABLE, BM_ERROR, BM_INTERRUPT, BM_READ, BM_START, BSY, CONTROL_KEPT,
    DEVICE_FIXED, DRQ, command as c, packet as p,
};
use crate::ide::transfer::{DMA_PIECE_BYTES, PIO_PIECE_BYTES};

/// Most sectors of one command: READ (12) of a whole CD.
const MAX_COMMAND_BYTES: u64 = (u32::MAX as u64 + 1) * CD_SECTOR_BYTES;

pub(super) fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(IdeV1::KIND, reason))
    }
}

/// Registers, and whether they agree with the command under way.
pub(super) fn channel(v: &ChannelV1) -> Result<(), SnapshotError> {
    check(
        v.control & !CONTROL_KEPT == 0,
        "Device Control has bits that do not exist",
    )?;
    let status = BM_ACTIVE | BM_ERROR | BM_INTERRUPT | BM_CAPABLE;
    let master = v.master_command & !(BM_START | BM_READ) == 0
        && v.master_status & !status == 0
        && v.master_table & 3 == 0
        && v.master_next & 3 == 0
        && v.master_left <= 0x1_0000;
    check(master, "the bus master has registers that it cannot have")?;
    for (at, unit) in (0u8..).zip(&v.units) {
        let works = v.job.as_ref().is_some_and(|job| job.unit == at);
        check(
            unit.device & DEVICE_FIXED == DEVICE_FIXED,
            "Device lacks its fixed bits",
        )?;
        check(
            unit.status & BSY == 0 && (unit.status & DRQ != 0) == works,
            "a drive's status does not fit to what it does",
        )?;
    }
    match &v.job {
        None => Ok(()),
        Some(job) => {
            let unit = v.units.get(usize::from(job.unit));
            check(
                unit.is_some_and(|unit| can_do(unit, job)),
                "a drive cannot do what it does",
            )
        }
    }
}

/// Whether a drive of this kind has such a command.
fn can_do(unit: &UnitV1, job: &JobV1) -> bool {
    match unit.drive {
        DriveV1::Absent => false,
        DriveV1::Disk(_) => {
            let kept = matches!(
                job.flow,
                FlowV1::Answer | FlowV1::Read | FlowV1::Write | FlowV1::WriteDurable
            );
            let trims = job.flow == FlowV1::Parameters && job.opcode == c::DATA_SET_MANAGEMENT;
            !job.is_packet && (kept || trims)
        }
        DriveV1::CdRom(_) if !job.is_packet => job.flow == FlowV1::Answer,
        DriveV1::CdRom(_) => match job.flow {
            FlowV1::Answer | FlowV1::ReadCd => true,
            FlowV1::ReadCdParts(parts) => part_bytes(parts) > 0,
            FlowV1::Parameters => matches!(job.opcode, p::MODE_SELECT_6 | p::MODE_SELECT_10),
            FlowV1::Read | FlowV1::Write | FlowV1::WriteDurable => false,
        },
    }
}

/// Lengths and positions. `sectors`: the size when the drive is a disk.
pub(super) fn job(v: &JobV1, sectors: Option<u64>) -> Result<(), SnapshotError> {
    check(
        (1..=0xFFFE).contains(&v.block_bytes),
        "a command has no such block",
    )?;
    let longest = if v.dma {
        DMA_PIECE_BYTES
    } else {
        PIO_PIECE_BYTES
    };
    let end = v
        .offset
        .checked_add(v.piece)
        .and_then(|end| end.checked_add(v.rest));
    let most = sectors.map_or(MAX_COMMAND_BYTES, |n| n.saturating_mul(SECTOR_BYTES));
    check(
        v.piece <= longest && end.is_some_and(|end| end <= most.max(MAX_PARAMETERS as u64)),
        "a command reaches over the end of the medium",
    )?;
    let len = v.buffer.0.len() as u64;
    let whole =
        |unit: u64| v.piece > 0 && [v.offset, v.piece, v.rest].iter().all(|n| n % unit == 0);
    let fits = match v.flow {
        FlowV1::Answer => v.piece == 0 && v.rest == 0 && (1..=PIO_PIECE_BYTES).contains(&len),
        FlowV1::Read | FlowV1::Write | FlowV1::WriteDurable => {
            whole(SECTOR_BYTES) && len == v.piece && end.is_some_and(|end| end <= most)
        }
        FlowV1::ReadCd => whole(CD_SECTOR_BYTES) && len == v.piece,
        FlowV1::ReadCdParts(parts) => {
            let sector = part_bytes(parts) as u64;
            whole(CD_SECTOR_BYTES) && len == v.piece / CD_SECTOR_BYTES * sector
        }
        FlowV1::Parameters => {
            v.rest == 0 && len == v.piece && (1..=MAX_PARAMETERS as u64).contains(&len)
        }
    };
    check(fits, "a command's buffer has the wrong length")?;
    let (pos, block_end) = (u64::from(v.pos), u64::from(v.block_end));
    let to_host = matches!(
        v.flow,
        FlowV1::Answer | FlowV1::Read | FlowV1::ReadCd | FlowV1::ReadCdParts(_)
    );
    let in_block = pos < block_end && block_end <= len;
    let placed = match v.phase {
        PhaseV1::Packet => {
            let packet = v.is_packet && v.flow == FlowV1::Answer && len == PACKET_BYTES as u64;
            packet && in_block && block_end == len
        }
        PhaseV1::In => to_host && !v.dma && in_block,
        PhaseV1::Out => !to_host && !v.dma && in_block,
        PhaseV1::Dma => v.dma && pos < len,
    };
    check(placed, "a command's position lies outside its buffer")
}
