//! Saved state of a balloon. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::Schema;

use crate::virtio::TransportV1;

/// Version 1 of a balloon. What is in it is in the guest's memory: its pages are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioBalloonV1 {
    /// PCI function, negotiation and queues.
    pub transport: TransportV1,
    /// Pages that the host wishes to have.
    pub target: u32,
    /// Pages that the driver says it has given.
    pub actual: u32,
}

impl Schema for VirtioBalloonV1 {
    const KIND: &'static str = "virtio-balloon";
    const VERSION: u32 = 1;
}
