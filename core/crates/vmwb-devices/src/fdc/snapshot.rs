//! Saved state of the floppy controller. Frozen: a change is a new version with an upgrade. The disks are not in it.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::drive::Id;
use super::regs::{
    COMMAND_BYTES, CONFIG_MASK, PERPENDICULAR_DRIVES, PERPENDICULAR_GAPS, RATE, RESULT_BYTES,
    TDR_MASK,
};
use super::transfer::{BUFFER_BYTES, Kind, Step, Transfer};
use super::{DRIVES, Fdc, Phase, Seek, State, UNITS, command};

/// Version 1 of the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdcV1 {
    /// Digital output register.
    pub dor: u8,
    /// Tape drive register.
    pub tdr: u8,
    /// Data rate, 0 to 3.
    pub rate: u8,
    /// CONFIGURE's second byte.
    pub config: u8,
    /// CONFIGURE's third byte.
    pub pretrk: u8,
    /// LOCK.
    pub locked: bool,
    /// SPECIFY's bytes.
    pub specify: [u8; 2],
    /// PERPENDICULAR MODE.
    pub perpendicular: u8,
    /// Last EOT or sector count.
    pub last_eot: u8,
    /// Cylinder numbers.
    pub pcn: [u8; UNITS],
    /// Seeks under way.
    pub seeks: [Option<SeekV1>; UNITS],
    /// ST0 that waits for SENSE INTERRUPT STATUS.
    pub sense: [Option<u8>; UNITS],
    /// When the interrupt of a reset comes, in nanoseconds of virtual time.
    pub reset_done_ns: Option<u64>,
    /// What it is doing.
    pub phase: PhaseV1,
    /// An interrupt waits.
    pub interrupt: bool,
    /// Level of the interrupt line.
    pub line: bool,
    /// The drives.
    pub drives: [DriveV1; DRIVES],
}

/// Version 1 of a seek.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeekV1 {
    /// Its end, in nanoseconds of virtual time.
    pub until_ns: u64,
    /// Cylinder number at the end.
    pub cylinder: u8,
    /// Steps, -255 to 255.
    pub steps: i16,
    /// RECALIBRATE.
    pub recalibrate: bool,
}

/// Version 1 of a drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriveV1 {
    /// Cylinder of the head.
    pub head: u8,
    /// Change line.
    pub changed: bool,
}

/// Version 1 of the phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PhaseV1 {
    /// Bytes of a command, at most 8 so far.
    Command(Vec<u8>),
    /// A command under way.
    Execution(TransferV1),
    /// A result.
    Result {
        /// 1 to 10 bytes.
        bytes: Vec<u8>,
        /// How many were read.
        read: u8,
    },
}

/// Version 1 of a command under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferV1 {
    /// Command code.
    pub code: u8,
    /// Both sides.
    pub both_sides: bool,
    /// MFM.
    pub mfm: bool,
    /// Skips deleted data.
    pub skip: bool,
    /// Drive, 0 to 3.
    pub unit: u8,
    /// Side, 0 or 1.
    pub side: u8,
    /// C, H, R, N.
    pub id: [u8; 4],
    /// EOT.
    pub eot: u8,
    /// Sectors to go.
    pub left: Option<u8>,
    /// Filler.
    pub fill: u8,
    /// Data, at most 512 bytes.
    pub buffer: Vec<u8>,
    /// Bytes of it that the host has taken.
    pub taken: u16,
    /// Terminal count has come.
    pub terminal: bool,
    /// Bits for ST1 and ST2.
    pub notes: [u8; 2],
    /// Where it stands.
    pub step: StepV1,
}

/// Version 1 of where a command stands. Times in nanoseconds of virtual time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StepV1 {
    /// The sector comes.
    Wait {
        /// When.
        until_ns: u64,
    },
    /// The search is given up.
    Fail {
        /// When.
        until_ns: u64,
        /// ST0, ST1, ST2.
        status: [u8; 3],
    },
    /// A request is under way.
    Disk,
    /// Data wait for the host.
    Host {
        /// When that is an overrun.
        until_ns: u64,
    },
}

