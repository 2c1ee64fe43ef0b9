//! Saved state of the I/O APIC.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::{IoApic, regs};

/// Version 1. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoApicV1 {
    /// Identification register.
    pub id: u32,
    /// Index register.
    pub index: u8,
    /// Redirection entries with their remote-IRR bits.
    pub entries: [u64; 24],
    /// Levels of the pins.
    pub lines: [bool; 24],
}

impl Schema for IoApicV1 {
    const KIND: &'static str = "ioapic";
    const VERSION: u32 = 1;
}

impl IoApic {
    /// Messages are not saved: the board collects them within the access that caused them.
    pub(super) fn to_v1(&self) -> IoApicV1 {
        IoApicV1 {
            id: self.id,
            index: self.index,
            entries: self.entries,
            lines: self.lines,
        }
    }

    pub(super) fn take_v1(&mut self, s: &IoApicV1) -> Result<(), SnapshotError> {
        let known = regs::WRITABLE | regs::REMOTE_IRR;
        let edge_in_service = |e: u64| e & regs::REMOTE_IRR != 0 && e & regs::LEVEL == 0;
        if s.id & !regs::ID_WRITABLE != 0 {
            return Err(SnapshotError::damaged(
                "ioapic",
                "the identification has reserved bits",
            ));
        }
        if let Some(pin) = s
            .entries
            .iter()
            .position(|&e| e & !known != 0 || edge_in_service(e))
        {
            return Err(SnapshotError::damaged(
                "ioapic",
                format!("redirection entry {pin} is impossible"),
            ));
        }
        self.id = s.id;
        self.index = s.index;
        self.entries = s.entries;
        self.lines = s.lines;
        self.outgoing.clear();
        Ok(())
    }
}
