//! Saved state of the absolute pointer. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::VmMouse;
use super::regs::{MAX_PACKETS, PACKET_WORDS};

/// Version 1 of the pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmMouseV1 {
    /// A driver listens.
    pub enabled: bool,
    /// It wants positions.
    pub absolute: bool,
    /// Words that wait, at most 256.
    pub queue: Vec<u32>,
}

impl Schema for VmMouseV1 {
    const KIND: &'static str = "vmmouse";
    const VERSION: u32 = 1;
}

impl From<&VmMouse> for VmMouseV1 {
    fn from(m: &VmMouse) -> Self {
        Self {
            enabled: m.enabled,
            absolute: m.absolute,
            queue: m.queue.iter().copied().collect(),
        }
    }
}

impl TryFrom<VmMouseV1> for VmMouse {
    type Error = SnapshotError;

    fn try_from(v: VmMouseV1) -> Result<Self, SnapshotError> {
        if v.queue.len() > MAX_PACKETS * PACKET_WORDS {
            return Err(SnapshotError::damaged(
                VmMouseV1::KIND,
                "more packets wait than the queue holds",
            ));
        }
        Ok(Self {
            enabled: v.enabled,
            absolute: v.absolute,
            queue: v.queue.into(),
        })
    }
}
