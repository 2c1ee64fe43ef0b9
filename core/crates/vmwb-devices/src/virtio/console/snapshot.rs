//! Saved state of a virtio console. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::regs::INPUT_BYTES;
use super::{Console, DUE_MASK, PortState};
use crate::virtio::TransportV1;

/// Version 1 of a virtio console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioConsoleV1 {
    /// PCI function, negotiation and queues.
    pub transport: TransportV1,
    /// Every port.
    pub ports: Vec<ConsolePortV1>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsolePortV1 {
    /// Bytes to the guest, oldest first; at most 4,096.
    pub input: Vec<u8>,
    /// The driver has set the port up.
    pub ready: bool,
    /// A program in the guest has opened it.
    pub guest_open: bool,
    /// Control messages to send: 1 add, 2 console, 4 name, 8 open.
    pub due: u8,
}

impl Schema for VirtioConsoleV1 {
    const KIND: &'static str = "virtio-console";
    const VERSION: u32 = 1;
}

impl Console {
    pub(super) fn to_v1(&self, transport: TransportV1) -> VirtioConsoleV1 {
        let port = |p: &super::Port| ConsolePortV1 {
            input: p.state.input.iter().copied().collect(),
            ready: p.state.ready,
            guest_open: p.state.guest_open,
            due: p.state.due,
        };
        VirtioConsoleV1 {
            transport,
            ports: self.ports.iter().map(port).collect(),
        }
    }

    pub(super) fn take_v1(&mut self, s: VirtioConsoleV1) -> Result<TransportV1, SnapshotError> {
        let fits = s.ports.len() == self.ports.len()
            && s.ports
                .iter()
                .all(|p| p.input.len() <= INPUT_BYTES && p.due & !DUE_MASK == 0);
        if !fits {
            let reason = "its ports are not those of this machine";
            return Err(SnapshotError::damaged(VirtioConsoleV1::KIND, reason));
        }
        for (port, p) in self.ports.iter_mut().zip(s.ports) {
            port.state = PortState {
                input: p.input.into(),
                ready: p.ready,
                guest_open: p.guest_open,
                due: p.due,
            };
        }
        Ok(s.transport)
    }
}