impl Schema for FdcV1 {
    const KIND: &'static str = "fdc";
    const VERSION: u32 = 1;
}

/// Version 2: a seek remembers its side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdcV2 {
    /// What version 1 has.
    pub base: FdcV1,
    /// Sides that the last SEEK of each drive has named: bit n for drive n.
    pub sides: u8,
}

impl Schema for FdcV2 {
    const KIND: &'static str = "fdc";
    const VERSION: u32 = 2;
}

impl From<FdcV1> for FdcV2 {
    fn from(base: FdcV1) -> Self {
        Self { base, sides: 0 }
    }
}

impl From<&Fdc> for FdcV2 {
    fn from(fdc: &Fdc) -> Self {
        Self {
            base: FdcV1::from(fdc),
            sides: fdc.state.sides,
        }
    }
}

impl TryFrom<FdcV2> for State {
    type Error = SnapshotError;

    fn try_from(v: FdcV2) -> Result<Self, SnapshotError> {
        check(v.sides >> UNITS == 0, "a drive does not exist")?;
        Ok(Self {
            sides: v.sides,
            ..Self::try_from(v.base)?
        })
    }
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(FdcV1::KIND, reason))
    }
}

impl From<&Fdc> for FdcV1 {
    fn from(fdc: &Fdc) -> Self {
        let s = &fdc.state;
        let drive = |n: usize| DriveV1 {
            head: fdc.drives[n].head,
            changed: fdc.drives[n].changed,
        };
        Self {
            dor: s.dor,
            tdr: s.tdr,
            rate: s.rate,
            config: s.config,
            pretrk: s.pretrk,
            locked: s.locked,
            specify: s.specify,
            perpendicular: s.perpendicular,
            last_eot: s.last_eot,
            pcn: s.pcn,
            seeks: s.seeks.map(|seek| {
                seek.map(|seek| SeekV1 {
                    until_ns: seek.until.0,
                    cylinder: seek.cylinder,
                    steps: seek.steps,
                    recalibrate: seek.recalibrate,
                })
            }),
            sense: s.sense,
            reset_done_ns: s.reset_done.map(|at| at.0),
            phase: PhaseV1::from(&s.phase),
            interrupt: s.interrupt,
            line: s.line,
            drives: [drive(0), drive(1)],
        }
    }
}

impl From<&Phase> for PhaseV1 {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Command(bytes) => Self::Command(bytes.clone()),
            Phase::Result(bytes, read) => Self::Result {
                bytes: bytes.clone(),
                read: u8::try_from(*read).expect("a result has at most 10 bytes"),
            },
            Phase::Execution(t) => Self::Execution(TransferV1 {
                code: t.kind.code(),
                both_sides: t.both_sides,
                mfm: t.mfm,
                skip: t.skip,
                unit: t.unit,
                side: t.side,
                id: [t.id.c, t.id.h, t.id.r, t.id.n],
                eot: t.eot,
                left: t.left,
                fill: t.fill,
                buffer: t.buffer.clone(),
                taken: u16::try_from(t.taken).expect("a sector has 512 bytes"),
                terminal: t.terminal,
                notes: t.notes,
                step: match t.step {
                    Step::Wait { until } => StepV1::Wait { until_ns: until.0 },
                    Step::Fail { until, status } => StepV1::Fail {
                        until_ns: until.0,
                        status,
                    },
                    Step::Disk => StepV1::Disk,
                    Step::Host { until } => StepV1::Host { until_ns: until.0 },
                },
            }),
        }
    }
}

impl TryFrom<FdcV1> for State {
    type Error = SnapshotError;

