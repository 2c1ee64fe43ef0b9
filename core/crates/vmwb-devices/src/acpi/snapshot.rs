//! Saved state of the power-management block.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::{AcpiPm, regs};

/// Version 1, of a block without sleep. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpiPmV1 {
    /// PM1 status, without the timer's bit.
    pub status: u16,
    /// PM1 enable.
    pub enable: u16,
    /// PM1 control.
    pub control: u16,
    /// General-purpose event enables.
    pub gpe_enable: u16,
    /// Last value of SMI_CMD.
    pub smi_command: u8,
    /// Port B3h.
    pub smi_status: u8,
    /// Half periods of the timer that had passed when its status bit was last cleared.
    pub cleared_half: u64,
    /// Level of the SCI.
    pub sci_level: bool,
    /// The timer's deadline, in nanoseconds of virtual time.
    pub deadline_ns: Option<u64>,
}

impl Schema for AcpiPmV1 {
    const KIND: &'static str = "acpi";
    const VERSION: u32 = 1;
}

/// Version 2: sleep. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpiPmV2 {
    /// What version 1 knew.
    pub base: AcpiPmV1,
    /// Whether the system sleeps in its RAM.
    pub asleep: bool,
}

impl Schema for AcpiPmV2 {
    const KIND: &'static str = AcpiPmV1::KIND;
    const VERSION: u32 = 2;
}

impl From<AcpiPmV1> for AcpiPmV2 {
    fn from(base: AcpiPmV1) -> Self {
        Self {
            base,
            asleep: false,
        }
    }
}

impl AcpiPm {
    pub(super) fn to_v2(&self) -> AcpiPmV2 {
        AcpiPmV2 {
            base: self.to_v1(),
            asleep: self.asleep,
        }
    }

    pub(super) fn take_v2(&mut self, s: &AcpiPmV2) -> Result<(), SnapshotError> {
        self.take_v1(&s.base)?;
        self.asleep = s.asleep;
        Ok(())
    }

    fn to_v1(&self) -> AcpiPmV1 {
        AcpiPmV1 {
            status: self.status,
            enable: self.enable,
            control: self.control,
            gpe_enable: self.gpe_enable,
            smi_command: self.smi_command,
            smi_status: self.smi_status,
            cleared_half: self.cleared_half,
            sci_level: self.sci_level,
            deadline_ns: self.deadline.map(|at| at.0),
        }
    }

    fn take_v1(&mut self, s: &AcpiPmV1) -> Result<(), SnapshotError> {
        let reserved = [
            ("status", s.status & !regs::STATUS_STICKY),
            ("enable", s.enable & !regs::ENABLE_WRITABLE),
            (
                "control",
                s.control & !(regs::CONTROL_WRITABLE | regs::SCI_EN),
            ),
        ];
        if let Some((field, bits)) = reserved.into_iter().find(|&(_, bits)| bits != 0) {
            return Err(SnapshotError::damaged(
                "acpi",
                format!("{field} has reserved bits {bits:#x}"),
            ));
        }
        self.status = s.status;
        self.enable = s.enable;
        self.control = s.control;
        self.gpe_enable = s.gpe_enable;
        self.smi_command = s.smi_command;
        self.smi_status = s.smi_status;
        self.cleared_half = s.cleared_half;
        self.sci_level = s.sci_level;
        self.deadline = s.deadline_ns.map(Nanos);
        Ok(())
    }
}
