//! Saved state of a virtio input device. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::regs::{AXIS_MAX, MAX_WAITING};
use super::{Event, Pointer, Tablet};
use crate::virtio::TransportV1;

/// Version 1 of a tablet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioInputV1 {
    /// PCI function, negotiation and queues.
    pub transport: TransportV1,
    /// Configuration: what is selected.
    pub select: u8,
    /// Configuration: of that, which part.
    pub subsel: u8,
    /// Where the pointer is.
    pub now: PointerV1,
    /// Wheel steps that have not become events.
    pub wheel: i32,
    /// What the events so far say.
    pub told: PointerV1,
    /// Events that wait: type, code, value; at most 256.
    pub waiting: Vec<(u16, u16, u32)>,
}

/// Position and buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointerV1 {
    /// Across, 0 to 32,767.
    pub x: u16,
    /// Down, 0 to 32,767.
    pub y: u16,
    /// Bit 0 left, 1 right, 2 middle.
    pub buttons: u8,
}

impl Schema for VirtioInputV1 {
    const KIND: &'static str = "virtio-input";
    const VERSION: u32 = 1;
}

impl From<Pointer> for PointerV1 {
    fn from(p: Pointer) -> Self {
        Self {
            x: p.x,
            y: p.y,
            buttons: p.buttons,
        }
    }
}

impl PointerV1 {
    fn checked(self) -> Option<Pointer> {
        let exists = self.x <= AXIS_MAX && self.y <= AXIS_MAX && self.buttons <= 7;
        exists.then_some(Pointer {
            x: self.x,
            y: self.y,
            buttons: self.buttons,
        })
    }
}

impl Tablet {
    pub(super) fn to_v1(&self, transport: TransportV1) -> VirtioInputV1 {
        VirtioInputV1 {
            transport,
            select: self.select,
            subsel: self.subsel,
            now: self.now.into(),
            wheel: self.wheel,
            told: self.told.into(),
            waiting: self
                .waiting
                .iter()
                .map(|e| (e.kind, e.code, e.value))
                .collect(),
        }
    }

    pub(super) fn take_v1(&mut self, s: VirtioInputV1) -> Result<TransportV1, SnapshotError> {
        let damaged = |reason: &str| SnapshotError::damaged(VirtioInputV1::KIND, reason);
        if s.waiting.len() > MAX_WAITING {
            return Err(damaged("more events wait than there is room for"));
        }
        let pointer = |p: PointerV1| {
            p.checked()
                .ok_or_else(|| damaged("the pointer is off the screen"))
        };
        self.now = pointer(s.now)?;
        self.told = pointer(s.told)?;
        self.select = s.select;
        self.subsel = s.subsel;
        self.wheel = s.wheel;
        let event = |(kind, code, value)| Event { kind, code, value };
        self.waiting = s.waiting.into_iter().map(event).collect();
        Ok(s.transport)
    }
}
