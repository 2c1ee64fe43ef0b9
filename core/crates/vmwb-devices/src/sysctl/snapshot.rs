//! Saved state of the system control ports. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::SysCtl;
use super::regs::{PORT_92_KEPT, RESET_KEPT, SHUTDOWN_WORD};

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

/// Version 2: the power switch of emulators. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysCtlV2 {
    /// What version 1 knew.
    pub base: SysCtlV1,
    /// How many characters of the word that switches off have come.
    pub shutdown: u8,
}

impl Schema for SysCtlV2 {
    const KIND: &'static str = "sysctl";
    const VERSION: u32 = 2;
}

impl From<SysCtlV1> for SysCtlV2 {
    /// Of the word nothing had come.
    fn from(base: SysCtlV1) -> Self {
        Self { base, shutdown: 0 }
    }
}

impl From<&SysCtl> for SysCtlV2 {
    fn from(s: &SysCtl) -> Self {
        Self {
            base: SysCtlV1 {
                port_92: s.port_92,
                reset_control: s.reset_control,
                post_code: s.post_code,
            },
            shutdown: s.shutdown,
        }
    }
}

impl TryFrom<SysCtlV2> for SysCtl {
    type Error = SnapshotError;

    fn try_from(v: SysCtlV2) -> Result<Self, SnapshotError> {
        let base = v.base;
        let bits = base.port_92 & !PORT_92_KEPT != 0 || base.reset_control & !RESET_KEPT != 0;
        if bits || usize::from(v.shutdown) >= SHUTDOWN_WORD.len() {
            return Err(SnapshotError::damaged(
                SysCtlV2::KIND,
                "a register has bits it cannot hold",
            ));
        }
        Ok(Self {
            port_92: base.port_92,
            reset_control: base.reset_control,
            post_code: base.post_code,
            shutdown: v.shutdown,
        })
    }
}
