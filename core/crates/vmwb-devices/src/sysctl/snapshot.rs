//! Saved state of the system control ports. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::SysCtl;
use super::regs::{PORT_92_KEPT, RESET_KEPT};

/// Version 1 of the system control ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysCtlV1 {
    /// Port 92h.
    pub port_92: u8,
    /// Port CF9h.
    pub reset_control: u8,
    /// Port 80h.
    pub post_code: u8,
}

impl Schema for SysCtlV1 {
    const KIND: &'static str = "sysctl";
    const VERSION: u32 = 1;
}

impl From<&SysCtl> for SysCtlV1 {
    fn from(s: &SysCtl) -> Self {
        Self {
            port_92: s.port_92,
            reset_control: s.reset_control,
            post_code: s.post_code,
        }
    }
}

impl TryFrom<SysCtlV1> for SysCtl {
    type Error = SnapshotError;

    fn try_from(v: SysCtlV1) -> Result<Self, SnapshotError> {
        if v.port_92 & !PORT_92_KEPT != 0 || v.reset_control & !RESET_KEPT != 0 {
            return Err(SnapshotError::damaged(
                SysCtlV1::KIND,
                "a register has bits it cannot hold",
            ));
        }
        Ok(Self {
            port_92: v.port_92,
            reset_control: v.reset_control,
            post_code: v.post_code,
        })
    }
}
