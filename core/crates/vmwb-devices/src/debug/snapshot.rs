//! Saved state of the debug ports: that they exist.

use serde::{Deserialize, Serialize};
use vmwb_hw::Schema;

/// Version 1 of the exit port. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebugExitV1 {}

impl Schema for DebugExitV1 {
    const KIND: &'static str = "debug-exit";
    const VERSION: u32 = 1;
}

/// Version 1 of the console. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebugConsoleV1 {}

impl Schema for DebugConsoleV1 {
    const KIND: &'static str = "debug-console";
    const VERSION: u32 = 1;
}
