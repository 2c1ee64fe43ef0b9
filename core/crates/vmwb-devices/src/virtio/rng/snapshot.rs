//! Saved state of an entropy device. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::Schema;

use crate::virtio::TransportV1;

/// Version 1 of an entropy device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioRngV1 {
    /// PCI function, negotiation and queue.
    pub transport: TransportV1,
    /// 64-bit numbers drawn since power-on.
    pub drawn: u64,
}

impl Schema for VirtioRngV1 {
    const KIND: &'static str = "virtio-rng";
    const VERSION: u32 = 1;
}
