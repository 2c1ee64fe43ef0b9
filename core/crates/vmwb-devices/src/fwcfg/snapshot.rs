//! Saved state of the firmware configuration device. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::State;
use super::regs::WRITE_CHANNEL;

/// Version 1: the registers. The items are made anew; the fingerprint tells whether they are still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FwCfgV1 {
    /// Key of the selected item without the write channel's bit; `None` when a restore found other items.
    pub selector: Option<u16>,
    /// Offset of the next byte.
    pub offset: u32,
    /// High half of the DMA address.
    pub dma_high: u32,
    /// Fingerprint of all items.
    pub items: u64,
}

impl Schema for FwCfgV1 {
    const KIND: &'static str = "fw-cfg";
    const VERSION: u32 = 1;
}

impl FwCfgV1 {
    pub(super) fn new(state: &State, items: u64) -> Self {
        Self {
            selector: state.selector,
            offset: state.offset,
            dma_high: state.dma_high,
            items,
        }
    }

    /// The state beside items of another fingerprint is that of a device where nothing is selected: reads give zeros
    /// until the guest selects again, never the middle of something else.
    pub(super) fn into_state(self, items: u64) -> Result<State, SnapshotError> {
        if self.selector.is_some_and(|key| key & WRITE_CHANNEL != 0) {
            return Err(SnapshotError::damaged(
                Self::KIND,
                "the selector has a bit that it does not keep",
            ));
        }
        let same = self.items == items;
        Ok(State {
            selector: self.selector.filter(|_| same),
            offset: if same { self.offset } else { 0 },
            dma_high: self.dma_high,
        })
    }
}
