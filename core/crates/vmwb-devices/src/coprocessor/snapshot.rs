//! Saved state of the coprocessor error latch. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

/// Version 1 of the latch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoprocessorV1 {
    /// FERR# is asserted.
    pub error: bool,
    /// IGNNE# is asserted.
    pub ignored: bool,
}

impl Schema for CoprocessorV1 {
    const KIND: &'static str = super::NAME;
    const VERSION: u32 = 1;
}

impl CoprocessorV1 {
    /// Refuses what the latch cannot hold.
    pub(super) fn check(&self) -> Result<(), SnapshotError> {
        if self.ignored && !self.error {
            return Err(SnapshotError::damaged(
                Self::KIND,
                "an error is ignored that is not there",
            ));
        }
        Ok(())
    }
}
