//! Saved state of the DMA controllers. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::regs::{ALL, CHANNEL, PAGE_REGISTERS};
use super::{Channel, Controller, Dma};

/// Version 1 of the pair with its page registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DmaV1 {
    /// Controllers 1 and 2.
    pub controllers: [ControllerV1; 2],
    /// Page registers by port, 80h to 8Fh.
    pub pages: [u8; PAGE_REGISTERS],
}

/// Version 1 of one 8237A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerV1 {
    /// Channels 0 to 3.
    pub channels: [ChannelV1; 4],
    /// Command register.
    pub command: u8,
    /// Software requests.
    pub requests: u8,
    /// Mask register.
    pub mask: u8,
    /// DREQ lines.
    pub dreq: u8,
    /// Channels at terminal count since the status was read.
    pub reached: u8,
    /// The flip-flop.
    pub high: bool,
}

/// Version 1 of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelV1 {
    /// Mode register without its channel bits.
    pub mode: u8,
    /// Base address.
    pub base_address: u16,
    /// Base count.
    pub base_count: u16,
    /// Current address.
    pub address: u16,
    /// Current count.
    pub count: u16,
}

impl Schema for DmaV1 {
    const KIND: &'static str = "dma";
    const VERSION: u32 = 1;
}

impl From<&Dma> for DmaV1 {
    fn from(d: &Dma) -> Self {
        Self {
            controllers: d.controllers.map(|c| ControllerV1 {
                channels: c.channels.map(|ch| ChannelV1 {
                    mode: ch.mode,
                    base_address: ch.base_address,
                    base_count: ch.base_count,
                    address: ch.address,
                    count: ch.count,
                }),
                command: c.command,
                requests: c.requests,
                mask: c.mask,
                dreq: c.dreq,
                reached: c.reached,
                high: c.high,
            }),
            pages: d.pages,
        }
    }
}

impl TryFrom<DmaV1> for Dma {
    type Error = SnapshotError;

    fn try_from(v: DmaV1) -> Result<Self, SnapshotError> {
        let four_bits = v
            .controllers
            .iter()
            .all(|c| (c.requests | c.mask | c.dreq | c.reached) & !ALL == 0);
        let modes = v
            .controllers
            .iter()
            .flat_map(|c| &c.channels)
            .all(|c| c.mode & CHANNEL == 0);
        if !four_bits || !modes {
            return Err(SnapshotError::damaged(
                DmaV1::KIND,
                "a register has bits it cannot hold",
            ));
        }
        Ok(Self {
            controllers: v.controllers.map(|c| Controller {
                channels: c.channels.map(|ch| Channel {
                    mode: ch.mode,
                    base_address: ch.base_address,
                    base_count: ch.base_count,
                    address: ch.address,
                    count: ch.count,
                }),
                command: c.command,
                requests: c.requests,
                mask: c.mask,
                dreq: c.dreq,
                reached: c.reached,
                high: c.high,
            }),
            pages: v.pages,
        })
    }
}
