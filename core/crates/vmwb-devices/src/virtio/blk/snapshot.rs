//! Saved state of a virtio disk. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::Blk;
use crate::virtio::TransportV1;

/// Version 1 of a virtio disk. No request is under way in a saved state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioBlkV1 {
    /// PCI function, negotiation and queue.
    pub transport: TransportV1,
    /// The driver's cache mode.
    pub write_back: bool,
}

impl Schema for VirtioBlkV1 {
    const KIND: &'static str = "virtio-blk";
    const VERSION: u32 = 1;
}

impl Blk {
    pub(super) fn to_v1(&self, transport: TransportV1) -> Result<VirtioBlkV1, SnapshotError> {
        if self.backend.in_flight() > 0 {
            return Err(SnapshotError::damaged(
                VirtioBlkV1::KIND,
                "requests are under way; they are to be waited for first",
            ));
        }
        Ok(VirtioBlkV1 {
            transport,
            write_back: self.write_back,
        })
    }
}