    fn try_from(v: FdcV1) -> Result<Self, SnapshotError> {
        let bits = v.tdr & !TDR_MASK == 0
            && v.rate & !RATE == 0
            && v.config & !CONFIG_MASK == 0
            && v.perpendicular & !(PERPENDICULAR_DRIVES | PERPENDICULAR_GAPS) == 0;
        check(bits, "a register has bits it cannot hold")?;
        let steps = |s: &SeekV1| (-255..=255).contains(&s.steps);
        check(v.seeks.iter().flatten().all(steps), "a seek goes too far")?;
        Ok(Self {
            dor: v.dor,
            tdr: v.tdr,
            rate: v.rate,
            config: v.config,
            pretrk: v.pretrk,
            locked: v.locked,
            specify: v.specify,
            perpendicular: v.perpendicular,
            last_eot: v.last_eot,
            pcn: v.pcn,
            seeks: v.seeks.map(|seek| {
                seek.map(|seek| Seek {
                    until: Nanos(seek.until_ns),
                    cylinder: seek.cylinder,
                    steps: seek.steps,
                    recalibrate: seek.recalibrate,
                })
            }),
            sides: 0,
            sense: v.sense,
            reset_done: v.reset_done_ns.map(Nanos),
            phase: v.phase.try_into()?,
            interrupt: v.interrupt,
            line: v.line,
            dma_open: false,
        })
    }
}

impl TryFrom<PhaseV1> for Phase {
    type Error = SnapshotError;

    fn try_from(v: PhaseV1) -> Result<Self, SnapshotError> {
        match v {
            PhaseV1::Command(bytes) => {
                let part = bytes
                    .first()
                    .is_none_or(|&first| bytes.len() < command::length(first));
                check(
                    part && bytes.len() < COMMAND_BYTES,
                    "a command has too many bytes",
                )?;
                Ok(Self::Command(bytes))
            }
            PhaseV1::Result { bytes, read } => {
                let read = usize::from(read);
                check(
                    bytes.len() <= RESULT_BYTES && read < bytes.len(),
                    "a result has no bytes left or too many",
                )?;
                Ok(Self::Result(bytes, read))
            }
            PhaseV1::Execution(t) => Ok(Self::Execution(t.try_into()?)),
        }
    }
}

impl TryFrom<TransferV1> for Transfer {
    type Error = SnapshotError;

    fn try_from(v: TransferV1) -> Result<Self, SnapshotError> {
        let kind = Kind::of_code(v.code)
            .ok_or_else(|| SnapshotError::damaged(FdcV1::KIND, "a command does not exist"))?;
        check(
            usize::from(v.unit) < UNITS && v.side < 2,
            "a drive or a side does not exist",
        )?;
        let (len, taken) = (v.buffer.len(), usize::from(v.taken));
        let step = match v.step {
            StepV1::Wait { until_ns } => Step::Wait {
                until: Nanos(until_ns),
            },
            StepV1::Fail { until_ns, status } => Step::Fail {
                until: Nanos(until_ns),
                status,
            },
            StepV1::Disk => Step::Disk,
            StepV1::Host { until_ns } => Step::Host {
                until: Nanos(until_ns),
            },
        };
        let fits = match step {
            Step::Host { .. } if kind.to_host() => len == BUFFER_BYTES && taken < len,
            Step::Host { .. } => len < kind.host_bytes(),
            Step::Disk if kind.writes() => len == kind.host_bytes(),
            _ => len <= BUFFER_BYTES,
        };
        check(fits && taken <= len, "a sector has the wrong length")?;
        let [c, h, r, n] = v.id;
        Ok(Self {
            kind,
            both_sides: v.both_sides,
            mfm: v.mfm,
            skip: v.skip,
            unit: v.unit,
            side: v.side,
            id: Id { c, h, r, n },
            eot: v.eot,
            left: v.left,
            fill: v.fill,
            buffer: v.buffer,
            taken,
            terminal: v.terminal,
            notes: v.notes,
            step,
        })
    }
}
